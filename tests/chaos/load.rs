//! Findings about devices, policies and client ids, on the queue and known to Device Defender; and an account that fails.

use super::bench::Bench;
use fleetwarden::finding::{Finding, Resource, ResourceIdentifier, Severity, encode_own};
use fleetwarden::queue::{BATCH, Outgoing, Queue, SqsQueue};
use fleetwarden::sandbox::iot::{FaultKind, FaultRule, Faults};
use std::collections::BTreeMap;

const WIDE: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;

/// Senders at a time.
const SENDERS: usize = 6;

/// What the workers do. Delays are short and attempts many: a finding is to end by what the test does, not by giving up.
const POLICY: &str = "
version: 1
mode: enforce
retry: { max_attempts: 100, base_delay: 1s, max_delay: 5s }
rules:
  - name: deactivate
    match: { check: [DEVICE_CERTIFICATE_SHARED_CHECK] }
    actions:
      - type: UPDATE_DEVICE_CERTIFICATE
  - name: blank
    match: { check: [IOT_POLICY_OVERLY_PERMISSIVE_CHECK, IOT_POLICY_POTENTIAL_MISCONFIGURATION_CHECK] }
    actions:
      - type: REPLACE_DEFAULT_POLICY_VERSION
        template: BLANK_POLICY
  - name: escalate
    match: { check: [CONFLICTING_CLIENT_IDS_CHECK] }
    actions:
      - type: PUBLISH_FINDING_TO_SNS
        topic_arn: arn:aws:sns:us-east-1:123456789012:chaos
";

/// The findings and where they go.
pub struct Load {
    pub bench: Bench,
    /// The path of the workers' policy.
    pub policy: String,
    /// Each has a certificate of its own.
    pub devices: Vec<Finding>,
    /// Two on every policy.
    pub policies: Vec<Finding>,
    /// They can only be published.
    pub clients: Vec<Finding>,
    /// Where publications arrive.
    pub escalations: SqsQueue,
}

impl Load {
    /// A third of `findings` of each kind.
    pub async fn new(findings: usize, rng: &mut fastrand::Rng) -> Self {
        let bench = Bench::new().await;
        let policy = bench.file("policy.yaml", POLICY);
        let escalations = subscribe(&bench).await;
        let (third, pairs) = (findings / 3, findings / 6);
        let iot = bench.sandbox.iot();
        let certificates: Vec<_> = iot.with_fleet(|fleet| (0..third).map(|_| fleet.create_certificate(true)).collect());
        let device = |(n, id): (usize, String)| {
            let identifier = ResourceIdentifier::DeviceCertificate(id);
            finding(format!("device-{n}"), "DEVICE_CERTIFICATE_SHARED_CHECK", "DEVICE_CERTIFICATE", identifier)
        };
        let devices: Vec<_> = certificates.into_iter().enumerate().map(device).collect();
        let pair = |n: usize| {
            let checks = ["IOT_POLICY_OVERLY_PERMISSIVE_CHECK", "IOT_POLICY_POTENTIAL_MISCONFIGURATION_CHECK"];
            checks.map(|check| {
                let identifier =
                    ResourceIdentifier::PolicyVersion { policy: format!("Policy{n}"), version: "1".into() };
                finding(format!("policy-{n}-{check}"), check, "IOT_POLICY", identifier)
            })
        };
        let policies: Vec<_> = (0..pairs).flat_map(pair).collect();
        let client = |n: usize| {
            let identifier = ResourceIdentifier::ClientId(format!("client-{n}"));
            finding(format!("client-{n}-"), "CONFLICTING_CLIENT_IDS_CHECK", "CLIENT_ID", identifier)
        };
        let clients: Vec<_> = (0..findings - third - 2 * pairs).map(client).collect();
        let load = Self { policy, escalations, devices, policies, clients, bench };
        let iot = load.bench.sandbox.iot();
        iot.with_fleet(|fleet| {
            for n in 0..pairs {
                fleet.create_policy(&format!("Policy{n}"), WIDE).unwrap();
            }
            load.all().for_each(|finding| fleet.plant_finding(&finding.to_native()).unwrap());
        });
        iot.set_faults(faults(rng.u64(..)));
        load
    }

    pub fn all(&self) -> impl Iterator<Item = &Finding> {
        self.devices.iter().chain(&self.policies).chain(&self.clients)
    }

    /// Sends every finding, a fifth of them twice, in a random order and from several senders at a time.
    pub fn publish(&self, rng: &mut fastrand::Rng) -> impl Future<Output = ()> + Send + 'static {
        let mut bodies: Vec<_> = self.all().map(|finding| encode_own(finding, None)).collect();
        rng.shuffle(&mut bodies);
        bodies.extend_from_within(..bodies.len() / 5);
        rng.shuffle(&mut bodies);
        let queue = SqsQueue::new(self.bench.clients.sqs.clone(), &self.bench.made.queue_url);
        let share = bodies.len().div_ceil(SENDERS);
        let senders: Vec<Vec<String>> = bodies.chunks(share).map(<[String]>::to_vec).collect();
        async move {
            let mut sending = tokio::task::JoinSet::new();
            for bodies in senders {
                let queue = queue.clone();
                sending.spawn(async move {
                    for batch in bodies.chunks(BATCH) {
                        let batch: Vec<_> = batch.iter().map(|body| Outgoing::new(body, BTreeMap::new())).collect();
                        assert!(queue.send(&batch).await.unwrap().iter().all(Result::is_ok));
                    }
                });
            }
            while let Some(sent) = sending.join_next().await {
                sent.unwrap();
            }
        }
    }
}

/// One call in twenty fails before it runs; one in a hundred runs, and nobody hears of it.
fn faults(seed: u64) -> Faults {
    let rules = [
        (0.02, FaultKind::InternalFailure),
        (0.01, FaultKind::Unavailable),
        (0.01, FaultKind::Throttled),
        (0.01, FaultKind::Dropped),
        (0.01, FaultKind::LostReply),
    ];
    Faults { seed, rules: rules.map(|(rate, kind)| FaultRule::new("*", rate, kind)).into() }
}

/// The topic of the policy, and a queue that gets what is published there.
async fn subscribe(bench: &Bench) -> SqsQueue {
    let (sqs, sns) = (&bench.clients.sqs, &bench.clients.sns);
    let url = sqs.create_queue().queue_name("chaos").send().await.unwrap().queue_url.unwrap();
    let topic = sns.create_topic().name("chaos").send().await.unwrap().topic_arn.unwrap();
    let subscribe = sns.subscribe().topic_arn(topic).protocol("sqs").attributes("RawMessageDelivery", "true");
    subscribe.endpoint("arn:aws:sqs:us-east-1:123456789012:chaos").send().await.unwrap();
    SqsQueue::new(sqs.clone(), url)
}

fn finding(finding_id: String, check: &str, kind: &str, identifier: ResourceIdentifier) -> Finding {
    Finding {
        finding_id,
        account: "123456789012".into(),
        region: "us-east-1".into(),
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
