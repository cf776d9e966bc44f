//! One worker's way to the ledger: every call takes its time there and back, and is counted.

use fleetwarden::aws::CallError;
use fleetwarden::ledger::{Change, Changed, Timeline, Timelines};
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// When what was asked of one timeline arrived there, since the start of the run.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Changes, those that were refused included: DynamoDB charges them alike.
    pub writes: Vec<Duration>,
    /// Reads.
    pub reads: Vec<Duration>,
}

/// The same timelines, at a distance. A worker that was killed hears nothing from them any more; what it had sent may arrive.
#[derive(Debug)]
pub struct Distant {
    timelines: Arc<dyn Timelines>,
    round_trip_ms: RangeInclusive<u64>,
    started: Instant,
    cut: AtomicBool,
    rng: Mutex<fastrand::Rng>,
    asked: Mutex<BTreeMap<String, Asked>>,
}

impl Distant {
    /// `round_trip_ms` is drawn evenly for each call; `started` is when the run began.
    pub fn new(timelines: Arc<dyn Timelines>, round_trip_ms: RangeInclusive<u64>, started: Instant, seed: u64) -> Self {
        let rng = Mutex::new(fastrand::Rng::with_seed(seed));
        Self { timelines, round_trip_ms, started, cut: AtomicBool::new(false), rng, asked: Mutex::default() }
    }

    /// From now on no reply comes back.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }

    /// What was asked so far, by timeline: each is of one operation.
    pub fn asked(&self) -> BTreeMap<String, Asked> {
        lock(&self.asked).clone()
    }

    /// Half of a round trip, in microseconds.
    fn way(&self) -> Duration {
        let (least, most) = (self.round_trip_ms.start() * 500, self.round_trip_ms.end() * 500);
        Duration::from_micros(lock(&self.rng).u64(least..=most))
    }

    async fn there(&self, key: &str, list: fn(&mut Asked) -> &mut Vec<Duration>) {
        tokio::time::sleep(self.way()).await;
        let mut asked = lock(&self.asked);
        if !asked.contains_key(key) {
            asked.insert(key.to_owned(), Asked::default());
        }
        if let Some(asked) = asked.get_mut(key) {
            list(asked).push(self.started.elapsed());
        }
    }

    async fn back(&self) {
        tokio::time::sleep(self.way()).await;
        if self.cut.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Timelines for Distant {
    fn timeline<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Timeline>, CallError>> {
        Box::pin(async move {
            self.there(key, |asked| &mut asked.reads).await;
            let read = self.timelines.timeline(key).await;
            self.back().await;
            read
        })
    }

    fn change<'a>(&'a self, key: &'a str, change: Change, now: i64) -> BoxFuture<'a, Result<Changed, CallError>> {
        Box::pin(async move {
            self.there(key, |asked| &mut asked.writes).await;
            let changed = self.timelines.change(key, change, now).await;
            self.back().await;
            changed
        })
    }
}
