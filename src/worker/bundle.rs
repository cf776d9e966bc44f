//! A message that holds several findings becomes as many messages.

use super::breaker::Dependency;
use super::dead_letter::DeadLetter;
use super::delivery::{Settlement, Ticket, Why};
use super::shared::Shared;
use crate::aws::{CallError, Class};
use crate::finding::{Arrival, Content, RejectReason, encode_message, encode_own};
use crate::ledger::Subject;
use crate::queue::{self, Outgoing, Queue};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// When a bundle comes back that could not be split, at most.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// From here on each has its own fate, retries and dead letter. What was sent before a failure is
/// sent again; duplicates do no harm. What SQS refuses to carry alone would keep the others coming back: it is given up, and so is
/// what SNS did not sign: alone, it might not show that it should have been.
pub(super) async fn split<Q: Queue, L, I>(shared: Arc<Shared<Q, L, I>>, arrivals: Vec<Arrival>, ticket: Ticket) {
    let attributes = ticket.delivery().attributes.clone();
    let (forged, arrivals): (Vec<_>, Vec<_>) = arrivals.into_iter().partition(is_forged);
    let mut refused: Vec<(&Arrival, Option<CallError>)> = forged.iter().map(|part| (part, None)).collect();
    for batch in arrivals.chunks(queue::BATCH) {
        let parts: Vec<Outgoing> =
            batch.iter().map(|arrival| Outgoing::new(&text_alone(arrival), attributes.clone())).collect();
        let failed = match send(&shared, &parts).await {
            Ok(results) => {
                let failed = results.into_iter().zip(batch).filter_map(|(result, part)| Some((part, result.err()?)));
                let (permanent, passing): (Vec<_>, Vec<_>) =
                    failed.partition(|(_, error)| error.class == Class::Permanent);
                refused.extend(permanent.into_iter().map(|(part, error)| (part, Some(error))));
                passing.into_iter().map(|(_, error)| error).next()
            }
            Err(error) => Some(error),
        };
        if let Some(error) = failed {
            shared.telemetry.split_failed(&error);
            shared.breaker.met(Dependency::Queue, &error);
            let delay = Duration::from_secs(1) + shared.jitter(AFTER_FAILURE);
            ticket.settle(Settlement::Park(Why::CallFailed, delay));
            return;
        }
    }
    shared.telemetry.split(arrivals.len() + forged.len() - refused.len());
    let mut end = Settlement::Done;
    for (part, error) in refused {
        if let parked @ Settlement::Park(..) = given_up(part, error, &ticket).send(&shared).await {
            end = parked;
        }
    }
    ticket.settle(end);
}

async fn send<Q: Queue, L, I>(
    shared: &Shared<Q, L, I>,
    parts: &[Outgoing],
) -> Result<Vec<Result<String, CallError>>, CallError> {
    match shared.queue.send(parts).await {
        // One of them is not acceptable: alone, each gets its own answer.
        Err(error) if error.class == Class::Permanent => {
            let mut results = Vec::with_capacity(parts.len());
            for part in parts {
                match shared.queue.send(std::slice::from_ref(part)).await {
                    Ok(alone) => results.extend(alone),
                    Err(error) => results.push(Err(error)),
                }
            }
            Ok(results)
        }
        results => results,
    }
}

fn is_forged(part: &Arrival) -> bool {
    matches!(&part.content, Err(rejected) if rejected.reason == RejectReason::BadSignature)
}

/// What is sent for a part. One whose signatures were checked goes on in our own envelope: it may share SNS's with others, and
/// would not be what SNS signed without them.
fn text_alone(part: &Arrival) -> Cow<'_, str> {
    match &part.content {
        Ok(_) if part.seals.is_empty() => Cow::Borrowed(&part.source),
        Ok(Content::Finding(finding)) => Cow::Owned(encode_own(finding, part.replay.as_ref())),
        Ok(Content::Summary(summary)) => {
            let place = Some((summary.account.as_str(), summary.region.as_str()));
            Cow::Owned(encode_message(place, part.replay.as_ref(), &summary.to_native()))
        }
        Err(_) => Cow::Borrowed(&part.source),
    }
}

fn given_up(part: &Arrival, error: Option<CallError>, ticket: &Ticket) -> DeadLetter {
    let (source, first_seen) = (part.source.clone(), ticket.delivery().first_received_at);
    let error = error.map(|error| error.to_string()).unwrap_or_default();
    let given_up = |subject| DeadLetter::given_up(&subject, "not_sendable", error, 0, first_seen, source);
    match &part.content {
        Ok(Content::Finding(finding)) => given_up(Subject::from(&**finding)),
        Ok(Content::Summary(summary)) => given_up(Subject::from(summary)),
        Err(rejected) => DeadLetter::rejected(rejected, part.source.clone(), ticket.delivery()),
    }
}
