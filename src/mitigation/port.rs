//! The `IotControl` port: the calls to AWS IoT, Device Defender and SNS that the worker makes, no more.
//!
//! Every method is one request. A missing resource is an error of class `Gone`; a write whose answer was lost, or that a 5xx
//! answered, is an error of class `Unknown` and may have taken effect.

use crate::aws::CallError;
use crate::finding::{Finding, Resource};
use crate::policy::Action;
use std::future::Future;

/// One page of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What the page holds.
    pub items: Vec<T>,
    /// Where to go on; absent on the last page.
    pub next: Option<String>,
}

/// How a device or CA certificate stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateStatus {
    /// `ACTIVE`, `INACTIVE`, `REVOKED`, ... (free string in the API).
    pub status: String,
    /// When it was last changed, milliseconds since the epoch.
    pub modified_at: Option<i64>,
}

impl CertificateStatus {
    /// Devices can connect with it.
    pub fn is_active(&self) -> bool {
        self.status == "ACTIVE"
    }
}

/// A policy's default version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyState {
    /// `defaultVersionId`
    pub default_version: String,
    /// The default version's document, JSON text.
    pub document: String,
    /// When the policy was last changed, milliseconds since the epoch.
    pub modified_at: Option<i64>,
}

/// One version of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyVersion {
    /// Decimal digits, growing.
    pub id: String,
    /// Whether it is in force.
    pub is_default: bool,
}

/// `GetV2LoggingOptions`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoggingOptions {
    /// The role that writes the logs.
    pub role_arn: Option<String>,
    /// `DEBUG`, `INFO`, `WARN`, `ERROR`, `DISABLED` (free string).
    pub default_log_level: Option<String>,
    /// Switches everything off.
    pub disable_all_logs: bool,
}

/// `StartAuditMitigationActionsTask`: Device Defender's own actions for up to 25 findings of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MitigationTaskOrder {
    /// Chosen by the caller, `[a-zA-Z0-9_-]{1,128}`; no two tasks have one id.
    pub task_id: String,
    /// `clientRequestToken`, 1 to 64 characters.
    pub token: String,
    /// The check of the findings.
    pub check: String,
    /// Names of mitigation actions, 1 to 5, applied in this order.
    pub actions: Vec<String>,
    /// 1 to 25 finding ids.
    pub finding_ids: Vec<String>,
}

/// `DescribeAuditMitigationActionsTask`, as far as it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MitigationTaskState {
    /// `IN_PROGRESS`, `COMPLETED`, `FAILED` or `CANCELED` (free string).
    pub status: String,
    /// Findings in the task.
    pub total: u64,
    /// Findings for which every action was completed.
    pub succeeded: u64,
}

/// What became of one action for one finding of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionExecution {
    /// The action's name.
    pub action: String,
    /// `COMPLETED`, `FAILED`, `SKIPPED`, `CANCELED`, `IN_PROGRESS` or `PENDING` (free string).
    pub status: String,
    /// Why it failed.
    pub error_code: Option<String>,
    /// The same in words.
    pub message: Option<String>,
}

/// AWS's id of a request that made a change, for CloudTrail and for support; `None` if the answer had none.
pub type RequestId = Option<String>;

/// What a call made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its id: a policy version, a message.
    pub id: String,
    /// Of the request that made it.
    pub request_id: RequestId,
}

/// AWS IoT, Device Defender and SNS, as far as this program calls them. A call that changes something tells the id of its request.
pub trait IotControl: Send + Sync + 'static {
    /// `DescribeAuditFinding`; class `Gone` when there is none of that id.
    fn describe_audit_finding(&self, finding_id: &str) -> impl Future<Output = Result<Finding, CallError>> + Send;
    /// `ListAuditFindings` of one audit and check, up to 250 a page; suppressed ones too, marked as such. An audit that is not known
    /// has no findings.
    fn list_audit_findings(
        &self,
        task_id: &str,
        check: &str,
        next: Option<String>,
    ) -> impl Future<Output = Result<Page<Finding>, CallError>> + Send;
    /// `ListRelatedResourcesForAuditFinding`.
    fn list_related_resources(
        &self,
        finding_id: &str,
        next: Option<String>,
    ) -> impl Future<Output = Result<Page<Resource>, CallError>> + Send;

    /// `DescribeCertificate`.
    fn describe_certificate(&self, id: &str) -> impl Future<Output = Result<CertificateStatus, CallError>> + Send;
    /// `UpdateCertificate` to INACTIVE; idempotent.
    fn deactivate_certificate(&self, id: &str) -> impl Future<Output = Result<RequestId, CallError>> + Send;
    /// `DescribeCACertificate`.
    fn describe_ca_certificate(&self, id: &str) -> impl Future<Output = Result<CertificateStatus, CallError>> + Send;
    /// `UpdateCACertificate` to INACTIVE; idempotent.
    fn deactivate_ca_certificate(&self, id: &str) -> impl Future<Output = Result<RequestId, CallError>> + Send;

    /// `ListPrincipalThings` by certificate ARN: thing names.
    fn list_principal_things(
        &self,
        principal_arn: &str,
        next: Option<String>,
    ) -> impl Future<Output = Result<Page<String>, CallError>> + Send;
    /// `ListThingGroupsForThing`: group names.
    fn list_groups_of_thing(
        &self,
        thing: &str,
        next: Option<String>,
    ) -> impl Future<Output = Result<Page<String>, CallError>> + Send;
    /// `AddThingToThingGroup`; idempotent.
    fn add_thing_to_group(
        &self,
        thing: &str,
        group: &str,
        override_dynamic_groups: bool,
    ) -> impl Future<Output = Result<RequestId, CallError>> + Send;

    /// `GetPolicy`.
    fn get_policy(&self, name: &str) -> impl Future<Output = Result<PolicyState, CallError>> + Send;
    /// `ListPolicyVersions`, not paginated.
    fn list_policy_versions(&self, name: &str) -> impl Future<Output = Result<Vec<PolicyVersion>, CallError>> + Send;
    /// `GetPolicyVersion`: the document, JSON text.
    fn get_policy_version(&self, name: &str, version: &str) -> impl Future<Output = Result<String, CallError>> + Send;
    /// `CreatePolicyVersion` as the default; **not idempotent**. The new version.
    fn create_default_policy_version(
        &self,
        name: &str,
        document: &str,
    ) -> impl Future<Output = Result<Made, CallError>> + Send;
    /// `DeletePolicyVersion`; class `Gone` when it is not there.
    fn delete_policy_version(&self, name: &str, version: &str) -> impl Future<Output = Result<(), CallError>> + Send;

    /// `GetV2LoggingOptions`; `None` when logging was never configured (`NotConfiguredException`).
    fn get_logging_options(&self) -> impl Future<Output = Result<Option<LoggingOptions>, CallError>> + Send;
    /// `SetV2LoggingOptions`; idempotent.
    fn set_logging_options(
        &self,
        options: &LoggingOptions,
    ) -> impl Future<Output = Result<RequestId, CallError>> + Send;

    /// `StartAuditMitigationActionsTask`. A task id is used once: a second start under it starts nothing, and is refused with the code
    /// `TaskAlreadyExistsException` (UNCONFIRMED for the same token). `LimitExceededException`, class `Permanent`, while ten are in progress.
    fn start_mitigation_task(&self, order: &MitigationTaskOrder) -> impl Future<Output = Result<(), CallError>> + Send;
    /// `DescribeAuditMitigationActionsTask`; class `Gone` when there is none of that id.
    fn describe_mitigation_task(
        &self,
        task_id: &str,
    ) -> impl Future<Output = Result<MitigationTaskState, CallError>> + Send;
    /// `ListAuditMitigationActionsExecutions` of one finding in a task.
    fn list_action_executions(
        &self,
        task_id: &str,
        finding_id: &str,
        next: Option<String>,
    ) -> impl Future<Output = Result<Page<ActionExecution>, CallError>> + Send;
    /// `DescribeMitigationAction`: one of Device Defender's own actions, as one of ours; class `Gone` when there is none of that name.
    fn describe_mitigation_action(&self, name: &str) -> impl Future<Output = Result<Action, CallError>> + Send;

    /// SNS `Publish`; **not idempotent**. The message.
    fn publish(&self, topic_arn: &str, message: &str) -> impl Future<Output = Result<Made, CallError>> + Send;
}
