//! What is read when metrics are collected, rather than counted as it happens; and the collecting.

use super::facts::Telemetry;
use crate::budget::{Budgets, Operation, Use};
use prometheus::TextEncoder;
use prometheus::proto::MetricFamily;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, Weak};

/// How a worker stands.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reading {
    /// Messages that it holds.
    pub in_flight: usize,
    /// Messages that it may hold.
    pub in_flight_limit: usize,
    /// Whether its breaker is open.
    pub breaker_open: bool,
}

/// A worker that can be looked at.
pub(crate) trait Gauged: Send + Sync {
    /// How it stands now.
    fn reading(&self) -> Reading;
}

/// Who is looked at, for as long as they live.
#[derive(Default)]
pub(super) struct Watching {
    workers: Vec<Weak<dyn Gauged>>,
    budgets: Vec<Weak<Budgets>>,
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watching").field("workers", &self.workers.len()).finish_non_exhaustive()
    }
}

impl Watching {
    fn reading(&self) -> Reading {
        let each = self.workers.iter().filter_map(Weak::upgrade).map(|worker| worker.reading());
        each.fold(Reading::default(), |all, one| Reading {
            in_flight: all.in_flight + one.in_flight,
            in_flight_limit: all.in_flight_limit + one.in_flight_limit,
            breaker_open: all.breaker_open || one.breaker_open,
        })
    }

    /// What the workers of this process used together, by operation; those never called left out.
    fn usage(&self) -> BTreeMap<Operation, Use> {
        let mut together: BTreeMap<Operation, Use> = BTreeMap::new();
        for (operation, own) in self.budgets.iter().filter_map(Weak::upgrade).flat_map(|budgets| budgets.usage()) {
            let sum = together.entry(operation).or_insert(Use { taken: 0, throttled: 0, ..own });
            (sum.taken, sum.throttled) = (sum.taken + own.taken, sum.throttled + own.throttled);
            sum.in_force = sum.in_force.min(own.in_force);
        }
        together
    }
}

impl Telemetry {
    /// From now on the worker, and the budgets that it uses, are looked at whenever metrics are collected.
    pub(crate) fn watch(&self, worker: Weak<dyn Gauged>, budgets: &Arc<Budgets>) {
        let mut watching = self.watching.lock().unwrap_or_else(PoisonError::into_inner);
        watching.workers.retain(|known| known.strong_count() > 0);
        watching.workers.push(worker);
        // The workers of one process may share theirs.
        watching.budgets.retain(|known| known.strong_count() > 0 && !known.ptr_eq(&Arc::downgrade(budgets)));
        watching.budgets.push(Arc::downgrade(budgets));
    }

    /// Every metric as it is now, for Prometheus: the text exposition format, version 0.0.4.
    pub fn prometheus(&self) -> String {
        // The encoder refuses families without series, which a registry does not hand out.
        TextEncoder::new().encode_to_string(&self.gather()).unwrap_or_default()
    }

    /// Every series as it is now, by family, in the order of the names.
    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        // Held to the end: of two who collect at a time, both would count what was used since the last time.
        let watching = self.watching.lock().unwrap_or_else(PoisonError::into_inner);
        let metrics = &self.metrics;
        let reading = watching.reading();
        metrics.messages_in_flight.set(reading.in_flight as f64);
        metrics.messages_in_flight_limit.set(reading.in_flight_limit as f64);
        metrics.breaker_open.set(if reading.breaker_open { 1.0 } else { 0.0 });
        for (operation, usage) in watching.usage() {
            let operation = [operation.as_str()];
            metrics.budget_rate.of(operation).set(usage.per_second);
            metrics.budget_in_force.of(operation).set(usage.in_force);
            // There before the first.
            metrics.budget_cuts.of(operation);
            for (counter, counted) in [
                (metrics.budget_calls.of(operation), usage.taken),
                (metrics.budget_throttled.of(operation), usage.throttled),
            ] {
                counter.inc_by(counted.saturating_sub(counter.get()));
            }
        }
        metrics.registry.gather()
    }
}
