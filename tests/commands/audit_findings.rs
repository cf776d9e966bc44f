//! `audit findings`: every page of them, what is left out, and the things behind a shared certificate.

use super::audit::{audit_of, audited, calls, json_of, refused};
use super::bench::Bench;
use fleetwarden::sandbox::iot::seed;
use serde_json::json;
use std::collections::BTreeSet;

const CERTIFICATE: &str = "03204de92e11fc8c528139be419065920eb83dbff1a4663bbea455aa6e9702bd";

#[tokio::test]
async fn totals_come_first_then_findings_by_check_and_reason_with_the_things_of_a_shared_certificate() {
    let bench = Bench::new().await;
    let id = audit_of(&bench, "logging_disabled,device_certificate_shared,conflicting_client_ids").await;
    let table = audited(&bench, &["findings", &id]).await;
    let at = |part: &str| table.out.find(part).unwrap_or_else(|| panic!("`{part}` is not in: {}", table.out));
    assert!(at("1 of 1 non-compliant") < at("DEVICE_CERTIFICATE_SHARED_CHECK (CRITICAL): CERTIFICATE_SHARED_BY"));
    assert!(at("compliant: 2 resources") < at(CERTIFICATE), "totals of compliant checks too");
    at("SensorDevice01, SensorDevice02");
    assert!(at("LOGGING_DISABLED_CHECK (LOW): LOGGING_DISABLED") < at("2 findings"));

    let document = json_of(&audited(&bench, &["findings", &id, "--output", "json"]).await);
    assert_eq!(document["audit"]["checks"].as_array().unwrap().len(), 3);
    let findings = document["findings"].as_array().unwrap();
    let shared = findings.iter().find(|finding| finding["check"] == "DEVICE_CERTIFICATE_SHARED_CHECK").unwrap();
    assert_eq!(shared["resourceIdentifier"], json!({ "deviceCertificateId": CERTIFICATE }));
    assert_eq!(shared["things"], json!(["SensorDevice01", "SensorDevice02"]));
    let logging = findings.iter().find(|finding| finding["check"] == "LOGGING_DISABLED_CHECK").unwrap();
    assert_eq!((&logging["resource"], logging.get("things")), (&json!("123456789012"), None));
}

#[tokio::test]
async fn findings_are_narrowed_by_check_and_reason_code_and_unknown_ones_are_told() {
    let bench = Bench::new().await;
    let id = audit_of(&bench, "logging_disabled,device_certificate_shared").await;
    let ids = async |more: &[&str]| {
        let ran = audited(&bench, &[&["findings", &id, "--output", "json"], more].concat()).await;
        let document = json_of(&ran);
        document["findings"].as_array().unwrap().iter().map(|f| f["check"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&["--check", "logging"]).await, ["LOGGING_DISABLED_CHECK"]);
    let reason = ["--reason", "certificate_shared_by_multiple_devices"];
    assert_eq!(ids(&reason).await, ["DEVICE_CERTIFICATE_SHARED_CHECK"]);
    assert_eq!(ids(&["--reason", "NOTHING"]).await, Vec::<String>::new());
    let none = audited(&bench, &["findings", &id, "--reason", "NOTHING"]).await;
    let words = "no finding has the reason code NOTHING; there are CERTIFICATE_SHARED_BY_MULTIPLE_DEVICES (1), LOGGING";
    assert!(none.out.contains(words), "{}", none.out);
    refused(&bench, &["findings", &id, "--check", "conflicting_client_ids"], &["did not run CONFLICTING", "it ran"])
        .await;
    refused(&bench, &["findings", &id, "--check", "LOGING_DISABLED_CHECK"], &["did you mean"]).await;
}

#[tokio::test]
async fn suppressed_findings_are_shown_only_if_asked_for_and_marked() {
    let bench = Bench::new().await;
    let suppress = ["suppress", "--check", "device_certificate_shared", "--resource", CERTIFICATE, "--indefinitely"];
    audited(&bench, &[&suppress[..], &["--why", "known"]].concat()).await;
    let id = audit_of(&bench, "logging_disabled,device_certificate_shared").await;
    let without = audited(&bench, &["findings", &id]).await;
    assert!(!without.out.contains(CERTIFICATE), "{}", without.out);
    assert!(without.out.contains("1 suppressed resource not shown, see --suppressed"), "{}", without.out);
    let with = json_of(&audited(&bench, &["findings", &id, "--suppressed", "--output", "json"]).await);
    let marks: BTreeSet<_> = with["findings"].as_array().unwrap().iter().map(|f| f["suppressed"].to_string()).collect();
    assert_eq!(marks, BTreeSet::from(["false".to_owned(), "true".to_owned()]));
    assert!(audited(&bench, &["findings", &id, "--suppressed"]).await.out.contains("yes"));
}

#[tokio::test]
async fn thousands_of_findings_are_paged_to_the_end_and_the_table_says_what_it_leaves_out() {
    let bench = Bench::new().await;
    let report = bench.sandbox.iot().with_fleet(|fleet| seed::defective_fleet(fleet, 700, 3));
    let id = json_of(&audited(&bench, &["start", "--all-enabled", "--wait", "--output", "json"]).await);
    let id = id["taskId"].as_str().unwrap().to_owned();
    let all = report.total() - report.defects["DEVICE_CERTIFICATE_AGE_CHECK"];
    assert!(all > 1000, "{all}");

    let document = json_of(&audited(&bench, &["findings", &id, "--output", "json", "--things", "2"]).await);
    let findings = document["findings"].as_array().unwrap();
    let ids: BTreeSet<_> = findings.iter().map(|finding| finding["findingId"].as_str().unwrap()).collect();
    assert_eq!((ids.len(), &document["matching"]), (all, &json!(all)));
    let pages = calls(&bench, "ListAuditFindings");
    assert_eq!(pages, all.div_ceil(250) as u64);
    assert_eq!(calls(&bench, "ListPrincipalThings"), 2, "as many as --things allows");
    let shared = report.defects["DEVICE_CERTIFICATE_SHARED_CHECK"];
    assert_eq!(document["thingsLeftOut"], json!(shared - 2));

    let few = ["findings", &id, "--limit", "3", "--things", "0"];
    let table = audited(&bench, &[&few[..], &["--check", "device_certificate_shared"]].concat()).await;
    let words = format!("3 of {shared} findings shown, {} are left out: raise --limit", shared - 3);
    assert!(table.out.contains(&words), "`{words}` is not in: {}", table.out);
    assert!(table.out.contains("of 3 more shared certificates the things were not looked up"), "{}", table.out);
}
