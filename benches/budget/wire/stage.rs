//! The embedded AWS, set up and filled.

use fleetwarden::aws::Clients;
use fleetwarden::finding::Finding;
use fleetwarden::mitigation::{AwsIot, IotControl};
use fleetwarden::queue::{BATCH, Outgoing, Queue, SqsQueue};
use fleetwarden::sandbox::iot::{Certificate, Connection, Fleet, IotConfig, IotError, Quotas};
use fleetwarden::sandbox::{Sandbox, SandboxConfig};
use fleetwarden::setup::{self, SetupPlan, SetupReport};
use std::collections::BTreeMap;
use std::time::Duration;

/// What keeps the stage from being built.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Certificates to deactivate: 8 a second for 75 s are 600.
const EXPIRING: usize = 900;
/// Things to quarantine and policies to blank, beside them, from budgets of their own.
const SHARED: usize = 300;
const PERMISSIVE: usize = 300;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const OPEN: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;
const CHECKS: [&str; 3] =
    ["DEVICE_CERTIFICATE_EXPIRING_CHECK", "DEVICE_CERTIFICATE_SHARED_CHECK", "IOT_POLICY_OVERLY_PERMISSIVE_CHECK"];

/// The policy of the workers: one budget of its own for each check.
pub const POLICY: &str = "
version: 1
mode: enforce
rules:
  - name: deactivate
    match:
      check: [DEVICE_CERTIFICATE_EXPIRING_CHECK]
    actions:
      - type: UPDATE_DEVICE_CERTIFICATE
  - name: quarantine
    match:
      check: [DEVICE_CERTIFICATE_SHARED_CHECK]
    actions:
      - type: ADD_THINGS_TO_THING_GROUP
        thing_groups: [Quarantine]
  - name: blank-permissive-policies
    match:
      check: [IOT_POLICY_OVERLY_PERMISSIVE_CHECK]
    actions:
      - type: REPLACE_DEFAULT_POLICY_VERSION
        template: BLANK_POLICY
";

/// The embedded AWS with a full queue.
pub struct Stage {
    /// It throttles at AWS's default quotas.
    pub sandbox: Sandbox,
    /// Queues and table.
    pub made: SetupReport,
    /// The findings in the queue.
    pub findings: usize,
}

/// Builds it.
///
/// # Errors
/// A call of the embedded AWS failed.
pub async fn build(seed: u64) -> Result<Stage, Failure> {
    let iot = IotConfig { quotas: Quotas::off(), audit_duration: Duration::ZERO, seed, ..IotConfig::default() };
    let config = SandboxConfig { port: 0, iot, ..SandboxConfig::default() };
    let (account, region) = (config.account.clone(), config.region.clone());
    let sandbox = Sandbox::start(config).await?;
    sandbox.iot().with_fleet(defects).map_err(|error| format!("the fleet cannot be made: {error:?}"))?;
    let clients = Clients::new(&sandbox.sdk_config());
    let made = setup::run(&clients, &SetupPlan::default(), |_| {}).await?;

    let mut findings = audit(&clients, account, region).await?;
    fastrand::Rng::with_seed(seed).shuffle(&mut findings);
    let queue = SqsQueue::new(clients.sqs.clone(), made.queue_url.clone());
    let messages: Vec<_> =
        findings.iter().map(|finding| Outgoing::new(&finding.to_native().to_string(), BTreeMap::new())).collect();
    for batch in messages.chunks(BATCH) {
        for sent in queue.send(batch).await? {
            sent?;
        }
    }
    // Full buckets, as after a quiet second.
    sandbox.iot().set_quotas(Quotas::default());
    Ok(Stage { sandbox, made, findings: findings.len() })
}

/// Devices and policies with one defect each.
fn defects(fleet: &mut Fleet) -> Result<(), IotError> {
    fleet.enable_audits(None);
    fleet.create_thing_group("Quarantine", None, None)?;
    let now = fleet.now_ms();
    for n in 0..EXPIRING + SHARED {
        let id = fleet.new_certificate_id();
        let name = format!("device-{n:05}");
        let mut certificate = Certificate::new(now - 30 * DAY_MS);
        if n < EXPIRING {
            certificate.not_after_ms = now + 7 * DAY_MS;
        }
        fleet.certificates.insert(id.clone(), certificate);
        fleet.create_thing(&name, BTreeMap::new())?;
        let arn = fleet.arn("cert", &id);
        fleet.attach_thing_principal(&name, &arn)?;
        let users = if n < EXPIRING { 1 } else { 2 };
        fleet.connections.extend((0..users).map(|user| connection(format!("{name}-{user}"), id.clone(), now)));
    }
    for n in 0..PERMISSIVE {
        fleet.create_policy(&format!("policy-{n:05}"), OPEN)?;
    }
    Ok(())
}

fn connection(client_id: String, certificate_id: String, now: i64) -> Connection {
    let connected_ms = now - 5 * DAY_MS;
    Connection {
        client_id,
        certificate_id,
        connected_ms,
        disconnected_ms: Some(connected_ms + DAY_MS),
        ended_by_duplicate_client_id: false,
    }
}

/// Audits the fleet; what was found.
async fn audit(clients: &Clients, account: String, region: String) -> Result<Vec<Finding>, Failure> {
    let names = CHECKS.map(str::to_owned).to_vec();
    let started = clients.iot.start_on_demand_audit_task().set_target_check_names(Some(names)).send().await?;
    let task = started.task_id.unwrap_or_default();
    loop {
        let described = clients.iot.describe_audit_task().task_id(&task).send().await?;
        if described.task_status.is_some_and(|status| status.as_str() == "COMPLETED") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let iot = AwsIot::new(clients.iot.clone(), clients.sns.clone(), account, region);
    let mut findings = Vec::new();
    for check in CHECKS {
        let mut next = None;
        loop {
            let page = iot.list_audit_findings(&task, check, next).await?;
            findings.extend(page.items);
            next = page.next;
            if next.is_none() {
                break;
            }
        }
    }
    let expected = EXPIRING + SHARED + PERMISSIVE;
    if findings.len() != expected {
        return Err(format!("the audit has {} findings, not {expected}", findings.len()).into());
    }
    Ok(findings)
}
