//! Findings that a rule hands over to Device Defender's own mitigation actions.

use crate::house::*;
use fleetwarden::aws::{Class, Fate, Fates};
use fleetwarden::finding::{Finding, Replay, ResourceIdentifier, encode_own, encode_replay};
use fleetwarden::ledger::{Status, StepOutcome};
use fleetwarden::policy::{Action, BLANK_POLICY};
use fleetwarden::worker::Health;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

pub const DEACTIVATE: &str = "DeactivateCertificates";
pub const QUARANTINE: &str = "QuarantineThings";
pub const BLANK: &str = "BlankPolicy";
pub const TELL: &str = "TellEverybody";

/// Rules that hand over: certificates to these actions, policies to `BLANK`.
pub fn house(certificates: &[&str]) -> House {
    let mut house = House::new();
    house.iot.put_mitigation_action(DEACTIVATE, Action::UpdateDeviceCertificate);
    let groups = vec!["Quarantine".to_owned()];
    let quarantine = Action::AddThingsToThingGroup { thing_groups: groups, override_dynamic_groups: false };
    house.iot.put_mitigation_action(QUARANTINE, quarantine);
    let blank = Action::ReplaceDefaultPolicyVersion { document: BLANK_POLICY.to_owned() };
    house.iot.put_mitigation_action(BLANK, blank);
    house.iot.put_mitigation_action(TELL, Action::PublishFindingToSns { topic_arn: TOPIC.to_owned() });
    for (rule, names) in house.policy.rules.iter_mut().zip([certificates, &[BLANK], &[TELL]]) {
        rule.actions.clear();
        rule.delegate = names.iter().map(|&name| name.to_owned()).collect();
    }
    house
}

pub async fn devices(house: &House, n: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    for n in 0..n {
        let finding = house.device(n);
        house.publish(&finding).await;
        findings.push(finding);
    }
    findings
}

/// Every finding is in one task only, no task has more than 25, and each was started once.
#[track_caller]
pub fn each_in_one_task(house: &House, findings: &[Finding], when: &str) {
    let tasks = house.iot.mitigation_tasks();
    let mut seen = BTreeSet::new();
    for task in &tasks {
        assert!(task.finding_ids.len() <= 25, "{when}");
        for id in &task.finding_ids {
            assert!(seen.insert(id.clone()), "{id} is in two tasks; {when}");
        }
    }
    assert_eq!(seen.len(), findings.len(), "{when}");
    assert_eq!(house.iot.effects("StartAuditMitigationActionsTask").len(), tasks.len(), "{when}");
}

#[tokio::test(start_paused = true)]
async fn findings_of_an_audit_are_handed_over_in_tasks_of_at_most_25_and_each_result_is_on_record() {
    let house = house(&[DEACTIVATE]);
    let findings = devices(&house, 60).await;
    finish(house.work()).await;
    each_in_one_task(&house, &findings, "");
    assert!(house.iot.mitigation_tasks().len() <= 6, "{} tasks for 60 findings", house.iot.mitigation_tasks().len());
    for finding in &findings {
        let record = house.record(finding);
        assert_eq!(record.status, Status::Mitigated, "{}", record.detail);
        let ours = record.steps.iter().find(|step| step.action == "UPDATE_DEVICE_CERTIFICATE").unwrap();
        assert_eq!(ours.outcome, StepOutcome::Changed);
        assert_eq!(ours.prior.as_ref().unwrap()["status"], "ACTIVE", "P5: the state before is on record");
        assert_eq!(ours.detail, format!("by Device Defender's {DEACTIVATE}"));
        let task = record.steps.iter().find(|step| step.action == "DELEGATE").unwrap();
        assert!(house.iot.mitigation_tasks().iter().any(|known| known.task_id == task.target));
    }
    assert_eq!(house.iot.effects("UpdateCertificate").len(), 0, "the worker itself changes nothing");
    // A clean task answers for all: nobody asks for his own executions.
    assert_eq!(house.iot.effects("ListAuditMitigationActionsExecutions").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn each_finding_is_in_one_task_wherever_the_worker_crashes() {
    for ran in [false, true] {
        for n in 1..=60 {
            let house = house(&[DEACTIVATE]);
            let findings = devices(&house, 3).await;
            let calls = Arc::new(AtomicUsize::new(0));
            let counter = Arc::clone(&calls);
            let crashing = start_for_good(meeting(
                house.worker("crashing"),
                Arc::new(move |_: &'static str| match counter.fetch_add(1, Ordering::SeqCst) + 1 {
                    before if before < n => Fate::Proceed,
                    this if this == n && ran => Fate::ReplyLost,
                    _ => Fate::Late(FOR_EVER),
                }),
            ));
            seconds(20).await;
            let crashed = calls.load(Ordering::SeqCst) >= n;
            crashing.task.abort();
            finish(house.work()).await;
            let when = format!("crash at call {n}, ran: {ran}");
            each_in_one_task(&house, &findings, &when);
            for finding in &findings {
                assert_eq!(house.status(finding), Status::Mitigated, "{when}: {}", house.record(finding).detail);
            }
            if !crashed {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_whose_answer_is_lost_is_read_back_and_not_repeated() {
    let house = house(&[DEACTIVATE]);
    let findings = devices(&house, 5).await;
    let once = AtomicBool::new(true);
    let fates: Arc<dyn Fates> = Arc::new(move |call: &'static str| {
        let lost = call == "iot.start_mitigation_task" && once.swap(false, Ordering::SeqCst);
        if lost { Fate::ReplyLost } else { Fate::Proceed }
    });
    finish(meeting(house.worker("w"), fates).run(Default::default())).await;
    each_in_one_task(&house, &findings, "");
    assert_eq!(house.iot.mitigation_tasks().len(), 1);
    assert!(findings.iter().all(|finding| house.status(finding) == Status::Mitigated));
}

#[tokio::test(start_paused = true)]
async fn when_an_action_fails_the_rest_is_skipped_and_the_finding_is_given_up_with_both_on_record() {
    // The thing group does not exist.
    let house = house(&[QUARANTINE, DEACTIVATE]);
    let finding = house.device(1);
    house.iot.put_thing("lamp", &certificate(1), &[]);
    house.publish(&finding).await;
    finish(house.work()).await;
    let record = house.record(&finding);
    assert_eq!(record.status, Status::Dead);
    let outcome = |action: &str| record.steps.iter().find(|step| step.action == action).unwrap().clone();
    let failed = outcome("ADD_THINGS_TO_THING_GROUP");
    assert_eq!(failed.outcome, StepOutcome::Failed);
    assert!(failed.detail.contains("Quarantine does not exist"), "{}", failed.detail);
    let skipped = outcome("UPDATE_DEVICE_CERTIFICATE");
    assert_eq!((skipped.outcome, skipped.detail.ends_with("SKIPPED")), (StepOutcome::Skipped, true));
    assert_eq!(house.dead_letters(), [("delegated_action_failed".to_owned(), "device-1".to_owned())]);
    assert_eq!(house.iot.certificate(&certificate(1)).as_deref(), Some("ACTIVE"));

    // Mended and replayed, it is given a task of its own.
    house.iot.put_group("Quarantine");
    let replay = Replay { id: Some("r".into()), ..Replay::default() };
    house.send(&encode_replay(&encode_own(&finding, None), &replay)).await;
    finish(house.work()).await;
    assert_eq!(house.status(&finding), Status::Mitigated, "{}", house.record(&finding).detail);
    assert_eq!(house.iot.mitigation_tasks().len(), 2);
    assert_eq!(house.iot.groups("lamp"), ["Quarantine"]);
}

#[tokio::test(start_paused = true)]
async fn while_ten_tasks_are_in_progress_findings_wait_and_none_is_lost() {
    let house = house(&[DEACTIVATE]);
    house.iot.set_task_duration(Duration::from_secs(400));
    let others: Vec<Finding> = (1_000..1_010).map(|n| house.device(n)).collect();
    for (n, finding) in others.iter().enumerate() {
        house.iot.put_finding(finding);
        let order = fleetwarden::mitigation::MitigationTaskOrder {
            task_id: format!("a-person-{n}"),
            token: format!("token-{n}"),
            check: finding.check.clone(),
            actions: vec![DEACTIVATE.to_owned()],
            finding_ids: vec![finding.finding_id.clone()],
        };
        fleetwarden::mitigation::IotControl::start_mitigation_task(&house.iot, &order).await.unwrap();
    }
    house.iot.set_task_duration(Duration::from_secs(1));
    let findings = devices(&house, 30).await;
    finish(house.work()).await;
    assert!(findings.iter().all(|finding| house.status(finding) == Status::Mitigated));
    assert!(house.dead.contents().is_empty());
    assert!(findings.iter().all(|finding| house.record(finding).attempts == 0), "waiting is no failed attempt");
}

#[tokio::test(start_paused = true)]
async fn a_mitigation_action_that_does_not_exist_stops_the_line_and_not_the_queue() {
    let house = house(&[DEACTIVATE]);
    house.iot.remove_mitigation_action(DEACTIVATE);
    let findings = devices(&house, 30).await;
    let running = start_for_good(house.worker("w"));
    until(|| running.breaker.health() != Health::Well).await;
    seconds(600).await;
    assert!(house.dead.contents().is_empty(), "a broken account is not the findings' fault");
    house.iot.put_mitigation_action(DEACTIVATE, Action::UpdateDeviceCertificate);
    until(|| findings.iter().all(|finding| house.status(finding) == Status::Mitigated)).await;
    finish(running.end()).await;
    each_in_one_task(&house, &findings, "");
}

#[tokio::test(start_paused = true)]
async fn one_finding_that_device_defender_refuses_does_not_spoil_the_task_of_the_others() {
    let mut house = house(&[DEACTIVATE]);
    house.policy.verify_finding = false;
    let findings = devices(&house, 8).await;
    let unknown = house.device(99);
    house.send(&encode_own(&unknown, None)).await;
    finish(house.work()).await;
    assert!(findings.iter().all(|finding| house.status(finding) == Status::Mitigated));
    assert_eq!(house.dead_letters(), [("permanent_error".to_owned(), "device-99".to_owned())]);
    each_in_one_task(&house, &findings, "");
}

#[tokio::test(start_paused = true)]
async fn a_finding_that_no_longer_holds_is_not_handed_over() {
    let house = house(&[DEACTIVATE]);
    let finding = house.device(1);
    house.publish(&finding).await;
    house.iot.put_certificate(&certificate(1), "INACTIVE");
    house.iot.put_policy("Wide", &[WIDE, "{}"]);
    let stale = policy_finding("stale", PERMISSIVE, "Wide");
    house.publish(&stale).await;
    let gone = policy_finding("gone", PERMISSIVE, "Gone");
    house.publish(&gone).await;
    finish(house.work()).await;
    for finding in [&finding, &stale, &gone] {
        assert_eq!(house.status(finding), Status::Compliant, "{}", house.record(finding).detail);
    }
    assert!(house.iot.mitigation_tasks().is_empty());
}

#[tokio::test(start_paused = true)]
async fn two_findings_on_one_policy_give_it_one_new_version() {
    let house = house(&[DEACTIVATE]);
    house.iot.put_policy("Wide", &[WIDE]);
    for (id, check) in [("a", PERMISSIVE), ("b", MISCONFIGURED)] {
        house.publish(&policy_finding(id, check, "Wide")).await;
    }
    finish(house.work()).await;
    assert_eq!(house.iot.policy("Wide").unwrap().0.len(), 2);
    let mut statuses: Vec<_> = house.ledger.records().iter().map(|record| record.status).collect();
    statuses.sort();
    assert_eq!(statuses, [Status::Mitigated, Status::Compliant]);
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_publishes_nothing_twice_through_device_defender() {
    let house = house(&[DEACTIVATE]);
    let finding = client_finding(1);
    for _ in 0..5 {
        house.publish(&finding).await;
    }
    finish(house.work()).await;
    assert_eq!(house.iot.published(TOPIC).len(), 1);
    assert_eq!(house.status(&finding), Status::Mitigated);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_leaves_its_tasks_to_the_next_one() {
    let house = house(&[DEACTIVATE]);
    house.iot.set_task_duration(Duration::from_secs(120));
    let findings = devices(&house, 10).await;
    let first = start_for_good(house.worker("first"));
    until(|| house.iot.mitigation_tasks().len() == 1).await;
    seconds(2).await;
    let begun = tokio::time::Instant::now();
    finish(first.end()).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "it waited for the task: {:?}", begun.elapsed());
    finish(house.work()).await;
    each_in_one_task(&house, &findings, "");
    assert!(findings.iter().all(|finding| house.status(finding) == Status::Mitigated));
    assert!(findings.iter().all(|finding| house.record(finding).attempts == 0));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_somebody_cancels_gives_its_findings_up_with_the_reason() {
    let house = house(&[DEACTIVATE]);
    house.iot.set_task_duration(Duration::from_secs(60));
    let finding = house.device(1);
    house.publish(&finding).await;
    let running = start(house.worker("w"));
    until(|| house.iot.mitigation_tasks().len() == 1).await;
    house.iot.cancel_mitigation_task(&house.iot.mitigation_tasks()[0].task_id);
    finish(running.task).await.unwrap();
    assert_eq!(house.dead_letters(), [("delegation_canceled".to_owned(), "device-1".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn an_issuers_finding_has_the_state_of_each_of_its_certificates_on_record() {
    let mut house = house(&[DEACTIVATE]);
    let check = "INTERMEDIATE_CA_REVOKED_FOR_ACTIVE_DEVICE_CERTIFICATES_CHECK";
    house.policy.rules[0].matcher.check = vec![check.to_owned()];
    let issuer =
        ResourceIdentifier::IssuerCertificate { subject: "CN=I".into(), issuer_id: "ab".into(), serial: "01".into() };
    let finding = finding("issuer", check, "ISSUER_CERTIFICATE", issuer);
    let related = [1, 2].map(|n| house.device(n).resource);
    house.iot.put_certificate(&certificate(2), "INACTIVE");
    house.iot.put_related("issuer", related.to_vec());
    house.publish(&finding).await;
    finish(house.work()).await;
    let record = house.record(&finding);
    let steps: Vec<_> = record.steps.iter().filter(|step| step.action == "UPDATE_DEVICE_CERTIFICATE").collect();
    assert_eq!(steps.len(), 2, "{record:?}");
    assert_eq!(steps[0].prior.as_ref().unwrap()["status"], "ACTIVE");
    assert_eq!(steps[1].outcome, StepOutcome::InOrder);
}

#[tokio::test(start_paused = true)]
async fn a_role_that_lacks_a_permission_pauses_the_worker_and_fills_no_dead_letters() {
    let house = house(&[DEACTIVATE]);
    devices(&house, 3).await;
    let denied = Arc::new(AtomicBool::new(true));
    let running = start_for_good(meeting(house.worker("w"), while_on(&denied, "iot.start", Class::Denied)));
    until(|| running.breaker.health() != Health::Well).await;
    assert!(house.dead.contents().is_empty());
    denied.store(false, Ordering::SeqCst);
    until(|| house.ledger.records().iter().all(|record| record.status == Status::Mitigated)).await;
    finish(running.end()).await;
}
