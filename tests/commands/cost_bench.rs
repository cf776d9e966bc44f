//! A worker in this process over the embedded AWS, and what it called: what `fleetwarden cost` estimates is held against it.

use super::bench::Bench;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sns::types::PublishBatchRequestEntry;
use fleetwarden::aws::{Clients, SnsCertificates};
use fleetwarden::budget::{BudgetConfig, Budgets};
use fleetwarden::clock::Clock;
use fleetwarden::finding::{Finding, Origin, Resource, ResourceIdentifier, Severity};
use fleetwarden::ledger::DynamoLedger;
use fleetwarden::mitigation::AwsIot;
use fleetwarden::policy::Policy;
use fleetwarden::queue::SqsQueue;
use fleetwarden::telemetry::Telemetry;
use fleetwarden::worker::{Worker, WorkerConfig};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Names of the usual length, so that records are as large as in production.
const ACCOUNT: &str = "123456789012";
const REGION: &str = "us-east-1";
const WORKER: &str = "ip-10-0-12-34.ec2.internal-1-7f3a";
const AUDIT: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const OPEN: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;

/// The whole work is done by then, or never.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a worker did with its messages.
pub struct Seen {
    /// Different findings.
    pub findings: f64,
    /// Messages that were received.
    pub messages: f64,
    /// Finished calls, by service and operation as AWS names them.
    pub calls: BTreeMap<(String, String), f64>,
    /// The size of each finding's record, bytes, as DynamoDB counts it.
    pub records: Vec<usize>,
    /// The size of a message as SQS carries it, bytes.
    pub body: usize,
}

impl Seen {
    pub fn calls_of(&self, service: &str, operation: &str) -> f64 {
        self.calls.get(&(service.to_owned(), operation.to_owned())).copied().unwrap_or(0.0)
    }
}

/// What findings are about.
pub enum About {
    /// An active certificate each, which one thing uses.
    Certificates,
    /// A policy each, which allows everything.
    Policies,
}

/// What a worker gets to do.
pub struct Load<'a> {
    pub about: About,
    pub policy: &'a str,
    /// Different ones, published at once.
    pub findings: usize,
    /// Messages more that bring one of them again.
    pub again: usize,
    /// The budgets, as a multiple of those of AWS's default quotas.
    pub scale: f64,
    /// Decides what comes again, and the order.
    pub seed: u64,
}

/// So much that no budget paces anything.
pub const LIFTED: f64 = 10_000.0;

/// Publishes the load, lets a worker take all of it, and says what it called.
pub async fn work(load: &Load<'_>) -> Seen {
    let &Load { ref about, policy, findings, again, scale, seed } = load;
    eprintln!("{findings} findings, {again} duplicates, seed {seed}");
    let bench = Bench::new().await;
    let known = plant(&bench, about, findings);
    bench.clients.sns.create_topic().name("told").send().await.unwrap();
    publish(&bench, &known, again, seed).await;
    let body = size_of_a_message(&bench).await;

    let telemetry = Arc::new(Telemetry::default());
    let stop = CancellationToken::new();
    let running = tokio::spawn(worker(&bench, policy, scale, &telemetry).run(stop.clone()));
    let messages = (findings + again) as u64;
    let all_deleted = async {
        while telemetry.counts().deleted < messages {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all_deleted).await.expect("the work came to no end");
    stop.cancel();
    running.await.unwrap();

    let received = telemetry.counts().received as f64;
    let records = records(&bench).await;
    Seen { findings: findings as f64, messages: received, calls: calls(&telemetry), records, body }
}

fn plant(bench: &Bench, about: &About, findings: usize) -> Vec<Finding> {
    bench.sandbox.iot().with_fleet(|fleet| {
        fleet.create_thing_group("Quarantine", None, None).unwrap();
        let planted = (0..findings).map(|n| {
            let (check, reason, kind, identifier) = match about {
                About::Certificates => {
                    let id = fleet.create_certificate(true);
                    let thing = format!("sensor-{n:08}");
                    fleet.create_thing(&thing, BTreeMap::new()).unwrap();
                    let principal = format!("arn:aws:iot:{REGION}:{ACCOUNT}:cert/{id}");
                    fleet.attach_thing_principal(&thing, &principal).unwrap();
                    let words = ("DEVICE_CERTIFICATE_SHARED_CHECK", "CERTIFICATE_SHARED_BY_MULTIPLE_DEVICES");
                    (words.0, words.1, "DEVICE_CERTIFICATE", ResourceIdentifier::DeviceCertificate(id))
                }
                About::Policies => {
                    let policy = format!("SensorPolicy{n:08}");
                    fleet.create_policy(&policy, OPEN).unwrap();
                    let words = ("IOT_POLICY_OVERLY_PERMISSIVE_CHECK", "ALLOWS_BROAD_ACCESS_TO_IOT_DATA_PLANE_ACTIONS");
                    let identifier = ResourceIdentifier::PolicyVersion { policy, version: "1".to_owned() };
                    (words.0, words.1, "IOT_POLICY", identifier)
                }
            };
            Finding {
                finding_id: format!("{n:032x}"),
                account: ACCOUNT.to_owned(),
                region: REGION.to_owned(),
                task_id: Some(AUDIT.to_owned()),
                check: check.to_owned(),
                reason_code: reason.to_owned(),
                reason: "Certificate is used by more than one device at a time.".to_owned(),
                severity: Severity::Critical,
                resource: Resource { kind: kind.to_owned(), identifier, additional_info: BTreeMap::new() },
                related: Vec::new(),
                suppressed: false,
                found_at: Some(1_791_014_401_000),
                audit_started_at: Some(1_791_014_400_000),
            }
        });
        let planted: Vec<Finding> = planted.collect();
        planted.iter().for_each(|finding| fleet.plant_finding(&finding.to_native()).unwrap());
        planted
    })
}

async fn publish(bench: &Bench, known: &[Finding], again: usize, seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut bodies: Vec<String> = known.iter().map(|finding| finding.to_native().to_string()).collect();
    for _ in 0..again {
        bodies.push(bodies[rng.usize(..known.len())].clone());
    }
    rng.shuffle(&mut bodies);
    for batch in bodies.chunks(10) {
        let mut request = bench.clients.sns.publish_batch().topic_arn(bench.made.topic_arn.as_ref().unwrap());
        for (n, body) in batch.iter().enumerate() {
            let entry = PublishBatchRequestEntry::builder().id(n.to_string()).message(body);
            request = request.publish_batch_request_entries(entry.build().unwrap());
        }
        assert!(request.send().await.unwrap().failed().is_empty());
    }
}

async fn size_of_a_message(bench: &Bench) -> usize {
    let look = bench.clients.sqs.receive_message().queue_url(&bench.made.queue_url).visibility_timeout(0);
    look.send().await.unwrap().messages()[0].body().unwrap().len()
}

fn worker(
    bench: &Bench,
    policy: &str,
    scale: f64,
    telemetry: &Arc<Telemetry>,
) -> Worker<SqsQueue, DynamoLedger, AwsIot> {
    let config = bench.sandbox.sdk_config();
    let clients = Clients::observed(&config, Arc::clone(telemetry) as _);
    let origin = Origin { account: Some(ACCOUNT.to_owned()), region: Some(REGION.to_owned()) };
    let budgets = BudgetConfig { scale, ..BudgetConfig::default() };
    Worker {
        config: WorkerConfig::new(WORKER, origin),
        policy: Policy::load(policy, "policy.yaml").unwrap(),
        queue: SqsQueue::new(clients.sqs.clone(), &bench.made.queue_url),
        dead_letters: SqsQueue::new(clients.sqs, &bench.made.dead_letter_queue_url),
        ledger: DynamoLedger::new(clients.dynamodb, &bench.made.table),
        iot: AwsIot::new(clients.iot, clients.sns, ACCOUNT.to_owned(), REGION.to_owned()),
        certificates: Arc::new(SnsCertificates::new(&config)),
        budgets: Arc::new(Budgets::new(&budgets)),
        telemetry: Arc::clone(telemetry),
        clock: Clock::system(),
    }
}

/// Polls that brought nothing are none of them: they were cut short at the end, and are counted when they are over.
fn calls(telemetry: &Telemetry) -> BTreeMap<(String, String), f64> {
    let text = telemetry.prometheus();
    let counted = text.lines().filter_map(|line| line.strip_prefix("fleetwarden_aws_call_duration_seconds_count{"));
    let named = |labels: &str, name: &str| {
        let value = labels.split(',').find_map(|label| label.strip_prefix(name)).unwrap();
        value.trim_matches(['=', '"']).to_owned()
    };
    let call = |line: &str| {
        let (labels, count) = line.split_once("} ").unwrap();
        ((named(labels, "service"), named(labels, "operation")), count.parse().unwrap())
    };
    counted.map(call).collect()
}

/// As the developer guide says ("DynamoDB item sizes and formats"): names and texts in bytes, a number some half of its digits.
async fn records(bench: &Bench) -> Vec<usize> {
    let mut sizes = Vec::new();
    let mut pages = bench.clients.dynamodb.scan().table_name(&bench.made.table).into_paginator().send();
    while let Some(page) = pages.next().await {
        for item in page.unwrap().items() {
            let bytes = |(name, value): (&String, &AttributeValue)| match value {
                AttributeValue::S(text) => name.len() + text.len(),
                AttributeValue::N(digits) => name.len() + digits.len().div_ceil(2) + 1,
                other => panic!("a record has no {other:?}"),
            };
            if item["id"].as_s().unwrap().starts_with("finding#") {
                sizes.push(item.iter().map(bytes).sum());
            }
        }
    }
    sizes
}
