//! As many seeds of the simulation as wanted: `cargo run --release --example simulate -- --seeds 100000 --from 0`.
//!
//! Exit 0 when every seed holds the promises, 1 with the seeds that do not, 2 for wrong usage.

#[path = "../tests/simulation/mod.rs"]
mod simulation;

use clap::Parser;
use std::process::ExitCode;
use std::thread::available_parallelism;
use tokio::time::Instant;

/// Runs the production worker on in-memory twins under a paused clock, with faults and crashes chosen by seed, and checks that nothing
/// is lost and nothing takes effect twice
#[derive(Parser)]
struct Arguments {
    /// How many seeds
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first one; a failing seed is replayed by `--from SEED --seeds 1`
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Seeds at a time; default: as many as there are cores
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let threads = arguments.threads.unwrap_or_else(|| available_parallelism().map_or(1, usize::from)).max(1);
    let seeds = arguments.from..arguments.from.saturating_add(arguments.seeds);
    let began = Instant::now();
    let rate = |done: u64| done as f64 / began.elapsed().as_secs_f64();
    let failed = simulation::run(seeds, threads, |done| {
        if done.is_multiple_of(1_000) {
            eprintln!("{done} of {} seeds, {:.0} a second", arguments.seeds, rate(done));
        }
    });
    println!("{} seeds, {:.0} a second, {} failed", arguments.seeds, rate(arguments.seeds), failed.len());
    for (seed, why) in &failed {
        println!("seed {seed}: {why}");
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
