//! What `doctor` is to look at.

use crate::aws::Clients;
use crate::budget::{BudgetConfig, QuotaSources};
use crate::clock::Clock;
use crate::policy::Policy;
use aws_config::SdkConfig;
use std::time::Duration;

/// A deployment as a worker would be told of it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The queue.
    pub queue_url: String,
    /// The dead-letter queue.
    pub dead_letter_queue_url: String,
    /// The ledger's table.
    pub table: String,
    /// The topics that feed the queue; empty for those that the queue's access policy names.
    pub topics: Vec<String>,
    /// The policy, in the mode that workers run in.
    pub policy: Policy,
    /// How long workers hide a message and claim a finding.
    pub lease: Duration,
    /// The audited account, if it is not the queue's.
    pub account: Option<String>,
    /// The quotas that command line and policy name.
    pub quotas: QuotaSources,
    /// Workers read the account's quotas from Service Quotas when they start.
    pub asks_service_quotas: bool,
    /// The budget that follows from them.
    pub budget: BudgetConfig,
    /// How long the canary may take; `None` sends none.
    pub canary: Option<Duration>,
}

/// What it is looked at with.
#[derive(Debug, Clone)]
pub struct Instruments {
    /// Where the clients come from: credentials and endpoint.
    pub config: SdkConfig,
    /// Of that configuration.
    pub clients: Clients,
    /// What time it is here.
    pub clock: Clock,
    /// For names that nobody has, and for the canary's.
    pub seed: u64,
}
