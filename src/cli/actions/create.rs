//! `fleetwarden actions create` and `update`.

use super::command::{action_name, console, failed, no_such_action};
use super::params::{ParamArgs, differences, role_fault};
use super::show::{action_json, print_action};
use crate::aws::syntax::{account_of, is_account};
use crate::aws::{CallError, Class, load_config};
use crate::cli::{CliError, OutputFormat, print};
use crate::defender::console::{ActionParams, ActionRole, Console, MitigationAction};
use crate::finding::ActionType;
use clap::Args;
use serde_json::json;

const CREATE_HELP: &str = "\
Examples:
  fleetwarden actions create DeactivateCertificates --type UPDATE_DEVICE_CERTIFICATE --role $ROLE
  fleetwarden actions create Quarantine --type ADD_THINGS_TO_THING_GROUP --group A,B --role $ROLE
  fleetwarden actions create BlankPolicy --type REPLACE_DEFAULT_POLICY_VERSION --role $ROLE
  fleetwarden actions create EnableErrorLoggingAction --type ENABLE_IOT_LOGGING --level ERROR \\
    --logging-role arn:aws:iam::123456789012:role/IoTLogging --role $ROLE
  fleetwarden actions create Publish --type PUBLISH_FINDING_TO_SNS --topic $TOPIC --role $ROLE

  # which role? this prints it, and the commands that make it, and creates nothing
  fleetwarden actions create Publish --type PUBLISH_FINDING_TO_SNS --topic $TOPIC --print-role

An action that is there already, just as described, is left alone and counts as done.

Exit codes: 0 made, or there already; 1 AWS refuses or does not answer; 2 wrong arguments, or
another action of that name.";

const UPDATE_HELP: &str = "\
Examples:
  fleetwarden actions update EnableErrorLoggingAction --level WARN
  fleetwarden actions update Quarantine --group Quarantine --override-dynamic-groups=false
  fleetwarden actions update Publish --role $ROLE

What is not said stays as it is. The type of an action cannot be changed. Tasks that are under way
keep the action as it was.

Exit codes: 0 changed, or nothing to change; 1 AWS refuses or does not answer; 2 wrong arguments, or
no such action.";

/// What `actions create` is told.
#[derive(Debug, Args)]
#[command(after_help = CREATE_HELP)]
pub struct CreateArgs {
    /// The action's name: 1 to 128 of a-z, A-Z, 0-9, _ and -
    #[arg(value_name = "NAME")]
    pub name: String,
    /// What it does: UPDATE_DEVICE_CERTIFICATE, UPDATE_CA_CERTIFICATE, ADD_THINGS_TO_THING_GROUP,
    /// REPLACE_DEFAULT_POLICY_VERSION, ENABLE_IOT_LOGGING, PUBLISH_FINDING_TO_SNS
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: ActionType,
    /// The role that Device Defender runs it with (see --print-role)
    #[arg(long, value_name = "ARN")]
    pub role: Option<String>,
    /// The parameters of its type
    #[command(flatten)]
    pub params: ParamArgs,
    /// Print the role that it needs, with its trust policy and the AWS CLI commands that make both; create nothing
    #[arg(long)]
    pub print_role: bool,
    /// With --print-role: the account; default: that of --role, --logging-role or --topic
    #[arg(long, env = "FLEETWARDEN_ACCOUNT", value_name = "ID")]
    pub account: Option<String>,
}

/// What `actions update` is told.
#[derive(Debug, Args)]
#[command(after_help = UPDATE_HELP)]
pub struct UpdateArgs {
    /// The action's name
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The role that Device Defender runs it with from now on
    #[arg(long, value_name = "ARN")]
    pub role: Option<String>,
    /// The parameters of its type
    #[command(flatten)]
    pub params: ParamArgs,
}

/// Makes an action, unless it is there just like that.
pub(super) async fn create(args: &CreateArgs, output: OutputFormat) -> Result<(), CliError> {
    let mut wrong: Vec<String> = action_name(&args.name).err().into_iter().collect();
    wrong.extend(args.role.as_deref().and_then(|role| role_fault("--role", role)));
    let params = match args.params.read(args.kind, None) {
        Ok(params) => Some(params),
        Err(more) => {
            wrong.extend(more);
            None
        }
    };
    if let (Some(params), Some(role)) = (&params, &args.role) {
        wrong.extend(other_account(role, params));
    }
    if args.role.is_none() && !args.print_role {
        wrong.push(format!(
            "{} needs --role: the ARN of the role that Device Defender runs it with; the same command with --print-role \
             instead prints one, and how to make it",
            args.kind
        ));
    }
    let (Some(params), true) = (params, wrong.is_empty()) else {
        return Err(CliError::Usage(wrong.join("\n")));
    };
    if args.print_role {
        return print_role(args, &params, output).await;
    }
    let role = args.role.as_deref().unwrap_or_default();
    let console = console().await?;
    let made = match console.action(&args.name).await {
        Ok(existing) => return already_there(&existing, role, &params, output),
        Err(error) if error.class == Class::Gone => console.create_action(&args.name, role, &params).await,
        Err(error) => return Err(failed(&error)),
    };
    match made {
        Ok(()) => {
            let action = read(&console, &args.name).await?;
            match output {
                OutputFormat::Json => print::json(&with(action_json(&action), "created")),
                OutputFormat::Table => {
                    print_action(&action);
                    print::line("created");
                }
            }
            Ok(())
        }
        // Somebody was quicker.
        Err(error) if error.code.as_deref() == Some("ResourceAlreadyExistsException") => {
            already_there(&read(&console, &args.name).await?, role, &params, output)
        }
        Err(error) => Err(refused(&error)),
    }
}

/// Changes an action, if anything is to be changed.
pub(super) async fn update(args: &UpdateArgs, output: OutputFormat) -> Result<(), CliError> {
    let mut wrong: Vec<String> = action_name(&args.name).err().into_iter().collect();
    wrong.extend(args.role.as_deref().and_then(|role| role_fault("--role", role)));
    if args.role.is_none() && args.params.is_empty() {
        wrong.push("nothing is to be changed: say --role, or a parameter of the action's type".to_owned());
    }
    if !wrong.is_empty() {
        return Err(CliError::Usage(wrong.join("\n")));
    }
    let console = console().await?;
    let before = read(&console, &args.name).await?;
    let Some(kind) = before.params.action_type() else {
        return Err(CliError::Usage(format!(
            "{} is an action of type {}, which this version does not know; change it with the AWS CLI",
            args.name,
            before.params.type_name()
        )));
    };
    let params = args.params.read(kind, Some(&before.params)).map_err(|wrong| CliError::Usage(wrong.join("\n")))?;
    let role = args.role.as_deref().unwrap_or(&before.role_arn);
    if let Some(wrong) = other_account(role, &params) {
        return Err(CliError::Usage(wrong));
    }
    let differences = differences(&before, role, &params);
    if !differences.is_empty() {
        console.update_action(&args.name, role, &params).await.map_err(|error| match error.class {
            Class::Gone => no_such_action(&args.name),
            _ => refused(&error),
        })?;
    }
    let after = if differences.is_empty() { before } else { read(&console, &args.name).await? };
    let done = if differences.is_empty() { "unchanged" } else { "updated" };
    match output {
        OutputFormat::Json => print::json(&with(action_json(&after), done)),
        OutputFormat::Table => {
            print_action(&after);
            print::line(if differences.is_empty() { "it is like that already" } else { done });
        }
    }
    Ok(())
}

fn with(mut action: serde_json::Value, outcome: &str) -> serde_json::Value {
    action["outcome"] = json!(outcome);
    action
}

/// The action of that name.
pub(super) async fn read(console: &Console, name: &str) -> Result<MitigationAction, CliError> {
    console.action(name).await.map_err(|error| match error.class {
        Class::Gone => no_such_action(name),
        _ => failed(&error),
    })
}

/// `iam:PassRole` does not reach into another account.
fn other_account(role: &str, params: &ActionParams) -> Option<String> {
    let ActionParams::EnableIotLogging { role_arn, .. } = params else { return None };
    match (account_of(role), account_of(role_arn)) {
        (Some(one), Some(other)) if one != other => Some(format!(
            "--role is of account {one} and --logging-role of account {other}; a role can be passed within one account only"
        )),
        _ => None,
    }
}

fn already_there(
    existing: &MitigationAction,
    role: &str,
    params: &ActionParams,
    output: OutputFormat,
) -> Result<(), CliError> {
    let differences = differences(existing, role, params);
    let name = &existing.name;
    if !differences.is_empty() {
        let retyped = existing.params.action_type() != params.action_type();
        let advice = if retyped {
            format!("a type cannot be changed: choose another name, or `fleetwarden actions delete {name}` first")
        } else {
            format!("change it with `fleetwarden actions update {name}`, or choose another name")
        };
        return Err(CliError::Usage(format!(
            "there is an action {name} already, and it differs: {}; {advice}",
            differences.join("; ")
        )));
    }
    match output {
        OutputFormat::Json => print::json(&with(action_json(existing), "already there")),
        OutputFormat::Table => print::line(&format!("{name} is already there, just as described")),
    }
    Ok(())
}

/// What AWS says against an action.
fn refused(error: &CallError) -> CliError {
    match error.code.as_deref() {
        Some("LimitExceededException") => CliError::Failed(format!(
            "failed to {error}: an account has at most 100 mitigation actions in a region; delete one that no rule and nobody \
             uses, see `fleetwarden actions list`"
        )),
        Some("InvalidRequestException") => CliError::Usage(format!(
            "failed to {error}: check that the role exists and that AWS IoT may take it, see --print-role of `fleetwarden \
             actions create`"
        )),
        _ => failed(error),
    }
}

async fn print_role(args: &CreateArgs, params: &ActionParams, output: OutputFormat) -> Result<(), CliError> {
    let logging_role = args.params.logging_role.as_deref();
    let told = [args.role.as_deref(), logging_role, args.params.topic.as_deref()];
    let account = args.account.clone().or_else(|| told.into_iter().flatten().find_map(account_of).map(str::to_owned));
    let Some(account) = account else {
        return Err(CliError::Usage(
            "--print-role names the resources of an account: say --account, 12 digits (`aws sts get-caller-identity` tells it)"
                .to_owned(),
        ));
    };
    if !is_account(&account) {
        return Err(CliError::Usage(format!("--account {account}: an account id has 12 digits")));
    }
    let config = load_config().await.map_err(CliError::Usage)?;
    let region = config.region().map(ToString::to_string).unwrap_or_default();
    let role = ActionRole::of(&args.name, params, args.role.as_deref(), &account, &region);
    let create = create_command(&args.name, params, &role.arn);
    let commands: Vec<String> = role.commands().into_iter().chain([create]).collect();
    match output {
        OutputFormat::Json => print::json(&json!({
            "roleArn": role.arn,
            "roleName": role.name(),
            "trustPolicy": role.trust,
            "permissionsPolicy": role.permissions,
            "managedPolicy": role.managed_policy,
            "commands": commands,
        })),
        OutputFormat::Table => {
            print::line(&format!("# {}: the role for the action {}. Nothing was created.", role.arn, args.name));
            print::line("\n# Who may take it:");
            print::json(&role.trust);
            print::line("\n# What it may do:");
            print::json(&role.permissions);
            if let Some(managed) = &role.managed_policy {
                print::line(&format!("\n# AWS's own policy for this type allows it on every resource:\n# {managed}"));
            }
            print::line("\n# These make both, and then the action (whoever makes it needs iam:PassRole on the role):");
            commands.iter().for_each(|command| print::line(command));
        }
    }
    Ok(())
}

fn create_command(name: &str, params: &ActionParams, role: &str) -> String {
    let flags = match params {
        ActionParams::AddThingsToThingGroup { groups, override_dynamic_groups } => {
            let overrides = if *override_dynamic_groups { " --override-dynamic-groups" } else { "" };
            format!(" --group {}{overrides}", groups.join(","))
        }
        ActionParams::EnableIotLogging { role_arn, level } => format!(" --level {level} --logging-role {role_arn}"),
        ActionParams::PublishFindingToSns { topic_arn } => format!(" --topic {topic_arn}"),
        _ => String::new(),
    };
    format!("fleetwarden actions create {name} --type {}{flags} --role {role}", params.type_name())
}
