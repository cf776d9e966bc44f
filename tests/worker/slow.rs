//! What is slow, late or nearly over: short leases, and locks that outlive their claim.

use crate::house::*;
use fleetwarden::aws::{Class, Fate};
use fleetwarden::budget::{BudgetConfig, Budgets, Operation};
use fleetwarden::ledger::Status;
use fleetwarden::worker::Ended;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn the_shortest_lease_is_renewed_before_work_under_it_has_to_stop() {
    let mut house = House::new();
    let quotas = [(Operation::UpdateCertificate, 0.5)].into();
    house.budgets = Arc::new(Budgets::new(&BudgetConfig { quotas, reserve: 0.0, ..BudgetConfig::default() }));
    let findings: Vec<_> = (0..40).map(|n| house.device(n)).collect();
    for finding in &findings {
        house.publish(finding).await;
    }
    let mut worker = house.worker("worker");
    worker.config.lease = Duration::from_secs(30);
    assert_eq!(finish(start(worker).task).await.unwrap(), Ended::Empty);
    let counts = house.telemetry.counts();
    assert_eq!((counts.claimed, counts.lost_claims), (40, 0), "no claim was ever in danger");
    assert!(house.ledger.records().iter().all(|record| (record.status, record.attempts) == (Status::Mitigated, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_lost_its_claim_does_not_open_the_lock_that_its_successor_holds() {
    let house = House::new();
    house.iot.put_policy("Wide", &[WIDE]);
    let first = policy_finding("first", PERMISSIVE, "Wide");
    let second = policy_finding("second", MISCONFIGURED, "Wide");
    house.publish(&first).await;
    house.iot.put_finding(&second);

    // Holds the lock, stalls for 90 s, and renews nothing.
    let mut stalled = house.worker("stalled");
    stalled.ledger = house.ledger.with_fates(always("ledger.renew", Fate::Fail(Class::Transient)));
    stalled.queue = house.queue.with_fates(always("queue.change_visibility", Fate::Fail(Class::Transient)));
    stalled.config.max_in_flight = 1;
    stalled.iot = house.iot.with_fates(always("iot.get_policy", Fate::Late(Duration::from_secs(90))));
    let stalled = start_for_good(stalled);
    until(|| house.telemetry.counts().claimed == 1).await;

    // Takes over after a minute, and is about to create a version when the other wakes.
    let mut successor = house.worker("successor");
    let create = "iot.create_default_policy_version";
    successor.iot = house.iot.with_fates(always(create, Fate::Late(Duration::from_secs(60))));
    let successor = start_for_good(successor);
    until(|| house.record(&first).owner == "successor").await;
    let other = start_for_good(house.worker("other"));
    until(|| house.telemetry.counts().lost_claims > 0 || !house.iot.effects("CreatePolicyVersion").is_empty()).await;
    assert!(house.iot.effects("CreatePolicyVersion").is_empty(), "the stalled worker woke too late for this test");
    stalled.stop.cancel();
    house.publish(&second).await;

    until(|| house.queue.contents().is_empty()).await;
    assert_eq!(house.iot.effects("CreatePolicyVersion").len(), 1, "two findings were at work on one policy");
    assert_eq!(house.status(&first), Status::Mitigated);
    assert_eq!(house.status(&second), Status::Compliant);
    for running in [stalled, successor, other] {
        finish(running.end()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn acknowledgements_that_hang_cost_no_lease() {
    let mut house = House::new();
    let quotas = [(Operation::UpdateCertificate, 0.5)].into();
    house.budgets = Arc::new(Budgets::new(&BudgetConfig { quotas, reserve: 0.0, ..BudgetConfig::default() }));
    let findings: Vec<_> = (0..100).map(|n| house.device(n)).collect();
    for finding in &findings {
        house.publish(finding).await;
    }
    let mut worker = house.worker("worker");
    worker.queue = house.queue.with_fates(always("queue.delete", Fate::Late(Duration::from_secs(29))));
    let running = start_for_good(worker);
    until(|| house.telemetry.counts().mitigated == findings.len() as u64).await;
    let counts = house.telemetry.counts();
    assert_eq!(counts.lost_claims, 0, "a slow delete is no reason to lose a claim");
    assert!(house.ledger.records().iter().all(|record| record.attempts == 0));
    finish(running.end()).await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_runs_out_while_it_waits_for_its_budget_spends_no_attempt() {
    let mut house = House::new();
    let quotas = [(Operation::UpdateCertificate, 0.01)].into();
    house.budgets = Arc::new(Budgets::new(&BudgetConfig { quotas, reserve: 0.0, ..BudgetConfig::default() }));
    let findings = [house.device(1), house.device(2)];
    for finding in &findings {
        house.publish(finding).await;
    }
    let throttled = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let mut worker = house.worker("worker");
    worker.ledger = house.ledger.with_fates(while_on(&throttled, "ledger.renew", Class::Throttled));
    let running = start_for_good(worker);
    seconds(110).await;
    throttled.store(false, std::sync::atomic::Ordering::SeqCst);
    until(|| findings.iter().all(|finding| house.status(finding) == Status::Mitigated)).await;
    assert!(house.ledger.records().iter().all(|record| record.attempts == 0), "{:?}", house.ledger.records());
    finish(running.end()).await;
}
