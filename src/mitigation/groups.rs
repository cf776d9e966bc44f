//! `ADD_THINGS_TO_THING_GROUP`: every thing that uses the certificate is in the groups.

use super::certificate::{device_certificates, related_calls};
use super::job::{ActionError, Job, Journal, Steps, not_taken_effect};
use super::port::{IotControl, Page};
use crate::aws::syntax::partition_of;
use crate::aws::{CallError, Class};
use crate::budget::Operation;
use crate::finding::{ActionType, Finding};
use crate::ledger::{Step, StepOutcome};
use std::future::Future;

/// What the steps of one finding may take in the ledger, in bytes of JSON: an item holds 400 KB, of which the finding's payload takes
/// a few. With names of 20 characters, one certificate's takes some 6,000 additions.
const MAX_STEPS: usize = 360 * 1024;

/// What is still to come for each certificate when its additions are announced: what was added in words, and the step of another
/// action on it (see `MAX_CERTIFICATES`).
const TO_COME: usize = 420;

/// Additions that are spelt out in words; the state before has them all.
const MAX_NAMED: usize = 2;

/// Adds the things of each of the finding's certificates to `groups`. What was added is on record before it is, because
/// afterwards nobody could tell it from what was there before.
pub(super) async fn add_things<I: IotControl, J: Journal>(
    job: &Job<'_, I, J>,
    steps: &mut Steps,
    groups: &[String],
    override_dynamic_groups: bool,
) -> Result<(), ActionError> {
    let action = ActionType::AddThingsToThingGroup;
    let certificates = device_certificates(job, action).await?;
    for id in &certificates {
        let things = match things_of(job, id).await {
            Ok(things) => things,
            Err(ActionError::Call(error)) if error.class == Class::Gone => {
                steps.put(job.step(action, id, StepOutcome::Gone, "the certificate no longer exists"));
                continue;
            }
            Err(error) => return Err(error),
        };
        if things.is_empty() {
            steps.put(job.step(action, id, StepOutcome::InOrder, "no thing uses the certificate"));
            continue;
        }
        let missing = missing(job, &things, groups).await?;
        if missing.is_empty() {
            let outcome =
                if steps.intended(action, id).is_some() { StepOutcome::Changed } else { StepOutcome::InOrder };
            steps.put(job.step(action, id, outcome, "every thing is in the groups"));
            continue;
        }
        announce(job, steps, id, &missing, certificates.len()).await?;
        for (thing, group) in &missing {
            job.may_write()?;
            match job.iot.add_thing_to_group(thing, group, override_dynamic_groups).await {
                Ok(()) => {}
                Err(error) if error.class == Class::Unknown => {
                    if !groups_of(job, thing).await?.contains(group) {
                        return Err(not_taken_effect(error));
                    }
                }
                Err(error) if error.class == Class::Gone => return Err(no_such_group(&error, thing, group)),
                Err(error) => return Err(error.into()),
            }
        }
        if job.read_back && !self::missing(job, &things, groups).await?.is_empty() {
            let message = format!("things of {id} are not yet seen in the groups they were added to");
            return Err(CallError::new(Class::Transient, "ListThingGroupsForThing", message).into());
        }
        steps.put(job.step(action, id, StepOutcome::Changed, added(&missing)));
    }
    if certificates.is_empty() {
        let target = job.finding.resource_id();
        steps.put(job.step(action, &target, StepOutcome::InOrder, "no device certificate is related to it"));
    }
    Ok(())
}

/// What [`add_things`] calls for a certificate that one thing uses, which is in none of `groups` groups yet.
pub(super) fn add_calls(finding: &Finding, groups: usize, read_back: bool) -> Vec<Operation> {
    let mut calls = lookup_calls(finding);
    calls.extend(std::iter::repeat_n(Operation::AddThingToThingGroup, groups));
    calls.extend(read_back.then_some(Operation::ListThingGroupsForThing));
    calls
}

/// What [`thing_groups`] calls for a certificate that one thing uses.
pub(super) fn lookup_calls(finding: &Finding) -> Vec<Operation> {
    let mut calls = related_calls(finding);
    calls.extend([Operation::ListPrincipalThings, Operation::ListThingGroupsForThing]);
    calls
}

/// The groups of the things that use the finding's certificate, for rules that match on a thing group. Empty where the finding
/// is not about device certificates, or they are gone.
pub async fn thing_groups<I: IotControl, J: Journal>(job: &Job<'_, I, J>) -> Result<Vec<String>, ActionError> {
    let certificates = match device_certificates(job, ActionType::AddThingsToThingGroup).await {
        Ok(certificates) => certificates,
        Err(ActionError::Refused { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut all = Vec::new();
    for id in &certificates {
        for thing in or_gone(things_of(job, id).await)? {
            all.extend(or_gone(groups_of(job, &thing).await)?);
        }
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

fn or_gone(result: Result<Vec<String>, ActionError>) -> Result<Vec<String>, ActionError> {
    match result {
        Err(ActionError::Call(error)) if error.class == Class::Gone => Ok(Vec::new()),
        other => other,
    }
}

/// Writes down what is about to be added, together with what an earlier, interrupted claim announced.
async fn announce<I: IotControl, J: Journal>(
    job: &Job<'_, I, J>,
    steps: &mut Steps,
    id: &str,
    missing: &[(String, String)],
    certificates: usize,
) -> Result<(), ActionError> {
    let action = ActionType::AddThingsToThingGroup;
    let mut added: Vec<serde_json::Value> = steps
        .intended(action, id)
        .and_then(|step| step.prior.as_ref()?.get("not_members")?.as_array().cloned())
        .unwrap_or_default();
    for (thing, group) in missing {
        let pair = serde_json::json!({ "thing": thing, "group": group });
        if !added.contains(&pair) {
            added.push(pair);
        }
    }
    let step = Step {
        prior: Some(serde_json::json!({ "not_members": added })),
        ..job.step(action, id, StepOutcome::Intended, "")
    };
    // Told before anything is begun: a record that cannot be written could not be ended either.
    let bytes = serde_json::json!([steps.0, step]).to_string().len();
    if bytes + certificates * TO_COME > MAX_STEPS {
        return Err(ActionError::Refused {
            reason: "too_many_things",
            message: format!(
                "{} additions of things to groups do not fit in the finding's record; add the things of certificate {id} to the groups by hand, or let the rule take another action",
                added.len()
            ),
        });
    }
    steps.put(step);
    Ok(job.journal.record(&steps.0).await?)
}

fn added(pairs: &[(String, String)]) -> String {
    let named: Vec<String> = pairs.iter().take(MAX_NAMED).map(|(thing, group)| format!("{thing} to {group}")).collect();
    let more = pairs.len() - named.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("added {}{more}", named.join(", "))
}

pub(super) async fn missing<I: IotControl, J: Journal>(
    job: &Job<'_, I, J>,
    things: &[String],
    groups: &[String],
) -> Result<Vec<(String, String)>, ActionError> {
    let mut missing = Vec::new();
    for thing in things {
        let member_of = groups_of(job, thing).await?;
        let lacking = groups.iter().filter(|group| !member_of.contains(group));
        missing.extend(lacking.map(|group| (thing.clone(), group.clone())));
    }
    Ok(missing)
}

pub(super) async fn things_of<I: IotControl, J: Journal>(
    job: &Job<'_, I, J>,
    id: &str,
) -> Result<Vec<String>, ActionError> {
    let arn = certificate_arn(&job.finding.region, &job.finding.account, id);
    all_pages(|next| job.iot.list_principal_things(&arn, next)).await
}

async fn groups_of<I: IotControl, J: Journal>(job: &Job<'_, I, J>, thing: &str) -> Result<Vec<String>, ActionError> {
    all_pages(|next| job.iot.list_groups_of_thing(thing, next)).await
}

async fn all_pages<F>(mut page: impl FnMut(Option<String>) -> F) -> Result<Vec<String>, ActionError>
where
    F: Future<Output = Result<Page<String>, CallError>>,
{
    let mut all = Vec::new();
    let mut next = None;
    loop {
        let page = page(next).await?;
        all.extend(page.items);
        next = page.next;
        if next.is_none() {
            return Ok(all);
        }
    }
}

/// The ARN that `ListPrincipalThings` wants; findings carry only the id.
fn certificate_arn(region: &str, account: &str, id: &str) -> String {
    let partition = partition_of(region);
    format!("arn:{partition}:iot:{region}:{account}:cert/{id}")
}

fn no_such_group(error: &CallError, thing: &str, group: &str) -> ActionError {
    ActionError::Refused {
        reason: "no_such_thing_group",
        message: format!(
            "{thing} cannot be added to {group}: {}; create the thing group, or name another one in the policy",
            error.message
        ),
    }
}
