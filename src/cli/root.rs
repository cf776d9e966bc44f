//! The command line as a whole.

use super::variables::name_variables;
use super::{CliError, OutputFormat, actions, audit, dlq, findings, healthcheck, replay, run, status};
use crate::telemetry::LogFormat;
use clap::builder::Resettable;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsStr;

const AFTER_HELP: &str = "\
First steps, without an AWS account:
  fleetwarden demo                    the whole loop on an embedded AWS, in about a minute
  fleetwarden policy default          the annotated default policy
  fleetwarden sandbox                 an AWS to play with, for the AWS CLI or any SDK

In production:
  fleetwarden setup                   queue, dead-letter queue, topic and table
  fleetwarden doctor                  what is right with them, what is wrong, how to mend it
  fleetwarden run --policy policy.yaml
  fleetwarden cost --findings 1e6     what findings cost on AWS

By hand, an audit from its settings to a second one that is clean:
  fleetwarden audit settings show
  fleetwarden audit start --all-enabled --wait
  fleetwarden audit findings $AUDIT
  fleetwarden mitigate --audit $AUDIT --policy policy.yaml --dry-run
  fleetwarden findings verify --audit $AUDIT

AWS is reached through the standard environment: AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL and the credentials chain.
Exit codes: 0 done; 1 failed; 2 wrong usage or bad configuration, found before anything was touched.";

/// Takes AWS IoT Device Defender audit findings from a queue, records each once, decides by policy, and mitigates them inside the
/// account's API quotas.
#[derive(Debug, Parser)]
#[command(name = "fleetwarden", version, after_help = AFTER_HELP, max_term_width = 110)]
pub struct Cli {
    /// How results are printed: for people, or one JSON document for programs
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "FLEETWARDEN_OUTPUT",
        value_name = "FORMAT",
        help_heading = "Options of every command"
    )]
    pub output: OutputFormat,
    /// How it is logged: auto (JSON on Amazon ECS, text elsewhere), text, or one JSON object a line
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "FLEETWARDEN_LOG_FORMAT",
        value_name = "FORMAT",
        hide_possible_values = true,
        help_heading = "Options of every command"
    )]
    pub log_format: LogFormat,
    /// What is logged on standard error: off, error, warn, info, debug, or a filter such as fleetwarden::worker=debug;
    /// default: info for `run`, error for the rest
    #[arg(
        long,
        global = true,
        env = "FLEETWARDEN_LOG",
        value_name = "FILTER",
        help_heading = "Options of every command"
    )]
    pub log: Option<String>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads the command line and the environment of this process. A variable that is set and empty is not set: that is how task
    /// definitions and compose files say so.
    ///
    /// # Errors
    /// As [`Parser::try_parse`].
    pub fn read() -> Result<Self, clap::Error> {
        let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
        let mut command = without_variables(Self::command(), &is_empty);
        let matches = command.try_get_matches_from_mut(std::env::args_os());
        let mut matches = matches.map_err(|error| name_variables(error, &Self::command()))?;
        Self::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
    }

    /// The log filter: a bare level is for this program; the libraries under it log warnings at most. What the credentials chain
    /// tried comes with the refusal, in a sentence.
    pub fn log_filter(&self) -> String {
        let log = self.log.as_deref().unwrap_or(match self.command {
            Command::Run(_) => "info",
            _ => "error",
        });
        match log {
            "error" | "warn" | "info" | "debug" | "trace" => {
                format!("warn,aws_config=error,rustack=error,fleetwarden={log}")
            }
            filter => filter.to_owned(),
        }
    }

    /// Where traces go, if anywhere; a variable that is set and empty means nowhere.
    pub fn otlp(&self) -> Option<&str> {
        match &self.command {
            Command::Run(args) => args.otlp.as_deref().filter(|endpoint| !endpoint.is_empty()),
            _ => None,
        }
    }
}

/// The command with all below it, where no option looks at a variable of which this is true.
fn without_variables(command: clap::Command, ignored: &impl Fn(&OsStr) -> bool) -> clap::Command {
    let command = command.mut_args(|arg| match arg.get_env() {
        Some(name) if ignored(name) => arg.env(Resettable::Reset),
        _ => arg,
    });
    command.mut_subcommands(|below| without_variables(below, ignored))
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows the whole loop on the embedded AWS: fleet, audit, findings, workers, a second audit
    #[cfg(feature = "sandbox")]
    Demo(super::demo::DemoArgs),
    /// Serves the embedded AWS over HTTP, for the AWS CLI or any SDK
    #[cfg(feature = "sandbox")]
    Sandbox(super::sandbox::SandboxArgs),
    /// Runs a worker: takes findings from the queue and mitigates them by policy
    Run(Box<run::RunArgs>),
    /// Asks the worker on this machine whether it is well: a container's health check
    Healthcheck(healthcheck::HealthcheckArgs),
    /// Creates queue, dead-letter queue, topic, subscription and table, where they are missing
    Setup(super::setup::SetupArgs),
    /// Checks, prints and explains policy files
    Policy(super::policy::PolicyArgs),
    /// Device Defender's audits: settings, runs, schedules, findings, suppressions
    Audit(audit::AuditArgs),
    /// Mitigates an audit's findings now: shows the plan, asks, then enqueues or delegates
    Mitigate(Box<super::mitigate::MitigateArgs>),
    /// Device Defender's own mitigation actions, and the tasks that apply them
    Actions(actions::ActionsArgs),
    /// What the ledger knows of findings
    Findings(findings::FindingsArgs),
    /// The dead letters: what was given up, and why
    Dlq(dlq::DlqArgs),
    /// Second chances: sends dead letters, or findings of the ledger, back to the queue
    Replay(replay::ReplayArgs),
    /// Checks a deployment from end to end: what is right, what is wrong, how to mend it
    Doctor(super::doctor::DoctorArgs),
    /// One look at the queue, the dead letters and the ledger
    Status(status::StatusArgs),
    /// Lists the metrics that a worker tells of itself, to Prometheus and to CloudWatch
    Metrics(super::metrics::MetricsArgs),
    /// What findings cost on AWS: requests and dollars by service; calls nothing
    Cost(super::cost::CostArgs),
}

/// Runs a command that needs neither a runtime nor AWS; `None` for one that [`execute`] runs.
pub fn execute_at_once(cli: &Cli) -> Option<Result<(), CliError>> {
    match &cli.command {
        Command::Healthcheck(args) => Some(healthcheck::run(args, cli.output)),
        _ => None,
    }
}

/// Runs the command.
///
/// # Errors
///
/// What went wrong, as a sentence, with its exit code.
pub async fn execute(cli: Cli) -> Result<(), CliError> {
    let output = cli.output;
    match cli.command {
        #[cfg(feature = "sandbox")]
        Command::Demo(args) => super::demo::run(&args, output).await,
        #[cfg(feature = "sandbox")]
        Command::Sandbox(args) => super::sandbox::run(&args, output).await,
        Command::Run(args) => run::run(&args, output).await,
        Command::Healthcheck(args) => healthcheck::run(&args, output),
        Command::Setup(args) => super::setup::run(args, output).await,
        Command::Policy(args) => super::policy::run(&args, output),
        Command::Audit(args) => audit::run(&args, output).await,
        Command::Mitigate(args) => super::mitigate::run(&args, output).await,
        Command::Actions(args) => actions::run(&args, output).await,
        Command::Findings(args) => findings::run(&args, output).await,
        Command::Dlq(args) => dlq::run(&args, output).await,
        Command::Replay(args) => replay::run(&args, output).await,
        Command::Doctor(args) => super::doctor::run(&args, output).await,
        Command::Status(args) => status::run(&args, output).await,
        Command::Metrics(args) => super::metrics::run(&args, output),
        Command::Cost(args) => super::cost::run(&args, output),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_is_none_to_any_option_of_any_command() {
        fn variables(command: &clap::Command) -> Vec<String> {
            let of = |arg: &clap::Arg| arg.get_env().map(|name| name.to_string_lossy().into_owned());
            let own = command.get_arguments().filter_map(of);
            own.chain(command.get_subcommands().flat_map(variables)).collect()
        }
        let all = variables(&Cli::command());
        assert!(
            all.iter().any(|name| name == "FLEETWARDEN_OUTPUT") && all.iter().any(|name| name == "FLEETWARDEN_HTTP")
        );
        let left = variables(&without_variables(Cli::command(), &|name| name != "FLEETWARDEN_HTTP"));
        // Of `run` and of `healthcheck`.
        assert_eq!(left, ["FLEETWARDEN_HTTP", "FLEETWARDEN_HTTP"]);
    }
}
