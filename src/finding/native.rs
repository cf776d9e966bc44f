//! The payload of a finding: as Device Defender publishes it, and as the REST API answers it.

use super::member::{self, Object, join, kind};
use super::{Finding, RejectReason, Rejected, Resource, ResourceIdentifier, Severity, catalogue};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

impl Finding {
    /// The nine members that Device Defender publishes, times as integer milliseconds (seconds before March 1973, as which they
    /// are read); `relatedResources` and `isSuppressed` only where they say something. A member without a value is left out.
    pub fn to_native(&self) -> Value {
        let mut native = Map::new();
        let mut put = |name: &str, value: Value| drop(native.insert(name.to_owned(), value));
        put("findingId", json!(self.finding_id));
        if let Some(time) = self.found_at {
            put("findingTime", member::time(time));
        }
        put("severity", json!(self.severity));
        if let Some(time) = self.audit_started_at {
            put("taskStartTime", member::time(time));
        }
        put("nonCompliantResource", self.resource.to_native());
        if let Some(task) = &self.task_id {
            put("taskId", json!(task));
        }
        put("checkName", json!(self.check));
        put("reasonForNonComplianceCode", json!(self.reason_code));
        put("reasonForNonCompliance", json!(self.reason));
        if !self.related.is_empty() {
            put("relatedResources", self.related.iter().map(Resource::to_native).collect());
        }
        if self.suppressed {
            put("isSuppressed", json!(true));
        }
        Value::Object(native)
    }

    /// Reads a native payload, or a finding as the REST API answers it.
    pub fn from_native(value: &Value, account: &str, region: &str) -> Result<Self, Rejected> {
        let not_an_object = || Rejected {
            reason: RejectReason::InvalidFinding,
            message: format!("the finding is {}, not an object", kind(value)),
            finding_id: None,
            check: None,
        };
        let map = value.as_object().ok_or_else(not_an_object)?;
        read(Object { map, path: "" }, Some(account), Some(region))
    }
}

/// Reads a finding; an unknown account or region is told only after all else was found right.
pub(super) fn read(object: Object<'_>, account: Option<&str>, region: Option<&str>) -> Result<Finding, Rejected> {
    let rejected = |reason, message| Rejected {
        reason,
        message,
        finding_id: glimpse(object, "findingId"),
        check: glimpse(object, "checkName").map(|name| catalogue::modern_name(&name).to_owned()),
    };
    let finding = read_members(object, account.unwrap_or_default(), region.unwrap_or_default());
    let finding = finding.map_err(|what| {
        rejected(RejectReason::InvalidFinding, format!("{what}; publish the finding as Device Defender sends it"))
    })?;
    match (account, region) {
        (Some(_), Some(_)) => Ok(finding),
        _ => Err(rejected(RejectReason::AccountUnknown, super::provenance::UNKNOWN.to_owned())),
    }
}

fn read_members(object: Object<'_>, account: &str, region: &str) -> Result<Finding, String> {
    let finding_id = object.name("findingId")?;
    if finding_id.len() > 128 || !finding_id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        return Err(format!("{} is not a finding id ([a-zA-Z0-9_-], 1 to 128)", object.at("findingId")));
    }
    let check = catalogue::modern_name(object.name("checkName")?);
    let task_id = object.text("taskId")?;
    if let Some(task) = task_id
        && !((1..=40).contains(&task.len()) && task.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
    {
        return Err(format!("{} is not a task id ([a-zA-Z0-9-], 1 to 40)", object.at("taskId")));
    }
    let path = object.at("nonCompliantResource");
    let resource = Resource::read(Object { map: object.object("nonCompliantResource")?, path: &path })?;
    if let ResourceIdentifier::Account(other) = &resource.identifier
        && resource.kind == "ACCOUNT_SETTINGS"
        && !account.is_empty()
        && other != account
    {
        return Err(format!("{path} is account {other}, but the message comes from account {account}"));
    }
    let severity = match object.text("severity")? {
        Some(text) => Severity::parse(text),
        None => catalogue::check(check).map_or(Severity::Unknown, |check| check.severity),
    };
    let related_path = object.at("relatedResources");
    let related = object.list("relatedResources")?.iter().enumerate().map(|(index, value)| {
        let path = format!("{related_path}[{index}]");
        let map = value.as_object().ok_or_else(|| format!("{path} is {}, not an object", kind(value)))?;
        Resource::read(Object { map, path: &path })
    });
    Ok(Finding {
        finding_id: finding_id.to_owned(),
        account: account.to_owned(),
        region: region.to_owned(),
        task_id: task_id.map(str::to_owned),
        check: check.to_owned(),
        reason_code: object.name("reasonForNonComplianceCode")?.to_owned(),
        reason: object.text("reasonForNonCompliance")?.unwrap_or_default().to_owned(),
        severity,
        resource,
        related: related.collect::<Result<_, String>>()?,
        suppressed: object.flag("isSuppressed")?,
        found_at: object.time("findingTime")?,
        audit_started_at: object.time("taskStartTime")?,
    })
}

/// A name for the dead letter of an entry that is refused; nothing that would not fit in a message attribute.
fn glimpse(object: Object<'_>, name: &str) -> Option<String> {
    object.get(name)?.as_str().filter(|text| (1..=256).contains(&text.len())).map(str::to_owned)
}

impl Resource {
    /// `NonCompliantResource` and `RelatedResource` of the API have the same members.
    fn read(object: Object<'_>) -> Result<Self, String> {
        let kind = object.name("resourceType")?.to_owned();
        let path = object.at("resourceIdentifier");
        let identifier = ResourceIdentifier::read(Object { map: object.object("resourceIdentifier")?, path: &path })?;
        let additional_info = match object.get("additionalInfo") {
            Some(_) => strings(Object { map: object.object("additionalInfo")?, path: &object.at("additionalInfo") })?,
            None => BTreeMap::new(),
        };
        Ok(Self { kind, identifier, additional_info })
    }

    fn to_native(&self) -> Value {
        let mut native = json!({ "resourceType": self.kind, "resourceIdentifier": self.identifier.write() });
        if !self.additional_info.is_empty() {
            native["additionalInfo"] = json!(self.additional_info);
        }
        native
    }
}

fn strings(object: Object<'_>) -> Result<BTreeMap<String, String>, String> {
    let entries = object.map.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| match value {
        Value::String(text) => Ok((name.clone(), text.clone())),
        other => Err(format!("{} is {}, not a text", join(object.path, name), kind(other))),
    });
    entries.collect()
}
