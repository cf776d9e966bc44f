//! A change whose reading back failed is still ours when a later attempt finds it made.

use crate::bench::*;
use fleetwarden::aws::{Class, Fate};
use fleetwarden::ledger::StepOutcome;
use fleetwarden::policy::Action::UpdateDeviceCertificate as ACTION;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The reading after the write fails; `write` becomes of the write.
async fn unread(read_back: bool, write: Fate) -> Came {
    let bench = Bench { read_back, ..Bench::new() };
    bench.iot.put_certificate(CERTIFICATE, "ACTIVE");
    let reads = AtomicUsize::new(0);
    let iot = bench.iot.with_fates(Arc::new(move |call: &'static str| match call {
        "iot.deactivate_certificate" => write,
        "iot.describe_certificate" if reads.fetch_add(1, Ordering::SeqCst) == 1 => Fate::Fail(Class::Throttled),
        _ => Fate::Proceed,
    }));
    let came = bench.go(&iot, &device_finding(), &[ACTION], Vec::new()).await;
    assert_eq!(class(&came), Class::Throttled);
    bench.restarted().continued(&device_finding(), &ACTION, came.0).await
}

#[tokio::test]
async fn a_certificate_that_was_deactivated_and_could_not_be_read_back_is_mitigated_by_the_next_attempt() {
    for (read_back, write) in [(true, Fate::Proceed), (false, Fate::ReplyLost)] {
        let came = unread(read_back, write).await;
        assert!(is_mitigated(&came), "{came:?}");
        assert_eq!((outcome(&came), &only(&came).prior), (StepOutcome::Changed, &Some(json!({ "status": "ACTIVE" }))));
    }
}

#[tokio::test]
async fn a_lost_request_that_lands_after_it_was_read_back_is_ours_too() {
    let bench = Bench::new();
    bench.iot.put_certificate(CERTIFICATE, "ACTIVE");
    let lost = ("iot.deactivate_certificate", Fate::Fail(Class::Unknown));
    let came = bench.meeting(lost, &device_finding(), &ACTION).await;
    assert_eq!(class(&came), Class::Transient);
    bench.iot.put_certificate(CERTIFICATE, "INACTIVE");
    let came = bench.restarted().continued(&device_finding(), &ACTION, came.0).await;
    assert!(is_mitigated(&came), "{came:?}");
}
