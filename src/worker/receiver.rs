//! Long polls: from the queue to decoded messages, as many as the in-flight bounds allow.

use super::breaker::Dependency;
use super::delivery::{Arrived, Ticket};
use super::shared::Shared;
use super::signatures::{check, is_sealed};
use crate::aws::{CallError, Class};
use crate::finding::{Arrival, decode, decode_sealed};
use crate::queue::{BATCH, Queue, Received};
use crate::telemetry::spans;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span};

/// What a message holds, and the hold on the message.
#[derive(Debug)]
pub(super) struct Incoming {
    /// At least one; several in a bundle.
    pub arrivals: Vec<Arrival>,
    pub ticket: Ticket,
}

/// The bounds that receivers share.
#[derive(Debug)]
pub(super) struct Bounds {
    messages: Arc<Semaphore>,
    /// Messages in all.
    most: usize,
    /// In units of 1 KiB, since a semaphore counts to 2^29 and a body may have 1 MiB.
    kibibytes: Arc<Semaphore>,
    /// How many receivers came back empty-handed last time.
    pub idle: AtomicUsize,
}

impl Bounds {
    pub fn new(messages: usize, bytes: usize) -> Self {
        Self {
            messages: Arc::new(Semaphore::new(messages.max(1))),
            most: messages.max(1),
            kibibytes: Arc::new(Semaphore::new((bytes / 1024).max(2048))),
            idle: AtomicUsize::new(0),
        }
    }
}

/// After a stop a poll under way is dropped once this worker has held no message for so many looks in a row, a second together.
/// Until then it goes on: what is given back here is handed to it at once, and a poll that was dropped instead keeps that hidden for
/// a visibility timeout. Looks, and not one sleep: a process that was held up for longer than a second (a container without CPU) hears
/// what has come meanwhile before it looks again.
const LAST_LOOKS: (u32, Duration) = (10, Duration::from_millis(100));

/// A poll is over by then: three attempts of 25 s (see `aws/clients.rs`), the pauses between them, and credentials that are renewed.
const POLL_BOUND: Duration = Duration::from_secs(120);

/// Between two polls of a receiver while thousands are parked for want of budget.
const SLOW_POLL: Duration = Duration::from_secs(1);

/// Polls until a stop is asked for; `closing` ends a poll under way whatever it may bring. What has to be checked before it goes on is
/// checked by `tasks`, so that no message waits for another's certificate.
pub(super) async fn receive<Q, L, I>(
    shared: Arc<Shared<Q, L, I>>,
    bounds: Arc<Bounds>,
    incoming: mpsc::UnboundedSender<Incoming>,
    tasks: TaskTracker,
    closing: CancellationToken,
) where
    Q: Queue,
    L: Send + Sync + 'static,
    I: Send + Sync + 'static,
{
    let pulse = shared.vitals.stage("a poller of the queue");
    let mut failures: u32 = 0;
    let mut idle = false;
    while let Some(most) = shared.breaker.may_receive(&shared.stop).await {
        if shared.lines.is_crowded() {
            tokio::select! {
                biased;
                () = shared.stop.cancelled() => break,
                () = tokio::time::sleep(SLOW_POLL) => {}
            }
        }
        let Some(permits) = message_permits(&bounds, &shared, most.min(BATCH)).await else { break };
        let asked = Instant::now();
        pulse.moves(POLL_BOUND);
        let poll = shared.queue.receive(permits.len(), shared.config.poll_wait, shared.config.lease);
        let received = tokio::select! {
            biased;
            received = poll => received,
            () = nothing_to_come(&shared) => break,
            () = closing.cancelled() => break,
        };
        pulse.waits();
        match received {
            Ok(messages) => {
                failures = 0;
                shared.breaker.polled();
                set_idle(&bounds, &mut idle, messages.is_empty());
                if !messages.is_empty() {
                    shared.telemetry.messages_received(messages.len());
                }
                let span = if messages.is_empty() { Span::none() } else { spans::receive(messages.len()) };
                let taken_in = take_in(&shared, &bounds, messages, permits, asked, &incoming, &tasks);
                taken_in.instrument(span).await;
            }
            Err(error) => {
                drop(permits);
                failures = failures.saturating_add(1);
                wait_after_failure(&shared, &error, failures).await;
            }
        }
    }
    set_idle(&bounds, &mut idle, true);
}

/// Returns once a stop was asked for and no poll can be handed any more what was given back here.
async fn nothing_to_come<Q, L, I>(shared: &Shared<Q, L, I>) {
    shared.stop.cancelled().await;
    let mut looks = 0;
    while looks < LAST_LOOKS.0 {
        tokio::time::sleep(LAST_LOOKS.1).await;
        looks = if shared.is_empty_handed() { looks + 1 } else { 0 };
    }
}

fn set_idle(bounds: &Bounds, was: &mut bool, is: bool) {
    match (*was, is) {
        (false, true) => bounds.idle.fetch_add(1, Ordering::SeqCst),
        (true, false) => bounds.idle.fetch_sub(1, Ordering::SeqCst),
        _ => 0,
    };
    *was = is;
}

/// A permit for each message the next poll may bring; `None` if a stop came first. All of them or none: a worker that holds as many
/// messages as it may would otherwise poll for one message each time that one leaves. Where it may hold few, it asks for an eighth of them:
/// one that is held for minutes must not keep the rest from being received.
async fn message_permits<Q, L, I>(
    bounds: &Bounds,
    shared: &Shared<Q, L, I>,
    most: usize,
) -> Option<Vec<OwnedSemaphorePermit>> {
    let wanted = most.min((bounds.most / 8).max(1));
    let mut all = tokio::select! {
        biased;
        () = shared.stop.cancelled() => return None,
        all = Arc::clone(&bounds.messages).acquire_many_owned(u32::try_from(wanted).unwrap_or(1)) => all.ok()?,
    };
    let others: Vec<_> = (1..wanted).map_while(|_| all.split(1)).collect();
    Some(std::iter::once(all).chain(others).collect())
}

async fn take_in<Q, L, I>(
    shared: &Arc<Shared<Q, L, I>>,
    bounds: &Bounds,
    messages: Vec<Received>,
    permits: Vec<OwnedSemaphorePermit>,
    asked: Instant,
    incoming: &mpsc::UnboundedSender<Incoming>,
    tasks: &TaskTracker,
) where
    Q: Queue,
    L: Send + Sync + 'static,
    I: Send + Sync + 'static,
{
    let decode = if shared.policy.verify_signature { decode_sealed } else { decode };
    for (message, permit) in messages.into_iter().zip(permits) {
        let kibibytes = u32::try_from(message.body.len() / 1024 + 1).unwrap_or(u32::MAX);
        let room = Arc::clone(&bounds.kibibytes).acquire_many_owned(kibibytes);
        // After a stop nothing is begun any more: what waits for room goes through to be given back.
        let bytes = tokio::select! {
            biased;
            room = room => room,
            () = shared.stop.cancelled() => Arc::clone(&bounds.kibibytes).acquire_many_owned(0).await,
        };
        let Ok(bytes) = bytes else { return };
        if let Some(sent_at) = message.sent_at {
            shared.oldest_message.received(shared.clock.now_ms().saturating_sub(sent_at));
        }
        let arrivals = decode(&message.body, &shared.config.origin);
        let origin = spans::origin(&message);
        let arrived = Arrived {
            message_id: message.message_id,
            receipt_handle: message.receipt_handle,
            receive_count: message.receive_count,
            first_received_at: message.first_received_at,
            sent_at: message.sent_at,
            attributes: message.attributes,
            origin,
            visible_at: asked + shared.config.lease,
            permits: (permit, bytes),
        };
        if let Some(ticket) = shared.in_flight.admit(arrived, &shared.settled) {
            let message = Incoming { arrivals, ticket };
            if is_sealed(&message.arrivals) {
                tasks.spawn(check(Arc::clone(shared), message, incoming.clone()));
                continue;
            }
            // The claimer outlives every receiver; were it gone, the dropped ticket would give the message back.
            let _ = incoming.send(message);
        }
    }
}

async fn wait_after_failure<Q: Queue, L, I>(shared: &Shared<Q, L, I>, error: &CallError, failures: u32) {
    shared.telemetry.receive_failed(error);
    shared.breaker.met(Dependency::Queue, error);
    if error.class == Class::Denied {
        return;
    }
    let most = Duration::from_millis(500).saturating_mul(1 << failures.min(6));
    tokio::select! {
        biased;
        () = tokio::time::sleep(Duration::from_millis(100) + shared.jitter(most)) => {}
        () = shared.stop.cancelled() => {}
    }
}
