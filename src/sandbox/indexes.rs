//! Reading a global secondary index as AWS keeps it.
//!
//! The table library reads an index by looking through the table: it gives out items that lack the index's sort key, and
//! attributes that are not projected into the index. On AWS neither is there to be read.

use std::cmp::Ordering;
use std::collections::HashSet;

use rustack_dynamodb_core::provider::RustackDynamoDB;
use rustack_dynamodb_model::AttributeValue;
use rustack_dynamodb_model::input::{DescribeTableInput, QueryInput, ScanInput};
use rustack_dynamodb_model::types::ProjectionType;
use serde_json::{Value, json};

use super::partiql::Failure;
use super::partiql::Item;

/// What an index holds.
#[derive(Debug)]
pub(super) struct IndexView {
    /// The index's key attributes; an item without one of them is not in the index.
    pub(super) keys: Vec<String>,
    table_keys: Vec<String>,
    /// The attributes that are projected; none means all.
    projected: Option<HashSet<String>>,
}

impl IndexView {
    /// The view through `index` of `table`.
    ///
    /// # Errors
    /// `ResourceNotFoundException` for the table, `ValidationException` for the index.
    pub(super) fn of(tables: &RustackDynamoDB, table: &str, index: &str) -> Result<Self, Failure> {
        let described = tables.handle_describe_table(DescribeTableInput { table_name: table.to_owned() })?.table;
        let table = described.unwrap_or_default();
        let found = table.global_secondary_indexes.into_iter().find(|known| known.index_name.as_deref() == Some(index));
        let Some(found) = found else {
            return Err(Failure::validation(format!("The table does not have the specified index: {index}")));
        };
        let mut keys: Vec<_> = found.key_schema;
        keys.sort_by_key(|element| element.key_type.as_str() != "HASH");
        let keys: Vec<String> = keys.into_iter().map(|element| element.attribute_name).collect();
        let projection = found.projection.unwrap_or_default();
        let everything = matches!(projection.projection_type, None | Some(ProjectionType::All));
        let table_keys: Vec<String> = table.key_schema.into_iter().map(|element| element.attribute_name).collect();
        let projected = (!everything).then(|| {
            let keys = table_keys.iter().chain(&keys).cloned();
            projection.non_key_attributes.into_iter().chain(keys).collect()
        });
        Ok(Self { keys, table_keys, projected })
    }

    /// The item's keys, of the index and of the table.
    fn key_of(&self, item: &Item) -> Item {
        let names = self.keys.iter().chain(&self.table_keys);
        names.filter_map(|name| Some((name.clone(), item.get(name)?.clone()))).collect()
    }

    /// The item as the index holds it, if it does.
    pub(super) fn see(&self, mut item: Item) -> Option<Item> {
        if !self.keys.iter().all(|key| item.contains_key(key)) {
            return None;
        }
        if let Some(projected) = &self.projected {
            item.retain(|name, _| projected.contains(name));
        }
        Some(item)
    }
}

/// `Query` of an index. The library looks through the first megabyte of the table only, so that its answer serves to refuse what is wrong;
/// with a `ProjectionExpression`, or conditions in the old form, it stands.
pub(super) fn query(tables: &RustackDynamoDB, input: QueryInput) -> Result<Value, Failure> {
    let view = IndexView::of(tables, &input.table_name, input.index_name.as_deref().unwrap_or_default())?;
    let mut output = tables.handle_query(input.clone())?;
    let whole = input.projection_expression.is_none() && input.attributes_to_get.is_none() && output.items.is_some();
    let (true, Some(condition)) = (whole, &input.key_condition_expression) else { return Ok(json!(output)) };
    let mut found = matching(tables, &view, &input, condition.clone())?;
    if let Some(sort) = view.keys.get(1) {
        found.sort_by(|one, other| order(one.get(sort), other.get(sort)));
    }
    if input.scan_index_forward == Some(false) {
        found.reverse();
    }
    let start = &input.exclusive_start_key;
    if !start.is_empty() {
        let at = found.iter().position(|item| start.iter().all(|(name, value)| item.get(name) == Some(value)));
        found.drain(..at.map_or(found.len(), |at| at + 1));
    }
    let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    found.truncate(limit);
    output.scanned_count = i32::try_from(found.len()).unwrap_or(i32::MAX);
    let key = |item: &Item| view.key_of(item);
    output.last_evaluated_key = found.last().filter(|_| more).map(key).unwrap_or_default();
    // As on AWS, what the limit counts is looked at, and the filter comes after.
    if let Some(filter) = &input.filter_expression {
        let kept = matching(tables, &view, &input, format!("({condition}) AND ({filter})"))?;
        let kept: Vec<Item> = kept.iter().map(key).collect();
        found.retain(|item| kept.contains(&view.key_of(item)));
    }
    output.count = i32::try_from(found.len()).unwrap_or(i32::MAX);
    output.items = Some(found);
    Ok(json!(output))
}

/// Every item of the index for which this holds, a filter over the whole table, in no order.
fn matching(
    tables: &RustackDynamoDB,
    view: &IndexView,
    input: &QueryInput,
    expression: String,
) -> Result<Vec<Item>, Failure> {
    let words: HashSet<&str> =
        expression.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '#' | ':'))).collect();
    let used = |name: &String| words.contains(name.as_str());
    let (mut names, mut values) = (input.expression_attribute_names.clone(), input.expression_attribute_values.clone());
    names.retain(|name, _| used(name));
    values.retain(|name, _| used(name));
    let mut page = ScanInput {
        table_name: input.table_name.clone(),
        filter_expression: Some(expression.clone()),
        expression_attribute_names: names,
        expression_attribute_values: values,
        ..ScanInput::default()
    };
    let mut found = Vec::new();
    loop {
        let output = tables.handle_scan(page.clone())?;
        found.extend(output.items.unwrap_or_default().into_iter().filter_map(|item| view.see(item)));
        page.exclusive_start_key = output.last_evaluated_key;
        if page.exclusive_start_key.is_empty() {
            return Ok(found);
        }
    }
}

/// Numbers by value, strings by their bytes.
fn order(one: Option<&AttributeValue>, other: Option<&AttributeValue>) -> Ordering {
    match (one, other) {
        (Some(AttributeValue::N(one)), Some(AttributeValue::N(other))) => {
            let number = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
            number(one).total_cmp(&number(other))
        }
        (Some(AttributeValue::S(one)), Some(AttributeValue::S(other))) => one.cmp(other),
        _ => Ordering::Equal,
    }
}

/// `Scan` of an index: of the table, with the index's keys asked for.
pub(super) fn scan(tables: &RustackDynamoDB, mut input: ScanInput) -> Result<Value, Failure> {
    let index = input.index_name.take().unwrap_or_default();
    let view = IndexView::of(tables, &input.table_name, &index)?;
    let whole = input.projection_expression.is_none();
    for (number, key) in view.keys.iter().enumerate() {
        let name = format!("#index_key_{number}");
        let present = format!("attribute_exists({name})");
        input.filter_expression = Some(match input.filter_expression.take() {
            Some(filter) => format!("({filter}) AND {present}"),
            None => present,
        });
        input.expression_attribute_names.insert(name, key.clone());
    }
    let mut output = tables.handle_scan(input)?;
    if whole && let Some(items) = output.items.take() {
        output.items = Some(items.into_iter().filter_map(|item| view.see(item)).collect());
    }
    Ok(json!(output))
}
