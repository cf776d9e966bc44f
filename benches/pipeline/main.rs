//! `cargo bench --bench pipeline`: what a finding costs a worker, from the first receive to the last delete.
//!
//! The program itself, started as a service would start it, works through a backlog against a lean AWS on loopback HTTP, with budgets
//! lifted. The endpoint is another process, so that its CPU time is not the worker's. `--rtt 5,20,40` answers each request so many
//! milliseconds late instead, and shows how throughput follows the number of pollers.
//!
//! Prints a table, writes `target/figures/pipeline.json` (`pipeline-rtt.json`), and exits with 1 if a figure is not as demanded.

#![expect(clippy::disallowed_methods, reason = "real time is what is measured, by threads of its own")]

mod cases;
mod endpoint;
#[path = "../shared/figures.rs"]
mod figures;
#[path = "../shared/files.rs"]
mod files;
mod process;
mod run;
mod table;

use clap::Parser;
use figures::Outcome;
use run::Failure;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// What a finding costs a worker.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench pipeline --")]
pub struct Arguments {
    /// Messages in each case without delay
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    messages: u64,
    /// The parts of the messages whose finding came before, one case each
    #[arg(long, value_delimiter = ',', default_value = "0,0.3,0.9")]
    duplicates: Vec<f64>,
    /// Messages of the case that looks at memory, nine tenths of them duplicates; 0 leaves it out
    #[arg(long, default_value_t = 1_000_000)]
    backlog: u64,
    /// Milliseconds by which each answer is late: shows how throughput follows pollers x 10 / round trip, in runs of
    /// some ten seconds
    #[arg(long, value_delimiter = ',', value_name = "MS")]
    rtt: Vec<u64>,
    /// The program to measure, such as a release build in another target directory, instead of the one built for benchmarks
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_fleetwarden"), hide_default_value = true)]
    program: PathBuf,
    /// More arguments of the worker, such as `--worker=--concurrency=512`; may be repeated
    #[arg(long, value_name = "ARGUMENT")]
    worker: Vec<String>,
    /// The same seed gives the same messages in the same order
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Cargo says this to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(part) = arguments.duplicates.iter().find(|part| !(0.0..1.0).contains(*part)) {
        eprintln!("--duplicates {part} is no part of the messages: write numbers from 0 up to 0.99");
        return ExitCode::from(2);
    }
    match measure(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the benchmark came to no end: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all is as demanded.
fn measure(arguments: &Arguments) -> Result<bool, Failure> {
    let (name, outcomes) = match arguments.rtt.as_slice() {
        [] => ("pipeline", cases::costs(arguments)?),
        delays => ("pipeline-rtt", cases::round_trips(arguments, delays)?),
    };
    println!("seed {}", arguments.seed);
    println!("{}", table::table(&outcomes));
    for outcome in &outcomes {
        for figure in outcome.figures.iter().filter(|figure| !figure.pass()) {
            println!("{}: {}", outcome.case, figure.complaint());
        }
    }
    let pass = outcomes.iter().all(Outcome::pass);
    let cases: Vec<_> = outcomes.iter().map(Outcome::json).collect();
    let file = files::write(name, &json!({ "seed": arguments.seed, "cases": cases, "pass": pass }))?;
    eprintln!("figures in {}", file.display());
    Ok(pass)
}
