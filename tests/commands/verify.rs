//! `fleetwarden findings verify`: what workers did, undone behind their back.

use super::bench::*;
use aws_sdk_iot::types::{CertificateStatus, LogLevel};
use serde_json::{Value, json};

fn json_of(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// The workshop's fleet after an audit of these checks, whose findings the workers have worked off; the audit's id.
async fn mitigated(checks: &str) -> (Bench, String) {
    let bench = Bench::new().await;
    let ran = bench.run(&["audit", "start", "--checks", checks, "--wait", "--output", "json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let audits = json_of(&bench.run(&["audit", "list", "--output", "json"]).await);
    let audit = audits["audits"][0]["taskId"].as_str().unwrap().to_owned();
    let policy = bench.file("policy.yaml", ENFORCE);
    let ran = bench.run(&["mitigate", "--audit", &audit, "--policy", &policy, "--yes"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = bench.run(&["run", "--until-empty", "--policy", &policy]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    (bench, audit)
}

async fn verify(bench: &Bench, arguments: &[&str]) -> (i32, Value) {
    let ran = bench.run(&[&["findings", "verify", "--output", "json"], arguments].concat()).await;
    (ran.code, json_of(&ran))
}

/// The id of the one finding of this check.
async fn finding(bench: &Bench, check: &str) -> String {
    let listed = bench.run(&["findings", "list", "--check", check, "--output", "json"]).await;
    json_of(&listed)[0]["findingId"].as_str().unwrap().to_owned()
}

const SHARED: &str = "DEVICE_CERTIFICATE_SHARED_CHECK";
const POLICY: &str = "IOT_POLICY_OVERLY_PERMISSIVE_CHECK";
const LOGGING: &str = "LOGGING_DISABLED_CHECK";

#[tokio::test]
async fn an_audit_holds_until_somebody_undoes_what_was_done_and_then_says_what_and_since_when() {
    let (bench, audit) = mitigated(&format!("{SHARED},{POLICY},{LOGGING}")).await;
    let (code, told) = verify(&bench, &["--audit", &audit]).await;
    assert_eq!((code, &told["counts"]["holds"], &told["findings"]), (0, &json!(3), &json!(3)), "{told}");
    assert!(told["note"].as_str().unwrap().contains("6 to 8 minutes"), "{told}");

    let iot = &bench.clients.iot;
    let certificate = json_of(&bench.run(&["findings", "list", "--check", SHARED, "--output", "json"]).await);
    let certificate = certificate[0]["resource"].as_str().unwrap();
    let activate = iot.update_certificate().certificate_id(certificate).new_status(CertificateStatus::Active);
    activate.send().await.unwrap();
    iot.set_default_policy_version().policy_name("ExamplePolicy").policy_version_id("1").send().await.unwrap();

    let (code, told) = verify(&bench, &["--audit", &audit]).await;
    assert_eq!((code, &told["counts"]["reverted"], &told["counts"]["holds"]), (1, &json!(2), &json!(1)), "{told}");
    let undone = told["notHolding"].as_array().unwrap();
    let of = |check: &str| undone.iter().find(|one| one["check"] == check).unwrap();
    assert_eq!((&of(SHARED)["verdict"], &of(SHARED)["steps"][0]["now"]), (&json!("reverted"), &json!("ACTIVE")));
    assert!(of(SHARED)["steps"][0]["lastChanged"].is_string(), "{told}");
    let now = of(POLICY)["steps"][0]["now"].as_str().unwrap();
    assert!(now.contains("version 1 is in force, the one that the finding was about"), "{now}");
    let table = bench.run(&["findings", "verify", "--audit", &audit]).await;
    assert_eq!(table.code, 1);
    assert!(table.out.contains("of 3 findings 1 hold"), "{table:?}");
    assert!(table.err.contains("of 3 findings 2 do not hold any more"), "{table:?}");
}

#[tokio::test]
async fn one_finding_is_shown_step_by_step() {
    let (bench, _) = mitigated(LOGGING).await;
    let id = finding(&bench, LOGGING).await;
    let (code, told) = verify(&bench, &[&id]).await;
    assert_eq!((code, &told["verdict"], &told["note"]), (0, &json!("holds"), &Value::Null), "{told}");
    // More is logged than was asked for: that holds too.
    let options = bench.clients.iot.set_v2_logging_options().default_log_level(LogLevel::Debug);
    options.role_arn("arn:aws:iam::123456789012:role/IoTLogging").send().await.unwrap();
    assert_eq!(verify(&bench, &[&id]).await.0, 0);
    bench.clients.iot.set_v2_logging_options().disable_all_logs(true).send().await.unwrap();
    let ran = bench.run(&["findings", "verify", &id]).await;
    assert!(ran.code == 1 && ran.out.contains("all logs are disabled"), "{ran:?}");
}

#[tokio::test]
async fn what_was_only_observed_was_not_done_and_a_policy_that_is_gone_is_gone() {
    let (bench, _) = mitigated(POLICY).await;
    let id = finding(&bench, POLICY).await;
    bench.sandbox.iot().with_fleet(|fleet| fleet.policies.remove("ExamplePolicy")).unwrap();
    let (code, told) = verify(&bench, &[&id]).await;
    assert_eq!((code, &told["verdict"]), (0, &json!("gone")), "{told}");

    let observing = Bench::new().await;
    observing.publish(include_str!("../fixtures/finding_iot_policy.json")).await;
    assert_eq!(observing.run(&["run", "--until-empty"]).await.code, 0);
    let sample = "11111111-1111-4111-8111-111111111111";
    let (code, told) = verify(&observing, &[sample]).await;
    assert_eq!((code, &told["verdict"], &told["status"]), (0, &json!("nothing_done"), &json!("observed")), "{told}");
}

#[tokio::test]
async fn a_finding_or_an_audit_that_the_ledger_does_not_know_is_refused() {
    let bench = Bench::new().await;
    for (arguments, words) in [
        (&["nope"][..], "the ledger has no finding nope"),
        (&["--audit", "nope"], "the ledger has no finding of audit nope"),
        (&[], "required"),
        (&["nope", "--audit", "nope"], "cannot be used with"),
    ] {
        let ran = bench.run(&[&["findings", "verify"], arguments].concat()).await;
        assert!(ran.code == 2 && ran.err.contains(words), "{arguments:?}: {ran:?}");
    }
}

#[tokio::test]
async fn another_regions_account_is_not_mistaken_for_the_findings_own() {
    let (bench, audit) = mitigated(LOGGING).await;
    let mut command = bench.command();
    command.args(["findings", "verify", "--audit", &audit]).env("AWS_REGION", "eu-west-1");
    let ran = ran(&mut command).await;
    assert!(ran.code == 2 && ran.err.contains("set AWS_REGION=us-east-1"), "{ran:?}");
}

#[tokio::test]
async fn a_finding_that_the_ledger_does_not_have_and_a_check_that_is_none_are_wrong_usage_for_every_command() {
    let bench = Bench::new().await;
    for (arguments, words) in [
        (&["findings", "show", "nope"][..], "the ledger has no finding nope"),
        (&["findings", "verify"], "<FINDING|--audit <TASK>>"),
        (&["findings", "list", "--check", "LOGING_DISABLED_CHECK"], "did you mean `LOGGING_DISABLED_CHECK`?"),
        (&["replay", "ledger", "--check", "nonsense"], "`fleetwarden audit settings show` lists them all"),
        (&["dlq", "purge", "--check", "expiring"], "expiring may mean"),
    ] {
        let ran = bench.run(arguments).await;
        assert!(ran.code == 2 && ran.err.contains(words), "{arguments:?}: {ran:?}");
    }
    let mut nowhere = bench.command();
    nowhere.args(["audit", "list"]).env("AWS_ENDPOINT_URL", "nonsense");
    let ran = ran(&mut nowhere).await;
    assert!(ran.code == 2 && ran.err.contains("the endpoint `nonsense` is no address"), "{ran:?}");
}

#[tokio::test]
async fn findings_are_listed_by_a_short_name_of_their_check() {
    let bench = Bench::new().await;
    bench.publish(include_str!("../fixtures/finding_iot_policy.json")).await;
    assert_eq!(bench.run(&["run", "--until-empty"]).await.code, 0);
    let listed = bench.run(&["findings", "list", "--check", "iot_policy_overly"]).await;
    assert!(listed.code == 0 && listed.out.contains("1 record"), "{listed:?}");
    let listed = bench.run(&["findings", "list", "--check", "shared"]).await;
    assert!(listed.code == 0 && listed.out.contains("0 records"), "{listed:?}");
}
