//! From a queue message to what is in it: envelopes come off one by one, until a payload is left.

use super::bounds::{self, MAX_BODY, MAX_ENVELOPES, MAX_RECORDS};
use super::member::{Object, join, kind};
use super::provenance::{Place, Provenance, is_region};
use super::{Arrival, Content, Origin, RejectReason, Rejected, Seal, envelope, native, summary};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Says what a queue message holds: at least one arrival, whatever the text, and one bad entry harms no other.
///
/// Understood are a finding or an audit summary, raw or inside any of: an SNS envelope, `{"Records":[{"Sns":..}]}`,
/// `{"Records":[{"body":..}]}`, our own envelope, and these inside each other.
pub fn decode(body: &str, origin: &Origin) -> Vec<Arrival> {
    Decoder { origin, records_left: MAX_RECORDS, sealed: false }.body(body)
}

/// As [`decode`], and reads the signatures of the SNS envelopes ([`Arrival::seals`]). It checks none of them: that takes a
/// certificate.
pub fn decode_sealed(body: &str, origin: &Origin) -> Vec<Arrival> {
    Decoder { origin, records_left: MAX_RECORDS, sealed: true }.body(body)
}

struct Decoder<'a> {
    origin: &'a Origin,
    records_left: usize,
    /// Whether signatures are read.
    sealed: bool,
}

/// Where in the message we are, and what the envelopes told on the way.
#[derive(Clone, Default)]
struct Layer {
    path: String,
    envelopes: usize,
    from: Provenance,
}

impl Layer {
    fn inside(&self, member: &str) -> Self {
        Self { path: join(&self.path, member), envelopes: self.envelopes + 1, from: self.from.clone() }
    }
}

impl Decoder<'_> {
    fn body(&mut self, body: &str) -> Vec<Arrival> {
        if body.len() > MAX_BODY {
            let message =
                format!("the body has {} bytes, more than the {MAX_BODY} that SQS carries; send less", body.len());
            return vec![refuse(RejectReason::TooLarge, message, body, &Provenance::default())];
        }
        let mut arrivals = self.text(body, &Layer::default());
        arrivals.iter_mut().filter_map(|arrival| arrival.content.as_mut().err()).for_each(Rejected::shorten);
        arrivals
    }

    fn text(&mut self, text: &str, at: &Layer) -> Vec<Arrival> {
        match bounds::parse(text, &at.path) {
            Ok(value) => self.value(&value, text, at),
            Err((reason, message)) => vec![refuse(reason, message, text, &at.from)],
        }
    }

    /// `text` is the value's own text.
    fn value(&mut self, value: &Value, text: &str, at: &Layer) -> Vec<Arrival> {
        let here = if at.path.is_empty() { "the body" } else { &at.path };
        if at.envelopes > MAX_ENVELOPES {
            let message = format!("{here} lies in more than {MAX_ENVELOPES} envelopes; send the finding itself");
            return vec![refuse(RejectReason::TooDeep, message, text, &at.from)];
        }
        let Some(map) = value.as_object() else {
            let message = format!("{here} is {}, not an object; send what Device Defender publishes", kind(value));
            return vec![refuse(RejectReason::UnknownMessage, message, text, &at.from)];
        };
        let object = Object { map, path: &at.path };
        if map.contains_key("fleetwarden") {
            return self.own(object, text, at);
        }
        if map.contains_key("Records") {
            return self.records(object, text, at);
        }
        if is_sns(object) {
            return self.sns(object, text, at);
        }
        let (account, region) = at.from.resolve(self.origin);
        let content = match payload_kind(object) {
            Payload::Finding => {
                native::read(object, account, region).map(|finding| Content::Finding(Box::new(finding)))
            }
            Payload::Summary => summary::read(object, account, region).map(Content::Summary),
            Payload::Refused(reason, what) => return vec![refuse(reason, format!("{here} {what}"), text, &at.from)],
        };
        vec![Arrival { content, source: text.to_owned(), replay: at.from.replay.clone(), seals: at.from.seals.clone() }]
    }

    fn own(&mut self, object: Object<'_>, text: &str, at: &Layer) -> Vec<Arrival> {
        let header = match envelope::Header::read(object) {
            Ok(header) => header,
            Err(what) => {
                let message = format!("{what}; let this program write its own envelope");
                return vec![refuse(RejectReason::UnknownMessage, message, text, &at.from)];
            }
        };
        let mut inner = at.inside("message");
        if at.path.is_empty() {
            inner.envelopes = 0;
        }
        inner.from.own = header.place.clone();
        inner.from.replay = header.replay.clone().or(inner.from.replay);
        let arrivals = match object.get("message") {
            Some(Value::String(message)) => self.text(message, &inner),
            Some(message) => self.value(message, &message.to_string(), &inner),
            None => {
                let message = format!("{} is missing; put the finding there", inner.path);
                vec![refuse(RejectReason::UnknownMessage, message, text, &inner.from)]
            }
        };
        sourced(arrivals, text, |source| header.around(&Value::from(source)))
    }

    fn records(&mut self, object: Object<'_>, text: &str, at: &Layer) -> Vec<Arrival> {
        let refused = |reason, message| vec![refuse(reason, message, text, &at.from)];
        let list = object.at("Records");
        let Some(Value::Array(records)) = object.map.get("Records") else {
            return refused(RejectReason::UnknownMessage, format!("{list} is not a list; send a list of records"));
        };
        if records.is_empty() {
            return refused(RejectReason::EmptyRecords, format!("{list} is empty; there is nothing to do, purge it"));
        }
        if records.len() > self.records_left {
            let message = format!("{list} exceeds the {MAX_RECORDS} records of a message; send them in several");
            return refused(RejectReason::TooLarge, message);
        }
        self.records_left -= records.len();
        let texts = record_texts(text, records);
        let mut arrivals = Vec::with_capacity(records.len());
        for (index, (record, text)) in records.iter().zip(texts).enumerate() {
            let inner = Layer { path: format!("{list}[{index}]"), ..at.clone() };
            arrivals.extend(self.record(record, &format!("{{\"Records\":[{text}]}}"), &inner));
        }
        sourced(arrivals, text, |source| source.to_owned())
    }

    /// `text` is a message with this record alone.
    fn record(&mut self, record: &Value, text: &str, at: &Layer) -> Vec<Arrival> {
        if let Some(Value::Object(map)) = record.get("Sns") {
            let inner = Layer { path: join(&at.path, "Sns"), ..at.clone() };
            return self.sns(Object { map, path: &inner.path }, text, &inner);
        }
        if let Value::Object(map) = record
            && let Some(Value::String(body)) = map.get("body")
        {
            let object = Object { map, path: &at.path };
            let (arn, region) = match (object.text("eventSourceARN"), object.text("awsRegion")) {
                (Ok(arn), Ok(region)) => (arn.unwrap_or_default(), region),
                (Err(what), _) | (_, Err(what)) => {
                    let message = format!("{what}; send records as SQS hands them on");
                    return vec![refuse(RejectReason::UnknownMessage, message, text, &at.from)];
                }
            };
            let mut queue = Place::of_arn(arn, "sqs");
            queue.region = queue.region.or_else(|| region.filter(|text| is_region(text)).map(str::to_owned));
            let arn = queue.account.is_some().then_some(arn);
            let region = queue.region.clone();
            let mut inner = at.inside("body");
            inner.from.queue = queue;
            let arrivals = self.text(body, &inner);
            return sourced(arrivals, text, |source| {
                json!({ "Records": [{ "body": source, "eventSourceARN": arn, "awsRegion": region }] }).to_string()
            });
        }
        let message = format!("{} has neither an `Sns` object nor a `body` text; send records of SNS or SQS", at.path);
        vec![refuse(RejectReason::UnknownMessage, message, text, &at.from)]
    }

    fn sns(&mut self, object: Object<'_>, text: &str, at: &Layer) -> Vec<Arrival> {
        let refused = |reason, message| vec![refuse(reason, message, text, &at.from)];
        let (kind, arn) = match (object.text("Type"), object.text("TopicArn")) {
            (Ok(kind), Ok(arn)) => (kind.unwrap_or("Notification"), arn.unwrap_or_default()),
            (Err(what), _) | (_, Err(what)) => {
                return refused(RejectReason::UnknownMessage, format!("{what}; send what SNS delivers, unchanged"));
            }
        };
        match kind {
            "Notification" => {}
            "SubscriptionConfirmation" => {
                let message = "SNS asks to confirm a subscription, which is never done automatically; \
                               confirm it by hand if you expect it";
                return refused(RejectReason::SubscriptionConfirmation, message.to_owned());
            }
            "UnsubscribeConfirmation" => {
                let message = "SNS tells that a subscription ended; subscribe the queue again if that was not meant";
                return refused(RejectReason::UnsubscribeConfirmation, message.to_owned());
            }
            _ => {
                let message = format!("{} is no type of an SNS message; send a Notification", object.at("Type"));
                return refused(RejectReason::UnknownMessage, message);
            }
        }
        let mut inner = at.inside("Message");
        let Some(Value::String(message)) = object.get("Message") else {
            let message = format!("{} is not a text; publish the finding as the message", inner.path);
            return refused(RejectReason::UnknownMessage, message);
        };
        if self.sealed {
            inner.from.seals.push(Arc::new(Seal::read(object)));
        }
        let topic = Place::of_arn(arn, "sns");
        let arn = if topic.account.is_some() { arn } else { "" };
        if topic.account.is_some() {
            inner.from.topic = topic;
        }
        let arrivals = self.text(message, &inner);
        sourced(arrivals, text, |source| {
            json!({ "Type": "Notification", "TopicArn": arn, "Message": source }).to_string()
        })
    }
}

/// The text for a dead letter, seen from the envelope around: all of it for one entry, else each entry wrapped anew.
fn sourced(mut arrivals: Vec<Arrival>, whole: &str, wrap: impl Fn(&str) -> String) -> Vec<Arrival> {
    if let [only] = arrivals.as_mut_slice() {
        whole.clone_into(&mut only.source);
    } else {
        arrivals.iter_mut().for_each(|arrival| arrival.source = wrap(&arrival.source));
    }
    arrivals
}

/// Each record exactly as it was written: printing it anew could make it longer than SQS carries.
fn record_texts(text: &str, records: &[Value]) -> Vec<String> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(borrow, rename = "Records")]
        records: Vec<&'a RawValue>,
    }
    match serde_json::from_str::<Raw<'_>>(text) {
        Ok(raw) if raw.records.len() == records.len() => {
            raw.records.iter().map(|record| record.get().to_owned()).collect()
        }
        _ => records.iter().map(Value::to_string).collect(),
    }
}

fn refuse(reason: RejectReason, message: String, source: &str, from: &Provenance) -> Arrival {
    let content = Err(Rejected { reason, message, finding_id: None, check: None });
    Arrival { content, source: source.to_owned(), replay: from.replay.clone(), seals: from.seals.clone() }
}

/// `Message` alone is not enough: it must come with what only SNS writes beside it.
fn is_sns(object: Object<'_>) -> bool {
    let beside = |name: &str| object.get(name).is_some_and(Value::is_string);
    beside("Type") && (object.map.contains_key("Message") || beside("TopicArn"))
        || beside("TopicArn") && beside("Message")
}

enum Payload {
    Finding,
    Summary,
    Refused(RejectReason, &'static str),
}

fn payload_kind(object: Object<'_>) -> Payload {
    let has = |name: &str| object.get(name).is_some();
    if is_security_hub(object.map) {
        let what = "is a Security Hub event, which does not carry the finding itself; subscribe the queue to the topic \
                    that Device Defender publishes to";
        return Payload::Refused(RejectReason::SecurityHubEvent, what);
    }
    if has("violationId") || has("violationEventType") {
        let what = "is a Detect violation, not an audit finding; send those to a queue of their own";
        return Payload::Refused(RejectReason::DetectViolation, what);
    }
    if has("auditDetails") {
        return Payload::Summary;
    }
    // Any one of the three is enough to say what it was meant to be; what is missing is then told by name.
    if has("findingId") || has("checkName") || has("nonCompliantResource") {
        return Payload::Finding;
    }
    let what = "is neither a finding (findingId, checkName) nor an audit summary (auditDetails); \
                send what Device Defender publishes";
    Payload::Refused(RejectReason::UnknownMessage, what)
}

fn is_security_hub(map: &Map<String, Value>) -> bool {
    let text = |name: &str| map.get(name).and_then(Value::as_str).unwrap_or_default();
    text("source") == "aws.securityhub" || text("ProductArn").contains(":securityhub:")
}
