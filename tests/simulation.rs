//! The production worker on twins under a paused clock, by hundreds of seeds; `cargo run --example simulate` runs as many as wanted.
//!
//! `SIMULATION_SEED` runs one seed alone, `SIMULATION_SEEDS` another number than 500.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so by panicking")]

#[path = "simulation/mod.rs"]
mod simulation;

use std::thread::available_parallelism;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a whole number"))
}

#[test]
fn nothing_is_lost_and_nothing_takes_effect_twice_whatever_fails() {
    let seeds = match setting("SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..setting("SIMULATION_SEEDS").unwrap_or(500),
    };
    let threads = available_parallelism().map_or(1, usize::from);
    let failed = simulation::run(seeds, threads, |_| {});
    for (seed, why) in &failed {
        eprintln!("seed {seed} fails: {why}\n  again: SIMULATION_SEED={seed} cargo test --test simulation");
    }
    assert!(failed.is_empty(), "the seeds {:?} fail", failed.keys().collect::<Vec<_>>());
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..24 {
        let (one, other) = (simulation::history(seed), simulation::history(seed));
        let parting = one.iter().zip(&other).position(|(one, other)| one != other);
        let around =
            |history: &[String]| parting.map(|at| history[at.saturating_sub(3)..history.len().min(at + 3)].to_vec());
        assert!(parting.is_none(), "seed {seed} went two ways: {:#?} and {:#?}", around(&one), around(&other));
    }
}
