//! `REPLACE_DEFAULT_POLICY_VERSION`

use crate::bench::*;
use fleetwarden::aws::{Class, Fate};
use fleetwarden::ledger::StepOutcome;
use fleetwarden::mitigation::ActionError;
use fleetwarden::policy::{Action, BLANK_POLICY};
use serde_json::json;
use std::sync::atomic::Ordering;

const WIDE: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;
const CREATE: &str = "iot.create_default_policy_version";

fn action() -> Action {
    Action::ReplaceDefaultPolicyVersion { document: BLANK_POLICY.into() }
}

/// A policy with so many versions, the last of which is the default.
fn bench(versions: usize) -> Bench {
    let bench = Bench::new();
    let old: Vec<String> = (1..versions).map(|n| format!(r#"{{"Id":"{n}"}}"#)).collect();
    let documents: Vec<&str> = old.iter().map(String::as_str).chain([WIDE]).collect();
    bench.iot.put_policy("Wide", &documents);
    bench
}

fn default_document(bench: &Bench) -> String {
    let (versions, default) = bench.iot.policy("Wide").unwrap();
    versions.into_iter().find(|(id, _)| *id == default).unwrap().1
}

#[tokio::test]
async fn the_template_becomes_the_default_and_the_version_before_is_on_record_first() {
    let bench = bench(1);
    let came = bench.run(&policy_finding("1"), &action()).await;
    assert!(is_mitigated(&came));
    assert_eq!(default_document(&bench), BLANK_POLICY);
    assert_eq!(bench.iot.policy("Wide").unwrap().0.len(), 2);
    let prior = Some(json!({ "default_version": "1", "deleted": [] }));
    assert_eq!((&bench.notebook.last()[0].prior, bench.notebook.last()[0].outcome), (&prior, StepOutcome::Intended));
    assert_eq!(only(&came).prior, prior);
}

#[tokio::test]
async fn a_default_that_equals_the_template_but_for_white_space_is_in_order() {
    let bench = Bench::new();
    bench.iot.put_policy("Wide", &[WIDE, &BLANK_POLICY.replace(',', " ,\n ")]);
    let came = bench.run(&policy_finding("1"), &action()).await;
    assert_eq!(outcome(&came), StepOutcome::InOrder);
    assert!(bench.notebook.last().is_empty());
    assert_eq!(bench.calls("CreatePolicyVersion"), 0);
}

#[tokio::test]
async fn a_policy_that_is_gone_or_whose_default_moved_on_is_left_alone() {
    assert_eq!(outcome(&Bench::new().run(&policy_finding("1"), &action()).await), StepOutcome::Gone);
    let bench = bench(3);
    let came = bench.run(&policy_finding("1"), &action()).await;
    assert_eq!(outcome(&came), StepOutcome::Stale);
    assert!(is_compliant(&came));
    assert_eq!((bench.calls("CreatePolicyVersion"), bench.calls("DeletePolicyVersion")), (0, 0));
    assert!(bench.notebook.last().is_empty());
}

#[tokio::test]
async fn a_full_policy_loses_its_oldest_version_after_its_document_is_on_record() {
    let bench = bench(5);
    let came = bench.run(&policy_finding("5"), &action()).await;
    assert!(is_mitigated(&came));
    let deleted = json!([{ "version": "1", "document": r#"{"Id":"1"}"# }]);
    assert_eq!(bench.notebook.last()[0].prior.as_ref().unwrap()["deleted"], deleted);
    assert_eq!(only(&came).prior.as_ref().unwrap()["deleted"], deleted);
    let ids: Vec<String> = bench.iot.policy("Wide").unwrap().0.into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["2", "3", "4", "5", "6"]);
}

#[tokio::test]
async fn the_oldest_version_is_kept_where_it_is_the_default() {
    let bench = bench(5);
    bench.iot.set_default_version("Wide", "1");
    assert!(is_mitigated(&bench.run(&policy_finding("1"), &action()).await));
    let ids: Vec<String> = bench.iot.policy("Wide").unwrap().0.into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["1", "3", "4", "5", "6"]);
}

#[tokio::test]
async fn a_lost_reply_that_took_effect_is_read_back_and_no_second_version_is_made() {
    let bench = bench(1);
    let came = bench.meeting((CREATE, Fate::ReplyLost), &policy_finding("1"), &action()).await;
    assert!(is_mitigated(&came));
    assert_eq!(bench.calls("CreatePolicyVersion"), 1);
    assert_eq!(bench.iot.policy("Wide").unwrap().0.len(), 2);
}

#[tokio::test]
async fn a_lost_request_is_read_back_and_left_to_a_later_attempt() {
    let bench = bench(1);
    let came = bench.meeting((CREATE, Fate::Fail(Class::Unknown)), &policy_finding("1"), &action()).await;
    assert_eq!(class(&came), Class::Transient);
    let came = bench.restarted().continued(&policy_finding("1"), &action(), came.0).await;
    assert!(is_mitigated(&came));
    assert_eq!(bench.effects("CreatePolicyVersion"), 1);
}

#[tokio::test]
async fn a_throttle_is_passed_on() {
    let bench = bench(1);
    let came = bench.meeting((CREATE, Fate::Fail(Class::Throttled)), &policy_finding("1"), &action()).await;
    assert_eq!(class(&came), Class::Throttled);
}

#[tokio::test]
async fn a_second_claim_after_a_crash_between_intent_and_write_makes_the_version() {
    let bench = bench(5);
    bench.notebook.crash_after_record.store(true, Ordering::SeqCst);
    assert_eq!(bench.run(&policy_finding("5"), &action()).await.1, Err(ActionError::LostClaim));
    assert_eq!((bench.calls("CreatePolicyVersion"), bench.calls("DeletePolicyVersion")), (0, 0));
    let came = bench.restarted().continued(&policy_finding("5"), &action(), bench.notebook.last()).await;
    assert!(is_mitigated(&came));
    assert_eq!(only(&came).prior.as_ref().unwrap()["deleted"].as_array().unwrap().len(), 1);
    assert_eq!(bench.effects("CreatePolicyVersion"), 1);
}

#[tokio::test]
async fn a_second_claim_after_a_crash_behind_the_write_knows_the_version_as_ours() {
    let bench = bench(1);
    assert!(is_mitigated(&bench.run(&policy_finding("1"), &action()).await));
    let came = bench.restarted().continued(&policy_finding("1"), &action(), bench.notebook.last()).await;
    assert_eq!(outcome(&came), StepOutcome::Changed);
    assert_eq!(only(&came).prior, Some(json!({ "default_version": "1", "deleted": [] })));
    assert_eq!(bench.calls("CreatePolicyVersion"), 1);
}

#[tokio::test]
async fn the_document_of_a_removed_version_stays_on_record_when_the_default_then_moves_on() {
    let bench = bench(5);
    let came = bench.meeting((CREATE, Fate::Fail(Class::Transient)), &policy_finding("5"), &action()).await;
    assert_eq!(bench.effects("DeletePolicyVersion"), 1);
    bench.iot.put_policy("Wide", &[r#"{"Id":"by hand"}"#]);
    let came = bench.restarted().continued(&policy_finding("5"), &action(), came.0).await;
    assert_eq!(outcome(&came), StepOutcome::Stale);
    let prior = only(&came).prior.as_ref().expect("what was removed can be told");
    assert_eq!(prior["deleted"][0]["document"], r#"{"Id":"1"}"#);
}

#[tokio::test]
async fn a_removal_that_took_effect_without_a_reply_is_not_made_of_a_second_version() {
    let bench = bench(5);
    let came = bench.meeting(("iot.delete_policy_version", Fate::ReplyLost), &policy_finding("5"), &action()).await;
    assert!(is_mitigated(&came));
    assert_eq!(bench.calls("DeletePolicyVersion"), 1);
}

#[tokio::test]
async fn a_removal_that_was_lost_is_tried_again_later_although_aws_says_the_policy_is_full() {
    let bench = bench(5);
    let fate = ("iot.delete_policy_version", Fate::Fail(Class::Unknown));
    let came = bench.meeting(fate, &policy_finding("5"), &action()).await;
    assert_eq!(class(&came), Class::Transient);
    assert!(is_mitigated(&bench.restarted().continued(&policy_finding("5"), &action(), came.0).await));
}

#[tokio::test]
async fn read_back_looks_at_the_policy_again_and_another_kind_of_resource_is_refused() {
    let bench = Bench { read_back: true, ..bench(1) };
    let came = bench.run(&policy_finding("1"), &action()).await;
    assert_eq!(only(&came).detail, "read back: version 2");
    assert_eq!(refusal(&bench.run(&device_finding(), &action()).await), "action_does_not_fit");
}

#[tokio::test]
async fn nothing_is_written_when_the_intent_cannot_be() {
    let bench = bench(5);
    let error = fleetwarden::aws::CallError::new(Class::Unknown, "UpdateItem", "lost");
    *bench.notebook.failure.lock().unwrap() = Some(fleetwarden::ledger::WriteError::Call(error));
    assert_eq!(class(&bench.run(&policy_finding("5"), &action()).await), Class::Unknown);
    assert_eq!((bench.calls("CreatePolicyVersion"), bench.calls("DeletePolicyVersion")), (0, 0));
}
