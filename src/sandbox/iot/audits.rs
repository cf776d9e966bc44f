//! Audit tasks: what is known of one, starting and cancelling it. `audit_run.rs` performs its checks.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::checks::{AGE_CHECK, CHECKS, Check, find_check};
use super::defender::{Effect, Finding, NotificationTarget, TaskStatus};
use super::error::IotError;
use super::fleet::Fleet;

/// On-demand audits that may be in progress at one time (AWS General Reference, Device Defender limits).
const MAX_AUDITS_IN_PROGRESS: usize = 10;

/// How one check of an audit stands (`AuditCheckRunStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckRunStatus {
    /// Its turn has not come. (The sandbox performs the checks of an audit one after another; in AWS this is the state of a
    /// check whose data are still being collected.)
    WaitingForDataCollection,
    /// At work.
    InProgress,
    /// No violation.
    Compliant,
    /// Violations that are not suppressed.
    NonCompliant,
    /// Could not be evaluated.
    Failed,
    /// Stopped with its audit.
    Canceled,
}

impl CheckRunStatus {
    /// As the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WaitingForDataCollection => "WAITING_FOR_DATA_COLLECTION",
            Self::InProgress => "IN_PROGRESS",
            Self::Compliant => "COMPLETED_COMPLIANT",
            Self::NonCompliant => "COMPLETED_NON_COMPLIANT",
            Self::Failed => "FAILED",
            Self::Canceled => "CANCELED",
        }
    }
}

/// Why a check could not be performed (`errorCode` of an audit's details).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CheckFailure {
    /// The account's audit role may not do what the check needs.
    InsufficientPermissions,
    /// The check was disabled after the audit was started.
    AuditCheckDisabled,
}

impl CheckFailure {
    /// As the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InsufficientPermissions => "INSUFFICIENT_PERMISSIONS",
            Self::AuditCheckDisabled => "AUDIT_CHECK_DISABLED",
        }
    }

    /// The `message` beside the code. AWS's wording is not public.
    pub fn message(self) -> &'static str {
        match self {
            Self::InsufficientPermissions => "The audit role does not have the permissions that the check needs.",
            Self::AuditCheckDisabled => "The check was disabled before the audit came to it.",
        }
    }
}

/// One check of an audit.
#[derive(Clone, Debug)]
pub struct CheckRun {
    /// How it stands.
    pub status: CheckRunStatus,
    /// Resources looked at.
    pub total: usize,
    /// Resources with a violation, suppressed ones included.
    pub non_compliant: usize,
    /// Those of them that are suppressed.
    pub suppressed: usize,
    /// Why it failed.
    pub failure: Option<CheckFailure>,
}

impl CheckRun {
    /// A check in this state that has counted nothing.
    pub(super) fn new(status: CheckRunStatus) -> Self {
        Self { status, total: 0, non_compliant: 0, suppressed: 0, failure: None }
    }

    /// Whether the audit is done with it.
    pub fn ended(&self) -> bool {
        !matches!(self.status, CheckRunStatus::WaitingForDataCollection | CheckRunStatus::InProgress)
    }
}

/// One audit.
#[derive(Clone, Debug)]
pub struct AuditTask {
    /// How it stands.
    pub status: TaskStatus,
    /// Started at, epoch milliseconds.
    pub start_ms: i64,
    /// The schedule that started it; `None` for an on-demand audit.
    pub scheduled_audit_name: Option<String>,
    /// Connections are looked at from two hours before this time on, epoch milliseconds: the start of the schedule's audit
    /// before this one. `None`: those of 31 days.
    pub since_ms: Option<i64>,
    /// Its checks by name.
    pub checks: BTreeMap<String, CheckRun>,
    /// What it found.
    pub findings: Vec<Arc<Finding>>,
}

impl AuditTask {
    /// `ON_DEMAND_AUDIT_TASK` or `SCHEDULED_AUDIT_TASK`.
    pub fn task_type(&self) -> &'static str {
        if self.scheduled_audit_name.is_some() { "SCHEDULED_AUDIT_TASK" } else { "ON_DEMAND_AUDIT_TASK" }
    }

    /// How many checks stand so.
    pub fn count(&self, status: CheckRunStatus) -> usize {
        self.checks.values().filter(|run| run.status == status).count()
    }
}

impl Fleet {
    /// Lets every check but the certificate age check be audited, as the AWS console does when audits are first set up,
    /// and has summaries published to `topic_arn` if one is given.
    pub fn enable_audits(&mut self, topic_arn: Option<&str>) {
        let role_arn = format!("arn:aws:iam::{}:role/AWSIoTDeviceDefenderAudit", self.account);
        let configuration = &mut self.defender.configuration;
        for check in CHECKS.iter().filter(|check| check.name != AGE_CHECK) {
            configuration.checks.entry(check.name.to_owned()).or_default().enabled = true;
        }
        if let Some(topic_arn) = topic_arn {
            configuration.sns_target = Some(NotificationTarget {
                target_arn: topic_arn.to_owned(),
                role_arn: role_arn.clone(),
                enabled: true,
            });
        }
        configuration.role_arn.get_or_insert(role_arn);
    }

    /// `StartOnDemandAuditTask`: the task's id. Not idempotent: every call starts another audit. It ends when the
    /// service gets to [`Effect::RunAudit`].
    pub fn start_audit(&mut self, checks: &[String]) -> Result<String, IotError> {
        if checks.is_empty() {
            return Err(IotError::invalid("targetCheckNames must name at least one check"));
        }
        self.require_enabled(checks)?;
        // Scheduled audits do not count (AWS General Reference: "simultaneous in-progress on-demand audits").
        let on_demand =
            |audit: &&AuditTask| audit.status == TaskStatus::InProgress && audit.scheduled_audit_name.is_none();
        let running = self.defender.audits.values().filter(on_demand).count();
        if running >= MAX_AUDITS_IN_PROGRESS {
            return Err(IotError::limit(format!("{running} on-demand audits are in progress, which is the limit")));
        }
        Ok(self.begin_audit(checks, None, None))
    }

    /// Puts an audit to work: its task id.
    pub(super) fn begin_audit(
        &mut self,
        checks: &[String],
        scheduled_audit_name: Option<String>,
        since_ms: Option<i64>,
    ) -> String {
        let waiting = CheckRun::new(CheckRunStatus::WaitingForDataCollection);
        let audit = AuditTask {
            status: TaskStatus::InProgress,
            start_ms: self.now_ms(),
            scheduled_audit_name,
            since_ms,
            checks: checks.iter().map(|name| (name.clone(), waiting.clone())).collect(),
            findings: Vec::new(),
        };
        let task_id = self.new_task_id();
        self.defender.audits.insert(task_id.clone(), audit);
        self.defender.audit_order.push(task_id.clone());
        self.defender.effects.push(Effect::RunAudit(task_id.clone()));
        task_id
    }

    /// Refuses checks that do not exist or are not enabled, by name.
    pub(super) fn require_enabled(&self, checks: &[String]) -> Result<(), IotError> {
        for name in checks {
            require_check(name)?;
            if !self.defender.configuration.enabled(name) {
                return Err(IotError::invalid(format!(
                    "The check {name} is not enabled; enable it with UpdateAccountAuditConfiguration"
                )));
            }
        }
        Ok(())
    }

    /// `DescribeAuditTask`.
    pub fn audit(&self, task_id: &str) -> Result<&AuditTask, IotError> {
        self.defender
            .audits
            .get(task_id)
            .ok_or_else(|| IotError::not_found(format!("Audit task {task_id} does not exist")))
    }

    /// `CancelAuditTask`: only while it is in progress. Checks that are done stay done; the others did not run (botocore,
    /// `TaskStatistics$canceledChecks`).
    pub fn cancel_audit(&mut self, task_id: &str) -> Result<(), IotError> {
        if self.audit(task_id)?.status != TaskStatus::InProgress {
            return Err(IotError::invalid(format!("Audit task {task_id} is not in progress")));
        }
        if let Some(audit) = self.defender.audits.get_mut(task_id) {
            audit.status = TaskStatus::Canceled;
            for run in audit.checks.values_mut().filter(|run| !run.ended()) {
                run.status = CheckRunStatus::Canceled;
            }
        }
        Ok(())
    }
}

/// The check, or the error that the API gives for an unknown one.
pub(super) fn require_check(name: &str) -> Result<&'static Check, IotError> {
    find_check(name).ok_or_else(|| IotError::invalid(format!("{name} is not the name of an audit check")))
}
