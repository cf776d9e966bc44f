//! Gathering single items into the batches that AWS bills by.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Waits for one item, then takes what comes within `linger`, up to `max`. `None` once nothing is left and either the channel is
/// closed or `closing` was asked for: what is in the channel by then is always handed out first.
///
/// A few milliseconds of linger cost nothing against a round trip, and fill batches that would otherwise go out one by one.
pub(super) async fn gather<T>(
    items: &mut UnboundedReceiver<T>,
    max: usize,
    linger: Duration,
    closing: &CancellationToken,
) -> Option<Vec<T>> {
    let mut batch = Vec::with_capacity(max);
    tokio::select! {
        biased;
        n = items.recv_many(&mut batch, max) => if n == 0 { return None },
        () = closing.cancelled() => return None,
    }
    let deadline = tokio::time::Instant::now() + linger;
    while batch.len() < max {
        let room = max - batch.len();
        match tokio::time::timeout_at(deadline, items.recv_many(&mut batch, room)).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    Some(batch)
}

/// Hands what comes to `work`, gathered, at most `requests` batches at a time. Returns once all that came is done, and nothing more can
/// come or `closing` was asked for.
pub(super) async fn work_off<T, F: Future<Output = ()> + Send + 'static>(
    mut items: UnboundedReceiver<T>,
    (max, linger): (usize, Duration),
    requests: usize,
    closing: CancellationToken,
    work: impl Fn(Vec<T>) -> F,
) {
    let requests = Arc::new(Semaphore::new(requests));
    let mut under_way = JoinSet::new();
    while let Some(batch) = gather(&mut items, max, linger, &closing).await {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&requests).acquire_owned().await else { break };
        let work = work(batch);
        under_way.spawn(async move {
            work.await;
            drop(permit);
        });
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_sent_when_it_is_full_or_when_the_linger_is_over_whichever_comes_first() {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        for item in 0..30 {
            sender.send(item).unwrap();
        }
        let linger = Duration::from_millis(5);
        let closing = CancellationToken::new();
        assert_eq!(gather(&mut receiver, 25, linger, &closing).await.unwrap().len(), 25);
        closing.cancel();
        assert_eq!(gather(&mut receiver, 25, linger, &closing).await.unwrap().len(), 5);
        assert_eq!(gather(&mut receiver, 25, linger, &closing).await, None);
    }
}
