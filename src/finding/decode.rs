//! From a queue message to what is in it.

use super::{Arrival, Origin, RejectReason, Rejected};

/// Says what a queue message holds: at least one arrival, whatever the bytes.
pub fn decode(body: &str, origin: &Origin) -> Vec<Arrival> {
    let _ = origin;
    vec![Arrival {
        content: Err(Rejected {
            reason: RejectReason::NotJson,
            message: "being written".to_owned(),
            finding_id: None,
            check: None,
        }),
        source: body.to_owned(),
        replay: None,
    }]
}
