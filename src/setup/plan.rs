//! What is wished for, and what came of it.

use crate::aws::CallError;
use crate::ledger::dynamodb::{Created, TableError};

/// What is to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupPlan {
    /// The queue's name.
    pub queue: String,
    /// The dead-letter queue's name.
    pub dead_letter_queue: String,
    /// The table's name.
    pub table: String,
    /// The topic that feeds the queue: a name to be made or found in this account, or the ARN of one that exists. Without it the
    /// queue gets no subscription and no access policy.
    pub topic: Option<String>,
}

impl Default for SetupPlan {
    /// The names that `fleetwarden setup` takes when it is told none, with a topic of the queue's name.
    fn default() -> Self {
        Self {
            queue: "fleetwarden-findings".to_owned(),
            dead_letter_queue: "fleetwarden-dead-letters".to_owned(),
            table: "fleetwarden".to_owned(),
            topic: Some("fleetwarden-findings".to_owned()),
        }
    }
}

/// What there is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupReport {
    /// Account of the queue, 12 digits.
    pub account: String,
    /// Region of the queue.
    pub region: String,
    /// Where the worker receives.
    pub queue_url: String,
    /// Where it gives up.
    pub dead_letter_queue_url: String,
    /// The ledger.
    pub table: String,
    /// What feeds the queue.
    pub topic_arn: Option<String>,
    /// Everything that was made or found, in order.
    pub items: Vec<SetupItem>,
}

/// One thing that was made or found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupItem {
    /// `queue`, `table`, ...
    pub what: &'static str,
    /// Its name or ARN.
    pub name: String,
    /// Which of the two.
    pub created: Created,
    /// What differs from the plan, a sentence each; it was left as it is.
    pub remarks: Vec<String>,
}

impl SetupItem {
    pub(super) fn new(what: &'static str, name: impl Into<String>, created: Created) -> Self {
        Self { what, name: name.into(), created, remarks: Vec::new() }
    }
}

/// Why the setup stopped. What was made before stays; running it again goes on from there.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SetupError {
    /// A call failed.
    #[error("failed to {}{}", .0, advice_of(.0))]
    Call(#[from] CallError),
    /// The plan cannot be carried out: a sentence.
    #[error("{0}")]
    Unfit(String),
}

fn advice_of(error: &CallError) -> String {
    error.advice().map(|advice| format!("; {advice}")).unwrap_or_default()
}

impl From<TableError> for SetupError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Call(error) => Self::Call(error),
            TableError::Unfit(sentence) => Self::Unfit(sentence),
        }
    }
}
