//! Stands in until the fleet's budgets are there.

use fleetwarden::aws::CallError;
use fleetwarden::budget::{BudgetConfig, Operation};
use fleetwarden::clock::Clock;
use fleetwarden::ledger::{Change, Changed, Timeline, Timelines};
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Debug, Default)]
pub struct MemoryLedger(Mutex<BTreeMap<String, Timeline>>);

impl MemoryLedger {
    pub fn new() -> Self {
        Self::default()
    }
}

impl Timelines for MemoryLedger {
    fn timeline<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Timeline>, CallError>> {
        Box::pin(async move { Ok(self.0.lock().unwrap().get(key).copied()) })
    }

    fn change<'a>(&'a self, key: &'a str, change: Change, now: i64) -> BoxFuture<'a, Result<Changed, CallError>> {
        Box::pin(async move {
            let mut all = self.0.lock().unwrap();
            let was = all.get(key).copied();
            let fresh = Timeline { next_free: now, written_at: now, rate: 1.0, cut_at: None, cuts: 0 };
            match (change, was) {
                (Change::Start { seen, to }, _) if seen == was.map(|t| t.next_free) => {
                    all.insert(key.to_owned(), Timeline { next_free: to, written_at: now, ..was.unwrap_or(fresh) });
                    Ok(Changed::From(was))
                }
                (Change::Advance { from, until, by, cuts }, Some(t))
                    if t.next_free >= from && t.next_free <= until && t.cuts == cuts =>
                {
                    all.insert(key.to_owned(), Timeline { next_free: t.next_free + by, written_at: now, ..t });
                    Ok(Changed::From(was))
                }
                (Change::Cut { rate, at, cuts }, Some(t)) if t.cuts == cuts => {
                    all.insert(key.to_owned(), Timeline { rate, cut_at: Some(at), cuts: cuts + 1, ..t });
                    Ok(Changed::From(was))
                }
                _ => Ok(Changed::Refused(was)),
            }
        })
    }
}

#[derive(Debug)]
pub struct Fleet {
    pub timelines: Arc<dyn Timelines>,
    pub region: String,
    pub clock: Clock,
    pub seed: u64,
}

#[derive(Debug)]
pub struct Budgets {
    timelines: Arc<dyn Timelines>,
    clock: Clock,
    config: BudgetConfig,
    slots: tokio::sync::Mutex<VecDeque<i64>>,
}

impl Budgets {
    pub fn shared(config: &BudgetConfig, fleet: Fleet) -> Self {
        Self { timelines: fleet.timelines, clock: fleet.clock, config: config.clone(), slots: Default::default() }
    }

    fn now(&self) -> i64 {
        self.clock.now().as_microsecond()
    }

    pub async fn slot(&self, operation: Operation) -> Result<(), CallError> {
        let mut slots = self.slots.lock().await;
        let each = (1e6 / self.config.rate(operation) / 0.985) as i64;
        while slots.is_empty() {
            let now = self.now();
            let n = 5;
            let advance = Change::Advance { from: now, until: now + 1_500_000, by: n * each, cuts: 0 };
            let from = match self.timelines.change(operation.as_str(), advance, now).await? {
                Changed::From(Some(t)) => t.next_free,
                Changed::Refused(Some(t)) if t.next_free > now => {
                    tokio::time::sleep(Duration::from_micros((t.next_free - now - 1_000_000).max(1000) as u64)).await;
                    continue;
                }
                Changed::From(t) | Changed::Refused(t) => {
                    let from = now + 50_000;
                    let start = Change::Start { seen: t.map(|t| t.next_free), to: from + n * each };
                    if matches!(self.timelines.change(operation.as_str(), start, now).await?, Changed::Refused(_)) {
                        continue;
                    }
                    from
                }
            };
            slots.extend((0..n).map(|i| from + i * each));
        }
        let at = slots.pop_front().unwrap();
        let wait = (at - self.now()).max(0) as u64;
        tokio::time::sleep(Duration::from_micros(wait)).await;
        Ok(())
    }

    pub fn throttled(&self, _: Operation) {}
}
