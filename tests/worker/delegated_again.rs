//! Hand-overs that do not go through at the first attempt: tasks that fail in part, are slow, or end under another policy.

use crate::delegated::*;
use crate::house::*;
use fleetwarden::aws::{Class, Fate, Fates};
use fleetwarden::finding::{Finding, Replay, ResourceIdentifier, encode_own, encode_replay};
use fleetwarden::ledger::{Record, Status, Step, StepOutcome};
use fleetwarden::policy::Action;
use fleetwarden::queue::Queue;
use fleetwarden::worker::Health;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

async fn replay(house: &House, finding: &Finding, force: bool) {
    let replay = Replay { id: Some("r".into()), force, ..Replay::default() };
    house.send(&encode_replay(&encode_own(finding, None), &replay)).await;
}

/// This fate for the first `n` calls of this name.
fn first(n: usize, name: &'static str, fate: Fate) -> Arc<dyn Fates> {
    let calls = AtomicUsize::new(0);
    Arc::new(move |call: &'static str| {
        let hit = call == name && calls.fetch_add(1, Ordering::SeqCst) < n;
        if hit { fate } else { Fate::Proceed }
    })
}

fn step<'a>(record: &'a Record, action: &str) -> &'a Step {
    record.steps.iter().find(|step| step.action == action).unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_one_task_published_is_not_published_again_by_the_next() {
    let house = house(&[TELL, QUARANTINE]);
    let finding = house.device(1);
    house.iot.put_thing("lamp", &certificate(1), &[]);
    house.publish(&finding).await;
    finish(house.work()).await;
    assert_eq!((house.status(&finding), house.iot.published(TOPIC).len()), (Status::Dead, 1));
    house.iot.put_group("Quarantine");
    replay(&house, &finding, false).await;
    finish(house.work()).await;
    assert_eq!(house.status(&finding), Status::Mitigated, "{}", house.record(&finding).detail);
    assert_eq!(house.iot.groups("lamp"), ["Quarantine"]);
    assert_eq!(house.iot.published(TOPIC).len(), 1, "P2: it was sent before");
    // Whoever forces it wants all of it done again.
    let again = Replay { id: Some("forced".into()), force: true, ..Replay::default() };
    house.send(&encode_replay(&encode_own(&finding, None), &again)).await;
    finish(house.work()).await;
    assert_eq!(house.iot.published(TOPIC).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_one_task_replaced_keeps_the_next_from_nothing_and_is_not_replaced_again() {
    let mut house = house(&[DEACTIVATE]);
    house.policy.rules[1].delegate = vec![BLANK.to_owned(), TELL.to_owned()];
    house.iot.remove(TOPIC);
    house.iot.put_policy("Wide", &[WIDE]);
    let finding = policy_finding("a", PERMISSIVE, "Wide");
    house.publish(&finding).await;
    finish(house.work()).await;
    assert_eq!(house.status(&finding), Status::Dead, "{}", house.record(&finding).detail);
    house.iot.put_topic(TOPIC);
    replay(&house, &finding, false).await;
    finish(house.work()).await;
    assert_eq!(house.status(&finding), Status::Mitigated);
    assert_eq!(house.iot.published(TOPIC).len(), 1, "{:?}", house.record(&finding).steps);
    assert_eq!(house.iot.policy("Wide").unwrap().0.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_action_that_is_skipped_because_one_in_order_failed_is_not_taken_for_suppressed() {
    let house = house(&[QUARANTINE, DEACTIVATE]);
    let finding = house.device(1);
    // It is in the group as far as is seen here, and Device Defender cannot add to that.
    house.iot.put_group("Quarantine");
    house.iot.put_thing("lamp", &certificate(1), &["Quarantine"]);
    house.iot.remove("Quarantine");
    house.publish(&finding).await;
    finish(house.work()).await;
    assert_eq!(house.iot.certificate(&certificate(1)).as_deref(), Some("ACTIVE"));
    assert_eq!(house.status(&finding), Status::Dead, "{}", house.record(&finding).detail);
    assert_eq!(house.dead_letters(), [("delegated_action_failed".to_owned(), "device-1".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn an_issuers_certificates_are_handed_over_although_one_of_them_is_gone() {
    let mut house = house(&[DEACTIVATE]);
    let check = "INTERMEDIATE_CA_REVOKED_FOR_ACTIVE_DEVICE_CERTIFICATES_CHECK";
    house.policy.rules[0].matcher.check = vec![check.to_owned()];
    let issuer =
        ResourceIdentifier::IssuerCertificate { subject: "CN=I".into(), issuer_id: "ab".into(), serial: "01".into() };
    let finding = finding("issuer", check, "ISSUER_CERTIFICATE", issuer);
    let related = [1, 2].map(|n| house.device(n).resource);
    house.iot.remove(&certificate(2));
    house.iot.put_related("issuer", related.to_vec());
    house.publish(&finding).await;
    finish(house.work()).await;
    assert_eq!(house.iot.mitigation_tasks().len(), 1, "{:?}", house.record(&finding));
}

#[tokio::test(start_paused = true)]
async fn while_a_slow_task_is_at_a_policy_nobody_else_is() {
    let house = house(&[DEACTIVATE]);
    house.iot.set_task_duration(Duration::from_secs(400));
    house.iot.put_policy("Wide", &[WIDE]);
    for (id, check) in [("a", PERMISSIVE), ("b", MISCONFIGURED)] {
        house.publish(&policy_finding(id, check, "Wide")).await;
    }
    finish(house.work()).await;
    assert_eq!(house.iot.policy("Wide").unwrap().0.len(), 2, "one new version");
    assert!(house.ledger.records().iter().all(|record| record.status != Status::Dead));
}

#[tokio::test(start_paused = true)]
async fn a_task_at_a_policy_is_alone_there_when_its_worker_stops_too() {
    let house = house(&[DEACTIVATE]);
    house.iot.set_task_duration(Duration::from_secs(60));
    house.iot.put_policy("Wide", &[WIDE]);
    house.publish(&policy_finding("a", PERMISSIVE, "Wide")).await;
    let running = start_for_good(house.worker("first"));
    until(|| house.iot.mitigation_tasks().len() == 1).await;
    finish(running.end()).await;
    let other = policy_finding("b", MISCONFIGURED, "Wide");
    house.publish(&other).await;
    finish(house.work()).await;
    assert_eq!(house.iot.policy("Wide").unwrap().0.len(), 2, "one new version");
    assert_eq!(house.status(&other), Status::Compliant);
}

#[tokio::test(start_paused = true)]
async fn what_a_task_did_is_on_record_whatever_the_policy_says_by_then() {
    for observe in [true, false] {
        let mut house = house(&[DEACTIVATE]);
        house.iot.set_task_duration(Duration::from_secs(60));
        house.iot.put_policy("Wide", &[WIDE]);
        let findings = [house.device(1), policy_finding("wide", PERMISSIVE, "Wide"), client_finding(1)];
        for finding in &findings {
            house.publish(finding).await;
        }
        let running = start_for_good(house.worker("first"));
        until(|| house.iot.mitigation_tasks().len() == 3).await;
        finish(running.end()).await;
        let ours = House::new().policy;
        for (rule, own) in house.policy.rules.iter_mut().zip(ours.rules) {
            rule.delegate.clear();
            rule.actions = if observe { Vec::new() } else { own.actions };
        }
        finish(house.work()).await;
        for finding in &findings {
            let record = house.record(finding);
            assert_eq!(record.status, Status::Mitigated, "observe: {observe}: {record:?}");
            assert!(record.steps.iter().all(|step| step.outcome == StepOutcome::Changed), "{:?}", record.steps);
        }
        assert_eq!(house.iot.policy("Wide").unwrap().0.len(), 2);
        assert_eq!(house.iot.published(TOPIC).len(), 1);
        assert_eq!(house.iot.effects("UpdateCertificate").len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_finding_whose_executions_are_not_seen_yet_is_not_taken_for_skipped() {
    let house = house(&[QUARANTINE, DEACTIVATE]);
    let finding = house.device(1);
    house.iot.put_thing("lamp", &certificate(1), &[]);
    house.iot.hide_executions(2);
    house.publish(&finding).await;
    finish(house.work()).await;
    let record = house.record(&finding);
    assert_eq!(record.status, Status::Dead, "{record:?}");
    assert_eq!(step(&record, "ADD_THINGS_TO_THING_GROUP").outcome, StepOutcome::Failed);
    assert_eq!(house.iot.mitigation_tasks().len(), 1, "it waits for that task's word, and starts no other");
}

#[tokio::test(start_paused = true)]
async fn a_forced_replay_hears_of_the_earlier_task_before_it_starts_its_own() {
    let house = house(&[QUARANTINE]);
    house.iot.set_task_duration(Duration::from_secs(20));
    let finding = house.device(1);
    house.iot.put_thing("lamp", &certificate(1), &[]);
    house.publish(&finding).await;
    let running = start_for_good(house.worker("first"));
    until(|| house.iot.mitigation_tasks().len() == 1).await;
    finish(running.end()).await;
    seconds(30).await;
    // Only the replay comes back.
    for message in house.queue.receive(10, Duration::ZERO, Duration::from_secs(60)).await.unwrap() {
        house.queue.delete(&[message.receipt_handle]).await.unwrap();
    }
    replay(&house, &finding, true).await;
    // Four tries of one call.
    let fates = first(4, "iot.list_action_executions", Fate::Fail(Class::Throttled));
    finish(meeting(house.worker("second"), fates).run(Default::default())).await;
    assert_eq!(house.iot.mitigation_tasks().len(), 2, "{:?}", house.record(&finding));
}

#[tokio::test(start_paused = true)]
async fn an_action_that_was_changed_is_read_anew_after_a_while() {
    let house = house(&[QUARANTINE]);
    for group in ["Quarantine", "Jail"] {
        house.iot.put_group(group);
    }
    let running = start_for_good(house.worker("w"));
    for n in 1..=2 {
        let thing = format!("lamp-{n}");
        let finding = house.device(n);
        house.iot.put_thing(&thing, &certificate(n), &["Quarantine"]);
        house.publish(&finding).await;
        until(|| house.ledger.records().len() == usize::try_from(n).unwrap()).await;
        until(|| house.ledger.records().iter().all(|record| !matches!(record.status, Status::Claimed))).await;
        let jail =
            Action::AddThingsToThingGroup { thing_groups: vec!["Jail".to_owned()], override_dynamic_groups: false };
        house.iot.put_mitigation_action(QUARANTINE, jail);
        seconds(120).await;
    }
    finish(running.end()).await;
    assert_eq!(house.iot.groups("lamp-2"), ["Jail", "Quarantine"]);
}

#[tokio::test(start_paused = true)]
async fn a_look_at_a_task_that_fails_costs_none_of_its_findings_an_attempt() {
    let house = house(&[DEACTIVATE]);
    let findings = devices(&house, 25).await;
    let fates = first(4, "iot.describe_mitigation_task", Fate::Fail(Class::Transient));
    let running = start_for_good(meeting(house.worker("w"), fates));
    let mut broken = false;
    until(|| {
        broken |= running.breaker.health() != Health::Well;
        let records = house.ledger.records();
        records.len() == 25 && records.iter().all(|record| record.status == Status::Mitigated)
    })
    .await;
    finish(running.end()).await;
    assert!(!broken, "one call that failed is no outage");
    assert!(findings.iter().all(|finding| house.record(finding).attempts == 0));
}

#[tokio::test(start_paused = true)]
async fn one_bad_finding_spoils_nothing_for_the_others_when_the_first_answer_was_lost() {
    let mut house = house(&[DEACTIVATE]);
    house.policy.verify_finding = false;
    let findings = devices(&house, 3).await;
    house.send(&encode_own(&house.device(99), None)).await;
    let fates = first(1, "iot.start_mitigation_task", Fate::Fail(Class::Unknown));
    finish(meeting(house.worker("w"), fates).run(Default::default())).await;
    assert_eq!(house.dead_letters(), [("permanent_error".to_owned(), "device-99".to_owned())]);
    assert!(findings.iter().all(|finding| house.status(finding) == Status::Mitigated));
}

#[tokio::test(start_paused = true)]
async fn more_additions_than_a_record_holds_are_refused_before_anything_is_handed_over() {
    let house = house(&[QUARANTINE]);
    house.iot.put_group("Quarantine");
    let finding = house.device(1);
    for n in 0..4_000 {
        house.iot.put_thing(
            &format!("a-thing-with-a-name-as-long-as-names-of-things-may-well-be-in-a-fleet-{n:08}"),
            &certificate(1),
            &[],
        );
    }
    house.publish(&finding).await;
    finish(house.work()).await;
    assert_eq!(house.dead_letters(), [("too_many_things".to_owned(), "device-1".to_owned())]);
    assert_eq!(house.status(&finding), Status::Dead);
    assert!(house.iot.mitigation_tasks().is_empty());
}

#[tokio::test(start_paused = true)]
async fn whoever_cannot_write_the_task_down_is_left_out_of_it_and_comes_in_another() {
    let house = house(&[DEACTIVATE]);
    let findings = devices(&house, 6).await;
    let fates = first(2, "ledger.record", Fate::Fail(Class::Transient));
    finish(meeting(house.worker("w"), fates).run(Default::default())).await;
    each_in_one_task(&house, &findings, "");
    assert!(findings.iter().all(|finding| house.status(finding) == Status::Mitigated));
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_findings_lost_their_claims_is_heard_of_by_those_who_took_them_over() {
    let house = house(&[DEACTIVATE]);
    house.iot.set_task_duration(Duration::from_secs(200));
    let findings = devices(&house, 30).await;
    let fates: Arc<dyn Fates> =
        Arc::new(
            |call: &'static str| {
                if call == "ledger.renew" { Fate::Fail(Class::Transient) } else { Fate::Proceed }
            },
        );
    let mut losing = house.worker("losing");
    losing.ledger = losing.ledger.with_fates(fates);
    let losing = start_for_good(losing);
    seconds(20).await;
    let other = start_for_good(house.worker("other"));
    until(|| house.ledger.records().iter().filter(|record| record.status == Status::Mitigated).count() == 30).await;
    finish(losing.end()).await;
    finish(other.end()).await;
    each_in_one_task(&house, &findings, "");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_cannot_be_seen_for_a_while_is_not_started_again() {
    let house = house(&[DEACTIVATE]);
    let findings = devices(&house, 25).await;
    let fates = first(2, "iot.describe_mitigation_task", Fate::Fail(Class::Gone));
    finish(meeting(house.worker("w"), fates).run(Default::default())).await;
    each_in_one_task(&house, &findings, "");
    assert!(findings.iter().all(|finding| house.status(finding) == Status::Mitigated));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_at_any_moment_starts_nothing_twice_and_spends_no_attempt() {
    for moment in 0..60 {
        let mut house = house(&[DEACTIVATE]);
        house.policy.cooldown = Duration::from_secs(3600);
        house.iot.set_task_duration(Duration::from_secs(4));
        house.iot.put_policy("Wide", &[WIDE]);
        let mut findings = devices(&house, 3).await;
        for (id, check) in [("a", PERMISSIVE), ("b", MISCONFIGURED)] {
            let finding = policy_finding(id, check, "Wide");
            house.publish(&finding).await;
            findings.push(finding);
        }
        let running = start_for_good(house.worker("first"));
        tokio::time::sleep(Duration::from_millis(200 * moment)).await;
        finish(running.end()).await;
        finish(house.work()).await;
        let when = format!("stopped after {} ms", 200 * moment);
        assert_eq!(house.iot.policy("Wide").unwrap().0.len(), 2, "{when}");
        for finding in &findings {
            let record = house.record(finding);
            assert!(matches!(record.status, Status::Mitigated | Status::Compliant), "{when}: {record:?}");
            assert_eq!(record.attempts, 0, "{when}");
        }
        for finding in &findings[..3] {
            let tasks = house.iot.mitigation_tasks();
            assert_eq!(tasks.iter().filter(|task| task.finding_ids.contains(&finding.finding_id)).count(), 1, "{when}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_finding_that_waits_for_its_task_is_not_coalesced_and_the_next_on_its_resource_is() {
    let mut house = house(&[DEACTIVATE]);
    house.policy.cooldown = Duration::from_secs(3600);
    house.iot.set_task_duration(Duration::from_secs(60));
    let finding = house.device(1);
    house.publish(&finding).await;
    let running = start_for_good(house.worker("first"));
    until(|| house.iot.mitigation_tasks().len() == 1).await;
    finish(running.end()).await;
    let again = Finding { finding_id: "device-1-again".into(), ..finding.clone() };
    house.publish(&again).await;
    finish(house.work()).await;
    assert_eq!((house.status(&finding), house.status(&again)), (Status::Mitigated, Status::Compliant));
    assert!(house.record(&again).detail.starts_with("coalesced"), "{}", house.record(&again).detail);
    assert_eq!(house.iot.mitigation_tasks().len(), 1);
}
