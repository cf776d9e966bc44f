//! Reading a global secondary index as AWS keeps it.
//!
//! The table library reads an index by looking through the table: it gives out items that lack the index's sort key, and
//! attributes that are not projected into the index. On AWS neither is there to be read.

use std::collections::HashSet;

use rustack_dynamodb_core::provider::RustackDynamoDB;
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
        let projected = (!everything).then(|| {
            let table_keys = table.key_schema.into_iter().map(|element| element.attribute_name);
            projection.non_key_attributes.into_iter().chain(table_keys).chain(keys.iter().cloned()).collect()
        });
        Ok(Self { keys, projected })
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

/// `Query` of an index. With a `ProjectionExpression` the keys that tell may be missing, so the library's answer stands.
pub(super) fn query(tables: &RustackDynamoDB, input: QueryInput) -> Result<Value, Failure> {
    let view = IndexView::of(tables, &input.table_name, input.index_name.as_deref().unwrap_or_default())?;
    let whole = input.projection_expression.is_none() && input.attributes_to_get.is_none();
    let mut output = tables.handle_query(input)?;
    if whole && let Some(items) = output.items.take() {
        let items: Vec<Item> = items.into_iter().filter_map(|item| view.see(item)).collect();
        output.count = i32::try_from(items.len()).unwrap_or(i32::MAX);
        output.items = Some(items);
    }
    Ok(json!(output))
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
