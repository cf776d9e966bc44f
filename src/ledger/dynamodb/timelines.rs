//! One item for each operation's timeline, changed by one conditional write at a time.
//!
//! The item `budget#<region>#<operation>`: `next_free`, `written_at` and, once it was cut, `cut_at` in **microseconds** on the fleet's
//! clock; `rate`, above 0 up to 1; `cuts`. `updated_at` and `expires_at` are milliseconds and seconds, as everywhere in the table.

use super::adapter::DynamoLedger;
use super::item::{EXPIRES_AT, ID, Item, Reader, UPDATED_AT, n, s};
use crate::aws::{CallError, Effect, classify};
use crate::ledger::transition::expiry;
use crate::ledger::{Change, Changed, Timeline, Timelines};
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use futures_util::future::BoxFuture;

const OPERATION: &str = "UpdateItem";
const NEXT_FREE: &str = "next_free";
const WRITTEN_AT: &str = "written_at";
const RATE: &str = "rate";
const CUT_AT: &str = "cut_at";
const CUTS: &str = "cuts";

impl Timelines for DynamoLedger {
    fn timeline<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Timeline>, CallError>> {
        Box::pin(read(self, key))
    }

    fn change<'a>(&'a self, key: &'a str, change: Change, now: i64) -> BoxFuture<'a, Result<Changed, CallError>> {
        Box::pin(make(self, key, change, now))
    }
}

async fn read(ledger: &DynamoLedger, key: &str) -> Result<Option<Timeline>, CallError> {
    const OPERATION: &str = "GetItem";
    let call = ledger.client.get_item().table_name(&ledger.table).key(ID, s(key)).consistent_read(true);
    let answer = call.send().await.map_err(|error| classify(OPERATION, Effect::Read, error))?;
    answer.item.map(|item| timeline(OPERATION, key, &item)).transpose()
}

async fn make(ledger: &DynamoLedger, key: &str, change: Change, now: i64) -> Result<Changed, CallError> {
    change.check(OPERATION)?;
    let Write { condition, set, names, values } = Write::of(change);
    let updated = now.div_euclid(1000);
    let mut call = ledger
        .client
        .update_item()
        .table_name(&ledger.table)
        .key(ID, s(key))
        .condition_expression(condition)
        .update_expression(format!("SET {set}, #written = :now, #updated = :updated, #expires = :expires"))
        .expression_attribute_names("#written", WRITTEN_AT)
        .expression_attribute_names("#updated", UPDATED_AT)
        .expression_attribute_names("#expires", EXPIRES_AT)
        .expression_attribute_values(":now", n(now))
        .expression_attribute_values(":updated", n(updated))
        .expression_attribute_values(":expires", n(expiry(updated)))
        .return_values(ReturnValue::AllOld)
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    for (placeholder, name) in names {
        call = call.expression_attribute_names(*placeholder, *name);
    }
    for (placeholder, value) in values {
        call = call.expression_attribute_values(placeholder, value);
    }
    let stood = |item: Option<Item>| {
        let item = item.filter(|item| !item.is_empty());
        item.map(|item| timeline(OPERATION, key, &item)).transpose()
    };
    let refusal = match call.send().await {
        Ok(answer) => return Ok(Changed::From(stood(answer.attributes)?)),
        Err(SdkError::ServiceError(refusal)) if refusal.err().is_conditional_check_failed_exception() => refusal,
        Err(error) => return Err(classify(OPERATION, Effect::Write, error)),
    };
    let item = match refusal.into_err() {
        UpdateItemError::ConditionalCheckFailedException(refusal) => refusal.item,
        _ => None,
    };
    match stood(item)? {
        Some(timeline) => Ok(Changed::Refused(Some(timeline))),
        // There is none, or whoever serves the table does not bring the item along.
        None => Ok(Changed::Refused(read(ledger, key).await?)),
    }
}

/// The parts of an `UpdateItem` that differ from change to change.
#[derive(Debug, PartialEq)]
struct Write {
    condition: &'static str,
    set: &'static str,
    names: &'static [(&'static str, &'static str)],
    values: Vec<(&'static str, AttributeValue)>,
}

impl Write {
    fn of(change: Change) -> Self {
        match change {
            Change::Start { seen: None, to } => Self {
                condition: "attribute_not_exists(#id)",
                set: "#next = :to, #rate = :rate, #cuts = :cuts",
                names: &[("#id", ID), ("#next", NEXT_FREE), ("#rate", RATE), ("#cuts", CUTS)],
                values: vec![(":to", n(to)), (":rate", n(1)), (":cuts", n(0))],
            },
            Change::Start { seen: Some(seen), to } => Self {
                condition: "#next = :seen",
                set: "#next = :to",
                names: &[("#next", NEXT_FREE)],
                values: vec![(":to", n(to)), (":seen", n(seen))],
            },
            Change::Advance { from, until, by, cuts } => Self {
                // Not BETWEEN, which DynamoDB refuses as malformed where `from` is later than `until`.
                condition: "#next >= :from AND #next <= :until AND #cuts = :cuts",
                set: "#next = #next + :by",
                names: &[("#next", NEXT_FREE), ("#cuts", CUTS)],
                values: vec![(":from", n(from)), (":until", n(until)), (":by", n(by)), (":cuts", n(cuts))],
            },
            Change::Cut { rate, at, cuts } => Self {
                condition: "#cuts = :cuts",
                set: "#rate = :rate, #cut_at = :at, #cuts = #cuts + :one",
                names: &[("#rate", RATE), ("#cut_at", CUT_AT), ("#cuts", CUTS)],
                values: vec![(":rate", n(rate)), (":at", n(at)), (":cuts", n(cuts)), (":one", n(1))],
            },
        }
    }
}

/// The timeline that an item holds. One that cannot be read is an error of class `Permanent` that names the attribute.
fn timeline(operation: &'static str, key: &str, item: &Item) -> Result<Timeline, CallError> {
    let reader = Reader { operation, item };
    let parts = || {
        let rate = reader.number(RATE)?;
        if !(rate > 0.0 && rate <= 1.0) {
            return Err(reader.unreadable(RATE, "it is not above 0 and up to 1"));
        }
        Ok(Timeline {
            next_free: reader.number(NEXT_FREE)?,
            written_at: reader.number(WRITTEN_AT)?,
            rate,
            cut_at: reader.optional_number(CUT_AT)?,
            cuts: reader.number(CUTS)?,
        })
    };
    parts().map_err(|error: CallError| CallError {
        message: format!("{}; delete the item {key}, and the next worker starts its timeline anew", error.message),
        ..error
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::Class;

    const KEY: &str = "budget#us-east-1#UpdateCertificate";

    fn item(attributes: &[(&str, AttributeValue)]) -> Item {
        attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    fn sample() -> Item {
        item(&[(ID, s(KEY)), (NEXT_FREE, n(20)), (WRITTEN_AT, n(10)), (RATE, n(0.49)), (CUT_AT, n(5)), (CUTS, n(2))])
    }

    #[test]
    fn an_item_is_read_as_the_timeline_that_it_holds() {
        let read = timeline("GetItem", KEY, &sample()).unwrap();
        assert_eq!(read, Timeline { next_free: 20, written_at: 10, rate: 0.49, cut_at: Some(5), cuts: 2 });
        let mut uncut = sample();
        uncut.remove(CUT_AT);
        assert_eq!(timeline("GetItem", KEY, &uncut).unwrap().cut_at, None);
    }

    #[test]
    fn a_malformed_item_says_which_attribute_and_what_to_do() {
        for (name, value) in
            [(NEXT_FREE, s("soon")), (WRITTEN_AT, n(0.5)), (RATE, n(0)), (RATE, n(1.5)), (CUT_AT, s("")), (CUTS, n(-1))]
        {
            let mut item = sample();
            item.insert(name.to_owned(), value);
            let error = timeline("GetItem", KEY, &item).unwrap_err();
            assert_eq!(error.class, Class::Permanent);
            for part in [name, KEY, "delete the item"] {
                assert!(error.message.contains(part), "`{part}` is not in: {}", error.message);
            }
        }
    }

    #[test]
    fn a_write_names_exactly_what_its_expressions_use() {
        for change in [
            Change::Start { seen: None, to: 1 },
            Change::Start { seen: Some(1), to: 2 },
            Change::Advance { from: 1, until: 2, by: 3, cuts: 4 },
            Change::Cut { rate: 0.5, at: 1, cuts: 2 },
        ] {
            let write = Write::of(change);
            let text = format!("{} {}", write.condition, write.set);
            let used = |sigil: char| {
                let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '#' || c == ':'));
                let mut used: Vec<_> = words.filter(|word| word.starts_with(sigil)).collect();
                used.sort_unstable();
                used.dedup();
                used
            };
            let mut names: Vec<_> = write.names.iter().map(|(placeholder, _)| *placeholder).collect();
            names.sort_unstable();
            let mut values: Vec<_> = write.values.iter().map(|(placeholder, _)| *placeholder).collect();
            values.sort_unstable();
            assert_eq!((names, values), (used('#'), used(':')), "{change:?}");
        }
    }
}
