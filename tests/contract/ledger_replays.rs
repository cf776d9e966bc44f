//! What every `Ledger` keeps of replays, and how it tells one replay from the same one delivered again.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::ledger::{LEASE, LEASE_MS, claim, ending, finish, get, ours, subject};
use super::run::now;
use fleetwarden::ledger::{ClaimOutcome, ClaimRequest, Finish, Ledger, Lineage, ReplayMode, Replayed, Status, Subject};

/// Runs every case of this file against an implementation; see `run.rs`.
macro_rules! ledger_replay_contract {
    ($($implementation:tt)*) => {
        contract_tests!(ledger_replays, [
            a_replay_is_on_record_and_stays_there_when_it_ends,
            a_replay_that_is_delivered_again_after_its_end_is_a_duplicate_even_by_force,
            another_replay_claims_again_and_is_counted,
            a_replay_that_is_tried_again_goes_on_under_the_same_count,
            a_finding_that_the_ledger_forgot_is_claimed_once_for_one_replay,
            another_content_does_not_inherit_the_replays,
        ], $($implementation)*);
    };
}

fn lineage(id: &str, force: bool) -> Lineage {
    Lineage {
        id: id.to_owned(),
        of: Some("it's \"a letter\"".to_owned()),
        by: Some("ops".to_owned()),
        at: Some(5),
        force,
    }
}

async fn replay<L: Ledger>(ledger: &L, subject: &Subject, lineage: &Lineage, now: i64) -> ClaimOutcome {
    let replay = if lineage.force { ReplayMode::Force } else { ReplayMode::Again };
    let request = ClaimRequest { subject: subject.clone(), replay, lineage: Some(lineage.clone()) };
    ledger.claim(&[request], "bob", now, LEASE).await.unwrap().remove(0).unwrap()
}

/// A finding that ended in that status.
async fn ended<L: Ledger>(ledger: &L, status: Status, now: i64) -> Subject {
    let subject = subject(status.as_str());
    let first = ours(claim(ledger, &subject, "alice", now).await);
    finish(ledger, ending(&first, status), now).await.unwrap();
    subject
}

const ENDED: [Status; 5] = [Status::Dead, Status::Observed, Status::Compliant, Status::Suppressed, Status::Held];

pub async fn a_replay_is_on_record_and_stays_there_when_it_ends<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    let subject = ended(&ledger, Status::Dead, now).await;
    assert_eq!(get(&ledger, &subject).await.replayed, None);
    let lineage = lineage("replay-1", false);
    let again = ours(replay(&ledger, &subject, &lineage, now + 1).await);
    let expected = Some(Replayed { last: lineage, times: 1, claimed_at: now + 1 });
    assert_eq!(again.record.replayed, expected);
    assert_eq!(get(&ledger, &subject).await, again.record);
    finish(&ledger, ending(&again, Status::Mitigated), now + 2).await.unwrap();
    let record = get(&ledger, &subject).await;
    assert_eq!((record.status, record.replayed), (Status::Mitigated, expected));
}

pub async fn a_replay_that_is_delivered_again_after_its_end_is_a_duplicate_even_by_force<L: Ledger>(
    make: impl AsyncFn() -> L,
) {
    let (ledger, now) = (make().await, now());
    for force in [false, true] {
        for status in ENDED.into_iter().chain([Status::Mitigated, Status::Expanded]) {
            let subject = ended(&ledger, Status::Dead, now).await;
            let lineage = lineage("replay-1", force);
            let again = ours(replay(&ledger, &subject, &lineage, now + 1).await);
            finish(&ledger, ending(&again, status), now + 2).await.unwrap();
            let before = get(&ledger, &subject).await;
            let outcome = replay(&ledger, &subject, &lineage, now + 100 * LEASE_MS).await;
            assert_eq!(outcome, ClaimOutcome::Duplicate(status), "force: {force}");
            assert_eq!(get(&ledger, &subject).await, before);
        }
    }
}

pub async fn another_replay_claims_again_and_is_counted<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    let subject = ended(&ledger, Status::Dead, now).await;
    for (times, status) in (1..).zip(ENDED) {
        let lineage = lineage(&format!("replay-{times}"), times % 2 == 0);
        let again = ours(replay(&ledger, &subject, &lineage, now + i64::from(times)).await);
        let expected = Some(Replayed { last: lineage, times, claimed_at: now + i64::from(times) });
        assert_eq!(again.record.replayed, expected);
        finish(&ledger, ending(&again, status), now + 2).await.unwrap();
        assert_eq!(get(&ledger, &subject).await.replayed, expected);
    }
}

pub async fn a_replay_that_is_tried_again_goes_on_under_the_same_count<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    let subject = ended(&ledger, Status::Mitigated, now).await;
    let lineage = lineage("replay-1", true);
    let first = ours(replay(&ledger, &subject, &lineage, now + 1).await);
    let waiting = Finish { retry_at: Some(now + 5), ..ending(&first, Status::Waiting) };
    finish(&ledger, waiting, now + 2).await.unwrap();
    let second = ours(replay(&ledger, &subject, &lineage, now + 5).await);
    // Whoever held it died: taken over by the message, and then by a copy of the finding that is no replay.
    let third = ours(replay(&ledger, &subject, &lineage, now + 5 + LEASE_MS).await);
    let fourth = ours(claim(&ledger, &subject, "carol", now + 5 + 2 * LEASE_MS).await);
    let expected = Some(Replayed { last: lineage, times: 1, claimed_at: now + 1 });
    for claim in [second, third, fourth] {
        assert_eq!(claim.record.replayed, expected, "epoch {}", claim.record.epoch);
    }
    assert_eq!(get(&ledger, &subject).await.replayed, expected);
}

pub async fn a_finding_that_the_ledger_forgot_is_claimed_once_for_one_replay<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    let subject = subject("forgotten");
    let lineage = lineage("replay-1", true);
    let claim = ours(replay(&ledger, &subject, &lineage, now).await);
    assert!(!claim.taken_over);
    assert_eq!(get(&ledger, &subject).await, claim.record);
    assert_eq!(claim.record.replayed, Some(Replayed { last: lineage.clone(), times: 1, claimed_at: now }));
    finish(&ledger, ending(&claim, Status::Dead), now + 1).await.unwrap();
    assert_eq!(replay(&ledger, &subject, &lineage, now + 2).await, ClaimOutcome::Duplicate(Status::Dead));
}

pub async fn another_content_does_not_inherit_the_replays<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    let forged = ended(&ledger, Status::Dead, now).await;
    let again = ours(replay(&ledger, &forged, &lineage("replay-1", true), now + 1).await);
    finish(&ledger, ending(&again, Status::Dead), now + 2).await.unwrap();
    let genuine = Subject { fingerprint: "another".to_owned(), ..forged };
    let claim = ours(claim(&ledger, &genuine, "carol", now + 3).await);
    assert_eq!(claim.record.replayed, None);
    assert_eq!(get(&ledger, &genuine).await.replayed, None);
}
