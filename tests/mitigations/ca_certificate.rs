//! `UPDATE_CA_CERTIFICATE`

use crate::bench::*;
use fleetwarden::aws::{Class, Fate};
use fleetwarden::finding::{Finding, ResourceIdentifier};
use fleetwarden::ledger::StepOutcome;
use fleetwarden::policy::Action::UpdateCaCertificate as ACTION;
use serde_json::json;

fn ca_finding() -> Finding {
    let identifier = ResourceIdentifier::CaCertificate(CERTIFICATE.into());
    finding("REVOKED_CA_CERTIFICATE_STILL_ACTIVE_CHECK", "CA_CERTIFICATE", identifier)
}

#[tokio::test]
async fn an_active_ca_becomes_inactive_and_a_device_certificate_of_the_same_id_is_left_alone() {
    let bench = Bench::new();
    bench.iot.put_ca_certificate(CERTIFICATE, "ACTIVE");
    let came = bench.run(&ca_finding(), &ACTION).await;
    assert!(is_mitigated(&came));
    assert_eq!(only(&came).prior, Some(json!({ "status": "ACTIVE" })));
    assert_eq!((bench.effects("UpdateCACertificate"), bench.calls("UpdateCertificate")), (1, 0));
    assert_eq!(bench.iot.certificate(CERTIFICATE).as_deref(), Some("INACTIVE"));
}

#[tokio::test]
async fn a_ca_that_is_inactive_or_gone_needs_nothing() {
    let bench = Bench::new();
    assert_eq!(outcome(&bench.run(&ca_finding(), &ACTION).await), StepOutcome::Gone);
    bench.iot.put_ca_certificate(CERTIFICATE, "INACTIVE");
    assert_eq!(outcome(&bench.run(&ca_finding(), &ACTION).await), StepOutcome::InOrder);
    assert_eq!(bench.calls("UpdateCACertificate"), 0);
}

#[tokio::test]
async fn lost_replies_are_read_back_whether_or_not_the_write_took_effect() {
    for (fate, done) in [(Fate::ReplyLost, true), (Fate::Fail(Class::Unknown), false)] {
        let bench = Bench::new();
        bench.iot.put_ca_certificate(CERTIFICATE, "ACTIVE");
        let came = bench.meeting(("iot.deactivate_ca_certificate", fate), &ca_finding(), &ACTION).await;
        assert_eq!(is_mitigated(&came), done);
        assert_eq!(bench.calls("UpdateCACertificate"), 1);
    }
}

#[tokio::test]
async fn a_throttle_is_passed_on_and_a_second_claim_after_the_write_finds_it_in_order() {
    let bench = Bench::new();
    bench.iot.put_ca_certificate(CERTIFICATE, "ACTIVE");
    let throttled = ("iot.deactivate_ca_certificate", Fate::Fail(Class::Throttled));
    assert_eq!(class(&bench.meeting(throttled, &ca_finding(), &ACTION).await), Class::Throttled);
    assert!(is_mitigated(&bench.run(&ca_finding(), &ACTION).await));
    assert_eq!(outcome(&bench.restarted().run(&ca_finding(), &ACTION).await), StepOutcome::InOrder);
}

#[tokio::test]
async fn a_device_certificate_is_refused() {
    assert_eq!(refusal(&Bench::new().run(&device_finding(), &ACTION).await), "action_does_not_fit");
}
