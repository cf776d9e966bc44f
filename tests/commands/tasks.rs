//! `fleetwarden actions tasks`: what the console's action results show.

use super::bench::*;
use fleetwarden::sandbox::iot::IotConfig;
use serde_json::{Value, json};
use std::time::Duration;

const ROLE: &str = "arn:aws:iam::123456789012:role/MitigationRole";
const SHARED: &str = "DEVICE_CERTIFICATE_SHARED_CHECK";
const POLICY: &str = "IOT_POLICY_OVERLY_PERMISSIVE_CHECK";

fn json_of(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// The workshop's fleet, an audit of it that is over, and two actions, one of which publishes to a topic that is not there.
async fn audited(iot: IotConfig) -> (Bench, String) {
    let bench = Bench::with(iot).await;
    let checks = format!("{SHARED},{POLICY},LOGGING_DISABLED_CHECK");
    let ran = bench.run(&["audit", "start", "--checks", &checks, "--wait", "--output", "json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let audits = json_of(&bench.run(&["audit", "list", "--output", "json"]).await);
    bench.sandbox.iot().with_fleet(|fleet| {
        let deactivate = json!({ "updateDeviceCertificateParams": { "action": "DEACTIVATE" } });
        let nowhere = "arn:aws:sns:us-east-1:123456789012:nowhere";
        let publish = json!({ "publishFindingToSnsParams": { "topicArn": nowhere } });
        let blank = json!({ "replaceDefaultPolicyVersionParams": { "templateName": "BLANK_POLICY" } });
        for (name, params) in [("Deactivate", deactivate), ("Nowhere", publish), ("Blank", blank)] {
            fleet.create_mitigation_action(name, ROLE, &params).unwrap();
        }
    });
    (bench, audits["audits"][0]["taskId"].as_str().unwrap().to_owned())
}

/// Starts a task with these actions for each check.
fn start(bench: &Bench, task: &str, target: &Value, mapping: &[(&str, &[&str])]) {
    let names = |names: &&[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let mapping = mapping.iter().map(|(check, actions)| ((*check).to_owned(), names(actions))).collect();
    bench.sandbox.iot().with_fleet(|fleet| fleet.start_mitigation_task(task, task, target, mapping).unwrap());
}

/// Waits until the task is over, as somebody who looks again and again does.
async fn over(bench: &Bench, task: &str) {
    let iot = &bench.clients.iot;
    loop {
        let described = iot.describe_audit_mitigation_actions_task().task_id(task).send().await.unwrap();
        if described.task_status.unwrap().as_str() != "IN_PROGRESS" {
            return;
        }
        tokio::task::yield_now().await;
    }
}

fn at_once() -> IotConfig {
    IotConfig { mitigation_duration: Duration::ZERO, ..IotConfig::default() }
}

#[tokio::test]
async fn a_task_is_shown_with_counts_actions_and_what_became_of_each_finding_failures_first() {
    let (bench, audit) = audited(at_once()).await;
    let mapping: [(&str, &[&str]); 2] = [(SHARED, &["Deactivate"]), (POLICY, &["Nowhere", "Blank"])];
    start(&bench, "by-audit", &json!({ "auditTaskId": audit }), &mapping);
    over(&bench, "by-audit").await;
    let ran = bench.run(&["actions", "tasks", "status", "by-audit", "--output", "json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let task = json_of(&ran);
    assert_eq!((&task["status"], &task["target"]["auditTaskId"]), (&json!("FAILED"), &json!(audit)));
    let checks = task["checks"].as_array().unwrap();
    let of = |name: &str| checks.iter().find(|check| check["check"] == name).unwrap();
    assert_eq!((&of(SHARED)["total"], &of(SHARED)["succeeded"]), (&json!(1), &json!(1)));
    assert_eq!((&of(POLICY)["failed"], &of(POLICY)["actions"]), (&json!(1), &json!(["Nowhere", "Blank"])));
    let types: Vec<_> = task["actions"].as_array().unwrap().iter().map(|action| action["type"].clone()).collect();
    assert!(types.contains(&json!("PUBLISH_FINDING_TO_SNS")) && types.len() == 3, "{types:?}");
    let executions = task["executions"].as_array().unwrap();
    let told: Vec<_> = executions.iter().map(|one| (one["action"].clone(), one["status"].clone())).collect();
    let expected = [("Nowhere", "FAILED"), ("Blank", "SKIPPED"), ("Deactivate", "COMPLETED")];
    assert_eq!(told, expected.map(|(action, status)| (json!(action), json!(status))));
    assert!(executions[0]["errorCode"].is_string() && executions[0]["message"].is_string(), "{executions:?}");
    assert!(task["startedAt"].is_string() && task["endedAt"].is_string());
    let table = bench.run(&["actions", "tasks", "status", "by-audit"]).await;
    assert!(table.out.contains(&format!("all of audit {audit}")), "{table:?}");
    assert!(table.out.contains("Blank (REPLACE_DEFAULT_POLICY_VERSION)"), "{table:?}");
    assert!(table.out.contains("results of 2 findings"), "{table:?}");

    let one = executions[2]["findingId"].as_str().unwrap();
    let ran = bench.run(&["actions", "tasks", "status", "by-audit", "--finding", one, "--output", "json"]).await;
    assert_eq!(json_of(&ran)["executions"], json!([executions[2]]));
    let ran = bench.run(&["actions", "tasks", "status", "by-audit", "--finding", "f-unknown"]).await;
    assert!(ran.code == 2 && ran.err.contains("did nothing about finding f-unknown"), "{ran:?}");

    let listed =
        bench.run(&["actions", "tasks", "list", "--status", "failed", "--since", "1h", "--output", "json"]).await;
    let listed = json_of(&listed);
    assert_eq!((&listed["found"], &listed["tasks"][0]["taskId"]), (&json!(1), &json!("by-audit")));
    assert_eq!(listed["tasks"][0]["totals"], task["totals"]);
    for none in [["--status", "CANCELED"], ["--audit", "another"], ["--finding", "another"]] {
        let ran = bench.run(&[&["actions", "tasks", "list"], &none[..]].concat()).await;
        assert!(ran.code == 0 && ran.out.contains("0 mitigation tasks"), "{ran:?}");
    }
}

#[tokio::test]
async fn a_filter_by_reason_code_shows_only_the_findings_that_it_took() {
    let (bench, audit) = audited(at_once()).await;
    let code = "CERTIFICATE_SHARED_BY_MULTIPLE_DEVICES";
    let target = json!({ "auditTaskId": audit, "auditCheckToReasonCodeFilter": { SHARED: [code], POLICY: ["OTHER"] } });
    start(&bench, "filtered", &target, &[(SHARED, &["Deactivate"]), (POLICY, &["Blank"])]);
    over(&bench, "filtered").await;
    let ran = bench.run(&["actions", "tasks", "status", "filtered", "--all", "--output", "json"]).await;
    let task = json_of(&ran);
    assert_eq!((&task["findingsLookedAt"], &task["more"]), (&json!(1), &json!(false)), "{task}");
    assert_eq!(task["executions"][0]["action"], "Deactivate");
}

#[tokio::test]
async fn a_task_in_progress_is_cancelled_once_and_one_that_is_over_is_not() {
    let (bench, audit) = audited(IotConfig { mitigation_duration: Duration::from_secs(600), ..at_once() }).await;
    start(&bench, "long", &json!({ "auditTaskId": audit }), &[(SHARED, &["Deactivate"])]);
    let shown = bench.run(&["actions", "tasks", "status", "long"]).await;
    assert!(shown.code == 0 && shown.out.contains("IN_PROGRESS"), "{shown:?}");
    let ran = bench.run(&["actions", "tasks", "cancel", "long"]).await;
    assert!(ran.code == 0 && ran.out.contains("long cancelled"), "{ran:?}");
    let again = bench.run(&["actions", "tasks", "cancel", "long"]).await;
    assert_eq!(again.code, 2, "{again:?}");
    assert!(again.err.contains("is not in progress, it is CANCELED"), "{again:?}");
    let certificates = bench.clients.iot.list_certificates().send().await.unwrap().certificates.unwrap();
    assert!(certificates.iter().all(|certificate| certificate.status.as_ref().unwrap().as_str() == "ACTIVE"));
}

#[tokio::test]
async fn ids_and_filters_that_cannot_be_are_refused_with_a_sentence() {
    let bench = Bench::new().await;
    let wrong: [(&[&str], &str); 8] = [
        (&["status", "nope"], "there is no mitigation task nope"),
        (&["status", "a b"], "`a b` is no id of a mitigation task"),
        (&["cancel", "nope"], "there is no mitigation task nope"),
        (&["cancel", "a/b"], "`a/b` is no id of a mitigation task"),
        (&["list", "--status", "DONE"], "write one of IN_PROGRESS, COMPLETED, FAILED, CANCELED"),
        (&["list", "--since", "yesterday"], "write a time such as 2026-11-22"),
        (&["list", "--audit", "a b"], "--audit `a b` is no id"),
        (&["list", "--finding", ""], "--finding `` is no id"),
    ];
    for (arguments, words) in wrong {
        let ran = bench.run(&[&["actions", "tasks"], arguments].concat()).await;
        assert!(ran.code == 2 && ran.err.contains(words), "{arguments:?}: {ran:?}");
    }
}

#[tokio::test]
async fn times_and_states_may_be_written_as_for_audits() {
    let bench = Bench::new().await;
    for since in ["2d", "2026-01-01", "2026-01-01T10:00:00Z"] {
        let ran = bench.run(&["actions", "tasks", "list", "--since", since, "--status", "in-progress"]).await;
        assert!(ran.code == 0 && ran.out.contains("0 mitigation tasks"), "{since}: {ran:?}");
    }
}
