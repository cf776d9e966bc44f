//! Wire shapes: audit configuration, audit tasks and findings.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::audits::{AuditTask, CheckRunStatus, error_message, require_check};
use super::call::{Call, page_reply, seconds};
use super::checks::CHECKS;
use super::defender::{AuditConfiguration, Finding, NotificationTarget, Resource};
use super::error::IotError;
use super::fleet::Fleet;

type Reply = Result<Value, IotError>;

pub(super) fn describe_account_audit_configuration(fleet: &mut Fleet, _: &Call) -> Reply {
    let configuration = &fleet.defender.configuration;
    let checks: Map<String, Value> = CHECKS
        .iter()
        .map(|check| {
            let mut shown = json!({ "enabled": configuration.enabled(check.name) });
            let settings = configuration.checks.get(check.name).map(|check| &check.configuration);
            if let Some(settings) = settings.filter(|settings| !settings.is_empty()) {
                shown["configuration"] = json!(settings);
            }
            (check.name.to_owned(), shown)
        })
        .collect();
    let mut reply = json!({ "auditCheckConfigurations": checks, "auditNotificationTargetConfigurations": {} });
    if let Some(role_arn) = &configuration.role_arn {
        reply["roleArn"] = json!(role_arn);
    }
    if let Some(target) = &configuration.sns_target {
        reply["auditNotificationTargetConfigurations"]["SNS"] = json!({
            "targetArn": target.target_arn,
            "roleArn": target.role_arn,
            "enabled": target.enabled,
        });
    }
    Ok(reply)
}

/// Each entry's allowed thresholds are 30 to 3652 days (developer guide, pages of the two checks).
fn check_configuration(name: &str, given: &Value) -> Result<(Option<bool>, BTreeMap<String, String>), IotError> {
    require_check(name)?;
    let mut settings = BTreeMap::new();
    for (key, value) in given["configuration"].as_object().into_iter().flatten() {
        let known = match key.as_str() {
            "CERT_EXPIRATION_THRESHOLD_IN_DAYS" => name.ends_with("CERTIFICATE_EXPIRING_CHECK"),
            "CERT_AGE_THRESHOLD_IN_DAYS" => name == super::checks::AGE_CHECK,
            _ => false,
        };
        let days = value.as_str().and_then(|days| days.parse::<u32>().ok()).filter(|days| (30..=3652).contains(days));
        let Some(days) = days.filter(|_| known) else {
            return Err(IotError::invalid(format!("{name} does not take the configuration {key}={value}")));
        };
        settings.insert(key.clone(), days.to_string());
    }
    Ok((given["enabled"].as_bool(), settings))
}

pub(super) fn update_account_audit_configuration(fleet: &mut Fleet, call: &Call) -> Reply {
    let mut next: AuditConfiguration = fleet.defender.configuration.clone();
    if let Some(role_arn) = call.text("roleArn")? {
        next.role_arn = Some(role_arn.to_owned());
    }
    if next.role_arn.is_none() {
        return Err(IotError::invalid("roleArn is required the first time the audit configuration is updated"));
    }
    if let Some(targets) = call.member("auditNotificationTargetConfigurations") {
        for (kind, given) in targets.as_object().into_iter().flatten() {
            if kind != "SNS" {
                return Err(IotError::invalid(format!("{kind} is not a notification target; SNS is")));
            }
            let target = next.sns_target.get_or_insert_with(NotificationTarget::default);
            if let Some(arn) = given["targetArn"].as_str() {
                arn.clone_into(&mut target.target_arn);
            }
            if let Some(arn) = given["roleArn"].as_str() {
                arn.clone_into(&mut target.role_arn);
            }
            if let Some(enabled) = given["enabled"].as_bool() {
                target.enabled = enabled;
            }
        }
    }
    if let Some(checks) = call.member("auditCheckConfigurations") {
        for (name, given) in checks.as_object().into_iter().flatten() {
            let (enabled, settings) = check_configuration(name, given)?;
            let entry = next.checks.entry(name.clone()).or_default();
            entry.enabled = enabled.unwrap_or(entry.enabled);
            entry.configuration.extend(settings);
        }
    }
    fleet.defender.configuration = next;
    Ok(json!({}))
}

pub(super) fn delete_account_audit_configuration(fleet: &mut Fleet, _: &Call) -> Reply {
    if fleet.defender.configuration.role_arn.is_none() {
        return Err(IotError::not_found("The account has no audit configuration"));
    }
    fleet.defender.configuration = AuditConfiguration::default();
    Ok(json!({}))
}

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
            if let Some(code) = run.error_code {
                shown["errorCode"] = json!(code);
                shown["message"] = json!(error_message(code));
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
            "waitingForDataCollectionChecks": 0,
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
    let (kind, status) = (call.query("taskType"), call.query("taskStatus"));
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
