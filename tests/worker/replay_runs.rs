//! Replays of dead letters and of the ledger, on the twins, with workers beside them.

use crate::house::*;
use fleetwarden::aws::{Class, Fate, Fates};
use fleetwarden::finding::{Finding, Origin};
use fleetwarden::ledger::Status;
use fleetwarden::queue::{MemoryQueue, Queue};
use fleetwarden::replay::{DeadLetterReplay, Ended, Filter, MAX_HELD, Order, Summary};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub const PUBLISH: &str = "iot.publish";
const DEACTIVATE: &str = "iot.deactivate_certificate";

pub fn order(id: &str) -> Order {
    Order { id: id.into(), by: Some("ops".into()), force: false, rate: 50, keep_going: false }
}

/// One run over the dead letters; `fates` are met by what it calls, not by the workers.
async fn replay_with(
    house: &House,
    filter: &Filter,
    order: &Order,
    fates: Option<Arc<dyn Fates>>,
    stop: &CancellationToken,
) -> (Summary, Ended) {
    let meeting =
        |queue: &MemoryQueue| fates.as_ref().map_or(queue.clone(), |fates| queue.with_fates(Arc::clone(fates)));
    let replay = DeadLetterReplay {
        dead_letters: &meeting(&house.dead),
        queue: &meeting(&house.queue),
        ledger: &house.ledger,
        clock: &house.clock,
        origin: &Origin { account: Some(ACCOUNT.into()), region: Some(REGION.into()) },
        filter,
        order,
        max_held: MAX_HELD,
    };
    replay.run(&mut |_| {}, stop).await
}

async fn replay(house: &House, filter: &Filter, order: &Order) -> (Summary, Ended) {
    finish(replay_with(house, filter, order, None, &CancellationToken::new())).await
}

/// What a bad deployment leaves: every finding tried once, refused for good, and given up.
pub async fn bury(house: &House, findings: &[Finding]) {
    for finding in findings {
        house.publish(finding).await;
    }
    let broken: Arc<dyn Fates> =
        Arc::new(
            |call: &'static str| {
                if call == PUBLISH || call == DEACTIVATE { Fate::Fail(Class::Permanent) } else { Fate::Proceed }
            },
        );
    finish(meeting(house.worker("broken"), broken).run(CancellationToken::new())).await;
    assert!(findings.iter().all(|finding| house.status(finding) == Status::Dead));
    assert_eq!(house.dead.contents().len(), findings.len());
    // What comes later was given up later.
    seconds(1).await;
}

pub fn clients(n: u64) -> Vec<Finding> {
    (0..n).map(client_finding).collect()
}

/// Letters that anybody can receive right now.
async fn visible(house: &House) -> u64 {
    house.dead.depth().await.unwrap().visible
}

#[tokio::test(start_paused = true)]
async fn what_a_bad_deployment_gave_up_is_mitigated_and_its_lineage_is_on_record() {
    let house = House::new();
    let findings: Vec<Finding> = (0..30).map(|n| house.device(n)).collect();
    bury(&house, &findings).await;
    let (summary, ended) = replay(&house, &Filter::default(), &order("replay-1")).await;
    assert_eq!(ended, Ended::Done);
    assert_eq!((summary.looked_at, summary.chosen(), summary.sent, summary.deleted), (30, 30, 30, 30), "{summary:?}");
    assert!(house.dead.contents().is_empty());
    house.work().await;
    let mut letters = HashSet::new();
    for finding in &findings {
        let record = house.record(finding);
        assert_eq!(record.status, Status::Mitigated);
        let replayed = record.replayed.unwrap();
        assert_eq!(
            (replayed.times, replayed.last.id.as_str(), replayed.last.by.as_deref()),
            (1, "replay-1", Some("ops"))
        );
        let of = replayed.last.of.unwrap();
        assert!(of.starts_with("dead-"), "a letter's message id: {of}");
        letters.insert(of);
    }
    assert_eq!(letters.len(), 30);
    assert!(house.dead.contents().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_plan_sends_and_deletes_nothing_and_hides_nothing() {
    let house = House::new();
    bury(&house, &clients(25)).await;
    let before = house.dead.contents();
    let (filter, order) = (Filter::default(), order("replay-1"));
    let planned = DeadLetterReplay {
        dead_letters: &house.dead,
        queue: &house.queue,
        ledger: &house.ledger,
        clock: &house.clock,
        origin: &Origin::default(),
        filter: &filter,
        order: &order,
        max_held: MAX_HELD,
    };
    let (summary, ended) = finish(planned.plan(&CancellationToken::new())).await;
    assert_eq!((ended, summary.sent, summary.looked_at), (Ended::Done, 0, 25));
    let group = ("permanent_error".to_owned(), CLIENTS.to_owned());
    assert_eq!(summary.chosen.into_iter().collect::<Vec<_>>(), [(group, 25)]);
    assert_eq!((house.dead.contents(), visible(&house).await), (before, 25));
    assert!(house.queue.contents().is_empty());
}

#[tokio::test(start_paused = true)]
async fn letters_that_are_not_meant_are_visible_to_others_as_soon_as_it_ends() {
    let house = House::new();
    let findings = clients(25);
    bury(&house, &findings).await;
    let ids = findings[..4].iter().map(|finding| finding.finding_id.clone()).collect();
    let filter = Filter { ids: Some(ids), ..Filter::default() };
    let (summary, ended) = replay(&house, &filter, &order("replay-1")).await;
    assert_eq!((ended, summary.looked_at, summary.sent), (Ended::Done, 25, 4));
    assert_eq!((house.dead.contents().len(), visible(&house).await), (21, 21));
    house.work().await;
    for (n, finding) in findings.iter().enumerate() {
        assert_eq!(house.status(finding), if n < 4 { Status::Mitigated } else { Status::Dead });
    }
}

#[tokio::test(start_paused = true)]
async fn more_letters_than_can_be_held_end_the_run_and_are_given_back() {
    let house = House::new();
    bury(&house, &clients(60)).await;
    let filter = Filter { ids: Some(HashSet::new()), ..Filter::default() };
    let order = order("replay-1");
    let replay = DeadLetterReplay {
        dead_letters: &house.dead,
        queue: &house.queue,
        ledger: &house.ledger,
        clock: &house.clock,
        origin: &Origin::default(),
        filter: &filter,
        order: &order,
        max_held: 40,
    };
    let (summary, ended) = finish(replay.run(&mut |_| {}, &CancellationToken::new())).await;
    assert_eq!((ended, summary.sent), (Ended::Full, 0));
    assert_eq!(visible(&house).await, 60);
}

#[tokio::test(start_paused = true)]
async fn a_mitigated_finding_is_skipped_and_its_letter_stays_unless_it_is_forced() {
    let house = House::new();
    let findings = clients(3);
    bury(&house, &findings).await;
    let letters = house.dead.contents();
    replay(&house, &Filter::default(), &order("replay-1")).await;
    house.work().await;
    for letter in letters {
        house.dead.send(&[letter]).await.unwrap().remove(0).unwrap();
    }
    seconds(1).await;
    let (summary, _) = replay(&house, &Filter::default(), &order("replay-2")).await;
    assert_eq!((summary.mitigated, summary.sent, visible(&house).await), (3, 0, 3));

    let forced = Order { force: true, ..order("replay-3") };
    let (summary, _) = replay(&house, &Filter::default(), &forced).await;
    assert_eq!((summary.mitigated, summary.sent), (0, 3));
    house.work().await;
    assert_eq!(house.iot.effects("Publish").len(), 6);
    assert!(house.dead.contents().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_nobody_understands_goes_back_as_it_came_and_once_in_a_run() {
    let house = House::new();
    house.send("no json").await;
    house.send("no json").await;
    house.work().await;
    seconds(1).await;
    let worker = start_for_good(house.worker("worker"));
    let (summary, ended) = replay(&house, &Filter::default(), &order("replay-1")).await;
    assert_eq!((ended, summary.sent), (Ended::Done, 2), "those that come back at once are not sent again");
    seconds(30).await;
    worker.end().await;
    assert!(house.dead.contents().iter().all(|letter| letter.body == "no json"));
    assert_eq!((house.dead.contents().len(), visible(&house).await), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_kept() {
    let house = House::new();
    bury(&house, &clients(100)).await;
    let began = Instant::now();
    let (summary, _) = replay(&house, &Filter::default(), &Order { rate: 5, ..order("replay-1") }).await;
    let took = began.elapsed();
    assert_eq!(summary.sent, 100);
    assert!((19..30).contains(&took.as_secs()), "100 messages at 5 a second took {took:?}");
}

#[tokio::test(start_paused = true)]
async fn letters_held_longer_than_they_are_hidden_are_counted_once() {
    let house = House::new();
    let findings = clients(40);
    bury(&house, &findings).await;
    // Twenty messages in chunks of five, a hundred seconds each: the others are hidden for longer than one visibility timeout.
    let ids = findings.iter().step_by(2).map(|finding| finding.finding_id.clone()).collect();
    let filter = Filter { ids: Some(ids), ..Filter::default() };
    let slow: Arc<dyn Fates> =
        Arc::new(
            |call: &'static str| {
                if call == "queue.send" { Fate::Late(Duration::from_secs(100)) } else { Fate::Proceed }
            },
        );
    let none = CancellationToken::new();
    let (summary, ended) = finish(replay_with(&house, &filter, &order("replay-1"), Some(slow), &none)).await;
    assert_eq!((ended, summary.looked_at, summary.sent), (Ended::Done, 40, 20));
    assert_eq!(visible(&house).await, 20);
}

#[tokio::test(start_paused = true)]
async fn a_replay_into_a_deployment_that_is_still_broken_stops_and_says_why() {
    let house = House::new();
    let findings = clients(300);
    bury(&house, &findings).await;
    let broken: Arc<dyn Fates> = always(PUBLISH, Fate::Fail(Class::Permanent));
    let worker = start_for_good(meeting(house.worker("worker"), Arc::clone(&broken)));
    let (summary, ended) = replay(&house, &Filter::default(), &order("replay-1")).await;
    assert!(matches!(ended, Ended::DyingAgain { dead, of } if dead >= 10 && dead == of), "{ended:?}");
    assert!(summary.sent < 150, "{} were sent", summary.sent);
    assert!(summary.errors.keys().any(|error| error.contains("Publish")), "{:?}", summary.errors);
    seconds(60).await;
    assert_eq!((house.dead.contents().len(), visible(&house).await), (300, 300), "nothing is lost");

    let stubborn = Order { keep_going: true, ..order("replay-1") };
    let (rest, ended) = replay(&house, &Filter::default(), &stubborn).await;
    assert_eq!(ended, Ended::Done);
    let twice = "what died of this very replay is not sent under it again";
    assert_eq!(rest.sent, 300 - summary.sent, "{twice}");
    assert!(rest.died_again >= summary.sent, "{rest:?}");
    seconds(60).await;
    worker.end().await;

    let (summary, ended) = replay(&house, &Filter::default(), &order("replay-2")).await;
    assert_eq!((ended, summary.sent), (Ended::Done, 300));
    house.work().await;
    assert!(findings.iter().all(|finding| house.status(finding) == Status::Mitigated));
    assert_eq!(house.iot.effects("Publish").len(), 300);
}

#[tokio::test(start_paused = true)]
async fn a_stop_gives_back_what_was_not_sent_and_the_same_id_goes_on() {
    let house = House::new();
    let findings = clients(100);
    bury(&house, &findings).await;
    let (stop, slow) = (CancellationToken::new(), Order { rate: 10, ..order("replay-1") });
    let filter = Filter::default();
    let run = replay_with(&house, &filter, &slow, None, &stop);
    let stopping = async {
        seconds(4).await;
        stop.cancel();
    };
    let ((summary, ended), ()) = finish(async { tokio::join!(run, stopping) }).await;
    assert_eq!(ended, Ended::Stopped);
    assert!((30..50).contains(&summary.sent) && summary.deleted == summary.sent, "{summary:?}");
    assert_eq!(visible(&house).await, 100 - summary.sent);

    let (rest, ended) = replay(&house, &Filter::default(), &slow).await;
    assert_eq!((ended, rest.sent), (Ended::Done, 100 - summary.sent));
    house.work().await;
    assert_eq!(house.iot.effects("Publish").len(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_send_and_delete_and_a_second_run_under_its_id_claim_once_even_by_force() {
    let house = House::new();
    let findings = clients(10);
    bury(&house, &findings).await;
    let forced = Order { force: true, ..order("replay-1") };
    let never: Arc<dyn Fates> = always("queue.delete", Fate::Late(FOR_EVER));
    let (filter, none) = (Filter::default(), CancellationToken::new());
    let crashed = replay_with(&house, &filter, &forced, Some(never), &none);
    assert!(tokio::time::timeout(Duration::from_secs(60), crashed).await.is_err());
    assert!(!house.queue.contents().is_empty());
    assert_eq!(house.dead.contents().len(), 10, "sent, and not deleted");
    house.work().await;
    // Until the letters are visible again.
    seconds(600).await;
    let (summary, ended) = replay(&house, &Filter::default(), &forced).await;
    assert_eq!((ended, summary.deleted), (Ended::Done, 10));
    house.work().await;
    assert_eq!(house.iot.effects("Publish").len(), 10);
    assert!(house.queue.contents().is_empty() && house.dead.contents().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_letter_whose_message_the_queue_refuses_stays_and_the_others_go() {
    let house = House::new();
    bury(&house, &clients(20)).await;
    let refused: Arc<dyn Fates> = always("queue.send", Fate::FailEntry(1, Class::Permanent));
    let (filter, order, none) = (Filter::default(), order("replay-1"), CancellationToken::new());
    let (summary, ended) = finish(replay_with(&house, &filter, &order, Some(refused), &none)).await;
    assert_eq!((ended, summary.sent, summary.failed), (Ended::Done, 16, 4), "one of each five: {summary:?}");
    assert!(summary.errors.keys().all(|error| error.contains("SendMessageBatch")), "{summary:?}");
    assert_eq!((house.queue.contents().len(), visible(&house).await), (16, 4));
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_may_not_be_deleted_ends_the_run() {
    let house = House::new();
    bury(&house, &clients(30)).await;
    let denied: Arc<dyn Fates> = always("queue.delete", Fate::Fail(Class::Denied));
    let (filter, order, none) = (Filter::default(), order("replay-1"), CancellationToken::new());
    let (summary, ended) = finish(replay_with(&house, &filter, &order, Some(denied), &none)).await;
    assert!(matches!(ended, Ended::Failed(why) if why.contains("DeleteMessageBatch")));
    assert!(summary.sent <= 10 && summary.deleted == 0, "{summary:?}");
    assert_eq!(house.dead.contents().len(), 30);
}

/// Whatever happens to the run's calls, and wherever it is cut off: nothing is lost, and nothing is done twice.
#[tokio::test(start_paused = true)]
async fn nothing_is_lost_and_nothing_done_twice_wherever_a_run_is_cut_off() {
    for seed in 0..60 {
        println!("seed {seed}");
        let mut rng = fastrand::Rng::with_seed(seed);
        let house = House::new();
        let findings = clients(15);
        house.send("poison one").await;
        house.send("poison two").await;
        house.work().await;
        for letter in house.dead.contents() {
            assert!(letter.body.starts_with("poison"));
        }
        for finding in &findings {
            house.publish(finding).await;
        }
        let broken = always(PUBLISH, Fate::Fail(Class::Permanent));
        finish(meeting(house.worker("broken"), broken).run(CancellationToken::new())).await;
        seconds(1).await;
        let order = Order { force: rng.bool(), ..order("replay-1") };
        let (filter, none) = (Filter::default(), CancellationToken::new());
        for _ in 0..rng.usize(1..4) {
            let fates: Arc<dyn Fates> = cut_off(rng.fork(), 18);
            let run = replay_with(&house, &filter, &order, Some(fates), &none);
            // A run that is cut off hangs in a call until it is dropped there.
            let _ = tokio::time::timeout(Duration::from_secs(rng.u64(60..3600)), run).await;
            if rng.bool() {
                house.work().await;
            }
        }
        seconds(3600).await;
        let (_, ended) = replay(&house, &filter, &order).await;
        assert_eq!(ended, Ended::Done, "seed {seed}");
        house.work().await;
        for finding in &findings {
            assert_eq!(house.status(finding), Status::Mitigated, "seed {seed}");
            assert_eq!(house.record(finding).replayed.unwrap().times, 1, "seed {seed}");
        }
        assert_eq!(house.iot.effects("Publish").len(), 15, "seed {seed}");
        assert!(house.queue.contents().is_empty(), "seed {seed}");
        let bodies: HashSet<String> = house.dead.contents().into_iter().map(|letter| letter.body).collect();
        assert_eq!(bodies, HashSet::from(["poison one".into(), "poison two".into()]), "seed {seed}");
    }
}

/// Some calls fail, some lose their reply, and one of the first `within` never comes back.
pub fn cut_off(rng: fastrand::Rng, within: u32) -> Arc<dyn Fates> {
    let state = std::sync::Mutex::new((rng, 0_u32, None));
    Arc::new(move |_: &'static str| {
        let mut state = state.lock().unwrap();
        let (rng, calls, last) = &mut *state;
        let last = *last.get_or_insert_with(|| rng.u32(1..within));
        *calls += 1;
        if *calls >= last {
            return Fate::Late(FOR_EVER);
        }
        match rng.u32(0..12) {
            0 => Fate::ReplyLost,
            1 => Fate::Fail(Class::Transient),
            2 => Fate::FailEntry(rng.usize(0..5), Class::Throttled),
            3 => Fate::FailEntry(rng.usize(0..5), Class::Permanent),
            _ => Fate::Proceed,
        }
    })
}
