//! Batches: what became of each statement, and consistent reads of several items.

use super::item::{ID, Item, s, text_of};
use super::statements::Statement;
use crate::aws::{CallError, Class, Effect, classify, classify_entry};
use crate::ledger::BATCH;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{BatchStatementResponse, KeysAndAttributes};
use std::collections::{HashMap, HashSet};

/// How often keys that `BatchGetItem` left unprocessed are asked for again before they count as throttled.
const READ_ROUNDS: u32 = 3;

/// What became of one statement.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It took effect.
    Done,
    /// The key exists (INSERT) or a condition did not hold (UPDATE); the item as it is, where the answer brought it.
    Refused(Option<Item>),
    /// It failed.
    Failed(CallError),
}

/// One `BatchExecuteStatement` of writes that passed [`check`]. Each statement has its own fate.
pub async fn execute(client: &Client, statements: Vec<Statement>) -> Result<Vec<Outcome>, CallError> {
    const OPERATION: &str = "BatchExecuteStatement";
    let count = statements.len();
    let requests = statements.into_iter().map(Statement::into_request).collect::<Result<Vec<_>, _>>();
    let requests = requests.map_err(|error| CallError::new(Class::Permanent, OPERATION, error.to_string()))?;
    let answer = client.batch_execute_statement().set_statements(Some(requests)).send().await;
    let answer = answer.map_err(|error| classify(OPERATION, Effect::Write, error))?;
    let responses = answer.responses.unwrap_or_default();
    if responses.len() != count {
        let message = format!("{} answers came for {count} statements", responses.len());
        return Err(CallError::new(Class::Unknown, OPERATION, message));
    }
    Ok(responses.into_iter().map(|response| outcome(OPERATION, response)).collect())
}

/// DynamoDB's own rule (1 to 25 statements, each of another item), told before anything is written.
///
/// # Errors
/// Class `Permanent`, code `ValidationException`.
pub fn check<'a>(keys: impl Iterator<Item = &'a str>) -> Result<(), CallError> {
    let refused = |message: String| {
        Err(CallError::new(Class::Permanent, "BatchExecuteStatement", message).with_code("ValidationException"))
    };
    let mut seen = HashSet::new();
    for key in keys {
        if !seen.insert(key) {
            return refused(format!("a batch holds distinct keys, and this one has {key} twice"));
        }
    }
    match seen.len() {
        1..=BATCH => Ok(()),
        other => refused(format!("a batch holds 1 to {BATCH} entries, and this one has {other}")),
    }
}

fn outcome(operation: &'static str, response: BatchStatementResponse) -> Outcome {
    let Some(error) = response.error else { return Outcome::Done };
    match error.code.as_ref().map(|code| code.as_str()).unwrap_or_default() {
        "DuplicateItem" | "ConditionalCheckFailed" => {
            Outcome::Refused(error.item.filter(|item| !item.is_empty()).or(response.item))
        }
        code => {
            let message = error.message.as_deref().unwrap_or_default();
            Outcome::Failed(classify_entry(operation, Effect::Write, code, message))
        }
    }
}

/// The items of these keys (at most 100), read consistently; keys without an item are absent.
pub async fn read(client: &Client, table: &str, keys: &[&str]) -> Result<HashMap<String, Item>, CallError> {
    const OPERATION: &str = "BatchGetItem";
    let mut found = HashMap::new();
    if keys.is_empty() {
        return Ok(found);
    }
    let keys = keys.iter().map(|key| HashMap::from([(ID.to_owned(), s(*key))])).collect();
    let wanted = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
    let wanted = wanted.map_err(|error| CallError::new(Class::Permanent, OPERATION, error.to_string()))?;
    let mut pending = HashMap::from([(table.to_owned(), wanted)]);
    for _ in 0..READ_ROUNDS {
        let answer = client.batch_get_item().set_request_items(Some(pending)).send().await;
        let answer = answer.map_err(|error| classify(OPERATION, Effect::Read, error))?;
        let items = answer.responses.unwrap_or_default().into_values().flatten();
        found.extend(items.filter_map(|item| Some((text_of(&item, ID)?.to_owned(), item))));
        pending = answer.unprocessed_keys.unwrap_or_default();
        if pending.is_empty() {
            return Ok(found);
        }
    }
    Err(CallError::new(Class::Throttled, OPERATION, "keys stayed unprocessed").with_code("UnprocessedKeys"))
}
