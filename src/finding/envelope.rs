//! The envelope that this program puts around what it sends to its own queue.

use super::identifier::is_account;
use super::member::Object;
use super::provenance::{Place, is_region};
use super::{Finding, Replay, bounds};
use serde_json::{Value, json};

/// The only version there is.
const VERSION: u64 = 1;
/// `replayOf`, `by` and `replayId`: a message id, a ledger key (at most 512 bytes), a principal's ARN.
const MAX_NOTE: usize = 1024;

/// A finding as a queue message of our own: what an expanded summary and a replay send. [`super::decode`] reads it back.
pub fn encode_own(finding: &Finding, replay: Option<&Replay>) -> String {
    encode_message(Some((&finding.account, &finding.region)), replay, &finding.to_native())
}

/// Any message that [`super::decode`] understands, under our own envelope. A text is taken for a message body.
///
/// `place` is the audited account and region, where they are known; an envelope further inside that tells them wins
/// only if this one does not.
pub fn encode_message(place: Option<(&str, &str)>, replay: Option<&Replay>, message: &Value) -> String {
    let place = Place {
        account: place.map(|(account, _)| account.to_owned()),
        region: place.map(|(_, region)| region.to_owned()),
    };
    Header { place, replay: replay.cloned() }.around(message)
}

/// A dead letter's body once more, with what the replay asks for. One that has our envelope already gets a new header,
/// so that a letter may be replayed any number of times without growing.
pub fn encode_replay(body: &str, replay: &Replay) -> String {
    if let Ok(Value::Object(map)) = bounds::parse(body, "")
        && let Ok(header) = Header::read(Object { map: &map, path: "" })
        && let Some(message) = map.get("message")
    {
        return Header { replay: Some(replay.clone()), ..header }.around(message);
    }
    encode_message(None, Some(replay), &Value::from(body))
}

/// What the envelope says.
pub(super) struct Header {
    pub place: Place,
    pub replay: Option<Replay>,
}

impl Header {
    /// The envelope around a message.
    pub fn around(&self, message: &Value) -> String {
        let replay = self.replay.as_ref();
        let header = json!({
            "version": VERSION,
            "account": self.place.account,
            "region": self.place.region,
            "force": replay.is_some_and(|replay| replay.force),
            "replayOf": replay.and_then(|replay| replay.replay_of.as_deref()),
            "by": replay.and_then(|replay| replay.by.as_deref()),
            "replayId": replay.and_then(|replay| replay.id.as_deref()),
            "replayedAt": replay.and_then(|replay| replay.at),
        });
        // Both print as JSON. The macro would copy the message first.
        format!(r#"{{"fleetwarden":{header},"message":{message}}}"#)
    }

    /// Reads the `fleetwarden` member of a message.
    pub fn read(message: Object<'_>) -> Result<Self, String> {
        let path = message.at("fleetwarden");
        let header = Object { map: message.object("fleetwarden")?, path: &path };
        let version = header.count("version")?;
        if version != VERSION {
            return Err(format!("{} is {version}, and this version reads {VERSION} only", header.at("version")));
        }
        let account = header.text("account")?;
        let region = header.text("region")?;
        if account.is_some_and(|text| !is_account(text)) {
            return Err(format!("{} is not an account id (12 digits)", header.at("account")));
        }
        if region.is_some_and(|text| !is_region(text)) {
            return Err(format!("{} is not a region", header.at("region")));
        }
        for name in ["replayOf", "by", "replayId"] {
            // Each entry of a batch carries them again, so they must be short.
            if header.text(name)?.is_some_and(|text| text.len() > MAX_NOTE) {
                return Err(format!("{} is longer than {MAX_NOTE} bytes", header.at(name)));
            }
        }
        let replay = Replay {
            force: header.flag("force")?,
            replay_of: header.text("replayOf")?.map(str::to_owned),
            by: header.text("by")?.map(str::to_owned),
            id: header.text("replayId")?.map(str::to_owned),
            at: header.time("replayedAt")?,
        };
        Ok(Self {
            place: Place { account: account.map(str::to_owned), region: region.map(str::to_owned) },
            replay: (replay != Replay::default()).then_some(replay),
        })
    }
}
