//! What a queue gets from a topic: the message itself, or the message in SNS's envelope.

use std::collections::HashMap;

use aws_smithy_types::base64;
use jiff::Timestamp;
use rustack_sqs_model::types::MessageAttributeValue;
use serde_json::{Map, Value, json};

use super::signer::{certificate_url, sign};

/// Message attributes by name.
pub(super) type Attributes = HashMap<String, MessageAttributeValue>;

/// One message as it was published.
#[derive(Clone, Debug)]
pub(super) struct Publication {
    pub(super) topic_arn: String,
    pub(super) message: String,
    pub(super) subject: Option<String>,
    /// `json` when `message` holds one text for each protocol.
    pub(super) structure: Option<String>,
    pub(super) attributes: Attributes,
}

impl Publication {
    /// The text that queues get.
    ///
    /// # Errors
    /// A sentence, when `MessageStructure` is `json` and the message is not what that promises.
    pub(super) fn text(&self) -> Result<String, String> {
        if self.structure.as_deref() != Some("json") {
            return Ok(self.message.clone());
        }
        let unusable = "Invalid parameter: Message Structure - ";
        let texts: Map<String, Value> = serde_json::from_str(&self.message)
            .map_err(|error| format!("{unusable}JSON message body failed to parse: {error}"))?;
        let text = texts.get("sqs").or_else(|| texts.get("default")).and_then(Value::as_str);
        text.map(str::to_owned).ok_or_else(|| format!("{unusable}No default entry in JSON message body"))
    }
}

/// The facts about one delivery that the envelope carries beside the message.
#[derive(Debug)]
pub(super) struct Delivery<'a> {
    pub(super) message_id: &'a str,
    pub(super) subscription_arn: &'a str,
    pub(super) region: &'a str,
    /// The topic's attribute `SignatureVersion`.
    pub(super) signature_version: &'a str,
    /// Where the sandbox listens, for the unsubscribe link.
    pub(super) endpoint: &'a str,
    pub(super) at: Timestamp,
}

/// The body that a queue without raw delivery gets. Its signature is good under the certificate that this sandbox serves.
pub(super) fn envelope(publication: &Publication, text: &str, delivery: &Delivery<'_>) -> String {
    let mut envelope = Map::new();
    let mut put = |name: &str, value: Value| envelope.insert(name.to_owned(), value);
    put("Type", json!("Notification"));
    put("MessageId", json!(delivery.message_id));
    put("TopicArn", json!(publication.topic_arn));
    if let Some(subject) = &publication.subject {
        put("Subject", json!(subject));
    }
    put("Message", json!(text));
    let at = format!("{:.3}", delivery.at);
    let (version, signature) =
        sign(delivery.signature_version, &signed_text(publication, text, delivery.message_id, &at));
    put("Timestamp", json!(at));
    put("SignatureVersion", json!(version));
    put("Signature", json!(signature));
    put("SigningCertURL", json!(certificate_url(delivery.region)));
    put(
        "UnsubscribeURL",
        json!(format!("{}/?Action=Unsubscribe&SubscriptionArn={}", delivery.endpoint, delivery.subscription_arn)),
    );
    if !publication.attributes.is_empty() {
        let attributes: Map<String, Value> = publication
            .attributes
            .iter()
            .map(|(name, attribute)| {
                let binary = || attribute.binary_value.as_ref().map(base64::encode);
                let value = attribute.string_value.clone().or_else(binary).unwrap_or_default();
                (name.clone(), json!({ "Type": attribute.data_type, "Value": value }))
            })
            .collect();
        put("MessageAttributes", Value::Object(attributes));
    }
    Value::Object(envelope).to_string()
}

/// What is signed of an envelope: each line ends, the last one too.
fn signed_text(publication: &Publication, text: &str, message_id: &str, at: &str) -> String {
    let subject = publication.subject.as_ref().map(|subject| format!("Subject\n{subject}\n")).unwrap_or_default();
    let topic = &publication.topic_arn;
    format!(
        "Message\n{text}\nMessageId\n{message_id}\n{subject}Timestamp\n{at}\nTopicArn\n{topic}\nType\nNotification\n"
    )
}
