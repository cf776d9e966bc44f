//! The ends of claims, 25 a request.

use super::batch::work_off;
use super::shared::{Ending, Shared};
use crate::aws::{CallError, Class};
use crate::ledger::{BATCH, Finish, Ledger, WriteError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Finish requests under way at a time.
const REQUESTS: usize = 8;

const LINGER: Duration = Duration::from_millis(8);

/// Tries of one batch: with delays of 0.2 to 1.6 s inside a lease of a minute.
const TRIES: u32 = 5;

/// Between two tries while the ledger is away.
const LONGEST: Duration = Duration::from_secs(5);

/// How long an end is kept for a ledger that is away. A finish holds under its epoch as long as nobody took over, lease or no lease:
/// what is kept is neither done again nor taken for a crash, which would cost an attempt. Beyond that the message is given back.
const HELD: Duration = Duration::from_secs(15 * 60);

/// Runs until nobody can send endings any more, and all are written.
pub(super) async fn finish_all<Q: Send + Sync + 'static, L: Ledger, I: Send + Sync + 'static>(
    shared: Arc<Shared<Q, L, I>>,
    endings: mpsc::UnboundedReceiver<Ending>,
    closing: CancellationToken,
) {
    let _pulse = shared.vitals.stage("the finisher");
    work_off(endings, (BATCH, LINGER), REQUESTS, closing, |batch| {
        let shared = Arc::clone(&shared);
        async move { write(&shared, batch).await }
    })
    .await;
}

async fn write<Q, L: Ledger, I>(shared: &Shared<Q, L, I>, batch: Vec<Ending>) {
    let (mut finishes, mut waiting): (Vec<Finish>, Vec<_>) =
        batch.into_iter().map(|Ending { finish, done }| (finish, done)).unzip();
    let mut delay = Duration::from_millis(200);
    let started = Instant::now();
    for attempt in 1.. {
        let results = match shared.ledger.finish(&finishes, shared.clock.now_ms()).await {
            Ok(results) => results,
            Err(error) => finishes.iter().map(|_| Err(WriteError::Call(error.clone()))).collect(),
        };
        let mut again = Vec::new();
        for ((finish, done), result) in finishes.into_iter().zip(waiting).zip(results) {
            match result {
                // A finish sets values, under its epoch.
                Err(WriteError::Call(error))
                    if (attempt < TRIES && error.may_pass()) || worth_holding(shared, &error, started) =>
                {
                    shared.telemetry.finish_failed(&finish.claim.key, &error);
                    again.push((finish, done));
                }
                // Whoever waited is gone only if its task was cut off; the lease then runs out.
                result => drop(done.send(result)),
            }
        }
        if again.is_empty() {
            return;
        }
        (finishes, waiting) = again.into_iter().unzip();
        tokio::time::sleep(shared.jitter(delay)).await;
        delay = (delay * 2).min(LONGEST);
    }
}

/// The ledger is away, and known to be: it may come back.
fn worth_holding<Q, L, I>(shared: &Shared<Q, L, I>, error: &CallError, since: Instant) -> bool {
    let away = error.may_pass() || error.class == Class::Denied;
    away && shared.breaker.is_open() && !shared.stop.is_cancelled() && since.elapsed() < HELD
}
