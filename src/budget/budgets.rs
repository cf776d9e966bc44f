//! The budget of every operation, and how much of it was used.

use super::config::BudgetConfig;
use super::fleet::{Common, Fleet, timeline_key};
use super::operation::Operation;
use super::pace::Pace;
use super::shared::SharedPace;
use crate::aws::CallError;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What one operation's budget is and how many slots of it were taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Use {
    /// Calls per second that the budget allows when it is not cut.
    pub per_second: f64,
    /// The part of it that is in force: below 1 after a cut, until it has recovered.
    pub in_force: f64,
    /// How often the fleet cut it, as far as is known here.
    pub cuts: u64,
    /// Slots taken here since the start.
    pub taken: u64,
    /// Calls from here that AWS throttled since the start.
    pub throttled: u64,
}

/// The budgets of one process; share it between workers in one process.
#[derive(Debug)]
pub struct Budgets {
    by_operation: BTreeMap<Operation, Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Never closer together than the budget allows, whatever the ledger says.
    pace: Pace,
    shared: Option<Arc<SharedPace>>,
    taken: AtomicU64,
    throttled: AtomicU64,
}

impl Budgets {
    /// Budgets of this process alone: nobody else uses the account's.
    pub fn new(config: &BudgetConfig) -> Self {
        Self::with(config, |_| None)
    }

    /// Budgets that all workers of the fleet have together. Each process has its own of these, over the same ledger.
    pub fn shared(config: &BudgetConfig, fleet: &Fleet) -> Self {
        let common = Arc::new(Common::new(fleet));
        Self::with(config, |operation| {
            let key = timeline_key(&fleet.region, operation);
            Some(Arc::new(SharedPace::new(operation, key, config.rate(operation), Arc::clone(&common))))
        })
    }

    fn with(config: &BudgetConfig, shared: impl Fn(Operation) -> Option<Arc<SharedPace>>) -> Self {
        let entry = |&operation: &Operation| {
            let entry = Entry {
                pace: Pace::new(config.rate(operation)),
                shared: shared(operation),
                taken: AtomicU64::new(0),
                throttled: AtomicU64::new(0),
            };
            (operation, entry)
        };
        Self { by_operation: Operation::ALL.iter().map(entry).collect() }
    }

    /// Waits until `operation` may be called once. Each attempt, a retry included, takes its own slot.
    ///
    /// # Errors
    /// The ledger, where the fleet's budgets are, refuses for a reason that waiting does not cure. One that cannot be reached is no
    /// error: what runs goes on at the rate that this process had.
    pub async fn slot(&self, operation: Operation) -> Result<(), CallError> {
        let Some(entry) = self.by_operation.get(&operation) else { return Ok(()) };
        if let Some(shared) = &entry.shared {
            shared.slot().await?;
        }
        entry.pace.slot().await;
        entry.taken.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Notes that AWS throttled a call although it had a slot: somebody else uses the quota too.
    pub fn throttled(&self, operation: Operation) {
        if let Some(entry) = self.by_operation.get(&operation) {
            entry.throttled.fetch_add(1, Ordering::Relaxed);
            if let Some(shared) = &entry.shared {
                shared.throttled();
            }
        }
    }

    /// The calls per second that the budget of `operation` allows when it is not cut.
    pub fn budget(&self, operation: Operation) -> f64 {
        self.by_operation.get(&operation).map_or(f64::INFINITY, |entry| entry.pace.per_second())
    }

    /// The calls per second that this process gets of `operation`: the whole budget, or what it had of it lately if others use it.
    pub fn rate(&self, operation: Operation) -> f64 {
        let Some(entry) = self.by_operation.get(&operation) else { return f64::INFINITY };
        entry.shared.as_ref().map_or_else(|| entry.pace.per_second(), |shared| shared.rate())
    }

    /// What was used, by operation; those never called left out.
    pub fn usage(&self) -> BTreeMap<Operation, Use> {
        self.by_operation
            .iter()
            .map(|(&operation, entry)| {
                let (in_force, cuts) = entry.shared.as_ref().map_or((1.0, 0), |shared| shared.in_force());
                let usage = Use {
                    per_second: entry.pace.per_second(),
                    in_force,
                    cuts,
                    taken: entry.taken.load(Ordering::Relaxed),
                    throttled: entry.throttled.load(Ordering::Relaxed),
                };
                (operation, usage)
            })
            .filter(|(_, usage)| usage.taken > 0)
            .collect()
    }
}
