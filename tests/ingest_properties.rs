//! What holds for every message, whatever is in it.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use fleetwarden::finding::{
    Arrival, Content, Finding, Origin, RejectReason, Replay, Resource, ResourceIdentifier, Severity, catalogue, decode,
    decode_sealed, encode_own, encode_replay, keys,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn here() -> Origin {
    Origin { account: Some("123456789012".into()), region: Some("us-east-1".into()) }
}

/// The words that mean something to the decoder, so that random JSON reaches all of it.
fn word() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "Records",
        "Sns",
        "body",
        "Type",
        "Message",
        "TopicArn",
        "Notification",
        "SubscriptionConfirmation",
        "fleetwarden",
        "version",
        "message",
        "findingId",
        "checkName",
        "nonCompliantResource",
        "resourceType",
        "resourceIdentifier",
        "account",
        "region",
        "accountId",
        "taskId",
        "taskStatus",
        "auditDetails",
        "checkRunStatus",
        "violationId",
        "source",
        "aws.securityhub",
        "deviceCertificateId",
        "clientId",
        "policyVersionIdentifier",
        "policyName",
        "policyVersionId",
        "issuerCertificateIdentifier",
        "severity",
        "findingTime",
        "relatedResources",
        "additionalInfo",
        "eventSourceARN",
        "awsRegion",
        "reasonForNonComplianceCode",
        "replayOf",
        "force",
        "123456789012",
        "arn:aws:sns:us-east-1:123456789012:t",
        "arn:aws:sqs:eu-west-1:210987654321:q",
    ])
    .prop_map(str::to_owned);
    prop_oneof![4 => known, 1 => any::<String>()]
}

/// JSON of the decoder's words, some of it wrapped as text inside text.
fn message() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(json!(1)),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((word(), inner.clone()), 0..6).prop_map(|members| members.into_iter().collect()),
            inner.clone().prop_map(|value| json!({ "Records": [{ "body": value.to_string() }, { "Sns": value }] })),
            inner.clone().prop_map(|value| {
                json!({ "Type": "Notification", "TopicArn": "arn:aws:sns:us-east-1:123456789012:t", "Message": value.to_string() })
            }),
            inner.prop_map(|value| json!({ "fleetwarden": { "version": 1 }, "message": value })),
        ]
    })
}

fn identifier() -> impl Strategy<Value = ResourceIdentifier> {
    let text = || "[ -~]{1,20}|[a-z|~%#]{1,6}|.{1,5}";
    prop_oneof![
        "[0-9a-f]{64}".prop_map(ResourceIdentifier::DeviceCertificate),
        "[0-9a-f]{64}".prop_map(ResourceIdentifier::CaCertificate),
        ("[a-zA-Z0-9+=,.@_-]{1,128}", "[0-9]{1,4}")
            .prop_map(|(policy, version)| ResourceIdentifier::PolicyVersion { policy, version }),
        text().prop_map(ResourceIdentifier::CognitoIdentityPool),
        text().prop_map(ResourceIdentifier::ClientId),
        "[0-9]{12}".prop_map(ResourceIdentifier::Account),
        text().prop_map(ResourceIdentifier::RoleAlias),
        ("[ -~]{1,900}", "[0-9a-f]{0,64}", "[0-9A-F:]{0,20}").prop_map(|(subject, issuer_id, serial)| {
            ResourceIdentifier::IssuerCertificate { subject, issuer_id, serial }
        }),
        ("[a-z]{1,5}X", text())
            .prop_map(|(member, text)| ResourceIdentifier::Other { member, value: json!(text).to_string() }),
    ]
}

prop_compose! {
    fn resource()(
        kind in prop_oneof![Just("IOT_POLICY".to_owned()), "[A-Z_|~%]{1,8}"],
        identifier in identifier(),
        additional_info in prop::collection::btree_map("[A-Z_]{1,8}", ".{0,8}", 0..3),
    ) -> Resource {
        Resource { kind, identifier, additional_info }
    }
}

/// To the last millisecond of the year 9999.
fn time() -> impl Strategy<Value = i64> {
    prop_oneof![0..1_000_000_i64, 99_999_999_000_i64..100_000_001_000, 0..253_402_300_800_000_i64]
}

fn check_name() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..catalogue::CHECKS.len()).prop_map(|index| catalogue::CHECKS[index].name.to_owned()),
        "[A-Z_|~%]{1,12}X"
    ]
}

prop_compose! {
    fn finding()(
        finding_id in "[a-zA-Z0-9_-]{1,128}",
        place in ("[0-9]{12}", "[a-z]{2}-[a-z]{4}-[1-9]"),
        task_id in prop::option::of("[a-zA-Z0-9-]{1,40}"),
        check in check_name(),
        reason_code in "[A-Z|~%_]{1,8}",
        reason in ".{0,40}",
        severity in prop::sample::select(vec![
            Severity::Critical, Severity::High, Severity::Medium, Severity::Low, Severity::Unknown,
        ]),
        resource in resource(),
        related in prop::collection::vec(resource(), 0..3),
        suppressed in any::<bool>(),
        times in (prop::option::of(time()), prop::option::of(time())),
    ) -> Finding {
        Finding {
            finding_id, account: place.0, region: place.1, task_id, check, reason_code, reason, severity, resource, related,
            suppressed, found_at: times.0, audit_started_at: times.1,
        }
    }
}

/// A finding about the account itself speaks of the account that it comes from.
fn consistent(finding: &Finding) -> bool {
    finding.resource.kind != "ACCOUNT_SETTINGS"
}

fn assert_same(one: &Arrival, other: &Arrival) -> Result<(), TestCaseError> {
    prop_assert_eq!(&one.replay, &other.replay);
    match (&one.content, &other.content) {
        (Err(one), Err(other)) => prop_assert_eq!(one.reason, other.reason),
        (one, other) => prop_assert_eq!(one, other),
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_text_becomes_at_least_one_arrival(body in any::<String>()) {
        prop_assert!(!decode(&body, &here()).is_empty());
    }

    #[test]
    fn any_json_becomes_arrivals_whose_sources_say_the_same_again(message in message()) {
        let arrivals = decode(&message.to_string(), &here());
        prop_assert!(!arrivals.is_empty());
        let mut sealed = decode_sealed(&message.to_string(), &here());
        sealed.iter_mut().for_each(|arrival| arrival.seals.clear());
        prop_assert_eq!(&sealed, &arrivals, "reading signatures changes nothing else");
        for arrival in &arrivals {
            let again = decode(&arrival.source, &here());
            prop_assert_eq!(again.len(), 1, "{} from {}", arrival.source, message);
            assert_same(arrival, &again[0])?;
        }
    }

    #[test]
    fn a_cut_or_changed_finding_never_panics(cut in 0_usize..700, byte in any::<u8>()) {
        let body = include_str!("fixtures/sqs_body_sns_envelope_finding.json");
        let mut bytes = body.as_bytes().to_vec();
        let at = cut % bytes.len();
        bytes[at] = byte;
        prop_assert!(!decode(&String::from_utf8_lossy(&bytes), &here()).is_empty());
        prop_assert!(!decode(&String::from_utf8_lossy(&bytes[..at]), &here()).is_empty());
    }

    #[test]
    fn a_bad_record_harms_no_other(bodies in prop::collection::vec(prop_oneof![
        finding().prop_filter("consistent", consistent).prop_map(|finding| (encode_own(&finding, None), Some(finding))),
        word().prop_map(|text| (text, None)),
    ], 1..8)) {
        let records: Vec<_> = bodies.iter().map(|(body, _)| json!({ "body": body })).collect();
        let arrivals = decode(&json!({ "Records": records }).to_string(), &here());
        prop_assert_eq!(arrivals.len(), bodies.len());
        for (arrival, (_, finding)) in arrivals.iter().zip(bodies) {
            match finding {
                Some(finding) => prop_assert_eq!(&arrival.content, &Ok(Content::Finding(Box::new(finding)))),
                None => {
                    let reason = arrival.content.as_ref().map_err(|rejected| rejected.reason);
                    prop_assert!(matches!(reason, Err(RejectReason::NotJson | RejectReason::UnknownMessage)));
                }
            }
        }
    }

    #[test]
    fn our_own_envelope_round_trips(
        finding in finding().prop_filter("consistent", consistent),
        force in any::<bool>(), replay_of in prop::option::of(".{0,20}"), by in prop::option::of(".{0,20}"),
        id in prop::option::of(".{0,20}"), at in prop::option::of(1_500_000_000_000..4_000_000_000_000_i64),
    ) {
        let replay = Replay { force, replay_of, by, id, at };
        let mut arrivals = decode(&encode_own(&finding, Some(&replay)), &Origin::default());
        prop_assert_eq!(arrivals.len(), 1);
        let arrival = arrivals.remove(0);
        prop_assert_eq!(arrival.replay.unwrap_or_default(), replay);
        prop_assert_eq!(arrival.content, Ok(Content::Finding(Box::new(finding))));
    }

    #[test]
    fn every_legacy_name_arrives_under_its_modern_one(index in 0..catalogue::CHECKS.len(), finding in finding().prop_filter("consistent", consistent)) {
        let check = &catalogue::CHECKS[index];
        for legacy in check.legacy_names {
            let old = Finding { check: (*legacy).to_owned(), ..finding.clone() };
            let read = Finding::from_native(&old.to_native(), &finding.account, &finding.region).unwrap();
            prop_assert_eq!(read.check, check.name);
        }
    }

    #[test]
    fn no_two_resources_share_a_key(one in finding(), other in finding()) {
        let who = |finding: &Finding| {
            let mut identifier = finding.resource.identifier.clone();
            if let ResourceIdentifier::PolicyVersion { version, .. } = &mut identifier {
                version.clear();
            }
            (finding.account.clone(), finding.region.clone(), finding.resource.kind.clone(), identifier, finding.check.clone())
        };
        prop_assert_eq!(who(&one) == who(&other), one.resource_key() == other.resource_key());
        let same = who(&one) == who(&other) && one.reason_code == other.reason_code;
        prop_assert_eq!(same, one.business_key() == other.business_key());
        for finding in [&one, &other] {
            let lock = finding.resource.lock_key(&finding.account, &finding.region);
            for key in [finding.business_key(), finding.resource_key(), lock] {
                prop_assert!(key.len() <= keys::MAX_KEY, "{} bytes", key.len());
            }
        }
    }

    #[test]
    fn moving_a_separator_between_two_fields_changes_the_key(text in "[a|~%]{0,6}", at in 0_usize..7) {
        let at = at.min(text.len());
        let issuer = |subject: &str, serial: &str| Resource {
            kind: "ISSUER_CERTIFICATE".into(),
            identifier: ResourceIdentifier::IssuerCertificate {
                subject: subject.into(), issuer_id: String::new(), serial: serial.into(),
            },
            additional_info: BTreeMap::new(),
        };
        let (left, right) = text.split_at(at);
        let split = issuer(left, right).lock_key("a", "r");
        prop_assert_eq!(split == issuer(&text, "").lock_key("a", "r"), right.is_empty());
    }

    #[test]
    fn a_fingerprint_is_blind_to_times_and_sees_all_else(finding in finding()) {
        let print = finding.fingerprint();
        prop_assert_eq!(print.len(), 32);
        let blind = Finding { found_at: None, audit_started_at: None, related: Vec::new(), ..finding.clone() };
        prop_assert_eq!(&blind.fingerprint(), &print);
        let mut changed = vec![finding.clone(); 6];
        changed[0].reason.push('x');
        changed[1].check.push('x');
        changed[2].reason_code.push('x');
        changed[3].account = "000000000000x".into();
        changed[4].task_id = Some("another-task-that-is-longer-than-forty-characters".into());
        changed[5].resource.kind.push('x');
        for finding in changed {
            prop_assert_ne!(&finding.fingerprint(), &print);
        }
    }
}

#[test]
fn a_long_key_keeps_its_beginning_and_ends_in_a_hash() {
    let issuer = |subject: String| Resource {
        kind: "ISSUER_CERTIFICATE".into(),
        identifier: ResourceIdentifier::IssuerCertificate { subject, issuer_id: String::new(), serial: String::new() },
        additional_info: BTreeMap::new(),
    };
    let one = issuer("ü".repeat(999) + "1").lock_key("123456789012", "us-east-1");
    let other = issuer("ü".repeat(999) + "2").lock_key("123456789012", "us-east-1");
    assert!(one.starts_with("123456789012|us-east-1|issuerCertificateIdentifier~ü"));
    assert!(one.len() <= keys::MAX_KEY && one.len() > keys::MAX_KEY - 4, "{}", one.len());
    assert_ne!(one, other);
}

#[test]
fn an_id_that_looks_escaped_is_another_than_one_that_is() {
    let client = |id: &str| Resource {
        kind: "CLIENT_ID".into(),
        identifier: ResourceIdentifier::ClientId(id.into()),
        additional_info: BTreeMap::new(),
    };
    assert_ne!(client("a|b").lock_key("a", "r"), client("a%7Cb").lock_key("a", "r"));
}

#[test]
fn a_policy_has_one_lock_whichever_version_a_finding_names() {
    let policy = |version: &str| Resource {
        kind: "IOT_POLICY".into(),
        identifier: ResourceIdentifier::PolicyVersion { policy: "p".into(), version: version.into() },
        additional_info: BTreeMap::new(),
    };
    assert_eq!(policy("1").lock_key("a", "r"), policy("2").lock_key("a", "r"));
    assert_eq!(policy("1").lock_key("a", "r"), "a|r|policyVersionIdentifier~p");
}

fn workshop_finding(change: impl FnOnce(&mut Value)) -> String {
    let mut native: Value = serde_json::from_str(include_str!("fixtures/finding_iot_policy.json")).unwrap();
    change(&mut native);
    native.to_string()
}

fn only(body: &str) -> Arrival {
    let mut arrivals = decode(body, &here());
    assert_eq!(arrivals.len(), 1);
    arrivals.remove(0)
}

/// The finding in the body, if it is accepted, comes back from our own envelope.
fn is_refused_or_comes_back(body: &str) -> bool {
    match only(body).content {
        Ok(Content::Finding(finding)) => {
            assert_eq!(only(&encode_own(&finding, None)).content, Ok(Content::Finding(finding)), "{body}");
            false
        }
        Ok(Content::Summary(summary)) => panic!("{summary:?}"),
        Err(_) => true,
    }
}

/// Bug, found by the fuzzer: written as the milliseconds 1791144, it was read again as seconds.
#[test]
fn a_time_before_1973_is_the_same_time_once_it_was_written_and_read() {
    for time in [json!(1791.144), json!(0), json!(0.001), json!(99_999_999.999), json!(100_000_000)] {
        assert!(!is_refused_or_comes_back(&workshop_finding(|native| native["findingTime"] = time)));
    }
}

/// Bug: the last half millisecond of the year 9999 was accepted, rounded up, and refused when it came again.
#[test]
fn a_time_that_rounds_to_the_year_10000_is_refused() {
    let body = workshop_finding(|native| native["findingTime"] = json!(253_402_300_799_999.8));
    assert!(is_refused_or_comes_back(&body));
    let body = workshop_finding(|native| native["findingTime"] = json!(253_402_300_799_999.4));
    assert!(!is_refused_or_comes_back(&body));
}

/// Bug: an identifier as deep as a body may be was accepted, and was too deep inside our own envelope.
#[test]
fn an_identifier_of_unknown_kind_that_our_own_envelope_could_not_carry_is_refused() {
    let nested = |levels| {
        let value: Value = serde_json::from_str(&format!("{}{}", "[".repeat(levels), "]".repeat(levels))).unwrap();
        workshop_finding(|native| native["nonCompliantResource"]["resourceIdentifier"] = json!({ "future": value }))
    };
    assert!(!is_refused_or_comes_back(&nested(10)));
    assert!((1..=61).map(nested).filter(|body| is_refused_or_comes_back(body)).count() > 20);
}

/// Bug: a dead letter in as many envelopes as are allowed was refused as a replay, which is one more.
#[test]
fn a_dead_letter_in_as_many_envelopes_as_are_allowed_can_be_replayed() {
    let mut body = workshop_finding(|_| {});
    for envelopes in 1..=6 {
        body = json!({ "Type": "Notification", "TopicArn": "t", "Message": body }).to_string();
        let replay = Replay { force: true, replay_of: Some("message-1".into()), ..Replay::default() };
        let once = encode_replay(&body, &replay);
        for replayed in [once.clone(), encode_replay(&once, &replay)] {
            assert_eq!(only(&replayed).content, only(&body).content, "{envelopes} envelopes");
            assert!(only(&replayed).content.is_ok());
        }
    }
}
