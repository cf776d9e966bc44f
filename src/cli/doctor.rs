//! `fleetwarden doctor`: is this deployment right, and what is to be mended.

use super::line::LineArgs;
use super::policy_source::named_policy;
use super::quotas::{QuotaArg, Quotas, quota};
use super::random::seed;
use super::run::{account, duration, lease};
use super::{CliError, OutputFormat, print};
use crate::aws::syntax::is_topic_arn;
use crate::aws::{Clients, load_config};
use crate::clock::Clock;
use crate::doctor::{Instruments, Plan, Report, State, examine};
use crate::policy::Mode;
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

const AFTER_HELP: &str = "\
Examples:
  # everything, as a worker with this policy would find it
  fleetwarden doctor --queue-url $QUEUE --dead-letter-queue-url $DEAD --policy policy.yaml

  # before the first worker enforces: does the role have what the rules need?
  fleetwarden doctor --policy policy.yaml --mode enforce

  # look only: nothing is sent, nothing is written
  fleetwarden doctor --no-canary

  # in a pipeline: what is wrong, and what to do about it
  fleetwarden doctor --output json | jq '.checks[] | select(.state == \"wrong\")'

A row is `ok`, `note` (it works; a person should know), `wrong` (with what mends it), or
`not checked` (with why, and what would tell). One thing wrong hides no other.

Permissions are those of the credentials that doctor has: run it with the workers' role to
test that role. Each is tried by a call that can change nothing. What has no such call is
`not checked`.

The canary is a finding that no audit made. It goes through topic, queue, worker and ledger, is
recorded as observed in either mode, and forgotten after a day. Where no worker is alive, doctor
takes it from the queue itself and gives everything else back.

Exit codes: 0 nothing is wrong; 1 something is; 2 wrong usage, or a policy that cannot be read.";

/// What `doctor` is told: as `run`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct DoctorArgs {
    /// Where the line is
    #[command(flatten)]
    pub line: LineArgs,
    /// The topic that feeds the queue; default: those that the queue's access policy names
    #[arg(long, env = "FLEETWARDEN_TOPIC_ARN", value_name = "ARN", value_parser = topic)]
    pub topic: Option<String>,
    /// The policy file of the workers; without one, the embedded default
    #[arg(long, env = "FLEETWARDEN_POLICY", value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// The policy itself, as the task definition holds it
    #[arg(long, env = "FLEETWARDEN_POLICY_TEXT", value_name = "YAML", hide_env_values = true)]
    pub policy_text: Option<String>,
    /// Overrides the policy's mode, as `run` does
    #[arg(long, env = "FLEETWARDEN_MODE", value_enum)]
    pub mode: Option<Mode>,
    /// How long workers hide a message and claim a finding
    #[arg(long, env = "FLEETWARDEN_LEASE", default_value = "60s", value_parser = lease, value_name = "DURATION")]
    pub lease: Duration,
    /// The audited account; default: the queue's own
    #[arg(long, env = "FLEETWARDEN_ACCOUNT", value_parser = account, value_name = "ID")]
    pub account: Option<String>,
    /// API quotas that workers are given, as `run` takes them. May be repeated
    #[arg(long = "quota", env = "FLEETWARDEN_QUOTAS", value_delimiter = ',', value_parser = quota, value_name = "OPERATION=RATE|service-quotas")]
    pub quotas: Vec<QuotaArg>,
    /// The part of every API quota that is left to people; default: the policy's
    #[arg(long, env = "FLEETWARDEN_RESERVE", value_name = "PART")]
    pub reserve: Option<f64>,
    /// Send no canary: only look
    #[arg(long, env = "FLEETWARDEN_NO_CANARY")]
    pub no_canary: bool,
    /// How long the canary may take
    #[arg(long, env = "FLEETWARDEN_CANARY_TIMEOUT", default_value = "60s", value_parser = patience, value_name = "DURATION")]
    pub canary_timeout: Duration,
}

fn topic(text: &str) -> Result<String, String> {
    if is_topic_arn(text) {
        return Ok(text.to_owned());
    }
    Err("write the ARN of a topic, such as arn:aws:sns:eu-central-1:123456789012:findings".to_owned())
}

fn patience(text: &str) -> Result<Duration, String> {
    // Shorter than a poll or two tells nothing; longer than ten minutes nobody waits.
    duration(text, Duration::from_secs(5), Duration::from_secs(600))
}

/// Looks at everything and prints it.
///
/// # Errors
///
/// Usage: arguments, policy or region. Failed: something is wrong with the deployment.
pub async fn run(args: &DoctorArgs, output: OutputFormat) -> Result<(), CliError> {
    let (mut policy, _) = named_policy(args.policy.as_ref(), args.policy_text.as_deref())?;
    if let Some(mode) = args.mode {
        policy.set_mode(mode);
    }
    let quotas = Quotas::new(&args.quotas, args.reserve, &policy);
    let budget = quotas.budget();
    let problems = budget.problems();
    if !problems.is_empty() {
        return Err(CliError::Usage(problems.join("\n")));
    }
    let config = load_config().await.map_err(CliError::Usage)?;
    let plan = Plan {
        queue_url: args.line.queue_url.clone(),
        dead_letter_queue_url: args.line.dead_letter_queue_url.clone(),
        table: args.line.table.clone(),
        topics: args.topic.iter().cloned().collect(),
        lease: args.lease,
        account: args.account.clone(),
        asks_service_quotas: quotas.asks_service_quotas(),
        quotas: quotas.into_sources(),
        budget,
        canary: (!args.no_canary).then_some(args.canary_timeout),
        policy,
    };
    let clients = Clients::new(&config);
    let instruments = Instruments { config, clients, clock: Clock::system(), seed: seed()? };
    let report = examine(&plan, &instruments, |step| eprintln!("{step} ...")).await;
    match output {
        OutputFormat::Json => print::json(&as_json(&report)),
        OutputFormat::Table => print_table(&report),
    }
    if report.is_well() {
        return Ok(());
    }
    let wrong = report.count(State::Wrong);
    let (things, verb) = (print::counted(wrong as u64, "thing"), if wrong == 1 { "is" } else { "are" });
    Err(CliError::Failed(format!("{things} {verb} wrong with this deployment")))
}

const STATES: [(State, &str); 4] =
    [(State::Ok, "ok"), (State::Note, "note"), (State::Wrong, "wrong"), (State::NotChecked, "notChecked")];

fn as_json(report: &Report) -> Value {
    let counts = STATES.map(|(state, name)| (name.to_owned(), json!(report.count(state))));
    let mut summary: serde_json::Map<String, Value> = counts.into_iter().collect();
    summary.insert("well".to_owned(), json!(report.is_well()));
    json!({ "summary": summary, "checks": report.rows })
}

/// The table, and below it, in lines that no terminal breaks, what mends that which is wrong.
fn print_table(report: &Report) {
    let mut table = print::table(&["area", "what", "state", "found, and how to mend it"]);
    for row in &report.rows {
        let mend = if row.mend.is_empty() { String::new() } else { format!("\n→ {}", row.mend) };
        table.add_row([row.area.as_str(), &row.what, row.state.as_str(), &format!("{}{mend}", row.found)]);
    }
    for column in [0, 2] {
        print::whole(&mut table, column);
    }
    print::line(&table.to_string());
    let counts: Vec<_> = STATES.iter().map(|(state, _)| format!("{} {state}", report.count(*state))).collect();
    print::line(&counts.join(", "));
    for row in report.rows.iter().filter(|row| row.state == State::Wrong && !row.mend.is_empty()) {
        print::line(&format!("\n{}, {}:\n  {}", row.area.as_str(), row.what, row.mend));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Area, Diagnosis};

    #[test]
    fn a_report_for_programs_has_a_summary_and_the_rows_with_what_mends_them() {
        let wrong = Diagnosis::new(Area::DeadLetters, "redrive", State::Wrong, "one of its own").mend("take it away");
        let unseen = Diagnosis::new(Area::Table, "exists", State::NotChecked, "-");
        let report = as_json(&Report { rows: vec![wrong, unseen] });
        let summary = json!({ "ok": 0, "note": 0, "wrong": 1, "notChecked": 1, "well": false });
        assert_eq!(report["summary"], summary);
        let row = json!({ "area": "dead-letters", "what": "redrive", "state": "wrong", "found": "one of its own", "mend": "take it away" });
        assert_eq!(report["checks"][0], row);
        assert_eq!(report["checks"][1]["state"], "not checked");
        assert!(report["checks"][1].get("mend").is_none());
    }
}
