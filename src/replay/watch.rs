//! What became of the findings that were sent: a replay into a deployment that is still broken is to stop by itself.

use super::order::{Order, Summary};
use crate::ledger::{Ledger, Status};
use futures_util::future::join_all;
use std::collections::VecDeque;

/// It looks after every so many messages ...
const EVERY: usize = 25;
/// ... at so many of the findings that were sent, oldest first.
const AT: usize = 20;
/// Findings whose end is waited for, at most; of the others it knows nothing.
const WAITING: usize = 500;
/// The latest ends that count: a deployment that breaks in the middle shows soon.
const WINDOW: usize = 50;
/// Fewer ends say nothing.
const LEAST: usize = 10;

/// Looks at a sample of what was sent.
#[derive(Debug, Default)]
pub(super) struct Watch {
    waiting: VecDeque<String>,
    ends: VecDeque<bool>,
    sent: usize,
}

impl Watch {
    /// A finding was sent, under this ledger key.
    pub fn sent(&mut self, key: Option<String>) {
        self.sent += 1;
        if let Some(key) = key.filter(|_| self.waiting.len() < WAITING) {
            self.waiting.push_back(key);
        }
    }

    /// Looks, if it is time. What does not answer says nothing.
    pub async fn look<L: Ledger>(&mut self, ledger: &L, order: &Order, summary: &mut Summary) {
        if self.sent < EVERY {
            return;
        }
        self.sent = 0;
        let keys: Vec<String> = self.waiting.drain(..self.waiting.len().min(AT)).collect();
        let records = join_all(keys.iter().map(|key| ledger.get(key))).await;
        for (key, record) in keys.into_iter().zip(records) {
            let ours = record.ok().flatten().filter(|record| {
                record.replayed.as_ref().is_some_and(|replayed| order.is(&replayed.last))
                    && !matches!(record.status, Status::Claimed | Status::Waiting)
            });
            let Some(record) = ours else {
                self.waiting.push_back(key);
                continue;
            };
            let dead = record.status == Status::Dead;
            if dead {
                summary.error(record.detail);
            }
            self.ends.push_back(dead);
            if self.ends.len() > WINDOW {
                self.ends.pop_front();
            }
        }
    }

    /// So many of so many died again, if that is more than a fifth.
    pub fn alarm(&self) -> Option<(usize, usize)> {
        let dead = self.ends.iter().filter(|dead| **dead).count();
        (self.ends.len() >= LEAST && dead * 5 > self.ends.len()).then_some((dead, self.ends.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_fifth_of_at_least_ten_is_an_alarm() {
        for (dead, ends, alarm) in [(9, 9, false), (2, 10, false), (3, 10, true), (10, 50, false), (11, 50, true)] {
            let watch = Watch { ends: (0..ends).map(|n| n < dead).collect(), ..Watch::default() };
            assert_eq!(watch.alarm().is_some(), alarm, "{dead} of {ends}");
        }
    }
}
