//! SQS's own redrive: what `StartMessageMoveTask` moves back is understood by the worker as a replay.

use super::bench::Bench;
use super::dlq::send;
use aws_sdk_sqs::types::Message;
use fleetwarden::aws::Class;
use fleetwarden::queue::describe;
use fleetwarden::replay::native::{self, MoveEnd, Progress};
use fleetwarden::sandbox::iot::{FaultKind, FaultRule, Faults};
use serde_json::Value;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const SAMPLE: &str = include_str!("../fixtures/finding_iot_policy.json");
const SAMPLE_ID: &str = "11111111-1111-4111-8111-111111111111";

/// Gives up after one failed attempt.
const IMPATIENT: &str = "
version: 1
mode: enforce
retry: { max_attempts: 1 }
rules:
  - name: blank
    match: { check: [IOT_POLICY_OVERLY_PERMISSIVE_CHECK] }
    actions:
      - { type: REPLACE_DEFAULT_POLICY_VERSION, template: BLANK_POLICY }
";

fn never() -> CancellationToken {
    CancellationToken::new()
}

/// The ARNs of the dead-letter queue and of the queue.
async fn arns(bench: &Bench) -> (String, String) {
    let arn = async |url| describe(&bench.clients.sqs, url).await.unwrap().arn;
    (arn(&bench.made.dead_letter_queue_url).await, arn(&bench.made.queue_url).await)
}

/// Everything visible, hidden from nobody.
async fn peek(bench: &Bench, url: &str) -> Vec<Message> {
    let receive = bench.clients.sqs.receive_message().queue_url(url).max_number_of_messages(10);
    let receive = receive.message_attribute_names("All").visibility_timeout(0).wait_time_seconds(0);
    receive.send().await.unwrap().messages.unwrap_or_default()
}

async fn counts(bench: &Bench, policy: &str) -> Value {
    let ran = bench.run(&["run", "--policy", policy, "--until-empty", "--output", "json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    serde_json::from_str::<Value>(&ran.out).unwrap()["counts"].take()
}

async fn status(bench: &Bench) -> Value {
    let shown = bench.run(&["findings", "show", SAMPLE_ID, "--output", "json"]).await;
    serde_json::from_str::<Value>(&shown.out).unwrap()["status"].take()
}

async fn versions(bench: &Bench) -> usize {
    bench.clients.iot.list_policy_versions().policy_name("ExamplePolicy").send().await.unwrap().policy_versions().len()
}

#[tokio::test]
async fn a_letter_moved_back_has_a_new_id_and_its_attributes_and_is_worked_on_once_more_and_once_only() {
    let bench = Bench::new().await;
    let policy = bench.file("policy.yaml", IMPATIENT);
    let broken = Faults { seed: 1, rules: vec![FaultRule::new("GetPolicy", 1.0, FaultKind::InternalFailure)] };
    bench.sandbox.iot().set_faults(broken);
    bench.publish(SAMPLE).await;
    assert_eq!(counts(&bench, &policy).await["dead"], 1);
    assert_eq!(status(&bench).await, "dead");
    bench.sandbox.iot().set_faults(Faults::default());
    // A letter may be there twice: its worker sent it, got no answer, and sent it again.
    let letters = peek(&bench, &bench.made.dead_letter_queue_url).await;
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    let again = bench.clients.sqs.send_message().queue_url(&bench.made.dead_letter_queue_url);
    let again = again.set_message_attributes(letter.message_attributes.clone());
    again.message_body(letter.body().unwrap()).send().await.unwrap();

    let (source, destination) = arns(&bench).await;
    let task = native::start(&bench.clients.sqs, &source, &destination, None).await.unwrap();
    let mut told = Vec::new();
    let ended = native::watch(&bench.clients.sqs, &task, &never(), |progress| told.push(progress)).await.unwrap();
    // What was there to move is approximate.
    assert!(matches!(ended, (MoveEnd::Completed, Progress { moved: 2, .. })), "{ended:?}");
    assert_eq!(told.last(), Some(&ended.1), "progress was told");
    assert_eq!(bench.depths().await, (2, 0));

    let moved = peek(&bench, &bench.made.queue_url).await;
    for message in &moved {
        assert_ne!(message.message_id, letter.message_id, "a move makes a new message");
        assert_eq!(message.body, letter.body);
        assert_eq!(message.message_attributes, letter.message_attributes);
    }
    let counts = counts(&bench, &policy).await;
    assert_eq!((&counts["mitigated"], &counts["duplicates"]), (&Value::from(1), &Value::from(1)), "{counts}");
    assert_eq!(status(&bench).await, "mitigated");
    assert_eq!(versions(&bench).await, 2, "one effect");
    assert_eq!(bench.depths().await, (0, 0));
}

#[tokio::test]
async fn a_move_keeps_to_its_rate_and_stops_with_the_rest_where_it_was() {
    let bench = Bench::new().await;
    for n in 0..20 {
        send(&bench, &bench.made.dead_letter_queue_url, &format!("letter {n}")).await;
    }
    let (source, destination) = arns(&bench).await;
    // Two a second: twenty would take ten seconds.
    let task = native::start(&bench.clients.sqs, &source, &destination, Some(2)).await.unwrap();
    let second = native::start(&bench.clients.sqs, &source, &destination, None).await.unwrap_err();
    assert_eq!(second.class, Class::Permanent);
    assert!(second.to_string().contains("already"), "{second}");

    let stop = never();
    let watched = native::watch(&bench.clients.sqs, &task, &stop, |progress| {
        if progress.moved > 0 {
            stop.cancel();
        }
    });
    let (end, at) = tokio::time::timeout(Duration::from_secs(60), watched).await.unwrap().unwrap();
    assert_eq!(end, MoveEnd::Cancelled);
    assert!((1..20).contains(&at.moved), "{at:?}");
    let moved = i64::try_from(at.moved).unwrap();
    assert_eq!(bench.depths().await, (moved, 20 - moved), "nothing is lost, nothing is doubled");

    let rest = native::start(&bench.clients.sqs, &source, &destination, None).await.unwrap();
    let (end, at) = native::watch(&bench.clients.sqs, &rest, &never(), |_| {}).await.unwrap();
    assert_eq!((end, at.moved), (MoveEnd::Completed, 20 - u64::try_from(moved).unwrap()), "a task of its own");
    assert_eq!(bench.depths().await, (20, 0));
}

#[tokio::test]
async fn a_start_whose_answer_is_lost_is_found_again_and_not_repeated() {
    use fleetwarden::sandbox::{AwsFaults, AwsService, ServiceFaults};
    let bench = Bench::new().await;
    for n in 0..40 {
        send(&bench, &bench.made.dead_letter_queue_url, &format!("letter {n}")).await;
    }
    let (source, destination) = arns(&bench).await;
    let (mut started, mut lost) = (0, 0);
    for seed in 0..15 {
        println!("seed {seed}");
        let flaky = ServiceFaults { lost_reply_rate: 0.5, ..ServiceFaults::default() };
        let faults = AwsFaults { seed, services: [(AwsService::Sqs, flaky)].into() };
        bench.sandbox.set_faults(faults).unwrap();
        let task = native::start(&bench.clients.sqs, &source, &destination, Some(1)).await;
        bench.sandbox.set_faults(AwsFaults::default()).unwrap();
        let listed = bench.clients.sqs.list_message_move_tasks().source_arn(&source).send().await.unwrap();
        let running = listed.results().iter().filter(|entry| entry.status() == Some("RUNNING")).count();
        match task {
            Ok(task) => {
                started += 1;
                assert_eq!(running, 1);
                let stop = never();
                stop.cancel();
                let (end, _) = native::watch(&bench.clients.sqs, &task, &stop, |_| {}).await.unwrap();
                assert_eq!(end, MoveEnd::Cancelled);
            }
            // Not even the list of tasks was answered: whoever starts again is told of the task.
            Err(error) if running == 1 => {
                lost += 1;
                assert!(matches!(error.class, Class::Unknown | Class::Transient), "{error}");
                let handle = listed.results()[0].task_handle().unwrap();
                bench.clients.sqs.cancel_message_move_task().task_handle(handle).send().await.unwrap();
                let ended = async || {
                    let listed = bench.clients.sqs.list_message_move_tasks().source_arn(&source).send().await.unwrap();
                    listed.results()[0].status() == Some("CANCELLED")
                };
                while !ended().await {}
            }
            Err(error) => assert_eq!(error.class, Class::Transient, "{error}"),
        }
    }
    assert!(started >= 5, "{started} of 15 were started, {lost} not seen");
    let (waiting, dead) = bench.depths().await;
    assert_eq!(waiting + dead, 40);
}

#[tokio::test]
async fn sqs_moves_only_from_dead_letter_queues_and_only_where_it_is_told() {
    let bench = Bench::new().await;
    let (source, destination) = arns(&bench).await;
    let sqs = &bench.clients.sqs;
    let not_dead = native::start(sqs, &destination, &source, None).await.unwrap_err();
    assert!(not_dead.to_string().contains("Dead Letter Queue"), "{not_dead}");
    let nowhere = native::start(sqs, &source, &format!("{destination}-not"), None).await.unwrap_err();
    assert_eq!(nowhere.code.as_deref(), Some("ResourceNotFoundException"));
    let too_fast = native::start(sqs, &source, &destination, Some(501)).await.unwrap_err();
    assert_eq!(too_fast.code.as_deref(), Some("InvalidParameterValue"));

    // A letter that a worker sent names no source queue.
    send(&bench, &bench.made.dead_letter_queue_url, "sent, not redriven").await;
    sqs.start_message_move_task().source_arn(&source).send().await.unwrap();
    let failed = async {
        loop {
            let listed = sqs.list_message_move_tasks().source_arn(&source).send().await.unwrap();
            if listed.results()[0].status() != Some("RUNNING") {
                return listed.results()[0].clone();
            }
        }
    };
    let failed = tokio::time::timeout(Duration::from_secs(30), failed).await.unwrap();
    assert_eq!((failed.status(), failed.failure_reason()), (Some("FAILED"), Some("CouldNotDetermineMessageSource")));
    assert_eq!((failed.task_handle(), failed.approximate_number_of_messages_moved()), (None, 0));
    assert_eq!(bench.depths().await, (0, 1));
}
