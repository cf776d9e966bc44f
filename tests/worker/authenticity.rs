//! P6: what Device Defender does not have, or has otherwise, changes no device; and a thousand genuine findings cost tens of calls.

use crate::house::*;
use fleetwarden::aws::{CallError, Class, Fate};
use fleetwarden::defender::{Authenticator, PAGE_PATIENCE, Verdict};
use fleetwarden::finding::{Finding, ResourceIdentifier, Severity, encode_own};
use fleetwarden::ledger::Status;
use fleetwarden::mitigation::MemoryIot;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

const LIST: &str = "iot.list_audit_findings";
const DESCRIBE: &str = "iot.describe_audit_finding";

fn calls(iot: &MemoryIot) -> BTreeMap<&'static str, usize> {
    let mut calls = BTreeMap::new();
    for call in iot.history() {
        *calls.entry(call.operation).or_default() += 1;
    }
    calls
}

/// How many pages were listed, and how many findings asked for by themselves.
fn asked(iot: &MemoryIot) -> (usize, usize) {
    let calls = calls(iot);
    let of = |operation: &str| calls.get(operation).copied().unwrap_or(0);
    (of("ListAuditFindings"), of("DescribeAuditFinding"))
}

fn authenticator(iot: &MemoryIot) -> Authenticator<MemoryIot> {
    Authenticator::new(iot.clone(), Arc::default())
}

/// Known to Device Defender, about a certificate of its own.
fn genuine(iot: &MemoryIot, n: u64) -> Finding {
    let finding = finding(
        &format!("device-{n}"),
        SHARED,
        "DEVICE_CERTIFICATE",
        ResourceIdentifier::DeviceCertificate(certificate(n)),
    );
    iot.put_finding(&finding);
    finding
}

async fn verdict(authenticator: &Authenticator<MemoryIot>, iot: &MemoryIot, finding: &Finding) -> Verdict {
    authenticator.verdict(iot, finding).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_findings_of_one_audit_over_two_checks_cost_ten_calls_and_all_are_mitigated() {
    let house = House::new();
    for n in 0..500 {
        house.publish(&house.device(n)).await;
        house.publish(&client_finding(n)).await;
    }
    house.work().await;
    assert!(house.ledger.records().iter().all(|record| record.status == Status::Mitigated));
    assert_eq!(house.iot.effects("UpdateCertificate").len(), 500);
    // At 8/s the certificates take a minute; the books live for five.
    assert_eq!(asked(&house.iot), (4, 2), "two pages of each check, and the first finding of each by itself");
}

#[tokio::test(start_paused = true)]
async fn a_forged_finding_among_genuine_ones_of_its_audit_is_given_up_with_what_is_wrong_with_it() {
    let house = House::new();
    let genuine: Vec<_> = (0..20).map(|n| house.device(n)).collect();
    for finding in &genuine {
        house.publish(finding).await;
    }
    let victim = certificate(77);
    house.iot.put_certificate(&victim, "ACTIVE");
    let real = |n: u64| {
        let real = house.device(n);
        house.iot.put_finding(&real);
        real
    };
    let other_check = "DEVICE_CERTIFICATE_EXPIRING_CHECK";
    let mut policy = house.policy.clone();
    policy.rules[0].matcher.check.push(other_check.into());
    let forged = [
        (Finding { finding_id: "made-up".into(), ..real(30) }, "no finding made-up"),
        (with_resource(real(31), ResourceIdentifier::DeviceCertificate(victim.clone())), "another resource"),
        (Finding { check: other_check.into(), ..real(32) }, "the message says check DEVICE_CERTIFICATE_EXPIRING_CHECK"),
        (Finding { reason_code: "OTHER".into(), ..real(33) }, "the message says reason code OTHER"),
        (
            Finding { task_id: Some("audit-2".into()), ..real(34) },
            "the message says audit audit-2, Device Defender says audit-1",
        ),
        (
            Finding { task_id: Some("x".repeat(40)), finding_id: "made-up-too".into(), ..real(35) },
            "no finding made-up-too",
        ),
    ];
    for (finding, _) in &forged {
        house.send(&encode_own(finding, None)).await;
    }
    let mut worker = house.worker("worker");
    worker.policy = policy;
    finish(worker.run(tokio_util::sync::CancellationToken::new())).await;
    for (finding, sentence) in &forged {
        let record = house.record(finding);
        assert_eq!(record.status, Status::Dead, "{}", record.detail);
        assert!(record.detail.starts_with("not_authentic: ") && record.detail.contains(sentence), "{}", record.detail);
    }
    assert_eq!(house.dead_letters().len(), forged.len());
    assert!(genuine.iter().all(|finding| house.status(finding) == Status::Mitigated));
    assert_eq!(house.iot.certificate(&victim).as_deref(), Some("ACTIVE"));
    assert_eq!(house.iot.effects("UpdateCertificate").len(), genuine.len());
}

fn with_resource(finding: Finding, identifier: ResourceIdentifier) -> Finding {
    let mut finding = finding;
    finding.resource.identifier = identifier;
    finding
}

#[tokio::test(start_paused = true)]
async fn findings_that_device_defender_suppresses_are_known_by_the_page() {
    let house = House::new();
    let mut findings: Vec<_> = (0..10).map(|n| house.device(n)).collect();
    for finding in &mut findings {
        // The message does not say so.
        let message = encode_own(finding, None);
        finding.suppressed = true;
        house.iot.put_finding(finding);
        house.send(&message).await;
    }
    house.work().await;
    assert!(findings.iter().all(|finding| house.status(finding) == Status::Suppressed));
    assert_eq!(asked(&house.iot), (1, 1));
    assert!(house.iot.effects("UpdateCertificate").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_suppression_is_seen_when_the_book_is_five_minutes_old() {
    let iot = MemoryIot::new();
    let (first, mut second) = (genuine(&iot, 1), genuine(&iot, 2));
    let authenticator = authenticator(&iot);
    for finding in [&first, &first, &second] {
        assert_eq!(verdict(&authenticator, &iot, finding).await, Verdict::Genuine);
    }
    let message = second.clone();
    second.suppressed = true;
    iot.put_finding(&second);
    tokio::time::sleep(Duration::from_secs(299)).await;
    assert_eq!(verdict(&authenticator, &iot, &message).await, Verdict::Genuine);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(verdict(&authenticator, &iot, &message).await, Verdict::Suppressed);
    assert_eq!(verdict(&authenticator, &iot, &message).await, Verdict::Suppressed);
    assert_eq!(asked(&iot), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_forged_findings_has_one_call_each_made_for_it_whatever_audits_it_names() {
    let iot = MemoryIot::new();
    (0..600).for_each(|n| drop(genuine(&iot, n)));
    let authenticator = authenticator(&iot);
    for n in 0..1_000 {
        let task_id = if n % 2 == 0 { "audit-1".to_owned() } else { format!("audit-{n}") };
        let forged = Finding { finding_id: format!("made-up-{n}"), task_id: Some(task_id), ..genuine(&iot, 0) };
        assert!(matches!(verdict(&authenticator, &iot, &forged).await, Verdict::NotAuthentic(_)));
    }
    assert_eq!(asked(&iot), (3, 1_000), "the three pages of the audit that there is are read once");
}

#[tokio::test(start_paused = true)]
async fn without_permission_to_list_each_finding_is_asked_for_by_itself_and_the_list_hardly_ever() {
    for class in [Class::Denied, Class::Permanent] {
        let house = House::new();
        let findings: Vec<_> = (0..100).map(|n| house.device(n)).collect();
        for finding in &findings {
            house.publish(finding).await;
        }
        let worker = meeting(house.worker("worker"), always(LIST, Fate::Fail(class)));
        finish(worker.run(tokio_util::sync::CancellationToken::new())).await;
        assert!(findings.iter().all(|finding| house.status(finding) == Status::Mitigated));
        assert_eq!(asked(&house.iot), (1, 100));
        assert_eq!(house.telemetry.counts().breaker_trips, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_throttled_for_a_while_is_used_again_afterwards() {
    let iot = MemoryIot::new();
    let findings: Vec<_> = (0..50).map(|n| genuine(&iot, n)).collect();
    let failures = Arc::new(AtomicUsize::new(2));
    let throttled = {
        let failures = Arc::clone(&failures);
        move |call: &'static str| {
            let fails = call == LIST
                && failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
            if fails { Fate::Fail(Class::Throttled) } else { Fate::Proceed }
        }
    };
    let authenticator = authenticator(&iot.with_fates(Arc::new(throttled)));
    for finding in &findings {
        assert_eq!(verdict(&authenticator, &iot, finding).await, Verdict::Genuine);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let (pages, alone) = asked(&iot);
    assert_eq!(pages, 3, "two that failed, ten seconds apart, and one that did not");
    assert!((20..=25).contains(&alone), "{alone} were asked for one by one");
}

#[tokio::test(start_paused = true)]
async fn findings_that_come_at_once_wait_for_one_page_and_one_that_is_dropped_leaves_it_to_the_next() {
    for dropped in [false, true] {
        let iot = MemoryIot::new();
        let findings: Vec<_> = (0..65).map(|n| genuine(&iot, n)).collect();
        let slow = iot.with_fates(always(LIST, Fate::Late(Duration::from_secs(1))));
        let authenticator = Arc::new(authenticator(&slow));
        let tasks: Vec<_> = findings
            .into_iter()
            .map(|finding| {
                let (authenticator, iot) = (Arc::clone(&authenticator), iot.clone());
                tokio::spawn(async move { verdict(&authenticator, &iot, &finding).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(500)).await;
        let began = Instant::now();
        for (n, task) in tasks.into_iter().enumerate() {
            // The first was asked for by itself, the second reads the page.
            if n == 1 && dropped {
                task.abort();
                assert!(task.await.is_err());
                continue;
            }
            assert_eq!(task.await.unwrap(), Verdict::Genuine, "{n}");
        }
        assert!(began.elapsed() <= Duration::from_secs(1), "{:?}", began.elapsed());
        assert_eq!(asked(&iot), (1, 1), "the page that nobody waited for any more was never answered");
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_hangs_holds_nobody_up_but_the_one_who_reads_it() {
    let iot = MemoryIot::new();
    let findings: Vec<_> = (0..10).map(|n| genuine(&iot, n)).collect();
    let hanging = iot.with_fates(always(LIST, Fate::Late(FOR_EVER)));
    let authenticator = Arc::new(authenticator(&hanging));
    verdict(&authenticator, &iot, &findings[0]).await;
    let reader = {
        let (authenticator, iot, finding) = (Arc::clone(&authenticator), iot.clone(), findings[1].clone());
        tokio::spawn(async move { verdict(&authenticator, &iot, &finding).await })
    };
    tokio::task::yield_now().await;
    let began = Instant::now();
    for finding in &findings[2..] {
        assert_eq!(verdict(&authenticator, &iot, finding).await, Verdict::Genuine);
    }
    assert_eq!(began.elapsed(), PAGE_PATIENCE, "the first waits for it, the others know that it is late");
    assert!(!reader.is_finished());
    reader.abort();
}

#[tokio::test(start_paused = true)]
async fn a_finding_of_no_audit_is_asked_for_by_itself() {
    let iot = MemoryIot::new();
    let authenticator = authenticator(&iot);
    for n in 0..10 {
        let finding = Finding { task_id: None, ..genuine(&iot, n) };
        assert_eq!(verdict(&authenticator, &iot, &finding).await, Verdict::Genuine);
    }
    assert_eq!(asked(&iot), (0, 10));
}

#[tokio::test(start_paused = true)]
async fn what_the_single_call_fails_with_is_told() {
    let iot = MemoryIot::new();
    let finding = genuine(&iot, 1);
    let failing = iot.with_fates(always(DESCRIBE, Fate::Fail(Class::Denied)));
    let answer: Result<Verdict, CallError> = authenticator(&iot).verdict(&failing, &finding).await;
    assert_eq!(answer.unwrap_err().class, Class::Denied);
}

/// Bug: such a message kept the genuine one out, as a duplicate of what is suppressed.
#[tokio::test(start_paused = true)]
async fn a_message_cannot_suppress_a_finding_that_device_defender_does_not() {
    let house = House::new();
    let finding = house.device(1);
    house.iot.put_finding(&finding);
    let mut forged = finding.clone();
    forged.suppressed = true;
    house.send(&encode_own(&forged, None)).await;
    house.send(&encode_own(&finding, None)).await;
    finish(house.work()).await;
    assert_eq!(house.status(&finding), Status::Mitigated, "{}", house.record(&finding).detail);
    assert_eq!(house.iot.certificate(&certificate(1)).as_deref(), Some("INACTIVE"));
}

/// Bug: a rule goes by the severity, and nobody asked Device Defender for it.
#[tokio::test(start_paused = true)]
async fn a_message_cannot_make_a_finding_worse_than_it_is_to_get_it_under_another_rule() {
    for n in [1, 30] {
        let mut house = House::new();
        house.policy.rules[0].matcher.severity = vec![Severity::Critical];
        for n in 0..n {
            let mut known = house.device(n);
            house.send(&encode_own(&known, None)).await;
            known.severity = Severity::Low;
            house.iot.put_finding(&known);
        }
        finish(house.work()).await;
        assert!(house.iot.effects("UpdateCertificate").is_empty());
        assert!(house.dead_letters().iter().all(|(reason, _)| reason == "not_authentic"));
        assert_eq!(house.dead_letters().len(), usize::try_from(n).unwrap());
    }
}
