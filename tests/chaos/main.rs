//! Chaos over the wire: three worker processes, `kill -9` at random times, an account that fails now and then; and nothing is lost
//! and nothing takes effect twice.
//!
//! `CHAOS_FINDINGS` (default 5000) makes it shorter, `CHAOS_SEED` repeats the choice of kills and faults (not their timing: the
//! processes are real).

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so by panicking")]

#[path = "../commands/bench.rs"]
#[expect(dead_code, reason = "the commands' tests use the rest")]
mod bench;
mod load;
mod verdict;
mod workers;

use load::Load;
use std::time::Duration;
use tokio::time::Instant;
use workers::Workers;

/// Killed workers; each is replaced at once.
const KILLS: usize = 24;

/// From the last kill to the empty queue: a killed worker's messages come back after a lease, and may be parked for another.
const PATIENCE: Duration = Duration::from_secs(360);

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a whole number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_are_killed_24_times_lose_nothing_and_do_nothing_twice() {
    let (findings, seed) = (setting("CHAOS_FINDINGS", 5_000) as usize, setting("CHAOS_SEED", 7));
    eprintln!("chaos: {findings} findings, seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let load = Load::new(findings, &mut rng).await;
    let began = Instant::now();
    let mut workers = Workers::start(&load, 3);
    let publishing = tokio::spawn(load.publish(&mut rng));

    for kill in 1..=KILLS {
        tokio::time::sleep(Duration::from_millis(rng.u64(200..3_000))).await;
        let (left, _) = load.bench.depths().await;
        workers.kill(rng.usize(0..3), &load).await;
        eprintln!("chaos: kill {kill} at {:.1} s, {left} messages in the queue", began.elapsed().as_secs_f64());
        // Some of the small loads end sooner.
        assert!(left > 0 || findings < 5_000, "the queue is empty before kill {kill}: it shows nothing");
    }
    publishing.await.unwrap();

    let until = Instant::now() + PATIENCE;
    let mut empty = 0;
    while empty < 3 {
        assert!(Instant::now() < until, "P1: the queue is not empty: {:?}", load.bench.depths().await);
        tokio::time::sleep(Duration::from_millis(500)).await;
        workers.replace_ended(&load).await;
        empty = if load.bench.depths().await.0 == 0 { empty + 1 } else { 0 };
    }
    let took = began.elapsed();
    let ended_alone = workers.end().await;
    eprintln!("chaos: the queue is empty after {:.1} s; {ended_alone} workers ended by themselves", took.as_secs_f64());
    verdict::check(&load).await;
}
