//! A message in flight here: who still needs it, and how to give it back.

use opentelemetry::trace::SpanContext;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settlement {
    /// All that it asked for is on record: delete it.
    Done,
    /// Give it back, invisible for so long.
    Park(Why, Duration),
}

/// Why a message is given back: a label of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The budget of one of its calls cannot serve it soon.
    Budget,
    /// Another claim holds its finding, or a retry is not due.
    Busy,
    /// An attempt failed.
    Retry,
    /// Not tried, through no fault of its own: throttled, or its resource is in another finding's hands.
    Postponed,
    /// The breaker is open.
    Paused,
    /// The worker stops.
    Stopping,
    /// A call to the queue, the ledger or for a certificate failed.
    CallFailed,
    /// Another worker took its finding over.
    ClaimLost,
    /// Its work ended without a word.
    Panicked,
}

impl Why {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Busy => "busy",
            Self::Retry => "retry",
            Self::Postponed => "postponed",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
            Self::CallFailed => "call_failed",
            Self::ClaimLost => "claim_lost",
            Self::Panicked => "panicked",
        }
    }
}

/// A message whose work is over.
#[derive(Debug)]
pub(super) struct Settled {
    pub delivery: Arc<Delivery>,
    pub settlement: Settlement,
}

/// One received message. Holds its share of the in-flight bounds until the last reference is gone.
#[derive(Debug)]
pub(super) struct Delivery {
    pub message_id: String,
    pub receive_count: u32,
    pub first_received_at: Option<i64>,
    pub sent_at: Option<i64>,
    pub attributes: BTreeMap<String, String>,
    /// What the trace of its finding is linked to.
    pub origin: Option<SpanContext>,
    state: Mutex<State>,
    settled: mpsc::UnboundedSender<Settled>,
    _permits: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

#[derive(Debug)]
struct State {
    receipt_handle: String,
    /// When the queue will show it to others, as far as we know.
    visible_at: Instant,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned lock means a panic elsewhere while it was held; the plain data behind these locks is whole at every step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Delivery {
    /// The handle of the newest delivery.
    pub fn receipt_handle(&self) -> String {
        lock(&self.state).receipt_handle.clone()
    }

    fn settle(self: &Arc<Self>, settlement: Settlement) {
        // The receiver outlives every delivery; if it is gone the process is ending and the message comes again.
        let _ = self.settled.send(Settled { delivery: Arc::clone(self), settlement });
    }
}

/// The hold on a message. Dropped without a word (a panic), it gives the message back.
#[derive(Debug)]
pub(super) struct Ticket {
    delivery: Arc<Delivery>,
    spent: bool,
}

/// How soon a message comes back whose work ended without a word.
const AFTER_PANIC: Duration = Duration::from_secs(30);

impl Ticket {
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    pub fn settle(mut self, settlement: Settlement) {
        self.spent = true;
        self.delivery.settle(settlement);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.spent {
            self.delivery.settle(Settlement::Park(Why::Panicked, AFTER_PANIC));
        }
    }
}

/// Every message in flight here, by message id.
#[derive(Debug, Default)]
pub(super) struct InFlight(Mutex<BTreeMap<String, Arc<Delivery>>>);

/// What the receiver knows of a message when it arrives.
#[derive(Debug)]
pub(super) struct Arrived {
    pub message_id: String,
    pub receipt_handle: String,
    pub receive_count: u32,
    pub first_received_at: Option<i64>,
    pub sent_at: Option<i64>,
    pub attributes: BTreeMap<String, String>,
    pub origin: Option<SpanContext>,
    pub visible_at: Instant,
    pub permits: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

impl InFlight {
    /// Takes a message in. One that is in flight here already only gets its newer receipt handle, and no ticket: the work under way
    /// will settle it.
    pub fn admit(&self, arrived: Arrived, settled: &mpsc::UnboundedSender<Settled>) -> Option<Ticket> {
        let mut messages = lock(&self.0);
        if let Some(known) = messages.get(&arrived.message_id) {
            let mut state = lock(&known.state);
            state.receipt_handle = arrived.receipt_handle;
            state.visible_at = arrived.visible_at;
            return None;
        }
        let delivery = Arc::new(Delivery {
            message_id: arrived.message_id.clone(),
            receive_count: arrived.receive_count,
            first_received_at: arrived.first_received_at,
            sent_at: arrived.sent_at,
            attributes: arrived.attributes,
            origin: arrived.origin,
            state: Mutex::new(State { receipt_handle: arrived.receipt_handle, visible_at: arrived.visible_at }),
            settled: settled.clone(),
            _permits: arrived.permits,
        });
        messages.insert(arrived.message_id, Arc::clone(&delivery));
        Some(Ticket { delivery, spent: false })
    }

    /// Lets a message go, right before it is deleted or given back, so that no heartbeat races that (and a redelivery is new).
    pub fn release(&self, delivery: &Delivery) {
        lock(&self.0).remove(&delivery.message_id);
    }

    /// Messages in flight.
    pub fn len(&self) -> usize {
        lock(&self.0).len()
    }

    /// Messages that others would see before `deadline`, soonest first.
    pub fn due(&self, deadline: Instant) -> Vec<Arc<Delivery>> {
        let mut due: Vec<(Instant, Arc<Delivery>)> = lock(&self.0)
            .values()
            .map(|delivery| (lock(&delivery.state).visible_at, Arc::clone(delivery)))
            .filter(|(visible_at, _)| *visible_at < deadline)
            .collect();
        due.sort_by_key(|(visible_at, _)| *visible_at);
        due.into_iter().map(|(_, delivery)| delivery).collect()
    }

    /// Notes that the queue agreed to hide the message until then.
    pub fn extended(&self, delivery: &Delivery, visible_at: Instant) {
        lock(&delivery.state).visible_at = visible_at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::Semaphore;

    fn arrived(id: &str, handle: &str) -> Arrived {
        let semaphore = Arc::new(Semaphore::new(2));
        Arrived {
            message_id: id.into(),
            receipt_handle: handle.into(),
            receive_count: 1,
            first_received_at: None,
            sent_at: None,
            attributes: BTreeMap::new(),
            origin: None,
            visible_at: Instant::now(),
            permits: (
                Arc::clone(&semaphore).try_acquire_owned().unwrap(),
                Arc::clone(&semaphore).try_acquire_owned().unwrap(),
            ),
        }
    }

    #[tokio::test]
    async fn a_redelivery_of_a_message_in_flight_here_only_replaces_the_receipt_handle() {
        let (settled, _outcomes) = mpsc::unbounded_channel();
        let in_flight = InFlight::default();
        let ticket = in_flight.admit(arrived("m", "h1"), &settled).unwrap();
        assert!(in_flight.admit(arrived("m", "h2"), &settled).is_none());
        assert_eq!(ticket.delivery().receipt_handle(), "h2");
        assert_eq!(in_flight.len(), 1);
    }

    #[tokio::test]
    async fn a_ticket_dropped_without_a_word_gives_the_message_back() {
        let (settled, mut outcomes) = mpsc::unbounded_channel();
        let in_flight = InFlight::default();
        drop(in_flight.admit(arrived("m", "h1"), &settled));
        assert_eq!(outcomes.try_recv().unwrap().settlement, Settlement::Park(Why::Panicked, AFTER_PANIC));
    }
}
