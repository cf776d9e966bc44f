//! What every `Presence` does, whoever serves it. `make` gives a ledger that may hold other cases' notes.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::ledger::{claim, ours, subject};
use super::run::{now, unique};
use fleetwarden::ledger::{Calls, Filter, Ledger, Presence, Status, Subject, Tally, WorkerHealth, WorkerNote};
use std::collections::BTreeMap;

/// Runs every case of this file against an implementation; see `run.rs`.
macro_rules! presence_contract {
    ($($implementation:tt)*) => {
        contract_tests!(presence, [
            a_note_reads_as_it_was_written_and_the_next_one_replaces_it,
            notes_come_the_latest_first_and_older_ones_are_left_out,
            a_worker_is_found_behind_more_findings_than_a_page_holds,
            lists_and_tallies_pass_workers_over,
        ], $($implementation)*);
    };
}

fn note(id: &str, seen_at: i64) -> WorkerNote {
    WorkerNote {
        id: id.to_owned(),
        version: "0.1.0".into(),
        mode: "enforce".into(),
        policy: Some("policy.yaml 0011aabb".into()),
        started_at: seen_at - 5_000,
        seen_at,
        every: 20_000,
        health: WorkerHealth::Well,
        in_flight: 7,
        finished: 1_234,
        oldest_message: Some(61_500),
        calls: BTreeMap::from([("UpdateCertificate".to_owned(), Calls { per_second: 0.1 + 0.2, budget: 8.0 })]),
    }
}

/// The notes of these workers, in the order in which they come.
async fn read<P: Presence>(presence: &P, since: i64, ids: &[&str]) -> Vec<WorkerNote> {
    let mut notes = presence.workers(since).await.unwrap();
    notes.retain(|note| ids.contains(&note.id.as_str()));
    notes
}

pub async fn a_note_reads_as_it_was_written_and_the_next_one_replaces_it<P: Presence>(make: impl AsyncFn() -> P) {
    let (presence, now, id) = (make().await, now(), unique("worker"));
    let mut written = note(&id, now);
    let reason = "failed to UpdateCertificate: \"denied\"".to_owned();
    for (later, health) in (0..).zip([
        WorkerHealth::Well,
        WorkerHealth::Broken { reason, until: now + 5_000 },
        WorkerHealth::Draining,
        WorkerHealth::Gone,
    ]) {
        (written.health, written.seen_at) = (health, now + later);
        (written.oldest_message, written.policy) = (None, None);
        presence.announce(&written).await.unwrap();
        assert_eq!(read(&presence, now, &[&id]).await, std::slice::from_ref(&written));
    }
    // A clock that was set back: what arrives last stays.
    written.seen_at = now - 60_000;
    presence.announce(&written).await.unwrap();
    assert_eq!(read(&presence, now - 60_000, &[&id]).await, [written]);
}

pub async fn notes_come_the_latest_first_and_older_ones_are_left_out<P: Presence>(make: impl AsyncFn() -> P) {
    let (presence, now) = (make().await, now());
    let ids: Vec<String> = (0..5).map(|_| unique("worker")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    for (id, age) in ids.iter().zip([3_000, 1_000, 4_000, 0, 2_000]) {
        presence.announce(&note(id, now - age)).await.unwrap();
    }
    let seen = |notes: Vec<WorkerNote>| notes.iter().map(|note| now - note.seen_at).collect::<Vec<_>>();
    assert_eq!(seen(read(&presence, now - 4_000, &ids).await), [0, 1_000, 2_000, 3_000, 4_000]);
    assert_eq!(seen(read(&presence, now - 1_999, &ids).await), [0, 1_000]);
    assert_eq!(read(&presence, now + 1, &ids).await, []);
}

pub async fn a_worker_is_found_behind_more_findings_than_a_page_holds<L: Ledger + Presence>(make: impl AsyncFn() -> L) {
    let (ledger, now, id) = (make().await, now(), unique("worker"));
    // DynamoDB reads a megabyte at a time.
    for _ in 0..12 {
        let subject = Subject { payload: "x".repeat(100_000), ..subject("large") };
        ours(claim(&ledger, &subject, &id, now).await);
    }
    ledger.announce(&note(&id, now)).await.unwrap();
    assert_eq!(read(&ledger, now, &[&id]).await, [note(&id, now)]);
}

pub async fn lists_and_tallies_pass_workers_over<L: Ledger + Presence>(make: impl AsyncFn() -> L) {
    let (ledger, now, id) = (make().await, now(), unique("worker"));
    let subject = Subject { check: unique("CHECK"), task_id: Some(unique("audit")), ..subject("beside workers") };
    let claimed = ours(claim(&ledger, &subject, &id, now).await).record;
    ledger.announce(&note(&id, now)).await.unwrap();

    let attention = vec![Status::Dead, Status::Held];
    for (statuses, expected) in [(Vec::new(), vec![claimed.clone()]), (attention, Vec::new())] {
        let filter = Filter { statuses, ..Filter::default() };
        let (mut listed, mut next) = (Vec::new(), None);
        loop {
            let page = ledger.list(&filter, 3, next).await.unwrap();
            listed.extend(page.records);
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        assert!(listed.iter().all(|record| !record.subject.key.starts_with("worker#")), "{listed:?}");
        listed.retain(|record| record.subject.key == claimed.subject.key);
        assert_eq!(listed, expected);
    }
    let mut tally = ledger.census().await.unwrap().tally;
    tally.retain(|(check, _), _| *check == claimed.subject.check || check.is_empty());
    assert_eq!(tally, Tally::from([((claimed.subject.check, Status::Claimed), 1)]));
}
