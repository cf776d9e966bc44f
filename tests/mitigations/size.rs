//! What a finding may leave on record: an item of the ledger holds 400 KB, and one that is larger could not be ended.

use crate::bench::*;
use fleetwarden::mitigation::ActionError;
use fleetwarden::policy::Action;

#[tokio::test]
async fn steps_fit_in_an_item_however_many_certificates_and_things_a_finding_is_about() {
    let add = Action::AddThingsToThingGroup { thing_groups: vec!["quarantine".into()], override_dynamic_groups: false };
    for things in [4, 9, 30] {
        let bench = Bench::new();
        bench.iot.put_group("quarantine");
        let certificates: Vec<String> = (0..500).map(|n| format!("{n:064x}")).collect();
        for (n, certificate) in certificates.iter().enumerate() {
            bench.iot.put_certificate(certificate, "ACTIVE");
            for thing in 0..things {
                bench.iot.put_thing(&format!("thing-of-usual-length-{n}-{thing}"), certificate, &[]);
            }
        }
        bench.iot.put_related("f-1", certificates.iter().map(|id| related(id)).collect());
        let actions = [add.clone(), Action::UpdateDeviceCertificate];
        let (steps, result) = bench.go(&bench.iot, &issuer_finding(), &actions, Vec::new()).await;
        let bytes = serde_json::to_string(&steps).unwrap().len();
        assert!(bytes < 390 * 1024, "{bytes} bytes of steps for {things} things each");
        match result {
            Ok(_) | Err(ActionError::Refused { reason: "too_many_things", .. }) => {}
            other => panic!("{things} things each: {other:?}"),
        }
    }
}
