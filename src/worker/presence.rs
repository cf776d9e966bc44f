//! Telling the ledger that this worker is there, how it is, and at last that it is gone.

use super::breaker::Health;
use super::config::ANNOUNCE_EVERY;
use super::shared::Shared;
use crate::aws::{CallError, Class};
use crate::budget::{Budgets, Operation};
use crate::ledger::{Calls, Presence, WorkerHealth, WorkerNote};
use crate::policy::Mode;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

/// A quarter of the usual interval: a ledger that is slow costs no other note. The last one is part of the drain, which is not to wait.
const PATIENCE: Duration = Duration::from_secs(ANNOUNCE_EVERY.as_secs() / 4);
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// What is told of a breaker's reason: a note stays below 1 KB, which is one write unit.
const REASON: usize = 300;

/// The age of the oldest message received since it was last asked for.
#[derive(Debug)]
pub(super) struct OldestMessage(AtomicI64);

impl Default for OldestMessage {
    fn default() -> Self {
        Self(AtomicI64::new(-1))
    }
}

impl OldestMessage {
    /// A message of this age was received, milliseconds; one of the future, by another clock, is new.
    pub fn received(&self, age: i64) {
        self.0.fetch_max(age.max(0), Ordering::Relaxed);
    }

    fn take(&self) -> Option<i64> {
        Some(self.0.swap(-1, Ordering::Relaxed)).filter(|age| *age >= 0)
    }
}

/// What happened in the interval before.
#[derive(Debug, Default)]
struct Lately {
    oldest_message: Option<i64>,
    calls: BTreeMap<String, Calls>,
}

/// Slots taken of each operation, and when that was looked at.
struct Taken {
    at: Instant,
    slots: BTreeMap<Operation, u64>,
}

impl Taken {
    fn none() -> Self {
        Self { at: Instant::now(), slots: BTreeMap::new() }
    }

    /// The calls since the last time.
    fn look(&mut self, budgets: &Budgets) -> BTreeMap<String, Calls> {
        let now = Instant::now();
        let seconds = (now - self.at).as_secs_f64().max(1e-3);
        self.at = now;
        let calls = budgets.usage().into_iter().map(|(operation, usage)| {
            let before = self.slots.insert(operation, usage.taken).unwrap_or(0);
            let per_second = rounded(usage.taken.saturating_sub(before) as f64 / seconds);
            (operation.to_string(), Calls { per_second, budget: rounded(usage.per_second) })
        });
        calls.collect()
    }
}

/// To a thousandth: people read it, and a note is to be small.
fn rounded(rate: f64) -> f64 {
    (rate * 1e3).round() / 1e3
}

/// Announces at once, every interval, when the breaker turns and when a stop was asked for; and at `leaving` that the worker is gone.
/// A note that cannot be written is told once until one can be written again, and touches nothing else: neither attempts nor breaker.
pub(super) async fn announce<Q, L: Presence, I>(shared: &Shared<Q, L, I>, leaving: CancellationToken) {
    let Some(every) = shared.config.announce else { return };
    let started_at = shared.clock.now_ms();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut lately, mut taken) = (Lately::default(), Taken::none());
    let (mut told_open, mut told_draining) = (false, false);
    let mut failed = false;
    loop {
        tokio::select! {
            biased;
            () = leaving.cancelled() => break,
            () = shared.stop.cancelled(), if !told_draining => {}
            () = shared.vitals.breaker.turned(told_open) => {}
            _ = ticks.tick() => {
                lately = Lately { oldest_message: shared.oldest_message.take(), calls: taken.look(&shared.budgets) };
            }
        }
        let health = health(shared);
        (told_open, told_draining) = (shared.vitals.breaker.is_open(), shared.stop.is_cancelled());
        let note = note(shared, started_at, every, health, &lately);
        tokio::select! {
            biased;
            () = leaving.cancelled() => break,
            () = write(shared, &note, PATIENCE, &mut failed) => {}
        }
    }
    let note = note(shared, started_at, every, WorkerHealth::Gone, &Lately::default());
    write(shared, &note, LAST_PATIENCE, &mut failed).await;
}

async fn write<Q, L: Presence, I>(shared: &Shared<Q, L, I>, note: &WorkerNote, patience: Duration, failed: &mut bool) {
    let late = |_| Err(CallError::new(Class::Transient, "UpdateItem", "the ledger did not answer in time"));
    match timeout(patience, shared.ledger.unwatched().announce(note)).await.unwrap_or_else(late) {
        Ok(()) => *failed = false,
        Err(error) => shared.telemetry.not_announced(&error, !std::mem::replace(failed, true)),
    }
}

fn health<Q, L, I>(shared: &Shared<Q, L, I>) -> WorkerHealth {
    if shared.stop.is_cancelled() {
        return WorkerHealth::Draining;
    }
    match shared.vitals.breaker.health() {
        Health::Well => WorkerHealth::Well,
        Health::Broken { reason, until } => {
            let left = i64::try_from(until.saturating_duration_since(Instant::now()).as_millis()).unwrap_or(i64::MAX);
            let until = shared.clock.now_ms().saturating_add(left);
            WorkerHealth::Broken { reason: reason.chars().take(REASON).collect(), until }
        }
    }
}

fn note<Q, L, I>(
    shared: &Shared<Q, L, I>,
    started_at: i64,
    every: Duration,
    health: WorkerHealth,
    lately: &Lately,
) -> WorkerNote {
    let counts = shared.telemetry.counts();
    let mode = if shared.policy.mode == Mode::Enforce { "enforce" } else { "observe" };
    WorkerNote {
        id: shared.config.id.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        mode: mode.to_owned(),
        policy: shared.config.policy_name.clone(),
        started_at,
        seen_at: shared.clock.now_ms(),
        every: i64::try_from(every.as_millis()).unwrap_or(i64::MAX),
        health,
        in_flight: shared.in_flight.len() as u64,
        finished: counts.mitigated + counts.compliant + counts.observed + counts.suppressed + counts.held + counts.dead,
        oldest_message: lately.oldest_message,
        calls: lately.calls.clone(),
    }
}
