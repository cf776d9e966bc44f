//! What a caller may rely on when a call to the queue or the ledger fails, or its reply is lost: the twins, made to fail.
#![expect(clippy::unwrap_used, reason = "tests")]

use fleetwarden::aws::{CallError, Class, Fate, Script};
use fleetwarden::clock::Clock;
use fleetwarden::finding::Severity;
use fleetwarden::ledger::{
    Change, Changed, ClaimOutcome, ClaimRef, ClaimRequest, Finish, Gate, Ledger, MemoryLedger, Recording, ReplayMode,
    Status, Subject, Timeline, Timelines, WriteError,
};
use fleetwarden::queue::{Depth, MemoryQueue, MemoryQueueConfig, Outgoing, Queue};
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(60);
const NOW: i64 = 1_790_000_000_000;

fn queue() -> MemoryQueue {
    MemoryQueue::new(Clock::virtual_at(Timestamp::UNIX_EPOCH), MemoryQueueConfig::default())
}

/// The same queue or ledger, but the next call of that name meets this fate.
fn fate(call: &'static str, fate: Fate) -> Arc<Script> {
    Arc::new(Script::new([(call, fate)]))
}

fn messages(count: usize) -> Vec<Outgoing> {
    (0..count).map(|index| Outgoing { body: format!("message {index}"), ..Outgoing::default() }).collect()
}

async fn receive(queue: &MemoryQueue) -> Vec<String> {
    let received = queue.receive(10, Duration::ZERO, LEASE).await.unwrap();
    received.into_iter().map(|message| message.receipt_handle).collect()
}

fn subject(id: &str) -> Subject {
    Subject {
        key: format!("finding#{id}"),
        account: "123456789012".to_owned(),
        region: "eu-west-1".to_owned(),
        task_id: None,
        check: "LOGGING_DISABLED_CHECK".to_owned(),
        reason_code: "LOGGING_DISABLED".to_owned(),
        severity: Severity::Low,
        resource_type: "ACCOUNT_SETTINGS".to_owned(),
        resource_id: "123456789012".to_owned(),
        fingerprint: "fingerprint".to_owned(),
        payload: "{}".to_owned(),
    }
}

fn requests(ids: &[&str]) -> Vec<ClaimRequest> {
    ids.iter().map(|id| ClaimRequest { subject: subject(id), replay: ReplayMode::Fresh, lineage: None }).collect()
}

fn ending(id: &str, epoch: u64) -> Finish {
    Finish {
        claim: ClaimRef { key: format!("finding#{id}"), epoch },
        status: Status::Mitigated,
        attempts: 0,
        retry_at: None,
        rule: None,
        detail: "done".to_owned(),
        steps: Vec::new(),
    }
}

async fn claim(ledger: &MemoryLedger, id: &str, now: i64) -> Result<ClaimOutcome, CallError> {
    ledger.claim(&requests(&[id]), "alice", now, LEASE).await?.remove(0)
}

#[track_caller]
fn class<T: std::fmt::Debug>(outcome: Result<T, CallError>) -> Class {
    outcome.unwrap_err().class
}

#[tokio::test(start_paused = true)]
async fn a_send_that_failed_sent_nothing() {
    let queue = queue();
    let failing = queue.with_fates(fate("queue.send", Fate::Fail(Class::Throttled)));
    assert_eq!(class(failing.send(&messages(3)).await), Class::Throttled);
    assert_eq!(queue.depth().await.unwrap(), Depth::default());
}

#[tokio::test(start_paused = true)]
async fn a_send_whose_reply_was_lost_may_be_repeated_and_is_then_there_twice() {
    let queue = queue();
    let failing = queue.with_fates(fate("queue.send", Fate::ReplyLost));
    assert_eq!(class(failing.send(&messages(1)).await), Class::Unknown);
    failing.send(&messages(1)).await.unwrap();
    assert_eq!(queue.depth().await.unwrap().visible, 2);
}

#[tokio::test(start_paused = true)]
async fn a_failed_entry_of_a_send_harms_no_other() {
    let queue = queue();
    let failing = queue.with_fates(fate("queue.send", Fate::FailEntry(1, Class::Transient)));
    let outcomes = failing.send(&messages(3)).await.unwrap();
    let failed: Vec<_> = outcomes.iter().map(Result::is_err).collect();
    assert_eq!(failed, [false, true, false]);
    let kept: Vec<_> = queue.contents().into_iter().map(|message| message.body).collect();
    assert_eq!(kept, ["message 0", "message 2"]);
}

#[tokio::test(start_paused = true)]
async fn messages_whose_receipt_was_lost_come_again_after_their_visibility_timeout() {
    let queue = queue();
    queue.send(&messages(3)).await.unwrap();
    let failing = queue.with_fates(fate("queue.receive", Fate::ReplyLost));
    assert_eq!(class(failing.receive(10, Duration::ZERO, LEASE).await), Class::Transient);
    assert_eq!(queue.depth().await.unwrap(), Depth { visible: 0, in_flight: 3, delayed: 0 });
    tokio::time::advance(LEASE).await;
    let again = queue.receive(10, Duration::ZERO, LEASE).await.unwrap();
    assert_eq!(again.iter().map(|message| message.receive_count).collect::<Vec<_>>(), [2, 2, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_delete_whose_reply_was_lost_may_be_repeated() {
    let queue = queue();
    queue.send(&messages(2)).await.unwrap();
    let handles = receive(&queue).await;
    let failing = queue.with_fates(fate("queue.delete", Fate::ReplyLost));
    assert_eq!(class(failing.delete(&handles).await), Class::Unknown);
    assert_eq!(failing.delete(&handles).await.unwrap(), [Ok(()), Ok(())]);
    assert_eq!(queue.depth().await.unwrap(), Depth::default());
}

#[tokio::test(start_paused = true)]
async fn an_entry_whose_delete_failed_stays_in_flight() {
    let queue = queue();
    queue.send(&messages(3)).await.unwrap();
    let handles = receive(&queue).await;
    let failing = queue.with_fates(fate("queue.delete", Fate::FailEntry(2, Class::Transient)));
    let outcomes = failing.delete(&handles).await.unwrap();
    assert!(outcomes[0].is_ok() && outcomes[1].is_ok() && outcomes[2].is_err());
    assert_eq!(queue.depth().await.unwrap().in_flight, 1);
}

#[tokio::test]
async fn a_claim_that_failed_claims_nothing() {
    let ledger = MemoryLedger::new();
    let failing = ledger.with_fates(fate("ledger.claim", Fate::Fail(Class::Transient)));
    assert_eq!(class(claim(&failing, "1", NOW).await), Class::Transient);
    assert_eq!(ledger.get("finding#1").await.unwrap(), None);
}

#[tokio::test]
async fn a_claim_whose_reply_was_lost_holds_until_its_lease_ends_and_is_then_taken_over() {
    let ledger = MemoryLedger::new();
    let failing = ledger.with_fates(fate("ledger.claim", Fate::ReplyLost));
    assert_eq!(class(claim(&failing, "1", NOW).await), Class::Unknown);
    let busy = ClaimOutcome::Busy { until: NOW + 60_000 };
    assert_eq!(claim(&failing, "1", NOW + 1).await.unwrap(), busy);
    let ClaimOutcome::Ours(claim) = claim(&failing, "1", NOW + 60_000).await.unwrap() else { panic!("not ours") };
    assert_eq!(claim.record.epoch, 2);
}

#[tokio::test]
async fn a_failed_entry_of_a_claim_harms_no_other() {
    let ledger = MemoryLedger::new();
    let failing = ledger.with_fates(fate("ledger.claim", Fate::FailEntry(1, Class::Throttled)));
    let outcomes = failing.claim(&requests(&["1", "2", "3"]), "alice", NOW, LEASE).await.unwrap();
    assert_eq!(outcomes[1].as_ref().unwrap_err().class, Class::Throttled);
    let claimed: Vec<_> = ledger.records().into_iter().map(|record| record.subject.key).collect();
    assert_eq!(claimed, ["finding#1", "finding#3"]);
}

#[tokio::test]
async fn a_finish_whose_reply_was_lost_is_repeated_and_counts_once() {
    let ledger = MemoryLedger::new();
    claim(&ledger, "1", NOW).await.unwrap();
    let failing = ledger.with_fates(fate("ledger.finish", Fate::ReplyLost));
    assert_eq!(class(failing.finish(&[ending("1", 1)], NOW + 1).await), Class::Unknown);
    assert_eq!(failing.finish(&[ending("1", 1)], NOW + 2).await.unwrap(), [Ok(())]);
    assert_eq!(claim(&ledger, "1", NOW + 3).await.unwrap(), ClaimOutcome::Duplicate(Status::Mitigated));
}

#[tokio::test]
async fn a_finish_that_failed_leaves_the_claim_to_be_taken_over() {
    let ledger = MemoryLedger::new();
    claim(&ledger, "1", NOW).await.unwrap();
    let failing = ledger.with_fates(fate("ledger.finish", Fate::FailEntry(0, Class::Transient)));
    let outcome = failing.finish(&[ending("1", 1)], NOW + 1).await.unwrap().remove(0);
    assert!(matches!(outcome, Err(WriteError::Call(error)) if error.class == Class::Transient));
    assert!(matches!(claim(&ledger, "1", NOW + 60_000).await.unwrap(), ClaimOutcome::Ours(_)));
}

#[tokio::test]
async fn an_intent_whose_reply_was_lost_is_durable() {
    let ledger = MemoryLedger::new();
    claim(&ledger, "1", NOW).await.unwrap();
    let failing = ledger.with_fates(fate("ledger.record", Fate::ReplyLost));
    let held = ClaimRef { key: "finding#1".to_owned(), epoch: 1 };
    let recording = Recording { claim: held.clone(), steps: Vec::new(), cursor: Some("page 2".to_owned()) };
    let outcome = failing.record(&[recording], NOW + 1, LEASE).await;
    assert!(matches!(outcome, Err(error) if error.class == Class::Unknown));
    assert_eq!(ledger.get("finding#1").await.unwrap().unwrap().cursor.as_deref(), Some("page 2"));
}

#[tokio::test]
async fn an_entry_whose_reply_was_lost_lets_the_same_holder_in_again() {
    let ledger = MemoryLedger::new();
    let failing = ledger.with_fates(fate("ledger.enter", Fate::ReplyLost));
    let by = |finding: &str| ClaimRef { key: finding.to_owned(), epoch: 1 };
    assert_eq!(class(failing.enter("resource#1", &by("a"), NOW, LEASE, LEASE).await), Class::Unknown);
    assert_eq!(failing.enter("resource#1", &by("a"), NOW + 1, LEASE, LEASE).await.unwrap(), Gate::Open);
    let busy = Gate::Busy { until: NOW + 1 + 60_000 };
    assert_eq!(failing.enter("resource#1", &by("b"), NOW + 2, LEASE, LEASE).await.unwrap(), busy);
}

const TIMELINE: &str = "budget#eu-west-1#UpdateCertificate";

/// A ledger with that timeline, started where it says.
async fn timeline(next_free: i64) -> MemoryLedger {
    let ledger = MemoryLedger::new();
    ledger.change(TIMELINE, Change::Start { seen: None, to: next_free }, next_free).await.unwrap();
    ledger
}

async fn stands(ledger: &MemoryLedger) -> Timeline {
    ledger.timeline(TIMELINE).await.unwrap().unwrap()
}

#[tokio::test]
async fn an_advance_whose_reply_was_lost_loses_its_slots_and_its_repetition_reserves_others() {
    let ledger = timeline(NOW).await;
    let failing = ledger.with_fates(fate("timelines.change", Fate::ReplyLost));
    let advance = Change::Advance { from: NOW, until: NOW + 1_000, by: 100, cuts: 0 };
    assert_eq!(class(failing.change(TIMELINE, advance, NOW).await), Class::Unknown);
    let between = stands(&ledger).await;
    assert_eq!(between.next_free, NOW + 100);
    assert_eq!(failing.change(TIMELINE, advance, NOW).await.unwrap(), Changed::From(Some(between)));
    assert_eq!(stands(&ledger).await.next_free, NOW + 200);
}

#[tokio::test]
async fn a_cut_whose_reply_was_lost_is_refused_when_repeated_and_counted_once() {
    let ledger = timeline(NOW).await;
    let failing = ledger.with_fates(fate("timelines.change", Fate::ReplyLost));
    let cut = Change::Cut { rate: 0.5, at: NOW, cuts: 0 };
    assert_eq!(class(failing.change(TIMELINE, cut, NOW).await), Class::Unknown);
    let after = stands(&ledger).await;
    assert_eq!((after.rate, after.cuts), (0.5, 1));
    assert_eq!(failing.change(TIMELINE, cut, NOW).await.unwrap(), Changed::Refused(Some(after)));
    assert_eq!(stands(&ledger).await, after);
}

#[tokio::test]
async fn a_change_that_failed_changed_nothing_and_a_read_that_failed_is_transient() {
    let ledger = timeline(NOW).await;
    let before = stands(&ledger).await;
    let failing = ledger.with_fates(fate("timelines.change", Fate::Fail(Class::Throttled)));
    let advance = Change::Advance { from: NOW, until: NOW, by: 100, cuts: 0 };
    assert_eq!(class(failing.change(TIMELINE, advance, NOW).await), Class::Throttled);
    assert_eq!(stands(&ledger).await, before);
    let failing = ledger.with_fates(fate("timelines.read", Fate::ReplyLost));
    assert_eq!(class(failing.timeline(TIMELINE).await), Class::Transient);
}
