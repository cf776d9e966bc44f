//! The role that a mitigation action is run with: who may take it, and what it may do. Pure; nothing is created here.
//!
//! Sources: the permissions of each action on the developer guide's page "Mitigation actions"; the conditions on its page
//! "Cross-service confused deputy prevention", which names the action's ARN as `aws:SourceArn`.

use super::ActionParams;
use crate::aws::syntax::partition_of;
use serde_json::{Value, json};

/// The longest name of a role (IAM).
const LONGEST_NAME: usize = 64;

/// The role that one action needs.
#[derive(Debug, Clone, PartialEq)]
pub struct ActionRole {
    /// Its ARN.
    pub arn: String,
    /// Who may take it: AWS IoT, for this action only.
    pub trust: Value,
    /// What it may do: what the action calls, on the resources that can be named before there is a finding.
    pub permissions: Value,
    /// AWS's own managed policy for the type, which allows it on every resource.
    pub managed_policy: Option<String>,
}

impl ActionRole {
    /// The role for the action `name` in this account and region. `role` is its ARN if one was chosen.
    pub fn of(name: &str, params: &ActionParams, role: Option<&str>, account: &str, region: &str) -> Self {
        let partition = partition_of(region);
        let iot = |resource: &str| format!("arn:{partition}:iot:{region}:{account}:{resource}");
        let role_name = || -> String { format!("Fleetwarden-{name}").chars().take(LONGEST_NAME).collect() };
        let arn = role.map_or_else(|| format!("arn:{partition}:iam::{account}:role/{}", role_name()), str::to_owned);
        let trust = document(vec![json!({
            "Effect": "Allow",
            "Principal": { "Service": "iot.amazonaws.com" },
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": { "aws:SourceAccount": account },
                "ArnLike": { "aws:SourceArn": iot(&format!("mitigationaction/{name}")) },
            },
        })]);
        let managed = |kind: &str| {
            Some(format!("arn:{partition}:iam::aws:policy/service-role/AWSIoTDeviceDefender{kind}MitigationAction"))
        };
        let (statements, managed_policy) = match params {
            ActionParams::UpdateDeviceCertificate => {
                (vec![allow(json!("iot:UpdateCertificate"), json!(iot("cert/*")))], managed("UpdateDeviceCert"))
            }
            ActionParams::UpdateCaCertificate => {
                (vec![allow(json!("iot:UpdateCACertificate"), json!(iot("cacert/*")))], managed("UpdateCACert"))
            }
            ActionParams::AddThingsToThingGroup { groups, .. } => {
                let named = groups.iter().map(|group| iot(&format!("thinggroup/{group}")));
                let resources: Vec<String> = std::iter::once(iot("thing/*")).chain(named).collect();
                let statements = vec![
                    // It cannot be limited to resources.
                    allow(json!("iot:ListPrincipalThings"), json!("*")),
                    allow(json!("iot:AddThingToThingGroup"), json!(resources)),
                ];
                (statements, managed("AddThingsToThingGroup"))
            }
            ActionParams::ReplaceDefaultPolicyVersion => {
                (vec![allow(json!("iot:CreatePolicyVersion"), json!(iot("policy/*")))], managed("ReplaceDefaultPolicy"))
            }
            ActionParams::EnableIotLogging { role_arn, .. } => {
                let mut pass = allow(json!("iam:PassRole"), json!(role_arn));
                pass["Condition"] = json!({ "StringEquals": { "iam:PassedToService": "iot.amazonaws.com" } });
                (vec![allow(json!("iot:SetV2LoggingOptions"), json!("*")), pass], managed("EnableIoTLogging"))
            }
            ActionParams::PublishFindingToSns { topic_arn } => {
                (vec![allow(json!("sns:Publish"), json!(topic_arn))], managed("PublishFindingsToSNS"))
            }
            ActionParams::Other { .. } => (Vec::new(), None),
        };
        Self { arn, trust, permissions: document(statements), managed_policy }
    }

    /// Its name, without the path.
    pub fn name(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or_default()
    }

    /// Commands for a shell that make it. The documents have no single quotes: ARNs and names cannot hold one.
    pub fn commands(&self) -> [String; 2] {
        let name = self.name();
        let path = self.arn.split_once(":role/").and_then(|(_, path)| path.rsplit_once('/'));
        let path = path.map(|(path, _)| format!(" --path /{path}/")).unwrap_or_default();
        [
            format!("aws iam create-role --role-name {name}{path} --assume-role-policy-document '{}'", self.trust),
            format!(
                "aws iam put-role-policy --role-name {name} --policy-name mitigation --policy-document '{}'",
                self.permissions
            ),
        ]
    }
}

fn document(statements: Vec<Value>) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

fn allow(action: Value, resource: Value) -> Value {
    json!({ "Effect": "Allow", "Action": action, "Resource": resource })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(params: &ActionParams) -> ActionRole {
        ActionRole::of("Act", params, None, "123456789012", "us-east-1")
    }

    #[test]
    fn each_type_may_call_what_it_calls_on_the_resources_that_are_known_and_nothing_else() {
        let groups = ActionParams::AddThingsToThingGroup {
            groups: vec!["A".into(), "B".into()],
            override_dynamic_groups: false,
        };
        let logging =
            ActionParams::EnableIotLogging { role_arn: "arn:aws:iam::1:role/L".into(), level: "ERROR".into() };
        let topic = ActionParams::PublishFindingToSns { topic_arn: "arn:aws:sns:us-east-1:1:T".into() };
        let iot = |resource: &str| format!("arn:aws:iot:us-east-1:123456789012:{resource}");
        for (params, expected) in [
            (&ActionParams::UpdateDeviceCertificate, vec![("iot:UpdateCertificate", json!(iot("cert/*")))]),
            (&ActionParams::UpdateCaCertificate, vec![("iot:UpdateCACertificate", json!(iot("cacert/*")))]),
            (&ActionParams::ReplaceDefaultPolicyVersion, vec![("iot:CreatePolicyVersion", json!(iot("policy/*")))]),
            (
                &groups,
                vec![
                    ("iot:ListPrincipalThings", json!("*")),
                    ("iot:AddThingToThingGroup", json!([iot("thing/*"), iot("thinggroup/A"), iot("thinggroup/B")])),
                ],
            ),
            (&logging, vec![("iot:SetV2LoggingOptions", json!("*")), ("iam:PassRole", json!("arn:aws:iam::1:role/L"))]),
            (&topic, vec![("sns:Publish", json!("arn:aws:sns:us-east-1:1:T"))]),
        ] {
            let role = role(params);
            let statements = role.permissions["Statement"].as_array().unwrap();
            let found: Vec<_> = statements
                .iter()
                .map(|statement| (statement["Action"].as_str().unwrap(), statement["Resource"].clone()))
                .collect();
            assert_eq!(found, expected, "{}", params.type_name());
            assert!(role.managed_policy.is_some());
        }
    }

    #[test]
    fn only_aws_iot_may_take_it_and_only_for_this_action_of_this_account() {
        let trust = role(&ActionParams::UpdateDeviceCertificate).trust;
        let statement = &trust["Statement"][0];
        assert_eq!(statement["Principal"], json!({ "Service": "iot.amazonaws.com" }));
        assert_eq!(statement["Condition"]["StringEquals"]["aws:SourceAccount"], "123456789012");
        let source = &statement["Condition"]["ArnLike"]["aws:SourceArn"];
        assert_eq!(source, "arn:aws:iot:us-east-1:123456789012:mitigationaction/Act");
    }

    #[test]
    fn the_commands_make_the_chosen_role_with_its_path_and_a_name_that_iam_takes() {
        let params = ActionParams::UpdateDeviceCertificate;
        let chosen = "arn:aws-cn:iam::123456789012:role/service/Mine";
        let role = ActionRole::of("Act", &params, Some(chosen), "123456789012", "cn-north-1");
        assert!(role.commands()[0].starts_with("aws iam create-role --role-name Mine --path /service/ "));
        assert!(role.commands().iter().all(|command| command.matches('\'').count() == 2));
        let long = ActionRole::of(&"n".repeat(128), &params, None, "123456789012", "us-east-1");
        assert_eq!(long.name().len(), LONGEST_NAME);
    }
}
