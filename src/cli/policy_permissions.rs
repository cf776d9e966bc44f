//! `fleetwarden policy permissions`: what a worker must be allowed to call for a policy file.

use super::policy::{name, pretty, print, read};
use super::print::{self as tables, counted};
use super::{CliError, OutputFormat};
use crate::aws::syntax::{is_account, partition_of};
use crate::policy::{ANY, Mode, Permission, Place, Policy, permissions, policy_document, stack_parameters};
use crate::setup::{SetupPlan, region_of_url};
use clap::Args;
use std::io::Write;

/// Stand where nobody said; neither is one.
const ACCOUNT: &str = "ACCOUNT";
const REGION: &str = "REGION";

/// Reasons that are told of one permission in the table.
const MOST_REASONS: usize = 3;

/// What `policy permissions` is told.
#[derive(Debug, Args)]
pub(super) struct PermissionsArgs {
    /// The policy file, or - for standard input
    file: String,
    /// Overrides the policy's mode; to observe changes nothing of AWS IoT, and needs no permission to
    #[arg(long, env = "FLEETWARDEN_MODE", value_enum)]
    mode: Option<Mode>,
    /// The account, 12 digits; default: the queue's own
    #[arg(long, env = "FLEETWARDEN_ACCOUNT", value_name = "ID", value_parser = account)]
    account: Option<String>,
    /// The region; default: the queue's own
    #[arg(long, env = "AWS_REGION", value_name = "REGION", value_parser = region)]
    region: Option<String>,
    /// The queue: URL or ARN; default: the name that `setup` gives
    #[arg(long, env = "FLEETWARDEN_QUEUE_URL", value_name = "URL|ARN")]
    queue_url: Option<String>,
    /// The dead-letter queue: URL or ARN; default: the name that `setup` gives
    #[arg(long, env = "FLEETWARDEN_DEAD_LETTER_QUEUE_URL", value_name = "URL|ARN")]
    dead_letter_queue_url: Option<String>,
    /// The table: name or ARN
    #[arg(long, env = "FLEETWARDEN_TABLE", value_name = "NAME|ARN", default_value = "fleetwarden")]
    table: String,
    /// Workers read the account's quotas (`run --quota service-quotas`), whatever the policy says
    #[arg(long)]
    service_quotas: bool,
    /// Print the parameters of the stack in infra/service.yaml instead, NAME=VALUE a line
    #[arg(long)]
    parameters: bool,
}

fn account(text: &str) -> Result<String, String> {
    if is_account(text) { Ok(text.to_owned()) } else { Err("an account id has 12 digits".to_owned()) }
}

fn region(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let good = text.contains('-') && text.bytes().all(fits);
    if good { Ok(text.to_owned()) } else { Err("write a region such as eu-central-1".to_owned()) }
}

pub(super) fn run(args: &PermissionsArgs, output: OutputFormat, out: &mut dyn Write) -> Result<(), CliError> {
    let mut policy =
        Policy::load(&read(&args.file)?, name(&args.file)).map_err(|errors| CliError::Usage(errors.to_string()))?;
    if let Some(mode) = args.mode {
        policy.set_mode(mode);
    }
    let needed = permissions(&policy, &place(args)?);
    if args.parameters {
        let parameters = stack_parameters(&policy, &needed);
        return match output {
            OutputFormat::Json => {
                let object = parameters.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
                print(out, &complete(pretty(&serde_json::Value::Object(object)))?)
            }
            OutputFormat::Table => {
                let lines: Vec<_> = parameters.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
                print(out, &complete(lines.join("\n"))?)
            }
        };
    }
    match output {
        OutputFormat::Json => print(out, &complete(pretty(&policy_document(&needed)))?),
        OutputFormat::Table => print(out, &table(&needed, policy.mode)),
    }
}

/// What is for AWS to read must not have gaps.
fn complete(text: String) -> Result<String, CliError> {
    let missing = |gap: &str| text.contains(&format!(":{gap}:"));
    match (missing(ACCOUNT), missing(REGION)) {
        (true, _) => Err("the account is not known: give --account (12 digits), or --queue-url"),
        (_, true) => Err("the region is not known: give --region (or set AWS_REGION), or --queue-url"),
        _ => Ok(text),
    }
    .map_err(|sentence| CliError::Usage(sentence.to_owned()))
}

fn place(args: &PermissionsArgs) -> Result<Place, CliError> {
    let queue = args.queue_url.as_deref().map(|text| Queue::read("--queue-url", text)).transpose()?;
    let dead = args.dead_letter_queue_url.as_deref();
    let dead = dead.map(|text| Queue::read("--dead-letter-queue-url", text)).transpose()?;
    let said = |mine: &Option<String>, of: fn(&Queue) -> Option<String>, gap: &str| {
        mine.clone().or_else(|| queue.as_ref().and_then(of)).unwrap_or_else(|| gap.to_owned())
    };
    let account = said(&args.account, |queue| Some(queue.account.clone()), ACCOUNT);
    let region = said(&args.region, |queue| queue.region.clone(), REGION);
    let plan = SetupPlan::default();
    let arn = |queue: Option<Queue>, name: String| {
        queue.unwrap_or_else(|| Queue { account: account.clone(), region: None, name }).arn(&region)
    };
    Ok(Place {
        queue: arn(queue.clone(), plan.queue),
        dead_letter_queue: arn(dead, plan.dead_letter_queue),
        table: table_arn(&args.table, &account, &region)?,
        service_quotas: args.service_quotas,
        account,
        region,
    })
}

/// A queue, as its URL or ARN names it.
#[derive(Debug, Clone)]
struct Queue {
    account: String,
    /// Not every URL tells.
    region: Option<String>,
    name: String,
}

impl Queue {
    fn read(flag: &str, text: &str) -> Result<Self, CliError> {
        let parts: Vec<&str> = text.split(':').collect();
        let found = match parts[..] {
            ["arn", _, "sqs", region, account, name] => Some((account, Some(region), name)),
            _ => text.split_once("://").and_then(|(_, rest)| {
                let mut path = rest.trim_end_matches('/').rsplit('/');
                Some((path.next()?, path.next()?)).map(|(name, account)| (account, region_of_url(text), name))
            }),
        };
        match found {
            Some((account, region, name)) if is_account(account) && !name.is_empty() => {
                Ok(Self { account: account.to_owned(), region: region.map(str::to_owned), name: name.to_owned() })
            }
            _ => Err(CliError::Usage(format!(
                "{flag} is {text:?}; write the URL of a queue (https://sqs.eu-central-1.amazonaws.com/123456789012/NAME) or its ARN"
            ))),
        }
    }

    fn arn(&self, region: &str) -> String {
        let region = self.region.as_deref().unwrap_or(region);
        format!("arn:{}:sqs:{region}:{}:{}", partition_of(region), self.account, self.name)
    }
}

fn table_arn(table: &str, account: &str, region: &str) -> Result<String, CliError> {
    let is_name = |name: &str| {
        (3..=255).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    let parts: Vec<&str> = table.split(':').collect();
    match parts[..] {
        ["arn", _, "dynamodb", _, account, resource]
            if is_account(account) && resource.strip_prefix("table/").is_some_and(is_name) =>
        {
            Ok(table.to_owned())
        }
        [name] if is_name(name) => Ok(format!("arn:{}:dynamodb:{region}:{account}:table/{name}", partition_of(region))),
        _ => Err(CliError::Usage(format!(
            "--table is {table:?}; write the name of a table (3 to 255 letters, digits, _, . and -) or its ARN"
        ))),
    }
}

fn table(needed: &[Permission], mode: Mode) -> String {
    let mut table = tables::table(&["permission", "resources", "why"]);
    for permission in needed {
        let resources = permission.resources.join("\n");
        table.add_row([permission.action, &resources, &why(&permission.why)]);
    }
    let writes = needed.iter().filter(|permission| permission.writes && !is_line(permission.action)).count();
    let mode = if mode == Mode::Enforce { "enforce" } else { "observe" };
    let changes = match writes {
        0 => "none of them changes AWS IoT or publishes".to_owned(),
        _ => format!("{writes} of them to change AWS IoT or publish"),
    };
    let unnamed = match needed.iter().any(|permission| permission.resources == [ANY]) {
        true => "\nAWS takes no resource for those of `*`.",
        false => "",
    };
    let count = counted(u64::try_from(needed.len()).unwrap_or(u64::MAX), "permission");
    format!("{table}\n{count} in {mode} mode, {changes}.{unnamed}")
}

/// Of the queues and the table, which every worker writes to.
fn is_line(action: &str) -> bool {
    action.starts_with("sqs:") || action.starts_with("dynamodb:")
}

fn why(reasons: &[String]) -> String {
    let told = reasons.iter().take(MOST_REASONS).map(String::as_str).collect::<Vec<_>>().join("\n");
    match reasons.len().saturating_sub(MOST_REASONS) {
        0 => told,
        more => format!("{told}\nand {more} more"),
    }
}
