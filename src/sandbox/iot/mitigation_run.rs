//! How a mitigation task works through its findings, one action after another.

use super::defender::TaskStatus;
use super::error::IotError;
use super::fleet::Fleet;
use super::mitigation_task::{Execution, ExecutionStatus, MitigationTask};
use super::mitigations::Step;

/// What the service has to do next for a task.
pub(super) enum Next {
    /// Publish this, then tell the outcome with [`Fleet::end_execution`].
    Publish { topic_arn: String, message: String },
    /// The action was tried and its outcome noted.
    Done,
    /// Nothing: the task was cancelled.
    Stop,
}

/// One action on one finding of a task: the finding's place and the action's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub finding: usize,
    pub action: usize,
}

impl Fleet {
    /// Every action of a task on every finding, in the order in which they are applied.
    pub(super) fn mitigation_plan(&self, task_id: &str) -> Vec<Place> {
        let task = self.defender.mitigation_tasks.get(task_id);
        let work = task.into_iter().flat_map(|task| task.work.iter().enumerate());
        work.flat_map(|(finding, work)| (0..work.executions.len()).map(move |action| Place { finding, action }))
            .collect()
    }

    fn running_task(&mut self, task_id: &str) -> Option<&mut MitigationTask> {
        self.defender.mitigation_tasks.get_mut(task_id).filter(|task| task.status == TaskStatus::InProgress)
    }

    /// Begins one action on one finding; skips it if the finding is suppressed or an action before it failed. `None` when
    /// the task was cancelled, else whether the action is to be tried.
    pub(super) fn begin_execution(&mut self, task_id: &str, place: Place) -> Option<bool> {
        let now = self.now_ms();
        let task = self.running_task(task_id)?;
        let work = &mut task.work[place.finding];
        let failed = work.executions[..place.action].iter().any(|one| one.status != ExecutionStatus::Completed);
        let skipped = failed || work.finding.is_suppressed;
        let execution = &mut work.executions[place.action];
        execution.start_ms = Some(now);
        if skipped {
            (execution.status, execution.end_ms) = (ExecutionStatus::Skipped, Some(now));
        } else {
            execution.status = ExecutionStatus::InProgress;
        }
        Some(!skipped)
    }

    /// Applies one action to one finding.
    pub(super) fn execute(&mut self, task_id: &str, place: Place) -> Next {
        let Some(task) = self.running_task(task_id) else {
            return Next::Stop;
        };
        let work = &task.work[place.finding];
        let name = &work.executions[place.action].action_name;
        let Some(action) = task.actions.iter().find(|action| action.name == *name).cloned() else {
            return Next::Stop;
        };
        let finding = work.finding.clone();
        match self.mitigate(&finding, &action) {
            Step::Publish { topic_arn, message } => Next::Publish { topic_arn, message },
            Step::Done(result) => {
                self.end_execution(task_id, place, result);
                Next::Done
            }
        }
    }

    /// Keeps what came of an action: also of one that was under way when its task was cancelled.
    pub(super) fn end_execution(&mut self, task_id: &str, place: Place, result: Result<(), IotError>) {
        let now = self.now_ms();
        let Some(task) = self.defender.mitigation_tasks.get_mut(task_id) else {
            return;
        };
        let execution: &mut Execution = &mut task.work[place.finding].executions[place.action];
        execution.status = if result.is_ok() { ExecutionStatus::Completed } else { ExecutionStatus::Failed };
        execution.end_ms = Some(now);
        execution.error = result.err();
    }

    /// Ends a task: failed if any action failed.
    pub(super) fn finish_mitigation_task(&mut self, task_id: &str) {
        let now = self.now_ms();
        if let Some(task) = self.running_task(task_id) {
            let failed = task.statistics().values().any(|counts| counts.failed > 0);
            task.status = if failed { TaskStatus::Failed } else { TaskStatus::Completed };
            task.end_ms = Some(now);
        }
    }

    /// `CancelAuditMitigationActionsTask`: only while it is in progress; what was done stays done.
    pub fn cancel_mitigation_task(&mut self, task_id: &str) -> Result<(), IotError> {
        let now = self.now_ms();
        let task = self.defender.mitigation_tasks.get_mut(task_id);
        let task = task.ok_or_else(|| IotError::not_found(format!("Mitigation task {task_id} does not exist")))?;
        if task.status != TaskStatus::InProgress {
            return Err(IotError::invalid(format!("Mitigation task {task_id} is not in progress")));
        }
        (task.status, task.end_ms) = (TaskStatus::Canceled, Some(now));
        for execution in task.work.iter_mut().flat_map(|work| &mut work.executions) {
            if matches!(execution.status, ExecutionStatus::Pending | ExecutionStatus::InProgress) {
                (execution.status, execution.end_ms) = (ExecutionStatus::Canceled, Some(now));
            }
        }
        Ok(())
    }
}
