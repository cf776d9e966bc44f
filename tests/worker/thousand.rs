//! P7 for a thousand findings: an outage costs time, and neither a dead letter nor a finding's attempts.

use crate::house::*;
use fleetwarden::aws::Class;
use fleetwarden::finding::Finding;
use fleetwarden::ledger::Status;
use fleetwarden::queue::{MemoryQueue, MemoryQueueConfig, Redrive};
use fleetwarden::worker::{Ended, Health};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A message received this often would go to the dead letters, as SQS does it.
const RECEIVES: u32 = 20;

struct Outage {
    /// Which calls fail, and how.
    prefix: &'static str,
    class: Class,
    lasts: Duration,
    /// What health must say.
    says: &'static str,
    /// Attempts that may be spent in all.
    attempts: u32,
}

async fn thousand() -> (House, Vec<Finding>) {
    let mut house = House::new();
    let redrive = Some(Redrive { to: house.dead.clone(), max_receives: RECEIVES });
    let config = MemoryQueueConfig { name: "findings".into(), redrive, ..MemoryQueueConfig::default() };
    house.queue = MemoryQueue::new(house.clock.clone(), config);
    let findings: Vec<_> = (0..1000).map(|n| house.device(n)).collect();
    for finding in &findings {
        house.publish(finding).await;
    }
    (house, findings)
}

/// Findings that were mitigated, each once.
fn mitigated(house: &House) -> usize {
    house.ledger.records().iter().filter(|record| record.status == Status::Mitigated).count()
}

/// The outage begins while the worker is in full swing.
async fn survive(outage: Outage) {
    let (house, _findings) = thousand().await;
    let on = Arc::new(AtomicBool::new(false));
    let running = start_for_good(meeting(house.worker("worker"), while_on(&on, outage.prefix, outage.class)));
    until(|| mitigated(&house) >= 50).await;

    on.store(true, Ordering::SeqCst);
    seconds(120).await;
    for _ in 0..(outage.lasts.as_secs() - 120) / 10 {
        seconds(10).await;
        let health = running.breaker.health();
        let told = matches!(&health, Health::Broken { reason, .. } if reason.contains(outage.says));
        assert!(told, "{health:?} does not say {:?}", outage.says);
    }
    assert!(house.dead.contents().is_empty());
    assert!(house.telemetry.counts().received < 3000, "{} received", house.telemetry.counts().received);

    on.store(false, Ordering::SeqCst);
    until(|| running.breaker.health() == Health::Well).await;
    until(|| house.queue.contents().is_empty()).await;
    assert!(house.dead.contents().is_empty(), "{:?}", house.dead.contents().first());
    assert_eq!(mitigated(&house), 1000);
    let records = house.ledger.records();
    let (spent, most) = (records.iter().map(|r| r.attempts).sum::<u32>(), records.iter().map(|r| r.attempts).max());
    assert!(spent <= outage.attempts && most <= Some(1), "{spent} attempts were spent, {most:?} by one finding");
    assert_eq!(house.iot.effects("UpdateCertificate").len(), 1000, "each certificate was deactivated once");
    assert_eq!(running.end().await, Ended::Drained);
}

fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

#[tokio::test(start_paused = true)]
async fn a_thousand_findings_met_by_access_denied_leave_no_dead_letter_and_spend_no_attempt() {
    let (prefix, class) = ("iot.deactivate", Class::Denied);
    survive(Outage { prefix, class, lasts: minutes(60), says: "UpdateCertificate", attempts: 0 }).await;
}

#[tokio::test(start_paused = true)]
async fn a_ledger_out_of_reach_for_ten_minutes_costs_a_thousand_findings_nothing_but_time() {
    for class in [Class::Transient, Class::Unknown] {
        let says = "the ledger cannot be reached";
        survive(Outage { prefix: "ledger.", class, lasts: minutes(10), says, attempts: 0 }).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_table_costs_a_thousand_findings_nothing_but_time() {
    let says = "call BatchExecuteStatement";
    survive(Outage { prefix: "ledger.", class: Class::Denied, lasts: minutes(10), says, attempts: 0 }).await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_gone_for_ten_minutes_costs_a_thousand_findings_nothing_but_time() {
    survive(Outage { prefix: "queue.", class: Class::Denied, lasts: minutes(10), says: "call ", attempts: 0 }).await;
}

#[tokio::test(start_paused = true)]
async fn expired_credentials_cost_a_thousand_findings_nothing_but_time() {
    survive(Outage { prefix: "", class: Class::Denied, lasts: minutes(10), says: "call ", attempts: 0 }).await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_aws_iot_of_half_an_hour_spends_an_attempt_of_twenty_findings_at_most() {
    let says = "AWS IoT does not serve";
    survive(Outage { prefix: "iot.", class: Class::Transient, lasts: minutes(30), says, attempts: 20 }).await;
}

#[tokio::test(start_paused = true)]
async fn one_bad_finding_among_a_thousand_good_ones_is_still_given_up_with_its_last_error() {
    let (house, findings) = thousand().await;
    // It alone is about a policy, and reading that never succeeds.
    let bad = policy_finding("bad", PERMISSIVE, "Wide");
    house.iot.put_policy("Wide", &[WIDE]);
    house.publish(&bad).await;
    let on = Arc::new(AtomicBool::new(true));
    let running = start_for_good(meeting(house.worker("worker"), while_on(&on, "iot.get_policy", Class::Transient)));
    until(|| house.queue.contents().is_empty()).await;
    assert_eq!(running.breaker.health(), Health::Well);
    assert_eq!(house.telemetry.counts().breaker_trips, 0);
    assert_eq!(house.dead_letters(), [("attempts_exhausted".to_owned(), "bad".to_owned())]);
    let letter = house.dead.contents().remove(0);
    assert!(letter.attributes["error"].contains("Policy"), "{}", letter.attributes["error"]);
    let good: BTreeSet<_> = findings.iter().map(|finding| house.status(finding)).collect();
    assert_eq!(good, BTreeSet::from([Status::Mitigated]));
    assert_eq!(running.end().await, Ended::Drained);
}

#[tokio::test(start_paused = true)]
async fn what_a_paused_worker_has_not_begun_is_there_for_others_within_seconds() {
    let (house, _findings) = thousand().await;
    let on = Arc::new(AtomicBool::new(false));
    let mut broken = house.worker("broken");
    // One at a time: the others that it claimed wait for their turn.
    broken.config.concurrency = 1;
    broken.iot = house.iot.with_fates(while_on(&on, "iot.deactivate", Class::Denied));
    let broken = start_for_good(broken);
    until(|| mitigated(&house) >= 50).await;
    on.store(true, Ordering::SeqCst);
    until(|| matches!(broken.breaker.health(), Health::Broken { .. })).await;
    seconds(1).await;
    let claimed = house.ledger.records().iter().filter(|record| record.status == Status::Claimed).count();
    assert!(claimed <= 1, "{claimed} findings are still claimed by a worker that does not work");

    let well = start_for_good(house.worker("well"));
    until(|| mitigated(&house) >= 900).await;
    until(|| house.queue.contents().is_empty()).await;
    assert!(house.dead.contents().is_empty());
    assert_eq!((broken.end().await, well.end().await), (Ended::Drained, Ended::Drained));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_to_end_with_the_queue_waits_an_outage_of_the_ledger_out() {
    let house = House::new();
    let finding = house.device(1);
    house.publish(&finding).await;
    let on = Arc::new(AtomicBool::new(true));
    let running = start(meeting(house.worker("worker"), while_on(&on, "ledger.", Class::Transient)));
    until(|| matches!(running.breaker.health(), Health::Broken { .. })).await;
    seconds(600).await;
    assert!(!running.task.is_finished());
    on.store(false, Ordering::SeqCst);
    assert_eq!(finish(running.task).await.unwrap(), Ended::Empty);
    assert_eq!(house.status(&finding), Status::Mitigated);
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_the_ledger_is_away_waits_for_it_no_longer_than_the_drain() {
    let (house, _findings) = thousand().await;
    let on = Arc::new(AtomicBool::new(false));
    let running = start_for_good(meeting(house.worker("worker"), while_on(&on, "ledger.", Class::Transient)));
    until(|| mitigated(&house) >= 50).await;
    on.store(true, Ordering::SeqCst);
    seconds(300).await;
    let (asked, drain) = (tokio::time::Instant::now(), house.worker("worker").config.drain);
    running.end().await;
    assert!(asked.elapsed() <= drain, "{:?}", asked.elapsed());
    on.store(false, Ordering::SeqCst);
    house.work().await;
    // What was changed before the stop, and could not be put on record, is found to be in order now.
    let ends: BTreeSet<_> = house.ledger.records().iter().map(|record| record.status).collect();
    assert!(ends.is_subset(&BTreeSet::from([Status::Mitigated, Status::Compliant])), "{ends:?}");
    assert!(house.dead.contents().is_empty() && house.ledger.records().len() == 1000);
    assert_eq!(house.iot.effects("UpdateCertificate").len(), 1000);
}
