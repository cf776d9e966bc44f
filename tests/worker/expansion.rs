//! An audit's summary becomes findings.

use crate::house::*;
use fleetwarden::aws::{Class, Fate, Script};
use fleetwarden::finding::{AuditSummary, CheckSummary, Finding};
use fleetwarden::ledger::{Record, Status, StepOutcome};
use fleetwarden::mitigation::IotCall;
use fleetwarden::worker::Ended;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio_util::sync::CancellationToken;

const LIST: &str = "iot.list_audit_findings";

fn summary(task_status: &str) -> String {
    let check = |name: &str, status: &str| CheckSummary {
        check: name.into(),
        status: status.into(),
        non_compliant: 6,
        suppressed: 0,
        total: 10,
        error_code: None,
        message: None,
    };
    let summary = AuditSummary {
        account: ACCOUNT.into(),
        region: REGION.into(),
        task_id: "audit-1".into(),
        task_status: task_status.into(),
        task_type: "ON_DEMAND_AUDIT_TASK".into(),
        scheduled_audit: None,
        started_at: None,
        checks: vec![
            check(SHARED, "COMPLETED_NON_COMPLIANT"),
            check(PERMISSIVE, "COMPLETED_COMPLIANT"),
            check(CLIENTS, "COMPLETED_NON_COMPLIANT"),
        ],
        replay_id: None,
    };
    summary.to_native().to_string()
}

/// Two checks with six findings each, three to a page; one more is suppressed. Five pages in all.
fn house() -> (House, Vec<Finding>) {
    let mut house = House::new();
    // Only the expansion shall list pages.
    house.policy.verify_finding = false;
    house.iot.set_page_size(3);
    let findings: Vec<_> = (0..6).map(|n| house.device(n)).chain((0..6).map(client_finding)).collect();
    let mut suppressed = house.device(99);
    suppressed.suppressed = true;
    findings.iter().chain([&suppressed]).for_each(|finding| house.iot.put_finding(finding));
    (house, findings)
}

fn expansion(house: &House) -> Record {
    let records = house.ledger.records();
    records
        .into_iter()
        .find(|record| record.subject.key.starts_with("expansion#audit-1"))
        .expect("the expansion is on record")
}

fn pages(house: &House) -> usize {
    house.iot.history().iter().filter(|call| call.operation == "ListAuditFindings").count()
}

fn all_done(house: &House, findings: &[Finding]) {
    for finding in findings {
        assert_eq!(house.status(finding), Status::Mitigated, "{}", finding.finding_id);
    }
    assert_eq!(house.ledger.records().len(), findings.len() + 1);
    assert_eq!(house.iot.effects("UpdateCertificate").len(), 6);
    assert_eq!(house.iot.published(TOPIC).len(), 6);
    assert!(house.queue.contents().is_empty() && house.dead.contents().is_empty());
}

#[tokio::test(start_paused = true)]
async fn every_finding_of_every_page_of_the_checks_that_failed_goes_through_the_queue() {
    let (house, findings) = house();
    house.send(&summary("COMPLETED")).await;
    house.work().await;
    assert_eq!(expansion(&house).status, Status::Expanded);
    assert_eq!(pages(&house), 5);
    all_done(&house, &findings);
}

#[tokio::test(start_paused = true)]
async fn a_finding_that_is_expanded_and_published_directly_is_one_record() {
    let (house, findings) = house();
    house.publish(&findings[0]).await;
    house.send(&summary("COMPLETED")).await;
    house.publish(&findings[7]).await;
    house.work().await;
    house.publish(&findings[3]).await;
    house.send(&summary("COMPLETED")).await;
    house.work().await;
    assert_eq!(pages(&house), 5, "a summary that comes again is not expanded again");
    all_done(&house, &findings);
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_two_pages_repeats_at_most_one() {
    for crash_at in 1..=5 {
        let (mut house, findings) = house();
        // Only the expansion shall write between claim and finish.
        house.policy.rules.retain(|rule| rule.name != "clients");
        house.send(&summary("COMPLETED")).await;
        // From the cursor's n-th write on, the worker gets no answer to anything: it is gone.
        let (gone, writes) = (AtomicBool::new(false), AtomicUsize::new(0));
        let fates = Arc::new(move |call: &'static str| {
            if call == "ledger.record" && writes.fetch_add(1, Ordering::SeqCst) + 1 == crash_at {
                gone.store(true, Ordering::SeqCst);
            }
            if gone.load(Ordering::SeqCst) { Fate::Late(FOR_EVER) } else { Fate::Proceed }
        });
        let crashed = start_for_good(meeting(house.worker("crashed"), fates));
        until(|| pages(&house) >= crash_at).await;
        seconds(1).await;
        house.work().await;
        assert_eq!((expansion(&house).status, expansion(&house).epoch), (Status::Expanded, 2));
        assert_eq!(pages(&house), 6, "pages listed for a crash at {crash_at}");
        assert_eq!(house.ledger.records().len(), 13);
        for finding in &findings {
            assert!(house.status(finding).is_terminal(), "{}", finding.finding_id);
        }
        assert!(house.queue.contents().is_empty() && house.dead.contents().is_empty());
        crashed.task.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_page_or_a_failing_send_is_tried_again_from_there() {
    let (throttled, unsent) = (Fate::Fail(Class::Throttled), Fate::FailEntry(1, Class::Transient));
    for fates in [vec![(LIST, throttled); 5], vec![("queue.send", unsent); 2]] {
        let (house, findings) = house();
        house.send(&summary("COMPLETED")).await;
        let script = Arc::new(Script::new(fates));
        let worker = meeting(house.worker("worker"), script.clone());
        assert_eq!(finish(worker.run(CancellationToken::new())).await, Ended::Empty);
        assert_eq!(script.remaining(), 0);
        all_done(&house, &findings);
    }
}

/// A published AWS sample (its loop looks for `NextToken`) silently stops after page one.
#[tokio::test(start_paused = true)]
async fn paging_reads_next_token_to_the_end_where_a_published_aws_sample_stops_after_page_one() {
    for findings in [1_u64, 249, 250, 251, 500, 501] {
        let mut house = House::new();
        house.policy.verify_finding = false;
        let all: Vec<_> = (0..findings).map(client_finding).collect();
        all.iter().for_each(|finding| house.iot.put_finding(finding));
        house.send(&summary("COMPLETED")).await;
        house.work().await;
        for finding in &all {
            assert_eq!(house.status(finding), Status::Mitigated, "{} of {findings}", finding.finding_id);
        }
        let of_check = |call: &&IotCall| call.operation == "ListAuditFindings" && call.target.ends_with(CLIENTS);
        let history = house.iot.history();
        assert_eq!(history.iter().filter(of_check).count() as u64, findings.div_ceil(250), "of {findings}");
    }
}

#[tokio::test(start_paused = true)]
async fn checks_that_completed_are_expanded_although_the_audit_as_a_whole_failed_or_was_canceled() {
    for status in ["FAILED", "CANCELED"] {
        let (house, findings) = house();
        house.send(&summary(status)).await;
        house.work().await;
        assert_eq!(expansion(&house).status, Status::Expanded);
        assert!(expansion(&house).detail.contains(status), "{}", expansion(&house).detail);
        all_done(&house, &findings);
    }
}

#[tokio::test(start_paused = true)]
async fn an_audit_that_has_not_ended_is_on_record_and_expanded_when_it_has() {
    let (house, findings) = house();
    house.send(&summary("IN_PROGRESS")).await;
    house.work().await;
    assert!(expansion(&house).detail.contains("nothing to expand yet"), "{}", expansion(&house).detail);
    assert_eq!(pages(&house), 0);
    house.send(&summary("FAILED")).await;
    house.work().await;
    for finding in &findings {
        assert_eq!(house.status(finding), Status::Mitigated, "{}", finding.finding_id);
    }
}

#[tokio::test(start_paused = true)]
async fn checks_that_failed_are_on_record_one_by_one_whatever_becomes_of_the_expansion() {
    let failed = r#""checkRunStatus":"FAILED","errorCode":"INSUFFICIENT_PERMISSIONS","message":"the role may not""#;
    let body = summary("COMPLETED").replace(r#""checkRunStatus":"COMPLETED_COMPLIANT""#, failed);
    for fails in [false, true] {
        let (house, _) = house();
        house.send(&body).await;
        let fate = if fails { Fate::Fail(Class::Permanent) } else { Fate::Proceed };
        finish(meeting(house.worker("worker"), always(LIST, fate)).run(CancellationToken::new())).await;
        let record = expansion(&house);
        assert_eq!(record.status, if fails { Status::Dead } else { Status::Expanded });
        assert_eq!(record.steps.len(), 1, "{:?}", record.steps);
        let step = &record.steps[0];
        assert_eq!(
            (step.action.as_str(), step.target.as_str(), step.outcome),
            ("CHECK", PERMISSIVE, StepOutcome::Failed)
        );
        assert_eq!(step.detail, "INSUFFICIENT_PERMISSIONS: the role may not");
        assert!(fails || record.detail.ends_with(&format!("failed checks: {PERMISSIVE} INSUFFICIENT_PERMISSIONS")));
    }
}

/// Bug: a notification that said FAILED, forged or early, made the real one a duplicate.
#[tokio::test(start_paused = true)]
async fn an_audit_that_was_said_to_have_failed_is_expanded_when_it_completes() {
    let (house, findings) = house();
    house.send(&summary("FAILED")).await;
    house.work().await;
    house.send(&summary("COMPLETED")).await;
    house.work().await;
    for finding in &findings {
        assert_eq!(house.status(finding), Status::Mitigated, "{}", finding.finding_id);
    }
}
