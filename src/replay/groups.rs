//! Dead letters by reason and check, with examples. Pure.

use super::letter::Letter;
use std::collections::BTreeMap;

/// What letters are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct By {
    /// Why they were given up.
    pub reason: bool,
    /// The check of their finding.
    pub check: bool,
}

/// One letter of a group, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// What `dlq show` takes if there is no finding.
    pub message_id: String,
    /// The finding, if the letter names one.
    pub finding_id: Option<String>,
    /// The last error, in words; may be empty.
    pub error: String,
}

/// Letters with one reason and one check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// `None` if letters are not grouped by it.
    pub reason: Option<String>,
    /// `None` if letters are not grouped by it, or name none.
    pub check: Option<String>,
    /// How many.
    pub count: usize,
    /// When the first of them was sent, milliseconds since the epoch.
    pub oldest: Option<i64>,
    /// When the last of them was sent, milliseconds since the epoch.
    pub newest: Option<i64>,
    /// The first that came.
    pub examples: Vec<Example>,
}

/// Groups of letters, of bounded size whatever comes: a few examples each, and no bodies.
#[derive(Debug)]
pub struct Groups {
    by: By,
    examples: usize,
    groups: BTreeMap<(Option<String>, Option<String>), Group>,
}

impl Groups {
    /// No letters yet; each group will keep up to so many examples.
    pub fn new(by: By, examples: usize) -> Self {
        Self { by, examples, groups: BTreeMap::new() }
    }

    /// Counts a letter.
    pub fn add(&mut self, letter: &Letter) {
        let reason = self.by.reason.then(|| letter.reason.clone());
        let check = letter.check.clone().filter(|_| self.by.check);
        let group = self.groups.entry((reason.clone(), check.clone())).or_default();
        (group.reason, group.check) = (reason, check);
        group.count += 1;
        group.oldest = [group.oldest, letter.sent_at].into_iter().flatten().min();
        group.newest = group.newest.max(letter.sent_at);
        if group.examples.len() < self.examples {
            group.examples.push(Example {
                message_id: letter.message_id.clone(),
                finding_id: letter.finding_id.clone(),
                error: letter.error.clone(),
            });
        }
    }

    /// The largest first; equal ones by reason and check.
    pub fn finish(self) -> Vec<Group> {
        let mut groups: Vec<_> = self.groups.into_values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Received;

    fn letter(n: i64, reason: &str, check: &str) -> Letter {
        let attribute = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Letter::new(Received {
            message_id: format!("m-{n}"),
            receipt_handle: String::new(),
            body: String::new(),
            attributes: [
                attribute("reason", reason),
                attribute("checkName", check),
                attribute("findingId", &format!("f-{n}")),
                attribute("error", &format!("e-{n}")),
            ]
            .into(),
            receive_count: 1,
            first_received_at: None,
            sent_at: (n >= 0).then_some(n),
            trace_header: None,
        })
    }

    fn groups(by: By, examples: usize) -> Vec<Group> {
        let mut groups = Groups::new(by, examples);
        for letter in
            [letter(5, "a", "X"), letter(2, "b", "X"), letter(9, "a", "X"), letter(7, "a", "-"), letter(-1, "a", "X")]
        {
            groups.add(&letter);
        }
        groups.finish()
    }

    fn counts(groups: &[Group]) -> Vec<(Option<&str>, Option<&str>, usize)> {
        groups.iter().map(|group| (group.reason.as_deref(), group.check.as_deref(), group.count)).collect()
    }

    #[test]
    fn letters_are_counted_by_reason_and_check_the_largest_group_first() {
        let groups = groups(By { reason: true, check: true }, 2);
        assert_eq!(counts(&groups), [(Some("a"), Some("X"), 3), (Some("a"), None, 1), (Some("b"), Some("X"), 1)]);
        assert_eq!((groups[0].oldest, groups[0].newest), (Some(5), Some(9)), "a letter without a time changes neither");
        let examples: Vec<_> = groups[0].examples.iter().map(|example| example.error.as_str()).collect();
        assert_eq!(examples, ["e-5", "e-9"], "no more examples than were asked for");
    }

    #[test]
    fn letters_are_counted_by_one_of_the_two_or_together() {
        assert_eq!(counts(&groups(By { reason: true, check: false }, 0)), [(Some("a"), None, 4), (Some("b"), None, 1)]);
        assert_eq!(counts(&groups(By { reason: false, check: true }, 0)), [(None, Some("X"), 4), (None, None, 1)]);
        assert_eq!(counts(&groups(By { reason: false, check: false }, 0)), [(None, None, 5)]);
    }
}
