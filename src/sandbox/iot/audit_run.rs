//! Performing an audit's checks, one after another, and what is told when it is over.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};

use super::audits::{AuditTask, CheckFailure, CheckRun, CheckRunStatus};
use super::checks::find_check;
use super::defender::{Finding, TaskStatus};
use super::error::IotError;
use super::fleet::Fleet;

impl AuditTask {
    /// The notification that is published at the end of the audit (its published schema is
    /// `arn:aws:iot:::schema:auditnotification/1.0`).
    fn summary(&self, account: &str, task_id: &str) -> Value {
        let details = self.checks.iter().map(|(name, run)| {
            let mut detail = json!({
                "checkName": name,
                "checkRunStatus": run.status.as_str(),
                "nonCompliantResourcesCount": run.non_compliant,
                "totalResourcesCount": run.total,
                "suppressedNonCompliantResourcesCount": run.suppressed,
            });
            if let Some(failure) = run.failure {
                detail["errorCode"] = json!(failure.as_str());
                detail["message"] = json!(failure.message());
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

impl Fleet {
    /// Begins the next check of an audit; `false` when there is none, or when the audit is no longer in progress.
    pub(super) fn begin_check(&mut self, task_id: &str) -> bool {
        let audit = self.defender.audits.get_mut(task_id).filter(|audit| audit.status == TaskStatus::InProgress);
        let next = audit.and_then(|audit| {
            audit.checks.values_mut().find(|run| run.status == CheckRunStatus::WaitingForDataCollection)
        });
        next.map(|run| run.status = CheckRunStatus::InProgress).is_some()
    }

    /// Performs the checks of an audit that have begun, over the fleet as it is now. Their findings can be listed from then
    /// on.
    pub(super) fn end_check(&mut self, task_id: &str) {
        let Some(audit) = self.defender.audits.get(task_id) else {
            return;
        };
        let begun = |(_, run): &(&String, &CheckRun)| run.status == CheckRunStatus::InProgress;
        let names: Vec<String> = audit.checks.iter().filter(begun).map(|(name, _)| name.clone()).collect();
        for name in names {
            let (run, findings) = self.perform_check(&name, task_id);
            let findings: Vec<_> = findings.into_iter().map(|finding| self.defender.keep(finding)).collect();
            if let Some(audit) = self.defender.audits.get_mut(task_id) {
                audit.checks.insert(name, run);
                audit.findings.extend(findings);
            }
        }
    }

    /// Performs what is left of an audit and completes it; one that was cancelled stays so. Returns the topic and text of
    /// the summary to publish, if the account wants summaries.
    ///
    /// An audit in which no check could be performed has failed; with some that could, it is complete, as in the published
    /// example of a notification. (Which of the two AWS says with some failed checks is UNCONFIRMED.)
    pub fn finish_audit(&mut self, task_id: &str) -> Option<(String, String)> {
        while self.begin_check(task_id) {
            self.end_check(task_id);
        }
        self.end_check(task_id);
        let audit = self.defender.audits.get_mut(task_id)?;
        if audit.status == TaskStatus::InProgress {
            let failed = audit.checks.values().all(|run| run.status == CheckRunStatus::Failed);
            audit.status = if failed { TaskStatus::Failed } else { TaskStatus::Completed };
        }
        let target = self.defender.configuration.sns_target.as_ref().filter(|target| target.enabled)?;
        let summary = self.defender.audits.get(task_id)?.summary(&self.account, task_id);
        Some((target.target_arn.clone(), summary.to_string()))
    }

    fn check_failure(&self, check: &str) -> Option<CheckFailure> {
        let disabled = !self.defender.configuration.enabled(check);
        let seeded = self.defender.failing_checks.get(check).copied();
        if disabled { Some(CheckFailure::AuditCheckDisabled) } else { seeded }
    }

    fn perform_check(&mut self, name: &str, task_id: &str) -> (CheckRun, Vec<Finding>) {
        let mut run = CheckRun::new(CheckRunStatus::Failed);
        let (Some(check), Some(audit)) = (find_check(name), self.defender.audits.get(task_id)) else {
            return (run, Vec::new());
        };
        run.failure = self.check_failure(name);
        if run.failure.is_some() {
            return (run, Vec::new());
        }
        let (start_ms, since_ms) = (audit.start_ms, audit.since_ms);
        let thresholds = self.defender.configuration.checks.get(name);
        let thresholds = thresholds.map(|check| check.configuration.clone()).unwrap_or_default();
        let evaluation = check.evaluate_since(self, &thresholds, since_ms);
        let mut resources = HashSet::new();
        let mut findings = Vec::new();
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
        (run, findings)
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
            since_ms: None,
            checks: BTreeMap::new(),
            findings: Vec::new(),
        });
        let run = audit.checks.entry(finding.check_name.clone());
        let run = run.or_insert_with(|| CheckRun::new(CheckRunStatus::NonCompliant));
        run.total += 1;
        run.non_compliant += 1;
        audit.findings.push(finding);
        Ok(())
    }
}
