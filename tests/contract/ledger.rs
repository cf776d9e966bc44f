//! What every `Ledger` does, whoever serves it. `make` gives a ledger that may hold other cases' records.
//!
//! Times are parameters, so leases pass without waiting. Lists and tallies are in `ledger_lists.rs`, races and the gate
//! of a resource in `ledger_races.rs`.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::run::{now, unique};
use fleetwarden::aws::{CallError, Class};
use fleetwarden::finding::Severity;
use fleetwarden::ledger::{
    Claim, ClaimOutcome, ClaimRef, ClaimRequest, Finish, Ledger, Record, Recording, ReplayMode, Status, Step,
    StepOutcome, Subject, WriteError, transition,
};
use serde_json::json;
use std::time::Duration;

/// Every claim's lease in these cases.
pub const LEASE: Duration = Duration::from_secs(60);
/// The same in milliseconds.
pub const LEASE_MS: i64 = 60_000;

/// Runs every case of this file against an implementation; see `run.rs`.
macro_rules! ledger_contract {
    ($($implementation:tt)*) => {
        contract_tests!(ledger, [
            a_first_claim_is_ours_at_epoch_one_under_its_lease,
            a_second_claim_of_a_live_lease_is_told_how_long_it_lasts,
            after_its_lease_a_claim_is_taken_over_under_the_next_epoch_and_counts_an_attempt,
            the_same_key_with_another_fingerprint_is_refused_and_changes_nothing,
            a_dead_record_is_claimed_anew_by_another_content,
            a_batch_of_25_says_of_each_entry_what_became_of_it,
            two_entries_of_one_key_are_refused_with_the_whole_batch,
            an_empty_batch_and_one_of_26_are_refused,
            quotes_unicode_and_one_hundred_kilobytes_come_back_as_written,
            a_renewed_claim_stays_its_owners_until_the_new_lease_ends,
            recorded_steps_and_cursor_extend_the_lease_and_pass_to_whoever_takes_over,
            steps_of_one_hundred_kilobytes_are_kept,
            a_finish_leaves_the_record_as_it_says,
            an_ended_claim_can_be_neither_renewed_nor_recorded_to,
            a_repeated_finish_succeeds_until_somebody_claims_the_record,
            writes_of_an_old_epoch_are_lost_and_change_nothing,
            writes_to_an_unknown_key_are_lost_and_create_nothing,
            a_batch_of_records_and_one_of_finishes_reach_the_held_claims_and_lose_the_others,
            a_waiting_record_is_busy_until_it_is_due_and_then_claimed_without_another_attempt,
            an_ended_record_makes_a_fresh_message_a_duplicate,
            a_replayed_message_claims_what_was_given_up_or_left_alone,
            a_forced_replay_claims_whatever_no_live_lease_holds,
        ], $($implementation)*);
    };
}

/// What a message says of a finding that no other case knows.
pub fn subject(what: &str) -> Subject {
    let key = format!("finding#{}", unique(what));
    Subject {
        fingerprint: format!("fingerprint of {key}"),
        key,
        account: "123456789012".to_owned(),
        region: "eu-west-1".to_owned(),
        task_id: Some(unique("audit")),
        check: "DEVICE_CERTIFICATE_EXPIRING_CHECK".to_owned(),
        reason_code: "CERTIFICATE_PAST_EXPIRATION".to_owned(),
        severity: Severity::Medium,
        resource_type: "DEVICE_CERTIFICATE".to_owned(),
        resource_id: unique("certificate"),
        payload: r#"{"findingId":"1"}"#.to_owned(),
    }
}

/// A fresh, or replayed, message about it.
pub fn request(subject: &Subject, replay: ReplayMode) -> ClaimRequest {
    ClaimRequest { subject: subject.clone(), replay, lineage: None }
}

/// One fresh claim.
pub async fn claim<L: Ledger>(ledger: &L, subject: &Subject, owner: &str, now: i64) -> ClaimOutcome {
    claim_as(ledger, subject, ReplayMode::Fresh, owner, now).await
}

/// One claim, fresh or replayed.
pub async fn claim_as<L: Ledger>(
    ledger: &L,
    subject: &Subject,
    replay: ReplayMode,
    owner: &str,
    now: i64,
) -> ClaimOutcome {
    ledger.claim(&[request(subject, replay)], owner, now, LEASE).await.unwrap().remove(0).unwrap()
}

/// The claim that an outcome must be.
#[track_caller]
pub fn ours(outcome: ClaimOutcome) -> Claim {
    match outcome {
        ClaimOutcome::Ours(claim) => *claim,
        other => panic!("not ours: {other:?}"),
    }
}

/// The reference of a claim.
pub fn reference(claim: &Claim) -> ClaimRef {
    ClaimRef { key: claim.record.subject.key.clone(), epoch: claim.record.epoch }
}

/// An end of that claim.
pub fn ending(claim: &Claim, status: Status) -> Finish {
    Finish {
        claim: reference(claim),
        status,
        attempts: claim.record.attempts,
        retry_at: None,
        rule: Some("a rule".to_owned()),
        detail: format!("it is {status}"),
        steps: vec![step("x")],
    }
}

/// One finish.
pub async fn finish<L: Ledger>(ledger: &L, finish: Finish, now: i64) -> Result<(), WriteError> {
    ledger.finish(&[finish], now).await.unwrap().remove(0)
}

/// The record, which must be there.
pub async fn get<L: Ledger>(ledger: &L, subject: &Subject) -> Record {
    ledger.get(&subject.key).await.unwrap().unwrap()
}

async fn note<L: Ledger>(
    ledger: &L,
    claim: &ClaimRef,
    steps: &[Step],
    cursor: Option<&str>,
    now: i64,
) -> Result<(), WriteError> {
    let recording = Recording { claim: claim.clone(), steps: steps.to_vec(), cursor: cursor.map(str::to_owned) };
    ledger.record(&[recording], now, LEASE).await.unwrap().remove(0)
}

fn step(detail: &str) -> Step {
    Step {
        action: "UPDATE_DEVICE_CERTIFICATE".to_owned(),
        target: "0f1e2d".to_owned(),
        prior: Some(json!({ "status": "ACTIVE", "nested": [1, 2.5, null, { "it's": "\"so\"" }] })),
        outcome: StepOutcome::Changed,
        detail: detail.to_owned(),
        at: 1_790_000_000_123,
        request_id: Some("0f1e2d3c-4b5a".to_owned()),
    }
}

/// A finding that was claimed at `now` and ended in that status.
async fn ended<L: Ledger>(ledger: &L, status: Status, now: i64) -> Subject {
    let subject = subject(status.as_str());
    let claim = ours(claim(ledger, &subject, "earlier", now).await);
    note(ledger, &reference(&claim), &[], Some("the last page"), now).await.unwrap();
    finish(ledger, ending(&claim, status), now).await.unwrap();
    subject
}

fn assert_validation<T: std::fmt::Debug>(outcome: Result<T, CallError>) {
    let error = outcome.unwrap_err();
    assert_eq!((error.class, error.code.as_deref()), (Class::Permanent, Some("ValidationException")), "{error}");
}

pub async fn a_first_claim_is_ours_at_epoch_one_under_its_lease<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    let subject = subject("first");
    assert_eq!(ledger.get(&subject.key).await.unwrap(), None);
    let claim = ours(claim(&ledger, &subject, "alice", now).await);
    assert!(!claim.taken_over);
    assert_eq!(claim.record, transition::first_claim(subject.clone(), "alice", now, LEASE));
    assert_eq!((claim.record.epoch, claim.record.lease_until), (1, now + LEASE_MS));
    assert_eq!(get(&ledger, &subject).await, claim.record);
}

pub async fn a_second_claim_of_a_live_lease_is_told_how_long_it_lasts<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    let subject = subject("live");
    let first = ours(claim(&ledger, &subject, "alice", now).await);
    let last_moment = now + LEASE_MS - 1;
    assert_eq!(claim(&ledger, &subject, "bob", last_moment).await, ClaimOutcome::Busy { until: now + LEASE_MS });
    assert_eq!(get(&ledger, &subject).await, first.record);
}

pub async fn after_its_lease_a_claim_is_taken_over_under_the_next_epoch_and_counts_an_attempt<L: Ledger>(
    make: impl AsyncFn() -> L,
) {
    let (ledger, now) = (make().await, now());
    let subject = subject("abandoned");
    claim(&ledger, &subject, "alice", now).await;
    let over = now + LEASE_MS;
    let taken = ours(claim(&ledger, &subject, "bob", over).await);
    assert!(taken.taken_over && taken.lapsed);
    let record = &taken.record;
    assert_eq!((record.status, record.epoch, record.owner.as_str()), (Status::Claimed, 2, "bob"));
    assert_eq!((record.lease_until, record.attempts, record.first_seen), (over + LEASE_MS, 1, now));
    assert_eq!(get(&ledger, &subject).await, taken.record);

    let third = ours(claim(&ledger, &subject, "carol", over + LEASE_MS).await);
    assert_eq!((third.record.epoch, third.record.attempts), (3, 2));
}

pub async fn the_same_key_with_another_fingerprint_is_refused_and_changes_nothing<L: Ledger>(
    make: impl AsyncFn() -> L,
) {
    let (ledger, now) = (make().await, now());
    let subject = subject("forged");
    let first = ours(claim(&ledger, &subject, "alice", now).await);
    let forged = Subject { fingerprint: "another".to_owned(), payload: "{}".to_owned(), ..subject.clone() };
    for at in [now, now + 2 * LEASE_MS] {
        assert_eq!(claim_as(&ledger, &forged, ReplayMode::Force, "bob", at).await, ClaimOutcome::Mismatch);
    }
    assert_eq!(get(&ledger, &subject).await, first.record);
}

pub async fn a_dead_record_is_claimed_anew_by_another_content<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    let subject = subject("given-up");
    let first = ours(claim(&ledger, &subject, "alice", now).await);
    finish(&ledger, ending(&first, Status::Dead), now + 1).await.unwrap();
    let genuine = Subject {
        fingerprint: "another".to_owned(),
        payload: "{\"genuine\":true}".to_owned(),
        task_id: None,
        ..subject.clone()
    };
    let second = ours(claim(&ledger, &genuine, "bob", now + 2).await);
    assert_eq!((&second.record.subject, second.record.epoch), (&genuine, 2));
    assert_eq!(get(&ledger, &genuine).await, second.record);
}

pub async fn a_batch_of_25_says_of_each_entry_what_became_of_it<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    let mut requests = Vec::new();
    let mut expected = Vec::new();
    for index in 0..25 {
        // Fresh, done, held by another, forged and abandoned findings take turns.
        let (subject, outcome) = match index % 5 {
            0 => (subject("fresh"), "ours at epoch 1"),
            1 => (ended(&ledger, Status::Compliant, now).await, "duplicate of compliant"),
            2 => {
                let subject = subject("held");
                claim(&ledger, &subject, "bob", now).await;
                (subject, "busy")
            }
            3 => {
                let subject = subject("forged");
                claim(&ledger, &subject, "bob", now).await;
                (Subject { fingerprint: "another".to_owned(), ..subject }, "mismatch")
            }
            _ => {
                let subject = subject("abandoned");
                claim(&ledger, &subject, "bob", now - 2 * LEASE_MS).await;
                (subject, "ours at epoch 2")
            }
        };
        requests.push(request(&subject, ReplayMode::Fresh));
        expected.push((subject.key, outcome.to_owned()));
    }
    let outcomes = ledger.claim(&requests, "alice", now, LEASE).await.unwrap();
    let seen: Vec<_> = requests
        .iter()
        .zip(outcomes)
        .map(|(request, outcome)| {
            let words = match outcome.unwrap() {
                ClaimOutcome::Ours(claim) => {
                    assert_eq!(claim.record.subject, request.subject, "an outcome stands at another entry's place");
                    format!("ours at epoch {}", claim.record.epoch)
                }
                ClaimOutcome::Duplicate(status) => format!("duplicate of {status}"),
                ClaimOutcome::Busy { .. } => "busy".to_owned(),
                ClaimOutcome::Mismatch => "mismatch".to_owned(),
            };
            (request.subject.key.clone(), words)
        })
        .collect();
    assert_eq!(seen, expected);
}

pub async fn two_entries_of_one_key_are_refused_with_the_whole_batch<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    let (twice, once) = (subject("twice"), subject("once"));
    let requests = [&twice, &once, &twice].map(|subject| request(subject, ReplayMode::Fresh));
    assert_validation(ledger.claim(&requests, "alice", now, LEASE).await);
    assert_eq!(ledger.get(&twice.key).await.unwrap(), None);
    assert_eq!(ledger.get(&once.key).await.unwrap(), None);

    let claim = ours(claim(&ledger, &once, "alice", now).await);
    let end = ending(&claim, Status::Observed);
    assert_validation(ledger.finish(&[end.clone(), end], now).await);
    assert_validation(ledger.renew(&[reference(&claim), reference(&claim)], now, LEASE).await);
    let recording = Recording { claim: reference(&claim), steps: Vec::new(), cursor: None };
    assert_validation(ledger.record(&[recording.clone(), recording], now, LEASE).await);
    assert_eq!(get(&ledger, &once).await, claim.record);
}

pub async fn an_empty_batch_and_one_of_26_are_refused<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    let subjects: Vec<_> = (0..26).map(|_| subject("crowd")).collect();
    let requests: Vec<_> = subjects.iter().map(|subject| request(subject, ReplayMode::Fresh)).collect();
    assert_eq!(ledger.claim(&requests, "alice", now, LEASE).await.unwrap_err().class, Class::Permanent);
    assert_eq!(ledger.get(&subjects[0].key).await.unwrap(), None);
    assert_eq!(ledger.claim(&[], "alice", now, LEASE).await.unwrap_err().class, Class::Permanent);
    assert_eq!(ledger.renew(&[], now, LEASE).await.unwrap_err().class, Class::Permanent);
    assert_eq!(ledger.finish(&[], now).await.unwrap_err().class, Class::Permanent);
    assert_eq!(ledger.record(&[], now, LEASE).await.unwrap_err().class, Class::Permanent);
}

pub async fn quotes_unicode_and_one_hundred_kilobytes_come_back_as_written<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    let awkward = "it's \"so\" \\ ; -- ? {'a': <<1>>} \u{0}\u{7f} Grüße, 世界 🚒\r\n\t";
    let subject = Subject {
        payload: format!("{awkward}{}", "ü".repeat(50_000)),
        resource_id: awkward.to_owned(),
        reason_code: String::new(),
        task_id: None,
        severity: Severity::Unknown,
        ..subject("awkward 'quoted\" ü")
    };
    let claimed = ours(claim(&ledger, &subject, awkward, now).await);
    assert_eq!(get(&ledger, &subject).await, claimed.record);

    let end = Finish {
        rule: Some(awkward.to_owned()),
        detail: awkward.to_owned(),
        steps: vec![step(awkward)],
        ..ending(&claimed, Status::Mitigated)
    };
    finish(&ledger, end.clone(), now + 1).await.unwrap();
    let record = get(&ledger, &subject).await;
    assert_eq!((record.subject, record.rule, record.detail, record.steps), (subject, end.rule, end.detail, end.steps));
}

pub async fn a_renewed_claim_stays_its_owners_until_the_new_lease_ends<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    let subject = subject("renewed");
    let held = ours(claim(&ledger, &subject, "alice", now).await);
    let later = now + LEASE_MS / 2;
    assert_eq!(ledger.renew(&[reference(&held)], later, LEASE).await.unwrap(), [Ok(())]);
    let until = later + LEASE_MS;
    assert_eq!(claim(&ledger, &subject, "bob", now + LEASE_MS).await, ClaimOutcome::Busy { until });
    assert_eq!(ours(claim(&ledger, &subject, "bob", until).await).record.epoch, 2);
}

pub async fn recorded_steps_and_cursor_extend_the_lease_and_pass_to_whoever_takes_over<L: Ledger>(
    make: impl AsyncFn() -> L,
) {
    let (ledger, now) = (make().await, now());
    let subject = subject("recorded");
    let held = ours(claim(&ledger, &subject, "alice", now).await);
    let steps = [step("one"), Step { outcome: StepOutcome::Intended, prior: None, ..step("") }];
    note(&ledger, &reference(&held), &steps, Some("page 7"), now + 10).await.unwrap();
    let record = get(&ledger, &subject).await;
    assert_eq!((record.steps.as_slice(), record.cursor.as_deref()), (steps.as_slice(), Some("page 7")));
    assert_eq!((record.status, record.epoch, record.lease_until), (Status::Claimed, 1, now + 10 + LEASE_MS));

    let taken = ours(claim(&ledger, &subject, "bob", now + 10 + LEASE_MS).await);
    assert_eq!((taken.record.steps.as_slice(), taken.record.cursor.as_deref()), (steps.as_slice(), Some("page 7")));

    note(&ledger, &reference(&taken), &steps[..1], None, now + 20 + LEASE_MS).await.unwrap();
    let record = get(&ledger, &subject).await;
    assert_eq!((record.steps.as_slice(), record.cursor), (&steps[..1], None));
}

pub async fn steps_of_one_hundred_kilobytes_are_kept<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    let subject = subject("big");
    let held = ours(claim(&ledger, &subject, "alice", now).await);
    let steps: Vec<_> = (0..25).map(|index| step(&format!("{index}: {}", "'\"ü".repeat(1_000)))).collect();
    note(&ledger, &reference(&held), &steps, None, now).await.unwrap();
    assert_eq!(get(&ledger, &subject).await.steps, steps);
    finish(&ledger, Finish { steps: steps.clone(), ..ending(&held, Status::Mitigated) }, now).await.unwrap();
    assert_eq!(get(&ledger, &subject).await.steps, steps);
}

pub async fn a_finish_leaves_the_record_as_it_says<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    for status in Status::ALL.into_iter().filter(|status| *status != Status::Claimed) {
        let subject = subject(status.as_str());
        let held = ours(claim(&ledger, &subject, "alice", now).await);
        let retry_at = (status == Status::Waiting).then_some(now + 5_000);
        let end = Finish { attempts: 3, retry_at, ..ending(&held, status) };
        finish(&ledger, end.clone(), now + 7).await.unwrap();
        let record = get(&ledger, &subject).await;
        assert_eq!((record.status, record.epoch, record.attempts), (status, 1, 3));
        assert_eq!(
            (record.retry_at, record.rule, record.detail, record.steps),
            (retry_at, end.rule, end.detail, end.steps)
        );
        assert_eq!((record.subject, record.first_seen, record.updated_at), (subject, now, now + 7));
        assert_eq!(record.expires_at, transition::expiry(now + 7));
    }
}

pub async fn an_ended_claim_can_be_neither_renewed_nor_recorded_to<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    let subject = subject("ended");
    let held = ours(claim(&ledger, &subject, "alice", now).await);
    finish(&ledger, ending(&held, Status::Mitigated), now).await.unwrap();
    let before = get(&ledger, &subject).await;
    assert_eq!(ledger.renew(&[reference(&held)], now + 1, LEASE).await.unwrap(), [Err(WriteError::LostClaim)]);
    let recorded = note(&ledger, &reference(&held), &[], None, now + 1).await;
    assert_eq!(recorded, Err(WriteError::LostClaim));
    assert_eq!(get(&ledger, &subject).await, before);
}

pub async fn a_repeated_finish_succeeds_until_somebody_claims_the_record<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    let subject = subject("repeated");
    let held = ours(claim(&ledger, &subject, "alice", now).await);
    let end = Finish { retry_at: Some(now + 5_000), ..ending(&held, Status::Waiting) };
    finish(&ledger, end.clone(), now + 1).await.unwrap();
    finish(&ledger, end.clone(), now + 2).await.unwrap();
    assert_eq!(get(&ledger, &subject).await.status, Status::Waiting);

    let next = ours(claim(&ledger, &subject, "bob", now + 5_000).await);
    assert_eq!(finish(&ledger, end, now + 5_001).await, Err(WriteError::LostClaim));
    assert_eq!(get(&ledger, &subject).await, next.record);
}

pub async fn writes_of_an_old_epoch_are_lost_and_change_nothing<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    let subject = subject("overtaken");
    let old = ours(claim(&ledger, &subject, "alice", now).await);
    let over = now + LEASE_MS;
    let new = ours(claim(&ledger, &subject, "bob", over).await);

    assert_eq!(finish(&ledger, ending(&old, Status::Mitigated), over + 1).await, Err(WriteError::LostClaim));
    assert_eq!(ledger.renew(&[reference(&old)], over + 1, LEASE).await.unwrap(), [Err(WriteError::LostClaim)]);
    let recorded = note(&ledger, &reference(&old), &[step("late")], Some("late"), over + 1).await;
    assert_eq!(recorded, Err(WriteError::LostClaim));
    assert_eq!(get(&ledger, &subject).await, new.record);

    finish(&ledger, ending(&new, Status::Compliant), over + 2).await.unwrap();
    let ended = get(&ledger, &subject).await;
    for status in [Status::Compliant, Status::Mitigated, Status::Dead] {
        assert_eq!(finish(&ledger, ending(&old, status), over + 3).await, Err(WriteError::LostClaim));
    }
    assert_eq!(get(&ledger, &subject).await, ended);
}

pub async fn writes_to_an_unknown_key_are_lost_and_create_nothing<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    let elsewhere = ours(claim(&ledger, &subject("known"), "alice", now).await);
    let key = subject("unknown").key;
    let unknown = ClaimRef { key: key.clone(), epoch: 1 };
    let end = Finish { claim: unknown.clone(), ..ending(&elsewhere, Status::Mitigated) };
    assert_eq!(finish(&ledger, end, now).await, Err(WriteError::LostClaim));
    assert_eq!(ledger.renew(std::slice::from_ref(&unknown), now, LEASE).await.unwrap(), [Err(WriteError::LostClaim)]);
    assert_eq!(note(&ledger, &unknown, &[], None, now).await, Err(WriteError::LostClaim));
    assert_eq!(ledger.get(&key).await.unwrap(), None);
}

pub async fn a_batch_of_records_and_one_of_finishes_reach_the_held_claims_and_lose_the_others<L: Ledger>(
    make: impl AsyncFn() -> L,
) {
    let (ledger, now) = (make().await, now());
    let subjects: Vec<_> = (0..25).map(|_| subject("batch")).collect();
    let requests: Vec<_> = subjects.iter().map(|subject| request(subject, ReplayMode::Fresh)).collect();
    let claims: Vec<_> = ledger.claim(&requests, "alice", now, LEASE).await.unwrap();
    let claims: Vec<_> = claims.into_iter().map(|outcome| ours(outcome.unwrap())).collect();
    let over = now + LEASE_MS;
    for subject in subjects.iter().step_by(3) {
        claim(&ledger, subject, "bob", over).await;
    }
    let references: Vec<_> = claims.iter().map(reference).collect();
    let finishes: Vec<_> = claims.iter().map(|claim| ending(claim, Status::Mitigated)).collect();
    let expected: Vec<_> = (0..25).map(|i| if i % 3 == 0 { Err(WriteError::LostClaim) } else { Ok(()) }).collect();
    assert_eq!(ledger.renew(&references, over, LEASE).await.unwrap(), expected);
    let recordings = references.iter().zip(0..).map(|(claim, n)| {
        let steps = vec![step(&format!("step {n}"))];
        Recording { claim: claim.clone(), steps, cursor: None }
    });
    assert_eq!(ledger.record(&recordings.collect::<Vec<_>>(), over, LEASE).await.unwrap(), expected);
    assert_eq!(get(&ledger, &subjects[1]).await.steps, [step("step 1")], "each its own");
    assert_eq!(get(&ledger, &subjects[3]).await.steps, []);
    assert_eq!(ledger.finish(&finishes, over).await.unwrap(), expected);
    for (index, subject) in subjects.iter().enumerate() {
        let expected = if index % 3 == 0 { (2, Status::Claimed) } else { (1, Status::Mitigated) };
        let record = get(&ledger, subject).await;
        assert_eq!((record.epoch, record.status), expected, "entry {index}");
    }
}

pub async fn a_waiting_record_is_busy_until_it_is_due_and_then_claimed_without_another_attempt<L: Ledger>(
    make: impl AsyncFn() -> L,
) {
    let (ledger, now) = (make().await, now());
    let subject = subject("waiting");
    let held = ours(claim(&ledger, &subject, "alice", now).await);
    let due = now + 3 * LEASE_MS;
    let end = Finish { attempts: 4, retry_at: Some(due), ..ending(&held, Status::Waiting) };
    finish(&ledger, end, now + 1).await.unwrap();
    assert_eq!(claim(&ledger, &subject, "bob", due - 1).await, ClaimOutcome::Busy { until: due });
    let retry = ours(claim(&ledger, &subject, "bob", due).await);
    assert!(retry.taken_over && !retry.lapsed);
    assert_eq!((retry.record.epoch, retry.record.attempts, retry.record.retry_at), (2, 4, None));
}

pub async fn an_ended_record_makes_a_fresh_message_a_duplicate<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    for status in Status::ALL.into_iter().filter(|status| status.is_terminal() || status.needs_attention()) {
        let subject = ended(&ledger, status, now).await;
        let before = get(&ledger, &subject).await;
        let much_later = now + 100 * LEASE_MS;
        assert_eq!(claim(&ledger, &subject, "bob", much_later).await, ClaimOutcome::Duplicate(status));
        assert_eq!(get(&ledger, &subject).await, before);
    }
}

pub async fn a_replayed_message_claims_what_was_given_up_or_left_alone<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    for status in [Status::Dead, Status::Held, Status::Observed, Status::Compliant, Status::Suppressed] {
        let subject = ended(&ledger, status, now).await;
        let again = ours(claim_as(&ledger, &subject, ReplayMode::Again, "bob", now + 1).await);
        assert_eq!((again.record.epoch, again.record.attempts), (2, 0), "{status}");
        assert_eq!(get(&ledger, &subject).await, again.record);
    }
    let subject = ended(&ledger, Status::Mitigated, now).await;
    let outcome = claim_as(&ledger, &subject, ReplayMode::Again, "bob", now + 1).await;
    assert_eq!(outcome, ClaimOutcome::Duplicate(Status::Mitigated));
}

pub async fn a_forced_replay_claims_whatever_no_live_lease_holds<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    for status in Status::ALL.into_iter().filter(|status| status.is_terminal() || status.needs_attention()) {
        let subject = ended(&ledger, status, now).await;
        let forced = ours(claim_as(&ledger, &subject, ReplayMode::Force, "bob", now + 1).await);
        assert_eq!((forced.record.epoch, forced.record.cursor), (2, None), "{status} begins at its first page again");
        let known = get(&ledger, &subject).await;
        assert_eq!((known.cursor, known.steps), (None, forced.record.steps), "{status}");
        let outcome = claim_as(&ledger, &subject, ReplayMode::Force, "carol", now + 2).await;
        assert_eq!(outcome, ClaimOutcome::Busy { until: now + 1 + LEASE_MS }, "{status}");
    }
}
