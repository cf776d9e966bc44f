//! `fleetwarden audit suppress | suppressions | unsuppress`: defects that are known and accepted.

use super::command::{failed, failed_or_gone};
use super::moments::{Moment, moment};
use super::totals::time;
use crate::cli::{CliError, OutputFormat, print};
use crate::clock::Clock;
use crate::defender::console::resource_text::{Meant, read};
use crate::defender::console::{Console, Suppression, Until, check_name, check_why, is_there_already};
use crate::finding::{Resource, ResourceIdentifier};
use clap::{ArgGroup, Args};
use serde_json::{Value, json};

const SUPPRESS_HELP: &str = "\
Examples:
  fleetwarden audit suppress --check iot_policy_overly_permissive \\
      --resource LabPolicy:3 --until 2027-03-31 --why \"lab devices\"
  fleetwarden audit suppress --check logging_disabled \\
      --resource 123456789012 --indefinitely --why \"logged elsewhere\"
  fleetwarden audit suppress --finding 11111111-1111-4111-8111-111111111111 \\
      --until 30d --why \"replaced in October\"

A resource is written by what the check looks at:
  (CA) certificates   the id (64 hexadecimal characters) or the ARN
  policies            NAME:VERSION, or NAME for its default version now
  role aliases        NAME or the ARN
  account settings    the account's id
  Cognito pools       REGION:UUID
  client ids          the client id
  anything            as the API does: '{\"deviceCertificateId\": \"...\"}'
A policy's new version is another resource: the suppression does not cover it.

Exit codes: 0 suppressed, or it was so already; 1 a call failed; 2 wrong usage, or suppressed \
otherwise already.";

const LIST_HELP: &str = "\
Examples:
  fleetwarden audit suppressions
  fleetwarden audit suppressions --check logging_disabled --output json";

const UNSUPPRESS_HELP: &str = "\
Examples:
  fleetwarden audit unsuppress --check iot_policy_overly_permissive \\
      --resource LabPolicy:3
  fleetwarden audit unsuppress --finding 11111111-1111-4111-8111-111111111111

From the next audit on its findings count again, and get their mitigation.

Exit codes: 0 no longer suppressed; 1 a call failed; 2 wrong usage, or it was not suppressed.";

/// A check and a resource, or a finding that has both.
#[derive(Debug, Args)]
pub struct Which {
    /// The check
    #[arg(long, value_name = "CHECK", required_unless_present = "finding")]
    pub check: Option<String>,
    /// The resource, see below
    #[arg(long, value_name = "RESOURCE", required_unless_present = "finding")]
    pub resource: Option<String>,
    /// Check and resource of this finding
    #[arg(long, value_name = "FINDING", conflicts_with_all = ["check", "resource"])]
    pub finding: Option<String>,
}

/// What `audit suppress` is told.
#[derive(Debug, Args)]
#[command(after_help = SUPPRESS_HELP, group(ArgGroup::new("how_long").required(true).args(["until", "indefinitely"])))]
pub struct SuppressArgs {
    /// Which
    #[command(flatten)]
    pub which: Which,
    /// Until then: a day (00:00 UTC), a time such as 2027-03-31T12:00:00Z, or 30d from now
    #[arg(long, value_name = "DATE", value_parser = moment)]
    pub until: Option<Moment>,
    /// Until it is ended with `unsuppress`
    #[arg(long)]
    pub indefinitely: bool,
    /// Why it is accepted, for whoever asks later; up to 1000 characters
    #[arg(long, value_name = "TEXT", value_parser = why)]
    pub why: String,
    /// Change the suppression that is there already
    #[arg(long)]
    pub replace: bool,
}

/// What `audit suppressions` is told.
#[derive(Debug, Args)]
#[command(after_help = LIST_HELP)]
pub struct SuppressionsArgs {
    /// Only of this check
    #[arg(long, value_name = "CHECK")]
    pub check: Option<String>,
}

/// What `audit unsuppress` is told.
#[derive(Debug, Args)]
#[command(after_help = UNSUPPRESS_HELP)]
pub struct UnsuppressArgs {
    /// Which
    #[command(flatten)]
    pub which: Which,
}

fn why(text: &str) -> Result<String, String> {
    check_why(text).map(|()| text.to_owned())
}

/// The check's name. One that this version does not know is for AWS to judge, if it looks like one.
fn check_of(text: &str) -> Result<String, CliError> {
    check_name::resolve(text, []).map_err(|mistake| CliError::Usage(format!("--check: {mistake}")))
}

/// Check and resource, with what had to be looked up.
async fn identified(console: &Console, which: &Which) -> Result<(String, ResourceIdentifier), CliError> {
    if let Some(id) = &which.finding {
        let found = console.finding(id).await.map_err(|error| {
            failed_or_gone(&error, || {
                format!(
                    "there is no finding {id} in this account and region; `fleetwarden audit findings AUDIT` lists them"
                )
            })
        })?;
        return Ok((found.check, found.resource.identifier));
    }
    let check = check_of(which.check.as_deref().unwrap_or_default())?;
    let meant = read(&check, which.resource.as_deref().unwrap_or_default())
        .map_err(|mistake| CliError::Usage(format!("--resource: {mistake}")))?;
    let gone = match &meant {
        Meant::DefaultVersionOf(name) => format!("there is no policy {name} in this account and region"),
        Meant::RoleAlias(name) => format!("there is no role alias {name} in this account and region"),
        Meant::Exactly(_) => String::new(),
    };
    let identifier = console.identify(meant).await.map_err(|error| failed_or_gone(&error, || gone))?;
    Ok((check, identifier))
}

/// Suppresses a defect.
///
/// # Errors
///
/// Usage: wrong usage, or it is suppressed in another way already. Failed: a call failed.
pub(super) async fn suppress(console: &Console, args: &SuppressArgs, output: OutputFormat) -> Result<(), CliError> {
    let now = Clock::system().now();
    let until = match args.until {
        Some(until) if until.future(now) <= now => {
            return Err(CliError::Usage(format!(
                "--until {} is past; write a time to come, such as 30d",
                print::moment(Some(until.future(now).as_millisecond()))
            )));
        }
        Some(until) => Until::Second(until.future(now).as_second()),
        None => Until::Forever,
    };
    let (check, resource) = identified(console, &args.which).await?;
    let wanted = Suppression { check, resource, until, why: Some(args.why.clone()) };
    let done = match console.suppress(&wanted).await {
        Ok(()) => "suppressed",
        Err(error) if is_there_already(&error) => again(console, &wanted, args.replace).await?,
        Err(error) => return Err(failed(&error)),
    };
    match output {
        OutputFormat::Json => print::json(&as_json(&wanted)),
        OutputFormat::Table => print::line(&format!(
            "{done}: {} of {}, {}; it counts from the next audit on",
            name_of(&wanted.resource),
            wanted.check,
            spoken(wanted.until)
        )),
    }
    Ok(())
}

/// There is one already: it is as wanted, or is to be changed, or stands in the way.
async fn again(console: &Console, wanted: &Suppression, replace: bool) -> Result<&'static str, CliError> {
    let there = console.suppression(&wanted.check, &wanted.resource).await.map_err(|error| failed(&error))?;
    match there {
        Some(there) if there == *wanted => Ok("suppressed already"),
        Some(there) if !replace => {
            let why = there.why.as_deref().map(|why| format!(" ({why})")).unwrap_or_default();
            Err(CliError::Usage(format!(
                "{} of {} is suppressed already, {}{why}; add --replace to change that",
                name_of(&wanted.resource),
                wanted.check,
                spoken(there.until)
            )))
        }
        _ => {
            console.change_suppression(wanted).await.map_err(|error| failed(&error))?;
            Ok("suppression changed")
        }
    }
}

/// Lists suppressions.
///
/// # Errors
///
/// Usage: an unknown check. Failed: a call failed.
pub(super) async fn list(console: &Console, args: &SuppressionsArgs, output: OutputFormat) -> Result<(), CliError> {
    let check = args.check.as_deref().map(check_of).transpose()?;
    let suppressions = console.suppressions(check.as_deref()).await.map_err(|error| failed(&error))?;
    match output {
        OutputFormat::Json => print::json(&suppressions.iter().map(as_json).collect()),
        OutputFormat::Table => {
            if !suppressions.is_empty() {
                let mut table = print::table(&["check", "resource", "until (UTC)", "why"]);
                for suppression in &suppressions {
                    let until = match suppression.until {
                        Until::Second(second) => print::moment(Some(second.saturating_mul(1000))),
                        Until::Forever => "indefinitely".to_owned(),
                    };
                    let why = suppression.why.clone().unwrap_or_else(|| "-".to_owned());
                    table.add_row([suppression.check.clone(), name_of(&suppression.resource), until, why]);
                }
                print::line(&table.to_string());
            }
            let noun = if suppressions.len() == 1 { "suppression" } else { "suppressions" };
            print::line(&format!("{} {noun}", suppressions.len()));
        }
    }
    Ok(())
}

/// Ends a suppression.
///
/// # Errors
///
/// Usage: it was not suppressed. Failed: a call failed.
pub(super) async fn unsuppress(console: &Console, args: &UnsuppressArgs, output: OutputFormat) -> Result<(), CliError> {
    let (check, resource) = identified(console, &args.which).await?;
    let there = console.suppression(&check, &resource).await.map_err(|error| failed(&error))?;
    let Some(there) = there else {
        return Err(CliError::Usage(format!(
            "{} of {check} is not suppressed; `fleetwarden audit suppressions` lists what is",
            name_of(&resource)
        )));
    };
    console.unsuppress(&check, &resource).await.map_err(|error| failed(&error))?;
    match output {
        OutputFormat::Json => print::json(&as_json(&there)),
        OutputFormat::Table => print::line(&format!(
            "no longer suppressed: {} of {check}; its findings count again from the next audit on",
            name_of(&resource)
        )),
    }
    Ok(())
}

fn spoken(until: Until) -> String {
    match until {
        Until::Second(second) => format!("until {} UTC", print::moment(Some(second.saturating_mul(1000)))),
        Until::Forever => "indefinitely".to_owned(),
    }
}

/// As it can be written after `--resource`.
fn name_of(identifier: &ResourceIdentifier) -> String {
    match identifier {
        ResourceIdentifier::PolicyVersion { policy, version } => format!("{policy}:{version}"),
        ResourceIdentifier::IssuerCertificate { .. } => identifier.to_json().to_string(),
        other => Resource {
            kind: String::new(),
            identifier: other.clone(),
            additional_info: std::collections::BTreeMap::new(),
        }
        .id(),
    }
}

fn as_json(suppression: &Suppression) -> Value {
    let until = match suppression.until {
        Until::Second(second) => time(Some(second.saturating_mul(1000))),
        Until::Forever => Value::Null,
    };
    json!({
        "check": suppression.check,
        "resource": name_of(&suppression.resource),
        "resourceIdentifier": suppression.resource.to_json(),
        "indefinitely": suppression.until == Until::Forever,
        "until": until,
        "why": suppression.why,
    })
}
