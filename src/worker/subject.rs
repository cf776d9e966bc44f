//! What the ledger keeps of a message, and under which key.

use crate::finding::{AuditSummary, Finding, Severity};
use crate::ledger::Subject;

pub(super) fn finding_subject(finding: &Finding) -> Subject {
    Subject {
        key: format!("finding#{}", finding.finding_id),
        account: finding.account.clone(),
        region: finding.region.clone(),
        task_id: finding.task_id.clone(),
        check: finding.check.clone(),
        reason_code: finding.reason_code.clone(),
        severity: finding.severity,
        resource_type: finding.resource.kind.clone(),
        resource_id: finding.resource_id(),
        fingerprint: finding.fingerprint(),
        payload: finding.to_native().to_string(),
    }
}

pub(super) fn summary_subject(summary: &AuditSummary) -> Subject {
    // A notification of an audit that did not complete, early or forged, must not stand in the way of the one that did.
    let key = match summary.task_status.as_str() {
        "COMPLETED" => format!("expansion#{}", summary.task_id),
        _ => format!("expansion#{}#incomplete", summary.task_id),
    };
    Subject {
        key,
        account: summary.account.clone(),
        region: summary.region.clone(),
        task_id: Some(summary.task_id.clone()),
        check: String::new(),
        reason_code: String::new(),
        severity: Severity::Unknown,
        resource_type: "AUDIT".to_owned(),
        resource_id: summary.task_id.clone(),
        // Two notifications of one audit may differ in counts and wording; the audit is the same.
        fingerprint: format!("{}/{}", summary.account, summary.task_id),
        payload: serde_json::json!({ "taskId": summary.task_id, "taskStatus": summary.task_status }).to_string(),
    }
}
