//! What the policy says: the default one, and one of a hundred rules, which are asked in order.

use crate::bench::Bench;
use crate::messages;
use fleetwarden::mitigation::calls_of;
use fleetwarden::policy::{Facts, Mode, Policy, decide};
use std::fmt::Write;

/// A check list as long as an acting rule about device certificates can have.
const CHECKS: &str = "[DEVICE_CERTIFICATE_SHARED_CHECK, DEVICE_CERTIFICATE_KEY_QUALITY_CHECK, \
                      REVOKED_DEVICE_CERTIFICATE_STILL_ACTIVE_CHECK, DEVICE_CERTIFICATE_EXPIRING_CHECK]";

pub fn run(bench: &mut Bench) {
    let finding = messages::certificate();
    let facts = Facts::default();
    let hundred = hundred_rules();
    assert_eq!(decide(&hundred, &finding, &facts).rule.as_deref(), Some("last"));
    for (name, policy) in [("default_policy", &default_policy()), ("100_rules", &hundred)] {
        bench.case("decide", name, || decide(policy, &finding, &facts));
        bench.case("decide", &format!("{name}_calls_ahead"), || calls_of(policy, &finding));
    }
    let groups = Facts { thing_groups: Some(vec!["Line-1".to_owned(), "Line-2".to_owned()]) };
    bench.case("decide", "100_rules_thing_groups_known", || decide(&hundred, &finding, &groups));
}

/// The default policy, enforced.
pub fn default_policy() -> Policy {
    enforced(Policy::default_text())
}

/// A fleet of many lines of production, each with rules of its own; no rule but the last takes the finding.
fn hundred_rules() -> Policy {
    let mut text = "version: 1\nrules:\n".to_owned();
    for number in 0..99 {
        let key = match number % 3 {
            0 => format!("resource: [\"line-{number}-*\", \"plant-{number}-*\"]"),
            1 => "reason: \"*_APPROACHING_*\"".to_owned(),
            _ => format!("thing_group: Group-{number}"),
        };
        rule(&mut text, &format!("rule-{number}"), &key);
    }
    rule(&mut text, "last", "severity: [CRITICAL, HIGH, MEDIUM, LOW]");
    enforced(&text)
}

fn rule(text: &mut String, name: &str, key: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "  - name: {name}\n    match:\n      check: {CHECKS}\n      {key}\n    actions:\n      - type: UPDATE_DEVICE_CERTIFICATE"
    );
}

fn enforced(text: &str) -> Policy {
    let mut policy = Policy::load(text, "policy.yaml").unwrap_or_else(|errors| unreachable!("{errors}"));
    policy.set_mode(Mode::Enforce);
    policy
}
