//! An account, a ledger, workers; and what is left when they have run.

use super::account::{Account, Caller};
use super::distance::Distant;
use super::trace::{Trace, WorkerTrace};
use super::worker::{Seat, Worker};
use fleetwarden::budget::{BudgetConfig, Budgets, Fleet, Operation};
use fleetwarden::clock::Clock;
use fleetwarden::ledger::{MemoryLedger, Timelines};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// Callers of a worker: as many findings as `run` works on at a time unless told otherwise.
const CALLERS: usize = 256;

/// The midnight that every run begins at; nothing depends on which.
const MIDNIGHT: i64 = 1_795_305_600;

/// What a run is about.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The operation that everybody calls.
    pub operation: Operation,
    /// Its quota, calls per second.
    pub quota: f64,
    /// The ledger's round trip in milliseconds, drawn evenly.
    pub round_trip_ms: RangeInclusive<u64>,
    /// Everything random comes from it.
    pub seed: u64,
}

impl Setting {
    /// AWS's default quota of this operation, and a ledger in the same region.
    pub fn new(operation: Operation, seed: u64) -> Self {
        Self { operation, quota: operation.default_quota(), round_trip_ms: 2..=20, seed }
    }
}

/// A run.
#[derive(Debug)]
pub struct World {
    setting: Setting,
    started: Instant,
    clock: Clock,
    account: Arc<Account>,
    timelines: Arc<dyn Timelines>,
    workers: Vec<Worker>,
    rng: fastrand::Rng,
}

impl World {
    /// Nobody works yet.
    pub fn new(setting: Setting) -> Self {
        let account = Arc::new(Account::new(setting.quota));
        let rng = fastrand::Rng::with_seed(setting.seed);
        let clock = Clock::virtual_at(Timestamp::from_second(MIDNIGHT).unwrap_or_default());
        let timelines: Arc<dyn Timelines> = Arc::new(MemoryLedger::new());
        Self { setting, started: Instant::now(), clock, account, timelines, workers: Vec::new(), rng }
    }

    /// A worker that is saturated from the start.
    pub fn busy(&mut self) {
        self.start(SignedDuration::ZERO, true, None);
    }

    /// A saturated worker whose clock is ahead by `skew`, or behind.
    pub fn skewed(&mut self, skew: SignedDuration) {
        self.start(skew, true, None);
    }

    /// A worker without work, but for a call in each `now_and_then`.
    pub fn idle(&mut self, now_and_then: Option<Duration>) {
        self.start(SignedDuration::ZERO, false, now_and_then);
    }

    fn start(&mut self, skew: SignedDuration, busy: bool, now_and_then: Option<Duration>) {
        let Setting { operation, quota, round_trip_ms, .. } = self.setting.clone();
        let timelines = Arc::clone(&self.timelines);
        let distant = Arc::new(Distant::new(timelines, round_trip_ms, self.started, self.rng.u64(..)));
        let config =
            BudgetConfig { quotas: BTreeMap::from([(operation, quota)]), reserve: 0.0, ..BudgetConfig::default() };
        let timelines: Arc<dyn Timelines> = Arc::<Distant>::clone(&distant);
        let fleet = Fleet {
            timelines,
            region: "us-east-1".to_owned(),
            clock: self.clock.skewed(skew),
            telemetry: Arc::default(),
            seed: self.rng.u64(..),
        };
        let seat = Arc::new(Seat {
            number: self.workers.len(),
            operation,
            account: Arc::clone(&self.account),
            budgets: Budgets::shared(&config, &fleet),
            rng: Mutex::new(self.rng.fork()),
        });
        self.workers.push(Worker::start(seat, distant, CALLERS, busy, now_and_then));
    }

    /// Gives work without end to the workers from the `first` on.
    pub fn wake(&self, first: usize) {
        self.workers.iter().skip(first).for_each(Worker::wake);
    }

    /// Kills the workers from the `first` on, all at once.
    pub fn kill(&mut self, first: usize) {
        self.workers.iter_mut().skip(first).for_each(Worker::kill);
    }

    /// Time goes by.
    pub async fn pass(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// Time goes by, and all the while somebody else calls at an even rate, whatever the answer.
    pub async fn pass_with_an_outsider(&self, duration: Duration, per_second: f64) {
        let until = Instant::now() + duration;
        let mut next = Instant::now();
        while next < until {
            tokio::time::sleep_until(next).await;
            self.account.call(Caller::Outsider);
            next += Duration::from_secs_f64(1.0 / per_second);
        }
        tokio::time::sleep_until(until).await;
    }

    /// Ends the run.
    pub fn end(mut self) -> Trace {
        let took = self.started.elapsed();
        self.kill(0);
        let since = |moment: Instant| moment - self.started;
        let workers = self.workers.iter().map(|worker| WorkerTrace {
            lived: since(worker.started)..worker.killed.map_or(took, since),
            asked: worker.ledger.asked(),
        });
        Trace { quota: self.setting.quota, took, arrivals: self.account.arrivals(), workers: workers.collect() }
    }
}
