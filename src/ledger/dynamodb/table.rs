//! The table: key `id`, billed on demand, time to live on `expires_at`, sparse index `attention`.

use super::item;
use crate::aws::{CallError, Class, Effect, classify};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, IndexStatus, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TableDescription, TableStatus, TimeToLiveSpecification, TimeToLiveStatus,
};
use std::time::Duration;

/// The sparse index of what a person should look at: partition `attention`, sort `updated_at`, every attribute.
pub const ATTENTION_INDEX: &str = "attention";

/// A table on demand is there within seconds, an index on an empty one within a minute or two: five minutes, then tell.
const PATIENCE: Duration = Duration::from_secs(300);
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Whether something was made or found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It was not there; now it is.
    Created,
    /// It was there already, and is as it should be.
    Existed,
}

/// Why there is no usable table.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TableError {
    /// A call failed.
    #[error("failed to {0}")]
    Call(#[from] CallError),
    /// There is a table of that name that cannot serve: a sentence.
    #[error("{0}")]
    Unfit(String),
}

/// Makes the table, or finds it; returns when it and its index are active.
///
/// # Errors
/// [`TableError::Unfit`] when a table of that name has another key or lacks the index: nothing of it is changed.
pub async fn create_table(client: &Client, table: &str) -> Result<Created, TableError> {
    let made = match describe(client, table).await? {
        Some(_) => Created::Existed,
        None => make(client, table).await?,
    };
    wait_until_active(client, table).await?;
    enable_time_to_live(client, table).await?;
    Ok(made)
}

/// Looks at the table without changing anything.
///
/// # Errors
/// A sentence: what is wrong, and what to do.
pub async fn check_table(client: &Client, table: &str) -> Result<(), String> {
    let description = describe(client, table).await.map_err(|error| match error.class {
        Class::Denied if error.code.is_none() => {
            format!("there are no AWS credentials for the table {table}: {}", error.message)
        }
        Class::Denied => format!("the table {table} cannot be looked at: allow dynamodb:DescribeTable ({error})"),
        _ => format!("the table {table} cannot be looked at: failed to {error}"),
    })?;
    let Some(description) = description else {
        return Err(format!("the table {table} does not exist: make it with `fleetwarden setup --table {table}`"));
    };
    unfit(table, &description)?;
    match description.table_status() {
        Some(TableStatus::Active | TableStatus::Updating) | None => Ok(()),
        Some(status) => Err(format!("the table {table} is {status}: wait until it is ACTIVE")),
    }
}

/// `None` when there is no such table.
pub(super) async fn describe(client: &Client, table: &str) -> Result<Option<TableDescription>, CallError> {
    match client.describe_table().table_name(table).send().await {
        Ok(answer) => Ok(answer.table),
        Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_not_found_exception()) => Ok(None),
        Err(error) => Err(classify("DescribeTable", Effect::Read, error)),
    }
}

async fn make(client: &Client, table: &str) -> Result<Created, TableError> {
    const OPERATION: &str = "CreateTable";
    let malformed = |error: aws_sdk_dynamodb::error::BuildError| {
        TableError::Call(CallError::new(Class::Permanent, OPERATION, error.to_string()))
    };
    let attribute = |name: &str, kind| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().map_err(malformed)
    };
    let key =
        |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().map_err(malformed);
    let index = GlobalSecondaryIndex::builder()
        .index_name(ATTENTION_INDEX)
        .key_schema(key(item::ATTENTION, KeyType::Hash)?)
        .key_schema(key(item::UPDATED_AT, KeyType::Range)?)
        .projection(Projection::builder().projection_type(ProjectionType::All).build())
        .build()
        .map_err(malformed)?;
    let call = client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute(item::ID, ScalarAttributeType::S)?)
        .attribute_definitions(attribute(item::ATTENTION, ScalarAttributeType::S)?)
        .attribute_definitions(attribute(item::UPDATED_AT, ScalarAttributeType::N)?)
        .key_schema(key(item::ID, KeyType::Hash)?)
        .global_secondary_indexes(index);
    match call.send().await {
        Ok(_) => Ok(Created::Created),
        // Somebody else's `setup` was faster.
        Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_in_use_exception()) => {
            Ok(Created::Existed)
        }
        Err(error) => Err(classify(OPERATION, Effect::Write, error).into()),
    }
}

async fn wait_until_active(client: &Client, table: &str) -> Result<(), TableError> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(description) = describe(client, table).await? {
            unfit(table, &description).map_err(TableError::Unfit)?;
            let active = matches!(description.table_status(), Some(TableStatus::Active | TableStatus::Updating) | None);
            let indexed = description.global_secondary_indexes().iter().all(|index| {
                index.index_name() != Some(ATTENTION_INDEX)
                    || matches!(index.index_status(), Some(IndexStatus::Active | IndexStatus::Updating) | None)
            });
            if active && indexed {
                return Ok(());
            }
        }
        if tokio::time::Instant::now() >= deadline {
            let seconds = PATIENCE.as_secs();
            return Err(TableError::Unfit(format!(
                "the table {table} is not ACTIVE after {seconds} s: run setup again"
            )));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn enable_time_to_live(client: &Client, table: &str) -> Result<(), TableError> {
    let answer = client.describe_time_to_live().table_name(table).send().await;
    let answer = answer.map_err(|error| classify("DescribeTimeToLive", Effect::Read, error))?;
    if let Some(description) = answer.time_to_live_description()
        && let Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling) = description.time_to_live_status()
    {
        return match description.attribute_name() {
            Some(item::EXPIRES_AT) => Ok(()),
            other => Err(TableError::Unfit(format!(
                "the table {table} has its time to live on {}, not on {}: it belongs to something else; name another table",
                other.unwrap_or("another attribute"),
                item::EXPIRES_AT
            ))),
        };
    }
    let specification = TimeToLiveSpecification::builder().enabled(true).attribute_name(item::EXPIRES_AT).build();
    let specification =
        specification.map_err(|error| CallError::new(Class::Permanent, "UpdateTimeToLive", error.to_string()))?;
    let call = client.update_time_to_live().table_name(table).time_to_live_specification(specification);
    call.send().await.map_err(|error| classify("UpdateTimeToLive", Effect::Write, error))?;
    Ok(())
}

/// A sentence when the table is not one of ours.
pub(super) fn unfit(table: &str, description: &TableDescription) -> Result<(), String> {
    let is = |schema: &[KeySchemaElement], wanted: &[(&str, KeyType)]| {
        schema.len() == wanted.len()
            && schema
                .iter()
                .zip(wanted)
                .all(|(element, (name, kind))| element.attribute_name() == *name && element.key_type() == kind)
    };
    if !is(description.key_schema(), &[(item::ID, KeyType::Hash)]) {
        return Err(format!(
            "the table {table} has another primary key than the string {}: name another table, or make one with `fleetwarden setup`",
            item::ID
        ));
    }
    let string = description.attribute_definitions().iter().any(|attribute| {
        attribute.attribute_name() == item::ID && attribute.attribute_type() == &ScalarAttributeType::S
    });
    if !string {
        return Err(format!(
            "the table {table} has a primary key {} that is not a string: name another table",
            item::ID
        ));
    }
    let index = description.global_secondary_indexes().iter().find(|index| index.index_name() == Some(ATTENTION_INDEX));
    let wanted = [(item::ATTENTION, KeyType::Hash), (item::UPDATED_AT, KeyType::Range)];
    match index {
        Some(index) if is(index.key_schema(), &wanted) => Ok(()),
        Some(_) => Err(format!("the index {ATTENTION_INDEX} of the table {table} has other keys: name another table")),
        None => Err(format!("the table {table} has no index {ATTENTION_INDEX}: make a table with `fleetwarden setup`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn the_template_makes_the_table_that_setup_makes() {
        let template: Value = serde_saphyr::from_str(include_str!("../../../infra/line.yaml")).unwrap();
        let table = &template["Resources"]["Table"]["Properties"];
        let attribute = |name, kind| json!({ "AttributeName": name, "AttributeType": kind });
        let key = |name, kind| json!({ "AttributeName": name, "KeyType": kind });
        assert_eq!(table["BillingMode"], BillingMode::PayPerRequest.as_str());
        let attributes = [attribute(item::ID, "S"), attribute(item::ATTENTION, "S"), attribute(item::UPDATED_AT, "N")];
        assert_eq!(table["AttributeDefinitions"], json!(attributes));
        assert_eq!(table["KeySchema"], json!([key(item::ID, "HASH")]));
        let index = json!({
            "IndexName": ATTENTION_INDEX,
            "KeySchema": [key(item::ATTENTION, "HASH"), key(item::UPDATED_AT, "RANGE")],
            "Projection": { "ProjectionType": "ALL" },
        });
        assert_eq!(table["GlobalSecondaryIndexes"], json!([index]));
        assert_eq!(table["TimeToLiveSpecification"], json!({ "AttributeName": item::EXPIRES_AT, "Enabled": true }));
    }
}
