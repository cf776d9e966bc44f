//! Replays of the ledger, on the twins, with workers beside them.

use crate::house::*;
use crate::replay_runs::{PUBLISH, bury, clients, cut_off, order};
use fleetwarden::aws::{Class, Fate};
use fleetwarden::finding::Finding;
use fleetwarden::ledger::Status;
use fleetwarden::policy::Mode;
use fleetwarden::replay::{Ended, Filter, LedgerReplay, Order, Summary};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const HOUR: Duration = Duration::from_secs(3600);

async fn replay_ledger(house: &House, statuses: &[Status], order: &Order) -> (Summary, Ended) {
    let replay = LedgerReplay {
        ledger: &house.ledger,
        queue: &house.queue,
        clock: &house.clock,
        statuses,
        filter: &Filter::default(),
        order,
    };
    finish(replay.run(&mut |_| {}, &CancellationToken::new())).await
}

#[tokio::test(start_paused = true)]
async fn observed_findings_are_replayed_from_the_ledger_once_for_one_id() {
    let mut house = House::new();
    house.policy.mode = Mode::Observe;
    let findings: Vec<Finding> = (0..30).map(|n| house.device(n)).collect();
    for finding in &findings {
        house.publish(finding).await;
    }
    house.work().await;
    house.policy.mode = Mode::Enforce;
    let (summary, ended) = replay_ledger(&house, &[Status::Dead], &order("replay-0")).await;
    assert_eq!((ended, summary.sent), (Ended::Done, 0), "none of them is dead");
    let (summary, ended) = replay_ledger(&house, &[Status::Observed], &order("replay-1")).await;
    assert_eq!((ended, summary.sent), (Ended::Done, 30));
    // Once more before a worker came: what is on the queue twice is claimed once.
    replay_ledger(&house, &[Status::Observed], &order("replay-1")).await;
    assert_eq!(house.queue.contents().len(), 60);
    house.work().await;
    assert!(findings.iter().all(|finding| house.status(finding) == Status::Mitigated));
    assert_eq!(house.iot.effects("UpdateCertificate").len(), 30);
    let replayed = house.record(&findings[0]).replayed.unwrap();
    assert_eq!((replayed.times, replayed.last.of.as_deref()), (1, Some("ledger")));
}

#[tokio::test(start_paused = true)]
async fn a_forced_replay_of_the_ledger_does_everything_once_more_and_under_its_id_never_again() {
    let house = House::new();
    let findings = clients(20);
    for finding in &findings {
        house.publish(finding).await;
    }
    house.work().await;
    let (summary, _) = replay_ledger(&house, &[Status::Mitigated], &order("replay-1")).await;
    assert_eq!((summary.mitigated, summary.sent), (20, 0));
    let forced = Order { force: true, ..order("replay-2") };
    for round in 0..3 {
        let (summary, _) = replay_ledger(&house, &[Status::Mitigated], &forced).await;
        assert_eq!((summary.sent, summary.replayed_already), if round == 0 { (20, 0) } else { (0, 20) });
        house.work().await;
        assert_eq!(house.iot.effects("Publish").len(), 40, "round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_replay_of_the_ledger_stops_when_what_it_sends_dies_again() {
    let house = House::new();
    bury(&house, &clients(400)).await;
    let broken = always(PUBLISH, Fate::Fail(Class::Permanent));
    let worker = start_for_good(meeting(house.worker("worker"), broken));
    let (summary, ended) = replay_ledger(&house, &[Status::Dead], &order("replay-1")).await;
    assert!(matches!(ended, Ended::DyingAgain { .. }), "{ended:?}");
    assert!(summary.sent < 200, "{} were sent", summary.sent);
    worker.end().await;
}

/// By force each finding is published once more, and once only.
#[tokio::test(start_paused = true)]
async fn a_forced_replay_of_the_ledger_publishes_once_more_wherever_it_is_cut_off() {
    for seed in 0..60 {
        println!("seed {seed}");
        let mut rng = fastrand::Rng::with_seed(seed);
        let house = House::new();
        let findings = clients(15);
        for finding in &findings {
            house.publish(finding).await;
        }
        house.work().await;
        let forced = Order { force: true, ..order("replay-1") };
        for _ in 0..rng.usize(1..4) {
            let fates = cut_off(rng.fork(), 7);
            let (ledger, queue) = (house.ledger.with_fates(Arc::clone(&fates)), house.queue.with_fates(fates));
            let cut = LedgerReplay {
                ledger: &ledger,
                queue: &queue,
                clock: &house.clock,
                statuses: &[Status::Mitigated],
                filter: &Filter::default(),
                order: &forced,
            };
            let _ = tokio::time::timeout(HOUR, cut.run(&mut |_| {}, &CancellationToken::new())).await;
            if rng.bool() {
                house.work().await;
            }
        }
        let (_, ended) = replay_ledger(&house, &[Status::Mitigated], &forced).await;
        assert_eq!(ended, Ended::Done, "seed {seed}");
        house.work().await;
        for finding in &findings {
            let record = house.record(finding);
            let times = record.replayed.map(|replayed| replayed.times);
            assert_eq!((record.status, times), (Status::Mitigated, Some(1)), "seed {seed}");
        }
        assert_eq!(house.iot.effects("Publish").len(), 30, "seed {seed}");
        assert!(house.queue.contents().is_empty() && house.dead.contents().is_empty(), "seed {seed}");
    }
}
