//! Scheduled audits, by whole requests, on a clock that days pass on.

use std::time::Duration;

use serde_json::{Value, json};

use super::service_tests::{call, ok, service};
use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn create(service: &IotService, name: &str, days: Value, checks: &[&str]) {
    let mut body = days;
    body["targetCheckNames"] = json!(checks);
    ok(service, "POST", &format!("/audit/scheduledaudits/{name}"), body).await;
}

/// Audits that schedules have started, in order: the schedule's name, and the start in epoch milliseconds.
fn started(service: &IotService) -> Vec<(String, i64)> {
    service.with_fleet(|fleet| {
        let audits = fleet
            .defender
            .latest_audits()
            .filter_map(|(_, audit)| Some((audit.scheduled_audit_name.clone()?, audit.start_ms)));
        let mut audits: Vec<_> = audits.collect();
        audits.reverse();
        audits
    })
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

#[tokio::test(start_paused = true)]
async fn a_daily_audit_runs_every_midnight_until_it_is_deleted() {
    let (service, _) = service(Quotas::off());
    service.with_fleet(seed::workshop);
    create(&service, "daily", json!({ "frequency": "DAILY" }), &["LOGGING_DISABLED_CHECK"]).await;
    assert_eq!(started(&service), [], "not before its first midnight");
    tokio::time::sleep(3 * DAY).await;
    let audits = started(&service);
    assert_eq!(audits.len(), 3);
    for (name, start_ms) in &audits {
        assert_eq!(name, "daily");
        // The clock is told in milliseconds, and a wait ends at most a few late.
        assert!(start_ms % DAY_MS < 10, "{start_ms} is not midnight");
    }
    let task_id = service.with_fleet(|fleet| fleet.defender.latest_audits().next().unwrap().0.clone());
    let task = ok(&service, "GET", &format!("/audit/tasks/{task_id}"), Value::Null).await;
    assert_eq!(task["taskType"], "SCHEDULED_AUDIT_TASK");
    assert_eq!(task["scheduledAuditName"], "daily");
    assert_eq!(task["auditDetails"]["LOGGING_DISABLED_CHECK"]["checkRunStatus"], "COMPLETED_NON_COMPLIANT");
    ok(&service, "DELETE", "/audit/scheduledaudits/daily", Value::Null).await;
    tokio::time::sleep(3 * DAY).await;
    assert_eq!(started(&service).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_changed_schedule_runs_at_its_new_times_only() {
    let (service, _) = service(Quotas::off());
    service.with_fleet(seed::workshop);
    create(&service, "audit", json!({ "frequency": "DAILY" }), &["LOGGING_DISABLED_CHECK"]).await;
    // 2026-10-04, a Sunday, is the day of the tests.
    let weekly = json!({ "frequency": "WEEKLY", "dayOfWeek": "WED" });
    ok(&service, "PATCH", "/audit/scheduledaudits/audit", weekly).await;
    tokio::time::sleep(15 * DAY).await;
    let weekdays: Vec<i64> = started(&service).iter().map(|(_, start_ms)| (start_ms / DAY_MS + 4) % 7).collect();
    assert_eq!(weekdays, [3, 3], "Wednesdays; 1970-01-01 was a Thursday");
}

#[tokio::test(start_paused = true)]
async fn a_scheduled_audit_looks_at_connections_since_the_audit_before_it() {
    let (service, _) = service(Quotas::off());
    service.with_fleet(seed::workshop);
    let check = "DEVICE_CERTIFICATE_SHARED_CHECK";
    create(&service, "daily", json!({ "frequency": "DAILY" }), &[check]).await;
    let run = async || {
        let task_id =
            ok(&service, "POST", "/_sandbox/run-schedule", json!({ "name": "daily" })).await["taskId"].clone();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let task = ok(&service, "GET", &format!("/audit/tasks/{}", task_id.as_str().unwrap()), Value::Null).await;
        task["auditDetails"][check]["nonCompliantResourcesCount"].clone()
    };
    assert_eq!(run().await, 1, "the first one looks at 31 days");
    tokio::time::sleep(Duration::from_secs(3 * 60 * 60)).await;
    assert_eq!(run().await, 0, "nobody has connected since");
}

#[tokio::test(start_paused = true)]
async fn the_summary_of_a_scheduled_audit_names_its_schedule() {
    let (service, recorder) = service(Quotas::off());
    service.with_fleet(|fleet| fleet.enable_audits(Some(super::service_tests::TOPIC)));
    create(&service, "daily", json!({ "frequency": "DAILY" }), &["LOGGING_DISABLED_CHECK"]).await;
    tokio::time::sleep(DAY).await;
    let published = recorder.taken();
    let summary: Value = serde_json::from_str(&published[0].1).unwrap();
    assert_eq!(summary["taskType"], "SCHEDULED_AUDIT_TASK");
    assert_eq!(summary["scheduledAuditName"], "daily");
}

#[tokio::test(start_paused = true)]
async fn five_schedules_are_the_limit_and_a_name_is_taken_once() {
    let (service, _) = service(Quotas::off());
    service.with_fleet(seed::workshop);
    for n in 0..5 {
        create(&service, &format!("s{n}"), json!({ "frequency": "DAILY" }), &["LOGGING_DISABLED_CHECK"]).await;
    }
    let body = json!({ "frequency": "DAILY", "targetCheckNames": ["LOGGING_DISABLED_CHECK"] });
    let (status, code, _) = call(&service, "POST", "/audit/scheduledaudits/s5", body.clone()).await;
    assert_eq!((status, code.as_str()), (410, "LimitExceededException"));
    let (status, code, _) = call(&service, "POST", "/audit/scheduledaudits/s0", body).await;
    assert_eq!((status, code.as_str()), (409, "ResourceAlreadyExistsException"));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_a_schedule_uses_cannot_be_disabled_and_disabling_one_deletes_its_findings() {
    let (service, _) = service(Quotas::off());
    service.with_fleet(seed::workshop);
    let (logging, shared) = ("LOGGING_DISABLED_CHECK", "DEVICE_CERTIFICATE_SHARED_CHECK");
    let task_id = super::service_tests::audit(&service, &[logging, shared]).await;
    create(&service, "daily", json!({ "frequency": "DAILY" }), &[logging]).await;
    let disable = |check: &str| json!({ "auditCheckConfigurations": { check: { "enabled": false } } });
    let both = json!({ "auditCheckConfigurations": { logging: { "enabled": false }, shared: { "enabled": false } } });
    for body in [disable(logging), both] {
        let (status, code, reply) = call(&service, "PATCH", "/audit/configuration", body).await;
        assert_eq!((status, code.as_str()), (400, "InvalidRequestException"));
        assert!(reply["message"].as_str().unwrap().contains("the scheduled audit daily uses it"), "{reply}");
    }
    let findings = || {
        service.with_fleet(|fleet| {
            let findings = &fleet.audit(&task_id).unwrap().findings;
            findings.iter().map(|finding| finding.check_name.clone()).collect::<Vec<_>>()
        })
    };
    assert_eq!(findings(), [shared, logging], "a refused change changes nothing");
    ok(&service, "PATCH", "/audit/configuration", disable(shared)).await;
    assert_eq!(findings(), [logging]);

    let (status, code, _) = call(&service, "DELETE", "/audit/configuration", Value::Null).await;
    assert_eq!((status, code.as_str()), (400, "InvalidRequestException"), "there is a schedule");
    ok(&service, "DELETE", "/audit/configuration?deleteScheduledAudits=true", Value::Null).await;
    let left = ok(&service, "GET", "/audit/scheduledaudits", Value::Null).await;
    assert_eq!(left["scheduledAudits"], json!([]));
    let (status, code, _) = call(&service, "DELETE", "/audit/configuration", Value::Null).await;
    assert_eq!((status, code.as_str()), (404, "ResourceNotFoundException"));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_nobody_uses_any_more_is_not_kept_by_its_schedules() {
    let (service, recorder) = service(Quotas::off());
    service.with_fleet(|fleet| fleet.enable_audits(Some(super::service_tests::TOPIC)));
    create(&service, "daily", json!({ "frequency": "DAILY" }), &["LOGGING_DISABLED_CHECK"]).await;
    tokio::task::yield_now().await;
    drop(service);
    assert_eq!(std::sync::Arc::strong_count(&recorder), 1, "the fleet and what it publishes to are gone");
}
