//! One worker process: budgets of its own, and callers that each take a slot, call, and take the next.

use super::account::{Account, Caller};
use super::distance::Distant;
use fleetwarden::budget::{Budgets, Operation};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long a call is on its way to the account, and its answer on the way back.
const WAY_MICROS: RangeInclusive<u64> = 5_000..=15_000;

/// A worker process that runs until it is killed.
#[derive(Debug)]
pub struct Worker {
    /// Its way to the ledger.
    pub ledger: Arc<Distant>,
    /// When it was started.
    pub started: Instant,
    /// When it was killed.
    pub killed: Option<Instant>,
    busy: watch::Sender<bool>,
    callers: JoinSet<()>,
}

/// What every caller of a worker shares.
#[derive(Debug)]
pub struct Seat {
    /// The worker's number.
    pub number: usize,
    /// What it calls.
    pub operation: Operation,
    /// Whom it calls.
    pub account: Arc<Account>,
    /// The budgets of its process.
    pub budgets: Budgets,
    /// Where its delays come from.
    pub rng: Mutex<fastrand::Rng>,
}

impl Seat {
    fn draw(&self, range: RangeInclusive<u64>) -> u64 {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).u64(range)
    }

    async fn way(&self) {
        tokio::time::sleep(Duration::from_micros(self.draw(WAY_MICROS))).await;
    }

    /// One call, as the program makes it: a slot first, and a word to the budgets if it was throttled.
    async fn call(&self) {
        if let Err(error) = self.budgets.slot(self.operation).await {
            eprintln!("worker {} gets no slots any more: {error}", self.number);
            std::future::pending::<()>().await;
        }
        self.way().await;
        let admitted = self.account.call(Caller::Worker(self.number));
        self.way().await;
        if !admitted {
            self.budgets.throttled(self.operation);
        }
    }
}

impl Worker {
    /// Starts a worker with that many callers, which call without pause while it is busy. While it is not, it makes one call in
    /// each `now_and_then`, if that is given.
    pub fn start(
        seat: Arc<Seat>,
        ledger: Arc<Distant>,
        callers: usize,
        busy: bool,
        now_and_then: Option<Duration>,
    ) -> Self {
        let (busy, watched) = watch::channel(busy);
        let mut tasks = JoinSet::new();
        for _ in 0..callers {
            let (seat, mut busy) = (Arc::clone(&seat), watched.clone());
            tasks.spawn(async move {
                while busy.wait_for(|busy| *busy).await.is_ok() {
                    seat.call().await;
                }
            });
        }
        if let Some(pause) = now_and_then {
            let busy = watched;
            tasks.spawn(async move {
                let first = seat.draw(0..=u64::try_from(pause.as_micros()).unwrap_or(u64::MAX));
                tokio::time::sleep(Duration::from_micros(first)).await;
                loop {
                    if !*busy.borrow() {
                        seat.call().await;
                    }
                    tokio::time::sleep(pause).await;
                }
            });
        }
        Self { ledger, started: Instant::now(), killed: None, busy, callers: tasks }
    }

    /// Gives it work without end.
    pub fn wake(&self) {
        self.busy.send_replace(true);
    }

    /// Ends it where it stands: what it has reserved is lost.
    pub fn kill(&mut self) {
        self.ledger.cut();
        self.callers.abort_all();
        self.killed = Some(Instant::now());
    }
}
