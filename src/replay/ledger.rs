//! From the ledger back to the queue.

use super::filter::{Candidate, Filter};
use super::order::{Ended, Order, Summary};
use super::sender::{Sender, delays};
use super::watch::Watch;
use crate::aws::{CallError, Class};
use crate::clock::Clock;
use crate::finding::encode_message;
use crate::ledger::{self, Ledger, Record, RecordPage, Status};
use crate::queue::{Outgoing, Queue};
use serde_json::Value;
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;

/// Records that one request looks at.
const PAGE: usize = 250;

/// A replay of records. Nothing is changed in the ledger: the worker that claims the message writes down that it was replayed.
#[derive(Debug)]
pub struct LedgerReplay<'a, Q, L> {
    /// Where the records are.
    pub ledger: &'a L,
    /// Where the workers receive.
    pub queue: &'a Q,
    /// For the time of sending.
    pub clock: &'a Clock,
    /// Only these statuses.
    pub statuses: &'a [Status],
    /// Which of them.
    pub filter: &'a Filter,
    /// How.
    pub order: &'a Order,
}

impl<Q: Queue, L: Ledger> LedgerReplay<'_, Q, L> {
    /// What [`run`](Self::run) would send; sends nothing.
    pub async fn plan(&self, stop: &CancellationToken) -> (Summary, Ended) {
        self.go(None, &mut |_| {}, stop).await
    }

    /// Sends each record's finding once more. `told` hears of the progress.
    ///
    /// Cut off at any moment nothing is lost, and under the same id what was claimed for it is not sent again. What was sent and
    /// not claimed yet may be sent twice, and is claimed once.
    pub async fn run(&self, told: &mut impl FnMut(&Summary), stop: &CancellationToken) -> (Summary, Ended) {
        self.go(Some(Sender::new(self.queue, self.order.rate)), told, stop).await
    }

    async fn go(
        &self,
        mut sender: Option<Sender<'_, Q>>,
        told: &mut impl FnMut(&Summary),
        stop: &CancellationToken,
    ) -> (Summary, Ended) {
        let (mut summary, mut watch) = (Summary::default(), Watch::default());
        // The ledger takes one check and no more; the filter holds what it lets through against all of them.
        let check = (self.filter.checks.len() == 1).then(|| self.filter.checks[0].clone());
        let filter = ledger::Filter { statuses: self.statuses.to_vec(), check, ..ledger::Filter::default() };
        let mut next = None;
        loop {
            if stop.is_cancelled() {
                return (summary, Ended::Stopped);
            }
            let page = match self.page(&filter, next).await {
                Ok(page) => page,
                Err(error) => return (summary, Ended::Failed(error.to_string())),
            };
            let chosen: Vec<Record> =
                page.records.into_iter().filter(|record| self.takes(record, &mut summary)).collect();
            if let Some(sender) = &mut sender {
                for chunk in chosen.chunks(sender.chunk()) {
                    if !sender.turn(chunk.len(), stop).await {
                        return (summary, Ended::Stopped);
                    }
                    if let Err(error) = self.send(sender, chunk, &mut summary, &mut watch).await {
                        return (summary, Ended::Failed(error.to_string()));
                    }
                    told(&summary);
                    watch.look(self.ledger, self.order, &mut summary).await;
                    if let Some((dead, of)) = watch.alarm().filter(|_| !self.order.keep_going) {
                        return (summary, Ended::DyingAgain { dead, of });
                    }
                }
            }
            next = page.next;
            if next.is_none() {
                return (summary, Ended::Done);
            }
        }
    }

    /// Counts it either way.
    fn takes(&self, record: &Record, summary: &mut Summary) -> bool {
        summary.looked_at += 1;
        let candidate = Candidate::of_record(record);
        // Claimed since the index was written: somebody has it in hand.
        if !self.statuses.contains(&record.status) || !self.filter.takes(&candidate) {
            return false;
        }
        if record.replayed.as_ref().is_some_and(|replayed| self.order.is(&replayed.last)) {
            summary.replayed_already += 1;
        } else if matches!(record.status, Status::Mitigated | Status::Expanded) && !self.order.force {
            summary.mitigated += 1;
        } else if !record.subject.key.starts_with("finding#") {
            summary.summaries += 1;
        } else {
            summary.choose(&candidate.reason, candidate.check.as_deref());
            return true;
        }
        false
    }

    async fn send(
        &self,
        sender: &Sender<'_, Q>,
        records: &[Record],
        summary: &mut Summary,
        watch: &mut Watch,
    ) -> Result<(), CallError> {
        let messages: Vec<Outgoing> = records.iter().map(|record| self.message(record)).collect();
        for (record, result) in records.iter().zip(sender.send(&messages).await) {
            match result {
                Ok(()) => {
                    summary.sent += 1;
                    watch.sent(Some(record.subject.key.clone()));
                }
                Err(error) if error.class == Class::Denied => return Err(error),
                Err(error) => {
                    summary.failed += 1;
                    summary.error(error.to_string());
                }
            }
        }
        Ok(())
    }

    fn message(&self, record: &Record) -> Outgoing {
        let subject = &record.subject;
        // Written by a worker from a finding that it had understood; a text that is no JSON would be refused with a reason.
        let payload = serde_json::from_str(&subject.payload).unwrap_or_else(|_| Value::from(subject.payload.as_str()));
        let replay = self.order.replay("ledger", self.clock.now_ms());
        let body = encode_message(Some((&subject.account, &subject.region)), Some(&replay), &payload);
        Outgoing::new(&body, BTreeMap::new())
    }

    async fn page(&self, filter: &ledger::Filter, next: Option<String>) -> Result<RecordPage, CallError> {
        let mut delays = delays();
        loop {
            match self.ledger.list(filter, PAGE, next.clone()).await {
                Err(error) if error.may_pass() => match delays.next() {
                    Some(delay) => tokio::time::sleep(delay).await,
                    None => return Err(error),
                },
                result => return result,
            }
        }
    }
}
