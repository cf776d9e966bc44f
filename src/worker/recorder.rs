//! What must be durable before a change is made, 25 a request.

use super::batch::work_off;
use super::shared::Shared;
use crate::aws::Class;
use crate::ledger::{BATCH, Ledger, Recording, WriteError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Requests under way at a time: rate = 8 x 25 / round trip, 10,000 a second at 20 ms.
const REQUESTS: usize = 8;

const LINGER: Duration = Duration::from_millis(8);

/// How far a claim has come, and who waits to hear that it is durable.
#[derive(Debug)]
pub(super) struct Announced {
    recording: Recording,
    done: oneshot::Sender<Result<Instant, WriteError>>,
}

/// Writes it down, in one request with others. Says when the ledger was asked: the lease that it gave begins no earlier, and a batch may
/// have waited long before.
///
/// # Errors
/// Those of the ledger; a recorder that has ended counts as a lost claim, for nothing may be changed any more.
pub(super) async fn record<Q, L, I>(shared: &Shared<Q, L, I>, recording: Recording) -> Result<Instant, WriteError> {
    let (done, written) = oneshot::channel();
    let _ = shared.announced.send(Announced { recording, done });
    written.await.unwrap_or(Err(WriteError::LostClaim))
}

/// Runs until `closing`, and then until all is written.
pub(super) async fn record_all<Q: Send + Sync + 'static, L: Ledger, I: Send + Sync + 'static>(
    shared: Arc<Shared<Q, L, I>>,
    announced: mpsc::UnboundedReceiver<Announced>,
    closing: CancellationToken,
) {
    let _pulse = shared.vitals.stage("the recorder");
    work_off(announced, (BATCH, LINGER), REQUESTS, closing, |batch| {
        let shared = Arc::clone(&shared);
        async move { write(&shared, batch).await }
    })
    .await;
}

/// Once: whoever announced a change that is not durable does not make it, and its finding is tried again.
async fn write<Q, L: Ledger, I>(shared: &Shared<Q, L, I>, mut batch: Vec<Announced>) {
    // Whose task was cut off meanwhile makes no change, and the ledger must not say that one was about to be made.
    batch.retain(|one| !one.done.is_closed());
    if batch.is_empty() {
        return;
    }
    let (recordings, waiting): (Vec<_>, Vec<_>) = batch.into_iter().map(|one| (one.recording, one.done)).unzip();
    let results = match ask(shared, &recordings).await {
        // One of them is not acceptable: alone, each gets its own answer.
        Err(WriteError::Call(error)) if error.class == Class::Permanent && recordings.len() > 1 => {
            let mut results = Vec::with_capacity(recordings.len());
            for recording in &recordings {
                let alone = ask(shared, std::slice::from_ref(recording)).await;
                results.push(alone.and_then(|mut results| results.pop().unwrap_or(Err(WriteError::LostClaim))));
            }
            results
        }
        Ok(results) => results,
        Err(error) => recordings.iter().map(|_| Err(error.clone())).collect(),
    };
    for (done, result) in waiting.into_iter().zip(results) {
        // Whoever waited is gone only if its task was cut off right now; its change is then announced and never made.
        let _ = done.send(result);
    }
}

async fn ask<Q, L: Ledger, I>(
    shared: &Shared<Q, L, I>,
    recordings: &[Recording],
) -> Result<Vec<Result<Instant, WriteError>>, WriteError> {
    let asked = Instant::now();
    let (now, lease) = (shared.clock.now_ms(), shared.config.lease);
    let results = shared.ledger.record(recordings, now, lease).await.map_err(WriteError::Call)?;
    Ok(results.into_iter().map(|result| result.map(|()| asked)).collect())
}
