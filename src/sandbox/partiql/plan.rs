//! Which item operation a statement comes down to.

use rustack_dynamodb_model::input::{DeleteItemInput, GetItemInput, PutItemInput, UpdateItemInput};
use rustack_dynamodb_model::types::{KeySchemaElement, KeyType, ReturnValue};

use super::ast::{Condition, Item, Path, Returning, Statement};
use super::execute::Failure;
use super::translate::{Expressions, split_key};

/// The names of a key's attributes: partition key, and sort key if there is one.
pub(super) type KeyNames = Vec<String>;

/// The names in a key schema, partition key first.
pub(super) fn key_names(schema: &[KeySchemaElement]) -> KeyNames {
    let of = |kind: KeyType| schema.iter().filter(move |element| element.key_type == kind);
    of(KeyType::Hash).chain(of(KeyType::Range)).map(|element| element.attribute_name.clone()).collect()
}

/// One statement on one item.
#[derive(Debug)]
pub(super) struct Plan {
    /// The primary key it works on; two statements of a batch may not share one.
    pub(super) key: Item,
    /// What is done to it.
    pub(super) operation: Operation,
}

/// An item operation of the classic API.
#[derive(Debug)]
pub(super) enum Operation {
    /// An `INSERT`: a put that must not find an item.
    Put(PutItemInput),
    /// An `UPDATE`: it must find an item.
    Update(UpdateItemInput),
    /// A `DELETE`: finding nothing is success.
    Delete(DeleteItemInput),
    /// A `SELECT` by whole key, with the paths to keep.
    Get(GetItemInput, Vec<Path>),
}

/// Plans `statement` for a table keyed by `keys`. `on_failure` is `ReturnValuesOnConditionCheckFailure`.
///
/// # Errors
/// `ValidationException` where the statement does not pin down exactly one item.
pub(super) fn plan(
    statement: Statement,
    keys: &KeyNames,
    on_failure: Option<String>,
    consistent: Option<bool>,
) -> Result<Plan, Failure> {
    let mut write = Expressions::default();
    match statement {
        Statement::Insert { table, item } => {
            if let Some(missing) = keys.iter().find(|name| !item.contains_key(*name)) {
                return Err(Failure::validation(format!(
                    "One or more parameter values were invalid: Missing the key {missing} in the item"
                )));
            }
            let absent = format!("attribute_not_exists({})", write.name(&keys[0]));
            Ok(Plan {
                key: key_of(&item, keys),
                operation: Operation::Put(PutItemInput {
                    table_name: table,
                    item,
                    condition_expression: Some(absent),
                    expression_attribute_names: write.names,
                    return_values_on_condition_check_failure: on_failure,
                    ..Default::default()
                }),
            })
        }
        Statement::Update { table, set, remove, filter, returning } => {
            let (key, rest) = one_key(&filter, keys)?;
            let update = write.update(&set, &remove).map_err(Failure::validation)?;
            let present = format!("attribute_exists({})", write.name(&keys[0]));
            let condition = match write.conjunction(&rest) {
                Some(rest) => format!("{present} AND {rest}"),
                None => present,
            };
            Ok(Plan {
                key: key.clone(),
                operation: Operation::Update(UpdateItemInput {
                    table_name: table,
                    key,
                    update_expression: Some(update),
                    condition_expression: Some(condition),
                    expression_attribute_names: write.names,
                    expression_attribute_values: write.values,
                    return_values: returning.map(return_value),
                    return_values_on_condition_check_failure: on_failure,
                    ..Default::default()
                }),
            })
        }
        Statement::Delete { table, filter, returning } => {
            let (key, rest) = one_key(&filter, keys)?;
            if returning.is_some_and(|returning| returning != Returning::AllOld) {
                return Err(Failure::validation("DELETE returns ALL OLD * or nothing"));
            }
            // A key that no item has is success with nothing deleted, whatever else the clause asks.
            let absent = format!("attribute_not_exists({})", write.name(&keys[0]));
            let condition = write.conjunction(&rest).map(|rest| format!("{absent} OR ({rest})"));
            if condition.is_none() {
                write = Expressions::default();
            }
            Ok(Plan {
                key: key.clone(),
                operation: Operation::Delete(DeleteItemInput {
                    table_name: table,
                    key,
                    condition_expression: condition,
                    expression_attribute_names: write.names,
                    expression_attribute_values: write.values,
                    return_values: returning.map(return_value),
                    return_values_on_condition_check_failure: on_failure,
                    ..Default::default()
                }),
            })
        }
        Statement::Select { table, index: None, projection, filter: Some(filter) } => {
            let (key, rest) = split_key(&filter, keys);
            if key.len() != keys.len() || !rest.is_empty() {
                return Err(whole_key_needed());
            }
            Ok(Plan {
                key: key.clone(),
                operation: Operation::Get(
                    GetItemInput { table_name: table, key, consistent_read: consistent, ..Default::default() },
                    projection,
                ),
            })
        }
        Statement::Select { .. } => Err(whole_key_needed()),
    }
}

fn whole_key_needed() -> Failure {
    Failure::validation(
        "Select statements within BatchExecuteStatement must specify the primary key in the where clause.",
    )
}

/// The key that `filter` pins down, and the conditions beside it.
fn one_key(filter: &Condition, keys: &KeyNames) -> Result<(Item, Vec<Condition>), Failure> {
    let (key, rest) = split_key(filter, keys);
    if key.len() == keys.len() {
        return Ok((key, rest));
    }
    Err(Failure::validation("Where clause does not contain a mandatory equality on all key attributes"))
}

fn key_of(item: &Item, keys: &KeyNames) -> Item {
    keys.iter().filter_map(|name| Some((name.clone(), item.get(name)?.clone()))).collect()
}

fn return_value(returning: Returning) -> ReturnValue {
    match returning {
        Returning::AllOld => ReturnValue::AllOld,
        Returning::AllNew => ReturnValue::AllNew,
        Returning::ModifiedOld => ReturnValue::UpdatedOld,
        Returning::ModifiedNew => ReturnValue::UpdatedNew,
    }
}
