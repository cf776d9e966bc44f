//! `ExecuteStatement` and `BatchExecuteStatement`.

use std::collections::HashSet;

use aws_smithy_types::base64;
use rustack_dynamodb_core::provider::RustackDynamoDB;
use rustack_dynamodb_model::input::DescribeTableInput;
use rustack_dynamodb_model::types::TableDescription;
use rustack_dynamodb_model::{AttributeValue, DynamoDBError};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::indexes::IndexView;
use super::ast::{Item, Statement};
use super::parse;
use super::plan::{Operation, Plan, key_names, plan};
use super::select::{Select, project, select};

/// Most statements in one batch.
const BATCH_LIMIT: usize = 25;

/// One statement as it is sent, alone or in a batch.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct StatementRequest {
    statement: String,
    parameters: Vec<AttributeValue>,
    consistent_read: Option<bool>,
    return_values_on_condition_check_failure: Option<String>,
    /// Only `ExecuteStatement` has it: items evaluated at most.
    limit: Option<i32>,
    /// Only `ExecuteStatement` has it: where the page before ended.
    next_token: Option<String>,
}

/// The body of a `BatchExecuteStatement`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BatchRequest {
    statements: Vec<StatementRequest>,
}

/// Why a statement, or a whole request, was refused.
#[derive(Debug)]
pub struct Failure {
    /// The exception's name, such as `ConditionalCheckFailedException`.
    pub code: String,
    /// DynamoDB's message.
    pub message: String,
    /// The item that stood in the way, if the statement asked for it.
    pub item: Option<Item>,
}

impl Failure {
    /// A `ValidationException`.
    pub fn validation(message: impl Into<String>) -> Self {
        Self { code: "ValidationException".to_owned(), message: message.into(), item: None }
    }

    /// The name that the same failure has inside a batch: `BatchStatementErrorCodeEnum`.
    fn batch_code(&self) -> &str {
        match self.code.as_str() {
            "ValidationException" | "SerializationException" => "ValidationError",
            "ThrottlingException" => "ThrottlingError",
            other => other.trim_end_matches("Exception"),
        }
    }
}

impl From<DynamoDBError> for Failure {
    fn from(error: DynamoDBError) -> Self {
        Self { code: error.code.as_str().to_owned(), message: error.message, item: error.item }
    }
}

/// Some items, and where the next page starts (empty at the end).
#[derive(Debug)]
pub(super) struct Page {
    pub(super) items: Vec<Item>,
    pub(super) next: Item,
}

/// Runs one statement; answers the body of the reply.
///
/// # Errors
/// Any failure of the statement is the failure of the request.
pub fn execute_statement(tables: &RustackDynamoDB, request: StatementRequest) -> Result<Value, Failure> {
    let statement = parse(&request.statement, request.parameters).map_err(Failure::validation)?;
    let description = describe(tables, statement.table())?;
    let page = if let Statement::Select { table, index, projection, filter } = &statement {
        let view = index.as_ref().map(|index| IndexView::of(tables, table, index)).transpose()?;
        let keys = view.as_ref().map_or_else(|| key_names(&description.key_schema), |view| view.keys.clone());
        let start = request.next_token.map(|token| read_token(&token)).transpose()?.unwrap_or_default();
        let read = select(
            tables,
            Select {
                table,
                index: index.as_deref(),
                filter: filter.as_ref(),
                keys: &keys,
                consistent: request.consistent_read,
                limit: request.limit,
                start,
            },
        )?;
        let in_index = |item| match &view {
            Some(view) => view.see(item),
            None => Some(item),
        };
        let items = read.items.into_iter().filter_map(in_index).map(|item| project(item, projection)).collect();
        Page { items, next: read.next }
    } else {
        let keys = key_names(&description.key_schema);
        let planned = plan(statement, &keys, request.return_values_on_condition_check_failure, None)?;
        Page { items: run(tables, planned.operation)?.into_iter().collect(), next: Item::new() }
    };
    let mut reply = json!({ "Items": page.items });
    if !page.next.is_empty() {
        reply["LastEvaluatedKey"] = json!(page.next);
        reply["NextToken"] = json!(base64::encode(json!(page.next).to_string()));
    }
    Ok(reply)
}

/// Runs a batch; answers the body of the reply, one entry for each statement, in their order.
///
/// # Errors
/// `ValidationException` for the whole request, and nothing has run: no statements or more than 25, reads beside writes, or
/// two statements on the same item. Failures of single statements are in their entries.
pub fn batch_execute_statement(tables: &RustackDynamoDB, request: BatchRequest) -> Result<Value, Failure> {
    let count = request.statements.len();
    if count == 0 || count > BATCH_LIMIT {
        return Err(Failure::validation(format!(
            "1 validation error detected: Value at 'statements' failed to satisfy constraint: Member must have length \
             greater than or equal to 1 and less than or equal to {BATCH_LIMIT}"
        )));
    }
    let prepared: Vec<Prepared> = request.statements.into_iter().map(|statement| prepare(tables, statement)).collect();
    if prepared.iter().any(|one| one.reads == Some(true)) && prepared.iter().any(|one| one.reads == Some(false)) {
        return Err(Failure::validation(
            "BatchExecuteStatement requests may not mix read and write statements. Send them in two requests.",
        ));
    }
    let mut seen = HashSet::new();
    for one in &prepared {
        if let (Some(table), Ok(plan)) = (&one.table, &one.plan)
            && !seen.insert((table.clone(), identity(&plan.key)))
        {
            return Err(Failure::validation("Provided list of item keys contains duplicates"));
        }
    }
    let responses: Vec<Value> = prepared.into_iter().map(|one| answer(tables, one)).collect();
    Ok(json!({ "Responses": responses }))
}

/// A statement of a batch, as far as it was understood.
struct Prepared {
    table: Option<String>,
    reads: Option<bool>,
    plan: Result<Plan, Failure>,
}

fn prepare(tables: &RustackDynamoDB, request: StatementRequest) -> Prepared {
    let statement = match parse(&request.statement, request.parameters) {
        Ok(statement) => statement,
        Err(message) => return Prepared { table: None, reads: None, plan: Err(Failure::validation(message)) },
    };
    let table = statement.table().to_owned();
    let reads = statement.is_read();
    let planned = describe(tables, &table).and_then(|description| {
        let keys = key_names(&description.key_schema);
        plan(statement, &keys, request.return_values_on_condition_check_failure, request.consistent_read)
    });
    Prepared { table: Some(table), reads: Some(reads), plan: planned }
}

fn answer(tables: &RustackDynamoDB, one: Prepared) -> Value {
    let mut entry = json!({});
    if let Some(table) = one.table {
        entry["TableName"] = json!(table);
    }
    match one.plan.and_then(|plan| run(tables, plan.operation)) {
        Ok(None) => {}
        Ok(Some(item)) => entry["Item"] = json!(item),
        Err(failure) => {
            entry["Error"] = json!({ "Code": failure.batch_code(), "Message": failure.message });
            if let Some(item) = failure.item {
                entry["Error"]["Item"] = json!(item);
            }
        }
    }
    entry
}

/// Runs one item operation; answers the item that the statement gives back, if any.
fn run(tables: &RustackDynamoDB, operation: Operation) -> Result<Option<Item>, Failure> {
    let returned = |attributes: Item| (!attributes.is_empty()).then_some(attributes);
    match operation {
        Operation::Put(input) => match tables.handle_put_item(input) {
            Ok(_) => Ok(None),
            Err(error) => {
                let mut failure = Failure::from(error);
                if failure.code == "ConditionalCheckFailedException" {
                    failure.code = "DuplicateItemException".to_owned();
                    failure.message = "Duplicate primary key exists in table".to_owned();
                }
                Err(failure)
            }
        },
        Operation::Update(input) => Ok(returned(tables.handle_update_item(input)?.attributes)),
        Operation::Delete(input) => Ok(returned(tables.handle_delete_item(input)?.attributes)),
        Operation::Get(input, projection) => {
            Ok(tables.handle_get_item(input)?.item.map(|item| project(item, &projection)))
        }
    }
}

fn describe(tables: &RustackDynamoDB, table: &str) -> Result<TableDescription, Failure> {
    let description = tables.handle_describe_table(DescribeTableInput { table_name: table.to_owned() })?.table;
    description.ok_or_else(|| Failure::validation(format!("the table {table} has no description")))
}

/// A key as text, the same for equal keys.
fn identity(key: &Item) -> String {
    let mut parts: Vec<String> = key.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    parts.sort();
    parts.join("\u{0}")
}

fn read_token(token: &str) -> Result<Item, Failure> {
    let bytes = base64::decode(token).map_err(|_| Failure::validation("Invalid NextToken"))?;
    serde_json::from_slice(&bytes).map_err(|_| Failure::validation("Invalid NextToken"))
}
