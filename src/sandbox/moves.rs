//! Message move tasks: what a dead-letter queue holds goes back, by SQS itself.
//!
//! As on AWS: one running task a source, at most 500 messages a second, a new message id for each, attributes and body unchanged. A
//! message that names no source queue (one that was sent to the dead-letter queue, not redriven) fails a task without a destination.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_types::base64;
use http::StatusCode;
use rustack_sqs_core::provider::RustackSqs;
use rustack_sqs_model::error::{SqsError, SqsErrorCode};
use rustack_sqs_model::input::{
    CancelMessageMoveTaskInput, ChangeMessageVisibilityInput, DeleteMessageInput, GetQueueAttributesInput,
    GetQueueUrlInput, ListDeadLetterSourceQueuesInput, ListMessageMoveTasksInput, ReceiveMessageInput,
    SendMessageInput, StartMessageMoveTaskInput,
};
use rustack_sqs_model::types::Message;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::reply::{Reply, json_reply};
use super::sqs::in_range;

/// Messages a second, at most and by default: AWS's ceiling.
const FASTEST: i32 = 500;

/// Tasks of a source that are remembered, and the most that one listing shows.
const REMEMBERED: usize = 10;

/// The move tasks of the sandbox; those that run end with it.
pub(super) struct MoveTasks {
    queues: Arc<RustackSqs>,
    /// The newest last.
    tasks: Arc<Mutex<Vec<Task>>>,
    running: Mutex<JoinSet<()>>,
}

#[derive(Clone)]
struct Task {
    handle: String,
    status: Status,
    source: String,
    destination: Option<String>,
    rate: Option<i32>,
    moved: i64,
    to_move: i64,
    failure: Option<String>,
    started_ms: i64,
    stop: CancellationToken,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Running,
    Completed,
    Cancelling,
    Cancelled,
    Failed,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Cancelling => "CANCELLING",
            Self::Cancelled => "CANCELLED",
            Self::Failed => "FAILED",
        }
    }

    fn is_active(self) -> bool {
        matches!(self, Self::Running | Self::Cancelling)
    }
}

impl MoveTasks {
    pub(super) fn new(queues: Arc<RustackSqs>) -> Self {
        Self { queues, tasks: Arc::default(), running: Mutex::default() }
    }

    pub(super) async fn start(&self, input: StartMessageMoveTaskInput, now_ms: i64) -> Result<Reply, SqsError> {
        let StartMessageMoveTaskInput { source_arn, destination_arn, max_number_of_messages_per_second: rate } = input;
        in_range("MaxNumberOfMessagesPerSecond", rate, 1, FASTEST)?;
        let source = self.queue("SourceArn", &source_arn).await?;
        let sources = ListDeadLetterSourceQueuesInput { queue_url: source.clone(), ..Default::default() };
        if self.queues.list_dead_letter_source_queues(sources).await?.queue_urls.is_empty() {
            return Err(SqsError::invalid_parameter_value(
                "Source queue must be configured as a Dead Letter Queue.".to_owned(),
            ));
        }
        let destination = match &destination_arn {
            Some(arn) => Some(self.queue("DestinationArn", arn).await?),
            None => None,
        };
        let to_move = self.depth(&source).await?;
        let stop = CancellationToken::new();
        let handle = {
            let mut tasks = lock(&self.tasks);
            let same = |task: &Task| task.source == source_arn;
            if tasks.iter().any(|task| same(task) && task.status.is_active()) {
                return Err(unsupported(
                    "There is already a task running. Only one active task is allowed for a source queue arn at a given \
                     time.",
                ));
            }
            if tasks.iter().filter(|task| same(task)).count() >= REMEMBERED
                && let Some(oldest) = tasks.iter().position(same)
            {
                tasks.remove(oldest);
            }
            let number = tasks.iter().filter(|task| same(task)).map(|task| task.started_ms).max().unwrap_or(0);
            // Two tasks of one source may begin within a millisecond.
            let started_ms = now_ms.max(number + 1);
            let handle = base64::encode(json!({ "taskId": started_ms, "sourceArn": source_arn }).to_string());
            tasks.push(Task {
                handle: handle.clone(),
                status: Status::Running,
                source: source_arn,
                destination: destination_arn,
                rate,
                moved: 0,
                to_move,
                failure: None,
                started_ms,
                stop: stop.clone(),
            });
            handle
        };
        let mover = Mover {
            queues: Arc::clone(&self.queues),
            tasks: Arc::clone(&self.tasks),
            handle: handle.clone(),
            source,
            destination,
            stop,
            pause: Duration::from_secs(1) / rate.unwrap_or(FASTEST).unsigned_abs(),
        };
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        while running.try_join_next().is_some() {}
        running.spawn(mover.run());
        Ok(json_reply(StatusCode::OK, &json!({ "TaskHandle": handle })))
    }

    pub(super) fn cancel(&self, input: &CancelMessageMoveTaskInput) -> Result<Reply, SqsError> {
        let mut tasks = lock(&self.tasks);
        let Some(task) = tasks.iter_mut().find(|task| task.handle == input.task_handle) else {
            return Err(SqsError::resource_not_found("Task does not exist."));
        };
        if task.status != Status::Running {
            return Err(unsupported("Only active tasks can be cancelled."));
        }
        task.status = Status::Cancelling;
        task.stop.cancel();
        Ok(json_reply(StatusCode::OK, &json!({ "ApproximateNumberOfMessagesMoved": task.moved })))
    }

    pub(super) async fn list(&self, input: &ListMessageMoveTasksInput) -> Result<Reply, SqsError> {
        in_range("MaxResults", input.max_results, 1, 10)?;
        self.queue("SourceArn", &input.source_arn).await?;
        let most = usize::try_from(input.max_results.unwrap_or(1)).unwrap_or(1);
        let tasks = lock(&self.tasks);
        let newest = tasks.iter().rev().filter(|task| task.source == input.source_arn).take(most);
        let results: Vec<Value> = newest.map(entry).collect();
        Ok(json_reply(StatusCode::OK, &json!({ "Results": results })))
    }

    /// The URL of the queue that a parameter names.
    async fn queue(&self, parameter: &str, arn: &str) -> Result<String, SqsError> {
        let absent = || {
            SqsError::resource_not_found(format!(
                "The resource that you specified for the {parameter} parameter doesn't exist."
            ))
        };
        let url = self.queues.queue_url_for_arn(arn).map_err(|_| absent())?;
        let name = arn.rsplit(':').next().unwrap_or_default().to_owned();
        let lookup = GetQueueUrlInput { queue_name: name, ..Default::default() };
        self.queues.get_queue_url(lookup).await.map_err(|_| absent())?;
        Ok(url)
    }

    async fn depth(&self, url: &str) -> Result<i64, SqsError> {
        let name = "ApproximateNumberOfMessages";
        let lookup = GetQueueAttributesInput { queue_url: url.to_owned(), attribute_names: vec![name.to_owned()] };
        let attributes = self.queues.get_queue_attributes(lookup).await?.attributes;
        Ok(attributes.get(name).and_then(|text| text.parse().ok()).unwrap_or(0))
    }
}

/// One task at work.
struct Mover {
    queues: Arc<RustackSqs>,
    tasks: Arc<Mutex<Vec<Task>>>,
    handle: String,
    source: String,
    destination: Option<String>,
    stop: CancellationToken,
    /// Between two messages.
    pause: Duration,
}

impl Mover {
    async fn run(self) {
        let end = match self.move_all().await {
            Ok(end) => (end, None),
            Err(error) => (Status::Failed, Some(error.message)),
        };
        self.update(|task| (task.status, task.failure) = end);
    }

    async fn move_all(&self) -> Result<Status, SqsError> {
        let mut due = Instant::now();
        loop {
            if self.stop.is_cancelled() {
                return Ok(Status::Cancelled);
            }
            let Some(message) = self.next().await? else { return Ok(Status::Completed) };
            self.move_one(message).await?;
            self.update(|task| task.moved += 1);
            due += self.pause;
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    async fn next(&self) -> Result<Option<Message>, SqsError> {
        let receive = ReceiveMessageInput {
            queue_url: self.source.clone(),
            max_number_of_messages: Some(1),
            visibility_timeout: Some(30),
            wait_time_seconds: Some(0),
            message_system_attribute_names: vec!["All".to_owned()],
            message_attribute_names: vec!["All".to_owned()],
            ..Default::default()
        };
        Ok(self.queues.receive_message(receive).await?.messages.pop())
    }

    /// Sent before it is deleted: a message is never nowhere. A large body's marker travels with it.
    async fn move_one(&self, message: Message) -> Result<(), SqsError> {
        let receipt_handle = message.receipt_handle.unwrap_or_default();
        let origin = message.attributes.get("DeadLetterQueueSourceArn");
        let destination = match (&self.destination, origin) {
            (Some(url), _) => url.clone(),
            (None, Some(arn)) => self.queues.queue_url_for_arn(arn)?,
            (None, None) => {
                let back = ChangeMessageVisibilityInput {
                    queue_url: self.source.clone(),
                    receipt_handle,
                    visibility_timeout: 0,
                };
                self.queues.change_message_visibility(back).await?;
                return Err(SqsError::invalid_parameter_value("CouldNotDetermineMessageSource"));
            }
        };
        let send = SendMessageInput {
            queue_url: destination,
            message_body: message.body.unwrap_or_default(),
            message_attributes: message.message_attributes,
            ..Default::default()
        };
        self.queues.send_message(send).await?;
        let delete = DeleteMessageInput { queue_url: self.source.clone(), receipt_handle };
        self.queues.delete_message(delete).await?;
        Ok(())
    }

    fn update(&self, change: impl FnOnce(&mut Task)) {
        if let Some(task) = lock(&self.tasks).iter_mut().find(|task| task.handle == self.handle) {
            change(task);
        }
    }
}

fn lock(tasks: &Mutex<Vec<Task>>) -> MutexGuard<'_, Vec<Task>> {
    tasks.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unsupported(message: &str) -> SqsError {
    SqsError::new(SqsErrorCode::UnsupportedOperation, message)
}

fn entry(task: &Task) -> Value {
    let mut entry = json!({
        "Status": task.status.as_str(),
        "SourceArn": task.source,
        "ApproximateNumberOfMessagesMoved": task.moved,
        "ApproximateNumberOfMessagesToMove": task.to_move,
        "StartedTimestamp": task.started_ms,
    });
    // Only a running task tells the handle that cancels it.
    if task.status == Status::Running {
        entry["TaskHandle"] = json!(task.handle);
    }
    let given = [
        ("DestinationArn", task.destination.clone().map(Value::from)),
        ("MaxNumberOfMessagesPerSecond", task.rate.map(Value::from)),
        ("FailureReason", task.failure.clone().map(Value::from)),
    ];
    for (name, value) in given {
        if let Some(value) = value {
            entry[name] = value;
        }
    }
    entry
}
