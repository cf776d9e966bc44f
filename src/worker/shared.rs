//! What every stage of one worker holds.

use super::breaker::Breaker;
use super::claims::Claims;
use super::config::{Worker, WorkerConfig};
use super::delivery::{InFlight, Settled};
use super::keyring::Keyring;
use super::lines::Lines;
use super::presence::OldestMessage;
use super::recorder::Announced;
use super::vitals::Vitals;
use super::watched::Watched;
use crate::budget::Budgets;
use crate::clock::Clock;
use crate::defender::{Authenticator, PAGE_PATIENCE, Rooms};
use crate::ledger::{Finish, WriteError};
use crate::mitigation::{IotControl, Paced};
use crate::policy::Policy;
use crate::telemetry::{Gauged, Reading, Telemetry};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{RwLock, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// A finish, and who waits to hear that it is durable.
#[derive(Debug)]
pub(super) struct Ending {
    pub finish: Finish,
    pub done: oneshot::Sender<Result<(), WriteError>>,
}

/// The ports and the state of one worker.
pub(super) struct Shared<Q, L, I> {
    pub config: WorkerConfig,
    pub policy: Policy,
    pub clock: Clock,
    pub queue: Q,
    pub dead_letters: Q,
    pub ledger: Watched<L>,
    pub iot: Paced<I>,
    /// Where findings that Device Defender is to mitigate meet.
    pub rooms: Rooms,
    pub authenticator: Authenticator<Paced<I>>,
    pub telemetry: Arc<Telemetry>,
    pub breaker: Arc<Breaker>,
    pub vitals: Arc<Vitals>,
    pub budgets: Arc<Budgets>,
    pub oldest_message: OldestMessage,
    pub in_flight: InFlight,
    pub claims: Claims,
    pub lines: Lines,
    pub keyring: Keyring,
    /// Held to write by a heartbeat, to read by an acknowledgement: a message is never hidden again after it was deleted or given
    /// back.
    pub extending: RwLock<()>,
    pub settled: mpsc::UnboundedSender<Settled>,
    pub announced: mpsc::UnboundedSender<Announced>,
    pub endings: mpsc::UnboundedSender<Ending>,
    /// No new work.
    pub stop: CancellationToken,
    /// No more work at all: the drain deadline is over.
    pub abort: CancellationToken,
    rng: Mutex<fastrand::Rng>,
}

impl<Q, L, I: IotControl> Shared<Q, L, I> {
    pub fn new(
        worker: Worker<Q, L, I>,
        vitals: Arc<Vitals>,
        settled: mpsc::UnboundedSender<Settled>,
        announced: mpsc::UnboundedSender<Announced>,
        endings: mpsc::UnboundedSender<Ending>,
        stop: CancellationToken,
    ) -> Self {
        let Worker { config, policy, queue, dead_letters, ledger, iot, certificates, budgets, telemetry, clock } =
            worker;
        let breaker = Arc::clone(&vitals.breaker);
        let lines = Lines::new(Arc::clone(&budgets), &config);
        let ledger = Watched::new(ledger, Arc::clone(&breaker));
        let iot = Paced::new(iot, Arc::clone(&budgets), config.lease, config.seed);
        let authenticator = Authenticator::new(iot.within(PAGE_PATIENCE), Arc::clone(&telemetry));
        Self {
            lines,
            keyring: Keyring::new(certificates),
            rng: Mutex::new(fastrand::Rng::with_seed(config.seed)),
            in_flight: InFlight::default(),
            claims: Claims::new(config.lease),
            extending: RwLock::new(()),
            abort: CancellationToken::new(),
            config,
            policy,
            clock,
            queue,
            dead_letters,
            ledger,
            iot,
            rooms: Rooms::default(),
            authenticator,
            telemetry,
            breaker,
            vitals,
            budgets,
            oldest_message: OldestMessage::default(),
            settled,
            announced,
            endings,
            stop,
        }
    }
}

impl<Q: Send + Sync, L: Send + Sync, I: Send + Sync> Gauged for Shared<Q, L, I> {
    fn reading(&self) -> Reading {
        Reading {
            in_flight: self.in_flight.len(),
            in_flight_limit: self.config.max_in_flight,
            breaker_open: self.breaker.is_open(),
        }
    }
}

impl<Q, L, I> Shared<Q, L, I> {
    /// No message is in flight here, and none is being deleted or given back.
    pub fn is_empty_handed(&self) -> bool {
        self.in_flight.len() == 0 && self.extending.try_write().is_ok()
    }

    /// A delay between zero and `most`, evenly spread: "full jitter", so that what failed together does not come back together.
    pub fn jitter(&self, most: Duration) -> Duration {
        let part = self.rng.lock().unwrap_or_else(PoisonError::into_inner).f64();
        most.mul_f64(part)
    }

    /// How soon a message comes back that was not begun because the breaker opened: at once for those who are well, and not at once,
    /// for all of them may be as ill as this one.
    pub fn elsewhere(&self) -> Duration {
        Duration::from_secs(1) + self.jitter(Duration::from_secs(10))
    }

    /// How long ago the message that leads the work on `key` was sent, if the queue told; zero if its clock runs ahead of this one.
    pub fn age(&self, key: &str) -> Option<Duration> {
        let sent_at = self.claims.with_leader(key, |ticket| ticket.delivery().sent_at)??;
        let age = self.clock.now_ms().saturating_sub(sent_at).max(0);
        Some(Duration::from_millis(age.unsigned_abs()))
    }

    /// The delay before attempt `attempts + 1`: full jitter over an exponential that starts at the policy's base delay.
    pub fn retry_delay(&self, attempts: u32) -> Duration {
        let retry = &self.policy.retry;
        let doublings = attempts.saturating_sub(1).min(20);
        let most = retry.base_delay.saturating_mul(1 << doublings).min(retry.max_delay);
        self.jitter(most).max(Duration::from_secs(1))
    }
}
