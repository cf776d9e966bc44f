//! `PUBLISH_FINDING_TO_SNS`

use crate::bench::*;
use fleetwarden::aws::{CallError, Class, Fate};
use fleetwarden::finding::Finding;
use fleetwarden::ledger::{StepOutcome, WriteError};
use fleetwarden::mitigation::ActionError;
use fleetwarden::policy::Action;
use std::sync::atomic::Ordering;

fn action() -> Action {
    Action::PublishFindingToSns { topic_arn: TOPIC.into() }
}

fn bench() -> Bench {
    let bench = Bench::new();
    bench.iot.put_topic(TOPIC);
    bench
}

#[tokio::test]
async fn the_native_payload_is_sent_after_the_intent_is_on_record_and_reads_back_as_the_finding() {
    let bench = bench();
    let came = bench.run(&policy_finding("1"), &action()).await;
    assert!(is_mitigated(&came));
    assert_eq!(bench.notebook.last()[0].outcome, StepOutcome::Intended);
    let sent = bench.iot.published(TOPIC);
    assert_eq!(sent.len(), 1);
    let read = Finding::from_native(&serde_json::from_str(&sent[0]).unwrap(), ACCOUNT, "us-east-1");
    assert_eq!(read, Ok(policy_finding("1")));
}

#[tokio::test]
async fn what_is_on_record_as_sent_is_not_sent_again_unless_forced() {
    let bench = bench();
    let (steps, _) = bench.run(&device_finding(), &action()).await;
    let came = bench.restarted().continued(&device_finding(), &action(), steps.clone()).await;
    assert!(is_mitigated(&came));
    assert_eq!(bench.effects("Publish"), 1);
    let forced = Bench { forced: true, ..bench.restarted() };
    assert!(is_mitigated(&forced.continued(&device_finding(), &action(), steps).await));
    assert_eq!(bench.effects("Publish"), 2);
}

#[tokio::test]
async fn an_unknown_outcome_is_never_repeated_without_force() {
    for fate in [Fate::ReplyLost, Fate::Fail(Class::Unknown)] {
        let bench = bench();
        let came = bench.meeting(("iot.publish", fate), &device_finding(), &action()).await;
        assert_eq!(refusal(&came), "outcome_unknown");
        assert_eq!(outcome(&came), StepOutcome::Intended);
        let again = bench.restarted().continued(&device_finding(), &action(), came.0.clone()).await;
        assert_eq!(refusal(&again), "outcome_unknown");
        assert_eq!(bench.calls("Publish"), 1);
        let forced = Bench { forced: true, ..bench.restarted() };
        assert!(is_mitigated(&forced.continued(&device_finding(), &action(), came.0).await));
    }
}

#[tokio::test]
async fn a_crash_behind_the_intent_leaves_the_decision_to_a_person() {
    let bench = bench();
    bench.notebook.crash_after_record.store(true, Ordering::SeqCst);
    assert_eq!(bench.run(&device_finding(), &action()).await.1, Err(ActionError::LostClaim));
    let came = bench.restarted().continued(&device_finding(), &action(), bench.notebook.last()).await;
    assert_eq!(refusal(&came), "outcome_unknown");
    assert_eq!(bench.calls("Publish"), 0);
}

#[tokio::test]
async fn what_was_certainly_not_sent_may_be_sent_by_the_next_attempt() {
    for class in [Class::Throttled, Class::Transient, Class::Denied] {
        let bench = bench();
        let came = bench.meeting(("iot.publish", Fate::Fail(class)), &device_finding(), &action()).await;
        assert_eq!(self::class(&came), class);
        assert!(is_mitigated(&bench.restarted().continued(&device_finding(), &action(), came.0).await));
        assert_eq!(bench.effects("Publish"), 1);
    }
}

#[tokio::test]
async fn an_intent_that_could_not_be_written_down_does_not_stop_the_next_attempt() {
    let bench = bench();
    let error = CallError::new(Class::Unknown, "UpdateItem", "lost");
    *bench.notebook.failure.lock().unwrap() = Some(WriteError::Call(error));
    let came = bench.run(&device_finding(), &action()).await;
    assert_eq!((class(&came), bench.calls("Publish")), (Class::Unknown, 0));
    let came = bench.restarted().continued(&device_finding(), &action(), came.0).await;
    assert!(is_mitigated(&came), "nothing was sent, so sending is safe: {came:?}");
}

#[tokio::test]
async fn a_topic_that_does_not_exist_is_refused_by_name() {
    let came = Bench::new().run(&device_finding(), &action()).await;
    assert_eq!(refusal(&came), "no_such_topic");
    assert!(came.0.is_empty());
}
