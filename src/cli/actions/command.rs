//! What `actions` is told.

use super::create::{self, CreateArgs, UpdateArgs};
use super::show;
use super::tasks::{self, TasksCommand};
use crate::aws::{CallError, Class, Clients, load_config};
use crate::cli::{CliError, OutputFormat};
use crate::defender::console::Console;
use crate::finding::ActionType;
use clap::{Args, Subcommand};

const HELP: &str = "\
Examples:
  fleetwarden actions list
  fleetwarden actions create DeactivateCertificates --type UPDATE_DEVICE_CERTIFICATE --role $ROLE
  fleetwarden actions create DeactivateCertificates --type UPDATE_DEVICE_CERTIFICATE --print-role
  fleetwarden actions tasks list --since 7d
  fleetwarden actions tasks status $TASK

An action is what Device Defender itself does about a finding, with a role of its own. Making one
changes no device. A task does, when `fleetwarden mitigate --action`, a policy's rule that delegates,
the AWS CLI (start-audit-mitigation-actions-task) or the console starts one.";

const LIST_HELP: &str = "\
Examples:
  fleetwarden actions list
  fleetwarden actions list --type ENABLE_IOT_LOGGING --output json | jq -r '.[].name'";

const SHOW_HELP: &str = "\
Example:
  fleetwarden actions show EnableErrorLoggingAction";

const DELETE_HELP: &str = "\
Examples:
  fleetwarden actions delete EnableErrorLoggingAction
  fleetwarden actions delete EnableErrorLoggingAction --yes

Tasks that are under way keep the action as it was when they started. Rules that delegate to it
fail until there is one of that name again.

Exit codes: 0 deleted; 1 not confirmed, or AWS does not answer; 2 no such action, or no --yes where
nobody can be asked.";

/// What `actions` is told.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct ActionsArgs {
    /// What to do
    #[command(subcommand)]
    pub command: ActionsCommand,
}

/// The sub-commands of `actions`.
#[derive(Debug, Subcommand)]
pub enum ActionsCommand {
    /// The mitigation actions of the account and region, with the checks that each fits
    #[command(after_help = LIST_HELP)]
    List {
        /// Only of this type
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<ActionType>,
    },
    /// Makes a mitigation action, or prints the role that it needs
    Create(Box<CreateArgs>),
    /// One mitigation action: type, parameters, role
    #[command(after_help = SHOW_HELP)]
    Show {
        /// The action's name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Changes the role or the parameters of a mitigation action
    Update(Box<UpdateArgs>),
    /// Deletes a mitigation action, after asking
    #[command(after_help = DELETE_HELP)]
    Delete {
        /// The action's name
        #[arg(value_name = "NAME")]
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Applications of actions to findings: what the AWS console calls action results
    Tasks {
        /// What to do
        #[command(subcommand)]
        command: TasksCommand,
    },
}

/// Looks at mitigation actions and tasks, or changes them.
///
/// # Errors
///
/// Usage: wrong arguments, found before any call; a name or id that Device Defender does not know. Failed: AWS refuses or does not
/// answer.
pub async fn run(args: &ActionsArgs, output: OutputFormat) -> Result<(), CliError> {
    match &args.command {
        ActionsCommand::List { kind } => show::list(*kind, output).await,
        ActionsCommand::Create(args) => create::create(args, output).await,
        ActionsCommand::Show { name } => show::show(name, output).await,
        ActionsCommand::Update(args) => create::update(args, output).await,
        ActionsCommand::Delete { name, yes } => show::delete(name, *yes, output).await,
        ActionsCommand::Tasks { command } => tasks::run(command, output).await,
    }
}

/// Device Defender of the standard AWS environment. Nothing is called yet.
pub(super) async fn console() -> Result<Console, CliError> {
    let config = load_config().await.map_err(CliError::Usage)?;
    Ok(Console::new(Clients::new(&config).iot))
}

/// A call that failed, for a person.
pub(super) fn failed(error: &CallError) -> CliError {
    let advice = match (error.class, error.advice()) {
        (_, Some(advice)) => format!(": {advice}"),
        (Class::Unknown, None) => ": whether it took effect is not known; look, and give the command again".to_owned(),
        (Class::Throttled | Class::Transient, None) => ": give the command again later".to_owned(),
        (_, None) => String::new(),
    };
    CliError::Failed(format!("failed to {error}{advice}"))
}

/// The name of an action, if it can be one.
pub(super) fn action_name(name: &str) -> Result<&str, String> {
    match crate::aws::syntax::is_mitigation_name(name) {
        true => Ok(name),
        false => Err(format!("`{name}` is no name of an action; write 1 to 128 of a-z, A-Z, 0-9, `_` and `-`")),
    }
}

/// There is no action of that name.
pub(super) fn no_such_action(name: &str) -> CliError {
    CliError::Usage(format!("there is no mitigation action {name}; see `fleetwarden actions list`"))
}
