//! A policy that has passed every check; the file format is in `file`.

use super::Action;
use crate::budget::Operation;
use crate::finding::{ActionType, Severity};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Whether anything is changed at all.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Decide and record, change nothing.
    #[default]
    Observe,
    /// Do what the rules say.
    Enforce,
}

/// How often and how late a transient failure is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included; 1 to 100.
    pub max_attempts: u32,
    /// Before the second attempt; doubled each time, with full jitter.
    pub base_delay: Duration,
    /// No delay is longer.
    pub max_delay: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { max_attempts: 8, base_delay: Duration::from_secs(5), max_delay: Duration::from_secs(15 * 60) }
    }
}

/// What the policy says about the account's API quotas.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PolicyQuotas {
    /// Read them from the Service Quotas API at start.
    pub service_quotas: bool,
    /// Calls per second, for the whole account and region; each is a quota by [`crate::budget::is_quota`].
    pub rates: BTreeMap<Operation, f64>,
}

/// The validated policy: made by [`Policy::load`].
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Whether anything is changed at all.
    pub mode: Mode,
    /// Ask Device Defender that a finding exists and matches before acting on it.
    pub verify_finding: bool,
    /// Check the signature of every SNS notification before anything else.
    pub verify_signature: bool,
    /// Read again after each write.
    pub read_back: bool,
    /// What happens after transient failures.
    pub retry: RetryPolicy,
    /// The same resource and check is not acted on again within this time; zero is off.
    pub cooldown: Duration,
    /// What it says about the account's API quotas.
    pub quotas: PolicyQuotas,
    /// The part of every quota that is left to people and consoles, 0 to 0.95.
    pub reserve: f64,
    /// First match wins.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Unique in the policy.
    pub name: String,
    /// What it takes.
    pub matcher: Matcher,
    /// Record only, even where the policy enforces.
    pub observe: bool,
    /// What it does, in order; empty records only.
    pub actions: Vec<Action>,
    /// Device Defender's own mitigation actions, by name and in order, that it hands findings to instead; at most
    /// [`MOST_DELEGATED`]. Empty unless `actions` is.
    pub delegate: Vec<String>,
}

/// Device Defender applies at most this many of its actions to the findings of a check (FACTS C.2,
/// `StartAuditMitigationActionsTask`).
pub const MOST_DELEGATED: usize = 5;

/// What a rule takes: every list that is not empty must hold one entry that matches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matcher {
    /// Modern check names, or globs.
    pub check: Vec<String>,
    /// Reason codes, or globs.
    pub reason: Vec<String>,
    /// Severities.
    pub severity: Vec<Severity>,
    /// Globs on the resource id.
    pub resource: Vec<String>,
    /// Thing groups, exactly as named.
    pub thing_group: Vec<String>,
}

impl Policy {
    /// The annotated policy that the program uses when none is given.
    pub fn default_text() -> &'static str {
        include_str!("default.yaml")
    }

    /// Overrides the file's mode (`--mode`); rules that only observe keep doing so.
    pub fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// Every mitigation action of Device Defender that some rule hands findings to, by name, with the rules.
    pub fn delegates(&self) -> BTreeMap<&str, Vec<&Rule>> {
        let mut names: BTreeMap<&str, Vec<&Rule>> = BTreeMap::new();
        for rule in &self.rules {
            for name in &rule.delegate {
                names.entry(name).or_default().push(rule);
            }
        }
        names
    }

    /// Every type of action that some rule may take by itself.
    pub fn actions(&self) -> BTreeSet<ActionType> {
        self.rules.iter().flat_map(|rule| &rule.actions).map(Action::action_type).collect()
    }
}
