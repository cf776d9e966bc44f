//! Bad input is refused with a sentence and exit code 2, before the first receive.

use super::bench::{Bench, ENFORCE, Ran, ran};
use aws_sdk_sqs::types::QueueAttributeName;
use fleetwarden::sandbox::iot::{FaultKind, FaultRule, Faults};

/// The calls that take messages: none may have been made.
async fn nothing_was_received(bench: &Bench) {
    let received = bench
        .clients
        .sqs
        .receive_message()
        .queue_url(&bench.made.queue_url)
        .message_system_attribute_names(aws_sdk_sqs::types::MessageSystemAttributeName::ApproximateReceiveCount)
        .send()
        .await
        .unwrap();
    let message = received.messages().first().expect("the message is still there");
    let count =
        &message.attributes().unwrap()[&aws_sdk_sqs::types::MessageSystemAttributeName::ApproximateReceiveCount];
    assert_eq!(count, "1", "somebody received it before");
}

async fn with_a_message() -> Bench {
    let bench = Bench::new().await;
    bench.publish(include_str!("../fixtures/finding_iot_policy.json")).await;
    bench
}

fn refused(ran: &Ran, fragments: &[&str]) {
    assert_eq!(ran.code, 2, "{ran:?}");
    for fragment in fragments {
        assert!(ran.err.contains(fragment), "`{fragment}` is not in: {}", ran.err);
    }
}

#[tokio::test]
async fn a_policy_with_mistakes_is_refused_with_line_and_column_for_each() {
    let bench = with_a_message().await;
    let policy = bench.file(
        "policy.yaml",
        "version: 1\nmode: enforce\nretry: { base_delay: 5 parsecs }\nrules:\n  - name: a\n    match: { check: CONFLICTING_CLIENT_IDS_CHECK }\n    actons: []\n    actions:\n      - type: UPDATE_DEVICE_CERTIFICATE\n",
    );
    let ran = bench.run(&["run", "--policy", &policy, "--until-empty"]).await;
    refused(
        &ran,
        &[
            "policy.yaml:3:22: ",
            "`5 parsecs`",
            "policy.yaml:7:5: unknown key `actons`",
            "did you mean `actions`",
            "policy.yaml:9:9: ",
            "does not fit CONFLICTING_CLIENT_IDS_CHECK",
        ],
    );
    nothing_was_received(&bench).await;
}

#[tokio::test]
async fn a_policy_that_is_not_there_is_refused() {
    let bench = with_a_message().await;
    let ran = bench.run(&["run", "--policy", "/nowhere/policy.yaml", "--until-empty"]).await;
    refused(&ran, &["/nowhere/policy.yaml"]);
    nothing_was_received(&bench).await;
}

#[tokio::test]
async fn queues_and_tables_that_do_not_exist_are_all_told_at_once() {
    let bench = with_a_message().await;
    let nowhere = bench.made.dead_letter_queue_url.replace("fleetwarden-dead-letters", "nowhere");
    let ran = bench.run(&["run", "--dead-letter-queue-url", &nowhere, "--table", "nothing", "--until-empty"]).await;
    refused(&ran, &["nowhere", "nothing", "fleetwarden setup"]);
    nothing_was_received(&bench).await;
}

#[tokio::test]
async fn a_queue_of_another_region_is_refused() {
    let bench = with_a_message().await;
    let ran = ran(bench.command().env("AWS_REGION", "eu-central-1").args(["run", "--until-empty"])).await;
    refused(&ran, &["us-east-1", "eu-central-1"]);
    nothing_was_received(&bench).await;
}

#[tokio::test]
async fn a_queue_without_redrive_that_hides_for_less_than_a_round_trip_is_refused() {
    let bench = with_a_message().await;
    let set = bench.clients.sqs.set_queue_attributes().queue_url(&bench.made.queue_url);
    let set = set.attributes(QueueAttributeName::VisibilityTimeout, "9");
    set.attributes(QueueAttributeName::RedrivePolicy, "").send().await.unwrap();
    let ran = bench.run(&["run", "--until-empty"]).await;
    refused(&ran, &["for 9 s only, less than the 10 s that one round trip may take", "no redrive policy"]);
    nothing_was_received(&bench).await;
}

#[tokio::test]
async fn who_may_not_ask_device_defender_what_authentication_asks_is_refused() {
    let bench = with_a_message().await;
    let policy = bench.file("policy.yaml", ENFORCE);
    let denied = FaultRule::new("ListAuditFindings", 1.0, FaultKind::Denied);
    bench.sandbox.iot().set_faults(Faults { seed: 0, rules: vec![denied] });
    let ran = bench.run(&["run", "--policy", &policy, "--until-empty"]).await;
    refused(&ran, &["allow iot:ListAuditFindings"]);
    nothing_was_received(&bench).await;
}

#[tokio::test]
async fn missing_credentials_are_refused() {
    let bench = with_a_message().await;
    let mut command = bench.command();
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY").args(["run", "--until-empty"]);
    refused(&ran(&mut command).await, &["credentials"]);
    nothing_was_received(&bench).await;
}

#[tokio::test]
async fn a_missing_region_and_figures_out_of_range_are_refused() {
    let bench = with_a_message().await;
    refused(&ran(bench.command().env_remove("AWS_REGION").args(["run", "--until-empty"])).await, &["AWS_REGION"]);
    refused(&bench.run(&["run", "--lease", "2 moons"]).await, &["--lease", "60s"]);
    refused(&bench.run(&["run", "--reserve", "1"]).await, &["the reserve 1 is out of range", "from 0 to 0.95"]);
    refused(&bench.run(&["run", "--quota", "GetPolicy=0"]).await, &["the quota 0 of GetPolicy is out of range"]);
    refused(&bench.run(&["run", "--quota", "UpdateCertifcate=5"]).await, &["UpdateCertifcate", "UpdateCertificate"]);
    nothing_was_received(&bench).await;
}

#[tokio::test]
async fn an_empty_variable_is_none_of_ours_and_is_told_where_the_sdk_would_stumble_over_it() {
    let bench = with_a_message().await;
    for (name, told) in [
        ("AWS_REGION", "no AWS region is configured"),
        ("AWS_ENDPOINT_URL", "the endpoint `` is no address"),
        ("FLEETWARDEN_QUEUE_URL", "set FLEETWARDEN_QUEUE_URL instead"),
    ] {
        let mut command = bench.command();
        let ran = ran(command.env_remove("AWS_DEFAULT_REGION").env(name, "").args(["run", "--until-empty"])).await;
        refused(&ran, &[told]);
    }
    nothing_was_received(&bench).await;
    let bench = Bench::new().await;
    let mut command = bench.command();
    for name in ["HTTP", "METRICS", "MODE", "POLICY", "QUOTAS", "UNTIL_EMPTY", "WORKER_ID", "OTLP", "LOG_FORMAT"] {
        command.env(format!("FLEETWARDEN_{name}"), "");
    }
    let ran = ran(command.args(["run", "--until-empty"])).await;
    assert_eq!(ran.code, 0, "{ran:?}");
}
