//! Checks that an audit could not make, as an expansion's record has them: one step each.

use super::console::what_to_do;
use crate::finding::{AuditSummary, CheckSummary};
use crate::ledger::{Step, StepOutcome};

/// The action of such a step.
pub const CHECK: &str = "CHECK";

/// Device Defender has 17 checks. A summary that says more failed keeps the first of them, for an item holds 400 KB.
const MOST: usize = 50;

/// Characters of a message that are kept.
const MESSAGE: usize = 500;

/// Characters of a code that are kept: AWS's have some twenty.
const CODE: usize = 100;

/// What is said of a check that failed without a code.
const NO_CODE: &str = "FAILED";

/// The checks of the audit that failed, to be put on record at `now`, milliseconds since the epoch.
pub fn failed_checks(summary: &AuditSummary, now: i64) -> Vec<Step> {
    let failed = |check: &&CheckSummary| check.error_code.is_some() || check.status == "FAILED";
    let step = |check: &CheckSummary| {
        let code: String = check.error_code.as_deref().unwrap_or(NO_CODE).chars().take(CODE).collect();
        let message: String = check.message.as_deref().unwrap_or_default().chars().take(MESSAGE).collect();
        let detail = if message.is_empty() { code } else { format!("{code}: {message}") };
        Step {
            action: CHECK.to_owned(),
            target: check.check.clone(),
            prior: None,
            outcome: StepOutcome::Failed,
            detail,
            at: now,
            request_id: None,
        }
    };
    summary.checks.iter().filter(failed).take(MOST).map(step).collect()
}

/// A check that failed, read from a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedCheck {
    /// Which one.
    pub check: String,
    /// `INSUFFICIENT_PERMISSIONS`, `AUDIT_CHECK_DISABLED` or another (free string).
    pub code: String,
    /// What came with the code; may be empty.
    pub message: String,
}

impl FailedCheck {
    /// What the step tells; `None` of a step that is about something else.
    pub fn of(step: &Step) -> Option<Self> {
        if step.action != CHECK || step.outcome != StepOutcome::Failed {
            return None;
        }
        let (code, message) = step.detail.split_once(": ").unwrap_or((&step.detail, ""));
        Some(Self { check: step.target.clone(), code: code.to_owned(), message: message.to_owned() })
    }

    /// What to do about it, a clause.
    pub fn advice(&self) -> String {
        what_to_do(&self.code, &self.check)
            .unwrap_or_else(|| "see what Device Defender says of it, and audit again".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(checks: &[(&str, &str, Option<&str>, Option<&str>)]) -> AuditSummary {
        let check = |(name, status, code, message): &(&str, &str, Option<&str>, Option<&str>)| CheckSummary {
            check: (*name).to_owned(),
            status: (*status).to_owned(),
            non_compliant: 0,
            suppressed: 0,
            total: 0,
            error_code: code.map(str::to_owned),
            message: message.map(str::to_owned),
        };
        AuditSummary {
            account: "123456789012".to_owned(),
            region: "us-east-1".to_owned(),
            task_id: "audit-1".to_owned(),
            task_status: "FAILED".to_owned(),
            task_type: "ON_DEMAND_AUDIT_TASK".to_owned(),
            scheduled_audit: None,
            started_at: None,
            checks: checks.iter().map(check).collect(),
            replay_id: None,
        }
    }

    #[test]
    fn each_check_that_failed_is_a_step_that_tells_its_code_its_message_and_what_to_do() {
        let summary = summary(&[
            ("A", "COMPLETED_NON_COMPLIANT", None, None),
            ("B", "FAILED", Some("INSUFFICIENT_PERMISSIONS"), Some("not authorized: iot:ListPolicies")),
            ("C", "FAILED", Some("AUDIT_CHECK_DISABLED"), None),
            ("D", "FAILED", None, None),
            ("E", "CANCELED", None, None),
        ]);
        let steps = failed_checks(&summary, 7);
        assert!(steps.iter().all(|step| step.action == CHECK && step.outcome == StepOutcome::Failed && step.at == 7));
        let failed: Vec<_> = steps.iter().filter_map(FailedCheck::of).collect();
        let told: Vec<_> = failed
            .iter()
            .map(|failed| (failed.check.as_str(), failed.code.as_str(), failed.message.as_str()))
            .collect();
        let permissions = ("B", "INSUFFICIENT_PERMISSIONS", "not authorized: iot:ListPolicies");
        assert_eq!(told, [permissions, ("C", "AUDIT_CHECK_DISABLED", ""), ("D", "FAILED", "")]);
        assert!(failed[0].advice().contains("audit role"), "{}", failed[0].advice());
        assert!(failed[1].advice().ends_with("audit settings set --enable C`"), "{}", failed[1].advice());
        let other = Step { action: "UPDATE_DEVICE_CERTIFICATE".to_owned(), ..steps[0].clone() };
        assert_eq!(FailedCheck::of(&other), None);
    }

    #[test]
    fn what_is_kept_of_failed_checks_fits_an_item_of_the_ledger_whatever_a_summary_says() {
        let long = "ä".repeat(100_000);
        let checks: Vec<_> = (0..5_000).map(|_| ("A", "FAILED", Some("CODE"), Some(long.as_str()))).collect();
        let steps = serde_json::to_string(&failed_checks(&summary(&checks), 7)).unwrap();
        assert!(steps.len() < 100 * 1024, "{}", steps.len());
    }
}
