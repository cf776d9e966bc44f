//! What can be seen of a running worker from outside: may it take on work, does it still move.

use super::breaker::Breaker;
use crate::telemetry::Telemetry;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A worker's breaker, its stages, and whether it was told to stop. Made by who starts the worker, to be looked at while it runs.
#[derive(Debug)]
pub struct Vitals {
    /// Whether it may take on work.
    pub breaker: Arc<Breaker>,
    stages: Stages,
    draining: AtomicBool,
}

impl Vitals {
    /// Those of a worker that has not started.
    pub fn new(telemetry: Arc<Telemetry>) -> Self {
        Self { breaker: Arc::new(Breaker::new(telemetry)), stages: Stages::default(), draining: AtomicBool::new(false) }
    }

    /// Whether it was told to stop.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// A sentence, if one of the worker's loops does not move any more: it is overdue, or it panicked. Nothing but a new process helps.
    pub fn stuck(&self) -> Option<String> {
        self.stages.stuck(Instant::now())
    }

    pub(super) fn drains(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// A loop that is watched from now on.
    pub(super) fn stage(&self, name: &'static str) -> Pulse {
        self.stages.enter(name)
    }
}

#[derive(Debug, Clone, Default)]
struct Stages(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    next: u64,
    stages: BTreeMap<u64, Stage>,
}

#[derive(Debug)]
struct Stage {
    name: &'static str,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// For work, however long that takes to come.
    Waits,
    Owes {
        since: Instant,
        within: Duration,
    },
    Panicked,
}

impl Stages {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, name: &'static str) -> Pulse {
        let mut table = self.table();
        let id = table.next;
        table.next += 1;
        table.stages.insert(id, Stage { name, state: State::Waits });
        Pulse { id, stages: self.clone() }
    }

    fn stuck(&self, now: Instant) -> Option<String> {
        self.table().stages.values().find_map(|Stage { name, state }| match state {
            State::Waits => None,
            State::Panicked => Some(format!("{name} panicked: this is a bug")),
            State::Owes { since, within } => {
                let silent = now.saturating_duration_since(*since);
                let (silent, within) = (silent.as_secs_f64(), within.as_secs_f64());
                (silent > within)
                    .then(|| format!("{name} has not moved for {silent:.0} s, and should within {within:.0} s"))
            }
        })
    }
}

/// A loop's sign of life. Dropped, the loop is over; dropped in a panic, it is told.
#[derive(Debug)]
pub(super) struct Pulse {
    id: u64,
    stages: Stages,
}

impl Pulse {
    /// The loop moves, and will again within this time, or it is stuck.
    pub fn moves(&self, within: Duration) {
        self.set(State::Owes { since: Instant::now(), within });
    }

    /// The loop waits for work, however long that takes.
    pub fn waits(&self) {
        self.set(State::Waits);
    }

    fn set(&self, state: State) {
        if let Some(stage) = self.stages.table().stages.get_mut(&self.id) {
            stage.state = state;
        }
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.set(State::Panicked);
        } else {
            self.stages.table().stages.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_is_stuck_when_it_is_overdue_and_not_while_it_waits_for_work_or_after_it_ended() {
        let vitals = Vitals::new(Arc::default());
        let (waiting, moving) = (vitals.stage("the claimer"), vitals.stage("the heartbeat of leases"));
        waiting.waits();
        moving.moves(Duration::from_secs(60));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(vitals.stuck(), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        let told = vitals.stuck().unwrap();
        assert_eq!(told, "the heartbeat of leases has not moved for 61 s, and should within 60 s");
        moving.moves(Duration::from_secs(60));
        assert_eq!(vitals.stuck(), None);
        tokio::time::advance(Duration::from_secs(3600)).await;
        drop(moving);
        assert_eq!(vitals.stuck(), None);
    }

    #[tokio::test]
    async fn a_loop_that_panicked_is_told() {
        let vitals = Vitals::new(Arc::default());
        let pulse = vitals.stage("the claimer");
        let panicked = tokio::spawn(async move {
            pulse.waits();
            panic!("a bug");
        });
        assert!(panicked.await.is_err());
        assert_eq!(vitals.stuck().as_deref(), Some("the claimer panicked: this is a bug"));
    }
}
