//! What a demo came to, and whether everything is as it should be.

use super::traffic::POISON;
use crate::ledger::{Status, Tally};
use crate::telemetry::Counts;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One check's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckRow {
    /// The check.
    pub check: String,
    /// What the first audit found.
    pub found: u64,
    /// Of them, by how they ended.
    pub by_status: BTreeMap<Status, u64>,
    /// What the second audit found.
    pub second: u64,
}

impl CheckRow {
    /// How many ended so.
    pub fn ended(&self, status: Status) -> u64 {
        self.by_status.get(&status).copied().unwrap_or(0)
    }
}

/// The result of a demo.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// A row for each check.
    pub checks: Vec<CheckRow>,
    /// Dead letters by reason.
    pub dead_letters: BTreeMap<String, u64>,
    /// Facts.
    pub counts: Counts,
    /// Duplicates that were published on purpose.
    pub duplicates_sent: u64,
    /// Calls that the sandbox throttled, by operation.
    pub throttled: BTreeMap<String, u64>,
    /// Calls of `ListAuditFindings` and `DescribeAuditFinding`: to expand the audit's summary and to authenticate what is acted on.
    pub defender_calls: u64,
    /// From the first receive to the empty queue.
    #[serde(serialize_with = "seconds")]
    pub took: Duration,
    /// What is not as it should be; empty if all is well.
    pub problems: Vec<String>,
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// What a demo saw.
#[derive(Debug)]
pub(super) struct Evidence {
    pub seeded: BTreeMap<String, u64>,
    pub first: BTreeMap<String, u64>,
    pub second: BTreeMap<String, u64>,
    pub tally: Tally,
    pub dead_letters: BTreeMap<String, u64>,
    pub counts: Counts,
    pub duplicates_sent: u64,
    pub throttled: BTreeMap<String, u64>,
    pub defender_calls: u64,
    pub took: Duration,
    pub ends: Vec<String>,
    pub unexplained: Vec<String>,
}

impl Evidence {
    /// Puts the figures together and holds them against each other.
    pub fn judge(self) -> Report {
        let names: BTreeSet<&String> = self.first.keys().chain(self.second.keys()).collect();
        let checks: Vec<CheckRow> = names
            .into_iter()
            .map(|check| CheckRow {
                check: check.clone(),
                found: self.first.get(check).copied().unwrap_or(0),
                by_status: self
                    .tally
                    .iter()
                    .filter(|((of, _), _)| of == check)
                    .map(|((_, status), n)| (*status, *n))
                    .collect(),
                second: self.second.get(check).copied().unwrap_or(0),
            })
            .collect();
        let mut problems = self.ends.clone();
        for row in &checks {
            self.judge_check(row, &mut problems);
        }
        let poison = POISON.iter().fold(BTreeMap::new(), |mut reasons: BTreeMap<String, u64>, (_, reason)| {
            *reasons.entry((*reason).to_owned()).or_default() += 1;
            reasons
        });
        if poison != self.dead_letters {
            problems.push(format!("the dead letters should hold {poison:?}, they hold {:?}", self.dead_letters));
        }
        if let Some(example) = self.unexplained.first() {
            let n = self.unexplained.len();
            problems
                .push(format!("the second audit found {n} defects that were not left alone, for example {example}"));
        }
        if !self.throttled.is_empty() {
            problems
                .push(format!("calls were throttled although the budgets should prevent that: {:?}", self.throttled));
        }
        if self.counts.expanded != 1 {
            problems
                .push(format!("the audit's summary should be expanded once, it was {} times", self.counts.expanded));
        }
        Report {
            checks,
            dead_letters: self.dead_letters,
            counts: self.counts,
            duplicates_sent: self.duplicates_sent,
            throttled: self.throttled,
            defender_calls: self.defender_calls,
            took: self.took,
            problems,
        }
    }

    fn judge_check(&self, row: &CheckRow, problems: &mut Vec<String>) {
        let check = &row.check;
        let seeded = self.seeded.get(check).copied().unwrap_or(0);
        if seeded != row.found {
            problems.push(format!("{check}: the fleet has {seeded} defects, the audit found {}", row.found));
        }
        // The forged finding is on record as dead under its check; it is not one of the audit's.
        let ended: u64 = row.by_status.iter().filter(|(status, _)| **status != Status::Dead).map(|(_, n)| n).sum();
        if ended != row.found {
            problems.push(format!("{check}: the audit found {}, the ledger has {ended}", row.found));
        }
        let unfinished: u64 = row
            .by_status
            .iter()
            .filter(|(status, _)| !status.is_terminal() && **status != Status::Dead)
            .map(|(_, n)| n)
            .sum();
        if unfinished > 0 {
            problems.push(format!("{check}: {unfinished} findings did not come to an end"));
        }
    }
}
