//! Whether what was done holds: each action is run, the account is changed behind its back, and the record is read back.

use crate::bench::*;
use fleetwarden::finding::{Finding, Severity};
use fleetwarden::ledger::{Record, Status, Step, StepOutcome, Subject};
use fleetwarden::mitigation::{LoggingOptions, Verdict, Verified, verify};
use fleetwarden::policy::{Action, LogLevel};

const WIDE: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;
const BLANK: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"iot:*","Resource":"*"}]}"#;

/// The record that a worker leaves behind.
fn record(finding: &Finding, status: Status, steps: Vec<Step>) -> Record {
    Record {
        subject: Subject {
            key: format!("finding#{}", finding.finding_id),
            account: finding.account.clone(),
            region: finding.region.clone(),
            task_id: finding.task_id.clone(),
            check: finding.check.clone(),
            reason_code: finding.reason_code.clone(),
            severity: Severity::Critical,
            resource_type: finding.resource.kind.clone(),
            resource_id: finding.resource_id(),
            fingerprint: String::new(),
            payload: finding.to_native().to_string(),
        },
        status,
        epoch: 1,
        owner: "w".into(),
        lease_until: 0,
        retry_at: None,
        attempts: 0,
        rule: None,
        detail: "words".into(),
        steps,
        cursor: None,
        replayed: None,
        first_seen: 0,
        updated_at: 0,
        expires_at: 0,
    }
}

/// Runs the actions, then `meddles`, then verifies.
async fn after(bench: &Bench, finding: &Finding, actions: &[Action], meddle: impl FnOnce(&Bench)) -> Verified {
    let (steps, result) = bench.go(&bench.iot, finding, actions, Vec::new()).await;
    result.unwrap();
    meddle(bench);
    let before = bench.iot.history().len();
    let verified = verify(&bench.iot, &record(finding, Status::Mitigated, steps)).await.unwrap();
    let reads = ["Describe", "Get", "List"];
    for call in &bench.iot.history()[before..] {
        assert!(reads.iter().any(|read| call.operation.starts_with(read)), "{} is no read", call.operation);
    }
    verified
}

fn undisturbed(_: &Bench) {}

#[tokio::test]
async fn a_deactivated_certificate_holds_until_somebody_activates_it_or_takes_it_away() {
    let bench = || {
        let bench = Bench::new();
        bench.iot.put_certificate(CERTIFICATE, "ACTIVE");
        bench
    };
    let act = [Action::UpdateDeviceCertificate];
    let verified = after(&bench(), &device_finding(), &act, undisturbed).await;
    assert_eq!((verified.verdict, verified.steps[0].found.now.as_str()), (Verdict::Holds, "INACTIVE"));
    let verified =
        after(&bench(), &device_finding(), &act, |bench| bench.iot.put_certificate(CERTIFICATE, "ACTIVE")).await;
    assert_eq!((verified.verdict, verified.steps[0].found.now.as_str()), (Verdict::Reverted, "ACTIVE"));
    let verified =
        after(&bench(), &device_finding(), &act, |bench| bench.iot.put_certificate(CERTIFICATE, "REVOKED")).await;
    assert_eq!(verified.verdict, Verdict::Holds, "REVOKED is not ACTIVE");
    let verified = after(&bench(), &device_finding(), &act, |bench| bench.iot.remove(CERTIFICATE)).await;
    assert_eq!(verified.verdict, Verdict::Gone);
}

#[tokio::test]
async fn one_of_an_issuers_certificates_that_is_active_again_is_named() {
    let bench = Bench::new();
    for id in [CERTIFICATE, SECOND] {
        bench.iot.put_certificate(id, "ACTIVE");
    }
    bench.iot.put_related("f-1", vec![related(CERTIFICATE), related(SECOND)]);
    let act = [Action::UpdateDeviceCertificate];
    let verified = after(&bench, &issuer_finding(), &act, |bench| bench.iot.put_certificate(SECOND, "ACTIVE")).await;
    assert_eq!(verified.verdict, Verdict::Reverted);
    let reverted: Vec<_> = verified.steps.iter().filter(|step| step.found.verdict == Verdict::Reverted).collect();
    assert_eq!(reverted.len(), 1);
    assert_eq!(reverted[0].step.target, SECOND);
}

#[tokio::test]
async fn a_task_of_device_defender_that_names_the_issuer_is_verified_by_the_issuers_certificates() {
    let bench = Bench::new();
    bench.iot.put_certificate(CERTIFICATE, "INACTIVE");
    bench.iot.put_certificate(SECOND, "ACTIVE");
    bench.iot.put_related("f-1", vec![related(CERTIFICATE), related(SECOND)]);
    let finding = issuer_finding();
    let step = delegated("UPDATE_DEVICE_CERTIFICATE", &finding);
    let verified = verify(&bench.iot, &record(&finding, Status::Mitigated, vec![step])).await.unwrap();
    assert_eq!(verified.verdict, Verdict::Reverted);
    assert!(verified.steps[0].found.now.contains(&format!("{SECOND}: ACTIVE")), "{verified:?}");
}

/// As the result of a mitigation task leaves it.
fn delegated(action: &str, finding: &Finding) -> Step {
    Step {
        action: action.into(),
        target: finding.resource_id(),
        prior: None,
        outcome: StepOutcome::Changed,
        detail: "by Device Defender's Act-at-WARN".into(),
        at: 5,
        request_id: None,
    }
}

fn quarantine() -> Action {
    Action::AddThingsToThingGroup {
        thing_groups: vec!["Quarantine".into(), "Review".into()],
        override_dynamic_groups: false,
    }
}

fn with_things() -> Bench {
    let bench = Bench::new();
    bench.iot.put_certificate(CERTIFICATE, "ACTIVE");
    bench.iot.put_group("Quarantine");
    bench.iot.put_group("Review");
    bench.iot.put_thing("Sensor1", CERTIFICATE, &[]);
    bench
}

#[tokio::test]
async fn things_hold_while_they_are_in_the_groups_and_a_thing_outside_is_named() {
    let verified = after(&with_things(), &device_finding(), &[quarantine()], undisturbed).await;
    assert_eq!(verified.verdict, Verdict::Holds);
    assert_eq!(verified.steps[0].found.now, "every thing is in Quarantine, Review");
    // Another device took the certificate up meanwhile.
    let verified = after(&with_things(), &device_finding(), &[quarantine()], |bench| {
        bench.iot.put_thing("Sensor2", CERTIFICATE, &["Review"]);
    })
    .await;
    assert_eq!(verified.verdict, Verdict::Reverted);
    assert_eq!(verified.steps[0].found.now, "Sensor2 is not in Quarantine");
}

#[tokio::test]
async fn things_that_were_in_the_groups_already_are_compared_with_the_groups_that_were_asked_for() {
    let bench = with_things();
    bench.iot.put_thing("Sensor1", CERTIFICATE, &["Quarantine", "Review"]);
    let verified = after(&bench, &device_finding(), &[quarantine()], |bench| {
        bench.iot.put_thing("Sensor2", CERTIFICATE, &[]);
    })
    .await;
    assert_eq!(verified.steps[0].step.outcome, StepOutcome::InOrder);
    assert_eq!(verified.verdict, Verdict::Reverted, "{verified:?}");
}

#[tokio::test]
async fn groups_that_are_not_on_record_cannot_be_told() {
    let finding = device_finding();
    let step = delegated("ADD_THINGS_TO_THING_GROUP", &finding);
    let verified = verify(&with_things().iot, &record(&finding, Status::Mitigated, vec![step.clone()])).await.unwrap();
    assert_eq!(verified.verdict, Verdict::CannotBeTold);
    // A task's result that says which groups.
    let step = Step { prior: Some(serde_json::json!({ "groups": ["Quarantine"] })), ..step };
    let verified = verify(&with_things().iot, &record(&finding, Status::Mitigated, vec![step])).await.unwrap();
    assert_eq!(verified.verdict, Verdict::Reverted, "{verified:?}");
}

fn blank() -> [Action; 1] {
    [Action::ReplaceDefaultPolicyVersion { document: BLANK.into() }]
}

fn with_policy() -> Bench {
    let bench = Bench::new();
    bench.iot.put_policy("Wide", &[WIDE]);
    bench
}

#[tokio::test]
async fn a_replaced_policy_holds_while_its_document_is_in_force_under_whatever_number() {
    let finding = policy_finding("1");
    let verified = after(&with_policy(), &finding, &blank(), undisturbed).await;
    assert_eq!((verified.verdict, verified.steps[0].found.now.as_str()), (Verdict::Holds, "version 2 is in force"));
    assert!(verified.policy_changed_at().is_some());
    let verified = after(&with_policy(), &finding, &blank(), |bench| bench.iot.put_policy("Wide", &[BLANK])).await;
    assert_eq!(verified.verdict, Verdict::Holds, "{verified:?}");
}

#[tokio::test]
async fn a_policy_is_reverted_by_the_old_version_and_by_any_other_document() {
    let finding = policy_finding("1");
    let verified = after(&with_policy(), &finding, &blank(), |bench| bench.iot.set_default_version("Wide", "1")).await;
    assert_eq!(verified.verdict, Verdict::Reverted);
    let now = &verified.steps[0].found.now;
    assert!(now.contains("version 1 is in force, the one that the finding was about"), "{now}");
    let verified = after(&with_policy(), &finding, &blank(), |bench| bench.iot.put_policy("Wide", &[WIDE])).await;
    assert_eq!(verified.verdict, Verdict::Reverted);
    let verified = after(&with_policy(), &finding, &blank(), |bench| bench.iot.remove("Wide")).await;
    assert_eq!(verified.verdict, Verdict::Gone);
}

#[tokio::test]
async fn a_finding_that_was_out_of_date_holds_until_its_version_is_the_default_again() {
    let bench = with_policy();
    bench.iot.put_policy("Wide", &[r#"{"Version":"2012-10-17","Statement":[]}"#]);
    let finding = policy_finding("1");
    let (steps, result) = bench.go(&bench.iot, &finding, &blank(), Vec::new()).await;
    result.unwrap();
    assert_eq!(steps[0].outcome, StepOutcome::Stale);
    let stale = record(&finding, Status::Compliant, steps);
    assert_eq!(verify(&bench.iot, &stale).await.unwrap().verdict, Verdict::Holds);
    bench.iot.set_default_version("Wide", "1");
    assert_eq!(verify(&bench.iot, &stale).await.unwrap().verdict, Verdict::Reverted);
}

#[tokio::test]
async fn a_policy_that_device_defender_blanked_holds_while_it_allows_nothing() {
    let bench = with_policy();
    let finding = policy_finding("1");
    let of_task = record(&finding, Status::Mitigated, vec![delegated("REPLACE_DEFAULT_POLICY_VERSION", &finding)]);
    assert_eq!(verify(&bench.iot, &of_task).await.unwrap().verdict, Verdict::Reverted);
    bench.iot.put_policy("Wide", &[r#"{"Version":"2012-10-17","Statement":[]}"#]);
    assert_eq!(verify(&bench.iot, &of_task).await.unwrap().verdict, Verdict::Holds);
    bench.iot.put_policy("Wide", &[WIDE]);
    assert_eq!(verify(&bench.iot, &of_task).await.unwrap().verdict, Verdict::Reverted);
}

fn logging(level: &str, disabled: bool) -> Option<LoggingOptions> {
    let role_arn = Some("arn:aws:iam::123456789012:role/L".into());
    Some(LoggingOptions { role_arn, default_log_level: Some(level.into()), disable_all_logs: disabled })
}

#[tokio::test]
async fn logging_holds_at_the_level_that_was_asked_for_or_a_more_talkative_one() {
    let account = fleetwarden::finding::ResourceIdentifier::Account(ACCOUNT.into());
    let finding = finding("LOGGING_DISABLED_CHECK", "ACCOUNT_SETTINGS", account);
    let enable = |level| [Action::EnableIotLogging { role_arn: "arn:aws:iam::123456789012:role/L".into(), level }];
    for (asked_for, before, now, expected) in [
        (LogLevel::Warn, None, None, Verdict::Holds),
        (LogLevel::Warn, None, logging("DEBUG", false), Verdict::Holds),
        (LogLevel::Warn, None, logging("ERROR", false), Verdict::Reverted),
        (LogLevel::Error, None, logging("INFO", true), Verdict::Reverted),
        (LogLevel::Error, None, logging("DISABLED", false), Verdict::Reverted),
        // More than was asked for was kept; less than that is still enough.
        (LogLevel::Error, logging("DEBUG", true), logging("ERROR", false), Verdict::Holds),
        (LogLevel::Error, logging("DEBUG", false), logging("ERROR", false), Verdict::Holds),
    ] {
        let bench = Bench::new();
        bench.iot.put_logging(before.clone());
        let verified = after(&bench, &finding, &enable(asked_for), |bench| {
            if now.is_some() {
                bench.iot.put_logging(now.clone());
            }
        })
        .await;
        assert_eq!(verified.verdict, expected, "{asked_for:?} from {before:?} to {now:?}: {verified:?}");
    }
}

#[tokio::test]
async fn what_a_task_of_device_defender_did_is_verified_and_the_task_itself_and_what_it_skipped_decide_nothing() {
    let account = fleetwarden::finding::ResourceIdentifier::Account(ACCOUNT.into());
    let finding = finding("LOGGING_DISABLED_CHECK", "ACCOUNT_SETTINGS", account);
    let task = Step { target: "fleetwarden-1".into(), ..delegated("DELEGATE", &finding) };
    let publish = Step { outcome: StepOutcome::Skipped, ..delegated("PUBLISH_FINDING_TO_SNS", &finding) };
    let steps = vec![delegated("ENABLE_IOT_LOGGING", &finding), publish, task.clone()];
    let bench = Bench::new();
    // The action's name says WARN, which is nobody's order.
    for (now, expected) in [(logging("ERROR", false), Verdict::Holds), (logging("ERROR", true), Verdict::Reverted)] {
        bench.iot.put_logging(now);
        let verified = verify(&bench.iot, &record(&finding, Status::Mitigated, steps.clone())).await.unwrap();
        assert_eq!(verified.verdict, expected, "{verified:?}");
    }
    let skipped = Step { outcome: StepOutcome::Skipped, ..delegated("ENABLE_IOT_LOGGING", &finding) };
    let verified = verify(&bench.iot, &record(&finding, Status::Compliant, vec![skipped, task])).await.unwrap();
    assert_eq!(verified.verdict, Verdict::NothingDone);
}

#[tokio::test]
async fn a_publication_cannot_be_read_back_and_decides_only_alone() {
    let bench = Bench::new();
    bench.iot.put_topic(TOPIC);
    bench.iot.put_certificate(CERTIFICATE, "ACTIVE");
    let publish = Action::PublishFindingToSns { topic_arn: TOPIC.into() };
    let verified = after(&bench, &device_finding(), std::slice::from_ref(&publish), undisturbed).await;
    assert_eq!(verified.verdict, Verdict::CannotBeTold);
    let both = [Action::UpdateDeviceCertificate, publish];
    let verified = after(&bench, &device_finding(), &both, undisturbed).await;
    assert_eq!(verified.verdict, Verdict::Holds);
}

#[tokio::test]
async fn what_is_not_mitigated_and_not_compliant_was_not_done_and_nothing_is_read() {
    let bench = Bench::new();
    for status in [Status::Dead, Status::Held, Status::Observed, Status::Suppressed, Status::Claimed, Status::Waiting] {
        let step = delegated("UPDATE_DEVICE_CERTIFICATE", &device_finding());
        let verified = verify(&bench.iot, &record(&device_finding(), status, vec![step])).await.unwrap();
        assert_eq!(verified.verdict, Verdict::NothingDone);
        assert_eq!(verified.why, format!("it is {status}: words"));
    }
    let verified = verify(&bench.iot, &record(&device_finding(), Status::Compliant, Vec::new())).await.unwrap();
    assert_eq!((verified.verdict, verified.why.as_str()), (Verdict::NothingDone, "words"));
    assert!(bench.iot.history().is_empty());
}
