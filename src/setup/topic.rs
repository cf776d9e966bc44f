//! The topic, the queue's access policy, and the subscription between them.

use super::plan::{SetupError, SetupItem};
use super::queues::Found;
use crate::aws::{CallError, Class, Clients, Effect, classify};
use crate::ledger::dynamodb::Created;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};

/// The topic of that name or ARN, made or found: its ARN.
pub async fn topic(clients: &Clients, queue_arn: &str, topic: &str) -> Result<(String, SetupItem), SetupError> {
    let arn = if topic.starts_with("arn:") { topic.to_owned() } else { arn_beside(queue_arn, topic)? };
    let found = match clients.sns.get_topic_attributes().topic_arn(&arn).send().await {
        Ok(_) => true,
        Err(error) => match classify("GetTopicAttributes", Effect::Read, error) {
            error if error.class == Class::Gone => false,
            error => return Err(error.into()),
        },
    };
    if found {
        let item = SetupItem::new("topic", arn.clone(), Created::Existed);
        return Ok((arn, item));
    }
    if topic.starts_with("arn:") {
        return Err(SetupError::Unfit(format!(
            "the topic {arn} does not exist: make it first, or give a name instead of an ARN"
        )));
    }
    // SHA-256 in place of SNS's default, SHA-1, for those who check signatures.
    let create = clients.sns.create_topic().name(topic).attributes("SignatureVersion", "2");
    let answer = create.send().await;
    let answer = answer.map_err(|error| classify("CreateTopic", Effect::Write, error))?;
    let arn =
        answer.topic_arn.ok_or_else(|| CallError::new(Class::Unknown, "CreateTopic", "the answer has no TopicArn"))?;
    let item = SetupItem::new("topic", arn.clone(), Created::Created);
    Ok((arn, item))
}

/// Lets the topic send to the queue, and nobody else beyond the account's own rights. A policy that is there is left as it is.
pub async fn access_policy(clients: &Clients, queue: &Found, topic_arn: &str) -> Result<SetupItem, SetupError> {
    if let Some(policy) = &queue.info.policy {
        let mut item = SetupItem::new("access policy", queue.item.name.clone(), Created::Existed);
        if !allows(policy, topic_arn) {
            item.remarks.push(format!(
                "it does not let the topic send, and is left as it is: add this statement to it: {}",
                statement_for_topic(&queue.info.arn, topic_arn)
            ));
        }
        return Ok(item);
    }
    let policy =
        json!({ "Version": "2012-10-17", "Statement": [statement_for_topic(&queue.info.arn, topic_arn)] }).to_string();
    let call = clients.sqs.set_queue_attributes().queue_url(&queue.url).attributes(QueueAttributeName::Policy, policy);
    call.send().await.map_err(|error| classify("SetQueueAttributes", Effect::Write, error))?;
    Ok(SetupItem::new("access policy", queue.item.name.clone(), Created::Created))
}

/// The subscription of the queue to the topic; raw delivery stays off, since the envelope's `TopicArn` names account and region.
pub async fn subscription(clients: &Clients, queue_arn: &str, topic_arn: &str) -> Result<SetupItem, SetupError> {
    if let Some(found) = find_subscription(clients, queue_arn, topic_arn).await? {
        return Ok(found_subscription(found));
    }
    let call = clients.sns.subscribe().topic_arn(topic_arn).protocol("sqs").endpoint(queue_arn);
    let answer = call.return_subscription_arn(true).send().await;
    let answer = answer.map_err(|error| classify("Subscribe", Effect::Write, error))?;
    Ok(SetupItem::new("subscription", answer.subscription_arn.unwrap_or_default(), Created::Created))
}

fn found_subscription(found: SubscriptionInfo) -> SetupItem {
    let mut item = SetupItem::new("subscription", found.arn, Created::Existed);
    if !found.confirmed {
        item.remarks.push("it waits for confirmation by the queue's owner".to_owned());
        return item;
    }
    if found.raw {
        item.remarks.push(
            "raw delivery is on: messages do not name account and region, so the worker takes the queue's".to_owned(),
        );
    }
    if found.filter_policy.is_some() {
        item.remarks.push("it has a filter policy: what that leaves out never reaches the queue".to_owned());
    }
    item
}

/// A subscription of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionInfo {
    /// Its ARN, or the words that stand in its place while it is not confirmed.
    pub arn: String,
    /// SNS delivers to it.
    pub confirmed: bool,
    /// The message comes without an envelope.
    pub raw: bool,
    /// What it lets through, JSON text; absent for everything.
    pub filter_policy: Option<String>,
}

/// The subscription of the queue to the topic, if there is one.
///
/// # Errors
/// Those of `ListSubscriptionsByTopic` and `GetSubscriptionAttributes`; class `Gone` when there is no such topic.
pub async fn find_subscription(
    clients: &Clients,
    queue_arn: &str,
    topic_arn: &str,
) -> Result<Option<SubscriptionInfo>, CallError> {
    let mut next = None;
    loop {
        let call = clients.sns.list_subscriptions_by_topic().topic_arn(topic_arn).set_next_token(next);
        let page = call.send().await.map_err(|error| classify("ListSubscriptionsByTopic", Effect::Read, error))?;
        let ours = page.subscriptions().iter().find(|subscription| subscription.endpoint() == Some(queue_arn));
        if let Some(subscription) = ours {
            let arn = subscription.subscription_arn().unwrap_or_default();
            return look_at_subscription(clients, arn).await.map(Some);
        }
        next = page.next_token.filter(|token| !token.is_empty());
        if next.is_none() {
            return Ok(None);
        }
    }
}

async fn look_at_subscription(clients: &Clients, arn: &str) -> Result<SubscriptionInfo, CallError> {
    let (arn, confirmed) = (arn.to_owned(), arn.starts_with("arn:"));
    if !confirmed {
        return Ok(SubscriptionInfo { arn, confirmed, raw: false, filter_policy: None });
    }
    let answer = clients.sns.get_subscription_attributes().subscription_arn(&arn).send().await;
    let answer = answer.map_err(|error| classify("GetSubscriptionAttributes", Effect::Read, error))?;
    let mut attributes = answer.attributes.unwrap_or_default();
    let mut take = |name| attributes.remove(name).filter(|text| !text.is_empty());
    Ok(SubscriptionInfo {
        confirmed: take("PendingConfirmation").is_none_or(|pending| pending != "true"),
        raw: take("RawMessageDelivery").is_some_and(|raw| raw == "true"),
        // `{}` is how one is taken away.
        filter_policy: take("FilterPolicy").filter(|policy| policy.trim() != "{}"),
        arn,
    })
}

/// The statement that lets a topic send to a queue, and no other.
pub fn statement_for_topic(queue_arn: &str, topic_arn: &str) -> Value {
    json!({
        "Sid": "FleetwardenTopic",
        "Effect": "Allow",
        "Principal": { "Service": "sns.amazonaws.com" },
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": { "ArnEquals": { "aws:SourceArn": topic_arn } },
    })
}

/// Whether a statement that allows something names the topic.
fn allows(policy: &str, topic_arn: &str) -> bool {
    topics(policy).iter().any(|topic| topic == topic_arn)
}

/// The topics that statements which allow something name. Policies can say it in many ways; this knows those that name a topic in full.
pub fn topics(policy: &str) -> Vec<String> {
    fn texts(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::String(text) => found.push(text.clone()),
            Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
            Value::Object(members) => members.values().for_each(|value| texts(value, found)),
            _ => {}
        }
    }
    let Ok(policy) = serde_json::from_str::<Value>(policy) else { return Vec::new() };
    let statements = match policy.get("Statement") {
        Some(Value::Array(statements)) => statements.clone(),
        Some(single) => vec![single.clone()],
        None => Vec::new(),
    };
    let mut found = Vec::new();
    for statement in
        statements.iter().filter(|statement| statement.get("Effect").is_some_and(|effect| effect == "Allow"))
    {
        texts(statement.get("Condition").unwrap_or(&Value::Null), &mut found);
    }
    found
        .retain(|text| text.starts_with("arn:") && text.split(':').nth(2) == Some("sns") && !text.contains(['*', '?']));
    found
}

/// The ARN of a topic in the queue's partition, region and account.
fn arn_beside(queue_arn: &str, name: &str) -> Result<String, SetupError> {
    let parts: Vec<&str> = queue_arn.split(':').collect();
    match parts.as_slice() {
        ["arn", partition, "sqs", region, account, _] => Ok(format!("arn:{partition}:sns:{region}:{account}:{name}")),
        _ => Err(SetupError::Unfit(format!("{queue_arn} is not the ARN of a queue"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: &str = "arn:aws:sqs:us-east-1:123456789012:q";
    const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:t";

    #[test]
    fn our_own_policy_allows_the_topic_and_no_other() {
        let policy = json!({ "Statement": statement_for_topic(QUEUE, TOPIC) }).to_string();
        assert!(allows(&policy, TOPIC));
        assert!(!allows(&policy, "arn:aws:sns:us-east-1:123456789012:t2"));
        assert!(!allows("not json", TOPIC));
    }

    #[test]
    fn the_topics_of_a_policy_are_those_that_are_allowed_and_named_in_full() {
        let denied = json!({ "Effect": "Deny", "Condition": { "ArnEquals": { "aws:SourceArn": "arn:aws:sns:us-east-1:1:denied" } } });
        let several = json!({ "Effect": "Allow", "Condition": { "ArnLike": { "aws:SourceArn": [TOPIC, "arn:aws:sns:*:*:any"] } } });
        let bucket =
            json!({ "Effect": "Allow", "Condition": { "ArnEquals": { "aws:SourceArn": "arn:aws:s3:::bucket" } } });
        let policy = json!({ "Statement": [denied, several, bucket] }).to_string();
        assert_eq!(topics(&policy), [TOPIC]);
        assert!(topics("").is_empty());
    }

    #[test]
    fn a_topic_is_looked_for_beside_its_queue() {
        assert_eq!(arn_beside("arn:aws-cn:sqs:cn-north-1:1:q", "t").unwrap(), "arn:aws-cn:sns:cn-north-1:1:t");
        assert!(arn_beside("q", "t").is_err());
    }
}
