//! Where the line is, for the commands that need all of it.

use clap::Args;

/// The queues and the table.
#[derive(Debug, Clone, Args)]
pub struct LineArgs {
    /// The queue that the findings topic fans out to
    #[arg(long, env = "FLEETWARDEN_QUEUE_URL", value_name = "URL")]
    pub queue_url: String,
    /// Where messages go that are given up, with the reason attached
    #[arg(long, env = "FLEETWARDEN_DEAD_LETTER_QUEUE_URL", value_name = "URL")]
    pub dead_letter_queue_url: String,
    /// The ledger: a DynamoDB table
    #[arg(long, env = "FLEETWARDEN_TABLE", value_name = "NAME", default_value = "fleetwarden")]
    pub table: String,
}
