//! Wire shapes: things, thing groups, principals, logging, role aliases, endpoint.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::call::{Call, page_reply, seconds};
use super::error::IotError;
use super::fleet::{Fleet, Thing};

type Reply = Result<Value, IotError>;

pub(super) fn create_thing(fleet: &mut Fleet, call: &Call) -> Reply {
    let name = call.label("thingName")?;
    let given = call.member("attributePayload").and_then(|payload| payload["attributes"].as_object());
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let attributes: Option<BTreeMap<String, String>> =
        given.into_iter().flatten().map(|(key, value)| Some((key.clone(), text(value)?))).collect();
    let attributes = attributes.ok_or_else(|| IotError::invalid("attributes must be strings"))?;
    let arn = fleet.arn("thing", name);
    let thing = fleet.create_thing(name, attributes)?;
    Ok(json!({ "thingName": name, "thingArn": arn, "thingId": thing.id }))
}

pub(super) fn describe_thing(fleet: &mut Fleet, call: &Call) -> Reply {
    let name = call.label("thingName")?;
    let thing = fleet.thing(name)?;
    Ok(json!({
        "defaultClientId": name,
        "thingName": name,
        "thingId": thing.id,
        "thingArn": fleet.arn("thing", name),
        "attributes": thing.attributes,
        "version": thing.version,
    }))
}

pub(super) fn delete_thing(fleet: &mut Fleet, call: &Call) -> Reply {
    fleet.delete_thing(call.label("thingName")?)?;
    Ok(json!({}))
}

pub(super) fn list_things(fleet: &mut Fleet, call: &Call) -> Reply {
    let (name, value) = (call.query("attributeName"), call.query("attributeValue"));
    let wanted = |thing: &Thing| {
        name.is_none_or(|name| thing.attributes.get(name).is_some_and(|have| value.is_none_or(|value| have == value)))
    };
    let show = |name: &String, thing: &Thing| {
        json!({
            "thingName": name,
            "thingArn": fleet.arn("thing", name),
            "attributes": thing.attributes,
            "version": thing.version,
        })
    };
    Ok(page_reply("things", call.token_page()?.of_map(&fleet.things, wanted, show), "nextToken"))
}

pub(super) fn attach_thing_principal(fleet: &mut Fleet, call: &Call) -> Reply {
    fleet.attach_thing_principal(call.label("thingName")?, call.principal()?)?;
    Ok(json!({}))
}

pub(super) fn detach_thing_principal(fleet: &mut Fleet, call: &Call) -> Reply {
    fleet.detach_thing_principal(call.label("thingName")?, call.principal()?)?;
    Ok(json!({}))
}

pub(super) fn list_thing_principals(fleet: &mut Fleet, call: &Call) -> Reply {
    let principals: Vec<&String> = fleet.thing(call.label("thingName")?)?.principals.iter().collect();
    let page = call.token_page()?.of_sequence(&principals, |_| true, |principal| json!(principal))?;
    Ok(page_reply("principals", page, "nextToken"))
}

pub(super) fn list_principal_things(fleet: &mut Fleet, call: &Call) -> Reply {
    let things = fleet.things_of_principal(call.principal()?)?;
    let page = call.token_page()?.of_sequence(&things, |_| true, |thing| json!(thing))?;
    Ok(page_reply("things", page, "nextToken"))
}

pub(super) fn list_principal_things_v2(fleet: &mut Fleet, call: &Call) -> Reply {
    // Every attachment here is the default kind.
    let exclusive = call.query("thingPrincipalType") == Some("EXCLUSIVE_THING");
    let things = fleet.things_of_principal(call.principal()?)?;
    let show = |thing: &String| json!({ "thingName": thing, "thingPrincipalType": "NON_EXCLUSIVE_THING" });
    let page = call.token_page()?.of_sequence(&things, |_| !exclusive, show)?;
    Ok(page_reply("principalThingObjects", page, "nextToken"))
}

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
        "version": 1,
        "thingGroupProperties": properties,
        "thingGroupMetadata": metadata,
    }))
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

pub(super) fn get_v2_logging_options(fleet: &mut Fleet, _: &Call) -> Reply {
    let options = fleet.logging.as_ref();
    let options = options.ok_or_else(|| IotError::not_configured("Logging options are not configured"))?;
    Ok(json!({
        "roleArn": options.role_arn,
        "defaultLogLevel": options.default_log_level,
        "disableAllLogs": options.disable_all_logs,
    }))
}

pub(super) fn set_v2_logging_options(fleet: &mut Fleet, call: &Call) -> Reply {
    fleet.set_logging(call.text("roleArn")?, call.text("defaultLogLevel")?, call.flag("disableAllLogs")?)?;
    Ok(json!({}))
}

pub(super) fn describe_role_alias(fleet: &mut Fleet, call: &Call) -> Reply {
    let name = call.label("roleAlias")?;
    let alias = fleet.role_aliases.get(name);
    let alias = alias.ok_or_else(|| IotError::not_found(format!("Role alias {name} does not exist")))?;
    Ok(json!({ "roleAliasDescription": {
        "roleAlias": name,
        "roleAliasArn": fleet.arn("rolealias", name),
        "roleArn": alias.role_arn,
        "owner": fleet.account,
        "credentialDurationSeconds": 3600,
        "creationDate": seconds(alias.created_ms),
        "lastModifiedDate": seconds(alias.created_ms),
    }}))
}

pub(super) fn list_role_aliases(fleet: &mut Fleet, call: &Call) -> Reply {
    let page = call.marker_page()?.of_map(&fleet.role_aliases, |_| true, |name, _| json!(name));
    Ok(page_reply("roleAliases", page, "nextMarker"))
}

pub(super) fn describe_endpoint(fleet: &mut Fleet, call: &Call) -> Reply {
    let prefix = match call.query("endpointType").unwrap_or("iot:Data") {
        "iot:Data" => "sandbox.iot",
        "iot:Data-ATS" | "iot:Data-Beta" => "sandbox-ats.iot",
        "iot:CredentialProvider" => "sandbox.credentials.iot",
        "iot:Jobs" => "sandbox.jobs.iot",
        other => return Err(IotError::invalid(format!("{other} is not an endpoint type"))),
    };
    Ok(json!({ "endpointAddress": format!("{prefix}.{}.amazonaws.com", fleet.region) }))
}
