//! The end of a worker.

use crate::house::*;
use fleetwarden::aws::Fate;
use fleetwarden::ledger::{Status, StepOutcome};
use fleetwarden::worker::Ended;
use std::time::Duration;

const DEACTIVATE: &str = "iot.deactivate_certificate";

#[tokio::test(start_paused = true)]
async fn running_work_finishes_and_what_was_not_begun_is_visible_again_at_once() {
    let house = House::new();
    let findings: Vec<_> = (0..6).map(|n| house.device(n)).collect();
    for finding in &findings {
        house.publish(finding).await;
    }
    let mut worker = house.worker("worker");
    worker.config.concurrency = 2;
    worker.iot = house.iot.with_fates(always(DEACTIVATE, Fate::Late(Duration::from_secs(15))));
    let running = start_for_good(worker);
    seconds(5).await;
    assert_eq!(finish(running.end()).await, Ended::Drained);
    let depth = house.depth().await;
    assert_eq!((depth.visible, depth.in_flight), (4, 0));
    let mitigated = findings.iter().filter(|finding| house.status(finding) == Status::Mitigated).count();
    assert_eq!(mitigated, 2);
    assert!(house.ledger.records().iter().all(|record| record.attempts == 0));

    let resumed = house.clock.now_ms();
    let next = start(house.worker("next"));
    until(|| house.queue.contents().is_empty()).await;
    assert!(house.clock.now_ms() - resumed < 5_000, "the leases were not released");
    assert_eq!(finish(next.task).await.unwrap(), Ended::Empty);
    assert!(findings.iter().all(|finding| house.status(finding) == Status::Mitigated));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_is_cut_at_the_drain_deadline_and_its_message_comes_back() {
    let house = House::new();
    let finding = house.device(1);
    house.publish(&finding).await;
    let mut worker = house.worker("worker");
    worker.iot = house.iot.with_fates(always(DEACTIVATE, Fate::Late(Duration::from_secs(36_000))));
    let running = start_for_good(worker);
    seconds(5).await;
    let asked = tokio::time::Instant::now();
    assert_eq!(finish(running.end()).await, Ended::CutShort);
    assert!(asked.elapsed() < Duration::from_secs(40), "drained in {:?}", asked.elapsed());
    assert_eq!(house.depth().await.visible, 1);
    assert_eq!((house.status(&finding), house.record(&finding).attempts), (Status::Waiting, 0));
    house.work().await;
    assert_eq!(house.status(&finding), Status::Mitigated);
}

#[tokio::test(start_paused = true)]
async fn a_publication_that_is_cut_keeps_its_intent_on_record_and_is_not_sent_again() {
    let house = House::new();
    let finding = client_finding(1);
    house.publish(&finding).await;
    let mut worker = house.worker("worker");
    worker.iot = house.iot.with_fates(always("iot.publish", Fate::Late(Duration::from_secs(36_000))));
    let running = start_for_good(worker);
    seconds(5).await;
    assert_eq!(finish(running.end()).await, Ended::CutShort);
    let steps = house.record(&finding).steps;
    assert_eq!(steps.iter().map(|step| step.outcome).collect::<Vec<_>>(), [StepOutcome::Intended]);
    house.work().await;
    assert_eq!(house.dead_letters(), [("outcome_unknown".to_owned(), "client-1".to_owned())]);
}

/// Bug: the policy stayed locked for five minutes, and every other finding on it waited.
#[tokio::test(start_paused = true)]
async fn work_that_is_cut_off_lets_go_of_its_policy() {
    let house = House::new();
    let (one, two) = (policy_finding("f-1", PERMISSIVE, "p"), policy_finding("f-2", PERMISSIVE, "p"));
    house.iot.put_policy("p", &[WIDE]);
    house.publish(&one).await;
    let mut worker = house.worker("worker");
    worker.iot = house.iot.with_fates(always("iot.get_policy", Fate::Late(Duration::from_secs(36_000))));
    let running = start_for_good(worker);
    seconds(5).await;
    assert_eq!(finish(running.end()).await, Ended::CutShort);
    house.publish(&two).await;
    let asked = tokio::time::Instant::now();
    house.work().await;
    assert!(asked.elapsed() < Duration::from_secs(30), "waited {:?} for the lock", asked.elapsed());
    let mut statuses = [house.status(&one), house.status(&two)];
    statuses.sort();
    assert_eq!(statuses, [Status::Mitigated, Status::Compliant]);
}

#[tokio::test(start_paused = true)]
async fn the_drain_deadline_holds_although_a_receiver_waits_for_room() {
    let house = House::new();
    let padding = " ".repeat(900 * 1024);
    for n in 0..12 {
        let finding = house.device(n);
        house.iot.put_finding(&finding);
        house.send(&format!("{padding}{}", fleetwarden::finding::encode_own(&finding, None))).await;
    }
    let mut worker = house.worker("worker");
    worker.config.max_in_flight_bytes = 2 * 1024 * 1024;
    worker.iot = house.iot.with_fates(always(DEACTIVATE, Fate::Late(Duration::from_secs(36_000))));
    let running = start_for_good(worker);
    seconds(5).await;
    let asked = tokio::time::Instant::now();
    assert_eq!(finish(running.end()).await, Ended::CutShort);
    assert!(asked.elapsed() < Duration::from_secs(60), "drained in {:?}", asked.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_work_stops_within_a_second_or_two() {
    let house = House::new();
    let running = start_for_good(house.worker("worker"));
    seconds(3).await;
    let asked = tokio::time::Instant::now();
    assert_eq!(running.end().await, Ended::Drained);
    assert!(asked.elapsed() <= Duration::from_secs(2), "{:?}", asked.elapsed());
}
