//! P7: a broken account stops the line, not the queue.

use crate::telemetry::Telemetry;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(300);

/// How long nothing may be denied, with work being taken on, before all is taken to be well: a message whose delete was denied
/// comes back after a visibility timeout of a minute, so that it would be denied twice in this time.
const QUIET: Duration = Duration::from_secs(120);

/// Whether this worker may take on work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Yes.
    Well,
    /// No, and why; receiving resumes at `until`, as a probe.
    Broken {
        /// What the account said.
        reason: String,
        /// When it is tried again.
        until: Instant,
    },
}

/// Opens on the first denied call, for 5 s doubling to 5 min; closes when a mitigation succeeds after it, or when nothing was denied
/// for two minutes.
#[derive(Debug)]
pub struct Breaker {
    state: watch::Sender<State>,
    telemetry: Arc<Telemetry>,
}

#[derive(Debug)]
struct State {
    health: Health,
    pause: Duration,
}

impl Breaker {
    /// Closed.
    pub fn new(telemetry: Arc<Telemetry>) -> Self {
        Self { state: watch::Sender::new(State { health: Health::Well, pause: SHORTEST }), telemetry }
    }

    /// How it stands.
    pub fn health(&self) -> Health {
        self.state.borrow().health.clone()
    }

    /// Something was denied. While it is open, further denials of work already under way change nothing.
    pub fn trip(&self, reason: &str) {
        let now = Instant::now();
        self.state.send_modify(|state| {
            if matches!(&state.health, Health::Broken { until, .. } if *until > now) {
                return;
            }
            let pause = state.pause;
            state.pause = (pause * 2).min(LONGEST);
            state.health = Health::Broken { reason: reason.to_owned(), until: now + pause };
            self.telemetry.breaker_opened(reason, pause.as_secs());
        });
    }

    /// Something that needs the account's permission succeeded.
    pub fn succeeded(&self) {
        // While it is open, successes are those of work begun before.
        self.close_after(Duration::ZERO);
    }

    /// The queue was polled without trouble. That alone says little, but a worker that only observes, or whose queue is empty, has
    /// no other success to show.
    pub fn polled(&self) {
        self.close_after(QUIET);
    }

    fn close_after(&self, quiet: Duration) {
        self.state.send_if_modified(|state| {
            let over = matches!(&state.health, Health::Broken { until, .. } if *until + quiet <= Instant::now());
            if over {
                *state = State { health: Health::Well, pause: SHORTEST };
                self.telemetry.breaker_closed();
            }
            over
        });
    }

    /// Returns when work may be taken on: at once, or when the pause is over. `false` if `stop` came first.
    pub async fn may_receive(&self, stop: &CancellationToken) -> bool {
        let until = match &self.state.borrow().health {
            Health::Well => return !stop.is_cancelled(),
            Health::Broken { until, .. } => *until,
        };
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(until) => !stop.is_cancelled(),
            () = stop.cancelled() => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_breaker_opens_longer_each_time_and_closes_on_the_first_success_after_the_pause() {
        let breaker = Breaker::new(Arc::default());
        let stop = CancellationToken::new();
        let started = Instant::now();
        breaker.trip("denied");
        breaker.trip("denied again while open");
        breaker.succeeded();
        assert!(matches!(breaker.health(), Health::Broken { .. }));
        assert!(breaker.may_receive(&stop).await);
        assert_eq!(started.elapsed().as_secs(), 5);
        breaker.trip("still denied");
        assert!(breaker.may_receive(&stop).await);
        assert_eq!(started.elapsed().as_secs(), 15);
        breaker.succeeded();
        assert_eq!(breaker.health(), Health::Well);
    }

    #[tokio::test(start_paused = true)]
    async fn polls_alone_close_a_breaker_only_after_two_minutes_without_a_denial() {
        let breaker = Breaker::new(Arc::default());
        breaker.trip("denied");
        tokio::time::advance(Duration::from_secs(124)).await;
        breaker.polled();
        assert!(matches!(breaker.health(), Health::Broken { .. }));
        tokio::time::advance(Duration::from_secs(1)).await;
        breaker.polled();
        assert_eq!(breaker.health(), Health::Well);
    }
}
