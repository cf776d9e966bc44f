//! Where a replayed finding came from, and how often it was replayed.

use serde::{Deserialize, Serialize};

/// What a replayed message tells of its replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// Which replay: one for each run of the command, or the message's own id where it tells none.
    pub id: String,
    /// What was replayed: a dead letter's message id, `ledger`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When it was sent, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<i64>,
    /// Whether what is on record as done is to be done once more.
    #[serde(default)]
    pub force: bool,
}

/// The replays of one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// The latest that claimed it.
    pub last: Lineage,
    /// How many did, each id counted once.
    pub times: u32,
    /// When the latest claimed it first, milliseconds since the epoch.
    pub claimed_at: i64,
}

impl Replayed {
    /// The replays after a claim at `now` by a message of that lineage (none: a message that is no replay).
    pub fn after(known: Option<&Self>, lineage: Option<&Lineage>, now: i64) -> Option<Self> {
        let Some(lineage) = lineage else { return known.cloned() };
        if let Some(known) = known.filter(|known| known.last.id == lineage.id) {
            return Some(known.clone());
        }
        let times = known.map_or(0, |known| known.times).saturating_add(1);
        Some(Self { last: lineage.clone(), times, claimed_at: now })
    }

    /// Since when a forced replay has been at work: what was done before that moment is to be done once more.
    pub fn forced_since(&self) -> Option<i64> {
        self.last.force.then_some(self.claimed_at)
    }
}
