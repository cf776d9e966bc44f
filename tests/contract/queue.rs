//! What every `Queue` does, whoever serves it. `make` gives a fresh, empty queue.
#![expect(clippy::unwrap_used, reason = "tests")]

use fleetwarden::aws::{CallError, Class};
use fleetwarden::queue::{BATCH, Depth, MAX_VISIBILITY, Outgoing, Queue, Received};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const NO_WAIT: Duration = Duration::ZERO;
/// Longer than any case lasts.
const LONG: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// Runs every case of this file against an implementation; see `run.rs`.
macro_rules! queue_contract {
    ($($implementation:tt)*) => {
        contract_tests!(queue, [
            a_message_arrives_with_body_and_attributes_unharmed,
            a_message_says_when_it_was_sent_and_first_received,
            an_empty_queue_answers_with_an_empty_list,
            a_long_poll_ends_when_a_message_comes,
            a_receive_brings_no_more_than_was_asked_for,
            equal_messages_are_two_messages,
            a_received_message_is_hidden_until_its_visibility_timeout_ends,
            a_longer_visibility_timeout_keeps_a_message_hidden,
            visibility_zero_returns_a_message_at_once,
            each_delivery_counts_and_has_its_own_handle,
            a_message_that_is_not_in_flight_refuses_a_visibility_change,
            a_visibility_timeout_beyond_twelve_hours_is_refused,
            an_invalid_handle_amid_visibility_changes_harms_no_other,
            a_deleted_message_does_not_come_back,
            deleting_twice_is_accepted,
            a_delete_by_a_stale_handle_is_accepted_and_the_newest_handle_deletes,
            an_invalid_handle_amid_deletes_harms_no_other,
            one_handle_twice_in_a_batch_harms_no_other,
            a_batch_of_ten_is_answered_in_order,
            a_batch_of_more_than_one_mebibyte_is_taken,
            an_empty_batch_is_refused,
            a_batch_of_eleven_is_refused_and_has_no_effect,
            receiving_none_or_eleven_at_once_is_refused,
            depth_tells_waiting_from_in_flight,
            many_receivers_drain_a_queue_without_losing_a_message,
        ], $($implementation)*);
    };
}

fn message(body: &str) -> Outgoing {
    Outgoing { body: body.to_owned(), attributes: BTreeMap::new() }
}

async fn send<Q: Queue>(queue: &Q, bodies: &[&str]) -> Vec<String> {
    let messages: Vec<_> = bodies.iter().map(|body| message(body)).collect();
    queue.send(&messages).await.unwrap().into_iter().map(Result::unwrap).collect()
}

/// `count` messages, by as many receives as it takes: a standard queue may answer each with fewer than it has.
async fn receive<Q: Queue>(queue: &Q, count: usize, visibility: Duration) -> Vec<Received> {
    let mut received = Vec::new();
    while received.len() < count {
        let more = queue.receive((count - received.len()).min(BATCH), 5 * SECOND, visibility).await.unwrap();
        assert!(!more.is_empty(), "only {} of {count} messages came within five seconds", received.len());
        received.extend(more);
    }
    received
}

async fn receive_one<Q: Queue>(queue: &Q, visibility: Duration) -> Received {
    receive(queue, 1, visibility).await.remove(0)
}

async fn change<Q: Queue>(queue: &Q, handle: &str, visibility: Duration) -> Result<(), CallError> {
    queue.change_visibility(&[(handle.to_owned(), visibility)]).await.unwrap().remove(0)
}

async fn delete<Q: Queue>(queue: &Q, handle: &str) -> Result<(), CallError> {
    queue.delete(&[handle.to_owned()]).await.unwrap().remove(0)
}

async fn assert_nothing_comes<Q: Queue>(queue: &Q, wait: Duration) {
    assert_eq!(queue.receive(10, wait, LONG).await.unwrap(), []);
}

fn assert_refused(outcome: Result<(), CallError>, code: &str) {
    let error = outcome.unwrap_err();
    assert_eq!((error.class, error.code.as_deref()), (Class::Permanent, Some(code)), "{error}");
}

pub async fn a_message_arrives_with_body_and_attributes_unharmed<Q: Queue>(make: impl AsyncFn() -> Q) {
    let queue = make().await;
    let body =
        format!("{{\"quote\":\"it's \\\"so\\\" 100% <&> \",\"text\":\"Grüße, 世界 🚒\"}}\n\t{}", "x".repeat(100_000));
    let attributes = BTreeMap::from([
        ("reason".to_owned(), "payload_mismatch".to_owned()),
        ("error.detail".to_owned(), "'Straße' \"🚒\" <a&b>".to_owned()),
    ]);
    let sent = Outgoing { body: body.clone(), attributes: attributes.clone() };
    let id = queue.send(&[sent]).await.unwrap().remove(0).unwrap();

    let received = receive_one(&queue, LONG).await;
    assert_eq!((received.message_id, received.body, received.attributes.clone()), (id, body, attributes.clone()));

    change(&queue, &received.receipt_handle, NO_WAIT).await.unwrap();
    assert_eq!(receive_one(&queue, LONG).await.attributes, attributes, "at the second delivery");
}

pub async fn a_message_says_when_it_was_sent_and_first_received<Q: Queue>(make: impl AsyncFn() -> Q) {
    let queue = make().await;
    send(&queue, &["when"]).await;
    let received = receive_one(&queue, LONG).await;
    let (sent, first) = (received.sent_at.unwrap(), received.first_received_at.unwrap());
    assert!(sent > 1_600_000_000_000, "{sent} is not in milliseconds since the epoch");
    assert!(sent <= first && first - sent < 60_000, "sent at {sent}, first received at {first}");
    assert_eq!(received.receive_count, 1);
}

pub async fn an_empty_queue_answers_with_an_empty_list<Q: Queue>(make: impl AsyncFn() -> Q) {
    let queue = make().await;
    assert_nothing_comes(&queue, NO_WAIT).await;
    assert_nothing_comes(&queue, SECOND).await;
}

pub async fn a_long_poll_ends_when_a_message_comes<Q: Queue>(make: impl AsyncFn() -> Q) {
    let queue = Arc::new(make().await);
    let started = Instant::now();
    let poll = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move { queue.receive(10, Duration::from_secs(20), LONG).await.unwrap() }
    });
    tokio::task::yield_now().await;
    send(&*queue, &["here it is"]).await;
    assert_eq!(poll.await.unwrap().remove(0).body, "here it is");
    assert!(started.elapsed() < Duration::from_secs(10), "the poll lasted {:?}", started.elapsed());
}

pub async fn a_receive_brings_no_more_than_was_asked_for<Q: Queue>(make: impl AsyncFn() -> Q) {
    let queue = make().await;
    send(&queue, &["a", "b", "c", "d", "e"]).await;
    assert!((1..=2).contains(&queue.receive(2, SECOND, LONG).await.unwrap().len()));
}

pub async fn equal_messages_are_two_messages<Q: Queue>(make: impl AsyncFn() -> Q) {
    let queue = make().await;
    send(&queue, &["same", "same"]).await;
    let received = receive(&queue, 2, LONG).await;
    assert_ne!(received[0].message_id, received[1].message_id);
}

pub async fn a_received_message_is_hidden_until_its_visibility_timeout_ends<Q: Queue>(make: impl AsyncFn() -> Q) {
    let queue = make().await;
    send(&queue, &["again"]).await;
    let started = Instant::now();
    let first = receive_one(&queue, 2 * SECOND).await;
    assert_nothing_comes(&queue, NO_WAIT).await;
    let second = receive_one(&queue, LONG).await;
    assert!(started.elapsed() >= Duration::from_millis(1900), "it came back after {:?}", started.elapsed());
    assert_eq!((second.message_id, second.receive_count), (first.message_id, 2));
}

pub async fn a_longer_visibility_timeout_keeps_a_message_hidden<Q: Queue>(make: impl AsyncFn() -> Q) {
    let queue = make().await;
    send(&queue, &["mine"]).await;
    let received = receive_one(&queue, 2 * SECOND).await;
    change(&queue, &received.receipt_handle, LONG).await.unwrap();
    assert_nothing_comes(&queue, 3 * SECOND).await;
}

pub async fn visibility_zero_returns_a_message_at_once<Q: Queue>(make: impl AsyncFn() -> Q) {
    let queue = make().await;
    send(&queue, &["given back"]).await;
    let received = receive_one(&queue, MAX_VISIBILITY / 2).await;
    change(&queue, &received.receipt_handle, NO_WAIT).await.unwrap();
    assert_eq!(receive_one(&queue, LONG).await.message_id, received.message_id);
}

pub async fn each_delivery_counts_and_has_its_own_handle<Q: Queue>(make: impl AsyncFn() -> Q) {
    let queue = make().await;
    let id = send(&queue, &["thrice"]).await.remove(0);
    let mut handles = BTreeSet::new();
    let mut first_received = BTreeSet::new();
    for delivery in 1..=3 {
        let received = receive_one(&queue, LONG).await;
        assert_eq!((&received.message_id, received.receive_count), (&id, delivery));
        change(&queue, &received.receipt_handle, NO_WAIT).await.unwrap();
        handles.insert(received.receipt_handle);
        first_received.insert(received.first_received_at.unwrap());
    }
    assert_eq!((handles.len(), first_received.len()), (3, 1));
}

pub async fn a_message_that_is_not_in_flight_refuses_a_visibility_change<Q: Queue>(make: impl AsyncFn() -> Q) {
    let queue = make().await;
    send(&queue, &["visible"]).await;
    let received = receive_one(&queue, LONG).await;
    change(&queue, &received.receipt_handle, NO_WAIT).await.unwrap();
    assert_refused(change(&queue, &received.receipt_handle, LONG).await, "MessageNotInflight");
    receive_one(&queue, LONG).await;
}

pub async fn a_visibility_timeout_beyond_twelve_hours_is_refused<Q: Queue>(make: impl AsyncFn() -> Q) {
    let queue = make().await;
    send(&queue, &["too long"]).await;
    let received = receive_one(&queue, LONG).await;
    let outcome = queue.change_visibility(&[(received.receipt_handle, MAX_VISIBILITY + SECOND)]).await;
    let error = outcome.map_or_else(Some, |mut entries| entries.remove(0).err()).unwrap();
    assert_eq!(error.class, Class::Permanent, "{error}");
}

pub async fn an_invalid_handle_amid_visibility_changes_harms_no_other<Q: Queue>(make: impl AsyncFn() -> Q) {
    let queue = make().await;
    send(&queue, &["a", "b"]).await;
    let received = receive(&queue, 2, LONG).await;
    let mut outcomes = queue
        .change_visibility(&[
            (received[0].receipt_handle.clone(), NO_WAIT),
            ("no handle of this queue".to_owned(), NO_WAIT),
            (received[1].receipt_handle.clone(), NO_WAIT),
        ])
        .await
        .unwrap();
    assert_refused(outcomes.remove(1), "ReceiptHandleIsInvalid");
    assert_eq!(outcomes, [Ok(()), Ok(())]);
    receive(&queue, 2, LONG).await;
}

pub async fn a_deleted_message_does_not_come_back<Q: Queue>(make: impl AsyncFn() -> Q) {
    let queue = make().await;
    send(&queue, &["done"]).await;
    let received = receive_one(&queue, SECOND).await;
    delete(&queue, &received.receipt_handle).await.unwrap();
    assert_nothing_comes(&queue, 2 * SECOND).await;
    assert_eq!(queue.depth().await.unwrap(), Depth::default());
}

pub async fn deleting_twice_is_accepted<Q: Queue>(make: impl AsyncFn() -> Q) {
    let queue = make().await;
    send(&queue, &["done twice"]).await;
    let received = receive_one(&queue, LONG).await;
    delete(&queue, &received.receipt_handle).await.unwrap();
    delete(&queue, &received.receipt_handle).await.unwrap();
}

pub async fn a_delete_by_a_stale_handle_is_accepted_and_the_newest_handle_deletes<Q: Queue>(make: impl AsyncFn() -> Q) {
    let queue = make().await;
    send(&queue, &["twice delivered"]).await;
    let first = receive_one(&queue, LONG).await;
    change(&queue, &first.receipt_handle, NO_WAIT).await.unwrap();
    let second = receive_one(&queue, LONG).await;
    delete(&queue, &first.receipt_handle).await.unwrap();
    delete(&queue, &second.receipt_handle).await.unwrap();
    assert_eq!(queue.depth().await.unwrap(), Depth::default());
}

pub async fn an_invalid_handle_amid_deletes_harms_no_other<Q: Queue>(make: impl AsyncFn() -> Q) {
    let queue = make().await;
    send(&queue, &["a", "b", "c"]).await;
    let received = receive(&queue, 3, LONG).await;
    let mut outcomes = queue
        .delete(&[
            received[0].receipt_handle.clone(),
            "no handle of this queue".to_owned(),
            received[1].receipt_handle.clone(),
        ])
        .await
        .unwrap();
    assert_refused(outcomes.remove(1), "ReceiptHandleIsInvalid");
    assert_eq!(outcomes, [Ok(()), Ok(())]);

    change(&queue, &received[2].receipt_handle, NO_WAIT).await.unwrap();
    assert_eq!(receive_one(&queue, LONG).await.message_id, received[2].message_id);
    assert_nothing_comes(&queue, NO_WAIT).await;
}

/// Entries of a batch need ids of their own: one made of the message would have all entries refused. What becomes of the repeated
/// entry itself is not promised.
pub async fn one_handle_twice_in_a_batch_harms_no_other<Q: Queue>(make: impl AsyncFn() -> Q) {
    let queue = make().await;
    send(&queue, &["twice", "once"]).await;
    let received = receive(&queue, 2, LONG).await;
    let handles = [0, 0, 1].map(|n: usize| received[n].receipt_handle.clone());
    let changed = queue.change_visibility(&handles.each_ref().map(|handle| (handle.clone(), LONG))).await.unwrap();
    assert_eq!((&changed[0], &changed[2]), (&Ok(()), &Ok(())));
    let deleted = queue.delete(&handles).await.unwrap();
    assert_eq!((&deleted[0], &deleted[2]), (&Ok(()), &Ok(())));
    assert_eq!(queue.depth().await.unwrap(), Depth::default());
}

pub async fn a_batch_of_ten_is_answered_in_order<Q: Queue>(make: impl AsyncFn() -> Q) {
    let queue = make().await;
    let bodies = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let ids = send(&queue, &bodies).await;
    let sent: BTreeMap<_, _> = ids.into_iter().zip(bodies.map(str::to_owned)).collect();
    let received = receive(&queue, 10, LONG).await;
    let handles: Vec<_> = received.iter().map(|message| message.receipt_handle.clone()).collect();
    let arrived: BTreeMap<_, _> = received.into_iter().map(|message| (message.message_id, message.body)).collect();
    assert_eq!(arrived, sent);
    assert_eq!(queue.delete(&handles).await.unwrap(), vec![Ok(()); 10]);
    assert_eq!(queue.depth().await.unwrap(), Depth::default());
}

pub async fn a_batch_of_more_than_one_mebibyte_is_taken<Q: Queue>(make: impl AsyncFn() -> Q) {
    let queue = make().await;
    let large = "x".repeat(600_000);
    let mut ids = send(&queue, &[&large, "small", &large]).await;
    let mut received = receive(&queue, 3, LONG).await;
    assert!(
        received.iter().all(|message| message.body.len() == if message.message_id == ids[1] { 5 } else { 600_000 })
    );
    received.sort_by(|a, b| a.message_id.cmp(&b.message_id));
    ids.sort();
    assert_eq!(received.into_iter().map(|message| message.message_id).collect::<Vec<_>>(), ids);
}

pub async fn an_empty_batch_is_refused<Q: Queue>(make: impl AsyncFn() -> Q) {
    let queue = make().await;
    assert_eq!(queue.send(&[]).await.unwrap_err().class, Class::Permanent);
    assert_eq!(queue.delete(&[]).await.unwrap_err().class, Class::Permanent);
    assert_eq!(queue.change_visibility(&[]).await.unwrap_err().class, Class::Permanent);
}

pub async fn a_batch_of_eleven_is_refused_and_has_no_effect<Q: Queue>(make: impl AsyncFn() -> Q) {
    let queue = make().await;
    assert_eq!(queue.send(&vec![message("one of eleven"); 11]).await.unwrap_err().class, Class::Permanent);
    assert_eq!(queue.depth().await.unwrap(), Depth::default());

    send(&queue, &["kept"]).await;
    let handle = receive_one(&queue, LONG).await.receipt_handle;
    assert_eq!(queue.delete(&vec![handle.clone(); 11]).await.unwrap_err().class, Class::Permanent);
    assert_eq!(queue.change_visibility(&vec![(handle, NO_WAIT); 11]).await.unwrap_err().class, Class::Permanent);
    assert_eq!(queue.depth().await.unwrap(), Depth { visible: 0, in_flight: 1, delayed: 0 });
}

pub async fn receiving_none_or_eleven_at_once_is_refused<Q: Queue>(make: impl AsyncFn() -> Q) {
    let queue = make().await;
    for max in [0, 11] {
        assert_eq!(queue.receive(max, NO_WAIT, LONG).await.unwrap_err().class, Class::Permanent, "max {max}");
    }
}

pub async fn depth_tells_waiting_from_in_flight<Q: Queue>(make: impl AsyncFn() -> Q) {
    let queue = make().await;
    assert!(queue.depth().await.unwrap().is_empty());
    send(&queue, &["a", "b", "c"]).await;
    assert_eq!(queue.depth().await.unwrap(), Depth { visible: 3, in_flight: 0, delayed: 0 });
    let received = receive_one(&queue, LONG).await;
    assert_eq!(queue.depth().await.unwrap(), Depth { visible: 2, in_flight: 1, delayed: 0 });
    delete(&queue, &received.receipt_handle).await.unwrap();
    assert_eq!(queue.depth().await.unwrap(), Depth { visible: 2, in_flight: 0, delayed: 0 });
}

pub async fn many_receivers_drain_a_queue_without_losing_a_message<Q: Queue>(make: impl AsyncFn() -> Q) {
    let queue = Arc::new(make().await);
    let mut sent = BTreeSet::new();
    for _ in 0..6 {
        sent.extend(send(&*queue, &["x"; 10]).await);
    }
    let receivers: Vec<_> = (0..6)
        .map(|_| {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move {
                let mut seen = BTreeSet::new();
                loop {
                    let batch = queue.receive(10, SECOND, LONG).await.unwrap();
                    if batch.is_empty() {
                        return seen;
                    }
                    let handles: Vec<_> = batch.iter().map(|message| message.receipt_handle.clone()).collect();
                    assert!(queue.delete(&handles).await.unwrap().iter().all(Result::is_ok));
                    seen.extend(batch.into_iter().map(|message| message.message_id));
                }
            })
        })
        .collect();
    let mut seen = BTreeSet::new();
    for receiver in receivers {
        seen.extend(receiver.await.unwrap());
    }
    assert_eq!(seen, sent);
    assert_eq!(queue.depth().await.unwrap(), Depth::default());
}
