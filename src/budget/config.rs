//! How the quotas are used: AWS's, or the account's own, less what is left to people.

use super::operation::Operation;
use std::collections::BTreeMap;

/// The part of every quota that is left to people and consoles, unless told otherwise.
pub const RESERVE: f64 = 0.2;

/// The largest part that can be left to people: with all of it, no work would ever be done.
pub const MOST_RESERVED: f64 = 0.95;

/// The highest quota that is believed, calls per second: some three hundred times the highest of AWS's defaults
/// (`DescribeThing`, 350). One above it is a slip.
pub const HIGHEST_QUOTA: f64 = 100_000.0;

/// The slowest pace, calls per second: one call in 1000 s. Whatever quota and reserve make of it, nothing waits for ever.
const SLOWEST: f64 = 0.001;

/// Whether `calls` per second can be a quota.
pub fn is_quota(calls: f64) -> bool {
    calls > 0.0 && calls <= HIGHEST_QUOTA
}

/// Whether `part` of every quota can be left to people.
pub fn is_reserve(part: f64) -> bool {
    (0.0..=MOST_RESERVED).contains(&part)
}

/// How the quotas are used.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetConfig {
    /// Quotas that differ from AWS's defaults, calls per second.
    pub quotas: BTreeMap<Operation, f64>,
    /// The part of every quota that is left to people and consoles, 0 to 0.95.
    pub reserve: f64,
    /// Multiplies every quota; above 1 only against a sandbox whose throttles are scaled alike.
    pub scale: f64,
}

impl Default for BudgetConfig {
    fn default() -> Self {
        Self { quotas: BTreeMap::new(), reserve: RESERVE, scale: 1.0 }
    }
}

impl BudgetConfig {
    /// What this account's workers may call per second, together.
    pub fn rate(&self, operation: Operation) -> f64 {
        let quota = self.quotas.get(&operation).copied().unwrap_or_else(|| operation.default_quota());
        (quota * self.scale * (1.0 - self.reserve)).max(SLOWEST)
    }

    /// What is wrong with it, as sentences.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !is_reserve(self.reserve) {
            problems.push(format!(
                "the reserve {} is out of range; write a part from 0 to {MOST_RESERVED}, such as {RESERVE}",
                self.reserve
            ));
        }
        if !(self.scale > 0.0 && self.scale <= 10_000.0) {
            problems.push(format!("the scale {} is out of range; write a factor above 0 and up to 10000", self.scale));
        }
        for (operation, quota) in &self.quotas {
            if !is_quota(*quota) {
                problems.push(format!(
                    "the quota {quota} of {operation} is out of range; write calls per second, above 0 and up to {HIGHEST_QUOTA}"
                ));
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_every_quota_is_left_to_people_unless_told_otherwise() {
        let config = BudgetConfig::default();
        assert_eq!(config.rate(Operation::UpdateCertificate), 8.0);
        assert_eq!(config.rate(Operation::DescribeAuditFinding), 20.0);
        let quotas = BTreeMap::from([(Operation::UpdateCertificate, 50.0)]);
        let raised = BudgetConfig { quotas, reserve: 0.0, ..BudgetConfig::default() };
        assert_eq!(raised.rate(Operation::UpdateCertificate), 50.0);
        assert_eq!(raised.rate(Operation::DescribeAuditFinding), 25.0);
    }

    #[test]
    fn a_budget_that_could_never_serve_or_would_take_everything_is_refused_with_a_sentence() {
        let quotas = BTreeMap::from([
            (Operation::GetPolicy, 0.0),
            (Operation::UpdateCertificate, f64::NAN),
            (Operation::ListAuditFindings, f64::INFINITY),
        ]);
        let config = BudgetConfig { quotas, reserve: 1.0, scale: -1.0 };
        assert_eq!(config.problems().len(), 5, "{:?}", config.problems());
        assert!(BudgetConfig::default().problems().is_empty());
    }
}
