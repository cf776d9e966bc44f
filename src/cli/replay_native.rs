//! `fleetwarden replay dlq --all --native`: SQS moves everything back by itself.

use super::bar::Bar;
use super::replay::confirm;
use super::{CliError, OutputFormat, print};
use crate::aws::{CallError, Clients};
use crate::queue::{Queue, SqsQueue, describe};
use crate::replay::native::{self, MAX_RATE, MoveEnd};
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// What it is told.
pub(super) struct Native<'a> {
    pub dead_letter_queue_url: &'a str,
    pub queue_url: &'a str,
    /// Messages a second.
    pub rate: u32,
    pub yes: bool,
}

pub(super) async fn run(
    told: &Native<'_>,
    clients: &Clients,
    output: OutputFormat,
    stop: &CancellationToken,
) -> Result<(), CliError> {
    let failed = |error: CallError| CliError::Failed(format!("failed to {error}; check the URLs and the permissions"));
    let rate = u16::try_from(told.rate).ok().filter(|rate| *rate <= MAX_RATE).ok_or_else(|| {
        CliError::Usage(format!("--rate {}: SQS moves at most {MAX_RATE} messages a second by itself", told.rate))
    })?;
    let source = describe(&clients.sqs, told.dead_letter_queue_url).await.map_err(failed)?.arn;
    let destination = describe(&clients.sqs, told.queue_url).await.map_err(failed)?.arn;
    let letters = SqsQueue::new(clients.sqs.clone(), told.dead_letter_queue_url.to_owned());
    let there = letters.depth().await.map_err(failed)?.visible;
    if there == 0 {
        tell(output, "completed", 0);
        return Ok(());
    }
    if !told.yes && !confirm(there, &format!("about {there} letters"), output).await? {
        return Ok(());
    }
    let task = native::start(&clients.sqs, &source, &destination, Some(rate)).await.map_err(failed)?;
    let mut bar = Bar::new("letters moved");
    let watched = native::watch(&clients.sqs, &task, stop, |at| bar.at(at.moved, at.to_move)).await;
    bar.clear();
    let (end, progress) = watched.map_err(|error| {
        CliError::Failed(format!("failed to {error}; the move goes on: `fleetwarden status` shows how many are left"))
    })?;
    let (how, error) = match end {
        MoveEnd::Completed => ("completed", None),
        MoveEnd::Cancelled => ("stopped", Some("stopped; the rest is where it was".to_owned())),
        MoveEnd::Failed(why) => ("failed", Some(format!("SQS gave up: {why}; the rest is where it was"))),
    };
    tell(output, how, progress.moved);
    error.map_or(Ok(()), |error| Err(CliError::Failed(error)))
}

fn tell(output: OutputFormat, how: &str, moved: u64) {
    match output {
        OutputFormat::Json => print::json(&json!({ "ended": how, "moved": moved })),
        OutputFormat::Table => print::line(&format!("{how}: {moved} letters moved back to the queue")),
    }
}
