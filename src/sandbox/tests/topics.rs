//! SNS, and its deliveries to queues.

use std::collections::HashMap;

use aws_sdk_sns::primitives::Blob;
use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};
use serde_json::{Value, json};

use super::{World, code, world};
use crate::sandbox::iot::TopicPublisher;
use crate::sandbox::routing::Services;

const QUEUE_ARN: &str = "arn:aws:sqs:us-east-1:123456789012:findings";

impl World {
    /// A topic with the queue `findings` subscribed to it; answers the topic's ARN and the queue's URL.
    async fn subscribed(&self, attributes: &[(&str, &str)]) -> (String, String) {
        let queue = self.queue("findings").await;
        let topic = self.sns.create_topic().name("audit").send().await.unwrap().topic_arn.unwrap();
        let attributes: HashMap<String, String> =
            attributes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let subscribe = self.sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(QUEUE_ARN);
        subscribe.set_attributes(Some(attributes)).send().await.unwrap();
        (topic, queue)
    }

    async fn delivered(&self, queue: &str) -> Vec<aws_sdk_sqs::types::Message> {
        let receive =
            self.sqs.receive_message().queue_url(queue).max_number_of_messages(10).message_attribute_names("All");
        receive.send().await.unwrap().messages.unwrap_or_default()
    }
}

fn attribute(data_type: &str, text: Option<&str>, binary: Option<&[u8]>) -> MessageAttributeValue {
    MessageAttributeValue::builder()
        .data_type(data_type)
        .set_string_value(text.map(str::to_owned))
        .set_binary_value(binary.map(Blob::new))
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_message_arrives_in_the_envelope_with_all_its_members_and_only_those_that_were_set() {
    let world = world().await;
    let (topic, queue) = world.subscribed(&[]).await;
    let id = world.sns.publish().topic_arn(&topic).message("{\"a\":1}").send().await.unwrap().message_id.unwrap();
    let body: Value = serde_json::from_str(world.delivered(&queue).await[0].body().unwrap()).unwrap();
    assert_eq!(body["Type"], "Notification");
    assert_eq!(body["MessageId"], json!(id));
    assert_eq!(body["TopicArn"], json!(topic));
    assert_eq!(body["Message"], "{\"a\":1}");
    assert_eq!(body["SignatureVersion"], "1");
    assert!(aws_smithy_types::base64::decode(body["Signature"].as_str().unwrap()).is_ok());
    assert!(body["SigningCertURL"].as_str().unwrap().starts_with("https://sns.us-east-1.amazonaws.com/"));
    assert!(body["UnsubscribeURL"].as_str().unwrap().contains(&format!("SubscriptionArn={topic}:")));
    let at = body["Timestamp"].as_str().unwrap();
    assert!(at.len() == "2026-01-01T00:00:00.000Z".len() && at.ends_with('Z'), "{at}");
    assert!(body.get("Subject").is_none() && body.get("MessageAttributes").is_none());

    let publish = world.sns.publish().topic_arn(&topic).message("m").subject("s");
    publish.message_attributes("kind", attribute("String", Some("x"), None)).send().await.unwrap();
    let body: Value = serde_json::from_str(world.delivered(&queue).await[0].body().unwrap()).unwrap();
    assert_eq!(body["Subject"], "s");
    assert_eq!(body["MessageAttributes"], json!({ "kind": { "Type": "String", "Value": "x" } }));
}

#[tokio::test]
async fn raw_delivery_hands_over_the_message_and_its_attributes() {
    let world = world().await;
    let (topic, queue) = world.subscribed(&[("RawMessageDelivery", "true")]).await;
    let publish = world.sns.publish().topic_arn(&topic).message("{\"a\":1}");
    let publish = publish.message_attributes("kind", attribute("String", Some("x"), None));
    publish.message_attributes("bytes", attribute("Binary", None, Some(b"\x00\xff"))).send().await.unwrap();
    let message = world.delivered(&queue).await.remove(0);
    assert_eq!(message.body(), Some("{\"a\":1}"));
    let attributes = message.message_attributes.unwrap();
    assert_eq!(attributes["kind"].string_value(), Some("x"));
    assert_eq!(attributes["bytes"].binary_value().unwrap().as_ref(), b"\x00\xff");

    let mut publish = world.sns.publish().topic_arn(&topic).message("too many");
    for n in 0..11 {
        publish = publish.message_attributes(format!("a{n}"), attribute("Number", Some("1"), None));
    }
    publish.send().await.unwrap();
    assert!(world.delivered(&queue).await.is_empty(), "a raw message with 11 attributes is discarded");
}

#[tokio::test]
async fn a_filter_policy_lets_through_what_it_names() {
    let world = world().await;
    let (topic, queue) = world
        .subscribed(&[("FilterPolicy", "{\"severity\":[\"CRITICAL\"]}"), ("FilterPolicyScope", "MessageBody")])
        .await;
    for message in ["{\"severity\":\"LOW\"}", "{\"severity\":\"CRITICAL\"}", "no json"] {
        world.sns.publish().topic_arn(&topic).message(message).send().await.unwrap();
    }
    assert_eq!(world.delivered(&queue).await.len(), 1);

    let subscription = world.sns.list_subscriptions_by_topic().topic_arn(&topic).send().await.unwrap();
    let arn = subscription.subscriptions()[0].subscription_arn().unwrap();
    for (name, value) in [("FilterPolicyScope", "MessageAttributes"), ("FilterPolicy", "{\"kind\":[\"x\"]}")] {
        let set = world.sns.set_subscription_attributes().subscription_arn(arn).attribute_name(name);
        set.attribute_value(value).send().await.unwrap();
    }
    world.sns.publish().topic_arn(&topic).message("none").send().await.unwrap();
    let publish = world.sns.publish().topic_arn(&topic).message("matching");
    publish.message_attributes("kind", attribute("String", Some("x"), None)).send().await.unwrap();
    assert_eq!(world.delivered(&queue).await.len(), 1);
}

#[tokio::test]
async fn an_unknown_topic_is_not_found_and_an_unusable_message_is_refused() {
    let world = world().await;
    let (topic, queue) = world.subscribed(&[]).await;
    let unknown = world.sns.publish().topic_arn("arn:aws:sns:us-east-1:123456789012:nowhere").message("m").send().await;
    assert!(unknown.unwrap_err().as_service_error().unwrap().is_not_found_exception());
    let publish = || world.sns.publish().topic_arn(&topic);
    assert_eq!(code!(publish().message("").send().await), "InvalidParameter");
    assert_eq!(code!(publish().message("x".repeat(256 * 1024 + 1)).send().await), "InvalidParameter");
    assert_eq!(code!(publish().message("x").subject("two\nlines").send().await), "InvalidParameter");
    assert_eq!(code!(publish().message("{}").message_structure("json").send().await), "InvalidParameter");
    assert!(world.delivered(&queue).await.is_empty());
    publish().message("{\"default\":\"d\",\"sqs\":\"for queues\"}").message_structure("json").send().await.unwrap();
    let body: Value = serde_json::from_str(world.delivered(&queue).await[0].body().unwrap()).unwrap();
    assert_eq!(body["Message"], "for queues");
}

#[tokio::test]
async fn a_batch_is_published_entry_by_entry() {
    let world = world().await;
    let (topic, queue) = world.subscribed(&[("RawMessageDelivery", "true")]).await;
    let entry = |id: &str, message: &str| PublishBatchRequestEntry::builder().id(id).message(message).build().unwrap();
    let batch = world.sns.publish_batch().topic_arn(&topic);
    let output = batch
        .clone()
        .publish_batch_request_entries(entry("a", "<one & two>"))
        .publish_batch_request_entries(entry("b", ""));
    let output = output.send().await.unwrap();
    assert_eq!(output.successful()[0].id(), Some("a"));
    assert_eq!((output.failed()[0].id(), output.failed()[0].code()), ("b", "InvalidParameter"));
    assert_eq!(world.delivered(&queue).await[0].body(), Some("<one & two>"));
    let twice = batch.publish_batch_request_entries(entry("a", "x")).publish_batch_request_entries(entry("a", "y"));
    assert_eq!(code!(twice.send().await), "BatchEntryIdsNotDistinct");
}

#[tokio::test]
async fn the_fleet_publishes_through_the_same_topics() {
    let world = world().await;
    let (topic, queue) = world.subscribed(&[]).await;
    let publisher: &dyn TopicPublisher = world.sandbox.services().publisher();
    publisher.publish(&topic, "from the fleet".to_owned()).await.unwrap();
    assert_eq!(world.delivered(&queue).await.len(), 1);
    let failed = publisher.publish("arn:aws:sns:us-east-1:123456789012:nowhere", "m".to_owned()).await.unwrap_err();
    assert!(failed.contains("nowhere") && failed.contains("NotFound"), "{failed}");
}

impl Services {
    fn publisher(&self) -> &dyn TopicPublisher {
        self.topics()
    }
}

#[tokio::test]
async fn the_unsubscribe_link_of_a_message_unsubscribes() {
    let world = world().await;
    let (topic, queue) = world.subscribed(&[]).await;
    world.sns.publish().topic_arn(&topic).message("m").send().await.unwrap();
    let body: Value = serde_json::from_str(world.delivered(&queue).await[0].body().unwrap()).unwrap();
    let link = body["UnsubscribeURL"].as_str().unwrap();
    let path = link.strip_prefix(world.sandbox.endpoint()).unwrap();
    let reply = super::listener::raw(&world.sandbox, "GET", path, "").await;
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    world.sns.publish().topic_arn(&topic).message("m").send().await.unwrap();
    assert!(world.delivered(&queue).await.is_empty());
}
