//! AWS IoT, as far as one certificate's mitigation needs it.

use super::backlog::{ACCOUNT, Backlog, CHECK, REGION, certificate_id, finding_of, rest};
use http::StatusCode;
use serde_json::{Value, json};
use std::collections::HashSet;

/// The largest page that `ListAuditFindings` gives.
const PAGE: u64 = 250;

/// Certificates that are active until they are not.
#[derive(Default)]
pub struct Account {
    inactive: HashSet<u64>,
    /// Certificates that were deactivated more than once.
    pub twice: u64,
}

impl Account {
    /// Certificates that were deactivated.
    pub fn inactive(&self) -> u64 {
        self.inactive.len() as u64
    }

    /// `DescribeCertificate`
    pub fn describe(&self, id: &str) -> String {
        let inactive = finding_of(id).is_some_and(|finding| self.inactive.contains(&finding));
        let status = if inactive { "INACTIVE" } else { "ACTIVE" };
        format!(
            r#"{{"certificateDescription":{{"certificateArn":"arn:aws:iot:{REGION}:{ACCOUNT}:cert/{id}","certificateId":"{id}","status":"{status}","ownedBy":"{ACCOUNT}","creationDate":1700000000.0,"lastModifiedDate":1700000000.0,"customerVersion":1,"certificateMode":"DEFAULT"}}}}"#
        )
    }

    /// `UpdateCertificate`, whose query says `newStatus=INACTIVE`.
    pub fn deactivate(&mut self, id: &str) {
        if let Some(finding) = finding_of(id).filter(|finding| certificate_id(*finding) == id) {
            self.twice += u64::from(!self.inactive.insert(finding));
        }
    }
}

/// `ListAuditFindings` of an audit's page.
pub fn list(backlog: &Backlog, request: &[u8]) -> serde_json::Result<String> {
    let request: Value = serde_json::from_slice(request)?;
    let wanted = request["checkName"].as_str().is_none_or(|check| check == CHECK);
    let audit = request["taskId"].as_str().filter(|_| wanted).map_or(0..0, |task| backlog.audit(task));
    let from = request["nextToken"].as_str().and_then(|token| token.parse().ok()).unwrap_or(audit.start);
    let until = (from + request["maxResults"].as_u64().unwrap_or(PAGE).min(PAGE)).min(audit.end);
    let findings: Vec<_> = (from..until).map(rest).collect();
    let next = if until < audit.end { format!(r#","nextToken":"{until}""#) } else { Default::default() };
    Ok(format!(r#"{{"findings":[{}]{next}}}"#, findings.join(",")))
}

/// `DescribeAuditFinding`
pub fn finding(id: &str) -> (StatusCode, String) {
    let number = id.strip_prefix("22222222-2222-4222-8222-").and_then(|text| u64::from_str_radix(text, 16).ok());
    match number {
        Some(number) => (StatusCode::OK, format!(r#"{{"finding":{}}}"#, rest(number))),
        None => (StatusCode::NOT_FOUND, json!({ "message": "there is no such finding" }).to_string()),
    }
}
