//! Setup makes what the checks of a starting worker then find.

use crate::contract::run::unique;
use crate::{clients, queue};
use fleetwarden::aws::Clients;
use fleetwarden::ledger::dynamodb::{Created, check_table, create_table};
use fleetwarden::queue::{Outgoing, Queue, SqsQueue, describe};
use fleetwarden::setup::check_deployment;
use fleetwarden::setup::{self, SetupPlan, SetupReport};
use std::time::Duration;

async fn set_up(clients: &Clients) -> (SetupPlan, SetupReport) {
    let plan = SetupPlan {
        queue: unique("findings"),
        dead_letter_queue: unique("dead"),
        table: unique("ledger"),
        topic: Some(unique("topic")),
    };
    let report = setup::run(clients, &plan, |line| println!("{line}")).await.unwrap();
    (plan, report)
}

#[tokio::test]
#[ignore = "needs a peer: .ci/peer"]
async fn a_setup_makes_everything_once_and_finds_it_the_second_time() {
    let clients = clients();
    let (plan, first) = set_up(&clients).await;
    assert!(first.items.iter().all(|item| item.created == Created::Created), "{:#?}", first.items);
    let second = setup::run(&clients, &plan, |line| println!("{line}")).await.unwrap();
    assert!(second.items.iter().all(|item| item.created == Created::Existed), "{:#?}", second.items);
    assert!(second.items.iter().all(|item| item.remarks.is_empty()), "{:#?}", second.items);

    let info = describe(&clients.sqs, &first.queue_url).await.unwrap();
    assert_eq!(info.visibility, Duration::from_secs(60));
    assert_eq!(info.redrive.unwrap().max_receive_count, 1000);
    check_table(&clients.dynamodb, &plan.table).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a peer: .ci/peer"]
async fn what_is_published_to_the_topic_arrives_in_the_queue_in_an_envelope() {
    let clients = clients();
    let (_, report) = set_up(&clients).await;
    let topic = report.topic_arn.unwrap();
    clients.sns.publish().topic_arn(&topic).message(r#"{"findingId":"f"}"#).send().await.unwrap();
    let queue = SqsQueue::new(clients.sqs, report.queue_url);
    let received = queue.receive(1, Duration::from_secs(5), Duration::from_secs(30)).await.unwrap();
    let envelope: serde_json::Value = serde_json::from_str(&received[0].body).unwrap();
    assert_eq!(envelope["TopicArn"], topic.as_str());
    assert_eq!(envelope["Message"], r#"{"findingId":"f"}"#);
}

#[tokio::test]
#[ignore = "needs a peer: .ci/peer"]
async fn a_setup_tells_what_differs_and_leaves_it() {
    let clients = clients();
    let plan = SetupPlan {
        queue: unique("findings"),
        dead_letter_queue: unique("dead"),
        table: unique("ledger"),
        topic: None,
    };
    clients.sqs.create_queue().queue_name(&plan.queue).send().await.unwrap();
    let report = setup::run(&clients, &plan, |line| println!("{line}")).await.unwrap();
    let queue = report.items.iter().find(|item| item.what == "queue").unwrap();
    assert_eq!(queue.created, Created::Existed);
    assert!(queue.remarks.iter().any(|remark| remark.contains("30 s, not 60 s")), "{queue:?}");
    let info = describe(&clients.sqs, &report.queue_url).await.unwrap();
    assert_eq!(info.visibility, Duration::from_secs(30));
    assert_eq!(info.redrive.unwrap().max_receive_count, 1000);
}

#[tokio::test]
#[ignore = "needs a peer: .ci/peer"]
async fn a_deployment_that_was_set_up_passes_the_checks_of_a_starting_worker() {
    let clients = clients();
    let (_, report) = set_up(&clients).await;
    let urls = (report.queue_url.as_str(), report.dead_letter_queue_url.as_str());
    let deployment = check_deployment(&clients, urls.0, urls.1, &report.table, true).await.unwrap();
    assert_eq!((deployment.account.as_str(), deployment.region.as_str()), (report.account.as_str(), "us-east-1"));
    assert_eq!(deployment.visibility, Duration::from_secs(60));
}

#[tokio::test]
#[ignore = "needs a peer: .ci/peer"]
async fn a_deployment_that_cannot_work_is_told_in_sentences() {
    let clients = clients();
    let (_, report) = set_up(&clients).await;
    let missing = format!("{}-not-there", report.queue_url);
    let problems =
        check_deployment(&clients, &missing, &report.dead_letter_queue_url, "no-such-table", true).await.unwrap_err();
    println!("{problems:#?}");
    assert_eq!(problems.len(), 2);
    assert!(problems[0].contains(&missing) && problems[0].contains("does not exist"), "{}", problems[0]);
    assert!(problems[1].contains("no-such-table") && problems[1].contains("fleetwarden setup"), "{}", problems[1]);

    let problems =
        check_deployment(&clients, &report.queue_url, &report.queue_url, &report.table, true).await.unwrap_err();
    assert!(problems[0].contains("the dead-letter queue is the queue itself"), "{problems:?}");

    let elsewhere = "https://sqs.eu-west-1.amazonaws.com/123456789012/q";
    let problems =
        check_deployment(&clients, elsewhere, &report.dead_letter_queue_url, &report.table, true).await.unwrap_err();
    assert!(problems[0].contains("set AWS_REGION=eu-west-1"), "{problems:?}");
}

#[tokio::test]
#[ignore = "needs a peer: .ci/peer"]
async fn a_table_that_is_not_ours_is_told_and_left_alone() {
    use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
    let clients = clients();
    let table = unique("foreign");
    let attribute = AttributeDefinition::builder().attribute_name("pk").attribute_type(ScalarAttributeType::S);
    let key = KeySchemaElement::builder().attribute_name("pk").key_type(KeyType::Hash);
    let call = clients.dynamodb.create_table().table_name(&table).billing_mode(BillingMode::PayPerRequest);
    call.attribute_definitions(attribute.build().unwrap()).key_schema(key.build().unwrap()).send().await.unwrap();
    let sentence = check_table(&clients.dynamodb, &table).await.unwrap_err();
    assert!(sentence.contains("another primary key"), "{sentence}");
    assert!(create_table(&clients.dynamodb, &table).await.is_err());
}

#[tokio::test]
#[ignore = "needs a peer: .ci/peer"]
async fn a_batch_larger_than_one_request_is_sent_in_parts() {
    let queue = queue().await;
    let large = Outgoing { body: "x".repeat(600_000), ..Outgoing::default() };
    let sent = queue.send(&[large.clone(), large]).await.unwrap();
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    assert_eq!(queue.depth().await.unwrap().visible, 2);
}
