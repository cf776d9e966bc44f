//! The ends of claims, 25 a request.

use super::batch::gather;
use super::shared::{Ending, Shared};
use crate::ledger::{BATCH, Finish, Ledger, WriteError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

/// Finish requests under way at a time.
const REQUESTS: usize = 8;

const LINGER: Duration = Duration::from_millis(4);

/// Tries of one batch: with delays of 0.2 to 1.6 s inside a lease of a minute.
const TRIES: u32 = 5;

/// Runs until nobody can send endings any more, and all are written.
pub(super) async fn finish_all<Q: Send + Sync + 'static, L: Ledger, I: Send + Sync + 'static>(
    shared: Arc<Shared<Q, L, I>>,
    mut endings: mpsc::UnboundedReceiver<Ending>,
    closing: tokio_util::sync::CancellationToken,
) {
    let requests = Arc::new(Semaphore::new(REQUESTS));
    let mut writes = JoinSet::new();
    while let Some(batch) = gather(&mut endings, BATCH, LINGER, &closing).await {
        let Ok(permit) = Arc::clone(&requests).acquire_owned().await else { break };
        let shared = Arc::clone(&shared);
        writes.spawn(async move {
            write(&shared, batch).await;
            drop(permit);
        });
        while writes.try_join_next().is_some() {}
    }
    while writes.join_next().await.is_some() {}
}

async fn write<Q, L: Ledger, I>(shared: &Shared<Q, L, I>, mut batch: Vec<Ending>) {
    let mut delay = Duration::from_millis(200);
    for attempt in 1..=TRIES {
        let finishes: Vec<Finish> = batch.iter().map(|ending| ending.finish.clone()).collect();
        let results = match shared.ledger.finish(&finishes, shared.clock.now_ms()).await {
            Ok(results) => results,
            Err(error) => finishes.iter().map(|_| Err(WriteError::Call(error.clone()))).collect(),
        };
        let mut again = Vec::new();
        for (ending, result) in batch.into_iter().zip(results) {
            match result {
                // A finish sets values, under its epoch.
                Err(WriteError::Call(error)) if attempt < TRIES && error.may_pass() => {
                    shared.telemetry.finish_failed(&ending.finish.claim.key, &error);
                    again.push(ending);
                }
                // Whoever waited is gone only if its task was cut off; the lease then runs out.
                result => drop(ending.done.send(result)),
            }
        }
        if again.is_empty() {
            return;
        }
        batch = again;
        tokio::time::sleep(shared.jitter(delay)).await;
        delay *= 2;
    }
}
