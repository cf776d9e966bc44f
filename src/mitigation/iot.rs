//! The port on AWS IoT, Device Defender and SNS. One request a method; the clients' own retries are off, since each attempt takes
//! a slot of a budget.

use super::iot_actions::action_of;
use super::port::{
    ActionExecution, CertificateStatus, IotControl, LoggingOptions, Made, MitigationTaskOrder, MitigationTaskState,
    Page, PolicyState, PolicyVersion, RequestId,
};
use crate::aws::{CallError, Class, Effect, classify};
use crate::finding::{Finding, Resource, ResourceIdentifier, Severity, catalogue};
use crate::policy::Action;
use aws_sdk_iot::Client;
use aws_sdk_iot::operation::RequestId as RequestIdOf;
use aws_sdk_iot::types::{self, AuditFinding, CaCertificateStatus, CertificateStatus as NewStatus, LogLevel};
use aws_smithy_types::DateTime;
use std::collections::HashMap;

/// The most that one page of a Device Defender or registry list holds.
pub(crate) const PAGE: i32 = 250;

/// AWS IoT, Device Defender and SNS of one account and region. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AwsIot {
    iot: Client,
    sns: aws_sdk_sns::Client,
    account: String,
    region: String,
}

impl AwsIot {
    /// Nothing is called yet. `account` (12 digits) and `region` are those of the clients: the API's findings do not name them.
    pub fn new(iot: Client, sns: aws_sdk_sns::Client, account: impl Into<String>, region: impl Into<String>) -> Self {
        Self { iot, sns, account: account.into(), region: region.into() }
    }

    fn finding(&self, operation: &'static str, finding: AuditFinding) -> Result<Finding, CallError> {
        finding_of(operation, finding, &self.account, &self.region)
    }
}

/// Our finding for the API's, which names neither account nor region.
pub(crate) fn finding_of(
    operation: &'static str,
    finding: AuditFinding,
    account: &str,
    region: &str,
) -> Result<Finding, CallError> {
    let missing = |member: &str| CallError::new(Class::Permanent, operation, format!("the finding has no {member}"));
    let check = finding.check_name.ok_or_else(|| missing("checkName"))?;
    let check = catalogue::modern_name(&check).to_owned();
    let severity = finding.severity.as_ref().map_or(Severity::Unknown, |severity| Severity::parse(severity.as_str()));
    let severity = match (severity, catalogue::check(&check)) {
        (Severity::Unknown, Some(known)) => known.severity,
        (sent, _) => sent,
    };
    let resource = finding.non_compliant_resource.ok_or_else(|| missing("nonCompliantResource"))?;
    let kind = resource.resource_type.map(|kind| kind.as_str().to_owned()).unwrap_or_default();
    let related = finding.related_resources.unwrap_or_default().into_iter().map(related);
    Ok(Finding {
        finding_id: finding.finding_id.ok_or_else(|| missing("findingId"))?,
        account: account.to_owned(),
        region: region.to_owned(),
        task_id: finding.task_id,
        check,
        reason_code: finding.reason_for_non_compliance_code.unwrap_or_default(),
        reason: finding.reason_for_non_compliance.unwrap_or_default(),
        severity,
        resource: resource_of(kind, resource.resource_identifier, resource.additional_info),
        related: related.collect(),
        suppressed: finding.is_suppressed.unwrap_or(false),
        found_at: finding.finding_time.and_then(milliseconds),
        audit_started_at: finding.task_start_time.and_then(milliseconds),
    })
}

impl IotControl for AwsIot {
    async fn describe_audit_finding(&self, finding_id: &str) -> Result<Finding, CallError> {
        const OPERATION: &str = "DescribeAuditFinding";
        let answer = self.iot.describe_audit_finding().finding_id(finding_id).send().await;
        let answer = answer.map_err(|error| classify(OPERATION, Effect::Read, error))?;
        let finding = answer.finding.ok_or_else(|| incomplete(OPERATION, "finding", Effect::Read))?;
        self.finding(OPERATION, finding)
    }

    async fn list_audit_findings(
        &self,
        task_id: &str,
        check: &str,
        next: Option<String>,
    ) -> Result<Page<Finding>, CallError> {
        const OPERATION: &str = "ListAuditFindings";
        let call = self.iot.list_audit_findings().task_id(task_id).check_name(check);
        // `listSuppressedFindings` is not set: then both kinds are listed (API model, `ListAuditFindingsRequest`).
        let call = call.max_results(PAGE).set_next_token(next);
        let answer = call.send().await.map_err(|error| classify(OPERATION, Effect::Read, error))?;
        let findings = answer.findings.unwrap_or_default().into_iter();
        let items = findings.map(|finding| self.finding(OPERATION, finding)).collect::<Result<_, _>>()?;
        Ok(Page { items, next: more(answer.next_token) })
    }

    async fn list_related_resources(
        &self,
        finding_id: &str,
        next: Option<String>,
    ) -> Result<Page<Resource>, CallError> {
        let call = self.iot.list_related_resources_for_audit_finding().finding_id(finding_id);
        let answer = call.max_results(PAGE).set_next_token(next).send().await;
        let answer = answer.map_err(|error| classify("ListRelatedResourcesForAuditFinding", Effect::Read, error))?;
        let items = answer.related_resources.unwrap_or_default().into_iter().map(related).collect();
        Ok(Page { items, next: more(answer.next_token) })
    }

    async fn describe_certificate(&self, id: &str) -> Result<CertificateStatus, CallError> {
        const OPERATION: &str = "DescribeCertificate";
        let answer = self.iot.describe_certificate().certificate_id(id).send().await;
        let answer = answer.map_err(|error| classify(OPERATION, Effect::Read, error))?;
        let description = answer.certificate_description;
        let modified_at = description.as_ref().and_then(|description| description.last_modified_date);
        let status = description.and_then(|description| description.status);
        let status = status.ok_or_else(|| incomplete(OPERATION, "status", Effect::Read))?;
        Ok(CertificateStatus { status: status.as_str().to_owned(), modified_at: modified_at.and_then(milliseconds) })
    }

    async fn deactivate_certificate(&self, id: &str) -> Result<RequestId, CallError> {
        let call = self.iot.update_certificate().certificate_id(id).new_status(NewStatus::Inactive);
        let answer = call.send().await.map_err(|error| classify("UpdateCertificate", Effect::Write, error))?;
        Ok(request_id(&answer))
    }

    async fn describe_ca_certificate(&self, id: &str) -> Result<CertificateStatus, CallError> {
        const OPERATION: &str = "DescribeCACertificate";
        let answer = self.iot.describe_ca_certificate().certificate_id(id).send().await;
        let answer = answer.map_err(|error| classify(OPERATION, Effect::Read, error))?;
        let description = answer.certificate_description;
        let modified_at = description.as_ref().and_then(|description| description.last_modified_date);
        let status = description.and_then(|description| description.status);
        let status = status.ok_or_else(|| incomplete(OPERATION, "status", Effect::Read))?;
        Ok(CertificateStatus { status: status.as_str().to_owned(), modified_at: modified_at.and_then(milliseconds) })
    }

    async fn deactivate_ca_certificate(&self, id: &str) -> Result<RequestId, CallError> {
        let call = self.iot.update_ca_certificate().certificate_id(id).new_status(CaCertificateStatus::Inactive);
        let answer = call.send().await.map_err(|error| classify("UpdateCACertificate", Effect::Write, error))?;
        Ok(request_id(&answer))
    }

    async fn list_principal_things(
        &self,
        principal_arn: &str,
        next: Option<String>,
    ) -> Result<Page<String>, CallError> {
        let call = self.iot.list_principal_things().principal(principal_arn).max_results(PAGE).set_next_token(next);
        let answer = call.send().await.map_err(|error| classify("ListPrincipalThings", Effect::Read, error))?;
        Ok(Page { items: answer.things.unwrap_or_default(), next: more(answer.next_token) })
    }

    async fn list_groups_of_thing(&self, thing: &str, next: Option<String>) -> Result<Page<String>, CallError> {
        let call = self.iot.list_thing_groups_for_thing().thing_name(thing).max_results(PAGE).set_next_token(next);
        let answer = call.send().await.map_err(|error| classify("ListThingGroupsForThing", Effect::Read, error))?;
        let groups = answer.thing_groups.unwrap_or_default().into_iter();
        Ok(Page { items: groups.filter_map(|group| group.group_name).collect(), next: more(answer.next_token) })
    }

    async fn add_thing_to_group(
        &self,
        thing: &str,
        group: &str,
        override_dynamic_groups: bool,
    ) -> Result<RequestId, CallError> {
        let call = self.iot.add_thing_to_thing_group().thing_name(thing).thing_group_name(group);
        let answer = call.override_dynamic_groups(override_dynamic_groups).send().await;
        let answer = answer.map_err(|error| classify("AddThingToThingGroup", Effect::Write, error))?;
        Ok(request_id(&answer))
    }

    async fn get_policy(&self, name: &str) -> Result<PolicyState, CallError> {
        const OPERATION: &str = "GetPolicy";
        let answer = self.iot.get_policy().policy_name(name).send().await;
        let answer = answer.map_err(|error| classify(OPERATION, Effect::Read, error))?;
        Ok(PolicyState {
            default_version: answer
                .default_version_id
                .ok_or_else(|| incomplete(OPERATION, "defaultVersionId", Effect::Read))?,
            document: answer.policy_document.ok_or_else(|| incomplete(OPERATION, "policyDocument", Effect::Read))?,
            modified_at: answer.last_modified_date.and_then(milliseconds),
        })
    }

    async fn list_policy_versions(&self, name: &str) -> Result<Vec<PolicyVersion>, CallError> {
        let answer = self.iot.list_policy_versions().policy_name(name).send().await;
        let answer = answer.map_err(|error| classify("ListPolicyVersions", Effect::Read, error))?;
        let versions = answer.policy_versions.unwrap_or_default().into_iter();
        let versions = versions.filter_map(|version| {
            Some(PolicyVersion { id: version.version_id?, is_default: version.is_default_version })
        });
        Ok(versions.collect())
    }

    async fn get_policy_version(&self, name: &str, version: &str) -> Result<String, CallError> {
        const OPERATION: &str = "GetPolicyVersion";
        let answer = self.iot.get_policy_version().policy_name(name).policy_version_id(version).send().await;
        let answer = answer.map_err(|error| classify(OPERATION, Effect::Read, error))?;
        answer.policy_document.ok_or_else(|| incomplete(OPERATION, "policyDocument", Effect::Read))
    }

    async fn create_default_policy_version(&self, name: &str, document: &str) -> Result<Made, CallError> {
        const OPERATION: &str = "CreatePolicyVersion";
        let call = self.iot.create_policy_version().policy_name(name).policy_document(document).set_as_default(true);
        let answer = call.send().await.map_err(|error| classify(OPERATION, Effect::Write, error))?;
        let request_id = request_id(&answer);
        let id = answer.policy_version_id.ok_or_else(|| incomplete(OPERATION, "policyVersionId", Effect::Write))?;
        Ok(Made { id, request_id })
    }

    async fn delete_policy_version(&self, name: &str, version: &str) -> Result<(), CallError> {
        let call = self.iot.delete_policy_version().policy_name(name).policy_version_id(version);
        call.send().await.map_err(|error| classify("DeletePolicyVersion", Effect::Write, error))?;
        Ok(())
    }

    async fn get_logging_options(&self) -> Result<Option<LoggingOptions>, CallError> {
        let answer = match self.iot.get_v2_logging_options().send().await {
            Ok(answer) => answer,
            Err(error) => {
                let error = classify("GetV2LoggingOptions", Effect::Read, error);
                let unset = error.code.as_deref() == Some("NotConfiguredException");
                return if unset { Ok(None) } else { Err(error) };
            }
        };
        Ok(Some(LoggingOptions {
            role_arn: answer.role_arn,
            default_log_level: answer.default_log_level.map(|level| level.as_str().to_owned()),
            disable_all_logs: answer.disable_all_logs,
        }))
    }

    async fn set_logging_options(&self, options: &LoggingOptions) -> Result<RequestId, CallError> {
        let level = options.default_log_level.as_deref().map(LogLevel::from);
        let call = self.iot.set_v2_logging_options().set_role_arn(options.role_arn.clone());
        let call = call.set_default_log_level(level).disable_all_logs(options.disable_all_logs);
        let answer = call.send().await.map_err(|error| classify("SetV2LoggingOptions", Effect::Write, error))?;
        Ok(request_id(&answer))
    }

    async fn start_mitigation_task(&self, order: &MitigationTaskOrder) -> Result<(), CallError> {
        let target =
            types::AuditMitigationActionsTaskTarget::builder().set_finding_ids(Some(order.finding_ids.clone())).build();
        let call = self.iot.start_audit_mitigation_actions_task().task_id(&order.task_id).target(target);
        let call = call.audit_check_to_actions_mapping(&order.check, order.actions.clone());
        let answer = call.client_request_token(&order.token).send().await;
        answer.map_err(|error| classify("StartAuditMitigationActionsTask", Effect::Write, error))?;
        Ok(())
    }

    async fn describe_mitigation_task(&self, task_id: &str) -> Result<MitigationTaskState, CallError> {
        const OPERATION: &str = "DescribeAuditMitigationActionsTask";
        let answer = self.iot.describe_audit_mitigation_actions_task().task_id(task_id).send().await;
        let answer = answer.map_err(|error| classify(OPERATION, Effect::Read, error))?;
        let status = answer.task_status.ok_or_else(|| incomplete(OPERATION, "taskStatus", Effect::Read))?;
        let statistics = answer.task_statistics.unwrap_or_default();
        let sum = |count: fn(&types::TaskStatisticsForAuditCheck) -> Option<i64>| {
            statistics.values().filter_map(count).filter_map(|n| u64::try_from(n).ok()).sum()
        };
        Ok(MitigationTaskState {
            status: status.as_str().to_owned(),
            total: sum(types::TaskStatisticsForAuditCheck::total_findings_count),
            succeeded: sum(types::TaskStatisticsForAuditCheck::succeeded_findings_count),
        })
    }

    async fn list_action_executions(
        &self,
        task_id: &str,
        finding_id: &str,
        next: Option<String>,
    ) -> Result<Page<ActionExecution>, CallError> {
        let call = self.iot.list_audit_mitigation_actions_executions().task_id(task_id).finding_id(finding_id);
        let answer = call.max_results(PAGE).set_next_token(next).send().await;
        let answer = answer.map_err(|error| classify("ListAuditMitigationActionsExecutions", Effect::Read, error))?;
        let executions = answer.actions_executions.unwrap_or_default().into_iter().map(|execution| ActionExecution {
            action: execution.action_name.unwrap_or_default(),
            status: execution.status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
            error_code: execution.error_code,
            message: execution.message,
        });
        Ok(Page { items: executions.collect(), next: more(answer.next_token) })
    }

    async fn describe_mitigation_action(&self, name: &str) -> Result<Action, CallError> {
        const OPERATION: &str = "DescribeMitigationAction";
        let answer = self.iot.describe_mitigation_action().action_name(name).send().await;
        let answer = answer.map_err(|error| classify(OPERATION, Effect::Read, error))?;
        let params = answer.action_params.ok_or_else(|| incomplete(OPERATION, "actionParams", Effect::Read))?;
        action_of(params).ok_or_else(|| {
            let message = format!("the mitigation action {name} is of a type that this version does not know");
            CallError::new(Class::Permanent, OPERATION, message)
        })
    }

    async fn publish(&self, topic_arn: &str, message: &str) -> Result<Made, CallError> {
        const OPERATION: &str = "Publish";
        let answer = self.sns.publish().topic_arn(topic_arn).message(message).send().await;
        let answer = answer.map_err(|error| classify(OPERATION, Effect::Write, error))?;
        let request_id = request_id(&answer);
        let id = answer.message_id.ok_or_else(|| incomplete(OPERATION, "MessageId", Effect::Write))?;
        Ok(Made { id, request_id })
    }
}

fn request_id(answer: &impl RequestIdOf) -> RequestId {
    answer.request_id().map(str::to_owned)
}

/// An answer that lacks what its model promises: of a write it is not known what took effect.
fn incomplete(operation: &'static str, member: &str, effect: Effect) -> CallError {
    let class = if effect == Effect::Write { Class::Unknown } else { Class::Transient };
    CallError::new(class, operation, format!("the answer has no {member}"))
}

/// Some lists end with an empty token instead of none.
fn more(token: Option<String>) -> Option<String> {
    token.filter(|token| !token.is_empty())
}

/// The REST API's times are seconds with a fraction, in binary: 1560161017.172 arrives as .171999931, so this rounds.
fn milliseconds(time: DateTime) -> Option<i64> {
    let fraction = (i64::from(time.subsec_nanos()) + 500_000) / 1_000_000;
    time.secs().checked_mul(1000)?.checked_add(fraction)
}

fn related(resource: types::RelatedResource) -> Resource {
    let kind = resource.resource_type.map(|kind| kind.as_str().to_owned()).unwrap_or_default();
    resource_of(kind, resource.resource_identifier, resource.additional_info)
}

fn resource_of(
    kind: String,
    identifier: Option<types::ResourceIdentifier>,
    additional_info: Option<HashMap<String, String>>,
) -> Resource {
    Resource {
        kind,
        identifier: identifier_of(identifier),
        additional_info: additional_info.unwrap_or_default().into_iter().collect(),
    }
}

/// The one member that is set. The SDK drops members that it does not know, so such a resource has an unnamed one here.
pub(crate) fn identifier_of(identifier: Option<types::ResourceIdentifier>) -> ResourceIdentifier {
    let unnamed = ResourceIdentifier::Other { member: String::new(), value: "{}".to_owned() };
    let Some(found) = identifier else { return unnamed };
    let policy = found.policy_version_identifier.map(|policy| ResourceIdentifier::PolicyVersion {
        policy: policy.policy_name.unwrap_or_default(),
        version: policy.policy_version_id.unwrap_or_default(),
    });
    let issuer = found.issuer_certificate_identifier.map(|issuer| ResourceIdentifier::IssuerCertificate {
        subject: issuer.issuer_certificate_subject.unwrap_or_default(),
        issuer_id: issuer.issuer_id.unwrap_or_default(),
        serial: issuer.issuer_certificate_serial_number.unwrap_or_default(),
    });
    let members = [
        found.device_certificate_id.map(ResourceIdentifier::DeviceCertificate),
        found.ca_certificate_id.map(ResourceIdentifier::CaCertificate),
        policy,
        found.cognito_identity_pool_id.map(ResourceIdentifier::CognitoIdentityPool),
        found.client_id.map(ResourceIdentifier::ClientId),
        found.account.map(ResourceIdentifier::Account),
        found.role_alias_arn.map(ResourceIdentifier::RoleAlias),
        found.iam_role_arn.map(ResourceIdentifier::IamRole),
        issuer,
        found.device_certificate_arn.map(ResourceIdentifier::DeviceCertificateArn),
    ];
    members.into_iter().flatten().next().unwrap_or(unnamed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_iot::types::{NonCompliantResource, PolicyVersionIdentifier, ResourceType};

    fn adapter() -> AwsIot {
        let config = aws_sdk_iot::Config::builder().behavior_version(aws_sdk_iot::config::BehaviorVersion::latest());
        let sns = aws_sdk_sns::Config::builder().behavior_version(aws_sdk_sns::config::BehaviorVersion::latest());
        let region = aws_sdk_iot::config::Region::new("us-east-1");
        let iot = Client::from_conf(config.region(region.clone()).build());
        AwsIot::new(iot, aws_sdk_sns::Client::from_conf(sns.region(region).build()), "123456789012", "us-east-1")
    }

    #[test]
    fn a_finding_of_the_api_has_whole_milliseconds_and_the_clients_account() {
        let policy = PolicyVersionIdentifier::builder().policy_name("P").policy_version_id("2").build();
        let identifier = types::ResourceIdentifier::builder().policy_version_identifier(policy).build();
        let resource = NonCompliantResource::builder()
            .resource_type(ResourceType::IotPolicy)
            .resource_identifier(identifier)
            .build();
        let sent = AuditFinding::builder()
            .finding_id("f")
            .check_name("IOT_POLICY_UNRESTRICTED_CHECK")
            .finding_time(DateTime::from_secs_f64(1_560_161_017.172))
            .non_compliant_resource(resource)
            .build();
        let finding = adapter().finding("DescribeAuditFinding", sent).unwrap();
        assert_eq!(finding.found_at, Some(1_560_161_017_172));
        assert_eq!(finding.check, "IOT_POLICY_OVERLY_PERMISSIVE_CHECK");
        assert_eq!(finding.severity, Severity::Critical);
        assert_eq!((finding.account.as_str(), finding.suppressed), ("123456789012", false));
        let version = ResourceIdentifier::PolicyVersion { policy: "P".into(), version: "2".into() };
        assert_eq!(finding.resource.identifier, version);
    }

    #[test]
    fn a_finding_without_a_resource_is_refused_by_name() {
        let sent = AuditFinding::builder().finding_id("f").check_name("C").build();
        let error = adapter().finding("DescribeAuditFinding", sent).unwrap_err();
        assert!(error.message.contains("nonCompliantResource"), "{error}");
    }

    #[test]
    fn an_identifier_that_the_sdk_does_not_know_is_kept_apart_from_every_known_one() {
        let empty = types::ResourceIdentifier::builder().build();
        assert!(matches!(identifier_of(Some(empty)), ResourceIdentifier::Other { .. }));
    }
}
