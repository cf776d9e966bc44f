//! The queue and its dead-letter queue.

use super::plan::{SetupError, SetupItem};
use crate::aws::{CallError, Class, Effect, classify};
use crate::ledger::dynamodb::Created;
use crate::queue::{QueueInfo, describe};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::json;
use std::collections::HashMap;
use std::time::Duration;

/// A finding is worked on for seconds; heartbeats extend what takes longer. A crashed worker's messages come back after this.
pub const VISIBILITY: Duration = Duration::from_secs(60);

/// The longest that SQS has: an idle queue costs three requests a minute and receiver.
pub const WAIT: Duration = Duration::from_secs(20);

/// SQS's longest, so that a dead letter waits for a person as long as it can.
pub const DEAD_LETTER_RETENTION: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Long enough for an outage over holidays, and four days less than the dead-letter queue's: a message that SQS itself moves there
/// keeps its age, and would otherwise expire on arrival.
pub const RETENTION: Duration = Duration::from_secs(10 * 24 * 60 * 60);

/// SQS moves a message away after so many receives, whatever they were for. The worker parks messages often (a live lease, a full
/// budget, a retry that is not due) and counts failed attempts itself, so this is only the net under a worker that dies of a
/// message before it can count: high, or parked findings would be given up without a reason.
pub const MAX_RECEIVE_COUNT: u32 = 1000;

/// A queue that is there.
pub struct Found {
    pub url: String,
    pub info: QueueInfo,
    pub item: SetupItem,
}

/// The dead-letter queue of that name, made or found.
pub async fn dead_letter_queue(client: &Client, name: &str) -> Result<Found, SetupError> {
    let attributes = HashMap::from([
        (QueueAttributeName::MessageRetentionPeriod, DEAD_LETTER_RETENTION.as_secs().to_string()),
        (QueueAttributeName::VisibilityTimeout, VISIBILITY.as_secs().to_string()),
    ]);
    let mut found = make_or_find(client, "dead-letter queue", name, attributes).await?;
    let retention = found.info.retention;
    if retention < DEAD_LETTER_RETENTION {
        found.item.remarks.push(format!(
            "it keeps messages for {} hours, not {}: dead letters are lost sooner",
            hours(retention),
            hours(DEAD_LETTER_RETENTION)
        ));
    }
    Ok(found)
}

/// The queue of that name, made or found, with its redrive to `dead_letters`.
pub async fn queue(client: &Client, name: &str, dead_letters: &Found) -> Result<(Found, SetupItem), SetupError> {
    let target = &dead_letters.info.arn;
    let redrive = json!({ "deadLetterTargetArn": target, "maxReceiveCount": MAX_RECEIVE_COUNT }).to_string();
    let attributes = HashMap::from([
        (QueueAttributeName::VisibilityTimeout, VISIBILITY.as_secs().to_string()),
        (QueueAttributeName::ReceiveMessageWaitTimeSeconds, WAIT.as_secs().to_string()),
        (QueueAttributeName::MessageRetentionPeriod, RETENTION.as_secs().to_string()),
        (QueueAttributeName::RedrivePolicy, redrive.clone()),
    ]);
    let mut found = make_or_find(client, "queue", name, attributes).await?;
    if found.info.visibility < VISIBILITY {
        found.item.remarks.push(format!(
            "its visibility timeout is {} s, not {} s",
            found.info.visibility.as_secs(),
            VISIBILITY.as_secs()
        ));
    }
    if found.info.retention > dead_letters.info.retention {
        found.item.remarks.push(
            "it keeps messages longer than its dead-letter queue: old ones would expire there at once".to_owned(),
        );
    }

    let mut item = SetupItem::new("redrive", format!("after {MAX_RECEIVE_COUNT} receives"), found.item.created);
    match &found.info.redrive {
        None => {
            let call = client.set_queue_attributes().queue_url(&found.url);
            let call = call.attributes(QueueAttributeName::RedrivePolicy, redrive);
            call.send().await.map_err(|error| classify("SetQueueAttributes", Effect::Write, error))?;
            item.created = Created::Created;
        }
        Some(redrive) if &redrive.dead_letter_queue_arn != target => {
            item.name = format!("after {} receives", redrive.max_receive_count);
            item.remarks.push(format!("it leads to {}, not to {target}", redrive.dead_letter_queue_arn));
        }
        Some(redrive) if redrive.max_receive_count < MAX_RECEIVE_COUNT => {
            item.name = format!("after {} receives", redrive.max_receive_count);
            item.remarks.push(format!(
                "SQS gives a message up after {} receives; parked findings need up to {MAX_RECEIVE_COUNT}",
                redrive.max_receive_count
            ));
        }
        Some(_) => {}
    }
    Ok((found, item))
}

async fn make_or_find(
    client: &Client,
    what: &'static str,
    name: &str,
    attributes: HashMap<QueueAttributeName, String>,
) -> Result<Found, SetupError> {
    let (url, created) = match url_of(client, name).await? {
        Some(url) => (url, Created::Existed),
        None => (make(client, name, attributes).await?, Created::Created),
    };
    let info = describe(client, &url).await?;
    Ok(Found { item: SetupItem::new(what, name, created), url, info })
}

async fn url_of(client: &Client, name: &str) -> Result<Option<String>, CallError> {
    match client.get_queue_url().queue_name(name).send().await {
        Ok(answer) => Ok(answer.queue_url),
        Err(error) => {
            let error = classify("GetQueueUrl", Effect::Read, error);
            let missing = matches!(error.code.as_deref(), Some("NonExistentQueue" | "QueueDoesNotExist"));
            if missing { Ok(None) } else { Err(error) }
        }
    }
}

async fn make(
    client: &Client,
    name: &str,
    attributes: HashMap<QueueAttributeName, String>,
) -> Result<String, CallError> {
    const OPERATION: &str = "CreateQueue";
    let call = client.create_queue().queue_name(name).set_attributes(Some(attributes));
    let answer = call.send().await.map_err(|error| classify(OPERATION, Effect::Write, error))?;
    answer.queue_url.ok_or_else(|| CallError::new(Class::Unknown, OPERATION, "the answer has no QueueUrl"))
}

fn hours(duration: Duration) -> u64 {
    duration.as_secs() / 3600
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn the_template_makes_the_queues_that_setup_makes() {
        let template: Value = serde_saphyr::from_str(include_str!("../../infra/line.yaml")).unwrap();
        let properties = |resource: &str| &template["Resources"][resource]["Properties"];
        let queue = properties("Queue");
        assert_eq!(queue["VisibilityTimeout"], VISIBILITY.as_secs());
        assert_eq!(queue["ReceiveMessageWaitTimeSeconds"], WAIT.as_secs());
        assert_eq!(queue["MessageRetentionPeriod"], RETENTION.as_secs());
        assert_eq!(queue["RedrivePolicy"]["maxReceiveCount"], MAX_RECEIVE_COUNT);
        assert_eq!(queue["RedrivePolicy"]["deadLetterTargetArn"], "DeadLetterQueue.Arn");
        let dead_letters = properties("DeadLetterQueue");
        assert_eq!(dead_letters["VisibilityTimeout"], VISIBILITY.as_secs());
        assert_eq!(dead_letters["MessageRetentionPeriod"], DEAD_LETTER_RETENTION.as_secs());
    }
}
