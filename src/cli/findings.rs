//! `fleetwarden findings`: what the ledger knows.

use super::{CliError, OutputFormat, findings_verify, print};
use crate::aws::{CallError, Clients, load_config};
use crate::defender::console::check_name::resolve_recorded;
use crate::finding::catalogue;
use crate::ledger::{DynamoLedger, Filter, Ledger, Lineage, Record, Replayed, Status};
use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Value, json};

/// Records that one request looks at; a filter is applied to them afterwards, so a small page would mean many requests.
const PAGE: usize = 1000;

const LIST_HELP: &str = "\
Examples:
  fleetwarden findings list --status dead
  fleetwarden findings list --check DEVICE_CERTIFICATE_SHARED_CHECK --status mitigated --limit 20
  fleetwarden findings list --audit 0f1e2d3c4b5a69788796a5b4c3d2e1f0 \\
      --output json | jq '.[].resource'";

const HELP: &str = "\
Examples:
  fleetwarden findings list --status dead
  fleetwarden findings show 11111111-1111-4111-8111-111111111111
  fleetwarden findings verify 11111111-1111-4111-8111-111111111111";

const VERIFY_HELP: &str = "\
Examples:
  fleetwarden findings verify 11111111-1111-4111-8111-111111111111
  fleetwarden findings verify --audit 0f1e2d3c4b5a69788796a5b4c3d2e1f0
  fleetwarden findings verify --audit $TASK --output json | jq -r '.notHolding[].findingId'

Reads each resource as it is now, inside the budgets that the workers share, and changes nothing.
Only what is mitigated or compliant can hold; of the rest it says that nothing was done. A
publication cannot be read back.

Exit codes: 0 nothing was reverted; 1 something was, or could not be read; 2 the ledger does not
know the finding or the audit.";

const SHOW_HELP: &str = "\
Example:
  fleetwarden findings show 11111111-1111-4111-8111-111111111111

Exit codes: 0 shown; 1 the ledger does not answer; 2 the ledger does not know the finding.";

/// What `findings` is told.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct FindingsArgs {
    /// The ledger: a DynamoDB table
    #[arg(long, global = true, env = "FLEETWARDEN_TABLE", value_name = "NAME", default_value = "fleetwarden")]
    pub table: String,
    /// What to look at
    #[command(subcommand)]
    pub command: FindingsCommand,
}

/// The sub-commands of `findings`.
#[derive(Debug, Subcommand)]
pub enum FindingsCommand {
    /// Findings that match, up to --limit; of those listed the latest stands first
    #[command(after_help = LIST_HELP)]
    List {
        /// Only with this status; may be repeated: claimed, waiting, held, dead, mitigated, compliant, observed, suppressed, expanded
        #[arg(long, value_parser = status)]
        status: Vec<Status>,
        /// Only of this check
        #[arg(long, value_name = "CHECK", value_parser = resolve_recorded)]
        check: Option<String>,
        /// Only resources whose id contains this
        #[arg(long)]
        resource: Option<String>,
        /// Only findings of this audit
        #[arg(long, value_name = "TASK")]
        audit: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
    /// All that is known of one finding: decision, steps with the state before them, attempts
    #[command(after_help = SHOW_HELP)]
    Show {
        /// The finding's id
        #[arg(value_name = "FINDING")]
        id: String,
    },
    /// Whether what was done still holds: reads the live state back and compares
    #[command(after_help = VERIFY_HELP, group(ArgGroup::new("which").required(true).args(["id", "audit"])))]
    Verify {
        /// The finding's id
        #[arg(value_name = "FINDING")]
        id: Option<String>,
        /// Every finding of this audit
        #[arg(long, value_name = "TASK")]
        audit: Option<String>,
    },
}

fn status(text: &str) -> Result<Status, String> {
    Status::parse(text).ok_or_else(|| {
        let known: Vec<_> = Status::ALL.iter().map(|status| status.as_str()).collect();
        format!("write one of {}", known.join(", "))
    })
}

/// Prints what the ledger knows.
///
/// # Errors
///
/// Usage: no region, no such table, or no such finding. Failed: the ledger does not answer.
pub async fn run(args: &FindingsArgs, output: OutputFormat) -> Result<(), CliError> {
    let config = load_config().await.map_err(CliError::Usage)?;
    let clients = Clients::new(&config);
    let ledger = DynamoLedger::new(clients.dynamodb.clone(), args.table.clone());
    match &args.command {
        FindingsCommand::List { status, check, resource, audit, limit } => {
            let filter = Filter {
                statuses: status.clone(),
                check: check.clone(),
                resource: resource.clone(),
                task_id: audit.clone(),
            };
            list(&ledger, &filter, *limit as usize, output).await
        }
        FindingsCommand::Show { id } => show(&ledger, id, output).await,
        FindingsCommand::Verify { id, audit } => match (id, audit) {
            (Some(id), _) => findings_verify::one(&clients, &ledger, id, output).await,
            (None, Some(task)) => findings_verify::audit(&clients, &ledger, task, output).await,
            (None, None) => Err(CliError::Usage("name a finding, or an audit by --audit".to_owned())),
        },
    }
}

/// An error of the ledger, for a person.
pub(super) fn ledger_error(error: &CallError) -> CliError {
    CliError::Failed(format!(
        "failed to {error}; check --table, AWS_REGION and the permissions, or run `fleetwarden setup`"
    ))
}

async fn list(ledger: &impl Ledger, filter: &Filter, limit: usize, output: OutputFormat) -> Result<(), CliError> {
    let mut records: Vec<Record> = Vec::new();
    let mut next = None;
    loop {
        let page = ledger.list(filter, PAGE, next).await.map_err(|error| ledger_error(&error))?;
        records.extend(page.records);
        next = page.next;
        if next.is_none() || records.len() > limit {
            break;
        }
    }
    let more = records.len() > limit;
    records.truncate(limit);
    records.sort_by_key(|record| std::cmp::Reverse(record.updated_at));
    match output {
        OutputFormat::Json => print::json(&records.iter().map(as_json).collect()),
        OutputFormat::Table => {
            let mut table = print::table(&["finding", "check", "resource", "status", "updated (UTC)", "why"]);
            for record in &records {
                table.add_row([
                    id_of(record).to_owned(),
                    record.subject.check.clone(),
                    print::short(&record.subject.resource_id, 24),
                    record.status.to_string(),
                    print::moment(Some(record.updated_at)),
                    print::short(&record.detail, 80),
                ]);
            }
            print::line(&table.to_string());
            let more = if more { "; there are more, raise --limit" } else { "" };
            let noun = if records.len() == 1 { "record" } else { "records" };
            print::line(&format!("{} {noun}{more}", records.len()));
        }
    }
    Ok(())
}

async fn show(ledger: &impl Ledger, id: &str, output: OutputFormat) -> Result<(), CliError> {
    let key = if id.contains('#') { id.to_owned() } else { format!("finding#{id}") };
    let record = ledger.get(&key).await.map_err(|error| ledger_error(&error))?;
    let Some(record) = record else {
        return Err(CliError::Usage(format!(
            "the ledger has no finding {id}; look for it with `fleetwarden findings list`, or in the dead letters"
        )));
    };
    match output {
        OutputFormat::Json => print::json(&as_json(&record)),
        OutputFormat::Table => print_record(&record),
    }
    Ok(())
}

fn print_record(record: &Record) {
    let subject = &record.subject;
    let mut table = print::table(&["finding", id_of(record)]);
    let rows = [
        ("status", record.status.to_string()),
        ("why", record.detail.clone()),
        ("check", subject.check.clone()),
        ("about the check", catalogue::check(&subject.check).map_or_else(|| "-".to_owned(), catalogue::Check::doc_url)),
        ("reason code", subject.reason_code.clone()),
        ("severity", subject.severity.to_string()),
        ("resource", format!("{} {}", subject.resource_type, subject.resource_id)),
        ("account, region", format!("{}, {}", subject.account, subject.region)),
        ("audit", subject.task_id.clone().unwrap_or_else(|| "-".to_owned())),
        ("rule", record.rule.clone().unwrap_or_else(|| "-".to_owned())),
        ("attempts failed", record.attempts.to_string()),
        ("claim", format!("epoch {} of {}", record.epoch, record.owner)),
        ("replayed", record.replayed.as_ref().map_or_else(|| "never".to_owned(), replayed)),
        ("first seen (UTC)", print::moment(Some(record.first_seen))),
        ("updated (UTC)", print::moment(Some(record.updated_at))),
    ];
    for (name, value) in rows {
        table.add_row([name.to_owned(), value]);
    }
    print::line(&table.to_string());
    if record.steps.is_empty() {
        return;
    }
    let mut steps = print::table(&["action", "target", "outcome", "before", "detail", "request", "at (UTC)"]);
    for step in &record.steps {
        steps.add_row([
            step.action.clone(),
            step.target.clone(),
            json!(step.outcome).as_str().unwrap_or_default().to_owned(),
            step.prior.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            step.detail.clone(),
            step.request_id.clone().unwrap_or_else(|| "-".to_owned()),
            print::moment(Some(step.at)),
        ]);
    }
    print::line(&steps.to_string());
}

/// How often, and the latest time from where, by whom and when.
fn replayed(replayed: &Replayed) -> String {
    let Lineage { id, of, by, at, force } = &replayed.last;
    let times = if replayed.times == 1 { "once".to_owned() } else { format!("{} times, the latest", replayed.times) };
    let of = of.as_ref().map(|of| format!(" of {of}")).unwrap_or_default();
    let by = by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let at = at.map(|at| format!(" at {}", print::moment(Some(at)))).unwrap_or_default();
    let force = if *force { ", by force" } else { "" };
    format!("{times}: {id}{of}{by}{at}{force}")
}

/// The id without the ledger's prefix.
pub(super) fn id_of(record: &Record) -> &str {
    record.subject.key.strip_prefix("finding#").unwrap_or(&record.subject.key)
}

fn as_json(record: &Record) -> Value {
    let subject = &record.subject;
    let time = |ms: i64| jiff::Timestamp::from_millisecond(ms).map_or(Value::Null, |at| json!(at.to_string()));
    json!({
        "findingId": id_of(record),
        "status": record.status,
        "detail": record.detail,
        "check": subject.check,
        "reasonCode": subject.reason_code,
        "severity": subject.severity,
        "resourceType": subject.resource_type,
        "resource": subject.resource_id,
        "account": subject.account,
        "region": subject.region,
        "taskId": subject.task_id,
        "rule": record.rule,
        "attempts": record.attempts,
        "epoch": record.epoch,
        "owner": record.owner,
        "firstSeen": time(record.first_seen),
        "updatedAt": time(record.updated_at),
        "retryAt": record.retry_at.map(time),
        "replayed": record.replayed.as_ref().map(|replayed| json!({
            "times": replayed.times,
            "id": replayed.last.id,
            "of": replayed.last.of,
            "by": replayed.last.by,
            "at": replayed.last.at.map(time),
            "force": replayed.last.force,
            "claimedAt": time(replayed.claimed_at),
        })),
        "steps": record.steps,
    })
}
