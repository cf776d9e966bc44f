//! Wire shapes: thing groups.

use serde_json::{Value, json};

use super::call::{Call, page_reply, seconds};
use super::error::IotError;
use super::fleet::Fleet;
use super::registry_api::check_version;

type Reply = Result<Value, IotError>;

pub(super) fn create_thing_group(fleet: &mut Fleet, call: &Call) -> Reply {
    let name = call.label("thingGroupName")?;
    let properties = call.member("thingGroupProperties");
    let description = properties.and_then(|properties| properties["thingGroupDescription"].as_str());
    let arn = fleet.arn("thinggroup", name);
    let group = fleet.create_thing_group(name, call.text("parentGroupName")?, description)?;
    Ok(json!({ "thingGroupName": name, "thingGroupArn": arn, "thingGroupId": group.id }))
}

pub(super) fn describe_thing_group(fleet: &mut Fleet, call: &Call) -> Reply {
    let name = call.label("thingGroupName")?;
    let group = fleet.thing_group(name)?;
    let mut metadata = json!({ "creationDate": seconds(group.created_ms) });
    if let Some(parent) = &group.parent {
        metadata["parentGroupName"] = json!(parent);
    }
    let mut properties = json!({});
    if let Some(description) = &group.description {
        properties["thingGroupDescription"] = json!(description);
    }
    Ok(json!({
        "thingGroupName": name,
        "thingGroupId": group.id,
        "thingGroupArn": fleet.arn("thinggroup", name),
        "version": group.version,
        "thingGroupProperties": properties,
        "thingGroupMetadata": metadata,
    }))
}

/// Only the description can be changed; attributes of groups are not kept here.
pub(super) fn update_thing_group(fleet: &mut Fleet, call: &Call) -> Reply {
    let name = call.label("thingGroupName")?;
    let version = fleet.thing_group(name)?.version;
    let properties = call.member("thingGroupProperties");
    let properties = properties.ok_or_else(|| IotError::invalid("thingGroupProperties is required"))?;
    check_version(call, version)?;
    if let Some(group) = fleet.thing_groups.get_mut(name) {
        if let Some(description) = properties["thingGroupDescription"].as_str() {
            group.description = Some(description.to_owned());
        }
        group.version += 1;
    }
    Ok(json!({ "version": version + 1 }))
}

pub(super) fn delete_thing_group(fleet: &mut Fleet, call: &Call) -> Reply {
    fleet.delete_thing_group(call.label("thingGroupName")?)?;
    Ok(json!({}))
}

pub(super) fn list_thing_groups(fleet: &mut Fleet, call: &Call) -> Reply {
    let (prefix, parent) = (call.query("namePrefixFilter"), call.query("parentGroup"));
    if let Some(parent) = parent {
        fleet.thing_group(parent)?;
    }
    let names: Vec<&String> = fleet
        .thing_groups
        .iter()
        .filter(|(name, group)| {
            prefix.is_none_or(|prefix| name.starts_with(prefix))
                && (parent.is_none() || group.parent.as_deref() == parent)
        })
        .map(|(name, _)| name)
        .collect();
    let page = call.token_page()?.of_sequence(&names, |_| true, |name| group_name_and_arn(fleet, name))?;
    Ok(page_reply("thingGroups", page, "nextToken"))
}

fn group_name_and_arn(fleet: &Fleet, name: &str) -> Value {
    json!({ "groupName": name, "groupArn": fleet.arn("thinggroup", name) })
}

/// `NAME` or `...:KIND/NAME`, whichever of the two members was sent.
fn name_or_arn<'a>(call: &'a Call, name: &str, arn: &str) -> Result<&'a str, IotError> {
    match (call.text(name)?, call.text(arn)?) {
        (Some(name), _) => Ok(name),
        (None, Some(text)) => text
            .split_once('/')
            .map(|(_, name)| name)
            .ok_or_else(|| IotError::invalid(format!("{arn} is not an ARN: {text}"))),
        (None, None) => Err(IotError::invalid(format!("{name} or {arn} is required"))),
    }
}

pub(super) fn add_thing_to_thing_group(fleet: &mut Fleet, call: &Call) -> Reply {
    let group = name_or_arn(call, "thingGroupName", "thingGroupArn")?;
    fleet.add_thing_to_group(name_or_arn(call, "thingName", "thingArn")?, group)?;
    Ok(json!({}))
}

pub(super) fn remove_thing_from_thing_group(fleet: &mut Fleet, call: &Call) -> Reply {
    let group = name_or_arn(call, "thingGroupName", "thingGroupArn")?;
    fleet.remove_thing_from_group(name_or_arn(call, "thingName", "thingArn")?, group)?;
    Ok(json!({}))
}

pub(super) fn list_thing_groups_for_thing(fleet: &mut Fleet, call: &Call) -> Reply {
    let groups: Vec<&String> = fleet.thing(call.label("thingName")?)?.groups.iter().collect();
    let page = call.token_page()?.of_sequence(&groups, |_| true, |name| group_name_and_arn(fleet, name))?;
    Ok(page_reply("thingGroups", page, "nextToken"))
}

pub(super) fn list_things_in_thing_group(fleet: &mut Fleet, call: &Call) -> Reply {
    let things: Vec<&String> = fleet.thing_group(call.label("thingGroupName")?)?.things.iter().collect();
    let page = call.token_page()?.of_sequence(&things, |_| true, |thing| json!(thing))?;
    Ok(page_reply("things", page, "nextToken"))
}
