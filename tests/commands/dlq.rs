//! `dlq`: what operators see of the dead letters, and what it leaves behind.

use super::bench::{Bench, ENFORCE};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Duration;

const SAMPLE: &str = include_str!("../fixtures/finding_iot_policy.json");
const CONFIRMATION: &str = include_str!("../fixtures/sqs_body_subscription_confirmation.json");

/// A message with this body, on the queue at `url`.
pub async fn send(bench: &Bench, url: &str, body: &str) {
    bench.clients.sqs.send_message().queue_url(url).message_body(body).send().await.unwrap();
}

/// (visible, in flight) of the dead-letter queue.
async fn depth(bench: &Bench) -> (String, String) {
    let names =
        [QueueAttributeName::ApproximateNumberOfMessages, QueueAttributeName::ApproximateNumberOfMessagesNotVisible];
    let call = bench.clients.sqs.get_queue_attributes().queue_url(&bench.made.dead_letter_queue_url);
    let answer = call.set_attribute_names(Some(names.to_vec())).send().await.unwrap().attributes.unwrap();
    (answer[&names[0]].clone(), answer[&names[1]].clone())
}

async fn receive(bench: &Bench) -> Vec<Message> {
    let receive = bench.clients.sqs.receive_message().queue_url(&bench.made.dead_letter_queue_url);
    let receive = receive.max_number_of_messages(10).message_attribute_names("All");
    let receive = receive.message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
    receive.send().await.unwrap().messages.unwrap_or_default()
}

/// Three poisoned messages, a subscription confirmation, and a finding that SQS itself moved there.
async fn with_letters() -> Bench {
    let bench = Bench::new().await;
    for poison in ["}{", "{", "\u{1F4A3}", CONFIRMATION] {
        send(&bench, &bench.made.queue_url, poison).await;
    }
    let ran = bench.run(&["run", "--until-empty"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    send(&bench, &bench.made.dead_letter_queue_url, SAMPLE).await;
    bench
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn dlq_list_groups_by_reason_and_check_and_hides_nothing_afterwards() {
    let bench = with_letters().await;
    let ran = bench.run(&["dlq", "list", "--output", "json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(depth(&bench).await, ("5".to_owned(), "0".to_owned()));
    let list = json_of(&ran.out);
    assert_eq!((&list["looked"], &list["whole"], &list["hidden"]), (&json!(5), &json!(true), &json!(0)));
    let groups: Vec<_> = list["groups"].as_array().unwrap().iter().collect();
    let count = |reason: &str| groups.iter().find(|group| group["reason"] == reason).map(|group| &group["count"]);
    assert_eq!(count("not_json"), Some(&json!(3)), "{list}");
    assert_eq!(count("subscription_confirmation"), Some(&json!(1)));
    let redriven = groups.iter().find(|group| group["reason"] == "redriven_by_sqs").unwrap();
    assert_eq!(redriven["check"], "IOT_POLICY_OVERLY_PERMISSIVE_CHECK");
    assert_eq!(redriven["examples"][0]["findingId"], "11111111-1111-4111-8111-111111111111");
    assert_eq!(groups[0]["count"], 3, "the largest first");
    // As moments: text of 12.04 s sorts behind that of 12.041 s.
    let moment = |of: &str| groups[0][of].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(moment("oldest") <= moment("newest"));

    let table = bench.run(&["dlq", "list", "--by", "reason", "--examples", "2"]).await;
    assert_eq!(table.code, 0, "{table:?}");
    for part in ["not_json", "subscription_confirmation", "redriven_by_sqs", "5 letters looked at"] {
        assert!(table.out.contains(part), "`{part}` is not in: {}", table.out);
    }
    assert!(!table.out.contains("IOT_POLICY"), "not grouped by check: {}", table.out);
    assert!(!table.out.contains('\u{1b}') && table.err.is_empty(), "colours and bars are for terminals: {table:?}");
    let seen = receive(&bench).await;
    assert_eq!(seen.len(), 5);
    for letter in seen {
        let count = &letter.attributes().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount];
        assert_eq!(count, "3", "two looks and this one");
    }
}

#[tokio::test]
async fn dlq_list_tells_what_it_did_not_see() {
    let bench = with_letters().await;
    let theirs = bench.clients.sqs.receive_message().queue_url(&bench.made.dead_letter_queue_url);
    assert_eq!(theirs.visibility_timeout(600).send().await.unwrap().messages().len(), 1);
    let ran = bench.run(&["dlq", "list", "--limit", "2"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("the first 2 letters of about 4"), "{}", ran.out);
    assert!(ran.out.contains("about 1 more are in other hands"), "{}", ran.out);
    assert_eq!(depth(&bench).await, ("4".to_owned(), "1".to_owned()));
}

#[tokio::test]
async fn dlq_list_of_an_empty_queue_is_no_error() {
    let bench = Bench::new().await;
    let ran = bench.run(&["dlq", "list"]).await;
    assert_eq!((ran.code, ran.out.trim()), (0, "0 letters looked at"), "{ran:?}");
}

#[tokio::test]
async fn dlq_show_prints_one_letter_whole_and_where_the_ledger_says_it_stands() {
    let bench = Bench::new().await;
    // The same message once more, as SQS would have moved it: the ledger knows how the first one ended.
    let policy = bench.file("policy.yaml", ENFORCE);
    bench.publish(SAMPLE).await;
    let ran = bench.run(&["run", "--policy", &policy, "--until-empty"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    send(&bench, &bench.made.dead_letter_queue_url, SAMPLE).await;

    let id = "11111111-1111-4111-8111-111111111111";
    let shown = bench.run(&["dlq", "show", id, "--output", "json"]).await;
    assert_eq!(shown.code, 0, "{shown:?}");
    let letter = json_of(&shown.out);
    assert_eq!((letter["reason"].as_str(), letter["body"].as_str()), (Some("redriven_by_sqs"), Some(SAMPLE)));
    assert_eq!(letter["ledger"]["status"], "mitigated");

    let table = bench.run(&["dlq", "show", letter["messageId"].as_str().unwrap()]).await;
    assert_eq!(table.code, 0, "{table:?}");
    for part in
        ["redriven_by_sqs", "IOT_POLICY_OVERLY_PERMISSIVE_CHECK", "mitigated since", "\n  \"findingId\": \"1111"]
    {
        assert!(table.out.contains(part), "`{part}` is not in: {}", table.out);
    }
    let without = bench.run(&["dlq", "show", id, "--table", "nothing"]).await;
    assert_eq!(without.code, 0, "the letter is shown although the ledger is not there: {without:?}");
    assert!(without.out.contains("does not answer"), "{}", without.out);

    let absent = bench.run(&["dlq", "show", "nobody"]).await;
    assert_eq!(absent.code, 1);
    assert!(absent.err.contains("nobody") && absent.err.contains("1 letter looked at"), "{}", absent.err);
    assert_eq!(depth(&bench).await, ("1".to_owned(), "0".to_owned()));
}

#[tokio::test]
async fn dlq_purge_without_a_terminal_wants_yes_and_touches_nothing() {
    let bench = with_letters().await;
    let ran = bench.run(&["dlq", "purge"]).await;
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("--yes") && ran.err.contains("dlq list"), "{}", ran.err);
    let counts: Vec<_> = receive(&bench).await;
    assert_eq!(counts.len(), 5);
    for letter in counts {
        let count = &letter.attributes().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount];
        assert_eq!(count, "1", "somebody received it before");
    }
}

#[tokio::test]
async fn dlq_purge_deletes_what_it_shows_by_reason_check_and_age_and_leaves_the_rest_visible() {
    let bench = with_letters().await;
    let young = bench.run(&["dlq", "purge", "--older-than", "1h", "--yes"]).await;
    assert_eq!(young.code, 0, "{young:?}");
    assert!(young.out.contains("nothing to delete") && young.out.contains("5 letters"), "{}", young.out);

    let poison = bench.run(&["dlq", "purge", "--reason", "not_json", "--yes"]).await;
    assert_eq!(poison.code, 0, "{poison:?}");
    for part in ["not_json", "3 letters deleted"] {
        assert!(poison.out.contains(part), "`{part}` is not in: {}", poison.out);
    }
    assert!(!poison.out.contains("redriven"), "only what goes is shown: {}", poison.out);
    assert_eq!(depth(&bench).await, ("2".to_owned(), "0".to_owned()));

    let check = ["dlq", "purge", "--check", "IOT_POLICY_OVERLY_PERMISSIVE_CHECK", "--yes", "--output", "json"];
    let check = bench.run(&check).await;
    let purged = json_of(&check.out);
    assert_eq!((check.code, &purged["selected"], &purged["deleted"]), (0, &json!(1), &json!(1)), "{purged}");
    let left = receive(&bench).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].body(), Some(CONFIRMATION), "the body is unchanged by all that looking");
}

#[tokio::test]
async fn dlq_refuses_the_main_queue_and_tells_of_a_queue_that_is_not_there() {
    let bench = with_letters().await;
    send(&bench, &bench.made.queue_url, SAMPLE).await;
    for command in [&["dlq", "list"][..], &["dlq", "purge", "--yes"]] {
        let ran = bench.run(&[command, &["--dead-letter-queue-url", &bench.made.queue_url]].concat()).await;
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.err.contains("is not a dead-letter queue"), "{}", ran.err);
    }
    assert_eq!(bench.depths().await, (1, 5), "nothing was purged");
    let nowhere = bench.made.dead_letter_queue_url.replace("dead-letters", "nowhere");
    let ran = bench.run(&["dlq", "list", "--dead-letter-queue-url", &nowhere]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("nowhere") && ran.err.contains("--dead-letter-queue-url"), "{}", ran.err);
    for wrong in [&["dlq", "list", "--limit", "0"][..], &["dlq", "purge", "--older-than", "soon", "--yes"]] {
        assert_eq!(bench.run(wrong).await.code, 2, "{wrong:?}");
    }
}

#[tokio::test]
async fn ctrl_c_during_a_look_gives_every_letter_back_at_once() {
    let bench = with_letters().await;
    let mut command = bench.command();
    let child = command.args(["dlq", "list"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id().unwrap().to_string();
    // The look ends with an empty receive of a second: time enough to see the letters hidden, and to interrupt.
    let hidden = async { while depth(&bench).await.1 != "5" {} };
    tokio::time::timeout(Duration::from_secs(30), hidden).await.expect("the letters are looked at");
    let killed = tokio::process::Command::new("kill").args(["-INT", &pid]).status().await.unwrap();
    assert!(killed.success());
    let ended =
        tokio::time::timeout(Duration::from_secs(20), child.wait_with_output()).await.expect("it ends").unwrap();
    let err = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{err}");
    assert!(err.contains("stopped") && err.contains("given back"), "{err}");
    assert_eq!(depth(&bench).await, ("5".to_owned(), "0".to_owned()));
}
