//! What the ledger knows of one finding (or one expansion of an audit).

use super::lineage::Replayed;
use crate::finding::Severity;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a record stands.
///
/// ```text
///                     +-- lease ran out / retry due: epoch+1 --+
///  (new) -- claim --> claimed -- transient --> waiting -------+
///                     | | \-- hold --> held --release--> (queued again)
///                     | \---- give up --> dead --replay--> (queued again)
///                     \--> mitigated | compliant | observed | suppressed | expanded      (terminal)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// A worker holds it under a lease.
    Claimed,
    /// A transient failure; to be tried again at `retry_at`.
    Waiting,
    /// A person was asked.
    Held,
    /// Given up; the message is in the dead-letter queue with the reason.
    Dead,
    /// A mitigation took effect.
    Mitigated,
    /// There was nothing to do: the resource is in order, changed since, or gone.
    Compliant,
    /// Decided and recorded, nothing changed: observe mode, or no rule acts.
    Observed,
    /// Device Defender suppresses it.
    Suppressed,
    /// An audit summary whose findings all went back on the queue.
    Expanded,
}

impl Status {
    /// Every status, in the order in which people like to read them.
    pub const ALL: [Self; 9] = [
        Self::Claimed,
        Self::Waiting,
        Self::Held,
        Self::Dead,
        Self::Mitigated,
        Self::Compliant,
        Self::Observed,
        Self::Suppressed,
        Self::Expanded,
    ];

    /// `claimed`, `waiting`, ...
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Waiting => "waiting",
            Self::Held => "held",
            Self::Dead => "dead",
            Self::Mitigated => "mitigated",
            Self::Compliant => "compliant",
            Self::Observed => "observed",
            Self::Suppressed => "suppressed",
            Self::Expanded => "expanded",
        }
    }

    /// The status of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// No message changes it any more, unless replayed by force.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Mitigated | Self::Compliant | Self::Observed | Self::Suppressed | Self::Expanded)
    }

    /// A person should look at it: the sparse index `attention` holds it.
    pub fn needs_attention(self) -> bool {
        matches!(self, Self::Dead | Self::Held)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One thing that was done, or is about to be, for a finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// `UPDATE_DEVICE_CERTIFICATE`, ...
    pub action: String,
    /// What it acts on: a certificate id, a policy name, `thing in group`.
    pub target: String,
    /// The state before the change, enough to undo it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior: Option<serde_json::Value>,
    /// How it went.
    pub outcome: StepOutcome,
    /// Why, in words; or what was made (a policy version, a message id).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Milliseconds since the epoch.
    pub at: i64,
    /// AWS's id of the request that made the change, of several the last: for CloudTrail, and for support.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// Written before a change whose prior state could not be told afterwards.
    Intended,
    /// The change was made.
    Changed,
    /// Nothing to do: it was as desired.
    InOrder,
    /// The resource is gone.
    Gone,
    /// The finding no longer describes the resource.
    Stale,
    /// It failed; the rest of the finding's actions were skipped.
    Failed,
    /// It was not tried: an action before it failed, or whoever was to do it was told to stop.
    Skipped,
}

/// What a message says of a finding, as far as the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The ledger key: `finding#<findingId>` or `expansion#<taskId>`, which a replay's id may follow.
    pub key: String,
    /// Audited account.
    pub account: String,
    /// Audited region.
    pub region: String,
    /// The audit.
    pub task_id: Option<String>,
    /// The check (empty for an expansion).
    pub check: String,
    /// The reason code (empty for an expansion).
    pub reason_code: String,
    /// As sent, else the catalogue's.
    pub severity: Severity,
    /// `DEVICE_CERTIFICATE`, ... (`AUDIT` for an expansion)
    pub resource_type: String,
    /// The resource's id in words.
    pub resource_id: String,
    /// What must not differ between two messages with one key.
    pub fingerprint: String,
    /// The native payload, JSON.
    pub payload: String,
}

/// One item of the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// What it is about.
    pub subject: Subject,
    /// Where it stands.
    pub status: Status,
    /// Which claim this is, from 1; every write of a claim is conditional on it (P3).
    pub epoch: u64,
    /// The worker that holds, or last held, the claim.
    pub owner: String,
    /// Until when the claim is held, milliseconds since the epoch.
    pub lease_until: i64,
    /// When a waiting record may be tried again, milliseconds since the epoch.
    pub retry_at: Option<i64>,
    /// Attempts that failed or were cut short.
    pub attempts: u32,
    /// The rule that decided.
    pub rule: Option<String>,
    /// Why it stands where it stands, in words.
    pub detail: String,
    /// What was done.
    pub steps: Vec<Step>,
    /// How far an expansion got.
    pub cursor: Option<String>,
    /// The replays that claimed it; absent for what was never replayed.
    pub replayed: Option<Replayed>,
    /// First claim, milliseconds since the epoch.
    pub first_seen: i64,
    /// Last write, milliseconds since the epoch.
    pub updated_at: i64,
    /// When DynamoDB may forget it, **seconds** since the epoch (time to live).
    pub expires_at: i64,
}
