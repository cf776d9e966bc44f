//! An audit's summary carries counts only; its findings are fetched page by page and go back on the queue, where they meet
//! those that were published one by one: one finding seen by both ways is one record.

use super::failed_checks::FailedCheck;
use crate::aws::{CallError, Class};
use crate::clock::Clock;
use crate::finding::{AuditSummary, Finding, Replay, encode_own};
use crate::ledger::{ClaimRef, Ledger, Lineage, Recording, Step};
use crate::mitigation::{ActionError, IotControl};
use crate::queue::{BATCH, Outgoing, Queue};
use crate::telemetry::Telemetry;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// How far it got: everything before is on the queue. Written after every page, so that a crash repeats at most one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    /// Checks done.
    checks: usize,
    /// Where the current check's pages go on.
    next: Option<String>,
    /// Findings sent so far.
    sent: u64,
}

/// One expansion under way.
pub struct Expansion<'a, Q, L, I> {
    /// Inside the budgets: `ListAuditFindings` allows 10 calls a second.
    pub iot: &'a I,
    /// Where the findings go.
    pub queue: &'a Q,
    /// Where the cursor is kept.
    pub ledger: &'a L,
    /// Who counts.
    pub telemetry: &'a Telemetry,
    /// For the lease.
    pub clock: &'a Clock,
    /// Extended with each page.
    pub lease: Duration,
    /// The claim on `expansion#<taskId>`.
    pub claim: &'a ClaimRef,
    /// What stays on record beside the cursor.
    pub steps: &'a [Step],
    /// The replay that asked for it, if one did: its findings are that replay's too, and get the second chance that it gives.
    pub replay: Option<&'a Lineage>,
}

impl<Q: Queue, L: Ledger, I: IotControl> Expansion<'_, Q, L, I> {
    /// Sends every finding of the audit's non-compliant checks back on the queue, one page in memory at a time. What it did, in
    /// words. Those of an audit that failed or was canceled after some of its checks had completed are as real as any.
    ///
    /// # Errors
    ///
    /// As an action; what was sent before stays sent, and the cursor on record says where to go on.
    pub async fn run(
        &self,
        summary: &AuditSummary,
        cursor: Option<&str>,
        is_ours: impl Fn() -> bool,
    ) -> Result<String, ActionError> {
        let trouble = in_words(summary, self.steps);
        if !matches!(summary.task_status.as_str(), "COMPLETED" | "FAILED" | "CANCELED") {
            return Ok(format!("there is nothing to expand yet{trouble}"));
        }
        let checks = summary.non_compliant_checks();
        let mut cursor: Cursor = cursor.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        // A page token of an earlier claim may have run out meanwhile: its check then begins anew, once.
        let mut resumed = cursor.next.is_some();
        while let Some(check) = checks.get(cursor.checks) {
            if !is_ours() {
                return Err(ActionError::LostClaim);
            }
            let page = self.iot.list_audit_findings(&summary.task_id, check, cursor.next.take()).await;
            if std::mem::take(&mut resumed) && page.as_ref().is_err_and(|error| error.class == Class::Permanent) {
                continue;
            }
            let page = page?;
            let findings: Vec<&Finding> = page.items.iter().filter(|finding| !finding.suppressed).collect();
            for batch in findings.chunks(BATCH) {
                self.send(batch).await?;
            }
            self.telemetry.page_expanded(&summary.task_id, check, findings.len());
            cursor.sent += findings.len() as u64;
            cursor.next = page.next;
            if cursor.next.is_none() {
                cursor.checks += 1;
            }
            let text = serde_json::json!(cursor).to_string();
            self.note(text).await?;
        }
        Ok(format!("{} findings of {} checks went on the queue{trouble}", cursor.sent, checks.len()))
    }

    /// Writes down how far it has come.
    async fn note(&self, cursor: String) -> Result<(), ActionError> {
        let recording = Recording { claim: self.claim.clone(), steps: self.steps.to_vec(), cursor: Some(cursor) };
        let written = self.ledger.record(&[recording], self.clock.now_ms(), self.lease).await?;
        written.into_iter().try_for_each(|result| Ok(result?))
    }

    async fn send(&self, findings: &[&Finding]) -> Result<(), ActionError> {
        let replay = self.replay.map(|Lineage { id, of, by, at, force }| Replay {
            force: *force,
            replay_of: of.clone(),
            by: by.clone(),
            id: Some(id.clone()),
            at: *at,
        });
        let bodies = findings.iter().map(|finding| encode_own(finding, replay.as_ref()));
        let messages: Vec<Outgoing> = bodies.map(|body| Outgoing::new(&body, BTreeMap::new())).collect();
        for result in self.queue.send(&messages).await? {
            // What was sent of the page is sent again with it: duplicates do no harm.
            result.map_err(|error: CallError| match error.class {
                Class::Permanent => CallError { class: Class::Transient, ..error },
                _ => error,
            })?;
        }
        Ok(())
    }
}

/// What was not as it should be with the audit, as the end of a sentence.
fn in_words(summary: &AuditSummary, failed_checks: &[Step]) -> String {
    let mut words = String::new();
    if summary.task_status != "COMPLETED" {
        words = format!("; the audit is {}", summary.task_status);
    }
    if !failed_checks.is_empty() {
        let failed = failed_checks.iter().filter_map(FailedCheck::of);
        let failed: Vec<String> = failed.map(|failed| format!("{} {}", failed.check, failed.code)).collect();
        words.push_str("; failed checks: ");
        words.push_str(&failed.join(", "));
    }
    words
}
