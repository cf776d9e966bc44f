//! What the ledger keeps of a message, and under which key.

use super::record::Subject;
use crate::finding::keys::hex;
use crate::finding::{AuditSummary, Finding, Severity};
use sha2::{Digest, Sha256};

impl From<&Finding> for Subject {
    fn from(finding: &Finding) -> Self {
        Self {
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
}

impl From<&AuditSummary> for Subject {
    fn from(summary: &AuditSummary) -> Self {
        let task = &summary.task_id;
        let key = match (&summary.replay_id, summary.task_status.as_str()) {
            // Each has a record, and a cursor, of its own: one of some checks must not stand in the way of one of all.
            (Some(id), _) => format!("expansion#{task}#replay-{}", id.strip_prefix("replay-").unwrap_or(id)),
            (None, "COMPLETED") => format!("expansion#{task}"),
            // A notification of an audit that did not complete, early or forged, must not stand in the way of the one that did.
            (None, "FAILED" | "CANCELED") => format!("expansion#{task}#incomplete"),
            (None, _) => format!("expansion#{task}#unfinished"),
        };
        Self {
            key,
            account: summary.account.clone(),
            region: summary.region.clone(),
            task_id: Some(summary.task_id.clone()),
            check: String::new(),
            reason_code: String::new(),
            severity: Severity::Unknown,
            resource_type: "AUDIT".to_owned(),
            resource_id: summary.task_id.clone(),
            fingerprint: fingerprint(summary),
            payload: serde_json::json!({ "taskId": summary.task_id, "taskStatus": summary.task_status }).to_string(),
        }
    }
}

/// Two notifications of one audit may differ in counts and wording; the audit, and what is expanded of it, is the same. One that leaves
/// checks out is another, and is no reason to take the genuine one for a duplicate.
fn fingerprint(summary: &AuditSummary) -> String {
    let expanded = summary.non_compliant_checks();
    let sum = |sum: Sha256, check: &&str| sum.chain_update(check.len().to_be_bytes()).chain_update(check);
    let digest = expanded.iter().fold(Sha256::new(), sum).finalize();
    format!("{}/{}/{}", summary.account, summary.task_id, hex(&digest[..16]))
}
