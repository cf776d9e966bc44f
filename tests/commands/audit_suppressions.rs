//! `audit suppress | suppressions | unsuppress`.

use super::audit::{audit_of, audited, calls, json_of, refused};
use super::bench::Bench;
use fleetwarden::sandbox::iot::{FaultKind, FaultRule, Faults};
use serde_json::json;

const CERTIFICATE: &str = "03204de92e11fc8c528139be419065920eb83dbff1a4663bbea455aa6e9702bd";
const CREATE: &str = "CreateAuditSuppression";

#[tokio::test]
async fn a_defect_is_suppressed_listed_and_counts_again_once_it_is_not() {
    let bench = Bench::new().await;
    let certificate = ["--check", "device_certificate_shared", "--resource", CERTIFICATE];
    let until = ["--until", "2099-12-31", "--why", "known; replaced in spring"];
    audited(&bench, &[&["suppress"], &certificate[..], &until].concat()).await;
    // The version of the policy that is its default is looked up.
    let policy = ["--check", "iot_policy_overly_permissive", "--resource", "ExamplePolicy", "--indefinitely"];
    audited(&bench, &[&["suppress"], &policy[..], &["--why", "lab"]].concat()).await;

    let listed = json_of(&audited(&bench, &["suppressions", "--output", "json"]).await);
    let expected = json!([
        {
            "check": "DEVICE_CERTIFICATE_SHARED_CHECK",
            "resource": CERTIFICATE,
            "resourceIdentifier": { "deviceCertificateId": CERTIFICATE },
            "indefinitely": false,
            "until": "2099-12-31T00:00:00Z",
            "why": "known; replaced in spring",
        },
        {
            "check": "IOT_POLICY_OVERLY_PERMISSIVE_CHECK",
            "resource": "ExamplePolicy:1",
            "resourceIdentifier": { "policyVersionIdentifier": { "policyName": "ExamplePolicy", "policyVersionId": "1" } },
            "indefinitely": true,
            "until": null,
            "why": "lab",
        },
    ]);
    assert_eq!(listed, expected);
    let one = audited(&bench, &["suppressions", "--check", "IOT_POLICY_UNRESTRICTED_CHECK"]).await;
    assert!(one.out.contains("ExamplePolicy:1") && one.out.contains("1 suppression"), "{}", one.out);

    let id = audit_of(&bench, "device_certificate_shared").await;
    let audit = json_of(&audited(&bench, &["status", &id, "--output", "json"]).await);
    assert_eq!(
        (&audit["checks"][0]["status"], &audit["checks"][0]["suppressed"]),
        (&json!("COMPLETED_COMPLIANT"), &json!(1))
    );
    audited(&bench, &[&["unsuppress"], &certificate[..]].concat()).await;
    let id = audit_of(&bench, "device_certificate_shared").await;
    let audit = json_of(&audited(&bench, &["status", &id, "--output", "json"]).await);
    assert_eq!(audit["checks"][0]["status"], "COMPLETED_NON_COMPLIANT");
    refused(&bench, &[&["unsuppress"], &certificate[..]].concat(), &["is not suppressed", "audit suppressions"]).await;
}

#[tokio::test]
async fn a_finding_stands_for_its_check_and_resource() {
    let bench = Bench::new().await;
    let id = audit_of(&bench, "logging_disabled").await;
    let document = json_of(&audited(&bench, &["findings", &id, "--output", "json"]).await);
    let finding = document["findings"][0]["findingId"].as_str().unwrap();
    let suppress =
        ["suppress", "--finding", finding, "--until", "30d", "--why", "logged elsewhere", "--output", "json"];
    let suppressed = json_of(&audited(&bench, &suppress).await);
    assert_eq!(suppressed["resourceIdentifier"], json!({ "account": "123456789012" }));
    audited(&bench, &["unsuppress", "--finding", finding]).await;
    let unknown = ["suppress", "--finding", "nothing", "--indefinitely", "--why", "x"];
    refused(&bench, &unknown, &["there is no finding nothing"]).await;
}

#[tokio::test]
async fn what_is_suppressed_already_is_changed_only_with_replace() {
    let bench = Bench::new().await;
    let which = ["suppress", "--check", "logging_disabled", "--resource", "123456789012"];
    let with = |more: &[&'static str]| [&which[..], more].concat();
    audited(&bench, &with(&["--until", "2099-01-01", "--why", "elsewhere"])).await;
    let again = audited(&bench, &with(&["--until", "2099-01-01", "--why", "elsewhere"])).await;
    assert!(again.out.contains("suppressed already"), "{}", again.out);
    let words = ["is suppressed already, until 2099-01-01 00:00:00 UTC (elsewhere)", "--replace"];
    refused(&bench, &with(&["--indefinitely", "--why", "for good"]), &words).await;
    audited(&bench, &with(&["--indefinitely", "--why", "for good", "--replace"])).await;
    let listed = json_of(&audited(&bench, &["suppressions", "--output", "json"]).await);
    assert_eq!((&listed[0]["indefinitely"], &listed[0]["why"]), (&json!(true), &json!("for good")));
}

#[tokio::test]
async fn resources_of_the_wrong_kind_past_dates_and_missing_reasons_are_refused_and_nothing_is_made() {
    let bench = Bench::new().await;
    let shared = ["suppress", "--check", "device_certificate_shared", "--resource"];
    let with = |resource: &'static str, more: &[&'static str]| [&shared[..], &[resource], more].concat();
    let well = ["--indefinitely", "--why", "x"];
    for (arguments, words) in [
        (with("SensorDevice01", &well), "looks at DEVICE_CERTIFICATE: write a certificate id"),
        (with("{\"clientId\": \"x\"}", &well), "which deviceCertificateId names, not clientId"),
        (with(CERTIFICATE, &["--until", "2020-01-01", "--why", "x"]), "--until 2020-01-01 00:00:00 is past"),
        (with(CERTIFICATE, &["--until", "tomorrow", "--why", "x"]), "a span such as 7d"),
        (with(CERTIFICATE, &["--until", "1d", "--indefinitely", "--why", "x"]), "cannot be used with"),
        (with(CERTIFICATE, &["--why", "x"]), "--until"),
        (with(CERTIFICATE, &["--indefinitely"]), "--why"),
        (with(CERTIFICATE, &["--indefinitely", "--why", " "]), "write why, in 1 to 1000 characters"),
    ] {
        refused(&bench, &arguments, &[words]).await;
    }
    let policy = ["suppress", "--check", "iot_policy_overly_permissive", "--resource", "Nothing"];
    refused(&bench, &[&policy[..], &well].concat(), &["there is no policy Nothing"]).await;
    let alias = ["suppress", "--check", "iot_role_alias_overly_permissive", "--resource", "Nothing"];
    refused(&bench, &[&alias[..], &well].concat(), &["there is no role alias Nothing"]).await;
    let unknown = ["suppress", "--check", "LOGING_DISABLED_CHECK", "--resource", "123456789012"];
    refused(&bench, &[&unknown[..], &well].concat(), &["did you mean `LOGGING_DISABLED_CHECK`?"]).await;
    assert_eq!(calls(&bench, CREATE), 0);
}

#[tokio::test]
async fn a_suppression_whose_reply_got_lost_is_there_and_no_error() {
    let bench = Bench::new().await;
    let rules = vec![FaultRule::new(CREATE, 1.0, FaultKind::LostReply).times(1)];
    bench.sandbox.iot().set_faults(Faults { seed: 1, rules });
    let suppress =
        ["suppress", "--check", "logging_disabled", "--resource", "123456789012", "--until", "5d", "--why", "x"];
    let done = audited(&bench, &suppress).await;
    assert!(done.out.starts_with("suppressed: 123456789012 of LOGGING_DISABLED_CHECK, until"), "{}", done.out);
    assert_eq!(calls(&bench, CREATE), 2);
}
