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
}

impl Console {
    /// `DescribeAuditTask`.
    ///
    /// # Errors
    ///
    /// Class `Gone` when there is no audit of that id: it never was, or it is older than 90 days.
    pub async fn audit(&self, task_id: &str) -> Result<Audit, CallError> {
        self.call(|| async {
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
