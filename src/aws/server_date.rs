//! What time AWS says it is: the `Date` header of an answer.

use super::{CallError, Effect, classify};
use crate::clock::Clock;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use std::sync::{Arc, Mutex, PoisonError};

/// AWS's time in an answer, and this machine's around the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerDate {
    /// When the call was begun, by this machine.
    pub asked: Timestamp,
    /// When its answer was there, by this machine.
    pub answered: Timestamp,
    /// What the answer's header says: whole seconds, rounded down.
    pub date: Timestamp,
}

/// Notes the header of the last answer, whatever else it says.
#[derive(Debug)]
struct Note {
    clock: Clock,
    seen: Arc<Mutex<Option<(Timestamp, Timestamp)>>>,
}

impl Intercept for Note {
    fn name(&self) -> &'static str {
        "ServerDate"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date) = context.response().headers().get("date").and_then(parse) {
            *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((self.clock.now(), date));
        }
        Ok(())
    }
}

/// Asks SQS for an attribute of the queue: what became of that, and when the answer was written. A refusal has a date too; `None` is
/// no answer, or one without a date.
pub async fn server_date(
    sqs: &aws_sdk_sqs::Client,
    queue_url: &str,
    clock: &Clock,
) -> (Result<(), CallError>, Option<ServerDate>) {
    let seen = Arc::default();
    let note = Note { clock: clock.clone(), seen: Arc::clone(&seen) };
    let asked = clock.now();
    let call = sqs.get_queue_attributes().queue_url(queue_url).attribute_names("QueueArn".into());
    let answer = call.customize().interceptor(note).send().await;
    let answer = answer.map(drop).map_err(|error| classify("GetQueueAttributes", Effect::Read, error));
    let seen = *seen.lock().unwrap_or_else(PoisonError::into_inner);
    (answer, seen.map(|(answered, date)| ServerDate { asked, answered, date }))
}

/// `Sun, 22 Nov 2026 22:44:43 GMT` (RFC 9110, which takes this form from RFC 2822).
fn parse(header: &str) -> Option<Timestamp> {
    rfc2822::parse(header).ok().map(|at| at.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_an_http_answer_is_read() {
        let at: Timestamp = "2026-11-22T22:44:43Z".parse().unwrap();
        assert_eq!(parse("Sun, 22 Nov 2026 22:44:43 GMT"), Some(at));
        assert_eq!(parse("yesterday"), None);
    }

    #[cfg(feature = "sandbox")]
    #[tokio::test]
    async fn an_answer_tells_its_date_even_if_it_is_a_refusal() {
        use crate::sandbox::{Sandbox, SandboxConfig};
        let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
        let clients = crate::aws::Clients::new(&sandbox.sdk_config());
        let nowhere = format!("{}/123456789012/nothing", sandbox.endpoint());
        let (answer, seen) = server_date(&clients.sqs, &nowhere, &Clock::system()).await;
        let (seen, _) = (seen.unwrap(), answer.unwrap_err());
        assert!(seen.asked <= seen.answered);
        // One clock on both sides, but the header's has whole seconds.
        assert!(seen.date.as_second() >= seen.asked.as_second() && seen.date <= seen.answered, "{seen:?}");
    }
}
