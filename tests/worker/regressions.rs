//! The bugs that other consumers of SQS had, each with the test that says it is not ours.
//!
//! | bug | test |
//! |---|---|
//! | two entries with one id in a delete batch: all ten are refused | [`a_message_that_is_delivered_twice_at_once_is_in_no_delete_batch_twice`], and over the wire the contract `one_handle_twice_in_a_batch_harms_no_other` |
//! | a redelivery of a message in flight is worked on beside the first | `leases::a_message_that_is_received_again_while_in_flight_here_is_worked_on_once_and_deleted_by_its_newest_handle` |
//! | a heartbeat after the delete, which fails, or hides what was given back | [`no_heartbeat_touches_a_message_that_was_deleted_or_given_back`] |
//! | failed entries inside a 200 are taken for done | [`a_failed_entry_inside_a_successful_batch_is_asked_for_again_whatever_the_batch`], `failures::entries_of_a_delete_that_fail_alone_are_deleted_by_the_next_try` |
//! | a part that SQS refuses has its bundle parked and sent again for ever | [`parts_of_a_bundle_that_are_refused_together_are_sent_alone_and_given_up_alone`] |
//! | finishes buffered at shutdown are lost | [`finishes_that_are_buffered_when_the_worker_is_told_to_stop_are_written_and_their_messages_deleted`] |
//! | a second signal is ignored | `commands::stopping::a_second_signal_ends_at_once_with_exit_code_1_and_the_messages_come_back` |
//! | a hung call outlives the drain deadline | `drain::a_call_that_hangs_is_cut_at_the_drain_deadline_and_its_message_comes_back`, `hanging::*` |
//! | what a receive brings after the stop is worked on, or stranded | [`a_receive_that_returns_after_the_stop_gives_everything_back_at_once`], [`a_receive_that_hangs_does_not_hold_up_the_stop`] |
//! | receive errors spin | `outages::failing_receives_do_not_spin` |
//! | a queue that is missing at start is waited for | `commands::stopping::a_queue_that_is_missing_at_start_is_exit_code_2_with_a_sentence` |
//! | a panicking action leaks its permit | `failures::a_panicking_mitigation_leaks_no_permit_and_stops_nothing` |
//! | poison in the middle of a batch stops the batch | [`poison_in_the_middle_of_a_batch_costs_the_others_nothing`], `bad_input::*` |
//! | `OverLimit` is taken for a broken account, or hammered | [`over_limit_is_waited_out_and_breaks_nothing`] |
//! | a denied delete is silent: the message comes again for ever | `outages::a_denied_delete_is_loud_and_repeats_no_effect` |

use crate::house::*;
use fleetwarden::aws::{CallError, Class, Effect, Fate, Fates, Script, classify_entry};
use fleetwarden::budget::{BudgetConfig, Budgets, Operation};
use fleetwarden::finding::encode_own;
use fleetwarden::ledger::Status;
use fleetwarden::queue::{Depth, Disorder, MemoryQueue, MemoryQueueConfig, Outgoing, Queue, Received};
use fleetwarden::worker::{Ended, Health, Worker};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The twin, and what was asked of it by handle: deletes, and changes of visibility.
#[derive(Debug, Clone)]
struct Watched {
    queue: MemoryQueue,
    asked: Log,
}

type Log = Arc<Mutex<Vec<Asked>>>;

#[derive(Debug, Clone)]
enum Asked {
    Delete(Vec<String>),
    Change(Vec<(String, Duration)>),
}

impl Watched {
    fn new(queue: MemoryQueue) -> Self {
        Self { queue, asked: Arc::default() }
    }
}

impl Queue for Watched {
    async fn receive(&self, max: usize, wait: Duration, visibility: Duration) -> Result<Vec<Received>, CallError> {
        self.queue.receive(max, wait, visibility).await
    }

    async fn delete(&self, handles: &[String]) -> Result<Vec<Result<(), CallError>>, CallError> {
        self.asked.lock().unwrap().push(Asked::Delete(handles.to_vec()));
        self.queue.delete(handles).await
    }

    async fn change_visibility(&self, entries: &[(String, Duration)]) -> Result<Vec<Result<(), CallError>>, CallError> {
        self.asked.lock().unwrap().push(Asked::Change(entries.to_vec()));
        self.queue.change_visibility(entries).await
    }

    async fn send(&self, messages: &[Outgoing]) -> Result<Vec<Result<String, CallError>>, CallError> {
        self.queue.send(messages).await
    }

    async fn depth(&self) -> Result<Depth, CallError> {
        self.queue.depth().await
    }
}

/// The worker on watched queues, and what it asks of the one that it receives from.
fn watched(worker: TwinWorker) -> (Worker<Watched, TwinLedger, TwinIot>, Log) {
    let Worker { config, policy, queue, dead_letters, ledger, iot, certificates, budgets, telemetry, clock } = worker;
    let (queue, dead_letters) = (Watched::new(queue), Watched::new(dead_letters));
    let asked = Arc::clone(&queue.asked);
    (Worker { config, policy, queue, dead_letters, ledger, iot, certificates, budgets, telemetry, clock }, asked)
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_delivered_twice_at_once_is_in_no_delete_batch_twice() {
    let mut house = House::new();
    let disorder = Some(Disorder { seed: 7, duplicates: 0.6 });
    let config = MemoryQueueConfig { name: "findings".into(), disorder, ..MemoryQueueConfig::default() };
    house.queue = MemoryQueue::new(house.clock.clone(), config);
    let findings: Vec<_> = (0..40).map(|n| house.device(n)).collect();
    for finding in &findings {
        house.publish(finding).await;
    }
    let (worker, asked) = watched(house.worker("worker"));
    assert_eq!(finish(worker.run(CancellationToken::new())).await, Ended::Empty);
    assert!(house.telemetry.counts().received > 60, "{} were received", house.telemetry.counts().received);
    for asked in asked.lock().unwrap().iter() {
        let Asked::Delete(handles) = asked else { continue };
        // Queue, number of the message, number of the delivery.
        let messages: BTreeSet<_> = handles.iter().map(|handle| handle.rsplit_once('/').unwrap().0).collect();
        assert_eq!(messages.len(), handles.len(), "{handles:?}");
    }
    assert!(findings.iter().all(|finding| house.status(finding) == Status::Mitigated));
    assert_eq!(house.iot.effects("UpdateCertificate").len(), 40);
    assert!(house.queue.contents().is_empty());
}

/// A house whose budgets serve soon whatever a worker receives, so that all of it is claimed at once.
fn with_quotas_for_all() -> House {
    let quotas = Operation::ALL.iter().map(|&operation| (operation, 1_000.0)).collect();
    let budgets = Arc::new(Budgets::new(&BudgetConfig { quotas, ..BudgetConfig::default() }));
    House { budgets, ..House::new() }
}

#[tokio::test(start_paused = true)]
async fn no_heartbeat_touches_a_message_that_was_deleted_or_given_back() {
    let house = with_quotas_for_all();
    for n in 0..80 {
        let finding = house.device(n);
        house.publish(&finding).await;
    }
    let throttled = AtomicUsize::new(0);
    let mut worker = house.worker("worker");
    worker.config.concurrency = 4;
    // Fifteen times four tries are throttled, which parks. Calls are slow: of the heartbeats, every message needs several, and deletes and
    // changes take most of the time between two.
    worker.iot = house.iot.with_fates(Arc::new(move |call: &'static str| match call {
        "iot.deactivate_certificate" if throttled.fetch_add(1, Ordering::SeqCst) < 60 => Fate::Fail(Class::Throttled),
        "iot.deactivate_certificate" => Fate::Late(Duration::from_secs(8)),
        _ => Fate::Proceed,
    }));
    worker.queue = house.queue.with_fates(Arc::new(|call: &'static str| match call {
        "queue.delete" | "queue.change_visibility" => Fate::Late(Duration::from_secs(6)),
        _ => Fate::Proceed,
    }));
    let lease = worker.config.lease;
    let (worker, asked) = watched(worker);
    assert_eq!(finish(worker.run(CancellationToken::new())).await, Ended::Empty);
    let (mut let_go, mut heartbeats) = (BTreeSet::new(), 0);
    for asked in asked.lock().unwrap().iter() {
        match asked {
            Asked::Delete(handles) => let_go.extend(handles.clone()),
            Asked::Change(entries) => {
                for (handle, hidden) in entries {
                    if *hidden == lease {
                        heartbeats += 1;
                        assert!(!let_go.contains(handle), "a heartbeat for {handle}, which was let go");
                    } else {
                        let_go.insert(handle.clone());
                    }
                }
            }
        }
    }
    assert!(heartbeats > 80, "{heartbeats} heartbeats");
    assert!(let_go.len() >= 90, "{} were deleted or parked", let_go.len());
    assert!(house.ledger.records().iter().all(|record| record.status == Status::Mitigated));
}

#[tokio::test(start_paused = true)]
async fn a_failed_entry_inside_a_successful_batch_is_asked_for_again_whatever_the_batch() {
    let calls =
        ["queue.delete", "queue.change_visibility", "queue.send", "ledger.claim", "ledger.finish", "ledger.renew"];
    for failing in calls {
        let house = House::new();
        let findings: Vec<_> = (0..12).map(|n| house.device(n)).collect();
        findings.iter().for_each(|finding| house.iot.put_finding(finding));
        for finding in &findings[..6] {
            house.send(&encode_own(finding, None)).await;
        }
        // A bundle is sent on in parts.
        let records: Vec<_> =
            findings[6..].iter().map(|finding| json!({ "body": encode_own(finding, None) })).collect();
        house.send(&json!({ "Records": records }).to_string()).await;
        // Three are parked once, and the others are slow enough for heartbeats.
        let iot = Script::new(
            [("iot.deactivate_certificate", Fate::Fail(Class::Throttled)); 12]
                .into_iter()
                .chain([("iot.deactivate_certificate", Fate::Late(Duration::from_secs(45))); 9]),
        );
        let script = Arc::new(Script::new([(failing, Fate::FailEntry(0, Class::Transient)); 2]));
        let mut worker = house.worker("worker");
        worker.iot = house.iot.with_fates(Arc::new(iot));
        worker.queue = house.queue.with_fates(Arc::clone(&script) as Arc<dyn Fates>);
        worker.ledger = house.ledger.with_fates(Arc::clone(&script) as Arc<dyn Fates>);
        assert_eq!(finish(worker.run(CancellationToken::new())).await, Ended::Empty);
        assert_eq!(script.remaining(), 0, "{failing} was not called often enough");
        for finding in &findings {
            assert_eq!(house.status(finding), Status::Mitigated, "{failing}: {:?}", house.record(finding));
        }
        assert_eq!(house.iot.effects("UpdateCertificate").len(), 12, "{failing}");
        assert!(house.queue.contents().is_empty() && house.dead.contents().is_empty(), "{failing}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_fails_alone_in_its_batch_is_sent_again_before_the_original_is_deleted() {
    let house = House::new();
    house.send("poison").await;
    let script = Arc::new(Script::new([("queue.send", Fate::FailEntry(0, Class::Transient)); 9]));
    let mut worker = house.worker("worker");
    worker.dead_letters = house.dead.with_fates(Arc::clone(&script) as Arc<dyn Fates>);
    assert_eq!(finish(worker.run(CancellationToken::new())).await, Ended::Empty);
    assert_eq!(script.remaining(), 0);
    assert_eq!(house.dead_letters(), [("not_json".to_owned(), "-".to_owned())]);
}

/// Bug: a bundle whose parts SQS refused as a whole, since one of them was too large, was parked and sent again for ever.
#[tokio::test(start_paused = true)]
async fn parts_of_a_bundle_that_are_refused_together_are_sent_alone_and_given_up_alone() {
    let house = House::new();
    let findings: Vec<_> = (0..3).map(|n| house.device(n)).collect();
    findings.iter().for_each(|finding| house.iot.put_finding(finding));
    let records: Vec<_> = findings.iter().map(|finding| json!({ "body": encode_own(finding, None) })).collect();
    house.send(&json!({ "Records": records }).to_string()).await;
    // All together, and then the first one alone.
    let script = Arc::new(Script::new([("queue.send", Fate::Fail(Class::Permanent)); 2]));
    let mut worker = house.worker("worker");
    worker.queue = house.queue.with_fates(Arc::clone(&script) as Arc<dyn Fates>);
    assert_eq!(finish(worker.run(CancellationToken::new())).await, Ended::Empty);
    assert_eq!(script.remaining(), 0);
    assert_eq!(house.dead_letters(), [("not_sendable".to_owned(), "device-0".to_owned())]);
    assert!(findings[1..].iter().all(|finding| house.status(finding) == Status::Mitigated));
}

#[tokio::test(start_paused = true)]
async fn finishes_that_are_buffered_when_the_worker_is_told_to_stop_are_written_and_their_messages_deleted() {
    let house = with_quotas_for_all();
    let findings: Vec<_> = (0..60).map(|n| house.device(n)).collect();
    for finding in &findings {
        house.publish(finding).await;
    }
    let mut worker = house.worker("worker");
    worker.config.concurrency = 4;
    worker.ledger = house.ledger.with_fates(always("ledger.finish", Fate::Late(Duration::from_secs(3))));
    worker.queue = house.queue.with_fates(always("queue.delete", Fate::Late(Duration::from_secs(2))));
    let running = start_for_good(worker);
    until(|| house.iot.effects("UpdateCertificate").len() >= 10).await;
    assert_eq!(finish(running.end()).await, Ended::Drained);
    let acted: BTreeSet<_> = house.iot.effects("UpdateCertificate").into_iter().map(|call| call.target).collect();
    assert!((10..60).contains(&acted.len()), "{} were acted on", acted.len());
    for finding in &findings {
        let expected = if acted.contains(&finding.resource_id()) { Status::Mitigated } else { Status::Waiting };
        assert_eq!(house.status(finding), expected, "{:?}", house.record(finding));
    }
    let depth = house.depth().await;
    assert_eq!((depth.visible, depth.in_flight), (60 - acted.len() as u64, 0));
}

#[tokio::test(start_paused = true)]
async fn a_receive_that_returns_after_the_stop_gives_everything_back_at_once() {
    let house = House::new();
    for n in 0..10 {
        let finding = house.device(n);
        house.publish(&finding).await;
    }
    let mut worker = house.worker("worker");
    worker.config.pollers = 1;
    worker.queue = house.queue.with_fates(always("queue.receive", Fate::Late(Duration::from_millis(900))));
    let running = start_for_good(worker);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(house.telemetry.counts().received, 0);
    assert_eq!(finish(running.end()).await, Ended::Drained);
    assert_eq!(house.telemetry.counts().received, 10, "the receive returned after the stop");
    assert_eq!(house.depth().await, Depth { visible: 10, in_flight: 0, delayed: 0 });
    assert!(house.ledger.records().is_empty() && house.iot.history().is_empty(), "nothing was begun");
}

#[tokio::test(start_paused = true)]
async fn a_receive_that_hangs_does_not_hold_up_the_stop() {
    let house = House::new();
    let mut worker = house.worker("worker");
    worker.queue = house.queue.with_fates(always("queue.receive", Fate::Late(FOR_EVER)));
    let running = start_for_good(worker);
    seconds(1).await;
    let asked = tokio::time::Instant::now();
    assert_eq!(finish(running.end()).await, Ended::Drained);
    assert!(asked.elapsed() <= Duration::from_secs(2), "stopped in {:?}", asked.elapsed());
}

#[tokio::test(start_paused = true)]
async fn poison_in_the_middle_of_a_batch_costs_the_others_nothing() {
    let house = House::new();
    let findings: Vec<_> = (0..9).map(|n| house.device(n)).collect();
    for (n, finding) in findings.iter().enumerate() {
        if n == 4 {
            house.send("}{").await;
        }
        house.publish(finding).await;
    }
    let mut worker = house.worker("worker");
    worker.config.pollers = 1;
    assert_eq!(finish(worker.run(CancellationToken::new())).await, Ended::Empty);
    assert!(findings.iter().all(|finding| house.status(finding) == Status::Mitigated));
    assert!(house.ledger.records().iter().all(|record| (record.epoch, record.attempts) == (1, 0)));
    assert_eq!(house.dead_letters(), [("not_json".to_owned(), "-".to_owned())]);
    let counts = house.telemetry.counts();
    assert_eq!((counts.received, counts.deleted, counts.parked), (10, 10, 0), "each came once");
}

#[tokio::test(start_paused = true)]
async fn over_limit_is_waited_out_and_breaks_nothing() {
    let class = classify_entry("ReceiveMessage", Effect::Read, "OverLimit", "too many messages in flight").class;
    let house = House::new();
    let findings: Vec<_> = (0..20).map(|n| house.device(n)).collect();
    for finding in &findings {
        house.publish(finding).await;
    }
    let over_limit = Arc::new(AtomicBool::new(true));
    let calls = Arc::new(AtomicUsize::new(0));
    let (switch, counter) = (Arc::clone(&over_limit), Arc::clone(&calls));
    let mut worker = house.worker("worker");
    worker.queue = house.queue.with_fates(Arc::new(move |call: &'static str| {
        counter.fetch_add(usize::from(call == "queue.receive"), Ordering::SeqCst);
        let refuse = call == "queue.receive" && switch.load(Ordering::SeqCst);
        if refuse { Fate::Fail(class) } else { Fate::Proceed }
    }));
    let running = start_for_good(worker);
    seconds(600).await;
    assert_eq!(running.breaker.health(), Health::Well, "the account is in order");
    let calls = calls.load(Ordering::SeqCst);
    assert!((40..=400).contains(&calls), "{calls} receives of four pollers in ten minutes");
    over_limit.store(false, Ordering::SeqCst);
    let resumed = tokio::time::Instant::now();
    until(|| house.queue.contents().is_empty()).await;
    assert!(resumed.elapsed() < Duration::from_secs(60), "resumed after {:?}", resumed.elapsed());
    assert!(findings.iter().all(|finding| house.status(finding) == Status::Mitigated));
    assert_eq!(running.end().await, Ended::Drained);
}
