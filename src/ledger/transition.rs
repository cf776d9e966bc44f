//! What a claim makes of a record: pure, and the same for every implementation of the port.

use super::port::{ClaimRequest, ReplayMode};
use super::record::{Record, Status, Subject};
use std::time::Duration;

/// How long a record outlives its last write: Device Defender keeps findings for 90 days, and a recurrence should still find it.
pub const RETENTION: Duration = Duration::from_secs(120 * 24 * 60 * 60);

/// What a message that meets an existing record may do.
#[derive(Debug, Clone, PartialEq)]
pub enum Arrival {
    /// Claim it under the next epoch: `record` is how it will be; the write must be conditional on `seen_epoch` and `seen_status`,
    /// and, for a claimed record, on the lease that was seen (a renewal since then wins).
    TakeOver {
        /// The record after the takeover.
        record: Box<Record>,
        /// The epoch the decision was made on.
        seen_epoch: u64,
    },
    /// Nothing left to do.
    Duplicate(Status),
    /// Not yet.
    Busy {
        /// When to look again, milliseconds since the epoch.
        until: i64,
    },
    /// Same key, other content.
    Mismatch,
}

/// The record of a first claim.
pub fn first_claim(subject: Subject, owner: &str, now: i64, lease: Duration) -> Record {
    Record {
        subject,
        status: Status::Claimed,
        epoch: 1,
        owner: owner.to_owned(),
        lease_until: after(now, lease),
        retry_at: None,
        attempts: 0,
        rule: None,
        detail: String::new(),
        steps: Vec::new(),
        cursor: None,
        first_seen: now,
        updated_at: now,
        expires_at: expiry(now),
    }
}

/// What becomes of `request` when it meets `existing`.
pub fn arrive(existing: &Record, request: &ClaimRequest, owner: &str, now: i64, lease: Duration) -> Arrival {
    if existing.subject.fingerprint != request.subject.fingerprint {
        return Arrival::Mismatch;
    }
    let take_over = |attempts: u32| Arrival::TakeOver {
        seen_epoch: existing.epoch,
        record: Box::new(Record {
            status: Status::Claimed,
            epoch: existing.epoch + 1,
            owner: owner.to_owned(),
            lease_until: after(now, lease),
            retry_at: None,
            attempts,

            updated_at: now,
            expires_at: expiry(now),
            ..existing.clone()
        }),
    };
    match existing.status {
        Status::Claimed if existing.lease_until > now => Arrival::Busy { until: existing.lease_until },
        // Whoever held it died, stalled or was cut off: that is an attempt, or a finding that kills its worker would live for ever.
        Status::Claimed => take_over(existing.attempts.saturating_add(1)),
        Status::Waiting => match existing.retry_at {
            Some(due) if due > now => Arrival::Busy { until: due },
            _ => take_over(existing.attempts),
        },
        Status::Mitigated | Status::Expanded => match request.replay {
            ReplayMode::Force => take_over(0),
            ReplayMode::Fresh | ReplayMode::Again => Arrival::Duplicate(existing.status),
        },
        Status::Held | Status::Dead | Status::Compliant | Status::Observed | Status::Suppressed => {
            match request.replay {
                ReplayMode::Fresh => Arrival::Duplicate(existing.status),
                ReplayMode::Again | ReplayMode::Force => take_over(0),
            }
        }
    }
}

/// `now + lease` in milliseconds.
pub fn after(now: i64, lease: Duration) -> i64 {
    now.saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX))
}

/// When DynamoDB may forget a record written `now`, in seconds.
pub fn expiry(now: i64) -> i64 {
    after(now, RETENTION) / 1000
}
