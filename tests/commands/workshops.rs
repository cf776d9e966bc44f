//! The source workshops, step by step as their texts have them, by commands alone: look at the settings, audit, read the results, define
//! an action, apply it by reason code, look at the action's results, see that the device is safe, audit again.

use super::audit::{audited, json_of};
use super::bench::*;
use serde_json::{Value, json};

const ROLE: &str = "arn:aws:iam::123456789012:role/IoTMitigationActionErrorLoggingRole";
const LOGGING_ROLE: &str = "arn:aws:iam::123456789012:role/AWSIoTLoggingRole";

/// Runs a command that must succeed.
async fn done(bench: &Bench, arguments: &[&str]) -> Ran {
    let ran = bench.run(arguments).await;
    assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
    ran
}

/// Audits these checks, or all that are enabled, to the end; what `audit start` tells.
async fn audit(bench: &Bench, checks: Option<&str>) -> Value {
    let which: &[&str] = match checks {
        Some(checks) => &["--checks", checks],
        None => &["--all-enabled"],
    };
    json_of(&audited(bench, &[&["start"], which, &["--wait", "--output", "json"]].concat()).await)
}

fn status_of<'a>(audit: &'a Value, check: &str) -> &'a str {
    let checks = audit["checks"].as_array().unwrap();
    checks.iter().find(|one| one["check"] == check).unwrap()["status"].as_str().unwrap()
}

async fn enable_error_logging(bench: &Bench) {
    let kind = ["--type", "ENABLE_IOT_LOGGING", "--level", "ERROR", "--logging-role", LOGGING_ROLE];
    let create = [&["actions", "create", "EnableErrorLoggingAction"], &kind[..], &["--role", ROLE]].concat();
    done(bench, &create).await;
    let shown = done(bench, &["actions", "show", "EnableErrorLoggingAction"]).await;
    assert!(shown.out.contains("ENABLE_IOT_LOGGING") && shown.out.contains("ERROR"), "{shown:?}");
}

async fn log_level(bench: &Bench) -> String {
    let options = bench.clients.iot.get_v2_logging_options().send().await.unwrap();
    options.default_log_level.unwrap().as_str().to_owned()
}

/// Somebody switches logging off.
async fn switch_logging_off(bench: &Bench) {
    let call = bench.clients.iot.set_v2_logging_options().role_arn(LOGGING_ROLE);
    call.default_log_level("DISABLED".into()).disable_all_logs(true).send().await.unwrap();
}

/// What `actions tasks list` and `status` tell of the one task that there is.
async fn results(bench: &Bench) -> Value {
    let tasks = json_of(&done(bench, &["actions", "tasks", "list", "--output", "json"]).await);
    let tasks = tasks["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), 1, "{tasks:?}");
    let id = tasks[0]["taskId"].as_str().unwrap();
    json_of(&done(bench, &["actions", "tasks", "status", id, "--all", "--output", "json"]).await)
}

#[tokio::test]
async fn workshop_a_logging_that_somebody_disabled_is_enabled_by_the_action_applied_by_reason_code() {
    let bench = Bench::new().await;
    switch_logging_off(&bench).await;
    let first = audit(&bench, Some("LOGGING_DISABLED_CHECK")).await;
    let task = first["taskId"].as_str().unwrap();
    let found = json_of(&audited(&bench, &["findings", task, "--output", "json"]).await);
    assert_eq!(found["findings"][0]["reasonCode"], "LOGGING_DISABLED");
    enable_error_logging(&bench).await;

    let by_reason = ["mitigate", "--audit", task, "--reason", "LOGGING_DISABLED"];
    done(&bench, &[&by_reason[..], &["--action", "EnableErrorLoggingAction", "--yes"]].concat()).await;
    assert_eq!(log_level(&bench).await, "ERROR");
    let results = results(&bench).await;
    assert_eq!(results["status"], "COMPLETED", "{results:#}");
    let verified = json_of(&done(&bench, &["findings", "verify", "--audit", task, "--output", "json"]).await);
    assert!(verified.to_string().contains("holds"), "{verified:#}");
    let second = audit(&bench, Some("LOGGING_DISABLED_CHECK")).await;
    assert_eq!(status_of(&second, "LOGGING_DISABLED_CHECK"), "COMPLETED_COMPLIANT");
}

/// The worker's policy, with `what` it does about shared certificates.
fn shared(what: &str) -> String {
    format!(
        "version: 1\nmode: enforce\nrules:\n  - name: shared\n    match: {{ check: DEVICE_CERTIFICATE_SHARED_CHECK }}\n    {what}\n"
    )
}

/// Two devices share a certificate; whatever the policy does about it, the certificate ends INACTIVE and the second audit agrees.
async fn two_devices_share_a_certificate(bench: &Bench, policy: &str) -> String {
    let topic = bench.made.topic_arn.clone().unwrap();
    let role = "arn:aws:iam::123456789012:role/AuditAlerts";
    audited(bench, &["settings", "set", "--alert-topic", &topic, "--alert-role", role, "--yes"]).await;
    let first = audit(bench, None).await;
    let task = first["taskId"].as_str().unwrap().to_owned();
    let of_check = ["findings", &task, "--check", "DEVICE_CERTIFICATE_SHARED_CHECK", "--output", "json"];
    let found = json_of(&audited(bench, &of_check).await);
    let finding = &found["findings"][0];
    assert_eq!(finding["things"], json!(["SensorDevice01", "SensorDevice02"]), "{finding:#}");
    let certificate = finding["resource"].as_str().unwrap();

    let policy = bench.file("policy.yaml", policy);
    done(bench, &["run", "--policy", &policy, "--until-empty"]).await;
    let described = bench.clients.iot.describe_certificate().certificate_id(certificate).send().await.unwrap();
    assert_eq!(described.certificate_description.unwrap().status.unwrap().as_str(), "INACTIVE");
    let finding = finding["findingId"].as_str().unwrap();
    let record = json_of(&done(bench, &["findings", "show", finding, "--output", "json"]).await);
    assert_eq!(record["status"], "mitigated", "{record:#}");
    done(bench, &["findings", "verify", finding]).await;
    let second = audit(bench, None).await;
    assert_eq!(status_of(&second, "DEVICE_CERTIFICATE_SHARED_CHECK"), "COMPLETED_COMPLIANT");
    finding.to_owned()
}

#[tokio::test]
async fn workshop_b_a_shared_certificate_is_deactivated_by_the_worker_itself() {
    let bench = Bench::new().await;
    two_devices_share_a_certificate(&bench, &shared("actions: [{ type: UPDATE_DEVICE_CERTIFICATE }]")).await;
}

#[tokio::test]
async fn workshop_b_a_shared_certificate_is_deactivated_by_device_defenders_own_action() {
    let bench = Bench::new().await;
    let role = ["--role", "arn:aws:iam::123456789012:role/Deactivate"];
    let create = ["actions", "create", "DeactivateCertificate", "--type", "UPDATE_DEVICE_CERTIFICATE"];
    done(&bench, &[&create[..], &role].concat()).await;
    let finding = two_devices_share_a_certificate(&bench, &shared("delegate: [DeactivateCertificate]")).await;
    let results = results(&bench).await;
    assert_eq!(results["status"], "COMPLETED", "{results:#}");
    let text = results.to_string();
    assert!(text.contains(&finding) && text.contains("DeactivateCertificate"), "{results:#}");
}

#[tokio::test]
async fn workshop_c_the_optional_publication_brings_the_findings_native_payload_to_a_second_topic() {
    let bench = Bench::new().await;
    // A second topic, and a queue that listens to it.
    let topic = bench.clients.sns.create_topic().name("Second").send().await.unwrap().topic_arn.unwrap();
    let queue = bench.clients.sqs.create_queue().queue_name("second").send().await.unwrap().queue_url.unwrap();
    let subscribe = bench.clients.sns.subscribe().topic_arn(&topic).protocol("sqs");
    let arn = "arn:aws:sqs:us-east-1:123456789012:second";
    subscribe.endpoint(arn).attributes("RawMessageDelivery", "true").send().await.unwrap();
    let kind = ["--type", "PUBLISH_FINDING_TO_SNS", "--topic", &topic, "--role", ROLE];
    done(&bench, &[&["actions", "create", "PublishFindings"], &kind[..]].concat()).await;

    let first = audit(&bench, Some("DEVICE_CERTIFICATE_SHARED_CHECK")).await;
    let task = first["taskId"].as_str().unwrap();
    done(&bench, &["mitigate", "--audit", task, "--action", "PublishFindings", "--yes"]).await;

    let received = bench.clients.sqs.receive_message().queue_url(&queue).wait_time_seconds(5).send().await.unwrap();
    let messages = received.messages.unwrap();
    assert_eq!(messages.len(), 1);
    let payload: Value = serde_json::from_str(messages[0].body.as_ref().unwrap()).unwrap();
    assert_eq!((&payload["taskId"], &payload["checkName"]), (&json!(task), &json!("DEVICE_CERTIFICATE_SHARED_CHECK")));
    let members: Vec<&String> = payload.as_object().unwrap().keys().collect();
    for member in
        ["findingId", "findingTime", "severity", "taskStartTime", "nonCompliantResource", "reasonForNonCompliance"]
    {
        assert!(members.iter().any(|name| *name == member), "{payload:#}");
    }
    assert!(payload["findingTime"].is_i64(), "integer milliseconds, as Device Defender publishes them");
}
