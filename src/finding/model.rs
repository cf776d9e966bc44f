//! What a finding is, once it has been understood: the owned value that every later stage hands on.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A Device Defender audit finding (FACTS: `AuditFinding` of the IoT API, and the native SNS payload).
///
/// Checks, reason codes and resource types are free strings in the API, so values unknown to this version are kept as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `[a-zA-Z0-9_-]{1,128}`, opaque; new in every audit.
    pub finding_id: String,
    /// The audited account, 12 digits: from `TopicArn`, the replay envelope, or configuration.
    pub account: String,
    /// The audited region.
    pub region: String,
    /// The audit that found it, `[a-zA-Z0-9-]{1,40}`.
    pub task_id: Option<String>,
    /// The check, by its modern name.
    pub check: String,
    /// `reasonForNonComplianceCode`.
    pub reason_code: String,
    /// `reasonForNonCompliance`, human text.
    pub reason: String,
    /// As sent, else what the catalogue says of the check.
    pub severity: Severity,
    /// The non-compliant resource.
    pub resource: Resource,
    /// At most ten are inlined; the SNS body usually has none.
    pub related: Vec<Resource>,
    /// Findings that Device Defender suppresses are never mitigated.
    pub suppressed: bool,
    /// When the audit found it, milliseconds since the epoch.
    pub found_at: Option<i64>,
    /// When the audit began, milliseconds since the epoch.
    pub audit_started_at: Option<i64>,
}

/// How bad Device Defender says it is, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// CRITICAL
    Critical,
    /// HIGH
    High,
    /// MEDIUM
    Medium,
    /// LOW
    Low,
    /// A value that this version does not know, or none.
    Unknown,
}

impl Severity {
    /// AWS's own spelling; anything else is [`Severity::Unknown`].
    pub fn parse(text: &str) -> Self {
        match text {
            "CRITICAL" => Self::Critical,
            "HIGH" => Self::High,
            "MEDIUM" => Self::Medium,
            "LOW" => Self::Low,
            _ => Self::Unknown,
        }
    }

    /// AWS's own spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "CRITICAL",
            Self::High => "HIGH",
            Self::Medium => "MEDIUM",
            Self::Low => "LOW",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A resource named by a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// `resourceType`, a free string: `DEVICE_CERTIFICATE`, `IOT_POLICY`, ...
    pub kind: String,
    /// Which one.
    pub identifier: ResourceIdentifier,
    /// `additionalInfo`; values are strings, times in it string milliseconds.
    pub additional_info: BTreeMap<String, String>,
}

/// `ResourceIdentifier` of the API: a structure of optional members of which exactly one is set.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourceIdentifier {
    /// `deviceCertificateId`, 64 hexadecimal characters.
    DeviceCertificate(String),
    /// `caCertificateId`, 64 hexadecimal characters.
    CaCertificate(String),
    /// `policyVersionIdentifier`: the version that was the default when the audit looked.
    PolicyVersion {
        /// `[\w+=,.@-]{1,128}`
        policy: String,
        /// Decimal digits.
        version: String,
    },
    /// `cognitoIdentityPoolId`
    CognitoIdentityPool(String),
    /// `clientId`
    ClientId(String),
    /// `account`, 12 digits.
    Account(String),
    /// `roleAliasArn`
    RoleAlias(String),
    /// `iamRoleArn`
    IamRole(String),
    /// `issuerCertificateIdentifier`
    IssuerCertificate {
        /// `issuerCertificateSubject`, at most 1000 characters.
        subject: String,
        /// `issuerId`, at most 64 hexadecimal characters.
        issuer_id: String,
        /// `issuerCertificateSerialNumber`, hexadecimal with colons.
        serial: String,
    },
    /// `deviceCertificateArn`
    DeviceCertificateArn(String),
    /// A member this version does not know: its name and its JSON text.
    Other {
        /// The member's name.
        member: String,
        /// Its value as compact JSON.
        value: String,
    },
}

/// The audit-completion message: counts only; expanded into findings through `ListAuditFindings`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditSummary {
    /// The audited account.
    pub account: String,
    /// The audited region.
    pub region: String,
    /// The audit's task id.
    pub task_id: String,
    /// `COMPLETED`, `FAILED` or `CANCELED` (free string).
    pub task_status: String,
    /// `ON_DEMAND_AUDIT_TASK` or `SCHEDULED_AUDIT_TASK` (free string).
    pub task_type: String,
    /// Which schedule started it, if one did.
    pub scheduled_audit: Option<String>,
    /// When the audit began, milliseconds since the epoch.
    pub started_at: Option<i64>,
    /// One entry a check.
    pub checks: Vec<CheckSummary>,
    /// Which replay asks that the audit be expanded once more, 1-256 characters; `None` for what Device Defender sent.
    pub replay_id: Option<String>,
}

/// What an audit says of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckSummary {
    /// The check, by its modern name.
    pub check: String,
    /// `COMPLETED_COMPLIANT`, `COMPLETED_NON_COMPLIANT`, `FAILED`, `CANCELED` (free string).
    pub status: String,
    /// `nonCompliantResourcesCount`
    pub non_compliant: u64,
    /// `suppressedNonCompliantResourcesCount` (both spellings are accepted).
    pub suppressed: u64,
    /// `totalResourcesCount`
    pub total: u64,
    /// `INSUFFICIENT_PERMISSIONS`, `AUDIT_CHECK_DISABLED` or another code.
    pub error_code: Option<String>,
    /// Text that comes with the code.
    pub message: Option<String>,
}

impl CheckSummary {
    /// Non-compliant resources that are not suppressed: `nonCompliantResourcesCount` counts the suppressed ones too.
    pub fn objected(&self) -> u64 {
        self.non_compliant.saturating_sub(self.suppressed)
    }
}
