//! `verify_signature` in a real process: what SNS of the sandbox signed passes, what others wrote dies, and who cannot fetch the
//! certificate waits.

use super::bench::{Bench, ENFORCE, Ran};
use aws_sdk_sqs::types::QueueAttributeName;
use fleetwarden::aws::{CertificateSource, Class, SnsCertificates};
use fleetwarden::finding::{CertificateUrl, SigningCertificate};
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};

const SAMPLE: &str = include_str!("../fixtures/finding_iot_policy.json");
const SAMPLE_ID: &str = "11111111-1111-4111-8111-111111111111";

/// The workshop's policy that asks for signatures.
fn policy(bench: &Bench) -> String {
    bench.file("policy.yaml", &ENFORCE.replace("mode: enforce", "mode: enforce\nverify_signature: true"))
}

/// What a topic delivers for this message, taken from a queue of its own.
async fn delivered(bench: &Bench, topic: &str, message: &str) -> Value {
    let sqs = &bench.clients.sqs;
    let url = sqs.create_queue().queue_name("copies").send().await.unwrap().queue_url.unwrap();
    let arn = sqs.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::QueueArn);
    let arn = arn.send().await.unwrap().attributes.unwrap().remove(&QueueAttributeName::QueueArn).unwrap();
    let subscribe = bench.clients.sns.subscribe().topic_arn(topic).protocol("sqs").endpoint(arn);
    let subscription = subscribe.send().await.unwrap().subscription_arn.unwrap();
    bench.clients.sns.publish().topic_arn(topic).message(message).send().await.unwrap();
    let received = sqs.receive_message().queue_url(&url).wait_time_seconds(5).send().await.unwrap();
    bench.clients.sns.unsubscribe().subscription_arn(subscription).send().await.unwrap();
    sqs.delete_queue().queue_url(&url).send().await.unwrap();
    serde_json::from_str(received.messages()[0].body().unwrap()).unwrap()
}

async fn send(bench: &Bench, body: &Value) {
    let body = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
    bench.clients.sqs.send_message().queue_url(&bench.made.queue_url).message_body(body).send().await.unwrap();
}

async fn work(bench: &Bench) -> (Ran, Value) {
    let ran = bench.run(&["run", "--policy", &policy(bench), "--until-empty", "--output", "json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let counts = serde_json::from_str::<Value>(&ran.out).unwrap()["counts"].take();
    (ran, counts)
}

#[tokio::test]
async fn notifications_of_both_versions_and_raw_ones_pass_and_forged_ones_are_dead_letters() {
    let bench = Bench::new().await;
    let topic = bench.made.topic_arn.clone().unwrap();
    let sign = async |version: &str| {
        let set = bench.clients.sns.set_topic_attributes().topic_arn(&topic);
        set.attribute_name("SignatureVersion").attribute_value(version).send().await.unwrap();
    };
    let attributes = bench.clients.sns.get_topic_attributes().topic_arn(&topic).send().await.unwrap();
    assert_eq!(attributes.attributes.unwrap()["SignatureVersion"], "2", "setup asks for it");
    sign("1").await;
    bench.publish(SAMPLE).await;
    sign("2").await;
    let genuine = delivered(&bench, &topic, SAMPLE).await;
    assert_eq!(genuine["SignatureVersion"], "2");

    let other = bench.clients.sns.create_topic().name("other").send().await.unwrap().topic_arn.unwrap();
    let mut forged = vec![genuine.clone(), genuine.clone(), delivered(&bench, &other, SAMPLE).await, genuine.clone()];
    forged[0]["Message"] = json!(SAMPLE.replace(SAMPLE_ID, "forged-0").replace("ExamplePolicy", "AnotherPolicy"));
    forged[1]["Timestamp"] = json!("2026-01-01T00:00:00.000Z");
    forged[2]["TopicArn"] = json!(topic);
    forged[3]["SigningCertURL"] = json!("https://sns.us-east-1.amazonaws.com.evil.com/a.pem");
    for body in &forged {
        send(&bench, body).await;
    }
    send(&bench, &json!(SAMPLE)).await;

    let (ran, counts) = work(&bench).await;
    assert_eq!(
        (&counts["verified"], &counts["mitigated"], &counts["dead"]),
        (&json!(2), &json!(1), &json!(4)),
        "{ran:?}"
    );
    assert_eq!(counts["duplicates"], 2, "the raw one, and one of the two that SNS delivered");
    assert_eq!(ran.err.matches("fetched a signing certificate").count(), 1, "{}", ran.err);
    assert_eq!(bench.depths().await, (0, 4));
    let listed = bench.run(&["dlq", "list", "--output", "json"]).await;
    assert_eq!(listed.out.matches("bad_signature").count(), 1, "{}", listed.out);
    let shown = bench.run(&["dlq", "show", "forged-0"]).await;
    assert!(shown.out.contains("not what SNS signed"), "{shown:?}");
}

#[tokio::test]
async fn who_cannot_reach_sns_waits_and_loses_nothing() {
    let bench = Bench::new().await;
    bench.publish(SAMPLE).await;
    // SNS alone is elsewhere: nobody listens there.
    let mut command = bench.command();
    command.env("AWS_ENDPOINT_URL_SNS", "http://127.0.0.1:1").args(["run", "--policy", &policy(&bench)]);
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let told = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("failed to fetch a signing certificate") {
                return line;
            }
        }
        panic!("it ended without a word");
    };
    let told = tokio::time::timeout(Duration::from_secs(60), told).await.unwrap();
    assert!(told.contains("allow HTTPS to SNS"), "{told}");
    let pid = child.id().unwrap().to_string();
    assert!(tokio::process::Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    // Read on, or its last words would find nobody.
    while let Some(_last) = lines.next_line().await.unwrap() {}
    assert!(child.wait().await.unwrap().success());
    assert_eq!(bench.depths().await, (1, 0), "neither lost nor given up");

    let (ran, counts) = work(&bench).await;
    assert_eq!((&counts["verified"], &counts["mitigated"]), (&json!(1), &json!(1)), "{ran:?}");
    assert_eq!(bench.depths().await, (0, 0));
}

#[tokio::test]
async fn replays_of_signed_letters_are_checked_again() {
    let bench = Bench::new().await;
    let topic = bench.made.topic_arn.clone().unwrap();
    let mut forged = delivered(&bench, &topic, SAMPLE).await;
    let genuine = forged.clone();
    work(&bench).await;
    forged["Message"] = json!(SAMPLE.replace(SAMPLE_ID, "forged"));
    send(&bench, &forged).await;
    assert_eq!(work(&bench).await.1["dead"], 1);
    let replayed = bench.run(&["replay", "dlq", "--reason", "bad_signature", "--yes"]).await;
    assert_eq!(replayed.code, 0, "{replayed:?}");
    let (ran, counts) = work(&bench).await;
    assert_eq!((&counts["dead"], &counts["claimed"]), (&json!(1), &json!(0)), "{ran:?}");
    // The topic's own, once more: known by now.
    send(&bench, &genuine).await;
    let (_, counts) = work(&bench).await;
    assert_eq!((&counts["verified"], &counts["duplicates"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn the_certificate_is_served_where_the_notification_says_and_no_other_is() {
    let bench = Bench::new().await;
    let genuine = delivered(&bench, bench.made.topic_arn.as_ref().unwrap(), SAMPLE).await;
    let source = SnsCertificates::new(&bench.sandbox.sdk_config());
    let url = |url: &str| CertificateUrl::parse(url, "us-east-1").unwrap();
    let pem = source.fetch(&url(genuine["SigningCertURL"].as_str().unwrap())).await.unwrap();
    assert!(SigningCertificate::from_pem(&pem).is_ok());
    let other = url("https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem");
    assert_eq!(source.fetch(&other).await.unwrap_err().class, Class::Gone);
}
