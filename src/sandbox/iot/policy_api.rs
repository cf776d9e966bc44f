//! Wire shapes: policies, their versions and attachments.

use serde_json::{Value, json};

use super::call::{Call, page_reply, seconds};
use super::error::IotError;
use super::fleet::Fleet;

type Reply = Result<Value, IotError>;

pub(super) fn create_policy(fleet: &mut Fleet, call: &Call) -> Reply {
    let (name, document) = (call.label("policyName")?, call.required_text("policyDocument")?);
    fleet.create_policy(name, document)?;
    Ok(json!({
        "policyName": name,
        "policyArn": fleet.arn("policy", name),
        "policyDocument": document,
        "policyVersionId": "1",
    }))
}

pub(super) fn get_policy(fleet: &mut Fleet, call: &Call) -> Reply {
    let name = call.label("policyName")?;
    let policy = fleet.policy(name)?;
    Ok(json!({
        "policyName": name,
        "policyArn": fleet.arn("policy", name),
        "policyDocument": policy.default_document(),
        "defaultVersionId": policy.default_version.to_string(),
        "creationDate": seconds(policy.created_ms),
        "lastModifiedDate": seconds(policy.modified_ms),
        "generationId": policy.generation_id,
    }))
}

pub(super) fn delete_policy(fleet: &mut Fleet, call: &Call) -> Reply {
    fleet.delete_policy(call.label("policyName")?)?;
    Ok(json!({}))
}

fn name_and_arn(fleet: &Fleet, name: &str) -> Value {
    json!({ "policyName": name, "policyArn": fleet.arn("policy", name) })
}

pub(super) fn list_policies(fleet: &mut Fleet, call: &Call) -> Reply {
    let page = call.marker_page()?.of_map(&fleet.policies, |_| true, |name, _| name_and_arn(fleet, name));
    Ok(page_reply("policies", page, "nextMarker"))
}

pub(super) fn create_policy_version(fleet: &mut Fleet, call: &Call) -> Reply {
    let (name, document) = (call.label("policyName")?, call.required_text("policyDocument")?);
    let default = call.query_flag("setAsDefault");
    let number = fleet.create_policy_version(name, document, default)?;
    Ok(json!({
        "policyArn": fleet.arn("policy", name),
        "policyDocument": document,
        "policyVersionId": number.to_string(),
        "isDefaultVersion": default,
    }))
}

pub(super) fn get_policy_version(fleet: &mut Fleet, call: &Call) -> Reply {
    let name = call.label("policyName")?;
    let (number, version) = fleet.policy_version(name, call.label("policyVersionId")?)?;
    let policy = fleet.policy(name)?;
    Ok(json!({
        "policyArn": fleet.arn("policy", name),
        "policyName": name,
        "policyDocument": version.document,
        "policyVersionId": number.to_string(),
        "isDefaultVersion": policy.default_version == number,
        "creationDate": seconds(version.created_ms),
        "lastModifiedDate": seconds(policy.modified_ms),
        "generationId": policy.generation_id,
    }))
}

pub(super) fn list_policy_versions(fleet: &mut Fleet, call: &Call) -> Reply {
    let policy = fleet.policy(call.label("policyName")?)?;
    let versions = policy.versions.iter().rev().map(|(number, version)| {
        json!({
            "versionId": number.to_string(),
            "isDefaultVersion": policy.default_version == *number,
            "createDate": seconds(version.created_ms),
        })
    });
    Ok(json!({ "policyVersions": versions.collect::<Vec<_>>() }))
}

pub(super) fn set_default_policy_version(fleet: &mut Fleet, call: &Call) -> Reply {
    fleet.set_default_policy_version(call.label("policyName")?, call.label("policyVersionId")?)?;
    Ok(json!({}))
}

pub(super) fn delete_policy_version(fleet: &mut Fleet, call: &Call) -> Reply {
    fleet.delete_policy_version(call.label("policyName")?, call.label("policyVersionId")?)?;
    Ok(json!({}))
}

pub(super) fn attach_policy(fleet: &mut Fleet, call: &Call) -> Reply {
    fleet.attach_policy(call.label("policyName")?, call.required_text("target")?)?;
    Ok(json!({}))
}

pub(super) fn detach_policy(fleet: &mut Fleet, call: &Call) -> Reply {
    fleet.detach_policy(call.label("policyName")?, call.required_text("target")?)?;
    Ok(json!({}))
}

pub(super) fn list_targets_for_policy(fleet: &mut Fleet, call: &Call) -> Reply {
    let targets: Vec<&String> = fleet.policy(call.label("policyName")?)?.targets.iter().collect();
    let page = call.marker_page()?.of_sequence(&targets, |_| true, |target| json!(target))?;
    Ok(page_reply("targets", page, "nextMarker"))
}

pub(super) fn list_attached_policies(fleet: &mut Fleet, call: &Call) -> Reply {
    let target = call.label("target")?;
    let attached = |policy: &super::policies::Policy| policy.targets.contains(target);
    let page = call.marker_page()?.of_map(&fleet.policies, attached, |name, _| name_and_arn(fleet, name));
    Ok(page_reply("policies", page, "nextMarker"))
}
