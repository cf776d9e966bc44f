//! `fleetwarden run`: the worker.

use super::healthcheck::address;
use super::line::LineArgs;
use super::policy_source::named_policy;
use super::quotas::{QuotaArg, Quotas, quota};
use super::random::seed;
use super::{CliError, OutputFormat, print};
use crate::aws::{Clients, SnsCertificates, load_config};
use crate::budget::{Budgets, Fleet};
use crate::clock::Clock;
use crate::finding::Origin;
use crate::health::{Board, serve};
use crate::ledger::DynamoLedger;
use crate::mitigation::AwsIot;
use crate::policy::{Mode, Policy};
use crate::queue::SqsQueue;
use crate::setup::{check_delegates, check_deployment};
use crate::telemetry::{Counts, Emf, Telemetry};
use crate::worker::{Ended, Vitals, Worker, WorkerConfig};
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const AFTER_HELP: &str = "\
Examples:
  # look, change nothing (the default), end when the queue is empty
  fleetwarden run --queue-url $QUEUE --dead-letter-queue-url $DEAD --until-empty

  # do what the policy says
  fleetwarden run --queue-url $QUEUE --dead-letter-queue-url $DEAD \\
    --policy policy.yaml --mode enforce

  # an account that has raised its quotas: have Service Quotas tell which, or say it
  fleetwarden run --policy policy.yaml --quota service-quotas
  fleetwarden run --policy policy.yaml --quota UpdateCertificate=50 --quota GetPolicy=20

An operation's quota is what --quota says, else the policy, else Service Quotas (if it is
asked), else AWS's default. If Service Quotas cannot be read, a warning says so.

SIGTERM or Ctrl-C drains: what has not started goes back to the queue at once, what runs may finish within --drain.
A second signal ends at once.";

/// What `run` is told.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct RunArgs {
    /// Where the line is
    #[command(flatten)]
    pub line: LineArgs,
    /// The policy file; without one, the embedded default decides (see `fleetwarden policy default`)
    #[arg(long, env = "FLEETWARDEN_POLICY", value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// The policy itself, where no file can be had: a task definition holds it in the variable
    #[arg(long, env = "FLEETWARDEN_POLICY_TEXT", value_name = "YAML", hide_env_values = true)]
    pub policy_text: Option<String>,
    /// Overrides the policy's mode: observe decides and records, enforce acts
    #[arg(long, env = "FLEETWARDEN_MODE", value_enum)]
    pub mode: Option<Mode>,
    /// End with exit code 0 once the queue has been empty and nothing is in flight
    #[arg(long, env = "FLEETWARDEN_UNTIL_EMPTY")]
    pub until_empty: bool,
    /// Long polls at a time (rate = pollers x 10 / round trip)
    #[arg(long, env = "FLEETWARDEN_POLLERS", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub pollers: u16,
    /// Findings worked on at a time for each API operation that limits them
    #[arg(long, env = "FLEETWARDEN_CONCURRENCY", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub concurrency: u16,
    /// Messages held at a time, waiting ones included
    #[arg(long, env = "FLEETWARDEN_MAX_IN_FLIGHT", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_in_flight: u32,
    /// How long a message stays hidden and a claim lasts, between heartbeats
    #[arg(long, env = "FLEETWARDEN_LEASE", default_value = "60s", value_parser = lease, value_name = "DURATION")]
    pub lease: Duration,
    /// How long running work may go on after a stop was asked for
    #[arg(long, env = "FLEETWARDEN_DRAIN", default_value = "25s", value_parser = drain, value_name = "DURATION")]
    pub drain: Duration,
    /// The part of every API quota that is left to people and consoles; default: the policy's, which is 0.2 if it says nothing
    #[arg(long, env = "FLEETWARDEN_RESERVE", value_name = "PART")]
    pub reserve: Option<f64>,
    /// An API quota that differs from AWS's default, in calls per second; or `service-quotas`: read the account's own at start.
    /// May be repeated
    #[arg(long = "quota", env = "FLEETWARDEN_QUOTAS", value_delimiter = ',', value_parser = quota, value_name = "OPERATION=RATE|service-quotas")]
    pub quotas: Vec<QuotaArg>,
    /// The audited account, for messages that do not say (raw delivery); default: the queue's own
    #[arg(long, env = "FLEETWARDEN_ACCOUNT", value_parser = account, value_name = "ID")]
    pub account: Option<String>,
    /// Serves /livez, /readyz (with the reason) and /metrics (Prometheus) at this address, such as 0.0.0.0:8080; default: nowhere
    #[arg(long, env = "FLEETWARDEN_HTTP", value_name = "ADDR", value_parser = address)]
    pub http: Option<SocketAddr>,
    /// Metrics on standard output, every minute and at the end: emf is for CloudWatch (see `fleetwarden metrics`)
    #[arg(long, env = "FLEETWARDEN_METRICS", value_enum, default_value_t, value_name = "FORMAT")]
    pub metrics: MetricsFormat,
    /// This worker's name in the ledger, unique in the fleet; default: host and process
    #[arg(long, env = "FLEETWARDEN_WORKER_ID", value_name = "NAME", value_parser = worker_id)]
    pub worker_id: Option<String>,
    /// Send a trace of each finding to this OpenTelemetry collector (OTLP over HTTP), such as http://localhost:4318. The standard
    /// OTEL_* variables for headers, service name, sampling and batches apply; alone they switch nothing on
    #[arg(long, env = "FLEETWARDEN_OTLP", value_name = "ENDPOINT")]
    pub otlp: Option<String>,
}

/// `--metrics`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum MetricsFormat {
    /// Nothing is printed.
    #[default]
    None,
    /// CloudWatch's Embedded Metric Format, a line of JSON each
    Emf,
}

/// Reads a duration such as `60s`, within bounds; the error says how to write one.
pub(super) fn duration(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration =
        text.parse().map_err(|_| "write a duration such as 60s, 2m or 1m 30s".to_owned())?;
    let duration =
        Duration::try_from(parsed).map_err(|_| "a duration cannot be negative; write one such as 60s".to_owned())?;
    if duration < least || duration > most {
        return Err(format!("out of range; write a duration from {}s to {}s", least.as_secs(), most.as_secs()));
    }
    Ok(duration)
}

pub(super) fn lease(text: &str) -> Result<Duration, String> {
    // Below 30 s the margin that is kept clear of each lease's end would leave no time to work; SQS hides for 12 h at most.
    duration(text, Duration::from_secs(30), Duration::from_secs(3600))
}

fn drain(text: &str) -> Result<Duration, String> {
    duration(text, Duration::ZERO, Duration::from_secs(600))
}

pub(super) fn account(text: &str) -> Result<String, String> {
    let digits = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { Ok(text.to_owned()) } else { Err("an account id has 12 digits".to_owned()) }
}

/// A worker is told by its name from all others, in the ledger and on screens.
fn worker_id(text: &str) -> Result<String, String> {
    let fits = (1..=128).contains(&text.chars().count()) && text.chars().all(|c| c.is_ascii_graphic());
    if fits { Ok(text.to_owned()) } else { Err("write 1 to 128 letters, digits and signs, without spaces".to_owned()) }
}

/// Runs the worker to its end.
///
/// # Errors
///
/// Usage: everything that is wrong with policy, arguments or deployment, before the first receive. Failed: see [`Ended`].
pub async fn run(args: &RunArgs, output: OutputFormat) -> Result<(), CliError> {
    let (mut policy, policy_name) = named_policy(args.policy.as_ref(), args.policy_text.as_deref())?;
    if let Some(mode) = args.mode {
        policy.set_mode(mode);
    }
    let quotas = Quotas::new(&args.quotas, args.reserve, &policy);
    let problems = quotas.budget().problems();
    if !problems.is_empty() {
        return Err(CliError::Usage(problems.join("\n")));
    }
    let (clock, telemetry) = (Clock::system(), Arc::new(Telemetry::default()));
    let board = Board::new(clock.clone(), "checking the deployment");
    // Before anybody is told that a worker is here: process 1 of a container does not get signals that it does not listen for.
    let stop = stop_on_signals()?;
    // Until this function returns, which is after the drain.
    let _server = match args.http {
        None => None,
        Some(address) => {
            let server = serve(address, board.clone(), Arc::clone(&telemetry)).await.map_err(CliError::Usage)?;
            telemetry.http_served(server.address());
            Some(server)
        }
    };
    let source = Source { policy, policy_name, quotas };
    let worker = tokio::select! {
        worker = prepare(args, source, &board, &telemetry, &clock) => worker?,
        // Nothing is in hand yet, so there is nothing to drain.
        () = stop.cancelled() => {
            report(&telemetry.counts(), &Ended::Drained, args.metrics, output);
            return Ok(());
        }
    };
    // Kept to the end of this function, for the last reading of the metrics.
    let _budgets = Arc::clone(&worker.budgets);
    let vitals = Arc::new(Vitals::new(Arc::clone(&telemetry)));
    board.working(Arc::clone(&vitals));
    let work = worker.run_with(vitals, stop);
    let ended = match args.metrics {
        MetricsFormat::None => work.await,
        MetricsFormat::Emf => Emf::new(Arc::clone(&telemetry), clock, &args.line.table).during(work, print::line).await,
    };
    report(&telemetry.counts(), &ended, args.metrics, output);
    match ended {
        Ended::Drained | Ended::Empty | Ended::CutShort => Ok(()),
        Ended::Broken(reason) => Err(CliError::Failed(format!("stopped with the queue not empty: {reason}"))),
    }
}

/// What is to be done, as arguments and policy say.
struct Source {
    policy: Policy,
    policy_name: String,
    quotas: Quotas,
}

/// Checks the deployment, and makes the worker. Nothing is received yet.
async fn prepare(
    args: &RunArgs,
    source: Source,
    board: &Board,
    telemetry: &Arc<Telemetry>,
    clock: &Clock,
) -> Result<Worker<SqsQueue, DynamoLedger, AwsIot>, CliError> {
    let Source { policy, policy_name, mut quotas } = source;
    let config = load_config().await.map_err(CliError::Usage)?;
    let clients = Clients::observed(&config, Arc::clone(telemetry) as _);
    let authenticates = policy.mode == Mode::Enforce && policy.verify_finding;
    let deployment = check_deployment(
        &clients,
        &args.line.queue_url,
        &args.line.dead_letter_queue_url,
        &args.line.table,
        authenticates,
    )
    .await
    .map_err(|problems| CliError::Usage(problems.join("\n")))?;
    if !policy.verify_finding && policy.mode == Mode::Enforce {
        tracing::warn!(
            "verify_finding is off: whoever can send to the topic or the queue can have devices changed; turn it on unless the endpoint has no Device Defender"
        );
    }

    let account = args.account.clone().unwrap_or_else(|| deployment.account.clone());
    let iot = AwsIot::new(clients.iot.clone(), clients.sns.clone(), account.clone(), deployment.region.clone());
    let foreign = if policy.verify_signature { deployment.foreign_topics(&account) } else { Vec::new() };
    if !foreign.is_empty() {
        return Err(CliError::Usage(foreign.join("\n")));
    }
    if policy.mode == Mode::Enforce {
        check_delegates(&iot, &policy).await.map_err(|problems| CliError::Usage(problems.join("\n")))?;
    }

    board.starting("asking for the account's API quotas");
    quotas.settle(&clients.service_quotas, telemetry).await;

    let id = args.worker_id.clone().unwrap_or_else(|| worker_name(clock));
    let origin = Origin { account: Some(account.clone()), region: Some(deployment.region.clone()) };
    let worker_config = WorkerConfig {
        pollers: args.pollers.into(),
        concurrency: args.concurrency.into(),
        max_in_flight: args.max_in_flight as usize,
        lease: args.lease,
        drain: args.drain,
        until_empty: args.until_empty,
        policy_name: Some(policy_name),
        // A worker that waits for the end looks often whether it has come.
        poll_wait: Duration::from_secs(if args.until_empty { 1 } else { 20 }),
        // From the system, not from time and process id: the tasks of a service all have process id 1 and start together.
        seed: seed()?,
        ..WorkerConfig::new(id, origin)
    };
    let ledger = DynamoLedger::new(clients.dynamodb.clone(), args.line.table.clone());
    let fleet = Fleet {
        timelines: Arc::new(ledger.clone()),
        region: deployment.region.clone(),
        clock: clock.clone(),
        telemetry: Arc::clone(telemetry),
        seed: worker_config.seed,
    };
    let budgets = Arc::new(Budgets::shared(&quotas.budget(), &fleet));
    Ok(Worker {
        config: worker_config,
        policy,
        queue: SqsQueue::new(clients.sqs.clone(), args.line.queue_url.clone()),
        dead_letters: SqsQueue::new(clients.sqs.clone(), args.line.dead_letter_queue_url.clone()),
        ledger,
        iot,
        certificates: Arc::new(SnsCertificates::new(&config)),
        budgets,
        telemetry: Arc::clone(telemetry),
        clock: clock.clone(),
    })
}

/// Unique in the fleet: host, process and time.
pub(super) fn worker_name(clock: &Clock) -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "worker".to_owned());
    format!("{host}-{}-{:x}", std::process::id(), clock.now_ms())
}

/// A token that the first SIGTERM or SIGINT cancels; the second ends the process.
pub(super) fn stop_on_signals() -> Result<CancellationToken, CliError> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |error: std::io::Error| CliError::Failed(format!("cannot listen for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        for round in 0..2 {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if round == 0 {
                tracing::info!("stopping: what has not started goes back to the queue; a second signal ends at once");
                stopping.cancel();
            }
        }
        // The user asked twice. Nothing is lost: messages in flight come back after their visibility timeout.
        std::process::exit(1);
    });
    Ok(stop)
}

fn report(counts: &Counts, ended: &Ended, metrics: MetricsFormat, output: OutputFormat) {
    let how = match ended {
        Ended::Drained => "drained",
        Ended::Empty => "queue empty",
        Ended::CutShort => "cut short by the drain deadline",
        Ended::Broken(_) => "stopped: the account refuses",
    };
    match output {
        OutputFormat::Json => {
            let report = serde_json::json!({ "ended": how, "counts": counts });
            match metrics {
                MetricsFormat::None => print::json(&report),
                // Every line a document, the last one too.
                MetricsFormat::Emf => print::line(&report.to_string()),
            }
        }
        OutputFormat::Table => {
            let rows = [
                ("received", counts.received),
                ("duplicates", counts.duplicates),
                ("mitigated", counts.mitigated),
                ("compliant", counts.compliant),
                ("observed", counts.observed),
                ("suppressed", counts.suppressed),
                ("audits expanded", counts.expanded),
                ("tried again or given back", counts.waiting),
                ("parked for want of budget", counts.over_budget),
                ("dead letters", counts.dead),
            ];
            let mut table = print::table(&["ended", how]);
            for (name, n) in rows {
                table.add_row([name.to_owned(), n.to_string()]);
            }
            print::line(&table.to_string());
        }
    }
}
