//! What `status` found, for programs.

use super::super::failed_checks::Failed;
use super::fleet::Fleet;
use super::look::{Budget, Counted, Look};
use crate::ledger::{Standing, Status, Tally, WorkerNote};
use crate::queue::Depth;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Everything; what was not asked for, or not read yet, is null.
pub(super) fn document(look: &Look, counted: Option<&Counted>) -> Value {
    let fleet = &look.fleet;
    json!({
        "at": time(look.at.saturating_mul(1000)),
        "queue": look.queue.map(depth),
        "deadLetters": look.dead_letters.map(depth),
        "oldestReceivedSeconds": fleet.oldest_message().map(|age| age as f64 / 1000.0),
        "workers": workers(fleet),
        "breaker": {
            "open": !fleet.broken().is_empty(),
            "reasons": fleet.broken().iter().map(|broken| json!({
                "reason": broken.reason,
                "workers": broken.workers,
                "until": time(broken.until.saturating_mul(1000)),
            })).collect::<Vec<_>>(),
        },
        "ledger": counted.map(|counted| by_status(&counted.tally)),
        "checks": counted.map(|counted| by_check(&counted.tally)),
        "failedChecks": counted.map(|counted| counted.failed.iter().map(Failed::as_json).collect::<Vec<_>>()),
        "ledgerAt": counted.map(|counted| time(counted.at.saturating_mul(1000))),
        "budgets": look.budgets.iter().map(|of| budget(of, fleet)).collect::<Vec<_>>(),
    })
}

/// What is told where the ledger does not answer.
pub(super) fn queues_document(look: &Look, error: &str) -> Value {
    json!({
        "at": time(look.at.saturating_mul(1000)),
        "queue": look.queue.map(depth),
        "deadLetters": look.dead_letters.map(depth),
        "error": error,
    })
}

/// `micros` since the epoch.
fn time(micros: i64) -> Value {
    jiff::Timestamp::from_microsecond(micros).map_or(Value::Null, |at| json!(at.to_string()))
}

fn depth(depth: Depth) -> Value {
    json!({ "visible": depth.visible, "inFlight": depth.in_flight, "delayed": depth.delayed })
}

fn workers(fleet: &Fleet) -> Vec<Value> {
    let standings = [(&fleet.alive, Standing::Alive), (&fleet.lost, Standing::Lost), (&fleet.gone, Standing::Gone)];
    let each = standings.into_iter().flat_map(|(notes, standing)| notes.iter().map(move |note| worker(note, standing)));
    each.collect()
}

fn worker(note: &WorkerNote, standing: Standing) -> Value {
    let mut worker = json!(note);
    worker["standing"] = json!(standing);
    for moment in ["startedAt", "seenAt"] {
        worker[moment] = time(worker[moment].as_i64().unwrap_or_default().saturating_mul(1000));
    }
    if let Some(until) = worker["health"]["until"].as_i64() {
        worker["health"]["until"] = time(until.saturating_mul(1000));
    }
    worker
}

/// The budget and its use are what workers say, null if none of those that live has called the operation; the rest is the ledger's.
fn budget(budget: &Budget, fleet: &Fleet) -> Value {
    let calls = fleet.calls(budget.operation.as_str());
    json!({
        "operation": budget.operation.as_str(),
        "perSecond": calls.map(|calls| calls.budget),
        "inForce": budget.in_force,
        "used": calls.map(|calls| calls.per_second),
        "rate": budget.timeline.rate,
        "cuts": budget.timeline.cuts,
        "cutAt": budget.timeline.cut_at.map(time),
        "writtenAt": time(budget.timeline.written_at),
    })
}

fn by_status(tally: &Tally) -> BTreeMap<Status, u64> {
    let mut counts = BTreeMap::new();
    for ((_, status), n) in tally {
        *counts.entry(*status).or_default() += n;
    }
    counts
}

/// How many findings of each check have each status.
pub(super) fn by_check(tally: &Tally) -> BTreeMap<&str, BTreeMap<Status, u64>> {
    let mut checks: BTreeMap<&str, BTreeMap<Status, u64>> = BTreeMap::new();
    for ((check, status), n) in tally {
        checks.entry(check).or_default().insert(*status, *n);
    }
    checks
}
