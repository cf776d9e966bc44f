//! The `Queue` port, the SQS adapter and its in-memory twin.

mod info;
mod port;
mod sqs;

pub use info::{QueueInfo, Redrive, describe};
pub use port::{BATCH, Depth, MAX_VISIBILITY, Outgoing, Queue, Received};
pub use sqs::SqsQueue;
