//! Wire shapes: mitigation actions and mitigation tasks.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::call::{Call, page_reply, seconds, strings};
use super::error::IotError;
use super::fleet::Fleet;
use super::mitigations::{Execution, MitigationAction, MitigationTask};

type Reply = Result<Value, IotError>;

fn arn_and_id(fleet: &Fleet, action: &MitigationAction) -> Value {
    json!({ "actionArn": fleet.arn("mitigationaction", &action.name), "actionId": action.id })
}

pub(super) fn create_mitigation_action(fleet: &mut Fleet, call: &Call) -> Reply {
    let params = call.member("actionParams").ok_or_else(|| IotError::invalid("actionParams is required"))?;
    let (name, role_arn) = (call.label("actionName")?, call.required_text("roleArn")?);
    let action = fleet.create_mitigation_action(name, role_arn, params)?.clone();
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
    let kind = call.query("actionType");
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
    fleet.defender.actions.remove(call.label("actionName")?);
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
        .statistics
        .iter()
        .map(|(check, counts)| {
            let shown = json!({
                "totalFindingsCount": counts.total,
                "failedFindingsCount": counts.failed,
                "succeededFindingsCount": counts.succeeded,
                "skippedFindingsCount": counts.skipped,
                "canceledFindingsCount": counts.canceled,
            });
            (check.clone(), shown)
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
    let (audit, finding, status) = (call.query("auditTaskId"), call.query("findingId"), call.query("taskStatus"));
    let wanted = |task: &MitigationTask| {
        (from..=to).contains(&task.start_ms)
            && audit.is_none_or(|audit| task.findings.iter().any(|finding| finding.task_id == audit))
            && finding.is_none_or(|id| task.findings.iter().any(|finding| finding.finding_id == id))
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
    let executions = fleet.defender.mitigation_tasks.get(task_id).and_then(|task| task.executions.get(finding_id));
    let status = call.query("actionStatus");
    let show = |execution: &Execution| {
        let mut shown = json!({
            "taskId": task_id,
            "findingId": finding_id,
            "actionName": execution.action_name,
            "actionId": execution.action_id,
            "status": execution.status,
            "startTime": seconds(execution.start_ms),
            "endTime": seconds(execution.end_ms),
        });
        if let Some(error) = &execution.error {
            shown["errorCode"] = json!(error.code);
            shown["message"] = json!(error.message);
        }
        shown
    };
    let page = call.token_page()?.of_sequence(
        executions.map_or(&[], Vec::as_slice),
        |execution| status.is_none_or(|status| execution.status == status),
        show,
    )?;
    Ok(page_reply("actionsExecutions", page, "nextToken"))
}

pub(super) fn cancel_audit_mitigation_actions_task(fleet: &mut Fleet, call: &Call) -> Reply {
    fleet.cancel_mitigation_task(call.label("taskId")?)?;
    Ok(json!({}))
}
