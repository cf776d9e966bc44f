//! P7: a broken account stops the line, not the queue.

use crate::house::*;
use fleetwarden::aws::{Class, Fate};
use fleetwarden::ledger::Status;
use fleetwarden::policy::Mode;
use fleetwarden::worker::{Ended, Health};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

fn is_broken(health: &Health) -> bool {
    matches!(health, Health::Broken { .. })
}

#[tokio::test(start_paused = true)]
async fn missing_permission_opens_the_breaker_costs_no_attempt_and_work_goes_on_by_itself_when_it_returns() {
    let house = House::new();
    let findings: Vec<_> = (0..100).map(|n| house.device(n)).collect();
    for finding in &findings {
        house.publish(finding).await;
    }
    let denied = Arc::new(AtomicBool::new(true));
    let mut worker = house.worker("worker");
    worker.iot = house.iot.with_fates(while_on(&denied, "iot.deactivate", Class::Denied));
    let running = start_for_good(worker);
    until(|| is_broken(&running.breaker.health())).await;
    seconds(3 * 3600).await;
    assert!(house.dead.contents().is_empty());
    assert!(house.ledger.records().iter().all(|record| record.attempts == 0 && record.status == Status::Waiting));
    // 5 s doubling to 5 min: some forty probes in three hours, each of what was in flight.
    let refused = house.iot.history().iter().filter(|call| call.error == Some(Class::Denied)).count();
    assert!(refused < 5000, "{refused} denied calls in three hours");

    denied.store(false, Ordering::SeqCst);
    until(|| house.queue.contents().is_empty()).await;
    until(|| running.breaker.health() == Health::Well).await;
    assert!(findings.iter().all(|finding| house.status(finding) == Status::Mitigated));
    assert_eq!(running.end().await, Ended::Drained);
}

#[tokio::test(start_paused = true)]
async fn a_denied_ledger_spends_no_attempts_either() {
    let house = House::new();
    let findings: Vec<_> = (0..20).map(|n| house.device(n)).collect();
    for finding in &findings {
        house.publish(finding).await;
    }
    let denied = Arc::new(AtomicBool::new(true));
    let mut worker = house.worker("worker");
    worker.ledger = house.ledger.with_fates(while_on(&denied, "ledger.claim", Class::Denied));
    let running = start_for_good(worker);
    seconds(3600).await;
    assert!(is_broken(&running.breaker.health()));
    assert!(house.dead.contents().is_empty() && house.ledger.records().is_empty());
    denied.store(false, Ordering::SeqCst);
    until(|| house.queue.contents().is_empty()).await;
    assert!(house.ledger.records().iter().all(|record| (record.status, record.attempts) == (Status::Mitigated, 0)));
    until(|| running.breaker.health() == Health::Well).await;
    assert_eq!(running.end().await, Ended::Drained);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_only_observes_is_well_again_when_the_queue_is() {
    let mut house = House::new();
    house.policy.set_mode(Mode::Observe);
    let denied = Arc::new(AtomicBool::new(true));
    let mut worker = house.worker("worker");
    worker.queue = house.queue.with_fates(while_on(&denied, "queue.receive", Class::Denied));
    let running = start_for_good(worker);
    until(|| is_broken(&running.breaker.health())).await;
    denied.store(false, Ordering::SeqCst);
    let finding = house.device(1);
    house.publish(&finding).await;
    until(|| house.queue.contents().is_empty()).await;
    until(|| running.breaker.health() == Health::Well).await;
    assert_eq!(running.end().await, Ended::Drained);
}

#[tokio::test(start_paused = true)]
async fn a_denied_delete_is_loud_and_repeats_no_effect() {
    let house = House::new();
    let finding = house.device(1);
    house.publish(&finding).await;
    let denied = Arc::new(AtomicBool::new(true));
    let mut worker = house.worker("worker");
    worker.queue = house.queue.with_fates(while_on(&denied, "queue.delete", Class::Denied));
    let running = start_for_good(worker);
    until(|| is_broken(&running.breaker.health())).await;
    seconds(1800).await;
    assert!(house.dead.contents().is_empty());
    denied.store(false, Ordering::SeqCst);
    until(|| house.queue.contents().is_empty()).await;
    until(|| running.breaker.health() == Health::Well).await;
    assert_eq!(house.iot.effects("UpdateCertificate").len(), 1);
    assert_eq!(running.end().await, Ended::Drained);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_to_end_with_the_queue_ends_broken_where_the_account_refuses() {
    let house = House::new();
    let mut worker = house.worker("worker");
    worker.queue = house.queue.with_fates(always("queue.receive", Fate::Fail(Class::Denied)));
    let ended = finish(start(worker).task).await.unwrap();
    assert!(matches!(ended, Ended::Broken(_)), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn failing_receives_do_not_spin() {
    for class in [Class::Transient, Class::Throttled, Class::Denied, Class::Permanent] {
        let house = House::new();
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        let mut worker = house.worker("worker");
        worker.queue = house.queue.with_fates(Arc::new(move |call: &'static str| {
            if call != "queue.receive" {
                return Fate::Proceed;
            }
            counter.fetch_add(1, Ordering::SeqCst);
            Fate::Fail(class)
        }));
        let running = start_for_good(worker);
        seconds(60).await;
        let calls = calls.load(Ordering::SeqCst);
        assert!((4..=100).contains(&calls), "{calls} calls of four pollers in a minute of {class}");
        assert_eq!(running.end().await, Ended::Drained);
    }
}
