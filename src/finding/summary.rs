//! The audit-completion message.

use super::member::{self, Object, kind};
use super::{AuditSummary, CheckSummary, RejectReason, Rejected, catalogue, identifier};
use serde_json::{Map, Value, json};

/// The one member that is ours: [`AuditSummary::replay_id`]. In the summary and not in the envelope around it, so that a dead letter of
/// it, replayed in its turn, still asks for the same.
const REPLAY_ID: &str = "fleetwardenReplayId";

/// Reads a summary. Its own `accountId` wins over where the message came from.
pub(super) fn read(object: Object<'_>, account: Option<&str>, region: Option<&str>) -> Result<AuditSummary, Rejected> {
    let rejected = |reason, message| Rejected { reason, message, finding_id: None, check: None };
    let summary = read_members(object, account, region.unwrap_or_default()).map_err(|what| {
        rejected(RejectReason::InvalidSummary, format!("{what}; publish the summary as Device Defender sends it"))
    })?;
    if summary.account.is_empty() || region.is_none() {
        return Err(rejected(RejectReason::AccountUnknown, super::provenance::UNKNOWN.to_owned()));
    }
    Ok(summary)
}

fn read_members(object: Object<'_>, account: Option<&str>, region: &str) -> Result<AuditSummary, String> {
    let account = match object.text("accountId")? {
        Some(text) if !identifier::is_account(text) => {
            return Err(format!("{} is not an account id (12 digits)", object.at("accountId")));
        }
        Some(text) => text,
        None => account.unwrap_or_default(),
    };
    let task_id = object.name("taskId")?;
    if task_id.len() > 40 || !task_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(format!("{} is not a task id ([a-zA-Z0-9-], 1 to 40)", object.at("taskId")));
    }
    let details = object.required("auditDetails")?;
    let Some(details) = details.as_array() else {
        // `DescribeAuditTask` answers a map of that name; the notification has a list.
        return Err(format!("{} is {}, not a list of checks", object.at("auditDetails"), kind(details)));
    };
    let checks = details.iter().enumerate().map(|(index, value)| {
        let path = format!("{}[{index}]", object.at("auditDetails"));
        let map = value.as_object().ok_or_else(|| format!("{path} is {}, not an object", kind(value)))?;
        read_check(Object { map, path: &path })
    });
    Ok(AuditSummary {
        account: account.to_owned(),
        region: region.to_owned(),
        task_id: task_id.to_owned(),
        task_status: object.name("taskStatus")?.to_owned(),
        task_type: object.text("taskType")?.unwrap_or_default().to_owned(),
        scheduled_audit: object.text("scheduledAuditName")?.map(str::to_owned),
        started_at: object.time("taskStartTime")?,
        checks: checks.collect::<Result<_, String>>()?,
        replay_id: object.get(REPLAY_ID).map(|_| object.name(REPLAY_ID)).transpose()?.map(str::to_owned),
    })
}

fn read_check(object: Object<'_>) -> Result<CheckSummary, String> {
    // The API's name has "Resources", AWS's sample of the notification "Resource"; which one is live is unconfirmed.
    let suppressed = match object.get("suppressedNonCompliantResourcesCount") {
        Some(_) => object.count("suppressedNonCompliantResourcesCount")?,
        None => object.count("suppressedNonCompliantResourceCount")?,
    };
    Ok(CheckSummary {
        check: catalogue::modern_name(object.name("checkName")?).to_owned(),
        status: object.name("checkRunStatus")?.to_owned(),
        non_compliant: object.count("nonCompliantResourcesCount")?,
        suppressed,
        total: object.count("totalResourcesCount")?,
        error_code: object.text("errorCode")?.map(str::to_owned),
        message: object.text("message")?.map(str::to_owned),
    })
}

impl AuditSummary {
    /// The checks that found something, each once and in order: an expansion's cursor counts them, and another notification of the same
    /// audit may list them in another order.
    pub(crate) fn non_compliant_checks(&self) -> Vec<&str> {
        let found = self.checks.iter().filter(|check| check.status == "COMPLETED_NON_COMPLIANT");
        let mut checks: Vec<&str> = found.map(|check| check.check.as_str()).collect();
        checks.sort_unstable();
        checks.dedup();
        checks
    }

    /// As Device Defender publishes it, without the counts per status, which follow from the checks.
    pub fn to_native(&self) -> Value {
        let checks = self.checks.iter().map(|check| {
            let mut native = Map::new();
            let mut put = |name: &str, value: Value| drop(native.insert(name.to_owned(), value));
            put("checkName", json!(check.check));
            put("checkRunStatus", json!(check.status));
            put("nonCompliantResourcesCount", json!(check.non_compliant));
            put("suppressedNonCompliantResourcesCount", json!(check.suppressed));
            put("totalResourcesCount", json!(check.total));
            if let Some(message) = &check.message {
                put("message", json!(message));
            }
            if let Some(code) = &check.error_code {
                put("errorCode", json!(code));
            }
            Value::Object(native)
        });
        let checks: Vec<_> = checks.collect();
        let mut native = json!({
            "accountId": self.account,
            "taskId": self.task_id,
            "taskStatus": self.task_status,
            "taskType": self.task_type,
            "scheduledAuditName": self.scheduled_audit,
            "taskStartTime": self.started_at.map(member::time),
            "auditDetails": checks,
        });
        if let Some(id) = &self.replay_id {
            native[REPLAY_ID] = json!(id);
        }
        native
    }
}
