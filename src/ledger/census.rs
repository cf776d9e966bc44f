//! What one look over the whole ledger brings: for people.

use super::record::Status;
use std::collections::{BTreeMap, BTreeSet};

/// Expansions that a census names, the latest.
pub const LATEST: usize = 20;

/// Counts by check and status, expansions left out.
pub type Tally = BTreeMap<(String, Status), u64>;

/// Everything counted, and the latest expansions by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// The findings.
    pub tally: Tally,
    /// When each was written last, milliseconds since the epoch, and its key; [`LATEST`] at most.
    latest: BTreeSet<(i64, String)>,
}

impl Census {
    /// Counts a finding.
    pub fn finding(&mut self, check: &str, status: Status) {
        *self.tally.entry((check.to_owned(), status)).or_default() += 1;
    }

    /// Notes an expansion.
    pub fn expansion(&mut self, key: &str, updated_at: i64) {
        self.latest.insert((updated_at, key.to_owned()));
        if self.latest.len() > LATEST {
            self.latest.pop_first();
        }
    }

    /// The keys of the latest expansions, the one that was written last before the others.
    pub fn expansions(&self) -> impl Iterator<Item = &str> {
        self.latest.iter().rev().map(|(_, key)| key.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_latest_expansions_are_named_whatever_the_order_in_which_they_are_met() {
        let mut census = Census::default();
        for n in 0..100_i64 {
            let at = n * 37 % 100;
            census.expansion(&format!("expansion#{at}"), at);
        }
        let named: Vec<_> = census.expansions().collect();
        assert_eq!((named.len(), named[0], named[LATEST - 1]), (LATEST, "expansion#99", "expansion#80"));
    }
}
