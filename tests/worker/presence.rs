//! What a worker says of itself in the ledger, and what can be seen of it from outside.

use crate::house::*;
use fleetwarden::aws::{Class, Fate, Fates};
use fleetwarden::ledger::{Calls, Presence, Standing, Status, WorkerHealth, WorkerNote};
use fleetwarden::worker::{ANNOUNCE_EVERY, Ended, Health};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const EVERY: u64 = ANNOUNCE_EVERY.as_secs();

async fn notes(house: &House) -> Vec<WorkerNote> {
    house.ledger.workers(0).await.unwrap()
}

async fn note(house: &House) -> WorkerNote {
    notes(house).await.remove(0)
}

#[tokio::test(start_paused = true)]
async fn a_worker_says_that_it_is_there_what_it_does_and_at_last_that_it_is_gone() {
    let house = House::new();
    let findings: Vec<_> = (0..40).map(|n| house.device(n)).collect();
    for finding in &findings {
        house.publish(finding).await;
    }
    seconds(7).await;
    let mut worker = house.worker("warden");
    worker.config.policy_name = Some("policy.yaml 0011aabb".to_owned());
    let (running, started) = (start_for_good(worker), house.clock.now_ms());
    seconds(1).await;
    let first = note(&house).await;
    assert_eq!((first.id.as_str(), first.mode.as_str()), ("warden", "enforce"));
    assert_eq!(
        (first.version.as_str(), first.policy.as_deref()),
        (env!("CARGO_PKG_VERSION"), Some("policy.yaml 0011aabb"))
    );
    assert_eq!((first.started_at, first.seen_at, first.health), (started, started, WorkerHealth::Well));

    seconds(EVERY).await;
    let second = note(&house).await;
    assert_eq!(second.seen_at - started, ANNOUNCE_EVERY.as_millis() as i64);
    assert_eq!(second.finished, 40);
    assert_eq!(second.in_flight, 0);
    assert!((7_000..20_000).contains(&second.oldest_message.unwrap()), "{second:?}");
    assert_eq!(second.calls["UpdateCertificate"], Calls { per_second: 40.0 / EVERY as f64, budget: 8.0 });

    seconds(EVERY).await;
    let idle = note(&house).await;
    assert_eq!((idle.oldest_message, idle.finished), (None, 40));
    assert_eq!(idle.calls["UpdateCertificate"], Calls { per_second: 0.0, budget: 8.0 });
    assert_eq!(idle.standing(house.clock.now_ms()), Standing::Alive);
    assert_eq!(finish(running.end()).await, Ended::Drained);
    assert_eq!(note(&house).await.standing(house.clock.now_ms()), Standing::Gone);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_opens_a_stop_and_a_recovery_are_told_at_once() {
    let house = House::new();
    let refused = Arc::new(AtomicBool::new(true));
    let fates = while_on(&refused, "iot.", Class::Denied);
    house.publish(&house.device(1)).await;
    let mut worker = house.worker("warden");
    worker.iot = house.iot.with_fates(Arc::clone(&fates));
    let running = start_for_good(worker);
    seconds(2).await;
    let WorkerHealth::Broken { reason, until } = note(&house).await.health else { panic!("{:?}", notes(&house).await) };
    assert!(reason.contains("was made to fail"), "{reason}");
    assert!((2_000..=5_000).contains(&(until - house.clock.now_ms())));
    refused.store(false, Ordering::SeqCst);
    until_well(&running).await;
    seconds(0).await;
    assert_eq!(note(&house).await.health, WorkerHealth::Well);

    let finding = house.device(2);
    house.publish(&finding).await;
    let slow = always("ledger.finish", Fate::Late(std::time::Duration::from_secs(3)));
    assert_eq!(finish(running.end()).await, Ended::Drained);
    let mut worker = house.worker("slow");
    worker.ledger = house.ledger.with_fates(slow);
    let running = start_for_good(worker);
    seconds(2).await;
    running.stop.cancel();
    seconds(1).await;
    assert!(running.vitals.is_draining());
    let slow = notes(&house).await.into_iter().find(|note| note.id == "slow").unwrap();
    assert_eq!((slow.health, slow.in_flight), (WorkerHealth::Draining, 1));
    assert_eq!(finish(running.task).await.unwrap(), Ended::Drained);
    assert_eq!(house.status(&finding), Status::Mitigated);
}

async fn until_well(running: &Running) {
    until(|| running.breaker.health() == Health::Well).await;
}

#[tokio::test(start_paused = true)]
async fn notes_that_fail_or_hang_open_no_breaker_spend_no_attempt_and_hold_up_no_end() {
    for fate in [Fate::Fail(Class::Denied), Fate::Fail(Class::Transient), Fate::Late(FOR_EVER)] {
        let house = House::new();
        let findings: Vec<_> = (0..200).map(|n| house.device(n)).collect();
        for finding in &findings {
            house.publish(finding).await;
        }
        let tried = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&tried);
        let fates: Arc<dyn Fates> = Arc::new(move |call: &'static str| {
            let ours = call == "presence.announce";
            counting.fetch_add(usize::from(ours), Ordering::SeqCst);
            if ours { fate } else { Fate::Proceed }
        });
        let mut worker = house.worker("warden");
        worker.ledger = house.ledger.with_fates(fates);
        let running = start_for_good(worker);
        until(|| house.queue.contents().is_empty()).await;
        seconds(EVERY).await;
        assert!(tried.load(Ordering::SeqCst) > 1, "{fate:?}");
        assert_eq!((running.breaker.health(), house.telemetry.counts().breaker_trips), (Health::Well, 0), "{fate:?}");
        let asked = tokio::time::Instant::now();
        assert_eq!(finish(running.end()).await, Ended::Drained);
        assert!(asked.elapsed().as_secs() <= 5, "{fate:?}: ended after {:?}", asked.elapsed());
        assert!(house.ledger.records().iter().all(|record| (record.status, record.attempts) == (Status::Mitigated, 0)));
        assert_eq!(notes(&house).await, []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_or_a_poll_that_hangs_is_told_when_it_is_overdue_and_an_idle_or_paused_worker_is_not_stuck() {
    let idle = House::new();
    let running = start_for_good(idle.worker("idle"));
    seconds(3 * 3600).await;
    assert_eq!(running.vitals.stuck(), None);

    for (call, words) in [
        ("ledger.renew", "the heartbeat of leases has not moved for"),
        ("queue.change_visibility", "the heartbeat of messages has not moved for"),
        ("queue.receive", "a poller of the queue has not moved for"),
    ] {
        let house = House::new();
        house.publish(&house.device(1)).await;
        let hangs = always(call, Fate::Late(FOR_EVER));
        let mut worker = house.worker("stuck");
        worker.iot = house.iot.with_fates(always("iot.deactivate_certificate", Fate::Late(FOR_EVER)));
        (worker.queue, worker.ledger) = (house.queue.with_fates(Arc::clone(&hangs)), house.ledger.with_fates(hangs));
        let running = start_for_good(worker);
        seconds(100).await;
        assert_eq!(running.vitals.stuck(), None, "{call}");
        seconds(180).await;
        let told = running.vitals.stuck().unwrap_or_default();
        assert!(told.starts_with(words), "{call}: {told}");
    }
}
