//! `UPDATE_DEVICE_CERTIFICATE` and `UPDATE_CA_CERTIFICATE`: not ACTIVE any more. Never REVOKED, which nobody could undo (P5).

use super::job::{ActionError, Job, Journal, Steps, does_not_fit, not_taken_effect};
use super::port::{CertificateStatus, IotControl, RequestId};
use super::verify::{Found, Verdict, of_many};
use crate::aws::{CallError, Class};
use crate::budget::Operation;
use crate::finding::{ActionType, Finding, ResourceIdentifier};
use crate::ledger::{Step, StepOutcome};
use std::future::Future;

/// Certificates that one finding may act on. A ledger item holds 400 KB; two actions on a certificate leave two steps of some 260
/// and 360 bytes, so 500 certificates take at most 310 KB.
const MAX_CERTIFICATES: usize = 500;

/// Deactivates the finding's device certificate, or every device certificate that an intermediate CA's finding relates to.
pub(super) async fn deactivate_devices<I: IotControl, J: Journal>(
    job: &Job<'_, I, J>,
    steps: &mut Steps,
) -> Result<(), ActionError> {
    let action = ActionType::UpdateDeviceCertificate;
    let certificates = device_certificates(job.iot, job.finding, action).await?;
    for id in &certificates {
        let (read, write) = (|| job.iot.describe_certificate(id), || job.iot.deactivate_certificate(id));
        deactivate(job, steps, (action, id), read, write).await?;
    }
    if certificates.is_empty() {
        let target = job.finding.resource_id();
        steps.put(job.step(action, &target, StepOutcome::InOrder, "no device certificate is related to it"));
    }
    Ok(())
}

/// What [`deactivate_devices`] calls for an active certificate; an issuer's finding repeats all but the first for each of its own.
pub(super) fn device_calls(finding: &Finding, read_back: bool) -> Vec<Operation> {
    let mut calls = related_calls(finding);
    calls.extend([Operation::DescribeCertificate, Operation::UpdateCertificate]);
    calls.extend(read_back.then_some(Operation::DescribeCertificate));
    calls
}

/// Deactivates the finding's CA certificate: no new device can register under it; registered ones go on.
pub(super) async fn deactivate_ca<I: IotControl, J: Journal>(
    job: &Job<'_, I, J>,
    steps: &mut Steps,
) -> Result<(), ActionError> {
    let action = ActionType::UpdateCaCertificate;
    let ResourceIdentifier::CaCertificate(id) = &job.finding.resource.identifier else {
        return Err(does_not_fit(job.finding, action));
    };
    let (read, write) = (|| job.iot.describe_ca_certificate(id), || job.iot.deactivate_ca_certificate(id));
    deactivate(job, steps, (action, id), read, write).await
}

/// What [`deactivate_ca`] calls for an active certificate.
pub(super) fn ca_calls(read_back: bool) -> Vec<Operation> {
    let mut calls = vec![Operation::DescribeCaCertificate, Operation::UpdateCaCertificate];
    calls.extend(read_back.then_some(Operation::DescribeCaCertificate));
    calls
}

/// The device certificates that the finding is about. Intermediate-CA findings name the issuer; its devices' certificates come
/// only from `ListRelatedResourcesForAuditFinding` (AWS's operation documentation).
pub(super) async fn device_certificates<I: IotControl>(
    iot: &I,
    finding: &Finding,
    action: ActionType,
) -> Result<Vec<String>, ActionError> {
    match &finding.resource.identifier {
        ResourceIdentifier::DeviceCertificate(id) => Ok(vec![id.clone()]),
        ResourceIdentifier::DeviceCertificateArn(arn) => match arn.rsplit_once("cert/") {
            Some((_, id)) => Ok(vec![id.to_owned()]),
            None => Err(does_not_fit(finding, action)),
        },
        ResourceIdentifier::IssuerCertificate { .. } => related_certificates(iot, finding).await,
        _ => Err(does_not_fit(finding, action)),
    }
}

/// What [`device_certificates`] calls.
pub(super) fn related_calls(finding: &Finding) -> Vec<Operation> {
    match finding.resource.identifier {
        ResourceIdentifier::IssuerCertificate { .. } => vec![Operation::ListRelatedResourcesForAuditFinding],
        _ => Vec::new(),
    }
}

async fn related_certificates<I: IotControl>(iot: &I, finding: &Finding) -> Result<Vec<String>, ActionError> {
    let mut ids = Vec::new();
    let mut next = None;
    loop {
        let page = iot.list_related_resources(&finding.finding_id, next).await?;
        ids.extend(page.items.into_iter().filter_map(|resource| match resource.identifier {
            ResourceIdentifier::DeviceCertificate(id) => Some(id),
            ResourceIdentifier::DeviceCertificateArn(arn) => arn.rsplit_once("cert/").map(|(_, id)| id.to_owned()),
            _ => None,
        }));
        if ids.len() > MAX_CERTIFICATES {
            return Err(ActionError::Refused {
                reason: "too_many_certificates",
                message: format!(
                    "finding {} relates to more than {MAX_CERTIFICATES} device certificates; deactivate them by their CA, or in parts",
                    finding.finding_id
                ),
            });
        }
        next = page.next;
        if next.is_none() {
            ids.sort_unstable();
            ids.dedup();
            return Ok(ids);
        }
    }
}

/// Whether the step's device certificate is still out of use. A step that names the finding's own resource, as those of Device
/// Defender's tasks do, is about all of its certificates.
pub(super) async fn found_devices<I: IotControl>(iot: &I, finding: &Finding, step: &Step) -> Result<Found, CallError> {
    if is_id(&step.target) {
        return found(iot.describe_certificate(&step.target).await);
    }
    let certificates = match device_certificates(iot, finding, ActionType::UpdateDeviceCertificate).await {
        Ok(certificates) => certificates,
        Err(ActionError::Call(error)) if error.class == Class::Gone => {
            return Ok(Found::new(Verdict::CannotBeTold, "Device Defender has no finding of that id any more"));
        }
        Err(ActionError::Call(error)) => return Err(error),
        Err(ActionError::Refused { message, .. }) => return Ok(Found::new(Verdict::CannotBeTold, message)),
        Err(ActionError::LostClaim) => return Ok(Found::new(Verdict::CannotBeTold, "the reading was cut short")),
    };
    let mut each = Vec::with_capacity(certificates.len());
    for id in certificates {
        let found = found(iot.describe_certificate(&id).await)?;
        each.push((id, found));
    }
    Ok(of_many(each))
}

/// Whether the finding's CA certificate is still out of use.
pub(super) async fn found_ca<I: IotControl>(iot: &I, finding: &Finding, step: &Step) -> Result<Found, CallError> {
    let id = match &finding.resource.identifier {
        ResourceIdentifier::CaCertificate(id) => id,
        _ => &step.target,
    };
    found(iot.describe_ca_certificate(id).await)
}

fn found(status: Result<CertificateStatus, CallError>) -> Result<Found, CallError> {
    match status {
        Ok(status) => {
            let verdict = if status.is_active() { Verdict::Reverted } else { Verdict::Holds };
            Ok(Found::new(verdict, status.status).since(status.modified_at))
        }
        Err(error) if error.class == Class::Gone => Ok(Found::new(Verdict::Gone, "the certificate no longer exists")),
        Err(error) => Err(error),
    }
}

/// A certificate's id: 64 hexadecimal characters.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Reads, compares, writes, reads back: device and CA certificates differ only in the calls.
///
/// A change that was made, or may have been, is a step before it is read back: where the reading fails, the next attempt knows that
/// it was ours.
async fn deactivate<I, J, R, W>(
    job: &Job<'_, I, J>,
    steps: &mut Steps,
    (action, id): (ActionType, &str),
    read: impl Fn() -> R,
    write: impl Fn() -> W,
) -> Result<(), ActionError>
where
    I: IotControl,
    J: Journal,
    R: Future<Output = Result<CertificateStatus, CallError>>,
    W: Future<Output = Result<RequestId, CallError>>,
{
    let gone = || job.step(action, id, StepOutcome::Gone, "the certificate no longer exists");
    let in_order = |detail: String| job.step(action, id, StepOutcome::InOrder, detail);
    let ours = |outcome, detail: &str| Step {
        prior: Some(serde_json::json!({ "status": "ACTIVE" })),
        ..job.step(action, id, outcome, detail)
    };
    match read().await {
        Err(error) if error.class == Class::Gone => {
            steps.put(gone());
            return Ok(());
        }
        Err(error) => return Err(error.into()),
        Ok(status) if !status.is_active() => {
            steps.put(match steps.intended(action, id) {
                Some(_) => ours(StepOutcome::Changed, &format!("an earlier attempt took effect: {}", status.status)),
                None => in_order(format!("it was {} already", status.status)),
            });
            return Ok(());
        }
        Ok(_) => {}
    }
    job.may_write()?;
    let step = match write().await {
        Ok(request_id) if job.read_back => {
            steps.put(Step { request_id: request_id.clone(), ..ours(StepOutcome::Intended, "") });
            match read().await? {
                status if status.is_active() => {
                    let message = format!("{id} still reads ACTIVE after it was deactivated");
                    return Err(CallError::new(Class::Transient, "DescribeCertificate", message).into());
                }
                status => Step { request_id, ..ours(StepOutcome::Changed, &format!("read back: {}", status.status)) },
            }
        }
        Ok(request_id) => Step { request_id, ..ours(StepOutcome::Changed, "INACTIVE") },
        Err(error) if error.class == Class::Gone => gone(),
        Err(error) if error.class == Class::Unknown => {
            steps.put(ours(StepOutcome::Intended, ""));
            match read().await {
                Ok(status) if status.is_active() => return Err(not_taken_effect(error)),
                Ok(status) => ours(StepOutcome::Changed, &format!("read back after a lost reply: {}", status.status)),
                Err(reading) if reading.class == Class::Gone => gone(),
                Err(reading) => return Err(reading.into()),
            }
        }
        // A state that changed under us (CertificateStateException): the state itself says what is true.
        Err(error) if error.class == Class::Permanent => match read().await {
            Ok(status) if status.is_active() => return Err(error.into()),
            Ok(status) => in_order(format!("it became {} meanwhile", status.status)),
            Err(reading) if reading.class == Class::Gone => gone(),
            Err(reading) => return Err(reading.into()),
        },
        Err(error) => return Err(error.into()),
    };
    steps.put(step);
    Ok(())
}
