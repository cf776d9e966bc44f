//! What every action is given, and what it leaves behind.

use crate::aws::{CallError, Class};
use crate::clock::Clock;
use crate::finding::{ActionType, Finding};
use crate::ledger::{Step, StepOutcome, WriteError};
use std::future::Future;

/// The action of a step that says which task of Device Defender's own a finding is in; its target is the task's id.
pub(crate) const DELEGATE: &str = "DELEGATE";

/// Where an action writes what must be durable before it makes a change, and asks whether it still may.
pub trait Journal: Send + Sync {
    /// Writes the steps under the claim's epoch; after `Ok` they survive a crash.
    fn record(&self, steps: &[Step]) -> impl Future<Output = Result<(), WriteError>> + Send;

    /// Whether the lease certainly still holds. A worker that stalled past it must not write to AWS IoT either, which knows no
    /// epochs (P3).
    fn is_ours(&self) -> bool;
}

/// One finding's mitigation under way.
#[derive(Debug)]
pub struct Job<'a, I, J> {
    /// What was found.
    pub finding: &'a Finding,
    /// AWS IoT, inside the budgets.
    pub iot: &'a I,
    /// The ledger, under this claim.
    pub journal: &'a J,
    /// For the steps' times.
    pub clock: &'a Clock,
    /// Read again after each successful write, not only after a lost reply.
    pub read_back: bool,
    /// Replayed by force since then, milliseconds since the epoch: what cannot be told to have been done, or was done, before that
    /// moment is to be done once more. What this replay itself did, before a crash or another attempt, is not (P2).
    pub forced: Option<i64>,
}

/// Why an action did not come to its end.
#[derive(Debug, Clone, PartialEq)]
pub enum ActionError {
    /// A call failed; its class says what to do.
    Call(CallError),
    /// The claim is no longer ours: stop without a trace.
    LostClaim,
    /// It can never succeed for this finding.
    Refused {
        /// A reason code for the dead letter.
        reason: &'static str,
        /// A sentence: what is wrong and what to do.
        message: String,
    },
}

impl From<CallError> for ActionError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<WriteError> for ActionError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::LostClaim => Self::LostClaim,
            WriteError::Call(error) => Self::Call(error),
        }
    }
}

impl<I, J: Journal> Job<'_, I, J> {
    /// Fails unless the claim certainly still holds; asked right before every change.
    pub(crate) fn may_write(&self) -> Result<(), ActionError> {
        if self.journal.is_ours() { Ok(()) } else { Err(ActionError::LostClaim) }
    }

    /// A step of `action` on `target`, now.
    pub(super) fn step(
        &self,
        action: ActionType,
        target: &str,
        outcome: StepOutcome,
        detail: impl Into<String>,
    ) -> Step {
        Step {
            action: action.to_string(),
            target: target.to_owned(),
            prior: None,
            outcome,
            detail: detail.into(),
            at: self.clock.now_ms(),
            request_id: None,
        }
    }

    /// The refusal of an action that does not fit the finding's resource.
    pub(crate) fn does_not_fit(&self, action: ActionType) -> ActionError {
        does_not_fit(self.finding, action)
    }
}

/// The refusal of an action that does not fit the finding's resource.
pub(super) fn does_not_fit(finding: &Finding, action: ActionType) -> ActionError {
    ActionError::Refused {
        reason: "action_does_not_fit",
        message: format!(
            "{action} cannot act on the {} that finding {} names; give the rule a `check:` list of checks that this action fits",
            finding.resource.kind, finding.finding_id
        ),
    }
}

/// The steps of one finding, earlier claims' included: at most one for each action and target.
#[derive(Debug, Default)]
pub(crate) struct Steps(pub(crate) Vec<Step>);

impl Steps {
    /// What is known of `action` on `target`.
    pub(super) fn get(&self, action: ActionType, target: &str) -> Option<&Step> {
        self.0.iter().find(|step| step.action == action.as_str() && step.target == target)
    }

    /// The step of an earlier claim that announced a change whose outcome nobody wrote down.
    pub(super) fn intended(&self, action: ActionType, target: &str) -> Option<&Step> {
        self.get(action, target).filter(|step| step.outcome == StepOutcome::Intended)
    }

    /// Puts `step` in the place of what was known. A change once made stays on record, with the state before it: finding
    /// everything in order later on does not undo that.
    pub(crate) fn put(&mut self, mut step: Step) {
        let known = self.0.iter_mut().find(|known| known.action == step.action && known.target == step.target);
        match known {
            Some(known) if known.outcome == StepOutcome::Changed && step.outcome != StepOutcome::Intended => {}
            Some(known) => {
                step.prior = step.prior.or_else(|| known.prior.take());
                *known = step;
            }
            None => self.0.push(step),
        }
    }

    /// Forgets an announced change that certainly did not happen.
    pub(super) fn withdraw(&mut self, action: ActionType, target: &str) {
        self.0.retain(|step| {
            !(step.action == action.as_str() && step.target == target && step.outcome == StepOutcome::Intended)
        });
    }
}

/// An unknown outcome that was read back and has not taken effect: safe to try again later, never at once, since the lost request
/// may still be under way.
pub(super) fn not_taken_effect(mut error: CallError) -> ActionError {
    error.class = Class::Transient;
    error.message = format!("{} (read back: it has not taken effect)", error.message);
    ActionError::Call(error)
}
