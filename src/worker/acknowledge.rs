//! Deleting and giving back, ten a request.

use super::batch::gather;
use super::breaker::Dependency;
use super::delivery::{Settled, Settlement};
use super::shared::Shared;
use crate::aws::CallError;
use crate::queue::{BATCH, Queue};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Acknowledgements under way at a time: rate = 16 x 10 / round trip, 8,000 a second at 20 ms.
const REQUESTS: usize = 16;

const LINGER: Duration = Duration::from_millis(10);

const TRIES: u32 = 4;

/// Runs until `closing`, and then until every settled message is acknowledged.
pub(super) async fn acknowledge_all<Q: Queue, L: Send + Sync + 'static, I: Send + Sync + 'static>(
    shared: Arc<Shared<Q, L, I>>,
    mut settled: mpsc::UnboundedReceiver<Settled>,
    closing: CancellationToken,
) {
    let _pulse = shared.vitals.stage("the acknowledger");
    let requests = Arc::new(Semaphore::new(REQUESTS));
    let mut calls = JoinSet::new();
    let (mut done, mut parked): (Vec<Settled>, Vec<Settled>) = (Vec::new(), Vec::new());
    while let Some(batch) = gather(&mut settled, BATCH, LINGER, &closing).await {
        for message in batch {
            match message.settlement {
                Settlement::Done => done.push(message),
                Settlement::Park(..) => parked.push(message),
            }
        }
        for messages in [std::mem::take(&mut done), std::mem::take(&mut parked)] {
            if messages.is_empty() {
                continue;
            }
            let Ok(permit) = Arc::clone(&requests).acquire_owned().await else { return };
            let shared = Arc::clone(&shared);
            calls.spawn(async move {
                acknowledge(&shared, messages).await;
                drop(permit);
            });
        }
        while calls.try_join_next().is_some() {}
    }
    while calls.join_next().await.is_some() {}
}

/// `messages` are all deleted or all given back.
async fn acknowledge<Q: Queue, L, I>(shared: &Shared<Q, L, I>, mut messages: Vec<Settled>) {
    // Until this is dropped no heartbeat runs, and from here on none knows these messages.
    let _no_heartbeat = shared.extending.read().await;
    for message in &messages {
        shared.in_flight.release(&message.delivery);
    }
    for attempt in 1..=TRIES {
        let results = call(shared, &messages).await;
        let mut again = Vec::new();
        for (message, result) in messages.into_iter().zip(results) {
            match result {
                Ok(()) => {}
                // Both calls set values, so an unknown outcome is simply asked for again.
                Err(error) if attempt < TRIES && error.may_pass() => again.push(message),
                Err(error) => {
                    shared.telemetry.acknowledgement_failed(&error);
                    shared.breaker.met(Dependency::Queue, &error);
                }
            }
        }
        if again.is_empty() {
            return;
        }
        messages = again;
        tokio::time::sleep(shared.jitter(Duration::from_millis(100 << attempt))).await;
    }
}

async fn call<Q: Queue, L, I>(shared: &Shared<Q, L, I>, messages: &[Settled]) -> Vec<Result<(), CallError>> {
    let handles = messages.iter().map(|message| message.delivery.receipt_handle());
    let parking = matches!(messages.first(), Some(Settled { settlement: Settlement::Park(..), .. }));
    let results = if parking {
        let entries: Vec<(String, Duration)> = handles
            .zip(messages)
            .map(|(handle, message)| match message.settlement {
                Settlement::Park(_, delay) => (handle, delay),
                Settlement::Done => (handle, Duration::ZERO),
            })
            .collect();
        let results = shared.queue.change_visibility(&entries).await;
        if let Ok(results) = &results {
            for (message, _) in messages.iter().zip(results).filter(|(_, result)| result.is_ok()) {
                if let Settlement::Park(why, _) = message.settlement {
                    shared.telemetry.parked(why.as_str());
                }
            }
        }
        results
    } else {
        let handles: Vec<String> = handles.collect();
        let results = shared.queue.delete(&handles).await;
        if let Ok(results) = &results {
            shared.telemetry.deleted(results.iter().filter(|result| result.is_ok()).count());
        }
        results
    };
    results.unwrap_or_else(|error| messages.iter().map(|_| Err(error.clone())).collect())
}
