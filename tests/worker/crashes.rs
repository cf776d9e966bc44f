//! A crash at every single call, before it runs and after it ran, one after the other.

use crate::house::*;
use fleetwarden::aws::Fate;
use fleetwarden::finding::Finding;
use fleetwarden::ledger::Status;
use fleetwarden::policy::BLANK_POLICY;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Works on `finding` with a worker that is gone from its `n`-th call on, then with another one. Whether the crash came at all.
async fn crashing_at(n: usize, ran: bool, house: &House, finding: &Finding) -> bool {
    house.publish(finding).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let mut worker = house.worker("crashing");
    worker.config.pollers = 1;
    let crashing = start_for_good(meeting(
        worker,
        Arc::new(move |call: &'static str| match counter.fetch_add(1, Ordering::SeqCst) + 1 {
            before if before < n => Fate::Proceed,
            // It ran, and whoever made it hears of nothing any more.
            this if this == n && ran && call != "queue.receive" => Fate::ReplyLost,
            _ => Fate::Late(FOR_EVER),
        }),
    ));
    seconds(5).await;
    let crashed = calls.load(Ordering::SeqCst) >= n && !house.queue.contents().is_empty();
    crashing.task.abort();
    house.work().await;
    assert!(house.queue.contents().is_empty(), "the message is left after a crash at call {n}, ran: {ran}");
    crashed
}

/// Every crash point of a finding's way, until there are no more.
async fn every_crash(make: impl Fn(&House) -> Finding, check: impl Fn(&House, &Finding, &str)) {
    for ran in [false, true] {
        let mut points = 0;
        for n in 1.. {
            let house = House::new();
            let finding = make(&house);
            let crashed = finish(crashing_at(n, ran, &house, &finding)).await;
            check(&house, &finding, &format!("crash at call {n}, ran: {ran}"));
            if !crashed && n > 3 {
                break;
            }
            points += 1;
        }
        assert!(points >= 6, "only {points} crash points were met");
    }
}

#[tokio::test(start_paused = true)]
async fn a_certificate_is_deactivated_wherever_the_worker_crashes() {
    let check = |house: &House, finding: &Finding, when: &str| {
        assert_eq!(house.iot.certificate(&certificate(1)).as_deref(), Some("INACTIVE"), "{when}");
        assert!(matches!(house.status(finding), Status::Mitigated | Status::Compliant), "{when}");
        assert_eq!(house.iot.effects("UpdateCertificate").len(), 1, "{when}");
        assert!(house.dead.contents().is_empty(), "{when}");
    };
    every_crash(|house| house.device(1), check).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_policy_gets_one_version_and_loses_one_wherever_the_worker_crashes() {
    let make = |house: &House| {
        house.iot.put_policy("Wide", &[WIDE, "{}", "{}", "{}", "{}"]);
        house.iot.set_default_version("Wide", "1");
        policy_finding("p-1", PERMISSIVE, "Wide")
    };
    let check = |house: &House, finding: &Finding, when: &str| {
        let (versions, default) = house.iot.policy("Wide").unwrap();
        assert!(versions.contains(&(default, BLANK_POLICY.to_owned())), "{when}");
        let effects = ["CreatePolicyVersion", "DeletePolicyVersion"].map(|name| house.iot.effects(name).len());
        assert_eq!(effects, [1, 1], "{when}");
        let record = house.record(finding);
        assert_eq!(record.status, Status::Mitigated, "{when}");
        let prior = record.steps[0].prior.as_ref().unwrap();
        assert_eq!((&prior["default_version"], &prior["deleted"][0]["version"]), (&"1".into(), &"2".into()), "{when}");
    };
    every_crash(make, check).await;
}

#[tokio::test(start_paused = true)]
async fn a_finding_is_published_at_most_once_and_a_person_is_asked_where_nobody_can_tell() {
    let check = |house: &House, finding: &Finding, when: &str| {
        let sent = house.iot.published(TOPIC).len();
        match house.status(finding) {
            Status::Mitigated => assert_eq!(sent, 1, "{when}"),
            Status::Dead => {
                assert!(sent <= 1, "{when}");
                let letters = house.dead_letters();
                assert!(!letters.is_empty() && letters.iter().all(|(reason, _)| reason == "outcome_unknown"), "{when}");
            }
            other => panic!("{other} after a {when}"),
        }
    };
    every_crash(|_| client_finding(1), check).await;
}
