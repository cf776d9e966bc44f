//! Messages and answers at the edge of what AWS takes.

use crate::house::*;
use fleetwarden::aws::{Class, Fate};
use fleetwarden::worker::Ended;

#[tokio::test(start_paused = true)]
async fn a_body_as_large_as_sqs_takes_still_ends_in_the_dead_letters_with_its_reason() {
    for size in [1024 * 1024 - 700, 1024 * 1024] {
        let house = House::new();
        house.send(&"x".repeat(size)).await;
        house.work().await;
        assert_eq!(house.dead_letters(), [("not_json".to_owned(), "-".to_owned())], "a body of {size} bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn characters_that_sqs_refuses_do_not_keep_a_message_from_the_dead_letters() {
    let house = House::new();
    let two = serde_json::json!({ "Records": [{ "body": "\u{ffff}" }, { "body": "\u{fffe}" }] }).to_string();
    let body = serde_json::json!({ "Records": [{ "body": two }] }).to_string();
    house.send(&body.replace('\u{ffff}', "\\uffff").replace('\u{fffe}', "\\ufffe")).await;
    house.work().await;
    assert_eq!(house.dead_letters().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_to_end_with_the_queue_and_may_not_look_at_it_ends_broken() {
    let house = House::new();
    let mut worker = house.worker("worker");
    worker.queue = house.queue.with_fates(always("queue.depth", Fate::Fail(Class::Denied)));
    let ended = finish(start(worker).task).await.unwrap();
    assert!(matches!(ended, Ended::Broken(_)), "{ended:?}");
}
