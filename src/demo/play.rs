//! The acts of the demo, in order.

use super::defender::{self, Audit};
use super::options::{DemoError, Options, Stage, View};
use super::report::{Evidence, Report};
use super::traffic::{self, POISON};
use crate::aws::{Clients, SnsCertificates};
use crate::budget::{BudgetConfig, Budgets, Fleet, Operation, Use};
use crate::clock::Clock;
use crate::finding::{ActionType, Origin};
use crate::ledger::{DynamoLedger, Filter, Ledger, Record, Status};
use crate::mitigation::AwsIot;
use crate::policy::Policy;
use crate::queue::{Queue, SqsQueue};
use crate::sandbox::iot::{IotConfig, Quotas, seed};
use crate::sandbox::{Sandbox, SandboxConfig};
use crate::setup::{self, SetupPlan};
use crate::telemetry::Telemetry;
use crate::worker::{Ended, Worker, WorkerConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The part of the findings that is delivered twice.
const DUPLICATES: f64 = 0.2;

/// Longer than any demo should take: a stuck one must end, and say so.
const LIMIT: Duration = Duration::from_secs(300);

const FRAME: Duration = Duration::from_millis(125);

struct Set {
    sandbox: Sandbox,
    clients: Clients,
    plan: SetupPlan,
    topic_arn: String,
    queue: SqsQueue,
    dead_letters: SqsQueue,
    ledger: DynamoLedger,
    iot: AwsIot,
}

/// Plays the demo to its end; `stop` ends the workers early.
///
/// # Errors
///
/// Where the demo could not go on. Findings that did not end as they should are problems in the report, not errors.
pub async fn play(options: &Options, stage: &mut impl Stage, stop: CancellationToken) -> Result<Report, DemoError> {
    let set = build(options, stage).await?;
    let seeded = set.sandbox.iot().with_fleet(|fleet| seed::defective_fleet(fleet, options.things, options.seed));
    stage.say(&format!(
        "a fleet of {} things with {} defects of {} kinds",
        options.things,
        seeded.total(),
        seeded.defects.len()
    ));

    defender::configure(&set.clients.iot, &set.topic_arn).await?;
    let first = defender::audit(&set.clients.iot).await?;
    stage.say(&format!(
        "audit {} of all {} checks: {} findings; its summary is on the topic",
        first.task_id,
        first.found.len(),
        first.total()
    ));
    let duplicates_sent = fill_the_queue(&set, &first, options, stage).await?;

    let telemetry = Arc::new(Telemetry::default());
    let asked_before = asked(&set);
    let (took, ends) = work(&set, options, first.total(), &telemetry, stage, stop).await?;

    let census = set.ledger.census().await;
    let tally = census.map_err(|error| DemoError::at("count the ledger")(error.to_string()))?.tally;
    let dead_letters = traffic::dead_letters(&set.dead_letters).await?;
    let throttled = set
        .sandbox
        .iot()
        .calls()
        .into_iter()
        .filter(|(_, calls)| calls.throttled > 0)
        .map(|(operation, calls)| (operation, calls.throttled));
    let throttled = throttled.collect();
    let defender_calls = asked(&set) - asked_before;
    let second = defender::audit(&set.clients.iot).await?;
    stage.say(&format!("second audit {}: {} findings", second.task_id, second.total()));
    let unexplained = unexplained(&set, &second).await?;
    let seeded = seeded.defects.into_iter().map(|(check, n)| (check, n as u64)).collect();
    set.sandbox.stop().await;
    let evidence = Evidence {
        seeded,
        first: first.found,
        second: second.found,
        tally,
        dead_letters,
        counts: telemetry.counts(),
        duplicates_sent,
        throttled,
        defender_calls,
        took,
        ends,
        unexplained,
    };
    Ok(evidence.judge())
}

/// How often Device Defender was asked for findings.
fn asked(set: &Set) -> u64 {
    let calls = set.sandbox.iot().calls();
    ["ListAuditFindings", "DescribeAuditFinding"]
        .iter()
        .filter_map(|operation| calls.get(*operation))
        .map(|n| n.ok)
        .sum()
}

/// What the second audit found although the ledger does not say that it was left alone: told to people, or only recorded.
async fn unexplained(set: &Set, second: &Audit) -> Result<Vec<String>, DemoError> {
    let mut left_alone = BTreeSet::new();
    let filter = Filter { statuses: vec![Status::Observed, Status::Mitigated], ..Filter::default() };
    let mut next = None;
    loop {
        let page = set.ledger.list(&filter, 1000, next).await;
        let page = page.map_err(|error| DemoError::at("read the ledger")(error.to_string()))?;
        let publish = ActionType::PublishFindingToSns.as_str();
        let untouched = |record: &Record| record.steps.iter().all(|step| step.action == publish);
        let records = page.records.into_iter().filter(untouched);
        left_alone.extend(records.map(|record| (record.subject.check, record.subject.resource_id)));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    let mut unexplained = Vec::new();
    defender::findings(&set.iot, second, async |findings| {
        let new = findings.iter().map(|finding| (finding.check.clone(), finding.resource_id()));
        unexplained.extend(new.filter(|found| !left_alone.contains(found)).map(|(check, id)| format!("{check} {id}")));
        Ok(())
    })
    .await?;
    Ok(unexplained)
}

async fn build(options: &Options, stage: &mut impl Stage) -> Result<Set, DemoError> {
    let quotas = options.quota_scale.map_or_else(Quotas::off, Quotas::scaled);
    let iot = IotConfig { quotas, seed: options.seed, ..IotConfig::default() };
    let config = SandboxConfig { port: 0, iot, ..SandboxConfig::default() };
    let (account, region) = (config.account.clone(), config.region.clone());
    let sandbox =
        Sandbox::start(config).await.map_err(|error| DemoError::at("start the embedded AWS")(error.to_string()))?;
    let throttles = match options.quota_scale {
        Some(scale) => format!("AWS's default API quotas times {scale}"),
        None => "without API quotas".to_owned(),
    };
    stage.say(&format!("an embedded AWS on {}, {throttles}", sandbox.endpoint()));
    let clients = Clients::new(&sandbox.sdk_config());
    let plan = SetupPlan::default();
    let report = setup::run(&clients, &plan, |_| {})
        .await
        .map_err(|error| DemoError::at("create queues, topic and table")(error.to_string()))?;
    // A second topic, for what the policy wants people to be told.
    let escalations = clients.sns.create_topic().name("fleetwarden-escalations").send().await;
    escalations.map_err(|error| {
        DemoError::at("create the escalation topic")(aws_sdk_sns::error::DisplayErrorContext(error).to_string())
    })?;
    Ok(Set {
        queue: SqsQueue::new(clients.sqs.clone(), report.queue_url.clone()),
        dead_letters: SqsQueue::new(clients.sqs.clone(), report.dead_letter_queue_url.clone()),
        ledger: DynamoLedger::new(clients.dynamodb.clone(), plan.table.clone()),
        iot: AwsIot::new(clients.iot.clone(), clients.sns.clone(), account, region),
        topic_arn: report.topic_arn.unwrap_or_default(),
        sandbox,
        clients,
        plan,
    })
}

async fn fill_the_queue(set: &Set, audit: &Audit, options: &Options, stage: &mut impl Stage) -> Result<u64, DemoError> {
    let mut rng = fastrand::Rng::with_seed(options.seed);
    defender::publish_findings(&set.clients.iot, audit).await?;
    let duplicates =
        traffic::duplicate(&set.iot, &set.clients.sns, &set.topic_arn, audit, DUPLICATES, &mut rng).await?;
    traffic::poison(&set.queue).await?;
    let depth = set.queue.depth().await.map_err(|error| DemoError::at("look at the queue")(error.to_string()))?;
    stage.say(&format!(
        "published each finding through SNS, {duplicates} of them twice, and {} poison messages: {} messages wait in the queue",
        POISON.len(),
        depth.visible
    ));
    Ok(duplicates)
}

/// What the workers used together.
fn usage(budgets: &[Arc<Budgets>]) -> BTreeMap<Operation, Use> {
    let mut together: BTreeMap<Operation, Use> = BTreeMap::new();
    for (operation, own) in budgets.iter().flat_map(|budgets| budgets.usage()) {
        let sum = together.entry(operation).or_insert(Use { taken: 0, throttled: 0, ..own });
        (sum.taken, sum.throttled) = (sum.taken + own.taken, sum.throttled + own.throttled);
    }
    together
}

async fn work(
    set: &Set,
    options: &Options,
    expected: u64,
    telemetry: &Arc<Telemetry>,
    stage: &mut impl Stage,
    stop: CancellationToken,
) -> Result<(Duration, Vec<String>), DemoError> {
    let policy = Policy::load(include_str!("policy.yaml"), "the demo's policy")
        .map_err(|errors| DemoError::at("load its policy")(errors.to_string()))?;
    let quotas = BudgetConfig { scale: options.quota_scale.unwrap_or(10_000.0), ..BudgetConfig::default() };
    let mut budgets = Vec::new();
    stage.say(&format!(
        "{} workers on the queue, table {}, enforcing; they share budgets that leave a fifth of every quota to people",
        options.workers, set.plan.table
    ));
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for i in 0..options.workers {
        let origin = Origin { account: Some("123456789012".to_owned()), region: Some(set.clients.region.clone()) };
        let config = WorkerConfig {
            until_empty: true,
            poll_wait: Duration::from_secs(1),
            pollers: 2,
            max_in_flight: 128,
            seed: options.seed.wrapping_add(i as u64),
            ..WorkerConfig::new(format!("demo-worker-{i}"), origin)
        };
        // As in a process of its own: what the workers share is in the ledger.
        let fleet = Fleet {
            timelines: Arc::new(set.ledger.clone()),
            region: set.clients.region.clone(),
            clock: Clock::system(),
            telemetry: Arc::clone(telemetry),
            seed: config.seed,
        };
        let own = match options.quota_scale {
            Some(_) => Budgets::shared(&quotas, &fleet),
            None => Budgets::new(&quotas),
        };
        let own = Arc::new(own);
        let worker = Worker {
            config,
            policy: policy.clone(),
            queue: set.queue.clone(),
            dead_letters: set.dead_letters.clone(),
            ledger: set.ledger.clone(),
            iot: set.iot.clone(),
            certificates: Arc::new(SnsCertificates::new(&set.sandbox.sdk_config())),
            budgets: Arc::clone(&own),
            telemetry: Arc::clone(telemetry),
            clock: Clock::system(),
        };
        budgets.push(own);
        workers.spawn(worker.run(stop.child_token()));
    }
    let mut ends = Vec::new();
    let mut busy_until = started;
    let mut last = telemetry.counts();
    let mut frames = tokio::time::interval(FRAME);
    loop {
        tokio::select! {
            ended = workers.join_next() => match ended {
                None => break,
                Some(Ok(Ended::Empty)) => {}
                Some(Ok(ended)) => ends.push(format!("a worker ended before the queue was empty: {ended:?}")),
                Some(Err(error)) => ends.push(format!("a worker failed: {error}")),
            },
            _ = frames.tick() => {
                let counts = telemetry.counts();
                if counts != last {
                    (last, busy_until) = (counts, Instant::now());
                }
                if started.elapsed() > LIMIT && !stop.is_cancelled() {
                    ends.push(format!("not done after {} s", LIMIT.as_secs()));
                    stop.cancel();
                }
                let depth = set.queue.depth().await.unwrap_or_default();
                let view = View { counts, budgets: usage(&budgets), depth, expected, elapsed: started.elapsed() };
                stage.show(&view);
            }
        }
    }
    stage.curtain();
    Ok((busy_until - started, ends))
}
