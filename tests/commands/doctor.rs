//! `doctor`: a deployment that is right, one with many things wrong at once, and whether what it says mends them.

use super::audit::audited;
use super::bench::{Bench, ENFORCE, Ran, ran};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TimeToLiveSpecification,
};
use aws_sdk_sqs::types::QueueAttributeName;
use fleetwarden::ledger::{DynamoLedger, Presence};
use fleetwarden::queue::{Outgoing, Queue, SqsQueue};
use fleetwarden::sandbox::iot::{FaultKind, FaultRule, Faults, Quotas};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

const ALERTS: &str = "arn:aws:iam::123456789012:role/AuditAlerts";

/// A deployment with which nothing is wrong.
async fn well() -> Bench {
    let bench = Bench::new().await;
    let topic = bench.made.topic_arn.clone().unwrap();
    audited(&bench, &["settings", "set", "--alert-topic", &topic, "--alert-role", ALERTS, "--yes"]).await;
    audited(&bench, &["schedule", "create", "Nightly", "--daily", "--all-enabled"]).await;
    bench
}

async fn examined(bench: &Bench, arguments: &[&str]) -> (Ran, Value) {
    let ran = bench.run(&[&["doctor", "--output", "json"], arguments].concat()).await;
    let report = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("no report: {ran:?}"));
    (ran, report)
}

/// The rows of that state, as `area: what`, and what mends them.
fn rows(report: &Value, state: &str) -> BTreeMap<String, String> {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let rows = report["checks"].as_array().unwrap().iter().filter(|row| row["state"] == state);
    rows.map(|row| (format!("{}: {}", text(row, "area"), text(row, "what")), text(row, "mend"))).collect()
}

fn names(report: &Value, state: &str) -> BTreeSet<String> {
    rows(report, state).into_keys().collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn found<'a>(report: &'a Value, area: &str, what: &str) -> &'a str {
    let rows = report["checks"].as_array().unwrap();
    let row = rows.iter().find(|row| row["area"] == area && row["what"] == what);
    row.unwrap_or_else(|| panic!("no row {area}: {what} in {report:#}"))["found"].as_str().unwrap()
}

#[tokio::test]
async fn a_deployment_by_setup_and_audit_settings_is_well_with_a_worker_and_without() {
    let bench = well().await;
    bench.sandbox.iot().set_quotas(Quotas::scaled(1.0));
    let (ran, report) = examined(&bench, &[]).await;
    assert_eq!((ran.code, names(&report, "wrong")), (0, set(&[])), "{ran:?}");
    // What a sandbox, or whoever sets up by hand, does without; and what only a real message to the dead letters would tell.
    let notes =
        set(&["identity: endpoint", "table: point-in-time recovery", "table: deletion protection", "workers: alive"]);
    assert_eq!(names(&report, "note"), notes);
    assert_eq!(names(&report, "not checked"), set(&["permissions: sqs:SendMessage"]));
    assert_eq!(report["summary"]["well"], true);
    let canary = found(&report, "canary", "sent").split(' ').next().unwrap().to_owned();
    assert!(found(&report, "canary", "recorded").contains("by the worker's code in this process"), "{report:#}");
    assert_eq!(bench.depths().await, (0, 0), "nothing of the canary is left");
    let record = bench.run(&["findings", "show", &canary, "--output", "json"]).await;
    let record: Value = serde_json::from_str(&record.out).unwrap();
    assert_eq!((&record["status"], &record["rule"]), (&json!("observed"), &json!("canary")));
    assert!(ran.err.contains("taking the canary from the queue"), "it says what takes a while: {}", ran.err);

    let policy = bench.file("policy.yaml", ENFORCE);
    let mut worker = bench.command();
    worker.args(["run", "--policy", &policy, "--worker-id", "worker-of-the-test"]);
    let mut worker = worker.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let ledger = DynamoLedger::new(bench.clients.dynamodb.clone(), &bench.made.table);
    let announced = async { while ledger.workers(0).await.unwrap().is_empty() {} };
    tokio::time::timeout(Duration::from_secs(30), announced).await.expect("the worker says that it is there");
    let (ran, report) = examined(&bench, &["--policy", &policy]).await;
    assert_eq!((ran.code, names(&report, "wrong")), (0, set(&[])), "{ran:?}");
    assert!(found(&report, "workers", "alive").contains("worker-of-the-test"), "{report:#}");
    assert!(found(&report, "canary", "recorded").starts_with("observed by worker-of-the-test"), "{report:#}");
    worker.kill().await.unwrap();
}

/// Everything that this test breaks, by the names of its rows.
const BROKEN: [&str; 7] = [
    "queue: visibility timeout",
    "queue: redrive",
    "topic: delivery",
    "table: time to live",
    "permissions: iot:UpdateCertificate",
    "device-defender: LOGGING_DISABLED_CHECK",
    "device-defender: alerts",
];

async fn break_it(bench: &Bench) {
    let (sqs, sns) = (&bench.clients.sqs, &bench.clients.sns);
    let attributes = sqs.set_queue_attributes().queue_url(&bench.made.queue_url);
    let attributes = attributes.attributes(QueueAttributeName::VisibilityTimeout, "1");
    attributes.attributes(QueueAttributeName::RedrivePolicy, "").send().await.unwrap();
    let topic = bench.made.topic_arn.as_ref().unwrap();
    let subscriptions = sns.list_subscriptions_by_topic().topic_arn(topic).send().await.unwrap();
    let raw = sns
        .set_subscription_attributes()
        .subscription_arn(subscriptions.subscriptions()[0].subscription_arn().unwrap());
    raw.attribute_name("RawMessageDelivery").attribute_value("true").send().await.unwrap();
    let off = TimeToLiveSpecification::builder().enabled(false).attribute_name("expires_at").build().unwrap();
    let update = bench.clients.dynamodb.update_time_to_live().table_name(&bench.made.table);
    update.time_to_live_specification(off).send().await.unwrap();
    let denied = FaultRule::new("UpdateCertificate", 1.0, FaultKind::Denied);
    bench.sandbox.iot().set_faults(Faults { seed: 0, rules: vec![denied] });
    let elsewhere = sns.create_topic().name("elsewhere").send().await.unwrap().topic_arn.unwrap();
    audited(bench, &["schedule", "delete", "Nightly", "--yes"]).await;
    let settings = ["settings", "set", "--disable", "logging_disabled", "--alert-topic", &elsewhere, "--yes"];
    audited(bench, &settings).await;
}

/// Does what a row says: our own commands by the program, the AWS CLI's by the call that it makes.
async fn mend(bench: &Bench, words: &str) {
    let words: Vec<&str> = words.split(' ').collect();
    let flag = |name: &str| words[words.iter().position(|word| *word == name).unwrap() + 1];
    match words.as_slice() {
        ["fleetwarden", "audit", rest @ ..] => {
            audited(bench, &[rest, &["--yes"]].concat()).await;
        }
        ["fleetwarden", rest @ ..] => assert_eq!(bench.run(rest).await.code, 0, "{words:?}"),
        ["aws", "sqs", "set-queue-attributes", ..] => {
            let (name, value) = flag("--attributes").split_once('=').unwrap();
            let set = bench.clients.sqs.set_queue_attributes().queue_url(flag("--queue-url"));
            set.attributes(name.into(), value).send().await.unwrap();
        }
        ["aws", "sns", "set-subscription-attributes", ..] => {
            let set = bench.clients.sns.set_subscription_attributes().subscription_arn(flag("--subscription-arn"));
            let set = set.attribute_name(flag("--attribute-name")).attribute_value(flag("--attribute-value"));
            set.send().await.unwrap();
        }
        ["add", "to", "the", "role's", "policy:", statement] => {
            let statement: Value = serde_json::from_str(statement).unwrap();
            assert_eq!(statement["Action"], "iot:UpdateCertificate");
            assert_eq!(statement["Resource"], json!(["arn:aws:iot:us-east-1:123456789012:cert/*"]));
            bench.sandbox.iot().set_faults(Faults::default());
        }
        _ => panic!("nobody can do this: {words:?}"),
    }
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once_and_what_is_said_mends_it() {
    let bench = well().await;
    let text = ENFORCE.replace("mode: enforce", "mode: enforce\nverify_signature: true");
    let policy = bench.file("policy.yaml", &text);
    break_it(&bench).await;
    let (ran, report) = examined(&bench, &["--policy", &policy]).await;
    assert_eq!((ran.code, names(&report, "wrong")), (1, set(&BROKEN)), "{ran:?}");
    assert_eq!(report["summary"]["wrong"], BROKEN.len());
    assert!(ran.err.contains("7 things are wrong with this deployment"), "{}", ran.err);
    assert!(found(&report, "permissions", "iot:UpdateCertificate").contains("needed (rule deactivate)"), "{report:#}");
    // Whoever starts a worker there is told of what stops it.
    let started = bench.run(&["run", "--policy", &policy, "--until-empty"]).await;
    assert_eq!(started.code, 2, "{started:?}");
    assert!(started.err.contains("no redrive policy") && started.err.contains("hides a received message for 1 s only"));
    // For people the same, with what mends it in lines of their own.
    let table = bench.run(&["doctor", "--policy", &policy, "--no-canary"]).await;
    assert_eq!(table.code, 1);
    for mend in rows(&report, "wrong").values() {
        assert!(table.out.lines().any(|line| line.trim() == mend), "`{mend}` is not a line of {}", table.out);
    }
    for words in rows(&report, "wrong").values() {
        mend(&bench, words).await;
    }
    let (ran, report) = examined(&bench, &["--policy", &policy]).await;
    assert_eq!((ran.code, names(&report, "wrong")), (0, set(&[])), "{ran:?}");
}

#[tokio::test]
async fn what_is_missing_hides_nothing_else() {
    let bench = well().await;
    let nowhere = bench.made.queue_url.replace("findings", "nowhere");
    let dead = &bench.made.dead_letter_queue_url;
    let (ran, report) = examined(&bench, &["--queue-url", &nowhere, "--table", "nothing"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    let expected = set(&["queue: exists", "table: exists", "device-defender: alerts"]);
    assert_eq!(names(&report, "wrong"), expected, "{report:#}");
    let unseen = names(&report, "not checked");
    for row in ["access-policy: everything", "topic: everything", "workers: alive", "canary: round trip"] {
        assert!(unseen.contains(row), "{row} is not among {unseen:?}");
    }
    assert!(rows(&report, "wrong")["table: exists"].contains("--table nothing"), "{report:#}");

    let (ran, report) = examined(&bench, &["--queue-url", dead]).await;
    assert_eq!(ran.code, 1);
    let wrong = names(&report, "wrong");
    for row in
        ["dead-letters: another queue", "queue: redrive", "access-policy: lets the topic in", "topic: feeds the queue"]
    {
        assert!(wrong.contains(row), "{row} is not among {wrong:?}");
    }
}

#[tokio::test]
async fn without_credentials_that_is_told_once_and_a_policy_that_cannot_be_read_comes_first() {
    let bench = Bench::new().await;
    let mut command = bench.command();
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY").args(["doctor", "--output", "json"]);
    let without = ran(&mut command).await;
    let report: Value = serde_json::from_str(&without.out).unwrap();
    assert_eq!((without.code, names(&report, "wrong")), (1, set(&["identity: credentials"])), "{without:?}");
    assert_eq!(names(&report, "not checked").len(), 11, "every other area says that it was not looked at");

    let bad = bench.file("bad.yaml", "version: 1\nrules:\n  - nam: x\n");
    for arguments in
        [&["--policy", &bad][..], &["--policy", "/nowhere.yaml"], &["--canary-timeout", "1s"], &["--topic", "t"]]
    {
        let ran = bench.run(&[&["doctor"], arguments].concat()).await;
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(ran.out.is_empty(), "{}", ran.out);
    }
}

#[tokio::test]
async fn messages_of_others_are_given_back_untouched_and_a_backlog_is_left_alone() {
    let bench = well().await;
    let queue = SqsQueue::new(bench.clients.sqs.clone(), &bench.made.queue_url);
    let message = |n: usize| Outgoing::new(&format!("somebody else's {n}"), BTreeMap::new());
    let send = async |count: usize| {
        let messages: Vec<_> = (0..count).map(message).collect();
        for batch in messages.chunks(10) {
            assert!(queue.send(batch).await.unwrap().iter().all(Result::is_ok));
        }
    };
    send(30).await;
    let (ran, report) = examined(&bench, &[]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(found(&report, "canary", "deleted").contains("nothing of it is left"), "{report:#}");
    let depth = queue.depth().await.unwrap();
    assert_eq!((depth.visible, depth.in_flight), (30, 0));

    send(71).await;
    let (ran, report) = examined(&bench, &[]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(found(&report, "canary", "round trip").contains("101 messages wait"), "{report:#}");
    assert_eq!(queue.depth().await.unwrap().visible, 101);
}

/// Such a policy is common, and names no topic: which one it is, the audit's alerts tell.
#[tokio::test]
async fn a_queue_whose_policy_lets_topics_in_by_account_is_well() {
    let bench = well().await;
    let arn = bench.clients.sqs.get_queue_attributes().queue_url(&bench.made.queue_url);
    let arn = arn.attribute_names(QueueAttributeName::QueueArn).send().await.unwrap().attributes.unwrap();
    let policy = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "Service": "sns.amazonaws.com" }, "Action": "sqs:SendMessage",
        "Resource": arn[&QueueAttributeName::QueueArn],
        "Condition": { "StringEquals": { "aws:SourceAccount": "123456789012" } },
    }] });
    let change = bench.clients.sqs.set_queue_attributes().queue_url(&bench.made.queue_url);
    change.attributes(QueueAttributeName::Policy, policy.to_string()).send().await.unwrap();
    // How a filter is taken away again: it is none then.
    let topic = bench.made.topic_arn.as_ref().unwrap();
    let subscriptions = bench.clients.sns.list_subscriptions_by_topic().topic_arn(topic).send().await.unwrap();
    let arn = subscriptions.subscriptions()[0].subscription_arn().unwrap();
    let unfiltered = bench.clients.sns.set_subscription_attributes().subscription_arn(arn);
    unfiltered.attribute_name("FilterPolicy").attribute_value("{}").send().await.unwrap();
    let (ran, report) = examined(&bench, &[]).await;
    assert_eq!((ran.code, names(&report, "wrong")), (0, set(&[])), "{ran:?}");
    assert!(found(&report, "canary", "sent").contains(topic), "{report:#}");
    assert!(!names(&report, "note").contains("topic: filter"), "{report:#}");
}

/// A table of somebody else's ends `setup` before it makes anything, and `doctor` says nothing of its settings.
#[tokio::test]
async fn a_table_of_somebody_elses_is_left_alone() {
    let bench = Bench::new().await;
    let key = KeySchemaElement::builder().attribute_name("pk").key_type(KeyType::Hash).build().unwrap();
    let of_key = AttributeDefinition::builder().attribute_name("pk").attribute_type(ScalarAttributeType::S).build();
    let theirs = bench.clients.dynamodb.create_table().table_name("theirs").billing_mode(BillingMode::PayPerRequest);
    theirs.key_schema(key).attribute_definitions(of_key.unwrap()).send().await.unwrap();
    let names_of_setup = ["--queue-name", "new", "--dead-letter-queue-name", "new-dead", "--topic-name", "new"];
    let ran = bench.run(&[&["setup", "--table", "theirs"], names_of_setup.as_slice()].concat()).await;
    assert!(ran.code == 1 && ran.err.contains("another primary key"), "{ran:?}");
    let queues = bench.clients.sqs.list_queues().queue_name_prefix("new").send().await.unwrap();
    assert_eq!(queues.queue_urls(), [] as [String; 0], "nothing is made beside it");

    let (_, report) = examined(&bench, &["--table", "theirs"]).await;
    assert_eq!(found(&report, "workers", "alive").split(',').next(), Some("the ledger's table"));
    let told = report["checks"].as_array().unwrap().iter().filter(|row| row["area"] == "table");
    assert_eq!(told.map(|row| row["what"].as_str().unwrap()).collect::<Vec<_>>(), ["keys and index"]);
}
