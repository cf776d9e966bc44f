//! A sandbox, the resources of `setup`, and the program beside it.

use fleetwarden::aws::Clients;
use fleetwarden::sandbox::iot::{IotConfig, Quotas, seed};
use fleetwarden::sandbox::{Sandbox, SandboxConfig};
use fleetwarden::setup::{self, SetupPlan, SetupReport};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;

pub struct Bench {
    pub sandbox: Sandbox,
    pub clients: Clients,
    pub made: SetupReport,
    pub files: TempDir,
}

/// How a process ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

pub const ENFORCE: &str = "
version: 1
mode: enforce
rules:
  - name: blank-permissive-policies
    match:
      check: [IOT_POLICY_OVERLY_PERMISSIVE_CHECK]
    actions:
      - type: REPLACE_DEFAULT_POLICY_VERSION
        template: BLANK_POLICY
  - name: deactivate
    match:
      check: [DEVICE_CERTIFICATE_SHARED_CHECK]
    actions:
      - type: UPDATE_DEVICE_CERTIFICATE
  - name: log
    match:
      check: [LOGGING_DISABLED_CHECK]
    actions:
      - type: ENABLE_IOT_LOGGING
        role_arn: arn:aws:iam::123456789012:role/IoTLogging
        level: ERROR
";

impl Bench {
    /// The workshop's two devices.
    pub async fn new() -> Self {
        Self::with(IotConfig::default()).await
    }

    /// The same, where tasks take as long as `iot` says; audits are over at once.
    pub async fn with(iot: IotConfig) -> Self {
        Self::start(IotConfig { audit_duration: Duration::ZERO, ..iot }).await
    }

    /// The same, with audits that take so long.
    pub async fn with_audits_of(audit_duration: Duration) -> Self {
        Self::start(IotConfig { audit_duration, ..IotConfig::default() }).await
    }

    async fn start(iot: IotConfig) -> Self {
        let iot = IotConfig { quotas: Quotas::off(), ..iot };
        let config = SandboxConfig { port: 0, iot, ..SandboxConfig::default() };
        let sandbox = Sandbox::start(config).await.unwrap();
        sandbox.iot().with_fleet(seed::workshop);
        let clients = Clients::new(&sandbox.sdk_config());
        let made = setup::run(&clients, &SetupPlan::default(), |_| {}).await.unwrap();
        Self { sandbox, clients, made, files: TempDir::new().unwrap() }
    }

    /// A file with this text; its path.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.files.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The program with the environment that `setup` printed, and nothing else from ours.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleetwarden"));
        command
            .env_clear()
            .env("AWS_ENDPOINT_URL", self.sandbox.endpoint())
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "sandbox")
            .env("AWS_SECRET_ACCESS_KEY", "sandbox")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("FLEETWARDEN_QUEUE_URL", &self.made.queue_url)
            .env("FLEETWARDEN_DEAD_LETTER_QUEUE_URL", &self.made.dead_letter_queue_url)
            .env("FLEETWARDEN_TABLE", &self.made.table)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs it to its end.
    pub async fn run(&self, arguments: &[&str]) -> Ran {
        ran(self.command().args(arguments)).await
    }

    pub async fn publish(&self, message: &str) {
        let topic = self.made.topic_arn.as_ref().unwrap();
        self.clients.sns.publish().topic_arn(topic).message(message).send().await.unwrap();
    }

    /// Messages in the queue, in whatever state; and in the dead-letter queue.
    pub async fn depths(&self) -> (i64, i64) {
        let mut depths = [0, 0];
        for (depth, url) in depths.iter_mut().zip([&self.made.queue_url, &self.made.dead_letter_queue_url]) {
            let attributes = self
                .clients
                .sqs
                .get_queue_attributes()
                .queue_url(url)
                .attribute_names(aws_sdk_sqs::types::QueueAttributeName::All)
                .send()
                .await
                .unwrap();
            let of = attributes.attributes.unwrap();
            *depth = of
                .iter()
                .filter(|(name, _)| name.as_str().starts_with("ApproximateNumberOfMessages"))
                .map(|(_, n)| n.parse::<i64>().unwrap())
                .sum();
        }
        (depths[0], depths[1])
    }
}

/// Runs a command to its end.
pub async fn ran(command: &mut Command) -> Ran {
    let output = command.output().await.expect("the program starts");
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}
