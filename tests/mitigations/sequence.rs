//! Several actions for one finding.

use crate::bench::*;
use fleetwarden::aws::{Class, Fate, Script};
use fleetwarden::ledger::StepOutcome;
use fleetwarden::policy::Action;
use std::sync::Arc;

fn actions() -> Vec<Action> {
    vec![
        Action::AddThingsToThingGroup { thing_groups: vec!["quarantine".into()], override_dynamic_groups: false },
        Action::UpdateDeviceCertificate,
        Action::PublishFindingToSns { topic_arn: TOPIC.into() },
    ]
}

fn bench() -> Bench {
    let bench = Bench::new();
    bench.iot.put_certificate(CERTIFICATE, "ACTIVE");
    bench.iot.put_group("quarantine");
    bench.iot.put_thing("a", CERTIFICATE, &[]);
    bench.iot.put_topic(TOPIC);
    bench
}

fn writes(bench: &Bench) -> Vec<&'static str> {
    let writes = ["AddThingToThingGroup", "UpdateCertificate", "Publish"];
    bench.iot.history().iter().map(|call| call.operation).filter(|name| writes.contains(name)).collect()
}

#[tokio::test]
async fn actions_run_in_the_order_of_their_rule() {
    let bench = bench();
    let came = bench.go(&bench.iot, &device_finding(), &actions(), Vec::new()).await;
    assert!(is_mitigated(&came));
    assert_eq!(writes(&bench), ["AddThingToThingGroup", "UpdateCertificate", "Publish"]);
    assert_eq!(came.0.len(), 3);
}

#[tokio::test]
async fn a_failure_skips_the_rest_and_the_next_claim_goes_on_from_there_without_repeating_anything() {
    let bench = bench();
    let script = Script::new([("iot.deactivate_certificate", Fate::Fail(Class::Transient))]);
    let iot = bench.iot.with_fates(Arc::new(script));
    let came = bench.go(&iot, &device_finding(), &actions(), Vec::new()).await;
    assert_eq!(class(&came), Class::Transient);
    assert_eq!(writes(&bench), ["AddThingToThingGroup", "UpdateCertificate"]);
    let came = bench.restarted().go(&bench.iot, &device_finding(), &actions(), came.0).await;
    assert!(is_mitigated(&came));
    let outcomes: Vec<_> = came.0.iter().map(|step| step.outcome).collect();
    assert_eq!(outcomes, [StepOutcome::Changed; 3]);
    assert_eq!(writes(&bench).iter().filter(|name| **name == "AddThingToThingGroup").count(), 1);
}

#[tokio::test]
async fn nothing_is_ever_set_to_revoked() {
    let bench = bench();
    assert!(is_mitigated(&bench.go(&bench.iot, &device_finding(), &actions(), Vec::new()).await));
    assert_ne!(bench.iot.certificate(CERTIFICATE).as_deref(), Some("REVOKED"));
}
