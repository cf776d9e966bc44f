//! `fleetwarden actions tasks`: applications of actions to findings.

use super::command::{console, failed};
use super::results::{self, Wanted};
use super::show::time;
use crate::aws::Class;
use crate::aws::syntax::is_mitigation_name;
use crate::cli::audit::{Moment, moment};
use crate::cli::bar::Bar;
use crate::cli::{CliError, OutputFormat, print};
use crate::clock::Clock;
use crate::defender::console::{Console, MitigationTask, TaskCounts, TaskFilter};
use clap::Subcommand;
use serde_json::{Value, json};

/// How a task can stand: `AuditMitigationActionsTaskStatus` of the IoT API.
const STATUSES: [&str; 4] = ["IN_PROGRESS", "COMPLETED", "FAILED", "CANCELED"];

/// Device Defender keeps tasks as long as findings.
const KEPT: &str = "90d";

const LIST_HELP: &str = "\
Examples:
  fleetwarden actions tasks list
  fleetwarden actions tasks list --since 1d --status FAILED
  fleetwarden actions tasks list --audit 0f1e2d3c4b5a69788796a5b4c3d2e1f0 \\
    --output json | jq '.tasks[].checks'

Each task that is listed costs one call, of which this makes two a second. The latest stand
first.";

const STATUS_HELP: &str = "\
Examples:
  fleetwarden actions tasks status $TASK
  fleetwarden actions tasks status $TASK --finding 11111111-1111-4111-8111-111111111111
  fleetwarden actions tasks status $TASK --all --output json | jq '.executions[].status'

What was done about a finding costs one call, of which this makes two a second. So it looks at 25
findings, those of checks with failures first, unless told otherwise; findings with failed actions
stand first.

Exit codes: 0 shown, whatever became of the task; 1 AWS refuses or does not answer; 2 no such task,
or none of its findings.";

const CANCEL_HELP: &str = "\
Example:
  fleetwarden actions tasks cancel $TASK

What the task has done stays done; it does nothing more.

Exit codes: 0 cancelled; 1 AWS refuses or does not answer; 2 no such task, or it is not in
progress.";

/// The sub-commands of `actions tasks`.
#[derive(Debug, Subcommand)]
pub enum TasksCommand {
    /// Tasks with their status, counts of findings by check, and actions
    #[command(after_help = LIST_HELP)]
    List {
        /// Only those that were started since then: 7d (ago), 2026-11-22, 2026-11-22T10:00:00Z
        #[arg(long, value_parser = moment, default_value = KEPT, value_name = "TIME")]
        since: Moment,
        /// Only those that acted on findings of this audit
        #[arg(long, value_name = "TASK")]
        audit: Option<String>,
        /// Only those that acted on this finding
        #[arg(long, value_name = "FINDING")]
        finding: Option<String>,
        /// Only those that stand like this: IN_PROGRESS, COMPLETED, FAILED, CANCELED
        #[arg(long, value_parser = status)]
        status: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000), value_name = "N")]
        limit: u32,
    },
    /// One task: counts, actions, and what each action did about each finding
    #[command(after_help = STATUS_HELP)]
    Status {
        /// The mitigation task's id
        #[arg(value_name = "TASK")]
        id: String,
        /// Only what was done about this finding
        #[arg(long, value_name = "FINDING", conflicts_with = "all")]
        finding: Option<String>,
        /// What was done about every finding of the task
        #[arg(long)]
        all: bool,
    },
    /// Cancels a task that is in progress
    #[command(after_help = CANCEL_HELP)]
    Cancel {
        /// The mitigation task's id
        #[arg(value_name = "TASK")]
        id: String,
    },
}

fn status(text: &str) -> Result<String, String> {
    let upper = text.to_ascii_uppercase().replace('-', "_");
    if STATUSES.contains(&upper.as_str()) { Ok(upper) } else { Err(format!("write one of {}", STATUSES.join(", "))) }
}

/// Looks at tasks, or cancels one.
pub(super) async fn run(command: &TasksCommand, output: OutputFormat) -> Result<(), CliError> {
    match command {
        TasksCommand::List { since, audit, finding, status, limit } => {
            let now = Clock::system().now();
            let since = since.past(now).max(jiff::Timestamp::UNIX_EPOCH);
            let filter = TaskFilter {
                since: since.as_millisecond(),
                // Clocks differ: what AWS says was started in the next minute is not left out.
                until: now.as_millisecond() + 60_000,
                audit: audit.clone(),
                finding: finding.clone(),
                status: status.clone(),
            };
            list(&filter, *limit as usize, output).await
        }
        TasksCommand::Status { id, finding, all } => {
            let wanted = match (finding, all) {
                (Some(finding), _) => Wanted::One(finding),
                (None, true) => Wanted::All,
                (None, false) => Wanted::Some,
            };
            show(id, wanted, output).await
        }
        TasksCommand::Cancel { id } => cancel(id, output).await,
    }
}

async fn list(filter: &TaskFilter, limit: usize, output: OutputFormat) -> Result<(), CliError> {
    let ids = [("--audit", &filter.audit), ("--finding", &filter.finding)];
    for (flag, id) in ids.into_iter().filter_map(|(flag, id)| Some((flag, id.as_ref()?))) {
        if !is_mitigation_name(id) {
            return Err(CliError::Usage(format!(
                "{flag} `{id}` is no id; ids have 1 to 128 of a-z, A-Z, 0-9, `_` and `-`"
            )));
        }
    }
    let console = console().await?;
    let names = console.tasks(filter).await.map_err(|error| failed(&error))?;
    let shown = names.len().min(limit);
    let mut bar = Bar::new("tasks read");
    let mut tasks = Vec::with_capacity(shown);
    for name in &names[..shown] {
        bar.at(tasks.len() as u64, shown as u64);
        match console.task(&name.task_id).await {
            Ok(task) => tasks.push(task),
            // It grew too old meanwhile.
            Err(error) if error.class == Class::Gone => {}
            Err(error) => {
                bar.clear();
                return Err(failed(&error));
            }
        }
    }
    bar.clear();
    match output {
        OutputFormat::Json => {
            print::json(&json!({ "found": names.len(), "tasks": tasks.iter().map(task_json).collect::<Vec<_>>() }));
        }
        OutputFormat::Table => {
            if !tasks.is_empty() {
                print::line(&table_of(&tasks));
            }
            let more = if names.len() > shown {
                format!(" of {}; for more, raise --limit", names.len())
            } else {
                String::new()
            };
            let noun = if tasks.len() == 1 { "task" } else { "tasks" };
            print::line(&format!("{} mitigation {noun}{more}", tasks.len()));
        }
    }
    Ok(())
}

/// A row for each task and check. Times stand one below the other, and actions below their check, so that a terminal of usual width
/// takes it.
fn table_of(tasks: &[MitigationTask]) -> String {
    let headings =
        ["task", "status", "from, to (UTC)", "check and actions", "findings", "ok", "failed", "skipped", "canceled"];
    let mut table = print::table(&headings);
    for task in tasks {
        let times = format!("{}\n{}", print::moment(task.started_at), print::moment(task.ended_at));
        let mut head = vec![task.task_id.clone(), task.status.clone(), times];
        for (check, counts) in &task.checks {
            let mut row = std::mem::replace(&mut head, vec![String::new(); 3]);
            row.push(format!("{check}\n{}", actions_of(task, check)));
            row.extend(numbers(counts));
            table.add_row(row);
        }
        if task.checks.is_empty() {
            head.push(names_of(task, task.actions.iter().map(|action| action.name.as_str())));
            head.extend(numbers(&TaskCounts::default()));
            table.add_row(head);
        }
    }
    print::right(&mut table, 4..9);
    table.to_string()
}

/// The counts, in the order of the columns.
pub(super) fn numbers(counts: &TaskCounts) -> [String; 5] {
    [counts.total, counts.succeeded, counts.failed, counts.skipped, counts.canceled].map(|n| n.to_string())
}

/// The actions that a task has for a check, in order, with their types.
pub(super) fn actions_of(task: &MitigationTask, check: &str) -> String {
    let of_check = task.mapping.iter().filter(|(name, _)| crate::finding::catalogue::modern_name(name) == check);
    names_of(task, of_check.flat_map(|(_, names)| names.iter().map(String::as_str)))
}

fn names_of<'a>(task: &MitigationTask, names: impl Iterator<Item = &'a str>) -> String {
    let typed = names.map(|name| match task.actions.iter().find(|action| action.name == name) {
        Some(action) => format!("{name} ({})", action.params.type_name()),
        None => name.to_owned(),
    });
    typed.collect::<Vec<_>>().join("\n")
}

/// One task for programs.
pub(super) fn task_json(task: &MitigationTask) -> Value {
    let counts = |counts: &TaskCounts| {
        json!({
            "total": counts.total,
            "succeeded": counts.succeeded,
            "failed": counts.failed,
            "skipped": counts.skipped,
            "canceled": counts.canceled,
        })
    };
    let checks = task.checks.iter().map(|(check, of_check)| {
        let mut row = counts(of_check);
        let names = task.mapping.iter().filter(|(name, _)| crate::finding::catalogue::modern_name(name) == check);
        row["check"] = json!(check);
        row["actions"] = names.flat_map(|(_, names)| names.iter().cloned()).collect();
        row
    });
    let actions = task.actions.iter().map(|action| {
        json!({
            "name": action.name,
            "type": action.params.type_name(),
            "roleArn": action.role_arn,
            "params": super::params::params_json(&action.params),
        })
    });
    json!({
        "taskId": task.task_id,
        "status": task.status,
        "startedAt": time(task.started_at),
        "endedAt": time(task.ended_at),
        "target": {
            "auditTaskId": task.target.audit,
            "findingIds": task.target.findings,
            "reasonCodes": task.target.reason_codes,
        },
        "totals": counts(&task.totals()),
        "checks": checks.collect::<Vec<_>>(),
        "actions": actions.collect::<Vec<_>>(),
    })
}

/// The task of that id.
async fn read(console: &Console, id: &str) -> Result<MitigationTask, CliError> {
    if !is_mitigation_name(id) {
        return Err(CliError::Usage(format!(
            "`{id}` is no id of a mitigation task; ids have 1 to 128 of a-z, A-Z, 0-9, `_` and `-`"
        )));
    }
    console.task(id).await.map_err(|error| match error.class {
        Class::Gone => CliError::Usage(format!(
            "there is no mitigation task {id}; see `fleetwarden actions tasks list` (an audit has an id of its own, which `--audit` \
             takes)"
        )),
        _ => failed(&error),
    })
}

async fn show(id: &str, wanted: Wanted<'_>, output: OutputFormat) -> Result<(), CliError> {
    let console = console().await?;
    let task = read(&console, id).await?;
    let results = results::read(&console, &task, wanted).await?;
    match output {
        OutputFormat::Json => {
            let mut document = task_json(&task);
            document["executions"] = results.executions().map(results::execution_json).collect();
            document["findingsLookedAt"] = json!(results.looked_at);
            document["more"] = json!(results.more);
            print::json(&document);
        }
        OutputFormat::Table => {
            print_task(&task);
            results::print(&task, &results);
        }
    }
    Ok(())
}

fn print_task(task: &MitigationTask) {
    let mut table = print::table(&["mitigation task", &task.task_id]);
    let findings = match (&task.target.audit, task.target.findings.len()) {
        (Some(audit), _) if task.target.reason_codes.is_empty() => format!("all of audit {audit}"),
        (Some(audit), _) => format!("of audit {audit}, by reason code"),
        (None, 0) => "by check and reason code".to_owned(),
        (None, 1) => "1, chosen by id".to_owned(),
        (None, n) => format!("{n}, chosen by id"),
    };
    for (name, value) in [
        ("status", task.status.clone()),
        ("started (UTC)", print::moment(task.started_at)),
        ("ended (UTC)", print::moment(task.ended_at)),
        ("findings", findings),
    ] {
        table.add_row([name.to_owned(), value]);
    }
    print::line(&table.to_string());
    let mut checks = print::table(&["check", "findings", "ok", "failed", "skipped", "canceled", "actions"]);
    for (check, counts) in &task.checks {
        let mut row = vec![check.clone()];
        row.extend(numbers(counts));
        row.push(actions_of(task, check));
        checks.add_row(row);
    }
    if task.checks.len() > 1 {
        let mut row = vec!["all".to_owned()];
        row.extend(numbers(&task.totals()));
        row.push(String::new());
        checks.add_row(row);
    }
    print::right(&mut checks, 1..6);
    if !task.checks.is_empty() {
        print::line(&checks.to_string());
    }
}

async fn cancel(id: &str, output: OutputFormat) -> Result<(), CliError> {
    let console = console().await?;
    let not_in_progress = |task: &MitigationTask| {
        CliError::Usage(format!(
            "the mitigation task {id} is not in progress, it is {}: there is nothing to cancel",
            task.status
        ))
    };
    let task = read(&console, id).await?;
    if !task.is_in_progress() {
        return Err(not_in_progress(&task));
    }
    if let Err(error) = console.cancel_task(id).await {
        // It came to its end meanwhile.
        let now = read(&console, id).await?;
        return Err(if now.is_in_progress() { failed(&error) } else { not_in_progress(&now) });
    }
    let now = read(&console, id).await?;
    match output {
        OutputFormat::Json => print::json(&task_json(&now)),
        OutputFormat::Table => {
            let totals = now.totals();
            print::line(&format!(
                "{id} cancelled; of its {} findings {} were done with and stay as they are now, {} failed",
                totals.total, totals.succeeded, totals.failed
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_that_aws_has() {
        assert_eq!(status("failed"), Ok("FAILED".to_owned()));
        assert!(status("DONE").unwrap_err().contains("IN_PROGRESS, COMPLETED, FAILED, CANCELED"));
    }
}
