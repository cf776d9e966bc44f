//! Fleetwarden's program: reads the command line, sets logging up, runs the command, tells how it ended.

use clap::Parser;
use fleetwarden::cli::{Cli, CliError, execute, execute_at_once};
use std::io::IsTerminal;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match execute_at_once(&cli) {
        Some(result) => ended(result),
        None => start(cli),
    }
}

#[tokio::main]
async fn start(cli: Cli) -> ExitCode {
    let filter = match tracing_subscriber::EnvFilter::try_new(cli.log_filter()) {
        Ok(filter) => filter,
        Err(error) => {
            eprintln!("error: --log: {error}; write a level such as info, or a filter such as fleetwarden=debug");
            return ExitCode::from(2);
        }
    };
    let terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(terminal)
        .with_target(false)
        .init();
    ended(execute(cli).await)
}

fn ended(result: Result<(), CliError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
