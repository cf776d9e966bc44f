//! What the policy file makes workers call, each tried by a call that cannot change anything.
//!
//! AWS decides whether a caller may before it looks for what is named, so that "there is none of that name" means "you may"
//! (UNCONFIRMED for each operation by itself; an answer that says neither is told as such). Reads ask for names that nobody has. Of writes only those are made whose target cannot exist: a
//! certificate whose id, a hash, is all zeros; a policy or a thing under a random name; an item whose condition cannot hold; a receipt
//! handle that no queue gave out. What has no such target (`SetV2LoggingOptions`, `Publish`, a task, `PassRole`) is not called.

use super::diagnosis::{About, Area, Diagnosis};
use super::plan::{Instruments, Plan};
use crate::aws::{CallError, Class, Clients, Effect, classify, classify_entry};
use crate::budget::Pace;
use crate::policy::{BLANK_POLICY, Permission};
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use aws_sdk_iot::types::{CaCertificateStatus, CertificateStatus};
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, QueueAttributeName,
};
use serde_json::json;

const PERMISSIONS: About = About(Area::Permissions);

/// The hash of nothing that is known: no certificate of either kind has it.
const NO_CERTIFICATE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What a dry call said.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    /// There is none that is harmless.
    NotCalled,
    Called(Result<(), CallError>),
}

/// Tries each permission, a call at a time. Changes nothing.
pub(super) async fn look(plan: &Plan, instruments: &Instruments, needed: &[Permission], pace: &Pace) -> Vec<Diagnosis> {
    let name = format!("fleetwarden-doctor-{:016x}", instruments.seed);
    let dry = Dry { plan, clients: &instruments.clients, name };
    let mut rows = Vec::with_capacity(needed.len());
    // Services that do not answer: to wait for each of their operations in turn would tell nothing more.
    let mut silent: Vec<&str> = Vec::new();
    for permission in needed {
        let service = permission.action.split(':').next().unwrap_or_default();
        if silent.contains(&service) {
            rows.push(PERMISSIONS.not_checked(permission.action, "the service did not answer before"));
            continue;
        }
        pace.slot().await;
        let answer = dry.call(permission).await;
        if let Answer::Called(Err(error)) = &answer
            && error.class == Class::Transient
            && error.code.is_none()
        {
            silent.push(service);
        }
        rows.push(judge(permission, &answer));
    }
    rows
}

fn judge(permission: &Permission, answer: &Answer) -> Diagnosis {
    let Permission { action, resources, why, .. } = permission;
    let simulate = || {
        let resources = resources.join("' '");
        format!(
            "aws iam simulate-principal-policy --policy-source-arn ROLE_ARN --action-names {action} --resource-arns '{resources}'"
        )
    };
    let why = why.join(", ");
    let error = match answer {
        Answer::NotCalled => {
            return PERMISSIONS
                .not_checked(*action, format!("needed ({why}), and no call of it is without effect"))
                .mend(simulate());
        }
        Answer::Called(Ok(())) => return PERMISSIONS.ok(*action, why),
        Answer::Called(Err(error)) => error,
    };
    match error.code.as_deref() {
        Some(code) if error.class == Class::Denied && !is_missing(code) => {
            let statement = json!({ "Effect": "Allow", "Action": action, "Resource": resources });
            PERMISSIONS
                .wrong(*action, format!("missing, and needed ({why}): failed to {error}"))
                .mend(format!("add to the role's policy: {statement}"))
        }
        Some(code) if says_that_it_may(code) => PERMISSIONS.ok(*action, why),
        _ => PERMISSIONS
            .not_checked(*action, format!("needed ({why}), and the answer tells nothing of it: failed to {error}"))
            .mend(simulate()),
    }
}

/// Codes of deployments that are not there, which are told elsewhere.
fn is_missing(code: &str) -> bool {
    matches!(code, "ResourceNotFoundException" | "NonExistentQueue" | "QueueDoesNotExist" | "TableNotFoundException")
}

/// Codes that AWS answers only to who may: it has looked, and found nothing.
fn says_that_it_may(code: &str) -> bool {
    matches!(
        code,
        "ResourceNotFoundException"
            | "NotConfiguredException"
            | "ConditionalCheckFailedException"
            | "ConditionalCheckFailed"
            | "ReceiptHandleIsInvalid"
    )
}

/// Makes the calls.
struct Dry<'a> {
    plan: &'a Plan,
    clients: &'a Clients,
    /// Of a policy, a thing, a task or an item that is not there.
    name: String,
}

/// What became of a call. None of them changes anything, so that a lost reply is no mystery.
macro_rules! told {
    ($operation:literal, $call:expr) => {
        $call.send().await.map(drop).map_err(|error| classify($operation, Effect::Read, error))
    };
}

impl Dry<'_> {
    async fn call(&self, permission: &Permission) -> Answer {
        let (service, operation) = permission.action.split_once(':').unwrap_or_default();
        let called = match service {
            "iot" => self.iot(operation, &permission.resources).await,
            "dynamodb" => self.dynamodb(operation).await,
            "sqs" => self.sqs(operation).await,
            "servicequotas" => {
                let list = self.clients.service_quotas.list_service_quotas().service_code("iot").max_results(1);
                Some(told!("ListServiceQuotas", list))
            }
            _ => None,
        };
        called.map_or(Answer::NotCalled, Answer::Called)
    }

    async fn iot(&self, operation: &str, resources: &[String]) -> Option<Result<(), CallError>> {
        let (iot, name) = (&self.clients.iot, self.name.as_str());
        let inactive = CertificateStatus::Inactive;
        Some(match operation {
            "DescribeAuditFinding" => told!("DescribeAuditFinding", iot.describe_audit_finding().finding_id(name)),
            "ListAuditFindings" => {
                told!("ListAuditFindings", iot.list_audit_findings().task_id(name).max_results(1))
            }
            "ListRelatedResourcesForAuditFinding" => {
                told!(
                    "ListRelatedResourcesForAuditFinding",
                    iot.list_related_resources_for_audit_finding().finding_id(name)
                )
            }
            "DescribeCertificate" => {
                told!("DescribeCertificate", iot.describe_certificate().certificate_id(NO_CERTIFICATE))
            }
            "UpdateCertificate" => {
                told!("UpdateCertificate", iot.update_certificate().certificate_id(NO_CERTIFICATE).new_status(inactive))
            }
            "DescribeCACertificate" => {
                told!("DescribeCACertificate", iot.describe_ca_certificate().certificate_id(NO_CERTIFICATE))
            }
            "UpdateCACertificate" => told!(
                "UpdateCACertificate",
                iot.update_ca_certificate().certificate_id(NO_CERTIFICATE).new_status(CaCertificateStatus::Inactive)
            ),
            "ListPrincipalThings" => {
                let certificates = resources.first()?;
                let certificate = format!("{}{NO_CERTIFICATE}", certificates.trim_end_matches('*'));
                told!("ListPrincipalThings", iot.list_principal_things().principal(certificate))
            }
            "ListThingGroupsForThing" => {
                told!("ListThingGroupsForThing", iot.list_thing_groups_for_thing().thing_name(name))
            }
            "AddThingToThingGroup" => self.add_to_each_group(resources).await,
            "GetPolicy" => told!("GetPolicy", iot.get_policy().policy_name(name)),
            "ListPolicyVersions" => told!("ListPolicyVersions", iot.list_policy_versions().policy_name(name)),
            "GetPolicyVersion" => {
                told!("GetPolicyVersion", iot.get_policy_version().policy_name(name).policy_version_id("1"))
            }
            "CreatePolicyVersion" => told!(
                "CreatePolicyVersion",
                iot.create_policy_version().policy_name(name).policy_document(BLANK_POLICY)
            ),
            "DeletePolicyVersion" => {
                told!("DeletePolicyVersion", iot.delete_policy_version().policy_name(name).policy_version_id("1"))
            }
            "GetV2LoggingOptions" => told!("GetV2LoggingOptions", iot.get_v2_logging_options()),
            "DescribeMitigationAction" => {
                let action = resources.first().and_then(|arn| arn.rsplit('/').next()).unwrap_or(name);
                told!("DescribeMitigationAction", iot.describe_mitigation_action().action_name(action))
            }
            "DescribeAuditMitigationActionsTask" => {
                told!("DescribeAuditMitigationActionsTask", iot.describe_audit_mitigation_actions_task().task_id(name))
            }
            "ListAuditMitigationActionsExecutions" => told!(
                "ListAuditMitigationActionsExecutions",
                iot.list_audit_mitigation_actions_executions().task_id(name).finding_id(name)
            ),
            _ => return None,
        })
    }

    /// The policy's own groups, each with a thing that is not there: a role may be limited to these groups.
    async fn add_to_each_group(&self, resources: &[String]) -> Result<(), CallError> {
        let groups = resources.iter().filter_map(|arn| arn.split_once(":thinggroup/"));
        for (_, group) in groups {
            let add = self.clients.iot.add_thing_to_thing_group().thing_name(&self.name).thing_group_name(group);
            match told!("AddThingToThingGroup", add) {
                Err(error) if error.class == Class::Gone => {}
                other => return other,
            }
        }
        Ok(())
    }

    async fn dynamodb(&self, operation: &str) -> Option<Result<(), CallError>> {
        let (dynamodb, table) = (&self.clients.dynamodb, self.plan.table.as_str());
        let key = AttributeValue::S(format!("doctor#{}", self.name));
        Some(match operation {
            "DescribeTable" => told!("DescribeTable", dynamodb.describe_table().table_name(table)),
            "GetItem" => told!("GetItem", dynamodb.get_item().table_name(table).key("id", key)),
            "BatchGetItem" => {
                let keys = KeysAndAttributes::builder().keys([("id".to_owned(), key)].into()).build().ok()?;
                told!("BatchGetItem", dynamodb.batch_get_item().request_items(table, keys))
            }
            "UpdateItem" => told!(
                "UpdateItem",
                dynamodb
                    .update_item()
                    .table_name(table)
                    .key("id", key)
                    .update_expression("SET expires_at = :now")
                    .condition_expression("attribute_exists(id)")
                    .expression_attribute_values(":now", AttributeValue::N("0".to_owned()))
            ),
            // PartiQL updates only what is there.
            "PartiQLUpdate" => told!(
                "ExecuteStatement",
                dynamodb
                    .execute_statement()
                    .statement(format!("UPDATE \"{table}\" SET expires_at = 0 WHERE id = ?"))
                    .parameters(key)
            ),
            _ => return None,
        })
    }

    async fn sqs(&self, operation: &str) -> Option<Result<(), CallError>> {
        let (sqs, url) = (&self.clients.sqs, &self.plan.queue_url);
        let handle = self.name.as_str();
        match operation {
            "GetQueueAttributes" => {
                for url in [url, &self.plan.dead_letter_queue_url] {
                    let get = sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::QueueArn);
                    let told = told!("GetQueueAttributes", get);
                    if told.is_err() {
                        return Some(told);
                    }
                }
                Some(Ok(()))
            }
            "DeleteMessage" => {
                let entry = DeleteMessageBatchRequestEntry::builder().id("0").receipt_handle(handle).build().ok()?;
                let call = sqs.delete_message_batch().queue_url(url).entries(entry).send().await;
                let answer = call.map_err(|error| classify("DeleteMessageBatch", Effect::Read, error));
                Some(answer.and_then(|answer| {
                    entry_error("DeleteMessageBatch", answer.failed.first().map(|one| one.code.as_str()))
                }))
            }
            "ChangeMessageVisibility" => {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id("0").receipt_handle(handle);
                let entry = entry.visibility_timeout(0).build().ok()?;
                let call = sqs.change_message_visibility_batch().queue_url(url).entries(entry).send().await;
                let answer = call.map_err(|error| classify("ChangeMessageVisibilityBatch", Effect::Read, error));
                Some(answer.and_then(|answer| {
                    entry_error("ChangeMessageVisibilityBatch", answer.failed.first().map(|one| one.code.as_str()))
                }))
            }
            _ => None,
        }
    }
}

fn entry_error(operation: &'static str, code: Option<&str>) -> Result<(), CallError> {
    code.map_or(Ok(()), |code| Err(classify_entry(operation, Effect::Read, code, "")))
}

/// What a canary's way proved of what could not be tried: `proved` are the actions that it took with these same credentials.
pub(super) fn prove(rows: &mut [Diagnosis], proved: &[&str]) {
    for row in rows {
        if row.area == Area::Permissions && row.state == super::State::NotChecked && proved.contains(&row.what.as_str())
        {
            *row = PERMISSIONS.ok(row.what.clone(), "the canary's way took it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    fn permission() -> Permission {
        Permission {
            action: "iot:UpdateCertificate",
            writes: true,
            resources: vec!["arn:aws:iot:us-east-1:123456789012:cert/*".to_owned()],
            why: vec!["rule r".to_owned()],
        }
    }

    #[test]
    fn nothing_of_that_name_means_permitted_and_a_refusal_names_what_to_allow() {
        let called = |class, code: &str| {
            judge(
                &permission(),
                &Answer::Called(Err(CallError::new(class, "UpdateCertificate", "words").with_code(code))),
            )
        };
        for (class, code, state) in [
            (Class::Gone, "ResourceNotFoundException", State::Ok),
            (Class::Permanent, "ConditionalCheckFailedException", State::Ok),
            (Class::Permanent, "ReceiptHandleIsInvalid", State::Ok),
            (Class::Denied, "AccessDeniedException", State::Wrong),
            (Class::Denied, "UnauthorizedException", State::Wrong),
            (Class::Denied, "NonExistentQueue", State::NotChecked),
            (Class::Throttled, "ThrottlingException", State::NotChecked),
            (Class::Permanent, "ValidationException", State::NotChecked),
        ] {
            assert_eq!(called(class, code).state, state, "{code}");
        }
        let denied = called(Class::Denied, "AccessDeniedException");
        let statement = r#"{"Effect":"Allow","Action":"iot:UpdateCertificate","Resource":["arn:aws:iot:us-east-1:123456789012:cert/*"]}"#;
        assert!(denied.what == "iot:UpdateCertificate" && denied.mend.ends_with(statement), "{denied:?}");
        assert_eq!(judge(&permission(), &Answer::Called(Ok(()))).state, State::Ok);
        let untried = judge(&permission(), &Answer::NotCalled);
        assert!(
            untried.state == State::NotChecked && untried.mend.contains("--action-names iot:UpdateCertificate"),
            "{untried:?}"
        );
    }

    #[test]
    fn a_missing_table_is_no_missing_permission() {
        let error = CallError::new(Class::Denied, "GetItem", "none").with_code("ResourceNotFoundException");
        assert_ne!(judge(&permission(), &Answer::Called(Err(error))).state, State::Wrong);
    }

    #[test]
    fn what_a_canary_did_is_checked_and_what_was_denied_stays_wrong() {
        let mut rows = [PERMISSIONS.not_checked("sqs:ReceiveMessage", ""), PERMISSIONS.wrong("sqs:DeleteMessage", "")];
        prove(&mut rows, &["sqs:ReceiveMessage", "sqs:DeleteMessage"]);
        assert_eq!(rows.map(|row| row.state), [State::Ok, State::Wrong]);
    }
}
