//! What an action would change, read before somebody else does it: Device Defender's own engine reads nothing beforehand, keeps no
//! prior state and does not mind stale findings, so this is read and recorded for it (P5).

use super::certificate::device_certificates;
use super::groups::{MAX_STEPS, in_order, missing, things_of};
use super::job::{ActionError, Job, Journal};
use super::logging::{level_of, satisfies};
use super::port::{CertificateStatus, IotControl};
use crate::aws::{CallError, Class};
use crate::budget::Operation;
use crate::finding::{ActionType, Finding, ResourceIdentifier};
use crate::ledger::{Step, StepOutcome};
use crate::policy::Action;
use serde_json::json;

/// A step for each resource that `action` is about: `Intended`, with the state before, where it would change something; else why it
/// would not (`InOrder`, `Gone`, `Stale`).
pub(crate) async fn survey<I: IotControl, J: Journal>(
    job: &Job<'_, I, J>,
    action: &Action,
) -> Result<Vec<Step>, ActionError> {
    let kind = action.action_type();
    match action {
        Action::UpdateDeviceCertificate => {
            let mut steps = Vec::new();
            for id in device_certificates(job.iot, job.finding, kind).await? {
                steps.push(certificate(job, kind, &id, job.iot.describe_certificate(&id).await)?);
            }
            Ok(or_nothing_related(job, kind, steps))
        }
        Action::UpdateCaCertificate => {
            let ResourceIdentifier::CaCertificate(id) = &job.finding.resource.identifier else {
                return Err(job.does_not_fit(kind));
            };
            Ok(vec![certificate(job, kind, id, job.iot.describe_ca_certificate(id).await)?])
        }
        Action::AddThingsToThingGroup { thing_groups, .. } => {
            let mut steps = Vec::new();
            let mut bytes = 0;
            for id in device_certificates(job.iot, job.finding, kind).await? {
                let step = members(job, &id, thing_groups).await?;
                bytes += json!(step).to_string().len();
                if bytes > MAX_STEPS {
                    return Err(too_many_things());
                }
                steps.push(step);
            }
            Ok(or_nothing_related(job, kind, steps))
        }
        Action::ReplaceDefaultPolicyVersion { .. } => Ok(vec![policy(job).await?]),
        Action::EnableIotLogging { level, .. } => {
            if !matches!(job.finding.resource.identifier, ResourceIdentifier::Account(_)) {
                return Err(job.does_not_fit(kind));
            }
            let options = job.iot.get_logging_options().await?;
            let on = format!("logging is enabled at {}", level_of(options.as_ref()));
            let satisfied = satisfies(options.as_ref(), *level);
            let target = &job.finding.account;
            Ok(vec![match satisfied {
                true => job.step(kind, target, StepOutcome::InOrder, on),
                false => Step { prior: Some(json!(options)), ..job.step(kind, target, StepOutcome::Intended, "") },
            }])
        }
        Action::PublishFindingToSns { topic_arn } => Ok(vec![job.step(kind, topic_arn, StepOutcome::Intended, "")]),
    }
}

/// Whether what was surveyed fits in the finding's record; told before anything is handed over, for what cannot be written down could not
/// be ended either.
pub(crate) fn fit_in_record(steps: &[Step]) -> Result<(), ActionError> {
    if json!(steps).to_string().len() > MAX_STEPS { Err(too_many_things()) } else { Ok(()) }
}

fn too_many_things() -> ActionError {
    ActionError::Refused {
        reason: "too_many_things",
        message: "what Device Defender would change does not fit in the finding's record; add the things of its certificates to the groups by hand, or let the rule take another action"
            .to_owned(),
    }
}

/// What [`survey`] calls for a finding, whatever the actions: an estimate, since a policy names them without saying what they do.
pub(super) fn survey_calls(finding: &Finding) -> Vec<Operation> {
    match finding.resource.identifier {
        ResourceIdentifier::DeviceCertificate(_) | ResourceIdentifier::DeviceCertificateArn(_) => {
            vec![Operation::DescribeCertificate]
        }
        ResourceIdentifier::IssuerCertificate { .. } => {
            vec![Operation::ListRelatedResourcesForAuditFinding, Operation::DescribeCertificate]
        }
        ResourceIdentifier::CaCertificate(_) => vec![Operation::DescribeCaCertificate],
        ResourceIdentifier::PolicyVersion { .. } => vec![Operation::GetPolicy],
        ResourceIdentifier::Account(_) => vec![Operation::GetV2LoggingOptions],
        _ => Vec::new(),
    }
}

fn or_nothing_related<I, J: Journal>(job: &Job<'_, I, J>, kind: ActionType, mut steps: Vec<Step>) -> Vec<Step> {
    if steps.is_empty() {
        let target = job.finding.resource_id();
        steps.push(job.step(kind, &target, StepOutcome::InOrder, "no device certificate is related to it"));
    }
    steps
}

fn certificate<I, J: Journal>(
    job: &Job<'_, I, J>,
    kind: ActionType,
    id: &str,
    read: Result<CertificateStatus, CallError>,
) -> Result<Step, ActionError> {
    match read {
        Ok(status) if status.is_active() => {
            Ok(Step { prior: Some(json!({ "status": "ACTIVE" })), ..job.step(kind, id, StepOutcome::Intended, "") })
        }
        Ok(status) => Ok(job.step(kind, id, StepOutcome::InOrder, format!("it was {} already", status.status))),
        Err(error) if error.class == Class::Gone => {
            Ok(job.step(kind, id, StepOutcome::Gone, "the certificate no longer exists"))
        }
        Err(error) => Err(error.into()),
    }
}

async fn members<I: IotControl, J: Journal>(
    job: &Job<'_, I, J>,
    id: &str,
    groups: &[String],
) -> Result<Step, ActionError> {
    let kind = ActionType::AddThingsToThingGroup;
    let things = match things_of(job.iot, job.finding, id).await {
        Ok(things) => things,
        Err(error) if error.class == Class::Gone => {
            return Ok(job.step(kind, id, StepOutcome::Gone, "the certificate no longer exists"));
        }
        Err(error) => return Err(error.into()),
    };
    if things.is_empty() {
        return Ok(job.step(kind, id, StepOutcome::InOrder, "no thing uses the certificate"));
    }
    let missing = missing(job.iot, &things, groups).await?;
    if missing.is_empty() {
        return Ok(job.step(kind, id, StepOutcome::InOrder, in_order(groups)));
    }
    let pairs: Vec<_> = missing.iter().map(|(thing, group)| json!({ "thing": thing, "group": group })).collect();
    Ok(Step { prior: Some(json!({ "not_members": pairs })), ..job.step(kind, id, StepOutcome::Intended, "") })
}

async fn policy<I: IotControl, J: Journal>(job: &Job<'_, I, J>) -> Result<Step, ActionError> {
    let kind = ActionType::ReplaceDefaultPolicyVersion;
    let ResourceIdentifier::PolicyVersion { policy, version } = &job.finding.resource.identifier else {
        return Err(job.does_not_fit(kind));
    };
    match job.iot.get_policy(policy).await {
        Ok(state) if state.default_version == *version => {
            let prior = json!({ "default_version": state.default_version, "deleted": [] });
            Ok(Step { prior: Some(prior), ..job.step(kind, policy, StepOutcome::Intended, "") })
        }
        Ok(state) => {
            let now = state.default_version;
            let detail = format!("the default version is {now} now, the finding was about {version}");
            Ok(job.step(kind, policy, StepOutcome::Stale, detail))
        }
        Err(error) if error.class == Class::Gone => {
            Ok(job.step(kind, policy, StepOutcome::Gone, "the policy no longer exists"))
        }
        Err(error) => Err(error.into()),
    }
}
