//! Wiring: which stages there are, when they start, and in which order they end.

use super::acknowledge::acknowledge_all;
use super::breaker::Dependency;
use super::claimer::claim_all;
use super::config::Worker;
use super::finisher::finish_all;
use super::heartbeat::beat;
use super::presence::announce;
use super::receiver::{Bounds, receive};
use super::recorder::record_all;
use super::shared::Shared;
use super::vitals::Vitals;
use crate::ledger::{Ledger, Presence};
use crate::mitigation::IotControl;
use crate::policy::Mode;
use crate::queue::Queue;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long the last writes may take after all work is over: a few retries of a batch.
const FLUSH: Duration = Duration::from_secs(8);

/// How often an idle worker that is to end with the queue looks at its depth, and how many times in a row it must be empty: the
/// figures of SQS are approximate.
const EMPTY_CHECK: (Duration, u32) = (Duration::from_millis(500), 3);

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It was told to, and gave back or finished everything.
    Drained,
    /// The queue was empty and nothing was in flight.
    Empty,
    /// It was told to, and the drain deadline cut work short: its messages were given back, or come back by themselves.
    CutShort,
    /// It was to end with the queue, and the account refused: nothing would have ended it.
    Broken(String),
}

impl<Q: Queue, L: Ledger + Presence, I: IotControl> Worker<Q, L, I> {
    /// Works until `stop`, or until the queue is empty if configured so. Messages in flight at the stop are finished or given back.
    pub async fn run(self, stop: CancellationToken) -> Ended {
        let vitals = Arc::new(Vitals::new(Arc::clone(&self.telemetry)));
        self.run_with(vitals, stop).await
    }

    /// As [`Worker::run`], with vitals that the caller can look at.
    pub async fn run_with(self, vitals: Arc<Vitals>, stop: CancellationToken) -> Ended {
        let (settled, settled_rx) = mpsc::unbounded_channel();
        let (announced, announced_rx) = mpsc::unbounded_channel();
        let (endings, endings_rx) = mpsc::unbounded_channel();
        let (incoming, incoming_rx) = mpsc::unbounded_channel();
        let mode = if self.policy.mode == Mode::Enforce { "enforce" } else { "observe" };
        self.telemetry.worker_started(&self.config.id, mode);
        let bounds = Arc::new(Bounds::new(self.config.max_in_flight, self.config.max_in_flight_bytes));
        // Its own stop, so that an empty queue ends this worker and not those that share the caller's.
        let stop = stop.child_token();
        let (telemetry, budgets) = (Arc::clone(&self.telemetry), Arc::clone(&self.budgets));
        let shared = Arc::new(Shared::new(self, vitals, settled, announced, endings, stop.clone()));
        let watched: Weak<Shared<Q, L, I>> = Arc::downgrade(&shared);
        telemetry.watch(watched, &budgets);

        let leaving = CancellationToken::new();
        let announcer = tokio::spawn({
            let (shared, leaving) = (Arc::clone(&shared), leaving.clone());
            async move { announce(&shared, leaving).await }
        });
        let closing = CancellationToken::new();
        let tasks = TaskTracker::new();
        let receivers = TaskTracker::new();
        for _ in 0..shared.config.pollers.max(1) {
            let (shared, bounds, incoming) = (Arc::clone(&shared), Arc::clone(&bounds), incoming.clone());
            receivers.spawn(receive(shared, bounds, incoming, receivers.clone(), closing.clone()));
        }
        drop(incoming);
        let claimer = tokio::spawn(claim_all(Arc::clone(&shared), incoming_rx, tasks.clone()));
        let flush = TaskTracker::new();
        let heart = tokio::spawn(beat(Arc::clone(&shared), closing.clone()));
        let finishing = CancellationToken::new();
        let recorder = flush.spawn(record_all(Arc::clone(&shared), announced_rx, finishing.clone()));
        let finisher = flush.spawn(finish_all(Arc::clone(&shared), endings_rx, finishing.clone()));
        let acknowledging = CancellationToken::new();
        let acknowledger = flush.spawn(acknowledge_all(Arc::clone(&shared), settled_rx, acknowledging.clone()));

        let mut ended = tokio::select! {
            biased;
            () = stop.cancelled() => Ended::Drained,
            ended = watch_for_the_end(&shared, &bounds), if shared.config.until_empty => ended,
        };
        stop.cancel();
        shared.vitals.drains();
        shared.telemetry.draining(shared.in_flight.len());

        // Receivers first, since they feed the claimer, which feeds the tasks. The last of their polls end after the tasks did.
        receivers.close();
        let work = async {
            receivers.wait().await;
            // The claimer ends when the last receiver's channel is gone; it panics only on a bug, and then its tickets give back.
            let _ = claimer.await;
            tasks.close();
            tasks.wait().await;
        };
        tokio::pin!(work);
        if tokio::time::timeout(shared.config.drain, &mut work).await.is_err() {
            shared.abort.cancel();
            if !shared.is_empty_handed() {
                ended = Ended::CutShort;
            }
            let _ = tokio::time::timeout(FLUSH, work).await;
        }
        // Every task has sent its ending and waited for it; now the deletes that followed.
        closing.cancel();
        let stuck_heart = heart.abort_handle();
        if tokio::time::timeout(FLUSH, heart).await.is_err() {
            // It would keep acknowledgements out.
            stuck_heart.abort();
        }
        finishing.cancel();
        let _ = tokio::time::timeout(FLUSH, async { tokio::join!(recorder, finisher) }).await;
        acknowledging.cancel();
        let _ = tokio::time::timeout(FLUSH, acknowledger).await;
        leaving.cancel();
        // It ends by itself, soon; it panics only on a bug.
        let _ = announcer.await;
        shared.telemetry.drained(ended == Ended::CutShort);
        ended
    }
}

/// Returns once the queue has been empty and nothing is in flight, or the account refuses: an outage is waited out.
async fn watch_for_the_end<Q: Queue, L, I>(shared: &Shared<Q, L, I>, bounds: &Bounds) -> Ended {
    let mut empty = 0;
    loop {
        tokio::time::sleep(EMPTY_CHECK.0).await;
        if let Some(reason) = shared.breaker.refusal() {
            return Ended::Broken(reason);
        }
        let idle = bounds.idle.load(Ordering::SeqCst) >= shared.config.pollers.max(1);
        let nothing_here = idle && shared.in_flight.len() == 0;
        empty = match nothing_here {
            true if is_empty(shared).await => empty + 1,
            _ => 0,
        };
        if empty >= EMPTY_CHECK.1 {
            return Ended::Empty;
        }
    }
}

async fn is_empty<Q: Queue, L, I>(shared: &Shared<Q, L, I>) -> bool {
    match shared.queue.depth().await {
        Ok(depth) => depth.is_empty(),
        Err(error) => {
            // Whoever may not look would look for ever.
            shared.breaker.met(Dependency::Queue, &error);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn the_template_gives_a_task_the_time_that_it_takes_to_stop() {
        let template: Value = serde_saphyr::from_str(include_str!("../../infra/service.yaml")).unwrap();
        let container = &template["Resources"]["TaskDefinition"]["Properties"]["ContainerDefinitions"][0];
        let variables = container["Environment"].as_array().unwrap();
        let drain = variables.iter().find(|variable| variable["Name"] == "FLEETWARDEN_DRAIN").unwrap();
        let drain: jiff::SignedDuration = drain["Value"].as_str().unwrap().parse().unwrap();
        // Work that is aborted, the heart, the last records, the last acknowledgements.
        let longest = Duration::try_from(drain).unwrap() + 4 * FLUSH;
        let allowed = Duration::from_secs(container["StopTimeout"].as_u64().unwrap());
        assert!(longest < allowed && allowed <= Duration::from_secs(120), "{longest:?} in {allowed:?}");
    }
}
