//! What Device Defender keeps: the account's audit configuration, tasks, findings, suppressions and mitigation actions.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::audits::{AuditTask, CheckFailure};
use super::call::seconds;
use super::checks::INTERMEDIATE_CA_CHECK;
use super::mitigation_task::MitigationTask;
use super::mitigations::MitigationAction;
use super::schedules::ScheduledAudit;
use super::suppressions::Suppression;

/// The API inlines at most so many related resources in a finding; the rest is paged for (botocore, `AuditFinding`).
const INLINED_RELATED: usize = 10;

/// Device Defender's side of a [`Fleet`](super::Fleet).
#[derive(Debug, Default)]
pub struct Defender {
    /// What is audited and who is told.
    pub configuration: AuditConfiguration,
    /// Audits by task id.
    pub audits: BTreeMap<String, AuditTask>,
    /// Suppressions, few.
    pub suppressions: Vec<Suppression>,
    /// Scheduled audits by name.
    pub schedules: BTreeMap<String, ScheduledAudit>,
    /// Checks that cannot be performed, and why: a fact to be seeded, as the sandbox knows no IAM.
    pub failing_checks: BTreeMap<String, CheckFailure>,
    /// Mitigation actions by name.
    pub actions: BTreeMap<String, MitigationAction>,
    /// Mitigation tasks by task id.
    pub mitigation_tasks: BTreeMap<String, MitigationTask>,
    pub(super) audit_order: Vec<String>,
    pub(super) findings: Vec<Arc<Finding>>,
    pub(super) findings_by_id: HashMap<String, Arc<Finding>>,
    pub(super) effects: Vec<Effect>,
    pub(super) suppression_tokens: BTreeMap<String, String>,
    pub(super) schedule_revisions: u64,
}

/// Something that takes time and that the service does after a call: the fleet itself does no I/O.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Finish this audit when its duration is over.
    RunAudit(String),
    /// Work through this mitigation task.
    RunMitigationTask(String),
    /// Start the audits of this schedule at their times, until it is changed or deleted.
    AwaitSchedule {
        /// The schedule.
        name: String,
        /// Which state of it this is about.
        revision: u64,
    },
}

/// How a task stands (`AuditTaskStatus`, `AuditMitigationActionsTaskStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskStatus {
    /// At work.
    InProgress,
    /// Done.
    Completed,
    /// Done, and something in it failed.
    Failed,
    /// Stopped by the user.
    Canceled,
}

impl TaskStatus {
    /// As the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Canceled => "CANCELED",
        }
    }
}

/// The account's audit configuration. A new account audits nothing.
#[derive(Clone, Debug, Default)]
pub struct AuditConfiguration {
    /// The role that audits run with; needed before anything else.
    pub role_arn: Option<String>,
    /// Where the summary of an audit is published.
    pub sns_target: Option<NotificationTarget>,
    /// Checks that were ever configured, by name.
    pub checks: BTreeMap<String, CheckConfiguration>,
}

/// `auditNotificationTargetConfigurations.SNS`.
#[derive(Clone, Debug, Default)]
pub struct NotificationTarget {
    /// The topic.
    pub target_arn: String,
    /// The role that publishes.
    pub role_arn: String,
    /// Whether summaries are sent.
    pub enabled: bool,
}

/// One check's entry in `auditCheckConfigurations`.
#[derive(Clone, Debug, Default)]
pub struct CheckConfiguration {
    /// May be audited.
    pub enabled: bool,
    /// Thresholds: `CERT_EXPIRATION_THRESHOLD_IN_DAYS`, `CERT_AGE_THRESHOLD_IN_DAYS`.
    pub configuration: BTreeMap<String, String>,
}

impl AuditConfiguration {
    /// Whether this check may be audited.
    pub fn enabled(&self, check: &str) -> bool {
        self.checks.get(check).is_some_and(|configuration| configuration.enabled)
    }
}

/// A resource of a finding.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Resource {
    /// `resourceType`.
    #[serde(rename = "resourceType")]
    pub kind: String,
    /// `resourceIdentifier`: an object with the one member that fits the type.
    #[serde(rename = "resourceIdentifier")]
    pub identifier: Value,
    /// `additionalInfo`, strings.
    #[serde(default, rename = "additionalInfo")]
    pub additional_info: BTreeMap<String, String>,
}

impl Resource {
    pub(super) fn to_json(&self) -> Value {
        let mut resource = Map::new();
        resource.insert("resourceType".to_owned(), json!(self.kind));
        resource.insert("resourceIdentifier".to_owned(), self.identifier.clone());
        if !self.additional_info.is_empty() {
            resource.insert("additionalInfo".to_owned(), json!(self.additional_info));
        }
        Value::Object(resource)
    }

    /// A member of the identifier, such as `deviceCertificateId`.
    pub fn identifier(&self, member: &str) -> Option<&str> {
        self.identifier.get(member).and_then(Value::as_str)
    }
}

/// One non-compliant resource of one audit.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// New in every audit.
    pub finding_id: String,
    /// The audit.
    pub task_id: String,
    /// The check.
    pub check_name: String,
    /// The audit's start, epoch milliseconds.
    #[serde(rename = "taskStartTime")]
    pub task_start_ms: i64,
    /// Found at, epoch milliseconds.
    #[serde(rename = "findingTime")]
    pub finding_ms: i64,
    /// `CRITICAL`, `HIGH`, `MEDIUM` or `LOW`.
    pub severity: String,
    /// What is not compliant.
    #[serde(rename = "nonCompliantResource")]
    pub resource: Resource,
    /// What else is involved; all of it, however many.
    #[serde(default, rename = "relatedResources")]
    pub related: Vec<Resource>,
    /// For people.
    pub reason_for_non_compliance: String,
    /// For programs.
    pub reason_for_non_compliance_code: String,
    /// A suppression covers it.
    #[serde(default)]
    pub is_suppressed: bool,
}

impl Finding {
    /// As the REST API shows it: times in epoch seconds; at most 10 related resources, and none for the intermediate CA
    /// check.
    pub fn to_rest(&self) -> Value {
        let inlined = if self.check_name == INTERMEDIATE_CA_CHECK { 0 } else { INLINED_RELATED };
        let related: Vec<Value> = self.related.iter().take(inlined).map(Resource::to_json).collect();
        let mut finding = json!({
            "findingId": self.finding_id,
            "taskId": self.task_id,
            "checkName": self.check_name,
            "taskStartTime": seconds(self.task_start_ms),
            "findingTime": seconds(self.finding_ms),
            "severity": self.severity,
            "nonCompliantResource": self.resource.to_json(),
            "reasonForNonCompliance": self.reason_for_non_compliance,
            "reasonForNonComplianceCode": self.reason_for_non_compliance_code,
            "isSuppressed": self.is_suppressed,
        });
        if let (Some(members), false) = (finding.as_object_mut(), related.is_empty()) {
            members.insert("relatedResources".to_owned(), Value::Array(related));
        }
        finding
    }

    /// As `PUBLISH_FINDING_TO_SNS` publishes it: nine members, times in integer epoch milliseconds, in the order of the
    /// public sample.
    pub fn to_sns(&self) -> String {
        json!({
            "findingId": self.finding_id,
            "findingTime": self.finding_ms,
            "severity": self.severity,
            "taskStartTime": self.task_start_ms,
            "nonCompliantResource": {
                "resourceType": self.resource.kind,
                "resourceIdentifier": self.resource.identifier,
            },
            "taskId": self.task_id,
            "checkName": self.check_name,
            "reasonForNonComplianceCode": self.reason_for_non_compliance_code,
            "reasonForNonCompliance": self.reason_for_non_compliance,
        })
        .to_string()
    }
}

impl Defender {
    /// The finding of this id.
    pub fn finding(&self, id: &str) -> Option<&Arc<Finding>> {
        self.findings_by_id.get(id)
    }

    /// The most recent audits, newest first.
    pub fn latest_audits(&self) -> impl Iterator<Item = (&String, &AuditTask)> {
        self.audit_order.iter().rev().filter_map(|id| self.audits.get_key_value(id))
    }

    /// Deletes what was found for a check, as disabling it does. (AWS says that "any data collected so far in relation to
    /// the check is deleted"; that findings are among these data is UNCONFIRMED.) The counts of past audits stay.
    pub(super) fn forget(&mut self, check: &str) {
        self.findings.retain(|finding| finding.check_name != check);
        self.findings_by_id.retain(|_, finding| finding.check_name != check);
        for audit in self.audits.values_mut() {
            audit.findings.retain(|finding| finding.check_name != check);
        }
    }

    pub(super) fn keep(&mut self, finding: Finding) -> Arc<Finding> {
        let finding = Arc::new(finding);
        self.findings.push(Arc::clone(&finding));
        self.findings_by_id.insert(finding.finding_id.clone(), Arc::clone(&finding));
        finding
    }
}
