//! What the workers of one account and region share: the ledger's timelines, and a clock.

use super::operation::Operation;
use crate::clock::Clock;
use crate::ledger::Timelines;
use crate::telemetry::Telemetry;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Where the fleet's budgets are, and who asks.
#[derive(Debug)]
pub struct Fleet {
    /// The timelines of every operation.
    pub timelines: Arc<dyn Timelines>,
    /// The region whose quotas these are.
    pub region: String,
    /// What time it is here.
    pub clock: Clock,
    /// Where cuts are counted.
    pub telemetry: Arc<Telemetry>,
    /// For jitter; different for each process.
    pub seed: u64,
}

/// The ledger's key of an operation's timeline.
pub fn timeline_key(region: &str, operation: Operation) -> String {
    format!("budget#{region}#{operation}")
}

/// The fleet's clock, microseconds: that of its fastest worker. Whoever reads a timeline sees what its last writer's clock showed
/// then, and never lets its own show less. Clocks that are apart would otherwise call in each other's slots. Nobody's clock needs to
/// be right, only differences count; the machine's own being set has no effect, since it is read once.
#[derive(Debug)]
pub(super) struct FleetClock {
    started: Instant,
    origin: i64,
    behind: AtomicI64,
}

impl FleetClock {
    pub fn new(clock: &Clock) -> Self {
        Self { started: Instant::now(), origin: clock.now().as_microsecond(), behind: AtomicI64::new(0) }
    }

    fn own(&self) -> i64 {
        let elapsed = i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX);
        self.origin.saturating_add(elapsed)
    }

    pub fn now(&self) -> i64 {
        self.own().saturating_add(self.behind.load(Ordering::Relaxed))
    }

    /// Another worker's clock showed this, at some time before now.
    pub fn learn(&self, shown: i64) {
        self.behind.fetch_max(shown.saturating_sub(self.own()), Ordering::Relaxed);
    }

    /// When it will show this.
    pub fn instant(&self, at: i64) -> Instant {
        let ahead = u64::try_from(at.saturating_sub(self.now())).unwrap_or(0);
        Instant::now() + Duration::from_micros(ahead)
    }
}

/// A [`Fleet`] as its lines use it.
#[derive(Debug)]
pub(super) struct Common {
    pub timelines: Arc<dyn Timelines>,
    pub clock: FleetClock,
    pub telemetry: Arc<Telemetry>,
    rng: Mutex<fastrand::Rng>,
}

impl Common {
    pub fn new(fleet: &Fleet) -> Self {
        Self {
            timelines: Arc::clone(&fleet.timelines),
            clock: FleetClock::new(&fleet.clock),
            telemetry: Arc::clone(&fleet.telemetry),
            rng: Mutex::new(fastrand::Rng::with_seed(fleet.seed)),
        }
    }

    /// Evenly spread between 0 and 1.
    pub fn jitter(&self) -> f64 {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_runs_behind_catches_up_with_what_it_reads_and_one_ahead_stays() {
        let clock = Clock::virtual_at("2026-11-22T12:00:00Z".parse().unwrap());
        let (fast, slow) = (
            FleetClock::new(&clock.skewed(SignedDuration::from_millis(500))),
            FleetClock::new(&clock.skewed(SignedDuration::from_millis(-500))),
        );
        assert_eq!(fast.now() - slow.now(), 1_000_000);
        slow.learn(fast.now());
        fast.learn(slow.now());
        assert_eq!(fast.now(), slow.now());
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(fast.now(), slow.now());
        assert_eq!(slow.instant(slow.now() + 2_000_000) - Instant::now(), Duration::from_secs(2));
    }
}
