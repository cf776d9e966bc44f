//! A record as an item and back. Lists and the payload are JSON strings: they are read and written whole, never in part.

use crate::aws::{CallError, Class};
use crate::finding::Severity;
use crate::ledger::{Record, Replayed, Status, Step, Subject};
use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::HashMap;

/// An item as the SDK has it.
pub type Item = HashMap<String, AttributeValue>;

/// The table's key.
pub const ID: &str = "id";
pub const ACCOUNT: &str = "account";
pub const REGION: &str = "region";
pub const TASK_ID: &str = "task_id";
pub const CHECK: &str = "check";
pub const REASON_CODE: &str = "reason_code";
pub const SEVERITY: &str = "severity";
pub const RESOURCE_TYPE: &str = "resource_type";
pub const RESOURCE_ID: &str = "resource_id";
/// Only records have it: what tells them from the table's other items.
pub const FINGERPRINT: &str = "fingerprint";
pub const PAYLOAD: &str = "payload";
pub const STATUS: &str = "status";
pub const EPOCH: &str = "epoch";
pub const OWNER: &str = "owner";
pub const LEASE_UNTIL: &str = "lease_until";
pub const RETRY_AT: &str = "retry_at";
pub const ATTEMPTS: &str = "attempts";
pub const RULE: &str = "rule";
pub const DETAIL: &str = "detail";
pub const STEPS: &str = "steps";
pub const CURSOR: &str = "cursor";
/// The replays that claimed it.
pub const REPLAYED: &str = "replayed";
pub const FIRST_SEEN: &str = "first_seen";
/// Milliseconds; the sort key of the index.
pub const UPDATED_AT: &str = "updated_at";
/// Seconds; the time to live.
pub const EXPIRES_AT: &str = "expires_at";
/// The status, and only where a person should look: the sparse index's partition key.
pub const ATTENTION: &str = "attention";
/// Which call of `claim` wrote the claim: how a claim whose reply was lost is recognised when its repetition fails.
pub const CLAIM_TOKEN: &str = "claim_token";

/// A string attribute.
pub fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// A number attribute.
pub fn n(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// The steps as they are stored.
pub fn steps_text(operation: &'static str, steps: &[Step]) -> Result<String, CallError> {
    serde_json::to_string(steps).map_err(|error| CallError::new(Class::Permanent, operation, error.to_string()))
}

/// The replays as they are stored.
pub fn replayed_text(operation: &'static str, replayed: Option<&Replayed>) -> Result<Option<String>, CallError> {
    let text = replayed.map(serde_json::to_string).transpose();
    text.map_err(|error| CallError::new(Class::Permanent, operation, error.to_string()))
}

/// What a message says, but for its key.
pub fn subject_attributes(subject: &Subject) -> [(&'static str, Option<AttributeValue>); 10] {
    [
        (ACCOUNT, Some(s(&subject.account))),
        (REGION, Some(s(&subject.region))),
        (TASK_ID, subject.task_id.as_ref().map(s)),
        (CHECK, Some(s(&subject.check))),
        (REASON_CODE, Some(s(&subject.reason_code))),
        (SEVERITY, Some(s(subject.severity.as_str()))),
        (RESOURCE_TYPE, Some(s(&subject.resource_type))),
        (RESOURCE_ID, Some(s(&subject.resource_id))),
        (FINGERPRINT, Some(s(&subject.fingerprint))),
        (PAYLOAD, Some(s(&subject.payload))),
    ]
}

/// The attributes of a record; what is absent has none.
pub fn attributes(
    operation: &'static str,
    record: &Record,
    token: &str,
) -> Result<Vec<(&'static str, AttributeValue)>, CallError> {
    let mut attributes = vec![
        (ID, s(&record.subject.key)),
        (STATUS, s(record.status.as_str())),
        (EPOCH, n(record.epoch)),
        (OWNER, s(&record.owner)),
        (LEASE_UNTIL, n(record.lease_until)),
        (ATTEMPTS, n(record.attempts)),
        (DETAIL, s(&record.detail)),
        (STEPS, s(steps_text(operation, &record.steps)?)),
        (FIRST_SEEN, n(record.first_seen)),
        (UPDATED_AT, n(record.updated_at)),
        (EXPIRES_AT, n(record.expires_at)),
        (CLAIM_TOKEN, s(token)),
    ];
    let optional = [
        (RETRY_AT, record.retry_at.map(n)),
        (RULE, record.rule.as_ref().map(s)),
        (CURSOR, record.cursor.as_ref().map(s)),
        (REPLAYED, replayed_text(operation, record.replayed.as_ref())?.map(s)),
        (ATTENTION, record.status.needs_attention().then(|| s(record.status.as_str()))),
    ];
    let optional = subject_attributes(&record.subject).into_iter().chain(optional);
    attributes.extend(optional.filter_map(|(name, value)| Some((name, value?))));
    Ok(attributes)
}

/// The record that an item holds. An item that this version cannot read is an error of class `Permanent` that names the attribute.
pub fn record(operation: &'static str, item: &Item) -> Result<Record, CallError> {
    let reader = Reader { operation, item };
    let status = reader.text(STATUS)?;
    let status = Status::parse(status).ok_or_else(|| reader.unreadable(STATUS, "no such status"))?;
    let steps = reader.text(STEPS)?;
    let replayed = text_of(item, REPLAYED).map(serde_json::from_str).transpose();
    Ok(Record {
        subject: Subject {
            key: reader.text(ID)?.to_owned(),
            account: reader.text(ACCOUNT)?.to_owned(),
            region: reader.text(REGION)?.to_owned(),
            task_id: reader.optional_text(TASK_ID),
            check: reader.text(CHECK)?.to_owned(),
            reason_code: reader.text(REASON_CODE)?.to_owned(),
            severity: Severity::parse(reader.text(SEVERITY)?),
            resource_type: reader.text(RESOURCE_TYPE)?.to_owned(),
            resource_id: reader.text(RESOURCE_ID)?.to_owned(),
            fingerprint: reader.text(FINGERPRINT)?.to_owned(),
            payload: reader.text(PAYLOAD)?.to_owned(),
        },
        status,
        epoch: reader.number(EPOCH)?,
        owner: reader.text(OWNER)?.to_owned(),
        lease_until: reader.number(LEASE_UNTIL)?,
        retry_at: reader.optional_number(RETRY_AT)?,
        attempts: reader.number(ATTEMPTS)?,
        rule: reader.optional_text(RULE),
        detail: reader.text(DETAIL)?.to_owned(),
        steps: serde_json::from_str(steps).map_err(|error| reader.unreadable(STEPS, &error.to_string()))?,
        cursor: reader.optional_text(CURSOR),
        replayed: replayed.map_err(|error| reader.unreadable(REPLAYED, &error.to_string()))?,
        first_seen: reader.number(FIRST_SEEN)?,
        updated_at: reader.number(UPDATED_AT)?,
        expires_at: reader.number(EXPIRES_AT)?,
    })
}

/// A string attribute of an item, if it is there.
pub fn text_of<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

/// A number attribute of an item, if it is there and whole.
pub fn number_of(item: &Item, name: &str) -> Option<i64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// Reads attributes one by one; what it cannot read, it names.
pub struct Reader<'a> {
    /// AWS's name of the call that brought the item.
    pub operation: &'static str,
    /// The item.
    pub item: &'a Item,
}

impl<'a> Reader<'a> {
    /// The error that says so, of class `Permanent`.
    pub fn unreadable(&self, attribute: &str, why: &str) -> CallError {
        let id = text_of(self.item, ID).unwrap_or("(no id)");
        let message = format!("the attribute {attribute} of the item {id} cannot be read: {why}");
        CallError::new(Class::Permanent, self.operation, message)
    }

    fn text(&self, attribute: &str) -> Result<&'a str, CallError> {
        text_of(self.item, attribute).ok_or_else(|| self.unreadable(attribute, "it is absent or not a string"))
    }

    fn optional_text(&self, attribute: &str) -> Option<String> {
        text_of(self.item, attribute).map(str::to_owned)
    }

    /// A number attribute, if it is there.
    pub fn optional_number<N: std::str::FromStr>(&self, attribute: &str) -> Result<Option<N>, CallError> {
        let Some(value) = self.item.get(attribute) else { return Ok(None) };
        let number = value.as_n().ok().and_then(|text| text.parse().ok());
        number.map(Some).ok_or_else(|| self.unreadable(attribute, "it is not a number of its kind"))
    }

    /// A number attribute that must be there.
    pub fn number<N: std::str::FromStr>(&self, attribute: &str) -> Result<N, CallError> {
        self.optional_number(attribute)?.ok_or_else(|| self.unreadable(attribute, "it is absent"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Lineage, StepOutcome};

    fn sample() -> Record {
        Record {
            subject: Subject {
                key: "finding#1".into(),
                account: "123456789012".into(),
                region: "us-east-1".into(),
                task_id: Some("t".into()),
                check: "LOGGING_DISABLED_CHECK".into(),
                reason_code: "LOGGING_DISABLED".into(),
                severity: Severity::Low,
                resource_type: "ACCOUNT_SETTINGS".into(),
                resource_id: "123456789012".into(),
                fingerprint: "f".into(),
                payload: "{}".into(),
            },
            status: Status::Dead,
            epoch: 7,
            owner: "w".into(),
            lease_until: 5,
            retry_at: Some(9),
            attempts: 3,
            rule: Some("r".into()),
            detail: String::new(),
            steps: vec![Step {
                action: "ENABLE_IOT_LOGGING".into(),
                target: "account".into(),
                prior: Some(serde_json::json!({"disableAllLogs": true})),
                outcome: StepOutcome::Changed,
                detail: String::new(),
                at: 4,
                request_id: Some("4c2a".into()),
            }],
            cursor: Some("c".into()),
            replayed: Some(Replayed {
                last: Lineage { id: "r".into(), of: Some("m".into()), by: None, at: Some(2), force: true },
                times: 2,
                claimed_at: 3,
            }),
            first_seen: 1,
            updated_at: 2,
            expires_at: 3,
        }
    }

    fn item_of(record: &Record) -> Item {
        let attributes = attributes("GetItem", record, "token").unwrap();
        attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    #[test]
    fn a_record_survives_the_way_there_and_back() {
        let full = sample();
        assert_eq!(record("GetItem", &item_of(&full)).unwrap(), full);
        let mut bare = full;
        (bare.subject.task_id, bare.retry_at, bare.rule, bare.cursor) = (None, None, None, None);
        bare.replayed = None;
        bare.status = Status::Claimed;
        assert_eq!(record("GetItem", &item_of(&bare)).unwrap(), bare);
    }

    #[test]
    fn only_what_a_person_should_look_at_is_in_the_index() {
        let mut record = sample();
        assert_eq!(text_of(&item_of(&record), ATTENTION), Some("dead"));
        record.status = Status::Mitigated;
        assert_eq!(text_of(&item_of(&record), ATTENTION), None);
    }

    #[test]
    fn an_item_that_cannot_be_read_says_which_attribute() {
        let mut item = item_of(&sample());
        item.insert(EPOCH.to_owned(), s("seven"));
        let error = record("GetItem", &item).unwrap_err();
        assert!(error.message.contains("epoch") && error.message.contains("finding#1"), "{error}");
    }
}
