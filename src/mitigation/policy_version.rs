//! `REPLACE_DEFAULT_POLICY_VERSION`: the policy's default document equals the template.
//!
//! `CreatePolicyVersion` is not idempotent: repeated after a lost reply it makes another version. So the intent, with the state
//! before, is in the ledger first; whoever comes after a crash or a lost reply reads the default document before anything else.
//! The caller holds the policy's lock, so that two findings on one policy cannot both create a version.

use super::job::{ActionError, Job, Journal, Steps, does_not_fit, not_taken_effect};
use super::port::{IotControl, PolicyVersion};
use super::verify::{Found, Verdict};
use crate::aws::{CallError, Class};
use crate::budget::Operation;
use crate::finding::{ActionType, Finding, ResourceIdentifier};
use crate::ledger::{Step, StepOutcome};
use serde_json::{Value, json};

/// Versions that a policy may have; none is removed by itself (AWS IoT Core resource limits).
const MAX_VERSIONS: usize = 5;

const ACTION: ActionType = ActionType::ReplaceDefaultPolicyVersion;

/// Makes `template` the default document of the finding's policy.
pub(super) async fn replace_default<I: IotControl, J: Journal>(
    job: &Job<'_, I, J>,
    steps: &mut Steps,
    template: &str,
) -> Result<(), ActionError> {
    let ResourceIdentifier::PolicyVersion { policy, version } = &job.finding.resource.identifier else {
        return Err(does_not_fit(job.finding, ACTION));
    };
    let state = match job.iot.get_policy(policy).await {
        Ok(state) => state,
        Err(error) if error.class == Class::Gone => {
            steps.put(job.step(ACTION, policy, StepOutcome::Gone, "the policy no longer exists"));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    if same_document(&state.document, template) {
        let (outcome, detail) = match steps.intended(ACTION, policy) {
            Some(_) => (StepOutcome::Changed, format!("read back: version {} is ours", state.default_version)),
            None => (StepOutcome::InOrder, format!("version {} equals the template already", state.default_version)),
        };
        steps.put(job.step(ACTION, policy, outcome, detail));
        return Ok(());
    }
    if state.default_version != *version {
        let detail = format!("the default version is {} now, the finding was about {version}", state.default_version);
        // In the place of an announced change: the document of a version that was removed for it must stay on record.
        steps.put(job.step(ACTION, policy, StepOutcome::Stale, detail));
        return Ok(());
    }
    let surplus = make_plan(job, steps, policy, &state.default_version).await?;
    if let Some(surplus) = surplus {
        job.may_write()?;
        match job.iot.delete_policy_version(policy, &surplus).await {
            Ok(()) => {}
            Err(error) if matches!(error.class, Class::Gone | Class::Unknown) => {}
            Err(error) => return Err(error.into()),
        }
    }
    job.may_write()?;
    let (detail, request_id) = match job.iot.create_default_policy_version(policy, template).await {
        Ok(made) if job.read_back => {
            let now = job.iot.get_policy(policy).await?;
            (format!("read back: version {}", now.default_version), made.request_id)
        }
        Ok(made) => (format!("version {}", made.id), made.request_id),
        Err(error) if error.class == Class::Unknown => {
            let now = job.iot.get_policy(policy).await?;
            if !same_document(&now.document, template) {
                return Err(not_taken_effect(error));
            }
            (format!("read back after a lost reply: version {}", now.default_version), None)
        }
        // A surplus version whose deletion was lost, or that somebody made meanwhile: look again later.
        Err(mut error) if error.code.as_deref() == Some("VersionsLimitExceededException") => {
            error.class = Class::Transient;
            return Err(error.into());
        }
        Err(error) => return Err(error.into()),
    };
    steps.put(Step { request_id, ..job.step(ACTION, policy, StepOutcome::Changed, detail) });
    Ok(())
}

/// What [`replace_default`] calls for a policy that still has room for a version. A full one takes `GetPolicyVersion` and
/// `DeletePolicyVersion` besides, which nobody can tell before it is read, and whose quotas are no lower.
pub(super) fn replace_calls(read_back: bool) -> Vec<Operation> {
    let mut calls = vec![Operation::GetPolicy, Operation::ListPolicyVersions, Operation::CreatePolicyVersion];
    calls.extend(read_back.then_some(Operation::GetPolicy));
    calls
}

/// Writes down what is about to change: the version in force and, where the policy is full, the oldest other version with its
/// document, which has to go. Returns that version's id.
async fn make_plan<I: IotControl, J: Journal>(
    job: &Job<'_, I, J>,
    steps: &mut Steps,
    policy: &str,
    default_version: &str,
) -> Result<Option<String>, ActionError> {
    let versions = job.iot.list_policy_versions(policy).await?;
    let surplus = if versions.len() >= MAX_VERSIONS { oldest_other(&versions) } else { None };
    // Versions that an earlier, interrupted claim removed stay on record.
    let mut deleted = steps
        .intended(ACTION, policy)
        .and_then(|step| step.prior.as_ref()?.get("deleted")?.as_array().cloned())
        .unwrap_or_default();
    if let Some(version) = &surplus {
        let document = job.iot.get_policy_version(policy, version).await?;
        if !deleted.iter().any(|known| known["version"] == json!(version)) {
            deleted.push(json!({ "version": version, "document": document }));
        }
    }
    let prior = json!({ "default_version": default_version, "deleted": deleted });
    steps.put(Step { prior: Some(prior), ..job.step(ACTION, policy, StepOutcome::Intended, "") });
    job.journal.record(&steps.0).await?;
    Ok(surplus)
}

fn oldest_other(versions: &[PolicyVersion]) -> Option<String> {
    versions
        .iter()
        .filter(|version| !version.is_default)
        .min_by_key(|version| version.id.parse::<u64>().unwrap_or(u64::MAX))
        .map(|version| version.id.clone())
}

/// Whether the document that was put in force still is, or, for a finding that was out of date, whether it still is.
pub(super) async fn found<I: IotControl>(iot: &I, finding: &Finding, step: &Step) -> Result<Found, CallError> {
    let (policy, was) = match &finding.resource.identifier {
        ResourceIdentifier::PolicyVersion { policy, version } => (policy.as_str(), Some(version.as_str())),
        _ => (step.target.as_str(), None),
    };
    let state = match iot.get_policy(policy).await {
        Ok(state) => state,
        Err(error) if error.class == Class::Gone => {
            return Ok(Found::new(Verdict::Gone, "the policy no longer exists"));
        }
        Err(error) => return Err(error),
    };
    let now = state.default_version.as_str();
    let is_back = was == Some(now);
    let about = if is_back { ", the one that the finding was about" } else { "" };
    let (verdict, words) = match version_in(&step.detail) {
        _ if step.outcome == StepOutcome::Stale => {
            let verdict = if is_back { Verdict::Reverted } else { Verdict::Holds };
            (verdict, format!("version {now} is in force{about}"))
        }
        Some(ours) if ours == now => (Verdict::Holds, format!("version {now} is in force")),
        Some(ours) => match iot.get_policy_version(policy, ours).await {
            Ok(document) if same_document(&document, &state.document) => {
                (Verdict::Holds, format!("version {now} is in force, with the document of version {ours}"))
            }
            Ok(_) => (Verdict::Reverted, format!("version {now} is in force{about}, no longer version {ours}")),
            Err(error) if error.class == Class::Gone => {
                let verdict = if allows_nothing(&state.document) {
                    Verdict::Holds
                } else if is_back {
                    Verdict::Reverted
                } else {
                    Verdict::CannotBeTold
                };
                (verdict, format!("version {now} is in force{about}; version {ours} was deleted"))
            }
            Err(error) => return Err(error),
        },
        // Device Defender's own engine does not say which version it made, and its template's text is not public.
        None if allows_nothing(&state.document) => {
            (Verdict::Holds, format!("version {now} is in force, which allows nothing"))
        }
        None => (Verdict::Reverted, format!("version {now} is in force{about}, which is not blank")),
    };
    Ok(Found::new(verdict, words).since(state.modified_at))
}

/// The version that a step says is in force.
fn version_in(detail: &str) -> Option<&str> {
    let named = detail.split("version ").skip(1).filter_map(|after| {
        let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        after.get(..digits).filter(|digits| !digits.is_empty())
    });
    named.last()
}

/// A document without a statement that allows something.
fn allows_nothing(document: &str) -> bool {
    let allows = |statement: &Value| statement.get("Effect").is_none_or(|effect| effect != "Deny");
    match serde_json::from_str::<Value>(document).ok().and_then(|document| document.get("Statement").cloned()) {
        Some(Value::Array(statements)) => !statements.iter().any(allows),
        Some(statement) => !allows(&statement),
        None => false,
    }
}

/// Equal as JSON: AWS keeps the text as sent, but white space and member order mean nothing.
fn same_document(one: &str, other: &str) -> bool {
    match (serde_json::from_str::<Value>(one), serde_json::from_str::<Value>(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}
