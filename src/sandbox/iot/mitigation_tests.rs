//! Device Defender's own mitigation tasks, by whole requests.

use std::time::Duration;

use serde_json::{Value, json};

use super::service_tests::{TOPIC, audit, call, ok, service};
use super::*;

async fn action(service: &IotService, name: &str, params: Value) {
    let body = json!({ "roleArn": "arn:aws:iam::123456789012:role/Mitigation", "actionParams": params });
    ok(service, "POST", &format!("/mitigationactions/actions/{name}"), body).await;
}

fn mapping(action: &str) -> Value {
    let wanted = CHECKS.iter().filter(|check| check.name != AGE_CHECK);
    wanted.map(|check| (check.name.to_owned(), json!([action]))).collect::<serde_json::Map<_, _>>().into()
}

#[tokio::test(start_paused = true)]
async fn a_mitigation_task_publishes_every_finding_of_an_audit_once_in_the_native_form() {
    let (service, recorder) = service(Quotas::off());
    service.with_fleet(|fleet| seed::defective_fleet(fleet, 100, 2));
    let task_id = audit(&service, &[]).await;
    action(&service, "Publish", json!({ "publishFindingToSnsParams": { "topicArn": TOPIC } })).await;
    let body = json!({
        "target": { "auditTaskId": task_id },
        "auditCheckToActionsMapping": mapping("Publish"),
        "clientRequestToken": "t1",
    });
    ok(&service, "POST", "/audit/mitigationactions/tasks/publish-1", body.clone()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let findings = service.with_fleet(|fleet| fleet.audit(&task_id).unwrap().findings.clone());
    let published = recorder.taken();
    assert_eq!(published.len(), findings.len());
    let message: Value = serde_json::from_str(&published[0].1).unwrap();
    let members = [
        "findingId",
        "findingTime",
        "severity",
        "taskStartTime",
        "nonCompliantResource",
        "taskId",
        "checkName",
        "reasonForNonComplianceCode",
        "reasonForNonCompliance",
    ];
    assert!(message.as_object().unwrap().keys().eq(members), "{message}");
    assert!(message["findingTime"].as_i64().unwrap() > 1_791_000_000_000, "integer milliseconds");

    // The same request again is the same task, not a second round.
    ok(&service, "POST", "/audit/mitigationactions/tasks/publish-1", body.clone()).await;
    let mut other = body;
    other["clientRequestToken"] = json!("t2");
    let (status, code, _) = call(&service, "POST", "/audit/mitigationactions/tasks/publish-1", other).await;
    assert_eq!((status, code.as_str()), (400, "TaskAlreadyExistsException"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(recorder.taken(), []);
    let task = ok(&service, "GET", "/audit/mitigationactions/tasks/publish-1", Value::Null).await;
    assert_eq!(task["taskStatus"], "COMPLETED");
}

#[tokio::test(start_paused = true)]
async fn device_defenders_own_actions_leave_only_what_has_no_action_and_full_policies() {
    let (service, _) = service(Quotas::off());
    service.with_fleet(|fleet| seed::defective_fleet(fleet, 60, 3));
    action(&service, "Dev", json!({ "updateDeviceCertificateParams": { "action": "DEACTIVATE" } })).await;
    action(&service, "Ca", json!({ "updateCACertificateParams": { "action": "DEACTIVATE" } })).await;
    action(&service, "Pol", json!({ "replaceDefaultPolicyVersionParams": { "templateName": "BLANK_POLICY" } })).await;
    let logging = json!({ "roleArnForLogging": "arn:aws:iam::123456789012:role/Log", "logLevel": "ERROR" });
    action(&service, "Log", json!({ "enableIoTLoggingParams": logging })).await;
    action(&service, "Group", json!({ "addThingsToThingGroupParams": { "thingGroupNames": ["Quarantine"] } })).await;
    let task_id = audit(&service, &[]).await;
    let mut mapping = serde_json::Map::new();
    for check in &CHECKS {
        let names: &[&str] = match check.actions.first() {
            Some(&"UPDATE_DEVICE_CERTIFICATE") => &["Group", "Dev"],
            Some(&"UPDATE_CA_CERTIFICATE") => &["Ca"],
            Some(&"REPLACE_DEFAULT_POLICY_VERSION") => &["Pol"],
            Some(&"ENABLE_IOT_LOGGING") => &["Log"],
            _ => continue,
        };
        mapping.insert(check.name.to_owned(), json!(names));
    }
    let body = json!({
        "target": { "auditTaskId": task_id }, "auditCheckToActionsMapping": mapping, "clientRequestToken": "t",
    });
    ok(&service, "POST", "/audit/mitigationactions/tasks/all", body).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let task = ok(&service, "GET", "/audit/mitigationactions/tasks/all", Value::Null).await;
    // Policies that have five versions already cannot get another: the native action prunes nothing.
    assert_eq!(task["taskStatus"], "FAILED");
    assert_eq!(task["taskStatistics"]["IOT_POLICY_OVERLY_PERMISSIVE_CHECK"]["failedFindingsCount"], 6);

    let second = audit(&service, &[]).await;
    let left = ok(&service, "GET", "/_sandbox/state", Value::Null).await["audits"][0].clone();
    assert_eq!(left["taskId"], json!(second));
    let expected = json!({
        "AUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK": 2,
        "CONFLICTING_CLIENT_IDS_CHECK": 5,
        "IOT_POLICY_OVERLY_PERMISSIVE_CHECK": 6,
        "IOT_ROLE_ALIAS_ALLOWS_ACCESS_TO_UNUSED_SERVICES_CHECK": 2,
        "IOT_ROLE_ALIAS_OVERLY_PERMISSIVE_CHECK": 3,
        "UNAUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK": 2,
    });
    assert_eq!(left["findings"], expected);
    let quarantined = service.with_fleet(|fleet| fleet.thing_groups["Quarantine"].things.len());
    let inactive = service.with_fleet(|fleet| {
        fleet.certificates.values().filter(|one| one.status == CertificateStatus::Inactive).count()
    });
    assert_eq!(quarantined, inactive);
}

#[tokio::test(start_paused = true)]
async fn when_an_action_fails_the_rest_is_skipped_for_that_finding_and_the_executions_say_why() {
    let (service, recorder) = service(Quotas::off());
    service.with_fleet(seed::workshop);
    action(&service, "Lost", json!({ "publishFindingToSnsParams": { "topicArn": "arn:aws:sns:us-east-1:1:missing" } }))
        .await;
    action(&service, "Publish", json!({ "publishFindingToSnsParams": { "topicArn": TOPIC } })).await;
    let id = "11111111-1111-4111-8111-111111111111";
    let mut body = json!({
        "target": { "findingIds": [id] },
        "auditCheckToActionsMapping": { "IOT_POLICY_OVERLY_PERMISSIVE_CHECK": ["Lost", "Publish"] },
        "clientRequestToken": "t",
    });
    ok(&service, "POST", "/audit/mitigationactions/tasks/a", body.clone()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let uri = format!("/audit/mitigationactions/executions?taskId=a&findingId={id}");
    let executions = ok(&service, "GET", &uri, Value::Null).await["actionsExecutions"].clone();
    assert_eq!((&executions[0]["status"], &executions[1]["status"]), (&json!("FAILED"), &json!("SKIPPED")));
    assert!(executions[0]["message"].as_str().unwrap().contains("does not exist"));
    assert_eq!(recorder.taken(), []);

    body["target"]["findingIds"] = json!(vec![id; 26]);
    let (status, _, _) = call(&service, "POST", "/audit/mitigationactions/tasks/b", body.clone()).await;
    assert_eq!(status, 400, "26 findings");
    action(&service, "Dev", json!({ "updateDeviceCertificateParams": { "action": "DEACTIVATE" } })).await;
    body["target"]["findingIds"] = json!([id]);
    body["auditCheckToActionsMapping"]["IOT_POLICY_OVERLY_PERMISSIVE_CHECK"] = json!(["Dev"]);
    let (_, code, reply) = call(&service, "POST", "/audit/mitigationactions/tasks/b", body).await;
    assert_eq!(code, "InvalidRequestException", "a certificate action on a policy: {reply}");
}

#[tokio::test(start_paused = true)]
async fn a_suppressed_finding_is_skipped() {
    let (service, recorder) = service(Quotas::off());
    service.with_fleet(seed::workshop);
    let suppression = json!({
        "checkName": "LOGGING_DISABLED_CHECK",
        "resourceIdentifier": { "account": "123456789012" },
        "suppressIndefinitely": true,
        "clientRequestToken": "s",
    });
    ok(&service, "POST", "/audit/suppressions/create", suppression).await;
    let task_id = audit(&service, &["LOGGING_DISABLED_CHECK"]).await;
    action(&service, "Publish", json!({ "publishFindingToSnsParams": { "topicArn": TOPIC } })).await;
    let body = json!({
        "target": { "auditTaskId": task_id },
        "auditCheckToActionsMapping": { "LOGGING_DISABLED_CHECK": ["Publish"] },
        "clientRequestToken": "t",
    });
    ok(&service, "POST", "/audit/mitigationactions/tasks/a", body).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let task = ok(&service, "GET", "/audit/mitigationactions/tasks/a", Value::Null).await;
    assert_eq!(task["taskStatistics"]["LOGGING_DISABLED_CHECK"]["skippedFindingsCount"], 1);
    assert_eq!(recorder.taken(), []);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_task_does_nothing_more_and_counts_what_it_did_not_reach() {
    let (service, recorder) = service(Quotas::off());
    service.with_fleet(|fleet| seed::defective_fleet(fleet, 50, 8));
    let task_id = audit(&service, &["DEVICE_CERTIFICATE_EXPIRING_CHECK"]).await;
    action(&service, "Publish", json!({ "publishFindingToSnsParams": { "topicArn": TOPIC } })).await;
    let body = json!({
        "target": { "auditTaskId": task_id },
        "auditCheckToActionsMapping": { "DEVICE_CERTIFICATE_EXPIRING_CHECK": ["Publish"] },
        "clientRequestToken": "t",
    });
    ok(&service, "POST", "/audit/mitigationactions/tasks/a", body).await;
    // Half of the time that a task takes.
    tokio::time::sleep(Duration::from_millis(150)).await;
    let cancel = "/audit/mitigationactions/tasks/a/cancel";
    ok(&service, "PUT", cancel, Value::Null).await;
    assert_eq!(call(&service, "PUT", cancel, Value::Null).await.0, 400, "it is cancelled already");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let task = ok(&service, "GET", "/audit/mitigationactions/tasks/a", Value::Null).await;
    let counts = &task["taskStatistics"]["DEVICE_CERTIFICATE_EXPIRING_CHECK"];
    let number = |name: &str| counts[name].as_u64().unwrap();
    assert_eq!(task["taskStatus"], "CANCELED");
    assert_eq!(number("succeededFindingsCount"), recorder.taken().len() as u64);
    assert!(number("canceledFindingsCount") > 0 && number("succeededFindingsCount") > 0);
    assert_eq!(number("succeededFindingsCount") + number("canceledFindingsCount"), number("totalFindingsCount"));
}

#[tokio::test(start_paused = true)]
async fn a_reason_code_filter_takes_only_findings_with_these_codes() {
    let (service, recorder) = service(Quotas::off());
    service.with_fleet(|fleet| seed::defective_fleet(fleet, 50, 8));
    let task_id = audit(&service, &["DEVICE_CERTIFICATE_EXPIRING_CHECK"]).await;
    action(&service, "Publish", json!({ "publishFindingToSnsParams": { "topicArn": TOPIC } })).await;
    let filter = json!({ "DEVICE_CERTIFICATE_EXPIRING_CHECK": ["CERTIFICATE_PAST_EXPIRATION"] });
    for (task, target) in [
        ("with-audit", json!({ "auditTaskId": task_id, "auditCheckToReasonCodeFilter": filter })),
        ("latest-audit", json!({ "auditCheckToReasonCodeFilter": filter })),
    ] {
        let body = json!({
            "target": target,
            "auditCheckToActionsMapping": { "DEVICE_CERTIFICATE_EXPIRING_CHECK": ["Publish"] },
            "clientRequestToken": task,
        });
        ok(&service, "POST", &format!("/audit/mitigationactions/tasks/{task}"), body).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let published = recorder.taken();
        assert!(!published.is_empty(), "{task}");
        assert!(published.iter().all(|(_, message)| message.contains("CERTIFICATE_PAST_EXPIRATION")), "{task}");
    }
}

#[tokio::test(start_paused = true)]
async fn executions_are_pending_then_in_progress_then_done_and_cancelled_ones_say_so() {
    let (service, _) = service(Quotas::off());
    service.with_fleet(|fleet| seed::defective_fleet(fleet, 50, 8));
    let check = "DEVICE_CERTIFICATE_EXPIRING_CHECK";
    let audit_id = audit(&service, &[check]).await;
    action(&service, "Dev", json!({ "updateDeviceCertificateParams": { "action": "DEACTIVATE" } })).await;
    let ids = service.with_fleet(|fleet| {
        let findings = &fleet.audit(&audit_id).unwrap().findings;
        findings.iter().take(4).map(|finding| finding.finding_id.clone()).collect::<Vec<_>>()
    });
    let body = json!({
        "target": { "findingIds": ids },
        "auditCheckToActionsMapping": { check: ["Dev"] },
        "clientRequestToken": "t",
    });
    ok(&service, "POST", "/audit/mitigationactions/tasks/a", body).await;
    // Four executions in 300 ms; this is in the middle of the second one.
    tokio::time::sleep(Duration::from_millis(110)).await;
    let executions = async |id: &str| {
        let uri = format!("/audit/mitigationactions/executions?taskId=a&findingId={id}");
        ok(&service, "GET", &uri, Value::Null).await["actionsExecutions"][0].clone()
    };
    let mut seen = Vec::new();
    for id in &ids {
        let execution = executions(id).await;
        let (start, end) = (execution["startTime"].is_number(), execution["endTime"].is_number());
        seen.push((execution["status"].as_str().unwrap().to_owned(), start, end));
    }
    let expected =
        [("COMPLETED", true, true), ("IN_PROGRESS", true, false), ("PENDING", false, false), ("PENDING", false, false)];
    assert_eq!(seen, expected.map(|(status, start, end)| (status.to_owned(), start, end)));
    ok(&service, "PUT", "/audit/mitigationactions/tasks/a/cancel", Value::Null).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(executions(&ids[0]).await["status"], "COMPLETED");
    for id in &ids[1..] {
        assert_eq!(executions(id).await["status"], "CANCELED");
    }
    let uri = format!("/audit/mitigationactions/executions?taskId=a&findingId={}&actionStatus=PENDING", ids[3]);
    assert_eq!(ok(&service, "GET", &uri, Value::Null).await["actionsExecutions"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn what_a_reason_code_filter_leaves_out_counts_as_skipped_and_a_finding_named_twice_is_one() {
    let (service, _) = service(Quotas::off());
    let check = "DEVICE_CERTIFICATE_EXPIRING_CHECK";
    service.with_fleet(|fleet| fleet.enable_audits(None));
    for (reason, count) in [("CERTIFICATE_APPROACHING_EXPIRATION", 3), ("CERTIFICATE_PAST_EXPIRATION", 2)] {
        ok(&service, "POST", "/_sandbox/defects", json!({ "check": check, "reason": reason, "count": count })).await;
    }
    let audit_id = audit(&service, &[check]).await;
    action(&service, "Dev", json!({ "updateDeviceCertificateParams": { "action": "DEACTIVATE" } })).await;
    let id = service.with_fleet(|fleet| fleet.audit(&audit_id).unwrap().findings[0].finding_id.clone());
    let filtered = json!({
        "auditTaskId": audit_id, "auditCheckToReasonCodeFilter": { check: ["CERTIFICATE_PAST_EXPIRATION"] },
    });
    for (task, target, (total, succeeded, skipped)) in
        [("filtered", filtered, (5, 2, 3)), ("twice", json!({ "findingIds": [id, id] }), (1, 1, 0))]
    {
        let body = json!({
            "target": target, "auditCheckToActionsMapping": { check: ["Dev"] }, "clientRequestToken": task,
        });
        let uri = format!("/audit/mitigationactions/tasks/{task}");
        ok(&service, "POST", &uri, body).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let counts = ok(&service, "GET", &uri, Value::Null).await["taskStatistics"][check].clone();
        let expected =
            [("totalFindingsCount", total), ("succeededFindingsCount", succeeded), ("skippedFindingsCount", skipped)];
        for (name, expected) in expected {
            assert_eq!(counts[name], expected, "{task}: {counts}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn ten_tasks_in_progress_and_a_hundred_actions_are_the_limits() {
    let (service, _) = service(Quotas::off());
    service.with_fleet(seed::workshop);
    let id = "11111111-1111-4111-8111-111111111111";
    action(&service, "Pol", json!({ "replaceDefaultPolicyVersionParams": { "templateName": "BLANK_POLICY" } })).await;
    let start = async |task: &str| {
        let body = json!({
            "target": { "findingIds": [id] },
            "auditCheckToActionsMapping": { "IOT_POLICY_OVERLY_PERMISSIVE_CHECK": ["Pol"] },
            "clientRequestToken": task,
        });
        call(&service, "POST", &format!("/audit/mitigationactions/tasks/{task}"), body).await
    };
    for n in 0..10 {
        assert_eq!(start(&format!("t{n}")).await.0, 200);
    }
    let (status, code, _) = start("t10").await;
    assert_eq!((status, code.as_str()), (410, "LimitExceededException"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(start("t10").await.0, 200, "those have ended");
    for n in 1..100 {
        action(&service, &format!("a{n}"), json!({ "updateCACertificateParams": { "action": "DEACTIVATE" } })).await;
    }
    let body = json!({
        "roleArn": "arn:aws:iam::123456789012:role/Mitigation",
        "actionParams": { "updateCACertificateParams": { "action": "DEACTIVATE" } },
    });
    let (status, code, _) = call(&service, "POST", "/mitigationactions/actions/a100", body).await;
    assert_eq!((status, code.as_str()), (410, "LimitExceededException"));
}
