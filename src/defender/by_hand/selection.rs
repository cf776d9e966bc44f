//! Which of an audit's findings are meant. Pure.

use crate::finding::{Finding, catalogue};

/// Which findings; a list that is empty leaves nothing out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Checks, by their modern names.
    pub checks: Vec<String>,
    /// Reason codes.
    pub reasons: Vec<String>,
    /// Finding ids.
    pub findings: Vec<String>,
}

impl Selection {
    /// Whether findings of this check can be meant at all.
    pub fn takes_check(&self, check: &str) -> bool {
        self.checks.is_empty() || self.checks.iter().any(|one| one == catalogue::modern_name(check))
    }

    /// Whether this finding is meant, suppressed or not.
    pub fn takes(&self, finding: &Finding) -> bool {
        let one_of = |list: &[String], text: &str| list.is_empty() || list.iter().any(|one| one == text);
        self.takes_check(&finding.check)
            && one_of(&self.reasons, &finding.reason_code)
            && one_of(&self.findings, &finding.finding_id)
    }
}
