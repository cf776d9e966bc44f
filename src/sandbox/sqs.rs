//! Amazon SQS: the queue library, and AWS's rules where it is laxer or stricter than AWS.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use rustack_sqs_core::handler::RustackSqsHandler;
use rustack_sqs_core::message::md5_of_body;
use rustack_sqs_core::provider::RustackSqs;
use rustack_sqs_core::queue::extract_queue_name;
use rustack_sqs_http::dispatch::SqsHandler;
use rustack_sqs_model::error::{SqsError, SqsErrorCode};
use rustack_sqs_model::input::{
    ChangeMessageVisibilityBatchInput, ChangeMessageVisibilityInput, DeleteMessageBatchInput, DeleteMessageInput,
    GetQueueAttributesInput, GetQueueUrlInput, ReceiveMessageInput, SendMessageBatchInput, SendMessageInput,
};
use rustack_sqs_model::operations::SqsOperation;
use rustack_sqs_model::types::RedrivePolicy;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::clock::Clock;

use super::large::{LIBRARY_BYTES, LargeBodies, SQS_BYTES};
use super::moves::MoveTasks;
use super::receipt::{Receipt, open, seal};
use super::reply::{Reply, json_reply, sqs_error};

/// The longest a message may stay invisible, counted from its receive: 12 hours, in seconds.
const LONGEST_INVISIBILITY: i64 = 12 * 60 * 60;

/// The queues of the sandbox.
pub(super) struct SqsService {
    queues: Arc<RustackSqs>,
    handler: RustackSqsHandler,
    pub(super) large: LargeBodies,
    moves: MoveTasks,
    /// The clock of the library's receipt handles.
    clock: Clock,
}

impl SqsService {
    pub(super) fn new(queues: Arc<RustackSqs>) -> Self {
        let handler = RustackSqsHandler::new(Arc::clone(&queues));
        let moves = MoveTasks::new(Arc::clone(&queues));
        Self { queues, handler, large: LargeBodies::default(), moves, clock: Clock::system() }
    }

    /// Answers the operation named `operation`.
    pub(super) async fn handle(&self, operation: &str, body: Bytes) -> Reply {
        let answered = match operation {
            "CreateQueue" | "SetQueueAttributes" => match self.with_normal_attributes(&body).await {
                Ok(body) => self.pass_on(operation, body).await,
                Err(refusal) => Err(refusal),
            },
            "SendMessage" => self.send(&body).await,
            "SendMessageBatch" => self.send_batch(&body).await,
            "GetQueueAttributes" => self.attributes(body).await,
            "ReceiveMessage" => self.receive(&body).await,
            "DeleteMessage" => self.delete(&body).await,
            "DeleteMessageBatch" => self.delete_batch(&body).await,
            "ChangeMessageVisibility" => self.change_visibility(&body).await,
            "ChangeMessageVisibilityBatch" => self.change_visibility_batch(&body).await,
            "StartMessageMoveTask" => self.start_move(&body).await,
            "CancelMessageMoveTask" => read(&body).and_then(|input| self.moves.cancel(&input)),
            "ListMessageMoveTasks" => self.list_moves(&body).await,
            _ => self.pass_on(operation, body).await,
        };
        answered.unwrap_or_else(|error| error_reply(&error))
    }

    async fn start_move(&self, body: &Bytes) -> Result<Reply, SqsError> {
        self.moves.start(read(body)?, self.clock.now_ms()).await
    }

    async fn list_moves(&self, body: &Bytes) -> Result<Reply, SqsError> {
        self.moves.list(&read(body)?).await
    }

    /// Lets the library answer.
    async fn pass_on(&self, operation: &str, body: Bytes) -> Result<Reply, SqsError> {
        let operation = SqsOperation::from_name(operation).ok_or_else(|| SqsError::unknown_operation(operation))?;
        let (parts, body) = self.handler.handle_operation(operation, body).await?.into_parts();
        let body = body.collect().await.map_err(|error| SqsError::internal_error(error.to_string()))?;
        Ok(http::Response::from_parts(parts, body.to_bytes()))
    }

    /// Attributes as the library takes them: a redrive policy in its own words, and a size within its own ceiling, which then
    /// stands for SQS's.
    async fn with_normal_attributes(&self, body: &Bytes) -> Result<Bytes, SqsError> {
        let mut request: Value = read(body)?;
        // An empty policy takes the policy away.
        if let Some(policy) = request.pointer_mut("/Attributes/RedrivePolicy")
            && let Some(written) = policy.as_str().filter(|written| !written.is_empty())
        {
            let normal = normal_policy(written)?;
            let target = self.queues.queue_url_for_arn(&normal.dead_letter_target_arn).unwrap_or_default();
            if self.existing_queue(&target).await.is_err() {
                return Err(SqsError::invalid_parameter_value(format!(
                    "Value {written} for parameter RedrivePolicy is invalid. Reason: Dead letter target does not exist."
                )));
            }
            *policy = Value::String(json!(normal).to_string());
        }
        if let Some(size) = request.pointer_mut("/Attributes/MaximumMessageSize")
            && let Some(bytes) = size.as_str().and_then(|bytes| bytes.parse::<usize>().ok())
            && (LIBRARY_BYTES..=SQS_BYTES).contains(&bytes)
        {
            *size = Value::String(LIBRARY_BYTES.to_string());
        }
        Ok(Bytes::from(request.to_string()))
    }

    /// The library's ceiling for a message stands for SQS's own, as bodies above it are kept aside.
    async fn attributes(&self, body: Bytes) -> Result<Reply, SqsError> {
        let reply = self.pass_on("GetQueueAttributes", body).await?;
        let mut answer: Value = read(reply.body())?;
        if let Some(size) = answer.pointer_mut("/Attributes/MaximumMessageSize")
            && size.as_str() == Some(&LIBRARY_BYTES.to_string())
        {
            *size = Value::String(SQS_BYTES.to_string());
        }
        Ok(json_reply(StatusCode::OK, &answer))
    }

    async fn send(&self, body: &Bytes) -> Result<Reply, SqsError> {
        let mut input: SendMessageInput = read(body)?;
        in_range("DelaySeconds", input.delay_seconds, 0, 900)?;
        let aside = self.keep_aside(&input.queue_url, &mut input.message_body).await?;
        let sent = self.queues.send_message(input).await;
        let Some((marker, md5)) = aside else {
            return Ok(json_reply(StatusCode::OK, &json!(sent?)));
        };
        if sent.is_err() {
            self.large.forget(&marker);
        }
        let mut output = sent?;
        output.md5_of_message_body = Some(md5);
        Ok(json_reply(StatusCode::OK, &json!(output)))
    }

    async fn send_batch(&self, body: &Bytes) -> Result<Reply, SqsError> {
        let mut input: SendMessageBatchInput = read(body)?;
        check_batch(input.entries.iter().map(|entry| entry.id.as_str()))?;
        check_batch_size(&input)?;
        let mut aside = HashMap::new();
        for entry in &mut input.entries {
            in_range("DelaySeconds", entry.delay_seconds, 0, 900)?;
            if let Some(kept) = self.keep_aside(&input.queue_url, &mut entry.message_body).await? {
                aside.insert(entry.id.clone(), kept);
            }
        }
        let mut output = self.queues.send_message_batch(input).await?;
        for entry in &mut output.successful {
            if let Some((_, md5)) = aside.remove(&entry.id) {
                entry.md5_of_message_body = md5;
            }
        }
        aside.values().for_each(|(marker, _)| self.large.forget(marker));
        Ok(json_reply(StatusCode::OK, &json!(output)))
    }

    /// Puts a marker in place of a body that SQS takes and the library does not; answers the marker and the body's MD5.
    async fn keep_aside(&self, url: &str, body: &mut String) -> Result<Option<(String, String)>, SqsError> {
        if !(LIBRARY_BYTES + 1..=SQS_BYTES).contains(&body.len()) {
            return Ok(None);
        }
        let names = vec!["MaximumMessageSize".to_owned()];
        let lookup = GetQueueAttributesInput { queue_url: url.to_owned(), attribute_names: names };
        let attributes = self.queues.get_queue_attributes(lookup).await?.attributes;
        if attributes.get("MaximumMessageSize") != Some(&LIBRARY_BYTES.to_string()) {
            return Ok(None);
        }
        let md5 = md5_of_body(body);
        let marker = self.large.keep(std::mem::take(body));
        body.clone_from(&marker);
        Ok(Some((marker, md5)))
    }

    async fn receive(&self, body: &Bytes) -> Result<Reply, SqsError> {
        let input: ReceiveMessageInput = read(body)?;
        let queue = self.existing_queue(&input.queue_url).await?;
        in_range("MaxNumberOfMessages", input.max_number_of_messages, 1, 10)?;
        in_range("WaitTimeSeconds", input.wait_time_seconds, 0, 20)?;
        in_range("VisibilityTimeout", input.visibility_timeout, 0, 43_200)?;
        let mut output = self.queues.receive_message(input).await?;
        for message in &mut output.messages {
            let large = message.body.as_ref().and_then(|text| self.large.body_of(text));
            let marker = large.as_ref().and(message.body.clone());
            message.receipt_handle = message.receipt_handle.take().map(|inner| seal(&queue, &inner, marker.as_deref()));
            if let Some(body) = large {
                message.md5_of_body = Some(md5_of_body(&body));
                message.body = Some(body);
            }
        }
        Ok(json_reply(StatusCode::OK, &json!(output)))
    }

    async fn delete(&self, body: &Bytes) -> Result<Reply, SqsError> {
        let input: DeleteMessageInput = read(body)?;
        let queue = self.existing_queue(&input.queue_url).await?;
        self.delete_one(&input.queue_url, &queue, &input.receipt_handle).await?;
        Ok(json_reply(StatusCode::OK, &json!({})))
    }

    async fn delete_batch(&self, body: &Bytes) -> Result<Reply, SqsError> {
        let input: DeleteMessageBatchInput = read(body)?;
        let queue = self.existing_queue(&input.queue_url).await?;
        check_batch(input.entries.iter().map(|entry| entry.id.as_str()))?;
        let mut outcomes = Outcomes::default();
        for entry in input.entries {
            outcomes.add(entry.id, self.delete_one(&input.queue_url, &queue, &entry.receipt_handle).await);
        }
        Ok(outcomes.reply())
    }

    /// Deletes the message if the handle is its newest. An older handle of a message that was received again since deletes
    /// nothing and still succeeds, as on AWS.
    async fn delete_one(&self, url: &str, queue: &str, handle: &str) -> Result<(), SqsError> {
        let receipt = open(queue, handle).ok_or_else(SqsError::receipt_handle_is_invalid)?;
        // Only the newest handle can still change the visibility: that tells whether this delete is the end of the message.
        let last = match &receipt.marker {
            Some(_) => self.change_inner(url, &receipt.inner, 43_200).await.is_ok(),
            None => false,
        };
        let input = DeleteMessageInput { queue_url: url.to_owned(), receipt_handle: receipt.inner };
        self.queues.delete_message(input).await?;
        if let (true, Some(marker)) = (last, &receipt.marker) {
            self.large.forget(marker);
        }
        Ok(())
    }

    async fn change_visibility(&self, body: &Bytes) -> Result<Reply, SqsError> {
        let input: ChangeMessageVisibilityInput = read(body)?;
        let queue = self.existing_queue(&input.queue_url).await?;
        self.change_one(&input.queue_url, &queue, &input.receipt_handle, input.visibility_timeout).await?;
        Ok(json_reply(StatusCode::OK, &json!({})))
    }

    async fn change_visibility_batch(&self, body: &Bytes) -> Result<Reply, SqsError> {
        let input: ChangeMessageVisibilityBatchInput = read(body)?;
        let queue = self.existing_queue(&input.queue_url).await?;
        check_batch(input.entries.iter().map(|entry| entry.id.as_str()))?;
        let mut outcomes = Outcomes::default();
        for entry in input.entries {
            let changed = self.change_one(&input.queue_url, &queue, &entry.receipt_handle, entry.visibility_timeout);
            outcomes.add(entry.id, changed.await);
        }
        Ok(outcomes.reply())
    }

    async fn change_one(&self, url: &str, queue: &str, handle: &str, seconds: i32) -> Result<(), SqsError> {
        let receipt = open(queue, handle).ok_or_else(SqsError::receipt_handle_is_invalid)?;
        in_range("VisibilityTimeout", Some(seconds), 0, 43_200)?;
        within_twelve_hours(&receipt, seconds, self.clock.now_ms())?;
        self.change_inner(url, &receipt.inner, seconds).await
    }

    async fn change_inner(&self, url: &str, inner: &str, seconds: i32) -> Result<(), SqsError> {
        let input = ChangeMessageVisibilityInput {
            queue_url: url.to_owned(),
            receipt_handle: inner.to_owned(),
            visibility_timeout: seconds,
        };
        self.queues.change_message_visibility(input).await.map(|_| ())
    }

    /// The name of the queue at `url`, which must exist: that is checked before anything else about a request.
    async fn existing_queue(&self, url: &str) -> Result<String, SqsError> {
        let name = extract_queue_name(url).unwrap_or_default().to_owned();
        let lookup = GetQueueUrlInput { queue_name: name.clone(), ..Default::default() };
        self.queues.get_queue_url(lookup).await?;
        Ok(name)
    }
}

/// What became of the entries of a batch.
#[derive(Default)]
struct Outcomes {
    successful: Vec<Value>,
    failed: Vec<Value>,
}

impl Outcomes {
    fn add(&mut self, id: String, outcome: Result<(), SqsError>) {
        match outcome {
            Ok(()) => self.successful.push(json!({ "Id": id })),
            Err(error) => self.failed.push(json!({
                "Id": id,
                "SenderFault": error.code.is_sender_fault(),
                "Code": error.code.error_type(),
                "Message": error.message,
            })),
        }
    }

    fn reply(self) -> Reply {
        json_reply(StatusCode::OK, &json!({ "Successful": self.successful, "Failed": self.failed }))
    }
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, SqsError> {
    serde_json::from_slice(body).map_err(|error| {
        let message = error.to_string();
        if message.contains("missing field") {
            SqsError::missing_parameter(format!("The request must contain all its parameters: {message}"))
        } else {
            SqsError::invalid_parameter_value(format!("The request is not understood: {message}"))
        }
    })
}

/// The policy as the library writes it, so that creating a queue twice with the same policy finds it unchanged. AWS takes
/// `maxReceiveCount` as a number or as a string of digits, 1 to 1000.
fn normal_policy(policy: &str) -> Result<RedrivePolicy, SqsError> {
    let invalid = |reason: String| {
        SqsError::invalid_parameter_value(format!(
            "Value {policy} for parameter RedrivePolicy is invalid. Reason: {reason}"
        ))
    };
    let mut written: Value = serde_json::from_str(policy).map_err(|error| invalid(error.to_string()))?;
    if let Some(count) = written.get_mut("maxReceiveCount")
        && let Some(digits) = count.as_str()
    {
        *count = json!(digits.parse::<i32>().map_err(|_| invalid("maxReceiveCount is not a number.".to_owned()))?);
    }
    let normal: RedrivePolicy = serde_json::from_value(written).map_err(|error| invalid(error.to_string()))?;
    if !(1..=1000).contains(&normal.max_receive_count) {
        return Err(invalid("maxReceiveCount must be between 1 and 1000.".to_owned()));
    }
    Ok(normal)
}

/// The bodies of a batch together are no longer than one message may be.
fn check_batch_size(input: &SendMessageBatchInput) -> Result<(), SqsError> {
    let bytes: usize = input.entries.iter().map(|entry| entry.message_body.len()).sum();
    if bytes <= SQS_BYTES {
        return Ok(());
    }
    Err(SqsError::new(
        SqsErrorCode::BatchRequestTooLong,
        format!("Batch requests cannot be longer than {SQS_BYTES} bytes. You have sent {bytes} bytes."),
    ))
}

/// A batch has 1 to 10 entries with ids that differ, of 1 to 80 letters, digits, hyphens and underscores.
fn check_batch<'a>(ids: impl Iterator<Item = &'a str>) -> Result<(), SqsError> {
    let ids: Vec<&str> = ids.collect();
    if ids.is_empty() {
        return Err(SqsError::new(
            SqsErrorCode::EmptyBatchRequest,
            "There should be at least one entry in the request.",
        ));
    }
    if ids.len() > 10 {
        let message = format!("Maximum number of entries per request are 10. You have sent {}.", ids.len());
        return Err(SqsError::new(SqsErrorCode::TooManyEntriesInBatchRequest, message));
    }
    let well_formed = |id: &&str| {
        (1..=80).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    if !ids.iter().all(well_formed) {
        return Err(SqsError::new(
            SqsErrorCode::InvalidBatchEntryId,
            "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 \
             letters long.",
        ));
    }
    match ids.iter().enumerate().find(|(position, id)| ids[..*position].contains(id)) {
        Some((_, id)) => Err(SqsError::new(SqsErrorCode::BatchEntryIdsNotDistinct, format!("Id {id} repeated."))),
        None => Ok(()),
    }
}

pub(super) fn in_range(parameter: &str, value: Option<i32>, low: i32, high: i32) -> Result<(), SqsError> {
    match value {
        Some(value) if !(low..=high).contains(&value) => Err(SqsError::invalid_parameter_value(format!(
            "Value {value} for parameter {parameter} is invalid. Reason: Must be between {low} and {high}, if provided."
        ))),
        _ => Ok(()),
    }
}

fn within_twelve_hours(receipt: &Receipt, seconds: i32, now_ms: i64) -> Result<(), SqsError> {
    let held = now_ms.saturating_sub(receipt.received_at_ms) / 1000;
    if held.saturating_add(i64::from(seconds)) <= LONGEST_INVISIBILITY {
        return Ok(());
    }
    Err(SqsError::invalid_parameter_value(format!(
        "Value {seconds} for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is \
         beyond the limit [{LONGEST_INVISIBILITY} seconds]."
    )))
}

/// An error as AWS sends it: the shape's name in the body, the query protocol's code in the header.
fn error_reply(error: &SqsError) -> Reply {
    let code = error.code.error_type();
    let (shape, query_code) = match error.code {
        SqsErrorCode::NonExistentQueue => ("QueueDoesNotExist", code),
        SqsErrorCode::QueueAlreadyExists => ("QueueNameExists", code),
        SqsErrorCode::MessageNotInflight => ("MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight"),
        SqsErrorCode::InvalidParameterValue => ("InvalidParameterValueException", code),
        SqsErrorCode::MissingParameter => ("MissingParameterException", code),
        _ => (code.rsplit('.').next().unwrap_or(code), code),
    };
    sqs_error(error.code.status_code(), shape, query_code, &error.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_stays_invisible_for_twelve_hours_from_its_receive_and_no_longer() {
        let receipt = Receipt { inner: String::new(), received_at_ms: 0, marker: None };
        let eleven_hours = 11 * 60 * 60 * 1000;
        assert!(within_twelve_hours(&receipt, 60 * 60, eleven_hours).is_ok());
        assert!(within_twelve_hours(&receipt, 60 * 60 + 1, eleven_hours).is_err());
    }
}
