//! Amazon SNS: the topic library keeps topics and subscriptions; publishing to queues is done here, because the library refuses
//! raw delivery of messages that have attributes.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use rustack_sns_core::config::SnsConfig;
use rustack_sns_core::filter::evaluate_filter_policy;
use rustack_sns_core::handler::RustackSnsHandler;
use rustack_sns_core::provider::RustackSns;
use rustack_sns_core::publisher::{DeliveryError, SqsPublisher};
use rustack_sns_core::subscription::FilterPolicyScope;
use rustack_sns_http::dispatch::SnsHandler;
use rustack_sns_http::request::{get_optional_param, parse_message_attributes, parse_publish_batch_entries};
use rustack_sns_http::router::resolve_operation;
use rustack_sqs_core::provider::RustackSqs;
use rustack_sqs_model::input::SendMessageInput;
use serde::Serialize;

use crate::clock::Clock;

use super::envelope::{Attributes, Delivery, Publication, envelope};
use super::iot::TopicPublisher;
use super::reply::{Reply, escape, xml_error, xml_reply};

/// The namespace of SNS's XML.
pub(super) const NAMESPACE: &str = "http://sns.amazonaws.com/doc/2010-03-31/";

/// The largest message, attributes included.
const MESSAGE_BYTES: usize = 256 * 1024;

/// Most attributes that a message with raw delivery may have; SNS discards one with more.
const RAW_ATTRIBUTES: usize = 10;

/// The parameters of a request, in their order.
pub(super) type Params = Vec<(String, String)>;

/// The topics of the sandbox.
pub(super) struct SnsService {
    topics: Arc<RustackSns>,
    handler: RustackSnsHandler,
    queues: Arc<RustackSqs>,
    region: String,
    endpoint: String,
    clock: Clock,
    /// Message ids only have to differ.
    ids: Mutex<fastrand::Rng>,
}

/// Why a request was refused.
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    fn invalid(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: "InvalidParameter", message: message.into() }
    }

    fn reply(&self) -> Reply {
        xml_error(self.status, self.code, &self.message)
    }
}

/// A subscription of a queue, as far as delivery needs it.
struct Subscription {
    arn: String,
    queue_arn: String,
    raw: bool,
    filter: Option<(String, FilterPolicyScope)>,
}

impl SnsService {
    pub(super) fn new(config: SnsConfig, queues: Arc<RustackSqs>, endpoint: String) -> Self {
        let region = config.default_region.clone();
        let topics = Arc::new(RustackSns::new(config, Arc::new(FifoBridge(Arc::clone(&queues)))));
        let handler = RustackSnsHandler::new(Arc::clone(&topics));
        Self {
            topics,
            handler,
            queues,
            region,
            endpoint,
            clock: Clock::system(),
            ids: Mutex::new(fastrand::Rng::with_seed(1)),
        }
    }

    /// Answers a request whose body is `body` and whose parameters are `params`.
    pub(super) async fn handle(&self, params: &Params, body: Bytes) -> Reply {
        let topic = get_optional_param(params, "TopicArn").or_else(|| get_optional_param(params, "TargetArn"));
        let ours = topic.is_some_and(|topic| !topic.ends_with(".fifo") && !topic.contains(":endpoint/"));
        let answered = match get_optional_param(params, "Action") {
            Some("Publish") if ours => self.publish_request(params, topic.unwrap_or_default()).await,
            Some("PublishBatch") if ours => self.publish_batch_request(params, topic.unwrap_or_default()).await,
            _ => self.pass_on(params, body).await,
        };
        answered.unwrap_or_else(|refusal| refusal.reply())
    }

    /// Lets the library answer.
    async fn pass_on(&self, params: &Params, body: Bytes) -> Result<Reply, Refusal> {
        let refused = |code, status, message| Refusal { status, code, message };
        let operation = resolve_operation(params)
            .map_err(|error| refused(error.code.code(), error.code.status_code(), error.message))?;
        let answered = self.handler.handle_operation(operation, body).await;
        let (parts, body) =
            answered.map_err(|error| refused(error.code.code(), error.code.status_code(), error.message))?.into_parts();
        let body = body
            .collect()
            .await
            .map_err(|error| refused("InternalError", StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
        Ok(http::Response::from_parts(parts, body.to_bytes()))
    }

    async fn publish_request(&self, params: &Params, topic_arn: &str) -> Result<Reply, Refusal> {
        let of = |name| get_optional_param(params, name).map(str::to_owned);
        let parsed = parse_message_attributes(params, "MessageAttributes");
        let attributes = for_queues(&parsed.map_err(|error| Refusal::invalid(error.message))?)?;
        let id = self
            .publish_one(Publication {
                topic_arn: topic_arn.to_owned(),
                message: of("Message").unwrap_or_default(),
                subject: of("Subject"),
                structure: of("MessageStructure"),
                attributes,
            })
            .await?;
        Ok(xml_reply(NAMESPACE, "Publish", &format!("<MessageId>{id}</MessageId>")))
    }

    async fn publish_batch_request(&self, params: &Params, topic_arn: &str) -> Result<Reply, Refusal> {
        let entries = parse_publish_batch_entries(params).map_err(|error| Refusal::invalid(error.message))?;
        let refused =
            |code, message: &str| Refusal { status: StatusCode::BAD_REQUEST, code, message: message.to_owned() };
        if entries.is_empty() {
            return Err(refused("EmptyBatchRequest", "The batch request doesn't contain any entries."));
        }
        if entries.len() > 10 {
            return Err(refused(
                "TooManyEntriesInBatchRequest",
                "The batch request contains more entries than permissible.",
            ));
        }
        let mut ids = HashSet::new();
        if !entries.iter().all(|entry| ids.insert(entry.id.clone())) {
            return Err(refused(
                "BatchEntryIdsNotDistinct",
                "Two or more batch entries in the request have the same Id.",
            ));
        }
        self.subscriptions(topic_arn)?;
        let (mut successful, mut failed) = (String::new(), String::new());
        for entry in entries {
            let published = match for_queues(&entry.message_attributes) {
                Ok(attributes) => {
                    self.publish_one(Publication {
                        topic_arn: topic_arn.to_owned(),
                        message: entry.message,
                        subject: entry.subject,
                        structure: entry.message_structure,
                        attributes,
                    })
                    .await
                }
                Err(refusal) => Err(refusal),
            };
            let id = escape(&entry.id);
            match published {
                Ok(message_id) => {
                    successful.push_str(&format!("<member><Id>{id}</Id><MessageId>{message_id}</MessageId></member>"))
                }
                Err(refusal) => failed.push_str(&format!(
                    "<member><Id>{id}</Id><Code>{}</Code><Message>{}</Message><SenderFault>true</SenderFault></member>",
                    refusal.code,
                    escape(&refusal.message)
                )),
            }
        }
        let result = format!("<Successful>{successful}</Successful><Failed>{failed}</Failed>");
        Ok(xml_reply(NAMESPACE, "PublishBatch", &result))
    }

    /// Delivers to every subscribed queue whose filter lets the message through; answers the message id.
    async fn publish_one(&self, publication: Publication) -> Result<String, Refusal> {
        let subscriptions = self.subscriptions(&publication.topic_arn)?;
        check(&publication)?;
        let text = publication.text().map_err(Refusal::invalid)?;
        let signature_version = self.signature_version(&publication.topic_arn);
        let message_id = self.next_id();
        let at = self.clock.now();
        for subscription in &subscriptions {
            if !lets_through(subscription, &publication) {
                continue;
            }
            let (body, attributes) = if subscription.raw {
                (text.clone(), publication.attributes.clone())
            } else {
                let delivery = Delivery {
                    message_id: &message_id,
                    subscription_arn: &subscription.arn,
                    region: &self.region,
                    signature_version: &signature_version,
                    endpoint: &self.endpoint,
                    at,
                };
                (envelope(&publication, &text, &delivery), Attributes::new())
            };
            if attributes.len() > RAW_ATTRIBUTES {
                tracing::warn!(subscription = %subscription.arn, "discarded a raw message with more than 10 attributes");
                continue;
            }
            // A queue that is gone or refuses the message loses it, as on AWS without a dead-letter queue of the subscription.
            if let Err(error) = deliver(&self.queues, &subscription.queue_arn, body, attributes).await {
                tracing::warn!(queue = %subscription.queue_arn, %error, "a message could not be delivered to its queue");
            }
        }
        Ok(message_id)
    }

    /// The queues subscribed to a topic.
    fn subscriptions(&self, topic_arn: &str) -> Result<Vec<Subscription>, Refusal> {
        let mut found = Vec::new();
        let mut page_start = None;
        loop {
            let page = ask(&self.topics, RustackSns::list_subscriptions_by_topic, |input| {
                input.topic_arn = topic_arn.to_owned();
                input.next_token = page_start.take();
            });
            let page = page.map_err(|error| Refusal {
                status: error.code.status_code(),
                code: error.code.code(),
                message: error.message,
            })?;
            for summary in page.subscriptions.into_iter().filter(|summary| summary.protocol == "sqs") {
                let lookup = ask(&self.topics, RustackSns::get_subscription_attributes, |input| {
                    input.subscription_arn.clone_from(&summary.subscription_arn);
                });
                // It may have been removed between the two looks.
                let Ok(mut attributes) = lookup.map(|output| output.attributes) else { continue };
                let scope = match attributes.get("FilterPolicyScope").map(String::as_str) {
                    Some("MessageBody") => FilterPolicyScope::MessageBody,
                    _ => FilterPolicyScope::MessageAttributes,
                };
                found.push(Subscription {
                    arn: summary.subscription_arn,
                    queue_arn: summary.endpoint,
                    raw: attributes.get("RawMessageDelivery").is_some_and(|raw| raw == "true"),
                    filter: attributes.remove("FilterPolicy").map(|policy| (policy, scope)),
                });
            }
            page_start = page.next_token;
            if page_start.is_none() {
                return Ok(found);
            }
        }
    }

    /// 1 unless the topic says 2.
    fn signature_version(&self, topic_arn: &str) -> String {
        let topic = ask(&self.topics, RustackSns::get_topic_attributes, |input| input.topic_arn = topic_arn.to_owned());
        let version = topic.ok().and_then(|mut topic| topic.attributes.remove("SignatureVersion"));
        version.unwrap_or_else(|| "1".to_owned())
    }

    fn next_id(&self) -> String {
        let mut bytes = [0; 16];
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }
}

#[async_trait]
impl TopicPublisher for SnsService {
    async fn publish(&self, topic_arn: &str, message: String) -> Result<(), String> {
        let publication = Publication {
            topic_arn: topic_arn.to_owned(),
            message,
            subject: None,
            structure: None,
            attributes: Attributes::new(),
        };
        let published = self.publish_one(publication).await;
        published
            .map(|_| ())
            .map_err(|refusal| format!("publish to {topic_arn}: {} ({})", refusal.message, refusal.code))
    }
}

/// Calls an operation of the library whose input only the library can name.
fn ask<I: Default, O>(topics: &RustackSns, operation: fn(&RustackSns, &I) -> O, set: impl FnOnce(&mut I)) -> O {
    let mut input = I::default();
    set(&mut input);
    operation(topics, &input)
}

/// Attributes in the queues' type. Both libraries write an attribute the same way, but only the queues' type can be named here.
fn for_queues(attributes: &impl Serialize) -> Result<Attributes, Refusal> {
    let same = serde_json::to_value(attributes).and_then(serde_json::from_value);
    same.map_err(|error| Refusal::invalid(format!("Invalid parameter: MessageAttributes: {error}")))
}

fn check(publication: &Publication) -> Result<(), Refusal> {
    if publication.message.is_empty() {
        return Err(Refusal::invalid("Invalid parameter: Empty message"));
    }
    let attributes = publication.attributes.iter().map(|(name, value)| {
        let text = value.string_value.as_ref().map_or(0, String::len);
        name.len() + value.data_type.len() + text + value.binary_value.as_ref().map_or(0, Vec::len)
    });
    if publication.message.len() + attributes.sum::<usize>() > MESSAGE_BYTES {
        return Err(Refusal::invalid("Invalid parameter: Message too long"));
    }
    let presentable =
        |subject: &String| (1..=100).contains(&subject.chars().count()) && !subject.contains(char::is_control);
    if !publication.subject.iter().all(presentable) {
        return Err(Refusal::invalid("Invalid parameter: Subject"));
    }
    Ok(())
}

/// Whether the subscription's filter lets the message through. A filter that cannot be evaluated lets nothing through.
fn lets_through(subscription: &Subscription, publication: &Publication) -> bool {
    let Some((policy, scope)) = &subscription.filter else {
        return true;
    };
    // The way back from `for_queues`.
    let attributes: Result<HashMap<String, _>, _> =
        serde_json::to_value(&publication.attributes).and_then(serde_json::from_value);
    attributes.is_ok_and(|attributes| {
        evaluate_filter_policy(policy, scope, &attributes, &publication.message).unwrap_or(false)
    })
}

async fn deliver(queues: &RustackSqs, queue_arn: &str, body: String, attributes: Attributes) -> Result<(), String> {
    let queue_url = queues.queue_url_for_arn(queue_arn).map_err(|error| error.message)?;
    let input =
        SendMessageInput { queue_url, message_body: body, message_attributes: attributes, ..Default::default() };
    queues.send_message(input).await.map(|_| ()).map_err(|error| error.message)
}

/// How the library itself reaches queues: to check a subscription's endpoint, and to deliver from FIFO topics.
#[derive(Debug)]
struct FifoBridge(Arc<RustackSqs>);

#[async_trait]
impl SqsPublisher for FifoBridge {
    fn validate(&self, queue_arn: &str) -> Result<(), DeliveryError> {
        let found = self.0.queue_url_for_arn(queue_arn);
        found.map(|_| ()).map_err(|error| DeliveryError::Unsupported(error.message))
    }

    async fn send_message(
        &self,
        queue_arn: &str,
        message_body: &str,
        message_group_id: Option<&str>,
        message_deduplication_id: Option<&str>,
    ) -> Result<(), DeliveryError> {
        let url = self.0.queue_url_for_arn(queue_arn).map_err(|error| DeliveryError::Unsupported(error.message))?;
        let input = SendMessageInput {
            queue_url: url,
            message_body: message_body.to_owned(),
            message_group_id: message_group_id.map(str::to_owned),
            message_deduplication_id: message_deduplication_id.map(str::to_owned),
            ..Default::default()
        };
        self.0.send_message(input).await.map(|_| ()).map_err(|error| DeliveryError::Unavailable(error.message))
    }
}
