//! `ADD_THINGS_TO_THING_GROUP`

use crate::bench::*;
use fleetwarden::aws::{Class, Fate};
use fleetwarden::ledger::StepOutcome;
use fleetwarden::mitigation::ActionError;
use fleetwarden::policy::Action;
use serde_json::json;
use std::sync::atomic::Ordering;

fn action() -> Action {
    Action::AddThingsToThingGroup {
        thing_groups: vec!["quarantine".into(), "watched".into()],
        override_dynamic_groups: false,
    }
}

/// Three things; `b` is in one of the groups already.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.iot.put_certificate(CERTIFICATE, "ACTIVE");
    bench.iot.put_group("quarantine");
    bench.iot.put_group("watched");
    bench.iot.put_thing("a", CERTIFICATE, &[]);
    bench.iot.put_thing("b", CERTIFICATE, &["watched"]);
    bench.iot.put_thing("c", CERTIFICATE, &["quarantine", "watched"]);
    bench
}

#[tokio::test]
async fn every_thing_ends_in_every_group_and_only_what_was_missing_is_added_and_recorded_first() {
    let bench = bench();
    bench.iot.set_page_size(1);
    let came = bench.run(&device_finding(), &action()).await;
    assert!(is_mitigated(&came));
    for thing in ["a", "b", "c"] {
        assert_eq!(bench.iot.groups(thing), ["quarantine", "watched"]);
    }
    assert_eq!(bench.effects("AddThingToThingGroup"), 3);
    let not_members = json!({ "not_members": [
        { "thing": "a", "group": "quarantine" }, { "thing": "a", "group": "watched" },
        { "thing": "b", "group": "quarantine" },
    ]});
    assert_eq!(bench.notebook.last()[0].prior, Some(not_members.clone()));
    assert_eq!(bench.notebook.last()[0].outcome, StepOutcome::Intended);
    assert_eq!(only(&came).prior, Some(not_members));
}

#[tokio::test]
async fn members_of_every_group_and_certificates_without_things_are_in_order() {
    let bench = Bench::new();
    bench.iot.put_certificate(CERTIFICATE, "ACTIVE");
    assert_eq!(outcome(&bench.run(&device_finding(), &action()).await), StepOutcome::InOrder);
    bench.iot.put_thing("c", CERTIFICATE, &["quarantine", "watched"]);
    assert_eq!(outcome(&bench.run(&device_finding(), &action()).await), StepOutcome::InOrder);
    assert_eq!(bench.calls("AddThingToThingGroup"), 0);
    assert!(bench.notebook.last().is_empty());
}

#[tokio::test]
async fn a_certificate_that_is_gone_is_an_outcome_and_a_group_that_is_gone_is_refused_by_name() {
    assert_eq!(outcome(&Bench::new().run(&device_finding(), &action()).await), StepOutcome::Gone);
    let bench = bench();
    bench.iot.remove("watched");
    let came = bench.run(&device_finding(), &action()).await;
    assert_eq!(refusal(&came), "no_such_thing_group");
}

#[tokio::test]
async fn a_lost_reply_that_took_effect_is_not_repeated_and_a_lost_request_is_left_to_a_later_attempt() {
    let took = bench();
    let came = took.meeting(("iot.add_thing_to_group", Fate::ReplyLost), &device_finding(), &action()).await;
    assert!(is_mitigated(&came));
    assert_eq!(took.calls("AddThingToThingGroup"), 3);

    let lost = bench();
    let fate = ("iot.add_thing_to_group", Fate::Fail(Class::Unknown));
    let came = lost.meeting(fate, &device_finding(), &action()).await;
    assert_eq!(class(&came), Class::Transient);
    assert_eq!(lost.effects("AddThingToThingGroup"), 0);
}

#[tokio::test]
async fn a_throttle_in_the_middle_keeps_what_is_on_record_for_the_next_claim() {
    let bench = bench();
    let seen = std::sync::atomic::AtomicUsize::new(0);
    let iot = bench.iot.with_fates(std::sync::Arc::new(move |call: &'static str| {
        let second = call == "iot.add_thing_to_group" && seen.fetch_add(1, Ordering::SeqCst) == 1;
        if second { Fate::Fail(Class::Throttled) } else { Fate::Proceed }
    }));
    let came = bench.go(&iot, &device_finding(), &[action()], Vec::new()).await;
    assert_eq!(class(&came), Class::Throttled);
    let came = bench.restarted().continued(&device_finding(), &action(), came.0).await;
    assert!(is_mitigated(&came));
    // The undo needs all three, although the second claim added two.
    assert_eq!(only(&came).prior.as_ref().unwrap()["not_members"].as_array().unwrap().len(), 3);
    assert_eq!(bench.effects("AddThingToThingGroup"), 3);
}

#[tokio::test]
async fn a_second_claim_after_a_crash_before_the_first_addition_adds_everything() {
    let bench = bench();
    bench.notebook.crash_after_record.store(true, Ordering::SeqCst);
    let (_, result) = bench.run(&device_finding(), &action()).await;
    assert_eq!(result, Err(ActionError::LostClaim));
    assert_eq!(bench.calls("AddThingToThingGroup"), 0);
    let came = bench.restarted().continued(&device_finding(), &action(), bench.notebook.last()).await;
    assert!(is_mitigated(&came));
    assert_eq!(bench.effects("AddThingToThingGroup"), 3);
}

#[tokio::test]
async fn a_second_claim_after_a_crash_behind_the_additions_knows_that_they_are_ours() {
    let bench = bench();
    assert!(is_mitigated(&bench.run(&device_finding(), &action()).await));
    let came = bench.restarted().continued(&device_finding(), &action(), bench.notebook.last()).await;
    assert_eq!(outcome(&came), StepOutcome::Changed);
    assert_eq!(only(&came).prior.as_ref().unwrap()["not_members"].as_array().unwrap().len(), 3);
    assert_eq!(bench.effects("AddThingToThingGroup"), 3);
}

#[tokio::test]
async fn another_kind_of_resource_is_refused_and_an_issuers_devices_are_all_added() {
    assert_eq!(refusal(&Bench::new().run(&policy_finding("1"), &action()).await), "action_does_not_fit");
    let bench = bench();
    bench.iot.put_certificate(SECOND, "ACTIVE");
    bench.iot.put_thing("d", SECOND, &[]);
    bench.iot.put_related("f-1", vec![related(CERTIFICATE), related(SECOND)]);
    let came = bench.run(&issuer_finding(), &action()).await;
    assert_eq!(came.0.len(), 2);
    assert_eq!(bench.iot.groups("d"), ["quarantine", "watched"]);
}

#[tokio::test]
async fn read_back_looks_at_the_groups_again() {
    let bench = Bench { read_back: true, ..bench() };
    assert!(is_mitigated(&bench.run(&device_finding(), &action()).await));
    assert_eq!(bench.calls("ListThingGroupsForThing"), 6);
}
