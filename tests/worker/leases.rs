//! Leases, heartbeats and bounds.

use crate::house::*;
use fleetwarden::aws::{Class, Fate, Script};
use fleetwarden::budget::{BudgetConfig, Budgets, Operation};
use fleetwarden::ledger::Status;
use fleetwarden::worker::Ended;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

#[tokio::test(start_paused = true)]
async fn a_worker_that_stalls_past_its_lease_changes_nothing_afterwards() {
    let house = House::new();
    let finding = house.device(1);
    house.publish(&finding).await;
    let writes = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&writes);
    let mut stalled = house.worker("stalled");
    stalled.ledger = house.ledger.with_fates(always("ledger.renew", Fate::Fail(Class::Transient)));
    stalled.iot = house.iot.with_fates(Arc::new(move |call: &'static str| {
        counter.fetch_add(usize::from(call == "iot.deactivate_certificate"), Ordering::SeqCst);
        if call == "iot.describe_certificate" { Fate::Late(Duration::from_secs(90)) } else { Fate::Proceed }
    }));
    let stalled = start_for_good(stalled);
    until(|| house.telemetry.counts().lost_claims > 0).await;
    let other = start(house.worker("other"));
    until(|| house.status(&finding) == Status::Mitigated).await;
    let record = house.record(&finding);
    assert!(record.epoch >= 2 && record.attempts >= 1, "{record:?}");
    assert_eq!(record.owner, "other");
    assert_eq!(writes.load(Ordering::SeqCst), 0, "the stalled worker wrote");
    assert_eq!(house.iot.effects("UpdateCertificate").len(), 1);
    assert_eq!(finish(other.task).await.unwrap(), Ended::Empty);
    assert_eq!(stalled.end().await, Ended::Drained);
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_lease_runs_out_while_it_waits_for_its_budget_changes_nothing_afterwards() {
    let mut house = House::new();
    let quotas = [(Operation::UpdateCertificate, 0.01)].into();
    house.budgets = Arc::new(Budgets::new(&BudgetConfig { quotas, reserve: 0.0, ..BudgetConfig::default() }));
    let findings = [house.device(1), house.device(2)];
    for finding in &findings {
        house.publish(finding).await;
    }
    // The first slot comes at once, the second after a hundred seconds: the lease, never renewed, ends in between.
    let mut worker = house.worker("worker");
    worker.ledger = house.ledger.with_fates(always("ledger.renew", Fate::Fail(Class::Transient)));
    let running = start_for_good(worker);
    seconds(110).await;
    assert_eq!(house.iot.effects("UpdateCertificate").len(), 1, "written a minute after the lease was over");
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_keep_the_message_of_a_slow_finding_hidden_and_its_claim_alive() {
    let house = House::new();
    let finding = house.device(1);
    house.publish(&finding).await;
    let mut slow = house.worker("slow");
    slow.iot = house.iot.with_fates(always("iot.deactivate_certificate", Fate::Late(Duration::from_secs(600))));
    let slow = start(slow);
    until(|| house.telemetry.counts().claimed == 1).await;
    let other = start_for_good(house.worker("other"));
    assert_eq!(finish(slow.task).await.unwrap(), Ended::Empty);
    let counts = house.telemetry.counts();
    assert_eq!((counts.received, counts.claimed), (1, 1));
    assert!(counts.heartbeats >= 600 / 40, "{} heartbeats in ten minutes", counts.heartbeats);
    assert_eq!(house.status(&finding), Status::Mitigated);
    assert_eq!(other.end().await, Ended::Drained);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_received_again_while_in_flight_here_is_worked_on_once_and_deleted_by_its_newest_handle() {
    let house = House::new();
    let finding = house.device(1);
    house.publish(&finding).await;
    let mut worker = house.worker("worker");
    worker.queue = house.queue.with_fates(always("queue.change_visibility", Fate::Fail(Class::Transient)));
    worker.iot = house.iot.with_fates(always("iot.deactivate_certificate", Fate::Late(Duration::from_secs(200))));
    assert_eq!(finish(worker.run(CancellationToken::new())).await, Ended::Empty);
    let counts = house.telemetry.counts();
    assert!(counts.received >= 3, "received {} times in 200 s", counts.received);
    assert_eq!((counts.claimed, counts.deleted), (1, 1));
    assert_eq!(house.iot.effects("UpdateCertificate").len(), 1);
    assert_eq!(house.status(&finding), Status::Mitigated);
}

#[tokio::test(start_paused = true)]
async fn never_more_messages_are_in_flight_than_the_bound() {
    let house = House::new();
    for n in 0..100 {
        let finding = house.device(n);
        house.publish(&finding).await;
    }
    let mut worker = house.worker("worker");
    worker.config.max_in_flight = 7;
    worker.iot = house.iot.with_fates(always("iot.deactivate_certificate", Fate::Late(Duration::from_secs(3))));
    let running = start(worker);
    let mut most = 0;
    while !running.task.is_finished() {
        most = most.max(house.depth().await.in_flight);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(most, 7);
    assert_eq!(running.task.await.unwrap(), Ended::Empty);
    assert_eq!(house.iot.effects("UpdateCertificate").len(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_may_hold_few_messages_receives_others_beside_one_that_takes_minutes() {
    let house = House::new();
    let findings: Vec<_> = (0..31).map(|n| house.device(n)).collect();
    for finding in &findings {
        house.publish(finding).await;
    }
    let mut worker = house.worker("worker");
    worker.config.max_in_flight = 10;
    let slow = Script::new([("iot.deactivate_certificate", Fate::Late(Duration::from_secs(300)))]);
    worker.iot = house.iot.with_fates(Arc::new(slow));
    let running = start(worker);
    seconds(100).await;
    let mitigated = findings.iter().filter(|finding| house.status(finding) == Status::Mitigated).count();
    assert_eq!(mitigated, 30);
    assert_eq!(finish(running.task).await.unwrap(), Ended::Empty);
}

#[tokio::test(start_paused = true)]
async fn bodies_are_bounded_by_their_bytes_too() {
    let house = House::new();
    let padding = " ".repeat(900 * 1024);
    for n in 0..12 {
        let finding = house.device(n);
        house.iot.put_finding(&finding);
        house.send(&format!("{padding}{}", fleetwarden::finding::encode_own(&finding, None))).await;
    }
    let mut worker = house.worker("worker");
    (worker.config.pollers, worker.config.max_in_flight_bytes) = (1, 2 * 1024 * 1024);
    worker.iot = house.iot.with_fates(always("iot.deactivate_certificate", Fate::Late(Duration::from_secs(10))));
    let running = start(worker);
    seconds(5).await;
    assert!(house.ledger.records().len() <= 2, "{} large findings at once", house.ledger.records().len());
    assert_eq!(finish(running.task).await.unwrap(), Ended::Empty);
    assert_eq!(house.iot.effects("UpdateCertificate").len(), 12);
}

#[tokio::test(start_paused = true)]
async fn a_lease_of_a_few_seconds_leaves_time_to_act_too() {
    for lease in [2, 5, 10, 15, 20] {
        let house = House::new();
        let finding = house.device(1);
        house.publish(&finding).await;
        let mut worker = house.worker("worker");
        worker.config.lease = Duration::from_secs(lease);
        assert_eq!(finish(worker.run(CancellationToken::new())).await, Ended::Empty);
        let record = house.record(&finding);
        assert_eq!((record.status, record.epoch), (Status::Mitigated, 1), "with a lease of {lease} s: {record:?}");
    }
}
