//! What a queue message turns out to be: findings, summaries, or entries that are refused with a reason.

use super::{AuditSummary, Finding, Seal};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Where messages come from when they do not say so themselves (raw delivery loses the topic).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The audited account, 12 digits.
    pub account: Option<String>,
    /// The audited region.
    pub region: Option<String>,
}

/// One entry of a queue message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// What it is, or why it is refused.
    pub content: Result<Content, Rejected>,
    /// This entry's own text, for a dead letter: the whole body when it held one entry, else a message with this entry
    /// alone, which [`super::decode`] understands in the same way.
    pub source: String,
    /// What the sender of a replay asked for; `None` for a message that is no replay.
    pub replay: Option<Replay>,
    /// What each SNS envelope around this entry says of its signature, or what is wrong with it, outermost first. Only
    /// [`super::decode_sealed`] tells.
    pub seals: Vec<Arc<Result<Seal, String>>>,
}

/// What was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// One non-compliant resource.
    Finding(Box<Finding>),
    /// The end of an audit; to be expanded into findings.
    Summary(AuditSummary),
}

/// What a replayed message carries besides its finding.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replay {
    /// Work on the finding even if the ledger says that it is done.
    #[serde(default)]
    pub force: bool,
    /// What is replayed: a dead letter's message id, a ledger key, an audit task.
    #[serde(default)]
    pub replay_of: Option<String>,
    /// Who asked for it.
    #[serde(default)]
    pub by: Option<String>,
    /// Which run of a replay sent it. A finding is claimed once for one id, however often its message is delivered or sent.
    #[serde(default)]
    pub id: Option<String>,
    /// When it was sent, milliseconds since the epoch.
    #[serde(default)]
    pub at: Option<i64>,
}

/// An entry that is given up at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// What an operator filters on.
    pub reason: RejectReason,
    /// A sentence: what is wrong, where in the message, and what to do.
    pub message: String,
    /// The finding's id, as far as it could be read.
    pub finding_id: Option<String>,
    /// The check's modern name, as far as it could be read.
    pub check: Option<String>,
}

impl Rejected {
    /// Names in a message may be as long as the message; a sentence of 1000 characters still fits a message attribute.
    pub(super) fn shorten(&mut self) {
        if let Some((cut, _)) = self.message.char_indices().nth(1000) {
            self.message.truncate(cut);
            self.message.push('…');
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}

/// Why an entry is given up at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectReason {
    /// The body, or a text inside it that should be JSON, is not.
    NotJson,
    /// Over 1 MiB, or over 1000 records.
    TooLarge,
    /// Nested deeper than 64 levels, or wrapped in too many envelopes.
    TooDeep,
    /// A `Records` list with nothing in it.
    EmptyRecords,
    /// SNS asks to confirm a subscription; never confirmed automatically.
    SubscriptionConfirmation,
    /// SNS tells that a subscription was removed.
    UnsubscribeConfirmation,
    /// A Device Defender Detect violation: another product's message.
    DetectViolation,
    /// A Security Hub event about a finding: no finding that can be acted on.
    SecurityHubEvent,
    /// Nothing that this program knows.
    UnknownMessage,
    /// A finding with a member missing or malformed.
    InvalidFinding,
    /// An audit summary with a member missing or malformed.
    InvalidSummary,
    /// Neither the message nor the configuration says which account or region was audited.
    AccountUnknown,
    /// The policy says `verify_signature`, and this SNS notification has no signature, or not that of the audited account's topic.
    BadSignature,
}

impl RejectReason {
    /// Every reason.
    pub const ALL: [Self; 13] = [
        Self::NotJson,
        Self::TooLarge,
        Self::TooDeep,
        Self::EmptyRecords,
        Self::SubscriptionConfirmation,
        Self::UnsubscribeConfirmation,
        Self::DetectViolation,
        Self::SecurityHubEvent,
        Self::UnknownMessage,
        Self::InvalidFinding,
        Self::InvalidSummary,
        Self::AccountUnknown,
        Self::BadSignature,
    ];

    /// The word that stands in a dead letter's attributes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::TooLarge => "too_large",
            Self::TooDeep => "too_deep",
            Self::EmptyRecords => "empty_records",
            Self::SubscriptionConfirmation => "subscription_confirmation",
            Self::UnsubscribeConfirmation => "unsubscribe_confirmation",
            Self::DetectViolation => "detect_violation",
            Self::SecurityHubEvent => "security_hub_event",
            Self::UnknownMessage => "unknown_message",
            Self::InvalidFinding => "invalid_finding",
            Self::InvalidSummary => "invalid_summary",
            Self::AccountUnknown => "account_unknown",
            Self::BadSignature => "bad_signature",
        }
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
