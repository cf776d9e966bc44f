//! `fleetwarden replay`: second chances.

use super::ask::confirmed;
use super::random::run_id;
use super::replay_audit::{self, ReplayAuditArgs};
use super::replay_native::{self, Native};
use super::replay_print::{Told, print_plan, print_result};
use super::run::stop_on_signals;
use super::{CliError, OutputFormat};
use crate::aws::{Clients, load_config};
use crate::clock::Clock;
use crate::defender::console::check_name::resolve_recorded;
use crate::finding::Origin;
use crate::ledger::{DynamoLedger, Status};
use crate::queue::{QueueInfo, SqsQueue, describe};
use crate::replay::{DeadLetterReplay, Ended, Filter, LedgerReplay, MAX_HELD, Order, Summary, parse_ids};
use clap::{Args, Subcommand};
use std::io::{IsTerminal, Read};

/// More than this many are asked about first.
const HANDFUL: u64 = 5;

const HELP: &str = "\
Examples:
  fleetwarden replay dlq --dry-run
  fleetwarden replay dlq --reason attempts_exhausted --error InternalFailureException
  fleetwarden replay ledger --status observed --check DEVICE_CERTIFICATE_SHARED_CHECK
  fleetwarden replay audit 4f1dd2a38d3a4d4d9dd7a4d3c0a5b6c7";

const DLQ_HELP: &str = "\
Examples:
  fleetwarden replay dlq --dry-run
  fleetwarden replay dlq --reason permanent_error --since 2h --yes
  fleetwarden replay dlq --ids-from findings.txt --rate 10
  fleetwarden replay dlq --id replay-20261122T120000Z-1a2b3c4d      # go on after Ctrl-C

--all --native has SQS move everything by itself: quickly, with no choice, no stop when
findings die again, and no word in the ledger of who asked.

A letter is sent first and deleted then, so Ctrl-C at any moment loses nothing. Letters whose
finding is mitigated by now are skipped and stay (see --force), and so are those that came
after the command began.

Exit codes: 0 all sent; 1 stopped, by Ctrl-C or since findings die again; 2 wrong usage.";

const LEDGER_HELP: &str = "\
Examples:
  fleetwarden replay ledger --dry-run
  fleetwarden replay ledger --status observed --yes
  fleetwarden replay ledger --status mitigated --force --ids-from findings.txt

The dead letters of what is replayed from the ledger stay in the dead-letter queue.

Exit codes: 0 all sent; 1 stopped, by Ctrl-C or since findings die again; 2 wrong usage.";

/// What `replay` is told.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct ReplayArgs {
    /// Where from
    #[command(subcommand)]
    pub command: ReplayCommand,
}

/// The sub-commands of `replay`.
#[derive(Debug, Subcommand)]
pub enum ReplayCommand {
    /// Sends dead letters back to the queue
    #[command(after_help = DLQ_HELP)]
    Dlq {
        /// The dead-letter queue
        #[arg(long, env = "FLEETWARDEN_DEAD_LETTER_QUEUE_URL", value_name = "URL")]
        dead_letter_queue_url: String,
        /// Everything, whatever it is
        #[arg(long, conflicts_with_all = ["check", "reason", "reason_code", "resource", "error", "since", "until", "ids_from"])]
        all: bool,
        /// Have SQS move everything by itself (StartMessageMoveTask), without a look at it; at most 500 a second
        #[arg(long, requires = "all", conflicts_with_all = ["dry_run", "force", "keep_going", "id", "by"])]
        native: bool,
        /// What both are told
        #[command(flatten)]
        options: ReplayOptions,
    },
    /// Sends findings of the ledger back to the queue
    #[command(after_help = LEDGER_HELP)]
    Ledger {
        /// Only with this status; may be repeated: dead, held, observed, compliant, suppressed, mitigated
        #[arg(long, value_parser = status, default_value = "dead")]
        status: Vec<Status>,
        /// What both are told
        #[command(flatten)]
        options: ReplayOptions,
    },
    /// Sends the findings of an audit to the queue
    #[command(after_help = replay_audit::HELP)]
    Audit(ReplayAuditArgs),
}

/// What a replay is told, wherever from.
#[derive(Debug, Args)]
pub struct ReplayOptions {
    /// The queue that the workers receive from
    #[arg(long, env = "FLEETWARDEN_QUEUE_URL", value_name = "URL")]
    pub queue_url: String,
    /// The ledger: a DynamoDB table
    #[arg(long, env = "FLEETWARDEN_TABLE", value_name = "NAME", default_value = "fleetwarden")]
    pub table: String,
    /// Only of this check; may be repeated
    #[arg(long, value_name = "CHECK", value_parser = resolve_recorded)]
    pub check: Vec<String>,
    /// Only given up for this reason, such as attempts_exhausted; may be repeated
    #[arg(long)]
    pub reason: Vec<String>,
    /// Only with this reason code, such as CERTIFICATE_SHARED_BY_MULTIPLE_DEVICES; may be repeated
    #[arg(long, value_name = "CODE")]
    pub reason_code: Vec<String>,
    /// Only resources whose id contains this
    #[arg(long, value_name = "PART")]
    pub resource: Option<String>,
    /// Only errors that contain this: a code such as InternalFailureException, or a word
    #[arg(long, value_name = "PART")]
    pub error: Option<String>,
    /// Only what was given up (from the ledger: last written) since then: 2026-11-22T10:00:00Z, or 2h (ago)
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only what was given up (from the ledger: last written) until then
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Only the findings of this file, one id a line; - reads standard input
    #[arg(long, value_name = "FILE")]
    pub ids_from: Option<String>,
    /// Say what would go, by reason and check, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Messages a second, at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000), value_name = "N")]
    pub rate: u32,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Also what is mitigated already: do once more what was done
    #[arg(long)]
    pub force: bool,
    /// Go on even if more than a fifth of what was sent dies again
    #[arg(long)]
    pub keep_going: bool,
    /// Go on with an earlier replay: what it has done is not done again
    #[arg(long, value_name = "REPLAY", value_parser = note)]
    pub id: Option<String>,
    /// Who asks for it, for the ledger; default: AWS_PROFILE, else user and host
    #[arg(long, value_name = "WHO", value_parser = note)]
    pub by: Option<String>,
}

fn status(text: &str) -> Result<Status, String> {
    match Status::parse(text) {
        Some(Status::Claimed | Status::Waiting) => {
            Err("its message is on the queue already: a worker has it in hand, or will".to_owned())
        }
        Some(Status::Expanded) => Err("an audit is replayed with `replay audit TASK`".to_owned()),
        Some(status) => Ok(status),
        None => Err("write one of dead, held, observed, compliant, suppressed, mitigated".to_owned()),
    }
}

/// The ledger and every message keep it.
pub(super) fn note(text: &str) -> Result<String, String> {
    let fits = (1..=256).contains(&text.len()) && !text.chars().any(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err("write 1 to 256 printable characters".to_owned()) }
}

/// A moment, or how long ago it was; milliseconds since the epoch.
fn moment(flag: &str, text: &str, now: jiff::Timestamp) -> Result<i64, CliError> {
    let told = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let ago: jiff::SignedDuration = text.parse().ok()?;
        now.checked_sub(ago).ok()
    });
    let told = told.map(jiff::Timestamp::as_millisecond);
    told.ok_or_else(|| {
        CliError::Usage(format!("{flag} {text}: write a time such as 2026-11-22T10:00:00Z, or 2h for two hours ago"))
    })
}

impl ReplayOptions {
    fn filter(&self, clock: &Clock) -> Result<Filter, CliError> {
        let now = clock.now();
        let time = |flag, text: &Option<String>| text.as_ref().map(|text| moment(flag, text, now)).transpose();
        Ok(Filter {
            checks: self.check.clone(),
            reasons: self.reason.clone(),
            reason_codes: self.reason_code.clone(),
            resource: self.resource.clone(),
            error: self.error.clone(),
            since: time("--since", &self.since)?,
            until: time("--until", &self.until)?,
            ids: self.ids_from.as_ref().map(|file| read_ids(file)).transpose()?,
        })
    }

    fn order(&self, clock: &Clock) -> Result<Order, CliError> {
        let id = match &self.id {
            Some(id) => id.clone(),
            None => run_id("replay", clock)?,
        };
        let by = self.by.clone().or_else(caller);
        Ok(Order { id, by, force: self.force, rate: self.rate, keep_going: self.keep_going })
    }
}

fn read_ids(file: &str) -> Result<std::collections::HashSet<String>, CliError> {
    let mut text = String::new();
    let read = match file {
        "-" => std::io::stdin().read_to_string(&mut text).map(drop),
        file => std::fs::read_to_string(file).map(|read| text = read),
    };
    read.map_err(|error| CliError::Usage(format!("cannot read --ids-from {file}: {error}")))?;
    parse_ids(&text).map_err(|what| CliError::Usage(format!("--ids-from {file}: {what}")))
}

/// Who runs this, as far as the system tells.
pub(super) fn caller() -> Option<String> {
    let told = |name: &str| std::env::var(name).ok().filter(|text| note(text).is_ok());
    told("AWS_PROFILE").or_else(|| match (told("USER").or_else(|| told("LOGNAME")), told("HOSTNAME")) {
        (Some(user), Some(host)) => Some(format!("{user}@{host}")),
        (user, host) => user.or(host),
    })
}

/// Plans it, asks, runs it, and prints what came of it.
///
/// # Errors
///
/// Usage: an argument that says nothing, or a question that nobody can answer. Failed: it did not come to its end.
pub async fn run(args: &ReplayArgs, output: OutputFormat) -> Result<(), CliError> {
    let clock = Clock::system();
    let options = match &args.command {
        ReplayCommand::Audit(audit) => return replay_audit::run(audit, output).await,
        ReplayCommand::Dlq { options, .. } | ReplayCommand::Ledger { options, .. } => options,
    };
    let (filter, order) = (options.filter(&clock)?, options.order(&clock)?);
    let config = load_config().await.map_err(CliError::Usage)?;
    let clients = Clients::new(&config);
    let look = async |flag: &str, url: &str| {
        let info = describe(&clients.sqs, url).await;
        info.map_err(|error| CliError::Usage(format!("failed to {error}; check {flag}, which is {url}")))
    };
    let known = look("--queue-url", &options.queue_url).await?;
    if let ReplayCommand::Dlq { dead_letter_queue_url, .. } = &args.command {
        check_source(&look("--dead-letter-queue-url", dead_letter_queue_url).await?, &known)?;
    }
    let queue = SqsQueue::new(clients.sqs.clone(), options.queue_url.clone());
    let ledger = DynamoLedger::new(clients.dynamodb.clone(), options.table.clone());
    let stop = stop_on_signals()?;
    match &args.command {
        // Gone its own way above.
        ReplayCommand::Audit(_) => Ok(()),
        ReplayCommand::Dlq { dead_letter_queue_url, native: true, .. } => {
            let native =
                Native { dead_letter_queue_url, queue_url: &options.queue_url, rate: options.rate, yes: options.yes };
            replay_native::run(&native, &clients, output, &stop).await
        }
        ReplayCommand::Dlq { dead_letter_queue_url, .. } => {
            let dead_letters = SqsQueue::new(clients.sqs.clone(), dead_letter_queue_url.clone());
            let replay = DeadLetterReplay {
                dead_letters: &dead_letters,
                queue: &queue,
                ledger: &ledger,
                clock: &clock,
                origin: &Origin { account: Some(known.account), region: Some(known.region) },
                filter: &filter,
                order: &order,
                max_held: MAX_HELD,
            };
            let Some(total) = agree(options, &order, output, "letters", async || replay.plan(&stop).await).await?
            else {
                return Ok(());
            };
            let mut told = Told::new(total);
            let (summary, ended) = replay.run(&mut |summary| told.tell(summary), &stop).await;
            told.end();
            finish(&order, &summary, &ended, output, "letters")
        }
        ReplayCommand::Ledger { status, .. } => {
            let (ledger, queue, clock) = (&ledger, &queue, &clock);
            let replay = LedgerReplay { ledger, queue, clock, statuses: status, filter: &filter, order: &order };
            let Some(total) = agree(options, &order, output, "records", async || replay.plan(&stop).await).await?
            else {
                return Ok(());
            };
            let mut told = Told::new(total);
            let (summary, ended) = replay.run(&mut |summary| told.tell(summary), &stop).await;
            told.end();
            finish(&order, &summary, &ended, output, "records")
        }
    }
}

/// A queue that is given by mistake would have its messages marked as replayed, or sent to itself.
fn check_source(source: &QueueInfo, queue: &QueueInfo) -> Result<(), CliError> {
    if source.arn == queue.arn {
        return Err(CliError::Usage(format!(
            "--queue-url and --dead-letter-queue-url are both {}: name two queues",
            queue.arn
        )));
    }
    match &source.redrive {
        Some(redrive) => Err(CliError::Usage(format!(
            "{} is not a dead-letter queue, it has one of its own ({}): give --dead-letter-queue-url the URL of that one",
            source.arn, redrive.dead_letter_queue_arn
        ))),
        None => Ok(()),
    }
}

/// How many are to go, as far as known; `None` if nothing is to go.
async fn agree(
    options: &ReplayOptions,
    order: &Order,
    output: OutputFormat,
    what: &str,
    plan: impl AsyncFnOnce() -> (Summary, Ended),
) -> Result<Option<Option<u64>>, CliError> {
    if options.yes && !options.dry_run {
        return Ok(Some(None));
    }
    let (summary, ended) = plan().await;
    check(&ended, order)?;
    let total = summary.chosen();
    if options.dry_run {
        print_plan(&summary, output, what);
        return Ok(None);
    }
    if total > HANDFUL {
        if output == OutputFormat::Table {
            print_plan(&summary, output, what);
        }
        if !confirm(total, &format!("{total} {what}"), output).await? {
            return Ok(None);
        }
    }
    Ok(Some(Some(total)))
}

/// Asks, if it is more than a handful.
pub(super) async fn confirm(n: u64, what: &str, output: OutputFormat) -> Result<bool, CliError> {
    if n <= HANDFUL {
        return Ok(true);
    }
    // A program that reads the result finds one document there, and no question.
    let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !terminal || output == OutputFormat::Json {
        return Err(CliError::Usage(format!("{what} would go; look at them with --dry-run, and then say --yes")));
    }
    Ok(confirmed(&format!("send {what} back to the queue? [y/N] ")).await)
}

fn finish(order: &Order, summary: &Summary, ended: &Ended, output: OutputFormat, what: &str) -> Result<(), CliError> {
    print_result(order, summary, ended, output, what);
    check(ended, order)
}

fn check(ended: &Ended, order: &Order) -> Result<(), CliError> {
    let id = &order.id;
    let failed = match ended {
        Ended::Done => return Ok(()),
        Ended::Stopped => format!("stopped; go on with --id {id}"),
        Ended::DyingAgain { dead, of } => format!(
            "stopped: of {of} findings that were looked at, {dead} died again, see the errors; mend the cause and go on with \
             --id {id}, or say --keep-going"
        ),
        Ended::Full => format!(
            "stopped: {MAX_HELD} letters are not meant, and those behind them were not looked at; replay or purge some of them, \
             and go on with --id {id}"
        ),
        Ended::Failed(error) => {
            format!("failed to {error}; check the URLs, --table and the permissions, and go on with --id {id}")
        }
    };
    Err(CliError::Failed(failed))
}
