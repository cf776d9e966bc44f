//! `cargo bench --bench start`: how long a worker takes from its start to its first receive, and what an idle one weighs.
//!
//! Starts the real program, `run`, again and again against the lean endpoint of the pipeline's benchmark with an empty queue, and times
//! it from outside: from just before the process is made to the arrival of its first request and of its first `ReceiveMessage`. The
//! program lies in the page cache, as it does on a machine that has run it before.
//!
//! Prints a table, writes `target/figures/start.json`, and exits with 1 if a figure is not as demanded.

#![expect(clippy::disallowed_methods, reason = "real time is what is measured, from outside")]

mod cases;
#[expect(dead_code, reason = "the pipeline's benchmark uses the rest")]
#[path = "../pipeline/endpoint/mod.rs"]
mod endpoint;
#[expect(dead_code, reason = "no figure of a start must be large")]
#[path = "../shared/figures.rs"]
mod figures;
#[path = "../shared/files.rs"]
mod files;
#[path = "../pipeline/process.rs"]
mod process;
mod report;
mod worker;

use cases::CASES;
use clap::Parser;
use figures::Outcome;
use std::process::ExitCode;

/// How long a worker takes to start.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench start --")]
struct Arguments {
    /// Only the cases whose name contains this
    #[arg(long, value_name = "NAME", default_value = "")]
    case: String,
    /// Starts of each case
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    runs: u16,
    /// Cargo says this to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let chosen: Vec<_> = CASES.iter().filter(|case| case.name.contains(&arguments.case)).collect();
    if chosen.is_empty() {
        eprintln!("no case is called `{}`; there are:", arguments.case);
        CASES.iter().for_each(|case| eprintln!("  {}", case.name));
        return ExitCode::from(2);
    }
    let mut outcomes = Vec::new();
    for case in chosen {
        match case.run(arguments.runs) {
            Ok(outcome) => outcomes.push(outcome),
            Err(error) => {
                eprintln!("{}: {error}", case.name);
                return ExitCode::FAILURE;
            }
        }
    }
    finish(&outcomes, arguments.runs)
}

/// Tells what came of it; the exit code.
fn finish(outcomes: &[Outcome], runs: u16) -> ExitCode {
    println!("{runs} starts of each case: the quickest, the one in the middle, the slowest");
    println!("{}", report::table(outcomes));
    for outcome in outcomes {
        for figure in outcome.figures.iter().filter(|figure| !figure.pass()) {
            println!("{}: {}", outcome.case, figure.complaint());
        }
    }
    match files::write("start", &report::document(outcomes, runs)) {
        Ok(file) => eprintln!("figures in {}", file.display()),
        Err(error) => {
            eprintln!("the figures cannot be written: {error}");
            return ExitCode::FAILURE;
        }
    }
    if outcomes.iter().all(Outcome::pass) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
