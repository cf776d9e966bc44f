//! What the actions of a task did about each of its findings.

use super::command::failed;
use super::show::time;
use crate::cli::bar::Bar;
use crate::cli::{CliError, print};
use crate::defender::console::{Console, Execution, MitigationTask};
use crate::finding::catalogue;
use serde_json::{Value, json};

/// Findings that are looked at unless more are wanted: as many as a task that names its findings can have. At two calls a second they
/// take 12 seconds.
const SOME: usize = 25;

/// Of which findings the results are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted<'a> {
    /// The first of them.
    Some,
    /// Every one.
    All,
    /// This one.
    One(&'a str),
}

/// Results of a task.
#[derive(Debug, Default)]
pub(super) struct Results {
    /// By finding, those with a failure first; the actions of a finding in their order.
    findings: Vec<Vec<Execution>>,
    /// Findings whose results were asked for.
    pub looked_at: usize,
    /// There are findings whose results were not asked for.
    pub more: bool,
}

impl Results {
    /// One by one.
    pub fn executions(&self) -> impl Iterator<Item = &Execution> {
        self.findings.iter().flatten()
    }
}

/// Asks for the results of the wanted findings, one after another.
pub(super) async fn read(console: &Console, task: &MitigationTask, wanted: Wanted<'_>) -> Result<Results, CliError> {
    let mut bar = Bar::new("findings looked at");
    let results = collect(console, task, wanted, &mut bar).await;
    bar.clear();
    let mut results = results?;
    results.findings.sort_by_key(|of_finding| of_finding.iter().map(|one| rank(&one.status)).min());
    if let Wanted::One(id) = wanted
        && results.executions().next().is_none()
        && !task.is_in_progress()
    {
        return Err(CliError::Usage(format!(
            "the mitigation task {} did nothing about finding {id}: it does not have that finding, or was cancelled before it came \
             to it",
            task.task_id
        )));
    }
    Ok(results)
}

async fn collect(
    console: &Console,
    task: &MitigationTask,
    wanted: Wanted<'_>,
    bar: &mut Bar,
) -> Result<Results, CliError> {
    let total = usize::try_from(task.totals().total).unwrap_or(usize::MAX);
    let most = match wanted {
        Wanted::One(id) => {
            let mut results = Results::default();
            look(console, task, id, &mut results).await?;
            return Ok(results);
        }
        Wanted::Some => SOME,
        Wanted::All => usize::MAX,
    };
    let mut results = Results::default();
    if !task.target.findings.is_empty() {
        for id in task.target.findings.iter().take(most) {
            bar.at(results.looked_at as u64, task.target.findings.len() as u64);
            look(console, task, id, &mut results).await?;
        }
        results.more = task.target.findings.len() > results.looked_at;
        return Ok(results);
    }
    let Some(audit) = &task.target.audit else {
        // Without an audit nobody tells which findings the filter chose.
        results.more = total > 0;
        return Ok(results);
    };
    for check in checks_by_failures(task) {
        let mut next = None;
        loop {
            let page = console.finding_names(audit, check, next).await.map_err(|error| failed(&error))?;
            for finding in page.items.iter().filter(|finding| task.target.takes(check, &finding.reason_code)) {
                if results.looked_at == most {
                    results.more = true;
                    return Ok(results);
                }
                bar.at(results.looked_at as u64, total.min(most) as u64);
                look(console, task, &finding.finding_id, &mut results).await?;
            }
            next = page.next;
            if next.is_none() {
                break;
            }
        }
    }
    Ok(results)
}

async fn look(console: &Console, task: &MitigationTask, id: &str, results: &mut Results) -> Result<(), CliError> {
    let executions = console.executions(&task.task_id, id).await.map_err(|error| failed(&error))?;
    results.findings.push(executions);
    results.looked_at += 1;
    Ok(())
}

/// The checks of a task as it was told them, those with failures first; those without a finding left out.
fn checks_by_failures(task: &MitigationTask) -> Vec<&str> {
    let counts = |check: &str| task.checks.get(catalogue::modern_name(check)).copied().unwrap_or_default();
    let mut checks: Vec<&str> = task.mapping.keys().map(String::as_str).collect();
    checks.retain(|check| counts(check).total > 0);
    checks.sort_by_key(|check| std::cmp::Reverse(counts(check).failed));
    checks
}

/// What a person looks for first.
fn rank(status: &str) -> u8 {
    match status {
        "FAILED" => 0,
        "CANCELED" => 1,
        "SKIPPED" => 2,
        "IN_PROGRESS" => 3,
        "PENDING" => 4,
        _ => 5,
    }
}

/// The results for people.
pub(super) fn print(task: &MitigationTask, results: &Results) {
    if results.executions().next().is_some() {
        let mut table = print::table(&["finding", "action", "status", "error", "message", "ended (UTC)"]);
        for execution in results.executions() {
            table.add_row([
                execution.finding_id.clone(),
                execution.action.clone(),
                execution.status.clone(),
                execution.error_code.clone().unwrap_or_else(|| "-".to_owned()),
                execution.message.clone().unwrap_or_else(|| "-".to_owned()),
                print::moment(execution.ended_at),
            ]);
        }
        print::line(&table.to_string());
    }
    let noun = if results.looked_at == 1 { "finding" } else { "findings" };
    let more = match (results.more, results.looked_at) {
        (false, _) => String::new(),
        (true, 0) => "; the task names no audit, so give the findings by --finding".to_owned(),
        (true, _) => format!(" of {}; --all looks at every one, --finding at one", task.totals().total),
    };
    print::line(&format!("results of {} {noun}{more}", results.looked_at));
}

/// One result for programs.
pub(super) fn execution_json(execution: &Execution) -> Value {
    json!({
        "findingId": execution.finding_id,
        "action": execution.action,
        "status": execution.status,
        "errorCode": execution.error_code,
        "message": execution.message,
        "startedAt": time(execution.started_at),
        "endedAt": time(execution.ended_at),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::defender::console::{TaskCounts, TaskTarget};
    use std::collections::BTreeMap;

    #[test]
    fn checks_with_failures_are_looked_at_first_and_checks_without_findings_not_at_all() {
        let counts = |total, failed| TaskCounts { total, failed, ..TaskCounts::default() };
        let checks = [("A", counts(3, 0)), ("B", counts(2, 1)), ("C", counts(0, 0))];
        let task = MitigationTask {
            task_id: "t".into(),
            status: "FAILED".into(),
            started_at: None,
            ended_at: None,
            target: TaskTarget::default(),
            checks: checks.map(|(check, counts)| (check.to_owned(), counts)).into(),
            mapping: BTreeMap::from(["A", "B", "C"].map(|check| (check.to_owned(), vec!["N".to_owned()]))),
            actions: Vec::new(),
        };
        assert_eq!(checks_by_failures(&task), ["B", "A"]);
        assert_eq!(task.totals(), counts(5, 1));
    }
}
