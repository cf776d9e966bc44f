//! What is done about a finding that is to be mended: the resources that it enters, and who does it.

use super::delivery::Why;
use super::process::{ClaimJournal, Outcome, POSTPONED, Progress, failure};
use super::shared::Shared;
use crate::defender::{self, HandOver, hand_over};
use crate::finding::{Finding, ResourceIdentifier};
use crate::ledger::{ClaimRef, Gate, Ledger, Status};
use crate::mitigation::{self, ActionError, Effect, IotControl, Job, Paced};
use crate::policy::Action;
use crate::queue::Queue;
use crate::telemetry::spans;
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument;

/// How long a policy may be locked by one finding. The lock is not renewed: this is several times what its four calls take when
/// a hundred others wait for the same budget. A worker that dies holding it delays other findings on that policy; the takeover of
/// its own finding has the same name, and is let in.
const LOCK: Duration = Duration::from_secs(300);

/// The same where a task of Device Defender's may be at it, which is gathered, waits for a place and is watched for six minutes before its
/// finding goes back to the queue; that finding enters anew when it comes to hear of it.
const TASK_LOCK: Duration = Duration::from_secs(600);

/// Who does what is to be done.
pub(super) enum Remedy {
    /// This worker.
    Act(Vec<Action>),
    /// Device Defender's own actions of these names.
    Delegate(Vec<String>),
}

impl Remedy {
    /// Two findings on one policy must not both give it a new version. What a delegated action does is not told by its name.
    fn needs_the_resource_alone(&self, finding: &Finding) -> bool {
        match self {
            Self::Act(actions) => {
                actions.iter().any(|action| matches!(action, Action::ReplaceDefaultPolicyVersion { .. }))
            }
            Self::Delegate(_) => is_policy(finding),
        }
    }

    fn lock(&self) -> Duration {
        match self {
            Self::Act(_) => LOCK,
            Self::Delegate(_) => TASK_LOCK,
        }
    }
}

fn is_policy(finding: &Finding) -> bool {
    matches!(finding.resource.identifier, ResourceIdentifier::PolicyVersion { .. })
}

type WorkerJob<'a, Q, L, I> = Job<'a, Paced<I>, ClaimJournal<'a, Q, L, I>>;

/// What came of the task of Device Defender's that an earlier claim handed the finding over to; `None` if none did.
pub(super) async fn of_earlier_task<Q: Queue, L: Ledger, I: IotControl>(
    shared: &Arc<Shared<Q, L, I>>,
    job: &WorkerJob<'_, Q, L, I>,
    claim: &ClaimRef,
    progress: &Progress,
) -> Option<Outcome> {
    let steps = progress.reached().steps.clone();
    if !defender::is_handed_over(&steps) {
        return None;
    }
    // Nobody else's cool-down ends what is under way.
    let entry = Entry { alone: is_policy(job.finding), lock: TASK_LOCK, cooldown: Duration::ZERO };
    if let Err(outcome) = enter(shared, job, &entry, claim, progress).await {
        return Some(outcome);
    }
    let (steps, result) = defender::hear(&hand(shared, job, claim), steps).instrument(spans::delegate()).await;
    progress.reached().steps = steps;
    Some(outcome(shared, claim, progress, result?))
}

/// Mends the finding.
pub(super) async fn by<Q: Queue, L: Ledger, I: IotControl>(
    shared: &Arc<Shared<Q, L, I>>,
    job: &WorkerJob<'_, Q, L, I>,
    remedy: &Remedy,
    claim: &ClaimRef,
    progress: &Progress,
) -> Outcome {
    let alone = remedy.needs_the_resource_alone(job.finding);
    let entry = Entry { alone, lock: remedy.lock(), cooldown: shared.policy.cooldown };
    if let Err(outcome) = enter(shared, job, &entry, claim, progress).await {
        return outcome;
    }
    let steps = progress.reached().steps.clone();
    let (steps, result) = match remedy {
        Remedy::Act(actions) => mitigation::apply(job, actions, steps).await,
        Remedy::Delegate(names) => {
            hand_over(&hand(shared, job, claim), names, steps).instrument(spans::delegate()).await
        }
    };
    progress.reached().steps = steps;
    outcome(shared, claim, progress, result)
}

/// How a finding's resources are entered.
struct Entry {
    /// No other finding on the same resource, whatever its check.
    alone: bool,
    lock: Duration,
    cooldown: Duration,
}

async fn enter<Q: Queue, L: Ledger, I: IotControl>(
    shared: &Shared<Q, L, I>,
    job: &WorkerJob<'_, Q, L, I>,
    entry: &Entry,
    claim: &ClaimRef,
    progress: &Progress,
) -> Result<(), Outcome> {
    let finding = job.finding;
    let mut gates: Vec<(String, Duration)> = Vec::new();
    if !shared.policy.cooldown.is_zero() && job.forced.is_none() {
        gates.push((format!("resource#{}", finding.resource_key()), entry.cooldown));
    }
    if entry.alone {
        let lock = finding.resource.lock_key(&finding.account, &finding.region);
        gates.push((format!("resource#{lock}"), Duration::ZERO));
    }
    for (key, cooldown) in gates {
        match shared.ledger.enter(&key, claim, shared.clock.now_ms(), entry.lock, cooldown).await {
            Ok(Gate::Open) => {
                let mut reached = progress.reached();
                if !reached.gates.contains(&key) {
                    reached.gates.push(key);
                }
            }
            Ok(Gate::Busy { .. }) => {
                let delay = Duration::from_secs(1) + shared.jitter(POSTPONED);
                let detail = "another finding is at work on the same resource".to_owned();
                return Err(Outcome::Postpone(Why::Postponed, detail, delay));
            }
            Ok(Gate::CoolingDown { by, at }) => {
                let why = format!("coalesced: {by} acted on the same resource for the same check at {}", moment(at));
                return Err(Outcome::End(Status::Compliant, why));
            }
            Err(error) => return Err(failure(shared, claim, ActionError::Call(error))),
        }
    }
    Ok(())
}

fn hand<'a, Q: Queue, L: Ledger, I: IotControl>(
    shared: &'a Arc<Shared<Q, L, I>>,
    job: &'a WorkerJob<'a, Q, L, I>,
    claim: &ClaimRef,
) -> HandOver<'a, I, ClaimJournal<'a, Q, L, I>> {
    let (held_by, claim) = (Arc::clone(shared), claim.clone());
    HandOver {
        job,
        iot: &shared.iot,
        rooms: &shared.rooms,
        holds: Arc::new(move || held_by.claims.is_ours(&claim)),
        stop: &shared.stop,
    }
}

fn outcome<Q, L, I>(
    shared: &Shared<Q, L, I>,
    claim: &ClaimRef,
    progress: &Progress,
    result: Result<Effect, ActionError>,
) -> Outcome {
    match result {
        Ok(Effect::Mitigated { what }) => {
            progress.reached().acted = true;
            Outcome::End(Status::Mitigated, what)
        }
        Ok(Effect::Compliant { why }) => Outcome::End(Status::Compliant, why),
        Err(error) => failure(shared, claim, error),
    }
}

fn moment(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |at| at.to_string())
}
