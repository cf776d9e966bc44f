//! What must hold at the end of a run: P1, P2 and P5.

use super::house::*;
use super::scenario::{Fleet, THEIR_TOPIC};
use fleetwarden::ledger::{Status, StepOutcome};
use fleetwarden::policy::BLANK_POLICY;
use std::collections::{BTreeMap, BTreeSet};

/// Panics where a promise is broken.
pub fn check(house: &House, fleet: &Fleet) {
    // P1: every message came to an end, on record or in the dead letters with its reason.
    assert!(house.queue.contents().is_empty(), "P1: messages are left");
    let letters = house.dead_letters();
    assert!(letters.iter().any(|(reason, _)| reason == "not_json"), "P1: the poison is lost");
    assert_eq!(house.ledger.records().len(), fleet.all().count(), "P1: one record each");
    for finding in fleet.all() {
        let record = house.record(finding);
        let told = letters.iter().any(|(_, id)| *id == finding.finding_id);
        assert!(record.status.is_terminal() || record.status == Status::Dead && told, "P1: {record:?}");
    }
    for finding in fleet.devices.iter().chain(&fleet.policies).chain(&fleet.delegated) {
        assert!(house.status(finding).is_terminal(), "nothing was in the way: {:?}", house.record(finding));
    }
    for n in (0..12).chain(100..108) {
        assert_eq!(house.iot.certificate(&certificate(n)).as_deref(), Some("INACTIVE"), "P1, P5: certificate {n}");
    }

    // P2: what is not idempotent took effect once.
    let mut created: BTreeMap<String, usize> = BTreeMap::new();
    for call in house.iot.effects("CreatePolicyVersion") {
        *created.entry(call.target).or_default() += 1;
    }
    assert!(created.len() == 6 && created.values().all(|n| *n == 1), "P2: {created:?}");
    let sent = house.iot.published(TOPIC);
    for finding in &fleet.clients {
        let n = sent.iter().filter(|message| message.contains(&format!("\"{}\"", finding.finding_id))).count();
        let record = house.record(finding);
        assert!(n <= 1, "P2: {} was published {n} times", finding.finding_id);
        assert!(n == 1 || record.status == Status::Dead, "P1: {record:?}");
    }
    // A task is not idempotent either: Device Defender publishes a finding for each task that it is in.
    let theirs = house.iot.published(THEIR_TOPIC);
    for finding in &fleet.delegated {
        let n = theirs.iter().filter(|message| message.contains(&format!("\"{}\"", finding.finding_id))).count();
        assert_eq!(n, 1, "P2: {} was in {n} tasks; {:?}", finding.finding_id, house.record(finding));
        let record = house.record(finding);
        let step = record.steps.iter().find(|step| step.action == "UPDATE_DEVICE_CERTIFICATE").unwrap();
        assert_eq!(step.prior.as_ref().unwrap()["status"], "ACTIVE", "P5: {record:?}");
    }

    // P5: what was changed can be undone from the record.
    for n in 0..6 {
        let name = format!("Policy{n}");
        let (versions, default) = house.iot.policy(&name).unwrap();
        assert!(versions.contains(&(default, BLANK_POLICY.to_owned())), "{name} is not blank");
        let records = house.ledger.records();
        let of_policy = records.iter().filter(|record| record.subject.resource_id == name);
        let priors: Vec<_> = of_policy
            .flat_map(|record| &record.steps)
            .filter(|step| step.outcome == StepOutcome::Changed)
            .filter_map(|step| step.prior.as_ref())
            .collect();
        // Both findings may have announced the one change; either can undo it then.
        let version = if n % 2 == 1 { "5" } else { "1" };
        assert!(!priors.is_empty(), "P5: {name} has no change on record");
        assert!(priors.iter().all(|prior| prior["default_version"] == version), "P5: {name}: {priors:?}");
        let documents = priors
            .iter()
            .flat_map(|prior| prior["deleted"].as_array().unwrap())
            .map(ToString::to_string)
            .collect::<BTreeSet<_>>();
        let removed = house.iot.effects("DeletePolicyVersion").iter().filter(|call| call.target == name).count();
        assert_eq!((removed, documents.len()), (n % 2, n % 2), "P5: {name}: {priors:?}");
    }
}
