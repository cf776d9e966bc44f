//! The spans of a trace, one function each: their names and attributes are here and nowhere else.
//!
//! ```text
//! receive                      a poll that brought messages
//! finding                      a claim, from the ledger's word to the settled message; its link is the message's sender, else `receive`
//! |- wait                      for a place among those that are worked on
//! |- authenticate              does Device Defender have it (P6)
//! |- UPDATE_DEVICE_CERTIFICATE an action (`delegate`: Device Defender's own engine)
//! |  |- slot                   of the operation's budget
//! |  `- IoT.UpdateCertificate  one request to AWS
//! |- dead_letter
//! `- finish                    until the end is on record
//! rejected                     a message that was given up before any claim
//! ```
//!
//! They have a target of their own, so that where nobody wants traces no span is made, which costs a load and a branch each.

use super::producer;
use crate::aws::CallError;
use crate::finding::ActionType;
use crate::ledger::{Finish, Record, Status, WriteError};
use crate::queue::Received;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use tracing::field::{Empty, display};
use tracing::{Instrument, Level, Span, info_span, span_enabled};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The target of all of them, for filters.
pub(crate) const TARGET: &str = "fleetwarden::trace";

/// The name of the span that every log line of a finding is in.
pub(crate) const FINDING: &str = "finding";

/// A status is told in as many characters as a person reads of it.
const MAX_DESCRIPTION: usize = 300;

/// A poll's messages on their way in.
pub(crate) fn receive(messages: usize) -> Span {
    info_span!(
        target: TARGET,
        parent: None,
        "receive",
        otel.kind = "consumer",
        messaging.system = "aws_sqs",
        messaging.operation.type = "receive",
        messaging.batch.message_count = messages,
    )
}

/// What the finding of a message is linked to: the message's sender, else the poll that brought it, whose span is the current one.
/// `None` where nobody wants traces.
pub(crate) fn origin(message: &Received) -> Option<SpanContext> {
    let receive = Span::current();
    if receive.is_none() {
        return None;
    }
    let poll = || receive.context().span().span_context().clone();
    Some(producer::of_message(message).unwrap_or_else(poll))
}

/// A claim that was won, until its message is settled.
pub(crate) fn finding(record: &Record, worker: &str, message: Option<(String, Option<SpanContext>)>) -> Span {
    let (message_id, origin) = message.unwrap_or_default();
    let subject = &record.subject;
    let finding = subject.key.split_once('#').map_or(subject.key.as_str(), |(_, id)| id);
    let span = info_span!(
        target: TARGET,
        parent: None,
        FINDING,
        otel.kind = "consumer",
        messaging.system = "aws_sqs",
        messaging.operation.type = "process",
        messaging.message.id = message_id,
        finding,
        check = subject.check,
        resource = subject.resource_id,
        epoch = record.epoch,
        worker,
        rule = Empty,
        status = Empty,
        otel.status_code = Empty,
        otel.status_description = Empty,
    );
    if let Some(origin) = origin {
        span.add_link(origin);
    }
    span
}

/// Tells the current finding's span how it ended, as far as that is on record.
pub(crate) fn ended(finish: &Finish, written: &Result<(), WriteError>) {
    let span = Span::current();
    match written {
        Ok(()) => {
            span.record("status", display(finish.status));
            if let Some(rule) = &finish.rule {
                span.record("rule", rule);
            }
            if finish.status == Status::Dead {
                failed(&span, &finish.detail);
            }
        }
        Err(WriteError::LostClaim) => failed(&span, "lost the claim to another worker"),
        Err(WriteError::Call(error)) => failed(&span, &format!("failed to {error}")),
    }
}

/// A message that is given up before it was claimed.
pub(crate) fn rejected(message_id: &str, origin: Option<&SpanContext>) -> Span {
    let span = info_span!(
        target: TARGET,
        parent: None,
        "rejected",
        otel.kind = "consumer",
        messaging.system = "aws_sqs",
        messaging.operation.type = "process",
        messaging.message.id = message_id,
    );
    if let Some(origin) = origin {
        span.add_link(origin.clone());
    }
    span
}

/// A part of a finding's way. What happens outside of any (a worker's own upkeep) begins no trace.
fn part(make: impl FnOnce() -> Span) -> Span {
    let within = span_enabled!(target: TARGET, Level::INFO) && !Span::current().is_none();
    if within { make() } else { Span::none() }
}

/// Waiting for a place among the findings that are worked on.
pub(crate) fn wait() -> Span {
    part(|| info_span!(target: TARGET, "wait"))
}

/// Asking whether Device Defender has the finding.
pub(crate) fn authenticate() -> Span {
    part(|| info_span!(target: TARGET, "authenticate"))
}

/// One action, with all its calls.
pub(crate) fn action(action: ActionType) -> Span {
    part(|| info_span!(target: TARGET, "action", otel.name = action.as_str(), action = action.as_str()))
}

/// Device Defender's own engine at work, from handing the finding over to its word.
pub(crate) fn delegate() -> Span {
    part(|| info_span!(target: TARGET, "delegate"))
}

/// Turning an audit's summary into findings.
pub(crate) fn expand() -> Span {
    part(|| info_span!(target: TARGET, "expand"))
}

/// Waiting for the end to be on record.
pub(crate) fn finish() -> Span {
    part(|| info_span!(target: TARGET, "finish"))
}

/// Giving up.
pub(crate) fn dead_letter(reason: &str, error: &str) -> Span {
    part(|| {
        let span = info_span!(
            target: TARGET,
            "dead_letter",
            otel.kind = "producer",
            messaging.system = "aws_sqs",
            messaging.operation.type = "send",
            reason,
            otel.status_code = Empty,
            otel.status_description = Empty,
        );
        failed(&span, error);
        span
    })
}

/// Waiting for a slot of an operation's budget.
pub(crate) fn slot(operation: &'static str) -> Span {
    part(|| info_span!(target: TARGET, "slot", operation))
}

tokio::task_local! {
    /// The span of the request under way in this task. The current span may be one of the SDK's own, if its are logged.
    static CALL: Span;
}

/// Makes one request to AWS in a span after OpenTelemetry's conventions for AWS SDKs. `service` is `IoT` or `SNS`.
pub(crate) async fn call<T>(
    service: &'static str,
    operation: &'static str,
    call: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    let span = part(|| {
        info_span!(
            target: TARGET,
            "call",
            otel.name = format!("{service}.{operation}"),
            otel.kind = "client",
            rpc.system = "aws-api",
            rpc.service = service,
            rpc.method = operation,
            aws.request_id = Empty,
            error.type = Empty,
            otel.status_code = Empty,
            otel.status_description = Empty,
        )
    });
    if span.is_disabled() {
        return call.await;
    }
    let result = CALL.scope(span.clone(), call.instrument(span.clone())).await;
    if let Err(error) = &result {
        span.record("error.type", error.code.as_deref().unwrap_or(error.class.as_str()));
        failed(&span, &error.message);
    }
    result
}

/// AWS answered the request under way in this task, and this is its id of it.
pub(crate) fn answered(request_id: &str) {
    // Most requests are in no span.
    let _ = CALL.try_with(|span| {
        span.record("aws.request_id", request_id);
    });
}

fn failed(span: &Span, description: &str) {
    if span.is_disabled() {
        return;
    }
    let end = description.char_indices().nth(MAX_DESCRIPTION).map_or(description.len(), |(end, _)| end);
    span.record("otel.status_code", "ERROR");
    span.record("otel.status_description", &description[..end]);
}
