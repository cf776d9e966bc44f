//! What a worker is made of, and what it is told.

use crate::aws::CertificateSource;
use crate::budget::Budgets;
use crate::clock::Clock;
use crate::finding::Origin;
use crate::policy::Policy;
use crate::telemetry::Telemetry;
use std::sync::Arc;
use std::time::Duration;

/// How often a worker says in the ledger that it is there. A note costs three write units (see `ledger/dynamodb/presence.rs`): 4,320
/// notes a day are 12,960 units, less than a US cent. After three intervals without one, a minute, a worker is told to be lost; the
/// leases of the usual length that it had are over then, too.
pub const ANNOUNCE_EVERY: Duration = Duration::from_secs(20);

/// One worker: pools of receivers, claimers, tasks and acknowledgers over the ports.
#[derive(Debug)]
pub struct Worker<Q, L, I> {
    /// How it runs.
    pub config: WorkerConfig,
    /// What it decides by.
    pub policy: Policy,
    /// Where the findings are.
    pub queue: Q,
    /// Where it gives up to.
    pub dead_letters: Q,
    /// Where each finding is recorded once.
    pub ledger: L,
    /// What it acts on.
    pub iot: I,
    /// What SNS signs with; asked only where the policy says `verify_signature`.
    pub certificates: Arc<dyn CertificateSource>,
    /// Calls per second, shared by the workers of one process.
    pub budgets: Arc<Budgets>,
    /// Where facts are counted.
    pub telemetry: Arc<Telemetry>,
    /// What time it is.
    pub clock: Clock,
}

/// How one worker runs.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Its name in the ledger; unique in the fleet.
    pub id: String,
    /// Long polls at a time. Rate = pollers x 10 / round trip: 4 pollers at 20 ms receive 2,000 messages a second.
    pub pollers: usize,
    /// Findings worked on at a time for each API operation that limits them: those who wait for `UpdateCertificate` keep nobody from
    /// `AddThingToThingGroup`. A finding with one action takes four round trips and some 20 ms of waiting for its batches: 256 at 20 ms are
    /// 2,500 a second, as many as four pollers bring.
    pub concurrency: usize,
    /// Messages held at a time, waiting ones included (P8). Each is held for eight round trips and some 40 ms: 512 at 20 ms are 2,500 a
    /// second.
    pub max_in_flight: usize,
    /// Bytes of message bodies held at a time (P8); may be overshot by one receive of each poller.
    pub max_in_flight_bytes: usize,
    /// How long a received message stays invisible, and how long a claim lasts, between heartbeats. Also the longest that a call waits
    /// for its slots; work is begun only if they come within an eighth of it.
    pub lease: Duration,
    /// How long a poll waits for a message; at most 20 s.
    pub poll_wait: Duration,
    /// How long running work may go on after a stop was asked for.
    pub drain: Duration,
    /// End once the queue has been empty and nothing is in flight.
    pub until_empty: bool,
    /// The account and region of messages that do not say.
    pub origin: Origin,
    /// What its policy is called, for people who look at the fleet.
    pub policy_name: Option<String>,
    /// How often it says in the ledger that it is there; `None` for one that takes nothing from the fleet's queue.
    pub announce: Option<Duration>,
    /// For jitter.
    pub seed: u64,
}

impl WorkerConfig {
    /// Sensible for a small container.
    pub fn new(id: impl Into<String>, origin: Origin) -> Self {
        Self {
            id: id.into(),
            pollers: 4,
            concurrency: 256,
            max_in_flight: 512,
            max_in_flight_bytes: 32 * 1024 * 1024,
            lease: Duration::from_secs(60),
            poll_wait: Duration::from_secs(20),
            drain: Duration::from_secs(25),
            until_empty: false,
            origin,
            policy_name: None,
            announce: Some(ANNOUNCE_EVERY),
            seed: 0,
        }
    }
}
