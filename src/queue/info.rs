//! What a queue says of itself.

use crate::aws::{CallError, Class, Effect, classify};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;

/// A queue's identity and settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueInfo {
    /// `arn:aws:sqs:<region>:<account>:<name>`
    pub arn: String,
    /// Its account, 12 digits.
    pub account: String,
    /// Its region.
    pub region: String,
    /// The visibility timeout that a receive gets when it names none.
    pub visibility: Duration,
    /// How long a message is kept.
    pub retention: Duration,
    /// How long a receive waits when it does not say.
    pub wait: Duration,
    /// Where messages go that are received too often.
    pub redrive: Option<RedrivePolicy>,
    /// The access policy, JSON text; absent when only the owner's own rights apply.
    pub policy: Option<String>,
    /// Encrypted at rest, with SQS's own key (AWS's default) or one of KMS.
    pub encrypted: bool,
}

/// A redrive policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedrivePolicy {
    /// The dead-letter queue's ARN.
    pub dead_letter_queue_arn: String,
    /// A message that was received this often goes there. Some endpoints answer a string, some a number.
    pub max_receive_count: u32,
}

/// `GetQueueAttributes` of everything.
///
/// # Errors
/// Class `Denied` when there is no such queue, or no permission.
pub async fn describe(client: &Client, queue_url: &str) -> Result<QueueInfo, CallError> {
    const OPERATION: &str = "GetQueueAttributes";
    let call = client.get_queue_attributes().queue_url(queue_url).attribute_names(QueueAttributeName::All);
    let answer = call.send().await.map_err(|error| classify(OPERATION, Effect::Read, error))?;
    info(&answer.attributes.unwrap_or_default()).ok_or_else(|| {
        CallError::new(Class::Permanent, OPERATION, "the answer has no QueueArn with region and account")
    })
}

fn info(attributes: &HashMap<QueueAttributeName, String>) -> Option<QueueInfo> {
    let arn = attributes.get(&QueueAttributeName::QueueArn)?;
    let mut parts = arn.split(':').skip(3);
    let (region, account) = (parts.next()?, parts.next()?);
    let seconds = |name, default| {
        let seconds = attributes.get(&name).and_then(|text| text.parse().ok()).unwrap_or(default);
        Duration::from_secs(seconds)
    };
    let is_true = |name| attributes.get(name).is_some_and(|text| text == "true");
    Some(QueueInfo {
        arn: arn.clone(),
        account: account.to_owned(),
        region: region.to_owned(),
        visibility: seconds(QueueAttributeName::VisibilityTimeout, 30),
        retention: seconds(QueueAttributeName::MessageRetentionPeriod, 4 * 24 * 60 * 60),
        wait: seconds(QueueAttributeName::ReceiveMessageWaitTimeSeconds, 0),
        redrive: attributes.get(&QueueAttributeName::RedrivePolicy).and_then(|text| redrive(text)),
        policy: attributes.get(&QueueAttributeName::Policy).filter(|text| !text.is_empty()).cloned(),
        encrypted: is_true(&QueueAttributeName::SqsManagedSseEnabled)
            || attributes.get(&QueueAttributeName::KmsMasterKeyId).is_some_and(|key| !key.is_empty()),
    })
}

fn redrive(text: &str) -> Option<RedrivePolicy> {
    let policy: Value = serde_json::from_str(text).ok()?;
    let count = match policy.get("maxReceiveCount")? {
        Value::String(text) => text.parse().ok()?,
        number => u32::try_from(number.as_u64()?).ok()?,
    };
    let arn = policy.get("deadLetterTargetArn")?.as_str()?;
    Some(RedrivePolicy { dead_letter_queue_arn: arn.to_owned(), max_receive_count: count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_told_by_its_arn_and_a_redrive_count_may_be_a_string() {
        let attributes = HashMap::from([
            (QueueAttributeName::QueueArn, "arn:aws:sqs:eu-west-1:123456789012:q".to_owned()),
            (QueueAttributeName::VisibilityTimeout, "60".to_owned()),
            (
                QueueAttributeName::RedrivePolicy,
                r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:123456789012:d","maxReceiveCount":"7"}"#.to_owned(),
            ),
        ]);
        let info = info(&attributes).unwrap();
        assert_eq!((info.account.as_str(), info.region.as_str()), ("123456789012", "eu-west-1"));
        assert_eq!(info.visibility, Duration::from_secs(60));
        assert_eq!(info.redrive.unwrap().max_receive_count, 7);
    }
}
