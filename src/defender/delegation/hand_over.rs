//! One finding handed over to Device Defender's own actions.

use super::lead::{lead, no_such_action};
use super::order::Member;
use super::results::{Came, TO_BE_DONE, settle, why};
use super::rooms::{Purpose, Rooms, Seat, TaskEnd, Word};
use crate::aws::{CallError, Class, Effect as CallEffect, classify_entry};
use crate::finding::catalogue;
use crate::ledger::{Step, StepOutcome};
use crate::mitigation::{
    ActionError, ActionExecution, DELEGATE, Effect, IotControl, Job, Journal, MitigationTaskOrder, Paced, Steps,
    effect, survey,
};
use crate::policy::Action;
use futures_util::future::join;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What a hand-over is made with.
pub(crate) struct HandOver<'a, I, J> {
    /// The finding, under its claim.
    pub job: &'a Job<'a, Paced<I>, J>,
    /// The same account, for calls that concern a whole task.
    pub iot: &'a Paced<I>,
    /// Where it meets others.
    pub rooms: &'a Rooms,
    /// Whether the finding's lease certainly still holds.
    pub holds: Arc<dyn Fn() -> bool + Send + Sync>,
    /// No new work: what is not over soon is heard of by the next worker.
    pub stop: &'a CancellationToken,
}

/// Hands the finding over to the actions of these names, in order, and waits for what comes of it. `earlier` are the steps of the
/// claims before this one; what comes back replaces them, whatever the result.
pub(crate) async fn hand_over<I: IotControl, J: Journal>(
    hand: &HandOver<'_, I, J>,
    names: &[String],
    earlier: Vec<Step>,
) -> (Vec<Step>, Result<Effect, ActionError>) {
    let mut steps = Steps(earlier);
    let result = hand.run(names, &mut steps).await;
    (steps.0, result)
}

impl<I: IotControl, J: Journal> HandOver<'_, I, J> {
    async fn run(&self, names: &[String], steps: &mut Steps) -> Result<Effect, ActionError> {
        if let Some(Step { target, at, .. }) = open_task(steps) {
            let (task_id, at) = (target.clone(), *at);
            match self.meet(&Purpose::Await { task_id }, steps).await? {
                Word::Ended(end) => {
                    let result = self.conclude(&end, steps).await;
                    if self.job.forced.is_none_or(|since| at >= since) {
                        return result;
                    }
                }
                _ => withdraw(steps),
            }
        }
        steps.0.retain(|step| !(step.outcome == StepOutcome::Intended && step.detail.starts_with(TO_BE_DONE)));
        if !self.plan(names, steps).await? {
            return Ok(effect(&steps.0));
        }
        let finding = self.job.finding;
        let (audit, check) = (finding.task_id.clone(), finding.check.clone());
        let mut purpose = Purpose::HandOver { audit, check, actions: names.to_vec(), alone: None };
        loop {
            match self.meet(&purpose, steps).await? {
                Word::Ended(end) => return self.conclude(&end, steps).await,
                Word::Alone => {
                    withdraw(steps);
                    if let Purpose::HandOver { alone, .. } = &mut purpose {
                        *alone = Some(finding.finding_id.clone());
                    }
                }
                _ => {
                    let message = "the task was started, and is not there";
                    return Err(CallError::new(Class::Unknown, "DescribeAuditMitigationActionsTask", message).into());
                }
            }
        }
    }

    /// Reads what the actions would change. Whether there is anything to hand over: a finding that no longer describes its resource
    /// is not, and neither is one whose resource is in order.
    async fn plan(&self, names: &[String], steps: &mut Steps) -> Result<bool, ActionError> {
        let (mut intended, mut outdated) = (false, false);
        for name in names {
            let action = self.definition(name).await?;
            let kind = action.action_type();
            if catalogue::check(&self.job.finding.check).is_some_and(|check| !check.allows(kind)) {
                return Err(self.job.does_not_fit(kind));
            }
            for mut step in survey(self.job, &action).await? {
                intended |= step.outcome == StepOutcome::Intended;
                outdated |= matches!(step.outcome, StepOutcome::Gone | StepOutcome::Stale);
                if step.outcome == StepOutcome::Intended {
                    step.detail = format!("{TO_BE_DONE}{name}");
                }
                steps.put(step);
            }
        }
        if outdated {
            steps.0.retain(|step| !(step.outcome == StepOutcome::Intended && step.detail.starts_with(TO_BE_DONE)));
        }
        Ok(intended && !outdated)
    }

    async fn definition(&self, name: &str) -> Result<Action, ActionError> {
        if let Some(action) = self.rooms.definition(name) {
            return Ok(action);
        }
        match self.job.iot.describe_mitigation_action(name).await {
            Ok(action) => {
                self.rooms.define(name, &action);
                Ok(action)
            }
            Err(error) if error.class == Class::Gone => Err(no_such_action(name).into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a seat and listens for the last word, leading the room meanwhile if it falls to this finding.
    async fn meet(&self, purpose: &Purpose, steps: &mut Steps) -> Result<Word, ActionError> {
        let ended = |step: &&Step| step.action == DELEGATE && step.outcome != StepOutcome::Intended;
        let member =
            Member { finding_id: self.job.finding.finding_id.clone(), round: steps.0.iter().filter(ended).count() };
        let (words, mut heard) = mpsc::unbounded_channel();
        let leads = self.rooms.join(purpose, Seat { member, words, holds: Arc::clone(&self.holds) });
        let listen = async {
            loop {
                match heard.recv().await {
                    Some(Word::Sealed(order, written)) => {
                        self.write_down(&order, steps).await?;
                        // A leader that was cut off asks nobody any more.
                        let _ = written.send(true);
                    }
                    Some(Word::Failed { error, started }) => {
                        if !started {
                            withdraw(steps);
                        }
                        return Err(error.into());
                    }
                    Some(word) => return Ok(word),
                    None => {
                        let message = "the worker gave the task up";
                        return Err(CallError::new(Class::Throttled, "StartAuditMitigationActionsTask", message).into());
                    }
                }
            }
        };
        match leads {
            Some(room) => join(listen, lead(room, self.iot, self.stop)).await.0,
            None => listen.await,
        }
    }

    /// Which task the finding will be in, before that is started.
    async fn write_down(&self, order: &MitigationTaskOrder, steps: &mut Steps) -> Result<(), ActionError> {
        withdraw(steps);
        let others = match order.finding_ids.len() {
            1 => String::new(),
            n => format!(", with {} other findings", n - 1),
        };
        steps.put(Step {
            action: DELEGATE.to_owned(),
            target: order.task_id.clone(),
            prior: None,
            outcome: StepOutcome::Intended,
            detail: format!("to {}{others}", order.actions.join(", ")),
            at: self.job.clock.now_ms(),
        });
        if let Err(error) = self.job.journal.record(&steps.0).await {
            withdraw(steps);
            return Err(error.into());
        }
        self.job.may_write()
    }

    /// Puts on record what became of each action for this finding.
    async fn conclude(&self, end: &TaskEnd, steps: &mut Steps) -> Result<Effect, ActionError> {
        let executions = if end.clean { Vec::new() } else { self.executions(&end.task_id).await? };
        match settle(&mut steps.0, end, &executions, self.job.clock.now_ms()) {
            Some(Came::Done) => Ok(effect(&steps.0)),
            Some(Came::Failed(execution)) => Err(failure(&execution, end)),
            Some(Came::Cancelled) => Err(ActionError::Refused {
                reason: "delegation_canceled",
                message: format!(
                    "somebody cancelled Device Defender's mitigation task {} before it was done with this finding; replay it when that is over",
                    end.task_id
                ),
            }),
            Some(Came::Skipped) => Ok(Effect::Compliant {
                why: format!("Device Defender skipped it in task {}: the finding is suppressed", end.task_id),
            }),
            None => {
                let message =
                    format!("mitigation task {} has ended, and does not tell of this finding yet", end.task_id);
                Err(CallError::new(Class::Transient, "ListAuditMitigationActionsExecutions", message).into())
            }
        }
    }

    async fn executions(&self, task_id: &str) -> Result<Vec<ActionExecution>, ActionError> {
        let mut all = Vec::new();
        let mut next = None;
        loop {
            let page = self.job.iot.list_action_executions(task_id, &self.job.finding.finding_id, next).await?;
            all.extend(page.items);
            next = page.next;
            if next.is_none() {
                return Ok(all);
            }
        }
    }
}

/// The task that a finding is, or was to be, in, and whose end nobody has written down.
fn open_task(steps: &Steps) -> Option<&Step> {
    steps.0.iter().find(|step| step.action == DELEGATE && step.outcome == StepOutcome::Intended)
}

/// Forgets a task that certainly was not started.
fn withdraw(steps: &mut Steps) {
    steps.0.retain(|step| !(step.action == DELEGATE && step.outcome == StepOutcome::Intended));
}

/// A role that lacks a permission breaks every task alike (P7); a throttle or a server's failure passes.
fn failure(execution: &ActionExecution, end: &TaskEnd) -> ActionError {
    let (code, name) = (execution.error_code.as_deref().unwrap_or_default(), &execution.action);
    let why = why(execution);
    let message = format!("Device Defender's action {name} failed in task {}: {why}", end.task_id);
    let error = classify_entry("StartAuditMitigationActionsTask", CallEffect::Read, code, &message);
    match error.class {
        Class::Denied | Class::Transient | Class::Throttled => ActionError::Call(error),
        _ => ActionError::Refused {
            reason: "delegated_action_failed",
            message: format!(
                "{message}; look at it with `fleetwarden actions tasks status {}`, mend the action or its role, and replay the finding",
                end.task_id
            ),
        },
    }
}
