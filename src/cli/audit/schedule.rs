//! `fleetwarden audit schedule`: audits that run by themselves.

use super::command::{failed, failed_or_gone, mistaken};
use super::start::Checks;
use crate::aws::CallError;
use crate::cli::ask::agreed;
use crate::cli::{CliError, OutputFormat, print};
use crate::defender::console::choice::{Choice, choose};
use crate::defender::console::{
    Console, Frequency, Schedule, ScheduleUpdate, check_name_of_schedule, is_there_already,
};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

const HELP: &str = "\
Examples:
  fleetwarden audit schedule create Nightly --daily --all-enabled
  fleetwarden audit schedule list
  fleetwarden audit schedule update Nightly --weekly MON

AWS chooses the hour, and allows five schedules of an account and region.";

const CREATE_HELP: &str = "\
Examples:
  fleetwarden audit schedule create Nightly --daily --all-enabled
  fleetwarden audit schedule create Weekly --weekly MON \\
      --checks device_certificate_shared,logging_disabled
  fleetwarden audit schedule create MonthEnd --monthly LAST --all-enabled

AWS chooses the hour. In a month without a day 29, 30 or 31 the audit runs on its last day. \
--all-enabled takes the checks that are enabled now; later ones are added with `update`.

Exit codes: 0 created; 1 a call failed, or there are five already; 2 wrong usage, or the name is taken.";

const UPDATE_HELP: &str = "\
Examples:
  fleetwarden audit schedule update Nightly --weekly SUN
  fleetwarden audit schedule update Nightly --all-enabled
  fleetwarden audit schedule update Nightly \\
      --checks logging_disabled,device_certificate_shared

--checks names all checks that it is to run, not those that are added.

Exit codes: 0 changed, or nothing to change; 1 a call failed; 2 wrong usage, or no such schedule.";

const DELETE_HELP: &str = "\
Example:
  fleetwarden audit schedule delete Nightly --yes

Audits that it has started stay, and so do their findings.

Exit codes: 0 deleted; 1 not confirmed, or a call failed; 2 no such schedule, or no --yes where \
nobody can be asked.";

/// What `audit schedule` is told.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct ScheduleArgs {
    /// What to do
    #[command(subcommand)]
    pub command: ScheduleCommand,
}

/// How often; one of them.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct Often {
    /// Every day
    #[arg(long)]
    pub daily: bool,
    /// Every week on this day: MON, TUE, WED, THU, FRI, SAT, SUN
    #[arg(long, value_name = "DAY", value_parser = |day: &str| Frequency::weekly(day, false))]
    pub weekly: Option<Frequency>,
    /// Every second week on this day
    #[arg(long, value_name = "DAY", value_parser = |day: &str| Frequency::weekly(day, true))]
    pub biweekly: Option<Frequency>,
    /// Every month on this day: 1 to 31, or LAST
    #[arg(long, value_name = "DAY", value_parser = |day: &str| Frequency::monthly(day))]
    pub monthly: Option<Frequency>,
}

impl Often {
    fn frequency(&self) -> Option<Frequency> {
        let daily = self.daily.then(Frequency::daily);
        daily.or_else(|| self.weekly.clone()).or_else(|| self.biweekly.clone()).or_else(|| self.monthly.clone())
    }
}

/// The sub-commands of `audit schedule`.
#[derive(Debug, Subcommand)]
pub enum ScheduleCommand {
    /// Makes a schedule
    #[command(after_help = CREATE_HELP)]
    Create {
        /// Its name: letters, digits, _ and -
        #[arg(value_name = "NAME", value_parser = name)]
        name: String,
        /// How often
        #[command(flatten)]
        often: Often,
        /// What
        #[command(flatten)]
        checks: Checks,
    },
    /// Lists them, with how often and how many checks
    #[command(after_help = "Example:\n  fleetwarden audit schedule list --output json | jq '.[].name'")]
    List,
    /// One schedule with its checks
    #[command(after_help = "Example:\n  fleetwarden audit schedule show Nightly")]
    Show {
        /// Its name
        #[arg(value_name = "NAME", value_parser = name)]
        name: String,
    },
    /// Changes how often a schedule runs, or its checks
    #[command(after_help = UPDATE_HELP)]
    Update {
        /// Its name
        #[arg(value_name = "NAME", value_parser = name)]
        name: String,
        /// How often
        #[command(flatten)]
        often: Often,
        /// All checks that it is to run
        #[arg(long, value_name = "CHECK,..", value_delimiter = ',')]
        checks: Vec<String>,
        /// Every check that the account has enabled
        #[arg(long, conflicts_with = "checks")]
        all_enabled: bool,
    },
    /// Deletes a schedule, after asking
    #[command(after_help = DELETE_HELP)]
    Delete {
        /// Its name
        #[arg(value_name = "NAME", value_parser = name)]
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

fn name(text: &str) -> Result<String, String> {
    check_name_of_schedule(text).map(|()| text.to_owned())
}

/// Does it.
///
/// # Errors
///
/// Usage: a schedule that is not there, or is; a check that cannot be audited. Failed: a call failed, or the answer was no.
pub(super) async fn run(console: &Console, args: &ScheduleArgs, output: OutputFormat) -> Result<(), CliError> {
    match &args.command {
        ScheduleCommand::Create { name, often, checks } => create(console, name, often, checks, output).await,
        ScheduleCommand::List => list(console, output).await,
        ScheduleCommand::Show { name } => {
            let schedule = existing(console, name).await?;
            show(&schedule, output);
            Ok(())
        }
        ScheduleCommand::Update { name, often, checks, all_enabled } => {
            let choice = match (all_enabled, checks.as_slice()) {
                (true, _) => Some(Choice::AllEnabled),
                (false, []) => None,
                (false, checks) => Some(Choice::Named(checks)),
            };
            update(console, name, often.frequency(), choice, output).await
        }
        ScheduleCommand::Delete { name, yes } => delete(console, name, *yes, output).await,
    }
}

async fn existing(console: &Console, name: &str) -> Result<Schedule, CliError> {
    console.schedule(name).await.map_err(|error| failed_or_gone(&error, || no_schedule(name)))
}

fn no_schedule(name: &str) -> String {
    format!(
        "there is no scheduled audit {name} in this account and region; `fleetwarden audit schedule list` lists them"
    )
}

async fn chosen(console: &Console, choice: Choice<'_>) -> Result<Vec<String>, CliError> {
    let settings = console.audit_settings().await.map_err(|error| failed(&error))?;
    let mut checks = choose(&settings, choice).map_err(|mistakes| mistaken(&mistakes))?;
    checks.sort_unstable();
    Ok(checks)
}

async fn create(
    console: &Console,
    name: &str,
    often: &Often,
    checks: &Checks,
    output: OutputFormat,
) -> Result<(), CliError> {
    let frequency = often.frequency().ok_or_else(|| {
        CliError::Usage("say how often: --daily, --weekly DAY, --biweekly DAY, or --monthly 1..31 or LAST".to_owned())
    })?;
    let checks = chosen(console, checks.choice()).await?;
    let schedule = Schedule { name: name.to_owned(), arn: None, frequency, checks };
    console.create_schedule(&schedule).await.map_err(|error| not_created(name, &error))?;
    match output {
        OutputFormat::Json => print::json(&as_json(&schedule)),
        OutputFormat::Table => {
            print::line(&format!(
                "scheduled audit {name} created: {}, {}",
                schedule.frequency,
                number(schedule.checks.len())
            ));
        }
    }
    Ok(())
}

fn not_created(name: &str, error: &CallError) -> CliError {
    if is_there_already(error) {
        return CliError::Usage(format!(
            "there is a scheduled audit {name} already; change it with `fleetwarden audit schedule update {name}`, or choose another \
             name"
        ));
    }
    if error.code.as_deref() == Some("LimitExceededException") {
        return CliError::Failed(format!(
            "failed to {error}; AWS allows five scheduled audits: delete one (`fleetwarden audit schedule list`), or add the checks to \
             one"
        ));
    }
    failed(error)
}

async fn list(console: &Console, output: OutputFormat) -> Result<(), CliError> {
    let schedules = console.schedules().await.map_err(|error| failed(&error))?;
    match output {
        OutputFormat::Json => print::json(&schedules.iter().map(as_json).collect()),
        OutputFormat::Table => {
            if !schedules.is_empty() {
                let mut table = print::table(&["schedule", "how often", "checks"]);
                for schedule in &schedules {
                    let often = schedule.frequency.to_string();
                    table.add_row([&schedule.name, &often, &schedule.checks.len().to_string()]);
                }
                print::right(&mut table, 2..3);
                print::line(&table.to_string());
            }
            let noun = if schedules.len() == 1 { "scheduled audit" } else { "scheduled audits" };
            print::line(&format!("{} {noun}", schedules.len()));
        }
    }
    Ok(())
}

fn show(schedule: &Schedule, output: OutputFormat) {
    match output {
        OutputFormat::Json => print::json(&as_json(schedule)),
        OutputFormat::Table => {
            let mut table = print::table(&["schedule", &schedule.name]);
            table.add_row(["how often", &schedule.frequency.to_string()]);
            table.add_row(["checks", &schedule.checks.join("\n")]);
            table.add_row(["ARN", schedule.arn.as_deref().unwrap_or("-")]);
            print::line(&table.to_string());
        }
    }
}

async fn update(
    console: &Console,
    name: &str,
    frequency: Option<Frequency>,
    choice: Option<Choice<'_>>,
    output: OutputFormat,
) -> Result<(), CliError> {
    if frequency.is_none() && choice.is_none() {
        return Err(CliError::Usage(
            "say what to change: how often (--daily, --weekly DAY, --biweekly DAY, --monthly DAY), or the checks (--checks, \
             --all-enabled)"
                .to_owned(),
        ));
    }
    let before = existing(console, name).await?;
    let checks = match choice {
        Some(choice) => Some(chosen(console, choice).await?),
        None => None,
    };
    let update = ScheduleUpdate {
        frequency: frequency.filter(|frequency| frequency.to_string() != before.frequency.to_string()),
        checks: checks.filter(|checks| *checks != before.checks),
    };
    let changed = update != ScheduleUpdate::default();
    let after = Schedule {
        frequency: update.frequency.clone().unwrap_or_else(|| before.frequency.clone()),
        checks: update.checks.clone().unwrap_or_else(|| before.checks.clone()),
        ..before.clone()
    };
    if changed {
        let updated = console.update_schedule(name, &update).await;
        updated.map_err(|error| failed_or_gone(&error, || no_schedule(name)))?;
    }
    match output {
        OutputFormat::Json => {
            let mut document = as_json(&after);
            document["changed"] = json!(changed);
            print::json(&document);
        }
        OutputFormat::Table if !changed => print::line(&format!("nothing to change: {name} is so already")),
        OutputFormat::Table => print_changes(&before, &after),
    }
    Ok(())
}

fn print_changes(before: &Schedule, after: &Schedule) {
    let mut table = print::table(&["setting", "before", "after"]);
    if before.frequency != after.frequency {
        table.add_row(["how often".to_owned(), before.frequency.to_string(), after.frequency.to_string()]);
    }
    for check in before.checks.iter().filter(|check| !after.checks.contains(check)) {
        table.add_row([check, "runs", "does not run"]);
    }
    for check in after.checks.iter().filter(|check| !before.checks.contains(check)) {
        table.add_row([check, "does not run", "runs"]);
    }
    print::line(&table.to_string());
    print::line(&format!("scheduled audit {} changed", after.name));
}

async fn delete(console: &Console, name: &str, yes: bool, output: OutputFormat) -> Result<(), CliError> {
    let schedule = existing(console, name).await?;
    let what = format!("{name}, which runs {} {}", number(schedule.checks.len()), schedule.frequency);
    agreed(yes, &format!("Delete the scheduled audit {what}?")).await?;
    console.delete_schedule(name).await.map_err(|error| failed_or_gone(&error, || no_schedule(name)))?;
    match output {
        OutputFormat::Json => print::json(&json!({ "deleted": name })),
        OutputFormat::Table => print::line(&format!("scheduled audit {name} deleted")),
    }
    Ok(())
}

fn number(checks: usize) -> String {
    if checks == 1 { "1 check".to_owned() } else { format!("{checks} checks") }
}

fn as_json(schedule: &Schedule) -> Value {
    json!({
        "name": schedule.name,
        "arn": schedule.arn,
        "frequency": schedule.frequency.every,
        "dayOfWeek": schedule.frequency.day_of_week,
        "dayOfMonth": schedule.frequency.day_of_month,
        "checks": schedule.checks,
    })
}
