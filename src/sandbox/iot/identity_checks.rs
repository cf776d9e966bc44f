//! The audit checks over policies, role aliases, Cognito pools and account settings.

use serde_json::json;

use super::checks::{Evaluation, Settings, Violation, resource};
use super::defender::Resource;
use super::documents::PolicyDocument;
use super::fleet::{CognitoPool, Fleet};

/// Policies whose default version a judge objects to; the finding names that version.
fn policies(fleet: &Fleet, judge: impl Fn(&PolicyDocument) -> Option<(&'static str, String)>) -> Evaluation {
    let violations = fleet.policies.iter().filter_map(|(name, policy)| {
        let document = PolicyDocument::parse(policy.default_document()).ok()?;
        let (code, reason) = judge(&document)?;
        let identifier = json!({ "policyVersionIdentifier": {
            "policyName": name,
            "policyVersionId": policy.default_version.to_string(),
        }});
        Some(Violation::new(resource("IOT_POLICY", identifier), code, reason))
    });
    Evaluation { total: fleet.policies.len(), violations: violations.collect() }
}

pub(super) fn overly_permissive_policy(fleet: &Fleet, _: &Settings<'_>) -> Evaluation {
    policies(fleet, |document| {
        let broad = document.broad_data_plane_actions();
        (!broad.is_empty()).then(|| {
            let reason = format!("Policy allows broad access to IoT data plane actions: [{}].", broad.join(", "));
            ("ALLOWS_BROAD_ACCESS_TO_IOT_DATA_PLANE_ACTIONS", reason)
        })
    })
}

pub(super) fn policy_misconfiguration(fleet: &Fleet, _: &Settings<'_>) -> Evaluation {
    policies(fleet, |document| {
        let code = document.misconfiguration()?;
        Some((code, "A Deny of the policy may not deny what it was meant to deny.".to_owned()))
    })
}

fn role_aliases(fleet: &Fleet, name: &str, codes: &[String], reason: &str) -> Vec<Violation> {
    let role_arn = fleet.role_aliases.get(name).map(|alias| alias.role_arn.clone()).unwrap_or_default();
    let violation = |code: &String| {
        let alias = resource("ROLE_ALIAS", json!({ "roleAliasArn": fleet.arn("rolealias", name) }));
        let mut violation = Violation::new(alias, code, reason);
        violation.related = vec![resource("IAM_ROLE", json!({ "iamRoleArn": role_arn }))];
        violation
    };
    codes.iter().map(violation).collect()
}

pub(super) fn overly_permissive_role_alias(fleet: &Fleet, _: &Settings<'_>) -> Evaluation {
    let violations = fleet.role_aliases.iter().flat_map(|(name, alias)| {
        role_aliases(fleet, name, &alias.overly_permissive, "The role of the role alias is overly permissive.")
    });
    Evaluation { total: fleet.role_aliases.len(), violations: violations.collect() }
}

pub(super) fn unused_services(fleet: &Fleet, _: &Settings<'_>) -> Evaluation {
    let unused = fleet.role_aliases.iter().filter(|(_, alias)| !alias.unused_services.is_empty());
    let violations = unused.flat_map(|(name, alias)| {
        let services = alias.unused_services.join(", ");
        let reason = format!("The role of the role alias allows services that were not used in a year: [{services}].");
        role_aliases(fleet, name, &["ALLOWS_ACCESS_TO_UNUSED_SERVICES".to_owned()], &reason)
    });
    Evaluation { total: fleet.role_aliases.len(), violations: violations.collect() }
}

fn cognito(fleet: &Fleet, codes: impl Fn(&CognitoPool) -> &[String], reason: &str) -> Evaluation {
    let pool = |id: &str| -> Resource { resource("COGNITO_IDENTITY_POOL", json!({ "cognitoIdentityPoolId": id })) };
    let violations = fleet
        .cognito_pools
        .iter()
        .flat_map(|(id, facts)| codes(facts).iter().map(move |code| Violation::new(pool(id), code, reason)));
    Evaluation { total: fleet.cognito_pools.len(), violations: violations.collect() }
}

pub(super) fn authenticated_cognito_role(fleet: &Fleet, _: &Settings<'_>) -> Evaluation {
    cognito(
        fleet,
        |pool| &pool.authenticated,
        "The role for authenticated identities of the pool is overly permissive.",
    )
}

pub(super) fn unauthenticated_cognito_role(fleet: &Fleet, _: &Settings<'_>) -> Evaluation {
    let reason = "The role for unauthenticated identities of the pool is overly permissive.";
    cognito(fleet, |pool| &pool.unauthenticated, reason)
}

pub(super) fn logging_disabled(fleet: &Fleet, _: &Settings<'_>) -> Evaluation {
    let mut evaluation = Evaluation { total: 1, violations: Vec::new() };
    if !fleet.logs() {
        let account = resource("ACCOUNT_SETTINGS", json!({ "account": fleet.account }));
        evaluation.violations.push(Violation::new(account, "LOGGING_DISABLED", "AWS IoT logging is disabled."));
    }
    evaluation
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::sandbox::iot::checks::find_check;

    fn violations(fleet: &Fleet, name: &str) -> Vec<Violation> {
        find_check(name).unwrap().evaluate(fleet, &BTreeMap::new()).violations
    }

    #[test]
    fn a_finding_names_the_default_version_and_a_blank_default_is_compliant() {
        let mut fleet = Fleet::new("123456789012", "us-east-1", 1, 0);
        let open = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iot:Connect","iot:Publish","iot:Subscribe"],"Resource":"*"}]}"#;
        fleet.create_policy("p", open).unwrap();
        fleet.create_policy_version("p", open, true).unwrap();
        let found = violations(&fleet, "IOT_POLICY_OVERLY_PERMISSIVE_CHECK");
        assert_eq!(
            found[0].resource.identifier,
            json!({"policyVersionIdentifier": {"policyName": "p", "policyVersionId": "2"}})
        );
        // The wording of the one public sample.
        assert_eq!(
            found[0].reason,
            "Policy allows broad access to IoT data plane actions: [iot:Subscribe, iot:Connect, iot:Publish]."
        );
        fleet.create_policy_version("p", r#"{"Version":"2012-10-17","Statement":[]}"#, true).unwrap();
        assert!(violations(&fleet, "IOT_POLICY_OVERLY_PERMISSIVE_CHECK").is_empty());
    }

    #[test]
    fn logging_is_a_finding_until_it_is_on() {
        let mut fleet = Fleet::new("123456789012", "us-east-1", 1, 0);
        let findings = |fleet: &Fleet| violations(fleet, "LOGGING_DISABLED_CHECK").len();
        assert_eq!(findings(&fleet), 1, "never configured");
        fleet.set_logging(Some("role"), Some("DISABLED"), None).unwrap();
        assert_eq!(findings(&fleet), 1, "level DISABLED");
        fleet.set_logging(None, Some("ERROR"), Some(true)).unwrap();
        assert_eq!(findings(&fleet), 1, "all logs disabled");
        fleet.set_logging(None, None, Some(false)).unwrap();
        assert_eq!(findings(&fleet), 0);
    }
}
