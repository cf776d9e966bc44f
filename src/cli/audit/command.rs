//! The command group: its sub-commands, what they share, and which file runs which.

use super::{findings, schedule, settings, start, suppressions, tasks};
use crate::aws::{CallError, Class, Clients, load_config};
use crate::cli::{CliError, OutputFormat};
use crate::defender::console::Console;
use clap::{Args, Subcommand};

const HELP: &str = "\
The way from settings to a clean account:
  fleetwarden audit settings set --enable-all \\
      --role arn:aws:iam::123456789012:role/Audit
  fleetwarden audit start --all-enabled --wait
  fleetwarden audit findings 0f1e2d3c4b5a69788796a5b4c3d2e1f0

Checks are named as AWS names them, or shorter: LOGGING_DISABLED_CHECK, logging_disabled, logging.

Exit codes: 0 done; 1 failed, such as an audit that did not complete; 2 wrong usage, such as \
an audit that does not exist, with nothing changed.";

/// What `audit` is told.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct AuditArgs {
    /// What to do
    #[command(subcommand)]
    pub command: AuditCommand,
}

/// The sub-commands of `audit`.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// The account's audit settings: role, checks, thresholds, alerts
    Settings(settings::SettingsArgs),
    /// Starts an audit, and waits for it if asked to
    Start(start::StartArgs),
    /// Audits of the last days
    List(tasks::ListArgs),
    /// How an audit stands, check by check
    Status(tasks::StatusArgs),
    /// Stops an audit that is in progress
    Cancel(tasks::CancelArgs),
    /// Audits that run by themselves
    Schedule(schedule::ScheduleArgs),
    /// What an audit found: totals per check, then the findings
    Findings(findings::FindingsArgs),
    /// Accepts a defect: findings of later audits are marked, and get no mitigation
    Suppress(suppressions::SuppressArgs),
    /// Lists what is suppressed
    Suppressions(suppressions::SuppressionsArgs),
    /// Ends a suppression
    Unsuppress(suppressions::UnsuppressArgs),
}

/// Runs it.
///
/// # Errors
///
/// Usage: an argument that says nothing, or something that does not exist. Failed: a call failed, or an audit did.
pub async fn run(args: &AuditArgs, output: OutputFormat) -> Result<(), CliError> {
    let config = load_config().await.map_err(CliError::Usage)?;
    let console = Console::new(Clients::new(&config).iot);
    match &args.command {
        AuditCommand::Settings(args) => settings::run(&console, args, output).await,
        AuditCommand::Start(args) => start::run(&console, args, output).await,
        AuditCommand::List(args) => tasks::list(&console, args, output).await,
        AuditCommand::Status(args) => tasks::status(&console, args, output).await,
        AuditCommand::Cancel(args) => tasks::cancel(&console, args, output).await,
        AuditCommand::Schedule(args) => schedule::run(&console, args, output).await,
        AuditCommand::Findings(args) => findings::run(&console, args, output).await,
        AuditCommand::Suppress(args) => suppressions::suppress(&console, args, output).await,
        AuditCommand::Suppressions(args) => suppressions::list(&console, args, output).await,
        AuditCommand::Unsuppress(args) => suppressions::unsuppress(&console, args, output).await,
    }
}

/// A call that failed, for a person.
pub(super) fn failed(error: &CallError) -> CliError {
    let advice = error.advice().map(|advice| format!(": {advice}")).unwrap_or_default();
    CliError::Failed(format!("failed to {error}{advice}"))
}

/// [`failed`], but for what does not exist, which the person then named wrongly.
pub(super) fn failed_or_gone(error: &CallError, gone: impl FnOnce() -> String) -> CliError {
    if error.class == Class::Gone { CliError::Usage(gone()) } else { failed(error) }
}

/// Everything that is wrong with what was asked for, a line each.
pub(super) fn mistaken(mistakes: &[String]) -> CliError {
    CliError::Usage(mistakes.join("\nerror: "))
}

/// What is said of an audit that is not there.
pub(super) fn no_audit(id: &str) -> String {
    format!(
        "there is no audit {id} in this account and region (AWS keeps audits for 90 days); `fleetwarden audit list` lists them"
    )
}

/// An audit's id.
pub(super) fn task_id(text: &str) -> Result<String, String> {
    let fits = (1..=40).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if fits { Ok(text.to_owned()) } else { Err("an audit's id has 1 to 40 letters, digits and -".to_owned()) }
}
