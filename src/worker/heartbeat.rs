//! Keeping what is in hand: visibility and leases are extended together, in batches, past half of their time.

use super::breaker::Dependency;
use super::shared::Shared;
use super::vitals::Pulse;
use crate::aws::CallError;
use crate::ledger::{self, Ledger, WriteError};
use crate::queue::{self, Queue};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A beat moves on within its period and this, or never: it waits for the acknowledgements under way (four tries of up to three attempts
/// of 10 s, two minutes), then for one call of its own (half a minute), and half a minute is to spare.
const STUCK: Duration = Duration::from_secs(180);

/// Runs until `closing`. Looks eight times a lease, so that what is due at half of it is extended before five eighths, and while
/// one is slow, the other goes on: SQS in trouble costs no lease.
pub(super) async fn beat<Q: Queue, L: Ledger, I: Send + Sync + 'static>(
    shared: Arc<Shared<Q, L, I>>,
    closing: CancellationToken,
) {
    let period = shared.config.lease / 8;
    let leases = shared.vitals.stage("the heartbeat of leases");
    let visibility = shared.vitals.stage("the heartbeat of messages");
    tokio::join!(
        every(period, &closing, || async { renew_leases(&shared, &leases).await }),
        every(period, &closing, || async { extend_visibility(&shared, &visibility).await }),
    );
}

async fn every<F: Future<Output = ()>>(period: Duration, closing: &CancellationToken, work: impl Fn() -> F) {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = closing.cancelled() => return,
            _ = ticks.tick() => work().await,
        }
    }
}

async fn extend_visibility<Q: Queue, L, I>(shared: &Shared<Q, L, I>, pulse: &Pulse) {
    pulse.moves(shared.config.lease / 8 + STUCK);
    let _no_acknowledgement = shared.extending.write().await;
    let deadline = Instant::now() + shared.config.lease / 2;
    for batch in shared.in_flight.due(deadline).chunks(queue::BATCH) {
        pulse.moves(shared.config.lease / 8 + STUCK);
        let asked = Instant::now();
        let lease = shared.config.lease;
        let entries: Vec<_> = batch.iter().map(|delivery| (delivery.receipt_handle(), lease)).collect();
        match shared.queue.change_visibility(&entries).await {
            Ok(results) => {
                for (delivery, result) in batch.iter().zip(results) {
                    match result {
                        Ok(()) => shared.in_flight.extended(delivery, asked + lease),
                        Err(error) => failed(shared, &error),
                    }
                }
                shared.telemetry.heartbeat(batch.len());
            }
            Err(error) => failed(shared, &error),
        }
    }
}

async fn renew_leases<Q, L: Ledger, I>(shared: &Shared<Q, L, I>, pulse: &Pulse) {
    pulse.moves(shared.config.lease / 8 + STUCK);
    let lease = shared.config.lease;
    let deadline = Instant::now() + lease / 2;
    for batch in shared.claims.due(deadline).chunks(ledger::BATCH) {
        pulse.moves(shared.config.lease / 8 + STUCK);
        let asked = Instant::now();
        match shared.ledger.renew(batch, shared.clock.now_ms(), lease).await {
            Ok(results) => {
                for (claim, result) in batch.iter().zip(results) {
                    match result {
                        Ok(()) => shared.claims.renewed(claim, asked + lease),
                        Err(WriteError::LostClaim) => shared.claims.lost(claim),
                        Err(WriteError::Call(error)) => shared.telemetry.heartbeat_failed(&error),
                    }
                }
            }
            Err(error) => shared.telemetry.heartbeat_failed(&error),
        }
    }
}

fn failed<Q, L, I>(shared: &Shared<Q, L, I>, error: &CallError) {
    shared.telemetry.heartbeat_failed(error);
    shared.breaker.met(Dependency::Queue, error);
}
