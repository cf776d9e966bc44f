//! `ADD_THINGS_TO_THING_GROUP`: every thing that uses the certificate is in the groups.

use super::certificate::{device_certificates, is_id, related_calls};
use super::job::{ActionError, Job, Journal, Steps, not_taken_effect};
use super::port::{IotControl, Page};
use super::verify::{Found, Verdict, of_many};
use crate::aws::syntax::{is_thing_group_name, partition_of};
use crate::aws::{CallError, Class};
use crate::budget::Operation;
use crate::finding::{ActionType, Finding};
use crate::ledger::{Step, StepOutcome};
use std::future::Future;

/// What the steps of one finding may take in the ledger, in bytes of JSON: an item holds 400 KB, of which the finding's payload takes
/// a few. With names of 20 characters, one certificate's takes some 6,000 additions.
pub(super) const MAX_STEPS: usize = 360 * 1024;

/// What is still to come for each certificate when its additions are announced: what was added in words, and the step of another
/// action on it (see `MAX_CERTIFICATES`), each with the id of a request.
const TO_COME: usize = 540;

/// How the detail of a step begins where nothing was to be added; the groups follow, so that they can be told later.
const IN_ORDER: &str = "every thing is in ";

/// What stands there instead of too many names; it is no name itself, which cannot have a space.
const THE_GROUPS: &str = "the groups";

/// As much of a step as names may take where each of a finding's certificates has one: 500 of them take 50 KB of an item's 400.
const LONGEST_NAMES: usize = 100;

/// Between names.
const NAMES: &str = ", ";

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
    let certificates = device_certificates(job.iot, job.finding, action).await?;
    for id in &certificates {
        let things = match things_of(job.iot, job.finding, id).await {
            Ok(things) => things,
            Err(error) if error.class == Class::Gone => {
                steps.put(job.step(action, id, StepOutcome::Gone, "the certificate no longer exists"));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if things.is_empty() {
            steps.put(job.step(action, id, StepOutcome::InOrder, "no thing uses the certificate"));
            continue;
        }
        let missing = missing(job.iot, &things, groups).await?;
        if missing.is_empty() {
            let outcome =
                if steps.intended(action, id).is_some() { StepOutcome::Changed } else { StepOutcome::InOrder };
            // Once is enough: all certificates of a finding go to the same groups, and the record is bounded.
            let words = if named(&steps.0).is_empty() { groups.join(NAMES) } else { THE_GROUPS.to_owned() };
            steps.put(job.step(action, id, outcome, format!("{IN_ORDER}{words}")));
            continue;
        }
        announce(job, steps, id, &missing, certificates.len()).await?;
        let mut last = None;
        for (thing, group) in &missing {
            job.may_write()?;
            match job.iot.add_thing_to_group(thing, group, override_dynamic_groups).await {
                Ok(request_id) => last = request_id,
                Err(error) if error.class == Class::Unknown => {
                    if !groups_of(job.iot, thing).await?.contains(group) {
                        return Err(not_taken_effect(error));
                    }
                }
                Err(error) if error.class == Class::Gone => return Err(no_such_group(&error, thing, group)),
                Err(error) => return Err(error.into()),
            }
        }
        if job.read_back && !self::missing(job.iot, &things, groups).await?.is_empty() {
            let message = format!("things of {id} are not yet seen in the groups they were added to");
            return Err(CallError::new(Class::Transient, "ListThingGroupsForThing", message).into());
        }
        steps.put(Step { request_id: last, ..job.step(action, id, StepOutcome::Changed, added(&missing)) });
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
    let certificates = match device_certificates(job.iot, job.finding, ActionType::AddThingsToThingGroup).await {
        Ok(certificates) => certificates,
        Err(ActionError::Refused { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut all = Vec::new();
    for id in &certificates {
        for thing in or_gone(things_of(job.iot, job.finding, id).await)? {
            all.extend(or_gone(groups_of(job.iot, &thing).await)?);
        }
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

fn or_gone(result: Result<Vec<String>, CallError>) -> Result<Vec<String>, CallError> {
    match result {
        Err(error) if error.class == Class::Gone => Ok(Vec::new()),
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

/// The detail of a step whose things are in all of `groups`, for a record that has one for every certificate.
pub(super) fn in_order(groups: &[String]) -> String {
    let names = Some(groups.join(NAMES)).filter(|names| names.len() <= LONGEST_NAMES);
    format!("{IN_ORDER}{}", names.as_deref().unwrap_or(THE_GROUPS))
}

/// The groups that the steps of a record name: those that something was added to, those that everything was in already.
pub(super) fn named(steps: &[Step]) -> Vec<String> {
    let action = ActionType::AddThingsToThingGroup.as_str();
    let mut groups: Vec<String> = Vec::new();
    for step in steps.iter().filter(|step| step.action == action) {
        let added = step.prior.iter().filter_map(|prior| prior.get("not_members")?.as_array()).flatten();
        groups.extend(added.filter_map(|pair| pair.get("group")?.as_str().map(str::to_owned)));
        let asked_for = step.prior.iter().filter_map(|prior| prior.get("groups")?.as_array()).flatten();
        groups.extend(asked_for.filter_map(|group| group.as_str().map(str::to_owned)));
        if let Some(words) = step.detail.strip_prefix(IN_ORDER) {
            groups.extend(words.split(NAMES).filter(|name| is_thing_group_name(name)).map(str::to_owned));
        }
    }
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// Whether every thing of the step's certificate, and every thing that was added, still is in the groups.
pub(super) async fn found<I: IotControl>(
    iot: &I,
    finding: &Finding,
    step: &Step,
    groups: &[String],
) -> Result<Found, CallError> {
    if groups.is_empty() {
        let now = "which groups were asked for is not on record";
        return Ok(Found::new(Verdict::CannotBeTold, now));
    }
    let certificates = match is_id(&step.target) {
        true => vec![step.target.clone()],
        false => match device_certificates(iot, finding, ActionType::AddThingsToThingGroup).await {
            Ok(certificates) => certificates,
            Err(ActionError::Call(error)) if error.class != Class::Gone => return Err(error),
            Err(_) => return Ok(Found::new(Verdict::CannotBeTold, "its certificates cannot be listed any more")),
        },
    };
    let mut each = Vec::with_capacity(certificates.len());
    for id in certificates {
        let found = match things_of(iot, finding, &id).await {
            Ok(things) => in_groups(iot, things, step, groups).await?,
            Err(error) if error.class == Class::Gone => Found::new(Verdict::Gone, "the certificate no longer exists"),
            Err(error) => return Err(error),
        };
        each.push((id, found));
    }
    match <[_; 1]>::try_from(each) {
        Ok([(_, found)]) => Ok(found),
        Err(each) => Ok(of_many(each)),
    }
}

/// The certificate's `things` and those that were added: they may use another certificate by now.
async fn in_groups<I: IotControl>(
    iot: &I,
    mut things: Vec<String>,
    step: &Step,
    groups: &[String],
) -> Result<Found, CallError> {
    let added = step.prior.iter().filter_map(|prior| prior.get("not_members")?.as_array()).flatten();
    things.extend(added.filter_map(|pair| pair.get("thing")?.as_str().map(str::to_owned)));
    things.sort_unstable();
    things.dedup();
    let (mut lacking, mut gone) = (Vec::new(), 0);
    for thing in &things {
        match missing(iot, std::slice::from_ref(thing), groups).await {
            Ok(missing) => lacking.extend(missing),
            Err(error) if error.class == Class::Gone => gone += 1,
            Err(error) => return Err(error),
        }
    }
    if !lacking.is_empty() {
        let named: Vec<String> =
            lacking.iter().take(MAX_NAMED).map(|(thing, group)| format!("{thing} is not in {group}")).collect();
        let more = lacking.len() - named.len();
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        return Ok(Found::new(Verdict::Reverted, format!("{}{more}", named.join(", "))));
    }
    Ok(match things.len() {
        0 => Found::new(Verdict::Holds, "no thing uses the certificate"),
        all if all == gone => Found::new(Verdict::Gone, "its things no longer exist"),
        _ => Found::new(Verdict::Holds, format!("{IN_ORDER}{}", groups.join(NAMES))),
    })
}

pub(super) async fn missing<I: IotControl>(
    iot: &I,
    things: &[String],
    groups: &[String],
) -> Result<Vec<(String, String)>, CallError> {
    let mut missing = Vec::new();
    for thing in things {
        let member_of = groups_of(iot, thing).await?;
        let lacking = groups.iter().filter(|group| !member_of.contains(group));
        missing.extend(lacking.map(|group| (thing.clone(), group.clone())));
    }
    Ok(missing)
}

pub(super) async fn things_of<I: IotControl>(iot: &I, finding: &Finding, id: &str) -> Result<Vec<String>, CallError> {
    let arn = certificate_arn(&finding.region, &finding.account, id);
    all_pages(|next| iot.list_principal_things(&arn, next)).await
}

async fn groups_of<I: IotControl>(iot: &I, thing: &str) -> Result<Vec<String>, CallError> {
    all_pages(|next| iot.list_groups_of_thing(thing, next)).await
}

async fn all_pages<F>(mut page: impl FnMut(Option<String>) -> F) -> Result<Vec<String>, CallError>
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
