//! What this twin adds to the contract: dead-lettering, disorder, delays, and SQS's stricter refusals.

use super::*;
use jiff::{SignedDuration, Timestamp};

const LONG: Duration = Duration::from_secs(60);

fn queue(config: MemoryQueueConfig) -> MemoryQueue {
    MemoryQueue::new(Clock::virtual_at(Timestamp::UNIX_EPOCH), config)
}

fn message(body: &str) -> Outgoing {
    Outgoing { body: body.to_owned(), attributes: BTreeMap::new() }
}

async fn send(queue: &MemoryQueue, bodies: &[&str]) {
    for body in bodies {
        queue.send(&[message(body)]).await.unwrap().remove(0).unwrap();
    }
}

async fn receive(queue: &MemoryQueue, max: usize) -> Vec<Received> {
    queue.receive(max, Duration::ZERO, LONG).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_delete_by_a_stale_handle_leaves_the_message_where_it_is() {
    let queue = queue(MemoryQueueConfig::default());
    send(&queue, &["kept"]).await;
    let first = receive(&queue, 1).await.remove(0);
    tokio::time::advance(LONG).await;
    let second = receive(&queue, 1).await.remove(0);
    assert_eq!(queue.delete(&[first.receipt_handle]).await.unwrap(), [Ok(())]);
    assert_eq!(queue.depth().await.unwrap().in_flight, 1);
    assert_eq!(queue.delete(&[second.receipt_handle]).await.unwrap(), [Ok(())]);
    assert!(queue.depth().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_expired_handle_still_deletes_until_the_message_is_received_again() {
    let queue = queue(MemoryQueueConfig::default());
    send(&queue, &["late"]).await;
    let received = receive(&queue, 1).await.remove(0);
    tokio::time::advance(2 * LONG).await;
    assert_eq!(queue.depth().await.unwrap().visible, 1);
    assert_eq!(queue.delete(&[received.receipt_handle]).await.unwrap(), [Ok(())]);
    assert!(queue.depth().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_wakes_when_a_visibility_timeout_ends_and_gives_up_at_its_own_end() {
    let queue = queue(MemoryQueueConfig::default());
    send(&queue, &["again"]).await;
    queue.receive(1, Duration::ZERO, Duration::from_secs(7)).await.unwrap();
    let started = Instant::now();
    let again = queue.receive(1, MAX_WAIT, LONG).await.unwrap();
    assert_eq!((again.len(), started.elapsed().as_secs()), (1, 7));
    assert_eq!(queue.receive(1, MAX_WAIT, LONG).await.unwrap(), []);
    assert_eq!(started.elapsed().as_secs(), 27);
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_wakes_when_a_message_is_given_back() {
    let queue = queue(MemoryQueueConfig::default());
    send(&queue, &["given back"]).await;
    let handle = receive(&queue, 1).await.remove(0).receipt_handle;
    let started = Instant::now();
    let poll = tokio::spawn({
        let queue = queue.clone();
        async move { queue.receive(1, MAX_WAIT, LONG).await }
    });
    tokio::time::sleep(Duration::from_secs(3)).await;
    queue.change_visibility(&[(handle, Duration::ZERO)]).await.unwrap().remove(0).unwrap();
    assert_eq!(poll.await.unwrap().unwrap().len(), 1);
    assert_eq!(started.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn visibility_is_bounded_by_twelve_hours_from_the_first_receive() {
    let queue = queue(MemoryQueueConfig::default());
    send(&queue, &["old"]).await;
    let hour = Duration::from_secs(3600);
    let received = queue.receive(1, Duration::ZERO, 11 * hour).await.unwrap().remove(0);
    tokio::time::advance(10 * hour).await;
    let change = async |visibility: Duration| {
        let entry = (received.receipt_handle.clone(), visibility);
        queue.change_visibility(&[entry]).await.unwrap().remove(0)
    };
    assert_eq!(change(2 * hour).await, Ok(()));
    let error = change(2 * hour + Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(error.code.as_deref(), Some("InvalidParameterValue"));
}

#[tokio::test(start_paused = true)]
async fn a_message_received_too_often_moves_to_the_dead_letter_queue() {
    let dead_letters = queue(MemoryQueueConfig { name: "dead-letters".to_owned(), ..Default::default() });
    let redrive = Some(Redrive { to: dead_letters.clone(), max_receives: 2 });
    let queue = queue(MemoryQueueConfig { redrive, ..Default::default() });
    send(&queue, &["poison"]).await;
    let give_back = async |received: &Received| {
        let entry = (received.receipt_handle.clone(), Duration::ZERO);
        queue.change_visibility(&[entry]).await.unwrap().remove(0).unwrap();
    };
    give_back(&receive(&queue, 1).await[0]).await;
    send(&queue, &["good"]).await;
    let poison = receive(&queue, 1).await.remove(0);
    assert_eq!((poison.body.as_str(), poison.receive_count), ("poison", 2));
    give_back(&poison).await;
    let good = receive(&queue, 10).await;
    assert_eq!(good.iter().map(|received| received.body.as_str()).collect::<Vec<_>>(), ["good"]);
    assert_eq!(queue.contents(), [message("good")]);
    let dead = receive(&dead_letters, 1).await.remove(0);
    assert_eq!((dead.body.as_str(), dead.message_id, dead.receive_count), ("poison", poison.message_id, 1));
}

#[tokio::test(start_paused = true)]
async fn a_delayed_message_is_counted_and_comes_when_its_delay_is_over() {
    let queue = queue(MemoryQueueConfig { delay: Duration::from_secs(5), ..Default::default() });
    send(&queue, &["later"]).await;
    assert_eq!(queue.depth().await.unwrap(), Depth { visible: 0, in_flight: 0, delayed: 1 });
    assert_eq!(receive(&queue, 1).await, []);
    assert_eq!(queue.receive(1, MAX_WAIT, LONG).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn disorder_shuffles_and_duplicates_as_its_seed_says_and_loses_nothing() {
    let run = async |seed| {
        let disorder = Some(Disorder { seed, duplicates: 0.3 });
        let queue = queue(MemoryQueueConfig { disorder, ..Default::default() });
        let bodies: Vec<_> = (0..40).map(|number| number.to_string()).collect();
        send(&queue, &bodies.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let mut order = Vec::new();
        loop {
            let batch = receive(&queue, 10).await;
            if batch.is_empty() {
                break;
            }
            order.extend(batch.into_iter().map(|received| received.body));
        }
        assert!(order.len() > 40, "some of 40 deliveries slip at a chance of 0.3");
        assert_ne!(order[..40], bodies, "the order of sending");
        let all: BTreeSet<_> = order.iter().cloned().collect();
        assert_eq!(all.len(), 40);
        order
    };
    assert_eq!(run(7).await, run(7).await);
    assert_ne!(run(7).await, run(8).await);
}

#[tokio::test(start_paused = true)]
async fn what_sqs_refuses_is_refused_entry_by_entry() {
    let queue = queue(MemoryQueueConfig::default());
    let with = |name: &str, value: &str| Outgoing {
        attributes: BTreeMap::from([(name.to_owned(), value.to_owned())]),
        ..message("x")
    };
    let eleven = (0..11).map(|number| (number.to_string(), "x".to_owned())).collect();
    let outcomes = queue
        .send(&[
            message("fine"),
            message(""),
            message("\u{0}"),
            with("reason", ""),
            with("reason", "\u{1b}[31m"),
            Outgoing { attributes: eleven, ..message("x") },
        ])
        .await
        .unwrap();
    let codes: Vec<_> = outcomes.into_iter().map(|outcome| outcome.err().and_then(|error| error.code)).collect();
    let expected = [
        None,
        Some("MissingParameter"),
        Some("InvalidMessageContents"),
        Some("InvalidParameterValue"),
        Some("InvalidMessageContents"),
        Some("InvalidParameterValue"),
    ];
    assert_eq!(codes, expected.map(|code| code.map(str::to_owned)));
}

#[tokio::test(start_paused = true)]
async fn a_message_of_more_than_one_mebibyte_is_refused_for_itself_alone() {
    let queue = queue(MemoryQueueConfig::default());
    let largest = "x".repeat(MAX_MESSAGE);
    let too_large = "x".repeat(MAX_MESSAGE + 1);
    let outcomes = queue.send(&[message(&largest), message(&too_large), message("x")]).await.unwrap();
    assert_eq!(outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
}

#[tokio::test(start_paused = true)]
async fn a_handle_of_another_queue_or_of_no_message_yet_sent_is_invalid() {
    let ahead = Clock::virtual_at(Timestamp::UNIX_EPOCH).skewed(SignedDuration::from_secs(5));
    let other = MemoryQueue::new(ahead, MemoryQueueConfig { name: "other".to_owned(), ..Default::default() });
    let queue = queue(MemoryQueueConfig::default());
    send(&other, &["theirs"]).await;
    let theirs = receive(&other, 1).await.remove(0).receipt_handle;
    for handle in [theirs.as_str(), "queue/1/1", "queue/x/1", "queue", ""] {
        let outcome = queue.delete(&[handle.to_owned()]).await.unwrap().remove(0);
        assert_eq!(outcome.unwrap_err().code.as_deref(), Some("ReceiptHandleIsInvalid"), "{handle}");
    }
}
