//! P6: no forged orders. A finding is acted on only if Device Defender has it, and it says the same.

use crate::aws::{CallError, Class};
use crate::finding::Finding;
use crate::mitigation::IotControl;

/// What Device Defender says of a finding that a message brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It exists, and matches.
    Genuine,
    /// It exists, matches, and is suppressed.
    Suppressed,
    /// It does not exist, or says something else; in a sentence.
    NotAuthentic(String),
}

/// Asks Device Defender for the finding, with one call, and compares. [`super::Authenticator`] does it for many.
///
/// # Errors
///
/// Those of `DescribeAuditFinding`; a finding that does not exist is not an error but a verdict.
pub async fn authenticate<I: IotControl>(iot: &I, finding: &Finding) -> Result<Verdict, CallError> {
    let known = match iot.describe_audit_finding(&finding.finding_id).await {
        Ok(known) => known,
        Err(error) if error.class == Class::Gone => {
            return Ok(Verdict::NotAuthentic(format!(
                "Device Defender has no finding {} (it keeps them for 90 days); find out who sent this message",
                finding.finding_id
            )));
        }
        Err(error) => return Err(error),
    };
    // A message, or an answer, that names no audit does not differ in it.
    let audit = finding.task_id.as_deref().zip(known.task_id.as_deref());
    let pairs = [
        ("check", finding.check.as_str(), known.check.as_str()),
        ("reason code", &finding.reason_code, &known.reason_code),
        ("severity", finding.severity.as_str(), known.severity.as_str()),
        ("resource type", &finding.resource.kind, &known.resource.kind),
    ];
    for (what, said, is) in pairs.into_iter().chain(audit.map(|(said, is)| ("audit", said, is))) {
        if said != is {
            return Ok(Verdict::NotAuthentic(format!(
                "the message says {what} {said}, Device Defender says {is}; find out who sent this message"
            )));
        }
    }
    if finding.resource.identifier != known.resource.identifier {
        return Ok(Verdict::NotAuthentic(
            "the message names another resource than Device Defender's finding; find out who sent this message"
                .to_owned(),
        ));
    }
    Ok(if known.suppressed { Verdict::Suppressed } else { Verdict::Genuine })
}
