//! Which of the dead letters, or of the ledger's records, are meant. Pure.

use super::Letter;
use crate::finding::Finding;
use crate::ledger::Record;
use std::collections::HashSet;

/// What a filter looks at, of a dead letter or of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Candidate {
    /// The finding's id; an audit's task id, for a summary.
    pub finding_id: Option<String>,
    /// The check, by its modern name.
    pub check: Option<String>,
    /// Why it was given up: `attempts_exhausted`, ...; for a record that was not, its status.
    pub reason: String,
    /// `reasonForNonComplianceCode`
    pub reason_code: Option<String>,
    /// The resource's id.
    pub resource: Option<String>,
    /// The last error, in words with AWS's code; for a record, why it stands where it stands.
    pub error: String,
    /// When it was given up, or last written, milliseconds since the epoch.
    pub at: Option<i64>,
}

impl Candidate {
    /// A dead letter, and the finding in it as far as there is one.
    pub fn of_letter(letter: &Letter, finding: Option<&Finding>) -> Self {
        Self {
            finding_id: letter.finding_id.clone(),
            check: letter.check.clone(),
            reason: letter.reason.clone(),
            reason_code: finding.map(|finding| finding.reason_code.clone()),
            resource: finding.map(Finding::resource_id),
            error: letter.error.clone(),
            at: letter.sent_at,
        }
    }

    /// A record. One that was given up says `reason: error`.
    pub fn of_record(record: &Record) -> Self {
        let (reason, error) = reason_of(record).unwrap_or((record.status.as_str(), &record.detail));
        let subject = &record.subject;
        Self {
            finding_id: subject.key.split_once('#').map(|(_, id)| id.to_owned()),
            check: Some(subject.check.clone()).filter(|check| !check.is_empty()),
            reason: reason.to_owned(),
            reason_code: Some(subject.reason_code.clone()),
            resource: Some(subject.resource_id.clone()),
            error: error.to_owned(),
            at: Some(record.updated_at),
        }
    }
}

/// The dead-letter reason that a record's detail starts with, and the rest.
fn reason_of(record: &Record) -> Option<(&str, &str)> {
    let is_code = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    record.detail.split_once(": ").filter(|(reason, _)| record.status.needs_attention() && is_code(reason))
}

/// All that is said must hold; of a list, one entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only these checks.
    pub checks: Vec<String>,
    /// Only these reasons.
    pub reasons: Vec<String>,
    /// Only these reason codes.
    pub reason_codes: Vec<String>,
    /// Only resources whose id contains this.
    pub resource: Option<String>,
    /// Only errors that contain this, in capitals or not: a class (`throttled`), a code (`InternalFailureException`), a word.
    pub error: Option<String>,
    /// Not before, milliseconds since the epoch.
    pub since: Option<i64>,
    /// Not after, milliseconds since the epoch.
    pub until: Option<i64>,
    /// Only these findings.
    pub ids: Option<HashSet<String>>,
}

impl Filter {
    /// Whether it is meant. What a filter asks for and a candidate cannot tell is not.
    pub fn takes(&self, candidate: &Candidate) -> bool {
        let among = |list: &[String], text: Option<&str>| {
            list.is_empty() || text.is_some_and(|text| list.iter().any(|entry| entry == text))
        };
        let contains = |part: Option<&String>, text: Option<&str>| {
            let lower = |text: &str| text.to_lowercase();
            part.is_none_or(|part| text.is_some_and(|text| lower(text).contains(&lower(part))))
        };
        among(&self.checks, candidate.check.as_deref())
            && among(&self.reasons, Some(&candidate.reason))
            && among(&self.reason_codes, candidate.reason_code.as_deref())
            && contains(self.resource.as_ref(), candidate.resource.as_deref())
            && contains(self.error.as_ref(), Some(&candidate.error))
            && self.since.is_none_or(|since| candidate.at.is_some_and(|at| at >= since))
            && self.until.is_none_or(|until| candidate.at.is_some_and(|at| at <= until))
            && self.ids.as_ref().is_none_or(|ids| candidate.finding_id.as_ref().is_some_and(|id| ids.contains(id)))
    }
}

/// The findings of a file: one id a line; blank lines, and those that begin with `#`, say nothing.
///
/// # Errors
/// The first line that is not a finding id, as a sentence.
pub fn parse_ids(text: &str) -> Result<HashSet<String>, String> {
    let mut ids = HashSet::new();
    for (number, line) in (1..).zip(text.lines()) {
        let id = line.trim();
        if id.is_empty() || id.starts_with('#') {
            continue;
        }
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if id.len() > 128 || !id.bytes().all(known) {
            return Err(format!("line {number} is not a finding id ([a-zA-Z0-9_-], 1 to 128); write one on each line"));
        }
        ids.insert(id.to_owned());
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::{option, sample};

    fn word() -> impl Strategy<Value = String> {
        sample::select(vec!["a", "b", "ab", "ba", "Throttled: X", "throttled"]).prop_map(str::to_owned)
    }

    prop_compose! {
        fn candidate()(
            finding_id in option::of(word()), check in option::of(word()), reason in word(),
            reason_code in option::of(word()), resource in option::of(word()), error in word(), at in option::of(0..5_i64),
        ) -> Candidate {
            Candidate { finding_id, check, reason, reason_code, resource, error, at }
        }
    }

    prop_compose! {
        fn filter()(
            checks in prop::collection::vec(word(), 0..3), reasons in prop::collection::vec(word(), 0..3),
            reason_codes in prop::collection::vec(word(), 0..3), resource in option::of(word()),
            error in option::of(word()), since in option::of(0..5_i64), until in option::of(0..5_i64),
            ids in option::of(prop::collection::hash_set(word(), 0..3)),
        ) -> Filter {
            Filter { checks, reasons, reason_codes, resource, error, since, until, ids }
        }
    }

    /// Each with one thing said.
    fn parts(all: &Filter) -> Vec<Filter> {
        let Filter { checks, reasons, reason_codes, resource, error, since, until, ids } = all.clone();
        vec![
            Filter { checks, ..Filter::default() },
            Filter { reasons, ..Filter::default() },
            Filter { reason_codes, ..Filter::default() },
            Filter { resource, ..Filter::default() },
            Filter { error, ..Filter::default() },
            Filter { since, ..Filter::default() },
            Filter { until, ..Filter::default() },
            Filter { ids, ..Filter::default() },
        ]
    }

    proptest! {
        #[test]
        fn nothing_said_takes_everything(candidate in candidate()) {
            prop_assert!(Filter::default().takes(&candidate));
        }

        #[test]
        fn what_is_taken_meets_every_single_thing_that_was_said(all in filter(), candidate in candidate()) {
            let each = parts(&all).iter().all(|part| part.takes(&candidate));
            prop_assert_eq!(all.takes(&candidate), each);
        }

        #[test]
        fn a_list_takes_what_any_of_its_entries_takes(checks in prop::collection::vec(word(), 1..4), candidate in candidate()) {
            let only = |checks: &[String]| Filter { checks: checks.to_vec(), ..Filter::default() };
            let any = checks.iter().any(|check| only(std::slice::from_ref(check)).takes(&candidate));
            prop_assert_eq!(only(&checks).takes(&candidate), any);
        }

        #[test]
        fn two_halves_of_time_take_what_has_a_time_exactly_once(at in option::of(0..9_i64), cut in 0..9_i64) {
            let candidate = Candidate { at, ..Candidate::default() };
            let before = Filter { until: Some(cut), ..Filter::default() };
            let after = Filter { since: Some(cut + 1), ..Filter::default() };
            let taken = usize::from(before.takes(&candidate)) + usize::from(after.takes(&candidate));
            prop_assert_eq!(taken, usize::from(at.is_some()));
        }
    }

    #[test]
    fn an_error_is_found_by_its_class_or_its_code_in_capitals_or_not() {
        let error = "failed to call UpdateCertificate: InternalFailureException: try again".to_owned();
        let candidate = Candidate { error, ..Candidate::default() };
        for (part, taken) in [("internalfailure", true), ("UpdateCertificate", true), ("Throttling", false)] {
            let filter = Filter { error: Some(part.to_owned()), ..Filter::default() };
            assert_eq!(filter.takes(&candidate), taken, "{part}");
        }
    }

    #[test]
    fn a_file_of_ids_has_one_on_each_line_and_says_which_line_is_none() {
        let ids = parse_ids("a-1\n\n# a note\n  b_2 \r\na-1\n").unwrap();
        assert_eq!(ids, HashSet::from(["a-1".to_owned(), "b_2".to_owned()]));
        assert!(parse_ids("a-1\nnot an id\n").unwrap_err().contains("line 2"));
    }
}
