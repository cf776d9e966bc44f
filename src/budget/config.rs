//! How the quotas are used: AWS's, or the account's own, less what is left to people.

use super::operation::Operation;
use std::collections::BTreeMap;

/// How the quotas are used.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetConfig {
    /// Quotas that differ from AWS's defaults, calls per second.
    pub quotas: BTreeMap<Operation, f64>,
    /// The part of every quota that is left to people and consoles, 0 to 0.95.
    pub reserve: f64,
    /// The part of what remains that this process may use, above 0 up to 1: 0.25 for each of four processes on one account.
    pub share: f64,
    /// Multiplies every quota; above 1 only against a sandbox whose throttles are scaled alike.
    pub scale: f64,
}

impl Default for BudgetConfig {
    fn default() -> Self {
        Self { quotas: BTreeMap::new(), reserve: 0.2, share: 1.0, scale: 1.0 }
    }
}

impl BudgetConfig {
    /// What this process may call per second.
    pub fn rate(&self, operation: Operation) -> f64 {
        let quota = self.quotas.get(&operation).copied().unwrap_or_else(|| operation.default_quota());
        quota * self.scale * (1.0 - self.reserve) * self.share
    }

    /// What is wrong with it, as sentences.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !(0.0..=0.95).contains(&self.reserve) {
            problems.push(format!("the reserve {} is out of range; write a part between 0 and 0.95", self.reserve));
        }
        if !(self.share > 0.0 && self.share <= 1.0) {
            problems.push(format!("the share {} is out of range; write a part above 0 and up to 1", self.share));
        }
        if !(self.scale > 0.0 && self.scale <= 10_000.0) {
            problems.push(format!("the scale {} is out of range; write a factor above 0 and up to 10000", self.scale));
        }
        for (operation, quota) in &self.quotas {
            if !(*quota > 0.0 && *quota <= 100_000.0) {
                problems
                    .push(format!("the quota {quota} of {operation} is out of range; write calls per second above 0"));
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
        let quarter = BudgetConfig { share: 0.25, reserve: 0.0, ..BudgetConfig::default() };
        assert_eq!(quarter.rate(Operation::UpdateCertificate), 2.5);
    }

    #[test]
    fn a_budget_that_could_never_serve_or_would_take_everything_is_refused_with_a_sentence() {
        let config = BudgetConfig { share: 0.0, reserve: 1.0, scale: -1.0, ..BudgetConfig::default() };
        assert_eq!(config.problems().len(), 3);
        assert!(BudgetConfig::default().problems().is_empty());
    }
}
