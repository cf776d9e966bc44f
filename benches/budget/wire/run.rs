//! Four processes for a minute.

use super::stage::{self, Failure, POLICY, Stage};
use super::tap::Tap;
use crate::figures::{Demand, Figure, Outcome};
use crate::simulation::trace::{Trace, WorkerTrace};
use crate::units::{COUNT, PART, PER_SECOND};
use fleetwarden::budget::{BudgetConfig, Operation};
use fleetwarden::sandbox::iot::CallCount;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::Instant;

const WORKERS: usize = 4;
const MEASURED: Duration = Duration::from_secs(60);
/// From the first change of a certificate: by then every process is there and the budget is spoken for.
const FIRST_SECONDS: Duration = Duration::from_secs(5);
/// How long four processes may take until the first of them changes something.
const PATIENCE: Duration = Duration::from_secs(60);
const GLANCE: Duration = Duration::from_millis(100);
/// Every certificate is read before it is changed, from a budget just as large: that of reading is what the backlog saturates. Changes
/// come in no faster than their own budget allows, so that a few of their slots find nobody waiting.
const SATURATED: Operation = Operation::DescribeCertificate;
const BEHIND_IT: Operation = Operation::UpdateCertificate;

type Calls = BTreeMap<String, CallCount>;

/// Runs four workers on a full queue; one outcome for each operation that they called.
///
/// # Errors
/// The stage cannot be built, or a worker does not work.
pub async fn run(seed: u64) -> Result<Vec<Outcome>, Failure> {
    let stage = stage::build(seed).await?;
    eprintln!("an embedded AWS at {} with {} findings in the queue", stage.sandbox.endpoint(), stage.findings);
    let files = tempfile::tempdir()?;
    let policy = files.path().join("policy.yaml");
    std::fs::write(&policy, POLICY)?;

    let started = Instant::now();
    let upstream = stage.sandbox.endpoint().trim_start_matches("http://").parse()?;
    let (mut taps, mut workers) = (Vec::new(), Vec::new());
    let before = stage.sandbox.iot().calls();
    for number in 0..WORKERS {
        let tap = Tap::open(upstream, "us-east-1", started).await?;
        workers.push(worker(&stage, &tap, &policy, number)?);
        taps.push(tap);
    }
    let wait = async {
        while made(&stage, &before, BEHIND_IT).ok == 0 {
            all_alive(&mut workers)?;
            tokio::time::sleep(GLANCE).await;
        }
        Ok::<(), Failure>(())
    };
    tokio::time::timeout(PATIENCE, wait).await.map_err(|_| "no certificate was changed within a minute")??;
    eprintln!("the first certificate was changed after {:.1} s", started.elapsed().as_secs_f64());
    tokio::time::sleep(FIRST_SECONDS).await;

    let from = (started.elapsed(), stage.sandbox.iot().calls());
    let until = Instant::now() + MEASURED;
    while Instant::now() < until {
        all_alive(&mut workers)?;
        tokio::time::sleep(GLANCE.min(until - Instant::now())).await;
    }
    let to = (started.elapsed(), stage.sandbox.iot().calls());
    let traces: Vec<_> = taps.iter().map(Tap::asked).collect();
    for worker in &mut workers {
        // By its id, and waited for.
        worker.kill().await?;
    }
    let during = from.0..to.0;
    let outcomes = Operation::ALL.iter().filter_map(|&operation| {
        let name = operation.as_str();
        let whole = since(&before, &to.1, name);
        let asked = traces.iter().map(|asked| asked.get(&operation).cloned().unwrap_or_default());
        let workers = asked.map(|asked| WorkerTrace {
            lived: Duration::ZERO..to.0,
            asked: BTreeMap::from([(name.to_owned(), asked)]),
        });
        let budget = BudgetConfig::default().rate(operation);
        let trace = Trace { quota: budget, took: to.0, arrivals: Vec::new(), workers: workers.collect() };
        let figures = figures(operation, since(&from.1, &to.1, name), whole, &trace, &during);
        (total(whole) > 0).then(|| Outcome { case: format!("wire: {name}, {budget}/s"), figures })
    });
    let mut outcomes: Vec<_> = outcomes.collect();
    outcomes.push(all(&before, &from.1, &to.1));
    stage.sandbox.stop().await;
    Ok(outcomes)
}

/// A worker process as a service would start it, but for the endpoints; its warnings are ours.
fn worker(stage: &Stage, tap: &Tap, policy: &Path, number: usize) -> std::io::Result<Child> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetwarden"));
    command
        .env_clear()
        .env("AWS_ENDPOINT_URL", stage.sandbox.endpoint())
        .env("AWS_ENDPOINT_URL_DYNAMODB", &tap.endpoint)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "sandbox")
        .env("AWS_SECRET_ACCESS_KEY", "sandbox")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("FLEETWARDEN_QUEUE_URL", &stage.made.queue_url)
        .env("FLEETWARDEN_DEAD_LETTER_QUEUE_URL", &stage.made.dead_letter_queue_url)
        .env("FLEETWARDEN_TABLE", &stage.made.table)
        .args(["--log", "warn", "run", "--worker-id", &format!("worker-{number}"), "--policy"])
        .arg(policy)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true);
    command.spawn()
}

fn all_alive(workers: &mut [Child]) -> Result<(), Failure> {
    for (number, worker) in workers.iter_mut().enumerate() {
        if let Some(status) = worker.try_wait()? {
            return Err(format!("worker {number} ended too early: {status}").into());
        }
    }
    Ok(())
}

/// Calls of an operation since `before`.
fn made(stage: &Stage, before: &Calls, operation: Operation) -> CallCount {
    since(before, &stage.sandbox.iot().calls(), operation.as_str())
}

fn since(before: &Calls, after: &Calls, operation: &str) -> CallCount {
    let of = |calls: &Calls| calls.get(operation).copied().unwrap_or_default();
    let (before, after) = (of(before), of(after));
    CallCount {
        ok: after.ok - before.ok,
        throttled: after.throttled - before.throttled,
        failed: after.failed - before.failed,
    }
}

/// Every operation together, those included that have no budget.
fn all(before: &Calls, from: &Calls, to: &Calls) -> Outcome {
    let sum = |since_when: &Calls, of: fn(CallCount) -> u64| {
        to.keys().map(|operation| of(since(since_when, to, operation))).sum::<u64>() as f64
    };
    let figures = vec![
        Figure::new("calls", sum(from, total), COUNT, Demand::Nothing),
        Figure::new("throttled", sum(before, |calls| calls.throttled), COUNT, Demand::AtMost(0.0)),
        // Within the minute: a worker that starts asks for a finding that does not exist, to see that it may ask.
        Figure::new("calls_that_failed", sum(from, |calls| calls.failed), COUNT, Demand::AtMost(0.0)),
    ];
    Outcome { case: "wire: all operations".to_owned(), figures }
}

fn total(calls: CallCount) -> u64 {
    calls.ok + calls.throttled + calls.failed
}

/// Used, calls and the ledger's share within the minute; throttles from the start to the end.
fn figures(
    operation: Operation,
    within: CallCount,
    whole: CallCount,
    trace: &Trace,
    during: &Range<Duration>,
) -> Vec<Figure> {
    let seconds = (during.end - during.start).as_secs_f64();
    let used = (within.ok + within.failed) as f64 / (trace.quota * seconds);
    let enough = match operation {
        SATURATED => Demand::AtLeast(0.95),
        BEHIND_IT => Demand::AtLeast(0.9),
        _ => Demand::Nothing,
    };
    let stretch = std::slice::from_ref(during);
    vec![
        Figure::new("used", used, PART, enough),
        Figure::new("calls", total(within) as f64, COUNT, Demand::Nothing),
        Figure::new("throttled", whole.throttled as f64, COUNT, Demand::AtMost(0.0)),
        Figure::new("writes", trace.writes(stretch), PER_SECOND, Demand::AtMost(1.2)),
        Figure::new("reads", trace.reads(stretch), PER_SECOND, Demand::Nothing),
        Figure::new("calls_per_second", total(within) as f64 / seconds, PER_SECOND, Demand::Nothing),
    ]
}
