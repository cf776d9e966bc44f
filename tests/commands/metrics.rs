//! What a worker tells of itself, as a person or a log driver gets it.

use super::bench::{Bench, ENFORCE};
use fleetwarden::aws::Clients;
use fleetwarden::telemetry::{METRICS, Telemetry};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const SAMPLE: &str = include_str!("../fixtures/finding_iot_policy.json");

#[tokio::test]
async fn with_metrics_emf_every_line_of_standard_output_is_json_and_adds_up_to_the_report() {
    let bench = Bench::new().await;
    let policy = bench.file("policy.yaml", ENFORCE);
    for message in [SAMPLE, SAMPLE, "no json", include_str!("../fixtures/finding_unknown_future_check.json")] {
        bench.publish(message).await;
    }
    let arguments = ["run", "--policy", &policy, "--until-empty", "--metrics", "emf", "--output", "json"];
    let ran = bench.run(&arguments).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let mut lines: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let report = lines.pop().unwrap();
    assert_eq!(report["ended"], "queue empty", "the report is the last line");

    // What CloudWatch makes of it: the sum for each name and its dimensions.
    let mut sums: BTreeMap<Vec<String>, f64> = BTreeMap::new();
    for line in &lines {
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(
            (&directive["Namespace"], &line["Table"]),
            (&Value::from("Fleetwarden"), &Value::from("fleetwarden"))
        );
        for metric in directive["Metrics"].as_array().unwrap() {
            let name = metric["Name"].as_str().unwrap();
            let dimensions = directive["Dimensions"][0].as_array().unwrap().iter().skip(1);
            let values = dimensions.map(|dimension| line[dimension.as_str().unwrap()].as_str().unwrap().to_owned());
            let value = line[name].as_f64().unwrap_or_else(|| line[name]["Count"].as_f64().unwrap());
            *sums.entry([name.to_owned()].into_iter().chain(values).collect()).or_default() += value;
        }
    }
    let sum = |key: &[&str]| sums.get(&key.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>()).copied();
    let counted = |name: &str| report["counts"][name].as_f64();
    for (name, count) in [
        ("MessagesReceived", "received"),
        ("MessagesDeleted", "deleted"),
        ("Claims", "claimed"),
        ("Duplicates", "duplicates"),
        ("DeadLetters", "dead"),
        ("BreakerTrips", "breaker_trips"),
    ] {
        assert_eq!(sum(&[name]), counted(count), "{name}: {sums:?}");
    }
    // What CloudTrail knows the change by is on record, and in the log.
    let shown = bench.run(&["findings", "show", "11111111-1111-4111-8111-111111111111", "--output", "json"]).await;
    let record: Value = serde_json::from_str(&shown.out).unwrap();
    let request = record["steps"][0]["request_id"].as_str().unwrap();
    let told = |line: &&str| line.contains("mitigated") && line.contains(request) && line.contains("epoch=1");
    assert_eq!(ran.err.lines().filter(told).count(), 1, "{request} is not in: {}", ran.err);

    for status in ["mitigated", "observed"] {
        assert_eq!(sum(&["Outcomes", status]), counted(status), "{sums:?}");
        assert_eq!(counted(status), Some(1.0), "{report}");
    }
    assert_eq!(sum(&["Outcomes"]), Some(2.0));
    assert_eq!(sum(&["Actions", "changed"]), Some(1.0));
    assert_eq!(sum(&["DeadLetters", "not_json"]), Some(1.0));
    assert_eq!(sum(&["TimeToMitigate"]), Some(1.0));
    assert_eq!(sum(&["BudgetCalls", "CreatePolicyVersion"]), Some(1.0));
    assert_eq!(sum(&["BudgetInForceRatio", "CreatePolicyVersion"]), Some(1.0));
    assert_eq!(sum(&["BreakerOpen"]), Some(0.0));
}

#[tokio::test]
async fn every_attempt_of_a_call_is_measured_and_its_failure_told_by_what_it_means() {
    let bench = Bench::new().await;
    let telemetry = Arc::new(Telemetry::default());
    let clients = Clients::observed(&bench.sandbox.sdk_config(), Arc::clone(&telemetry) as _);
    let urls = clients.sqs.list_queues().send().await.unwrap().queue_urls.unwrap();
    assert!(!urls.is_empty());
    let gone = clients.iot.describe_certificate().certificate_id("0".repeat(64)).send().await;
    assert!(gone.is_err());
    let nowhere = clients.dynamodb.describe_table().table_name("nowhere").send().await;
    assert!(nowhere.is_err());
    let queue = clients.sqs.get_queue_attributes().queue_url(format!("{}-not", urls[0])).send().await;
    assert!(queue.is_err());
    let topic = "arn:aws:sns:us-east-1:123456789012:nowhere";
    assert!(clients.sns.publish().topic_arn(topic).message("m").send().await.is_err());
    let told = telemetry.prometheus();
    for (service, operation) in [
        ("SQS", "ListQueues"),
        ("IoT", "DescribeCertificate"),
        ("DynamoDB", "DescribeTable"),
        ("SQS", "GetQueueAttributes"),
        ("SNS", "Publish"),
    ] {
        let calls = format!("aws_call_duration_seconds_count{{operation=\"{operation}\",service=\"{service}\"}} 1\n");
        assert!(told.contains(&calls), "{calls} is not in:\n{told}");
    }
    let failures: BTreeSet<&str> =
        told.lines().filter_map(|line| line.strip_prefix("fleetwarden_aws_call_errors_total")).collect();
    let failed = [
        "{class=\"denied\",operation=\"DescribeTable\",service=\"DynamoDB\"} 1",
        "{class=\"denied\",operation=\"GetQueueAttributes\",service=\"SQS\"} 1",
        "{class=\"gone\",operation=\"DescribeCertificate\",service=\"IoT\"} 1",
        "{class=\"gone\",operation=\"Publish\",service=\"SNS\"} 1",
    ];
    assert_eq!(failures, failed.into());
}

#[tokio::test]
async fn the_metrics_are_listed_for_people_and_for_programs() {
    let bench = Bench::new().await;
    let table = bench.run(&["metrics"]).await;
    let json: Value = serde_json::from_str(&bench.run(&["metrics", "--output", "json"]).await.out).unwrap();
    assert_eq!(json.as_array().unwrap().len(), METRICS.len());
    for (metric, listed) in METRICS.iter().zip(json.as_array().unwrap()) {
        assert_eq!((&listed["name"], &listed["meaning"]), (&Value::from(metric.name), &Value::from(metric.help)));
        assert!(table.out.contains(metric.name), "{} is not in the table", metric.name);
    }
}
