//! Giving up on a message: to the dead-letter queue with the reason attached, before the original is deleted.

use super::breaker::Dependency;
use super::delivery::{Delivery, Settlement, Ticket, Why};
use super::shared::Shared;
use crate::aws::{CallError, Class};
use crate::finding::Rejected;
use crate::ledger::Subject;
use crate::queue::{MAX_MESSAGE, Outgoing, Queue};
use crate::telemetry::spans;
use backon::{ExponentialBuilder, Retryable};
use std::collections::BTreeMap;
use std::time::Duration;
use tracing::Instrument;

/// Message attributes have no empty values.
const NOTHING: &str = "-";

/// An attribute's value is cut to this many characters; the ledger has the whole text.
const MAX_TEXT: usize = 1000;

/// When a message comes back that could not be given up, at most.
const AFTER_FAILURE: Duration = Duration::from_secs(30);

/// A message about to be given up.
#[derive(Debug)]
pub(super) struct DeadLetter {
    reason: String,
    error: String,
    finding_id: String,
    check: String,
    resource: Option<String>,
    message_id: Option<String>,
    attempts: u32,
    first_seen: Option<i64>,
    body: String,
}

impl DeadLetter {
    /// What could not be understood.
    pub fn rejected(rejected: &Rejected, body: String, delivery: &Delivery) -> Self {
        Self {
            reason: rejected.reason.as_str().to_owned(),
            error: rejected.message.clone(),
            finding_id: rejected.finding_id.clone().unwrap_or_default(),
            check: rejected.check.clone().unwrap_or_default(),
            resource: None,
            message_id: Some(delivery.message_id.clone()),
            attempts: 0,
            first_seen: delivery.first_received_at,
            body,
        }
    }

    /// A finding id that came before with other content.
    pub fn mismatch(subject: &Subject, body: String, delivery: &Delivery) -> Self {
        let what = match subject.key.strip_prefix("expansion#") {
            Some(_) => format!(
                "a summary of audit {} with other checks is on record; find out who sent either, and have all of it expanded with `fleetwarden replay audit {0}`",
                subject.resource_id
            ),
            None => format!(
                "{} is on record with another content: two different findings cannot have one id; find out who sent this one",
                subject.key
            ),
        };
        Self {
            error: what,
            message_id: Some(delivery.message_id.clone()),
            ..Self::given_up(subject, "payload_mismatch", String::new(), 0, delivery.first_received_at, body)
        }
    }

    /// A finding that cannot be mitigated.
    pub fn given_up(
        subject: &Subject,
        reason: &str,
        error: String,
        attempts: u32,
        first_seen: Option<i64>,
        body: String,
    ) -> Self {
        Self {
            reason: reason.to_owned(),
            error,
            finding_id: subject.key.split_once('#').map_or(subject.key.as_str(), |(_, id)| id).to_owned(),
            check: subject.check.clone(),
            resource: Some(subject.resource_id.clone()),
            message_id: None,
            attempts,
            first_seen,
            body,
        }
    }

    /// Sends it; `Done` means that the original may be deleted, anything else that it must come again.
    pub async fn send<Q: Queue, L, I>(&self, shared: &Shared<Q, L, I>) -> Settlement {
        match self.put(shared).instrument(spans::dead_letter(&self.reason, &self.error)).await {
            Ok(()) => {
                let named = (self.finding_id.as_str(), self.check.as_str(), self.resource.as_deref());
                shared.telemetry.dead_lettered(&self.reason, named, self.message_id.as_deref(), &self.error);
                Settlement::Done
            }
            Err(error) => {
                shared.telemetry.dead_letter_failed(&error);
                shared.breaker.met(Dependency::Queue, &error);
                Settlement::Park(Why::CallFailed, Duration::from_secs(1) + shared.jitter(AFTER_FAILURE))
            }
        }
    }

    /// Sends it and settles its message.
    pub async fn send_and_settle<Q: Queue, L, I>(self, shared: &Shared<Q, L, I>, ticket: Ticket) {
        let Delivery { message_id, origin, .. } = ticket.delivery();
        let settlement = self.send(shared).instrument(spans::rejected(message_id, origin.as_ref())).await;
        ticket.settle(settlement);
    }

    async fn put<Q: Queue, L, I>(&self, shared: &Shared<Q, L, I>) -> Result<(), CallError> {
        let attempt = || async {
            let mut sent = shared.dead_letters.send(std::slice::from_ref(&self.message())).await?;
            match sent.pop() {
                Some(Ok(_)) => Ok(()),
                Some(Err(error)) => Err(error),
                None => Err(CallError::new(Class::Unknown, "SendMessageBatch", "the reply holds no entry")),
            }
        };
        // Sent twice does no harm, lost does: every error but a refusal is tried again.
        attempt
            .retry(ExponentialBuilder::default().with_min_delay(Duration::from_millis(100)).with_max_times(3))
            .sleep(tokio::time::sleep)
            .when(|error| !matches!(error.class, Class::Denied | Class::Permanent))
            .await
    }

    fn message(&self) -> Outgoing {
        let mut attributes = BTreeMap::new();
        let mut put = |name: &str, value: &str| {
            let value: String = if value.is_empty() { NOTHING.to_owned() } else { printable(value) };
            attributes.insert(name.to_owned(), value);
        };
        put("reason", &self.reason);
        put("error", &self.error);
        put("findingId", &self.finding_id);
        put("checkName", &self.check);
        put("attempts", &self.attempts.to_string());
        put("firstSeen", &self.first_seen.map(|ms| ms.to_string()).unwrap_or_default());
        let mut message = Outgoing::new(&self.body, attributes);
        // Never a finding of Device Defender, which has a few kilobytes: its beginning and the reason are worth more than a letter
        // that cannot be sent.
        let surplus = message.size().saturating_sub(MAX_MESSAGE);
        if surplus > 0 {
            message.body.truncate(message.body.floor_char_boundary(message.body.len().saturating_sub(surplus)));
        }
        message
    }
}

/// SQS takes only some control characters in attribute values.
fn printable(text: &str) -> String {
    text.chars()
        .take(MAX_TEXT)
        .map(|c| if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') { ' ' } else { c })
        .collect()
}
