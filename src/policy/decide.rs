//! What the policy says about a finding.

use super::matching::{MatchKey, has_things};
use super::{Mode, Policy, Rule};
use crate::finding::{ActionType, Finding};
use serde::{Deserialize, Serialize};

/// What `BLANK_POLICY` stands for: a document that allows nothing.
///
/// UNCONFIRMED: AWS does not publish the text of its own template. An explicit denial is chosen here because it also
/// holds where another policy of the same principal allows more.
pub const BLANK_POLICY: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"iot:*","Resource":"*"}]}"#;

/// The rule that takes canaries. It is in no file and comes before all that are.
pub const CANARY_RULE: &str = "canary";

/// What the policy cannot know by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The groups of the certificate's things; `None` when they were not looked up (see [`Policy::needs_thing_groups`]).
    pub thing_groups: Option<Vec<String>>,
}

/// What is to be done about a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// The rule that took it; `None` if no rule did.
    pub rule: Option<String>,
    /// What it says.
    pub verdict: Verdict,
}

/// What a rule says about a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Do these, in order; at least one.
    Act(Vec<Action>),
    /// Hand it to these of Device Defender's own mitigation actions, in order; at least one.
    Delegate(Vec<String>),
    /// Record only: observe mode, a rule without actions, or no rule.
    Observe {
        /// What enforce mode would do.
        would: Vec<Action>,
        /// The mitigation actions of Device Defender that enforce mode would hand it to.
        would_delegate: Vec<String>,
    },
    /// Device Defender suppresses the finding; it is never mitigated.
    Suppressed,
}

/// One action, with all that it needs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Action {
    /// Set the device certificate to INACTIVE.
    UpdateDeviceCertificate,
    /// Set the CA certificate to INACTIVE.
    UpdateCaCertificate,
    /// Add the certificate's things to thing groups.
    AddThingsToThingGroup {
        /// 1 to 10 static groups.
        thing_groups: Vec<String>,
        /// `overrideDynamicGroups` of the API.
        override_dynamic_groups: bool,
    },
    /// Give the policy a new default version.
    ReplaceDefaultPolicyVersion {
        /// The policy document, compact JSON.
        document: String,
    },
    /// Turn AWS IoT logging on.
    EnableIotLogging {
        /// The role that AWS IoT logs with.
        role_arn: String,
        /// What is logged at least.
        level: LogLevel,
    },
    /// Publish the finding's native payload.
    PublishFindingToSns {
        /// The topic.
        topic_arn: String,
    },
}

impl Action {
    /// Its type.
    pub fn action_type(&self) -> ActionType {
        match self {
            Self::UpdateDeviceCertificate => ActionType::UpdateDeviceCertificate,
            Self::UpdateCaCertificate => ActionType::UpdateCaCertificate,
            Self::AddThingsToThingGroup { .. } => ActionType::AddThingsToThingGroup,
            Self::ReplaceDefaultPolicyVersion { .. } => ActionType::ReplaceDefaultPolicyVersion,
            Self::EnableIotLogging { .. } => ActionType::EnableIotLogging,
            Self::PublishFindingToSns { .. } => ActionType::PublishFindingToSns,
        }
    }
}

/// `LogLevel` of AWS IoT, most talkative first (`DISABLED` is nothing that a policy asks for).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum LogLevel {
    /// DEBUG
    Debug,
    /// INFO
    Info,
    /// WARN
    Warn,
    /// ERROR
    Error,
}

impl LogLevel {
    /// All four, most talkative first.
    pub const ALL: [Self; 4] = [Self::Debug, Self::Info, Self::Warn, Self::Error];

    /// AWS's own spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
}

/// Says what is to be done: the first rule that matches takes the finding.
///
/// A canary of `fleetwarden doctor` is observed before any rule is asked, in either mode. Nothing proves that a message which says
/// so is one: whoever forges it has achieved that nothing is done.
pub fn decide(policy: &Policy, finding: &Finding, facts: &Facts) -> Decision {
    if finding.is_canary() {
        let verdict = Verdict::Observe { would: Vec::new(), would_delegate: Vec::new() };
        return Decision { rule: Some(CANARY_RULE.to_owned()), verdict };
    }
    if finding.suppressed {
        return Decision { rule: None, verdict: Verdict::Suppressed };
    }
    let Some(rule) = policy.rules.iter().find(|rule| rule.takes(finding, facts)) else {
        return Decision { rule: None, verdict: Verdict::Observe { would: Vec::new(), would_delegate: Vec::new() } };
    };
    let (would, would_delegate) = (rule.actions.clone(), rule.delegate.clone());
    let verdict = match policy.mode == Mode::Enforce && !rule.observe {
        true if !would.is_empty() => Verdict::Act(would),
        true if !would_delegate.is_empty() => Verdict::Delegate(would_delegate),
        _ => Verdict::Observe { would, would_delegate },
    };
    Decision { rule: Some(rule.name.clone()), verdict }
}

impl Rule {
    fn takes(&self, finding: &Finding, facts: &Facts) -> bool {
        MatchKey::ALL.into_iter().all(|key| self.matcher.fits(key, finding, facts))
    }
}

impl Policy {
    /// Whether the decision depends on the groups of the finding's things: a rule that would be reached asks for them.
    pub fn needs_thing_groups(&self, finding: &Finding) -> bool {
        let unknown = Facts::default();
        let otherwise_fits =
            |rule: &&Rule| MatchKey::KNOWN.into_iter().all(|key| rule.matcher.fits(key, finding, &unknown));
        if finding.suppressed || finding.is_canary() || !has_things(finding) {
            return false;
        }
        // The first such rule is reached in any case; one without a group ends the search.
        self.rules.iter().find(otherwise_fits).is_some_and(|rule| !rule.matcher.thing_group.is_empty())
    }

    /// What each rule says about a finding, in order: which takes it, and why the others do not.
    pub fn explain(&self, finding: &Finding, facts: &Facts) -> Vec<RuleVerdict> {
        let mut taker: Option<&str> = None;
        let mut verdicts = Vec::with_capacity(self.rules.len());
        for rule in &self.rules {
            let failed = MatchKey::ALL.into_iter().filter(|key| !rule.matcher.fits(*key, finding, facts));
            let mut why_not: Vec<_> = failed.map(|key| rule.matcher.why_not(key, finding, facts)).collect();
            let matched = why_not.is_empty();
            if finding.is_canary() {
                why_not.push(
                    "it is a canary of `fleetwarden doctor`, which is recorded before any rule is asked".to_owned(),
                );
            } else if finding.suppressed {
                why_not.push("Device Defender suppresses the finding; it is never mitigated".to_owned());
            } else if let Some(taker) = taker {
                why_not.push(format!("rule `{taker}` before it takes the finding"));
            }
            let takes = why_not.is_empty();
            if takes {
                taker = Some(&rule.name);
            }
            verdicts.push(RuleVerdict { rule: rule.name.clone(), takes, matched, why_not });
        }
        verdicts
    }
}

/// What one rule says about a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleVerdict {
    /// Its name.
    pub rule: String,
    /// It is the first that matches.
    pub takes: bool,
    /// Every key of its `match` fits.
    pub matched: bool,
    /// A sentence for each key that does not fit, and whether an earlier rule was first.
    pub why_not: Vec<String>,
}
