//! The `Queue` port, the SQS adapter and its in-memory twin.

mod info;
mod memory;
mod port;
mod sqs;

pub use info::{QueueInfo, RedrivePolicy, describe};
pub use memory::{Disorder, MemoryQueue, MemoryQueueConfig, Redrive};
pub use port::{BATCH, Depth, MAX_MESSAGE, MAX_VISIBILITY, Outgoing, Queue, Received};
pub use sqs::SqsQueue;
