//! Wire shapes: mitigation actions and mitigation tasks.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::call::{Call, page_reply, seconds, strings};
use super::error::IotError;
use super::fleet::Fleet;
use super::mitigation_task::{Execution, MitigationTask};
use super::mitigations::MitigationAction;
use super::tags::tags_of;

const TASK_STATUSES: [&str; 4] = ["IN_PROGRESS", "COMPLETED", "FAILED", "CANCELED"];
const EXECUTION_STATUSES: [&str; 6] = ["IN_PROGRESS", "COMPLETED", "FAILED", "CANCELED", "SKIPPED", "PENDING"];
const ACTION_TYPES: [&str; 6] = [
    "UPDATE_DEVICE_CERTIFICATE",
    "UPDATE_CA_CERTIFICATE",
    "ADD_THINGS_TO_THING_GROUP",
    "REPLACE_DEFAULT_POLICY_VERSION",
    "ENABLE_IOT_LOGGING",
    "PUBLISH_FINDING_TO_SNS",
];

type Reply = Result<Value, IotError>;

fn arn_and_id(fleet: &Fleet, action: &MitigationAction) -> Value {
    json!({ "actionArn": fleet.arn("mitigationaction", &action.name), "actionId": action.id })
}

pub(super) fn create_mitigation_action(fleet: &mut Fleet, call: &Call) -> Reply {
    let params = call.member("actionParams").ok_or_else(|| IotError::invalid("actionParams is required"))?;
    let (name, role_arn) = (call.label("actionName")?, call.required_text("roleArn")?);
    let tags = tags_of(call)?;
    let action = fleet.create_mitigation_action(name, role_arn, params)?.clone();
    let arn = fleet.arn("mitigationaction", name);
    fleet.tag(&arn, tags);
    Ok(arn_and_id(fleet, &action))
}

pub(super) fn update_mitigation_action(fleet: &mut Fleet, call: &Call) -> Reply {
    let (name, role_arn) = (call.label("actionName")?, call.text("roleArn")?);
    let action = fleet.update_mitigation_action(name, role_arn, call.member("actionParams"))?.clone();
    Ok(arn_and_id(fleet, &action))
}

pub(super) fn describe_mitigation_action(fleet: &mut Fleet, call: &Call) -> Reply {
    let action = fleet.mitigation_action(call.label("actionName")?)?;
    Ok(json!({
        "actionName": action.name,
        "actionType": action.action_type(),
        "actionArn": fleet.arn("mitigationaction", &action.name),
        "actionId": action.id,
        "roleArn": action.role_arn,
        "actionParams": action.params,
        "creationDate": seconds(action.created_ms),
        "lastModifiedDate": seconds(action.modified_ms),
    }))
}

pub(super) fn list_mitigation_actions(fleet: &mut Fleet, call: &Call) -> Reply {
    let kind = call.query_one_of("actionType", &ACTION_TYPES)?;
    let wanted = |action: &MitigationAction| kind.is_none_or(|kind| action.action_type() == kind);
    let show = |name: &String, action: &MitigationAction| {
        json!({
            "actionName": name,
            "actionArn": fleet.arn("mitigationaction", name),
            "creationDate": seconds(action.created_ms),
        })
    };
    let page = call.token_page()?.of_map(&fleet.defender.actions, wanted, show);
    Ok(page_reply("actionIdentifiers", page, "nextToken"))
}

pub(super) fn delete_mitigation_action(fleet: &mut Fleet, call: &Call) -> Reply {
    let name = call.label("actionName")?;
    let arn = fleet.arn("mitigationaction", name);
    fleet.defender.actions.remove(name);
    fleet.tags.remove(&arn);
    Ok(json!({}))
}

pub(super) fn start_audit_mitigation_actions_task(fleet: &mut Fleet, call: &Call) -> Reply {
    let task_id = call.label("taskId")?;
    let target = call.member("target").ok_or_else(|| IotError::invalid("target is required"))?;
    let mapping = call.member("auditCheckToActionsMapping").and_then(Value::as_object);
    let mapping = mapping.ok_or_else(|| IotError::invalid("auditCheckToActionsMapping is required"))?;
    let mapping: BTreeMap<String, Vec<String>> = mapping
        .iter()
        .map(|(check, actions)| Ok((check.clone(), strings("auditCheckToActionsMapping", actions)?)))
        .collect::<Result<_, IotError>>()?;
    fleet.start_mitigation_task(task_id, call.required_text("clientRequestToken")?, target, mapping)?;
    Ok(json!({ "taskId": task_id }))
}

fn task<'a>(fleet: &'a Fleet, task_id: &str) -> Result<&'a MitigationTask, IotError> {
    let task = fleet.defender.mitigation_tasks.get(task_id);
    task.ok_or_else(|| IotError::not_found(format!("Mitigation task {task_id} does not exist")))
}

pub(super) fn describe_audit_mitigation_actions_task(fleet: &mut Fleet, call: &Call) -> Reply {
    let task = task(fleet, call.label("taskId")?)?;
    let statistics: Map<String, Value> = task
        .statistics()
        .into_iter()
        .map(|(check, counts)| {
            let shown = json!({
                "totalFindingsCount": counts.total,
                "failedFindingsCount": counts.failed,
                "succeededFindingsCount": counts.succeeded,
                "skippedFindingsCount": counts.skipped,
                "canceledFindingsCount": counts.canceled,
            });
            (check, shown)
        })
        .collect();
    let definition = |action: &MitigationAction| json!({ "name": action.name, "id": action.id, "roleArn": action.role_arn, "actionParams": action.params });
    let mut reply = json!({
        "taskStatus": task.status.as_str(),
        "startTime": seconds(task.start_ms),
        "taskStatistics": statistics,
        "target": task.target,
        "auditCheckToActionsMapping": task.mapping,
        "actionsDefinition": task.actions.iter().map(definition).collect::<Vec<_>>(),
    });
    if let Some(end) = task.end_ms {
        reply["endTime"] = seconds(end);
    }
    Ok(reply)
}

pub(super) fn list_audit_mitigation_actions_tasks(fleet: &mut Fleet, call: &Call) -> Reply {
    let (from, to) = (call.query_time_ms("startTime")?, call.query_time_ms("endTime")?);
    let (audit, finding) = (call.query("auditTaskId"), call.query("findingId"));
    let status = call.query_one_of("taskStatus", &TASK_STATUSES)?;
    let wanted = |task: &MitigationTask| {
        // Begun on or after the one, completed or cancelled on or before the other (botocore); one that is in progress has
        // no end yet, and its beginning counts.
        task.start_ms >= from
            && task.end_ms.unwrap_or(task.start_ms) <= to
            && audit.is_none_or(|audit| {
                task.target["auditTaskId"] == audit || task.findings().any(|finding| finding.task_id == audit)
            })
            && finding.is_none_or(|id| !task.executions(id).is_empty())
            && status.is_none_or(|status| task.status.as_str() == status)
    };
    let show = |id: &String, task: &MitigationTask| json!({ "taskId": id, "startTime": seconds(task.start_ms), "taskStatus": task.status.as_str() });
    let page = call.token_page()?.of_map(&fleet.defender.mitigation_tasks, wanted, show);
    Ok(page_reply("tasks", page, "nextToken"))
}

pub(super) fn list_audit_mitigation_actions_executions(fleet: &mut Fleet, call: &Call) -> Reply {
    let (Some(task_id), Some(finding_id)) = (call.query("taskId"), call.query("findingId")) else {
        return Err(IotError::invalid("taskId and findingId are required"));
    };
    // The operation has no ResourceNotFoundException: what is not known has no executions.
    let executions = fleet.defender.mitigation_tasks.get(task_id).map_or(&[][..], |task| task.executions(finding_id));
    let status = call.query_one_of("actionStatus", &EXECUTION_STATUSES)?;
    let show = |execution: &Execution| {
        let mut shown = json!({
            "taskId": task_id,
            "findingId": finding_id,
            "actionName": execution.action_name,
            "actionId": execution.action_id,
            "status": execution.status.as_str(),
        });
        if let Some(start) = execution.start_ms {
            shown["startTime"] = seconds(start);
        }
        if let Some(end) = execution.end_ms {
            shown["endTime"] = seconds(end);
        }
        if let Some(error) = &execution.error {
            shown["errorCode"] = json!(error.code);
            shown["message"] = json!(error.message);
        }
        shown
    };
    let wanted = |execution: &Execution| status.is_none_or(|status| execution.status.as_str() == status);
    Ok(page_reply("actionsExecutions", call.token_page()?.of_sequence(executions, wanted, show)?, "nextToken"))
}

pub(super) fn cancel_audit_mitigation_actions_task(fleet: &mut Fleet, call: &Call) -> Reply {
    fleet.cancel_mitigation_task(call.label("taskId")?)?;
    Ok(json!({}))
}
