//! `fleetwarden audit settings`: what is audited, with which role, and who is told.

use super::command::{failed, mistaken};
use crate::aws::Class;
use crate::cli::ask::agreed;
use crate::cli::{CliError, OutputFormat, print};
use crate::defender::console::settings_change::{Change, Wanted, change, default_days, threshold_of};
use crate::defender::console::{AuditSettings, Console, is_used_by_schedule, schedules_using};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

const HELP: &str = "\
Examples:
  fleetwarden audit settings show
  fleetwarden audit settings set --enable logging_disabled";

const SET_HELP: &str = "\
Examples:
  fleetwarden audit settings set --enable-all \\
      --role arn:aws:iam::123456789012:role/Audit
  fleetwarden audit settings set --enable logging,device_certificate_shared
  fleetwarden audit settings set --disable device_certificate_age --yes
  fleetwarden audit settings set --threshold device_certificate_expiring=60
  fleetwarden audit settings set \\
      --alert-topic arn:aws:sns:us-east-1:123456789012:Audits \\
      --alert-role arn:aws:iam::123456789012:role/AuditAlerts
  fleetwarden audit settings set --alerts off

Shows what changes, from and to, and asks. Switching a check off deletes the data that was \
collected for it. A check that a scheduled audit uses cannot be switched off: take it out of the \
schedule first.

Exit codes: 0 changed, or nothing to change; 1 not confirmed, or a call failed; 2 wrong usage, \
nothing changed.";

/// What `audit settings` is told.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct SettingsArgs {
    /// What to do
    #[command(subcommand)]
    pub command: SettingsCommand,
}

/// The sub-commands of `audit settings`.
#[derive(Debug, Subcommand)]
pub enum SettingsCommand {
    /// Shows them
    #[command(after_help = "Example:\n  fleetwarden audit settings show --output json | jq .checks")]
    Show,
    /// Changes them, after showing what changes and asking
    #[command(after_help = SET_HELP)]
    Set(SetArgs),
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

/// What `audit settings set` is told.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// The role that audits run with
    #[arg(long, value_name = "ARN")]
    pub role: Option<String>,
    /// Checks to switch on
    #[arg(long, value_name = "CHECK,..", value_delimiter = ',')]
    pub enable: Vec<String>,
    /// Switch every check on that --disable does not name
    #[arg(long, conflicts_with = "enable")]
    pub enable_all: bool,
    /// Checks to switch off; what was collected for them is deleted
    #[arg(long, value_name = "CHECK,..", value_delimiter = ',')]
    pub disable: Vec<String>,
    /// Days of a check that has a threshold, 30 to 3652: certificates that expire within, or are older than, so many
    #[arg(long, value_name = "CHECK=DAYS", value_delimiter = ',', value_parser = threshold)]
    pub threshold: Vec<(String, u32)>,
    /// The SNS topic that is told when an audit has ended; a first one switches alerts on
    #[arg(long, value_name = "ARN")]
    pub alert_topic: Option<String>,
    /// The role that may publish to the topic
    #[arg(long, value_name = "ARN")]
    pub alert_role: Option<String>,
    /// Whether the topic is told
    #[arg(long, value_enum)]
    pub alerts: Option<Switch>,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

fn threshold(text: &str) -> Result<(String, u32), String> {
    let (check, days) = text.split_once('=').ok_or("write CHECK=DAYS, such as device_certificate_expiring=60")?;
    let days = days.trim().parse().map_err(|_| format!("`{days}` is not a number of days"))?;
    Ok((check.to_owned(), days))
}

impl SetArgs {
    fn wanted(&self) -> Wanted {
        Wanted {
            role_arn: self.role.clone(),
            enable: self.enable.clone(),
            enable_all: self.enable_all,
            disable: self.disable.clone(),
            thresholds: self.threshold.clone(),
            alert_topic: self.alert_topic.clone(),
            alert_role: self.alert_role.clone(),
            alerts: self.alerts.map(|switch| switch == Switch::On),
        }
    }
}

/// Shows or changes them.
///
/// # Errors
///
/// Usage: what is wanted cannot be, or a scheduled audit stands against it. Failed: a call failed, or the answer was no.
pub(super) async fn run(console: &Console, args: &SettingsArgs, output: OutputFormat) -> Result<(), CliError> {
    match &args.command {
        SettingsCommand::Show => {
            let settings = console.audit_settings().await.map_err(|error| failed(&error))?;
            match output {
                OutputFormat::Json => print::json(&as_json(&settings)),
                OutputFormat::Table => print_settings(&settings),
            }
            Ok(())
        }
        SettingsCommand::Set(args) => set(console, args, output).await,
    }
}

async fn set(console: &Console, args: &SetArgs, output: OutputFormat) -> Result<(), CliError> {
    let wanted = args.wanted();
    if wanted == Wanted::default() {
        return Err(CliError::Usage(
            "nothing is said to be set; see `fleetwarden audit settings set --help` for the settings there are"
                .to_owned(),
        ));
    }
    let settings = console.audit_settings().await.map_err(|error| failed(&error))?;
    let change = change(&settings, &wanted).map_err(|mistakes| mistaken(&mistakes))?;
    if change.is_empty() {
        report(&change, false, output);
        return Ok(());
    }
    unscheduled(console, &change).await?;
    // A program that reads the result finds one document there; what is asked about stands on standard error.
    if !args.yes {
        eprintln!("{}", differences(&change));
        let warning = match change.disabled.as_slice() {
            [] => String::new(),
            checks => format!("What was collected for {} is deleted. ", checks.join(", ")),
        };
        agreed(false, &format!("{warning}Change the audit settings?")).await?;
    }
    console.update_audit_settings(&change.update).await.map_err(|error| match is_used_by_schedule(&error) {
        true => CliError::Usage(format!(
            "failed to {error}; take the check out of the schedule with `fleetwarden audit schedule update`"
        )),
        false => failed(&error),
    })?;
    if args.yes && output == OutputFormat::Table {
        print::line(&differences(&change));
    }
    report(&change, true, output);
    Ok(())
}

/// AWS refuses to switch a check off that a scheduled audit uses: it is told before anything is called.
async fn unscheduled(console: &Console, change: &Change) -> Result<(), CliError> {
    if change.disabled.is_empty() {
        return Ok(());
    }
    let schedules = match console.schedules().await {
        Ok(schedules) => schedules,
        // Whoever may change settings but not see schedules is told by AWS.
        Err(error) if error.class == Class::Denied => {
            eprintln!(
                "warning: failed to {error}: whether a scheduled audit uses a check will show only when it is switched off"
            );
            return Ok(());
        }
        Err(error) => return Err(failed(&error)),
    };
    let used = schedules_using(&schedules, &change.disabled);
    if used.is_empty() {
        return Ok(());
    }
    let used: Vec<_> = used.iter().map(|(name, checks)| format!("{name} uses {}", checks.join(", "))).collect();
    Err(CliError::Usage(format!(
        "a check that a scheduled audit uses cannot be switched off: {}. Take it out with `fleetwarden audit schedule update NAME \
         --checks ...`, or delete the schedule; nothing was changed",
        used.join("; ")
    )))
}

fn differences(change: &Change) -> String {
    let mut table = print::table(&["setting", "before", "after"]);
    for line in &change.differences {
        table.add_row([&line.setting, &line.before, &line.after]);
    }
    table.to_string()
}

fn report(change: &Change, changed: bool, output: OutputFormat) {
    match output {
        OutputFormat::Json => {
            let lines = change
                .differences
                .iter()
                .map(|line| json!({ "setting": line.setting, "before": line.before, "after": line.after }));
            print::json(&json!({ "changed": changed, "differences": lines.collect::<Vec<_>>() }));
        }
        OutputFormat::Table if changed => print::line("the audit settings are changed"),
        OutputFormat::Table => print::line("nothing to change: the audit settings are so already"),
    }
}

/// What the check's threshold is, with its unit.
fn days_of(settings: &AuditSettings, check: &str) -> Option<String> {
    let name = threshold_of(check)?;
    let set = settings.checks.get(check).and_then(|setting| setting.thresholds.get(name));
    set.map(|days| format!("{days} days")).or_else(|| default_days(name).map(|days| format!("{days} days (default)")))
}

fn print_settings(settings: &AuditSettings) {
    let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let on = |enabled: bool| if enabled { "on" } else { "off" };
    let mut table = print::table(&["setting", "value"]);
    table.add_row(["role", &dash(&settings.role_arn)]);
    table.add_row(["alerts", on(settings.alerts.enabled)]);
    table.add_row(["alert topic", &dash(&settings.alerts.topic_arn)]);
    table.add_row(["alert role", &dash(&settings.alerts.role_arn)]);
    print::line(&table.to_string());
    let mut table = print::table(&["check", "audited", "threshold"]);
    for (check, setting) in &settings.checks {
        let days = days_of(settings, check).unwrap_or_else(|| "-".to_owned());
        table.add_row([check.as_str(), on(setting.enabled), &days]);
    }
    print::line(&table.to_string());
    let enabled = settings.enabled_checks().len();
    print::line(&format!("{enabled} of {} checks are enabled", settings.checks.len()));
    if settings.role_arn.is_none() {
        print::line(
            "this account has no audit settings yet: `fleetwarden audit settings set --role arn:aws:iam::ACCOUNT:role/NAME \
             --enable-all`",
        );
    }
}

fn as_json(settings: &AuditSettings) -> Value {
    let checks: serde_json::Map<String, Value> = settings
        .checks
        .iter()
        .map(|(check, setting)| {
            (check.clone(), json!({ "enabled": setting.enabled, "configuration": setting.thresholds }))
        })
        .collect();
    json!({
        "roleArn": settings.role_arn,
        "alerts": {
            "enabled": settings.alerts.enabled,
            "topicArn": settings.alerts.topic_arn,
            "roleArn": settings.alerts.role_arn,
        },
        "checks": checks,
    })
}
