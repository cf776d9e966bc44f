//! What mitigating a selection of findings will do, told before it is done. Pure.

use super::Audited;
use crate::budget::{BudgetConfig, Operation};
use crate::finding::{ActionType, Finding};
use crate::mitigation::calls_of;
use crate::policy::{Action, Facts, Policy, Verdict, decide};
use std::collections::BTreeMap;
use std::time::Duration;

/// What is done about a finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// These, in order.
    Actions(Vec<ActionType>),
    /// Device Defender's own actions of these names, in order.
    Delegate(Vec<String>),
    /// No rule acts on it, or the policy observes.
    RecordOnly {
        /// What enforce mode would do.
        would: Vec<ActionType>,
        /// The actions of Device Defender that enforce mode would hand it to.
        would_delegate: Vec<String>,
    },
}

impl What {
    fn changes_something(&self) -> bool {
        !matches!(self, Self::RecordOnly { .. })
    }
}

fn types(actions: &[Action]) -> Vec<ActionType> {
    actions.iter().map(Action::action_type).collect()
}

/// Findings of one check and reason to which the same is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRow {
    /// The check's modern name.
    pub check: String,
    /// The reason code.
    pub reason: String,
    /// What is done.
    pub what: What,
    /// The rule that says so.
    pub rule: Option<String>,
    /// How many findings.
    pub findings: u64,
    /// One of them: its id, and its resource's.
    pub example: (String, String),
}

/// The plan for all of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    rows: BTreeMap<(String, String, What), PlanRow>,
    /// Findings that are suppressed, and left alone.
    pub suppressed: u64,
    calls: BTreeMap<Operation, u64>,
}

impl Plan {
    /// Adds a page. Rules that ask for a thing group are decided as if there were none: looking the groups up is the worker's.
    pub fn add(&mut self, policy: &Policy, page: &Audited) {
        self.suppressed += page.suppressed;
        for finding in &page.findings {
            self.add_finding(policy, finding);
        }
    }

    fn add_finding(&mut self, policy: &Policy, finding: &Finding) {
        let decision = decide(policy, finding, &Facts::default());
        let what = match decision.verdict {
            Verdict::Act(actions) => What::Actions(types(&actions)),
            Verdict::Delegate(names) => What::Delegate(names),
            Verdict::Observe { would, would_delegate } => What::RecordOnly { would: types(&would), would_delegate },
            Verdict::Suppressed => return,
        };
        for operation in calls_of(policy, finding) {
            *self.calls.entry(operation).or_default() += 1;
        }
        let key = (finding.check.clone(), finding.reason_code.clone(), what.clone());
        let row = self.rows.entry(key).or_insert_with(|| PlanRow {
            check: finding.check.clone(),
            reason: finding.reason_code.clone(),
            what,
            rule: decision.rule,
            findings: 0,
            example: (finding.finding_id.clone(), finding.resource_id()),
        });
        row.findings += 1;
    }

    /// By check, reason, and what is done.
    pub fn rows(&self) -> impl Iterator<Item = &PlanRow> {
        self.rows.values()
    }

    /// The checks that have findings in it, each once.
    pub fn checks(&self) -> Vec<String> {
        let mut checks: Vec<String> = self.rows.values().map(|row| row.check.clone()).collect();
        checks.dedup();
        checks
    }

    /// All findings, suppressed ones left out.
    pub fn findings(&self) -> u64 {
        self.rows.values().map(|row| row.findings).sum()
    }

    /// Findings about which something will be done.
    pub fn acts_on(&self) -> u64 {
        self.rows.values().filter(|row| row.what.changes_something()).map(|row| row.findings).sum()
    }

    /// The least time that the budgets allow it in, and the operation that takes so long; `None` if nothing is called.
    pub fn least_time(&self, budget: &BudgetConfig) -> Option<(Operation, f64, Duration)> {
        let times = self.calls.iter().map(|(&operation, &calls)| {
            let rate = budget.rate(operation);
            (operation, rate, Duration::from_secs_f64(calls as f64 / rate))
        });
        times.max_by_key(|(_, _, time)| *time)
    }
}
