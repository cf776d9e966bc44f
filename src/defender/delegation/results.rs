//! What an ended task did about one finding, put on its record. Pure.

use super::rooms::TaskEnd;
use crate::ledger::{Step, StepOutcome};
use crate::mitigation::{ActionExecution, DELEGATE};

/// What a surveyed step says until its task has ended; the action's name follows.
pub(super) const TO_BE_DONE: &str = "to be done by Device Defender's ";

/// Characters of an execution's error that are kept.
const WHY: usize = 500;

/// What the task's actions came to.
#[derive(Debug, PartialEq)]
pub(super) enum Came {
    /// Every action was done.
    Done,
    /// This one failed; those after it were skipped.
    Failed(ActionExecution),
    /// Somebody stopped the task before the last of them.
    Cancelled,
    /// None was tried, though the task came to its end: Device Defender leaves suppressed findings alone.
    Skipped,
}

/// The announced steps, each by the action that it names, as they are now; `None` if the task does not tell of one of them yet,
/// although it has ended. Nothing is changed then: guessing could call done what was not.
pub(super) fn settle(steps: &mut [Step], end: &TaskEnd, executions: &[ActionExecution], now: i64) -> Option<Came> {
    let announced = |step: &&Step| step.outcome == StepOutcome::Intended && step.detail.starts_with(TO_BE_DONE);
    let execution_of = |step: &Step| {
        let name = step.detail.strip_prefix(TO_BE_DONE)?;
        executions.iter().find(|execution| execution.action == name)
    };
    let outcome_of = |step: &Step| {
        let status = match execution_of(step) {
            _ if end.clean => "COMPLETED",
            Some(execution) => execution.status.as_str(),
            None if end.is_cancelled() => "CANCELED",
            None => return None,
        };
        match status {
            "COMPLETED" => Some((StepOutcome::Changed, "")),
            "FAILED" => Some((StepOutcome::Failed, "FAILED")),
            "SKIPPED" => Some((StepOutcome::Skipped, "SKIPPED")),
            _ if end.is_cancelled() => Some((StepOutcome::Skipped, "CANCELED")),
            _ => None,
        }
    };
    if steps.iter().filter(announced).any(|step| outcome_of(step).is_none()) {
        return None;
    }
    let mut failed: Option<ActionExecution> = None;
    let (mut changed, mut skipped) = (false, false);
    for step in steps.iter_mut() {
        let Some(name) = step.detail.strip_prefix(TO_BE_DONE).map(str::to_owned) else { continue };
        let Some((outcome, word)) = (step.outcome == StepOutcome::Intended).then(|| outcome_of(step)).flatten() else {
            continue;
        };
        let execution = execution_of(step).cloned();
        let words = match (outcome, &execution) {
            (StepOutcome::Changed, _) => String::new(),
            // Why is said once: an issuer's certificates have a step each, and an item holds 400 KB.
            (StepOutcome::Failed, Some(execution)) if failed.as_ref() == Some(execution) => format!(": {word}"),
            (StepOutcome::Failed, Some(execution)) => format!(": {}", why(execution)),
            _ => format!(": {word}"),
        };
        (step.outcome, step.detail, step.at) = (outcome, format!("by Device Defender's {name}{words}"), now);
        changed |= outcome == StepOutcome::Changed;
        skipped |= outcome == StepOutcome::Skipped;
        failed = failed.or(execution.filter(|_| outcome == StepOutcome::Failed));
    }
    if skipped {
        // By one that had nothing to change as far as was seen, and failed all the same.
        failed = failed.or(executions.iter().find(|execution| execution.status == "FAILED").cloned());
    }
    let came = match failed {
        Some(execution) => Came::Failed(execution),
        None if skipped && end.is_cancelled() => Came::Cancelled,
        None if skipped && !changed => Came::Skipped,
        None => Came::Done,
    };
    for step in steps.iter_mut().filter(|step| step.action == DELEGATE && step.target == end.task_id) {
        step.outcome = if came == Came::Done { StepOutcome::Changed } else { StepOutcome::Failed };
        step.detail = format!("the task {}; {}", end.status, step.detail);
    }
    Some(came)
}

/// Why it failed, in its own words, as many of them as an item has room for.
pub(super) fn why(execution: &ActionExecution) -> String {
    let words = match (&execution.error_code, &execution.message) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(one), None) | (None, Some(one)) => one.clone(),
        (None, None) => "it failed without a word".to_owned(),
    };
    words.chars().take(WHY).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(action: &str, target: &str, detail: &str) -> Step {
        Step {
            action: action.to_owned(),
            target: target.to_owned(),
            prior: None,
            outcome: StepOutcome::Intended,
            detail: detail.to_owned(),
            at: 0,
            request_id: None,
        }
    }

    /// A finding that is in task `t`, for two actions.
    fn announced() -> Vec<Step> {
        vec![
            step("ADD_THINGS_TO_THING_GROUP", "c", &format!("{TO_BE_DONE}Group")),
            step("UPDATE_DEVICE_CERTIFICATE", "c", &format!("{TO_BE_DONE}Off")),
            step(DELEGATE, "t", "to Group, Off"),
        ]
    }

    fn end(status: &str) -> TaskEnd {
        TaskEnd { task_id: "t".to_owned(), status: status.to_owned(), clean: false }
    }

    fn execution(action: &str, status: &str) -> ActionExecution {
        ActionExecution { action: action.to_owned(), status: status.to_owned(), error_code: None, message: None }
    }

    fn outcomes(steps: &[Step]) -> Vec<StepOutcome> {
        steps.iter().map(|step| step.outcome).collect()
    }

    #[test]
    fn a_task_that_does_not_tell_of_an_action_yet_changes_nothing_on_record() {
        for status in ["PENDING", "IN_PROGRESS", "SOMETHING_NEW"] {
            let mut steps = announced();
            let executions = [execution("Group", "COMPLETED"), execution("Off", status)];
            assert_eq!(settle(&mut steps, &end("COMPLETED"), &executions, 1), None, "{status}");
            assert_eq!(steps, announced());
        }
        let mut steps = announced();
        assert_eq!(settle(&mut steps, &end("FAILED"), &[execution("Group", "COMPLETED")], 1), None, "not listed yet");
    }

    #[test]
    fn a_task_that_was_cancelled_between_two_actions_is_not_done() {
        for second in [vec![execution("Off", "CANCELED")], vec![execution("Off", "PENDING")], vec![]] {
            let mut steps = announced();
            let executions = [vec![execution("Group", "COMPLETED")], second].concat();
            assert_eq!(settle(&mut steps, &end("CANCELED"), &executions, 1), Some(Came::Cancelled));
            assert_eq!(outcomes(&steps), [StepOutcome::Changed, StepOutcome::Skipped, StepOutcome::Failed]);
        }
    }

    #[test]
    fn skipped_altogether_is_a_suppression_and_skipped_after_a_failure_a_failure() {
        let mut steps = announced();
        let all = [execution("Group", "SKIPPED"), execution("Off", "SKIPPED")];
        assert_eq!(settle(&mut steps, &end("COMPLETED"), &all, 1), Some(Came::Skipped));
        let mut steps = announced();
        let failed = [execution("Group", "FAILED"), execution("Off", "SKIPPED")];
        assert_eq!(settle(&mut steps, &end("FAILED"), &failed, 1), Some(Came::Failed(failed[0].clone())));
        assert_eq!(outcomes(&steps), [StepOutcome::Failed, StepOutcome::Skipped, StepOutcome::Failed]);
    }

    #[test]
    fn what_a_failure_of_an_action_without_a_step_of_its_own_skipped_is_no_suppression() {
        let mut steps = vec![announced().remove(1), announced().remove(2)];
        let failed = [execution("Group", "FAILED"), execution("Off", "SKIPPED")];
        assert_eq!(settle(&mut steps, &end("FAILED"), &failed, 1), Some(Came::Failed(failed[0].clone())));
        assert_eq!(outcomes(&steps), [StepOutcome::Skipped, StepOutcome::Failed]);
    }

    #[test]
    fn why_many_certificates_of_an_issuer_failed_is_said_once_and_in_few_words() {
        let mut steps: Vec<Step> =
            (0..500).map(|n| step("UPDATE_DEVICE_CERTIFICATE", &n.to_string(), &format!("{TO_BE_DONE}Off"))).collect();
        let message = Some("x".repeat(100_000));
        let failed = [ActionExecution { message, ..execution("Off", "FAILED") }];
        assert!(matches!(settle(&mut steps, &end("FAILED"), &failed, 1), Some(Came::Failed(_))));
        assert!(steps.iter().map(|step| step.detail.len()).sum::<usize>() < 40_000);
    }

    #[test]
    fn a_clean_task_answers_for_every_action() {
        let mut steps = announced();
        assert_eq!(settle(&mut steps, &TaskEnd { clean: true, ..end("COMPLETED") }, &[], 7), Some(Came::Done));
        assert_eq!(outcomes(&steps), [StepOutcome::Changed; 3]);
        assert_eq!((steps[1].detail.as_str(), steps[1].at), ("by Device Defender's Off", 7));
    }
}
