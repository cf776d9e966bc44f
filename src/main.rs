//! Fleetwarden's program: reads the command line, sets logging up, runs the command, tells how it ended.

use clap::Parser;
use fleetwarden::cli::{Cli, execute};
use std::io::IsTerminal;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
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
    match execute(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
