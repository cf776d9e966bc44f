//! A worker for one command: over a queue in this process, by a policy that the command brings, in the fleet's ledger and budgets.

use super::config::{Worker, WorkerConfig};
use super::local_queue::LocalQueue;
use super::run::Ended;
use crate::aws::{CallError, MemoryCertificates};
use crate::budget::Budgets;
use crate::clock::Clock;
use crate::ledger::{Ledger, Presence, Status};
use crate::mitigation::IotControl;
use crate::policy::Policy;
use crate::queue::{BATCH, MemoryQueue, MemoryQueueConfig, Outgoing, Queue, SqsQueue};
use crate::telemetry::Telemetry;
use futures_util::{StreamExt, TryStreamExt, stream};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Records read at a time for the results.
const READS: usize = 16;

/// Given-up findings that are told one by one; the counts have them all.
const TOLD: usize = 50;

/// What such a worker is made of.
#[derive(Debug)]
pub struct LocalWork<L, I> {
    /// Its name; it runs until its queue is empty, whatever this says.
    pub config: WorkerConfig,
    /// What it decides by.
    pub policy: Policy,
    /// Where it gives up to.
    pub dead_letters: SqsQueue,
    /// The fleet's.
    pub ledger: L,
    /// What it acts on.
    pub iot: I,
    /// The fleet's.
    pub budgets: Arc<Budgets>,
    /// Where facts are counted.
    pub telemetry: Arc<Telemetry>,
    /// What time it is.
    pub clock: Clock,
}

/// How findings stand on record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Results {
    /// How many have each status.
    pub by_status: BTreeMap<Status, u64>,
    /// How many of them stood so before this order, which did nothing about them.
    pub before: u64,
    /// Findings that have not come to a good end, each with its status and why: at most fifty.
    pub troubled: Vec<(String, Status, String)>,
}

impl<L: Ledger + Presence + Clone, I: IotControl + Clone> LocalWork<L, I> {
    /// Works through these messages, each to its end on record.
    ///
    /// # Errors
    ///
    /// None of a queue in memory; they are the port's.
    pub async fn through(&self, messages: &[Outgoing], stop: &CancellationToken) -> Result<Ended, CallError> {
        let name = self.config.id.clone();
        let queue = MemoryQueue::new(self.clock.clone(), MemoryQueueConfig { name, ..MemoryQueueConfig::default() });
        for batch in messages.chunks(BATCH) {
            for sent in queue.send(batch).await? {
                sent?;
            }
        }
        let worker = Worker {
            // It takes nothing from the fleet's queue: nobody is to count on it.
            config: WorkerConfig { until_empty: true, announce: None, ..self.config.clone() },
            policy: self.policy.clone(),
            queue: LocalQueue::Here(queue),
            dead_letters: LocalQueue::Sqs(self.dead_letters.clone()),
            ledger: self.ledger.clone(),
            iot: self.iot.clone(),
            // None: what a command writes comes in no envelope of SNS, and nothing that did would pass.
            certificates: Arc::new(MemoryCertificates::default()),
            budgets: Arc::clone(&self.budgets),
            telemetry: Arc::clone(&self.telemetry),
            clock: self.clock.clone(),
        };
        Ok(worker.run(stop.clone()).await)
    }

    /// Adds how these findings stand on record now, after the order with this id.
    ///
    /// # Errors
    ///
    /// Those of the ledger.
    pub async fn results(&self, finding_ids: &[String], order: &str, results: &mut Results) -> Result<(), CallError> {
        let records = stream::iter(finding_ids).map(async |id| {
            let record = self.ledger.get(&format!("finding#{id}")).await?;
            Ok::<_, CallError>(record.map(|record| {
                let claimed = record.replayed.is_some_and(|replayed| replayed.last.id == order);
                (id.clone(), record.status, record.detail, claimed)
            }))
        });
        let records: Vec<_> = records.buffered(READS).try_collect().await?;
        for (id, status, detail, claimed) in records.into_iter().flatten() {
            *results.by_status.entry(status).or_default() += 1;
            results.before += u64::from(!claimed);
            let well = matches!(status, Status::Mitigated | Status::Compliant | Status::Suppressed);
            if !well && results.troubled.len() < TOLD {
                results.troubled.push((id, status, detail));
            }
        }
        Ok(())
    }
}
