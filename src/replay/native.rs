//! SQS's own redrive, `StartMessageMoveTask`: everything in a dead-letter queue goes back, unfiltered, without passing through here.
//!
//! At most 500 messages a second, one task at a time for a source, 36 hours at most. Moved messages get new ids and keep their
//! attributes, by which a worker knows that they are replayed. Letters that a worker sent name no source queue, so a destination is
//! always given.

use crate::aws::{CallError, Class, Effect, classify};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::ListMessageMoveTasksResultEntry as Entry;
use aws_smithy_types::retry::RetryConfig;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Messages a second, at most: AWS's limit.
pub const MAX_RATE: u16 = 500;

/// Between the first two looks at a task; each further pause is half as long again, up to [`SLOWEST_LOOK`].
const FIRST_LOOK: Duration = Duration::from_millis(100);

/// Between two looks at a task that has been going on for a while.
const SLOWEST_LOOK: Duration = Duration::from_secs(2);

/// Looks in a row that may fail, or not show the task yet: about half a minute.
const BLIND: u32 = 20;

/// Entries that one listing shows: AWS's limit.
const LISTED: i32 = 10;

const START: &str = "StartMessageMoveTask";
const LIST: &str = "ListMessageMoveTasks";
const CANCEL: &str = "CancelMessageMoveTask";

/// A task that was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveTask {
    source_arn: String,
    /// What cancels it; unknown if the answer to the start was lost and the task had ended before it was found.
    handle: Option<String>,
    /// The newest task before it, milliseconds since the epoch: of those after, the first is this one.
    after: i64,
}

/// How far a task is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Messages moved; approximate.
    pub moved: u64,
    /// Messages that were there when it started; approximate.
    pub to_move: u64,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MoveEnd {
    /// Everything is at the destination.
    Completed,
    /// It was told to stop; the rest is where it was.
    Cancelled,
    /// SQS gave up, for this reason; the rest is where it was.
    Failed(String),
}

/// Starts to move everything from the dead-letter queue to `destination_arn`, at most `rate` messages a second (1-[`MAX_RATE`]; without
/// one SQS chooses).
///
/// A start is not repeated blindly: if its answer is lost, the list of tasks tells what became of it.
///
/// # Errors
/// Class `Permanent` if a task is running already, or the source is no dead-letter queue of an SQS queue; `Unknown` if the answer was
/// lost and no task is to be seen: nothing may have started, and starting again is safe.
pub async fn start(
    client: &Client,
    source_arn: &str,
    destination_arn: &str,
    rate: Option<u16>,
) -> Result<MoveTask, CallError> {
    let before = list(client, source_arn).await?;
    if let Some(running) = before.iter().find(|entry| matches!(entry.status(), Some("RUNNING" | "CANCELLING"))) {
        let message = format!(
            "a task is moving this queue's messages already ({} of about {} so far): wait for its end, or cancel it",
            running.approximate_number_of_messages_moved,
            running.approximate_number_of_messages_to_move.unwrap_or_default()
        );
        return Err(CallError::new(Class::Permanent, START, message));
    }
    let after = before.iter().map(|entry| entry.started_timestamp).max().unwrap_or(0);
    let once = aws_sdk_sqs::Config::builder().retry_config(RetryConfig::disabled());
    let started = client
        .start_message_move_task()
        .source_arn(source_arn)
        .destination_arn(destination_arn)
        .set_max_number_of_messages_per_second(rate.map(i32::from))
        .customize()
        .config_override(once)
        .send()
        .await
        .map_err(|error| classify(START, Effect::Write, error));
    let task = |handle| MoveTask { source_arn: source_arn.to_owned(), handle, after };
    match started {
        Ok(started) => Ok(task(started.task_handle)),
        Err(error) if error.class == Class::Unknown => match ours(&list(client, source_arn).await?, after) {
            Some(entry) => Ok(task(entry.task_handle.clone())),
            None => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// Follows a task to its end. When `stop` is cancelled it cancels the task, and follows that to its end.
///
/// # Errors
/// SQS stopped answering, or does not show the task. The task goes on without us.
pub async fn watch(
    client: &Client,
    task: &MoveTask,
    stop: &CancellationToken,
    mut progress: impl FnMut(Progress),
) -> Result<(MoveEnd, Progress), CallError> {
    let mut handle = task.handle.clone();
    let mut cancelled = false;
    let mut pause = FIRST_LOOK;
    let mut blind = 0;
    loop {
        let listed = list(client, &task.source_arn).await;
        match listed.as_ref().map(|entries| ours(entries, task.after)) {
            Ok(Some(entry)) => {
                blind = 0;
                let at = progress_of(entry);
                progress(at);
                match entry.status() {
                    Some("COMPLETED") => return Ok((MoveEnd::Completed, at)),
                    Some("CANCELLED") => return Ok((MoveEnd::Cancelled, at)),
                    Some("FAILED") => {
                        let reason = entry.failure_reason().unwrap_or("SQS gives no reason").to_owned();
                        return Ok((MoveEnd::Failed(reason), at));
                    }
                    _ => handle = entry.task_handle.clone().or(handle),
                }
            }
            Ok(None) if blind < BLIND => blind += 1,
            Ok(None) => {
                return Err(CallError::new(Class::Unknown, LIST, "the task that was started is not to be seen"));
            }
            Err(error) if error.may_pass() && blind < BLIND => blind += 1,
            Err(error) => return Err(error.clone()),
        }
        if stop.is_cancelled() && !cancelled {
            cancelled = cancel(client, handle.as_deref()).await?;
            pause = FIRST_LOOK;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 3 / 2).min(SLOWEST_LOOK),
            // Once it is, it stays so: only the pause counts then.
            () = stop.cancelled(), if !stop.is_cancelled() => {}
        }
    }
}

/// Whether the task was told to stop, or had ended before.
async fn cancel(client: &Client, handle: Option<&str>) -> Result<bool, CallError> {
    let Some(handle) = handle else { return Ok(false) };
    let cancelled = client.cancel_message_move_task().task_handle(handle).send().await;
    match cancelled.map_err(|error| classify(CANCEL, Effect::Write, error)) {
        Ok(_) => Ok(true),
        // It ended in the meantime: the next look tells how.
        Err(error) if matches!(error.class, Class::Permanent | Class::Gone) => Ok(true),
        Err(error) => Err(error),
    }
}

async fn list(client: &Client, source_arn: &str) -> Result<Vec<Entry>, CallError> {
    let call = client.list_message_move_tasks().source_arn(source_arn).max_results(LISTED);
    let answer = call.send().await.map_err(|error| classify(LIST, Effect::Read, error))?;
    Ok(answer.results.unwrap_or_default())
}

/// A source has one task at a time, so the first after the last one that was seen is the one that was started.
fn ours(entries: &[Entry], after: i64) -> Option<&Entry> {
    entries.iter().filter(|entry| entry.started_timestamp > after).min_by_key(|entry| entry.started_timestamp)
}

fn progress_of(entry: &Entry) -> Progress {
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    Progress {
        moved: count(entry.approximate_number_of_messages_moved),
        to_move: count(entry.approximate_number_of_messages_to_move.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(started: i64) -> Entry {
        Entry::builder().started_timestamp(started).build()
    }

    #[test]
    fn the_task_that_was_started_is_the_first_after_those_that_were_there_before() {
        let entries = [entry(30), entry(20), entry(10)];
        assert_eq!(ours(&entries, 10).map(|entry| entry.started_timestamp), Some(20));
        assert_eq!(ours(&entries, 30), None);
        assert_eq!(ours(&[], 0), None);
    }
}
