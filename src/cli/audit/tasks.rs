//! `fleetwarden audit list | status | cancel`: audits that there are.

use super::command::{failed, failed_or_gone, no_audit, task_id};
use super::moments::{Moment, moment};
use super::{start, totals};
use crate::aws::Class;
use crate::cli::bar::Bar;
use crate::cli::{CliError, OutputFormat, print};
use crate::clock::Clock;
use crate::defender::console::{Audit, AuditFilter, Console};
use crate::finding::CheckSummary;
use clap::Args;
use jiff::SignedDuration;
use serde_json::json;

/// AWS refuses to list what began before (General Reference, Device Defender limits: audits are kept for 90 days).
const KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);

/// `--since 90d` is meant to be inside, whichever clock is ahead.
const SLACK: SignedDuration = SignedDuration::from_mins(1);

const LIST_HELP: &str = "\
Examples:
  fleetwarden audit list
  fleetwarden audit list --since 30d --status failed
  fleetwarden audit list --since 2026-11-01 --until 2026-11-08 --type scheduled

Times are those of the beginning, UTC. AWS keeps audits for 90 days. Each audit that is listed \
costs a call, so of more than --limit the rest is only counted.";

const STATUS_HELP: &str = "\
Examples:
  fleetwarden audit status 0f1e2d3c4b5a69788796a5b4c3d2e1f0
  fleetwarden audit status 0f1e2d3c4b5a69788796a5b4c3d2e1f0 --wait

Exit codes: 0 shown; 1 a call failed, or with --wait the audit or one of its checks failed or was \
cancelled; 2 no such audit.";

const CANCEL_HELP: &str = "\
Example:
  fleetwarden audit cancel 0f1e2d3c4b5a69788796a5b4c3d2e1f0

Exit codes: 0 cancelled, or it was already; 1 a call failed; 2 no such audit, or it has ended.";

/// What `audit list` is told.
#[derive(Debug, Args)]
#[command(after_help = LIST_HELP)]
pub struct ListArgs {
    /// Begun since then: 7d (ago), 2026-11-22, 2026-11-22T10:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment, default_value = "7d")]
    pub since: Moment,
    /// Begun until then; default: now
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<Moment>,
    /// Only these: in-progress, completed, failed, canceled
    #[arg(long, value_parser = status_of)]
    pub status: Option<String>,
    /// Only these: on-demand, scheduled
    #[arg(long = "type", value_name = "TYPE", value_parser = type_of)]
    pub task_type: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000), value_name = "N")]
    pub limit: u32,
}

/// What `audit status` is told.
#[derive(Debug, Args)]
#[command(after_help = STATUS_HELP)]
pub struct StatusArgs {
    /// The audit's id
    #[arg(value_name = "AUDIT", value_parser = task_id)]
    pub id: String,
    /// Wait until it has ended
    #[arg(long)]
    pub wait: bool,
}

/// What `audit cancel` is told.
#[derive(Debug, Args)]
#[command(after_help = CANCEL_HELP)]
pub struct CancelArgs {
    /// The audit's id
    #[arg(value_name = "AUDIT", value_parser = task_id)]
    pub id: String,
}

fn status_of(text: &str) -> Result<String, String> {
    let status = match text.to_ascii_uppercase().replace('-', "_").as_str() {
        "IN_PROGRESS" => "IN_PROGRESS",
        "COMPLETED" => "COMPLETED",
        "FAILED" => "FAILED",
        "CANCELED" | "CANCELLED" => "CANCELED",
        _ => return Err("write one of in-progress, completed, failed, canceled".to_owned()),
    };
    Ok(status.to_owned())
}

fn type_of(text: &str) -> Result<String, String> {
    let kind = match text.to_ascii_uppercase().replace('-', "_").trim_end_matches("_AUDIT_TASK") {
        "ON_DEMAND" => "ON_DEMAND_AUDIT_TASK",
        "SCHEDULED" => "SCHEDULED_AUDIT_TASK",
        _ => return Err("write one of on-demand, scheduled".to_owned()),
    };
    Ok(kind.to_owned())
}

/// Lists audits, the latest first.
///
/// # Errors
///
/// Usage: a time that is out of range. Failed: a call failed.
pub(super) async fn list(console: &Console, args: &ListArgs, output: OutputFormat) -> Result<(), CliError> {
    let filter = filter(args)?;
    let ids = console.list_audits(&filter).await.map_err(|error| failed(&error))?;
    let (ids, more) = console.latest_of(ids, args.limit as usize).await.map_err(|error| failed(&error))?;
    let mut bar = Bar::new("audits");
    let mut audits = Vec::new();
    for id in &ids {
        bar.at(audits.len() as u64, ids.len() as u64);
        match console.audit(id).await {
            Ok(audit) => audits.push(audit),
            // Its 90 days were over between the two calls.
            Err(error) if error.class == Class::Gone => {}
            Err(error) => {
                bar.clear();
                return Err(failed(&error));
            }
        }
    }
    bar.clear();
    audits.sort_by_key(|audit| std::cmp::Reverse(audit.started_at));
    match output {
        OutputFormat::Json => print::json(&json!({
            "audits": audits.iter().map(totals::as_json).collect::<Vec<_>>(),
            "notShown": more,
        })),
        OutputFormat::Table => print_list(&audits, more),
    }
    Ok(())
}

fn filter(args: &ListArgs) -> Result<AuditFilter, CliError> {
    let now = Clock::system().now();
    let (since, until) = (args.since.past(now), args.until.map_or(now, |until| until.past(now)));
    let oldest = now.checked_sub(KEPT).unwrap_or(jiff::Timestamp::MIN);
    if since < oldest.checked_sub(SLACK).unwrap_or(jiff::Timestamp::MIN) {
        return Err(CliError::Usage(format!(
            "--since {} is out of range: AWS keeps audits for 90 days; write 90d or less",
            shown(since)
        )));
    }
    if until < since {
        return Err(CliError::Usage(format!(
            "--until {} is before --since {}; give an earlier --since",
            shown(until),
            shown(since)
        )));
    }
    let since = since.max(oldest.checked_add(SLACK).unwrap_or(oldest));
    Ok(AuditFilter { since, until, status: args.status.clone(), task_type: args.task_type.clone() })
}

fn shown(at: jiff::Timestamp) -> String {
    print::moment(Some(at.as_millisecond()))
}

fn print_list(audits: &[Audit], more: usize) {
    if !audits.is_empty() {
        let headings = ["audit", "begun (UTC)", "type", "status", "checks", "non-compliant", "failed"];
        let mut table = print::table(&headings);
        for audit in audits {
            let failed = audit.checks.iter().filter(|check| check.status == "FAILED").count();
            let resources: u64 = audit.checks.iter().map(CheckSummary::objected).sum();
            table.add_row([
                audit.task_id.clone(),
                print::moment(audit.started_at),
                totals::kind(audit),
                totals::spoken(&audit.status),
                audit.checks.len().to_string(),
                resources.to_string(),
                failed.to_string(),
            ]);
        }
        print::right(&mut table, 4..7);
        // An id that is broken in two cannot be copied.
        print::whole(&mut table, 0);
        print::line(&table.to_string());
    }
    let noun = if audits.len() == 1 { "audit" } else { "audits" };
    let more = match more {
        0 => String::new(),
        more => format!("; {more} more are not shown, raise --limit or narrow --since and --until"),
    };
    print::line(&format!("{} {noun}{more}", audits.len()));
}

/// How an audit stands.
///
/// # Errors
///
/// Usage: no such audit. Failed: a call failed, or with `--wait` the audit did.
pub(super) async fn status(console: &Console, args: &StatusArgs, output: OutputFormat) -> Result<(), CliError> {
    if args.wait {
        return start::wait(console, &args.id, output).await;
    }
    let audit = console.audit(&args.id).await.map_err(|error| failed_or_gone(&error, || no_audit(&args.id)))?;
    totals::print_audit(&audit, output);
    Ok(())
}

/// Stops an audit.
///
/// # Errors
///
/// Usage: no such audit, or it has ended. Failed: a call failed.
pub(super) async fn cancel(console: &Console, args: &CancelArgs, output: OutputFormat) -> Result<(), CliError> {
    let id = &args.id;
    let canceled = console.cancel_audit(id).await.map_err(|error| failed_or_gone(&error, || no_audit(id)))?;
    let audit = console.audit(id).await.map_err(|error| failed(&error))?;
    if !canceled && audit.status != "CANCELED" {
        return Err(CliError::Usage(format!(
            "audit {id} is {} already; there is nothing to cancel",
            totals::spoken(&audit.status)
        )));
    }
    match output {
        OutputFormat::Json => print::json(&totals::as_json(&audit)),
        OutputFormat::Table => {
            let already = if canceled { "" } else { " already" };
            print::line(&format!("audit {id} is cancelled{already}; what it had found until then stays"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_types_are_read_in_either_spelling() {
        assert_eq!(status_of("in-progress").unwrap(), "IN_PROGRESS");
        assert_eq!(status_of("CANCELED").unwrap(), "CANCELED");
        assert_eq!(status_of("cancelled").unwrap(), "CANCELED");
        assert_eq!(type_of("on-demand").unwrap(), "ON_DEMAND_AUDIT_TASK");
        assert_eq!(type_of("SCHEDULED_AUDIT_TASK").unwrap(), "SCHEDULED_AUDIT_TASK");
        assert!(status_of("done").is_err() && type_of("nightly").is_err());
    }
}
