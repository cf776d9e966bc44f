//! The checks that failed in the latest audits, as `status` shows them.

use super::print;
use crate::aws::CallError;
use crate::defender::FailedCheck;
use crate::ledger::{Census, Ledger};
use futures_util::future::try_join_all;
use serde_json::{Value, json};

/// A check that failed in an audit.
#[derive(Debug)]
pub(super) struct Failed {
    task_id: String,
    /// When it was put on record, milliseconds since the epoch.
    at: i64,
    check: FailedCheck,
}

/// Reads the expansions that the census names, all at once. A replay of an audit tells what the audit told: each check once.
///
/// # Errors
///
/// Those of the ledger.
pub(super) async fn read(ledger: &impl Ledger, census: &Census) -> Result<Vec<Failed>, CallError> {
    let records = try_join_all(census.expansions().map(|key| ledger.get(key))).await?;
    let mut failed: Vec<Failed> = Vec::new();
    for record in records.into_iter().flatten() {
        let task_id = record.subject.task_id.unwrap_or_default();
        for step in &record.steps {
            let Some(check) = FailedCheck::of(step) else { continue };
            let known = |known: &Failed| known.task_id == task_id && known.check.check == check.check;
            if !failed.iter().any(known) {
                failed.push(Failed { task_id: task_id.clone(), at: step.at, check });
            }
        }
    }
    Ok(failed)
}

impl Failed {
    pub fn as_json(&self) -> Value {
        let at = jiff::Timestamp::from_millisecond(self.at).map_or(Value::Null, |at| json!(at.to_string()));
        json!({
            "taskId": self.task_id,
            "at": at,
            "check": self.check.check,
            "code": self.check.code,
            "message": self.check.message,
            "advice": self.check.advice(),
        })
    }
}

/// The table; `None` if nothing failed.
pub(super) fn table(failed: &[Failed]) -> Option<String> {
    if failed.is_empty() {
        return None;
    }
    let mut table = print::table(&["audit", "when (UTC)", "failed check", "code", "what to do"]);
    for Failed { task_id, at, check } in failed {
        table.add_row([
            task_id.clone(),
            print::moment(Some(*at)),
            check.check.clone(),
            check.code.clone(),
            check.advice(),
        ]);
    }
    Some(table.to_string())
}
