//! One claimed finding, from decision to its end on record.

use super::breaker::Dependency;
use super::dead_letter::DeadLetter;
use super::delivery::{Settlement, Why};
use super::lines::Place;
use super::recorder::record;
use super::remedy::{self, Remedy};
use super::shared::{Ending, Shared};
use crate::aws::{CallError, Class};
use crate::budget::Operation;
use crate::defender;
use crate::finding::{AuditSummary, Finding};
use crate::ledger::{ClaimRef, Finish, Ledger, Record, Recording, Replayed, Status, Step, WriteError};
use crate::mitigation::{self, ActionError, IotControl, Job, Journal};
use crate::policy::{Action, Facts, Mode, Verdict, decide};
use crate::queue::Queue;
use crate::telemetry::spans;
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tracing::Instrument;

/// When a message comes back that was throttled or locked out, at most.
pub(super) const POSTPONED: Duration = Duration::from_secs(10);

/// What was claimed, or is about to be.
#[derive(Debug, Clone)]
pub(super) enum Work {
    Finding(Box<Finding>),
    Summary(AuditSummary),
}

/// A claim to be worked on.
pub(super) struct Task {
    pub work: Work,
    pub record: Record,
    pub source: String,
    /// Held to the end, whichever it is.
    pub place: Place,
}

/// What the work came to.
pub(super) enum Outcome {
    /// On record with this status.
    End(Status, String),
    /// Tried and failed; an attempt is spent.
    Retry(String),
    /// Not tried, or not this finding's fault; no attempt is spent.
    Postpone(Why, String, Duration),
    /// It can never succeed.
    GiveUp { reason: String, error: String },
    /// Another epoch owns the record: not a word.
    Lost,
}

/// Where the actions write down what must survive a crash.
pub(super) struct ClaimJournal<'a, Q, L, I> {
    shared: &'a Shared<Q, L, I>,
    claim: &'a ClaimRef,
    progress: &'a Progress,
}

/// How far the work has come at any moment, so that work that panics or is cut off takes no intent with it and holds no resource.
pub(super) struct Progress(Mutex<Reached>);

pub(super) struct Reached {
    pub steps: Vec<Step>,
    /// Resources that were entered.
    pub gates: Vec<String>,
    /// A change was made: a cool-down begins.
    pub acted: bool,
}

impl Progress {
    fn from(steps: Vec<Step>) -> Self {
        Self(Mutex::new(Reached { steps, gates: Vec::new(), acted: false }))
    }

    pub fn reached(&self) -> MutexGuard<'_, Reached> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Q: Queue, L: Ledger, I: IotControl> Journal for ClaimJournal<'_, Q, L, I> {
    async fn record(&self, steps: &[Step]) -> Result<(), WriteError> {
        let recording = Recording { claim: self.claim.clone(), steps: steps.to_vec(), cursor: None };
        let asked = record(self.shared, recording).await?;
        self.shared.claims.renewed(self.claim, asked + self.shared.config.lease);
        self.progress.reached().steps = steps.to_vec();
        Ok(())
    }

    fn is_ours(&self) -> bool {
        self.shared.claims.is_ours(self.claim)
    }
}

/// Works on a claim to its end, and settles its message and every duplicate that waited for it.
pub(super) async fn process<Q: Queue, L: Ledger, I: IotControl>(shared: Arc<Shared<Q, L, I>>, task: Task) {
    let claim = ClaimRef { key: task.record.subject.key.clone(), epoch: task.record.epoch };
    let progress = Progress::from(task.record.steps.clone());
    let mut rule = task.record.rule.clone();
    let outcome = tokio::select! {
        biased;
        () = shared.abort.cancelled() => given_back("the worker stopped before it was done"),
        outcome = work(&shared, &task, &claim, &progress, &mut rule) => outcome,
    };
    let Reached { steps, gates, acted } = progress.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    // A task under way is still at the resources. Whoever comes back to hear of it enters them again, and leaves them then.
    let gates = if defender::is_handed_over(&steps) { Vec::new() } else { gates };
    for gate in gates {
        if let Err(error) = shared.ledger.leave(&gate, &claim, shared.clock.now_ms(), acted).await {
            // It opens by itself when its lease is over.
            shared.telemetry.leave_failed(&gate, &error);
        }
    }
    conclude(&shared, &task, claim, steps, rule, outcome).await;
}

fn given_back(why: &str) -> Outcome {
    Outcome::Postpone(Why::Stopping, why.to_owned(), Duration::ZERO)
}

async fn work<Q: Queue, L: Ledger, I: IotControl>(
    shared: &Arc<Shared<Q, L, I>>,
    task: &Task,
    claim: &ClaimRef,
    progress: &Progress,
    rule: &mut Option<String>,
) -> Outcome {
    let permits = shared.lines.permits(&task.place);
    let _permit = tokio::select! {
        biased;
        () = shared.stop.cancelled() => return given_back("the worker stopped before it was begun"),
        () = shared.breaker.paused() => {
            let detail = "the worker paused before it was begun".to_owned();
            return Outcome::Postpone(Why::Paused, detail, shared.elsewhere());
        }
        permit = async { Some(permits?.acquire().await) }.instrument(spans::wait()) => permit,
    };
    // A finding that kills its worker over and over again must not live for ever.
    if task.record.attempts >= shared.policy.retry.max_attempts {
        let error =
            format!("{} attempts ended without a word, the last with: {}", task.record.attempts, task.record.detail);
        return Outcome::GiveUp { reason: "attempts_exhausted".to_owned(), error };
    }
    let iot = {
        let (held_by, claim) = (Arc::clone(shared), claim.clone());
        shared.iot.while_it_holds(move || held_by.claims.is_ours(&claim))
    };
    let worked = async {
        match &task.work {
            Work::Finding(finding) => mitigate(shared, &iot, task, finding, claim, progress, rule).await,
            Work::Summary(summary) => expand(shared, task, summary, claim, progress).instrument(spans::expand()).await,
        }
    };
    match AssertUnwindSafe(worked).catch_unwind().await {
        Ok(outcome) => outcome,
        Err(_) => {
            shared.telemetry.task_panicked(&claim.key);
            Outcome::Retry("the mitigation panicked".to_owned())
        }
    }
}

async fn mitigate<Q: Queue, L: Ledger, I: IotControl>(
    shared: &Arc<Shared<Q, L, I>>,
    iot: &mitigation::Paced<I>,
    task: &Task,
    finding: &Finding,
    claim: &ClaimRef,
    progress: &Progress,
    rule: &mut Option<String>,
) -> Outcome {
    let journal = ClaimJournal { shared, claim, progress };
    // Where Device Defender is asked, it says what it suppresses: a message alone must not keep a finding from being mended (P6).
    let asked = shared.policy.mode == Mode::Enforce && shared.policy.verify_finding;
    let said_suppressed = finding.suppressed && asked;
    let finding = &Finding { suppressed: finding.suppressed && !asked, ..finding.clone() };
    let job = Job {
        finding,
        iot,
        journal: &journal,
        clock: &shared.clock,
        read_back: shared.policy.read_back,
        forced: task.record.replayed.as_ref().and_then(Replayed::forced_since),
    };
    let mut facts = Facts::default();
    if shared.policy.needs_thing_groups(finding) {
        match mitigation::thing_groups(&job).await {
            Ok(groups) => facts.thing_groups = Some(groups),
            Err(error) => return failure(shared, claim, error),
        }
    }
    let decision = decide(&shared.policy, finding, &facts);
    rule.clone_from(&decision.rule);
    if let Some(outcome) = remedy::of_earlier_task(shared, &job, claim, progress).await {
        return outcome;
    }
    let remedy = match decision.verdict {
        Verdict::Observe { .. } if said_suppressed => {
            return Outcome::End(Status::Suppressed, "its message says that Device Defender suppresses it".to_owned());
        }
        Verdict::Suppressed => {
            return Outcome::End(Status::Suppressed, "Device Defender suppresses this finding".to_owned());
        }
        Verdict::Observe { would, would_delegate } => {
            return Outcome::End(Status::Observed, would_do(&would, &would_delegate));
        }
        Verdict::Act(actions) => Remedy::Act(actions),
        Verdict::Delegate(names) => Remedy::Delegate(names),
    };
    if shared.policy.verify_finding
        && let Some(outcome) = defender_disagrees(shared, finding, claim).instrument(spans::authenticate()).await
    {
        return outcome;
    }
    remedy::by(shared, &job, &remedy, claim, progress).await
}

/// P6: a message alone changes no device.
async fn defender_disagrees<Q: Queue, L: Ledger, I: IotControl>(
    shared: &Shared<Q, L, I>,
    finding: &Finding,
    claim: &ClaimRef,
) -> Option<Outcome> {
    match shared.authenticator.verdict(&shared.iot, finding).await {
        Ok(defender::Verdict::Genuine) => None,
        Ok(defender::Verdict::Suppressed) => {
            Some(Outcome::End(Status::Suppressed, "Device Defender suppresses this finding".to_owned()))
        }
        Ok(defender::Verdict::NotAuthentic(error)) => {
            Some(Outcome::GiveUp { reason: "not_authentic".to_owned(), error })
        }
        Err(error) => Some(failure(shared, claim, ActionError::Call(error))),
    }
}

async fn expand<Q: Queue, L: Ledger, I: IotControl>(
    shared: &Shared<Q, L, I>,
    task: &Task,
    summary: &AuditSummary,
    claim: &ClaimRef,
    progress: &Progress,
) -> Outcome {
    let failed_checks = defender::failed_checks(summary, shared.clock.now_ms());
    progress.reached().steps.clone_from(&failed_checks);
    let expansion = defender::Expansion {
        iot: &shared.iot,
        queue: &shared.queue,
        ledger: &shared.ledger,
        telemetry: &shared.telemetry,
        clock: &shared.clock,
        lease: shared.config.lease,
        claim,
        steps: &failed_checks,
        replay: task.record.replayed.as_ref().map(|replayed| &replayed.last),
    };
    match expansion.run(summary, task.record.cursor.as_deref(), || shared.claims.is_ours(claim)).await {
        Ok(detail) => Outcome::End(Status::Expanded, detail),
        Err(error) => failure(shared, claim, error),
    }
}

/// What a failure means for the finding.
pub(super) fn failure<Q, L, I>(shared: &Shared<Q, L, I>, claim: &ClaimRef, error: ActionError) -> Outcome {
    let error = match error {
        ActionError::LostClaim => return Outcome::Lost,
        ActionError::Refused { reason, message } => {
            return Outcome::GiveUp { reason: reason.to_owned(), error: message };
        }
        ActionError::Call(error) => error,
    };
    let request = error.request_id.as_ref().map(|id| format!(" (request {id})")).unwrap_or_default();
    let text = format!("failed to {error}{request}");
    match error.class {
        Class::Transient | Class::Unknown => {
            if of_iot(&error) {
                shared.breaker.iot_failed(&claim.key, &error);
            }
            // An outage is not the finding's fault, and must not use its attempts up; nor is a request to the ledger that failed, for 25
            // findings at a time.
            match (shared.breaker.is_open(), of_iot(&error)) {
                (true, _) => Outcome::Postpone(Why::Paused, text, shared.elsewhere()),
                (false, false) => {
                    Outcome::Postpone(Why::CallFailed, text, Duration::from_secs(1) + shared.jitter(POSTPONED))
                }
                (false, true) => Outcome::Retry(text),
            }
        }
        Class::Throttled => Outcome::Postpone(Why::Postponed, text, Duration::from_secs(1) + shared.jitter(POSTPONED)),
        Class::Denied => {
            shared.breaker.met(if of_iot(&error) { Dependency::Iot } else { Dependency::Ledger }, &error);
            Outcome::Postpone(Why::Paused, text, Duration::from_secs(5) + shared.jitter(POSTPONED))
        }
        Class::Permanent | Class::Gone => Outcome::GiveUp { reason: "permanent_error".to_owned(), error: text },
    }
}

/// Whether AWS IoT (or SNS, where it publishes) failed, rather than the ledger or the queue.
fn of_iot(error: &CallError) -> bool {
    error.operation == "Publish" || error.operation.parse::<Operation>().is_ok()
}

async fn conclude<Q: Queue, L: Ledger, I: IotControl>(
    shared: &Shared<Q, L, I>,
    task: &Task,
    claim: ClaimRef,
    steps: Vec<Step>,
    rule: Option<String>,
    outcome: Outcome,
) {
    let mut attempts = task.record.attempts;
    let (status, detail, settlement) = match outcome {
        Outcome::Retry(detail) => {
            attempts += 1;
            if attempts < shared.policy.retry.max_attempts {
                (Status::Waiting, detail, Settlement::Park(Why::Retry, shared.retry_delay(attempts)))
            } else {
                give_up(shared, task, attempts, "attempts_exhausted", detail).await
            }
        }
        Outcome::Lost => {
            shared.telemetry.claim_lost(&task.record.subject, claim.epoch);
            shared.claims.end(&claim.key, Settlement::Park(Why::ClaimLost, Duration::from_secs(5)));
            return;
        }
        Outcome::End(status, detail) => (status, detail, Settlement::Done),
        Outcome::Postpone(why, detail, delay) => (Status::Waiting, detail, Settlement::Park(why, delay)),
        Outcome::GiveUp { reason, error } => give_up(shared, task, attempts, &reason, error).await,
    };
    let retry_at = match (status, settlement) {
        (Status::Waiting, Settlement::Park(_, delay)) => {
            Some(crate::ledger::transition::after(shared.clock.now_ms(), delay))
        }
        _ => None,
    };
    let finish = Finish { claim, status, attempts, retry_at, rule, detail, steps };
    let written = write_down(shared, &finish).instrument(spans::finish()).await;
    spans::ended(&finish, &written);
    let settlement = match written {
        Ok(()) => {
            let age = shared.age(&finish.claim.key);
            shared.telemetry.finished(&finish, &task.record.subject, &task.record.steps, age);
            match status {
                Status::Mitigated | Status::Compliant => shared.breaker.succeeded(),
                Status::Observed | Status::Suppressed | Status::Expanded => shared.breaker.recorded(),
                _ => {}
            }
            settlement
        }
        Err(WriteError::LostClaim) => {
            shared.telemetry.claim_lost(&task.record.subject, finish.claim.epoch);
            Settlement::Park(Why::ClaimLost, Duration::from_secs(5))
        }
        Err(WriteError::Call(error)) => {
            shared.telemetry.finish_failed(&finish.claim.key, &error);
            Settlement::Park(Why::CallFailed, Duration::from_secs(5) + shared.jitter(POSTPONED))
        }
    };
    shared.claims.end(&finish.claim.key, settlement);
}

/// The dead letter first: a record that says dead without one would be lost.
async fn give_up<Q: Queue, L: Ledger, I: IotControl>(
    shared: &Shared<Q, L, I>,
    task: &Task,
    attempts: u32,
    reason: &str,
    error: String,
) -> (Status, String, Settlement) {
    let detail = format!("{reason}: {error}");
    let first_seen = Some(task.record.first_seen);
    let letter = DeadLetter::given_up(&task.record.subject, reason, error, attempts, first_seen, task.source.clone());
    match letter.send(shared).await {
        Settlement::Done => (Status::Dead, detail, Settlement::Done),
        // Not in the dead letters yet: the message must come again, and so must the finding.
        parked => (Status::Waiting, detail, parked),
    }
}

async fn write_down<Q, L, I>(shared: &Shared<Q, L, I>, finish: &Finish) -> Result<(), WriteError> {
    let (done, written) = oneshot::channel();
    let lost = || WriteError::Call(CallError::new(Class::Unknown, "BatchExecuteStatement", "the worker is ending"));
    shared.endings.send(Ending { finish: finish.clone(), done }).map_err(|_| lost())?;
    written.await.unwrap_or_else(|_| Err(lost()))
}

fn would_do(actions: &[Action], delegate: &[String]) -> String {
    if !delegate.is_empty() {
        return format!("would have handed it to Device Defender's {}", delegate.join(", "));
    }
    if actions.is_empty() {
        return "recorded only".to_owned();
    }
    let names: Vec<String> = actions.iter().map(|action| action.action_type().to_string()).collect();
    format!("would have done {}", names.join(", "))
}
