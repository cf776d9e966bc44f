//! The envelope that this program puts around what it sends to its own queue.

use super::{Finding, Replay};
use serde_json::{Value, json};

/// A finding as a queue message of our own: what an expanded summary and a replay send. [`super::decode`] reads it back.
pub fn encode_own(finding: &Finding, replay: Option<&Replay>) -> String {
    encode_message(&finding.account, &finding.region, replay, &finding.to_native())
}

/// Any native message, or any message that [`super::decode`] understands, under our own envelope.
pub fn encode_message(account: &str, region: &str, replay: Option<&Replay>, message: &Value) -> String {
    json!({
        "fleetwarden": {
            "version": 1,
            "account": account,
            "region": region,
            "force": replay.is_some_and(|replay| replay.force),
            "replayOf": replay.and_then(|replay| replay.replay_of.as_deref()),
            "by": replay.and_then(|replay| replay.by.as_deref()),
        },
        "message": message,
    })
    .to_string()
}
