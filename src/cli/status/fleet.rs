//! What the workers say of themselves, put together. Pure.

use crate::ledger::{Calls, Standing, WorkerHealth, WorkerNote};
use std::collections::{BTreeMap, BTreeSet};

/// The workers that wrote a note within the last hour.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    /// Those that write, by name.
    pub alive: Vec<WorkerNote>,
    /// Those that wrote and stopped without a word.
    pub lost: Vec<WorkerNote>,
    /// Those that said that they ended.
    pub gone: Vec<WorkerNote>,
}

/// Workers whose breaker is open for one reason.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken<'a> {
    pub reason: &'a str,
    /// How many.
    pub workers: usize,
    /// When the first of them tries again, milliseconds since the epoch.
    pub until: i64,
}

impl Fleet {
    /// Sorts these notes, as they stand at `now`.
    pub fn of(notes: Vec<WorkerNote>, now: i64) -> Self {
        let mut fleet = Self::default();
        for note in notes {
            match note.standing(now) {
                Standing::Alive => fleet.alive.push(note),
                Standing::Lost => fleet.lost.push(note),
                Standing::Gone => fleet.gone.push(note),
            }
        }
        for notes in [&mut fleet.alive, &mut fleet.lost, &mut fleet.gone] {
            notes.sort_by(|one, other| one.id.cmp(&other.id));
        }
        fleet
    }

    /// Every reason for which breakers are open, the most frequent first.
    pub fn broken(&self) -> Vec<Broken<'_>> {
        let mut reasons: BTreeMap<&str, Broken<'_>> = BTreeMap::new();
        for note in &self.alive {
            let WorkerHealth::Broken { reason, until } = &note.health else { continue };
            let broken = reasons.entry(reason).or_insert(Broken { reason, workers: 0, until: *until });
            broken.workers += 1;
            broken.until = broken.until.min(*until);
        }
        let mut broken: Vec<_> = reasons.into_values().collect();
        broken.sort_by_key(|broken| std::cmp::Reverse(broken.workers));
        broken
    }

    /// The age of the oldest message that any worker received in its last interval, milliseconds.
    pub fn oldest_message(&self) -> Option<i64> {
        self.alive.iter().filter_map(|note| note.oldest_message).max()
    }

    /// What all workers together called of this operation in their last interval, and the budget that they keep to: the largest, if
    /// they do not agree. `None` if none of them has called it.
    pub fn calls(&self, operation: &str) -> Option<Calls> {
        let calls = self.alive.iter().filter_map(|note| note.calls.get(operation));
        calls.fold(None, |sum: Option<Calls>, calls| {
            let sum = sum.unwrap_or(Calls { per_second: 0.0, budget: 0.0 });
            Some(Calls { per_second: sum.per_second + calls.per_second, budget: sum.budget.max(calls.budget) })
        })
    }

    /// The policies by which they decide.
    pub fn policies(&self) -> BTreeSet<&str> {
        self.alive.iter().map(|note| note.policy.as_deref().unwrap_or("unknown")).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn note(id: &str, seen_at: i64, health: WorkerHealth) -> WorkerNote {
        WorkerNote {
            id: id.into(),
            version: "0.1.0".into(),
            mode: "enforce".into(),
            policy: Some("policy.yaml 0011aabb".into()),
            started_at: 0,
            seen_at,
            every: 20_000,
            health,
            in_flight: 3,
            finished: 4,
            oldest_message: None,
            calls: BTreeMap::new(),
        }
    }

    fn broken(reason: &str, until: i64) -> WorkerHealth {
        WorkerHealth::Broken { reason: reason.into(), until }
    }

    #[test]
    fn workers_are_alive_lost_or_gone_each_by_name() {
        let now = 1_000_000;
        let notes = vec![
            note("c", now, WorkerHealth::Well),
            note("a", now - 60_000, WorkerHealth::Draining),
            note("b", now - 60_001, WorkerHealth::Well),
            note("d", now - 500_000, WorkerHealth::Gone),
        ];
        let fleet = Fleet::of(notes, now);
        let ids = |notes: &[WorkerNote]| notes.iter().map(|note| note.id.clone()).collect::<String>();
        assert_eq!([&fleet.alive, &fleet.lost, &fleet.gone].map(|notes| ids(notes)), ["ac", "b", "d"]);
    }

    #[test]
    fn open_breakers_are_told_by_reason_with_the_next_try_of_any_and_lost_workers_have_none() {
        let notes = vec![
            note("a", 0, broken("denied", 9)),
            note("b", 0, broken("no ledger", 5)),
            note("c", 0, broken("denied", 7)),
            note("d", 0, WorkerHealth::Well),
            note("e", -900_000, broken("long ago", 1)),
        ];
        let fleet = Fleet::of(notes, 0);
        let (denied, ledger) = ("denied", "no ledger");
        let expected =
            [Broken { reason: denied, workers: 2, until: 7 }, Broken { reason: ledger, workers: 1, until: 5 }];
        assert_eq!(fleet.broken(), expected);
    }

    #[test]
    fn use_is_the_sum_over_those_who_live_and_the_oldest_message_the_oldest_of_any() {
        let mut notes = ["a", "b", "lost"].map(|id| note(id, 0, WorkerHealth::Well));
        for (n, note) in notes.iter_mut().enumerate() {
            let calls = Calls { per_second: 2.5, budget: if n == 0 { 8.0 } else { 4.0 } };
            note.calls.insert("GetPolicy".into(), calls);
            note.oldest_message = Some(1_000 * n as i64);
        }
        notes[2].seen_at = -900_000;
        let fleet = Fleet::of(notes.to_vec(), 0);
        assert_eq!(fleet.calls("GetPolicy"), Some(Calls { per_second: 5.0, budget: 8.0 }));
        assert_eq!((fleet.calls("UpdateCertificate"), fleet.oldest_message()), (None, Some(1_000)));
    }
}
