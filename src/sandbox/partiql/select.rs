//! `SELECT` outside a batch: by key, by query or by scan, whichever the `WHERE` clause allows.

use rustack_dynamodb_core::provider::RustackDynamoDB;
use rustack_dynamodb_model::AttributeValue;
use rustack_dynamodb_model::input::{GetItemInput, QueryInput, ScanInput};

use super::ast::{Condition, Item, Operand, Path, Step};
use super::execute::{Failure, Page};
use super::plan::KeyNames;
use super::translate::{Expressions, conjuncts, split_key};

/// A `SELECT`, taken apart.
#[derive(Debug)]
pub(super) struct Select<'a> {
    pub(super) table: &'a str,
    pub(super) index: Option<&'a str>,
    pub(super) filter: Option<&'a Condition>,
    /// The keys of the table, or of the index when one is named.
    pub(super) keys: &'a KeyNames,
    pub(super) consistent: Option<bool>,
    /// Items evaluated at most, before the filter.
    pub(super) limit: Option<i32>,
    /// Where the page before ended.
    pub(super) start: Item,
}

/// Reads one page.
pub(super) fn select(tables: &RustackDynamoDB, select: Select<'_>) -> Result<Page, Failure> {
    let (key, rest) = match select.filter {
        Some(filter) => split_key(filter, select.keys),
        None => (Item::new(), Vec::new()),
    };
    if select.index.is_none() && key.len() == select.keys.len() && rest.is_empty() {
        return Ok(Page { items: get(tables, &select, key)?.into_iter().collect(), next: Item::new() });
    }
    if let Some(choices) = key_choices(&select) {
        let mut items = Vec::new();
        for choice in choices {
            let key = Item::from([(select.keys[0].clone(), choice)]);
            items.extend(get(tables, &select, key)?);
        }
        return Ok(Page { items, next: Item::new() });
    }
    if key.contains_key(&select.keys[0]) { query(tables, select, key, rest) } else { scan(tables, select) }
}

fn get(tables: &RustackDynamoDB, select: &Select<'_>, key: Item) -> Result<Option<Item>, Failure> {
    let input = GetItemInput {
        table_name: select.table.to_owned(),
        key,
        consistent_read: select.consistent,
        ..Default::default()
    };
    Ok(tables.handle_get_item(input)?.item)
}

/// The values of `WHERE key IN [...]` on a table whose key is one attribute.
fn key_choices(select: &Select<'_>) -> Option<Vec<AttributeValue>> {
    let (None, [key], Some(Condition::In(Operand::Path(path), choices))) =
        (select.index, select.keys.as_slice(), select.filter)
    else {
        return None;
    };
    if path.as_slice() != [Step::Name(key.clone())] {
        return None;
    }
    choices
        .iter()
        .map(|choice| match choice {
            Operand::Value(value) => Some(value.clone()),
            _ => None,
        })
        .collect()
}

fn query(tables: &RustackDynamoDB, select: Select<'_>, key: Item, mut rest: Vec<Condition>) -> Result<Page, Failure> {
    let mut written = Expressions::default();
    let mut key_condition = String::new();
    for name in select.keys {
        let Some(value) = key.get(name) else { continue };
        if !key_condition.is_empty() {
            key_condition.push_str(" AND ");
        }
        let (name, value) = (written.name(name), written.value(value));
        key_condition.push_str(&format!("{name} = {value}"));
    }
    // A range on the sort key belongs to the key condition; a filter may not name a key.
    let sort = select.keys.get(1).filter(|name| !key.contains_key(*name));
    if let Some(sort) = sort
        && let Some(position) = rest.iter().position(|condition| is_about(condition, sort))
    {
        let range = written.condition(&rest.remove(position));
        key_condition.push_str(&format!(" AND {range}"));
    }
    let filter = written.conjunction(&rest);
    let output = tables.handle_query(QueryInput {
        table_name: select.table.to_owned(),
        index_name: select.index.map(str::to_owned),
        key_condition_expression: Some(key_condition),
        filter_expression: filter,
        expression_attribute_names: written.names,
        expression_attribute_values: written.values,
        limit: select.limit,
        exclusive_start_key: select.start,
        consistent_read: select.consistent,
        ..Default::default()
    })?;
    Ok(Page { items: output.items.unwrap_or_default(), next: output.last_evaluated_key })
}

fn scan(tables: &RustackDynamoDB, select: Select<'_>) -> Result<Page, Failure> {
    let mut written = Expressions::default();
    let filter = select.filter.and_then(|filter| {
        let parts: Vec<Condition> = conjuncts(filter).into_iter().cloned().collect();
        written.conjunction(&parts)
    });
    let output = tables.handle_scan(ScanInput {
        table_name: select.table.to_owned(),
        filter_expression: filter,
        expression_attribute_names: written.names,
        expression_attribute_values: written.values,
        limit: select.limit,
        exclusive_start_key: select.start,
        consistent_read: select.consistent,
        ..Default::default()
    })?;
    Ok(Page { items: output.items.unwrap_or_default(), next: output.last_evaluated_key })
}

/// Whether a condition is a range on the attribute `name`, as a key condition may have.
fn is_about(condition: &Condition, name: &str) -> bool {
    let named =
        |operand: &Operand| matches!(operand, Operand::Path(path) if path.as_slice() == [Step::Name(name.to_owned())]);
    match condition {
        Condition::Compare(left, _, Operand::Value(_)) => named(left),
        Condition::Between(operand, _, _) => named(operand),
        Condition::Call(function, arguments) => function == "begins_with" && arguments.first().is_some_and(named),
        _ => false,
    }
}

/// The parts of `item` that a projection keeps, each under the last name of its path; no paths means all of it.
pub(super) fn project(item: Item, paths: &[Path]) -> Item {
    if paths.is_empty() {
        return item;
    }
    paths.iter().filter_map(|path| Some((label(path)?.clone(), find(&item, path)?.clone()))).collect()
}

fn label(path: &Path) -> Option<&String> {
    path.iter().rev().find_map(|step| match step {
        Step::Name(name) => Some(name),
        Step::Index(_) => None,
    })
}

fn find<'a>(item: &'a Item, path: &Path) -> Option<&'a AttributeValue> {
    let (Step::Name(first), steps) = path.split_first()? else {
        return None;
    };
    steps.iter().try_fold(item.get(first)?, |value, step| match (value, step) {
        (AttributeValue::M(members), Step::Name(name)) => members.get(name),
        (AttributeValue::L(elements), Step::Index(index)) => elements.get(*index),
        _ => None,
    })
}
