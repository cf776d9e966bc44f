//! Message move tasks.

use aws_sdk_sqs::types::{ListMessageMoveTasksResultEntry as Task, QueueAttributeName as Name};
use serde_json::json;

use super::{World, code, world};

const DEAD: &str = "arn:aws:sqs:us-east-1:123456789012:dead";

impl World {
    /// The queue `findings`, from which the first receive too many moves a message to `dead`; the URLs of both.
    async fn pair(&self) -> (String, String) {
        let dead = self.queue("dead").await;
        let policy = json!({ "deadLetterTargetArn": DEAD, "maxReceiveCount": 1 }).to_string();
        let create = self.sqs.create_queue().queue_name("findings").attributes(Name::RedrivePolicy, policy);
        (create.send().await.unwrap().queue_url.unwrap(), dead)
    }

    /// The newest move task, once it has ended.
    async fn ended(&self) -> Task {
        loop {
            let listed = self.sqs.list_message_move_tasks().source_arn(DEAD).send().await.unwrap();
            let newest = listed.results.unwrap().remove(0);
            if !matches!(newest.status(), Some("RUNNING" | "CANCELLING")) {
                return newest;
            }
        }
    }
}

#[tokio::test]
async fn what_sqs_redrove_goes_back_to_where_it_came_from_whatever_its_size() {
    let world = world().await;
    let (url, dead) = world.pair().await;
    let large = "x".repeat(1_000_000);
    world.sqs.send_message().queue_url(&url).message_body(&large).send().await.unwrap();
    for _ in 0..2 {
        world.sqs.receive_message().queue_url(&url).visibility_timeout(0).send().await.unwrap();
    }
    let held = world.sqs.receive_message().queue_url(&dead).visibility_timeout(0).send().await.unwrap();
    let before = held.messages()[0].message_id().unwrap().to_owned();

    world.sqs.start_message_move_task().source_arn(DEAD).send().await.unwrap();
    let ended = world.ended().await;
    assert_eq!((ended.status(), ended.approximate_number_of_messages_moved()), (Some("COMPLETED"), 1), "{ended:?}");
    assert_eq!((ended.task_handle(), ended.destination_arn()), (None, None));
    let back = world.sqs.receive_message().queue_url(&url).send().await.unwrap();
    let [message] = back.messages() else { panic!("{:?}", back.messages().len()) };
    assert_eq!(message.body(), Some(large.as_str()));
    assert_ne!(message.message_id(), Some(before.as_str()));
    assert_eq!(world.sandbox.services().large_bodies(), 1, "one body, for one message");
}

#[tokio::test]
async fn a_move_task_is_refused_where_aws_refuses_it() {
    let world = world().await;
    let (_, dead) = world.pair().await;
    world.queue("other").await;
    let start = || world.sqs.start_message_move_task();
    let other = "arn:aws:sqs:us-east-1:123456789012:other";
    assert_eq!(code!(start().source_arn(other).send().await), "InvalidParameterValue", "no dead-letter queue");
    let nowhere = "arn:aws:sqs:us-east-1:123456789012:nowhere";
    assert_eq!(code!(start().source_arn(nowhere).send().await), "ResourceNotFoundException");
    assert_eq!(code!(start().source_arn(DEAD).destination_arn(nowhere).send().await), "ResourceNotFoundException");
    for rate in [0, 501] {
        let start = start().source_arn(DEAD).destination_arn(other).max_number_of_messages_per_second(rate);
        assert_eq!(code!(start.send().await), "InvalidParameterValue", "{rate}");
    }

    world.sqs.send_message().queue_url(&dead).message_body("one").send().await.unwrap();
    world.sqs.send_message().queue_url(&dead).message_body("two").send().await.unwrap();
    let slow = start().source_arn(DEAD).destination_arn(other).max_number_of_messages_per_second(1);
    let handle = slow.send().await.unwrap().task_handle.unwrap();
    let second = start().source_arn(DEAD).destination_arn(other).send().await;
    assert_eq!(code!(second), "AWS.SimpleQueueService.UnsupportedOperation", "one at a time");
    let cancel = || world.sqs.cancel_message_move_task();
    assert_eq!(code!(cancel().task_handle("nonsense").send().await), "ResourceNotFoundException");
    cancel().task_handle(&handle).send().await.unwrap();
    assert_eq!(world.ended().await.status(), Some("CANCELLED"));
    let again = cancel().task_handle(&handle).send().await;
    assert_eq!(code!(again), "AWS.SimpleQueueService.UnsupportedOperation", "only what runs can be cancelled");
}
