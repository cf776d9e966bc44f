//! An audit that is replayed: its findings get the second chance that the replay gives, once.

use crate::house::*;
use fleetwarden::aws::{Class, Fate};
use fleetwarden::defender::console::Audit;
use fleetwarden::finding::{CheckSummary, Finding};
use fleetwarden::ledger::{Record, Status};
use fleetwarden::policy::Mode;
use fleetwarden::replay::{AuditReplay, Order};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio_util::sync::CancellationToken;

const PUBLISH: &str = "iot.publish";

/// Two checks with six findings each, three to a page.
fn house() -> (House, Vec<Finding>) {
    let house = House::new();
    house.iot.set_page_size(3);
    let findings: Vec<_> = (0..6).map(|n| house.device(n)).chain((0..6).map(client_finding)).collect();
    findings.iter().for_each(|finding| house.iot.put_finding(finding));
    (house, findings)
}

fn audit() -> Audit {
    let check = |name: &str| CheckSummary {
        check: name.into(),
        status: "COMPLETED_NON_COMPLIANT".into(),
        non_compliant: 6,
        suppressed: 0,
        total: 10,
        error_code: None,
        message: None,
    };
    Audit {
        task_id: "audit-1".into(),
        status: "COMPLETED".into(),
        task_type: "ON_DEMAND_AUDIT_TASK".into(),
        scheduled_audit: None,
        started_at: None,
        checks: vec![check(CLIENTS), check(SHARED)],
    }
}

fn order(id: &str, force: bool) -> Order {
    Order { id: id.into(), by: Some("ops".into()), force, rate: 1, keep_going: false }
}

async fn replay(house: &House, order: &Order, checks: &[&str]) {
    let checks: Vec<String> = checks.iter().map(|&check| check.into()).collect();
    let replay = AuditReplay::new(&audit(), (ACCOUNT, REGION), &checks, order).unwrap();
    replay.send(&house.queue, order, &house.clock).await.unwrap();
}

fn expansion(house: &House, id: &str) -> Record {
    let key = format!("expansion#audit-1#{id}");
    house.ledger.records().into_iter().find(|record| record.subject.key == key).expect("the expansion is on record")
}

#[tokio::test(start_paused = true)]
async fn observed_findings_of_an_audit_get_a_second_chance_and_their_lineage() {
    let (mut house, findings) = house();
    house.policy.mode = Mode::Observe;
    for finding in &findings {
        house.publish(finding).await;
    }
    house.work().await;
    assert!(findings.iter().all(|finding| house.status(finding) == Status::Observed));
    house.policy.mode = Mode::Enforce;
    replay(&house, &order("replay-1", false), &[]).await;
    house.work().await;
    for finding in &findings {
        let record = house.record(finding);
        assert_eq!(record.status, Status::Mitigated);
        let replayed = record.replayed.unwrap();
        assert_eq!((replayed.last.id.as_str(), replayed.last.by.as_deref()), ("replay-1", Some("ops")));
        assert_eq!(replayed.last.of.as_deref(), Some("audit audit-1"));
    }
    let record = expansion(&house, "replay-1");
    assert_eq!((record.status, record.replayed.unwrap().times), (Status::Expanded, 1));
}

#[tokio::test(start_paused = true)]
async fn findings_that_died_get_a_second_chance_and_mitigated_ones_stay_unless_it_is_by_force() {
    let (house, findings) = house();
    for finding in &findings {
        house.publish(finding).await;
    }
    let broken = always(PUBLISH, Fate::Fail(Class::Permanent));
    finish(meeting(house.worker("broken"), broken).run(CancellationToken::new())).await;
    assert!(findings[6..].iter().all(|finding| house.status(finding) == Status::Dead));
    replay(&house, &order("replay-1", false), &[]).await;
    house.work().await;
    assert!(findings.iter().all(|finding| house.status(finding) == Status::Mitigated));
    assert_eq!((house.iot.effects("UpdateCertificate").len(), house.iot.effects("Publish").len()), (6, 6));

    replay(&house, &order("replay-2", false), &[]).await;
    house.work().await;
    assert_eq!(house.iot.effects("Publish").len(), 6);
    replay(&house, &order("replay-3", true), &[]).await;
    house.work().await;
    assert_eq!(house.iot.effects("Publish").len(), 12, "done once more");
}

#[tokio::test(start_paused = true)]
async fn the_same_replay_sent_or_delivered_twice_takes_effect_once_even_by_force() {
    let (house, findings) = house();
    let order = order("replay-1", true);
    for _ in 0..3 {
        replay(&house, &order, &[]).await;
        replay(&house, &order, &[]).await;
        house.work().await;
    }
    assert!(findings.iter().all(|finding| house.status(finding) == Status::Mitigated));
    assert!(findings.iter().all(|finding| house.record(finding).replayed.unwrap().times == 1));
    assert_eq!(house.iot.effects("Publish").len(), 6);
    assert_eq!(expansion(&house, "replay-1").epoch, 1);
}

#[tokio::test(start_paused = true)]
async fn a_replay_of_one_check_stands_in_the_way_of_no_later_one_of_all_nor_of_the_audits_own_summary() {
    let (house, findings) = house();
    let recorded = || house.ledger.records().iter().filter(|record| record.subject.key.starts_with("finding#")).count();
    replay(&house, &order("replay-1", false), &[SHARED]).await;
    house.work().await;
    assert_eq!(recorded(), 6);
    replay(&house, &order("replay-2", false), &[]).await;
    house.work().await;
    assert_eq!(recorded(), 12);
    assert!(findings.iter().all(|finding| house.status(finding) == Status::Mitigated));
    assert!(!house.ledger.records().iter().any(|record| record.subject.key == "expansion#audit-1"));
}

#[tokio::test(start_paused = true)]
async fn an_expanded_audit_is_expanded_again_after_a_crash_too_from_where_it_was() {
    let (house, findings) = house();
    replay(&house, &order("replay-1", false), &[]).await;
    let (gone, pages) = (AtomicBool::new(false), AtomicUsize::new(0));
    let fates = Arc::new(move |call: &'static str| {
        if call == "iot.list_audit_findings" && pages.fetch_add(1, Ordering::SeqCst) == 2 {
            gone.store(true, Ordering::SeqCst);
        }
        if gone.load(Ordering::SeqCst) { Fate::Late(FOR_EVER) } else { Fate::Proceed }
    });
    let crashed = start_for_good(meeting(house.worker("crashed"), fates));
    until(|| house.ledger.records().iter().any(|record| record.cursor.is_some())).await;
    seconds(1).await;
    crashed.task.abort();
    house.work().await;
    assert_eq!((expansion(&house, "replay-1").status, expansion(&house, "replay-1").epoch), (Status::Expanded, 2));
    for finding in &findings {
        let record = house.record(finding);
        assert_eq!((record.status, record.replayed.unwrap().times), (Status::Mitigated, 1));
    }
    assert_eq!(house.iot.effects("Publish").len(), 6);
}

/// Its letter is replayed under another id, and still asks for the expansion that died.
#[tokio::test(start_paused = true)]
async fn a_replay_of_an_audit_that_died_goes_on_when_its_dead_letter_is_replayed() {
    let (house, findings) = house();
    replay(&house, &order("replay-1", false), &[]).await;
    let broken = always("iot.list_audit_findings", Fate::Fail(Class::Permanent));
    finish(meeting(house.worker("broken"), broken).run(CancellationToken::new())).await;
    assert_eq!(expansion(&house, "replay-1").status, Status::Dead);
    let letter = house.dead.contents().remove(0);
    let again = fleetwarden::finding::Replay { id: Some("replay-2".into()), ..Default::default() };
    house.send(&fleetwarden::finding::encode_replay(&letter.body, &again)).await;
    house.work().await;
    assert_eq!(expansion(&house, "replay-1").status, Status::Expanded);
    assert!(findings.iter().all(|finding| house.status(finding) == Status::Mitigated));
}
