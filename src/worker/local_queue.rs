//! The queue of a worker that works for one command: its findings are in this process, its dead letters where all dead letters are.

use crate::aws::CallError;
use crate::queue::{Depth, MemoryQueue, Outgoing, Queue, Received, SqsQueue};
use std::time::Duration;

/// A queue here, or one of SQS. What is lost with this process is not lost: the findings are Device Defender's, and what was done about
/// them is in the ledger; the same command goes on where it was cut off.
#[derive(Debug, Clone)]
pub enum LocalQueue {
    /// In this process.
    Here(MemoryQueue),
    /// SQS.
    Sqs(SqsQueue),
}

impl Queue for LocalQueue {
    async fn receive(&self, max: usize, wait: Duration, visibility: Duration) -> Result<Vec<Received>, CallError> {
        match self {
            Self::Here(queue) => queue.receive(max, wait, visibility).await,
            Self::Sqs(queue) => queue.receive(max, wait, visibility).await,
        }
    }

    async fn delete(&self, handles: &[String]) -> Result<Vec<Result<(), CallError>>, CallError> {
        match self {
            Self::Here(queue) => queue.delete(handles).await,
            Self::Sqs(queue) => queue.delete(handles).await,
        }
    }

    async fn change_visibility(&self, entries: &[(String, Duration)]) -> Result<Vec<Result<(), CallError>>, CallError> {
        match self {
            Self::Here(queue) => queue.change_visibility(entries).await,
            Self::Sqs(queue) => queue.change_visibility(entries).await,
        }
    }

    async fn send(&self, messages: &[Outgoing]) -> Result<Vec<Result<String, CallError>>, CallError> {
        match self {
            Self::Here(queue) => queue.send(messages).await,
            Self::Sqs(queue) => queue.send(messages).await,
        }
    }

    async fn depth(&self) -> Result<Depth, CallError> {
        match self {
            Self::Here(queue) => queue.depth().await,
            Self::Sqs(queue) => queue.depth().await,
        }
    }
}
