//! `ENABLE_IOT_LOGGING`: V2 logging is enabled at least at the level; a more talkative setting is kept.

use super::job::{ActionError, Job, Journal, Steps, does_not_fit, not_taken_effect};
use super::port::{IotControl, LoggingOptions};
use super::verify::{Found, Verdict};
use crate::aws::{CallError, Class};
use crate::budget::Operation;
use crate::finding::{ActionType, ResourceIdentifier};
use crate::ledger::{Step, StepOutcome};
use crate::policy::LogLevel;

const ACTION: ActionType = ActionType::EnableIotLogging;

/// Enables logging with `role_arn` at `level`. The options before are on record first: afterwards nobody could tell them.
pub(super) async fn enable<I: IotControl, J: Journal>(
    job: &Job<'_, I, J>,
    steps: &mut Steps,
    role_arn: &str,
    level: LogLevel,
) -> Result<(), ActionError> {
    if !matches!(job.finding.resource.identifier, ResourceIdentifier::Account(_)) {
        return Err(does_not_fit(job.finding, ACTION));
    }
    let target = job.finding.account.as_str();
    let current = job.iot.get_logging_options().await?;
    if satisfies(current.as_ref(), level) {
        let outcome =
            if steps.intended(ACTION, target).is_some() { StepOutcome::Changed } else { StepOutcome::InOrder };
        let at = told(level_of(current.as_ref()), level);
        steps.put(job.step(ACTION, target, outcome, format!("logging is enabled at {at}")));
        return Ok(());
    }
    if steps.intended(ACTION, target).is_none() {
        steps.put(Step {
            prior: Some(serde_json::json!(current)),
            ..job.step(ACTION, target, StepOutcome::Intended, "")
        });
        job.journal.record(&steps.0).await?;
    }
    let before = level_of(current.as_ref());
    let after = if rank(before) > rank(level.as_str()) { before } else { level.as_str() };
    let desired = LoggingOptions {
        role_arn: Some(role_arn.to_owned()),
        default_log_level: Some(after.to_owned()),
        disable_all_logs: false,
    };
    let at = told(after, level);
    job.may_write()?;
    let (detail, request_id) = match job.iot.set_logging_options(&desired).await {
        Ok(request_id) if job.read_back => {
            if !satisfies(job.iot.get_logging_options().await?.as_ref(), level) {
                let message = "logging still reads disabled after it was enabled";
                return Err(CallError::new(Class::Transient, "GetV2LoggingOptions", message).into());
            }
            (format!("read back: {at}"), request_id)
        }
        Ok(request_id) => (format!("enabled at {at}"), request_id),
        Err(error) if error.class == Class::Unknown => {
            if !satisfies(job.iot.get_logging_options().await?.as_ref(), level) {
                return Err(not_taken_effect(error));
            }
            (format!("read back after a lost reply: {at}"), None)
        }
        Err(error) => return Err(error.into()),
    };
    steps.put(Step { request_id, ..job.step(ACTION, target, StepOutcome::Changed, detail) });
    Ok(())
}

/// What [`enable`] calls where logging is off.
pub(super) fn enable_calls(read_back: bool) -> Vec<Operation> {
    let mut calls = vec![Operation::GetV2LoggingOptions, Operation::SetV2LoggingOptions];
    calls.extend(read_back.then_some(Operation::GetV2LoggingOptions));
    calls
}

/// The level in force, and the one that was asked for where it is another.
fn told(in_force: &str, asked_for: LogLevel) -> String {
    match asked_for.as_str() {
        asked_for if asked_for == in_force => in_force.to_owned(),
        asked_for => format!("{in_force}, where {asked_for} was asked for"),
    }
}

/// The level that a step asked for: the last that its words name. A step of Device Defender's own tasks names an action instead.
fn asked_for(step: &Step) -> Option<LogLevel> {
    if step.detail.starts_with("by ") {
        return None;
    }
    let mut words = step.detail.rsplit(|c: char| !c.is_ascii_uppercase());
    words.find_map(|word| LogLevel::ALL.into_iter().find(|level| level.as_str() == word))
}

/// Whether logging still is enabled, at least at the level that the step asked for.
pub(super) async fn found<I: IotControl>(iot: &I, step: &Step) -> Result<Found, CallError> {
    let options = iot.get_logging_options().await?;
    let asked_for = asked_for(step).unwrap_or(LogLevel::Error);
    let level = level_of(options.as_ref());
    let now = match &options {
        None => "logging is not configured".to_owned(),
        Some(options) if options.disable_all_logs => "all logs are disabled".to_owned(),
        Some(_) if level == "DISABLED" => "logging is DISABLED".to_owned(),
        Some(_) => format!("logging is enabled at {}", told(level, asked_for)),
    };
    let verdict = if satisfies(options.as_ref(), asked_for) { Verdict::Holds } else { Verdict::Reverted };
    Ok(Found::new(verdict, now))
}

pub(super) fn satisfies(options: Option<&LoggingOptions>, level: LogLevel) -> bool {
    options.is_some_and(|options| !options.disable_all_logs && rank(level_of(Some(options))) >= rank(level.as_str()))
}

pub(super) fn level_of(options: Option<&LoggingOptions>) -> &str {
    options.and_then(|options| options.default_log_level.as_deref()).unwrap_or("DISABLED")
}

/// How much is logged: each level includes those before it.
fn rank(level: &str) -> u8 {
    match level {
        "DEBUG" => 4,
        "INFO" => 3,
        "WARN" => 2,
        "ERROR" => 1,
        _ => 0,
    }
}
