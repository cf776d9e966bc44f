//! What every `Ledger` lists and counts for people.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::ledger::{LEASE, claim, claim_as, ending, finish, get, ours, request, subject};
use super::run::{now, unique};
use fleetwarden::ledger::{Filter, LATEST, Ledger, Record, ReplayMode, Status, Subject};
use std::collections::{BTreeMap, BTreeSet};

/// Runs every case of this file against an implementation; see `run.rs`.
macro_rules! ledger_list_contract {
    ($($implementation:tt)*) => {
        contract_tests!(ledger_lists, [
            what_needs_attention_is_listed_until_it_is_claimed_again,
            a_list_is_filtered_by_check_resource_and_audit,
            pages_hold_every_record_once,
            a_census_counts_by_check_and_status_without_expansions_and_names_the_latest_of_those,
        ], $($implementation)*);
    };
}

async fn list_all<L: Ledger>(ledger: &L, filter: &Filter, limit: usize) -> Vec<Record> {
    let mut records = Vec::new();
    let mut next = None;
    loop {
        let page = ledger.list(filter, limit, next).await.unwrap();
        assert!(page.records.len() <= limit, "{} records on a page of {limit}", page.records.len());
        records.extend(page.records);
        next = page.next;
        if next.is_none() {
            return records;
        }
    }
}

fn keys(records: &[Record]) -> BTreeSet<&str> {
    records.iter().map(|record| record.subject.key.as_str()).collect()
}

pub async fn what_needs_attention_is_listed_until_it_is_claimed_again<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    let task_id = Some(unique("audit"));
    let mut subjects = BTreeMap::new();
    for status in [Status::Dead, Status::Held, Status::Mitigated] {
        let subject = Subject { task_id: task_id.clone(), ..subject(status.as_str()) };
        let held = ours(claim(&ledger, &subject, "alice", now).await);
        finish(&ledger, ending(&held, status), now).await.unwrap();
        subjects.insert(status, subject);
    }
    let key = |status| subjects[&status].key.as_str();
    let dead = Filter { statuses: vec![Status::Dead], task_id: task_id.clone(), ..Filter::default() };
    let attention = Filter { statuses: vec![Status::Dead, Status::Held], ..dead.clone() };
    assert_eq!(keys(&list_all(&ledger, &dead, 100).await), BTreeSet::from([key(Status::Dead)]));
    let both = BTreeSet::from([key(Status::Dead), key(Status::Held)]);
    let listed = list_all(&ledger, &attention, 100).await;
    assert_eq!(keys(&listed), both);
    for record in listed {
        assert_eq!(record, get(&ledger, &record.subject).await, "a listed record is the whole record");
    }

    ours(claim_as(&ledger, &subjects[&Status::Dead], ReplayMode::Again, "bob", now + 1).await);
    assert_eq!(keys(&list_all(&ledger, &attention, 100).await), BTreeSet::from([key(Status::Held)]));
}

pub async fn a_list_is_filtered_by_check_resource_and_audit<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    let (wanted, other) = (Subject { check: unique("CHECK"), ..subject("wanted") }, subject("other"));
    for subject in [&wanted, &other] {
        claim(&ledger, subject, "alice", now).await;
    }
    let part = wanted.resource_id.get(4..).unwrap().to_owned();
    for filter in [
        Filter { check: Some(wanted.check.clone()), ..Filter::default() },
        Filter { resource: Some(part), ..Filter::default() },
        Filter { task_id: wanted.task_id.clone(), ..Filter::default() },
        Filter { task_id: wanted.task_id.clone(), statuses: vec![Status::Claimed], ..Filter::default() },
    ] {
        assert_eq!(keys(&list_all(&ledger, &filter, 100).await), BTreeSet::from([wanted.key.as_str()]), "{filter:?}");
    }
    let none = Filter { task_id: wanted.task_id.clone(), statuses: vec![Status::Waiting], ..Filter::default() };
    assert_eq!(list_all(&ledger, &none, 100).await, []);
}

pub async fn pages_hold_every_record_once<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    let task_id = Some(unique("audit"));
    let subjects: Vec<_> = (0..20).map(|_| Subject { task_id: task_id.clone(), ..subject("paged") }).collect();
    let requests: Vec<_> = subjects.iter().map(|subject| request(subject, ReplayMode::Fresh)).collect();
    ledger.claim(&requests, "alice", now, LEASE).await.unwrap();
    let listed = list_all(&ledger, &Filter { task_id, ..Filter::default() }, 7).await;
    assert_eq!(listed.len(), 20);
    assert_eq!(keys(&listed), subjects.iter().map(|subject| subject.key.as_str()).collect());
}

pub async fn a_census_counts_by_check_and_status_without_expansions_and_names_the_latest_of_those<L: Ledger>(
    make: impl AsyncFn() -> L,
) {
    let (ledger, now) = (make().await, now());
    let check = unique("CHECK");
    for status in [Status::Mitigated, Status::Mitigated, Status::Dead, Status::Claimed] {
        let subject = Subject { check: check.clone(), ..subject("counted") };
        let held = ours(claim(&ledger, &subject, "alice", now).await);
        if status != Status::Claimed {
            finish(&ledger, ending(&held, status), now).await.unwrap();
        }
    }
    let mut expansions: Vec<String> =
        (0..i64::try_from(LATEST).unwrap() + 2).map(|n| format!("expansion#{}-{n}", unique("audit"))).collect();
    for (age, key) in (0..).zip(&expansions) {
        let subject = Subject { check: String::new(), key: key.clone(), ..subject("expansion") };
        // Later than whatever else is in the table, the first of them last.
        claim(&ledger, &subject, "alice", now + 60_000 - age).await;
    }
    expansions.truncate(LATEST);

    let census = ledger.census().await.unwrap();
    assert_eq!(census.expansions().collect::<Vec<_>>(), expansions);
    let mut tally = census.tally;
    assert!(tally.keys().all(|(check, _)| !check.is_empty()));
    tally.retain(|(counted, _), _| *counted == check);
    let expected = [(Status::Claimed, 1), (Status::Dead, 1), (Status::Mitigated, 2)];
    assert_eq!(tally, expected.into_iter().map(|(status, count)| ((check.clone(), status), count)).collect());
}
