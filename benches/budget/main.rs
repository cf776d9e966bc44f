//! `cargo bench --profile dev --bench budget`: how the fleet's workers share one account's quota.
//!
//! Every case runs the production code of `budget/` on tokio's paused clock against an account that throttles as AWS does, so that ten
//! minutes of twenty workers take a second or two; the same seed gives the same figures. `-- --wire` runs it under real time instead:
//! four worker processes against the embedded AWS, over loopback HTTP.
//!
//! Prints a table, writes `target/figures/budget.json` (`budget-wire.json`), and exits with 1 if a figure is not as demanded.

mod cases;
#[path = "../shared/figures.rs"]
mod figures;
#[path = "../shared/files.rs"]
mod files;
mod report;
mod simulation;
mod units;
mod wire;

use cases::CASES;
use clap::Parser;
use std::process::ExitCode;
use tokio::time::Instant;

/// How the fleet's workers share one account's quota.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench budget --")]
struct Arguments {
    /// Only the cases whose name contains this
    #[arg(long, value_name = "NAME", default_value = "")]
    case: String,
    /// The same seed gives the same figures
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Under real time instead: four worker processes against the embedded AWS, for a minute
    #[arg(long, conflicts_with = "case")]
    wire: bool,
    /// Cargo says this to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.wire {
        return wire(arguments.seed);
    }
    let chosen: Vec<_> = CASES.iter().filter(|case| case.name.contains(&arguments.case)).collect();
    if chosen.is_empty() {
        eprintln!("no case is called `{}`; there are:", arguments.case);
        CASES.iter().for_each(|case| eprintln!("  {}", case.name));
        return ExitCode::from(2);
    }
    let mut outcomes = Vec::new();
    for case in chosen {
        let started = Instant::now();
        let outcome = case.run(arguments.seed);
        let verdict = if outcome.pass() { "as demanded" } else { "NOT as demanded" };
        eprintln!("{} ({:.1} s): {verdict}", case.name, started.elapsed().as_secs_f64());
        outcomes.push(outcome);
    }
    outcomes.push(cases::writes(&outcomes));
    finish("budget", arguments.seed, &outcomes)
}

/// Runs it under real time.
fn wire(seed: u64) -> ExitCode {
    let ran = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(wire::run::run(seed)));
    match ran {
        Ok(outcomes) => finish("budget-wire", seed, &outcomes),
        Err(error) => {
            eprintln!("the run over the wire came to no end: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Tells what came of it; the exit code.
fn finish(name: &str, seed: u64, outcomes: &[figures::Outcome]) -> ExitCode {
    println!("seed {seed}");
    println!("{}", report::table(outcomes));
    for outcome in outcomes {
        for figure in outcome.figures.iter().filter(|figure| !figure.pass()) {
            println!("{}: {}", outcome.case, figure.complaint());
        }
    }
    match files::write(name, &report::document(seed, outcomes)) {
        Ok(file) => eprintln!("figures in {}", file.display()),
        Err(error) => {
            eprintln!("the figures cannot be written: {error}");
            return ExitCode::FAILURE;
        }
    }
    if outcomes.iter().all(figures::Outcome::pass) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
