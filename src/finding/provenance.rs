//! Which account and region a message speaks of.
//!
//! Bodies of findings name neither. Our own envelope does; else the SNS topic tells (it lies in the audited account),
//! else the queue of an SQS record, else the configuration.

use super::identifier::is_account;
use super::{Origin, Replay, Seal};
use std::sync::Arc;

/// The sentence of a message that speaks of nowhere.
pub(super) const UNKNOWN: &str = "neither the message (TopicArn, eventSourceARN) nor the configuration says which account and region were \
     audited; configure both, or turn raw message delivery off so that the topic is told";

/// An account and a region, as far as they are told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub account: Option<String>,
    pub region: Option<String>,
}

impl Place {
    /// The place in `arn:aws:<service>:<region>:<account>:...` (also `aws-cn`, `aws-us-gov`); an ARN of another form says nothing.
    pub fn of_arn(arn: &str, service: &str) -> Self {
        let mut parts = arn.splitn(6, ':');
        let mut next = || parts.next().unwrap_or_default();
        let fits = next() == "arn" && matches!(next(), "aws" | "aws-cn" | "aws-us-gov") && next() == service;
        let (region, account, name) = (next(), next(), next());
        // A topic's name has at most 256 characters, a queue's 80.
        if !fits || !is_region(region) || !is_account(account) || !(1..=256).contains(&name.len()) {
            return Self::default();
        }
        Self { account: Some(account.to_owned()), region: Some(region.to_owned()) }
    }
}

/// `us-east-1`, `us-gov-west-1`: loosely, so that a new region needs no new version.
pub(super) fn is_region(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// What the envelopes around a message have told so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Provenance {
    pub own: Place,
    pub topic: Place,
    pub queue: Place,
    pub replay: Option<Replay>,
    /// Shared by all entries in the envelope.
    pub seals: Vec<Arc<Result<Seal, String>>>,
}

impl Provenance {
    /// Account and region, each from the first that tells it.
    pub fn resolve<'a>(&'a self, origin: &'a Origin) -> (Option<&'a str>, Option<&'a str>) {
        let places = [&self.own, &self.topic, &self.queue];
        let account = places.iter().find_map(|place| place.account.as_deref());
        let region = places.iter().find_map(|place| place.region.as_deref());
        (account.or(origin.account.as_deref()), region.or(origin.region.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_tells_account_and_region_in_every_partition() {
        for partition in ["aws", "aws-cn", "aws-us-gov"] {
            let place = Place::of_arn(&format!("arn:{partition}:sns:us-gov-west-1:123456789012:Findings"), "sns");
            assert_eq!(place.account.as_deref(), Some("123456789012"));
            assert_eq!(place.region.as_deref(), Some("us-gov-west-1"));
        }
    }

    #[test]
    fn an_arn_of_another_form_tells_nothing() {
        for arn in [
            "",
            "arn",
            "arn:aws:sqs:us-east-1:123456789012:q",
            "arn:aws:sns:us-east-1:12345:t",
            "arn:aws:sns::123456789012:t",
        ] {
            assert_eq!(Place::of_arn(arn, "sns"), Place::default(), "{arn}");
        }
    }
}
