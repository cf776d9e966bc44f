//! An AWS account's quota of one operation: a bucket of tokens that holds a second's worth and fills at the quota's rate.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Who called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// The worker of this number.
    Worker(usize),
    /// Somebody who knows nothing of the fleet's budgets.
    Outsider,
}

/// One call as the account saw it.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// Since the start of the run.
    pub at: Duration,
    /// Who called.
    pub caller: Caller,
    /// `false`: it was throttled.
    pub admitted: bool,
}

/// The account.
#[derive(Debug)]
pub struct Account {
    quota: f64,
    started: Instant,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
    arrivals: Vec<Arrival>,
}

impl Account {
    /// An account with a full bucket. `quota` is in calls per second.
    pub fn new(quota: f64) -> Self {
        let started = Instant::now();
        let bucket = Bucket { tokens: quota, filled: started, arrivals: Vec::new() };
        Self { quota, started, bucket: Mutex::new(bucket) }
    }

    /// A call arrives; `false` when it is throttled.
    pub fn call(&self, caller: Caller) -> bool {
        let now = Instant::now();
        let mut bucket = self.bucket();
        let refill = (now - bucket.filled).as_secs_f64() * self.quota;
        bucket.tokens = (bucket.tokens + refill).min(self.quota);
        bucket.filled = now;
        let admitted = bucket.tokens >= 1.0;
        if admitted {
            bucket.tokens -= 1.0;
        }
        bucket.arrivals.push(Arrival { at: now - self.started, caller, admitted });
        admitted
    }

    /// The calls so far, in the order of their arrival.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.bucket().arrivals.clone()
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
