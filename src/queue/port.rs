//! The `Queue` port. Every sentence of these docs is a contract that the contract tests run against each implementation.

use crate::aws::CallError;
use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

/// Entries that one batch call takes: SQS's limit.
pub const BATCH: usize = 10;

/// The longest visibility timeout SQS grants, counted from the first receive.
pub const MAX_VISIBILITY: Duration = Duration::from_secs(12 * 60 * 60);

/// The largest message, and the most that one `SendMessageBatch` holds, in bytes as [`Outgoing::size`] counts them: 1 MiB.
pub const MAX_MESSAGE: usize = 1024 * 1024;

/// A message as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The same for every delivery of this message; a redrive changes it.
    pub message_id: String,
    /// Valid for this delivery only.
    pub receipt_handle: String,
    /// Up to 1 MiB.
    pub body: String,
    /// String message attributes.
    pub attributes: BTreeMap<String, String>,
    /// `ApproximateReceiveCount`, this delivery included.
    pub receive_count: u32,
    /// `ApproximateFirstReceiveTimestamp`, milliseconds since the epoch.
    pub first_received_at: Option<i64>,
    /// `SentTimestamp`, milliseconds since the epoch.
    pub sent_at: Option<i64>,
    /// `AWSTraceHeader`, as AWS X-Ray writes it, where the sender (or the topic) traces.
    pub trace_header: Option<String>,
}

/// A message to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// Up to 1 MiB.
    pub body: String,
    /// String message attributes, at most ten.
    pub attributes: BTreeMap<String, String>,
}

impl Outgoing {
    /// A message that SQS takes: it refuses an empty body, and characters outside XML 1.0, which JSON text may hold (escaped, so
    /// that SQS delivered them); the body becomes `-`, the characters become U+FFFD.
    pub fn new(body: &str, attributes: BTreeMap<String, String>) -> Self {
        let refused =
            |c: char| (c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r')) || c == '\u{fffe}' || c == '\u{ffff}';
        let body = if body.is_empty() { "-".to_owned() } else { body.replace(refused, "\u{fffd}") };
        Self { body, attributes }
    }

    /// What SQS counts: the body, and of each attribute its name, its type (`String`) and its value.
    pub fn size(&self) -> usize {
        let attributes = self.attributes.iter().map(|(name, value)| name.len() + "String".len() + value.len());
        self.body.len() + attributes.sum::<usize>()
    }
}

/// `GetQueueAttributes`: approximate, and up to a minute behind on real SQS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Waiting to be received.
    pub visible: u64,
    /// Received and not yet deleted: in flight somewhere, or parked.
    pub in_flight: u64,
    /// Sent with a delay that still runs.
    pub delayed: u64,
}

impl Depth {
    /// Nothing waits, nothing is in flight, nothing is delayed.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// A queue: at-least-once delivery, best-effort order, per-entry failures inside a successful batch.
///
/// Batches hold 1 to [`BATCH`] entries. The outer `Err` means that the whole call failed; the inner results, in the order of the
/// entries, say what became of each.
pub trait Queue: Send + Sync + 'static {
    /// Up to `max` (1-10) messages, waiting up to `wait` (at most 20 s) for the first. Each stays invisible to others for
    /// `visibility`. An empty list means that none came in time.
    fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> impl Future<Output = Result<Vec<Received>, CallError>> + Send;

    /// Deletes by receipt handle. `Ok` means that the request was taken: with a handle of an earlier delivery the message may
    /// stay. An invalid handle is a per-entry error with code `ReceiptHandleIsInvalid` (class `Permanent`).
    fn delete(&self, handles: &[String]) -> impl Future<Output = Result<Vec<Result<(), CallError>>, CallError>> + Send;

    /// Makes each message visible again after the given time (0 = now; at most [`MAX_VISIBILITY`]).
    /// `MessageNotInflight` and `ReceiptHandleIsInvalid` are per-entry errors (class `Permanent`).
    fn change_visibility(
        &self,
        entries: &[(String, Duration)],
    ) -> impl Future<Output = Result<Vec<Result<(), CallError>>, CallError>> + Send;

    /// Sends; each `Ok` holds the new message id, and means that the message will be delivered at least once.
    fn send(
        &self,
        messages: &[Outgoing],
    ) -> impl Future<Output = Result<Vec<Result<String, CallError>>, CallError>> + Send;

    /// How much is in the queue.
    fn depth(&self) -> impl Future<Output = Result<Depth, CallError>> + Send;
}
