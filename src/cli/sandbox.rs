//! `fleetwarden sandbox`: an AWS to play with.

use super::run::{duration, stop_on_signals};
use super::{CliError, OutputFormat, print};
use crate::aws::Clients;
use crate::sandbox::iot::{IotConfig, Quotas, seed};
use crate::sandbox::{Sandbox, SandboxConfig};
use crate::setup::{self, SetupPlan, SetupReport};
use clap::Args;
use std::time::Duration;

const AFTER_HELP: &str = r#"Examples:
  fleetwarden sandbox                              the workshop's two devices, on port 4566
  fleetwarden sandbox --things 500 --seed 1        a larger fleet with defects of every kind
  fleetwarden sandbox --quotas off                 without API throttling
  fleetwarden sandbox --quotas 20                  AWS's default quotas times 20
  fleetwarden sandbox --audit-time 10s             audits long enough to watch

In another terminal, with the variables that it prints:
  aws iot start-on-demand-audit-task --target-check-names LOGGING_DISABLED_CHECK
  aws sns publish --topic-arn $FLEETWARDEN_TOPIC_ARN --message file://finding.json
  fleetwarden run --mode enforce --until-empty

(The AWS CLI of version 1 wants --endpoint-url $AWS_ENDPOINT_URL for `aws sqs`.)

Audits are set up as the console does it: every check but DEVICE_CERTIFICATE_AGE_CHECK is enabled.
To start from an account that was never set up: aws iot delete-account-audit-configuration
Scheduled audits start at 00:00 UTC of their days.

What a test may turn, with curl -d JSON $AWS_ENDPOINT_URL/_sandbox/NAME:
  defects         makes a resource that a check objects to, and tells what it made; any of the 17:
                  {"check": "DEVICE_CERTIFICATE_EXPIRING_CHECK"}
                  optional: "reason" (a reason code), "resource" (the name or id of one that is there),
                  "count" (so many), "devices" (that share a certificate or have a revoked issuer)
  check-failures  which checks audits cannot perform; AUDIT_CHECK_DISABLED is the other reason:
                  {"checks": {"LOGGING_DISABLED_CHECK": "INSUFFICIENT_PERMISSIONS"}}
  run-schedule    starts the next audit of a schedule at once: {"name": "daily"}
  pace            how long audits and mitigation tasks take: {"audit_ms": 9000, "mitigation_ms": 9000}
  seed            another fleet: {"things": 500, "seed": 1} or {"workshop": true}
  findings        a finding that no audit made, in the form in which it is published
  faults, quotas  errors, lost replies and throttles of AWS IoT (aws-faults: SQS, SNS and DynamoDB)
  state           (GET) counts of calls and resources, the latest audits, when schedules are due
  permissions     (GET) what the calls so far would have needed of IAM, and how many of them did

It listens on loopback only, keeps everything in memory and checks no signatures. Ctrl-C ends it."#;

/// What `sandbox` is told.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct SandboxArgs {
    /// The loopback port; 0 takes any free one
    #[arg(long, env = "FLEETWARDEN_SANDBOX_PORT", default_value_t = 4566)]
    pub port: u16,
    /// Things of a fleet with defects of every kind, instead of the workshop's two devices
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub things: u32,
    /// The same seed gives the same fleet
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// API throttling: on (AWS's default quotas), off, or a factor
    #[arg(long, default_value = "on", value_parser = quotas, value_name = "on|off|FACTOR")]
    pub quotas: Quotas,
    /// How long an audit is in progress; its checks end one after another
    #[arg(long, default_value = "300ms", value_parser = work_time, value_name = "DURATION")]
    pub audit_time: Duration,
    /// How long a mitigation task is in progress, at least
    #[arg(long, default_value = "300ms", value_parser = work_time, value_name = "DURATION")]
    pub mitigation_time: Duration,
    /// Create no queues, topic and table; leave that to `fleetwarden setup` or to your own tools
    #[arg(long)]
    pub bare: bool,
}

fn work_time(text: &str) -> Result<Duration, String> {
    duration(text, Duration::ZERO, Duration::from_secs(3600))
}

fn quotas(text: &str) -> Result<Quotas, String> {
    match text {
        "on" => Ok(Quotas::scaled(1.0)),
        "off" => Ok(Quotas::off()),
        factor => match factor.parse::<f64>() {
            Ok(factor) if factor > 0.0 && factor <= 10_000.0 => Ok(Quotas::scaled(factor)),
            _ => Err("write on, off, or a factor above 0 and up to 10000".to_owned()),
        },
    }
}

/// Serves until a signal.
///
/// # Errors
///
/// Usage: the port is taken.
pub async fn run(args: &SandboxArgs, output: OutputFormat) -> Result<(), CliError> {
    let iot = IotConfig {
        quotas: args.quotas.clone(),
        seed: args.seed,
        audit_duration: args.audit_time,
        mitigation_duration: args.mitigation_time,
        ..IotConfig::default()
    };
    let config = SandboxConfig { port: args.port, iot, ..SandboxConfig::default() };
    let (account, region) = (config.account.clone(), config.region.clone());
    let sandbox = Sandbox::start(config).await.map_err(|error| CliError::Usage(error.to_string()))?;
    sandbox.iot().with_fleet(|fleet| {
        if args.things > 0 {
            seed::defective_fleet(fleet, args.things as usize, args.seed);
        } else {
            seed::workshop(fleet);
        }
    });
    let report = match args.bare {
        true => None,
        false => {
            let clients = Clients::new(&sandbox.sdk_config());
            let plan = SetupPlan::default();
            Some(setup::run(&clients, &plan, |_| {}).await.map_err(|error| CliError::Failed(error.to_string()))?)
        }
    };
    let variables = variables(&sandbox, &region, report.as_ref());
    match output {
        OutputFormat::Json => {
            let mut document = serde_json::json!({ "account": account });
            for (name, value) in &variables {
                document[name] = serde_json::json!(value);
            }
            print::json(&document);
        }
        OutputFormat::Table => {
            print::line(&format!("An AWS of account {account} on {}. In another terminal:\n", sandbox.endpoint()));
            for (name, value) in &variables {
                print::line(&format!("export {name}={value}"));
            }
            print::line("\nEvery audit check but DEVICE_CERTIFICATE_AGE_CHECK is enabled.");
            print::line("Ctrl-C ends it, and with it all that it holds.");
        }
    }
    stop_on_signals()?.cancelled().await;
    sandbox.stop().await;
    Ok(())
}

fn variables(sandbox: &Sandbox, region: &str, report: Option<&SetupReport>) -> Vec<(&'static str, String)> {
    let mut variables = vec![
        ("AWS_ENDPOINT_URL", sandbox.endpoint().to_owned()),
        ("AWS_REGION", region.to_owned()),
        // The AWS CLI of version 1 and boto3 read only this one.
        ("AWS_DEFAULT_REGION", region.to_owned()),
        // Any will do; the SDKs insist on some.
        ("AWS_ACCESS_KEY_ID", "sandbox".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "sandbox".to_owned()),
    ];
    if let Some(report) = report {
        variables.push(("FLEETWARDEN_QUEUE_URL", report.queue_url.clone()));
        variables.push(("FLEETWARDEN_DEAD_LETTER_QUEUE_URL", report.dead_letter_queue_url.clone()));
        variables.push(("FLEETWARDEN_TABLE", report.table.clone()));
        variables.extend(report.topic_arn.clone().map(|arn| ("FLEETWARDEN_TOPIC_ARN", arn)));
    }
    variables
}
