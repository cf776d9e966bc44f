//! Reading many: through the sparse index where only what needs attention is asked for, else over the whole table.

use super::adapter::DynamoLedger;
use super::item::{self, Item, n, number_of, s, text_of};
use super::table::ATTENTION_INDEX;
use crate::aws::{CallError, Class, Effect, classify};
use crate::ledger::{Census, Filter, RecordPage, Status};
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Where a list goes on: an exclusive start key, and the index partition that it is of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    /// Which of the filter's statuses is being read; absent for a scan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    partition: Option<usize>,
    /// The last item's key; absent at the beginning of a partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// The last item's sort key in the index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    updated_at: Option<i64>,
}

/// A filter expression with its names and values.
#[derive(Debug, Default, PartialEq)]
struct Expression {
    text: String,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Expression {
    /// Records only: the table's other items have no fingerprint.
    fn of(filter: &Filter, with_status: bool) -> Self {
        let mut expression = Self::default();
        let mut terms = vec!["attribute_exists(#fingerprint)".to_owned()];
        expression.names.insert("#fingerprint".to_owned(), item::FINGERPRINT.to_owned());
        if with_status && !filter.statuses.is_empty() {
            expression.names.insert("#status".to_owned(), item::STATUS.to_owned());
            let mut alternatives = Vec::new();
            for (index, status) in filter.statuses.iter().enumerate() {
                alternatives.push(format!("#status = :status{index}"));
                expression.values.insert(format!(":status{index}"), s(status.as_str()));
            }
            terms.push(format!("({})", alternatives.join(" OR ")));
        }
        if let Some(check) = &filter.check {
            expression.names.insert("#check".to_owned(), item::CHECK.to_owned());
            expression.values.insert(":check".to_owned(), s(check));
            terms.push("#check = :check".to_owned());
        }
        if let Some(resource) = &filter.resource {
            expression.names.insert("#resource".to_owned(), item::RESOURCE_ID.to_owned());
            expression.values.insert(":resource".to_owned(), s(resource));
            terms.push("contains(#resource, :resource)".to_owned());
        }
        if let Some(task) = &filter.task_id {
            expression.names.insert("#task".to_owned(), item::TASK_ID.to_owned());
            expression.values.insert(":task".to_owned(), s(task));
            terms.push("#task = :task".to_owned());
        }
        expression.text = terms.join(" AND ");
        expression
    }
}

pub(super) async fn list(
    ledger: &DynamoLedger,
    filter: &Filter,
    limit: usize,
    next: Option<String>,
) -> Result<RecordPage, CallError> {
    let by_index = !filter.statuses.is_empty() && filter.statuses.iter().all(|status| status.needs_attention());
    let operation = if by_index { "Query" } else { "Scan" };
    let cursor = match next {
        None => Cursor::default(),
        Some(text) => serde_json::from_str(&text).map_err(|error| {
            let message = format!("{text:?} is not where a list of the ledger goes on: {error}");
            CallError::new(Class::Permanent, operation, message)
        })?,
    };
    let limit = i32::try_from(limit.max(1)).unwrap_or(i32::MAX);
    let (items, next) = if by_index {
        query(ledger, filter, limit, cursor).await?
    } else {
        scan_page(ledger, filter, limit, cursor).await?
    };
    let records = items.iter().map(|item| item::record(operation, item)).collect::<Result<_, _>>()?;
    let next = next.map(|cursor| serde_json::to_string(&cursor)).transpose();
    let next = next.map_err(|error| CallError::new(Class::Permanent, operation, error.to_string()))?;
    Ok(RecordPage { records, next })
}

async fn scan_page(
    ledger: &DynamoLedger,
    filter: &Filter,
    limit: i32,
    cursor: Cursor,
) -> Result<(Vec<Item>, Option<Cursor>), CallError> {
    let expression = Expression::of(filter, true);
    let answer = ledger
        .client
        .scan()
        .table_name(&ledger.table)
        .limit(limit)
        .filter_expression(expression.text)
        .set_expression_attribute_names(Some(expression.names))
        .set_expression_attribute_values(Some(expression.values).filter(|values| !values.is_empty()))
        .set_exclusive_start_key(cursor.id.map(|id| HashMap::from([(item::ID.to_owned(), s(id))])))
        .send()
        .await
        .map_err(|error| classify("Scan", Effect::Read, error))?;
    let next = answer.last_evaluated_key.as_ref().and_then(|key| text_of(key, item::ID));
    let next = next.map(|id| Cursor { id: Some(id.to_owned()), ..Cursor::default() });
    Ok((answer.items.unwrap_or_default(), next))
}

async fn query(
    ledger: &DynamoLedger,
    filter: &Filter,
    limit: i32,
    cursor: Cursor,
) -> Result<(Vec<Item>, Option<Cursor>), CallError> {
    let partition = cursor.partition.unwrap_or(0);
    let Some(status) = filter.statuses.get(partition) else { return Ok((Vec::new(), None)) };
    let mut expression = Expression::of(filter, false);
    expression.names.insert("#attention".to_owned(), item::ATTENTION.to_owned());
    expression.values.insert(":attention".to_owned(), s(status.as_str()));
    let start = cursor.id.zip(cursor.updated_at).map(|(id, updated_at)| {
        HashMap::from([
            (item::ID.to_owned(), s(id)),
            (item::ATTENTION.to_owned(), s(status.as_str())),
            (item::UPDATED_AT.to_owned(), n(updated_at)),
        ])
    });
    let answer = ledger
        .client
        .query()
        .table_name(&ledger.table)
        .index_name(ATTENTION_INDEX)
        .limit(limit)
        // What needs attention most recently comes first.
        .scan_index_forward(false)
        .key_condition_expression("#attention = :attention")
        .filter_expression(expression.text)
        .set_expression_attribute_names(Some(expression.names))
        .set_expression_attribute_values(Some(expression.values))
        .set_exclusive_start_key(start)
        .send()
        .await
        .map_err(|error| classify("Query", Effect::Read, error))?;
    let within = answer.last_evaluated_key.as_ref().map(|key| Cursor {
        partition: Some(partition),
        id: text_of(key, item::ID).map(str::to_owned),
        updated_at: number_of(key, item::UPDATED_AT),
    });
    let following = || {
        (partition + 1 < filter.statuses.len()).then(|| Cursor { partition: Some(partition + 1), ..Cursor::default() })
    };
    Ok((answer.items.unwrap_or_default(), within.or_else(following)))
}

pub(super) async fn census(ledger: &DynamoLedger) -> Result<Census, CallError> {
    let mut census = Census::default();
    let mut start = None;
    loop {
        let answer = ledger
            .client
            .scan()
            .table_name(&ledger.table)
            .projection_expression("#id, #check, #status, #updated_at")
            .filter_expression("attribute_exists(#fingerprint)")
            .expression_attribute_names("#id", item::ID)
            .expression_attribute_names("#check", item::CHECK)
            .expression_attribute_names("#status", item::STATUS)
            .expression_attribute_names("#updated_at", item::UPDATED_AT)
            .expression_attribute_names("#fingerprint", item::FINGERPRINT)
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(|error| classify("Scan", Effect::Read, error))?;
        for item in answer.items.unwrap_or_default() {
            if let Some(key) = text_of(&item, item::ID).filter(|key| key.starts_with("expansion#")) {
                census.expansion(key, number_of(&item, item::UPDATED_AT).unwrap_or_default());
                continue;
            }
            let status = text_of(&item, item::STATUS).and_then(Status::parse);
            if let (Some(check), Some(status)) = (text_of(&item, item::CHECK), status) {
                census.finding(check, status);
            }
        }
        start = answer.last_evaluated_key.filter(|key| !key.is_empty());
        if start.is_none() {
            return Ok(census);
        }
    }
}
