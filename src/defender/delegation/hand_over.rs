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
    effect, fit_in_record, survey,
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

/// Whether the finding is, or was to be, in a task whose end nobody has written down.
pub(crate) fn is_handed_over(steps: &[Step]) -> bool {
    open_task(steps).is_some()
}

/// Waits for what comes of the task that an earlier claim handed the finding over to, whatever the policy says by now: it changes what
/// it changes. `None` if there is no such task, and where it ended before the replay that asks for it to be done once more.
pub(crate) async fn hear<I: IotControl, J: Journal>(
    hand: &HandOver<'_, I, J>,
    earlier: Vec<Step>,
) -> (Vec<Step>, Option<Result<Effect, ActionError>>) {
    let mut steps = Steps(earlier);
    let result = hand.hear(&mut steps).await;
    forget_unbegun(&mut steps, &[]);
    (steps.0, result)
}

/// Hands the finding over to the actions of these names, in order, and waits for what comes of it; it is in no task yet. `earlier` are
/// the steps of the claims before this one; what comes back replaces them, whatever the result.
pub(crate) async fn hand_over<I: IotControl, J: Journal>(
    hand: &HandOver<'_, I, J>,
    names: &[String],
    earlier: Vec<Step>,
) -> (Vec<Step>, Result<Effect, ActionError>) {
    let changed: Vec<Step> = earlier.iter().filter(|step| step.outcome == StepOutcome::Changed).cloned().collect();
    let mut steps = Steps(earlier);
    forget_unbegun(&mut steps, &[]);
    let result = hand.run(names, &mut steps).await;
    forget_unbegun(&mut steps, &changed);
    (steps.0, result)
}

impl<I: IotControl, J: Journal> HandOver<'_, I, J> {
    async fn hear(&self, steps: &mut Steps) -> Option<Result<Effect, ActionError>> {
        let Step { target, at, .. } = open_task(&steps.0)?;
        let (task_id, at) = (target.clone(), *at);
        match self.meet(&Purpose::Await { task_id }, steps).await {
            Err(error) => Some(Err(error)),
            Ok(Word::Ended(end)) => {
                let result = self.conclude(&end, steps).await;
                let all_told = open_task(&steps.0).is_none();
                (!all_told || self.job.forced.is_none_or(|since| at >= since)).then_some(result)
            }
            Ok(_) => {
                withdraw(steps);
                None
            }
        }
    }

    async fn run(&self, names: &[String], steps: &mut Steps) -> Result<Effect, ActionError> {
        let Some(actions) = self.plan(names, steps).await? else { return Ok(effect(&steps.0)) };
        let finding = self.job.finding;
        let (audit, check) = (finding.task_id.clone(), finding.check.clone());
        let mut purpose = Purpose::HandOver { audit, check, actions, alone: None };
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

    /// Reads what the actions would change: those to hand the finding over to, or `None` if there is nothing to hand over. A finding that
    /// no longer describes its resource is not, and neither is one whose resource is in order.
    async fn plan(&self, names: &[String], steps: &mut Steps) -> Result<Option<Vec<String>>, ActionError> {
        let (mut intended, mut outdated, mut actions) = (false, false, Vec::new());
        for name in names {
            let action = self.definition(name).await?;
            let kind = action.action_type();
            if catalogue::check(&self.job.finding.check).is_some_and(|check| !check.allows(kind)) {
                return Err(self.job.does_not_fit(kind));
            }
            if self.is_done_for_good(&action, steps) {
                continue;
            }
            actions.push(name.clone());
            let surveyed = survey(self.job, &action).await?;
            // An issuer's certificates are several, of which some may be gone.
            outdated |= surveyed.iter().all(|step| matches!(step.outcome, StepOutcome::Gone | StepOutcome::Stale));
            for mut step in surveyed {
                intended |= step.outcome == StepOutcome::Intended;
                if step.outcome == StepOutcome::Intended {
                    step.detail = format!("{TO_BE_DONE}{name}");
                }
                steps.put(step);
            }
        }
        fit_in_record(&steps.0)?;
        Ok((intended && !outdated).then_some(actions))
    }

    /// Whether the action is one that must not be repeated, and was done: a task that failed in part, or one of our own, did it (P2).
    fn is_done_for_good(&self, action: &Action, steps: &Steps) -> bool {
        let of_action = |step: &&Step| {
            let counts = self.job.forced.is_none_or(|since| step.at >= since);
            step.action == action.action_type().as_str() && step.outcome == StepOutcome::Changed && counts
        };
        let mut done = steps.0.iter().filter(of_action);
        match action {
            Action::PublishFindingToSns { topic_arn } => done.any(|step| step.target == *topic_arn),
            Action::ReplaceDefaultPolicyVersion { .. } => done.next().is_some(),
            _ => false,
        }
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
            request_id: None,
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

fn open_task(steps: &[Step]) -> Option<&Step> {
    steps.iter().find(|step| step.action == DELEGATE && step.outcome == StepOutcome::Intended)
}

/// Forgets a task that certainly was not started.
fn withdraw(steps: &mut Steps) {
    steps.0.retain(|step| !(step.action == DELEGATE && step.outcome == StepOutcome::Intended));
}

/// What no task will do was not begun: nobody is to take it for a change whose outcome is unknown. `changed` is what was on record in its
/// place.
fn forget_unbegun(steps: &mut Steps, changed: &[Step]) {
    if open_task(&steps.0).is_some() {
        return;
    }
    steps.0.retain(|step| !(step.outcome == StepOutcome::Intended && step.detail.starts_with(TO_BE_DONE)));
    for step in changed {
        let known = |known: &Step| known.action == step.action && known.target == step.target;
        if !steps.0.iter().any(known) {
            steps.0.push(step.clone());
        }
    }
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
