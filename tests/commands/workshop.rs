//! The workshop's findings, from an SNS publish to the mitigated device.

use super::bench::{Bench, ENFORCE};
use serde_json::Value;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};

const SAMPLE: &str = include_str!("../fixtures/finding_iot_policy.json");
const SAMPLE_ID: &str = "11111111-1111-4111-8111-111111111111";

async fn versions(bench: &Bench) -> Vec<(String, bool)> {
    let listed = bench.clients.iot.list_policy_versions().policy_name("ExamplePolicy").send().await.unwrap();
    let mut versions: Vec<_> = listed
        .policy_versions
        .unwrap()
        .into_iter()
        .map(|version| (version.version_id.unwrap(), version.is_default_version))
        .collect();
    versions.sort();
    versions
}

#[tokio::test]
async fn the_sample_finding_replaces_the_policy_once_and_a_second_publication_does_nothing() {
    let bench = Bench::new().await;
    let policy = bench.file("policy.yaml", ENFORCE);
    let run = ["run", "--policy", policy.as_str(), "--until-empty", "--output", "json"];

    bench.publish(SAMPLE).await;
    let first = bench.run(&run).await;
    assert_eq!(first.code, 0, "{first:?}");
    let counts: Value = serde_json::from_str(&first.out).unwrap();
    assert_eq!(counts["counts"]["mitigated"], 1, "{first:?}");
    assert_eq!(versions(&bench).await, [("1".to_owned(), false), ("2".to_owned(), true)]);

    bench.publish(SAMPLE).await;
    let second = bench.run(&run).await;
    assert_eq!(second.code, 0, "{second:?}");
    let counts: Value = serde_json::from_str(&second.out).unwrap();
    assert_eq!(counts["counts"]["duplicates"], 1, "{second:?}");
    assert_eq!(versions(&bench).await, [("1".to_owned(), false), ("2".to_owned(), true)]);
    assert_eq!(bench.depths().await, (0, 0));

    let shown = bench.run(&["findings", "show", SAMPLE_ID, "--output", "json"]).await;
    let record: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(record["status"], "mitigated");
    assert_eq!(record["rule"], "blank-permissive-policies");
    assert_eq!(record["steps"][0]["prior"]["default_version"], "1");
    let status = bench.run(&["status", "--output", "json"]).await;
    let status: Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!(status["ledger"]["mitigated"], 1);
    assert_eq!(status["queue"]["visible"], 0);
}

#[tokio::test]
async fn without_a_policy_the_default_observes_and_changes_nothing() {
    let bench = Bench::new().await;
    bench.publish(SAMPLE).await;
    let ran = bench.run(&["run", "--until-empty"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(versions(&bench).await, [("1".to_owned(), true)]);
    let listed = bench.run(&["findings", "list", "--status", "observed", "--output", "json"]).await;
    let records: Value = serde_json::from_str(&listed.out).unwrap();
    assert_eq!(records[0]["findingId"], SAMPLE_ID);
    assert!(records[0]["detail"].as_str().unwrap().contains("REPLACE_DEFAULT_POLICY_VERSION"), "{records}");
}

#[tokio::test]
async fn a_broken_body_ends_in_the_dead_letters_with_its_reason_and_stops_nothing_behind_it() {
    let bench = Bench::new().await;
    let policy = bench.file("policy.yaml", ENFORCE);
    for poison in ["}{", "{\"findingId\":7}", "\u{1F4A3}", "{\"Records\":[]}"] {
        let call = bench.clients.sqs.send_message().queue_url(&bench.made.queue_url).message_body(poison);
        call.send().await.unwrap();
    }
    bench.publish(SAMPLE).await;
    let ran = bench.run(&["run", "--policy", &policy, "--until-empty"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(bench.depths().await, (0, 4));
    assert_eq!(versions(&bench).await.len(), 2);
    let received = bench
        .clients
        .sqs
        .receive_message()
        .queue_url(&bench.made.dead_letter_queue_url)
        .max_number_of_messages(10)
        .message_attribute_names("All")
        .send()
        .await
        .unwrap();
    for message in received.messages() {
        let attributes = message.message_attributes().unwrap();
        let reason = attributes["reason"].string_value().unwrap();
        let expected = match message.body().unwrap() {
            "}{" | "\u{1F4A3}" => "not_json",
            "{\"Records\":[]}" => "empty_records",
            _ => "unknown_message",
        };
        assert!(reason == expected || reason == "invalid_finding", "{reason} for {:?}", message.body());
        assert!(attributes.contains_key("error") && attributes.contains_key("firstSeen"));
    }
}

#[tokio::test]
async fn an_audit_summary_alone_is_enough_its_findings_are_fetched_and_mitigated() {
    let bench = Bench::new().await;
    let policy = bench.file("policy.yaml", ENFORCE);
    let iot = &bench.clients.iot;
    let checks = ["DEVICE_CERTIFICATE_SHARED_CHECK", "LOGGING_DISABLED_CHECK"];
    let started = iot.start_on_demand_audit_task();
    let started = checks.iter().fold(started, |call, check| call.target_check_names(*check)).send().await.unwrap();
    let task = started.task_id.unwrap();
    let details = loop {
        let described = iot.describe_audit_task().task_id(&task).send().await.unwrap();
        if described.task_status.unwrap().as_str() == "COMPLETED" {
            break described.audit_details.unwrap();
        }
        tokio::task::yield_now().await;
    };
    let found: i64 = details.values().filter_map(|check| check.non_compliant_resources_count).sum();
    assert_eq!(found, 2, "{details:?}");
    // As Device Defender words it.
    let details: Vec<Value> = checks
        .iter()
        .map(|check| {
            serde_json::json!({ "checkName": check, "checkRunStatus": "COMPLETED_NON_COMPLIANT",
                "nonCompliantResourcesCount": 1, "totalResourcesCount": 2 })
        })
        .collect();
    let summary = serde_json::json!({
        "accountId": "123456789012", "taskId": task, "taskStatus": "COMPLETED", "taskType": "ON_DEMAND_AUDIT_TASK",
        "failedChecksCount": 0, "canceledChecksCount": 0, "nonCompliantChecksCount": 2, "compliantChecksCount": 0,
        "totalChecksCount": 2, "taskStartTime": 1_791_014_400_123_i64, "auditDetails": details });
    bench.publish(&summary.to_string()).await;
    let ran = bench.run(&["run", "--policy", &policy, "--until-empty", "--output", "json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let counts: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(counts["counts"]["mitigated"], 2, "{ran:?}");
    let options = iot.get_v2_logging_options().send().await.unwrap();
    assert_eq!(options.default_log_level.unwrap().as_str(), "ERROR");
    assert!(!options.disable_all_logs);
    let certificates = iot.list_certificates().send().await.unwrap().certificates.unwrap();
    assert!(certificates.iter().all(|certificate| certificate.status.as_ref().unwrap().as_str() == "INACTIVE"));
}

#[tokio::test]
async fn a_worker_that_is_told_to_stop_ends_with_exit_code_0_and_leaves_nothing_hidden() {
    let bench = Bench::new().await;
    let mut child = bench.command().args(["run"]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let started = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("worker started") {
                return;
            }
        }
        panic!("the worker ended");
    };
    tokio::time::timeout(Duration::from_secs(30), started).await.expect("the worker starts");
    let pid = child.id().unwrap().to_string();
    let killed = tokio::process::Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
    assert!(killed.success());
    let ended = tokio::time::timeout(Duration::from_secs(20), child.wait()).await.expect("it ends in time").unwrap();
    assert_eq!(ended.code(), Some(0));
    assert_eq!(bench.depths().await, (0, 0));
}
