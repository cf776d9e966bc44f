//! What a claim makes of a record: pure, and the same for every implementation of the port.

use super::lineage::Replayed;
use super::port::{ClaimRequest, ReplayMode};
use super::record::{Record, Status, Subject};
use crate::finding::CANARY_ID_PREFIX;
use std::time::Duration;

/// How long a record outlives its last write: Device Defender keeps findings for 90 days, and a recurrence should still find it.
pub const RETENTION: Duration = Duration::from_secs(120 * 24 * 60 * 60);

/// How long a canary outlives its last write: long enough to be looked at, and gone from the lists before the next working day is over.
const CANARY_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

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
        expires_at: expiry_of(&subject.key, now),
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
        replayed: None,
        first_seen: now,
        updated_at: now,
    }
}

/// The record of a first claim by `request`.
pub fn begin(request: &ClaimRequest, owner: &str, now: i64, lease: Duration) -> Record {
    Record {
        replayed: Replayed::after(None, request.lineage.as_ref(), now),
        ..first_claim(request.subject.clone(), owner, now, lease)
    }
}

/// What becomes of `request` when it meets `existing`.
pub fn arrive(existing: &Record, request: &ClaimRequest, owner: &str, now: i64, lease: Duration) -> Arrival {
    let take_over = |attempts: u32, cursor: Option<String>| Arrival::TakeOver {
        seen_epoch: existing.epoch,
        record: Box::new(Record {
            subject: request.subject.clone(),
            status: Status::Claimed,
            epoch: existing.epoch + 1,
            owner: owner.to_owned(),
            lease_until: after(now, lease),
            retry_at: None,
            attempts,
            cursor,
            replayed: Replayed::after(existing.replayed.as_ref(), request.lineage.as_ref(), now),
            updated_at: now,
            expires_at: expiry_of(&existing.subject.key, now),
            ..existing.clone()
        }),
    };
    if existing.subject.fingerprint != request.subject.fingerprint {
        // What was given up does not own its id: it may have been forged, and the genuine finding comes second.
        if existing.status != Status::Dead {
            return Arrival::Mismatch;
        }
        let mut anew = take_over(0, None);
        if let Arrival::TakeOver { record, .. } = &mut anew {
            // Nor are the replays of the other content its own.
            record.replayed = Replayed::after(None, request.lineage.as_ref(), now);
        }
        return anew;
    }
    let last_replay = existing.replayed.as_ref().map(|replayed| &replayed.last.id);
    let came_to_its_end = !matches!(existing.status, Status::Claimed | Status::Waiting);
    if came_to_its_end && last_replay.is_some() && last_replay == request.lineage.as_ref().map(|lineage| &lineage.id) {
        return Arrival::Duplicate(existing.status);
    }
    match existing.status {
        Status::Claimed if existing.lease_until > now => Arrival::Busy { until: existing.lease_until },
        // Whoever held it died, stalled or was cut off: that is an attempt, or a finding that kills its worker would live for ever.
        Status::Claimed => take_over(existing.attempts.saturating_add(1), existing.cursor.clone()),
        Status::Waiting => match existing.retry_at {
            Some(due) if due > now => Arrival::Busy { until: due },
            _ => take_over(existing.attempts, existing.cursor.clone()),
        },
        // A second chance: what was done stays known; attempts, and how far an expansion got, do not.
        Status::Mitigated | Status::Expanded => match request.replay {
            ReplayMode::Force => take_over(0, None),
            ReplayMode::Fresh | ReplayMode::Again => Arrival::Duplicate(existing.status),
        },
        Status::Held | Status::Dead | Status::Compliant | Status::Observed | Status::Suppressed => {
            match request.replay {
                ReplayMode::Fresh => Arrival::Duplicate(existing.status),
                ReplayMode::Again | ReplayMode::Force => take_over(0, None),
            }
        }
    }
}

/// `now + lease` in milliseconds.
pub fn after(now: i64, lease: Duration) -> i64 {
    now.saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX))
}

/// When DynamoDB may forget the record of this key, written `now`, in seconds.
pub fn expiry_of(key: &str, now: i64) -> i64 {
    let canary = key.strip_prefix("finding#").is_some_and(|id| id.starts_with(CANARY_ID_PREFIX));
    if canary { after(now, CANARY_RETENTION) / 1000 } else { expiry(now) }
}

/// When DynamoDB may forget an item written `now`, in seconds.
pub fn expiry(now: i64) -> i64 {
    after(now, RETENTION) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Severity;
    use proptest::prelude::*;

    const LEASE: Duration = Duration::from_secs(60);
    const NOW: i64 = 1_790_000_000_000;
    const MODES: [ReplayMode; 3] = [ReplayMode::Fresh, ReplayMode::Again, ReplayMode::Force];

    fn subject() -> Subject {
        Subject {
            key: "finding#1".to_owned(),
            account: "123456789012".to_owned(),
            region: "eu-west-1".to_owned(),
            task_id: None,
            check: "LOGGING_DISABLED_CHECK".to_owned(),
            reason_code: "LOGGING_DISABLED".to_owned(),
            severity: Severity::Low,
            resource_type: "ACCOUNT_SETTINGS".to_owned(),
            resource_id: "123456789012".to_owned(),
            fingerprint: "fingerprint".to_owned(),
            payload: "{}".to_owned(),
        }
    }

    fn record(status: Status) -> Record {
        Record {
            status,
            epoch: 7,
            attempts: 3,
            rule: Some("rule".to_owned()),
            cursor: Some("page 2".to_owned()),
            ..first_claim(subject(), "alice", NOW, LEASE)
        }
    }

    fn message(replay: ReplayMode) -> ClaimRequest {
        ClaimRequest { subject: subject(), replay, lineage: None }
    }

    fn arrive_at(record: &Record, replay: ReplayMode, now: i64) -> Arrival {
        arrive(record, &message(replay), "bob", now, LEASE)
    }

    #[track_caller]
    fn taken(arrival: Arrival) -> Record {
        match arrival {
            Arrival::TakeOver { record, seen_epoch: 7 } => *record,
            other => panic!("no takeover of epoch 7: {other:?}"),
        }
    }

    #[test]
    fn the_record_of_a_canary_is_gone_after_a_day() {
        assert_eq!(expiry_of("finding#fleetwarden-canary-1", NOW), NOW / 1000 + 86_400);
        for other in ["finding#fleetwarden", "expansion#fleetwarden-canary-1", "finding#x-fleetwarden-canary-1"] {
            assert_eq!(expiry_of(other, NOW), expiry(NOW), "{other}");
        }
    }

    #[test]
    fn a_first_claim_starts_at_epoch_one_and_outlives_its_last_write_by_120_days() {
        let record = first_claim(subject(), "alice", NOW, LEASE);
        assert_eq!((record.status, record.epoch, record.attempts), (Status::Claimed, 1, 0));
        assert_eq!((record.lease_until, record.first_seen, record.updated_at), (NOW + 60_000, NOW, NOW));
        assert_eq!(record.expires_at, NOW / 1000 + 120 * 86_400);
    }

    #[test]
    fn a_live_lease_keeps_everybody_out_until_its_very_end() {
        let held = record(Status::Claimed);
        for mode in MODES {
            assert_eq!(arrive_at(&held, mode, NOW + 59_999), Arrival::Busy { until: NOW + 60_000 });
            let taken = taken(arrive_at(&held, mode, NOW + 60_000));
            assert_eq!((taken.epoch, taken.attempts, taken.owner.as_str()), (8, 4, "bob"));
        }
    }

    #[test]
    fn a_waiting_record_is_claimed_when_due_and_spends_no_attempt() {
        let waiting = Record { retry_at: Some(NOW + 5), ..record(Status::Waiting) };
        for mode in MODES {
            assert_eq!(arrive_at(&waiting, mode, NOW + 4), Arrival::Busy { until: NOW + 5 });
            let taken = taken(arrive_at(&waiting, mode, NOW + 5));
            assert_eq!((taken.attempts, taken.retry_at), (3, None));
        }
        taken(arrive_at(&Record { retry_at: None, ..waiting }, ReplayMode::Fresh, NOW));
    }

    #[test]
    fn every_ended_record_answers_each_replay_mode_as_the_diagram_says() {
        use ReplayMode::{Again, Force, Fresh};
        for (status, claimed_by) in [
            (Status::Held, &[Again, Force][..]),
            (Status::Dead, &[Again, Force]),
            (Status::Compliant, &[Again, Force]),
            (Status::Observed, &[Again, Force]),
            (Status::Suppressed, &[Again, Force]),
            (Status::Mitigated, &[Force]),
            (Status::Expanded, &[Force]),
        ] {
            for mode in [Fresh, Again, Force] {
                let arrival = arrive_at(&record(status), mode, NOW + 1);
                if claimed_by.contains(&mode) {
                    let taken = taken(arrival);
                    assert_eq!((taken.status, taken.epoch), (Status::Claimed, 8), "{status} {mode:?}");
                    let afresh = (0, None, Some("rule".to_owned()));
                    assert_eq!(
                        (taken.attempts, taken.cursor, taken.rule),
                        afresh,
                        "a second chance: {status} {mode:?}"
                    );
                } else {
                    assert_eq!(arrival, Arrival::Duplicate(status), "{mode:?}");
                }
            }
        }
    }

    #[test]
    fn another_fingerprint_is_a_mismatch_whatever_the_mode_unless_the_record_is_dead() {
        for status in Status::ALL.into_iter().filter(|status| *status != Status::Dead) {
            for replay in MODES {
                let forged = ClaimRequest {
                    subject: Subject { fingerprint: "another".to_owned(), ..subject() },
                    ..message(replay)
                };
                assert_eq!(arrive(&record(status), &forged, "bob", NOW + 90_000, LEASE), Arrival::Mismatch);
            }
        }
    }

    #[test]
    fn a_dead_record_is_claimed_anew_by_another_content() {
        for replay in MODES {
            let genuine = Subject { fingerprint: "another".to_owned(), payload: "{}".to_owned(), ..subject() };
            let request = ClaimRequest { subject: genuine.clone(), ..message(replay) };
            match arrive(&record(Status::Dead), &request, "bob", NOW + 90_000, LEASE) {
                Arrival::TakeOver { record, .. } => assert_eq!(record.subject, genuine),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_takeover_keeps_what_was_known_and_done() {
        let held = record(Status::Claimed);
        let taken = taken(arrive_at(&held, ReplayMode::Fresh, NOW + 90_000));
        assert_eq!((&taken.subject, &taken.cursor, &taken.rule), (&held.subject, &held.cursor, &held.rule));
        assert_eq!((taken.first_seen, taken.updated_at), (NOW, NOW + 90_000));
    }

    #[test]
    fn times_beyond_the_calendar_are_clamped() {
        assert_eq!(after(i64::MAX - 1, LEASE), i64::MAX);
        assert_eq!(after(0, Duration::MAX), i64::MAX);
    }

    /// One thing that happens to a finding; the numbers choose a worker, an advance of time, an end.
    #[derive(Debug, Clone)]
    enum Event {
        Arrives { worker: usize, mode: ReplayMode, after_ms: i64 },
        Ends { status: Status, retry_in: i64 },
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let arrives = (0..3_usize, proptest::sample::select(MODES.to_vec()), 0..90_000_i64)
            .prop_map(|(worker, mode, after_ms)| Event::Arrives { worker, mode, after_ms });
        let ends = (proptest::sample::select(Status::ALL.to_vec()), 0..90_000_i64)
            .prop_filter("a claim cannot end as claimed", |(status, _)| *status != Status::Claimed)
            .prop_map(|(status, retry_in)| Event::Ends { status, retry_in });
        proptest::collection::vec(prop_oneof![2 => arrives, 1 => ends], 1..60)
    }

    proptest! {
        /// The model knows only who holds a lease until when, and what may follow an end.
        #[test]
        fn epochs_only_grow_and_one_owner_at_a_time_holds_a_live_lease(events in events()) {
            let mut now = NOW;
            let mut record = first_claim(subject(), "worker-0", now, LEASE);
            let mut holder = Some((0, now + 60_000));
            for event in events {
                let before = record.clone();
                match event {
                    Event::Arrives { worker, mode, after_ms } => {
                        now += after_ms;
                        let arrival = arrive(&record, &message(mode), &format!("worker-{worker}"), now, LEASE);
                        let free = match (holder, before.status) {
                            (Some((_, until)), _) => until <= now,
                            (None, Status::Waiting) => before.retry_at.is_none_or(|due| due <= now),
                            (None, Status::Mitigated | Status::Expanded) => mode == ReplayMode::Force,
                            (None, _) => mode != ReplayMode::Fresh,
                        };
                        match arrival {
                            Arrival::TakeOver { record: taken, seen_epoch } => {
                                prop_assert!(free, "taken from {holder:?} at {now}: {before:?}");
                                prop_assert_eq!(seen_epoch, before.epoch);
                                prop_assert_eq!(taken.epoch, before.epoch + 1);
                                record = *taken;
                                holder = Some((worker, now + 60_000));
                            }
                            Arrival::Busy { until } => {
                                prop_assert!(!free && until > now);
                                let expected = holder.map_or(before.retry_at, |(_, until)| Some(until));
                                prop_assert_eq!(Some(until), expected);
                            }
                            Arrival::Duplicate(status) => prop_assert!(!free && status == before.status),
                            Arrival::Mismatch => prop_assert!(false, "the fingerprint is the same"),
                        }
                    }
                    // Whoever holds the claim may end it, late or not, as long as nobody has taken it over.
                    Event::Ends { status, retry_in } if holder.is_some() => {
                        let retry_at = (status == Status::Waiting).then_some(now + retry_in);
                        record = Record { status, retry_at, ..record };
                        holder = None;
                    }
                    Event::Ends { .. } => {}
                }
                prop_assert!(record.epoch >= before.epoch);
                let expected = holder.map(|(worker, until)| (format!("worker-{worker}"), until));
                let claimed = record.status == Status::Claimed;
                prop_assert_eq!(claimed.then(|| (record.owner.clone(), record.lease_until)), expected);
            }
        }
    }
}
