//! The queue on Amazon SQS.

use super::port::{BATCH, Depth, MAX_MESSAGE, Outgoing, Queue, Received};
use crate::aws::{CallError, Class, Effect, RECEIVE_TIMEOUT, classify, classify_entry};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry,
};
use aws_smithy_types::timeout::TimeoutConfig;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// One SQS queue. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SqsQueue {
    client: Client,
    url: String,
}

impl SqsQueue {
    /// The queue at `queue_url`; nothing is called yet.
    pub fn new(client: Client, queue_url: impl Into<String>) -> Self {
        Self { client, url: queue_url.into() }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    async fn send_chunk(
        &self,
        first: usize,
        messages: &[Outgoing],
    ) -> Result<Vec<Result<String, CallError>>, CallError> {
        const OPERATION: &str = "SendMessageBatch";
        let entries = messages.iter().enumerate().map(|(index, message)| {
            SendMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .message_body(&message.body)
                .set_message_attributes(Some(to_attributes(&message.attributes)))
                .build()
        });
        let entries = entries.collect::<Result<Vec<_>, _>>().map_err(|error| malformed(OPERATION, &error))?;
        let answer = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries)).send().await;
        let answer = answer.map_err(|error| classify(OPERATION, Effect::Write, error))?;
        let successes = answer.successful.into_iter().map(|entry| (entry.id, entry.message_id));
        tracing::trace!(first, count = messages.len(), "sent");
        Ok(by_entry(OPERATION, messages.len(), successes, answer.failed))
    }
}

impl Queue for SqsQueue {
    async fn receive(&self, max: usize, wait: Duration, visibility: Duration) -> Result<Vec<Received>, CallError> {
        let long_poll = TimeoutConfig::builder().operation_attempt_timeout(RECEIVE_TIMEOUT).build();
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(max).unwrap_or(i32::MAX))
            .wait_time_seconds(seconds(wait))
            .visibility_timeout(seconds(visibility))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateFirstReceiveTimestamp)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .message_system_attribute_names(MessageSystemAttributeName::AwsTraceHeader)
            .message_attribute_names("All")
            .customize()
            .config_override(aws_sdk_sqs::Config::builder().timeout_config(long_poll))
            .send()
            .await
            .map_err(|error| classify("ReceiveMessage", Effect::Read, error))?;
        Ok(answer.messages.unwrap_or_default().into_iter().map(received).collect())
    }

    async fn delete(&self, handles: &[String]) -> Result<Vec<Result<(), CallError>>, CallError> {
        const OPERATION: &str = "DeleteMessageBatch";
        check_size(OPERATION, handles.len())?;
        let entries = handles.iter().enumerate().map(|(index, handle)| {
            DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle(handle).build()
        });
        let entries = entries.collect::<Result<Vec<_>, _>>().map_err(|error| malformed(OPERATION, &error))?;
        let answer = self.client.delete_message_batch().queue_url(&self.url).set_entries(Some(entries)).send().await;
        let answer = answer.map_err(|error| classify(OPERATION, Effect::Write, error))?;
        let successes = answer.successful.into_iter().map(|entry| (entry.id, ()));
        Ok(by_entry(OPERATION, handles.len(), successes, answer.failed))
    }

    async fn change_visibility(&self, entries: &[(String, Duration)]) -> Result<Vec<Result<(), CallError>>, CallError> {
        const OPERATION: &str = "ChangeMessageVisibilityBatch";
        check_size(OPERATION, entries.len())?;
        let count = entries.len();
        let entries = entries.iter().enumerate().map(|(index, (handle, visibility))| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(handle)
                .visibility_timeout(seconds(*visibility))
                .build()
        });
        let entries = entries.collect::<Result<Vec<_>, _>>().map_err(|error| malformed(OPERATION, &error))?;
        let call = self.client.change_message_visibility_batch().queue_url(&self.url).set_entries(Some(entries));
        let answer = call.send().await.map_err(|error| classify(OPERATION, Effect::Write, error))?;
        let successes = answer.successful.into_iter().map(|entry| (entry.id, ()));
        Ok(by_entry(OPERATION, count, successes, answer.failed))
    }

    async fn send(&self, messages: &[Outgoing]) -> Result<Vec<Result<String, CallError>>, CallError> {
        check_size("SendMessageBatch", messages.len())?;
        let mut results = Vec::with_capacity(messages.len());
        for chunk in chunks(messages) {
            let first = results.len();
            match self.send_chunk(first, chunk).await {
                Ok(sent) => results.extend(sent),
                Err(error) if chunk.len() == messages.len() => return Err(error),
                // Other chunks have their own fate, so "nothing is known of any entry" would be wrong.
                Err(error) => results.extend(chunk.iter().map(|_| Err(error.clone()))),
            }
        }
        Ok(results)
    }

    async fn depth(&self) -> Result<Depth, CallError> {
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesDelayed)
            .send()
            .await
            .map_err(|error| classify("GetQueueAttributes", Effect::Read, error))?;
        let attributes = answer.attributes.unwrap_or_default();
        let count = |name| attributes.get(&name).and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(Depth {
            visible: count(QueueAttributeName::ApproximateNumberOfMessages),
            in_flight: count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
            delayed: count(QueueAttributeName::ApproximateNumberOfMessagesDelayed),
        })
    }
}

/// Whole seconds, rounded up: a message that comes back a moment late waits less than one that comes back early and must be parked again.
fn seconds(duration: Duration) -> i32 {
    let up = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i32::try_from(up).unwrap_or(i32::MAX)
}

/// SQS's own rule, told without a request: a batch may be sent in parts, of which none would then have the wrong size.
fn check_size(operation: &'static str, entries: usize) -> Result<(), CallError> {
    let refused = |code: &str, message: &str| Err(CallError::new(Class::Permanent, operation, message).with_code(code));
    match entries {
        0 => refused("EmptyBatchRequest", "a batch holds at least one entry"),
        1..=BATCH => Ok(()),
        _ => refused("TooManyEntriesInBatchRequest", "a batch holds at most 10 entries"),
    }
}

fn malformed(operation: &'static str, error: &dyn std::fmt::Display) -> CallError {
    CallError::new(Class::Permanent, operation, error.to_string())
}

/// The answer of a batch, in the order of its entries, whose ids are their indices.
fn by_entry<T>(
    operation: &'static str,
    count: usize,
    successes: impl Iterator<Item = (String, T)>,
    failures: Vec<BatchResultErrorEntry>,
) -> Vec<Result<T, CallError>> {
    let unanswered = || {
        let error = CallError::new(Class::Unknown, operation, "the answer does not mention this entry of the batch");
        Err(error)
    };
    let mut results: Vec<Result<T, CallError>> = (0..count).map(|_| unanswered()).collect();
    let mut put = |id: &str, result| {
        if let Some(slot) = id.parse::<usize>().ok().and_then(|index| results.get_mut(index)) {
            *slot = result;
        }
    };
    for (id, value) in successes {
        put(&id, Ok(value));
    }
    for failure in failures {
        let message = failure.message().unwrap_or_default();
        put(failure.id(), Err(classify_entry(operation, Effect::Write, failure.code(), message)));
    }
    results
}

fn received(message: Message) -> Received {
    let mut system = message.attributes.unwrap_or_default();
    let trace_header = system.remove(&MessageSystemAttributeName::AwsTraceHeader);
    let number = |name| system.get(&name).and_then(|text: &String| text.parse::<i64>().ok());
    let attributes = message.message_attributes.unwrap_or_default().into_iter();
    Received {
        message_id: message.message_id.unwrap_or_default(),
        receipt_handle: message.receipt_handle.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
        attributes: attributes.filter_map(|(name, value)| Some((name, value.string_value?))).collect(),
        receive_count: number(MessageSystemAttributeName::ApproximateReceiveCount)
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(1),
        first_received_at: number(MessageSystemAttributeName::ApproximateFirstReceiveTimestamp),
        sent_at: number(MessageSystemAttributeName::SentTimestamp),
        trace_header,
    }
}

/// String attributes. SQS refuses empty values, so they are left out, and characters outside XML's, so they are replaced: the
/// text of an error may hold anything, and a dead letter must not fail for it.
fn to_attributes(attributes: &BTreeMap<String, String>) -> HashMap<String, MessageAttributeValue> {
    let allowed =
        |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    let attributes = attributes.iter().filter(|(_, value)| !value.is_empty());
    let attributes = attributes.filter_map(|(name, value)| {
        let value: String = value.chars().map(|c| if allowed(c) { c } else { '\u{fffd}' }).collect();
        let value = MessageAttributeValue::builder().data_type("String").string_value(value).build().ok()?;
        Some((name.clone(), value))
    });
    attributes.collect()
}

/// Runs of messages that fit into one request each; a message that fits into none gets its own, and SQS's answer.
fn chunks(messages: &[Outgoing]) -> Vec<&[Outgoing]> {
    let mut chunks = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, message) in messages.iter().enumerate() {
        let size = message.size();
        if index > start && (bytes + size > MAX_MESSAGE || index - start == BATCH) {
            chunks.push(&messages[start..index]);
            (start, bytes) = (index, 0);
        }
        bytes += size;
    }
    if start < messages.len() {
        chunks.push(&messages[start..]);
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> Outgoing {
        Outgoing { body: "x".repeat(bytes), attributes: BTreeMap::new() }
    }

    #[test]
    fn a_batch_is_split_where_its_bytes_would_exceed_one_request() {
        let sizes = |messages: &[Outgoing]| chunks(messages).iter().map(|chunk| chunk.len()).collect::<Vec<_>>();
        assert_eq!(sizes(&[]), Vec::<usize>::new());
        assert_eq!(sizes(&vec![message(100); 10]), [10]);
        assert_eq!(sizes(&[message(600_000), message(600_000), message(10)]), [1, 2]);
        assert_eq!(sizes(&[message(2_000_000), message(10)]), [1, 1]);
    }

    #[test]
    fn a_part_of_a_second_waits_a_whole_one() {
        assert_eq!(seconds(Duration::ZERO), 0);
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::from_millis(2000)), 2);
    }

    #[test]
    fn an_entry_that_the_answer_forgets_is_unknown_and_a_failed_one_keeps_its_code() {
        let failed = BatchResultErrorEntry::builder()
            .id("1")
            .sender_fault(true)
            .code("ReceiptHandleIsInvalid")
            .message("no such handle")
            .build()
            .unwrap();
        let results = by_entry("DeleteMessageBatch", 3, [("0".to_owned(), ())].into_iter(), vec![failed]);
        assert_eq!(results[0], Ok(()));
        let error = results[1].clone().unwrap_err();
        assert_eq!((error.class, error.code.as_deref()), (Class::Permanent, Some("ReceiptHandleIsInvalid")));
        assert_eq!(results[2].clone().unwrap_err().class, Class::Unknown);
    }

    #[test]
    fn attribute_values_that_sqs_would_refuse_are_mended() {
        let attributes = BTreeMap::from([("a".to_owned(), "x\u{0}y".to_owned()), ("b".to_owned(), String::new())]);
        let attributes = to_attributes(&attributes);
        assert_eq!(attributes.len(), 1);
        assert_eq!(attributes["a"].string_value(), Some("x\u{fffd}y"));
    }

    #[test]
    fn what_x_ray_says_of_the_sender_is_read_beside_the_attributes() {
        let header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8";
        let message = Message::builder()
            .attributes(MessageSystemAttributeName::AwsTraceHeader, header)
            .attributes(MessageSystemAttributeName::ApproximateReceiveCount, "2")
            .build();
        let received = received(message);
        assert_eq!((received.trace_header.as_deref(), received.receive_count), (Some(header), 2));
        assert!(received.attributes.is_empty());
    }
}
