//! SQS.

use std::sync::Arc;

use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry as Change, DeleteMessageBatchRequestEntry as Delete, Message,
    QueueAttributeName as Name, SendMessageBatchRequestEntry as Send,
};
use bytes::Bytes;
use rustack_sqs_core::config::SqsConfig;
use rustack_sqs_core::provider::RustackSqs;
use serde_json::{Value, json};

use super::{World, code, world};
use crate::sandbox::sqs::SqsService;

impl World {
    async fn receive(&self, url: &str, wait: i32) -> Vec<Message> {
        let receive = self.sqs.receive_message().queue_url(url).max_number_of_messages(10).wait_time_seconds(wait);
        receive.send().await.unwrap().messages.unwrap_or_default()
    }

    async fn send(&self, url: &str, body: &str) {
        self.sqs.send_message().queue_url(url).message_body(body).send().await.unwrap();
    }
}

fn handle(message: &Message) -> String {
    message.receipt_handle.clone().unwrap()
}

fn delete(id: &str, handle: &str) -> Delete {
    Delete::builder().id(id).receipt_handle(handle).build().unwrap()
}

#[tokio::test]
async fn max_receive_count_is_taken_as_a_number_and_as_a_string() {
    let world = world().await;
    world.queue("dlq").await;
    for (name, count) in [("a", json!(3)), ("b", json!("3"))] {
        let policy =
            json!({ "deadLetterTargetArn": "arn:aws:sqs:us-east-1:123456789012:dlq", "maxReceiveCount": count });
        let create = world.sqs.create_queue().queue_name(name).attributes(Name::RedrivePolicy, policy.to_string());
        let url = create.clone().send().await.unwrap().queue_url.unwrap();
        let again = create.send().await.unwrap().queue_url.unwrap();
        assert_eq!(again, url, "creating it again changes nothing");
        let set = world.sqs.set_queue_attributes().queue_url(&url).attributes(Name::RedrivePolicy, policy.to_string());
        set.send().await.unwrap();
        let got =
            world.sqs.get_queue_attributes().queue_url(&url).attribute_names(Name::RedrivePolicy).send().await.unwrap();
        let kept: Value = serde_json::from_str(&got.attributes.unwrap()[&Name::RedrivePolicy]).unwrap();
        assert_eq!(kept["maxReceiveCount"].as_i64(), Some(3));
    }
    let absent = json!({ "deadLetterTargetArn": "arn:aws:sqs:us-east-1:123456789012:nowhere", "maxReceiveCount": 3 });
    let create = world.sqs.create_queue().queue_name("d").attributes(Name::RedrivePolicy, absent.to_string());
    assert_eq!(code!(create.send().await), "InvalidParameterValue");
    let broken =
        world.sqs.create_queue().queue_name("c").attributes(Name::RedrivePolicy, "{\"maxReceiveCount\":\"many\"}");
    assert_eq!(code!(broken.send().await), "InvalidParameterValue");
}

#[tokio::test]
async fn an_invalid_handle_is_refused_and_in_a_batch_harms_no_other_entry() {
    let world = world().await;
    let url = world.queue("findings").await;
    let other = world.queue("other").await;
    world.send(&url, "one").await;
    world.send(&other, "two").await;
    let good = handle(&world.receive(&url, 0).await[0]);
    let foreign = handle(&world.receive(&other, 0).await[0]);
    for invalid in ["nonsense", foreign.as_str()] {
        let refused = world.sqs.delete_message().queue_url(&url).receipt_handle(invalid).send().await;
        assert!(
            refused.as_ref().unwrap_err().as_service_error().unwrap().is_receipt_handle_is_invalid(),
            "{refused:?}"
        );
        let change =
            world.sqs.change_message_visibility().queue_url(&url).receipt_handle(invalid).visibility_timeout(1);
        assert_eq!(code!(change.send().await), "ReceiptHandleIsInvalid");
    }
    let batch = world
        .sqs
        .delete_message_batch()
        .queue_url(&url)
        .entries(delete("bad", "nonsense"))
        .entries(delete("good", &good));
    let output = batch.send().await.unwrap();
    assert_eq!(output.successful()[0].id(), "good");
    assert_eq!((output.failed()[0].id(), output.failed()[0].code()), ("bad", "ReceiptHandleIsInvalid"));
    assert!(output.failed()[0].sender_fault());

    let change = Change::builder().id("bad").receipt_handle("nonsense").visibility_timeout(1).build().unwrap();
    let output = world.sqs.change_message_visibility_batch().queue_url(&url).entries(change).send().await.unwrap();
    assert_eq!(output.failed()[0].code(), "ReceiptHandleIsInvalid");
}

#[tokio::test]
async fn a_stale_handle_deletes_nothing_and_says_so_to_nobody() {
    let world = world().await;
    let url = world.queue("findings").await;
    world.send(&url, "one").await;
    let stale = handle(&world.receive(&url, 0).await[0]);
    let back = world.sqs.change_message_visibility().queue_url(&url).receipt_handle(&stale).visibility_timeout(0);
    back.send().await.unwrap();
    let newest = handle(&world.receive(&url, 0).await[0]);
    world.sqs.delete_message().queue_url(&url).receipt_handle(&stale).send().await.unwrap();
    let again =
        world.sqs.change_message_visibility().queue_url(&url).receipt_handle(&stale).visibility_timeout(9).send().await;
    assert!(again.unwrap_err().as_service_error().unwrap().is_message_not_inflight());

    let back = world.sqs.change_message_visibility().queue_url(&url).receipt_handle(&newest).visibility_timeout(0);
    back.send().await.unwrap();
    let still = world.receive(&url, 0).await;
    assert_eq!(still.len(), 1, "the message outlived the stale delete");
    world.sqs.delete_message().queue_url(&url).receipt_handle(handle(&still[0])).send().await.unwrap();
    let gone =
        world.sqs.change_message_visibility().queue_url(&url).receipt_handle(handle(&still[0])).visibility_timeout(0);
    assert_eq!(code!(gone.send().await), "AWS.SimpleQueueService.MessageNotInflight");
}

#[tokio::test]
async fn numbers_out_of_range_are_refused_and_leave_the_queue_working() {
    let world = world().await;
    let url = world.queue("findings").await;
    world.send(&url, "one").await;
    let receive = || world.sqs.receive_message().queue_url(&url);
    assert_eq!(code!(receive().max_number_of_messages(11).send().await), "InvalidParameterValue");
    assert_eq!(code!(receive().max_number_of_messages(0).send().await), "InvalidParameterValue");
    assert_eq!(code!(receive().wait_time_seconds(21).send().await), "InvalidParameterValue");
    assert_eq!(code!(receive().visibility_timeout(-1).send().await), "InvalidParameterValue");
    let delayed = world.sqs.send_message().queue_url(&url).message_body("two").delay_seconds(-1);
    assert_eq!(code!(delayed.send().await), "InvalidParameterValue");
    let received = handle(&world.receive(&url, 0).await[0]);
    let change = world.sqs.change_message_visibility().queue_url(&url).receipt_handle(received);
    assert_eq!(code!(change.visibility_timeout(43_201).send().await), "InvalidParameterValue");
}

#[tokio::test]
async fn batches_that_are_empty_too_long_or_repeat_an_id_are_refused_whole() {
    let world = world().await;
    let url = world.queue("findings").await;
    let entry = |id: &str, body: &str| Send::builder().id(id).message_body(body).build().unwrap();
    let send = |entries: Vec<Send>| world.sqs.send_message_batch().queue_url(&url).set_entries(Some(entries)).send();
    let prefixed = |name: &str| format!("AWS.SimpleQueueService.{name}");
    assert_eq!(code!(send(vec![]).await), prefixed("EmptyBatchRequest"));
    let eleven = (0..11).map(|n| entry(&n.to_string(), "x")).collect();
    assert_eq!(code!(send(eleven).await), prefixed("TooManyEntriesInBatchRequest"));
    assert_eq!(code!(send(vec![entry("a", "x"), entry("a", "y")]).await), prefixed("BatchEntryIdsNotDistinct"));
    assert_eq!(code!(send(vec![entry("a b", "x")]).await), prefixed("InvalidBatchEntryId"));
    let long = "x".repeat(200 * 1024);
    let six = (0..6).map(|n| entry(&n.to_string(), &long)).collect();
    assert_eq!(code!(send(six).await), prefixed("BatchRequestTooLong"));

    let delete_batch =
        |entries: Vec<Delete>| world.sqs.delete_message_batch().queue_url(&url).set_entries(Some(entries)).send();
    assert_eq!(code!(delete_batch(vec![]).await), prefixed("EmptyBatchRequest"));
    let eleven = (0..11).map(|n| delete(&n.to_string(), "h")).collect();
    assert_eq!(code!(delete_batch(eleven).await), prefixed("TooManyEntriesInBatchRequest"));
    let twice = vec![delete("a", "h"), delete("a", "h")];
    assert_eq!(code!(delete_batch(twice).await), prefixed("BatchEntryIdsNotDistinct"));
    assert!(world.receive(&url, 0).await.is_empty());
}

#[tokio::test]
async fn an_unknown_queue_is_named_so_by_every_call() {
    let world = world().await;
    let url = format!("{}/123456789012/nowhere", world.sandbox.endpoint());
    let receive = world.sqs.receive_message().queue_url(&url).send().await;
    assert!(receive.unwrap_err().as_service_error().unwrap().is_queue_does_not_exist());
    let delete = world.sqs.delete_message().queue_url(&url).receipt_handle("h").send().await;
    assert_eq!(code!(delete), "AWS.SimpleQueueService.NonExistentQueue");
    let lookup = world.sqs.get_queue_url().queue_name("nowhere").send().await;
    assert!(lookup.unwrap_err().as_service_error().unwrap().is_queue_does_not_exist());
}

#[tokio::test]
async fn a_long_poll_returns_as_soon_as_a_message_arrives() {
    let world = Arc::new(world().await);
    let url = world.queue("findings").await;
    let polling = tokio::spawn({
        let (world, url) = (Arc::clone(&world), url.clone());
        async move { world.receive(&url, 20).await }
    });
    world.send(&url, "arrived").await;
    let messages = polling.await.unwrap();
    assert_eq!(messages[0].body(), Some("arrived"));
}

#[tokio::test]
async fn a_body_of_one_mebibyte_travels_whole_and_is_gone_once_deleted() {
    let world = world().await;
    let url = world.queue("findings").await;
    let large = "ä".repeat(512 * 1024);
    let sent = world.sqs.send_message().queue_url(&url).message_body(&large).send().await.unwrap();
    let entry = Send::builder().id("a").message_body(&large[..600_000]).build().unwrap();
    world.sqs.send_message_batch().queue_url(&url).entries(entry).send().await.unwrap();
    let received = world.receive(&url, 0).await;
    assert_eq!(received[0].body(), Some(large.as_str()));
    assert_eq!(received[0].md5_of_body(), sent.md5_of_message_body());
    assert_eq!(received[1].body(), Some(&large[..600_000]));
    let stale = handle(&received[0]);
    for message in &received {
        let back = world.sqs.change_message_visibility().queue_url(&url).receipt_handle(handle(message));
        back.visibility_timeout(0).send().await.unwrap();
    }
    let again = world.receive(&url, 0).await;
    world.sqs.delete_message().queue_url(&url).receipt_handle(stale).send().await.unwrap();
    assert_eq!(again[0].body(), Some(large.as_str()), "a stale delete lets no body go");
    assert_eq!(world.sandbox.services().large_bodies(), 2);
    for message in &again {
        world.sqs.delete_message().queue_url(&url).receipt_handle(handle(message)).send().await.unwrap();
    }
    assert_eq!(world.sandbox.services().large_bodies(), 0);

    let beyond = world.sqs.send_message().queue_url(&url).message_body("x".repeat((1 << 20) + 1)).send().await;
    assert_eq!(code!(beyond), "InvalidParameterValue");
    let small = world.sqs.create_queue().queue_name("small").attributes(Name::MaximumMessageSize, "300").send().await;
    assert_eq!(code!(small), "InvalidParameterValue");
    let small = world.sqs.create_queue().queue_name("small").attributes(Name::MaximumMessageSize, "2048").send().await;
    let small = small.unwrap().queue_url.unwrap();
    let refused = world.sqs.send_message().queue_url(&small).message_body(&large).send().await;
    assert_eq!(code!(refused), "InvalidParameterValue");
    let sizes = world.sqs.get_queue_attributes().queue_url(&url).attribute_names(Name::MaximumMessageSize).send().await;
    assert_eq!(sizes.unwrap().attributes.unwrap()[&Name::MaximumMessageSize], "1048576");
}

/// Without sockets, so that the clock can be paused: two minutes of queue time pass in no time.
struct Paused(SqsService);

impl Paused {
    fn new() -> Self {
        Self(SqsService::new(Arc::new(RustackSqs::new(SqsConfig::default()))))
    }

    async fn call(&self, operation: &str, request: Value) -> Value {
        let reply = self.0.handle(operation, Bytes::from(request.to_string())).await;
        assert!(reply.status().is_success(), "{operation}: {:?}", reply.body());
        serde_json::from_slice(reply.body()).unwrap()
    }

    async fn create(&self, name: &str, attributes: Value) -> String {
        let created = self.call("CreateQueue", json!({ "QueueName": name, "Attributes": attributes })).await;
        created["QueueUrl"].as_str().unwrap().to_owned()
    }

    async fn receive(&self, url: &str, wait: i32) -> usize {
        let request = json!({ "QueueUrl": url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": wait });
        self.call("ReceiveMessage", request).await["Messages"].as_array().map_or(0, Vec::len)
    }

    /// Visible and in flight.
    async fn counts(&self, url: &str) -> (String, String) {
        let request = json!({ "QueueUrl": url, "AttributeNames": ["All"] });
        let attributes = self.call("GetQueueAttributes", request).await["Attributes"].take();
        let of = |name: &str| attributes[name].as_str().unwrap().to_owned();
        (of("ApproximateNumberOfMessages"), of("ApproximateNumberOfMessagesNotVisible"))
    }
}

fn counted(visible: u32, in_flight: u32) -> (String, String) {
    (visible.to_string(), in_flight.to_string())
}

#[tokio::test(start_paused = true)]
async fn counts_follow_a_message_into_flight_and_back_when_its_visibility_ends() {
    let sqs = Paused::new();
    let url = sqs.create("findings", json!({ "VisibilityTimeout": "30" })).await;
    sqs.call("SendMessage", json!({ "QueueUrl": url, "MessageBody": "one" })).await;
    assert_eq!(sqs.counts(&url).await, counted(1, 0));
    assert_eq!(sqs.receive(&url, 0).await, 1);
    assert_eq!(sqs.counts(&url).await, counted(0, 1));
    tokio::time::advance(std::time::Duration::from_secs(29)).await;
    assert_eq!(sqs.counts(&url).await, counted(0, 1));
    // No receive in between: the library looks for itself once a second.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(sqs.counts(&url).await, counted(1, 0));
    let started = tokio::time::Instant::now();
    assert_eq!(sqs.receive(&url, 0).await, 1);
    assert_eq!(sqs.receive(&url, 20).await, 0, "in flight for 30 s, and the poll lasts 20 s");
    assert_eq!(started.elapsed().as_secs(), 20);
    assert_eq!(sqs.receive(&url, 20).await, 1, "a long poll sees it come back");
}

#[tokio::test(start_paused = true)]
async fn a_message_received_too_often_moves_to_the_dead_letter_queue() {
    let sqs = Paused::new();
    let dead = sqs.create("dlq", json!({})).await;
    let policy = json!({ "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dlq", "maxReceiveCount": "2" });
    let url = sqs.create("findings", json!({ "VisibilityTimeout": "1", "RedrivePolicy": policy.to_string() })).await;
    sqs.call("SendMessage", json!({ "QueueUrl": url, "MessageBody": "poison" })).await;
    assert_eq!(sqs.receive(&url, 5).await, 1);
    assert_eq!(sqs.receive(&url, 5).await, 1);
    assert_eq!(sqs.receive(&url, 5).await, 0);
    assert_eq!(sqs.receive(&dead, 5).await, 1);
    assert_eq!(sqs.counts(&url).await, counted(0, 0));
}
