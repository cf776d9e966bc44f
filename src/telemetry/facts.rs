//! One function per fact that is logged and counted, and nowhere else.

use super::labels;
use super::metrics::Metrics;
use super::watch::Watching;
use crate::aws::{CallError, CallObserver, Class};
use crate::budget::{Operation, QuotaSource};
use crate::ledger::{Claim, Finish, Record, Status, Step, StepOutcome, Subject};
use std::sync::Mutex;
use std::time::Duration;

/// The facts of one worker (or of several in one process) since the start.
#[derive(Debug)]
pub struct Telemetry {
    pub(super) metrics: Metrics,
    pub(super) watching: Mutex<Watching>,
}

impl Default for Telemetry {
    fn default() -> Self {
        let metrics = Metrics::default();
        for reason in labels::reasons() {
            metrics.dead_letters.of([reason]);
        }
        Self { metrics, watching: Mutex::default() }
    }
}

/// Request ids that one line names, a comma between them; the record has them all.
const MAX_REQUESTS: usize = 5;

/// The finding's id, for the ledger's key; an audit's expansion stays as it is.
fn id(key: &str) -> &str {
    key.strip_prefix("finding#").unwrap_or(key)
}

/// What every line about a finding names: its id, its check, its resource.
fn named(subject: &Subject) -> (&str, &str, &str) {
    (id(&subject.key), &subject.check, &subject.resource_id)
}

/// Whether an earlier claim told of the step. Each attempt looks anew at what is in order, and puts its own time on it; a change keeps
/// the time when it was made.
fn is_same(known: &Step, step: &Step) -> bool {
    let same = (&known.action, &known.target, known.outcome) == (&step.action, &step.target, step.outcome);
    same && (step.outcome != StepOutcome::Changed || known.at == step.at)
}

impl Telemetry {
    pub(crate) fn worker_started(&self, worker: &str, mode: &'static str) {
        self.metrics.build_info.of([env!("CARGO_PKG_VERSION"), mode]).set(1.0);
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
        self.metrics.messages_received.inc_by(n as u64);
        tracing::debug!(messages = n, "received");
    }

    pub(crate) fn receive_failed(&self, error: &CallError) {
        tracing::warn!(class = %error.class, request_id = error.request_id, "failed to {error}");
    }

    pub(crate) fn finding_decoded(&self) {
        self.metrics.findings_received.inc();
    }

    pub(crate) fn summary_decoded(&self) {
        self.metrics.summaries_received.inc();
    }

    pub(crate) fn certificate_fetched(&self, url: &str) {
        tracing::info!(url, "fetched a signing certificate of SNS");
    }

    pub(crate) fn certificate_unreachable(&self, error: &CallError) {
        let advice = "signed messages wait; allow HTTPS to SNS, or take verify_signature out of the policy";
        tracing::warn!(class = %error.class, request_id = error.request_id, advice, "failed to fetch a signing certificate: {error}");
    }

    pub(crate) fn signature_verified(&self) {
        self.metrics.signatures_verified.inc();
    }

    /// `age` is that of the message, if the queue told when it was sent.
    pub(crate) fn claim_won(&self, claim: &Claim, age: Option<Duration>) {
        let Claim { record: Record { subject, epoch, .. }, taken_over, lapsed } = claim;
        self.metrics.claims.inc();
        self.metrics.claims_resumed.inc_by(u64::from(*taken_over));
        self.metrics.claim_takeovers.inc_by(u64::from(*lapsed));
        if let Some(age) = age {
            self.metrics.message_age.observe(age.as_secs_f64());
        }
        let (finding, check, resource) = named(subject);
        tracing::debug!(finding, check, resource, epoch, taken_over, "claimed");
    }

    pub(crate) fn duplicate(&self, subject: &Subject, status: Status) {
        self.metrics.duplicates.inc();
        let (finding, check, resource) = named(subject);
        tracing::debug!(finding, check, resource, %status, "duplicate");
    }

    pub(crate) fn follower(&self, subject: &Subject) {
        self.metrics.duplicates.inc();
        let (finding, check, resource) = named(subject);
        tracing::debug!(finding, check, resource, "duplicate of a finding in flight here");
    }

    pub(crate) fn claim_busy(&self, subject: &Subject) {
        self.metrics.claims_busy.inc();
        let (finding, check, resource) = named(subject);
        tracing::debug!(finding, check, resource, "claimed elsewhere, or not due");
    }

    pub(crate) fn claims_failed(&self, error: &CallError) {
        tracing::warn!(class = %error.class, request_id = error.request_id, "failed to claim: {error}");
    }

    pub(crate) fn claim_lost(&self, subject: &Subject, epoch: u64) {
        self.metrics.claims_lost.inc();
        let (finding, check, resource) = named(subject);
        tracing::warn!(finding, check, resource, epoch, "lost the claim to another worker; nothing was written");
    }

    /// A claim came to this end on record. `before` are the steps that earlier claims left there; `age` is that of its message, if the
    /// queue told when it was sent.
    pub(crate) fn finished(&self, finish: &Finish, subject: &Subject, before: &[Step], age: Option<Duration>) {
        let check = labels::check(&subject.check);
        self.metrics.outcomes.of([check, finish.status.as_str()]).inc();
        let new: Vec<&Step> =
            finish.steps.iter().filter(|step| !before.iter().any(|known| is_same(known, step))).collect();
        for (action, outcome) in new.iter().filter_map(|step| labels::action(step)) {
            self.metrics.actions.of([check, action, outcome]).inc();
        }
        if let (Status::Mitigated, Some(age)) = (finish.status, age) {
            self.metrics.time_to_mitigate.observe(age.as_secs_f64());
        }
        let requests = new.iter().filter_map(|step| step.request_id.as_deref());
        let request_id = requests.take(MAX_REQUESTS).collect::<Vec<_>>().join(",");
        let request_id = Some(request_id).filter(|ids| !ids.is_empty());
        let (finding, check, resource) = named(subject);
        let (epoch, attempts, detail) = (finish.claim.epoch, finish.attempts, &finish.detail);
        match finish.status {
            Status::Waiting | Status::Claimed => {
                tracing::info!(finding, check, resource, epoch, attempts, detail, request_id, "will be tried again");
            }
            status => {
                let rule = finish.rule.as_deref().unwrap_or("-");
                tracing::info!(finding, check, resource, epoch, rule, detail, request_id, "{status}");
            }
        }
    }

    pub(crate) fn finish_failed(&self, key: &str, error: &CallError) {
        tracing::warn!(finding = id(key), class = %error.class, request_id = error.request_id, "failed to finish: {error}");
    }

    pub(crate) fn leave_failed(&self, gate: &str, error: &CallError) {
        tracing::warn!(gate, class = %error.class, request_id = error.request_id, "failed to let go of a resource, it frees itself: {error}");
    }

    /// `message_id` is given where nothing else may say which message it was: it was never claimed.
    pub(crate) fn dead_lettered(
        &self,
        reason: &str,
        (finding, check, resource): (&str, &str, Option<&str>),
        message_id: Option<&str>,
        error: &str,
    ) {
        self.metrics.dead_letters.of([labels::reason(reason)]).inc();
        // What was given up may be anybody's text: only the name of a check that there is. The letter itself has it as it came.
        let check = labels::check(check);
        tracing::warn!(finding, check, resource, message_id, reason, error, "dead letter");
    }

    pub(crate) fn split(&self, parts: usize) {
        tracing::debug!(parts, "a message that held several was split");
    }

    pub(crate) fn split_failed(&self, error: &CallError) {
        tracing::warn!(class = %error.class, request_id = error.request_id, "failed to split a message, it is kept: {error}");
    }

    pub(crate) fn dead_letter_failed(&self, error: &CallError) {
        tracing::warn!(class = %error.class, request_id = error.request_id, "failed to send a dead letter, the message is kept: {error}");
    }

    pub(crate) fn deleted(&self, n: usize) {
        self.metrics.messages_deleted.inc_by(n as u64);
    }

    /// `why` is one of the values of [`super::Label::Why`].
    pub(crate) fn parked(&self, why: &'static str) {
        self.metrics.messages_parked.of([why]).inc();
    }

    pub(crate) fn over_budget(&self, subject: &Subject, operation: Operation, back_in: Duration) {
        let (finding, check, resource) = named(subject);
        tracing::debug!(finding, check, resource, %operation, seconds = back_in.as_secs(), "parked: its budget cannot serve it soon");
    }

    pub(crate) fn acknowledgement_failed(&self, error: &CallError) {
        tracing::warn!(class = %error.class, request_id = error.request_id, "failed to acknowledge, the message will come again: {error}");
    }

    pub(crate) fn heartbeat(&self, n: usize) {
        self.metrics.heartbeats.inc_by(n as u64);
    }

    pub(crate) fn heartbeat_failed(&self, error: &CallError) {
        tracing::warn!(class = %error.class, request_id = error.request_id, "failed to extend: {error}");
    }

    pub(crate) fn breaker_opened(&self, reason: &str, seconds: u64) {
        self.metrics.breaker_trips.inc();
        tracing::error!(reason, seconds, "unhealthy: receiving is paused");
    }

    pub(crate) fn breaker_closed(&self) {
        tracing::info!("healthy again");
    }

    pub(crate) fn budget_cut(&self, operation: Operation, rate: f64) {
        self.metrics.budget_cuts.of([operation.as_str()]).inc();
        let percent = (rate * 100.0).round();
        tracing::warn!(%operation, percent, "AWS throttles although the fleet keeps its budget: the fleet's rate is cut");
    }

    pub(crate) fn budget_not_cut(&self, operation: Operation, error: &CallError) {
        tracing::warn!(%operation, class = %error.class, request_id = error.request_id, "the fleet's rate could not be cut: {error}");
    }

    pub(crate) fn budget_unreachable(&self, operation: Operation, error: &CallError) {
        tracing::warn!(%operation, class = %error.class, request_id = error.request_id, "the fleet's budget is out of reach, going on at the rate had last: {error}");
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
        self.metrics.panics.inc();
        tracing::error!(finding = id(key), "a mitigation panicked: this is a bug; the finding will be tried again");
    }

    pub(crate) fn audit_page_read(&self, task: &str, check: &str, findings: usize) {
        tracing::debug!(task, check, findings, "a page of an audit authenticates its findings");
    }

    pub(crate) fn audit_page_failed(&self, task: &str, check: &str, error: &CallError) {
        let advice = error.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
        tracing::warn!(task, check, class = %error.class, request_id = error.request_id, "findings are authenticated one by one: failed to {error}{advice}");
    }

    pub(crate) fn page_expanded(&self, task: &str, check: &str, findings: usize) {
        tracing::info!(task, check, findings, "audit expanded by a page");
    }
}

impl CallObserver for Telemetry {
    fn attempted(&self, service: &str, operation: &str, took: Duration, failed: Option<Class>) {
        self.metrics.aws_calls.of([service, operation]).observe(took.as_secs_f64());
        if let Some(class) = failed {
            self.metrics.aws_call_errors.of([service, operation, class.as_str()]).inc();
        }
    }
}
