//! An audit's summary over the wire: expanded to its last page, replayed, and what failed in it told.

use super::bench::{Bench, ENFORCE};
use fleetwarden::sandbox::iot::{Fleet, IotError};
use serde_json::{Value, json};
use std::time::Duration;

const WIDE: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;
const SHARED: &str = "DEVICE_CERTIFICATE_SHARED_CHECK";
const PERMISSIVE: &str = "IOT_POLICY_OVERLY_PERMISSIVE_CHECK";
const LOGGING: &str = "LOGGING_DISABLED_CHECK";

/// What the actions call is not to be waited for.
const QUOTAS: &str = "DescribeCertificate=2000,UpdateCertificate=2000,GetPolicy=2000,ListPolicyVersions=2000,\
                      GetPolicyVersion=2000,CreatePolicyVersion=2000,DeletePolicyVersion=2000";

/// Audits these checks, with a change to the fleet between start and end; the summary goes to the topic if `publish`.
async fn audit(bench: &Bench, checks: &[&str], publish: bool, meanwhile: impl FnOnce(&mut Fleet)) -> String {
    let checks: Vec<String> = checks.iter().map(|&check| check.to_owned()).collect();
    let topic = bench.made.topic_arn.clone().filter(|_| publish);
    let task = bench.sandbox.iot().with_fleet(|fleet| {
        fleet.enable_audits(topic.as_deref());
        let task = fleet.start_audit(&checks)?;
        meanwhile(fleet);
        Ok::<_, IotError>(task)
    });
    let task = task.unwrap();
    while bench.sandbox.iot().with_fleet(|fleet| fleet.audit(&task).unwrap().status.as_str() == "IN_PROGRESS") {
        tokio::task::yield_now().await;
    }
    while publish && bench.depths().await.0 == 0 {
        tokio::task::yield_now().await;
    }
    task
}

async fn document(bench: &Bench, arguments: &[&str]) -> Value {
    let ran = bench.run(&[arguments, &["--output", "json"]].concat()).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    serde_json::from_str(&ran.out).unwrap()
}

async fn work(bench: &Bench, mode: &str) -> Value {
    let policy = bench.file("policy.yaml", ENFORCE);
    let run = ["run", "--until-empty", "--policy", &policy, "--mode", mode, "--quota", QUOTAS];
    document(bench, &run).await["counts"].take()
}

fn policies(bench: &Bench, n: usize) {
    bench.sandbox.iot().with_fleet(|fleet| {
        for n in 0..n {
            fleet.create_policy(&format!("Wide{n}"), WIDE).unwrap();
        }
    });
}

#[tokio::test]
async fn a_summary_becomes_the_findings_of_every_page_and_an_audit_that_is_replayed_becomes_them_again() {
    let bench = Bench::new().await;
    policies(&bench, 560);
    let task = audit(&bench, &[PERMISSIVE, SHARED], true, |_| ()).await;
    // With the workshop's own policy, and its shared certificate.
    assert_eq!(work(&bench, "observe").await["observed"], 562);

    let plan = document(&bench, &["replay", "audit", &task, "--dry-run"]).await;
    assert_eq!((&plan["resources"], &plan["sent"], &plan["replayId"]), (&json!(562), &json!(false), &Value::Null));
    let checks = json!([{ "check": SHARED, "resources": 1 }, { "check": PERMISSIVE, "resources": 561 }]);
    assert_eq!(plan["checks"], checks);
    assert_eq!(bench.depths().await, (0, 0), "nothing was sent");

    let one = document(&bench, &["replay", "audit", &task, "--check", "shared", "--by", "ops"]).await;
    assert_eq!((&one["resources"], &one["sent"], &one["by"]), (&json!(1), &json!(true), &json!("ops")));
    assert_eq!(work(&bench, "enforce").await["mitigated"], 1);

    let all = bench.run(&["replay", "audit", &task]).await;
    assert_eq!(all.code, 0, "{all:?}");
    assert!(all.out.contains("562 resources") && all.out.contains(&format!("expansion#{task}#replay-")), "{all:?}");
    let counts = work(&bench, "enforce").await;
    assert_eq!((&counts["mitigated"], &counts["duplicates"]), (&json!(561), &json!(1)), "{counts}");
    assert_eq!(bench.depths().await, (0, 0));

    let shown = document(&bench, &["findings", "show", one["expansion"].as_str().unwrap()]).await;
    assert_eq!((&shown["status"], &shown["replayed"]["by"]), (&json!("expanded"), &json!("ops")));
    assert_eq!(shown["replayed"]["of"], format!("audit {task}"));
}

#[tokio::test]
async fn a_replay_by_force_asks_first_and_does_once_more_what_was_done() {
    let bench = Bench::new().await;
    let task = audit(&bench, &[SHARED], true, |_| ()).await;
    assert_eq!(work(&bench, "enforce").await["mitigated"], 1);
    let asked = bench.run(&["replay", "audit", &task, "--force"]).await;
    assert_eq!(asked.code, 2, "{asked:?}");
    assert!(asked.err.contains("--yes"), "{asked:?}");
    assert_eq!(bench.depths().await, (0, 0));
    let certificate = bench.clients.iot.list_certificates().send().await.unwrap().certificates.unwrap().remove(0);
    let reopen = bench.clients.iot.update_certificate().certificate_id(certificate.certificate_id.unwrap());
    reopen.new_status(aws_sdk_iot::types::CertificateStatus::Active).send().await.unwrap();
    assert_eq!(document(&bench, &["replay", "audit", &task, "--force", "--yes"]).await["sent"], true);
    assert_eq!(work(&bench, "enforce").await["mitigated"], 1);
}

#[tokio::test]
async fn an_audit_that_cannot_be_replayed_is_refused_in_a_sentence_and_nothing_is_sent() {
    let bench = Bench::new().await;
    let audited = audit(&bench, &[SHARED], false, |_| ()).await;
    let clean = audit(&bench, &["CONFLICTING_CLIENT_IDS_CHECK"], false, |_| ()).await;
    for (arguments, sentence) in [
        (&["0123456789abcdef0123456789abcdef"][..], "there is no audit 0123456789abcdef0123456789abcdef: "),
        (&[&clean], "there is nothing to replay"),
        (
            &[&audited, "--check", "logging"],
            "no finding of LOGGING_DISABLED_CHECK that is not suppressed; it has some of DEVICE_",
        ),
        (&[&audited, "--check", "NO_SUCH_CHECK"], "there is no check NO_SUCH_CHECK"),
        (&[&audited, "--queue-url", "http://127.0.0.1:1/no/such"], "check --queue-url"),
        (&["not an id"], "there is no audit not an id: "),
    ] {
        let ran = bench.run(&[&["replay", "audit"], arguments].concat()).await;
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(ran.err.contains(sentence), "{arguments:?}: {ran:?}");
    }
    assert_eq!(bench.depths().await, (0, 0));

    let slow = Bench::with_audits_of(Duration::from_secs(600)).await;
    let running = slow.sandbox.iot().with_fleet(|fleet| fleet.start_audit(&[SHARED.to_owned()])).unwrap();
    let ran = slow.run(&["replay", "audit", &running]).await;
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("is in progress: replay it when it has ended"), "{ran:?}");
}

#[tokio::test]
async fn checks_that_failed_are_shown_with_what_to_do_and_those_that_completed_are_expanded() {
    let bench = Bench::new().await;
    assert_eq!(document(&bench, &["status"]).await["failedChecks"], json!([]));
    let task = audit(&bench, &[SHARED, LOGGING], true, |fleet| {
        fleet.defender.configuration.checks.get_mut(LOGGING).unwrap().enabled = false;
    })
    .await;
    assert_eq!(work(&bench, "enforce").await["mitigated"], 1, "the shared certificate");
    // Another, as Device Defender words it when its role may not look.
    let details = json!([{ "checkName": PERMISSIVE, "checkRunStatus": "FAILED",
        "errorCode": "INSUFFICIENT_PERMISSIONS", "message": "The role may not: iot:ListPolicies" }]);
    let summary = json!({ "accountId": "123456789012", "taskId": "audit-2", "taskStatus": "FAILED",
        "taskType": "ON_DEMAND_AUDIT_TASK", "taskStartTime": 1_791_014_400_123_i64, "auditDetails": details });
    bench.publish(&summary.to_string()).await;
    work(&bench, "enforce").await;

    let failed = document(&bench, &["status"]).await["failedChecks"].take();
    let told: Vec<_> = failed
        .as_array()
        .unwrap()
        .iter()
        .map(|one| [&one["taskId"], &one["check"], &one["code"], &one["message"]])
        .collect();
    let words = "The role may not: iot:ListPolicies";
    assert_eq!(
        json!(told),
        json!([
            ["audit-2", PERMISSIVE, "INSUFFICIENT_PERMISSIONS", words],
            [task, LOGGING, "AUDIT_CHECK_DISABLED", failed[1]["message"]],
        ])
    );
    assert!(failed[0]["advice"].as_str().unwrap().contains("audit role"), "{failed}");
    let advice = "enable it with `fleetwarden audit settings set --enable LOGGING_DISABLED_CHECK`";
    assert_eq!(failed[1]["advice"], advice);
    let table = bench.run(&["status"]).await;
    assert!(table.out.contains("failed check") && table.out.contains("AUDIT_CHECK_DISABLED"), "{table:?}");

    let shown = document(&bench, &["findings", "show", "expansion#audit-2#incomplete"]).await;
    let step = &shown["steps"][0];
    assert_eq!(
        (&step["action"], &step["target"], &step["outcome"]),
        (&json!("CHECK"), &json!(PERMISSIVE), &json!("failed"))
    );
    assert_eq!(step["detail"], format!("INSUFFICIENT_PERMISSIONS: {words}"));
}
