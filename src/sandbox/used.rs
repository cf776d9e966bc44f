//! Which permissions the calls so far would have needed of IAM (`GET /_sandbox/permissions`): the sandbox itself allows everything.

use super::iot::CallCount;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Counts the calls of every service but AWS IoT, which counts its own.
#[derive(Debug, Default)]
pub(super) struct Used(Mutex<BTreeMap<String, u64>>);

impl Used {
    /// A call of `operation`, whatever becomes of it.
    pub(super) fn count(&self, service: &str, operation: &str, body: &[u8]) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for action in actions(service, operation, body) {
            *counts.entry(format!("{service}:{action}")).or_default() += 1;
        }
    }

    /// Permissions, as `sqs:SendMessage`, and how many calls needed them; with those that AWS IoT counted.
    pub(super) fn with(&self, iot: BTreeMap<String, CallCount>) -> BTreeMap<String, u64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.extend(
            iot.into_iter()
                .map(|(operation, calls)| (format!("iot:{operation}"), calls.ok + calls.failed + calls.throttled)),
        );
        all
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Statements {
    #[serde(default)]
    statements: Vec<Statement>,
    #[serde(default)]
    statement: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    statement: String,
}

/// What IAM calls it: a batch of SQS's is the operation itself, and PartiQL is what its statements do.
fn actions(service: &str, operation: &str, body: &[u8]) -> Vec<String> {
    match (service, operation) {
        ("sqs", batch) => vec![batch.strip_suffix("Batch").unwrap_or(batch).to_owned()],
        ("dynamodb", "ExecuteStatement" | "BatchExecuteStatement") => {
            let request: Statements =
                serde_json::from_slice(body).unwrap_or(Statements { statements: Vec::new(), statement: None });
            let texts = request.statements.into_iter().map(|statement| statement.statement).chain(request.statement);
            let mut verbs: Vec<_> = texts.filter_map(|text| partiql(&text)).map(str::to_owned).collect();
            verbs.sort_unstable();
            verbs.dedup();
            verbs
        }
        (_, operation) => vec![operation.to_owned()],
    }
}

fn partiql(statement: &str) -> Option<&'static str> {
    let verb = statement.split_whitespace().next()?;
    let known = [
        ("INSERT", "PartiQLInsert"),
        ("UPDATE", "PartiQLUpdate"),
        ("DELETE", "PartiQLDelete"),
        ("SELECT", "PartiQLSelect"),
    ];
    known.into_iter().find(|(known, _)| verb.eq_ignore_ascii_case(known)).map(|(_, action)| action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_told_as_the_permission_that_iam_asks_for() {
        let used = Used::default();
        used.count("sqs", "SendMessageBatch", b"{}");
        used.count("sqs", "SendMessage", b"{}");
        let statements = br#"{"Statements":[{"Statement":"INSERT INTO t VALUE {}"},{"Statement":"update t"},{"Statement":"UPDATE t"}]}"#;
        used.count("dynamodb", "BatchExecuteStatement", statements);
        used.count("dynamodb", "ExecuteStatement", br#"{"Statement":"SELECT * FROM t"}"#);
        used.count("sns", "Publish", b"");
        let iot = BTreeMap::from([("GetPolicy".to_owned(), CallCount { ok: 1, failed: 1, throttled: 1 })]);
        let told: Vec<_> = used.with(iot).into_iter().collect();
        let expected = [
            ("dynamodb:PartiQLInsert", 1),
            ("dynamodb:PartiQLSelect", 1),
            ("dynamodb:PartiQLUpdate", 1),
            ("iot:GetPolicy", 3),
            ("sns:Publish", 1),
            ("sqs:SendMessage", 2),
        ];
        assert_eq!(told, expected.map(|(name, count)| (name.to_owned(), count)));
    }
}
