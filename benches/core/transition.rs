//! What a claim makes of a record.

use crate::bench::Bench;
use crate::messages;
use fleetwarden::ledger::transition::{Arrival, arrive, begin};
use fleetwarden::ledger::{ClaimRequest, Record, ReplayMode, Status, Subject};
use std::time::Duration;

pub const OWNER: &str = "ip-10-0-0-1/1234";
pub const NOW: i64 = 1_791_014_402_345;
pub const LEASE: Duration = Duration::from_secs(60);

pub fn request(subject: Subject) -> ClaimRequest {
    ClaimRequest { subject, replay: ReplayMode::Fresh, lineage: None }
}

pub fn run(bench: &mut Bench) {
    let fresh = request(Subject::from(&messages::certificate()));
    bench.case("transition", "first_claim", || begin(&fresh, OWNER, NOW, LEASE));

    let held = begin(&fresh, "another", NOW, LEASE);
    let done = Record { status: Status::Mitigated, ..held.clone() };
    let waiting = Record { status: Status::Waiting, retry_at: Some(NOW), ..held.clone() };
    let other = request(Subject { fingerprint: "another".to_owned(), ..fresh.subject.clone() });
    assert_eq!(arrive(&done, &fresh, OWNER, NOW, LEASE), Arrival::Duplicate(Status::Mitigated));
    assert!(matches!(arrive(&held, &fresh, OWNER, NOW, LEASE), Arrival::Busy { .. }));
    assert!(matches!(arrive(&waiting, &fresh, OWNER, NOW, LEASE), Arrival::TakeOver { .. }));
    assert_eq!(arrive(&done, &other, OWNER, NOW, LEASE), Arrival::Mismatch);
    bench.case("transition", "duplicate", || arrive(&done, &fresh, OWNER, NOW, LEASE));
    bench.case("transition", "busy", || arrive(&held, &fresh, OWNER, NOW, LEASE));
    bench.case("transition", "takeover", || arrive(&waiting, &fresh, OWNER, NOW, LEASE));
    bench.case("transition", "mismatch", || arrive(&done, &other, OWNER, NOW, LEASE));
}
