//! Audit tasks, on the fleet itself.

use serde_json::{Value, json};

use super::audits::{CheckFailure, CheckRunStatus};
use super::checks::AGE_CHECK;
use super::defender::TaskStatus;
use super::fleet::Fleet;

fn fleet() -> Fleet {
    let mut fleet = Fleet::new("123456789012", "us-east-1", 1, 1_791_000_000_000);
    fleet.enable_audits(Some("arn:aws:sns:us-east-1:123456789012:Audits"));
    fleet
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn every_audit_makes_new_finding_ids_for_the_same_defect() {
    let mut fleet = fleet();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let task = fleet.start_audit(&names(&["LOGGING_DISABLED_CHECK"])).unwrap();
        fleet.finish_audit(&task);
        ids.push(fleet.audit(&task).unwrap().findings[0].finding_id.clone());
    }
    assert_ne!(ids[0], ids[1]);
    assert!(ids.iter().all(|id| fleet.defender.finding(id).is_some()));
}

#[test]
fn the_summary_counts_checks_and_carries_details_as_a_list() {
    let mut fleet = fleet();
    let task = fleet.start_audit(&names(&["LOGGING_DISABLED_CHECK", "CA_CERTIFICATE_EXPIRING_CHECK"])).unwrap();
    let (topic, text) = fleet.finish_audit(&task).unwrap();
    let summary: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(topic, "arn:aws:sns:us-east-1:123456789012:Audits");
    assert_eq!(summary["taskStatus"], "COMPLETED");
    assert_eq!((&summary["compliantChecksCount"], &summary["nonCompliantChecksCount"]), (&json!(1), &json!(1)));
    assert_eq!(summary["taskStartTime"], json!(1_791_000_000_000_i64));
    assert_eq!(summary["auditDetails"][1]["checkName"], "LOGGING_DISABLED_CHECK");
    assert_eq!(summary["auditDetails"][1]["nonCompliantResourcesCount"], 1);
}

#[test]
fn a_check_that_is_not_enabled_cannot_be_audited_and_one_disabled_meanwhile_fails() {
    let mut fleet = fleet();
    assert_eq!(fleet.start_audit(&names(&[AGE_CHECK])).unwrap_err().code, "InvalidRequestException");
    assert_eq!(fleet.start_audit(&names(&["NO_SUCH_CHECK"])).unwrap_err().code, "InvalidRequestException");
    let task = fleet.start_audit(&names(&["LOGGING_DISABLED_CHECK"])).unwrap();
    fleet.defender.configuration.checks.get_mut("LOGGING_DISABLED_CHECK").unwrap().enabled = false;
    fleet.finish_audit(&task);
    let audit = fleet.audit(&task).unwrap();
    assert_eq!(audit.status, TaskStatus::Failed);
    assert_eq!(audit.checks["LOGGING_DISABLED_CHECK"].failure, Some(CheckFailure::AuditCheckDisabled));
}

#[test]
fn the_eleventh_audit_at_one_time_is_over_the_limit() {
    let mut fleet = fleet();
    for _ in 0..10 {
        fleet.start_audit(&names(&["LOGGING_DISABLED_CHECK"])).unwrap();
    }
    let error = fleet.start_audit(&names(&["LOGGING_DISABLED_CHECK"])).unwrap_err();
    assert_eq!((error.code, error.status), ("LimitExceededException", 410));
}

#[test]
fn a_cancelled_audit_finds_nothing_and_cannot_be_cancelled_again() {
    let mut fleet = fleet();
    let task = fleet.start_audit(&names(&["LOGGING_DISABLED_CHECK"])).unwrap();
    fleet.cancel_audit(&task).unwrap();
    assert_eq!(fleet.cancel_audit(&task).unwrap_err().status, 400);
    let (_, summary) = fleet.finish_audit(&task).unwrap();
    assert!(summary.contains("\"CANCELED\""), "{summary}");
    assert!(fleet.audit(&task).unwrap().findings.is_empty());
}

#[test]
fn a_suppressed_violation_is_a_suppressed_finding_and_leaves_the_check_compliant() {
    let mut fleet = fleet();
    fleet.create_suppression("LOGGING_DISABLED_CHECK", &json!({"account": "123456789012"}), None, true, None).unwrap();
    let task = fleet.start_audit(&names(&["LOGGING_DISABLED_CHECK"])).unwrap();
    fleet.finish_audit(&task);
    let audit = fleet.audit(&task).unwrap();
    assert!(audit.findings[0].is_suppressed);
    assert_eq!(audit.checks["LOGGING_DISABLED_CHECK"].status, CheckRunStatus::Compliant);
    assert_eq!(audit.checks["LOGGING_DISABLED_CHECK"].suppressed, 1);
}

#[test]
fn an_audits_checks_end_one_after_another() {
    let mut fleet = fleet();
    let names = names(&["CA_CERTIFICATE_EXPIRING_CHECK", "LOGGING_DISABLED_CHECK"]);
    let task = fleet.start_audit(&names).unwrap();
    let states = |fleet: &Fleet| {
        let audit = fleet.audit(&task).unwrap();
        audit.checks.values().map(|run| run.status.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(states(&fleet), ["WAITING_FOR_DATA_COLLECTION"; 2]);
    assert!(fleet.begin_check(&task));
    assert_eq!(states(&fleet), ["IN_PROGRESS", "WAITING_FOR_DATA_COLLECTION"]);
    fleet.end_check(&task);
    assert_eq!(states(&fleet), ["COMPLETED_COMPLIANT", "WAITING_FOR_DATA_COLLECTION"]);
    fleet.cancel_audit(&task).unwrap();
    assert_eq!(states(&fleet), ["COMPLETED_COMPLIANT", "CANCELED"], "what was done stays done");
    assert!(!fleet.begin_check(&task));
}

#[test]
fn an_audit_fails_if_none_of_its_checks_could_be_performed_and_is_complete_if_some_could() {
    let mut fleet = fleet();
    let (logging, expiring) = ("LOGGING_DISABLED_CHECK", "CA_CERTIFICATE_EXPIRING_CHECK");
    fleet.defender.failing_checks.insert(logging.to_owned(), CheckFailure::InsufficientPermissions);
    for (checks, status) in [(&[logging][..], TaskStatus::Failed), (&[logging, expiring], TaskStatus::Completed)] {
        let task = fleet.start_audit(&names(checks)).unwrap();
        let (_, summary) = fleet.finish_audit(&task).unwrap();
        let audit = fleet.audit(&task).unwrap();
        assert_eq!(
            (audit.status, audit.checks[logging].failure),
            (status, Some(CheckFailure::InsufficientPermissions))
        );
        let summary: Value = serde_json::from_str(&summary).unwrap();
        let details = summary["auditDetails"].as_array().unwrap();
        let failed = details.iter().find(|detail| detail["checkName"] == logging).unwrap();
        assert_eq!(
            (&failed["checkRunStatus"], &failed["errorCode"]),
            (&json!("FAILED"), &json!("INSUFFICIENT_PERMISSIONS"))
        );
        assert_eq!(summary["failedChecksCount"], 1);
    }
}

#[test]
fn audits_of_schedules_do_not_count_as_on_demand_audits_in_progress() {
    let mut fleet = fleet();
    let checks = names(&["LOGGING_DISABLED_CHECK"]);
    fleet.create_scheduled_audit("daily", super::recurrence::Recurrence::Daily, checks.clone()).unwrap();
    for _ in 0..3 {
        fleet.run_scheduled_audit("daily").unwrap();
    }
    for _ in 0..10 {
        fleet.start_audit(&checks).unwrap();
    }
    assert_eq!(fleet.start_audit(&checks).unwrap_err().status, 410);
    assert!(fleet.run_scheduled_audit("daily").is_ok());
}
