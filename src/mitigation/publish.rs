//! `PUBLISH_FINDING_TO_SNS`: the native payload, sent once.
//!
//! `Publish` is not idempotent and cannot be read back. So the intent is in the ledger first, and whoever finds it there without
//! an outcome does not send again: a person decides (P2).

use super::job::{ActionError, Job, Journal, Steps};
use super::port::{IotControl, Made};
use crate::aws::Class;
use crate::finding::ActionType;
use crate::ledger::{Step, StepOutcome};

const ACTION: ActionType = ActionType::PublishFindingToSns;

/// Sends the finding to `topic_arn`, unless an earlier claim did.
pub(super) async fn publish<I: IotControl, J: Journal>(
    job: &Job<'_, I, J>,
    steps: &mut Steps,
    topic_arn: &str,
) -> Result<(), ActionError> {
    let counts = |at: i64| job.forced.is_none_or(|since| at >= since);
    match steps.get(ACTION, topic_arn).filter(|step| counts(step.at)).map(|step| step.outcome) {
        Some(StepOutcome::Changed) => return Ok(()),
        Some(StepOutcome::Intended) => return Err(outcome_unknown(topic_arn)),
        _ => {}
    }
    let message = job.finding.to_native().to_string();
    steps.put(job.step(ACTION, topic_arn, StepOutcome::Intended, ""));
    if let Err(error) = job.journal.record(&steps.0).await {
        // Nothing was sent, whatever became of the intent; a kept one would make the next attempt give up.
        steps.withdraw(ACTION, topic_arn);
        return Err(error.into());
    }
    job.may_write()?;
    match job.iot.publish(topic_arn, &message).await {
        Ok(Made { id, request_id }) => {
            let sent = job.step(ACTION, topic_arn, StepOutcome::Changed, format!("message {id}"));
            steps.put(Step { request_id, ..sent });
            Ok(())
        }
        Err(error) if error.class == Class::Unknown => Err(outcome_unknown(topic_arn)),
        Err(error) => {
            // Certainly not sent: the next attempt may send.
            steps.withdraw(ACTION, topic_arn);
            match error.class {
                Class::Gone => Err(ActionError::Refused {
                    reason: "no_such_topic",
                    message: format!(
                        "the topic {topic_arn} does not exist; create it, or name another one in the policy"
                    ),
                }),
                _ => Err(error.into()),
            }
        }
    }
}

fn outcome_unknown(topic_arn: &str) -> ActionError {
    ActionError::Refused {
        reason: "outcome_unknown",
        message: format!(
            "it is not known whether the finding was published to {topic_arn}, and publishing again could send it twice; look at the topic's subscribers and replay the finding by force if they did not get it"
        ),
    }
}
