//! `fleetwarden status`: one look at the line.

use super::failed_checks::{self, Failed};
use super::findings::ledger_error;
use super::{CliError, OutputFormat, print};
use crate::aws::{CallError, Clients, load_config};
use crate::budget::{Operation, rate_in_force, timeline_key};
use crate::clock::Clock;
use crate::ledger::{DynamoLedger, Ledger, Status, Tally, Timeline, Timelines};
use crate::queue::{Depth, Queue, SqsQueue};
use clap::Args;
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const AFTER_HELP: &str = "\
Examples:
  fleetwarden status --queue-url $QUEUE --dead-letter-queue-url $DEAD
  fleetwarden status --output json | jq .ledger.dead
  fleetwarden status --output json | jq '.budgets[] | select(.inForce < 1)'

Checks that failed in one of the latest 20 audits have a table of their own, with what to do.

The last table shows, for each operation that was called, which part of the fleet's budget is in
force: less than all of it after AWS throttled a call, until it has recovered.

Counting the ledger reads the whole table: one read unit for every 8 KB.";

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
}

/// Prints depths, counts, checks that failed, and the budgets that the fleet uses.
///
/// # Errors
///
/// Usage: no region. Failed: a queue or the ledger does not answer.
pub async fn run(args: &StatusArgs, output: OutputFormat) -> Result<(), CliError> {
    let config = load_config().await.map_err(CliError::Usage)?;
    let clients = Clients::new(&config);
    let ledger = DynamoLedger::new(clients.dynamodb.clone(), args.table.clone());
    let queue = depth(&clients, args.queue_url.as_deref()).await?;
    let dead_letters = depth(&clients, args.dead_letter_queue_url.as_deref()).await?;
    let census = ledger.census().await.map_err(|error| ledger_error(&error))?;
    let failed = failed_checks::read(&ledger, &census).await.map_err(|error| ledger_error(&error))?;
    let tally = census.tally;
    let now = Clock::system().now().as_microsecond();
    let budgets = budgets(&ledger, &clients.region, now).await.map_err(|error| ledger_error(&error))?;
    match output {
        OutputFormat::Json => print::json(&json!({
            "queue": queue.map(depth_json),
            "deadLetters": dead_letters.map(depth_json),
            "ledger": by_status(&tally),
            "checks": by_check_json(&tally),
            "failedChecks": failed.iter().map(Failed::as_json).collect::<Vec<_>>(),
            "budgets": budgets.iter().map(Budget::as_json).collect::<Vec<_>>(),
        })),
        OutputFormat::Table => {
            print_depths(&[("queue", queue), ("dead letters", dead_letters)]);
            print::line(&by_check(&tally));
            failed_checks::print(&failed);
            print_budgets(&budgets);
        }
    }
    Ok(())
}

/// The fleet's budget of an operation that was called.
struct Budget {
    operation: Operation,
    timeline: Timeline,
    /// The part of it that is in force now.
    in_force: f64,
}

impl Budget {
    /// `now` is this machine's time; the fleet's clock never shows less than its last writer saw on it. Both microseconds.
    fn new(operation: Operation, timeline: Timeline, now: i64) -> Self {
        Self { operation, timeline, in_force: rate_in_force(&timeline, now.max(timeline.written_at)) }
    }

    fn as_json(&self) -> Value {
        let time = |at: i64| jiff::Timestamp::from_microsecond(at).map_or(Value::Null, |at| json!(at.to_string()));
        json!({
            "operation": self.operation.as_str(),
            "inForce": self.in_force,
            "rate": self.timeline.rate,
            "cuts": self.timeline.cuts,
            "cutAt": self.timeline.cut_at.map(time),
            "writtenAt": time(self.timeline.written_at),
        })
    }
}

/// Those of the operations that have a timeline: all are looked for at once.
async fn budgets(timelines: &impl Timelines, region: &str, now: i64) -> Result<Vec<Budget>, CallError> {
    let reads = Operation::ALL.iter().map(async |&operation| {
        let timeline = timelines.timeline(&timeline_key(region, operation)).await?;
        Ok(timeline.map(|timeline| Budget::new(operation, timeline, now)))
    });
    Ok(try_join_all(reads).await?.into_iter().flatten().collect())
}

fn print_budgets(budgets: &[Budget]) {
    let headings = ["budget", "in force", "cuts", "last cut (UTC)", "last written (UTC)"];
    let mut table = print::table(&headings);
    for Budget { operation, timeline, in_force } in budgets {
        let moment = |at: Option<i64>| print::moment(at.map(|at| at.div_euclid(1000)));
        table.add_row([
            operation.to_string(),
            format!("{:.0}%", in_force * 100.0),
            timeline.cuts.to_string(),
            moment(timeline.cut_at),
            moment(Some(timeline.written_at)),
        ]);
    }
    print::right(&mut table, 1..3);
    if table.row_count() > 0 {
        print::line(&table.to_string());
    }
}

async fn depth(clients: &Clients, url: Option<&str>) -> Result<Option<Depth>, CliError> {
    let Some(url) = url else { return Ok(None) };
    let queue = SqsQueue::new(clients.sqs.clone(), url.to_owned());
    let depth =
        queue.depth().await.map_err(|error| CliError::Failed(format!("failed to {error}; check the URL {url}")))?;
    Ok(Some(depth))
}

fn depth_json(depth: Depth) -> Value {
    json!({ "visible": depth.visible, "inFlight": depth.in_flight, "delayed": depth.delayed })
}

fn print_depths(queues: &[(&str, Option<Depth>)]) {
    let mut table = print::table(&["queue", "waiting", "in flight or parked", "delayed"]);
    for (name, depth) in queues {
        if let Some(depth) = depth {
            let [visible, in_flight, delayed] = [depth.visible, depth.in_flight, depth.delayed].map(|n| n.to_string());
            table.add_row([(*name).to_owned(), visible, in_flight, delayed]);
        }
    }
    print::right(&mut table, 1..4);
    if table.row_count() > 0 {
        print::line(&table.to_string());
    }
}

fn by_status(tally: &Tally) -> BTreeMap<Status, u64> {
    let mut counts = BTreeMap::new();
    for ((_, status), n) in tally {
        *counts.entry(*status).or_default() += n;
    }
    counts
}

fn by_check_json(tally: &Tally) -> BTreeMap<&str, BTreeMap<Status, u64>> {
    let mut checks: BTreeMap<&str, BTreeMap<Status, u64>> = BTreeMap::new();
    for ((check, status), n) in tally {
        checks.entry(check).or_default().insert(*status, *n);
    }
    checks
}

/// A row for each check, a column for each status that occurs.
pub(super) fn by_check(tally: &Tally) -> String {
    let occurring: BTreeSet<Status> = tally.keys().map(|(_, status)| *status).collect();
    let statuses: Vec<Status> = Status::ALL.into_iter().filter(|status| occurring.contains(status)).collect();
    if statuses.is_empty() {
        return "the ledger is empty".to_owned();
    }
    let mut headings = vec!["check", "found"];
    headings.extend(statuses.iter().map(|status| status.as_str()));
    let mut table = print::table(&headings);
    let mut totals = vec![0; statuses.len()];
    for (check, counts) in by_check_json(tally) {
        let row: Vec<u64> = statuses.iter().map(|status| counts.get(status).copied().unwrap_or(0)).collect();
        for (total, n) in totals.iter_mut().zip(&row) {
            *total += n;
        }
        table.add_row(numbers(check, &row));
    }
    table.add_row(numbers("all", &totals));
    print::right(&mut table, 1..statuses.len() + 2);
    table.to_string()
}

fn numbers(name: &str, counts: &[u64]) -> Vec<String> {
    let found: u64 = counts.iter().sum();
    let mut row = vec![name.to_owned(), found.to_string()];
    row.extend(counts.iter().map(|n| if *n == 0 { "·".to_owned() } else { n.to_string() }));
    row
}
