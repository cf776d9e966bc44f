//! [`Watched`]: the ledger, with the breaker told what becomes of every call.

use super::breaker::{Breaker, Dependency};
use crate::aws::{CallError, Class};
use crate::ledger::{
    Census, ClaimOutcome, ClaimRef, ClaimRequest, Filter, Finish, Gate, Ledger, Record, RecordPage, Recording,
    WriteError,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Any ledger. A denied entry opens the breaker, a call without an answer counts towards that.
#[derive(Debug)]
pub(super) struct Watched<L> {
    inner: L,
    breaker: Arc<Breaker>,
}

impl<L> Watched<L> {
    pub fn new(inner: L, breaker: Arc<Breaker>) -> Self {
        Self { inner, breaker }
    }

    /// The ledger itself: whatever becomes of a call to it, the breaker is not told.
    pub fn unwatched(&self) -> &L {
        &self.inner
    }

    fn call(&self, asked: Instant, failure: Option<&CallError>) {
        match failure {
            None => self.breaker.ledger_answered(asked),
            Some(error) => match error.class {
                Class::Denied => self.breaker.met(Dependency::Ledger, error),
                Class::Transient | Class::Unknown => self.breaker.ledger_failed(error),
                // It is there, and has its hands full; or it is the entry's fault.
                Class::Throttled | Class::Permanent | Class::Gone => {}
            },
        }
    }

    /// A batch has no answer if none of its entries has one.
    fn batch<T, E: Failure>(&self, asked: Instant, result: &Result<Vec<Result<T, E>>, CallError>) {
        let entries = match result {
            Ok(entries) => entries,
            Err(error) => return self.call(asked, Some(error)),
        };
        let failures: Vec<_> =
            entries.iter().filter_map(|entry| entry.as_ref().err().and_then(Failure::of_the_call)).collect();
        match failures.iter().find(|error| error.class == Class::Denied) {
            Some(denied) => self.call(asked, Some(denied)),
            None if failures.len() == entries.len() => self.call(asked, failures.first().copied()),
            None => self.call(asked, None),
        }
    }
}

/// An error of one entry.
trait Failure {
    /// `None` if the ledger answered, though not what was hoped for.
    fn of_the_call(&self) -> Option<&CallError>;
}

impl Failure for CallError {
    fn of_the_call(&self) -> Option<&CallError> {
        Some(self)
    }
}

impl Failure for WriteError {
    fn of_the_call(&self) -> Option<&CallError> {
        match self {
            Self::Call(error) => Some(error),
            Self::LostClaim => None,
        }
    }
}

fn failure<T, E: Failure>(result: &Result<T, E>) -> Option<&CallError> {
    result.as_ref().err().and_then(Failure::of_the_call)
}

impl<L: Ledger> Ledger for Watched<L> {
    async fn claim(
        &self,
        requests: &[ClaimRequest],
        owner: &str,
        now: i64,
        lease: Duration,
    ) -> Result<Vec<Result<ClaimOutcome, CallError>>, CallError> {
        let asked = Instant::now();
        let result = self.inner.claim(requests, owner, now, lease).await;
        self.batch(asked, &result);
        result
    }

    async fn renew(
        &self,
        claims: &[ClaimRef],
        now: i64,
        lease: Duration,
    ) -> Result<Vec<Result<(), WriteError>>, CallError> {
        let asked = Instant::now();
        let result = self.inner.renew(claims, now, lease).await;
        self.batch(asked, &result);
        result
    }

    async fn record(
        &self,
        recordings: &[Recording],
        now: i64,
        lease: Duration,
    ) -> Result<Vec<Result<(), WriteError>>, CallError> {
        let asked = Instant::now();
        let result = self.inner.record(recordings, now, lease).await;
        self.batch(asked, &result);
        result
    }

    async fn finish(&self, finishes: &[Finish], now: i64) -> Result<Vec<Result<(), WriteError>>, CallError> {
        let asked = Instant::now();
        let result = self.inner.finish(finishes, now).await;
        self.batch(asked, &result);
        result
    }

    async fn enter(
        &self,
        key: &str,
        holder: &ClaimRef,
        now: i64,
        lease: Duration,
        cooldown: Duration,
    ) -> Result<Gate, CallError> {
        let asked = Instant::now();
        let result = self.inner.enter(key, holder, now, lease, cooldown).await;
        self.call(asked, failure(&result));
        result
    }

    async fn leave(&self, key: &str, holder: &ClaimRef, now: i64, acted: bool) -> Result<(), CallError> {
        let asked = Instant::now();
        let result = self.inner.leave(key, holder, now, acted).await;
        self.call(asked, failure(&result));
        result
    }

    async fn get(&self, key: &str) -> Result<Option<Record>, CallError> {
        self.inner.get(key).await
    }

    async fn list(&self, filter: &Filter, limit: usize, next: Option<String>) -> Result<RecordPage, CallError> {
        self.inner.list(filter, limit, next).await
    }

    async fn census(&self) -> Result<Census, CallError> {
        self.inner.census().await
    }
}
