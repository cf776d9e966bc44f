//! What `cargo bench --bench budget` shows at length, in short: a minute of a fleet that shares one account's quota.
#![cfg(feature = "sandbox")]

#[path = "../benches/budget/simulation/mod.rs"]
#[expect(dead_code, reason = "the benchmark uses the rest")]
mod simulation;

use fleetwarden::budget::Operation;
use jiff::SignedDuration;
use simulation::trace::{Calls, Trace};
use simulation::world::{Setting, World};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Eight saturated workers for a minute; the clocks of every other one are ahead by `skew`.
async fn a_minute(seed: u64, skew: SignedDuration) -> Trace {
    println!("seed {seed}");
    let mut world = World::new(Setting::new(Operation::UpdateCertificate, seed));
    for number in 0..8 {
        world.skewed(if number % 2 == 0 { SignedDuration::ZERO } else { skew });
    }
    world.pass(MINUTE).await;
    world.end()
}

#[tokio::test(start_paused = true)]
async fn eight_workers_together_use_the_quota_whole_and_never_more() {
    let trace = a_minute(1, SignedDuration::ZERO).await;
    assert_eq!(trace.calls(&(Duration::ZERO..MINUTE)).throttled, 0);
    assert_eq!(trace.seconds_over_quota(), 0);
    let used = trace.used(&(Duration::ZERO..MINUTE));
    assert!(used >= 0.97, "used {used}");
    let writes = trace.writes(std::slice::from_ref(&(Duration::ZERO..MINUTE)));
    assert!(writes <= 1.2, "{writes} ledger writes per second and worker");
}

#[tokio::test(start_paused = true)]
async fn clocks_that_differ_by_half_a_second_cost_no_throttles_and_no_share_of_the_quota() {
    let trace = a_minute(2, SignedDuration::from_millis(500)).await;
    let calls: Calls = trace.calls(&(Duration::ZERO..MINUTE));
    assert!(calls.throttled_part() <= 0.01, "{calls:?}");
    let used = trace.used(&(Duration::ZERO..MINUTE));
    assert!(used >= 0.97, "used {used}");
}

#[tokio::test(start_paused = true)]
async fn what_a_killed_worker_had_reserved_is_all_that_is_lost() {
    let seed = 3;
    println!("seed {seed}");
    let mut world = World::new(Setting::new(Operation::UpdateCertificate, seed));
    (0..4).for_each(|_| world.busy());
    world.pass(MINUTE / 2).await;
    world.kill(2);
    world.pass(MINUTE / 2).await;
    let trace = world.end();
    assert_eq!(trace.calls(&(Duration::ZERO..MINUTE)).throttled, 0);
    assert!(trace.longest_below(0.9, &(MINUTE / 3..MINUTE)) <= 2);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_calls() {
    let one = a_minute(4, SignedDuration::from_millis(200)).await;
    let other = a_minute(4, SignedDuration::from_millis(200)).await;
    let times = |trace: &Trace| trace.arrivals.iter().map(|arrival| arrival.at).collect::<Vec<_>>();
    assert_eq!(times(&one), times(&other));
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_called_too_often_throttles_and_the_trace_tells() {
    let world = World::new(Setting::new(Operation::UpdateCertificate, 5));
    world.pass_with_an_outsider(MINUTE, 20.0).await;
    let trace = world.end();
    assert_eq!(trace.arrivals.len(), 1200);
    // 10 tokens at first and 10 a second after that, for 20 calls a second.
    let throttled = trace.outsider_throttled(&(Duration::ZERO..MINUTE));
    assert!((0.48..0.5).contains(&throttled), "{throttled}");
    assert!(trace.seconds_over_quota() > 1000);
    assert!(trace.used(&(Duration::ZERO..MINUTE)).abs() < f64::EPSILON, "none of it was the workers'");
}
