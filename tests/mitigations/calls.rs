//! What a finding is said to call before it is begun, held against what it calls.

use crate::bench::*;
use fleetwarden::finding::{Finding, ResourceIdentifier};
use fleetwarden::mitigation::calls_of;
use fleetwarden::policy::{Action, BLANK_POLICY, LogLevel, Matcher, Mode, Policy, PolicyQuotas, RetryPolicy, Rule};
use std::time::Duration;

const WIDE: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;

fn policy(actions: Vec<Action>, read_back: bool) -> Policy {
    Policy {
        mode: Mode::Enforce,
        verify_finding: false,
        verify_signature: false,
        read_back,
        retry: RetryPolicy::default(),
        cooldown: Duration::ZERO,
        quotas: PolicyQuotas::default(),
        reserve: 0.2,
        rules: vec![Rule {
            name: "all".into(),
            matcher: Matcher::default(),
            observe: false,
            actions,
            delegate: Vec::new(),
        }],
    }
}

/// One of everything, all of it to be changed.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.iot.put_certificate(CERTIFICATE, "ACTIVE");
    bench.iot.put_ca_certificate(CERTIFICATE, "ACTIVE");
    bench.iot.put_group("quarantine");
    bench.iot.put_group("watched");
    bench.iot.put_thing("thing", CERTIFICATE, &[]);
    bench.iot.put_policy("Wide", &[WIDE]);
    bench.iot.put_related("f-1", vec![related(CERTIFICATE)]);
    bench.iot.put_topic(TOPIC);
    bench
}

fn told(policy: &Policy, finding: &Finding) -> Vec<String> {
    let mut told: Vec<String> = calls_of(policy, finding).iter().map(ToString::to_string).collect();
    told.sort();
    told
}

#[tokio::test]
async fn every_action_calls_what_it_is_said_to_call() {
    let ca = finding("CHECK", "CA_CERTIFICATE", ResourceIdentifier::CaCertificate(CERTIFICATE.into()));
    let account = finding("CHECK", "ACCOUNT_SETTINGS", ResourceIdentifier::Account(ACCOUNT.into()));
    let group = || Action::AddThingsToThingGroup {
        thing_groups: vec!["quarantine".into(), "watched".into()],
        override_dynamic_groups: false,
    };
    let role_arn = "arn:aws:iam::123456789012:role/IotLogging".to_owned();
    let cases = [
        (device_finding(), Action::UpdateDeviceCertificate),
        (issuer_finding(), Action::UpdateDeviceCertificate),
        (ca, Action::UpdateCaCertificate),
        (device_finding(), group()),
        (issuer_finding(), group()),
        (policy_finding("1"), Action::ReplaceDefaultPolicyVersion { document: BLANK_POLICY.into() }),
        (account, Action::EnableIotLogging { role_arn, level: LogLevel::Warn }),
        (device_finding(), Action::PublishFindingToSns { topic_arn: TOPIC.into() }),
    ];
    for (finding, action) in cases {
        for read_back in [false, true] {
            let mut bench = bench();
            bench.read_back = read_back;
            let came = bench.run(&finding, &action).await;
            assert!(is_mitigated(&came), "{action:?}: {came:?}");
            let history = bench.iot.history();
            let mut called: Vec<_> = history.iter().map(|call| call.operation.to_owned()).collect();
            called.sort();
            // Not paced.
            called.retain(|operation| operation != "Publish");
            assert_eq!(told(&policy(vec![action.clone()], read_back), &finding), called, "{action:?}");
        }
    }
}

#[test]
fn what_is_only_recorded_calls_nothing_and_what_is_acted_on_is_verified_first() {
    let act = policy(vec![Action::UpdateDeviceCertificate], false);
    let verified = Policy { verify_finding: true, ..act.clone() };
    let alone = Finding { task_id: None, ..device_finding() };
    assert_eq!(told(&verified, &alone), ["DescribeAuditFinding", "DescribeCertificate", "UpdateCertificate"]);
    let page = "one of an audit is verified with 250 others";
    assert_eq!(told(&verified, &device_finding()), ["DescribeCertificate", "UpdateCertificate"], "{page}");
    let observed = Policy { mode: Mode::Observe, ..verified.clone() };
    let suppressed = Finding { suppressed: true, ..device_finding() };
    assert!(told(&observed, &device_finding()).is_empty());
    assert!(told(&verified, &suppressed).is_empty());
}

#[test]
fn a_rule_that_asks_for_a_thing_group_has_it_looked_up_even_where_it_only_records() {
    let mut policy = policy(vec![Action::UpdateDeviceCertificate], false);
    policy.mode = Mode::Observe;
    policy.rules[0].matcher.thing_group = vec!["quarantine".into()];
    assert_eq!(told(&policy, &device_finding()), ["ListPrincipalThings", "ListThingGroupsForThing"]);
}
