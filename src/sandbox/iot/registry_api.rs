//! Wire shapes: things, principals, role aliases, endpoint.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::call::{Call, page_reply, seconds};
use super::error::IotError;
use super::fleet::{Fleet, Thing};

type Reply = Result<Value, IotError>;

fn attributes(call: &Call) -> Result<BTreeMap<String, String>, IotError> {
    let given = call.member("attributePayload").and_then(|payload| payload["attributes"].as_object());
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let attributes: Option<BTreeMap<String, String>> =
        given.into_iter().flatten().map(|(key, value)| Some((key.clone(), text(value)?))).collect();
    attributes.ok_or_else(|| IotError::invalid("attributes must be strings"))
}

/// `expectedVersion`, if the caller has one in mind.
pub(super) fn check_version(call: &Call, version: i64) -> Result<(), IotError> {
    match call.member("expectedVersion").and_then(Value::as_i64) {
        Some(expected) if expected != version => {
            Err(IotError::version_conflict(format!("the version is {version}, not {expected}")))
        }
        _ => Ok(()),
    }
}

pub(super) fn create_thing(fleet: &mut Fleet, call: &Call) -> Reply {
    let name = call.label("thingName")?;
    let attributes = attributes(call)?;
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

/// Attributes replace those of the thing, or are merged into them; an empty value removes one. There are no thing types here.
pub(super) fn update_thing(fleet: &mut Fleet, call: &Call) -> Reply {
    let name = call.label("thingName")?;
    check_version(call, fleet.thing(name)?.version)?;
    let given = attributes(call)?;
    let payload = call.member("attributePayload");
    if let (Some(payload), Some(thing)) = (payload, fleet.things.get_mut(name)) {
        if payload["merge"] != json!(true) {
            thing.attributes.clear();
        }
        thing.attributes.extend(given);
        thing.attributes.retain(|_, value| !value.is_empty());
        thing.version += 1;
    }
    Ok(json!({}))
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

pub(super) fn list_thing_principals_v2(fleet: &mut Fleet, call: &Call) -> Reply {
    let exclusive = call.query("thingPrincipalType") == Some("EXCLUSIVE_THING");
    let principals: Vec<&String> = fleet.thing(call.label("thingName")?)?.principals.iter().collect();
    let show = |principal: &&String| json!({ "principal": principal, "thingPrincipalType": "NON_EXCLUSIVE_THING" });
    let page = call.token_page()?.of_sequence(&principals, |_| !exclusive, show)?;
    Ok(page_reply("thingPrincipalObjects", page, "nextToken"))
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
