//! The PartiQL texts. Names are quoted, since `status`, `owner` and `region` are reserved words; values are always parameters.

use super::item::ID;
use aws_sdk_dynamodb::types::{AttributeValue, BatchStatementRequest, ReturnValuesOnConditionCheckFailure};

/// A PartiQL statement with its parameters, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// `INSERT ...` or `UPDATE ...`
    pub text: String,
    /// One for each `?`.
    pub parameters: Vec<AttributeValue>,
}

impl Statement {
    /// `INSERT INTO "t" VALUE {'a': ?, ...}`: fails with `DuplicateItem` where the key exists.
    pub fn insert(table: &str, attributes: Vec<(&'static str, AttributeValue)>) -> Self {
        let mut text = format!("INSERT INTO \"{table}\" VALUE {{");
        let mut parameters = Vec::with_capacity(attributes.len());
        for (name, value) in attributes {
            let comma = if parameters.is_empty() { "" } else { ", " };
            push(&mut text, &[comma, "'", name, "': ?"]);
            parameters.push(value);
        }
        text.push('}');
        Self { text, parameters }
    }

    /// `UPDATE "t" SET "a"=? REMOVE "b" WHERE "id"=? AND "c"=?`: a value that is `None` is removed. Fails with
    /// `ConditionalCheckFailed` where the item is missing or a condition does not hold.
    pub fn update(
        table: &str,
        key: &str,
        changes: Vec<(&'static str, Option<AttributeValue>)>,
        conditions: Vec<(&'static str, AttributeValue)>,
    ) -> Self {
        let (mut text, mut removes) = (format!("UPDATE \"{table}\""), String::new());
        let mut parameters = Vec::with_capacity(changes.len() + 1 + conditions.len());
        for (name, value) in changes {
            match value {
                Some(value) => {
                    push(&mut text, &[" SET \"", name, "\"=?"]);
                    parameters.push(value);
                }
                None => push(&mut removes, &[" REMOVE \"", name, "\""]),
            }
        }
        push(&mut text, &[&removes, " WHERE \"", ID, "\"=?"]);
        parameters.push(AttributeValue::S(key.to_owned()));
        for (name, value) in conditions {
            push(&mut text, &[" AND \"", name, "\"=?"]);
            parameters.push(value);
        }
        Self { text, parameters }
    }

    /// The same update, with one more condition: `AND "a" IN [?, ?]`.
    #[must_use]
    pub fn and_either(mut self, name: &str, values: [AttributeValue; 2]) -> Self {
        push(&mut self.text, &[" AND \"", name, "\" IN [?, ?]"]);
        self.parameters.extend(values);
        self
    }

    /// As an entry of a batch; a failed condition is to bring the item along.
    pub fn into_request(self) -> Result<BatchStatementRequest, aws_sdk_dynamodb::error::BuildError> {
        BatchStatementRequest::builder()
            .statement(self.text)
            .set_parameters(Some(self.parameters))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
    }
}

fn push(text: &mut String, parts: &[&str]) {
    text.extend(parts.iter().copied());
}

#[cfg(test)]
mod tests {
    use super::super::item::{n, s};
    use super::*;

    #[test]
    fn an_insert_names_every_attribute_and_passes_every_value() {
        let statement = Statement::insert("t", vec![("id", s("k")), ("epoch", n(1))]);
        assert_eq!(statement.text, r#"INSERT INTO "t" VALUE {'id': ?, 'epoch': ?}"#);
        assert_eq!(statement.parameters, [s("k"), n(1)]);
    }

    #[test]
    fn an_update_sets_then_removes_then_names_the_key_and_its_conditions() {
        let changes = vec![("rule", None), ("status", Some(s("dead")))];
        let statement = Statement::update("t", "k", changes, vec![("epoch", n(2))]);
        assert_eq!(statement.text, r#"UPDATE "t" SET "status"=? REMOVE "rule" WHERE "id"=? AND "epoch"=?"#);
        assert_eq!(statement.parameters, [s("dead"), s("k"), n(2)]);
    }
}
