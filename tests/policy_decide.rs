//! What a policy decides about a finding.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use fleetwarden::finding::{CANARY_CHECK, Finding, Resource, ResourceIdentifier, Severity};
use fleetwarden::policy::{
    Action, CANARY_RULE, Facts, LogLevel, Matcher, Mode, Policy, PolicyQuotas, RetryPolicy, Rule, Verdict, decide,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

const CHECKS: [&str; 4] = [
    "DEVICE_CERTIFICATE_SHARED_CHECK",
    "DEVICE_CERTIFICATE_EXPIRING_CHECK",
    "LOGGING_DISABLED_CHECK",
    "SOME_FUTURE_CHECK",
];
const REASONS: [&str; 3] = ["CERTIFICATE_PAST_EXPIRATION", "CERTIFICATE_APPROACHING_EXPIRATION", "LOGGING_DISABLED"];
const SEVERITIES: [Severity; 3] = [Severity::Critical, Severity::Low, Severity::Unknown];
const RESOURCES: [&str; 4] = ["prod-1", "prod-22", "dev-1", ""];
const GROUPS: [&str; 3] = ["prod-eu", "prod-us", "Quarantine"];

fn a_finding(check: &str, reason: &str, severity: Severity, id: &str, certificate: bool) -> Finding {
    let id = id.to_owned();
    Finding {
        finding_id: "f".into(),
        account: "123456789012".into(),
        region: "us-east-1".into(),
        task_id: None,
        check: check.into(),
        reason_code: reason.into(),
        reason: String::new(),
        severity,
        resource: Resource {
            kind: "R".into(),
            identifier: if certificate {
                ResourceIdentifier::DeviceCertificate(id)
            } else {
                ResourceIdentifier::ClientId(id)
            },
            additional_info: BTreeMap::new(),
        },
        related: Vec::new(),
        suppressed: false,
        found_at: None,
        audit_started_at: None,
    }
}

fn a_policy(mode: Mode, rules: Vec<Rule>) -> Policy {
    let (verify_finding, read_back) = (true, false);
    let (retry, cooldown, quotas) = (RetryPolicy::default(), Duration::ZERO, PolicyQuotas::default());
    Policy { mode, verify_finding, verify_signature: false, read_back, retry, cooldown, quotas, reserve: 0.2, rules }
}

fn some(words: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    prop_oneof![
        2 => Just(Vec::new()),
        3 => prop::sample::subsequence(words, 1..=words.len()).prop_map(|words| words.into_iter().map(str::to_owned).collect()),
    ]
}

prop_compose! {
    fn finding()(
        check in prop::sample::select(&CHECKS[..]), reason in prop::sample::select(&REASONS[..]),
        severity in prop::sample::select(&SEVERITIES[..]), id in prop::sample::select(&RESOURCES[..]),
        certificate in any::<bool>(), suppressed in prop::bool::weighted(0.1),
    ) -> Finding {
        Finding { suppressed, ..a_finding(check, reason, severity, id, certificate) }
    }
}

prop_compose! {
    fn rule()(
        check in some(&["DEVICE_CERTIFICATE_SHARED_CHECK", "DEVICE_*", "LOGGING_DISABLED_CHECK", "SOME_FUTURE_?????"]),
        reason in some(&["CERTIFICATE_*", "LOGGING_DISABLED"]),
        severity in prop_oneof![Just(Vec::new()), prop::sample::subsequence(&SEVERITIES[..], 1..=3)],
        resource in some(&["prod-*", "*-1", "prod-?"]),
        thing_group in some(&["prod-eu", "Quarantine"]),
        observe in prop::bool::weighted(0.2), hands_over in any::<bool>(),
        actions in prop::sample::subsequence(vec![Action::UpdateDeviceCertificate, Action::UpdateCaCertificate], 0..=2),
    ) -> Rule {
        let matcher = Matcher { check, reason, severity, resource, thing_group };
        // A rule acts by itself or hands over, never both.
        let delegate = if actions.is_empty() && hands_over { vec!["Theirs".to_owned()] } else { Vec::new() };
        Rule { name: String::new(), matcher, observe, actions, delegate }
    }
}

prop_compose! {
    fn policy()(mode in prop::sample::select(vec![Mode::Observe, Mode::Enforce]), mut rules in prop::collection::vec(rule(), 0..6)) -> Policy {
        for (index, rule) in rules.iter_mut().enumerate() {
            rule.name = format!("r{index}");
        }
        a_policy(mode, rules)
    }
}

fn facts() -> impl Strategy<Value = Facts> {
    let groups = prop::sample::subsequence(&GROUPS[..], 0..=3)
        .prop_map(|groups| groups.into_iter().map(str::to_owned).collect());
    prop::option::of(groups).prop_map(|thing_groups| Facts { thing_groups })
}

/// A glob by its definition.
fn like(glob: &str, text: &str) -> bool {
    match (glob.chars().next(), text.chars().next()) {
        (None, None) => true,
        (Some('*'), _) => like(&glob[1..], text) || (!text.is_empty() && like(glob, &text[1..])),
        (Some(g), Some(t)) => (g == '?' || g == t) && like(&glob[1..], &text[1..]),
        _ => false,
    }
}

/// What DESIGN says, read out slowly: the first rule whose every given key has an entry that matches.
fn reference(policy: &Policy, finding: &Finding, facts: &Facts) -> (Option<String>, Verdict) {
    if finding.suppressed {
        return (None, Verdict::Suppressed);
    }
    for rule in &policy.rules {
        let m = &rule.matcher;
        let mut all = true;
        for (globs, text) in [
            (&m.check, finding.check.clone()),
            (&m.reason, finding.reason_code.clone()),
            (&m.resource, finding.resource_id()),
        ] {
            let mut one = globs.is_empty();
            for glob in globs {
                one = one || like(glob, &text);
            }
            all = all && one;
        }
        if !m.severity.is_empty() && !m.severity.contains(&finding.severity) {
            all = false;
        }
        if !m.thing_group.is_empty() {
            let mut one = false;
            for group in facts.thing_groups.iter().flatten() {
                one = one || m.thing_group.contains(group);
            }
            all = all && one;
        }
        if all {
            let enforced = policy.mode == Mode::Enforce && !rule.observe;
            let (would, would_delegate) = (rule.actions.clone(), rule.delegate.clone());
            let verdict = if enforced && !would.is_empty() {
                Verdict::Act(would)
            } else if enforced && !would_delegate.is_empty() {
                Verdict::Delegate(would_delegate)
            } else {
                Verdict::Observe { would, would_delegate }
            };
            return (Some(rule.name.clone()), verdict);
        }
    }
    (None, Verdict::Observe { would: Vec::new(), would_delegate: Vec::new() })
}

proptest! {
    #[test]
    fn the_first_rule_that_matches_decides(policy in policy(), finding in finding(), facts in facts()) {
        let decision = decide(&policy, &finding, &facts);
        prop_assert_eq!((decision.rule, decision.verdict), reference(&policy, &finding, &facts));
    }

    #[test]
    fn what_is_explained_is_what_is_decided(policy in policy(), finding in finding(), facts in facts()) {
        let decided = decide(&policy, &finding, &facts).rule;
        let explained = policy.explain(&finding, &facts);
        prop_assert_eq!(explained.len(), policy.rules.len());
        let taking: Vec<_> = explained.iter().filter(|rule| rule.takes).map(|rule| rule.rule.clone()).collect();
        prop_assert_eq!(taking, decided.into_iter().collect::<Vec<_>>());
        for (index, verdict) in explained.iter().enumerate() {
            prop_assert_eq!(verdict.takes, verdict.why_not.is_empty());
            let alone = Finding { suppressed: false, ..finding.clone() };
            let rule = a_policy(Mode::Observe, vec![policy.rules[index].clone()]);
            prop_assert_eq!(verdict.matched, decide(&rule, &alone, &facts).rule.is_some());
        }
    }

    #[test]
    fn groups_are_asked_for_only_when_they_could_change_the_decision(policy in policy(), finding in finding()) {
        let outcomes: Vec<_> = [None, Some(vec![]), Some(vec!["prod-eu".to_owned()]), Some(vec!["Quarantine".to_owned()])]
            .into_iter()
            .map(|thing_groups| decide(&policy, &finding, &Facts { thing_groups }))
            .collect();
        // A resource that is no device certificate has no things, so nobody will find groups for it.
        let depends = matches!(finding.resource.identifier, ResourceIdentifier::DeviceCertificate(_)) && outcomes.iter().any(|o| *o != outcomes[0]);
        prop_assert!(policy.needs_thing_groups(&finding) || !depends, "{outcomes:?}");
    }

    #[test]
    fn observe_mode_never_acts(mut policy in policy(), finding in finding(), facts in facts()) {
        policy.set_mode(Mode::Observe);
        prop_assert!(!matches!(decide(&policy, &finding, &facts).verdict, Verdict::Act(_) | Verdict::Delegate(_)));
    }
}

fn by_default() -> Policy {
    let mut policy = Policy::load(Policy::default_text(), "default").unwrap_or_else(|errors| panic!("{errors}"));
    policy.set_mode(Mode::Enforce);
    policy
}

fn fixture(name: &str) -> Finding {
    let path = format!("{}/tests/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let native = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    Finding::from_native(&native, "123456789012", "us-east-1").unwrap_or_else(|rejected| panic!("{rejected}"))
}

#[test]
fn the_default_policy_decides_each_sample_finding_as_its_comments_say() {
    let policy = by_default();
    let decided = |name: &str| {
        let decision = decide(&policy, &fixture(name), &Facts::default());
        let acts = match decision.verdict {
            Verdict::Act(actions) => {
                actions.iter().map(|action| action.action_type().as_str()).collect::<Vec<_>>().join(", ")
            }
            Verdict::Observe { would, would_delegate } if would.is_empty() && would_delegate.is_empty() => {
                "recorded only".to_owned()
            }
            other => format!("{other:?}"),
        };
        (decision.rule.unwrap_or_default(), acts)
    };
    let recorded = "record-everything-else";
    for (name, rule, acts) in [
        ("finding_iot_policy", "blank-overly-permissive-policies", "REPLACE_DEFAULT_POLICY_VERSION"),
        ("finding_ca_certificate_revoked", "deactivate-revoked-or-weak-ca-certificates", "UPDATE_CA_CERTIFICATE"),
        (
            "finding_device_certificate_shared__related_unconfirmed",
            "deactivate-shared-certificates",
            "UPDATE_DEVICE_CERTIFICATE",
        ),
        (
            "finding_device_certificate_expired__additional_info_from_aws_sample",
            "deactivate-expired-certificates",
            "UPDATE_DEVICE_CERTIFICATE",
        ),
        (
            "finding_issuer_certificate__shape_unconfirmed",
            "deactivate-certificates-of-revoked-issuers",
            "UPDATE_DEVICE_CERTIFICATE",
        ),
        ("finding_device_certificate_expiring", recorded, "recorded only"),
        ("finding_logging_disabled", recorded, "recorded only"),
        ("finding_cognito_pool", recorded, "recorded only"),
        ("finding_role_alias", recorded, "recorded only"),
        ("finding_client_id_conflict", recorded, "recorded only"),
        ("finding_unknown_future_check", recorded, "recorded only"),
    ] {
        assert_eq!(decided(name), (rule.to_owned(), acts.to_owned()), "{name}");
    }
}

#[test]
fn a_suppressed_finding_is_left_alone_whatever_the_rules_say() {
    let finding = Finding { suppressed: true, ..fixture("finding_iot_policy") };
    let decision = decide(&by_default(), &finding, &Facts::default());
    assert_eq!((decision.rule, decision.verdict), (None, Verdict::Suppressed));
    let why = &by_default().explain(&finding, &Facts::default())[7].why_not;
    assert_eq!(*why, ["Device Defender suppresses the finding; it is never mitigated"]);
}

#[test]
fn why_a_rule_does_not_take_a_finding_is_told_key_by_key() {
    let matcher = Matcher {
        check: vec!["LOGGING_DISABLED_CHECK".into()],
        severity: vec![Severity::Critical, Severity::High],
        thing_group: vec!["prod-eu".into()],
        ..Matcher::default()
    };
    let rules = vec![
        Rule { name: "one".into(), matcher, observe: false, actions: Vec::new(), delegate: Vec::new() },
        Rule {
            name: "all".into(),
            matcher: Matcher::default(),
            observe: false,
            actions: Vec::new(),
            delegate: Vec::new(),
        },
        Rule {
            name: "late".into(),
            matcher: Matcher::default(),
            observe: false,
            actions: Vec::new(),
            delegate: Vec::new(),
        },
    ];
    let finding = a_finding(CHECKS[0], REASONS[0], Severity::Low, "c", true);
    let explained = a_policy(Mode::Observe, rules).explain(&finding, &Facts { thing_groups: Some(vec!["dev".into()]) });
    assert_eq!(
        explained[0].why_not,
        [
            "check is DEVICE_CERTIFICATE_SHARED_CHECK; the rule takes LOGGING_DISABLED_CHECK",
            "severity is LOW; the rule takes CRITICAL, HIGH",
            "thing_group is dev; the rule takes prod-eu",
        ]
    );
    assert!(explained[1].takes && explained[2].matched && !explained[2].takes);
    assert_eq!(explained[2].why_not, ["rule `all` before it takes the finding"]);
}

#[test]
fn a_rule_on_a_group_does_not_match_before_the_groups_are_known() {
    let matcher = Matcher { thing_group: vec!["prod-eu".into()], ..Matcher::default() };
    let rule = Rule {
        name: "r".into(),
        matcher,
        observe: false,
        actions: vec![Action::UpdateDeviceCertificate],
        delegate: Vec::new(),
    };
    let policy = a_policy(Mode::Enforce, vec![rule]);
    let certificate = a_finding(CHECKS[0], REASONS[0], Severity::Low, "c", true);
    assert!(policy.needs_thing_groups(&certificate));
    assert_eq!(decide(&policy, &certificate, &Facts::default()).rule, None);
    let known = Facts { thing_groups: Some(vec!["prod-eu".into()]) };
    assert_eq!(decide(&policy, &certificate, &known).verdict, Verdict::Act(vec![Action::UpdateDeviceCertificate]));
    let client = a_finding(CHECKS[0], REASONS[0], Severity::Low, "c", false);
    assert!(!policy.needs_thing_groups(&client), "a client id has no things");
}

#[test]
fn a_canary_is_observed_in_either_mode_before_any_rule_is_asked() {
    let matcher = Matcher { thing_group: vec!["prod-eu".into()], ..Matcher::default() };
    let rule = |name: &str, matcher| Rule {
        name: name.into(),
        matcher,
        observe: false,
        actions: vec![Action::EnableIotLogging { role_arn: "r".into(), level: LogLevel::Error }],
        delegate: Vec::new(),
    };
    let rules = vec![rule("groups", matcher), rule("all", Matcher::default())];
    // One that doctor made, and one that somebody dressed up as a finding about a certificate.
    let forged = a_finding(CANARY_CHECK, REASONS[0], Severity::Critical, "c", true);
    for canary in [Finding::canary(1, "123456789012", "us-east-1", 0), Finding { suppressed: true, ..forged }] {
        for mode in [Mode::Observe, Mode::Enforce] {
            let policy = a_policy(mode, rules.clone());
            assert!(!policy.needs_thing_groups(&canary));
            let decision = decide(&policy, &canary, &Facts::default());
            assert_eq!(decision.rule.as_deref(), Some(CANARY_RULE));
            assert_eq!(decision.verdict, Verdict::Observe { would: vec![], would_delegate: vec![] });
            let explained = policy.explain(&canary, &Facts::default());
            assert!(explained.iter().all(|rule| !rule.takes && rule.why_not.iter().any(|why| why.contains("canary"))));
        }
    }
}
