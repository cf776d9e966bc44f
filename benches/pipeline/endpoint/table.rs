//! DynamoDB, as far as the ledger needs it: the PartiQL of batches, conditional updates of single items, and reads by key.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

/// The attributes of an item, each value as the request brought it.
type Item = Vec<(Arc<str>, Box<RawValue>)>;

/// One table; every answer is consistent.
#[derive(Default)]
pub struct Table {
    items: HashMap<String, Item>,
    plans: HashMap<String, Arc<Plan>>,
}

/// What a statement's text asks for; its parameters come in the order of the names.
enum Plan {
    Insert(Vec<Arc<str>>),
    Update { set: Vec<Arc<str>>, remove: Vec<Arc<str>>, conditions: Vec<(Arc<str>, usize)> },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch<'a> {
    #[serde(borrow)]
    statements: Vec<Statement<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Statement<'a> {
    #[serde(borrow)]
    statement: Cow<'a, str>,
    #[serde(borrow)]
    parameters: Vec<&'a RawValue>,
}

impl Table {
    /// `BatchExecuteStatement`
    pub fn execute(&mut self, request: &[u8]) -> serde_json::Result<String> {
        let batch: Batch<'_> = serde_json::from_slice(request)?;
        let mut answer = String::from(r#"{"Responses":["#);
        for (n, statement) in batch.statements.iter().enumerate() {
            if n > 0 {
                answer.push(',');
            }
            let plan = match self.plans.get(statement.statement.as_ref()) {
                Some(plan) => Arc::clone(plan),
                None => {
                    let plan = Arc::new(Plan::of(&statement.statement));
                    self.plans.insert(statement.statement.clone().into_owned(), Arc::clone(&plan));
                    plan
                }
            };
            self.run(&plan, &statement.parameters, &mut answer);
        }
        answer.push_str("]}");
        Ok(answer)
    }

    fn run(&mut self, plan: &Plan, parameters: &[&RawValue], answer: &mut String) {
        match plan {
            Plan::Insert(names) => {
                let id = names.iter().position(|name| name.as_ref() == "id").and_then(|at| parameters.get(at));
                let id = text(id.map_or("", |id| id.get()));
                match self.items.get(&id) {
                    Some(item) => refused("DuplicateItem", item, answer),
                    None => {
                        let values = parameters.iter().map(|value| (*value).to_owned());
                        self.items.insert(id, names.iter().cloned().zip(values).collect());
                        answer.push_str(r#"{"TableName":"t"}"#);
                    }
                }
            }
            Plan::Update { set, remove, conditions } => {
                let id = text(parameters.get(set.len()).map_or("", |id| id.get()));
                let Some(item) = self.items.get_mut(&id) else { return refused("ConditionalCheckFailed", &[], answer) };
                let mut at = set.len() + 1;
                let holds = conditions.iter().all(|(name, values)| {
                    let value = item.iter().find(|(known, _)| known == name).map(|(_, value)| value.get());
                    let wanted = parameters.get(at..at + values).unwrap_or_default();
                    at += values;
                    wanted.iter().any(|wanted| Some(wanted.get()) == value)
                });
                if !holds {
                    return refused("ConditionalCheckFailed", item, answer);
                }
                for (name, value) in set.iter().zip(parameters) {
                    match item.iter_mut().find(|(known, _)| known == name) {
                        Some(known) => known.1 = (*value).to_owned(),
                        None => item.push((Arc::clone(name), (*value).to_owned())),
                    }
                }
                item.retain(|(name, _)| !remove.contains(name));
                answer.push_str(r#"{"TableName":"t"}"#);
            }
        }
    }

    /// `GetItem`
    pub fn get(&self, request: &[u8]) -> serde_json::Result<String> {
        let request: Value = serde_json::from_slice(request)?;
        let id = request["Key"]["id"]["S"].as_str().unwrap_or_default();
        let mut answer = String::from("{");
        if let Some(item) = self.items.get(id) {
            answer.push_str(r#""Item":"#);
            put(item, &mut answer);
        }
        answer.push('}');
        Ok(answer)
    }

    /// `UpdateItem`: the answer, or the refusal's. Understands what the ledger writes, and no more: conditions that are all to hold,
    /// and values that are set or added up.
    pub fn update(&mut self, request: &[u8]) -> serde_json::Result<Result<Value, Value>> {
        let request: Value = serde_json::from_slice(request)?;
        let id = request["Key"]["id"]["S"].as_str().unwrap_or_default();
        let before = self.items.get(id).cloned().unwrap_or_default();
        let mut item: Map<String, Value> = Map::new();
        for (name, value) in &before {
            item.insert(name.to_string(), serde_json::from_str(value.get())?);
        }
        let old = Value::Object(item.clone());
        let name = |placeholder: &str| {
            let name = request["ExpressionAttributeNames"][placeholder].as_str();
            name.unwrap_or(placeholder).to_owned()
        };
        let value = |placeholder: &str| request["ExpressionAttributeValues"][placeholder].clone();
        let condition = request["ConditionExpression"].as_str().unwrap_or_default();
        let holds = condition.split(" AND ").filter(|part| !part.is_empty()).all(|part| {
            if let Some(placeholder) = part.strip_prefix("attribute_not_exists(") {
                return !item.contains_key(&name(placeholder.trim_end_matches(')')));
            }
            let mut words = part.split(' ');
            let (left, sign, right) = (words.next(), words.next().unwrap_or_default(), words.next());
            let left = item.get(&name(left.unwrap_or_default()));
            let right = value(right.unwrap_or_default());
            match sign {
                ">=" => left.is_some_and(|left| number(left) >= number(&right)),
                "<=" => left.is_some_and(|left| number(left) <= number(&right)),
                _ => left == Some(&right),
            }
        });
        if !holds {
            return Ok(Err(old));
        }
        item.insert("id".to_owned(), json!({ "S": id }));
        let sets = request["UpdateExpression"].as_str().unwrap_or_default();
        for set in sets.trim_start_matches("SET ").split(", ") {
            let words: Vec<&str> = set.split(' ').collect();
            let new = match words.as_slice() {
                [_, "=", placeholder] => value(placeholder),
                [_, "=", left, "+", right] => {
                    let sum = item.get(&name(left)).map_or(0.0, number) + number(&value(right));
                    json!({ "N": format!("{sum:.0}") })
                }
                _ => continue,
            };
            item.insert(name(words[0]), new);
        }
        let raw = |value: &Value| RawValue::from_string(value.to_string());
        let item = item.iter().map(|(name, value)| Ok((Arc::from(name.as_str()), raw(value)?)));
        self.items.insert(id.to_owned(), item.collect::<serde_json::Result<_>>()?);
        Ok(Ok(json!({ "Attributes": old })))
    }
}

impl Plan {
    fn of(text: &str) -> Self {
        if text.starts_with("INSERT") {
            return Self::Insert(text.split('\'').skip(1).step_by(2).map(Arc::from).collect());
        }
        let quoted = |part: &str| part.split('"').nth(1).map(Arc::<str>::from);
        let (changes, conditions) = text.split_once(" WHERE ").unwrap_or((text, ""));
        let (sets, removes) = changes.split_once(" REMOVE ").unwrap_or((changes, ""));
        Self::Update {
            set: sets.split(" SET ").skip(1).filter_map(quoted).collect(),
            remove: removes.split(" REMOVE ").filter_map(quoted).collect(),
            conditions: conditions
                .split(" AND ")
                .skip(1)
                .filter_map(|part| Some((quoted(part)?, part.matches('?').count())))
                .collect(),
        }
    }
}

/// The text of a string attribute.
fn text(value: &str) -> String {
    let value: Result<HashMap<&str, String>, _> = serde_json::from_str(value);
    value.ok().and_then(|mut value| value.remove("S")).unwrap_or_default()
}

fn number(value: &Value) -> f64 {
    value["N"].as_str().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

fn refused(code: &str, item: &[(Arc<str>, Box<RawValue>)], answer: &mut String) {
    let _ = write!(answer, r#"{{"Error":{{"Code":"{code}","Message":"refused","Item":"#);
    put(item, answer);
    answer.push_str("}}");
}

fn put(item: &[(Arc<str>, Box<RawValue>)], answer: &mut String) {
    answer.push('{');
    for (n, (name, value)) in item.iter().enumerate() {
        let comma = if n > 0 { "," } else { "" };
        let _ = write!(answer, "{comma}\"{name}\":{}", value.get());
    }
    answer.push('}');
}

/// `DescribeTable` of a ledger.
pub fn description() -> Value {
    let key = |name: &str, kind: &str| json!({ "AttributeName": name, "KeyType": kind });
    json!({ "Table": {
        "TableName": "t",
        "TableStatus": "ACTIVE",
        "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
        "KeySchema": [key("id", "HASH")],
        "GlobalSecondaryIndexes": [{
            "IndexName": "attention",
            "IndexStatus": "ACTIVE",
            "KeySchema": [key("attention", "HASH"), key("updated_at", "RANGE")],
            "Projection": { "ProjectionType": "ALL" },
        }],
    }})
}
