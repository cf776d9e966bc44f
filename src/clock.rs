//! The one place time comes from.
//!
//! [`Clock::system`] reads the wall clock. [`Clock::virtual_at`] starts at a given moment and follows tokio's clock, so that
//! a test under `tokio::time::pause` sees hours pass in milliseconds; `skewed` shifts it, as another machine's clock would be.

use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// A source of timestamps; cheap to clone.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Virtual { origin: Timestamp, started: tokio::time::Instant, skew: SignedDuration },
}

impl Clock {
    /// The machine's wall clock (UTC).
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that shows `origin` now and advances with tokio's (pausable) clock.
    pub fn virtual_at(origin: Timestamp) -> Self {
        Self(Source::Virtual { origin, started: tokio::time::Instant::now(), skew: SignedDuration::ZERO })
    }

    /// The same clock, running ahead by `skew` (behind, if negative). The system clock cannot be skewed and is returned as it is.
    #[must_use]
    pub fn skewed(&self, skew: SignedDuration) -> Self {
        match &self.0 {
            Source::System => self.clone(),
            Source::Virtual { origin, started, .. } => {
                Self(Source::Virtual { origin: *origin, started: *started, skew })
            }
        }
    }

    /// The present moment.
    #[expect(clippy::disallowed_methods, reason = "this is the clock's own file")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => Timestamp::now(),
            Source::Virtual { origin, started, skew } => {
                let elapsed = started.elapsed();
                add(add_signed(*origin, *skew), elapsed)
            }
        }
    }

    /// The present moment in whole milliseconds since the epoch, the unit of every time in the ledger.
    pub fn now_ms(&self) -> i64 {
        self.now().as_millisecond()
    }
}

/// `at` plus `duration`, clamped to the latest representable moment.
fn add(at: Timestamp, duration: Duration) -> Timestamp {
    at.checked_add(duration).unwrap_or(Timestamp::MAX)
}

fn add_signed(at: Timestamp, duration: SignedDuration) -> Timestamp {
    at.checked_add(duration).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_virtual_clock_follows_tokio_time_and_its_skew() {
        let clock = Clock::virtual_at(Timestamp::UNIX_EPOCH);
        let ahead = clock.skewed(SignedDuration::from_millis(500));
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(clock.now_ms(), 90_000);
        assert_eq!(ahead.now_ms(), 90_500);
    }
}
