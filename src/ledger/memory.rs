//! The in-memory twin of the DynamoDB ledger: every write is conditional and atomic per key, batches fail entry by entry.

mod presence;
mod timelines;

use super::census::Census;
use super::port::{
    BATCH, Claim, ClaimOutcome, ClaimRef, ClaimRequest, Filter, Finish, Gate, Ledger, RecordPage, Recording, WriteError,
};
use super::presence::WorkerNote;
use super::record::{Record, Status};
use super::timeline::Timeline;
use super::transition::{self, Arrival, after};
use crate::aws::{Call, CallError, Fair, Fates};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The largest item DynamoDB stores, in bytes of attribute names and values (names are not counted here).
const MAX_ITEM: usize = 400 * 1024;

const CLAIM: Call = Call::write("ledger.claim", "BatchExecuteStatement");
const RENEW: Call = Call::write("ledger.renew", "BatchExecuteStatement");
const RECORD: Call = Call::write("ledger.record", "UpdateItem");
const FINISH: Call = Call::write("ledger.finish", "BatchExecuteStatement");
const ENTER: Call = Call::write("ledger.enter", "UpdateItem");
const LEAVE: Call = Call::write("ledger.leave", "UpdateItem");
const GET: Call = Call::read("ledger.get", "GetItem");
const LIST: Call = Call::read("ledger.list", "Scan");
const CENSUS: Call = Call::read("ledger.census", "Scan");

/// A ledger in memory; clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct MemoryLedger {
    table: Arc<Mutex<Table>>,
    fates: Arc<dyn Fates>,
}

#[derive(Debug, Default)]
struct Table {
    records: BTreeMap<String, Record>,
    resources: BTreeMap<String, Resource>,
    timelines: BTreeMap<String, Timeline>,
    workers: BTreeMap<String, WorkerNote>,
}

#[derive(Debug, Default)]
struct Resource {
    held: Option<(ClaimRef, i64)>,
    acted: Option<(String, i64)>,
    recurrences: u64,
}

impl Default for MemoryLedger {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryLedger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self { table: Arc::default(), fates: Arc::new(Fair) }
    }

    /// Another handle to the same ledger whose calls meet these fates.
    #[must_use]
    pub fn with_fates(&self, fates: Arc<dyn Fates>) -> Self {
        Self { table: Arc::clone(&self.table), fates }
    }

    /// Every record, by key: for tests that look without calling.
    pub fn records(&self) -> Vec<Record> {
        self.table().records.values().cloned().collect()
    }

    /// Looks at every record, by key, and copies none: for tests that look often.
    pub fn each_record(&self, look: impl FnMut(&Record)) {
        self.table().records.values().for_each(look);
    }

    /// How often a wish to [`enter`](Ledger::enter) this resource met its cool-down.
    pub fn recurrences(&self, key: &str) -> u64 {
        self.table().resources.get(key).map_or(0, |resource| resource.recurrences)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn claim_one(
        &mut self,
        request: &ClaimRequest,
        owner: &str,
        now: i64,
        lease: Duration,
    ) -> Result<ClaimOutcome, CallError> {
        let key = &request.subject.key;
        let lapsed = self.records.get(key).is_some_and(|existing| existing.status == Status::Claimed);
        let (record, taken_over) = match self.records.get(key) {
            None => (transition::begin(request, owner, now, lease), false),
            Some(existing) => match transition::arrive(existing, request, owner, now, lease) {
                Arrival::TakeOver { record, .. } => (*record, true),
                Arrival::Duplicate(status) => return Ok(ClaimOutcome::Duplicate(status)),
                Arrival::Busy { until } => return Ok(ClaimOutcome::Busy { until }),
                Arrival::Mismatch => return Ok(ClaimOutcome::Mismatch),
            },
        };
        check_size(CLAIM, &record)?;
        self.records.insert(key.clone(), record.clone());
        Ok(ClaimOutcome::Ours(Box::new(Claim { record, taken_over, lapsed })))
    }

    /// The record, as long as it is claimed under this very epoch.
    fn held(&self, claim: &ClaimRef) -> Result<&Record, WriteError> {
        self.records
            .get(&claim.key)
            .filter(|record| record.epoch == claim.epoch && record.status == Status::Claimed)
            .ok_or(WriteError::LostClaim)
    }

    fn renew_one(&mut self, claim: &ClaimRef, now: i64, lease: Duration) -> Result<(), WriteError> {
        let record = self.held(claim)?.clone();
        self.put(RENEW, Record { lease_until: after(now, lease), ..record }, now)
    }

    fn finish_one(&mut self, finish: &Finish, now: i64) -> Result<(), WriteError> {
        if finish.status == Status::Claimed {
            let error =
                FINISH.refuse("ValidationException", "a claim cannot end as claimed: name where the record goes");
            return Err(WriteError::Call(error));
        }
        // A finish that repeats itself finds its own status; any other one needs the claim.
        let record = self
            .records
            .get(&finish.claim.key)
            .filter(|record| record.epoch == finish.claim.epoch)
            .filter(|record| record.status == Status::Claimed || record.status == finish.status)
            .ok_or(WriteError::LostClaim)?
            .clone();
        let finished = Record {
            status: finish.status,
            attempts: finish.attempts,
            retry_at: finish.retry_at,
            rule: finish.rule.clone(),
            detail: finish.detail.clone(),
            steps: finish.steps.clone(),
            ..record
        };
        self.put(FINISH, finished, now)
    }

    fn put(&mut self, call: Call, record: Record, now: i64) -> Result<(), WriteError> {
        check_size(call, &record).map_err(WriteError::Call)?;
        let record = Record { updated_at: now, expires_at: transition::expiry_of(&record.subject.key, now), ..record };
        self.records.insert(record.subject.key.clone(), record);
        Ok(())
    }

    fn enter(&mut self, key: &str, holder: &ClaimRef, now: i64, lease: Duration, cooldown: Duration) -> Gate {
        let resource = self.resources.entry(key.to_owned()).or_default();
        if let Some((by, until)) = &resource.held
            && (by.key != holder.key || by.epoch > holder.epoch)
            && *until > now
        {
            return Gate::Busy { until: *until };
        }
        if let Some((by, at)) = &resource.acted
            && *by != holder.key
            && !cooldown.is_zero()
            && now < after(*at, cooldown)
        {
            resource.recurrences += 1;
            return Gate::CoolingDown { by: by.clone(), at: *at };
        }
        resource.held = Some((holder.clone(), after(now, lease)));
        Gate::Open
    }

    fn leave(&mut self, key: &str, holder: &ClaimRef, now: i64, acted: bool) {
        let Some(resource) = self.resources.get_mut(key) else { return };
        if resource.held.as_ref().is_some_and(|(by, _)| by == holder) {
            resource.held = None;
            if acted {
                resource.acted = Some((holder.key.clone(), now));
            }
        }
    }
}

impl Ledger for MemoryLedger {
    async fn claim(
        &self,
        requests: &[ClaimRequest],
        owner: &str,
        now: i64,
        lease: Duration,
    ) -> Result<Vec<Result<ClaimOutcome, CallError>>, CallError> {
        check_batch(CLAIM, requests.iter().map(|request| request.subject.key.as_str()))?;
        CLAIM
            .run(&*self.fates, async |fault| {
                let mut table = self.table();
                let each = requests.iter().enumerate();
                Ok(each
                    .map(|(index, request)| {
                        fault.check(index)?;
                        table.claim_one(request, owner, now, lease)
                    })
                    .collect())
            })
            .await
    }

    async fn renew(
        &self,
        claims: &[ClaimRef],
        now: i64,
        lease: Duration,
    ) -> Result<Vec<Result<(), WriteError>>, CallError> {
        check_batch(RENEW, claims.iter().map(|claim| claim.key.as_str()))?;
        RENEW
            .run(&*self.fates, async |fault| {
                let mut table = self.table();
                let each = claims.iter().enumerate();
                Ok(each
                    .map(|(index, claim)| {
                        fault.check(index).map_err(WriteError::Call)?;
                        table.renew_one(claim, now, lease)
                    })
                    .collect())
            })
            .await
    }

    async fn record(
        &self,
        recordings: &[Recording],
        now: i64,
        lease: Duration,
    ) -> Result<Vec<Result<(), WriteError>>, CallError> {
        check_batch(RECORD, recordings.iter().map(|recording| recording.claim.key.as_str()))?;
        RECORD
            .run(&*self.fates, async |fault| {
                let mut table = self.table();
                let each = recordings.iter().enumerate();
                Ok(each
                    .map(|(index, Recording { claim, steps, cursor })| {
                        fault.check(index).map_err(WriteError::Call)?;
                        let record = table.held(claim)?.clone();
                        let (steps, cursor) = (steps.clone(), cursor.clone());
                        table.put(RECORD, Record { steps, cursor, lease_until: after(now, lease), ..record }, now)
                    })
                    .collect())
            })
            .await
    }

    async fn finish(&self, finishes: &[Finish], now: i64) -> Result<Vec<Result<(), WriteError>>, CallError> {
        check_batch(FINISH, finishes.iter().map(|finish| finish.claim.key.as_str()))?;
        FINISH
            .run(&*self.fates, async |fault| {
                let mut table = self.table();
                let each = finishes.iter().enumerate();
                Ok(each
                    .map(|(index, finish)| {
                        fault.check(index).map_err(WriteError::Call)?;
                        table.finish_one(finish, now)
                    })
                    .collect())
            })
            .await
    }

    async fn enter(
        &self,
        key: &str,
        holder: &ClaimRef,
        now: i64,
        lease: Duration,
        cooldown: Duration,
    ) -> Result<Gate, CallError> {
        ENTER
            .run(&*self.fates, async |fault| {
                fault.check(0)?;
                Ok(self.table().enter(key, holder, now, lease, cooldown))
            })
            .await
    }

    async fn leave(&self, key: &str, holder: &ClaimRef, now: i64, acted: bool) -> Result<(), CallError> {
        LEAVE
            .run(&*self.fates, async |fault| {
                fault.check(0)?;
                self.table().leave(key, holder, now, acted);
                Ok(())
            })
            .await
    }

    async fn get(&self, key: &str) -> Result<Option<Record>, CallError> {
        GET.run(&*self.fates, async |fault| {
            fault.check(0)?;
            Ok(self.table().records.get(key).cloned())
        })
        .await
    }

    async fn list(&self, filter: &Filter, limit: usize, next: Option<String>) -> Result<RecordPage, CallError> {
        if limit == 0 {
            return Err(LIST.refuse("ValidationException", "the limit must be at least 1"));
        }
        LIST.run(&*self.fates, async |fault| {
            fault.check(0)?;
            let table = self.table();
            let from = next.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let mut rest = table.records.range::<str, _>((from, Bound::Unbounded));
            // As a Scan does: the limit counts what is looked at, and the filter comes after.
            let looked_at: Vec<&Record> = rest.by_ref().take(limit).map(|(_, record)| record).collect();
            let last = looked_at.last().map(|record| record.subject.key.clone());
            let next = rest.next().and(last);
            Ok(RecordPage {
                records: looked_at.into_iter().filter(|record| matches(filter, record)).cloned().collect(),
                next,
            })
        })
        .await
    }

    async fn census(&self) -> Result<Census, CallError> {
        CENSUS
            .run(&*self.fates, async |fault| {
                fault.check(0)?;
                let mut census = Census::default();
                for record in self.table().records.values() {
                    match is_expansion(record) {
                        true => census.expansion(&record.subject.key, record.updated_at),
                        false => census.finding(&record.subject.check, record.status),
                    }
                }
                Ok(census)
            })
            .await
    }
}

fn is_expansion(record: &Record) -> bool {
    record.subject.key.starts_with("expansion#")
}

fn matches(filter: &Filter, record: &Record) -> bool {
    let subject = &record.subject;
    (filter.statuses.is_empty() || filter.statuses.contains(&record.status))
        && filter.check.as_ref().is_none_or(|check| *check == subject.check)
        && filter.resource.as_ref().is_none_or(|part| subject.resource_id.contains(part.as_str()))
        && filter.task_id.as_ref().is_none_or(|task| subject.task_id.as_ref() == Some(task))
}

fn check_batch<'a>(call: Call, keys: impl ExactSizeIterator<Item = &'a str>) -> Result<(), CallError> {
    let entries = keys.len();
    if !(1..=BATCH).contains(&entries) {
        let message = format!("the batch has {entries} statements; 1 to {BATCH} are allowed");
        return Err(call.refuse("ValidationException", message));
    }
    if keys.collect::<BTreeSet<_>>().len() < entries {
        return Err(
            call.refuse("ValidationException", "two statements of the batch are about one key: coalesce them first")
        );
    }
    Ok(())
}

fn check_size(call: Call, record: &Record) -> Result<(), CallError> {
    let subject = &record.subject;
    let steps: usize = record
        .steps
        .iter()
        .map(|step| {
            let prior = step.prior.as_ref().map_or(0, |prior| prior.to_string().len());
            step.action.len() + step.target.len() + step.detail.len() + prior
        })
        .sum();
    let bytes = subject.payload.len() + subject.key.len() + subject.resource_id.len() + record.detail.len() + steps;
    if bytes > MAX_ITEM {
        return Err(call.refuse("ValidationException", "the item is larger than 400 KB, the most that DynamoDB stores"));
    }
    Ok(())
}
