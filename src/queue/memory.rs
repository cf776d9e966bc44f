//! The in-memory twin of SQS: a standard queue with its at-least-once delivery, its handles and its limits.

use super::port::{BATCH, Depth, MAX_MESSAGE, MAX_VISIBILITY, Outgoing, Queue, Received};
use crate::aws::{Call, CallError, Fair, Fates};
use crate::clock::Clock;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The longest long poll SQS grants.
const MAX_WAIT: Duration = Duration::from_secs(20);
/// Message attributes that one message may carry.
const MAX_ATTRIBUTES: usize = 10;
/// A disorderly queue chooses among this many of its oldest visible messages.
const DISORDER_WINDOW: usize = 64;

const RECEIVE: Call = Call::read("queue.receive", "ReceiveMessage");
const DELETE: Call = Call::write("queue.delete", "DeleteMessageBatch");
const CHANGE: Call = Call::write("queue.change_visibility", "ChangeMessageVisibilityBatch");
const SEND: Call = Call::write("queue.send", "SendMessageBatch");
const DEPTH: Call = Call::read("queue.depth", "GetQueueAttributes");

/// How a [`MemoryQueue`] is set up.
#[derive(Debug, Clone)]
pub struct MemoryQueueConfig {
    /// Part of message ids and receipt handles: a handle of a queue of another name is invalid.
    pub name: String,
    /// How long a sent message waits before it can be received.
    pub delay: Duration,
    /// Where messages go that were received too often.
    pub redrive: Option<Redrive>,
    /// Without it messages come in the order in which they became visible, each once per visibility timeout.
    pub disorder: Option<Disorder>,
}

impl Default for MemoryQueueConfig {
    fn default() -> Self {
        Self { name: "queue".to_owned(), delay: Duration::ZERO, redrive: None, disorder: None }
    }
}

/// `RedrivePolicy`
#[derive(Debug, Clone)]
pub struct Redrive {
    /// The dead-letter queue.
    pub to: MemoryQueue,
    /// `maxReceiveCount`: a message received this often moves instead of being received again.
    pub max_receives: u32,
}

/// What a standard queue may do and rarely does: order is best-effort, delivery at-least-once.
#[derive(Debug, Clone, Copy)]
pub struct Disorder {
    /// Seed of the order and the duplicates.
    pub seed: u64,
    /// The share of deliveries (0-1) that leave the message visible to others.
    pub duplicates: f64,
}

/// A queue in memory; clones are handles to the same queue.
///
/// Time is the given clock's. Waiting is by notification or until the next message becomes visible, on tokio's clock.
#[derive(Debug, Clone)]
pub struct MemoryQueue {
    shared: Arc<Shared>,
    fates: Arc<dyn Fates>,
}

#[derive(Debug)]
struct Shared {
    config: MemoryQueueConfig,
    clock: Clock,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    messages: BTreeMap<u64, Message>,
    /// (visible from, number) of every message: those up to now can be received, the first one after is the next to appear.
    by_visibility: BTreeSet<(i64, u64)>,
    next: u64,
    rng: Option<fastrand::Rng>,
}

#[derive(Debug)]
struct Message {
    id: String,
    content: Outgoing,
    sent_at: i64,
    visible_at: i64,
    /// Deliveries so far; the latest one's number is in its receipt handle.
    receive_count: u32,
    first_received_at: Option<i64>,
}

impl MemoryQueue {
    /// An empty queue.
    pub fn new(clock: Clock, config: MemoryQueueConfig) -> Self {
        let rng = config.disorder.map(|disorder| fastrand::Rng::with_seed(disorder.seed));
        let state = State { messages: BTreeMap::new(), by_visibility: BTreeSet::new(), next: 1, rng };
        let shared = Shared { config, clock, state: Mutex::new(state), changed: Notify::new() };
        Self { shared: Arc::new(shared), fates: Arc::new(Fair) }
    }

    /// Another handle to the same queue whose calls meet these fates.
    #[must_use]
    pub fn with_fates(&self, fates: Arc<dyn Fates>) -> Self {
        Self { shared: Arc::clone(&self.shared), fates }
    }

    /// What is in the queue, visible or not, in the order of sending: for tests that look without receiving.
    pub fn contents(&self) -> Vec<Outgoing> {
        self.state().messages.values().map(|message| message.content.clone()).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, id: Option<String>, content: Outgoing, sent_at: i64, visible_at: i64) -> String {
        let id = {
            let mut state = self.state();
            let number = state.next;
            state.next += 1;
            let id = id.unwrap_or_else(|| format!("{}-{number:06}", self.shared.config.name));
            let message =
                Message { id: id.clone(), content, sent_at, visible_at, receive_count: 0, first_received_at: None };
            state.messages.insert(number, message);
            state.by_visibility.insert((visible_at, number));
            id
        };
        self.shared.changed.notify_waiters();
        id
    }

    /// What can be received now; else when it is worth looking again, if anything is in the queue.
    fn take(&self, max: usize, visibility: Duration) -> Result<Vec<Received>, Option<i64>> {
        let config = &self.shared.config;
        let now = self.shared.clock.now_ms();
        let mut state = self.state();
        let mut taken = Vec::new();
        while taken.is_empty() {
            let window = if state.rng.is_some() { DISORDER_WINDOW } else { max };
            let mut ready: Vec<u64> =
                state.by_visibility.range(..=(now, u64::MAX)).take(window).map(|(_, number)| *number).collect();
            if ready.is_empty() {
                return Err(state.by_visibility.first().map(|(visible_at, _)| *visible_at));
            }
            if let Some(rng) = &mut state.rng {
                rng.shuffle(&mut ready);
            }
            for number in ready {
                if taken.len() == max {
                    break;
                }
                let worn_out = state.messages.get(&number).and_then(|message| {
                    config.redrive.as_ref().filter(|redrive| message.receive_count >= redrive.max_receives)
                });
                if let Some(redrive) = worn_out {
                    // A dead-letter queue keeps message id and sent time (FACTS D.3), and no queue can precede itself: no lock cycle.
                    if let Some(message) = state.remove(number) {
                        redrive.to.push(Some(message.id), message.content, message.sent_at, now);
                    }
                } else {
                    taken.extend(state.deliver(number, now, visibility, config));
                }
            }
        }
        Ok(taken)
    }

    /// The message's number and the delivery that a handle of this queue names.
    fn parse(&self, handle: &str) -> Option<(u64, u32)> {
        let (number, delivery) = handle.strip_prefix(&self.shared.config.name)?.strip_prefix('/')?.split_once('/')?;
        let number: u64 = number.parse().ok()?;
        Some((number, delivery.parse().ok()?)).filter(|_| number < self.state().next)
    }

    fn delete_one(&self, handle: &str) -> Result<(), CallError> {
        let (number, delivery) = self.parse(handle).ok_or_else(|| invalid_handle(DELETE))?;
        let mut state = self.state();
        if state.messages.get(&number).is_some_and(|message| message.receive_count == delivery) {
            state.remove(number);
        }
        Ok(())
    }

    fn change_one(&self, handle: &str, visibility: Duration) -> Result<(), CallError> {
        let (number, delivery) = self.parse(handle).ok_or_else(|| invalid_handle(CHANGE))?;
        if visibility > MAX_VISIBILITY {
            return Err(CHANGE.refuse("InvalidParameterValue", "VisibilityTimeout must be between 0 and 43200 seconds"));
        }
        let now = self.shared.clock.now_ms();
        let mut state = self.state();
        let Some(message) = state.messages.get(&number).filter(|message| message.receive_count == delivery) else {
            return Err(CHANGE.refuse(
                "InvalidParameterValue",
                "the message does not exist or is not available for visibility timeout change",
            ));
        };
        if message.visible_at <= now {
            return Err(CHANGE.refuse("MessageNotInflight", "the message is not in flight"));
        }
        let visible_at = now + millis(visibility);
        let first = message.first_received_at.unwrap_or(now);
        if visible_at > first + millis(MAX_VISIBILITY) {
            return Err(CHANGE.refuse(
                "InvalidParameterValue",
                "the total visibility timeout of the message is beyond the limit of 43200 seconds",
            ));
        }
        state.show_at(number, visible_at);
        Ok(())
    }

    fn send_one(&self, message: &Outgoing) -> Result<String, CallError> {
        check_content(message)?;
        let now = self.shared.clock.now_ms();
        Ok(self.push(None, message.clone(), now, now + millis(self.shared.config.delay)))
    }
}

impl State {
    fn remove(&mut self, number: u64) -> Option<Message> {
        let message = self.messages.remove(&number)?;
        self.by_visibility.remove(&(message.visible_at, number));
        Some(message)
    }

    fn show_at(&mut self, number: u64, visible_at: i64) {
        if let Some(message) = self.messages.get_mut(&number) {
            self.by_visibility.remove(&(message.visible_at, number));
            message.visible_at = visible_at;
            self.by_visibility.insert((visible_at, number));
        }
    }

    fn deliver(&mut self, number: u64, now: i64, hide: Duration, config: &MemoryQueueConfig) -> Option<Received> {
        let duplicates = config.disorder.map_or(0.0, |disorder| disorder.duplicates);
        let slips = self.rng.as_mut().is_some_and(|rng| rng.f64() < duplicates);
        let message = self.messages.get_mut(&number)?;
        message.receive_count += 1;
        message.first_received_at.get_or_insert(now);
        let received = Received {
            message_id: message.id.clone(),
            receipt_handle: format!("{}/{number}/{}", config.name, message.receive_count),
            body: message.content.body.clone(),
            attributes: message.content.attributes.clone(),
            receive_count: message.receive_count,
            first_received_at: message.first_received_at,
            sent_at: Some(message.sent_at),
            trace_header: None,
        };
        self.show_at(number, if slips { now } else { now + millis(hide) });
        Some(received)
    }
}

impl Queue for MemoryQueue {
    async fn receive(&self, max: usize, wait: Duration, visibility: Duration) -> Result<Vec<Received>, CallError> {
        if !(1..=BATCH).contains(&max) {
            return Err(RECEIVE.refuse("InvalidParameterValue", "MaxNumberOfMessages must be between 1 and 10"));
        }
        if wait > MAX_WAIT || visibility > MAX_VISIBILITY {
            return Err(RECEIVE.refuse(
                "InvalidParameterValue",
                "WaitTimeSeconds must be between 0 and 20, VisibilityTimeout between 0 and 43200",
            ));
        }
        let deadline = Instant::now() + wait;
        RECEIVE
            .run(&*self.fates, async |fault| {
                fault.check(0)?;
                loop {
                    let changed = self.shared.changed.notified();
                    tokio::pin!(changed);
                    // Listen first, then look: a message sent between the two must wake this poll.
                    changed.as_mut().enable();
                    let look_again = match self.take(max, visibility) {
                        Ok(received) => return Ok(received),
                        Err(visible_at) => visible_at,
                    };
                    if Instant::now() >= deadline {
                        return Ok(Vec::new());
                    }
                    let until = look_again.map_or(deadline, |visible_at| {
                        let ahead = u64::try_from(visible_at - self.shared.clock.now_ms()).unwrap_or(0);
                        deadline.min(Instant::now() + Duration::from_millis(ahead.max(1)))
                    });
                    tokio::select! {
                        biased;
                        () = changed => {}
                        () = tokio::time::sleep_until(until) => {}
                    }
                }
            })
            .await
    }

    async fn delete(&self, handles: &[String]) -> Result<Vec<Result<(), CallError>>, CallError> {
        check_batch(DELETE, handles.len())?;
        DELETE
            .run(&*self.fates, async |fault| {
                let each = handles.iter().enumerate();
                Ok(each.map(|(index, handle)| fault.check(index).and_then(|()| self.delete_one(handle))).collect())
            })
            .await
    }

    async fn change_visibility(&self, entries: &[(String, Duration)]) -> Result<Vec<Result<(), CallError>>, CallError> {
        check_batch(CHANGE, entries.len())?;
        let outcome = CHANGE
            .run(&*self.fates, async |fault| {
                let each = entries.iter().enumerate();
                Ok(each
                    .map(|(index, (handle, visibility))| {
                        fault.check(index).and_then(|()| self.change_one(handle, *visibility))
                    })
                    .collect())
            })
            .await;
        self.shared.changed.notify_waiters();
        outcome
    }

    async fn send(&self, messages: &[Outgoing]) -> Result<Vec<Result<String, CallError>>, CallError> {
        check_batch(SEND, messages.len())?;
        SEND.run(&*self.fates, async |fault| {
            let each = messages.iter().enumerate();
            Ok(each.map(|(index, message)| fault.check(index).and_then(|()| self.send_one(message))).collect())
        })
        .await
    }

    async fn depth(&self) -> Result<Depth, CallError> {
        DEPTH
            .run(&*self.fates, async |fault| {
                fault.check(0)?;
                let now = self.shared.clock.now_ms();
                let state = self.state();
                let mut depth = Depth::default();
                for message in state.messages.values() {
                    match (message.visible_at <= now, message.receive_count) {
                        (true, _) => depth.visible += 1,
                        (false, 0) => depth.delayed += 1,
                        (false, _) => depth.in_flight += 1,
                    }
                }
                Ok(depth)
            })
            .await
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn check_batch(call: Call, entries: usize) -> Result<(), CallError> {
    match entries {
        0 => Err(call.refuse("AWS.SimpleQueueService.EmptyBatchRequest", "the batch has no entries")),
        1..=BATCH => Ok(()),
        _ => Err(call.refuse(
            "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            format!("the batch has {entries} entries; at most {BATCH} are allowed"),
        )),
    }
}

fn invalid_handle(call: Call) -> CallError {
    call.refuse("ReceiptHandleIsInvalid", "the receipt handle is not one of this queue's")
}

/// What SQS refuses of a single message.
fn check_content(message: &Outgoing) -> Result<(), CallError> {
    let allowed = |text: &str| {
        text.chars()
            .all(|c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..))
    };
    if message.body.is_empty() {
        return Err(SEND.refuse("MissingParameter", "the message body is empty"));
    }
    if message.size() > MAX_MESSAGE {
        return Err(SEND.refuse("InvalidParameterValue", "the message is larger than 1048576 bytes"));
    }
    if message.attributes.len() > MAX_ATTRIBUTES {
        return Err(SEND.refuse("InvalidParameterValue", "a message has at most ten attributes"));
    }
    if let Some((name, _)) = message.attributes.iter().find(|(name, value)| name.is_empty() || value.is_empty()) {
        return Err(
            SEND.refuse("InvalidParameterValue", format!("the message attribute '{name}' has no name or no value"))
        );
    }
    if !allowed(&message.body) || !message.attributes.values().all(|value| allowed(value)) {
        return Err(SEND.refuse("InvalidMessageContents", "a character outside those that XML allows"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
