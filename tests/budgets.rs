//! A budget that workers share through the ledger: what they do when the ledger or AWS is not as it should be.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use fleetwarden::aws::{Class, Fate, Fates};
use fleetwarden::budget::{BudgetConfig, Budgets, Fleet, Operation, timeline_key};
use fleetwarden::clock::Clock;
use fleetwarden::ledger::{MemoryLedger, Timelines};
use fleetwarden::telemetry::Telemetry;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

const OPERATION: Operation = Operation::UpdateCertificate;
const REGION: &str = "us-east-1";

/// A fleet of workers, each a process of its own, on one ledger.
struct House {
    clock: Clock,
    ledger: MemoryLedger,
    telemetry: Arc<Telemetry>,
    per_second: f64,
}

impl House {
    fn new(per_second: f64) -> Self {
        let clock = Clock::virtual_at("2026-11-22T12:00:00Z".parse().unwrap());
        Self { clock, ledger: MemoryLedger::new(), telemetry: Arc::default(), per_second }
    }

    fn worker_meeting(&self, seed: u64, fates: Arc<dyn Fates>) -> Arc<Budgets> {
        let quotas = [OPERATION, Operation::DescribeCertificate].map(|operation| (operation, self.per_second)).into();
        let config = BudgetConfig { quotas, reserve: 0.0, ..BudgetConfig::default() };
        let fleet = Fleet {
            timelines: Arc::new(self.ledger.with_fates(fates)),
            region: REGION.into(),
            clock: self.clock.clone(),
            telemetry: Arc::clone(&self.telemetry),
            seed,
        };
        Arc::new(Budgets::shared(&config, &fleet))
    }

    fn worker(&self, seed: u64) -> Arc<Budgets> {
        self.worker_meeting(seed, Arc::new(|_: &'static str| Fate::Proceed))
    }
}

/// The times at which 64 callers, who come again as soon as they were served, got slots within `time`.
async fn saturate(budgets: &Arc<Budgets>, time: Duration) -> Vec<Instant> {
    let times = Arc::new(Mutex::new(Vec::new()));
    let callers: Vec<_> = (0..64)
        .map(|_| {
            let (budgets, times) = (Arc::clone(budgets), Arc::clone(&times));
            tokio::spawn(async move {
                while budgets.slot(OPERATION).await.is_ok() {
                    times.lock().unwrap().push(Instant::now());
                }
            })
        })
        .collect();
    tokio::time::sleep(time).await;
    for caller in callers {
        caller.abort();
    }
    let times = times.lock().unwrap();
    times.clone()
}

/// The same for several workers at once.
async fn saturate_all(fleet: &[Arc<Budgets>], time: Duration) -> Vec<Vec<Instant>> {
    futures_util::future::join_all(fleet.iter().map(|budgets| saturate(budgets, time))).await
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn fullest_second(mut times: Vec<Instant>) -> usize {
    times.sort_unstable();
    let count = |from: usize| times[from..].iter().take_while(|at| **at - times[from] < seconds(1)).count();
    (0..times.len()).map(count).max().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn twenty_workers_together_use_one_budget_whole_and_never_more() {
    let house = House::new(10.0);
    let fleet: Vec<_> = (0..20).map(|seed| house.worker(seed)).collect();
    let times = saturate_all(&fleet, seconds(120)).await;
    let all = times.concat();
    assert!((1164..=1200).contains(&all.len()), "{} slots in 120 s", all.len());
    assert!(fullest_second(all) <= 10);
    assert!(times.iter().all(|own| own.len() > 20), "somebody starved: {:?}", times.iter().map(Vec::len));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_alone_has_the_whole_budget_from_its_first_second_on() {
    let house = House::new(100.0);
    let times = saturate(&house.worker(1), seconds(10)).await;
    assert!(times.len() >= 970, "{} slots in 10 s", times.len());
}

fn in_the_last(time: Duration, times: &[Instant]) -> usize {
    times.iter().filter(|at| at.elapsed() < time).count()
}

/// Calls of so many callers in this time, each of whom makes one, which takes a hundredth of a second, and then waits for the other budget:
/// 50 a second of each at most.
async fn callers_that_take_their_time(budgets: &Arc<Budgets>, callers: usize, time: Duration) -> Vec<Instant> {
    let end = Instant::now() + time;
    let callers = (0..callers).map(|_| {
        let budgets = Arc::clone(budgets);
        tokio::spawn(async move {
            let mut times = Vec::new();
            while Instant::now() < end {
                for operation in [Operation::DescribeCertificate, OPERATION] {
                    budgets.slot(operation).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                times.push(Instant::now());
            }
            times
        })
    });
    let mut times = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        times.extend(caller.await.unwrap());
    }
    times
}

#[tokio::test(start_paused = true)]
async fn a_quota_far_above_what_a_worker_can_use_makes_it_no_slower() {
    for per_second in [1_000.0, 2_000.0, 20_000.0, 80_000.0] {
        let house = House::new(per_second);
        let times = callers_that_take_their_time(&house.worker(1), 64, seconds(20)).await;
        let late = in_the_last(seconds(15), &times);
        let expected = (per_second * 0.9).min(3_000.0);
        assert!(late as f64 >= 15.0 * expected, "{} a second of {per_second}", late / 15);
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_worker_keeps_its_quota_beside_one_that_calls_now_and_then() {
    for (per_second, pause) in
        [(200.0, 50), (800.0, 50), (800.0, 1000), (2_000.0, 50), (2_000.0, 1000), (20_000.0, 1000)]
    {
        let house = House::new(per_second);
        let (busy, other) = (house.worker(1), house.worker(2));
        let now_and_then = tokio::spawn(async move {
            while other.slot(OPERATION).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        });
        let times = callers_that_take_their_time(&busy, 512, seconds(20)).await;
        now_and_then.abort();
        let late = in_the_last(seconds(15), &times) as f64 / 15.0;
        assert!(late >= 0.9 * per_second, "{late} a second of {per_second}, beside a call each {pause} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn two_workers_with_all_that_they_may_hold_use_a_quota_of_hundreds_together() {
    for per_second in [200.0, 500.0] {
        let house = House::new(per_second);
        let (one, other) = (house.worker(1), house.worker(2));
        let (one, other) = futures_util::future::join(
            callers_that_take_their_time(&one, 512, seconds(20)),
            callers_that_take_their_time(&other, 512, seconds(20)),
        )
        .await;
        let late = [one, other].map(|times| in_the_last(seconds(15), &times) as f64 / 15.0);
        assert!(late[0] + late[1] >= 0.85 * per_second, "{late:?} a second of {per_second}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_calls_now_and_then_waits_for_no_reservation_where_the_quota_is_high() {
    let house = House::new(1_000.0);
    let worker = house.worker(1);
    let mut waits = Vec::new();
    for _ in 0..200 {
        let asked = Instant::now();
        worker.slot(OPERATION).await.unwrap();
        waits.push(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let long = waits.iter().filter(|wait| **wait > Duration::from_millis(15)).count();
    assert!(long <= 2, "{long} of 200 waited for more than 15 ms, the longest for {:?}", waits.iter().max());
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_has_its_share_within_two_seconds() {
    let mut all = 0;
    for seed in 0..20 {
        let house = House::new(10.0);
        let first = house.worker(seed);
        let working = tokio::spawn({
            let first = Arc::clone(&first);
            async move { saturate(&first, seconds(10)).await.len() }
        });
        tokio::time::sleep(Duration::from_millis(5000 + 50 * seed)).await;
        let newcomer = house.worker(seed + 100);
        let started = Instant::now();
        let times = saturate(&newcomer, seconds(4)).await;
        let in_two_more = times.iter().filter(|at| **at - started >= seconds(2)).count();
        // Slots come in handfuls: not every two seconds are alike.
        assert!(in_two_more >= 4, "seed {seed}: {in_two_more} of 20 slots after two seconds");
        all += in_two_more;
        working.abort();
    }
    assert!(all >= 180, "{all} of 400 slots, of which half were its share");
}

#[tokio::test(start_paused = true)]
async fn while_the_ledger_is_out_of_reach_each_worker_goes_on_at_the_rate_that_it_had() {
    let house = House::new(10.0);
    let down = Arc::new(AtomicBool::new(false));
    let fates = |down: &Arc<AtomicBool>| -> Arc<dyn Fates> {
        let down = Arc::clone(down);
        Arc::new(
            move |_: &'static str| {
                if down.load(Ordering::SeqCst) { Fate::Fail(Class::Transient) } else { Fate::Proceed }
            },
        )
    };
    let fleet: Vec<_> = (0..4).map(|seed| house.worker_meeting(seed, fates(&down))).collect();
    let running = fleet.clone();
    let working = tokio::spawn(async move { saturate_all(&running, seconds(60)).await.concat() });
    let started = Instant::now();
    tokio::time::sleep(seconds(20)).await;
    down.store(true, Ordering::SeqCst);
    tokio::time::sleep(seconds(20)).await;
    down.store(false, Ordering::SeqCst);
    let times = working.await.unwrap();
    let within = |from: u64, to: u64| {
        times.iter().filter(|at| **at >= started + seconds(from) && **at < started + seconds(to)).count()
    };
    assert!((150..=215).contains(&within(22, 40)), "{} slots in 18 s without the ledger", within(22, 40));
    assert!((170..=180).contains(&within(42, 60)), "{} slots in 18 s after it", within(42, 60));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_never_reached_the_ledger_goes_on_within_the_whole_budget() {
    let house = House::new(100.0);
    let budgets = house.worker_meeting(1, Arc::new(|_: &'static str| Fate::Fail(Class::Transient)));
    let times = saturate(&budgets, seconds(20)).await;
    assert!(!times.is_empty());
    assert!(fullest_second(times) <= 100);
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_hangs_holds_calls_up_for_two_seconds_not_for_ever() {
    let house = House::new(10.0);
    let budgets = house.worker_meeting(1, Arc::new(|_: &'static str| Fate::Late(seconds(3600))));
    let started = Instant::now();
    budgets.slot(OPERATION).await.unwrap();
    assert!(started.elapsed() <= Duration::from_millis(2100), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_refuses_the_account_is_an_error_and_asked_again_a_second_later() {
    let house = House::new(10.0);
    let denied = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&denied);
    let fates = move |_: &'static str| {
        if switch.load(Ordering::SeqCst) { Fate::Fail(Class::Denied) } else { Fate::Proceed }
    };
    let budgets = house.worker_meeting(1, Arc::new(fates));
    assert_eq!(budgets.slot(OPERATION).await.unwrap_err().class, Class::Denied);
    denied.store(false, Ordering::SeqCst);
    assert_eq!(budgets.slot(OPERATION).await.unwrap_err().class, Class::Denied, "it was asked a moment ago");
    tokio::time::sleep(seconds(1)).await;
    budgets.slot(OPERATION).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_loses_the_slots_that_were_reserved_and_hands_none_out_twice() {
    let house = House::new(10.0);
    let calls = Arc::new(AtomicU64::new(0));
    let fates = |calls: &Arc<AtomicU64>| -> Arc<dyn Fates> {
        let calls = Arc::clone(calls);
        Arc::new(move |call: &'static str| {
            let lost = call == "timelines.change" && calls.fetch_add(1, Ordering::SeqCst) % 5 == 4;
            if lost { Fate::ReplyLost } else { Fate::Proceed }
        })
    };
    let fleet: Vec<_> = (0..3).map(|seed| house.worker_meeting(seed, fates(&calls))).collect();
    let times = saturate_all(&fleet, seconds(60)).await.concat();
    assert!(times.len() >= 400, "{} slots in 60 s", times.len());
    // Who does not know what was reserved goes on at the rate that it had: briefly, both are spent.
    assert!(fullest_second(times) <= 20);
}

#[tokio::test(start_paused = true)]
async fn however_many_workers_are_throttled_at_once_the_fleet_cuts_once_in_two_seconds_and_all_hear_of_it() {
    let house = House::new(10.0);
    let fleet: Vec<_> = (0..5).map(|seed| house.worker(seed)).collect();
    let running = fleet.clone();
    let working = tokio::spawn(async move { saturate_all(&running, seconds(60)).await });
    tokio::time::sleep(seconds(5)).await;
    for budgets in &fleet {
        for _ in 0..10 {
            budgets.throttled(OPERATION);
        }
    }
    tokio::time::sleep(Duration::from_millis(1900)).await;
    fleet[0].throttled(OPERATION);
    tokio::time::sleep(seconds(1)).await;
    let timeline = house.ledger.timeline(&timeline_key(REGION, OPERATION)).await.unwrap().unwrap();
    assert_eq!((timeline.cuts, timeline.rate), (1, 0.7));
    assert_eq!(house.telemetry.counts().budget_cuts, 1);
    for budgets in &fleet {
        let used = budgets.usage()[&OPERATION];
        assert_eq!(used.cuts, 1, "every worker knows");
        assert!((0.7..0.75).contains(&used.in_force));
    }
    tokio::time::sleep(seconds(9)).await;
    assert_eq!(fleet[0].usage()[&OPERATION].in_force, 1.0, "and it comes back by itself");
    working.abort();
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_takes_a_third_of_a_second_to_answer_costs_no_more_than_a_tenth_of_the_budget() {
    let house = House::new(10.0);
    let late: Arc<dyn Fates> = Arc::new(|_: &'static str| Fate::Late(Duration::from_millis(330)));
    let fleet: Vec<_> = (0..4).map(|seed| house.worker_meeting(seed, Arc::clone(&late))).collect();
    let times = saturate_all(&fleet, seconds(60)).await.concat();
    assert!(times.len() >= 540, "{} slots in 60 s", times.len());
    assert!(fullest_second(times) <= 10);
}
