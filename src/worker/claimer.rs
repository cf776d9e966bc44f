//! From decoded messages to claims, 25 a request.

use super::batch::gather;
use super::bundle::split;
use super::claims::Met;
use super::dead_letter::DeadLetter;
use super::delivery::{Delivery, Settlement, Ticket, Why};
use super::lines::{Place, SOON, TooLong};
use super::process::{Task, Work, process};
use super::receiver::Incoming;
use super::shared::Shared;
use crate::aws::Class;
use crate::finding::{Content, Rejected, Replay};
use crate::ledger::{BATCH, Claim, ClaimOutcome, ClaimRequest, Ledger, Lineage, ReplayMode, Subject};
use crate::mitigation::{IotControl, calls_of};
use crate::queue::Queue;
use crate::telemetry::spans;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// Claim requests under way at a time: 8 x 25 / round trip, 10,000 findings a second at 20 ms.
const REQUESTS: usize = 8;

/// How long a claim waits for others to share its request.
const LINGER: Duration = Duration::from_millis(8);

/// When a message comes back whose claim could not be asked for, at most.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// The shortest that a duplicate waits before it asks again after a finding that another worker has in hand. Its lease may last a
/// minute while the work takes milliseconds, so waiting for the whole lease would be waiting for nothing.
const BUSY: Duration = Duration::from_secs(1);

/// The longest that a duplicate of a finding whose retry is hours away waits: well above what asking costs, well below what a person
/// would miss.
const LONG_BUSY: Duration = Duration::from_secs(30);

struct Wish {
    work: Work,
    request: ClaimRequest,
    source: String,
    place: Place,
}

/// Runs until every receiver is gone and every message is claimed, split, given back or dead.
pub(super) async fn claim_all<Q: Queue, L: Ledger, I: IotControl>(
    shared: Arc<Shared<Q, L, I>>,
    mut incoming: mpsc::UnboundedReceiver<Incoming>,
    tasks: TaskTracker,
) {
    let _pulse = shared.vitals.stage("the claimer");
    let requests = Arc::new(Semaphore::new(REQUESTS));
    // Ends with the last receiver, never before.
    let open = CancellationToken::new();
    while let Some(batch) = gather(&mut incoming, BATCH, LINGER, &open).await {
        let wishes: Vec<Wish> = batch.into_iter().filter_map(|message| sort(&shared, message, &tasks)).collect();
        if wishes.is_empty() {
            continue;
        }
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&requests).acquire_owned().await else { return };
        let (shared, tasks) = (Arc::clone(&shared), tasks.clone());
        tasks.clone().spawn(async move {
            claim(shared, wishes, tasks).await;
            drop(permit);
        });
    }
}

/// What the ledger is asked for a message; `None` if there is nothing to ask.
fn sort<Q: Queue, L: Ledger, I: IotControl>(
    shared: &Arc<Shared<Q, L, I>>,
    message: Incoming,
    tasks: &TaskTracker,
) -> Option<Wish> {
    let Incoming { mut arrivals, ticket } = message;
    if shared.stop.is_cancelled() {
        ticket.settle(Settlement::Park(Why::Stopping, Duration::ZERO));
        return None;
    }
    if shared.breaker.is_paused() {
        ticket.settle(Settlement::Park(Why::Paused, shared.elsewhere()));
        return None;
    }
    if arrivals.len() > 1 {
        tasks.spawn(split(Arc::clone(shared), arrivals, ticket));
        return None;
    }
    let arrival = arrivals.pop()?;
    let (work, subject) = match arrival.content {
        Ok(Content::Finding(finding)) => {
            shared.telemetry.finding_decoded();
            let subject = Subject::from(&*finding);
            (Work::Finding(finding), subject)
        }
        Ok(Content::Summary(summary)) => {
            shared.telemetry.summary_decoded();
            let subject = Subject::from(&summary);
            (Work::Summary(summary), subject)
        }
        Err(rejected) => {
            reject(shared, rejected, arrival.source, ticket, tasks);
            return None;
        }
    };
    let lineage = lineage(arrival.replay, ticket.delivery());
    let replay = match &lineage {
        None => ReplayMode::Fresh,
        Some(Lineage { force: false, .. }) => ReplayMode::Again,
        Some(Lineage { force: true, .. }) => ReplayMode::Force,
    };
    match shared.claims.meet(&subject.key, &subject.fingerprint, replay == ReplayMode::Force, ticket) {
        Met::Fresh => {
            let place = line_up(shared, &subject, &work)?;
            let request = ClaimRequest { subject, replay, lineage };
            Some(Wish { work, request, source: arrival.source, place })
        }
        Met::TooEarly(ticket) => {
            ticket.settle(Settlement::Park(Why::Busy, BUSY + shared.jitter(BUSY)));
            None
        }
        Met::Follows => {
            shared.telemetry.follower(&subject);
            None
        }
        Met::Mismatch(ticket) => {
            let dead = DeadLetter::mismatch(&subject, arrival.source, ticket.delivery());
            let shared = Arc::clone(shared);
            tasks.spawn(async move { dead.send_and_settle(&shared, ticket).await });
            None
        }
    }
}

/// A place in line for work that was just met; `None` if its message was parked. Before the ledger is asked, so that a message that
/// comes and goes costs no write.
fn line_up<Q, L, I>(shared: &Shared<Q, L, I>, subject: &Subject, work: &Work) -> Option<Place> {
    let calls = match work {
        Work::Finding(finding) => calls_of(&shared.policy, finding),
        // One for thousands of findings, and begun soon or late, it pages on for as long as it takes.
        Work::Summary(_) => Vec::new(),
    };
    match shared.lines.join(&calls, |most| shared.jitter(most)) {
        Ok(place) => Some(place),
        Err(TooLong { operation, back_in }) => {
            shared.telemetry.over_budget(subject, operation, back_in);
            shared.claims.end(&subject.key, Settlement::Park(Why::Budget, back_in));
            None
        }
    }
}

/// Which replay a message belongs to; `None` for one that is no replay.
fn lineage(replay: Option<Replay>, delivery: &Delivery) -> Option<Lineage> {
    // Moved back from the dead letters natively: it still has the attributes that it was given there, and a new message id. What an
    // earlier replay asked for, and how hard, is over: it died of it.
    if delivery.attributes.contains_key("reason") {
        let of = Some("dead-letter queue".to_owned());
        return Some(Lineage { id: delivery.message_id.clone(), of, by: None, at: None, force: false });
    }
    let replay = replay.filter(|replay| replay.force || replay.replay_of.is_some() || replay.id.is_some())?;
    Some(Lineage {
        id: replay.id.unwrap_or_else(|| delivery.message_id.clone()),
        of: replay.replay_of,
        by: replay.by,
        at: replay.at,
        force: replay.force,
    })
}

fn reject<Q: Queue, L: Ledger, I: IotControl>(
    shared: &Arc<Shared<Q, L, I>>,
    rejected: Rejected,
    source: String,
    ticket: Ticket,
    tasks: &TaskTracker,
) {
    let dead = DeadLetter::rejected(&rejected, source, ticket.delivery());
    let shared = Arc::clone(shared);
    tasks.spawn(async move { dead.send_and_settle(&shared, ticket).await });
}

async fn claim<Q: Queue, L: Ledger, I: IotControl>(
    shared: Arc<Shared<Q, L, I>>,
    wishes: Vec<Wish>,
    tasks: TaskTracker,
) {
    let asked = Instant::now();
    let requests: Vec<ClaimRequest> = wishes.iter().map(|wish| wish.request.clone()).collect();
    let now = shared.clock.now_ms();
    let outcomes = match shared.ledger.claim(&requests, &shared.config.id, now, shared.config.lease).await {
        Ok(outcomes) => outcomes,
        // One of them is not acceptable: alone, each gets its own answer.
        Err(error) if error.class == Class::Permanent && wishes.len() > 1 => {
            for wish in wishes {
                Box::pin(claim(Arc::clone(&shared), vec![wish], tasks.clone())).await;
            }
            return;
        }
        Err(error) => wishes.iter().map(|_| Err(error.clone())).collect(),
    };
    for (wish, outcome) in wishes.into_iter().zip(outcomes) {
        let key = wish.request.subject.key.clone();
        match outcome {
            Ok(ClaimOutcome::Ours(claim)) => {
                shared.claims.granted(&key, claim.record.epoch, asked + shared.config.lease);
                start(&shared, wish, *claim, &tasks);
            }
            Ok(ClaimOutcome::Duplicate(status)) => {
                shared.telemetry.duplicate(&wish.request.subject, status);
                shared.claims.end(&key, Settlement::Done);
            }
            Ok(ClaimOutcome::Busy { until }) => {
                shared.telemetry.claim_busy(&wish.request.subject);
                let delay = busy_delay(&shared, &key, until);
                shared.claims.end(&key, Settlement::Park(Why::Busy, delay));
            }
            Ok(ClaimOutcome::Mismatch) => {
                let Wish { request, source, .. } = wish;
                refuse(&shared, &key, |ticket| DeadLetter::mismatch(&request.subject, source, ticket.delivery())).await;
            }
            Err(error) if error.class == Class::Permanent => {
                shared.telemetry.claims_failed(&error);
                let Wish { request, source, .. } = wish;
                let why = format!("the ledger cannot take it: {error}; an item holds at most 400 KB");
                refuse(&shared, &key, |ticket| {
                    let first_seen = ticket.delivery().first_received_at;
                    DeadLetter::given_up(&request.subject, "not_recordable", why, 0, first_seen, source)
                })
                .await;
            }
            Err(error) => {
                shared.telemetry.claims_failed(&error);
                not_claimed(&shared, &key);
            }
        }
    }
}

/// Gives up on what was never claimed.
async fn refuse<Q: Queue, L, I>(shared: &Shared<Q, L, I>, key: &str, letter: impl FnOnce(&Ticket) -> DeadLetter) {
    if let Some(letter) = shared.claims.with_leader(key, letter) {
        let settlement = letter.send(shared).await;
        shared.claims.end(key, settlement);
    }
}

fn not_claimed<Q, L, I>(shared: &Shared<Q, L, I>, key: &str) {
    let delay = Duration::from_secs(1) + shared.jitter(AFTER_FAILURE);
    shared.claims.end(key, Settlement::Park(Why::CallFailed, delay));
}

/// Doubles with every delivery of the message, up to what a finding in hand usually waits for its calls at most (a duplicate that was
/// parked a few times already may come at the end of it), and never lasts beyond the other claim's lease. What is further away than a
/// lease is a retry that is not due: there is no hurry.
fn busy_delay<Q, L, I>(shared: &Shared<Q, L, I>, key: &str, until: i64) -> Duration {
    let remaining = until.saturating_sub(shared.clock.now_ms()).max(0).unsigned_abs();
    let receives = shared.claims.with_leader(key, |ticket| ticket.delivery().receive_count).unwrap_or(1);
    let remaining = Duration::from_millis(remaining);
    let most = if remaining > shared.config.lease { LONG_BUSY } else { shared.config.lease / SOON };
    let patience = BUSY.saturating_mul(1 << receives.saturating_sub(1).min(5)).min(most);
    remaining.min(patience).max(BUSY)
}

fn start<Q: Queue, L: Ledger, I: IotControl>(
    shared: &Arc<Shared<Q, L, I>>,
    wish: Wish,
    claim: Claim,
    tasks: &TaskTracker,
) {
    let age = shared.age(&claim.record.subject.key);
    shared.telemetry.claim_won(&claim, age);
    let shared = Arc::clone(shared);
    let Wish { work, source, place, .. } = wish;
    let message = shared.claims.with_leader(&claim.record.subject.key, |ticket| {
        let Delivery { message_id, origin, .. } = ticket.delivery();
        (message_id.clone(), origin.clone())
    });
    let span = spans::finding(&claim.record, &shared.config.id, message);
    tasks.spawn(process(shared, Task { work, record: claim.record, source, place }).instrument(span));
}
