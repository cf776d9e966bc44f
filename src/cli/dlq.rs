//! `fleetwarden dlq`: what was given up, and why.

use super::ask::confirmed;
use super::bar::Bar;
use super::run::stop_on_signals;
use super::{CliError, OutputFormat, letters, print};
use crate::aws::{CallError, Clients, load_config};
use crate::clock::Clock;
use crate::defender::console::check_name::resolve_recorded;
use crate::ledger::{DynamoLedger, Ledger, Record};
use crate::queue::{Depth, SqsQueue, describe};
use crate::replay::{self, ANSWER, Answer, Bounds, By, End, Group, LETTERS, Letter, Pass, Purged, Selection};
use clap::{Args, Subcommand, ValueEnum};
use std::io::IsTerminal;

const HELP: &str = "\
Examples:
  fleetwarden dlq list
  fleetwarden dlq show 11111111-1111-4111-8111-111111111111
  fleetwarden dlq purge --reason subscription_confirmation

SQS has no call that reads a queue, so looking means receiving: each look raises a letter's receive count by one. Letters are hidden
from others while they are looked at and given back at once, after Ctrl-C too; if this program is killed they come back by
themselves, within 2 minutes (10 minutes for `purge`).";

const LIST_HELP: &str = "\
Examples:
  fleetwarden dlq list
  fleetwarden dlq list --by reason --examples 3
  fleetwarden dlq list --output json | jq '.groups[] | {reason, check, count}'

The reason `redriven_by_sqs` means that no worker gave the letter up: it was received more often than the queue's maxReceiveCount.
Times are those of sending to the dead-letter queue (for redriven letters: to the queue that they came from).
Each look raises a letter's receive count by one.

Exit codes: 0 listed, an empty queue included; 1 the queue does not answer, or stopped; 2 wrong usage.";

const SHOW_HELP: &str = "\
Examples:
  fleetwarden dlq show 11111111-1111-4111-8111-111111111111
  fleetwarden dlq show 7c3a9f5e-message-id --output json | jq -r .body

Shows the first letter that comes and has this finding id, audit task id or SQS message id. The letter stays in the queue.

Exit codes: 0 shown; 1 no such letter, the queue does not answer, or stopped; 2 wrong usage.";

const PURGE_HELP: &str = "\
Examples:
  fleetwarden dlq purge --reason subscription_confirmation
  fleetwarden dlq purge --check IOT_POLICY_OVERLY_PERMISSIVE_CHECK --older-than 7d
  fleetwarden dlq purge --reason not_json --reason unknown_message --yes

Shows what would go and asks. Deletes only what it has shown, one by one, and gives back the rest. What is deleted is gone: it cannot
be replayed. Records in the ledger stay. An answer is awaited for 5 minutes, while the letters shown are hidden from others.

Exit codes: 0 deleted, or nothing to delete; 1 not confirmed, not all deleted, the queue does not answer, or stopped; 2 wrong usage,
or no --yes where nobody can be asked.";

/// What `dlq` is told.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct DlqArgs {
    /// What to do with the dead letters
    #[command(subcommand)]
    pub command: DlqCommand,
}

/// Which queue, and how much of it.
#[derive(Debug, Args)]
pub struct Where {
    /// The dead-letter queue
    #[arg(long, env = "FLEETWARDEN_DEAD_LETTER_QUEUE_URL", value_name = "URL")]
    pub dead_letter_queue_url: String,
    /// Letters looked at, at most
    #[arg(long, default_value_t = LETTERS as u32, value_parser = clap::value_parser!(u32).range(1..=100_000), value_name = "N")]
    pub limit: u32,
}

/// What `dlq list` groups by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Column {
    /// Why letters were given up.
    Reason,
    /// The check of their finding.
    Check,
}

/// The sub-commands of `dlq`.
#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    /// Groups the dead letters by reason and check, with examples
    #[command(after_help = LIST_HELP)]
    List {
        /// Where to look
        #[command(flatten)]
        at: Where,
        /// What to group by
        #[arg(long, value_enum, value_delimiter = ',', default_values = ["reason", "check"], value_name = "reason,check")]
        by: Vec<Column>,
        /// Examples for each group
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=100), value_name = "N")]
        examples: u16,
    },
    /// One dead letter whole: attributes, body, and where the ledger says that its finding stands
    #[command(after_help = SHOW_HELP)]
    Show {
        /// A finding's id, an audit's task id, or an SQS message id
        #[arg(value_name = "FINDING_OR_MESSAGE")]
        id: String,
        /// Where to look
        #[command(flatten)]
        at: Where,
        /// The ledger: a DynamoDB table
        #[arg(long, env = "FLEETWARDEN_TABLE", value_name = "NAME", default_value = "fleetwarden")]
        table: String,
    },
    /// Deletes dead letters for good, after showing them and asking
    #[command(after_help = PURGE_HELP)]
    Purge {
        /// Where to look
        #[command(flatten)]
        at: Where,
        /// Only letters with this reason; may be repeated
        #[arg(long, value_name = "REASON")]
        reason: Vec<String>,
        /// Only letters about this check; may be repeated
        #[arg(long, value_name = "CHECK", value_parser = resolve_recorded)]
        check: Vec<String>,
        /// Only letters sent longer ago than this: 7d, 12h, 1d 6h
        #[arg(long, value_parser = age, value_name = "DURATION")]
        older_than: Option<jiff::SignedDuration>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// A span of time with days, which have 24 hours here.
fn age(text: &str) -> Result<jiff::SignedDuration, String> {
    let wrong = || "write a duration such as 7d, 12h or 1d 6h".to_owned();
    let span: jiff::Span = text.parse().map_err(|_| wrong())?;
    let age = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    if age.is_negative() { Err("an age cannot be negative; write one such as 7d".to_owned()) } else { Ok(age) }
}

/// Looks at dead letters, or deletes some.
///
/// # Errors
///
/// Usage: no region, not a dead-letter queue, or nobody to ask. Failed: the queue does not answer, no such letter, not everything deleted.
pub async fn run(args: &DlqArgs, output: OutputFormat) -> Result<(), CliError> {
    match &args.command {
        DlqCommand::List { at, by, examples } => {
            let by = By { reason: by.contains(&Column::Reason), check: by.contains(&Column::Check) };
            list(at, by, (*examples).into(), output).await
        }
        DlqCommand::Show { id, at, table } => show(at, id, table, output).await,
        DlqCommand::Purge { at, reason, check, older_than, yes } => {
            let before = older_than.map(|age| {
                let now = Clock::system().now();
                now.checked_sub(age).unwrap_or(jiff::Timestamp::MIN).as_millisecond()
            });
            let selection = Selection { reasons: reason.clone(), checks: check.clone(), sent_before: before };
            purge(at, &selection, *yes, output).await
        }
    }
}

/// The queue, if it is a dead-letter queue.
async fn open(at: &Where) -> Result<(Clients, SqsQueue), CliError> {
    let config = load_config().await.map_err(CliError::Usage)?;
    let clients = Clients::new(&config);
    let info = describe(&clients.sqs, &at.dead_letter_queue_url).await.map_err(|error| queue_error(&error, at))?;
    // Looking would count towards maxReceiveCount, and purging would lose findings.
    if let Some(redrive) = info.redrive {
        return Err(CliError::Usage(format!(
            "{} is not a dead-letter queue, it has one of its own ({}): give --dead-letter-queue-url the URL of that one",
            at.dead_letter_queue_url, redrive.dead_letter_queue_arn
        )));
    }
    let queue = SqsQueue::new(clients.sqs.clone(), at.dead_letter_queue_url.clone());
    Ok((clients, queue))
}

fn queue_error(error: &CallError, at: &Where) -> CliError {
    let advice = error.advice().map(|advice| format!(": {advice}")).unwrap_or_default();
    CliError::Failed(format!(
        "failed to {error}{advice}; check --dead-letter-queue-url, which is {}",
        at.dead_letter_queue_url
    ))
}

/// Shows a bar while a pass goes on.
fn watch(bar: &mut Bar, limit: u32) -> impl FnMut(usize, Depth) {
    move |looked, depth| bar.at(looked as u64, depth.visible.min(limit.into()))
}

/// Warns of what a pass left hidden, and fails if it was stopped.
fn settled(pass: Pass, minutes: u32) -> Result<(), CliError> {
    if pass.hidden > 0 {
        eprintln!(
            "warning: {} letters could not be given back; they are hidden for up to {minutes} minutes and then come back by themselves",
            pass.hidden
        );
    }
    match pass.end {
        End::Stopped => Err(CliError::Failed(format!("stopped; the {} letters seen were given back", pass.looked))),
        End::Whole | End::Bounds | End::Enough => Ok(()),
    }
}

async fn list(at: &Where, by: By, examples: usize, output: OutputFormat) -> Result<(), CliError> {
    let (_, queue) = open(at).await?;
    let stop = stop_on_signals()?;
    let mut bar = Bar::new("letters seen");
    let bounds = Bounds::glance(at.limit as usize);
    let surveyed = replay::survey(&queue, by, examples, bounds, &stop, watch(&mut bar, at.limit)).await;
    bar.clear();
    let (groups, pass) = surveyed.map_err(|error| queue_error(&error, at))?;
    settled(pass, 2)?;
    match output {
        OutputFormat::Json => print::json(&letters::survey_json(&groups, pass)),
        OutputFormat::Table => {
            if !groups.is_empty() {
                print::line(&letters::table(&groups, by));
            }
            print::line(&letters::counted(pass));
        }
    }
    Ok(())
}

async fn show(at: &Where, id: &str, table: &str, output: OutputFormat) -> Result<(), CliError> {
    let (clients, queue) = open(at).await?;
    let stop = stop_on_signals()?;
    let mut bar = Bar::new("letters seen");
    let bounds = Bounds::glance(at.limit as usize);
    let found = replay::find(&queue, id, bounds, &stop, watch(&mut bar, at.limit)).await;
    bar.clear();
    let (letter, pass) = found.map_err(|error| queue_error(&error, at))?;
    settled(pass, 2)?;
    let Some(letter) = letter else {
        return Err(CliError::Failed(format!(
            "no dead letter has the finding id or message id {id}; {}. `fleetwarden findings show {id}` asks the ledger",
            letters::counted(pass)
        )));
    };
    let record = record_of(&DynamoLedger::new(clients.dynamodb, table), &letter).await;
    match output {
        OutputFormat::Json => print::json(&letters::letter_json(&letter, &record)),
        OutputFormat::Table => letters::print_letter(&letter, &record),
    }
    Ok(())
}

/// Where the letter's finding, or the expansion of its audit, stands. A ledger that does not answer is no reason not to show the letter.
async fn record_of(ledger: &impl Ledger, letter: &Letter) -> Result<Option<Record>, String> {
    let Some(id) = &letter.finding_id else { return Ok(None) };
    for key in [format!("finding#{id}"), format!("expansion#{id}")] {
        if let Some(record) = ledger.get(&key).await.map_err(|error| format!("failed to {error}"))? {
            return Ok(Some(record));
        }
    }
    Ok(None)
}

async fn purge(at: &Where, selection: &Selection, yes: bool, output: OutputFormat) -> Result<(), CliError> {
    let can_ask = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !yes && !can_ask {
        return Err(CliError::Usage(
            "nobody can be asked here: look with `fleetwarden dlq list`, then add --yes to delete without a question"
                .to_owned(),
        ));
    }
    let (_, queue) = open(at).await?;
    let stop = stop_on_signals()?;
    let bar = &mut Bar::new("letters seen");
    let bounds = Bounds::question(at.limit as usize);
    // The bar must be gone before the question, which comes while the purge goes on.
    let bar = std::cell::RefCell::new(bar);
    let seen = |looked, depth: Depth| bar.borrow_mut().at(looked as u64, depth.visible.min(at.limit.into()));
    let asked = async |groups: &[Group], pass: Pass| {
        bar.borrow_mut().clear();
        let text = format!("{}\n{}", letters::table(groups, By { reason: true, check: true }), letters::counted(pass));
        let selected: usize = groups.iter().map(|group| group.count).sum();
        if yes {
            if output == OutputFormat::Table {
                print::line(&text);
            }
            return true;
        }
        eprintln!("{text}");
        confirmed(&format!("Delete {} for good? [y/N] ", letters::number(selected))).await
    };
    let purged = replay::purge(&queue, selection, bounds, &stop, seen, asked).await;
    bar.borrow_mut().clear();
    let purged = purged.map_err(|error| queue_error(&error, at))?;
    settled(purged.pass, 10)?;
    report(&purged, output)
}

fn report(purged: &Purged, output: OutputFormat) -> Result<(), CliError> {
    if output == OutputFormat::Json {
        print::json(&letters::purged_json(purged));
    }
    let given_back = "nothing was deleted, every letter was given back";
    match purged.answer {
        Answer::No => return Err(CliError::Failed(given_back.to_owned())),
        Answer::None => {
            return Err(CliError::Failed(format!("no answer within {} minutes: {given_back}", ANSWER.as_secs() / 60)));
        }
        Answer::Stopped => return Err(CliError::Failed(format!("stopped: {given_back}"))),
        Answer::NotAsked if output == OutputFormat::Table => {
            print::line(&format!("nothing to delete; {}", letters::counted(purged.pass)));
        }
        Answer::Yes if output == OutputFormat::Table => {
            print::line(&format!("{} deleted", letters::number(purged.deleted)));
        }
        Answer::NotAsked | Answer::Yes => {}
    }
    match purged.errors.first() {
        Some(error) => Err(CliError::Failed(format!(
            "{} of {} could not be deleted and were given back: failed to {error}",
            purged.errors.len(),
            letters::number(purged.selected)
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_days_and_is_not_negative() {
        assert_eq!(age("7d").unwrap().as_hours(), 168);
        assert_eq!(age("1d 6h").unwrap().as_hours(), 30);
        for wrong in ["", "7", "-1d", "two weeks", "1mo"] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
    }
}
