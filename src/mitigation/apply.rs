//! A finding's actions, in the order of its rule.

use super::job::{ActionError, Job, Journal, Steps};
use super::port::IotControl;
use super::{certificate, groups, logging, policy_version, publish};
use crate::ledger::{Step, StepOutcome};
use crate::policy::Action;
use crate::telemetry::spans;
use tracing::Instrument;

/// What the actions came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// At least one change was made for this finding, by this claim or an earlier one.
    Mitigated {
        /// What was changed, in words.
        what: String,
    },
    /// Nothing needed to be done.
    Compliant {
        /// Why, in words.
        why: String,
    },
}

/// Runs `actions` in order; when one fails, those behind it are skipped, as Device Defender's own engine does. `earlier` are the
/// steps of the claims before this one; what comes back replaces them, whatever the result.
pub async fn apply<I: IotControl, J: Journal>(
    job: &Job<'_, I, J>,
    actions: &[Action],
    earlier: Vec<Step>,
) -> (Vec<Step>, Result<Effect, ActionError>) {
    let mut steps = Steps(earlier);
    for action in actions {
        let done = one(job, action, &mut steps).instrument(spans::action(action.action_type()));
        if let Err(error) = done.await {
            return (steps.0, Err(error));
        }
    }
    let effect = effect(&steps.0);
    (steps.0, Ok(effect))
}

async fn one<I: IotControl, J: Journal>(
    job: &Job<'_, I, J>,
    action: &Action,
    steps: &mut Steps,
) -> Result<(), ActionError> {
    match action {
        Action::UpdateDeviceCertificate => certificate::deactivate_devices(job, steps).await,
        Action::UpdateCaCertificate => certificate::deactivate_ca(job, steps).await,
        Action::AddThingsToThingGroup { thing_groups, override_dynamic_groups } => {
            groups::add_things(job, steps, thing_groups, *override_dynamic_groups).await
        }
        Action::ReplaceDefaultPolicyVersion { document } => policy_version::replace_default(job, steps, document).await,
        Action::EnableIotLogging { role_arn, level } => logging::enable(job, steps, role_arn, *level).await,
        Action::PublishFindingToSns { topic_arn } => publish::publish(job, steps, topic_arn).await,
    }
}

/// Steps that are spelt out in words; the record has them all.
const MAX_NAMED: usize = 3;

/// What `steps` amount to.
pub(crate) fn effect(steps: &[Step]) -> Effect {
    let words = |wanted: &dyn Fn(StepOutcome) -> bool| {
        let matching: Vec<&Step> = steps.iter().filter(|step| wanted(step.outcome)).collect();
        let named = matching.iter().take(MAX_NAMED);
        let mut words: Vec<_> = named.map(|step| format!("{} {}: {}", step.action, step.target, step.detail)).collect();
        if matching.len() > MAX_NAMED {
            words.push(format!("and {} more", matching.len() - MAX_NAMED));
        }
        words.join("; ")
    };
    if steps.iter().any(|step| step.outcome == StepOutcome::Changed) {
        Effect::Mitigated { what: words(&|outcome| outcome == StepOutcome::Changed) }
    } else {
        Effect::Compliant { why: words(&|_| true) }
    }
}
