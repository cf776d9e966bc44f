//! Wire shapes: audit tasks and findings.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::audits::{AuditTask, CheckRunStatus};
use super::call::{Call, page_reply, seconds};
use super::defender::{Finding, Resource};
use super::error::IotError;
use super::fleet::Fleet;
use super::identifiers::check_resource_identifier;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Audits are kept for 90 days (AWS General Reference); asking for earlier ones is an error (botocore,
/// `ListAuditTasksRequest`). A day more is let pass, so that who asks for the last 90 days is not refused for the time that
/// the request takes.
const RETENTION_MS: i64 = 91 * DAY_MS;

type Reply = Result<Value, IotError>;

pub(super) fn start_on_demand_audit_task(fleet: &mut Fleet, call: &Call) -> Reply {
    let checks = call.texts("targetCheckNames")?;
    let checks = checks.ok_or_else(|| IotError::invalid("targetCheckNames is required"))?;
    Ok(json!({ "taskId": fleet.start_audit(&checks)? }))
}

pub(super) fn cancel_audit_task(fleet: &mut Fleet, call: &Call) -> Reply {
    fleet.cancel_audit(call.label("taskId")?)?;
    Ok(json!({}))
}

pub(super) fn describe_audit_task(fleet: &mut Fleet, call: &Call) -> Reply {
    let audit = fleet.audit(call.label("taskId")?)?;
    let details: Map<String, Value> = audit
        .checks
        .iter()
        .map(|(name, run)| {
            let mut shown = json!({ "checkRunStatus": run.status.as_str() });
            if matches!(run.status, CheckRunStatus::Compliant | CheckRunStatus::NonCompliant) {
                shown["checkCompliant"] = json!(run.status == CheckRunStatus::Compliant);
                shown["totalResourcesCount"] = json!(run.total);
                shown["nonCompliantResourcesCount"] = json!(run.non_compliant);
                shown["suppressedNonCompliantResourcesCount"] = json!(run.suppressed);
            }
            if let Some(failure) = run.failure {
                shown["errorCode"] = json!(failure.as_str());
                shown["message"] = json!(failure.message());
            }
            (name.clone(), shown)
        })
        .collect();
    let mut reply = json!({
        "taskStatus": audit.status.as_str(),
        "taskType": audit.task_type(),
        "taskStartTime": seconds(audit.start_ms),
        "taskStatistics": {
            "totalChecks": audit.checks.len(),
            "inProgressChecks": audit.count(CheckRunStatus::InProgress),
            "waitingForDataCollectionChecks": audit.count(CheckRunStatus::WaitingForDataCollection),
            "compliantChecks": audit.count(CheckRunStatus::Compliant),
            "nonCompliantChecks": audit.count(CheckRunStatus::NonCompliant),
            "failedChecks": audit.count(CheckRunStatus::Failed),
            "canceledChecks": audit.count(CheckRunStatus::Canceled),
        },
        "auditDetails": details,
    });
    if let Some(name) = &audit.scheduled_audit_name {
        reply["scheduledAuditName"] = json!(name);
    }
    Ok(reply)
}

pub(super) fn list_audit_tasks(fleet: &mut Fleet, call: &Call) -> Reply {
    let (from, to) = (call.query_time_ms("startTime")?, call.query_time_ms("endTime")?);
    if from < fleet.now_ms() - RETENTION_MS {
        return Err(IotError::invalid("startTime is earlier than the 90 days for which audits are kept"));
    }
    let kind = call.query_one_of("taskType", &["ON_DEMAND_AUDIT_TASK", "SCHEDULED_AUDIT_TASK"])?;
    let status = call.query_one_of("taskStatus", &["IN_PROGRESS", "COMPLETED", "FAILED", "CANCELED"])?;
    let audits: Vec<(&String, &AuditTask)> =
        fleet.defender.audit_order.iter().filter_map(|id| fleet.defender.audits.get_key_value(id)).collect();
    let wanted = |(_, audit): &(&String, &AuditTask)| {
        (from..=to).contains(&audit.start_ms)
            && kind.is_none_or(|kind| audit.task_type() == kind)
            && status.is_none_or(|status| audit.status.as_str() == status)
    };
    let show = |(id, audit): &(&String, &AuditTask)| json!({ "taskId": id, "taskStatus": audit.status.as_str(), "taskType": audit.task_type() });
    Ok(page_reply("tasks", call.token_page()?.of_sequence(&audits, wanted, show)?, "nextToken"))
}

pub(super) fn list_audit_findings(fleet: &mut Fleet, call: &Call) -> Reply {
    let (from, to) = (call.time_ms("startTime")?, call.time_ms("endTime")?);
    let findings: &[Arc<Finding>] = match (call.text("taskId")?, from, to) {
        // An audit that is not known has no findings: the operation has no ResourceNotFoundException.
        (Some(task_id), None, None) => fleet.defender.audits.get(task_id).map_or(&[], |audit| &audit.findings),
        (None, Some(_), Some(_)) => &fleet.defender.findings,
        _ => {
            return Err(IotError::invalid("give taskId, or both startTime and endTime, not the one with the other"));
        }
    };
    let (check, identifier) = (call.text("checkName")?, call.member("resourceIdentifier"));
    if let Some(identifier) = identifier {
        check_resource_identifier(identifier)?;
    }
    let suppressed = call.flag("listSuppressedFindings")?;
    let wanted = |finding: &Arc<Finding>| {
        from.is_none_or(|from| finding.finding_ms >= from)
            && to.is_none_or(|to| finding.finding_ms <= to)
            && check.is_none_or(|check| finding.check_name == check)
            && identifier.is_none_or(|identifier| finding.resource.identifier == *identifier)
            // Without the flag both kinds are listed (botocore, `ListAuditFindingsRequest`).
            && suppressed.is_none_or(|suppressed| finding.is_suppressed == suppressed)
    };
    let page = call.body_page()?.of_sequence(findings, wanted, |finding| finding.to_rest())?;
    Ok(page_reply("findings", page, "nextToken"))
}

fn finding<'a>(fleet: &'a Fleet, id: &str) -> Result<&'a Arc<Finding>, IotError> {
    let finding = fleet.defender.finding(id);
    finding.ok_or_else(|| IotError::not_found(format!("Finding {id} does not exist")))
}

pub(super) fn describe_audit_finding(fleet: &mut Fleet, call: &Call) -> Reply {
    Ok(json!({ "finding": finding(fleet, call.label("findingId")?)?.to_rest() }))
}

pub(super) fn list_related_resources_for_audit_finding(fleet: &mut Fleet, call: &Call) -> Reply {
    let id = call.query("findingId").ok_or_else(|| IotError::invalid("findingId is required"))?;
    let related = &finding(fleet, id)?.related;
    let page = call.token_page()?.of_sequence(related, |_| true, Resource::to_json)?;
    Ok(page_reply("relatedResources", page, "nextToken"))
}
