//! Many findings that wait for one operation: they use its budget whole, and hold up nobody who waits for another.

use crate::house::*;
use fleetwarden::aws::{Fate, Fates};
use fleetwarden::budget::{BudgetConfig, Budgets, Fleet, Operation};
use fleetwarden::finding::{Finding, ResourceIdentifier};
use fleetwarden::ledger::Status;
use fleetwarden::policy::{Action, Matcher, Rule};
use fleetwarden::queue::{Disorder, MemoryQueue, MemoryQueueConfig, Redrive};
use fleetwarden::worker::Ended;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

const EXPIRING: &str = "DEVICE_CERTIFICATE_EXPIRING_CHECK";
const REVOKED_CA: &str = "REVOKED_CA_CERTIFICATE_STILL_ACTIVE_CHECK";
const GROUP: &str = "Quarantine";

/// AWS's quota of most operations, and what is used of it; what 7.5 s of that serve is in hand at a time, and one more.
const QUOTA: f64 = 10.0;
const RATE: f64 = 8.0;
const IN_HAND: usize = 61;

/// Only the lines under test limit: what every finding is read with has plenty of budget.
fn quotas(quota: f64) -> BudgetConfig {
    let plenty = [
        Operation::DescribeAuditFinding,
        Operation::DescribeCertificate,
        Operation::DescribeCaCertificate,
        Operation::ListPrincipalThings,
        Operation::ListThingGroupsForThing,
    ];
    let plenty = plenty.into_iter().map(|operation| (operation, 2_000.0));
    let quotas = plenty.chain([(Operation::UpdateCertificate, quota)]).collect();
    BudgetConfig { quotas, ..BudgetConfig::default() }
}

fn house() -> House {
    let mut house = House::new();
    house.budgets = Arc::new(Budgets::new(&quotas(QUOTA)));
    house.iot.put_group(GROUP);
    let rule = |name: &str, check: &str, action: Action| Rule {
        name: name.into(),
        matcher: Matcher { check: vec![check.into()], ..Matcher::default() },
        observe: false,
        delegate: Vec::new(),
        actions: vec![action],
    };
    let group = Action::AddThingsToThingGroup { thing_groups: vec![GROUP.into()], override_dynamic_groups: false };
    house.policy.rules.push(rule("groups", EXPIRING, group));
    house.policy.rules.push(rule("cas", REVOKED_CA, Action::UpdateCaCertificate));
    house
}

/// A finding whose certificate's one thing is to be added to the group.
fn group_finding(house: &House, n: u64) -> Finding {
    let id = certificate(1_000_000 + n);
    house.iot.put_certificate(&id, "ACTIVE");
    house.iot.put_thing(&format!("thing-{n}"), &id, &[]);
    let identifier = ResourceIdentifier::DeviceCertificate(id);
    finding(&format!("group-{n}"), EXPIRING, "DEVICE_CERTIFICATE", identifier)
}

/// Every call takes 20 ms, as on a real network.
fn network() -> Arc<dyn Fates> {
    Arc::new(|_: &'static str| Fate::Late(Duration::from_millis(20)))
}

async fn publish_certificates(house: &House, ids: std::ops::Range<u64>) -> Vec<Finding> {
    let findings: Vec<_> = ids.map(|n| house.device(n)).collect();
    for finding in &findings {
        house.publish(finding).await;
    }
    findings
}

async fn publish_groups(house: &House, ids: std::ops::Range<u64>) {
    for n in ids {
        let finding = group_finding(house, n);
        house.publish(&finding).await;
    }
}

/// Seconds from `from` to the last call of the operation; until no more than `tail` were left, no ten seconds had fewer calls than this part of
/// the budget.
fn used_whole(house: &House, operation: &str, rate: f64, from: Instant, tail: usize, part: f64) -> f64 {
    let times: Vec<f64> = house.iot.effects(operation).iter().map(|call| (call.at - from).as_secs_f64()).collect();
    let whole_until = times[times.len() - 1 - tail];
    let mut second = 1.0;
    while second + 10.0 < whole_until {
        let calls = times.iter().filter(|time| (second..second + 10.0).contains(*time)).count();
        assert!(calls as f64 >= 10.0 * part * rate, "{calls} calls of {operation} in the 10 s from {second}");
        second += 1.0;
    }
    times[times.len() - 1]
}

#[tokio::test(start_paused = true)]
async fn a_saturated_update_certificate_does_not_hold_up_the_group_findings_behind_it() {
    let house = house();
    publish_certificates(&house, 0..2_000).await;
    publish_groups(&house, 0..200).await;
    let from = Instant::now();
    let running = start(meeting(house.worker("worker"), network()));
    until(|| house.iot.effects("AddThingToThingGroup").len() == 200).await;
    let took = from.elapsed();
    assert!(took < Duration::from_secs(10), "groups were held up for {took:?}");
    let meanwhile = house.iot.effects("UpdateCertificate").len() as f64;
    assert!(meanwhile >= 0.95 * RATE * (took.as_secs_f64() - 1.0), "{meanwhile} certificates in {took:?}");
    assert_eq!(finish(running.task).await.unwrap(), Ended::Empty);
    let end = used_whole(&house, "UpdateCertificate", RATE, from, 0, 0.95);
    assert!(end <= 2_000.0 / RATE / 0.95, "the budget would have taken 250 s, it took {end} s");
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_its_budget_is_neither_in_hand_nor_on_record_and_comes_and_goes_a_few_times() {
    let mut house = house();
    // Who were received a twenty-first time would go to the dead letters.
    let redrive = Some(Redrive { to: house.dead.clone(), max_receives: 20 });
    house.queue = MemoryQueue::new(house.clock.clone(), MemoryQueueConfig { redrive, ..MemoryQueueConfig::default() });
    let n = 2_000;
    publish_certificates(&house, 0..n as u64).await;
    let claims = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&claims);
    let mut worker = house.worker("worker");
    worker.ledger = house.ledger.with_fates(Arc::new(move |call: &'static str| {
        counting.fetch_add(usize::from(call == "ledger.claim"), Ordering::SeqCst);
        Fate::Proceed
    }));
    let running = start(worker);
    let mut most = 0;
    while !running.task.is_finished() {
        let records = house.ledger.records();
        most = most.max(records.iter().filter(|record| record.status == Status::Claimed).count());
        let called = house.iot.effects("UpdateCertificate").len();
        assert!(records.len() <= called + IN_HAND, "{} records after {called} calls", records.len());
        seconds(3).await;
    }
    assert!((IN_HAND - 4..=IN_HAND).contains(&most), "{most} in hand");
    let counts = house.telemetry.counts();
    assert_eq!((counts.claimed, counts.taken_over, counts.busy), (n as u64, 0, 0));
    assert!(claims.load(Ordering::SeqCst) <= n, "the ledger was asked {claims:?} times for {n} findings");
    assert_eq!((counts.parked, counts.received), (counts.over_budget, n as u64 + counts.over_budget));
    assert!(counts.received <= 8 * n as u64, "{} receives of {n} messages", counts.received);
    assert!(house.dead.contents().is_empty(), "a message was received more than 20 times");
}

#[tokio::test(start_paused = true)]
async fn duplicates_of_findings_that_ended_end_behind_a_saturated_line_too() {
    let house = house();
    let ended = publish_certificates(&house, 0..50).await;
    house.work().await;
    publish_certificates(&house, 50..550).await;
    for finding in &ended {
        house.publish(finding).await;
    }
    let from = Instant::now();
    let running = start_for_good(house.worker("worker"));
    until(|| house.queue.contents().is_empty()).await;
    assert!(from.elapsed() < Duration::from_secs(70), "the budget takes 63 s, it took {:?}", from.elapsed());
    finish(running.end()).await;
    assert_eq!(house.telemetry.counts().duplicates, 50);
    assert_eq!(house.iot.effects("UpdateCertificate").len(), 550);
}

#[tokio::test(start_paused = true)]
async fn every_line_uses_its_own_budget_whole_beside_the_others() {
    let house = house();
    for n in 0..200 {
        let device = house.device(n);
        house.publish(&device).await;
        let id = certificate(2_000_000 + n);
        house.iot.put_ca_certificate(&id, "ACTIVE");
        let ca = finding(&format!("ca-{n}"), REVOKED_CA, "CA_CERTIFICATE", ResourceIdentifier::CaCertificate(id));
        house.publish(&ca).await;
        let policy = format!("Policy{n}");
        house.iot.put_policy(&policy, &[WIDE]);
        house.publish(&policy_finding(&format!("policy-{n}"), PERMISSIVE, &policy)).await;
        house.publish(&client_finding(n)).await;
    }
    let from = Instant::now();
    assert_eq!(finish(start(meeting(house.worker("worker"), network())).task).await.unwrap(), Ended::Empty);
    for operation in ["UpdateCertificate", "UpdateCACertificate", "CreatePolicyVersion"] {
        let end = used_whole(&house, operation, RATE, from, 0, 0.95);
        assert!(end <= 25.0 / 0.95, "{operation}: the budget would have taken 25 s, it took {end} s");
    }
    let published = house.iot.effects("Publish");
    let last = published.last().unwrap().at - from;
    assert!(published.len() == 200 && last < Duration::from_secs(10), "publishing needs no budget, it took {last:?}");
    assert!(house.ledger.records().iter().all(|record| (record.status, record.attempts) == (Status::Mitigated, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_drain_gives_back_what_is_in_line_and_what_is_parked_comes_back_within_two_minutes() {
    let house = house();
    let findings = publish_certificates(&house, 0..1_000).await;
    let running = start_for_good(meeting(house.worker("worker"), network()));
    seconds(20).await;
    let stopped = Instant::now();
    assert_eq!(finish(running.end()).await, Ended::Drained);
    assert!(stopped.elapsed() < Duration::from_secs(25), "{:?}", stopped.elapsed());
    assert!(house.ledger.records().iter().all(|record| record.status != Status::Claimed));
    let mitigated = house.iot.effects("UpdateCertificate").len() as u64;
    assert!((150..=240).contains(&mitigated), "{mitigated} mitigated in 20 s and a drain");
    assert_eq!(house.queue.contents().len() as u64, 1_000 - mitigated);
    seconds(120).await;
    assert_eq!(house.depth().await.visible, 1_000 - mitigated);
    house.work().await;
    let mitigated = house.ledger.records().iter().filter(|record| record.status == Status::Mitigated).count();
    assert_eq!(mitigated, findings.len());
    assert_eq!(house.iot.effects("UpdateCertificate").len(), 1_000);
}

/// Workers that share this budget on the fleet's timeline.
fn start_fleet(house: &House, workers: u64, quota: f64, seed: u64) -> Vec<Running> {
    let one = |n| {
        let mut worker = house.worker(&format!("worker-{n}"));
        worker.config.seed = seed + n;
        let fleet = Fleet {
            timelines: Arc::new(house.ledger.with_fates(network())),
            region: REGION.into(),
            clock: house.clock.clone(),
            telemetry: Arc::clone(&house.telemetry),
            seed: worker.config.seed,
        };
        worker.budgets = Arc::new(Budgets::shared(&quotas(quota), &fleet));
        start(meeting(worker, network()))
    };
    (0..workers).map(one).collect()
}

/// Workers that share the budget on the fleet's timeline, on a queue that hands out its messages in disorder, some of them twice.
async fn share(workers: u64, seed: u64) {
    println!("seed {seed}");
    let mut house = house();
    let disorder = Some(Disorder { seed, duplicates: 0.02 });
    house.queue = MemoryQueue::new(house.clock.clone(), MemoryQueueConfig { disorder, ..MemoryQueueConfig::default() });
    publish_certificates(&house, 0..1_000).await;
    publish_groups(&house, 0..100).await;
    let from = Instant::now();
    let running = start_fleet(&house, workers, QUOTA, seed);
    until(|| house.iot.effects("AddThingToThingGroup").len() == 100).await;
    assert!(from.elapsed() < Duration::from_secs(10), "groups were held up for {:?}", from.elapsed());
    for worker in running {
        assert_eq!(finish(worker.task).await.unwrap(), Ended::Empty);
    }
    // The last hundred are spread unevenly over the workers: some wait for their turn in one line while another is empty.
    let end = used_whole(&house, "UpdateCertificate", RATE, from, 100, 0.85);
    assert!(end <= 1_000.0 / RATE / 0.95 + 15.0, "the budget would have taken 125 s, it took {end} s");
    assert_eq!(house.iot.effects("UpdateCertificate").len(), 1_000);
    let counts = house.telemetry.counts();
    println!("{} waiting, {} received, {end} s", counts.waiting, counts.received);
    assert!(counts.waiting <= 1100, "{} of 1,100 were claimed and given back for want of a slot", counts.waiting);
    assert!(counts.received <= 12 * 1_100, "{} receives of 1,100 messages", counts.received);
}

#[tokio::test(start_paused = true)]
async fn two_workers_use_the_budget_that_they_share_whole_and_hold_up_nobody() {
    share(2, 1).await;
}

#[tokio::test(start_paused = true)]
async fn twenty_workers_that_start_on_one_backlog_use_the_budget_whole_and_claim_hardly_any_that_they_cannot_serve() {
    share(20, 2).await;
}

/// Bug: what was received in the first seconds was away for two minutes and more, and so were duplicates of what had long been mitigated.
#[tokio::test(start_paused = true)]
async fn four_workers_that_start_on_one_backlog_have_it_empty_soon_after_its_last_call() {
    let mut house = house();
    let disorder = Some(Disorder { seed: 5, duplicates: 0.0 });
    house.queue = MemoryQueue::new(house.clock.clone(), MemoryQueueConfig { disorder, ..MemoryQueueConfig::default() });
    let findings = publish_certificates(&house, 0..1_500).await;
    for duplicate in findings.iter().step_by(5) {
        house.publish(duplicate).await;
    }
    let from = Instant::now();
    let running = start_fleet(&house, 4, 50.0, 5);
    until(|| house.queue.contents().is_empty()).await;
    let (empty, last) = (from.elapsed(), house.iot.effects("UpdateCertificate").pop().unwrap().at - from);
    for worker in running {
        assert_eq!(finish(worker.task).await.unwrap(), Ended::Empty);
    }
    let received = house.telemetry.counts().received;
    println!("last call after {last:?}, empty after {empty:?}, {received} received");
    assert!(last < Duration::from_secs(43), "the budget would have taken 37.5 s, it took {last:?}");
    assert!(empty - last < Duration::from_secs(8), "empty after {empty:?}, the last call was after {last:?}");
    assert!(received <= 5 * 1_800, "{received} receives of 1,800 messages");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_parked_thousands_polls_slowly_and_leaves_the_rest_in_the_queue() {
    let house = house();
    publish_certificates(&house, 0..8_000).await;
    let running = start_for_good(house.worker("worker"));
    seconds(20).await;
    let in_flight = house.depth().await.in_flight;
    // 5,000, what is in hand, and 4 pollers x 10 messages a second.
    assert!((5_000..=5_000 + 512 + 40 * 21).contains(&in_flight), "{in_flight} in flight");
    let (from, before) = (Instant::now(), house.iot.effects("UpdateCertificate").len());
    seconds(60).await;
    let calls = (house.iot.effects("UpdateCertificate").len() - before) as f64;
    assert!(calls >= 0.95 * RATE * from.elapsed().as_secs_f64(), "{calls} certificates in a minute of slow polls");
    finish(running.end()).await;
}

#[tokio::test(start_paused = true)]
async fn a_finding_whose_slot_does_not_come_within_a_lease_goes_back_and_spends_no_attempt() {
    let mut house = house();
    let quotas = [(Operation::UpdateCertificate, 0.005)].into();
    house.budgets = Arc::new(Budgets::new(&BudgetConfig { quotas, reserve: 0.0, ..BudgetConfig::default() }));
    // Somebody else took what was there: the next slot comes in 200 s.
    house.budgets.slot(Operation::UpdateCertificate).await.unwrap();
    let finding = house.device(1);
    house.publish(&finding).await;
    let running = start_for_good(house.worker("worker"));
    until(|| house.telemetry.counts().waiting == 1).await;
    let record = house.record(&finding);
    assert_eq!((record.status, record.attempts), (Status::Waiting, 0));
    assert_eq!(record.detail, "failed to call UpdateCertificate: no slot of its budget came within 60 s");
    until(|| house.status(&finding) == Status::Mitigated).await;
    let record = house.record(&finding);
    assert_eq!((record.attempts, house.telemetry.counts().heartbeats > 0), (0, true));
    assert_eq!(house.iot.effects("UpdateCertificate").len(), 1);
    finish(running.end()).await;
}
