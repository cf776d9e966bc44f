//! Starting, stopping, routing and faults.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::BatchStatementRequest;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::types::{QueueAttributeName as Name, SendMessageBatchRequestEntry};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{code, text, world};
use crate::sandbox::{AwsFaults, AwsService, Sandbox, SandboxConfig, SandboxError, ServiceFaults};

/// One request over a socket of its own; answers status line, headers and body as they came.
pub(super) async fn raw(sandbox: &Sandbox, method: &str, path: &str, body: &str) -> String {
    let address = sandbox.endpoint().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    reply
}

fn faults(service: AwsService, faults: ServiceFaults) -> AwsFaults {
    AwsFaults { services: BTreeMap::from([(service, faults)]), seed: 1 }
}

#[tokio::test]
async fn a_port_in_use_is_a_sentence_that_says_what_to_do() {
    let first = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let port = first.endpoint().rsplit(':').next().unwrap().parse().unwrap();
    let Err(error) = Sandbox::start(SandboxConfig { port, ..Default::default() }).await else {
        panic!("two listeners on one port")
    };
    assert!(matches!(error, SandboxError::PortInUse { .. }));
    assert!(error.to_string().contains("choose another port"), "{error}");
}

#[tokio::test]
async fn a_stopped_sandbox_frees_its_port_and_ends_open_polls() {
    let world = world().await;
    let url = world.queue("findings").await;
    let port = world.sandbox.endpoint().rsplit(':').next().unwrap().parse().unwrap();
    let config =
        aws_sdk_sqs::config::Builder::from(&world.sandbox.sdk_config()).retry_config(RetryConfig::disabled()).build();
    let client = aws_sdk_sqs::Client::from_conf(config);
    let polling =
        tokio::spawn(async move { client.receive_message().queue_url(url).wait_time_seconds(20).send().await });
    world.queue("made-while-polling").await;
    world.sandbox.stop().await;
    assert!(polling.await.unwrap().is_err());
    Sandbox::start(SandboxConfig { port, ..Default::default() }).await.unwrap();
}

#[tokio::test]
async fn the_caller_is_who_the_configuration_says() {
    let world = world().await;
    let reply = raw(&world.sandbox, "POST", "/", "Action=GetCallerIdentity&Version=2011-06-15").await;
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    assert!(reply.contains("<Account>123456789012</Account>"));
    assert!(reply.contains("<Arn>arn:aws:sts::123456789012:assumed-role/sandbox/sandbox</Arn>"));
}

#[tokio::test]
async fn what_nobody_knows_is_refused_in_the_dialect_of_the_service() {
    let world = world().await;
    let unknown = raw(&world.sandbox, "POST", "/", "Action=NoSuchThing").await;
    assert!(unknown.starts_with("HTTP/1.1 400") && unknown.contains("<ErrorResponse"), "{unknown}");
    let transaction = world.dynamodb.execute_transaction().transact_statements(
        aws_sdk_dynamodb::types::ParameterizedStatement::builder().statement("SELECT 1").build().unwrap(),
    );
    assert_eq!(code!(transaction.send().await), "UnknownOperationException");
    let oversized = raw(&world.sandbox, "POST", "/", &"x".repeat((4 << 20) + 1)).await;
    assert!(oversized.is_empty() || oversized.starts_with("HTTP/1.1 413"), "{oversized}");
}

#[tokio::test]
async fn faults_are_set_and_read_over_http_and_a_wrong_rate_is_refused() {
    let world = world().await;
    let path = "/_sandbox/aws-faults";
    let set = raw(&world.sandbox, "POST", path, "{\"services\":{\"sqs\":{\"denied\":true}},\"seed\":3}").await;
    assert!(set.starts_with("HTTP/1.1 200"), "{set}");
    assert!(raw(&world.sandbox, "GET", path, "").await.contains("\"denied\":true"));
    assert_eq!(code!(world.sqs.list_queues().send().await), "AccessDenied");
    for wrong in ["{\"services\":{\"sqs\":{\"error_rate\":2}}}", "{\"services\":{\"s3\":{}}}", "{\"sed\":1}"] {
        assert!(raw(&world.sandbox, "POST", path, wrong).await.starts_with("HTTP/1.1 400"), "{wrong}");
    }
    let off = raw(&world.sandbox, "POST", path, "{}").await;
    assert!(off.starts_with("HTTP/1.1 200"));
    world.sqs.list_queues().send().await.unwrap();
}

#[tokio::test]
async fn each_service_fails_in_its_own_words() {
    let world = world().await;
    world.ledger().await;
    let topic = world.sns.create_topic().name("audit").send().await.unwrap().topic_arn.unwrap();
    let config = world.sandbox.sdk_config();
    let once = RetryConfig::disabled();
    let sqs =
        aws_sdk_sqs::Client::from_conf(aws_sdk_sqs::config::Builder::from(&config).retry_config(once.clone()).build());
    let sns =
        aws_sdk_sns::Client::from_conf(aws_sdk_sns::config::Builder::from(&config).retry_config(once.clone()).build());
    let dynamodb = aws_sdk_dynamodb::Client::from_conf(
        aws_sdk_dynamodb::config::Builder::from(&config).retry_config(once).build(),
    );
    let publish = || sns.publish().topic_arn(&topic).message("m").send();
    let describe = || dynamodb.describe_table().table_name("ledger").send();

    let broken = ServiceFaults { error_rate: 1.0, ..Default::default() };
    let denied = ServiceFaults { denied: true, ..Default::default() };
    for (fault, codes) in [
        (broken, ["InternalError", "InternalError", "InternalServerError"]),
        (denied, ["AccessDenied", "AuthorizationError", "AccessDeniedException"]),
    ] {
        world.sandbox.set_faults(faults(AwsService::Sqs, fault)).unwrap();
        assert_eq!(code!(sqs.list_queues().send().await), codes[0]);
        publish().await.unwrap();
        world.sandbox.set_faults(faults(AwsService::Sns, fault)).unwrap();
        assert_eq!(code!(publish().await), codes[1]);
        world.sandbox.set_faults(faults(AwsService::Dynamodb, fault)).unwrap();
        assert_eq!(code!(describe().await), codes[2]);
    }
}

#[tokio::test]
async fn a_dropped_call_has_not_run_and_a_lost_reply_has() {
    let world = world().await;
    world.ledger().await;
    let config = aws_sdk_dynamodb::config::Builder::from(&world.sandbox.sdk_config())
        .retry_config(RetryConfig::disabled())
        .build();
    let client = aws_sdk_dynamodb::Client::from_conf(config);
    let put = |id: &str| client.put_item().table_name("ledger").item("id", text(id)).send();
    let drop = ServiceFaults { drop_rate: 1.0, ..Default::default() };
    world.sandbox.set_faults(faults(AwsService::Dynamodb, drop)).unwrap();
    let dropped = put("dropped").await.unwrap_err();
    assert!(dropped.as_service_error().is_none(), "{dropped:?}");
    let lose = ServiceFaults { lost_reply_rate: 1.0, ..Default::default() };
    world.sandbox.set_faults(faults(AwsService::Dynamodb, lose)).unwrap();
    assert!(put("lost").await.unwrap_err().as_service_error().is_none());
    world.sandbox.set_faults(AwsFaults::default()).unwrap();
    let items = client.scan().table_name("ledger").send().await.unwrap().items.unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!(items[0]["id"], text("lost"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_calls_at_once_than_the_libraries_admit_all_succeed() {
    let world = world().await;
    world.ledger().await;
    let mut calls = JoinSet::new();
    for n in 0..300 {
        let client = world.dynamodb.clone();
        calls.spawn(async move { client.put_item().table_name("ledger").item("id", text(n.to_string())).send().await });
    }
    assert!(calls.join_all().await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn entries_of_a_batch_fail_one_by_one_inside_a_success() {
    let world = world().await;
    world.ledger().await;
    let url = world.queue("findings").await;
    let some = ServiceFaults { entry_error_rate: 0.5, ..Default::default() };
    let services = BTreeMap::from([(AwsService::Sqs, some), (AwsService::Dynamodb, some)]);
    world.sandbox.set_faults(AwsFaults { services, seed: 5 }).unwrap();

    let mut batch = world.sqs.send_message_batch().queue_url(&url);
    for n in 0..10 {
        let entry = SendMessageBatchRequestEntry::builder().id(n.to_string()).message_body("x").build().unwrap();
        batch = batch.entries(entry);
    }
    let sent = batch.send().await.unwrap();
    assert_eq!(sent.successful().len() + sent.failed().len(), 10);
    assert!(!sent.successful().is_empty() && !sent.failed().is_empty());
    assert!(sent.failed().iter().all(|entry| entry.code() == "InternalError" && !entry.sender_fault()));

    let insert = |n: usize| {
        let insert = BatchStatementRequest::builder().statement("INSERT INTO \"ledger\" VALUE {'id': ?}");
        insert.parameters(text(n.to_string())).build().unwrap()
    };
    let written = world.dynamodb.batch_execute_statement().set_statements(Some((0..20).map(insert).collect()));
    let responses = written.send().await.unwrap().responses.unwrap();
    world.sandbox.set_faults(AwsFaults::default()).unwrap();
    assert_eq!(responses.len(), 20);
    for (n, response) in responses.iter().enumerate() {
        let get = world.dynamodb.get_item().table_name("ledger").key("id", text(n.to_string())).send();
        assert_eq!(get.await.unwrap().item.is_some(), response.error.is_none(), "statement {n}");
    }
    assert!(responses.iter().any(|response| response.error.is_some()));
    let queued = world.sqs.get_queue_attributes().queue_url(&url).attribute_names(Name::All).send().await.unwrap();
    let visible = &queued.attributes.unwrap()[&Name::ApproximateNumberOfMessages];
    assert_eq!(*visible, sent.successful().len().to_string());
}
