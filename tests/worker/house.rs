//! A house with everything a worker needs, on twins; and findings to send there.

use fleetwarden::aws::{Class, Fate, Fates, MemoryCertificates};
use fleetwarden::budget::{BudgetConfig, Budgets};
use fleetwarden::clock::Clock;
use fleetwarden::finding::{Finding, Origin, Resource, ResourceIdentifier, Severity, encode_own};
use fleetwarden::ledger::{MemoryLedger, Record, Status};
use fleetwarden::mitigation::MemoryIot;
use fleetwarden::policy::{Action, BLANK_POLICY, Matcher, Mode, Policy, PolicyQuotas, RetryPolicy, Rule};
use fleetwarden::queue::{Depth, MemoryQueue, MemoryQueueConfig, Outgoing, Queue};
use fleetwarden::telemetry::Telemetry;
use fleetwarden::worker::{Breaker, Ended, Vitals, Worker, WorkerConfig};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub const ACCOUNT: &str = "123456789012";
pub const REGION: &str = "us-east-1";
pub const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:Escalations";
pub const WIDE: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;
pub const SHARED: &str = "DEVICE_CERTIFICATE_SHARED_CHECK";
pub const PERMISSIVE: &str = "IOT_POLICY_OVERLY_PERMISSIVE_CHECK";
pub const MISCONFIGURED: &str = "IOT_POLICY_POTENTIAL_MISCONFIGURATION_CHECK";
pub const CLIENTS: &str = "CONFLICTING_CLIENT_IDS_CHECK";

pub type TwinLedger = MemoryLedger;
pub type TwinIot = MemoryIot;
pub type TwinWorker = Worker<MemoryQueue, TwinLedger, TwinIot>;

pub struct House {
    pub clock: Clock,
    pub queue: MemoryQueue,
    pub dead: MemoryQueue,
    pub ledger: MemoryLedger,
    pub iot: MemoryIot,
    pub certificates: Arc<MemoryCertificates>,
    pub policy: Policy,
    pub budgets: Arc<Budgets>,
    pub telemetry: Arc<Telemetry>,
}

/// A worker at work.
pub struct Running {
    pub stop: CancellationToken,
    pub breaker: Arc<Breaker>,
    pub vitals: Arc<Vitals>,
    pub task: JoinHandle<Ended>,
}

impl Running {
    /// Stops it and waits for its end.
    pub async fn end(self) -> Ended {
        self.stop.cancel();
        self.task.await.unwrap()
    }
}

impl House {
    pub fn new() -> Self {
        let clock = Clock::virtual_at("2026-11-22T12:00:00Z".parse().unwrap());
        let queue = |name: &str| {
            MemoryQueue::new(clock.clone(), MemoryQueueConfig { name: name.into(), ..MemoryQueueConfig::default() })
        };
        let iot = MemoryIot::new();
        iot.put_topic(TOPIC);
        Self {
            queue: queue("findings"),
            dead: queue("dead"),
            ledger: MemoryLedger::new(),
            iot,
            certificates: Arc::default(),
            policy: policy(),
            budgets: Arc::new(Budgets::new(&BudgetConfig::default())),
            telemetry: Arc::default(),
            clock,
        }
    }

    pub fn worker(&self, id: &str) -> TwinWorker {
        let origin = Origin { account: Some(ACCOUNT.into()), region: Some(REGION.into()) };
        Worker {
            config: WorkerConfig { until_empty: true, ..WorkerConfig::new(id, origin) },
            policy: self.policy.clone(),
            queue: self.queue.clone(),
            dead_letters: self.dead.clone(),
            ledger: self.ledger.clone(),
            iot: self.iot.clone(),
            certificates: Arc::clone(&self.certificates) as _,
            budgets: Arc::clone(&self.budgets),
            telemetry: Arc::clone(&self.telemetry),
            clock: self.clock.clone(),
        }
    }

    /// A finding that Device Defender knows, on the queue.
    pub async fn publish(&self, finding: &Finding) {
        self.iot.put_finding(finding);
        self.send(&encode_own(finding, None)).await;
    }

    pub async fn send(&self, body: &str) {
        let message = Outgoing { body: body.to_owned(), ..Outgoing::default() };
        self.queue.send(&[message]).await.unwrap().remove(0).unwrap();
    }

    /// A finding about an active certificate of its own.
    pub fn device(&self, n: u64) -> Finding {
        self.iot.put_certificate(&certificate(n), "ACTIVE");
        finding(
            &format!("device-{n}"),
            SHARED,
            "DEVICE_CERTIFICATE",
            ResourceIdentifier::DeviceCertificate(certificate(n)),
        )
    }

    pub fn record(&self, finding: &Finding) -> Record {
        let key = format!("finding#{}", finding.finding_id);
        let mut found = None;
        self.ledger.each_record(|record| {
            if record.subject.key == key {
                found = Some(record.clone());
            }
        });
        found.expect("the finding is on record")
    }

    pub fn status(&self, finding: &Finding) -> Status {
        self.record(finding).status
    }

    /// Reason and finding id of every dead letter, sorted.
    pub fn dead_letters(&self) -> Vec<(String, String)> {
        let attribute = |message: &Outgoing, name: &str| message.attributes[name].clone();
        let mut letters: Vec<_> =
            self.dead.contents().iter().map(|m| (attribute(m, "reason"), attribute(m, "findingId"))).collect();
        letters.sort();
        letters
    }

    pub async fn depth(&self) -> Depth {
        self.queue.depth().await.unwrap()
    }

    /// Runs one worker until the queue is empty.
    pub async fn work(&self) {
        assert_eq!(finish(self.worker("worker").run(CancellationToken::new())).await, Ended::Empty);
    }
}

pub fn start(worker: TwinWorker) -> Running {
    let stop = CancellationToken::new();
    let vitals = Arc::new(Vitals::new(Arc::clone(&worker.telemetry)));
    let task = tokio::spawn(worker.run_with(Arc::clone(&vitals), stop.clone()));
    Running { stop, breaker: Arc::clone(&vitals.breaker), vitals, task }
}

/// A worker that goes on when the queue is empty.
pub fn start_for_good(mut worker: TwinWorker) -> Running {
    worker.config.until_empty = false;
    start(worker)
}

/// Three virtual days are more than anything here takes; a test that hangs ends at once, since the clock is paused.
pub async fn finish<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(3 * 24 * 3600), work).await.expect("the work came to no end")
}

/// Waits, in virtual time, until `condition` holds.
pub async fn until(mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(24 * 3600), wait).await.expect("it never came to that");
}

/// Longer than any test runs.
pub const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The worker with these fates at every port.
pub fn meeting(mut worker: TwinWorker, fates: Arc<dyn Fates>) -> TwinWorker {
    worker.queue = worker.queue.with_fates(Arc::clone(&fates));
    worker.dead_letters = worker.dead_letters.with_fates(Arc::clone(&fates));
    worker.ledger = worker.ledger.with_fates(Arc::clone(&fates));
    worker.iot = worker.iot.with_fates(fates);
    worker
}

pub async fn seconds(n: u64) {
    tokio::time::sleep(Duration::from_secs(n)).await;
}

/// This fate for each call of this name.
pub fn always(name: &'static str, fate: Fate) -> Arc<dyn Fates> {
    Arc::new(move |call: &'static str| if call == name { fate } else { Fate::Proceed })
}

/// Something that is refused as long as the switch is on.
pub fn while_on(switch: &Arc<AtomicBool>, prefix: &'static str, class: Class) -> Arc<dyn Fates> {
    let switch = Arc::clone(switch);
    Arc::new(move |call: &'static str| {
        let hit = call.starts_with(prefix) && switch.load(Ordering::SeqCst);
        if hit { Fate::Fail(class) } else { Fate::Proceed }
    })
}

pub fn certificate(n: u64) -> String {
    format!("{n:064x}")
}

pub fn finding(id: &str, check: &str, kind: &str, identifier: ResourceIdentifier) -> Finding {
    Finding {
        finding_id: id.into(),
        account: ACCOUNT.into(),
        region: REGION.into(),
        task_id: Some("audit-1".into()),
        check: check.into(),
        reason_code: "CODE".into(),
        reason: "Words.".into(),
        severity: Severity::Critical,
        resource: Resource { kind: kind.into(), identifier, additional_info: BTreeMap::new() },
        related: Vec::new(),
        suppressed: false,
        found_at: Some(1_791_014_401_000),
        audit_started_at: Some(1_791_014_400_000),
    }
}

/// A finding about version 1 of a policy.
pub fn policy_finding(id: &str, check: &str, policy: &str) -> Finding {
    let identifier = ResourceIdentifier::PolicyVersion { policy: policy.into(), version: "1".into() };
    finding(id, check, "IOT_POLICY", identifier)
}

/// A finding that can only be published.
pub fn client_finding(n: u64) -> Finding {
    finding(&format!("client-{n}"), CLIENTS, "CLIENT_ID", ResourceIdentifier::ClientId(format!("client {n}")))
}

fn policy() -> Policy {
    let rule = |name: &str, checks: &[&str], actions: Vec<Action>| Rule {
        name: name.into(),
        matcher: Matcher { check: checks.iter().map(|&check| check.into()).collect(), ..Matcher::default() },
        observe: false,
        delegate: Vec::new(),
        actions,
    };
    let document = BLANK_POLICY.to_owned();
    Policy {
        mode: Mode::Enforce,
        verify_finding: true,
        verify_signature: false,
        read_back: false,
        retry: RetryPolicy { max_attempts: 4, base_delay: Duration::from_secs(5), max_delay: Duration::from_secs(300) },
        cooldown: Duration::ZERO,
        quotas: PolicyQuotas::default(),
        reserve: 0.2,
        rules: vec![
            rule("certificates", &[SHARED], vec![Action::UpdateDeviceCertificate]),
            rule("policies", &[PERMISSIVE, MISCONFIGURED], vec![Action::ReplaceDefaultPolicyVersion { document }]),
            rule("clients", &[CLIENTS], vec![Action::PublishFindingToSns { topic_arn: TOPIC.into() }]),
        ],
    }
}
