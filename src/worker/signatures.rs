//! Between decoding and claiming, where the policy asks for it: whether SNS signed what came in its envelope.
//!
//! What came in no such envelope has no signature and passes: a raw delivery, and what workers and replays put on the queue
//! themselves. Whether the finding exists is asked of Device Defender later, signed or not.

use super::delivery::{Settlement, Why};
use super::keyring::NoCertificate;
use super::receiver::Incoming;
use super::shared::Shared;
use crate::finding::{Arrival, Content, Rejected, Seal};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// When a message comes back whose certificate could not be fetched: at most the first, doubled with every delivery up to the
/// second. A queue's own limit of receives (1000 in `setup`) then lasts for days.
const AFTER_FAILURE: (Duration, Duration) = (Duration::from_secs(4), Duration::from_secs(300));

/// What one signature is worth.
enum Verdict {
    Genuine,
    Forged(String),
    /// It could not be fetched now, which was told already.
    Unknown,
}

/// Whether there is anything to check.
pub(super) fn is_sealed(arrivals: &[Arrival]) -> bool {
    arrivals.iter().any(|arrival| arrival.content.is_ok() && !arrival.seals.is_empty())
}

/// Checks a message and hands it on, with a rejection in place of every entry that is not what SNS signed. If a certificate cannot
/// be fetched, the message is given back: nothing was begun, no attempt is spent.
pub(super) async fn check<Q, L, I>(
    shared: Arc<Shared<Q, L, I>>,
    mut message: Incoming,
    onward: mpsc::UnboundedSender<Incoming>,
) {
    let check = async {
        for arrival in &mut message.arrivals {
            let Ok(content) = &arrival.content else { continue };
            match verdict(&shared, &arrival.seals).await {
                Verdict::Genuine => {}
                Verdict::Forged(what) => arrival.content = Err(rejected(content, &what)),
                Verdict::Unknown => return Err(()),
            }
        }
        Ok(())
    };
    let checked = tokio::select! {
        biased;
        () = shared.stop.cancelled() => None,
        checked = check => Some(checked),
    };
    match checked {
        // As after decoding: the claimer outlives all who send to it.
        Some(Ok(())) => drop(onward.send(message)),
        Some(Err(())) => {
            let doublings = message.ticket.delivery().receive_count.saturating_sub(1).min(10);
            let most = AFTER_FAILURE.0.saturating_mul(1 << doublings).min(AFTER_FAILURE.1);
            let delay = Duration::from_secs(1) + shared.jitter(most);
            message.ticket.settle(Settlement::Park(Why::CallFailed, delay));
        }
        None => message.ticket.settle(Settlement::Park(Why::Stopping, Duration::ZERO)),
    }
}

/// Every envelope around an entry must be in order.
async fn verdict<Q, L, I>(shared: &Shared<Q, L, I>, seals: &[Arc<Result<Seal, String>>]) -> Verdict {
    for seal in seals {
        let seal = match seal.as_ref() {
            Ok(seal) => seal,
            Err(what) => return Verdict::Forged(what.clone()),
        };
        let url = match seal.certificate_url(&shared.config.origin) {
            Ok(url) => url,
            Err(what) => return Verdict::Forged(what),
        };
        let certificate = match shared.keyring.certificate(&url, &shared.telemetry).await {
            Ok(certificate) => certificate,
            Err(NoCertificate::Unreachable) => return Verdict::Unknown,
            Err(NoCertificate::Unusable(what)) => return Verdict::Forged(format!("the certificate {url} {what}")),
        };
        if let Err(what) = certificate.verify(seal, shared.clock.now()) {
            return Verdict::Forged(format!("the signature {what}"));
        }
        shared.telemetry.signature_verified();
    }
    Verdict::Genuine
}

fn rejected(content: &Content, what: &str) -> Rejected {
    let (finding_id, check) = match content {
        Content::Finding(finding) => (Some(finding.finding_id.clone()), Some(finding.check.clone())),
        Content::Summary(_) => (None, None),
    };
    Rejected { finding_id, check, ..Rejected::bad_signature(what) }
}
