//! The messages, one of each kind that the decoder tells apart, from the payloads that the tests use.

use fleetwarden::finding::{AuditSummary, Content, Finding, Origin, Replay, decode, encode_own, encode_replay};
use serde_json::{Value, json};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../tests/fixtures/", $name, ".json"))
    };
}

/// Where the messages come from.
pub fn origin() -> Origin {
    Origin { account: Some("123456789012".to_owned()), region: Some("us-east-1".to_owned()) }
}

/// A finding about a certificate that has expired, which the default policy deactivates.
pub fn certificate() -> Finding {
    only_finding(fixture!("finding_device_certificate_expired__additional_info_from_aws_sample"))
}

/// A finding about a certificate that two devices share, with both of them.
pub fn shared() -> Finding {
    only_finding(fixture!("finding_device_certificate_shared__related_unconfirmed"))
}

/// A finding about a policy.
pub fn policy() -> Finding {
    only_finding(fixture!("finding_iot_policy"))
}

/// An audit's summary.
pub fn summary() -> AuditSummary {
    match decode(fixture!("audit_notification"), &origin()).remove(0).content {
        Ok(Content::Summary(summary)) => summary,
        other => unreachable!("the fixture is a summary: {other:?}"),
    }
}

/// As SNS delivers a finding about a policy, with its signature: what a queue holds most of.
pub const IN_SNS: &str = fixture!("sqs_body_sns_envelope_with_attributes");

/// What somebody asks for who replays a dead letter.
pub fn replay() -> Replay {
    Replay {
        force: false,
        replay_of: Some("b1b1b1b1-0000-5000-8000-000000000001".to_owned()),
        by: Some("arn:aws:iam::123456789012:user/alice".to_owned()),
        id: Some("replay-0123456789abcdef".to_owned()),
        at: Some(1_791_014_402_345),
    }
}

/// Every kind of message, by name; the entries that it holds.
pub fn kinds() -> Vec<(&'static str, String, u32)> {
    let bundle = {
        let one: Value = parsed(fixture!("lambda_sns_records_finding"));
        json!({ "Records": vec![one["Records"][0].clone(); 10] }).to_string()
    };
    let one = |name, body: &str| (name, body.to_owned(), 1);
    vec![
        one("finding_in_sns", IN_SNS),
        one("finding_raw", fixture!("finding_device_certificate_expired__additional_info_from_aws_sample")),
        one("finding_raw_with_related_resources", fixture!("finding_device_certificate_shared__related_unconfirmed")),
        ("finding_in_our_envelope", encode_own(&certificate(), None), 1),
        ("finding_replayed", encode_replay(IN_SNS, &replay()), 1),
        one("finding_in_lambda_sns_record", fixture!("lambda_sns_records_finding")),
        ("bundle_of_2_lambda_sqs_records", fixture!("lambda_sqs_records_mixed_envelope_and_raw").to_owned(), 2),
        ("bundle_of_10_lambda_sns_records", bundle, 10),
        one("summary_in_sns", fixture!("sqs_body_sns_envelope_audit_notification")),
        one("summary_raw", fixture!("audit_notification")),
        one("refused_subscription_confirmation", fixture!("sqs_body_subscription_confirmation")),
        one("refused_detect_violation_in_sns", fixture!("sqs_body_sns_envelope_detect_violation")),
        one("refused_security_hub_event", fixture!("eventbridge_securityhub_audit_finding")),
        one("refused_unknown_message", r#"{"hello": "world"}"#),
        ("refused_not_json", IN_SNS.replace("\"Message\"", "Message"), 1),
    ]
}

fn only_finding(body: &str) -> Finding {
    match decode(body, &origin()).remove(0).content {
        Ok(Content::Finding(finding)) => *finding,
        other => unreachable!("the fixture is a finding: {other:?}"),
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| unreachable!("the fixture is JSON: {error}"))
}
