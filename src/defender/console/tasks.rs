//! Mitigation tasks: one application of mitigation actions to findings, and what came of it.

use super::{Console, MitigationAction};
use crate::aws::{CallError, Class, Effect, classify};
use crate::finding::catalogue;
use crate::mitigation::Page;
use aws_sdk_iot::types::{AuditMitigationActionsTaskStatus, AuditMitigationActionsTaskTarget};
use aws_smithy_types::DateTime;
use std::collections::BTreeMap;

/// The most that one page of a Device Defender list holds.
const PAGE: i32 = 250;

/// Which tasks to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Started since then, milliseconds since the epoch.
    pub since: i64,
    /// Started until then, milliseconds since the epoch.
    pub until: i64,
    /// Only those that acted on findings of this audit.
    pub audit: Option<String>,
    /// Only those that acted on this finding.
    pub finding: Option<String>,
    /// Only those that stand like this: `IN_PROGRESS`, `COMPLETED`, `FAILED`, `CANCELED`.
    pub status: Option<String>,
}

/// An entry of `ListAuditMitigationActionsTasks`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskName {
    /// The task's id.
    pub task_id: String,
    /// Milliseconds since the epoch.
    pub started_at: Option<i64>,
}

/// Which findings a task acts on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskTarget {
    /// All findings of this audit ...
    pub audit: Option<String>,
    /// ... or these.
    pub findings: Vec<String>,
    /// Of the audit's findings only those with these reason codes, by check; empty means all.
    pub reason_codes: BTreeMap<String, Vec<String>>,
}

impl TaskTarget {
    /// Whether the task acts on a finding of this check with this reason code.
    pub fn takes(&self, check: &str, reason_code: &str) -> bool {
        let codes = self.reason_codes.get(check);
        self.reason_codes.is_empty() || codes.is_some_and(|codes| codes.iter().any(|code| code == reason_code))
    }
}

/// How many findings of one check a task has, and how they stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TaskCounts {
    /// All.
    pub total: u64,
    /// Every action succeeded.
    pub succeeded: u64,
    /// An action failed.
    pub failed: u64,
    /// Not acted on, as suppressed ones are not.
    pub skipped: u64,
    /// Not reached before the task was cancelled.
    pub canceled: u64,
}

impl std::ops::AddAssign for TaskCounts {
    fn add_assign(&mut self, other: Self) {
        self.total += other.total;
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.canceled += other.canceled;
    }
}

/// `DescribeAuditMitigationActionsTask`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MitigationTask {
    /// The task's id.
    pub task_id: String,
    /// `IN_PROGRESS`, `COMPLETED`, `FAILED` or `CANCELED` (free string).
    pub status: String,
    /// Milliseconds since the epoch.
    pub started_at: Option<i64>,
    /// Milliseconds since the epoch; absent while it is in progress.
    pub ended_at: Option<i64>,
    /// Which findings it acts on.
    pub target: TaskTarget,
    /// Counts of findings by check, by its modern name.
    pub checks: BTreeMap<String, TaskCounts>,
    /// The names of the actions for each check, in order; the checks as the task was told them.
    pub mapping: BTreeMap<String, Vec<String>>,
    /// The actions as they were when the task was started.
    pub actions: Vec<MitigationAction>,
}

impl MitigationTask {
    /// It goes on.
    pub fn is_in_progress(&self) -> bool {
        self.status == "IN_PROGRESS"
    }

    /// The counts of all checks together.
    pub fn totals(&self) -> TaskCounts {
        self.checks.values().fold(TaskCounts::default(), |mut sum, counts| {
            sum += *counts;
            sum
        })
    }
}

/// One action on one finding: an entry of `ListAuditMitigationActionsExecutions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// The finding's id.
    pub finding_id: String,
    /// The action's name.
    pub action: String,
    /// `IN_PROGRESS`, `COMPLETED`, `FAILED`, `CANCELED`, `SKIPPED` or `PENDING` (free string).
    pub status: String,
    /// Milliseconds since the epoch.
    pub started_at: Option<i64>,
    /// Milliseconds since the epoch.
    pub ended_at: Option<i64>,
    /// Why it failed, as a code.
    pub error_code: Option<String>,
    /// Why it failed, in words.
    pub message: Option<String>,
}

/// A finding of an audit, as far as a task's results need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingName {
    /// The finding's id.
    pub finding_id: String,
    /// `reasonForNonComplianceCode`
    pub reason_code: String,
}

impl Console {
    /// `ListAuditMitigationActionsTasks` to the end, the latest first.
    ///
    /// # Errors
    ///
    /// Those of the call.
    pub async fn tasks(&self, filter: &TaskFilter) -> Result<Vec<TaskName>, CallError> {
        let status = filter.status.as_deref().map(AuditMitigationActionsTaskStatus::from);
        let mut tasks: Vec<TaskName> = Vec::new();
        let mut next = None;
        loop {
            let page = self
                .call(|| async {
                    let call = self.iot().list_audit_mitigation_actions_tasks();
                    let call = call.start_time(DateTime::from_millis(filter.since));
                    let call = call.end_time(DateTime::from_millis(filter.until));
                    let call = call.set_audit_task_id(filter.audit.clone()).set_finding_id(filter.finding.clone());
                    let call = call.set_task_status(status.clone()).max_results(PAGE).set_next_token(next.clone());
                    let answer = call.send().await;
                    answer.map_err(|error| classify("ListAuditMitigationActionsTasks", Effect::Read, error))
                })
                .await?;
            tasks.extend(page.tasks.unwrap_or_default().into_iter().map(|task| TaskName {
                task_id: task.task_id.unwrap_or_default(),
                started_at: task.start_time.and_then(|time| time.to_millis().ok()),
            }));
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                tasks.sort_by(|one, other| {
                    other.started_at.cmp(&one.started_at).then_with(|| one.task_id.cmp(&other.task_id))
                });
                return Ok(tasks);
            }
        }
    }

    /// `DescribeAuditMitigationActionsTask`.
    ///
    /// # Errors
    ///
    /// Class `Gone` when there is no task of that id.
    pub async fn task(&self, task_id: &str) -> Result<MitigationTask, CallError> {
        self.call(|| async {
            let answer = self.iot().describe_audit_mitigation_actions_task().task_id(task_id).send().await;
            let answer = answer.map_err(|error| classify("DescribeAuditMitigationActionsTask", Effect::Read, error))?;
            let count = |count: Option<i64>| u64::try_from(count.unwrap_or(0)).unwrap_or(0);
            let mut checks: BTreeMap<String, TaskCounts> = BTreeMap::new();
            for (check, counts) in answer.task_statistics.unwrap_or_default() {
                *checks.entry(catalogue::modern_name(&check).to_owned()).or_default() += TaskCounts {
                    total: count(counts.total_findings_count),
                    succeeded: count(counts.succeeded_findings_count),
                    failed: count(counts.failed_findings_count),
                    skipped: count(counts.skipped_findings_count),
                    canceled: count(counts.canceled_findings_count),
                };
            }
            Ok(MitigationTask {
                task_id: task_id.to_owned(),
                status: answer.task_status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
                started_at: answer.start_time.and_then(|time| time.to_millis().ok()),
                ended_at: answer.end_time.and_then(|time| time.to_millis().ok()),
                target: answer.target.map(target_of).unwrap_or_default(),
                checks,
                mapping: answer.audit_check_to_actions_mapping.unwrap_or_default().into_iter().collect(),
                actions: answer
                    .actions_definition
                    .unwrap_or_default()
                    .into_iter()
                    .map(MitigationAction::of_task)
                    .collect(),
            })
        })
        .await
    }

    /// `ListAuditMitigationActionsExecutions` to the end: what the task's actions did about one finding. Empty where the task does not
    /// have the finding, or has not come to it.
    ///
    /// # Errors
    ///
    /// Those of the call.
    pub async fn executions(&self, task_id: &str, finding_id: &str) -> Result<Vec<Execution>, CallError> {
        let mut executions = Vec::new();
        let mut next = None;
        loop {
            let page = self
                .call(|| async {
                    let call = self.iot().list_audit_mitigation_actions_executions();
                    let call = call.task_id(task_id).finding_id(finding_id);
                    let answer = call.max_results(PAGE).set_next_token(next.clone()).send().await;
                    answer.map_err(|error| classify("ListAuditMitigationActionsExecutions", Effect::Read, error))
                })
                .await?;
            executions.extend(page.actions_executions.unwrap_or_default().into_iter().map(|execution| Execution {
                finding_id: execution.finding_id.unwrap_or_else(|| finding_id.to_owned()),
                action: execution.action_name.unwrap_or_default(),
                status: execution.status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
                started_at: execution.start_time.and_then(|time| time.to_millis().ok()),
                ended_at: execution.end_time.and_then(|time| time.to_millis().ok()),
                error_code: execution.error_code,
                message: execution.message,
            }));
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(executions);
            }
        }
    }

    /// `ListAuditFindings` of one audit and check, a page of up to 250, suppressed ones included: a task names them among those that it
    /// skipped.
    ///
    /// # Errors
    ///
    /// Those of the call.
    pub async fn finding_names(
        &self,
        audit: &str,
        check: &str,
        next: Option<String>,
    ) -> Result<Page<FindingName>, CallError> {
        self.call(|| async {
            let call = self.iot().list_audit_findings().task_id(audit).check_name(check);
            let answer = call.max_results(PAGE).set_next_token(next.clone()).send().await;
            let answer = answer.map_err(|error| classify("ListAuditFindings", Effect::Read, error))?;
            let items = answer.findings.unwrap_or_default().into_iter().map(|finding| FindingName {
                finding_id: finding.finding_id.unwrap_or_default(),
                reason_code: finding.reason_for_non_compliance_code.unwrap_or_default(),
            });
            Ok(Page { items: items.collect(), next: answer.next_token.filter(|token| !token.is_empty()) })
        })
        .await
    }

    /// `CancelAuditMitigationActionsTask`: what is done stays done. Where the answer was lost the task is read: it is cancelled, or the
    /// error says that this is not known.
    ///
    /// # Errors
    ///
    /// Class `Gone` when there is no task of that id, code `InvalidRequestException` when it is not in progress.
    pub async fn cancel_task(&self, task_id: &str) -> Result<(), CallError> {
        let canceled = self
            .call(|| async {
                let answer = self.iot().cancel_audit_mitigation_actions_task().task_id(task_id).send().await;
                answer.map_err(|error| classify("CancelAuditMitigationActionsTask", Effect::Write, error)).map(drop)
            })
            .await;
        match canceled {
            Err(error) if error.class == Class::Unknown => match self.task(task_id).await {
                Ok(task) if task.status == "CANCELED" => Ok(()),
                _ => Err(error),
            },
            other => other,
        }
    }
}

fn target_of(target: AuditMitigationActionsTaskTarget) -> TaskTarget {
    TaskTarget {
        audit: target.audit_task_id,
        findings: target.finding_ids.unwrap_or_default(),
        reason_codes: target.audit_check_to_reason_code_filter.unwrap_or_default().into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_by_reason_code_takes_only_the_checks_and_codes_that_it_names() {
        let all = TaskTarget::default();
        assert!(all.takes("ANY_CHECK", "ANY_CODE"));
        let codes = BTreeMap::from([("A".to_owned(), vec!["X".to_owned()])]);
        let some = TaskTarget { reason_codes: codes, ..TaskTarget::default() };
        assert!(some.takes("A", "X"));
        assert!(!some.takes("A", "Y") && !some.takes("B", "X"));
    }
}
