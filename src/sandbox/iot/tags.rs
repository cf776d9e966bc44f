//! Tags of scheduled audits and mitigation actions, which are the resources here that can be tagged.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::call::{Call, page_reply};
use super::error::IotError;
use super::fleet::Fleet;

/// AWS General Reference: tags of one resource.
const MAX_TAGS: usize = 50;

type Reply = Result<Value, IotError>;

/// The `tags` of a request, none if it has none. Keys have 1 to 128 characters, values up to 256.
pub(super) fn tags_of(call: &Call) -> Result<BTreeMap<String, String>, IotError> {
    let Some(tags) = call.member("tags") else {
        return Ok(BTreeMap::new());
    };
    let tags = tags.as_array().ok_or_else(|| IotError::invalid("tags must be a list of Key and Value"))?;
    let tags: BTreeMap<String, String> = tags
        .iter()
        .map(|tag| {
            let key = tag["Key"].as_str().filter(|key| (1..=128).contains(&key.chars().count()));
            let key = key.ok_or_else(|| IotError::invalid("the Key of a tag must have 1 to 128 characters"))?;
            let value = tag["Value"].as_str().unwrap_or_default();
            if value.chars().count() > 256 {
                return Err(IotError::invalid(format!("the Value of the tag {key} must have at most 256 characters")));
            }
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect::<Result<_, IotError>>()?;
    if tags.len() > MAX_TAGS {
        return Err(IotError::invalid(format!("a resource can have {MAX_TAGS} tags at most")));
    }
    Ok(tags)
}

impl Fleet {
    /// Adds tags to a resource.
    pub(super) fn tag(&mut self, arn: &str, tags: BTreeMap<String, String>) {
        if !tags.is_empty() {
            self.tags.entry(arn.to_owned()).or_default().extend(tags);
        }
    }

    fn require_taggable(&self, arn: &str) -> Result<(), IotError> {
        let named = |kind: &str| arn.strip_prefix(&self.arn(kind, ""));
        let exists = named("scheduledaudit").is_some_and(|name| self.defender.schedules.contains_key(name))
            || named("mitigationaction").is_some_and(|name| self.defender.actions.contains_key(name));
        if exists {
            return Ok(());
        }
        Err(IotError::not_found(format!(
            "{arn} does not exist, or is no scheduled audit or mitigation action: the sandbox tags only these"
        )))
    }
}

pub(super) fn tag_resource(fleet: &mut Fleet, call: &Call) -> Reply {
    let arn = call.required_text("resourceArn")?;
    fleet.require_taggable(arn)?;
    let tags = tags_of(call)?;
    let own = fleet.tags.get(arn).map_or(0, BTreeMap::len);
    let new = tags.keys().filter(|key| !fleet.tags.get(arn).is_some_and(|own| own.contains_key(*key))).count();
    if own + new > MAX_TAGS {
        return Err(IotError::limit(format!("a resource can have {MAX_TAGS} tags at most")));
    }
    fleet.tag(arn, tags);
    Ok(json!({}))
}

pub(super) fn untag_resource(fleet: &mut Fleet, call: &Call) -> Reply {
    let arn = call.required_text("resourceArn")?;
    fleet.require_taggable(arn)?;
    let keys = call.texts("tagKeys")?.ok_or_else(|| IotError::invalid("tagKeys is required"))?;
    if let Some(tags) = fleet.tags.get_mut(arn) {
        tags.retain(|key, _| !keys.contains(key));
    }
    Ok(json!({}))
}

pub(super) fn list_tags_for_resource(fleet: &mut Fleet, call: &Call) -> Reply {
    let arn = call.query("resourceArn").ok_or_else(|| IotError::invalid("resourceArn is required"))?;
    fleet.require_taggable(arn)?;
    let none = BTreeMap::new();
    let show = |key: &String, value: &String| json!({ "Key": key, "Value": value });
    let page = call.token_page()?.of_map(fleet.tags.get(arn).unwrap_or(&none), |_| true, show);
    Ok(page_reply("tags", page, "nextToken"))
}
