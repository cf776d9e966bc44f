//! How a mitigation task works through its findings, one action after another.

use std::sync::Arc;

use super::defender::{Finding, TaskStatus};
use super::error::IotError;
use super::fleet::Fleet;
use super::mitigations::{Execution, MitigationAction, Step};

/// What the service asks for next while it works through a task.
pub(super) enum Next {
    /// Publish this, then tell the outcome with [`Fleet::record_execution`].
    Publish { topic_arn: String, message: String },
    /// The action was tried.
    Done(Result<(), IotError>),
    /// The task was cancelled.
    Stop,
}

impl Fleet {
    /// The findings of a task, and the actions to apply to each, in order.
    pub(super) fn mitigation_plan(&self, task_id: &str) -> Vec<(Arc<Finding>, Vec<MitigationAction>)> {
        let Some(task) = self.defender.mitigation_tasks.get(task_id) else {
            return Vec::new();
        };
        let actions = |finding: &Finding| {
            let names = task.mapping.get(&finding.check_name).into_iter().flatten();
            names.filter_map(|name| task.actions.iter().find(|action| action.name == *name)).cloned().collect()
        };
        task.findings.iter().map(|finding| (Arc::clone(finding), actions(finding))).collect()
    }

    /// One action on one finding.
    pub(super) fn next_step(&mut self, task_id: &str, finding: &Finding, action: &MitigationAction) -> Next {
        let status = self.defender.mitigation_tasks.get(task_id).map(|task| task.status);
        if status != Some(TaskStatus::InProgress) {
            return Next::Stop;
        }
        match self.mitigate(finding, action) {
            Step::Publish { topic_arn, message } => Next::Publish { topic_arn, message },
            Step::Done(result) => Next::Done(result),
        }
    }

    /// Keeps what came of an action.
    pub(super) fn record_execution(
        &mut self,
        task_id: &str,
        finding: &Finding,
        action: &MitigationAction,
        start_ms: i64,
        result: Result<(), IotError>,
    ) {
        let execution = Execution {
            action_name: action.name.clone(),
            action_id: action.id.clone(),
            status: if result.is_ok() { "COMPLETED" } else { "FAILED" },
            start_ms,
            end_ms: self.now_ms(),
            error: result.err(),
        };
        self.push_execution(task_id, finding, execution);
    }

    /// Notes an action that was not tried: the finding is suppressed, or an action before it failed.
    pub(super) fn skip_execution(&mut self, task_id: &str, finding: &Finding, action: &MitigationAction) {
        let now = self.now_ms();
        let execution = Execution {
            action_name: action.name.clone(),
            action_id: action.id.clone(),
            status: "SKIPPED",
            start_ms: now,
            end_ms: now,
            error: None,
        };
        self.push_execution(task_id, finding, execution);
    }

    fn push_execution(&mut self, task_id: &str, finding: &Finding, execution: Execution) {
        if let Some(task) = self.defender.mitigation_tasks.get_mut(task_id) {
            task.executions.entry(finding.finding_id.clone()).or_default().push(execution);
        }
    }

    /// Counts a finding that the task is done with.
    pub(super) fn count_finding(&mut self, task_id: &str, finding: &Finding, outcome: Outcome) {
        if let Some(task) = self.defender.mitigation_tasks.get_mut(task_id) {
            let counts = task.statistics.entry(finding.check_name.clone()).or_default();
            match outcome {
                Outcome::Succeeded => counts.succeeded += 1,
                Outcome::Failed => counts.failed += 1,
                Outcome::Skipped => counts.skipped += 1,
            }
        }
    }

    /// Ends a task: failed if any action failed. What was not reached counts as cancelled.
    pub(super) fn finish_mitigation_task(&mut self, task_id: &str) {
        let now = self.now_ms();
        let Some(task) = self.defender.mitigation_tasks.get_mut(task_id) else {
            return;
        };
        let mut failed = false;
        for counts in task.statistics.values_mut() {
            counts.canceled = counts.total - counts.succeeded - counts.failed - counts.skipped;
            failed |= counts.failed > 0;
        }
        if task.status == TaskStatus::InProgress {
            task.status = if failed { TaskStatus::Failed } else { TaskStatus::Completed };
        }
        task.end_ms.get_or_insert(now);
    }

    /// `CancelAuditMitigationActionsTask`: only while it is in progress; what was done stays done.
    pub fn cancel_mitigation_task(&mut self, task_id: &str) -> Result<(), IotError> {
        let task = self.defender.mitigation_tasks.get_mut(task_id);
        let task = task.ok_or_else(|| IotError::not_found(format!("Mitigation task {task_id} does not exist")))?;
        if task.status != TaskStatus::InProgress {
            return Err(IotError::invalid(format!("Mitigation task {task_id} is not in progress")));
        }
        task.status = TaskStatus::Canceled;
        Ok(())
    }
}

/// What became of a finding in a task.
pub(super) enum Outcome {
    Succeeded,
    Failed,
    Skipped,
}
