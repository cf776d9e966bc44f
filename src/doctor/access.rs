//! Who may send to the queue, by its access policy.
//!
//! It says yes where a statement lets the topic in, and wrong where one lets in others than topics of the accounts that are meant.
//! Conditions can be written in many ways; of them this knows those that AWS's own pages use for a topic and a queue: the source's ARN,
//! account or organization. A statement that it cannot read it tells, and judges no further.

use super::diagnosis::{About, Area, Diagnosis};
use crate::aws::syntax::account_of;
use crate::policy::glob_matches as glob;
use crate::setup::statement_for_topic;
use serde_json::Value;

const ACCESS: About = About(Area::AccessPolicy);

/// What is judged, and for whom.
pub(super) struct Access<'a> {
    /// The queue's access policy, JSON text.
    pub policy: Option<&'a str>,
    /// The queue's ARN.
    pub queue_arn: &'a str,
    /// The topics that are to be let in.
    pub topics: &'a [String],
    /// The accounts whose topics may be: the queue's, and the audited one.
    pub accounts: &'a [&'a str],
    /// The command that adds a policy where there is none.
    pub setup: &'a str,
}

impl Access<'_> {
    pub fn judge(&self) -> Vec<Diagnosis> {
        let Some(policy) = self.policy else {
            return vec![
                ACCESS
                    .wrong("lets the topic in", "there is no access policy: no topic can send to the queue")
                    .mend(self.setup),
            ];
        };
        let Some(statements) = statements(policy) else {
            return vec![
                ACCESS.wrong("lets the topic in", "the access policy cannot be read as JSON").mend(self.setup),
            ];
        };
        let mut rows: Vec<_> = self.topics.iter().map(|topic| self.lets_in(&statements, topic)).collect();
        let strangers: Vec<_> = statements.iter().filter_map(|statement| self.stranger(statement)).collect();
        if strangers.is_empty() {
            rows.push(
                ACCESS.ok("and nobody else", format!("nobody of other accounts than {}", self.accounts.join(", "))),
            );
        }
        rows.extend(strangers);
        rows
    }

    fn lets_in(&self, statements: &[Value], topic: &str) -> Diagnosis {
        let what = "lets the topic in";
        let denied = statements.iter().any(|statement| {
            statement["Effect"] == "Deny"
                && sends(statement)
                && covers_sns(statement)
                && statement.get("Condition").is_none()
        });
        if denied {
            return ACCESS
                .wrong(what, format!("a statement denies everybody sqs:SendMessage, {topic} too"))
                .mend("take it out of the policy");
        }
        let allowed = statements.iter().any(|statement| {
            statement["Effect"] == "Allow" && sends(statement) && covers_sns(statement) && admits(statement, topic)
        });
        if allowed {
            return ACCESS.ok(what, topic);
        }
        let statement = statement_for_topic(self.queue_arn, topic);
        ACCESS
            .wrong(
                what,
                format!("no statement allows {topic} sqs:SendMessage: what is published there is lost on its way"),
            )
            .mend(format!("add to the queue's policy: {statement}"))
    }

    /// What is wrong with a statement that lets others in.
    fn stranger(&self, statement: &Value) -> Option<Diagnosis> {
        if statement["Effect"] != "Allow" {
            return None;
        }
        let name = statement
            .get("Sid")
            .and_then(Value::as_str)
            .map_or("a statement".to_owned(), |sid| format!("statement {sid}"));
        let wrong = |who: String| {
            let topic = self.topics.first().map_or("the topic's ARN", String::as_str);
            ACCESS
                .wrong(
                    "and nobody else",
                    format!("{name} lets {who} at the queue: forged findings, or all findings read and deleted"),
                )
                .mend(format!(
                    "give it the condition {{\"ArnEquals\":{{\"aws:SourceArn\":\"{topic}\"}}}}, or take it out"
                ))
        };
        if statement.get("NotPrincipal").is_some() {
            return Some(wrong("everybody but a few".to_owned()));
        }
        let sources = sources(statement);
        let ours = |account: Option<&str>| account.is_some_and(|account| self.accounts.contains(&account));
        let foreign_account = sources.accounts.iter().find(|account| !ours(Some(account)));
        // An account that is ours holds whatever the ARN says: an ARN of a bucket has none.
        let foreign_arn = sources.arns.iter().find(|arn| sources.accounts.is_empty() && !ours(account_of(arn)));
        if let Some(source) = foreign_account.or(foreign_arn) {
            return Some(wrong(format!("{source}, which is not of account {},", self.accounts.join(" or "))));
        }
        let limited = sources.organization || !sources.accounts.is_empty() || !sources.arns.is_empty();
        let principals = principals(statement);
        for principal in &principals {
            let complaint = match principal {
                Principal::Anybody if !limited => Some("anybody in the world".to_owned()),
                Principal::Service(service) if service == "sns.amazonaws.com" && !limited => {
                    Some("every topic of every account".to_owned())
                }
                Principal::Service(service) if !limited => Some(format!("{service} for whatever account")),
                Principal::Account(account) if !self.accounts.contains(&account.as_str()) => {
                    Some(format!("account {account}"))
                }
                _ => None,
            };
            if let Some(who) = complaint {
                return Some(wrong(who));
            }
        }
        None
    }
}

enum Principal {
    Anybody,
    Account(String),
    Service(String),
    Other,
}

fn statements(policy: &str) -> Option<Vec<Value>> {
    let policy: Value = serde_json::from_str(policy).ok()?;
    match policy.get("Statement")? {
        Value::Array(statements) => Some(statements.clone()),
        single => Some(vec![single.clone()]),
    }
}

/// A text, or a list of them.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

fn sends(statement: &Value) -> bool {
    // `NotAction` allows all but a few.
    let named = texts(&statement["Action"]);
    statement.get("NotAction").is_some()
        || named.iter().any(|action| glob(&action.to_ascii_lowercase(), "sqs:sendmessage"))
}

fn principals(statement: &Value) -> Vec<Principal> {
    let of_aws = |text: String| match account_of(&text).or_else(|| plain_account(&text)) {
        _ if text == "*" => Principal::Anybody,
        Some(account) => Principal::Account(account.to_owned()),
        None => Principal::Other,
    };
    match &statement["Principal"] {
        Value::String(text) if text == "*" => vec![Principal::Anybody],
        Value::Object(kinds) => {
            let of_kind = |(kind, value): (&String, &Value)| {
                let texts = texts(value).into_iter();
                let principals: Vec<_> = match kind.as_str() {
                    "AWS" => texts.map(of_aws).collect(),
                    "Service" => texts.map(Principal::Service).collect(),
                    _ => texts.map(|_| Principal::Other).collect(),
                };
                principals
            };
            kinds.iter().flat_map(of_kind).collect()
        }
        _ => vec![Principal::Other],
    }
}

fn covers_sns(statement: &Value) -> bool {
    let sns = |principal: &Principal| match principal {
        Principal::Anybody => true,
        Principal::Service(service) => service == "sns.amazonaws.com",
        _ => false,
    };
    principals(statement).iter().any(sns)
}

/// What a statement's conditions say of where a request comes from.
#[derive(Default)]
struct Sources {
    accounts: Vec<String>,
    arns: Vec<String>,
    organization: bool,
}

fn sources(statement: &Value) -> Sources {
    let mut found = Sources::default();
    let Some(operators) = statement.get("Condition").and_then(Value::as_object) else { return found };
    for (operator, keys) in operators {
        // `...IfExists` holds for whoever sends without the key, `...Not...` for all but a few.
        let limits = !operator.contains("IfExists") && !operator.contains("Not") && operator != "Null";
        for (key, value) in keys.as_object().into_iter().flatten().filter(|_| limits) {
            match key.to_ascii_lowercase().as_str() {
                "aws:sourceaccount" | "aws:sourceowner" | "aws:principalaccount" => found.accounts.extend(texts(value)),
                "aws:sourcearn" | "aws:principalarn" => found.arns.extend(texts(value)),
                "aws:sourceorgid" | "aws:sourceorgpaths" | "aws:principalorgid" | "aws:principalorgpaths" => {
                    found.organization = true;
                }
                _ => {}
            }
        }
    }
    found
}

/// Whether the statement's conditions let this topic through.
fn admits(statement: &Value, topic: &str) -> bool {
    let account = account_of(topic).unwrap_or_default();
    let Some(operators) = statement.get("Condition").and_then(Value::as_object) else { return true };
    operators.iter().filter(|(operator, _)| !operator.contains("Not") && *operator != "Null").all(|(_, keys)| {
        keys.as_object().into_iter().flatten().all(|(key, value)| {
            let any = |wanted: &str| texts(value).iter().any(|pattern| glob(pattern, wanted));
            match key.to_ascii_lowercase().as_str() {
                "aws:sourcearn" => any(topic),
                "aws:sourceaccount" | "aws:sourceowner" => any(account),
                // Of an organization, of transport: cannot be told from here.
                _ => true,
            }
        })
    })
}

fn plain_account(text: &str) -> Option<&str> {
    crate::aws::syntax::is_account(text).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;
    use serde_json::json;

    const QUEUE: &str = "arn:aws:sqs:us-east-1:123456789012:q";
    const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:t";

    fn judged(statements: &[Value]) -> Vec<(String, State, String)> {
        let policy = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
        let access = Access {
            policy: Some(&policy),
            queue_arn: QUEUE,
            topics: &[TOPIC.to_owned()],
            accounts: &["123456789012"],
            setup: "fleetwarden setup",
        };
        access.judge().into_iter().map(|row| (row.what, row.state, row.found)).collect()
    }

    fn allow(principal: Value, condition: Option<Value>) -> Value {
        let mut statement =
            json!({ "Effect": "Allow", "Principal": principal, "Action": "sqs:SendMessage", "Resource": QUEUE });
        if let Some(condition) = condition {
            statement["Condition"] = condition;
        }
        statement
    }

    #[test]
    fn the_usual_ways_to_let_one_topic_in_are_in_order() {
        let arn = json!({ "aws:SourceArn": TOPIC });
        for statement in [
            statement_for_topic(QUEUE, TOPIC),
            allow(json!("*"), Some(json!({ "ArnEquals": arn }))),
            allow(
                json!({ "AWS": "*" }),
                Some(json!({ "ArnLike": { "aws:sourcearn": ["arn:aws:sns:us-east-1:123456789012:*"] } })),
            ),
            allow(
                json!({ "Service": "sns.amazonaws.com" }),
                Some(json!({ "StringEquals": { "aws:SourceAccount": "123456789012" } })),
            ),
            allow(
                json!({ "Service": "sns.amazonaws.com" }),
                Some(json!({ "ArnLike": { "aws:SourceArn": "arn:aws:sns:*:*:t" },
                "StringEquals": { "aws:SourceAccount": "123456789012" } })),
            ),
            json!({ "Effect": "Allow", "Principal": { "Service": ["sns.amazonaws.com"] }, "Action": ["SQS:Send*"], "Resource": "*",
                "Condition": { "ArnEquals": arn } }),
        ] {
            let rows = judged(std::slice::from_ref(&statement));
            assert!(rows.iter().all(|row| row.1 == State::Ok), "{statement}: {rows:?}");
        }
        let insecure = json!({ "Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": QUEUE,
            "Condition": { "Bool": { "aws:SecureTransport": "false" } } });
        let owner =
            json!({ "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::123456789012:root" }, "Action": "sqs:*" });
        let rows = judged(&[insecure, owner, statement_for_topic(QUEUE, TOPIC)]);
        assert!(rows.iter().all(|row| row.1 == State::Ok), "{rows:?}");
    }

    #[test]
    fn whoever_else_is_let_in_is_told() {
        let sns = json!({ "Service": "sns.amazonaws.com" });
        let arn = |text: &str| Some(json!({ "ArnLike": { "aws:SourceArn": text } }));
        for (statement, who) in [
            (allow(json!("*"), None), "anybody in the world"),
            (
                allow(json!({ "AWS": "*" }), Some(json!({ "Bool": { "aws:SecureTransport": "true" } }))),
                "anybody in the world",
            ),
            (allow(sns.clone(), None), "every topic of every account"),
            (allow(sns.clone(), arn("arn:aws:sns:*:*:*")), "arn:aws:sns:*:*:*"),
            (allow(sns.clone(), arn("*")), "*, which is not of account"),
            (allow(sns.clone(), arn("arn:aws:sns:us-east-1:999999999999:t")), "999999999999"),
            (allow(sns, Some(json!({ "ArnEqualsIfExists": { "aws:SourceArn": TOPIC } }))), "every topic"),
            (allow(json!({ "AWS": "999999999999" }), None), "account 999999999999"),
            (json!({ "Effect": "Allow", "NotPrincipal": { "AWS": "1" }, "Action": "sqs:*" }), "everybody but a few"),
            (json!({ "Effect": "Allow", "Principal": "*", "Action": "sqs:ReceiveMessage" }), "anybody in the world"),
        ] {
            let rows = judged(&[statement_for_topic(QUEUE, TOPIC), statement.clone()]);
            let wrong: Vec<_> = rows.iter().filter(|row| row.1 == State::Wrong).collect();
            assert!(wrong.len() == 1 && wrong[0].2.contains(who), "{statement}: {rows:?}");
        }
    }

    #[test]
    fn a_topic_that_is_not_let_in_is_told_with_the_statement_that_would() {
        let other = statement_for_topic(QUEUE, "arn:aws:sns:us-east-1:123456789012:other");
        let receive = json!({ "Effect": "Allow", "Principal": { "Service": "sns.amazonaws.com" }, "Action": "sqs:ReceiveMessage",
            "Condition": { "ArnEquals": { "aws:SourceArn": TOPIC } } });
        let nobody = json!({ "Effect": "Deny", "Principal": "*", "Action": "sqs:SendMessage" });
        for statements in [vec![], vec![other], vec![receive], vec![statement_for_topic(QUEUE, TOPIC), nobody]] {
            let rows = judged(&statements);
            assert_eq!((rows[0].0.as_str(), rows[0].1), ("lets the topic in", State::Wrong), "{statements:?}");
        }
        let none = Access { policy: None, queue_arn: QUEUE, topics: &[], accounts: &["1"], setup: "fleetwarden setup" };
        assert_eq!(none.judge()[0].mend, "fleetwarden setup");
        let garbled = Access { policy: Some("{"), ..none };
        assert_eq!(garbled.judge()[0].state, State::Wrong);
    }
}
