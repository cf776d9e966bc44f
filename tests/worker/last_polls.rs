//! What a poll that is under way at a stop is handed: the messages that the worker gives back itself.

use crate::house::*;
use fleetwarden::aws::{CallError, Fate};
use fleetwarden::ledger::Status;
use fleetwarden::queue::{Depth, MemoryQueue, Outgoing, Queue, Received};
use fleetwarden::worker::{Ended, Worker};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The queue behind a connection: a reply is on its way for a while, and then goes through the hands of the client's own tasks.
#[derive(Debug)]
struct Remote {
    queue: MemoryQueue,
    reply_takes: Duration,
}

impl Queue for Remote {
    async fn receive(&self, max: usize, wait: Duration, visibility: Duration) -> Result<Vec<Received>, CallError> {
        let reply = self.queue.receive(max, wait, visibility).await;
        tokio::time::sleep(self.reply_takes).await;
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        reply
    }

    async fn delete(&self, handles: &[String]) -> Result<Vec<Result<(), CallError>>, CallError> {
        self.queue.delete(handles).await
    }

    async fn change_visibility(&self, entries: &[(String, Duration)]) -> Result<Vec<Result<(), CallError>>, CallError> {
        self.queue.change_visibility(entries).await
    }

    async fn send(&self, messages: &[Outgoing]) -> Result<Vec<Result<String, CallError>>, CallError> {
        self.queue.send(messages).await
    }

    async fn depth(&self) -> Result<Depth, CallError> {
        self.queue.depth().await
    }
}

const FINDINGS: u64 = 12;

/// A worker that has begun two of twelve findings, whose calls take this long, and polls for more.
async fn at_work(house: &House, reply_takes: Duration, call_takes: Duration) -> (CancellationToken, JoinHandle<Ended>) {
    for n in 0..FINDINGS {
        let finding = house.device(n);
        house.publish(&finding).await;
    }
    let iot = house.iot.with_fates(always("iot.deactivate_certificate", Fate::Late(call_takes)));
    let Worker { mut config, policy, queue, dead_letters, ledger, certificates, budgets, telemetry, clock, .. } =
        house.worker("worker");
    (config.until_empty, config.concurrency) = (false, 2);
    let remote = |queue| Remote { queue, reply_takes };
    let (queue, dead_letters) = (remote(queue), remote(dead_letters));
    let worker = Worker { config, policy, queue, dead_letters, ledger, iot, certificates, budgets, telemetry, clock };
    let stop = CancellationToken::new();
    let working = tokio::spawn(worker.run(stop.clone()));
    until(|| house.telemetry.counts().claimed == FINDINGS).await;
    (stop, working)
}

/// Bug: a second after the stop the polls were dropped, and what they had been handed stayed hidden for a minute.
#[tokio::test(start_paused = true)]
async fn what_a_worker_gives_back_to_its_own_slow_polls_is_visible_when_it_has_ended() {
    let house = House::new();
    let (stop, working) = at_work(&house, Duration::from_millis(1500), FOR_EVER).await;
    stop.cancel();
    assert_eq!(finish(working).await.unwrap(), Ended::CutShort);
    assert_eq!(house.depth().await.visible, FINDINGS);
}

/// Bug: a worker whose process stood still for a second found the time for its polls over, and did not hear what they brought.
#[tokio::test(start_paused = true)]
async fn a_process_that_stands_still_after_the_stop_hears_what_its_polls_brought_meanwhile() {
    let house = House::new();
    let (stop, working) = at_work(&house, Duration::from_millis(50), Duration::from_secs(1)).await;
    stop.cancel();
    // Given back, and handed to a poll, whose reply is on its way.
    until(|| house.telemetry.counts().parked > 0).await;
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(finish(working).await.unwrap(), Ended::Drained);
    let mitigated = house.ledger.records().iter().filter(|record| record.status == Status::Mitigated).count() as u64;
    assert_eq!(house.depth().await.visible, FINDINGS - mitigated);
}

#[tokio::test(start_paused = true)]
async fn polls_that_bring_nothing_end_a_second_after_the_last_work() {
    let house = House::new();
    let (stop, working) = at_work(&house, Duration::from_millis(50), Duration::from_secs(5)).await;
    until(|| house.telemetry.counts().mitigated == FINDINGS).await;
    let asked = Instant::now();
    stop.cancel();
    assert_eq!(finish(working).await.unwrap(), Ended::Drained);
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
}
