//! The messages of a backlog, made when they are asked for, so that a million of them take no room.

use fastrand::Rng;

/// Whose findings they are.
pub const ACCOUNT: &str = "123456789012";
/// Where.
pub const REGION: &str = "us-east-1";
/// What is wrong with every certificate.
pub const CHECK: &str = "DEVICE_CERTIFICATE_SHARED_CHECK";

/// Findings of one audit.
const AUDIT: u64 = 5_000;
/// Of two duplicates one is of a finding among so many before it, which is likely to be in hand, and one of any before it.
const CLOSE: u64 = 200;

/// So many messages about fewer findings, in an order that the seed gives.
pub struct Backlog {
    rng: Rng,
    messages: u64,
    findings: u64,
    sent: u64,
    begun: u64,
}

impl Backlog {
    /// `duplicates` is the part of the messages whose finding came before, 0 up to 1.
    pub fn new(messages: u64, duplicates: f64, seed: u64) -> Self {
        let findings = ((messages as f64 * (1.0 - duplicates)).round() as u64).max(messages.min(1));
        Self { rng: Rng::with_seed(seed), messages, findings, sent: 0, begun: 0 }
    }

    /// Messages in all.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Findings that they are about.
    pub fn findings(&self) -> u64 {
        self.findings
    }

    /// Messages that were not asked for yet.
    pub fn left(&self) -> u64 {
        self.messages - self.sent
    }

    /// The next message's number, and that of its finding.
    pub fn next(&mut self) -> Option<(u64, u64)> {
        let left = self.left();
        if left == 0 {
            return None;
        }
        let message = self.sent;
        self.sent += 1;
        let fresh = self.begun == 0 || self.rng.u64(0..left) < self.findings - self.begun;
        if fresh {
            self.begun += 1;
            return Some((message, self.begun - 1));
        }
        let oldest = if self.rng.bool() { self.begun.saturating_sub(CLOSE) } else { 0 };
        Some((message, self.rng.u64(oldest..self.begun)))
    }

    /// The findings of an audit, by its id.
    pub fn audit(&self, task_id: &str) -> std::ops::Range<u64> {
        let first = u64::from_str_radix(task_id, 16).unwrap_or(u64::MAX).saturating_mul(AUDIT);
        first.min(self.findings)..first.saturating_add(AUDIT).min(self.findings)
    }
}

/// The id of a finding's certificate; it ends with the finding's number.
pub fn certificate_id(finding: u64) -> String {
    format!("{:048x}{finding:016x}", finding.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// The number of the finding whose certificate this is.
pub fn finding_of(certificate_id: &str) -> Option<u64> {
    u64::from_str_radix(certificate_id.get(48..)?, 16).ok()
}

/// The body of a message about a finding: Device Defender's payload as SNS wraps it.
pub fn body(message: u64, finding: u64) -> String {
    let payload = payload(finding, "1791014401456", "1791014400123");
    let payload = serde_json::Value::from(payload);
    format!(
        r#"{{"Type":"Notification","MessageId":"b1b1b1b1-0000-5000-8000-{message:012x}","TopicArn":"arn:aws:sns:{REGION}:{ACCOUNT}:DeviceDefenderFindings","Message":{payload},"Timestamp":"2026-10-03T12:00:02.345Z","SignatureVersion":"1","Signature":"RVhBTVBMRQ==","SigningCertURL":"https://sns.{REGION}.amazonaws.com/SimpleNotificationService-0000000000000000000000000000000.pem","UnsubscribeURL":"https://sns.{REGION}.amazonaws.com/?Action=Unsubscribe&SubscriptionArn=arn:aws:sns:{REGION}:{ACCOUNT}:DeviceDefenderFindings:11112222-3333-4444-5555-666677778888"}}"#
    )
}

/// The finding as the REST API tells it, whose times are seconds.
pub fn rest(finding: u64) -> String {
    payload(finding, "1791014401.456", "1791014400.123")
}

fn payload(finding: u64, found_at: &str, started_at: &str) -> String {
    let (task, certificate) = (finding / AUDIT, certificate_id(finding));
    format!(
        r#"{{"findingId":"22222222-2222-4222-8222-{finding:012x}","findingTime":{found_at},"severity":"CRITICAL","taskStartTime":{started_at},"nonCompliantResource":{{"resourceType":"DEVICE_CERTIFICATE","resourceIdentifier":{{"deviceCertificateId":"{certificate}"}}}},"taskId":"{task:032x}","checkName":"{CHECK}","reasonForNonComplianceCode":"CERTIFICATE_SHARED_BY_MULTIPLE_DEVICES","reasonForNonCompliance":"Certificate shared by one or more devices.","relatedResources":[{{"resourceType":"CLIENT_ID","resourceIdentifier":{{"clientId":"SensorDevice{finding}a"}},"additionalInfo":{{"CONNECTION_TIME":"1791000000000"}}}},{{"resourceType":"CLIENT_ID","resourceIdentifier":{{"clientId":"SensorDevice{finding}b"}},"additionalInfo":{{"CONNECTION_TIME":"1790990000000","DISCONNECTION_TIME":"1790999999000"}}}}],"isSuppressed":false}}"#
    )
}
