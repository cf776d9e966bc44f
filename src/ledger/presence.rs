//! The `Presence` port: which workers there are, by the notes that they leave in the ledger.

use crate::aws::CallError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

/// Intervals without a word after which a worker is taken to be lost: one note may fail, and the next be late.
const MISSED: i64 = 3;

/// How long a worker is told of that is gone or lost: long enough for whoever is called at night to find it, short enough for a day of
/// autoscaling not to bury those who live.
pub const REMEMBERED: Duration = Duration::from_secs(3600);

/// What a worker says of itself. Notes of other versions are read too: what is unknown is passed over, what is absent has a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerNote {
    /// Its name, unique in the fleet: the owner of its claims.
    pub id: String,
    /// The program's version.
    #[serde(default)]
    pub version: String,
    /// `observe` or `enforce`.
    #[serde(default)]
    pub mode: String,
    /// What its policy is called, and a digest of it; absent where it has none to tell.
    #[serde(default)]
    pub policy: Option<String>,
    /// When it started, milliseconds since the epoch, as every moment here on the worker's own clock.
    pub started_at: i64,
    /// When it wrote this.
    pub seen_at: i64,
    /// How often it writes, milliseconds.
    pub every: i64,
    /// How it is.
    pub health: WorkerHealth,
    /// Messages that it holds.
    #[serde(default)]
    pub in_flight: u64,
    /// Findings that came to their end in its process since the start, whatever the end.
    #[serde(default)]
    pub finished: u64,
    /// The age, in milliseconds, of the oldest message that it received in the interval before: since that was sent, waiting and being
    /// parked included. Absent if it received none.
    #[serde(default)]
    pub oldest_message: Option<i64>,
    /// The API operations that it has called since the start.
    #[serde(default)]
    pub calls: BTreeMap<String, Calls>,
}

/// What a worker tells of an API operation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Calls {
    /// Its own calls per second in the interval before.
    pub per_second: f64,
    /// What it takes the whole fleet's budget to be when it is not cut, calls per second.
    pub budget: f64,
}

/// How a worker is, in its own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum WorkerHealth {
    /// It takes on work.
    Well,
    /// Its breaker is open.
    Broken {
        /// What the account said.
        reason: String,
        /// When it tries again, milliseconds since the epoch.
        until: i64,
    },
    /// It was told to stop, and finishes or gives back what it has.
    Draining,
    /// It has ended, and holds nothing any more.
    Gone,
}

/// Whether a worker is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Standing {
    /// It said so lately.
    Alive,
    /// It has said nothing for three intervals: it crashed, or does not reach the ledger.
    Lost,
    /// It said that it ended.
    Gone,
}

impl WorkerNote {
    /// Whether the worker is there, for whoever reads this at `now`. Clocks a few seconds apart make no difference.
    pub fn standing(&self, now: i64) -> Standing {
        match self.health {
            WorkerHealth::Gone => Standing::Gone,
            _ if now.saturating_sub(self.seen_at) > self.every.saturating_mul(MISSED) => Standing::Lost,
            _ => Standing::Alive,
        }
    }
}

/// The notes of all workers, one for each, under `worker#<id>`.
pub trait Presence: Send + Sync + 'static {
    /// Writes a worker's note over the one that it wrote before; the one that arrives last stays. The ledger may forget it
    /// [`REMEMBERED`] after `seen_at`.
    fn announce(&self, note: &WorkerNote) -> impl Future<Output = Result<(), CallError>> + Send;

    /// The notes that were written at `since` (milliseconds) or later, the latest first. What was written a moment ago may be missing.
    /// Costs what these notes weigh, however large the ledger is.
    fn workers(&self, since: i64) -> impl Future<Output = Result<Vec<WorkerNote>, CallError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: i64 = 20_000;

    fn note(health: WorkerHealth) -> WorkerNote {
        WorkerNote {
            id: "w".into(),
            version: "0.1.0".into(),
            mode: "observe".into(),
            policy: None,
            started_at: 0,
            seen_at: 1_000_000,
            every: EVERY,
            health,
            in_flight: 3,
            finished: 4,
            oldest_message: Some(5),
            calls: BTreeMap::from([("GetPolicy".into(), Calls { per_second: 0.5, budget: 8.0 })]),
        }
    }

    #[test]
    fn a_worker_is_lost_after_three_intervals_without_a_word_unless_it_said_that_it_ends() {
        let well = note(WorkerHealth::Well);
        for (silence, standing) in [
            (0, Standing::Alive),
            (3 * EVERY, Standing::Alive),
            (3 * EVERY + 1, Standing::Lost),
            (-9_000, Standing::Alive),
        ] {
            assert_eq!(well.standing(well.seen_at + silence), standing, "{silence}");
        }
        assert_eq!(note(WorkerHealth::Draining).standing(2_000_000), Standing::Lost);
        assert_eq!(note(WorkerHealth::Gone).standing(2_000_000), Standing::Gone);
    }

    #[test]
    fn a_note_of_a_version_that_says_less_or_more_is_read() {
        let text =
            r#"{"id":"w","startedAt":1,"seenAt":2,"every":20000,"health":{"state":"draining","x":1},"mood":"fine"}"#;
        let read: WorkerNote = serde_json::from_str(text).unwrap();
        assert_eq!((read.health, read.in_flight, read.oldest_message), (WorkerHealth::Draining, 0, None));
    }
}
