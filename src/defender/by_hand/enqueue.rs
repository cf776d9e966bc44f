//! The findings onto a queue, where whoever works there takes them up.

use super::Pages;
use crate::aws::{CallError, Class};
use crate::clock::Clock;
use crate::finding::{Finding, encode_own};
use crate::mitigation::IotControl;
use crate::queue::{Outgoing, Queue};
use crate::replay::{Order, Sender};
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;

/// What was sent so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Enqueued {
    /// In the queue for certain.
    pub sent: u64,
    /// It was told to stop before the last.
    pub stopped: bool,
}

impl Enqueued {
    /// Sends all that is left of `pages`, as one run of a replay: findings that were only observed, or given up, have their second
    /// chance; those that are mitigated stay as they are.
    ///
    /// # Errors
    ///
    /// Those of either side; what was sent stays sent, and is claimed once for one `order`.
    pub async fn all<I: IotControl, Q: Queue>(
        pages: &mut Pages<'_, I>,
        queue: &Q,
        (order, clock): (&Order, &Clock),
        told: &mut impl FnMut(u64),
        stop: &CancellationToken,
    ) -> Result<Self, CallError> {
        let mut sender = Sender::new(queue, order.rate);
        let mut enqueued = Self::default();
        while let Some(page) = pages.next().await? {
            for chunk in page.findings.chunks(sender.chunk()) {
                if !sender.turn(chunk.len(), stop).await {
                    return Ok(Self { stopped: true, ..enqueued });
                }
                let messages: Vec<Outgoing> = chunk.iter().map(|finding| message(finding, order, clock)).collect();
                for result in sender.send(&messages).await {
                    // A message too large, or in characters that SQS refuses, would be of no finding that AWS made.
                    result.map_err(|error| match error.class {
                        Class::Permanent => {
                            CallError { message: format!("{} (one of a page's findings)", error.message), ..error }
                        }
                        _ => error,
                    })?;
                    enqueued.sent += 1;
                }
                told(enqueued.sent);
            }
        }
        Ok(enqueued)
    }
}

/// The finding as one message of that replay.
pub fn message(finding: &Finding, order: &Order, clock: &Clock) -> Outgoing {
    let audit = finding.task_id.as_deref().unwrap_or_default();
    let replay = order.replay(&format!("audit {audit}"), clock.now_ms());
    Outgoing::new(&encode_own(finding, Some(&replay)), BTreeMap::new())
}
