//! What one run of a replay is told, and what came of it.

use crate::finding::Replay;
use crate::ledger::Lineage;
use serde::Serialize;
use std::collections::BTreeMap;

/// One run of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// A finding is claimed once for one id, however often it is sent.
    pub id: String,
    /// Who asks for it.
    pub by: Option<String>,
    /// Do once more even what the ledger says is done.
    pub force: bool,
    /// Messages a second, at most; at least 1.
    pub rate: u32,
    /// Go on even if most of what was sent dies again.
    pub keep_going: bool,
}

impl Order {
    /// What goes with the message about `of`, sent at `now`.
    pub(crate) fn replay(&self, of: &str, now: i64) -> Replay {
        Replay {
            force: self.force,
            replay_of: Some(of.to_owned()),
            by: self.by.clone(),
            id: Some(self.id.clone()),
            at: Some(now),
        }
    }

    /// Whether that lineage is this run's.
    pub(super) fn is(&self, lineage: &Lineage) -> bool {
        lineage.id == self.id
    }
}

/// How often each reason and check occurs.
pub type Chosen = BTreeMap<(String, String), u64>;

/// What was looked at, and what became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Letters, or records, that were looked at; each once.
    pub looked_at: u64,
    /// What the filter takes and nothing below speaks against, by reason and check: what goes, or went.
    pub chosen: Chosen,
    /// Sent to the queue.
    pub sent: u64,
    /// What went for good: dead letters that were deleted after their message was sent.
    pub deleted: u64,
    /// Not sent, since the ledger says that the finding is mitigated (or the audit expanded) and nobody asked for force.
    pub mitigated: u64,
    /// Not sent, since this very replay has had its finding already and a worker has claimed it; such a letter is deleted.
    pub replayed_already: u64,
    /// Letters that this very replay has left: its message died again. They stay, for a replay of another id.
    pub died_again: u64,
    /// Not sent, since it was given up after this run had begun.
    pub newer: u64,
    /// Not sent, since the ledger keeps too little of an audit's summary: its dead letter has it whole, and Device Defender the audit.
    pub summaries: u64,
    /// What could not be sent; it stays where it was.
    pub failed: u64,
    /// Errors of what was not sent, and of what was sent and died again, with how often.
    pub errors: BTreeMap<String, u64>,
}

impl Summary {
    /// How many go, or went.
    pub fn chosen(&self) -> u64 {
        self.chosen.values().sum()
    }

    pub(super) fn choose(&mut self, reason: &str, check: Option<&str>) {
        *self.chosen.entry((reason.to_owned(), check.unwrap_or_default().to_owned())).or_default() += 1;
    }

    pub(super) fn error(&mut self, error: String) {
        *self.errors.entry(error).or_default() += 1;
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Nothing is left to send.
    Done,
    /// It was told to stop. The same id goes on.
    Stopped,
    /// Too much of what was sent died again.
    DyingAgain {
        /// So many of ...
        dead: usize,
        /// ... these.
        of: usize,
    },
    /// More letters than can be held are not meant; those behind them were not looked at.
    Full,
    /// AWS does not let it: in words.
    Failed(String),
}
