//! One finding's failures: what is tried again, what is given up, and what it costs.

use crate::house::*;
use fleetwarden::aws::{Class, Fate, Script};
use fleetwarden::ledger::{Status, StepOutcome};
use fleetwarden::worker::Ended;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

async fn work_with_iot(house: &House, fates: Arc<dyn fleetwarden::aws::Fates>) {
    let mut worker = house.worker("worker");
    worker.iot = house.iot.with_fates(fates);
    assert_eq!(finish(worker.run(CancellationToken::new())).await, Ended::Empty);
}

#[tokio::test(start_paused = true)]
async fn a_transient_failure_parks_the_message_counts_an_attempt_and_succeeds_later() {
    let house = House::new();
    let finding = house.device(1);
    house.publish(&finding).await;
    // Four tries are made within one attempt.
    let script = Script::new([("iot.deactivate_certificate", Fate::Fail(Class::Transient)); 4]);
    work_with_iot(&house, Arc::new(script)).await;
    let record = house.record(&finding);
    assert_eq!((record.status, record.attempts, record.epoch), (Status::Mitigated, 1, 2));
    assert_eq!(house.telemetry.counts().parked, 1);
    assert!(house.queue.contents().is_empty());
}

#[tokio::test(start_paused = true)]
async fn attempts_run_out_and_the_dead_letter_says_why_and_whose_it_is() {
    let house = House::new();
    let finding = house.device(1);
    house.publish(&finding).await;
    let first_seen = house.clock.now_ms();
    work_with_iot(&house, always("iot.deactivate_certificate", Fate::Fail(Class::Transient))).await;
    let record = house.record(&finding);
    assert_eq!((record.status, record.attempts), (Status::Dead, 4));
    let letters = house.dead.contents();
    assert_eq!(letters.len(), 1);
    let attribute = |name: &str| letters[0].attributes[name].as_str();
    assert_eq!(attribute("reason"), "attempts_exhausted");
    assert_eq!((attribute("findingId"), attribute("checkName"), attribute("attempts")), ("device-1", SHARED, "4"));
    assert!(attribute("error").contains("UpdateCertificate"), "{}", attribute("error"));
    let seen: i64 = attribute("firstSeen").parse().unwrap();
    assert!((first_seen..first_seen + 1000).contains(&seen), "first seen {seen}, sent {first_seen}");
    let reread = fleetwarden::finding::decode(&letters[0].body, &Default::default());
    assert!(reread[0].content.is_ok(), "a dead letter can be replayed");
    assert!(house.queue.contents().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_permanent_error_is_given_up_at_once() {
    let house = House::new();
    let finding = house.device(1);
    house.publish(&finding).await;
    work_with_iot(&house, always("iot.deactivate_certificate", Fate::Fail(Class::Permanent))).await;
    assert_eq!(house.dead_letters(), [("permanent_error".to_owned(), "device-1".to_owned())]);
    assert_eq!((house.status(&finding), house.record(&finding).epoch), (Status::Dead, 1));
}

#[tokio::test(start_paused = true)]
async fn throttles_spend_no_attempt_however_many_there_are() {
    let house = House::new();
    let finding = house.device(1);
    house.publish(&finding).await;
    let script = Script::new([("iot.deactivate_certificate", Fate::Fail(Class::Throttled)); 80]);
    work_with_iot(&house, Arc::new(script)).await;
    let record = house.record(&finding);
    assert_eq!((record.status, record.attempts, record.epoch), (Status::Mitigated, 0, 21));
    assert!(house.dead.contents().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_panicking_mitigation_leaks_no_permit_and_stops_nothing() {
    let house = House::new();
    let findings: Vec<_> = (0..30).map(|n| house.device(n)).collect();
    for finding in &findings {
        house.publish(finding).await;
    }
    let calls = AtomicUsize::new(0);
    let panicking = Arc::new(move |call: &'static str| {
        if call == "iot.deactivate_certificate" && calls.fetch_add(1, Ordering::SeqCst).is_multiple_of(3) {
            panic!("a bug, made by a test");
        }
        Fate::Proceed
    });
    let mut worker = house.worker("worker");
    // Were a slot or a place lost with each panic, ten of them would stop the worker.
    (worker.config.concurrency, worker.config.max_in_flight) = (2, 4);
    worker.iot = house.iot.with_fates(panicking);
    assert_eq!(finish(worker.run(CancellationToken::new())).await, Ended::Empty);
    let ends: Vec<_> = house.ledger.records().iter().map(|record| record.status).collect();
    assert!(ends.iter().all(|status| matches!(status, Status::Mitigated | Status::Dead)), "{ends:?}");
    assert!(house.telemetry.counts().waiting >= 10);
}

#[tokio::test(start_paused = true)]
async fn a_panic_behind_an_intent_keeps_the_intent_on_record() {
    let house = House::new();
    let finding = client_finding(1);
    house.publish(&finding).await;
    let panicking = Arc::new(|call: &'static str| {
        assert!(call != "iot.publish", "a bug, made by a test");
        Fate::Proceed
    });
    work_with_iot(&house, panicking).await;
    assert_eq!(house.record(&finding).steps[0].outcome, StepOutcome::Intended);
    assert_eq!(house.dead_letters(), [("outcome_unknown".to_owned(), "client-1".to_owned())]);
    assert!(house.iot.published(TOPIC).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_to_any_ledger_or_queue_write_costs_no_finding() {
    for call in ["ledger.claim", "ledger.finish", "ledger.record", "ledger.enter", "ledger.leave", "queue.delete"] {
        let house = House::new();
        house.iot.put_policy("Wide", &[WIDE]);
        let findings = [house.device(1), policy_finding("p-1", PERMISSIVE, "Wide"), client_finding(1)];
        for finding in &findings {
            house.publish(finding).await;
        }
        let script = Arc::new(Script::new([(call, Fate::ReplyLost)]));
        let mut worker = house.worker("worker");
        worker.ledger = house.ledger.with_fates(script.clone());
        worker.queue = house.queue.with_fates(script.clone());
        assert_eq!(finish(worker.run(CancellationToken::new())).await, Ended::Empty);
        assert_eq!(script.remaining(), 0, "{call} was never called");
        for finding in &findings {
            assert_eq!(house.status(finding), Status::Mitigated, "{call}: {:?}", house.record(finding));
        }
        assert_eq!(house.iot.effects("CreatePolicyVersion").len(), 1, "{call}");
        assert_eq!(house.iot.published(TOPIC).len(), 1, "{call}");
        assert!(house.dead.contents().is_empty() && house.queue.contents().is_empty(), "{call}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_announces_changes_and_fails_costs_none_of_their_findings_an_attempt() {
    let house = House::new();
    let findings: Vec<_> = (0..50).map(client_finding).collect();
    for finding in &findings {
        house.publish(finding).await;
    }
    let script = Arc::new(Script::new([("ledger.record", Fate::Fail(Class::Transient)); 2]));
    let mut worker = house.worker("worker");
    worker.ledger = house.ledger.with_fates(script.clone());
    assert_eq!(finish(worker.run(CancellationToken::new())).await, Ended::Empty);
    assert_eq!(script.remaining(), 0);
    assert!(house.telemetry.counts().parked > 0, "those whose announcement failed are tried again");
    let records = findings.iter().map(|finding| house.record(finding));
    assert!(records.into_iter().all(|record| (record.status, record.attempts) == (Status::Mitigated, 0)));
    assert_eq!(house.iot.published(TOPIC).len(), 50);
}

#[tokio::test(start_paused = true)]
async fn an_announcement_that_waited_for_others_has_its_lease_from_when_the_ledger_was_asked() {
    let house = House::new();
    // Nine requests for the eight that are made at a time: the last takes 50 s of a lease that lasts 60 and is let go after 45.
    let findings: Vec<_> = (0..225).map(client_finding).collect();
    for finding in &findings {
        house.publish(finding).await;
    }
    let slow: Arc<dyn fleetwarden::aws::Fates> = Arc::new(|call: &'static str| match call {
        "ledger.record" => Fate::Late(Duration::from_secs(25)),
        _ => Fate::Proceed,
    });
    let mut worker = house.worker("worker");
    worker.ledger = house.ledger.with_fates(slow);
    assert_eq!(finish(worker.run(CancellationToken::new())).await, Ended::Empty);
    assert!(house.dead.contents().is_empty(), "{:?}", house.dead_letters());
    assert!(
        findings.iter().map(|finding| house.record(finding)).all(|r| (r.status, r.epoch) == (Status::Mitigated, 1))
    );
    assert_eq!(house.iot.published(TOPIC).len(), 225);
}

#[tokio::test(start_paused = true)]
async fn entries_of_a_delete_that_fail_alone_are_deleted_by_the_next_try() {
    let house = House::new();
    for n in 0..10 {
        let finding = house.device(n);
        house.publish(&finding).await;
    }
    let script = Arc::new(Script::new([("queue.delete", Fate::FailEntry(0, Class::Transient))]));
    let mut worker = house.worker("worker");
    worker.queue = house.queue.with_fates(script.clone());
    assert_eq!(finish(worker.run(CancellationToken::new())).await, Ended::Empty);
    assert_eq!(script.remaining(), 0);
    let counts = house.telemetry.counts();
    assert_eq!((counts.received, counts.deleted), (10, 10), "nothing was delivered twice");
}
