//! `fleetwarden audit findings`: what an audit found.

use super::command::{failed, failed_or_gone, no_audit, task_id};
use super::findings_print::{JsonReport, TableReport};
use super::totals;
use crate::aws::CallError;
use crate::cli::bar::Bar;
use crate::cli::{CliError, OutputFormat};
use crate::defender::console::{Audit, Console, FindingFilter, Things, Walk, check_name};
use clap::Args;

const HELP: &str = "\
Examples:
  fleetwarden audit findings 0f1e2d3c4b5a69788796a5b4c3d2e1f0
  fleetwarden audit findings 0f1e2d3c4b5a69788796a5b4c3d2e1f0 --suppressed
  fleetwarden audit findings $AUDIT --check device_certificate_shared
  fleetwarden audit findings $AUDIT --reason LOGGING_DISABLED \\
      --output json | jq '.findings[].findingId'

Totals per check come first, with the checks that failed and why; then the findings, by check and \
reason code. Of a shared certificate the things that use it are shown. The table has --limit \
findings, the JSON document all.

Exit codes: 0 shown; 1 the audit is still in progress, or a call failed; 2 wrong usage: no such \
audit, a check that it did not run, or an audit that failed and has nothing to show.";

/// What `audit findings` is told.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct FindingsArgs {
    /// The audit's id
    #[arg(value_name = "AUDIT", value_parser = task_id)]
    pub id: String,
    /// Only of this check
    #[arg(long, value_name = "CHECK")]
    pub check: Option<String>,
    /// Only with this reason code; may be repeated
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    pub reason: Vec<String>,
    /// Suppressed ones too
    #[arg(long)]
    pub suppressed: bool,
    /// Findings in the table, at most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000), value_name = "N")]
    pub limit: u32,
    /// Shared certificates whose things are looked up, at most; each costs a call
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=100_000), value_name = "N")]
    pub things: u32,
}

/// Prints them.
///
/// # Errors
///
/// Usage: no such audit, or it did not run the check, or failed whole. Failed: it is still in progress, or a call failed.
pub(super) async fn run(console: &Console, args: &FindingsArgs, output: OutputFormat) -> Result<(), CliError> {
    let id = &args.id;
    let audit = console.audit(id).await.map_err(|error| failed_or_gone(&error, || no_audit(id)))?;
    if audit.is_in_progress() {
        return Err(CliError::Failed(format!(
            "{}; wait for it with `fleetwarden audit status {id} --wait`",
            totals::sentence(&audit)
        )));
    }
    let filter = FindingFilter {
        check: args.check.as_deref().map(|check| check_of(&audit, check)).transpose()?,
        reasons: args.reason.iter().map(|reason| reason.trim().to_ascii_uppercase()).collect(),
        suppressed: args.suppressed,
    };
    let things = Things::new(console, args.things as usize);
    let told = match output {
        OutputFormat::Json => as_json(console, &audit, &filter, things).await,
        OutputFormat::Table => as_table(console, &audit, &filter, things, args.limit as usize).await,
    };
    let found = told.map_err(|error| failed(&error))?;
    let Some(trouble) = totals::trouble(&audit) else { return Ok(()) };
    if found == 0 && !audit.answers(filter.check.as_slice()) {
        return Err(CliError::Usage(format!("{trouble}. There are no findings to show; start another audit")));
    }
    // The table has told it beneath the totals.
    if output == OutputFormat::Json {
        eprintln!("warning: {trouble}");
    }
    Ok(())
}

/// The check by its name in the audit.
fn check_of(audit: &Audit, text: &str) -> Result<String, CliError> {
    let ran: Vec<&str> = audit.checks.iter().map(|check| check.check.as_str()).collect();
    let check = check_name::resolve(text, ran.iter().copied())
        .map_err(|mistake| CliError::Usage(format!("--check: {mistake}")))?;
    if ran.contains(&check.as_str()) {
        return Ok(check);
    }
    Err(CliError::Usage(format!("audit {} did not run {check}; it ran {}", audit.task_id, ran.join(", "))))
}

/// How many findings there may be, for the bar: at least one for each non-compliant resource.
fn expected(audit: &Audit, filter: &FindingFilter) -> u64 {
    let wanted = audit.checks.iter().filter(|check| filter.check.as_ref().is_none_or(|wanted| check.check == *wanted));
    wanted.map(|check| check.non_compliant).sum()
}

/// Findings seen. Only so many as the table shows are kept; the others are counted.
async fn as_table(
    console: &Console,
    audit: &Audit,
    filter: &FindingFilter,
    mut things: Things<'_>,
    limit: usize,
) -> Result<u64, CallError> {
    let mut walk = Walk::new(console, &audit.task_id, filter);
    let mut report = TableReport::default();
    let mut bar = Bar::new("findings");
    let walked: Result<(), CallError> = async {
        while let Some(page) = walk.page().await? {
            bar.at(walk.seen, expected(audit, filter));
            for finding in page {
                if report.len() < limit {
                    // Looking things up takes longer than the page did.
                    bar.at(walk.seen, expected(audit, filter));
                    let things = things.of(&finding).await?;
                    report.add(finding, things);
                }
            }
        }
        Ok(())
    }
    .await;
    bar.clear();
    walked?;
    report.print(audit, &walk, filter, things.left_out);
    Ok(walk.seen)
}

/// Findings seen. They are printed page by page: an audit may have more than memory should hold.
async fn as_json(
    console: &Console,
    audit: &Audit,
    filter: &FindingFilter,
    mut things: Things<'_>,
) -> Result<u64, CallError> {
    let mut walk = Walk::new(console, &audit.task_id, filter);
    let mut report = JsonReport::default();
    let mut bar = Bar::new("findings");
    let walked: Result<(), CallError> = async {
        while let Some(page) = walk.page().await? {
            bar.at(walk.seen, expected(audit, filter));
            report.begin(audit);
            for finding in page {
                bar.at(walk.seen, expected(audit, filter));
                let things = things.of(&finding).await?;
                report.add(&finding, things.as_deref());
            }
        }
        Ok(())
    }
    .await;
    bar.clear();
    walked?;
    report.end(&walk, things.left_out);
    Ok(walk.seen)
}
