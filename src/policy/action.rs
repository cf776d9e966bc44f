//! Reads one action of a rule.

use super::file::{Logging, NoParameters, Replacement, ThingGroups, Topic};
use super::nearest::did_you_mean;
use super::reader::{Fields, Reader, alternatives};
use super::schema;
use super::yaml::{Node, Place, Yaml};
use super::{Action, BLANK_POLICY, LogLevel};
use crate::aws::syntax::{is_role_arn, is_thing_group_name, is_topic_arn};
use crate::finding::ActionType;
use schemars::JsonSchema;
use serde_json::Value;

/// "IoT policy document size": characters without white space.
const LONGEST_DOCUMENT: usize = 2048;

/// An action, or `None` after an error.
pub(super) fn read_action(reader: &mut Reader, node: &Node, rule: &str) -> Option<Action> {
    let kind = read_type(reader, node, rule)?;
    let what = format!("{kind} of {rule}");
    match kind {
        ActionType::UpdateDeviceCertificate => {
            parameters::<NoParameters>(reader, node, &what).map(|_| Action::UpdateDeviceCertificate)
        }
        ActionType::UpdateCaCertificate => {
            parameters::<NoParameters>(reader, node, &what).map(|_| Action::UpdateCaCertificate)
        }
        ActionType::AddThingsToThingGroup => {
            let fields = parameters::<ThingGroups>(reader, node, &what)?;
            let override_dynamic_groups = match fields.get("override_dynamic_groups") {
                Some(node) => reader.flag(node, "`override_dynamic_groups`"),
                None => Some(false),
            };
            let thing_groups = read_groups(reader, &fields);
            Some(Action::AddThingsToThingGroup {
                thing_groups: thing_groups?,
                override_dynamic_groups: override_dynamic_groups?,
            })
        }
        ActionType::ReplaceDefaultPolicyVersion => {
            let fields = parameters::<Replacement>(reader, node, &what)?;
            let document = read_replacement(reader, node, &fields, &what)?;
            Some(Action::ReplaceDefaultPolicyVersion { document })
        }
        ActionType::EnableIotLogging => {
            let fields = parameters::<Logging>(reader, node, &what)?;
            let role_arn =
                read_arn(reader, &fields, "role_arn", "arn:aws:iam::123456789012:role/IoTLogging", is_role_arn);
            let level = reader.required(&fields, "level", "`level: ERROR`");
            let levels = LogLevel::ALL.map(|level| (level.as_str(), level));
            let level = level.and_then(|node| reader.choice(node, "`level`", &levels));
            Some(Action::EnableIotLogging { role_arn: role_arn?, level: level? })
        }
        ActionType::PublishFindingToSns => {
            let fields = parameters::<Topic>(reader, node, &what)?;
            let example = "arn:aws:sns:us-east-1:123456789012:topic (a standard topic)";
            let topic_arn = read_arn(reader, &fields, "topic_arn", example, is_topic_arn)?;
            Some(Action::PublishFindingToSns { topic_arn })
        }
    }
}

fn read_type(reader: &mut Reader, node: &Node, rule: &str) -> Option<ActionType> {
    let names = ActionType::ALL.map(ActionType::as_str);
    let Yaml::Map(members) = &node.value else {
        let kind = node.kind();
        reader.error(node.at, format!("an action of {rule} is {kind}; write `type: {}`", alternatives(&names)));
        return None;
    };
    let Some((_, node)) = members.iter().find(|(key, _)| key.name == "type") else {
        reader.error(node.at, format!("an action of {rule} has no `type`; write {}", alternatives(&names)));
        return None;
    };
    let text = reader.text(node, "`type`", "UPDATE_DEVICE_CERTIFICATE")?;
    let action = text.parse().ok();
    if action.is_none() {
        let near = did_you_mean(text, names);
        reader.error(node.at, format!("`{text}` is no action; write {}{near}", alternatives(&names)));
    }
    action
}

fn parameters<'a, T: JsonSchema>(reader: &mut Reader, node: &'a Node, what: &str) -> Option<Fields<'a>> {
    let mut known = vec!["type".to_owned()];
    known.extend(schema::keys::<T>());
    reader.fields_among(node, what, &known)
}

fn read_groups(reader: &mut Reader, fields: &Fields<'_>) -> Option<Vec<String>> {
    let node = reader.required(fields, "thing_groups", "`thing_groups: [Quarantine]`")?;
    let groups = reader.texts(node, "`thing_groups`", "Quarantine");
    let fit: Vec<_> = groups.iter().map(|(at, group)| check_group_name(reader, *at, group)).collect();
    let mut names: Vec<String> = Vec::with_capacity(groups.len());
    for (at, group) in &groups {
        if names.iter().any(|name| name == group) {
            reader.error(*at, format!("`{group}` stands twice in `thing_groups`; remove one"));
        }
        names.push((*group).to_owned());
    }
    if names.len() > 10 {
        reader.error(node.at, format!("`thing_groups` has {} entries; write 1 to 10 of them", names.len()));
    }
    (!names.is_empty() && fit.into_iter().all(|fits| fits)).then_some(names)
}

/// AWS IoT's rule for the name of a thing group.
pub(super) fn check_group_name(reader: &mut Reader, at: Place, name: &str) -> bool {
    let good = is_thing_group_name(name);
    if !good {
        reader.error(
            at,
            format!("`{name}` is no name of a thing group; write 1 to 128 of a-z, A-Z, 0-9, `:`, `_` and `-`"),
        );
    }
    good
}

fn read_replacement(reader: &mut Reader, node: &Node, fields: &Fields<'_>, what: &str) -> Option<String> {
    match (fields.get("template"), fields.get("document")) {
        (Some(template), None) => {
            reader.choice(template, "`template`", &[("BLANK_POLICY", BLANK_POLICY)]).map(str::to_owned)
        }
        (None, Some(document)) => read_document(reader, document),
        (both, _) => {
            let has = if both.is_some() { "both `template` and" } else { "neither `template` nor" };
            reader.error(
                node.at,
                format!("{what} has {has} `document`; write `template: BLANK_POLICY` or a document of your own"),
            );
            None
        }
    }
}

/// Compact JSON of a policy document.
fn read_document(reader: &mut Reader, node: &Node) -> Option<String> {
    let example = r#"`document: |` and below it, indented, JSON such as {"Version":"2012-10-17","Statement":[]}"#;
    let text = reader.text(node, "`document`", example)?;
    let wrong = match serde_json::from_str::<Value>(text) {
        Ok(document) => match document_fault(&document) {
            None => {
                let compact = document.to_string();
                let size = compact.chars().filter(|c| !c.is_whitespace()).count();
                if size <= LONGEST_DOCUMENT {
                    return Some(compact);
                }
                format!("has {size} characters without white space; write at most {LONGEST_DOCUMENT}")
            }
            Some(fault) => fault.to_owned(),
        },
        Err(error) => format!("is not JSON ({error}); write {example}"),
    };
    reader.error(node.at, format!("`document` {wrong}"));
    None
}

fn document_fault(document: &Value) -> Option<&'static str> {
    let version = document.get("Version").and_then(Value::as_str);
    if !matches!(version, Some("2012-10-17" | "2008-10-17")) {
        return Some("has no `Version` that AWS knows; write \"Version\": \"2012-10-17\"");
    }
    let effect = |statement: &Value| matches!(statement.get("Effect").and_then(Value::as_str), Some("Allow" | "Deny"));
    let good = match document.get("Statement") {
        Some(Value::Array(statements)) => !statements.is_empty() && statements.iter().all(effect),
        Some(statement) => effect(statement),
        None => false,
    };
    (!good).then_some("has no `Statement` with an `Effect` of Allow or Deny; write at least one")
}

fn read_arn(
    reader: &mut Reader,
    fields: &Fields<'_>,
    name: &str,
    example: &str,
    fits: fn(&str) -> bool,
) -> Option<String> {
    let node = reader.required(fields, name, &format!("`{name}: {example}`"))?;
    let arn = reader.text(node, &format!("`{name}`"), example)?;
    if !fits(arn) {
        reader.error(node.at, format!("`{name}` is `{arn}`, which is no such ARN; write one like {example}"));
        return None;
    }
    Some(arn.to_owned())
}
