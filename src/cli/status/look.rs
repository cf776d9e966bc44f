//! What `status` reads: what is cheap, each time; the whole ledger, seldom.

use super::super::CliError;
use super::super::failed_checks::{self, Failed};
use super::super::findings::ledger_error;
use super::fleet::Fleet;
use crate::aws::{CallError, Clients};
use crate::budget::{Operation, rate_in_force, timeline_key};
use crate::clock::Clock;
use crate::ledger::{DynamoLedger, Ledger, Presence, REMEMBERED, Tally, Timeline, Timelines};
use crate::queue::{Depth, Queue, SqsQueue};
use futures_util::future::try_join_all;
use std::time::Duration;
use tokio::time::Instant;

/// Where to look.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub clients: Clients,
    pub ledger: DynamoLedger,
    pub queue_url: Option<String>,
    pub dead_letter_queue_url: Option<String>,
    pub clock: Clock,
}

/// One look at everything but the findings.
#[derive(Debug)]
pub(super) struct Look {
    /// When, milliseconds since the epoch.
    pub at: i64,
    pub queue: Option<Depth>,
    pub dead_letters: Option<Depth>,
    pub fleet: Fleet,
    pub budgets: Vec<Budget>,
    /// Why a queue is missing that should be here.
    pub problem: Option<String>,
}

/// The fleet's budget of an operation that was called.
#[derive(Debug)]
pub(super) struct Budget {
    pub operation: Operation,
    pub timeline: Timeline,
    /// The part of it that is in force now.
    pub in_force: f64,
}

impl Budget {
    /// `now` is this machine's time; the fleet's clock never shows less than its last writer saw on it. Both microseconds.
    fn new(operation: Operation, timeline: Timeline, now: i64) -> Self {
        Self { operation, timeline, in_force: rate_in_force(&timeline, now.max(timeline.written_at)) }
    }
}

/// The findings of the ledger, counted.
#[derive(Debug)]
pub(super) struct Counted {
    /// When the counting began, milliseconds since the epoch.
    pub at: i64,
    pub took: Duration,
    pub tally: Tally,
    pub failed: Vec<Failed>,
}

impl Place {
    /// Reads depths, notes and timelines, all at once. A queue that does not answer hides nothing else: it is when a queue is gone, or
    /// forbidden, that one wants to know what the workers say.
    ///
    /// # Errors
    ///
    /// Failed: the ledger does not answer.
    pub async fn look(&self) -> Result<Look, CliError> {
        let at = self.clock.now();
        let since = at.as_millisecond().saturating_sub(i64::try_from(REMEMBERED.as_millis()).unwrap_or(i64::MAX));
        let ledger = async {
            tokio::try_join!(self.ledger.workers(since), self.budgets(at.as_microsecond()))
                .map_err(|error| ledger_error(&error))
        };
        let (queues, ledger) = tokio::join!(self.queues(), ledger);
        let (notes, budgets) = ledger?;
        Ok(Look { fleet: Fleet::of(notes, queues.at), budgets, ..queues })
    }

    /// The queues alone: what can be told where the ledger does not answer.
    pub async fn queues(&self) -> Look {
        let at = self.clock.now_ms();
        let (queue, dead_letters) =
            tokio::join!(self.depth(self.queue_url.as_deref()), self.depth(self.dead_letter_queue_url.as_deref()));
        let problems: Vec<String> =
            [&queue, &dead_letters].into_iter().filter_map(|depth| depth.clone().err()).collect();
        let problem = (!problems.is_empty()).then(|| problems.join("\n"));
        let (queue, dead_letters) = (queue.ok().flatten(), dead_letters.ok().flatten());
        Look { at, queue, dead_letters, fleet: Fleet::of(Vec::new(), at), budgets: Vec::new(), problem }
    }

    /// Reads the whole ledger.
    ///
    /// # Errors
    ///
    /// Failed: it does not answer.
    pub async fn count(&self) -> Result<Counted, CliError> {
        let (at, began) = (self.clock.now_ms(), Instant::now());
        let census = self.ledger.census().await.map_err(|error| ledger_error(&error))?;
        let failed = failed_checks::read(&self.ledger, &census).await.map_err(|error| ledger_error(&error))?;
        Ok(Counted { at, took: began.elapsed(), tally: census.tally, failed })
    }

    async fn depth(&self, url: Option<&str>) -> Result<Option<Depth>, String> {
        let Some(url) = url else { return Ok(None) };
        let queue = SqsQueue::new(self.clients.sqs.clone(), url.to_owned());
        queue.depth().await.map(Some).map_err(|error| format!("failed to {error}; check the URL {url}"))
    }

    /// Those of the operations that have a timeline; `now` in microseconds.
    async fn budgets(&self, now: i64) -> Result<Vec<Budget>, CallError> {
        let reads = Operation::ALL.iter().map(async |&operation| {
            let timeline = self.ledger.timeline(&timeline_key(&self.clients.region, operation)).await?;
            Ok(timeline.map(|timeline| Budget::new(operation, timeline, now)))
        });
        Ok(try_join_all(reads).await?.into_iter().flatten().collect())
    }
}
