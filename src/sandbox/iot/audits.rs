//! Audit tasks: starting, cancelling and finishing one, and what is told about it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::checks::{AGE_CHECK, CHECKS, Check, find_check};
use super::defender::{CheckConfiguration, Effect, Finding, NotificationTarget, TaskStatus};
use super::error::IotError;
use super::fleet::Fleet;

/// On-demand audits that may be in progress at one time (AWS General Reference, Device Defender limits).
const MAX_AUDITS_IN_PROGRESS: usize = 10;

/// How one check of an audit stands (`AuditCheckRunStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckRunStatus {
    /// Not evaluated yet.
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
            Self::InProgress => "IN_PROGRESS",
            Self::Compliant => "COMPLETED_COMPLIANT",
            Self::NonCompliant => "COMPLETED_NON_COMPLIANT",
            Self::Failed => "FAILED",
            Self::Canceled => "CANCELED",
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
    /// Why it failed: `INSUFFICIENT_PERMISSIONS` or `AUDIT_CHECK_DISABLED`.
    pub error_code: Option<&'static str>,
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

    fn summary(&self, account: &str, task_id: &str) -> Value {
        let details = self.checks.iter().map(|(name, run)| {
            let mut detail = json!({
                "checkName": name,
                "checkRunStatus": run.status.as_str(),
                "nonCompliantResourcesCount": run.non_compliant,
                "totalResourcesCount": run.total,
                "suppressedNonCompliantResourcesCount": run.suppressed,
            });
            if let Some(code) = run.error_code {
                detail["errorCode"] = json!(code);
                detail["message"] = json!(error_message(code));
            }
            detail
        });
        let mut summary = json!({
            "accountId": account,
            "taskId": task_id,
            "taskStatus": self.status.as_str(),
            "taskType": self.task_type(),
            "failedChecksCount": self.count(CheckRunStatus::Failed),
            "canceledChecksCount": self.count(CheckRunStatus::Canceled),
            "nonCompliantChecksCount": self.count(CheckRunStatus::NonCompliant),
            "compliantChecksCount": self.count(CheckRunStatus::Compliant),
            "totalChecksCount": self.checks.len(),
            "taskStartTime": self.start_ms,
            "auditDetails": details.collect::<Vec<_>>(),
        });
        if let Some(name) = &self.scheduled_audit_name {
            summary["scheduledAuditName"] = json!(name);
        }
        summary
    }
}

/// What a check's error code means.
pub(super) fn error_message(code: &str) -> &'static str {
    match code {
        "AUDIT_CHECK_DISABLED" => "The check was disabled before the audit came to it.",
        _ => "The check could not be performed.",
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
        for name in checks {
            require_check(name)?;
            if !self.defender.configuration.enabled(name) {
                return Err(IotError::invalid(format!(
                    "The check {name} is not enabled; enable it with UpdateAccountAuditConfiguration"
                )));
            }
        }
        let running = self.defender.audits.values().filter(|audit| audit.status == TaskStatus::InProgress).count();
        if running >= MAX_AUDITS_IN_PROGRESS {
            return Err(IotError::limit(format!("{running} on-demand audits are in progress, which is the limit")));
        }
        let run = CheckRun {
            status: CheckRunStatus::InProgress,
            total: 0,
            non_compliant: 0,
            suppressed: 0,
            error_code: None,
        };
        let audit = AuditTask {
            status: TaskStatus::InProgress,
            start_ms: self.now_ms(),
            scheduled_audit_name: None,
            checks: checks.iter().map(|name| (name.clone(), run.clone())).collect(),
            findings: Vec::new(),
        };
        let task_id = self.new_task_id();
        self.defender.audits.insert(task_id.clone(), audit);
        self.defender.audit_order.push(task_id.clone());
        self.defender.effects.push(Effect::RunAudit(task_id.clone()));
        Ok(task_id)
    }

    /// `DescribeAuditTask`.
    pub fn audit(&self, task_id: &str) -> Result<&AuditTask, IotError> {
        self.defender
            .audits
            .get(task_id)
            .ok_or_else(|| IotError::not_found(format!("Audit task {task_id} does not exist")))
    }

    /// `CancelAuditTask`: only while it is in progress.
    pub fn cancel_audit(&mut self, task_id: &str) -> Result<(), IotError> {
        if self.audit(task_id)?.status != TaskStatus::InProgress {
            return Err(IotError::invalid(format!("Audit task {task_id} is not in progress")));
        }
        if let Some(audit) = self.defender.audits.get_mut(task_id) {
            audit.status = TaskStatus::Canceled;
            for run in audit.checks.values_mut() {
                run.status = CheckRunStatus::Canceled;
            }
        }
        Ok(())
    }

    /// Evaluates the checks of an audit over the fleet as it is now and completes it; one that was cancelled stays so.
    /// Returns the topic and text of the summary to publish, if the account wants summaries.
    pub fn finish_audit(&mut self, task_id: &str) -> Option<(String, String)> {
        let audit = self.defender.audits.get(task_id)?;
        if audit.status == TaskStatus::InProgress {
            let (names, start_ms) = (audit.checks.keys().cloned().collect::<Vec<_>>(), audit.start_ms);
            let mut runs = BTreeMap::new();
            let mut findings = Vec::new();
            for check in names.iter().filter_map(|name| find_check(name)) {
                runs.insert(check.name.to_owned(), self.run_check(check, task_id, start_ms, &mut findings));
            }
            let failed = runs.values().any(|run| run.status == CheckRunStatus::Failed);
            let findings = findings.into_iter().map(|finding| self.defender.keep(finding)).collect();
            if let Some(audit) = self.defender.audits.get_mut(task_id) {
                audit.status = if failed { TaskStatus::Failed } else { TaskStatus::Completed };
                (audit.checks, audit.findings) = (runs, findings);
            }
        }
        let target = self.defender.configuration.sns_target.as_ref().filter(|target| target.enabled)?;
        let summary = self.defender.audits.get(task_id)?.summary(&self.account, task_id);
        Some((target.target_arn.clone(), summary.to_string()))
    }

    fn run_check(&mut self, check: &Check, task_id: &str, start_ms: i64, findings: &mut Vec<Finding>) -> CheckRun {
        let mut run =
            CheckRun { status: CheckRunStatus::Failed, total: 0, non_compliant: 0, suppressed: 0, error_code: None };
        let configuration: CheckConfiguration =
            self.defender.configuration.checks.get(check.name).cloned().unwrap_or_default();
        if !configuration.enabled {
            run.error_code = Some("AUDIT_CHECK_DISABLED");
            return run;
        }
        let evaluation = check.evaluate(self, &configuration.configuration);
        let mut resources = HashSet::new();
        for violation in evaluation.violations {
            let suppressed = self.suppressed(check.name, &violation.resource.identifier);
            if resources.insert(violation.resource.identifier.to_string()) {
                run.non_compliant += 1;
                run.suppressed += usize::from(suppressed);
            }
            findings.push(Finding {
                finding_id: self.new_uuid(),
                task_id: task_id.to_owned(),
                check_name: check.name.to_owned(),
                task_start_ms: start_ms,
                finding_ms: self.now_ms(),
                severity: check.severity.to_owned(),
                resource: violation.resource,
                related: violation.related,
                reason_for_non_compliance: violation.reason,
                reason_for_non_compliance_code: violation.code,
                is_suppressed: suppressed,
            });
        }
        run.total = evaluation.total;
        let clean = run.non_compliant == run.suppressed;
        run.status = if clean { CheckRunStatus::Compliant } else { CheckRunStatus::NonCompliant };
        run
    }

    /// Puts in a finding that no audit of this fleet made, in the form in which it is published to SNS (or as the REST
    /// API shows it: times in seconds), so that `DescribeAuditFinding` knows it. Its audit is put in too, completed, if
    /// there is none of that id. A finding whose id is known already is left as it is.
    pub fn plant_finding(&mut self, finding: &Value) -> Result<(), IotError> {
        let mut finding = finding.clone();
        for time in ["findingTime", "taskStartTime"] {
            if let Some(seconds) = finding.get(time).and_then(Value::as_f64).filter(|time| *time < 1e11) {
                finding[time] = json!(super::call::seconds_to_ms(seconds));
            }
        }
        let finding: Finding = serde_json::from_value(finding)
            .map_err(|error| IotError::invalid(format!("this is not an audit finding: {error}")))?;
        if self.defender.finding(&finding.finding_id).is_some() {
            return Ok(());
        }
        let finding = self.defender.keep(finding);
        let known = self.defender.audits.contains_key(&finding.task_id);
        if !known {
            self.defender.audit_order.push(finding.task_id.clone());
        }
        let audit = self.defender.audits.entry(finding.task_id.clone()).or_insert_with(|| AuditTask {
            status: TaskStatus::Completed,
            start_ms: finding.task_start_ms,
            scheduled_audit_name: None,
            checks: BTreeMap::new(),
            findings: Vec::new(),
        });
        let run = audit.checks.entry(finding.check_name.clone()).or_insert(CheckRun {
            status: CheckRunStatus::NonCompliant,
            total: 0,
            non_compliant: 0,
            suppressed: 0,
            error_code: None,
        });
        run.total += 1;
        run.non_compliant += 1;
        audit.findings.push(finding);
        Ok(())
    }
}

/// The check, or the error that the API gives for an unknown one.
pub(super) fn require_check(name: &str) -> Result<&'static Check, IotError> {
    find_check(name).ok_or_else(|| IotError::invalid(format!("{name} is not the name of an audit check")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet() -> Fleet {
        let mut fleet = Fleet::new("123456789012", "us-east-1", 1, 1_791_000_000_000);
        fleet.enable_audits(Some("arn:aws:sns:us-east-1:123456789012:Audits"));
        fleet
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn every_audit_makes_new_finding_ids_for_the_same_defect() {
        let mut fleet = fleet();
        let mut ids = Vec::new();
        for _ in 0..2 {
            let task = fleet.start_audit(&names(&["LOGGING_DISABLED_CHECK"])).unwrap();
            fleet.finish_audit(&task);
            ids.push(fleet.audit(&task).unwrap().findings[0].finding_id.clone());
        }
        assert_ne!(ids[0], ids[1]);
        assert!(ids.iter().all(|id| fleet.defender.finding(id).is_some()));
    }

    #[test]
    fn the_summary_counts_checks_and_carries_details_as_a_list() {
        let mut fleet = fleet();
        let task = fleet.start_audit(&names(&["LOGGING_DISABLED_CHECK", "CA_CERTIFICATE_EXPIRING_CHECK"])).unwrap();
        let (topic, text) = fleet.finish_audit(&task).unwrap();
        let summary: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(topic, "arn:aws:sns:us-east-1:123456789012:Audits");
        assert_eq!(summary["taskStatus"], "COMPLETED");
        assert_eq!((&summary["compliantChecksCount"], &summary["nonCompliantChecksCount"]), (&json!(1), &json!(1)));
        assert_eq!(summary["taskStartTime"], json!(1_791_000_000_000_i64));
        assert_eq!(summary["auditDetails"][1]["checkName"], "LOGGING_DISABLED_CHECK");
        assert_eq!(summary["auditDetails"][1]["nonCompliantResourcesCount"], 1);
    }

    #[test]
    fn a_check_that_is_not_enabled_cannot_be_audited_and_one_disabled_meanwhile_fails() {
        let mut fleet = fleet();
        assert_eq!(fleet.start_audit(&names(&[AGE_CHECK])).unwrap_err().code, "InvalidRequestException");
        assert_eq!(fleet.start_audit(&names(&["NO_SUCH_CHECK"])).unwrap_err().code, "InvalidRequestException");
        let task = fleet.start_audit(&names(&["LOGGING_DISABLED_CHECK"])).unwrap();
        fleet.defender.configuration.checks.get_mut("LOGGING_DISABLED_CHECK").unwrap().enabled = false;
        fleet.finish_audit(&task);
        let audit = fleet.audit(&task).unwrap();
        assert_eq!(audit.status, TaskStatus::Failed);
        assert_eq!(audit.checks["LOGGING_DISABLED_CHECK"].error_code, Some("AUDIT_CHECK_DISABLED"));
    }

    #[test]
    fn the_eleventh_audit_at_one_time_is_over_the_limit() {
        let mut fleet = fleet();
        for _ in 0..10 {
            fleet.start_audit(&names(&["LOGGING_DISABLED_CHECK"])).unwrap();
        }
        let error = fleet.start_audit(&names(&["LOGGING_DISABLED_CHECK"])).unwrap_err();
        assert_eq!((error.code, error.status), ("LimitExceededException", 410));
    }

    #[test]
    fn a_cancelled_audit_finds_nothing_and_cannot_be_cancelled_again() {
        let mut fleet = fleet();
        let task = fleet.start_audit(&names(&["LOGGING_DISABLED_CHECK"])).unwrap();
        fleet.cancel_audit(&task).unwrap();
        assert_eq!(fleet.cancel_audit(&task).unwrap_err().status, 400);
        let (_, summary) = fleet.finish_audit(&task).unwrap();
        assert!(summary.contains("\"CANCELED\""), "{summary}");
        assert!(fleet.audit(&task).unwrap().findings.is_empty());
    }

    #[test]
    fn a_suppressed_violation_is_a_suppressed_finding_and_leaves_the_check_compliant() {
        let mut fleet = fleet();
        fleet
            .create_suppression("LOGGING_DISABLED_CHECK", &json!({"account": "123456789012"}), None, true, None)
            .unwrap();
        let task = fleet.start_audit(&names(&["LOGGING_DISABLED_CHECK"])).unwrap();
        fleet.finish_audit(&task);
        let audit = fleet.audit(&task).unwrap();
        assert!(audit.findings[0].is_suppressed);
        assert_eq!(audit.checks["LOGGING_DISABLED_CHECK"].status, CheckRunStatus::Compliant);
        assert_eq!(audit.checks["LOGGING_DISABLED_CHECK"].suppressed, 1);
    }
}
