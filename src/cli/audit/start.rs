//! `fleetwarden audit start`, and waiting for an audit's end.

use super::command::{failed, failed_or_gone, mistaken, no_audit};
use super::progress::Progress;
use super::totals;
use crate::aws::CallError;
use crate::cli::run::stop_on_signals;
use crate::cli::{CliError, OutputFormat, print};
use crate::clock::Clock;
use crate::defender::console::choice::{Choice, choose};
use crate::defender::console::{Audit, Console, Started};
use clap::Args;
use serde_json::json;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const HELP: &str = "\
Examples:
  fleetwarden audit start --all-enabled --wait
  fleetwarden audit start --checks logging_disabled,conflicting_client_ids
  fleetwarden audit start --checks LOGGING_DISABLED_CHECK --wait --output json

Ctrl-C ends the waiting, not the audit. If the answer to the start is lost, the audit is looked \
for among the account's audits: it is never started a second time.

Exit codes: 0 started, or with --wait completed, findings or none; 1 the audit or one of its checks \
failed or was cancelled, or a call failed; 2 wrong usage: an unknown check, or one that is not \
enabled; nothing is started.";

/// Asked again after this long at first, and then ever later.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Asked again this often at least: an audit takes seconds for a few devices and hours for a fleet.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Which checks an audit is to run.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Checks {
    /// These checks
    #[arg(long, value_name = "CHECK,..", value_delimiter = ',')]
    pub checks: Vec<String>,
    /// Every check that the account has enabled
    #[arg(long)]
    pub all_enabled: bool,
}

impl Checks {
    /// As the person has chosen.
    pub(super) fn choice(&self) -> Choice<'_> {
        if self.all_enabled { Choice::AllEnabled } else { Choice::Named(&self.checks) }
    }
}

/// What `audit start` is told.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct StartArgs {
    /// Which checks
    #[command(flatten)]
    pub checks: Checks,
    /// Wait until it has ended, and print its totals
    #[arg(long)]
    pub wait: bool,
}

/// Starts an audit.
///
/// # Errors
///
/// Usage: a check that cannot be audited. Failed: a call failed, or with `--wait` the audit did not complete.
pub(super) async fn run(console: &Console, args: &StartArgs, output: OutputFormat) -> Result<(), CliError> {
    let settings = console.audit_settings().await.map_err(|error| failed(&error))?;
    let checks = choose(&settings, args.checks.choice()).map_err(|mistakes| mistaken(&mistakes))?;
    let started = console.start_audit(&checks, &Clock::system()).await.map_err(|error| not_started(&error))?;
    let task_id = match started {
        Started::Audit(task_id) => task_id,
        Started::Unclear(error) => {
            return Err(CliError::Failed(format!(
                "failed to {error}. It is not known whether the audit began: none of these checks shows. Look with `fleetwarden audit \
                 list --since 1h`, and start again if there is none"
            )));
        }
    };
    if args.wait {
        if output == OutputFormat::Table {
            eprintln!("audit {task_id} started");
        }
        return wait(console, &task_id, output).await;
    }
    match output {
        OutputFormat::Json => {
            print::json(&json!({ "taskId": task_id, "status": "IN_PROGRESS", "checks": checks }));
        }
        OutputFormat::Table => {
            let noun = if checks.len() == 1 { "check" } else { "checks" };
            print::line(&format!(
                "audit {task_id} started with {} {noun}; follow it with `fleetwarden audit status {task_id} --wait`",
                checks.len()
            ));
        }
    }
    Ok(())
}

fn not_started(error: &CallError) -> CliError {
    if error.code.as_deref() == Some("LimitExceededException") {
        return CliError::Failed(format!(
            "failed to {error}; AWS runs ten on-demand audits at once: wait for one, or cancel one (`fleetwarden audit list --status \
             in-progress`)"
        ));
    }
    failed(error)
}

/// Waits for an audit's end, shows how it goes on, and prints its totals.
///
/// # Errors
///
/// Failed: it did not complete, a check of it failed, or the waiting was stopped.
pub(super) async fn wait(console: &Console, task_id: &str, output: OutputFormat) -> Result<(), CliError> {
    let stop = stop_on_signals()?;
    let mut progress = Progress::new();
    let ended = until_end(console, task_id, &stop, &mut progress).await;
    progress.end();
    let goes_on = format!("the audit goes on; follow it with `fleetwarden audit status {task_id} --wait`");
    let audit = match ended {
        Ok(Some(audit)) => audit,
        Ok(None) => return Err(CliError::Failed(format!("stopped waiting; {goes_on}"))),
        Err(error) => {
            return Err(failed_or_gone(&error, || no_audit(task_id)));
        }
    };
    match output {
        OutputFormat::Json => print::json(&totals::as_json(&audit)),
        OutputFormat::Table => {
            totals::print_totals(&audit);
            print::line(&totals::sentence(&audit));
        }
    }
    totals::trouble(&audit).map_or(Ok(()), |trouble| Err(CliError::Failed(trouble)))
}

/// The audit once it has ended; `None` if it was stopped before.
async fn until_end(
    console: &Console,
    task_id: &str,
    stop: &CancellationToken,
    progress: &mut Progress,
) -> Result<Option<Audit>, CallError> {
    let mut pause = FIRST_PAUSE;
    loop {
        let audit = console.audit(task_id).await?;
        if !audit.is_in_progress() {
            return Ok(Some(audit));
        }
        progress.tell(&audit);
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}
