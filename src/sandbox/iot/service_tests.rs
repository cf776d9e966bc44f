//! Whole requests against [`IotService::handle`], without a listener. The clock is paused in most of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::clock::Clock;

/// Keeps what was published.
#[derive(Default)]
pub(super) struct Recorder(pub Mutex<Vec<(String, String)>>);

#[async_trait]
impl TopicPublisher for Recorder {
    async fn publish(&self, topic_arn: &str, message: String) -> Result<(), String> {
        if topic_arn.ends_with(":missing") {
            return Err(format!("the topic {topic_arn} does not exist"));
        }
        self.0.lock().unwrap().push((topic_arn.to_owned(), message));
        Ok(())
    }
}

impl Recorder {
    pub(super) fn taken(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

pub(super) fn service(quotas: Quotas) -> (IotService, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    let clock = Clock::virtual_at(Timestamp::from_millisecond(1_791_100_000_000).unwrap());
    let config = IotConfig { quotas, clock, ..IotConfig::default() };
    (IotService::new(config, recorder.clone()), recorder)
}

pub(super) async fn raw(
    service: &IotService,
    method: &str,
    uri: &str,
    body: Value,
) -> Result<Response<Bytes>, DropConnection> {
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    service.handle(Request::builder().method(method).uri(uri).body(body).unwrap()).await
}

/// Status, error code and body.
pub(super) async fn call(service: &IotService, method: &str, uri: &str, body: Value) -> (u16, String, Value) {
    let response = raw(service, method, uri, body).await.unwrap();
    let code = response.headers().get("x-amzn-errortype").map_or("", |code| code.to_str().unwrap());
    (response.status().as_u16(), code.to_owned(), serde_json::from_slice(response.body()).unwrap())
}

pub(super) async fn ok(service: &IotService, method: &str, uri: &str, body: Value) -> Value {
    let (status, code, body) = call(service, method, uri, body).await;
    assert_eq!(status, 200, "{method} {uri}: {code} {body}");
    body
}

pub(super) const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:DeviceDefenderFindings";

/// Runs an audit of these checks (all that are enabled, if empty) to its end; its id.
pub(super) async fn audit(service: &IotService, checks: &[&str]) -> String {
    let all: Vec<&str> = CHECKS.iter().map(|check| check.name).filter(|name| *name != AGE_CHECK).collect();
    let checks = if checks.is_empty() { &all } else { checks };
    let reply = ok(service, "POST", "/audit/tasks", json!({ "targetCheckNames": checks })).await;
    let task_id = reply["taskId"].as_str().unwrap().to_owned();
    let running = ok(service, "GET", &format!("/audit/tasks/{task_id}"), Value::Null).await;
    assert_eq!(running["taskStatus"], "IN_PROGRESS");
    tokio::time::sleep(Duration::from_secs(1)).await;
    task_id
}

#[tokio::test(start_paused = true)]
async fn all_findings_of_an_audit_are_listed_page_by_page_and_each_can_be_described() {
    let (service, _) = service(Quotas::off());
    let report = ok(&service, "POST", "/_sandbox/seed", json!({ "things": 300, "seed": 5 })).await;
    let task_id = audit(&service, &[]).await;
    let described = ok(&service, "GET", &format!("/audit/tasks/{task_id}"), Value::Null).await;
    assert_eq!(described["taskStatus"], "COMPLETED");
    assert_eq!(described["taskStatistics"]["nonCompliantChecks"], 16);

    let (mut ids, mut token, mut pages) = (std::collections::BTreeSet::new(), Value::Null, 0);
    loop {
        let body = json!({ "taskId": task_id, "maxResults": 100, "nextToken": token });
        let page = ok(&service, "POST", "/audit/findings", body).await;
        pages += 1;
        for finding in page["findings"].as_array().unwrap() {
            assert!(ids.insert(finding["findingId"].as_str().unwrap().to_owned()), "a finding twice");
        }
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    let defects = report["defects"].as_object().unwrap();
    let expected: u64 = defects.iter().filter(|(name, _)| *name != AGE_CHECK).map(|(_, n)| n.as_u64().unwrap()).sum();
    assert_eq!((ids.len() as u64, pages), (expected, expected.div_ceil(100)));
    let id = ids.first().unwrap();
    let reply = ok(&service, "GET", &format!("/audit/findings/{id}"), Value::Null).await;
    assert_eq!(reply["finding"]["findingId"], json!(id));
    assert!(reply["finding"]["findingTime"].is_f64(), "epoch seconds with a fraction");
}

#[tokio::test(start_paused = true)]
async fn findings_are_asked_for_by_audit_or_by_time_and_filtered() {
    let (service, _) = service(Quotas::off());
    service.with_fleet(seed::workshop);
    let task_id = audit(&service, &[]).await;
    let both = json!({ "taskId": task_id, "startTime": 1.0, "endTime": 2.0 });
    for body in [both, json!({}), json!({ "startTime": 1.0 }), json!({ "taskId": task_id, "maxResults": 251 })] {
        let (status, code, _) = call(&service, "POST", "/audit/findings", body.clone()).await;
        assert_eq!((status, code.as_str()), (400, "InvalidRequestException"), "{body}");
    }
    let identifier = json!({ "policyVersionIdentifier": { "policyVersionId": "1", "policyName": "ExamplePolicy" } });
    for (body, count) in [
        (json!({ "taskId": task_id }), 3),
        (json!({ "taskId": task_id, "checkName": "LOGGING_DISABLED_CHECK" }), 1),
        (json!({ "taskId": task_id, "resourceIdentifier": identifier }), 1),
        (json!({ "taskId": task_id, "listSuppressedFindings": true }), 0),
        (json!({ "startTime": 1_791_014_400.0, "endTime": 1_791_014_402.0 }), 1),
        (json!({ "startTime": 1_791_000_000.0, "endTime": 1_792_000_000.0 }), 4),
        (json!({ "taskId": "ffffffffffffffffffffffffffffffff" }), 0),
    ] {
        let page = ok(&service, "POST", "/audit/findings", body.clone()).await;
        assert_eq!(page["findings"].as_array().unwrap().len(), count, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_workshops_sample_finding_can_be_looked_up_under_its_own_id() {
    let (service, _) = service(Quotas::off());
    ok(&service, "POST", "/_sandbox/seed", json!({ "workshop": true })).await;
    let uri = "/audit/findings/11111111-1111-4111-8111-111111111111";
    let finding = ok(&service, "GET", uri, Value::Null).await["finding"].clone();
    assert_eq!(finding["nonCompliantResource"]["resourceType"], "IOT_POLICY");
    assert_eq!(finding["findingTime"], json!(1_791_014_401.456));
    let (status, code, _) = call(&service, "GET", "/audit/findings/22222222", Value::Null).await;
    assert_eq!((status, code.as_str()), (404, "ResourceNotFoundException"));
}

#[tokio::test(start_paused = true)]
async fn certificates_of_a_revoked_intermediate_ca_are_only_in_the_related_resources() {
    let (service, _) = service(Quotas::off());
    service.with_fleet(|fleet| seed::defective_fleet(fleet, 40, 1));
    let task_id = audit(&service, &[INTERMEDIATE_CA_CHECK]).await;
    let page = ok(&service, "POST", "/audit/findings", json!({ "taskId": task_id })).await;
    let finding = &page["findings"][0];
    assert_eq!(finding["nonCompliantResource"]["resourceType"], "ISSUER_CERTIFICATE");
    assert!(finding["relatedResources"].is_null());
    let id = finding["findingId"].as_str().unwrap();
    let first = ok(&service, "GET", &format!("/audit/relatedResources?findingId={id}&maxResults=7"), Value::Null).await;
    let token = first["nextToken"].as_str().unwrap();
    let uri = format!("/audit/relatedResources?findingId={id}&maxResults=7&nextToken={token}");
    let second = ok(&service, "GET", &uri, Value::Null).await;
    let count = |page: &Value| page["relatedResources"].as_array().unwrap().len();
    assert_eq!((count(&first), count(&second), second["nextToken"].is_null()), (7, 5, true));
}

#[tokio::test(start_paused = true)]
async fn a_finished_audit_publishes_its_summary_if_the_account_wants_it() {
    let (service, recorder) = service(Quotas::off());
    let configuration = json!({
        "roleArn": "arn:aws:iam::123456789012:role/Audit",
        "auditNotificationTargetConfigurations": {
            "SNS": { "targetArn": TOPIC, "roleArn": "arn:aws:iam::123456789012:role/Notify", "enabled": true },
        },
        "auditCheckConfigurations": { "LOGGING_DISABLED_CHECK": { "enabled": true } },
    });
    let (status, _, _) = call(&service, "PATCH", "/audit/configuration", json!({})).await;
    assert_eq!(status, 400, "the first update needs the role");
    ok(&service, "PATCH", "/audit/configuration", configuration).await;
    let task_id = audit(&service, &["LOGGING_DISABLED_CHECK"]).await;
    let published = recorder.taken();
    assert_eq!(published.len(), 1);
    let summary: Value = serde_json::from_str(&published[0].1).unwrap();
    assert_eq!((published[0].0.as_str(), summary["taskId"].as_str()), (TOPIC, Some(task_id.as_str())));
    assert!(summary["auditDetails"].is_array());
    let quiet = json!({ "auditNotificationTargetConfigurations": { "SNS": { "enabled": false } } });
    ok(&service, "PATCH", "/audit/configuration", quiet).await;
    audit(&service, &["LOGGING_DISABLED_CHECK"]).await;
    assert_eq!(recorder.taken(), []);
}

#[tokio::test(start_paused = true)]
async fn calls_over_the_quota_are_throttled_until_time_has_passed_and_counted() {
    let (service, _) = service(Quotas::default());
    let certificates = service.with_fleet(|fleet| (0..40).map(|_| fleet.create_certificate(true)).collect::<Vec<_>>());
    let mut codes = Vec::new();
    for id in &certificates[..15] {
        codes.push(call(&service, "PUT", &format!("/certificates/{id}?newStatus=INACTIVE"), Value::Null).await.1);
    }
    assert_eq!(codes.iter().filter(|code| *code == "ThrottlingException").count(), 5);
    tokio::time::advance(Duration::from_secs(1)).await;
    ok(&service, "PUT", &format!("/certificates/{}?newStatus=INACTIVE", certificates[20]), Value::Null).await;
    assert_eq!(service.calls()["UpdateCertificate"], CallCount { ok: 11, throttled: 5, failed: 0 });
    // Logging has no throttling error in its model, and is throttled all the same.
    let logging = json!({ "roleArn": "r", "defaultLogLevel": "ERROR" });
    for _ in 0..2 {
        ok(&service, "POST", "/v2LoggingOptions", logging.clone()).await;
    }
    let (status, code, body) = call(&service, "POST", "/v2LoggingOptions", logging).await;
    assert_eq!((status, code.as_str(), &body["message"]), (400, "ThrottlingException", &json!("Rate exceeded")));
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_fault_does_what_its_name_says() {
    let (service, _) = service(Quotas::off());
    let id = service.with_fleet(|fleet| fleet.create_certificate(true));
    let uri = format!("/certificates/{id}?newStatus=INACTIVE");
    let status = |service: &IotService| service.with_fleet(|fleet| fleet.certificate(&id).unwrap().status);
    for (kind, expected) in [
        ("internal_failure", (500, "InternalFailureException")),
        ("unavailable", (503, "ServiceUnavailableException")),
        ("throttled", (400, "ThrottlingException")),
        ("denied", (403, "AccessDeniedException")),
    ] {
        let rules = json!([{ "operation": "UpdateCertificate", "rate": 1.0, "kind": kind, "times": 1 }]);
        ok(&service, "POST", "/_sandbox/faults", json!({ "seed": 1, "rules": rules })).await;
        let (code, name, _) = call(&service, "PUT", &uri, Value::Null).await;
        assert_eq!((code, name.as_str()), expected);
        assert_eq!(status(&service), CertificateStatus::Active, "{kind} does not run the operation");
    }
    let fault = |kind| service.set_faults(Faults { seed: 1, rules: vec![FaultRule::new("*", 1.0, kind).times(1)] });
    fault(FaultKind::Dropped);
    assert!(raw(&service, "PUT", &uri, Value::Null).await.is_err());
    fault(FaultKind::Hang { ms: 60_000 });
    let start = tokio::time::Instant::now();
    assert!(raw(&service, "PUT", &uri, Value::Null).await.is_err());
    assert_eq!(start.elapsed(), Duration::from_secs(60));
    assert_eq!(status(&service), CertificateStatus::Active);
    fault(FaultKind::LostReply);
    assert!(raw(&service, "PUT", &uri, Value::Null).await.is_err());
    assert_eq!(status(&service), CertificateStatus::Inactive, "a lost reply is not a lost call");
    ok(&service, "PUT", &uri, Value::Null).await;
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_the_sandbox_lacks_is_not_mistaken_for_a_missing_resource() {
    let (service, _) = service(Quotas::off());
    let (status, code, body) = call(&service, "POST", "/security-profiles/strict", json!({})).await;
    assert_eq!((status, code.as_str()), (404, "UnknownOperationException"));
    assert!(body["message"].as_str().unwrap().contains("the sandbox does not have the operation"));
    let request = Request::builder().method("POST").uri("/audit/findings").body(Bytes::from_static(b"{")).unwrap();
    assert_eq!(service.handle(request).await.unwrap().status(), 400);
}

#[tokio::test(start_paused = true)]
async fn controls_refuse_what_they_do_not_know() {
    let (service, _) = service(Quotas::off());
    for (path, body) in [
        ("faults", json!({ "rules": [{ "operation": "UpdateCertificates", "rate": 1.0, "kind": "denied" }] })),
        ("faults", json!({ "rules": [{ "operation": "*", "rate": 1.5, "kind": "denied" }] })),
        ("faults", json!({ "rate": 1.0 })),
        ("quotas", json!({ "scale": 0.0 })),
        ("quotas", json!({ "scal": 2.0 })),
        ("seed", json!({ "thing": 5 })),
        ("findings", json!({ "findingId": "x" })),
        ("pace", json!({ "audit_ms": -1 })),
        ("defects", json!({ "check": "LOGGING_DISABLED" })),
        ("defects", json!({ "check": "LOGGING_DISABLED_CHECK", "count": 2 })),
        ("defects", json!({ "check": "DEVICE_CERTIFICATE_EXPIRING_CHECK", "count": 2, "resource": "x" })),
        ("check-failures", json!({ "checks": { "LOGGING_DISABLED_CHECK": "TIRED" } })),
        ("check-failures", json!({ "checks": { "NO_SUCH_CHECK": "INSUFFICIENT_PERMISSIONS" } })),
    ] {
        let (status, _, reply) = call(&service, "POST", &format!("/_sandbox/{path}"), body.clone()).await;
        assert_eq!(status, 400, "{path} {body}: {reply}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_can_be_made_to_fail_and_work_can_be_made_to_take_longer_from_outside() {
    let (service, _) = service(Quotas::off());
    service.with_fleet(seed::workshop);
    let checks = ["DEVICE_CERTIFICATE_SHARED_CHECK", "LOGGING_DISABLED_CHECK"];
    let failures = json!({ "checks": { "LOGGING_DISABLED_CHECK": "INSUFFICIENT_PERMISSIONS" } });
    ok(&service, "POST", "/_sandbox/check-failures", failures).await;
    let reply = ok(&service, "POST", "/_sandbox/pace", json!({ "audit_ms": 10_000 })).await;
    assert_eq!(reply, json!({ "audit_ms": 10_000, "mitigation_ms": 300 }));
    let task_id = audit(&service, &checks).await;
    let uri = format!("/audit/tasks/{task_id}");
    let task = ok(&service, "GET", &uri, Value::Null).await;
    assert_eq!(task["taskStatus"], "IN_PROGRESS");
    assert_eq!(task["taskStatistics"]["inProgressChecks"], 1);
    assert_eq!(task["taskStatistics"]["waitingForDataCollectionChecks"], 1);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let task = ok(&service, "GET", &uri, Value::Null).await;
    let expected = json!({
        "checkRunStatus": "FAILED",
        "errorCode": "INSUFFICIENT_PERMISSIONS",
        "message": CheckFailure::InsufficientPermissions.message(),
    });
    assert_eq!((&task["taskStatus"], &task["auditDetails"][checks[1]]), (&json!("COMPLETED"), &expected));
    ok(&service, "POST", "/_sandbox/check-failures", json!({ "checks": {} })).await;
    let task_id = audit(&service, &checks).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let task = ok(&service, "GET", &format!("/audit/tasks/{task_id}"), Value::Null).await;
    assert_eq!(task["taskStatistics"]["nonCompliantChecks"], 2);
}
