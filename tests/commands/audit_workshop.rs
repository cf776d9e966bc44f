//! The workshop's first story, by commands alone: logging is off, an audit says so, logging is on again, a second audit agrees.

use super::audit::{audited, json_of};
use super::bench::{Bench, ENFORCE};
use serde_json::json;

#[tokio::test]
async fn logging_that_was_switched_off_is_found_switched_on_and_found_in_order() {
    let bench = Bench::new().await;
    // The settings, as a person looks at them first; the topic is told of ended audits from now on.
    let topic = bench.made.topic_arn.clone().unwrap();
    let role = "arn:aws:iam::123456789012:role/AuditAlerts";
    audited(&bench, &["settings", "set", "--alert-topic", &topic, "--alert-role", role, "--yes"]).await;
    let settings = audited(&bench, &["settings", "show"]).await;
    assert!(settings.out.contains(&topic), "{}", settings.out);

    // The audit, and what it found.
    let first = audited(&bench, &["start", "--checks", "LOGGING_DISABLED_CHECK", "--wait", "--output", "json"]).await;
    let first = json_of(&first);
    assert_eq!(first["checks"][0]["status"], "COMPLETED_NON_COMPLIANT");
    let id = first["taskId"].as_str().unwrap();
    let found = json_of(&audited(&bench, &["findings", id, "--reason", "LOGGING_DISABLED", "--output", "json"]).await);
    let finding = &found["findings"][0];
    assert_eq!((&finding["reasonCode"], &finding["resource"]), (&json!("LOGGING_DISABLED"), &json!("123456789012")));

    // The audit's summary is on the queue: the worker expands it and mitigates.
    let policy = bench.file("policy.yaml", ENFORCE);
    let ran = bench.run(&["run", "--policy", &policy, "--until-empty", "--output", "json"]).await;
    assert_eq!((ran.code, &json_of(&ran)["counts"]["mitigated"]), (0, &json!(1)), "{ran:?}");
    let options = bench.clients.iot.get_v2_logging_options().send().await.unwrap();
    assert_eq!(options.default_log_level.unwrap().as_str(), "ERROR");

    let second = audited(&bench, &["start", "--checks", "LOGGING_DISABLED_CHECK", "--wait", "--output", "json"]).await;
    assert_eq!(json_of(&second)["checks"][0]["status"], "COMPLETED_COMPLIANT");
}
