//! What becomes of each message that may stand in the queue.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use fleetwarden::finding::{
    Arrival, AuditSummary, Content, Finding, Origin, RejectReason, Replay, ResourceIdentifier, Severity, decode,
    encode_message, encode_own, encode_replay,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;

const CERTIFICATE: &str = "03204de92e11fc8c528139be419065920eb83dbff1a4663bbea455aa6e9702bd";
const ACCOUNT: &str = "123456789012";
const TOPIC_ACCOUNT: &str = "us-east-1:123456789012:";
const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:DeviceDefenderFindings";

/// What a fixture must become, entry by entry.
enum Becomes {
    /// Check and resource id of each finding.
    Findings(&'static [(&'static str, &'static str)]),
    /// Checks in the summary, and its non-compliant resources in all.
    Summary(usize, u64),
    Refused(RejectReason),
}

use Becomes::{Findings, Refused, Summary};

const OVERLY: &str = "IOT_POLICY_OVERLY_PERMISSIVE_CHECK";
const EXPIRING: &str = "DEVICE_CERTIFICATE_EXPIRING_CHECK";
const SHARED: &str = "DEVICE_CERTIFICATE_SHARED_CHECK";
const CA_REVOKED: &str = "REVOKED_CA_CERTIFICATE_STILL_ACTIVE_CHECK";
const CA: &str = "aa1088bfa911416714f914ee6b78ab4b18e711772f810d9b51f663128d1b6612";
const ISSUER: &str =
    "CN=Example Intermediate CA/535c6f8eb511f5d966a1b0725df92ebf27514faba945cbbd698e23ac72c41757/0A:1B:2C:3D";

#[rustfmt::skip]
const STATEMENTS: &[(&str, Becomes)] = &[
    // Bodies of REST calls: nobody sends them to the queue, and nothing in them is taken for a finding.
    ("api_CreateMitigationAction_request_bodies", Refused(RejectReason::UnknownMessage)),
    ("api_ListAuditFindings_response", Refused(RejectReason::UnknownMessage)),
    ("api_StartAuditMitigationActionsTask_request_body", Refused(RejectReason::UnknownMessage)),
    ("audit_notification", Summary(3, 2)),
    ("audit_notification_legacy_check_name", Summary(3, 2)),
    ("audit_notification_suppressed_count__name_from_aws_sample", Summary(3, 2)),
    ("detect_violation", Refused(RejectReason::DetectViolation)),
    ("detect_violation_ml__shape_from_api_model", Refused(RejectReason::DetectViolation)),
    ("eventbridge_securityhub_audit_finding", Refused(RejectReason::SecurityHubEvent)),
    ("finding_ca_certificate_revoked", Findings(&[(CA_REVOKED, CA)])),
    ("finding_client_id_conflict", Findings(&[("CONFLICTING_CLIENT_IDS_CHECK", "SensorDevice01")])),
    ("finding_cognito_pool", Findings(&[("UNAUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK", "us-east-1:11111111-2222-3333-4444-555555555555")])),
    ("finding_device_certificate_expired__additional_info_from_aws_sample", Findings(&[(EXPIRING, CERTIFICATE)])),
    ("finding_device_certificate_expiring", Findings(&[(EXPIRING, CERTIFICATE)])),
    ("finding_device_certificate_shared__related_unconfirmed", Findings(&[(SHARED, CERTIFICATE)])),
    ("finding_iot_policy", Findings(&[(OVERLY, "ExamplePolicy")])),
    ("finding_issuer_certificate__shape_unconfirmed", Findings(&[("INTERMEDIATE_CA_REVOKED_FOR_ACTIVE_DEVICE_CERTIFICATES_CHECK", ISSUER)])),
    ("finding_logging_disabled", Findings(&[("LOGGING_DISABLED_CHECK", ACCOUNT)])),
    ("finding_role_alias", Findings(&[("IOT_ROLE_ALIAS_OVERLY_PERMISSIVE_CHECK", "arn:aws:iot:us-east-1:123456789012:rolealias/ExampleAlias")])),
    ("finding_unknown_future_check", Findings(&[("SOME_FUTURE_CHECK", "someFutureIdentifier=\"x\"")])),
    ("lambda_sns_records_finding", Findings(&[(OVERLY, "ExamplePolicy")])),
    ("lambda_sqs_records_mixed_envelope_and_raw", Findings(&[(OVERLY, "ExamplePolicy"), ("LOGGING_DISABLED_CHECK", ACCOUNT)])),
    ("sqs_body_sns_envelope_audit_notification", Summary(3, 2)),
    ("sqs_body_sns_envelope_detect_violation", Refused(RejectReason::DetectViolation)),
    ("sqs_body_sns_envelope_finding", Findings(&[(OVERLY, "ExamplePolicy")])),
    ("sqs_body_sns_envelope_with_attributes", Findings(&[(OVERLY, "ExamplePolicy")])),
    ("sqs_body_subscription_confirmation", Refused(RejectReason::SubscriptionConfirmation)),
];

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn fixture(name: &str) -> String {
    std::fs::read_to_string(fixtures().join(format!("{name}.json"))).expect("the fixture is there")
}

fn here() -> Origin {
    Origin { account: Some(ACCOUNT.into()), region: Some("us-east-1".into()) }
}

fn only(body: &str) -> Arrival {
    let mut arrivals = decode(body, &here());
    assert_eq!(arrivals.len(), 1, "{arrivals:?}");
    arrivals.remove(0)
}

fn finding(body: &str) -> Finding {
    match only(body).content {
        Ok(Content::Finding(finding)) => *finding,
        other => panic!("no finding: {other:?}"),
    }
}

fn summary(body: &str) -> AuditSummary {
    match only(body).content {
        Ok(Content::Summary(summary)) => summary,
        other => panic!("no summary: {other:?}"),
    }
}

fn refusal(body: &str) -> (RejectReason, String) {
    let rejected = only(body).content.expect_err("it is refused");
    (rejected.reason, rejected.message)
}

/// The workshop's finding with some members changed; `null` removes one.
fn with(changes: &[(&str, Value)]) -> String {
    let mut native: Value = serde_json::from_str(&fixture("finding_iot_policy")).unwrap();
    for (pointer, value) in changes {
        match pointer.strip_prefix('/') {
            Some(_) => *native.pointer_mut(pointer).unwrap() = value.clone(),
            None => native[*pointer] = value.clone(),
        }
    }
    native.to_string()
}

fn sns(message: &str) -> Value {
    json!({ "Type": "Notification", "TopicArn": TOPIC, "Message": message })
}

#[test]
fn every_fixture_has_a_statement_and_becomes_what_it_says() {
    let stored: BTreeSet<_> = std::fs::read_dir(fixtures())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let stated: BTreeSet<_> = STATEMENTS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(stored, stated);
    for (name, becomes) in STATEMENTS {
        let body = fixture(name);
        let arrivals = decode(&body, &here());
        match becomes {
            Findings(expected) => {
                let found: Vec<_> = arrivals
                    .iter()
                    .map(|arrival| match &arrival.content {
                        Ok(Content::Finding(finding)) => (finding.check.clone(), finding.resource_id()),
                        other => panic!("{name}: {other:?}"),
                    })
                    .collect();
                let expected: Vec<_> = expected.iter().map(|(c, r)| ((*c).to_owned(), (*r).to_owned())).collect();
                assert_eq!(found, expected, "{name}");
            }
            Summary(checks, resources) => {
                let summary = summary(&body);
                assert_eq!(summary.checks.len(), *checks, "{name}");
                assert_eq!(summary.checks.iter().map(|c| c.non_compliant).sum::<u64>(), *resources, "{name}");
                assert_eq!(summary.account, ACCOUNT);
            }
            Refused(reason) => {
                let (found, sentence) = refusal(&body);
                assert_eq!(found, *reason, "{name}: {sentence}");
            }
        }
        if arrivals.len() == 1 {
            assert_eq!(arrivals[0].source, body, "{name}");
        }
    }
}

#[test]
fn the_workshop_finding_is_read_member_by_member() {
    let finding = finding(&fixture("sqs_body_sns_envelope_finding"));
    assert_eq!(finding.finding_id, "11111111-1111-4111-8111-111111111111");
    assert_eq!((finding.account.as_str(), finding.region.as_str()), (ACCOUNT, "us-east-1"));
    assert_eq!(finding.task_id.as_deref(), Some("0f1e2d3c4b5a69788796a5b4c3d2e1f0"));
    assert_eq!(finding.reason_code, "ALLOWS_BROAD_ACCESS_TO_IOT_DATA_PLANE_ACTIONS");
    assert_eq!(finding.severity, Severity::Critical);
    assert_eq!((finding.found_at, finding.audit_started_at), (Some(1_791_014_401_456), Some(1_791_014_400_123)));
    let expected = ResourceIdentifier::PolicyVersion { policy: "ExamplePolicy".into(), version: "1".into() };
    assert_eq!(finding.resource.identifier, expected);
    assert!(!finding.suppressed && finding.related.is_empty());
}

#[test]
fn related_resources_and_additional_info_are_kept() {
    let shared = finding(&fixture("finding_device_certificate_shared__related_unconfirmed"));
    let clients: Vec<_> = shared.related.iter().map(|related| related.id()).collect();
    assert_eq!(clients, ["SensorDevice01", "SensorDevice02"]);
    assert_eq!(shared.related[1].additional_info["DISCONNECTION_TIME"], "1790999999000");
}

#[test]
fn a_finding_as_the_rest_api_answers_it_is_the_same_finding() {
    let listed: Value = serde_json::from_str(&fixture("api_ListAuditFindings_response")).unwrap();
    let listed = Finding::from_native(&listed["findings"][0], ACCOUNT, "us-east-1").unwrap();
    let published = finding(&fixture("finding_device_certificate_shared__related_unconfirmed"));
    assert_eq!(listed, published, "seconds with a fraction are the milliseconds of the message");
    let bare = Finding { related: Vec::new(), found_at: None, audit_started_at: None, ..published.clone() };
    assert_eq!(bare.fingerprint(), published.fingerprint(), "neither times nor related resources count");
}

#[test]
fn the_topic_tells_account_and_region_before_the_queue_and_the_configuration_do() {
    let raw = fixture("finding_iot_policy");
    let elsewhere = Origin { account: Some("999999999999".into()), region: Some("eu-west-1".into()) };
    let place = |body: &str| match decode(body, &elsewhere).remove(0).content {
        Ok(Content::Finding(finding)) => (finding.account, finding.region),
        other => panic!("{other:?}"),
    };
    let told = |account: &str, region: &str| (account.to_owned(), region.to_owned());
    let record = |body: &str| {
        json!({"Records": [{"body": body, "eventSourceARN": "arn:aws:sqs:us-west-2:222222222222:q", "awsRegion": "us-west-2"}]})
            .to_string()
    };
    assert_eq!(place(&raw), told("999999999999", "eu-west-1"));
    assert_eq!(place(&record(&raw)), told("222222222222", "us-west-2"));
    assert_eq!(place(&record(&sns(&raw).to_string())), told(ACCOUNT, "us-east-1"));
    let china = raw_sns_in("arn:aws-cn:sns:cn-north-1:333333333333:t", &raw);
    assert_eq!(place(&china), told("333333333333", "cn-north-1"));
    let region_only = json!({"Records": [{"body": raw, "awsRegion": "ap-south-1"}]}).to_string();
    assert_eq!(place(&region_only), told("999999999999", "ap-south-1"));
    let malformed = raw_sns_in("DeviceDefenderFindings", &raw);
    assert_eq!(place(&malformed), told("999999999999", "eu-west-1"));
}

fn raw_sns_in(topic: &str, message: &str) -> String {
    json!({ "Type": "Notification", "TopicArn": topic, "Message": message }).to_string()
}

#[test]
fn a_finding_of_nowhere_is_refused_with_its_id_so_that_it_can_be_found_again() {
    let rejected = decode(&fixture("finding_iot_policy"), &Origin::default()).remove(0).content.unwrap_err();
    assert_eq!(rejected.reason, RejectReason::AccountUnknown);
    assert_eq!(rejected.finding_id.as_deref(), Some("11111111-1111-4111-8111-111111111111"));
    assert_eq!(rejected.check.as_deref(), Some(OVERLY));
    let region_only = Origin { account: None, region: Some("us-east-1".into()) };
    let told = decode(&fixture("audit_notification"), &region_only).remove(0).content;
    assert!(told.is_ok(), "a summary names its account itself: {told:?}");
}

#[test]
fn legacy_check_names_are_told_by_their_modern_ones() {
    assert_eq!(summary(&fixture("audit_notification_legacy_check_name")).checks[0].check, EXPIRING);
    let old = finding(&with(&[("checkName", json!("IOT_POLICY_UNRESTRICTED_CHECK"))]));
    assert_eq!(old, finding(&fixture("finding_iot_policy")));
}

#[test]
fn both_spellings_of_the_suppressed_count_are_understood() {
    for name in ["suppressedNonCompliantResourcesCount", "suppressedNonCompliantResourceCount"] {
        let mut native: Value = serde_json::from_str(&fixture("audit_notification")).unwrap();
        native["auditDetails"][0][name] = json!(7);
        assert_eq!(summary(&native.to_string()).checks[0].suppressed, 7);
    }
}

#[test]
fn a_summary_of_the_wrong_shape_says_which_member_is_wrong() {
    let (reason, sentence) = refusal(r#"{"auditDetails":{},"taskId":"1","taskStatus":"COMPLETED"}"#);
    assert_eq!(reason, RejectReason::InvalidSummary);
    assert!(sentence.starts_with("auditDetails is an object, not a list of checks"), "{sentence}");
    let mut native: Value = serde_json::from_str(&fixture("audit_notification")).unwrap();
    native["auditDetails"][1]["nonCompliantResourcesCount"] = json!(-1);
    assert!(
        refusal(&native.to_string())
            .1
            .starts_with("auditDetails[1].nonCompliantResourcesCount is a number, not a whole")
    );
}

#[test]
fn what_is_wrong_with_a_finding_is_told_by_member_and_place() {
    let id = "/nonCompliantResource/resourceIdentifier";
    let long = "x".repeat(257);
    for (change, sentence) in [
        (("findingId", Value::Null), "findingId is missing"),
        (("findingId", json!("no spaces")), "findingId is not a finding id"),
        (("findingId", json!(7)), "findingId is a number, not a text"),
        (("checkName", Value::Null), "checkName is missing"),
        (("checkName", json!(long)), "checkName has 257 characters instead of 1 to 256"),
        (("reasonForNonComplianceCode", json!("")), "reasonForNonComplianceCode has 0 characters"),
        (("taskId", json!("a b")), "taskId is not a task id"),
        (("findingTime", json!("2026-10-03")), "findingTime is a text, not a time"),
        (("isSuppressed", json!("false")), "isSuppressed is a text, not true or false"),
        (("relatedResources", json!([7])), "relatedResources[0] is a number, not an object"),
        (("nonCompliantResource", Value::Null), "nonCompliantResource is missing"),
        ((id, json!({})), "nonCompliantResource.resourceIdentifier names no resource"),
        (
            (id, json!({"clientId": "a", "account": ACCOUNT})),
            "nonCompliantResource.resourceIdentifier names 2 resources at once (clientId, account)",
        ),
        (
            (id, json!({"deviceCertificateId": "abc"})),
            "nonCompliantResource.resourceIdentifier.deviceCertificateId is not a certificate id",
        ),
        ((id, json!({"account": 123_456_789_012_u64})), "nonCompliantResource.resourceIdentifier.account is a number"),
        (
            (id, json!({"policyVersionIdentifier": {"policyName": "p"}})),
            "nonCompliantResource.resourceIdentifier.policyVersionIdentifier.policyVersionId is missing",
        ),
        (
            (id, json!({"policyVersionIdentifier": {"policyName": "p/q", "policyVersionId": "1"}})),
            "nonCompliantResource.resourceIdentifier.policyVersionIdentifier.policyName is not a policy name",
        ),
        (
            (id, json!({"issuerCertificateIdentifier": {}})),
            "nonCompliantResource.resourceIdentifier.issuerCertificateIdentifier says nothing",
        ),
    ] {
        let (reason, found) = refusal(&with(&[change]));
        assert_eq!(reason, RejectReason::InvalidFinding, "{found}");
        assert!(found.starts_with(sentence), "{found}\ninstead of {sentence}");
    }
    let wrapped = json!({"Records": [{"Sns": sns(&with(&[("severity", json!(1))]))}]});
    assert!(refusal(&wrapped.to_string()).1.starts_with("Records[0].Sns.Message.severity is a number"));
}

#[test]
fn null_members_are_absent_and_unknown_ones_are_tolerated() {
    let id = "/nonCompliantResource/resourceIdentifier";
    let body = with(&[
        ("relatedResources", Value::Null),
        ("isSuppressed", Value::Null),
        ("severity", Value::Null),
        ("someNewMember", json!({"a": [1]})),
        (id, json!({"deviceCertificateId": Value::Null, "clientId": "c", "brandNew": 1})),
    ]);
    let finding = finding(&body);
    assert_eq!(finding.severity, Severity::Critical, "the catalogue knows the severity of the check");
    assert_eq!(finding.resource.identifier, ResourceIdentifier::ClientId("c".into()));
    assert_eq!(finding.resource.kind, "IOT_POLICY", "a contradicting type is kept; the policy decides");
}

#[test]
fn account_settings_of_another_account_are_refused() {
    let logging = |account: &str| {
        let body = fixture("finding_logging_disabled").replace(ACCOUNT, account);
        decode(&sns(&body).to_string(), &Origin::default()).remove(0).content
    };
    assert!(logging(ACCOUNT).is_ok());
    let rejected = logging("999999999999").unwrap_err();
    assert_eq!(rejected.reason, RejectReason::InvalidFinding);
    assert!(rejected.message.contains("account 999999999999, but the message comes from account 123456789012"));
}

#[test]
fn a_summary_of_another_account_than_the_topic_speaks_of_its_own() {
    let body = fixture("sqs_body_sns_envelope_audit_notification").replace(TOPIC_ACCOUNT, "eu-west-1:999999999999:");
    let summary = summary(&body);
    assert_eq!((summary.account.as_str(), summary.region.as_str()), (ACCOUNT, "eu-west-1"));
}

#[test]
fn an_empty_list_of_records_is_one_refused_entry() {
    assert_eq!(refusal(r#"{"Records":[]}"#).0, RejectReason::EmptyRecords);
    assert_eq!(refusal(r#"{"Records":{}}"#).0, RejectReason::UnknownMessage);
}

#[test]
fn size_depth_and_width_are_bounded() {
    assert_eq!(refusal(&" ".repeat((1 << 20) + 1)).0, RejectReason::TooLarge);
    assert_eq!(refusal(&"[".repeat(1 << 20)).0, RejectReason::TooDeep);
    let deep_inside = sns(&format!(r#"{{"findingId":{}1{}}}"#, "[".repeat(64), "]".repeat(64)));
    assert_eq!(refusal(&deep_inside.to_string()).0, RejectReason::TooDeep);
    let records = |count: usize| json!({ "Records": vec![json!({"body": "x"}); count] }).to_string();
    assert_eq!(decode(&records(1000), &here()).len(), 1000);
    assert_eq!(refusal(&records(1001)).0, RejectReason::TooLarge);
    let mut nested = fixture("finding_iot_policy");
    for _ in 0..5 {
        nested = sns(&nested).to_string();
    }
    assert!(only(&nested).content.is_ok());
    nested = sns(&sns(&nested).to_string()).to_string();
    assert_eq!(refusal(&nested).0, RejectReason::TooDeep);
}

#[test]
fn broken_texts_are_refused_wherever_they_stand() {
    assert_eq!(refusal("").0, RejectReason::NotJson);
    assert_eq!(refusal("hello").0, RejectReason::NotJson);
    assert_eq!(refusal("7").0, RejectReason::UnknownMessage);
    let (reason, sentence) = refusal(&sns("hello").to_string());
    assert_eq!(reason, RejectReason::NotJson);
    assert!(sentence.starts_with("Message is not JSON"), "{sentence}");
    assert_eq!(refusal(r#"{"Type":"Notification","TopicArn":"t"}"#).0, RejectReason::UnknownMessage);
    assert_eq!(
        refusal(r#"{"Type":"UnsubscribeConfirmation","Message":"bye"}"#).0,
        RejectReason::UnsubscribeConfirmation
    );
}

#[test]
fn a_bad_entry_harms_no_other_and_keeps_its_own_text() {
    let good = fixture("finding_iot_policy");
    let body = json!({"Records": [
        {"body": good, "eventSourceARN": "arn:aws:sqs:us-west-2:222222222222:q", "awsRegion": "us-west-2"},
        {"body": "broken"},
        {"s3": {}},
        {"Sns": sns(&good)},
        {"Sns": sns(r#"{"violationId":"v"}"#)},
    ]});
    let arrivals = decode(&body.to_string(), &here());
    let reasons: Vec<_> = arrivals.iter().map(|a| a.content.as_ref().err().map(|rejected| rejected.reason)).collect();
    let (not_json, unknown) = (Some(RejectReason::NotJson), Some(RejectReason::UnknownMessage));
    assert_eq!(reasons, [None, not_json, unknown, None, Some(RejectReason::DetectViolation)]);
    for (arrival, record) in arrivals.iter().zip(body["Records"].as_array().unwrap()) {
        assert_eq!(arrival.source, json!({ "Records": [record] }).to_string());
        assert_same(arrival, &only(&arrival.source));
    }
}

/// The same content, but for where in the message it stood.
fn assert_same(one: &Arrival, other: &Arrival) {
    assert_eq!(one.replay, other.replay);
    match (&one.content, &other.content) {
        (Ok(one), Ok(other)) => assert_eq!(one, other),
        (Err(one), Err(other)) => {
            assert_eq!((one.reason, &one.finding_id, &one.check), (other.reason, &other.finding_id, &other.check));
        }
        _ => panic!("{one:?}\nbut now\n{other:?}"),
    }
}

#[test]
fn records_inside_an_envelope_are_told_apart_and_remember_where_they_came_from() {
    let good = fixture("finding_iot_policy");
    let inner = json!({"Records": [{"body": good}, {"body": "broken"}]}).to_string();
    let wrappers = [
        sns(&inner).to_string(),
        json!({"Records": [{"Sns": sns(&inner)}]}).to_string(),
        json!({"Records": [{"body": inner, "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:q"}]}).to_string(),
        encode_message(Some((ACCOUNT, "us-east-1")), None, &Value::from(inner.as_str())),
        encode_message(Some((ACCOUNT, "us-east-1")), None, &serde_json::from_str(&inner).unwrap()),
    ];
    for wrapper in wrappers {
        let arrivals = decode(&wrapper, &Origin::default());
        assert_eq!(arrivals.len(), 2, "{wrapper}");
        for arrival in arrivals {
            let mut again = decode(&arrival.source, &Origin::default());
            assert_eq!(again.len(), 1, "{}", arrival.source);
            assert_same(&arrival, &again.remove(0));
        }
    }
}

#[test]
fn our_own_envelope_carries_the_finding_and_what_the_replay_asks_for() {
    let sent = finding(&fixture("sqs_body_sns_envelope_finding"));
    let replay = Replay {
        force: true,
        replay_of: Some("message-1".into()),
        by: Some("ops".into()),
        id: Some("replay-1".into()),
        at: Some(1_790_000_000_000),
    };
    let back = decode(&encode_own(&sent, Some(&replay)), &Origin::default()).remove(0);
    assert_eq!(back.replay, Some(replay));
    assert_eq!(back.content, Ok(Content::Finding(Box::new(sent.clone()))));
    assert_eq!(decode(&encode_own(&sent, None), &Origin::default())[0].replay, None);
}

#[test]
fn a_dead_letter_of_any_form_can_be_replayed_again_and_again() {
    let letter = fixture("sqs_body_sns_envelope_finding");
    let sent = Ok(Content::Finding(Box::new(finding(&letter))));
    for first in [letter.clone(), encode_own(&finding(&letter), None)] {
        let mut body = first;
        for round in 0..20 {
            let replay_of = Some(format!("message-{round}"));
            let replay = Replay { force: round % 2 == 0, replay_of, ..Replay::default() };
            body = encode_replay(&body, &replay);
            let mut back = decode(&body, &Origin::default());
            assert_eq!(back[0].content, sent, "round {round}");
            assert_eq!(back.remove(0).replay, Some(replay));
        }
    }
    let broken = encode_replay("no JSON", &Replay::default());
    assert_eq!(refusal(&broken).0, RejectReason::NotJson, "what was broken stays broken");
}

#[test]
fn an_envelope_of_ours_that_this_version_did_not_write_is_refused() {
    for header in
        [json!({"version": 2}), json!({"version": 1, "account": "x"}), json!({"version": 1, "force": "yes"}), json!(1)]
    {
        let body = json!({"fleetwarden": header, "message": {}}).to_string();
        let (reason, sentence) = refusal(&body);
        assert_eq!(reason, RejectReason::UnknownMessage);
        assert!(sentence.contains("fleetwarden"), "{sentence}");
    }
}

#[test]
fn a_summary_round_trips_through_its_native_form() {
    let sent = summary(&fixture("audit_notification_suppressed_count__name_from_aws_sample"));
    let body = encode_message(Some((&sent.account, &sent.region)), None, &sent.to_native());
    assert_eq!(summary(&body), sent);
}
