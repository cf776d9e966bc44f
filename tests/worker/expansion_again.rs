//! An audit that is expanded once more: after a crash whose page token has run out, and by force.

use crate::house::*;
use fleetwarden::aws::{Class, Fate};
use fleetwarden::finding::{AuditSummary, CheckSummary, Finding, Replay, encode_message};
use fleetwarden::ledger::{Record, Status};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio_util::sync::CancellationToken;

const LIST: &str = "iot.list_audit_findings";

fn summary(checks: &[&str]) -> AuditSummary {
    let check = |name: &&str| CheckSummary {
        check: (*name).into(),
        status: "COMPLETED_NON_COMPLIANT".into(),
        non_compliant: 6,
        suppressed: 0,
        total: 10,
        error_code: None,
        message: None,
    };
    AuditSummary {
        account: ACCOUNT.into(),
        region: REGION.into(),
        task_id: "audit-1".into(),
        task_status: "COMPLETED".into(),
        task_type: "ON_DEMAND_AUDIT_TASK".into(),
        scheduled_audit: None,
        started_at: None,
        checks: checks.iter().map(check).collect(),
        replay_id: None,
    }
}

/// Two checks with six findings each, three to a page.
fn house() -> (House, Vec<Finding>) {
    let mut house = House::new();
    house.policy.rules.retain(|rule| rule.name != "clients");
    house.iot.set_page_size(3);
    let findings: Vec<_> = (0..6).map(|n| house.device(n)).chain((0..6).map(client_finding)).collect();
    findings.iter().for_each(|finding| house.iot.put_finding(finding));
    (house, findings)
}

fn expansion(house: &House) -> Record {
    let records = house.ledger.records();
    records.into_iter().find(|record| record.subject.key == "expansion#audit-1").expect("the expansion is on record")
}

/// A worker that is gone after so many pages.
async fn crash_after(house: &House, page: usize) {
    let (gone, writes) = (AtomicBool::new(false), AtomicUsize::new(0));
    let fates = Arc::new(move |call: &'static str| {
        if call == LIST && writes.fetch_add(1, Ordering::SeqCst) == page {
            gone.store(true, Ordering::SeqCst);
        }
        if gone.load(Ordering::SeqCst) { Fate::Late(FOR_EVER) } else { Fate::Proceed }
    });
    let crashed = start_for_good(meeting(house.worker("crashed"), fates));
    until(|| house.ledger.records().iter().any(|record| record.cursor.is_some())).await;
    seconds(1).await;
    crashed.task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_page_token_that_ran_out_begins_its_check_anew() {
    let (house, findings) = house();
    house.send(&summary(&[SHARED, CLIENTS]).to_native().to_string()).await;
    crash_after(&house, 1).await;
    // AWS answers InvalidRequestException to a token that it has forgotten.
    let first = AtomicBool::new(true);
    let fates = Arc::new(move |call: &'static str| {
        let stale = call == LIST && first.swap(false, Ordering::SeqCst);
        if stale { Fate::Fail(Class::Permanent) } else { Fate::Proceed }
    });
    finish(meeting(house.worker("next"), fates).run(CancellationToken::new())).await;
    assert_eq!(expansion(&house).status, Status::Expanded, "{}", expansion(&house).detail);
    assert!(findings.iter().all(|finding| house.status(finding).is_terminal()));
    assert!(house.dead.contents().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_refused_without_a_token_is_given_up() {
    let (house, _) = house();
    house.send(&summary(&[SHARED]).to_native().to_string()).await;
    let worker = meeting(house.worker("worker"), always(LIST, Fate::Fail(Class::Permanent)));
    finish(worker.run(CancellationToken::new())).await;
    assert_eq!(house.dead_letters(), [("permanent_error".to_owned(), "audit-1".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_replay_by_force_sends_every_finding_once_more() {
    let (house, _) = house();
    let summary = summary(&[SHARED, CLIENTS]).to_native();
    house.send(&summary.to_string()).await;
    house.work().await;
    let before = house.telemetry.counts().received;
    let replay = Replay { force: true, replay_of: Some("expansion#audit-1".into()), ..Replay::default() };
    house.send(&encode_message(None, Some(&replay), &summary)).await;
    house.work().await;
    assert_eq!(house.telemetry.counts().received - before, 1 + 12, "the summary, and its findings");
}

/// Bug: whoever guessed an audit's id could have its findings left out, the genuine summary being taken for a duplicate.
#[tokio::test(start_paused = true)]
async fn a_summary_that_leaves_checks_out_does_not_silence_the_genuine_one() {
    for forged in [&[][..], &[CLIENTS]] {
        let (house, _) = house();
        for checks in [forged, &[CLIENTS, SHARED]] {
            house.send(&encode_message(None, None, &summary(checks).to_native())).await;
            house.work().await;
        }
        assert_eq!(house.dead_letters(), [("payload_mismatch".to_owned(), "audit-1".to_owned())]);
        // A duplicate in another order is none the less a duplicate.
        let (house, findings) = self::house();
        for checks in [[CLIENTS, SHARED], [SHARED, CLIENTS]] {
            house.send(&encode_message(None, None, &summary(&checks).to_native())).await;
            house.work().await;
        }
        assert!(house.dead_letters().is_empty());
        assert!(findings.iter().all(|finding| {
            house.ledger.records().iter().any(|record| record.subject.key.ends_with(&finding.finding_id))
        }));
    }
}
