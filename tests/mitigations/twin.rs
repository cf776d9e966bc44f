//! The twin refuses as AWS does, and tells checkers what happened.

use crate::bench::*;
use fleetwarden::aws::{CallError, Class, Fate, Script};
use fleetwarden::finding::Finding;
use fleetwarden::mitigation::{IotControl, LoggingOptions, MemoryIot};
use std::fmt::Debug;
use std::sync::Arc;

fn refused<T: Debug>(answer: Result<T, CallError>) -> (Class, String) {
    let error = answer.unwrap_err();
    (error.class, error.code.unwrap_or_default())
}

#[tokio::test]
async fn refusals_carry_the_codes_of_aws() {
    let iot = MemoryIot::new();
    let gone = (Class::Gone, "ResourceNotFoundException".to_owned());
    assert_eq!(refused(iot.describe_certificate(CERTIFICATE).await), gone);
    assert_eq!(refused(iot.deactivate_ca_certificate(CERTIFICATE).await), gone);
    assert_eq!(refused(iot.get_policy("Wide").await), gone);
    assert_eq!(refused(iot.create_default_policy_version("Wide", "{}").await), gone);
    assert_eq!(refused(iot.describe_audit_finding("f-1").await), gone);
    assert_eq!(refused(iot.add_thing_to_group("a", "quarantine", false).await), gone);
    assert_eq!(refused(iot.publish(TOPIC, "text").await), (Class::Gone, "NotFound".to_owned()));

    let permanent = |code: &str| (Class::Permanent, code.to_owned());
    iot.put_certificate(CERTIFICATE, "REVOKED");
    assert_eq!(refused(iot.deactivate_certificate(CERTIFICATE).await), permanent("CertificateStateException"));
    iot.put_policy("Wide", &["{}"; 5]);
    let full = iot.create_default_policy_version("Wide", "{}").await;
    assert_eq!(refused(full), permanent("VersionsLimitExceededException"));
    assert_eq!(refused(iot.delete_policy_version("Wide", "5").await), permanent("DeleteConflictException"));
    assert_eq!(refused(iot.delete_policy_version("Wide", "9").await), gone);
    iot.delete_policy_version("Wide", "1").await.unwrap();
    let malformed = iot.create_default_policy_version("Wide", "no json").await;
    assert_eq!(refused(malformed), permanent("MalformedPolicyException"));
    assert_eq!(refused(iot.list_principal_things("no arn", None).await), permanent("InvalidRequestException"));
    let no_role = LoggingOptions { role_arn: None, default_log_level: None, disable_all_logs: false };
    assert_eq!(refused(iot.set_logging_options(&no_role).await), permanent("InvalidRequestException"));
    assert!(iot.history().iter().filter(|call| call.took_effect).count() == 1, "only one call was not refused");
}

#[tokio::test]
async fn a_version_id_is_never_used_again() {
    let iot = MemoryIot::new();
    iot.put_policy("Wide", &["{}", "{}"]);
    iot.set_default_version("Wide", "1");
    iot.delete_policy_version("Wide", "2").await.unwrap();
    assert_eq!(iot.create_default_policy_version("Wide", "{}").await.unwrap().id, "3");
    assert_eq!(iot.policy("Wide").unwrap().1, "3");
}

#[tokio::test]
async fn a_lost_reply_is_unknown_for_a_write_and_transient_for_a_read_and_the_history_tells_the_truth() {
    let iot = MemoryIot::new();
    iot.put_certificate(CERTIFICATE, "ACTIVE");
    let script = [("iot.deactivate_certificate", Fate::ReplyLost), ("iot.describe_certificate", Fate::ReplyLost)];
    let faulty = iot.with_fates(Arc::new(Script::new(script)));
    assert_eq!(faulty.deactivate_certificate(CERTIFICATE).await.unwrap_err().class, Class::Unknown);
    assert_eq!(faulty.describe_certificate(CERTIFICATE).await.unwrap_err().class, Class::Transient);
    let history = iot.history();
    let calls: Vec<_> = history.iter().map(|call| (call.operation, call.took_effect, call.error)).collect();
    let expected =
        [("UpdateCertificate", true, Some(Class::Unknown)), ("DescribeCertificate", true, Some(Class::Transient))];
    assert_eq!(calls, expected);
    assert_eq!(iot.certificate(CERTIFICATE).as_deref(), Some("INACTIVE"));
}

#[tokio::test]
async fn an_audits_list_has_its_suppressed_findings_too_page_by_page_and_an_unknown_audit_has_none() {
    let iot = MemoryIot::new();
    iot.set_page_size(2);
    for n in 0..3 {
        iot.put_finding(&Finding { finding_id: format!("f-{n}"), suppressed: n == 1, ..device_finding() });
    }
    let finding = device_finding();
    let task = finding.task_id.unwrap();
    let first = iot.list_audit_findings(&task, &finding.check, None).await.unwrap();
    let rest = iot.list_audit_findings(&task, &finding.check, first.next.clone()).await.unwrap();
    let listed: Vec<_> = first
        .items
        .iter()
        .chain(&rest.items)
        .map(|finding| (finding.finding_id.as_str(), finding.suppressed))
        .collect();
    assert_eq!(listed, [("f-0", false), ("f-1", true), ("f-2", false)]);
    assert_eq!((first.items.len(), rest.next), (2, None));
    assert!(iot.list_audit_findings("another-audit", &finding.check, None).await.unwrap().items.is_empty());
    assert!(iot.list_audit_findings(&task, "ANOTHER_CHECK", None).await.unwrap().items.is_empty());
}
