//! `UPDATE_DEVICE_CERTIFICATE`

use crate::bench::*;
use fleetwarden::aws::{Class, Fate};
use fleetwarden::ledger::StepOutcome;
use fleetwarden::policy::Action::UpdateDeviceCertificate as ACTION;
use serde_json::json;

fn bench(status: &str) -> Bench {
    let bench = Bench::new();
    bench.iot.put_certificate(CERTIFICATE, status);
    bench
}

#[tokio::test]
async fn an_active_certificate_becomes_inactive_and_its_prior_state_is_on_record() {
    let bench = bench("ACTIVE");
    let came = bench.run(&device_finding(), &ACTION).await;
    assert_eq!(bench.iot.certificate(CERTIFICATE).as_deref(), Some("INACTIVE"));
    assert!(is_mitigated(&came));
    assert_eq!((outcome(&came), &only(&came).prior), (StepOutcome::Changed, &Some(json!({ "status": "ACTIVE" }))));
}

#[tokio::test]
async fn every_status_but_active_is_in_order_and_stays_as_it_is() {
    for status in ["INACTIVE", "REVOKED", "PENDING_TRANSFER", "REGISTER_INACTIVE", "PENDING_ACTIVATION"] {
        let bench = bench(status);
        let came = bench.run(&device_finding(), &ACTION).await;
        assert_eq!(outcome(&came), StepOutcome::InOrder, "{status}");
        assert!(is_compliant(&came));
        assert_eq!(bench.calls("UpdateCertificate"), 0);
        assert_eq!(bench.iot.certificate(CERTIFICATE).as_deref(), Some(status));
    }
}

#[tokio::test]
async fn a_certificate_that_is_gone_is_an_outcome_and_not_an_error() {
    let bench = Bench::new();
    let came = bench.run(&device_finding(), &ACTION).await;
    assert_eq!(outcome(&came), StepOutcome::Gone);
    assert!(is_compliant(&came));
}

#[tokio::test]
async fn a_lost_reply_that_took_effect_is_read_back_and_not_repeated() {
    let bench = bench("ACTIVE");
    let came = bench.meeting(("iot.deactivate_certificate", Fate::ReplyLost), &device_finding(), &ACTION).await;
    assert!(is_mitigated(&came));
    assert_eq!(bench.calls("UpdateCertificate"), 1);
    assert!(only(&came).detail.contains("after a lost reply"), "{}", only(&came).detail);
}

#[tokio::test]
async fn a_lost_request_is_read_back_and_left_to_a_later_attempt() {
    let bench = bench("ACTIVE");
    let fate = ("iot.deactivate_certificate", Fate::Fail(Class::Unknown));
    let came = bench.meeting(fate, &device_finding(), &ACTION).await;
    assert_eq!(class(&came), Class::Transient);
    assert_eq!(bench.iot.certificate(CERTIFICATE).as_deref(), Some("ACTIVE"));
    assert!(is_mitigated(&bench.run(&device_finding(), &ACTION).await));
}

#[tokio::test]
async fn a_throttle_is_passed_on_as_one_and_nothing_is_claimed_to_be_done() {
    for call in ["iot.describe_certificate", "iot.deactivate_certificate"] {
        let bench = bench("ACTIVE");
        let came = bench.meeting((call, Fate::Fail(Class::Throttled)), &device_finding(), &ACTION).await;
        assert_eq!(class(&came), Class::Throttled);
        assert!(came.0.is_empty());
    }
}

#[tokio::test]
async fn a_second_claim_after_a_crash_behind_the_write_finds_it_in_order() {
    let bench = bench("ACTIVE");
    assert!(is_mitigated(&bench.run(&device_finding(), &ACTION).await));
    let came = bench.restarted().run(&device_finding(), &ACTION).await;
    assert_eq!(outcome(&came), StepOutcome::InOrder);
    assert_eq!(bench.calls("UpdateCertificate"), 1);
}

#[tokio::test]
async fn a_change_that_is_on_record_stays_on_record_with_its_prior_state() {
    let bench = bench("ACTIVE");
    let (steps, _) = bench.run(&device_finding(), &ACTION).await;
    let came = bench.restarted().continued(&device_finding(), &ACTION, steps.clone()).await;
    assert!(is_mitigated(&came));
    assert_eq!(came.0, steps);
}

#[tokio::test]
async fn a_certificate_that_is_revoked_between_read_and_write_is_in_order() {
    let bench = bench("ACTIVE");
    let account = bench.iot.clone();
    let iot = bench.iot.with_fates(std::sync::Arc::new(move |call: &'static str| {
        if call == "iot.deactivate_certificate" {
            account.put_certificate(CERTIFICATE, "REVOKED");
        }
        Fate::Proceed
    }));
    let came = bench.go(&iot, &device_finding(), &[ACTION], Vec::new()).await;
    assert_eq!(outcome(&came), StepOutcome::InOrder);
    assert_eq!(bench.effects("UpdateCertificate"), 0);
}

#[tokio::test]
async fn read_back_asks_again_after_the_write() {
    let bench = Bench { read_back: true, ..bench("ACTIVE") };
    let came = bench.run(&device_finding(), &ACTION).await;
    assert_eq!(only(&came).detail, "read back: INACTIVE");
    assert_eq!(bench.calls("DescribeCertificate"), 2);
}

#[tokio::test]
async fn a_claim_that_is_lost_before_the_write_writes_nothing() {
    let bench = bench("ACTIVE");
    bench.notebook.lost.store(true, std::sync::atomic::Ordering::SeqCst);
    let (_, result) = bench.run(&device_finding(), &ACTION).await;
    assert_eq!(result, Err(fleetwarden::mitigation::ActionError::LostClaim));
    assert_eq!(bench.calls("UpdateCertificate"), 0);
}

#[tokio::test]
async fn another_kind_of_resource_is_refused() {
    let bench = Bench::new();
    assert_eq!(refusal(&bench.run(&policy_finding("1"), &ACTION).await), "action_does_not_fit");
    assert!(bench.iot.history().is_empty());
}

#[tokio::test]
async fn an_issuers_finding_acts_on_every_related_certificate_over_all_pages() {
    let bench = bench("ACTIVE");
    bench.iot.put_certificate(SECOND, "REVOKED");
    let third = SECOND.replace('1', "2");
    bench.iot.put_certificate(&third, "ACTIVE");
    bench.iot.put_related("f-1", vec![related(CERTIFICATE), related(SECOND), related(&third), related(CERTIFICATE)]);
    bench.iot.set_page_size(2);
    let came = bench.run(&issuer_finding(), &ACTION).await;
    assert!(is_mitigated(&came));
    assert_eq!(came.0.len(), 3);
    assert_eq!(bench.effects("UpdateCertificate"), 2);
    assert_eq!(bench.iot.certificate(SECOND).as_deref(), Some("REVOKED"));
}

#[tokio::test]
async fn an_issuer_without_devices_is_in_order_and_one_with_too_many_is_refused_before_anything_changes() {
    let bench = Bench::new();
    assert_eq!(outcome(&bench.run(&issuer_finding(), &ACTION).await), StepOutcome::InOrder);
    bench.iot.put_related("f-1", (0..1501).map(|n| related(&format!("{n:064x}"))).collect());
    assert_eq!(refusal(&bench.run(&issuer_finding(), &ACTION).await), "too_many_certificates");
    assert_eq!(bench.calls("UpdateCertificate"), 0);
}
