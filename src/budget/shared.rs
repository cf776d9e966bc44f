//! One operation's budget, shared with the fleet: callers queue here, and whoever is first waits for the next slot that this worker
//! has reserved. More is reserved in the background, ahead of need.

use super::fleet::Common;
use super::line::{Line, Turn};
use super::operation::Operation;
use super::timeline::{Plan, SECOND, Wish};
use crate::aws::{CallError, Class};
use crate::ledger::{Change, Changed, Timeline};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex as Queue, Notify};
use tokio::time::Instant;

/// A ledger that has not answered by then is out of reach: the client's own patience of half a minute is longer than calls can wait.
const PATIENCE: Duration = Duration::from_secs(2);

/// Refused reservations in a row, after which the others are left to it for a moment.
const TRIES: usize = 3;

#[derive(Debug)]
pub(super) struct SharedPace {
    operation: Operation,
    key: String,
    common: Arc<Common>,
    state: Mutex<State>,
    /// First come, first served.
    turn: Queue<()>,
    /// Wakes whoever is in turn when an answer of the ledger has come.
    news: Notify,
    waiting: AtomicUsize,
}

#[derive(Debug)]
struct State {
    line: Line,
    /// What the ledger refused with, and until when that is taken to hold.
    refused: Option<(CallError, i64)>,
    cutting: bool,
    unreachable: bool,
}

/// Somebody who waits; counted until dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn count(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl SharedPace {
    pub fn new(operation: Operation, key: String, per_second: f64, common: Arc<Common>) -> Self {
        let state = State { line: Line::new(per_second), refused: None, cutting: false, unreachable: false };
        Self {
            operation,
            key,
            common,
            state: Mutex::new(state),
            turn: Queue::new(()),
            news: Notify::new(),
            waiting: AtomicUsize::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next slot.
    ///
    /// # Errors
    /// The ledger refuses for a reason that waiting does not cure.
    pub async fn slot(self: &Arc<Self>) -> Result<(), CallError> {
        let _waiting = Waiting::count(&self.waiting);
        let _turn = self.turn.lock().await;
        let mut armed = None;
        loop {
            match self.look(armed)? {
                Turn::Go => return Ok(()),
                Turn::Wait { until, slot } => {
                    armed = slot;
                    tokio::select! {
                        biased;
                        () = tokio::time::sleep_until(self.common.clock.instant(until)) => {}
                        () = self.news.notified() => {}
                    }
                }
            }
        }
    }

    /// What the caller in turn does; asks for more slots if it is time.
    fn look(self: &Arc<Self>, armed: Option<i64>) -> Result<Turn, CallError> {
        let now = self.common.clock.now();
        let mut state = self.state();
        if let Some((error, until)) = &state.refused {
            if now < *until {
                return Err(error.clone());
            }
            state.refused = None;
        }
        let turn = state.line.turn(now, armed);
        let served = usize::from(turn == Turn::Go);
        let waiting = self.waiting.load(Ordering::Relaxed).saturating_sub(served);
        if let Some(wish) = state.line.wants(now, waiting) {
            state.line.asking = true;
            drop(state);
            tokio::spawn(Arc::clone(self).reserve(wish));
        }
        Ok(turn)
    }

    /// Reserves what is wished for, or as much as there is.
    async fn reserve(self: Arc<Self>, wish: Wish) {
        let late = || CallError::new(Class::Transient, "UpdateItem", "the ledger did not answer within 2 s");
        let answer = tokio::time::timeout(PATIENCE, self.ask(wish)).await.unwrap_or_else(|_| Err(late()));
        let now = self.common.clock.now();
        let mut state = self.state();
        match answer {
            Ok(()) => {
                if std::mem::take(&mut state.unreachable) {
                    self.common.telemetry.budget_reachable(self.operation);
                }
            }
            Err(error) if error.may_pass() => {
                if !std::mem::replace(&mut state.unreachable, true) {
                    self.common.telemetry.budget_unreachable(self.operation, &error);
                }
                state.line.alone(now);
            }
            Err(error) => state.refused = Some((error, now + SECOND)),
        }
        state.line.asking = false;
        drop(state);
        self.news.notify_one();
    }

    async fn ask(&self, wish: Wish) -> Result<(), CallError> {
        let clock = &self.common.clock;
        let asked = Instant::now();
        let mut seen = self.common.timelines.timeline(&self.key).await?;
        self.hear(seen.as_ref(), asked);
        for _ in 0..TRIES {
            let now = clock.now();
            let plan = {
                let mut state = self.state();
                let wish = Wish { now, trip: state.line.trip, ..wish };
                state.line.plan(seen.as_ref(), wish, self.common.jitter())
            };
            let Plan::Reserve { change, slots, interval } = plan else { return Ok(()) };
            let asked = Instant::now();
            let changed = self.common.timelines.change(&self.key, change, now).await?;
            let stands = match changed {
                Changed::From(stood) => stood,
                Changed::Refused(stands) => stands,
            };
            self.hear(stands.as_ref(), asked);
            self.state().line.changed(change, changed, slots, interval, clock.now());
            if let Changed::From(_) = changed {
                return Ok(());
            }
            seen = stands;
        }
        Ok(())
    }

    /// The ledger answered: what the fleet's clock showed, and how long an answer takes.
    fn hear(&self, timeline: Option<&Timeline>, asked: Instant) {
        if let Some(timeline) = timeline {
            self.common.clock.learn(timeline.written_at);
        }
        let trip = i64::try_from(asked.elapsed().as_micros()).unwrap_or(i64::MAX).min(SECOND / 2);
        let line = &mut self.state().line;
        line.trip += (trip - line.trip) / 4;
    }

    /// AWS throttled a call although it had a slot: somebody outside uses the quota. Cuts the rate of the whole fleet, unless that was
    /// just done.
    pub fn throttled(self: &Arc<Self>) {
        let mut state = self.state();
        if state.cutting {
            return;
        }
        if let Some(change) = state.line.cut(self.common.clock.now()) {
            state.cutting = true;
            drop(state);
            tokio::spawn(Arc::clone(self).cut(change));
        }
    }

    async fn cut(self: Arc<Self>, mut change: Change) {
        // Twice: what was known here of earlier cuts may be old.
        for _ in 0..2 {
            let now = self.common.clock.now();
            match self.common.timelines.change(&self.key, change, now).await {
                Ok(Changed::From(Some(before))) => {
                    let rate = self.state().line.was_cut(before, change, now);
                    self.common.telemetry.budget_cut(self.operation, rate);
                    break;
                }
                Ok(Changed::Refused(Some(stands))) => {
                    self.common.clock.learn(stands.written_at);
                    let mut state = self.state();
                    let now = self.common.clock.now();
                    state.line.learn(stands, now);
                    match state.line.cut(now) {
                        Some(again) => change = again,
                        None => break,
                    }
                }
                Ok(Changed::From(None) | Changed::Refused(None)) => break,
                Err(error) => {
                    // The next throttled call asks again.
                    self.common.telemetry.budget_not_cut(self.operation, &error);
                    break;
                }
            }
        }
        self.state().cutting = false;
    }

    /// The part of the budget that is in force and how often it was cut, as far as is known here.
    pub fn in_force(&self) -> (f64, u64) {
        self.state().line.in_force(self.common.clock.now())
    }

    /// Calls per second that this worker can count on.
    pub fn rate(&self) -> f64 {
        self.state().line.rate(self.common.clock.now())
    }
}
