//! One message of the dead-letter queue, as a value.

use crate::finding::{Content, Origin, decode};
use crate::queue::Received;
use std::collections::BTreeMap;

/// The reason of a letter that SQS itself moved, since it was received more than `maxReceiveCount` times: no worker lived long
/// enough to say why.
pub const REDRIVEN: &str = "redriven_by_sqs";

/// What a worker writes where there is nothing to say, as SQS takes no empty attribute.
const NOTHING: &str = "-";

/// A received dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The same for every delivery; a move to another queue changes it.
    pub message_id: String,
    /// Of this delivery: what deletes the letter or gives it back.
    pub receipt_handle: String,
    /// The original body, unchanged.
    pub body: String,
    /// Why it was given up: `attempts_exhausted`, `invalid_finding`, ...; [`REDRIVEN`] if no worker said so.
    pub reason: String,
    /// The last error, in words; empty if none is known.
    pub error: String,
    /// The finding's id (an audit's task id, for a summary); `None` if there is none, or if the message holds several.
    pub finding_id: Option<String>,
    /// The check, by its modern name; `None` as above, and for a summary.
    pub check: Option<String>,
    /// Attempts that were spent on it, as far as a worker told.
    pub attempts: u32,
    /// When a worker first received it, milliseconds since the epoch.
    pub first_seen: Option<i64>,
    /// `SentTimestamp`, milliseconds since the epoch: when it was given up, or, if SQS moved it, when it first came to the queue.
    pub sent_at: Option<i64>,
    /// `ApproximateReceiveCount`, this delivery included: how often somebody looked at it.
    pub receive_count: u32,
    /// Every string attribute, those that the fields above were read from included.
    pub attributes: BTreeMap<String, String>,
}

impl Letter {
    /// Reads the attributes that a worker writes with a dead letter. Without them the body is asked: it names its finding and its
    /// check if [`decode`] understands it.
    pub fn new(received: Received) -> Self {
        let Received { message_id, receipt_handle, body, attributes, receive_count, sent_at, .. } = received;
        let told = |name: &str| attributes.get(name).filter(|text| *text != NOTHING && !text.is_empty()).cloned();
        let reason = told("reason");
        let (finding_id, check) = match &reason {
            Some(_) => (told("findingId"), told("checkName")),
            None => subject(&body),
        };
        Self {
            reason: reason.unwrap_or_else(|| REDRIVEN.to_owned()),
            error: told("error").unwrap_or_default(),
            finding_id,
            check,
            attempts: told("attempts").and_then(|text| text.parse().ok()).unwrap_or(0),
            first_seen: told("firstSeen").and_then(|text| text.parse().ok()),
            message_id,
            receipt_handle,
            body,
            sent_at,
            receive_count,
            attributes,
        }
    }

    /// Whether it is the one that a person means by a finding's id, an audit's task id or a message id.
    pub fn is(&self, id: &str) -> bool {
        self.message_id == id || self.finding_id.as_deref() == Some(id)
    }
}

/// The finding's id and the check of a body that holds one entry.
fn subject(body: &str) -> (Option<String>, Option<String>) {
    // Where it comes from is not known here and not needed: a refusal for want of it still names the finding.
    let mut arrivals = decode(body, &Origin::default());
    let (Some(only), true) = (arrivals.pop(), arrivals.is_empty()) else { return (None, None) };
    match only.content {
        Ok(Content::Finding(finding)) => (Some(finding.finding_id), Some(finding.check)),
        Ok(Content::Summary(summary)) => (Some(summary.task_id), None),
        Err(rejected) => (rejected.finding_id, rejected.check),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINDING: &str = include_str!("../../tests/fixtures/finding_iot_policy.json");
    const FINDING_ID: &str = "11111111-1111-4111-8111-111111111111";

    fn received(body: &str, attributes: &[(&str, &str)]) -> Received {
        Received {
            message_id: "m-1".to_owned(),
            receipt_handle: "h-1".to_owned(),
            body: body.to_owned(),
            attributes: attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            receive_count: 3,
            first_received_at: Some(2_000),
            sent_at: Some(1_000),
            trace_header: None,
        }
    }

    #[test]
    fn a_letter_is_read_from_the_attributes_that_a_worker_wrote() {
        let letter = Letter::new(received(
            "}{",
            &[
                ("reason", "attempts_exhausted"),
                ("error", "UpdateCertificate: InternalFailureException"),
                ("findingId", "f-1"),
                ("checkName", "DEVICE_CERTIFICATE_SHARED_CHECK"),
                ("attempts", "5"),
                ("firstSeen", "1790000000000"),
            ],
        ));
        assert_eq!(letter.reason, "attempts_exhausted");
        assert_eq!(letter.error, "UpdateCertificate: InternalFailureException");
        assert_eq!(letter.finding_id.as_deref(), Some("f-1"));
        assert_eq!(letter.check.as_deref(), Some("DEVICE_CERTIFICATE_SHARED_CHECK"));
        assert_eq!((letter.attempts, letter.first_seen), (5, Some(1_790_000_000_000)));
        assert_eq!((letter.sent_at, letter.receive_count), (Some(1_000), 3));
        assert!(letter.is("f-1") && letter.is("m-1") && !letter.is("h-1"));
    }

    #[test]
    fn what_a_worker_marked_as_nothing_is_nothing() {
        let dashes = ["error", "findingId", "checkName", "firstSeen"].map(|name| (name, "-"));
        let letter =
            Letter::new(received(FINDING, &[&dashes[..], &[("reason", "not_json"), ("attempts", "0")]].concat()));
        assert_eq!((letter.finding_id.as_deref(), letter.check.as_deref()), (None, None), "the worker's word counts");
        assert_eq!((letter.error.as_str(), letter.attempts, letter.first_seen), ("", 0, None));
        assert!(!letter.is("-"));
    }

    #[test]
    fn a_letter_that_sqs_moved_names_the_finding_and_the_check_of_its_body() {
        let enveloped = include_str!("../../tests/fixtures/sqs_body_sns_envelope_finding.json");
        for body in [FINDING, enveloped] {
            let letter = Letter::new(received(body, &[("trace", "t-1")]));
            assert_eq!(letter.reason, REDRIVEN);
            assert_eq!(letter.finding_id.as_deref(), Some(FINDING_ID), "{body}");
            assert_eq!(letter.check.as_deref(), Some("IOT_POLICY_OVERLY_PERMISSIVE_CHECK"));
            assert_eq!(letter.attributes["trace"], "t-1");
        }
    }

    #[test]
    fn a_letter_that_sqs_moved_and_nobody_understands_names_nothing() {
        let several = format!("{{\"Records\":[{{\"body\":{0}}},{{\"body\":{0}}}]}}", serde_json::json!(FINDING));
        for body in ["}{", "", "{\"Records\":[]}", several.as_str()] {
            let letter = Letter::new(received(body, &[]));
            assert_eq!(letter.reason, REDRIVEN);
            assert_eq!((letter.finding_id, letter.check), (None, None), "{body}");
            assert_eq!(letter.body, body);
        }
    }

    #[test]
    fn a_letter_with_attributes_that_are_no_numbers_is_still_a_letter() {
        let letter =
            Letter::new(received(FINDING, &[("reason", "x"), ("attempts", "many"), ("firstSeen", "yesterday")]));
        assert_eq!((letter.reason.as_str(), letter.attempts, letter.first_seen), ("x", 0, None));
    }
}
