//! What `status` is told, and what it does then.

use super::super::{CliError, OutputFormat, print};
use super::document::{document, queues_document};
use super::look::Place;
use super::screen::{depths, screen};
use super::watch::watch;
use crate::aws::{Clients, load_config};
use crate::clock::Clock;
use crate::ledger::DynamoLedger;
use clap::Args;
use std::time::Duration;

const AFTER_HELP: &str = "\
Examples:
  fleetwarden status --queue-url $QUEUE --dead-letter-queue-url $DEAD
  fleetwarden status --watch                      # refreshed in place every 2 s, until Ctrl-C
  fleetwarden status --watch 60 --output json >> status.jsonl
  fleetwarden status --output json | jq .ledger.dead
  fleetwarden status --output json | jq '.workers[] | select(.standing == \"lost\")'
  fleetwarden status --output json | jq '.budgets[] | select(.inForce < 1)'

What it shows, and whose word it is:
  queue     depths as SQS tells them, up to a minute behind. `oldest received` is the age of the
            oldest message that any worker received lately, as the workers say: messages that
            nobody receives are not in it
  workers   each says every 20 s that it is there; one that has not for a minute is lost:
            it crashed, or cannot reach the ledger. All are forgotten after an hour
  breaker   why workers pause, and when they try again, as they say
  budgets   `per second` is the fleet's budget of an operation, cuts taken off; `used` is what all
            workers together called per second in their last 20 s. Both are what the workers
            that live say. What is in force after throttles, and the cuts, are the ledger's
  findings  the ledger by check and status, and checks that failed in one of the latest 20
            audits, with what to do

Counting the findings reads the whole table: one read unit for every 8 KB. With --watch it is done
in the background, for at most a tenth of the time; how old the count is, is shown.";

/// What `status` is told.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct StatusArgs {
    /// The queue; left out if not given
    #[arg(long, env = "FLEETWARDEN_QUEUE_URL", value_name = "URL")]
    pub queue_url: Option<String>,
    /// The dead-letter queue; left out if not given
    #[arg(long, env = "FLEETWARDEN_DEAD_LETTER_QUEUE_URL", value_name = "URL")]
    pub dead_letter_queue_url: Option<String>,
    /// The ledger: a DynamoDB table
    #[arg(long, env = "FLEETWARDEN_TABLE", value_name = "NAME", default_value = "fleetwarden")]
    pub table: String,
    /// Looks again and again, every so many seconds, until Ctrl-C: in place on a terminal, one block (or one JSON document on a line)
    /// after the other elsewhere
    #[arg(
        long,
        env = "FLEETWARDEN_WATCH",
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = "2",
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    pub watch: Option<u64>,
}

/// Prints depths, workers, budgets, counts, and checks that failed.
///
/// # Errors
///
/// Usage: no region. Failed: a queue or the ledger does not answer; after all that could be read was printed.
pub async fn run(args: &StatusArgs, output: OutputFormat) -> Result<(), CliError> {
    let config = load_config().await.map_err(CliError::Usage)?;
    let clients = Clients::new(&config);
    let place = Place {
        ledger: DynamoLedger::new(clients.dynamodb.clone(), args.table.clone()),
        clients,
        queue_url: args.queue_url.clone(),
        dead_letter_queue_url: args.dead_letter_queue_url.clone(),
        clock: Clock::system(),
    };
    if let Some(seconds) = args.watch {
        return watch(&place, Duration::from_secs(seconds), output).await;
    }
    let (look, counted) = match tokio::try_join!(place.look(), place.count()) {
        Ok(found) => found,
        Err(error) => {
            // Whether the line grows meanwhile is what one wants to know then.
            let queues = place.queues().await;
            match output {
                OutputFormat::Json => print::json(&queues_document(&queues, &error.to_string())),
                OutputFormat::Table => depths(&queues).iter().for_each(|table| print::line(table)),
            }
            return Err(error);
        }
    };
    let problem = look.problem.clone();
    match output {
        OutputFormat::Json => print::json(&document(&look, Some(&counted))),
        OutputFormat::Table => {
            let width = print::table(&[]).width().map(usize::from);
            print::line(&screen(&look, Some(&counted), width));
        }
    }
    problem.map_or(Ok(()), |problem| Err(CliError::Failed(problem)))
}
