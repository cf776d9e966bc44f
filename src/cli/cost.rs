//! `fleetwarden cost`: what findings cost on AWS.

use super::cost_json;
use super::cost_print::Priced;
use super::{CliError, OutputFormat, print};
use crate::cost::{Arrival, OtherPrice, Prices, Workload};
use crate::finding::{ActionType, UnknownActionType};
use clap::{Args, ValueEnum};

const AFTER_HELP: &str = "\
Examples:
  fleetwarden cost --findings 1e6 --duplicates 0.3 --batch-fill 8
  fleetwarden cost --findings 1e6 --by kind

  # recorded only; an action that looks things up, and is announced in the ledger
  fleetwarden cost --action none
  fleetwarden cost --action ADD_THINGS_TO_THING_GROUP --action UPDATE_DEVICE_CERTIFICATE

  # while an API quota paces the work, findings end one by one
  fleetwarden cost --batch-fill 1

  # a month in which nothing comes
  fleetwarden cost --findings 0 --worker-hours 730

  # 20,000 devices, 1 in 20 at fault, 30 daily audits: 20,000 x 0.05 x 30
  fleetwarden cost --findings 30_000 --action none --arrival summary --worker-hours 730

  # another region's price
  fleetwarden cost --price sqs-request=0.48 --output json

Calls nothing. Requests follow from what workers do, and from what was measured of one (batches, sizes, CPU time); prices are those of \
us-east-1, on demand, without free tiers. Findings are taken to come at once and to be worked on by one worker at AWS's default quotas, \
a fifth reserved. A finding that nobody mends comes again with each audit, and counts each time.

Not estimated: retries and dead letters; a policy's `cooldown` (two UpdateItem for each finding that is acted on); `read_back: true` (a \
paced call more for each write); delegated actions; alarms, metrics, logs and addresses (see infra/README.md); data transfer; Device \
Defender's audits, which are charged by the device.

Exit codes: 0 estimated; 2 wrong usage.";

/// What `cost` is told.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct CostArgs {
    /// Different findings, each recorded once: 1e6, 1_000_000 or 1000000; 0 with --worker-hours
    #[arg(long, default_value = "1e6", value_parser = count, value_name = "N", allow_negative_numbers = true)]
    pub findings: f64,
    /// The part of all messages that are duplicates, 0 to 0.99: at 0.3, 700 findings come in 1000 messages
    #[arg(long, default_value_t = 0.0, value_parser = part, value_name = "PART", allow_negative_numbers = true)]
    pub duplicates: f64,
    /// Messages of one receive and of one delete, 1 to 10
    #[arg(long, default_value_t = 8.0, value_parser = messages, value_name = "N", allow_negative_numbers = true)]
    pub batch_fill: f64,
    /// What is done about each finding; may be repeated. `none`: it is recorded only
    #[arg(long = "action", default_value = "UPDATE_DEVICE_CERTIFICATE", value_parser = action, value_name = "TYPE|none")]
    pub actions: Vec<ActionArg>,
    /// How findings come: each through the topic, or by the audit's summary, which a worker expands
    #[arg(long, value_enum, default_value_t = Arrival::Sns)]
    pub arrival: Arrival,
    /// Hours that workers run, all together; default: as long as the work takes at least
    #[arg(long, default_value_t = 0.0, value_parser = hours, value_name = "HOURS", hide_default_value = true, allow_negative_numbers = true)]
    pub worker_hours: f64,
    /// A price that differs from the table's (--by kind shows it), for as many units; may be repeated
    #[arg(long = "price", value_name = "KEY=USD")]
    pub prices: Vec<OtherPrice>,
    /// A row for each service; or for each kind of request, with the prices and their sources
    #[arg(long, value_enum, default_value_t = Rows::Service)]
    pub by: Rows,
}

/// `--action`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionArg {
    /// Nothing is done.
    None,
    /// This is done.
    Type(ActionType),
}

/// `--by`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Rows {
    /// Each service.
    Service,
    /// Each kind of request.
    Kind,
}

fn count(text: &str) -> Result<f64, String> {
    number(text, "write a number such as 1e6, 1_000_000 or 1000000")
}

fn part(text: &str) -> Result<f64, String> {
    number(text, "write the part of all messages that are duplicates as a number, such as 0.3 for 30 %")
}

fn messages(text: &str) -> Result<f64, String> {
    number(text, "write the messages of one receive as a number, such as 8")
}

fn hours(text: &str) -> Result<f64, String> {
    number(text, "write hours as a number, such as 730 for a month")
}

fn number(text: &str, otherwise: &str) -> Result<f64, String> {
    text.replace('_', "").parse().map_err(|_| otherwise.to_owned())
}

fn action(text: &str) -> Result<ActionArg, String> {
    if text == "none" {
        return Ok(ActionArg::None);
    }
    text.parse().map(ActionArg::Type).map_err(|error: UnknownActionType| format!("{error}, or none"))
}

impl CostArgs {
    fn workload(&self) -> Result<Workload, CliError> {
        let kinds = self.actions.iter().filter_map(|action| match action {
            ActionArg::None => None,
            ActionArg::Type(kind) => Some(*kind),
        });
        let actions: Vec<ActionType> = kinds.collect();
        if self.actions.len() > actions.len() && !actions.is_empty() {
            return Err(CliError::Usage("--action none stands alone: leave it out, or the other actions".to_owned()));
        }
        let workload = Workload {
            findings: self.findings,
            duplicates: self.duplicates,
            batch_fill: self.batch_fill,
            actions,
            arrival: self.arrival,
            worker_hours: self.worker_hours,
        };
        let problems = workload.problems();
        if problems.is_empty() { Ok(workload) } else { Err(CliError::Usage(problems.join("\n"))) }
    }
}

/// Prints what the findings cost.
///
/// # Errors
///
/// Usage: what is to be estimated cannot be, in a sentence for each option.
pub fn run(args: &CostArgs, output: OutputFormat) -> Result<(), CliError> {
    let priced = Priced::new(args.workload()?, Prices::with(&args.prices));
    match (output, args.by) {
        (OutputFormat::Json, _) => print::json(&cost_json::document(&priced)),
        (OutputFormat::Table, Rows::Service) => {
            priced.print_services();
            priced.print_words();
        }
        (OutputFormat::Table, Rows::Kind) => {
            priced.print_kinds();
            priced.print_prices();
            priced.print_words();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_read_as_people_write_it() {
        for text in ["1e6", "1_000_000", "1000000"] {
            assert_eq!(count(text), Ok(1e6), "{text}");
        }
        assert!(count("many").unwrap_err().contains("1e6"));
    }
}
