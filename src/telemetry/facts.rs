//! One function per fact that is logged and counted, and nowhere else.

use crate::aws::CallError;
use crate::budget::{Operation, QuotaSource};
use crate::ledger::{Finish, Status, Subject};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The facts of one worker (or of several in one process) since the start.
#[derive(Debug, Default)]
pub struct Telemetry {
    received: AtomicU64,
    findings: AtomicU64,
    summaries: AtomicU64,
    verified: AtomicU64,
    duplicates: AtomicU64,
    claimed: AtomicU64,
    taken_over: AtomicU64,
    busy: AtomicU64,
    mitigated: AtomicU64,
    compliant: AtomicU64,
    observed: AtomicU64,
    suppressed: AtomicU64,
    held: AtomicU64,
    dead: AtomicU64,
    expanded: AtomicU64,
    waiting: AtomicU64,
    lost_claims: AtomicU64,
    deleted: AtomicU64,
    parked: AtomicU64,
    over_budget: AtomicU64,
    heartbeats: AtomicU64,
    breaker_trips: AtomicU64,
    budget_cuts: AtomicU64,
}

/// A reading of [`Telemetry`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Messages received, redeliveries included.
    pub received: u64,
    /// Findings decoded.
    pub findings: u64,
    /// Audit summaries decoded.
    pub summaries: u64,
    /// Signatures of SNS notifications that were checked and found genuine.
    pub verified: u64,
    /// Messages whose finding needed nothing more.
    pub duplicates: u64,
    /// Claims won.
    pub claimed: u64,
    /// Of them, claims that continued an earlier one.
    pub taken_over: u64,
    /// Claims refused because another lease was live or a retry not due.
    pub busy: u64,
    /// Findings that ended mitigated.
    pub mitigated: u64,
    /// Findings that ended compliant.
    pub compliant: u64,
    /// Findings that ended observed.
    pub observed: u64,
    /// Findings that ended suppressed.
    pub suppressed: u64,
    /// Findings held for a person.
    pub held: u64,
    /// Messages given up, whether or not they held a finding.
    pub dead: u64,
    /// Audit summaries expanded.
    pub expanded: u64,
    /// Transient failures that will be tried again.
    pub waiting: u64,
    /// Writes refused because another epoch owns the record.
    pub lost_claims: u64,
    /// Messages deleted.
    pub deleted: u64,
    /// Messages given back for later.
    pub parked: u64,
    /// Of them, messages whose calls the budgets could not serve soon; each time anew.
    pub over_budget: u64,
    /// Visibility and lease extensions.
    pub heartbeats: u64,
    /// Times the breaker opened.
    pub breaker_trips: u64,
    /// Times this worker cut the fleet's rate of an operation because AWS throttled.
    pub budget_cuts: u64,
}

fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

impl Telemetry {
    /// A reading; counters are read one after the other.
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            received: read(&self.received),
            findings: read(&self.findings),
            summaries: read(&self.summaries),
            verified: read(&self.verified),
            duplicates: read(&self.duplicates),
            claimed: read(&self.claimed),
            taken_over: read(&self.taken_over),
            busy: read(&self.busy),
            mitigated: read(&self.mitigated),
            compliant: read(&self.compliant),
            observed: read(&self.observed),
            suppressed: read(&self.suppressed),
            held: read(&self.held),
            dead: read(&self.dead),
            expanded: read(&self.expanded),
            waiting: read(&self.waiting),
            lost_claims: read(&self.lost_claims),
            deleted: read(&self.deleted),
            parked: read(&self.parked),
            over_budget: read(&self.over_budget),
            heartbeats: read(&self.heartbeats),
            breaker_trips: read(&self.breaker_trips),
            budget_cuts: read(&self.budget_cuts),
        }
    }

    /// The metrics in Prometheus's text format.
    pub fn prometheus(&self) -> String {
        String::new()
    }

    pub(crate) fn worker_started(&self, worker: &str, mode: &str) {
        tracing::info!(worker, mode, "worker started");
    }

    pub(crate) fn http_served(&self, address: std::net::SocketAddr) {
        tracing::info!(%address, "serving /livez, /readyz and /metrics");
    }

    pub(crate) fn quotas_read(&self, operations: usize) {
        tracing::info!(operations, "read quotas from Service Quotas");
    }

    pub(crate) fn quotas_problem(&self, problem: &str) {
        tracing::warn!("{problem}");
    }

    pub(crate) fn quota_differs(&self, operation: Operation, quota: f64, source: QuotaSource) {
        let default = operation.default_quota();
        tracing::info!(%operation, quota, default, %source, "a quota differs from AWS's default");
    }

    pub(crate) fn messages_received(&self, n: usize) {
        add(&self.received, n as u64);
        tracing::debug!(messages = n, "received");
    }

    pub(crate) fn receive_failed(&self, error: &CallError) {
        tracing::warn!(class = %error.class, "failed to {error}");
    }

    pub(crate) fn finding_decoded(&self) {
        add(&self.findings, 1);
    }

    pub(crate) fn summary_decoded(&self) {
        add(&self.summaries, 1);
    }

    pub(crate) fn certificate_fetched(&self, url: &str) {
        tracing::info!(url, "fetched a signing certificate of SNS");
    }

    pub(crate) fn certificate_unreachable(&self, error: &CallError) {
        let advice = "signed messages wait; allow HTTPS to SNS, or take verify_signature out of the policy";
        tracing::warn!(class = %error.class, advice, "failed to fetch a signing certificate: {error}");
    }

    pub(crate) fn signature_verified(&self) {
        add(&self.verified, 1);
    }

    pub(crate) fn claim_won(&self, subject: &Subject, epoch: u64, taken_over: bool) {
        add(&self.claimed, 1);
        if taken_over {
            add(&self.taken_over, 1);
        }
        tracing::debug!(finding = subject.key, check = subject.check, epoch, taken_over, "claimed");
    }

    pub(crate) fn duplicate(&self, key: &str, status: Status) {
        add(&self.duplicates, 1);
        tracing::debug!(finding = key, %status, "duplicate");
    }

    pub(crate) fn follower(&self, key: &str) {
        add(&self.duplicates, 1);
        tracing::debug!(finding = key, "duplicate of a finding in flight here");
    }

    pub(crate) fn claim_busy(&self, key: &str) {
        add(&self.busy, 1);
        tracing::debug!(finding = key, "claimed elsewhere, or not due");
    }

    pub(crate) fn claims_failed(&self, error: &CallError) {
        tracing::warn!(class = %error.class, "failed to claim: {error}");
    }

    pub(crate) fn claim_lost(&self, key: &str) {
        add(&self.lost_claims, 1);
        tracing::warn!(finding = key, "lost the claim to another worker; nothing was written");
    }

    pub(crate) fn finished(&self, finish: &Finish, check: &str, resource: &str) {
        let counter = match finish.status {
            Status::Mitigated => &self.mitigated,
            Status::Compliant => &self.compliant,
            Status::Observed => &self.observed,
            Status::Suppressed => &self.suppressed,
            Status::Held => &self.held,
            Status::Expanded => &self.expanded,
            // Dead letters are counted where they are sent: not all of them are findings.
            Status::Dead => return,
            Status::Waiting | Status::Claimed => {
                add(&self.waiting, 1);
                tracing::info!(
                    finding = finish.claim.key,
                    check,
                    resource,
                    epoch = finish.claim.epoch,
                    attempts = finish.attempts,
                    detail = finish.detail,
                    "will be tried again"
                );
                return;
            }
        };
        add(counter, 1);
        tracing::info!(
            finding = finish.claim.key,
            check,
            resource,
            epoch = finish.claim.epoch,
            rule = finish.rule.as_deref().unwrap_or("-"),
            detail = finish.detail,
            "{}",
            finish.status
        );
    }

    pub(crate) fn finish_failed(&self, key: &str, error: &CallError) {
        tracing::warn!(finding = key, class = %error.class, "failed to finish: {error}");
    }

    pub(crate) fn leave_failed(&self, resource: &str, error: &CallError) {
        tracing::warn!(resource, class = %error.class, "failed to let go of a resource, it frees itself: {error}");
    }

    pub(crate) fn dead_lettered(&self, reason: &str, finding: &str, error: &str) {
        add(&self.dead, 1);
        tracing::warn!(reason, finding, error, "dead letter");
    }

    pub(crate) fn split(&self, parts: usize) {
        tracing::debug!(parts, "a message that held several was split");
    }

    pub(crate) fn split_failed(&self, error: &CallError) {
        tracing::warn!(class = %error.class, "failed to split a message, it is kept: {error}");
    }

    pub(crate) fn dead_letter_failed(&self, error: &CallError) {
        tracing::warn!(class = %error.class, "failed to send a dead letter, the message is kept: {error}");
    }

    pub(crate) fn deleted(&self, n: usize) {
        add(&self.deleted, n as u64);
    }

    pub(crate) fn parked(&self, n: usize) {
        add(&self.parked, n as u64);
    }

    pub(crate) fn over_budget(&self, key: &str, operation: Operation, back_in: Duration) {
        add(&self.over_budget, 1);
        tracing::debug!(finding = key, %operation, seconds = back_in.as_secs(), "parked: its budget cannot serve it soon");
    }

    pub(crate) fn acknowledgement_failed(&self, error: &CallError) {
        tracing::warn!(class = %error.class, "failed to acknowledge, the message will come again: {error}");
    }

    pub(crate) fn heartbeat(&self, n: usize) {
        add(&self.heartbeats, n as u64);
    }

    pub(crate) fn heartbeat_failed(&self, error: &CallError) {
        tracing::warn!(class = %error.class, "failed to extend: {error}");
    }

    pub(crate) fn breaker_opened(&self, reason: &str, seconds: u64) {
        add(&self.breaker_trips, 1);
        tracing::error!(reason, seconds, "unhealthy: receiving is paused");
    }

    pub(crate) fn breaker_closed(&self) {
        tracing::info!("healthy again");
    }

    pub(crate) fn budget_cut(&self, operation: Operation, rate: f64) {
        add(&self.budget_cuts, 1);
        let percent = (rate * 100.0).round();
        tracing::warn!(%operation, percent, "AWS throttles although the fleet keeps its budget: the fleet's rate is cut");
    }

    pub(crate) fn budget_not_cut(&self, operation: Operation, error: &CallError) {
        tracing::warn!(%operation, class = %error.class, "the fleet's rate could not be cut: {error}");
    }

    pub(crate) fn budget_unreachable(&self, operation: Operation, error: &CallError) {
        tracing::warn!(%operation, class = %error.class, "the fleet's budget is out of reach, going on at the rate had last: {error}");
    }

    pub(crate) fn budget_reachable(&self, operation: Operation) {
        tracing::info!(%operation, "the fleet's budget is within reach again");
    }

    /// `first` is a warning; the ledger is told of by other means when it stays away.
    pub(crate) fn not_announced(&self, error: &CallError, first: bool) {
        if first {
            tracing::warn!(class = %error.class, "this worker may be missing or out of date in `fleetwarden status`: failed to {error}");
        } else {
            tracing::debug!(class = %error.class, "failed to {error}");
        }
    }

    pub(crate) fn draining(&self, in_flight: usize) {
        tracing::info!(in_flight, "draining");
    }

    pub(crate) fn drained(&self, cut_short: bool) {
        tracing::info!(cut_short, "drained");
    }

    pub(crate) fn task_panicked(&self, key: &str) {
        tracing::error!(finding = key, "a mitigation panicked: this is a bug; the finding will be tried again");
    }

    pub(crate) fn audit_page_read(&self, task: &str, check: &str, findings: usize) {
        tracing::debug!(task, check, findings, "a page of an audit authenticates its findings");
    }

    pub(crate) fn audit_page_failed(&self, task: &str, check: &str, error: &CallError) {
        let advice = error.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
        tracing::warn!(task, check, class = %error.class, "findings are authenticated one by one: failed to {error}{advice}");
    }

    pub(crate) fn page_expanded(&self, task: &str, check: &str, findings: usize) {
        tracing::info!(task, check, findings, "audit expanded by a page");
    }
}
