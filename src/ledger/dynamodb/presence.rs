//! One item for each worker's note, in a partition of its own of the sparse index, so that nobody reads the table to find them.
//!
//! The item `worker#<id>`: `attention`, which says `worker`; `note`, a [`WorkerNote`] as JSON text; `updated_at`, when it was written,
//! and `expires_at`, as everywhere in the table.
//!
//! A note of a worker that calls a dozen operations has 1 KB: one write unit for the table, two for the index, whose sort key moves (a
//! delete and a put).

use super::adapter::DynamoLedger;
use super::item::{ATTENTION, EXPIRES_AT, ID, Item, Reader, UPDATED_AT, n, s, text_of};
use super::table::ATTENTION_INDEX;
use crate::aws::{CallError, Class, Effect, classify};
use crate::ledger::transition::after;
use crate::ledger::{Presence, REMEMBERED, WorkerNote};
use aws_sdk_dynamodb::types::AttributeValue;

const NOTE: &str = "note";
/// The partition of the index; no status is called so.
const WORKER: &str = "worker";

impl Presence for DynamoLedger {
    async fn announce(&self, note: &WorkerNote) -> Result<(), CallError> {
        // Not PutItem: workers need no other permission than they have.
        const OPERATION: &str = "UpdateItem";
        let text = serde_json::to_string(note);
        let text = text.map_err(|error| CallError::new(Class::Permanent, OPERATION, error.to_string()))?;
        let call = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(ID, s(format!("{WORKER}#{}", note.id)))
            .update_expression("SET #attention = :worker, #note = :note, #updated = :now, #expires = :expires")
            .expression_attribute_names("#attention", ATTENTION)
            .expression_attribute_names("#note", NOTE)
            .expression_attribute_names("#updated", UPDATED_AT)
            .expression_attribute_names("#expires", EXPIRES_AT)
            .expression_attribute_values(":worker", s(WORKER))
            .expression_attribute_values(":note", s(text))
            .expression_attribute_values(":now", n(note.seen_at))
            .expression_attribute_values(":expires", n(after(note.seen_at, REMEMBERED) / 1000));
        call.send().await.map_err(|error| classify(OPERATION, Effect::Write, error))?;
        Ok(())
    }

    async fn workers(&self, since: i64) -> Result<Vec<WorkerNote>, CallError> {
        let mut notes = Vec::new();
        let mut start = None;
        loop {
            let (items, next) = page(self, since, start).await?;
            for item in &items {
                notes.push(note(item)?);
            }
            start = next;
            if start.is_none() {
                return Ok(notes);
            }
        }
    }
}

async fn page(ledger: &DynamoLedger, since: i64, start: Option<Item>) -> Result<(Vec<Item>, Option<Item>), CallError> {
    let call = ledger
        .client
        .query()
        .table_name(&ledger.table)
        .index_name(ATTENTION_INDEX)
        .scan_index_forward(false)
        .key_condition_expression("#attention = :worker AND #updated >= :since")
        .expression_attribute_names("#attention", ATTENTION)
        .expression_attribute_names("#updated", UPDATED_AT)
        .expression_attribute_values(":worker", AttributeValue::S(WORKER.to_owned()))
        .expression_attribute_values(":since", n(since))
        .set_exclusive_start_key(start);
    let answer = call.send().await.map_err(|error| classify("Query", Effect::Read, error))?;
    Ok((answer.items.unwrap_or_default(), answer.last_evaluated_key.filter(|key| !key.is_empty())))
}

fn note(item: &Item) -> Result<WorkerNote, CallError> {
    let reader = Reader { operation: "Query", item };
    let text = text_of(item, NOTE).ok_or_else(|| reader.unreadable(NOTE, "it is absent or not a string"))?;
    serde_json::from_str(text).map_err(|error| reader.unreadable(NOTE, &error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Status;

    #[test]
    fn workers_share_no_partition_of_the_index_with_findings() {
        assert_eq!(Status::parse(WORKER), None);
    }

    #[test]
    fn a_note_that_cannot_be_read_says_whose_it_is() {
        let item = Item::from([(ID.to_owned(), s("worker#7")), (NOTE.to_owned(), s("{"))]);
        let error = note(&item).unwrap_err();
        assert!(error.message.contains("note") && error.message.contains("worker#7"), "{error}");
    }
}
