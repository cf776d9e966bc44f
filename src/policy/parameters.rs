//! A policy's permissions as parameters of the CloudFormation stack (`infra/service.yaml`), whose worker's role has a statement for each.

use super::permissions::{ANY, Permission};
use super::{Mode, Policy};

/// `Name` and value of each parameter; lists are joined by commas, and empty where nothing is to be allowed.
pub fn stack_parameters(policy: &Policy, permissions: &[Permission]) -> Vec<(&'static str, String)> {
    let enforce = policy.mode == Mode::Enforce;
    let allowed = |action: &str| permissions.iter().find(|permission| permission.action == action);
    let flag = |on: bool| on.to_string();
    let has = |action: &str| flag(allowed(action).is_some());
    // The parameter of the action allows to read, too.
    let reads_only = |read: &str, write: &str| flag(allowed(read).is_some() && allowed(write).is_none());
    let arns = |action: &str, kind: &str| {
        let resources = allowed(action).map(|permission| permission.resources.as_slice()).unwrap_or_default();
        let named = resources.iter().filter(|arn| *arn != ANY && arn.contains(kind)).map(String::as_str);
        named.collect::<Vec<_>>().join(",")
    };
    vec![
        ("Mode", if enforce { "enforce" } else { "observe" }.to_owned()),
        ("VerifyFinding", has("iot:DescribeAuditFinding")),
        ("UpdateDeviceCertificate", has("iot:UpdateCertificate")),
        ("UpdateCaCertificate", has("iot:UpdateCACertificate")),
        ("ReplaceDefaultPolicyVersion", has("iot:CreatePolicyVersion")),
        ("ThingGroupArns", arns("iot:AddThingToThingGroup", ":thinggroup/")),
        ("LookUpThings", has("iot:ListPrincipalThings")),
        ("RelatedResources", has("iot:ListRelatedResourcesForAuditFinding")),
        ("LoggingRoleArns", arns("iam:PassRole", ":role/")),
        ("PublishTopicArns", arns("sns:Publish", ":sns:")),
        ("DelegateActionArns", arns("iot:DescribeMitigationAction", ":mitigationaction/")),
        ("ReadDeviceCertificates", reads_only("iot:DescribeCertificate", "iot:UpdateCertificate")),
        ("ReadCaCertificates", reads_only("iot:DescribeCACertificate", "iot:UpdateCACertificate")),
        ("ReadPolicies", reads_only("iot:GetPolicy", "iot:CreatePolicyVersion")),
        ("ReadLogging", reads_only("iot:GetV2LoggingOptions", "iot:SetV2LoggingOptions")),
        ("ReadServiceQuotas", has("servicequotas:ListServiceQuotas")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Place, permissions};
    use std::collections::BTreeMap;

    fn parameters(text: &str) -> BTreeMap<&'static str, String> {
        let arn = |service: &str, name: &str| format!("arn:aws:{service}:us-east-1:123456789012:{name}");
        let place = Place {
            account: "123456789012".to_owned(),
            region: "us-east-1".to_owned(),
            queue: arn("sqs", "q"),
            dead_letter_queue: arn("sqs", "d"),
            table: arn("dynamodb", "table/t"),
            service_quotas: false,
        };
        let policy = Policy::load(text, "p").unwrap();
        stack_parameters(&policy, &permissions(&policy, &place)).into_iter().collect()
    }

    #[test]
    fn nothing_is_switched_on_for_a_policy_that_only_observes() {
        for (name, value) in parameters(Policy::default_text()) {
            let expected = if name == "Mode" {
                "observe"
            } else if name.ends_with("Arns") {
                ""
            } else {
                "false"
            };
            assert_eq!(value, expected, "{name}");
        }
    }

    #[test]
    fn a_rule_that_delegates_switches_the_reading_on_and_names_its_actions() {
        let delegating = "version: 1\nmode: enforce\nrules:\n  - name: d\n    match: { check: [CA_CERTIFICATE_EXPIRING_CHECK] }\n    delegate: [A, B]\n";
        let told = parameters(delegating);
        let on: Vec<_> = told.iter().filter(|(_, value)| *value == "true").map(|(name, _)| *name).collect();
        assert_eq!(on, ["ReadCaCertificates", "VerifyFinding"]);
        let action = |name: &str| format!("arn:aws:iot:us-east-1:123456789012:mitigationaction/{name}");
        assert_eq!(told["DelegateActionArns"], format!("{},{}", action("A"), action("B")));
        let acting = delegating.replace("delegate: [A, B]", "actions: [{ type: UPDATE_CA_CERTIFICATE }]");
        let told = parameters(&acting);
        assert_eq!((told["UpdateCaCertificate"].as_str(), told["ReadCaCertificates"].as_str()), ("true", "false"));
    }
}
