//! Fleetwarden's program: reads the command line, sets logging up, runs the command, tells how it ended.

use fleetwarden::cli::{Cli, execute, execute_at_once};
use fleetwarden::telemetry::{LogFormat, Logging, misread, refuse};
use std::process::ExitCode;

/// Half of what a worker computes is the SDK's, and a fifth of it was glibc's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => return misread(LogFormat::of_arguments(std::env::args_os()), &error),
    };
    match execute_at_once(&cli) {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            refuse(cli.log_format, &error);
            ExitCode::from(error.exit_code())
        }
        None => run(cli),
    }
}

#[tokio::main]
async fn run(cli: Cli) -> ExitCode {
    let mut logging = match Logging::start(&cli.log_filter(), cli.log_format, cli.otlp()) {
        Ok(logging) => logging,
        Err(error) => {
            refuse(cli.log_format, &error);
            return ExitCode::from(2);
        }
    };
    let result = execute(cli).await;
    logging.flush().await;
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            logging.last_word(&error);
            ExitCode::from(error.exit_code())
        }
    }
}
