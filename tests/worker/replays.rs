//! Replayed messages at the worker: claimed once for one replay, checked as any other, on record.

use crate::house::*;
use fleetwarden::aws::{Class, Fate, Fates, Script};
use fleetwarden::finding::{Finding, Replay, encode_own};
use fleetwarden::ledger::Status;
use fleetwarden::policy::Mode;
use fleetwarden::queue::{Outgoing, Queue};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

fn replay(id: &str, force: bool) -> Replay {
    Replay {
        force,
        replay_of: Some("letter-1".into()),
        by: Some("ops".into()),
        id: Some(id.into()),
        at: Some(1_791_014_500_000),
    }
}

/// A finding whose publication is on record, known to Device Defender.
async fn published(house: &House) -> Finding {
    let finding = client_finding(1);
    house.publish(&finding).await;
    house.work().await;
    assert_eq!(house.iot.effects("Publish").len(), 1);
    finding
}

/// Bug: a forced replay that was delivered twice published twice.
#[tokio::test(start_paused = true)]
async fn a_forced_replay_that_is_delivered_twice_publishes_once() {
    let house = House::new();
    let finding = published(&house).await;
    let body = encode_own(&finding, Some(&replay("replay-1", true)));
    house.send(&body).await;
    house.work().await;
    assert_eq!(house.iot.effects("Publish").len(), 2, "by force once more");
    house.send(&body).await;
    house.work().await;
    assert_eq!(house.iot.effects("Publish").len(), 2);
    assert!(house.queue.contents().is_empty() && house.dead.contents().is_empty());
    let replayed = house.record(&finding).replayed.unwrap();
    assert_eq!((replayed.times, replayed.last.id.as_str()), (1, "replay-1"));

    house.send(&encode_own(&finding, Some(&replay("replay-2", true)))).await;
    house.work().await;
    assert_eq!(house.iot.effects("Publish").len(), 3, "another replay is another order");
}

/// Bug: a forced replay whose end could not be written published again when its claim was taken over.
#[tokio::test(start_paused = true)]
async fn a_forced_replay_whose_end_was_lost_leaves_it_to_a_person_whether_to_publish_again() {
    let house = House::new();
    let finding = published(&house).await;
    house.send(&encode_own(&finding, Some(&replay("replay-1", true)))).await;
    // Published; then the end cannot be written (and not because the ledger is away, for it would be kept then), and the lease
    // runs out.
    let script = Script::new([("ledger.finish", Fate::Fail(Class::Permanent))]);
    let worker = meeting(house.worker("worker"), Arc::new(script));
    finish(worker.run(CancellationToken::new())).await;
    assert_eq!(house.iot.effects("Publish").len(), 2);
    let record = house.record(&finding);
    assert!(record.epoch > 2, "it was taken over at least once: epoch {}", record.epoch);
    assert_eq!(record.status, Status::Dead);
    assert_eq!(house.dead_letters(), [("outcome_unknown".to_owned(), finding.finding_id)]);
}

/// Bug: a forced replay that came while the same finding was in hand was settled with the end of the work that was not forced.
#[tokio::test(start_paused = true)]
async fn a_forced_replay_that_meets_its_finding_in_hand_comes_again_and_is_done() {
    let house = House::new();
    let finding = client_finding(1);
    house.publish(&finding).await;
    house.send(&encode_own(&finding, Some(&replay("replay-1", true)))).await;
    house.send(&encode_own(&finding, Some(&replay("replay-1", true)))).await;
    house.work().await;
    assert_eq!(house.iot.effects("Publish").len(), 2, "once for the finding, once for the order");
    assert_eq!(house.record(&finding).replayed.unwrap().times, 1);
    assert!(house.queue.contents().is_empty() && house.dead.contents().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_replay_without_force_does_nothing_about_what_is_mitigated() {
    let house = House::new();
    let finding = published(&house).await;
    house.send(&encode_own(&finding, Some(&replay("replay-1", false)))).await;
    house.work().await;
    assert_eq!(house.iot.effects("Publish").len(), 1);
    assert_eq!(house.record(&finding).replayed, None);
}

#[tokio::test(start_paused = true)]
async fn an_observed_finding_is_asked_for_at_device_defender_when_it_is_replayed_and_then_acted_on() {
    let mut house = House::new();
    house.policy.mode = Mode::Observe;
    let (true_one, changed) = (house.device(1), house.device(2));
    let gone = house.device(3);
    for finding in [&true_one, &changed] {
        house.publish(finding).await;
    }
    house.send(&encode_own(&gone, None)).await;
    house.work().await;
    let all = [&true_one, &changed, &gone];
    assert!(all.iter().all(|finding| house.status(finding) == Status::Observed));

    house.policy.mode = Mode::Enforce;
    house.iot.put_certificate(&certificate(2), "INACTIVE");
    for finding in all {
        house.send(&encode_own(finding, Some(&replay("replay-1", false)))).await;
    }
    house.work().await;
    assert_eq!(house.status(&true_one), Status::Mitigated);
    assert_eq!(house.status(&changed), Status::Compliant, "somebody mended it meanwhile");
    assert_eq!(house.status(&gone), Status::Dead, "Device Defender does not know it");
    assert_eq!(house.dead_letters(), [("not_authentic".to_owned(), gone.finding_id.clone())]);
    assert_eq!(house.iot.effects("UpdateCertificate").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dead_finding_is_compared_with_the_resource_as_it_is_now_when_it_is_replayed() {
    let house = House::new();
    let (still, mended) = (house.device(1), house.device(2));
    house.publish(&still).await;
    house.publish(&mended).await;
    let broken: Arc<dyn Fates> = always("iot.deactivate_certificate", Fate::Fail(Class::Permanent));
    finish(meeting(house.worker("worker"), broken).run(CancellationToken::new())).await;
    assert_eq!((house.status(&still), house.status(&mended)), (Status::Dead, Status::Dead));

    house.iot.put_certificate(&certificate(2), "INACTIVE");
    for finding in [&still, &mended] {
        house.send(&encode_own(finding, Some(&replay("replay-1", false)))).await;
    }
    house.work().await;
    assert_eq!((house.status(&still), house.status(&mended)), (Status::Mitigated, Status::Compliant));
    let replayed = house.record(&still).replayed.unwrap();
    assert_eq!(
        (replayed.last.of.as_deref(), replayed.last.by.as_deref(), replayed.last.at),
        (Some("letter-1"), Some("ops"), Some(1_791_014_500_000))
    );
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_was_moved_back_natively_is_worked_on_even_if_it_died_of_a_replay() {
    let house = House::new();
    let finding = house.device(1);
    house.iot.put_finding(&finding);
    house.send(&encode_own(&finding, Some(&replay("replay-1", true)))).await;
    let broken: Arc<dyn Fates> = always("iot.deactivate_certificate", Fate::Fail(Class::Permanent));
    finish(meeting(house.worker("worker"), broken).run(CancellationToken::new())).await;
    assert_eq!(house.status(&finding), Status::Dead);

    let letter = house.dead.contents().remove(0);
    assert!(letter.attributes.contains_key("reason"));
    let moved: Outgoing = letter;
    house.queue.send(std::slice::from_ref(&moved)).await.unwrap().remove(0).unwrap();
    house.work().await;
    assert_eq!(house.status(&finding), Status::Mitigated);
    let replayed = house.record(&finding).replayed.unwrap();
    assert_eq!((replayed.times, replayed.last.of.as_deref()), (2, Some("dead-letter queue")));
    assert!(!replayed.last.force, "what the earlier replay was told died with it");
    assert_ne!(moved.attributes, BTreeMap::new());
}
