//! Audits: one run of Device Defender's checks over the account.

use super::Console;
use crate::aws::{CallError, Effect, classify};
use crate::finding::{CheckSummary, catalogue};
use aws_sdk_iot::types::AuditCheckDetails;
use std::collections::BTreeMap;

/// `DescribeAuditTask`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// The task's id.
    pub task_id: String,
    /// `IN_PROGRESS`, `COMPLETED`, `FAILED` or `CANCELED` (free string).
    pub status: String,
    /// `ON_DEMAND_AUDIT_TASK` or `SCHEDULED_AUDIT_TASK` (free string).
    pub task_type: String,
    /// Which schedule started it, if one did.
    pub scheduled_audit: Option<String>,
    /// When it began, milliseconds since the epoch.
    pub started_at: Option<i64>,
    /// Its checks, by name. Besides the notification's statuses there are `IN_PROGRESS` and `WAITING_FOR_DATA_COLLECTION`.
    pub checks: Vec<CheckSummary>,
}

impl Audit {
    /// It goes on.
    pub fn is_in_progress(&self) -> bool {
        self.status == "IN_PROGRESS"
    }

    /// Checks that have ended, however.
    pub fn checks_done(&self) -> usize {
        self.checks.iter().filter(|check| is_done(check)).count()
    }

    /// Whether no findings of these checks, all if none is named, means that nothing was found: the audit came to its end, and did not
    /// fail at all of them.
    pub fn answers(&self, checks: &[String]) -> bool {
        let asked = self.checks.iter().filter(|check| checks.is_empty() || checks.contains(&check.check));
        let failed = asked.map(|check| check.status.as_str()).all(|status| matches!(status, "FAILED" | "CANCELED"));
        self.status == "COMPLETED" && !failed
    }

    /// Why the audit is no full answer, a clause for each check that failed and one for an audit that was cancelled; none if all went
    /// well. Of an audit that goes on it tells what has failed so far.
    pub fn troubles(&self) -> Vec<String> {
        let failed = self.checks.iter().filter(|check| check.status == "FAILED");
        let mut troubles: Vec<String> = failed.map(trouble_of).collect();
        let canceled = self.checks.iter().filter(|check| check.status == "CANCELED").count();
        if self.status == "CANCELED" || canceled > 0 {
            troubles.push(format!("it was cancelled before {canceled} of {} checks were done", self.checks.len()));
        }
        if self.status == "FAILED" && troubles.is_empty() {
            troubles.push("Device Defender does not say why".to_owned());
        }
        troubles
    }
}

/// The check has ended, however.
pub fn is_done(check: &CheckSummary) -> bool {
    !matches!(check.status.as_str(), "IN_PROGRESS" | "WAITING_FOR_DATA_COLLECTION")
}

/// Why a check failed, and what can be done about the two reasons that the API documents.
fn trouble_of(check: &CheckSummary) -> String {
    let name = &check.check;
    let code = check.error_code.as_deref().unwrap_or("for a reason that is not told");
    let message =
        check.message.as_ref().map(|message| format!(" ({})", message.trim_end_matches('.'))).unwrap_or_default();
    let advice = what_to_do(code, name).map(|advice| format!(": {advice}")).unwrap_or_default();
    format!("{name} failed, {code}{message}{advice}")
}

/// What can be done about a check that failed for this reason, a clause; `None` where nobody knows.
pub fn what_to_do(code: &str, check: &str) -> Option<String> {
    match code {
        "INSUFFICIENT_PERMISSIONS" => Some(
            "the audit role lacks permissions, see `fleetwarden audit settings show`; the managed policy AWSIoTDeviceDefenderAudit \
             has them"
                .to_owned(),
        ),
        "AUDIT_CHECK_DISABLED" => Some(format!("enable it with `fleetwarden audit settings set --enable {check}`")),
        _ => None,
    }
}

impl Console {
    /// `DescribeAuditTask`.
    ///
    /// # Errors
    ///
    /// Class `Gone` when there is no audit of that id: it never was, or it is older than 90 days.
    pub async fn audit(&self, task_id: &str) -> Result<Audit, CallError> {
        self.look(|| async {
            let answer = self.iot().describe_audit_task().task_id(task_id).send().await;
            let answer = answer.map_err(|error| classify("DescribeAuditTask", Effect::Read, error))?;
            let details = answer.audit_details.unwrap_or_default().into_iter();
            let details: BTreeMap<String, AuditCheckDetails> = details.collect();
            Ok(Audit {
                task_id: task_id.to_owned(),
                status: answer.task_status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
                task_type: answer.task_type.map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
                scheduled_audit: answer.scheduled_audit_name,
                started_at: answer.task_start_time.and_then(|time| time.to_millis().ok()),
                checks: details.into_iter().map(|(check, details)| summary_of(&check, details)).collect(),
            })
        })
        .await
    }
}

fn summary_of(check: &str, details: AuditCheckDetails) -> CheckSummary {
    let count = |count: Option<i64>| u64::try_from(count.unwrap_or(0)).unwrap_or(0);
    CheckSummary {
        check: catalogue::modern_name(check).to_owned(),
        status: details.check_run_status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
        non_compliant: count(details.non_compliant_resources_count),
        suppressed: count(details.suppressed_non_compliant_resources_count),
        total: count(details.total_resources_count),
        error_code: details.error_code,
        message: details.message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, status: &str, error_code: Option<&str>) -> CheckSummary {
        CheckSummary {
            check: name.to_owned(),
            status: status.to_owned(),
            non_compliant: 0,
            suppressed: 0,
            total: 0,
            error_code: error_code.map(str::to_owned),
            message: error_code.map(|_| "It says so.".to_owned()),
        }
    }

    fn audit(status: &str, checks: Vec<CheckSummary>) -> Audit {
        Audit {
            task_id: "t".to_owned(),
            status: status.to_owned(),
            task_type: "ON_DEMAND_AUDIT_TASK".to_owned(),
            scheduled_audit: None,
            started_at: None,
            checks,
        }
    }

    #[test]
    fn each_failed_check_is_told_with_what_to_do() {
        let checks = vec![
            check("A_CHECK", "FAILED", Some("AUDIT_CHECK_DISABLED")),
            check("B_CHECK", "FAILED", Some("INSUFFICIENT_PERMISSIONS")),
            check("C_CHECK", "FAILED", Some("NEW_CODE")),
            check("D_CHECK", "COMPLETED_NON_COMPLIANT", None),
        ];
        let troubles = audit("FAILED", checks).troubles();
        assert_eq!(troubles.len(), 3);
        assert!(
            troubles[0].ends_with("(It says so): enable it with `fleetwarden audit settings set --enable A_CHECK`")
        );
        assert!(troubles[1].contains("AWSIoTDeviceDefenderAudit"));
        assert_eq!(troubles[2], "C_CHECK failed, NEW_CODE (It says so)");
    }

    #[test]
    fn a_cancelled_audit_and_one_that_failed_for_no_told_reason_are_troubles_and_a_completed_one_is_not() {
        let canceled = audit("CANCELED", vec![check("A", "CANCELED", None), check("B", "COMPLETED_COMPLIANT", None)]);
        assert_eq!(canceled.troubles(), ["it was cancelled before 1 of 2 checks were done"]);
        assert_eq!(audit("FAILED", Vec::new()).troubles().len(), 1);
        assert!(audit("COMPLETED", vec![check("A", "COMPLETED_NON_COMPLIANT", None)]).troubles().is_empty());
        let running =
            audit("IN_PROGRESS", vec![check("A", "WAITING_FOR_DATA_COLLECTION", None), check("B", "FAILED", None)]);
        assert_eq!(running.checks_done(), 1);
    }
}
