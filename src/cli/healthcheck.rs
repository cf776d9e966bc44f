//! `fleetwarden healthcheck`: is the worker in this container well?

use super::{CliError, OutputFormat, print};
use crate::health::{PATIENCE, ask, reachable};
use clap::Args;
use std::net::SocketAddr;

const AFTER_HELP: &str = "\
Examples:
  # what a container's health check runs, beside a worker with FLEETWARDEN_HTTP=0.0.0.0:8080
  fleetwarden healthcheck

  # whether it takes on work, and if not, why
  fleetwarden healthcheck --ready

Exit code 0: well. 1: not, or nobody answers within 3 s; the reason is printed.

A container's health check is to ask without --ready. A worker whose account is broken pauses and
says so; it is alive, and mends itself when the account is mended. Were it told to be unhealthy,
ECS would kill it and start another, for ever.";

/// What `healthcheck` is told.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct HealthcheckArgs {
    /// Where the worker listens (`run --http`); 0.0.0.0 and [::] are reached over loopback
    #[arg(long, env = "FLEETWARDEN_HTTP", value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = address)]
    pub http: SocketAddr,
    /// Ask whether it takes on work (/readyz), not only whether it is alive (/livez)
    #[arg(long)]
    pub ready: bool,
}

/// Reads an address to listen at; the error says how to write one.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "write an IP address and a port, such as 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080".to_owned())
}

/// Asks, without runtime or AWS: it is started often.
///
/// # Errors
///
/// Usage: no port. Failed: the worker is not well, or does not answer.
pub fn run(args: &HealthcheckArgs, output: OutputFormat) -> Result<(), CliError> {
    if args.http.port() == 0 {
        return Err(CliError::Usage(
            "port 0 is no port to ask at: give --http the one that the worker logged at its start".to_owned(),
        ));
    }
    let address = reachable(args.http);
    let path = if args.ready { "/readyz" } else { "/livez" };
    let asked = ask(address, path, PATIENCE);
    let (well, words) = match asked {
        Ok(verdict) => (verdict.well, verdict.words),
        Err(words) => (false, words),
    };
    match output {
        OutputFormat::Json => {
            print::json(
                &serde_json::json!({ "url": format!("http://{address}{path}"), "well": well, "reason": words }),
            );
        }
        OutputFormat::Table if well => print::line(&words),
        OutputFormat::Table => {}
    }
    if well { Ok(()) } else { Err(CliError::Failed(words)) }
}
