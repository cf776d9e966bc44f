//! Whether Device Defender has the mitigation actions that a policy hands findings to, and whether they fit the rules.

use crate::aws::Class;
use crate::finding::{ActionType, catalogue};
use crate::mitigation::IotControl;
use crate::policy::{Action, Policy, Rule};

/// Looks each of the policy's mitigation actions up, and holds them against the rules that name them. Reads only.
///
/// # Errors
/// Every failure found, a sentence each: what is wrong, and what to do.
pub async fn check_delegates(iot: &impl IotControl, policy: &Policy) -> Result<(), Vec<String>> {
    let mut problems = Vec::new();
    let mut known: Vec<(&str, Action)> = Vec::new();
    for (name, rules) in policy.delegates() {
        let rules: Vec<_> = rules.iter().map(|rule| format!("`{}`", rule.name)).collect();
        match look_up(iot, name, &format!("rule {}", rules.join(", "))).await {
            Ok(action) => known.push((name, action)),
            Err(problem) => problems.push(problem),
        }
    }
    for rule in &policy.rules {
        let of_rule: Vec<_> = known.iter().filter(|(name, _)| rule.delegate.iter().any(|one| one == name)).collect();
        problems.extend(of_rule.iter().filter_map(|(name, action)| unfit(rule, name, action.action_type())));
        // Their results could not be told apart.
        for (index, (name, action)) in of_rule.iter().enumerate() {
            let kind = action.action_type();
            let same = |(_, other): &&&(&str, Action)| match (action, other) {
                (Action::PublishFindingToSns { .. }, _) => action == other,
                _ => other.action_type() == kind,
            };
            if let Some((twin, _)) = of_rule[..index].iter().find(same) {
                problems.push(format!(
                    "rule `{}` delegates to {twin} and {name}, which are both {kind}; name one of them",
                    rule.name
                ));
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// The mitigation action of that name, to which `who` delegates.
///
/// # Errors
/// A sentence: there is none, or it cannot be read.
pub async fn look_up(iot: &impl IotControl, name: &str, who: &str) -> Result<Action, String> {
    iot.describe_mitigation_action(name).await.map_err(|error| match error.class {
        Class::Gone => format!(
            "Device Defender has no mitigation action {name}, to which {who} delegates; create it with `fleetwarden actions create {name}`, or name one that `fleetwarden actions list` shows"
        ),
        Class::Denied => format!(
            "the mitigation action {name}, to which {who} delegates, cannot be read with these credentials: allow iot:DescribeMitigationAction (failed to {error})"
        ),
        _ => format!("the mitigation action {name}, to which {who} delegates, cannot be looked up: failed to {error}"),
    })
}

/// Publishing fits everything; all else needs a list of checks, each of which allows it, as an action of our own does.
fn unfit(rule: &Rule, name: &str, kind: ActionType) -> Option<String> {
    if kind == ActionType::PublishFindingToSns {
        return None;
    }
    let allows = |check: &&String| catalogue::check(check).is_some_and(|check| check.allows(kind));
    let unfit: Vec<_> = rule.matcher.check.iter().filter(|check| !allows(check)).map(String::as_str).collect();
    if !rule.matcher.check.is_empty() && unfit.is_empty() {
        return None;
    }
    let fitting: Vec<_> = catalogue::CHECKS.iter().filter(|check| check.allows(kind)).map(|check| check.name).collect();
    let takes =
        if unfit.is_empty() { "takes findings of any check".to_owned() } else { format!("takes {}", unfit.join(", ")) };
    Some(format!(
        "rule `{}` delegates to {name}, which does {kind}, and {takes}; give it a `check:` list with one or more of {}",
        rule.name,
        fitting.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mitigation::MemoryIot;

    fn account() -> MemoryIot {
        let iot = MemoryIot::new();
        iot.put_mitigation_action("Deactivate", Action::UpdateDeviceCertificate);
        iot.put_mitigation_action("DeactivateToo", Action::UpdateDeviceCertificate);
        iot.put_mitigation_action("Tell", Action::PublishFindingToSns { topic_arn: "arn".to_owned() });
        iot
    }

    async fn problems(rule: &str) -> Vec<String> {
        let text = format!("version: 1\nrules:\n  - name: r\n{rule}");
        let policy = Policy::load(&text, "p").unwrap();
        check_delegates(&account(), &policy).await.err().unwrap_or_default()
    }

    #[tokio::test]
    async fn actions_that_exist_and_fit_are_let_through() {
        for rule in [
            "    match: { check: [DEVICE_CERTIFICATE_SHARED_CHECK] }\n    delegate: [Deactivate, Tell]\n",
            "    match: {}\n    delegate: [Tell]\n",
            "    match: {}\n    actions: []\n",
        ] {
            assert_eq!(problems(rule).await, Vec::<String>::new(), "{rule}");
        }
    }

    #[tokio::test]
    async fn each_way_to_delegate_wrongly_says_what_to_do() {
        for (rule, sentence) in [
            ("    match: {}\n    delegate: [Missing]\n", "Device Defender has no mitigation action Missing"),
            ("    match: {}\n    delegate: [Deactivate]\n", "takes findings of any check; give it a `check:` list"),
            (
                "    match: { check: [LOGGING_DISABLED_CHECK] }\n    delegate: [Deactivate]\n",
                "takes LOGGING_DISABLED_CHECK; give it a `check:` list with one or more of",
            ),
            (
                "    match: { check: [DEVICE_CERTIFICATE_SHARED_CHECK] }\n    delegate: [Deactivate, DeactivateToo]\n",
                "Deactivate and DeactivateToo, which are both UPDATE_DEVICE_CERTIFICATE",
            ),
        ] {
            let problems = problems(rule).await;
            assert!(problems.len() == 1 && problems[0].contains(sentence), "{problems:?}");
        }
    }
}
