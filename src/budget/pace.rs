//! Local pacing: one process never makes calls of one operation closer together than its rate allows.

use governor::clock::{Clock as _, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::num::NonZeroU32;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long a timer may oversleep, seconds: tokio's tick is a millisecond, and the processor is not always free.
const OVERSLEPT: f64 = 0.004;

/// Hands out slots at a steady rate, first come, first served.
///
/// Burst is 1, or what comes while a timer oversleeps. governor's default burst is a whole second's worth, and measured, 30 permits at 10/s
/// take 2.0 s instead of 2.9 s, which AWS answers with throttling; with a burst of 1, no rate is above some 600 a second.
#[derive(Debug)]
pub struct Pace {
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<TokioInstant>>,
    clock: TokioClock,
    // Only the first waiter sleeps; the others queue here in order. Without it every waiter would wake for every slot.
    turn: Mutex<()>,
    per_second: f64,
}

impl Pace {
    /// `per_second` calls a second; at least one in 1000 seconds.
    pub fn new(per_second: f64) -> Self {
        let rate = per_second.clamp(0.001, 1e6);
        let burst = ((rate * OVERSLEPT) as u32).max(1);
        // So much slower that the burst is part of a second's calls, and does not come on top of them.
        let slower = if burst > 1 { 1.0 + OVERSLEPT } else { 1.0 };
        let quota = Quota::with_period(Duration::from_secs_f64(slower / rate))
            .unwrap_or_else(|| Quota::per_second(NonZeroU32::MIN))
            .allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN));
        let clock = TokioClock { origin: Instant::now() };
        Self { limiter: RateLimiter::direct_with_clock(quota, clock), clock, turn: Mutex::new(()), per_second }
    }

    /// The rate, calls per second.
    pub fn per_second(&self) -> f64 {
        self.per_second
    }

    /// Waits for the next slot.
    pub async fn slot(&self) {
        let _turn = self.turn.lock().await;
        while let Err(not_yet) = self.limiter.check() {
            tokio::time::sleep(not_yet.wait_time_from(self.clock.now())).await;
        }
    }
}

/// governor's clock on tokio's, so that a paused test runs hours of pacing in milliseconds.
#[derive(Debug, Clone, Copy)]
struct TokioClock {
    origin: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct TokioInstant(Duration);

impl Reference for TokioInstant {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.saturating_sub(duration.into()))
    }
}

impl std::ops::Add<Nanos> for TokioInstant {
    type Output = Self;

    fn add(self, other: Nanos) -> Self {
        let other: Duration = other.into();
        Self(self.0 + other)
    }
}

impl governor::clock::Clock for TokioClock {
    type Instant = TokioInstant;

    fn now(&self) -> TokioInstant {
        TokioInstant(self.origin.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test(start_paused = true)]
    async fn thirty_slots_at_ten_a_second_take_nearly_three_seconds_because_the_burst_is_one() {
        let pace = Arc::new(Pace::new(10.0));
        let started = Instant::now();
        let tasks: Vec<_> = (0..30)
            .map(|_| {
                let pace = Arc::clone(&pace);
                tokio::spawn(async move { pace.slot().await })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let took = started.elapsed();
        assert!((Duration::from_millis(2900)..Duration::from_millis(2960)).contains(&took), "took {took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_high_rate_is_reached_although_timers_tick_in_milliseconds_and_is_never_exceeded() {
        let pace = Pace::new(5000.0);
        let mut times = Vec::new();
        for _ in 0..10_000 {
            pace.slot().await;
            times.push(Instant::now());
        }
        let took = times[9999] - times[0];
        assert!((Duration::from_millis(1980)..Duration::from_millis(2020)).contains(&took), "took {took:?}");
        for window in times.windows(5001) {
            let within = window[5000] - window[0];
            assert!(within >= Duration::from_millis(998), "5001 calls within {within:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_second_holds_more_slots_than_the_rate() {
        let pace = Pace::new(8.0);
        let mut times = Vec::new();
        for _ in 0..100 {
            pace.slot().await;
            times.push(Instant::now());
        }
        for window in times.windows(9) {
            assert!(
                window[8] - window[0] >= Duration::from_millis(990),
                "nine calls within {:?}",
                window[8] - window[0]
            );
        }
    }
}
