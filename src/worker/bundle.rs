//! A message that holds several findings becomes as many messages.

use super::breaker::Dependency;
use super::dead_letter::DeadLetter;
use super::delivery::{Settlement, Ticket};
use super::shared::Shared;
use super::subject::{finding_subject, summary_subject};
use crate::aws::{CallError, Class};
use crate::finding::{Arrival, Content};
use crate::queue::{self, Outgoing, Queue};
use std::sync::Arc;
use std::time::Duration;

/// When a bundle comes back that could not be split, at most.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// From here on each has its own fate, retries and dead letter. What was sent before a failure is
/// sent again; duplicates do no harm. What SQS refuses to carry alone would keep the others coming back: it is given up.
pub(super) async fn split<Q: Queue, L, I>(shared: Arc<Shared<Q, L, I>>, arrivals: Vec<Arrival>, ticket: Ticket) {
    let attributes = ticket.delivery().attributes.clone();
    let mut refused = Vec::new();
    for batch in arrivals.chunks(queue::BATCH) {
        let parts: Vec<Outgoing> =
            batch.iter().map(|arrival| Outgoing::new(&arrival.source, attributes.clone())).collect();
        let failed = match send(&shared, &parts).await {
            Ok(results) => {
                let failed = results.into_iter().zip(batch).filter_map(|(result, part)| Some((part, result.err()?)));
                let (permanent, passing): (Vec<_>, Vec<_>) =
                    failed.partition(|(_, error)| error.class == Class::Permanent);
                refused.extend(permanent);
                passing.into_iter().map(|(_, error)| error).next()
            }
            Err(error) => Some(error),
        };
        if let Some(error) = failed {
            shared.telemetry.split_failed(&error);
            shared.breaker.met(Dependency::Queue, &error);
            ticket.settle(Settlement::Park(Duration::from_secs(1) + shared.jitter(AFTER_FAILURE)));
            return;
        }
    }
    shared.telemetry.split(arrivals.len() - refused.len());
    let mut end = Settlement::Done;
    for (part, error) in refused {
        if let parked @ Settlement::Park(_) = unsendable(part, &error, &ticket).send(&shared).await {
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

fn unsendable(part: &Arrival, error: &CallError, ticket: &Ticket) -> DeadLetter {
    let (source, first_seen) = (part.source.clone(), ticket.delivery().first_received_at);
    let given_up = |subject| DeadLetter::given_up(&subject, "not_sendable", error.to_string(), 0, first_seen, source);
    match &part.content {
        Ok(Content::Finding(finding)) => given_up(finding_subject(finding)),
        Ok(Content::Summary(summary)) => given_up(summary_subject(summary)),
        Err(rejected) => DeadLetter::rejected(rejected, part.source.clone(), ticket.delivery()),
    }
}
