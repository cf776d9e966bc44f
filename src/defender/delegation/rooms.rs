//! Where findings that may share a task meet. Who comes first leads: it fills the task, starts it, watches it, and tells the others.
//! A room lives and dies with its leader; those who wait in it hear nothing any more if it is cut off, and give their findings back.

use super::order::Member;
use crate::aws::CallError;
use crate::mitigation::MitigationTaskOrder;
use crate::policy::Action;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

/// Findings that one task takes (FACTS C.2).
pub(super) const MOST_FINDINGS: usize = 25;

/// How long an action counts as it was read: somebody may change its groups or its topic. A call a minute for each is nothing beside the
/// 20 a second that the budget allows.
const DEFINED: Duration = Duration::from_secs(60);

/// What those in a room have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    /// To be handed over together.
    HandOver {
        /// The audit; findings that name none share a room.
        audit: Option<String>,
        check: String,
        actions: Vec<String>,
        /// A finding that spoilt a task for the others, or may have, goes alone.
        alone: Option<String>,
    },
    /// To hear of a task that may have been started already.
    Await { task_id: String },
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TaskEnd {
    pub task_id: String,
    /// `COMPLETED`, `FAILED`, `CANCELED`.
    pub status: String,
    /// Every action was completed for every finding, so that nobody needs to ask for its own.
    pub clean: bool,
}

impl TaskEnd {
    /// Somebody stopped it; what it had done stays done.
    pub fn is_cancelled(&self) -> bool {
        self.status == "CANCELED"
    }
}

/// What a leader says.
#[derive(Debug)]
pub(super) enum Word {
    /// This will be started once everybody has it on record, and has said so.
    Sealed(Arc<MitigationTaskOrder>, oneshot::Sender<bool>),
    /// Device Defender refused all of it together: everyone by itself.
    Alone,
    /// The task is over.
    Ended(TaskEnd),
    /// There is no such task, and none will come.
    Absent,
    /// It cannot go on now; `started` unless it certainly was not.
    Failed { error: CallError, started: bool },
}

/// A finding's place in a room.
pub(super) struct Seat {
    pub member: Member,
    pub words: mpsc::UnboundedSender<Word>,
    /// Whether the finding's lease certainly still holds.
    pub holds: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("member", &self.member).finish_non_exhaustive()
    }
}

/// The rooms of one worker, and what it knows of Device Defender's actions.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    inner: Mutex<Inner>,
    /// By name, and when it was read.
    definitions: Mutex<BTreeMap<String, (Instant, Action)>>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Open to more findings.
    open: BTreeMap<Purpose, u64>,
    rooms: BTreeMap<u64, Room>,
    last: u64,
}

#[derive(Debug, Default)]
struct Room {
    seats: Vec<Seat>,
    full: Arc<Notify>,
}

/// The leader's hold on its room.
#[derive(Debug)]
pub(super) struct Lead<'a> {
    rooms: &'a Rooms,
    purpose: Purpose,
    number: u64,
    full: Arc<Notify>,
}

impl Rooms {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a seat. The first in a room leads it.
    pub(super) fn join(&self, purpose: &Purpose, seat: Seat) -> Option<Lead<'_>> {
        let mut inner = self.inner();
        let number = match inner.open.get(purpose) {
            Some(&number) => number,
            None => {
                inner.last += 1;
                let number = inner.last;
                inner.open.insert(purpose.clone(), number);
                number
            }
        };
        let room = inner.rooms.entry(number).or_default();
        room.seats.push(seat);
        let (taken, full) = (room.seats.len(), Arc::clone(&room.full));
        if taken == MOST_FINDINGS {
            full.notify_one();
            inner.open.remove(purpose);
        }
        drop(inner);
        (taken == 1).then(|| Lead { rooms: self, purpose: purpose.clone(), number, full })
    }

    pub(super) fn definition(&self, name: &str) -> Option<Action> {
        let definitions = self.definitions.lock().unwrap_or_else(PoisonError::into_inner);
        let (read, action) = definitions.get(name)?;
        (read.elapsed() < DEFINED).then(|| action.clone())
    }

    pub(super) fn define(&self, name: &str, action: &Action) {
        let definition = (Instant::now(), action.clone());
        self.definitions.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), definition);
    }
}

impl Lead<'_> {
    /// Resolves when nobody else can come.
    pub async fn full(&self) {
        self.full.notified().await;
    }

    /// How many sit in it.
    pub fn taken(&self) -> usize {
        self.rooms.inner().rooms.get(&self.number).map_or(0, |room| room.seats.len())
    }

    /// Closes the room; those who sit in it.
    pub fn close(&self) -> Vec<Seat> {
        let mut inner = self.rooms.inner();
        if inner.open.get(&self.purpose) == Some(&self.number) {
            inner.open.remove(&self.purpose);
        }
        inner.rooms.remove(&self.number).map(|room| room.seats).unwrap_or_default()
    }

    pub fn purpose(&self) -> &Purpose {
        &self.purpose
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        self.close();
    }
}
