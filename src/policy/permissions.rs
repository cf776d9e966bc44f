//! What a worker must be allowed to call for a policy: nothing more, and named where AWS lets it be named.
//!
//! Which operations take which resources is AWS's Service Authorization Reference ("Actions, resources, and condition keys" of AWS IoT,
//! DynamoDB, SQS, SNS and Service Quotas, read 2026-11). What is called is held against the program by `tests/commands/permissions.rs`.

use super::{Action, Mode, Policy, Rule};
use crate::aws::syntax::partition_of;
use crate::finding::{ActionType, catalogue};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The check whose findings name an issuer; its device certificates are looked up.
const ISSUER_CHECK: &str = "INTERMEDIATE_CA_REVOKED_FOR_ACTIVE_DEVICE_CERTIFICATES_CHECK";

/// The resource of operations that cannot be limited to one.
pub const ANY: &str = "*";

/// Where a worker works: what its permissions are limited to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The account whose AWS IoT is mended, 12 digits.
    pub account: String,
    /// Its region.
    pub region: String,
    /// ARN of the queue.
    pub queue: String,
    /// ARN of the dead-letter queue.
    pub dead_letter_queue: String,
    /// ARN of the table.
    pub table: String,
    /// Service Quotas is asked whatever the policy says (`run --quota service-quotas`).
    pub service_quotas: bool,
}

/// One operation that a worker must be allowed to call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// `iot:UpdateCertificate`
    pub action: &'static str,
    /// It changes something.
    pub writes: bool,
    /// ARNs, sorted; only [`ANY`] where AWS takes no resource for the operation.
    pub resources: Vec<String>,
    /// What needs it, a few words each, in the order of the policy.
    pub why: Vec<String>,
}

impl Permission {
    /// The service that a role may be handed to; of `iam:PassRole` only.
    pub fn passed_to(&self) -> Option<&'static str> {
        (self.action == "iam:PassRole").then_some("iot.amazonaws.com")
    }
}

/// Everything that a worker calls under `policy` in the mode that it says, in the order of the services; each operation once.
pub fn permissions(policy: &Policy, place: &Place) -> Vec<Permission> {
    let mut needs = Needs { place, list: Vec::new() };
    needs.of_the_line();
    needs.read("iot:ListAuditFindings", ANY, "audit summaries are expanded into findings");
    if policy.mode == Mode::Enforce && policy.verify_finding {
        needs.read("iot:ListAuditFindings", ANY, "verify_finding");
        needs.read("iot:DescribeAuditFinding", ANY, "verify_finding");
    }
    for rule in &policy.rules {
        needs.of_rule(policy.mode, rule);
    }
    if policy.quotas.service_quotas || place.service_quotas {
        needs.read("servicequotas:ListServiceQuotas", ANY, "quotas from Service Quotas");
    }
    needs.list
}

/// The permissions as an IAM policy document. Those of the same resources share a statement.
pub fn policy_document(permissions: &[Permission]) -> Value {
    let mut statements: Vec<(&Permission, Vec<&str>)> = Vec::new();
    for permission in permissions {
        let alike = |(other, _): &&mut (&Permission, Vec<&str>)| {
            other.resources == permission.resources && other.passed_to() == permission.passed_to()
        };
        match statements.iter_mut().find(alike) {
            Some((_, actions)) => actions.push(permission.action),
            None => statements.push((permission, vec![permission.action])),
        }
    }
    let statements = statements.into_iter().map(|(like, actions)| {
        let mut statement = json!({ "Effect": "Allow", "Action": actions, "Resource": like.resources });
        if let Some(service) = like.passed_to() {
            statement["Condition"] = json!({ "StringEquals": { "iam:PassedToService": service } });
        }
        statement
    });
    json!({ "Version": "2012-10-17", "Statement": statements.collect::<Vec<_>>() })
}

struct Needs<'a> {
    place: &'a Place,
    list: Vec<Permission>,
}

impl Needs<'_> {
    fn read(&mut self, action: &'static str, resource: &str, why: &str) {
        self.add(action, false, resource, why);
    }

    fn write(&mut self, action: &'static str, resource: &str, why: &str) {
        self.add(action, true, resource, why);
    }

    fn add(&mut self, action: &'static str, writes: bool, resource: &str, why: &str) {
        let at = self.list.iter().position(|permission| permission.action == action);
        let at = at.unwrap_or_else(|| {
            self.list.push(Permission { action, writes, resources: Vec::new(), why: Vec::new() });
            self.list.len() - 1
        });
        let permission = &mut self.list[at];
        if let Err(here) = permission.resources.binary_search_by(|known| known.as_str().cmp(resource)) {
            permission.resources.insert(here, resource.to_owned());
        }
        if !permission.why.iter().any(|known| known == why) {
            permission.why.push(why.to_owned());
        }
    }

    /// An ARN of AWS IoT in the worker's account and region.
    fn iot(&self, resource: &str) -> String {
        let Place { account, region, .. } = self.place;
        format!("arn:{}:iot:{region}:{account}:{resource}", partition_of(region))
    }

    /// What every worker does, whatever the policy.
    fn of_the_line(&mut self) {
        let Place { queue, dead_letter_queue, table, .. } = self.place;
        let line = "messages are received, kept, parked and deleted";
        self.write("sqs:ReceiveMessage", queue, line);
        self.write("sqs:ChangeMessageVisibility", queue, line);
        self.write("sqs:DeleteMessage", queue, line);
        self.write("sqs:SendMessage", queue, "findings of summaries and bundles go on the queue");
        self.write("sqs:SendMessage", dead_letter_queue, "dead letters");
        for queue in [queue, dead_letter_queue] {
            self.read("sqs:GetQueueAttributes", queue, "checks at start");
        }
        self.write("dynamodb:PartiQLInsert", table, "claims");
        self.write("dynamodb:PartiQLUpdate", table, "claims, heartbeats, steps and ends");
        self.read("dynamodb:BatchGetItem", table, "claims");
        self.read("dynamodb:GetItem", table, "records and budgets");
        self.write("dynamodb:UpdateItem", table, "budgets, locks, cool-downs, and that workers are there");
        self.read("dynamodb:DescribeTable", table, "checks at start");
    }

    fn of_rule(&mut self, mode: Mode, rule: &Rule) {
        let why = &format!("rule {}", rule.name);
        // Asked for in observe mode too: what the rule would do depends on it.
        if !rule.matcher.thing_group.is_empty() {
            self.look_up_things(why);
        }
        for name in &rule.delegate {
            // In observe mode too: an earlier run that enforced may have handed findings over, and waits for what came of them.
            let action = self.iot(&format!("mitigationaction/{name}"));
            self.read("iot:DescribeMitigationAction", &action, why);
            self.read("iot:DescribeAuditMitigationActionsTask", ANY, why);
            self.read("iot:ListAuditMitigationActionsExecutions", ANY, why);
        }
        if mode == Mode::Observe || rule.observe {
            return;
        }
        for action in &rule.actions {
            self.before(action.action_type(), rule, why);
            self.of_action(action, why);
        }
        if !rule.delegate.is_empty() {
            self.write("iot:StartAuditMitigationActionsTask", ANY, why);
            // Whatever the actions turn out to be, `run` refuses those that do not fit the rule's checks.
            for kind in kinds(rule) {
                self.before(kind, rule, why);
            }
        }
    }

    /// What is read before a change, ours or Device Defender's.
    fn before(&mut self, kind: ActionType, rule: &Rule, why: &str) {
        let of_devices = matches!(kind, ActionType::UpdateDeviceCertificate | ActionType::AddThingsToThingGroup);
        if of_devices && rule.matcher.check.iter().any(|check| check == ISSUER_CHECK) {
            self.read("iot:ListRelatedResourcesForAuditFinding", ANY, why);
        }
        match kind {
            ActionType::UpdateDeviceCertificate => self.read("iot:DescribeCertificate", &self.iot("cert/*"), why),
            ActionType::UpdateCaCertificate => self.read("iot:DescribeCACertificate", &self.iot("cacert/*"), why),
            ActionType::AddThingsToThingGroup => self.look_up_things(why),
            ActionType::ReplaceDefaultPolicyVersion => self.read("iot:GetPolicy", &self.iot("policy/*"), why),
            ActionType::EnableIotLogging => self.read("iot:GetV2LoggingOptions", ANY, why),
            ActionType::PublishFindingToSns => {}
        }
    }

    fn look_up_things(&mut self, why: &str) {
        self.read("iot:ListPrincipalThings", &self.iot("cert/*"), why);
        self.read("iot:ListThingGroupsForThing", &self.iot("thing/*"), why);
    }

    /// What an action of our own changes, and what it reads beyond [`Self::before`].
    fn of_action(&mut self, action: &Action, why: &str) {
        match action {
            Action::UpdateDeviceCertificate => self.write("iot:UpdateCertificate", &self.iot("cert/*"), why),
            Action::UpdateCaCertificate => self.write("iot:UpdateCACertificate", &self.iot("cacert/*"), why),
            Action::AddThingsToThingGroup { thing_groups, .. } => {
                self.write("iot:AddThingToThingGroup", &self.iot("thing/*"), why);
                for group in thing_groups {
                    self.write("iot:AddThingToThingGroup", &self.iot(&format!("thinggroup/{group}")), why);
                }
            }
            Action::ReplaceDefaultPolicyVersion { .. } => {
                let policies = self.iot("policy/*");
                self.read("iot:ListPolicyVersions", &policies, why);
                self.read("iot:GetPolicyVersion", &policies, why);
                self.write("iot:CreatePolicyVersion", &policies, why);
                self.write("iot:DeletePolicyVersion", &policies, why);
            }
            Action::EnableIotLogging { role_arn, .. } => {
                self.write("iot:SetV2LoggingOptions", ANY, why);
                self.write("iam:PassRole", role_arn, why);
            }
            Action::PublishFindingToSns { topic_arn } => self.write("sns:Publish", topic_arn, why),
        }
    }
}

/// The types of action that fit the rule's checks; of a rule that names none, or a glob, publishing alone.
fn kinds(rule: &Rule) -> BTreeSet<ActionType> {
    let known = rule.matcher.check.iter().filter_map(|check| catalogue::check(check));
    known.flat_map(|check| check.actions).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place {
            account: "123456789012".to_owned(),
            region: "eu-central-1".to_owned(),
            queue: "arn:aws:sqs:eu-central-1:123456789012:q".to_owned(),
            dead_letter_queue: "arn:aws:sqs:eu-central-1:123456789012:d".to_owned(),
            table: "arn:aws:dynamodb:eu-central-1:123456789012:table/t".to_owned(),
            service_quotas: false,
        }
    }

    fn needed(mode: &str, rules: &str) -> Vec<Permission> {
        let policy = Policy::load(&format!("version: 1\nmode: {mode}\nrules:{rules}"), "p").unwrap();
        permissions(&policy, &place())
    }

    fn rule(check: &str, does: &str) -> String {
        format!("\n  - name: r\n    match: {{ check: [{check}] }}\n    {does}\n")
    }

    /// What may change something, besides queue and table.
    fn changes(permissions: &[Permission]) -> Vec<&str> {
        let line = |action: &str| action.starts_with("sqs:") || action.starts_with("dynamodb:");
        let changes = permissions.iter().filter(|permission| permission.writes && !line(permission.action));
        changes.map(|permission| permission.action).collect()
    }

    #[test]
    fn an_action_may_make_its_own_changes_and_those_of_no_other() {
        let table: [(&str, &str, &[&str]); 7] = [
            (
                "DEVICE_CERTIFICATE_SHARED_CHECK",
                "actions: [{ type: UPDATE_DEVICE_CERTIFICATE }]",
                &["iot:UpdateCertificate"],
            ),
            (
                "CA_CERTIFICATE_EXPIRING_CHECK",
                "actions: [{ type: UPDATE_CA_CERTIFICATE }]",
                &["iot:UpdateCACertificate"],
            ),
            (
                "DEVICE_CERTIFICATE_SHARED_CHECK",
                "actions: [{ type: ADD_THINGS_TO_THING_GROUP, thing_groups: [B, A] }]",
                &["iot:AddThingToThingGroup"],
            ),
            (
                "IOT_POLICY_OVERLY_PERMISSIVE_CHECK",
                "actions: [{ type: REPLACE_DEFAULT_POLICY_VERSION, template: BLANK_POLICY }]",
                &["iot:CreatePolicyVersion", "iot:DeletePolicyVersion"],
            ),
            (
                "LOGGING_DISABLED_CHECK",
                "actions: [{ type: ENABLE_IOT_LOGGING, role_arn: \"arn:aws:iam::123456789012:role/L\", level: ERROR }]",
                &["iot:SetV2LoggingOptions", "iam:PassRole"],
            ),
            (
                "CONFLICTING_CLIENT_IDS_CHECK",
                "actions: [{ type: PUBLISH_FINDING_TO_SNS, topic_arn: \"arn:aws:sns:eu-central-1:123456789012:T\" }]",
                &["sns:Publish"],
            ),
            ("DEVICE_CERTIFICATE_SHARED_CHECK", "delegate: [Deactivate]", &["iot:StartAuditMitigationActionsTask"]),
        ];
        for (check, does, expected) in table {
            assert_eq!(changes(&needed("enforce", &rule(check, does))), expected, "{does}");
            assert_eq!(changes(&needed("observe", &rule(check, does))), [""; 0], "{does}");
            let observes = rule(check, &format!("mode: observe\n    {does}"));
            assert_eq!(changes(&needed("enforce", &observes)), [""; 0], "{does}");
        }
    }

    #[test]
    fn what_can_be_named_is_named_and_the_rest_is_what_aws_takes_no_resource_for() {
        let all = needed("enforce", &format!(
            "{}{}{}",
            rule("DEVICE_CERTIFICATE_SHARED_CHECK", "actions: [{ type: ADD_THINGS_TO_THING_GROUP, thing_groups: [B, A] }]"),
            rule("LOGGING_DISABLED_CHECK", "actions: [{ type: ENABLE_IOT_LOGGING, role_arn: \"arn:aws:iam::123456789012:role/L\", level: ERROR }]")
                .replace("name: r", "name: l"),
            rule("CA_CERTIFICATE_EXPIRING_CHECK", "delegate: [Deactivate]").replace("name: r", "name: d"),
        ));
        let resources =
            |action: &str| all.iter().find(|permission| permission.action == action).unwrap().resources.clone();
        let iot = |resource: &str| format!("arn:aws:iot:eu-central-1:123456789012:{resource}");
        assert_eq!(resources("iot:AddThingToThingGroup"), [iot("thing/*"), iot("thinggroup/A"), iot("thinggroup/B")]);
        assert_eq!(resources("iot:DescribeMitigationAction"), [iot("mitigationaction/Deactivate")]);
        assert_eq!(resources("iot:DescribeCACertificate"), [iot("cacert/*")]);
        assert_eq!(resources("sqs:SendMessage"), [place().dead_letter_queue, place().queue]);
        assert_eq!(resources("dynamodb:UpdateItem"), [place().table]);
        let unnamed: BTreeSet<_> = all.iter().filter(|one| one.resources == [ANY]).map(|one| one.action).collect();
        let expected = [
            "iot:DescribeAuditFinding",
            "iot:DescribeAuditMitigationActionsTask",
            "iot:GetV2LoggingOptions",
            "iot:ListAuditFindings",
            "iot:ListAuditMitigationActionsExecutions",
            "iot:SetV2LoggingOptions",
            "iot:StartAuditMitigationActionsTask",
        ];
        assert_eq!(unnamed, BTreeSet::from(expected));
        assert!(!all.iter().any(|one| one.resources.len() > 1 && one.resources.iter().any(|arn| arn == ANY)));
    }

    #[test]
    fn a_document_has_each_permission_once_and_a_role_may_be_passed_to_aws_iot_only() {
        let logging =
            "actions: [{ type: ENABLE_IOT_LOGGING, role_arn: \"arn:aws:iam::123456789012:role/L\", level: ERROR }]";
        let all = needed("enforce", &rule("LOGGING_DISABLED_CHECK", logging));
        let document = policy_document(&all);
        let statements = document["Statement"].as_array().unwrap();
        let told: Vec<_> = statements.iter().flat_map(|one| one["Action"].as_array().unwrap().clone()).collect();
        assert_eq!(told.len(), all.len());
        assert!(
            statements.iter().all(|one| one["Effect"] == "Allow" && !one["Resource"].as_array().unwrap().is_empty())
        );
        let passing: Vec<_> = statements.iter().filter(|one| one.get("Condition").is_some()).collect();
        assert_eq!(passing.len(), 1);
        assert_eq!(passing[0]["Action"], json!(["iam:PassRole"]));
        assert_eq!(passing[0]["Condition"], json!({ "StringEquals": { "iam:PassedToService": "iot.amazonaws.com" } }));
    }

    #[test]
    fn things_are_looked_up_for_rules_by_thing_group_in_observe_mode_too_and_related_ones_for_issuers_only() {
        let has = |all: &[Permission], action: &str| all.iter().any(|permission| permission.action == action);
        let by_group = "\n  - name: r\n    match: { thing_group: [G] }\n    actions: []\n";
        assert!(has(&needed("observe", by_group), "iot:ListPrincipalThings"));
        let deactivate = "actions: [{ type: UPDATE_DEVICE_CERTIFICATE }]";
        let related = "iot:ListRelatedResourcesForAuditFinding";
        assert!(has(&needed("enforce", &rule(ISSUER_CHECK, deactivate)), related));
        assert!(!has(&needed("enforce", &rule("DEVICE_CERTIFICATE_SHARED_CHECK", deactivate)), related));
        assert!(!has(&needed("enforce", &rule(ISSUER_CHECK, deactivate)), "servicequotas:ListServiceQuotas"));
    }
}
