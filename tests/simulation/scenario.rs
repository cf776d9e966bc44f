//! One seed: what is on the queue, who works, who dies when.

use super::checker::check;
use super::house::*;
use super::process::{MAX_IN_FLIGHT, spawn};
use super::witness::Witness;
use fleetwarden::budget::{BudgetConfig, Operation};
use fleetwarden::finding::{Finding, ResourceIdentifier};
use fleetwarden::policy::{Action, Matcher, Rule};
use fleetwarden::queue::{Disorder, MemoryQueue, MemoryQueueConfig};
use std::sync::Arc;
use std::time::Duration;

pub struct Fleet {
    pub devices: Vec<Finding>,
    pub policies: Vec<Finding>,
    pub clients: Vec<Finding>,
    /// Handed over to Device Defender's own actions, which deactivate and publish.
    pub delegated: Vec<Finding>,
}

/// The check of those that are handed over, and where Device Defender publishes them.
const HANDED_OVER: &str = "REVOKED_DEVICE_CERTIFICATE_STILL_ACTIVE_CHECK";
pub const THEIR_TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:Theirs";

/// A rule that hands over, and the actions that it names.
fn hand_over(house: &mut House, rng: &mut fastrand::Rng) {
    house.iot.put_topic(THEIR_TOPIC);
    house.iot.put_mitigation_action("Tell", Action::PublishFindingToSns { topic_arn: THEIR_TOPIC.to_owned() });
    house.iot.put_mitigation_action("Deactivate", Action::UpdateDeviceCertificate);
    house.iot.set_task_duration(Duration::from_millis(rng.u64(0..40_000)));
    house.policy.rules.push(Rule {
        name: "theirs".to_owned(),
        matcher: Matcher { check: vec![HANDED_OVER.to_owned()], ..Matcher::default() },
        observe: false,
        actions: Vec::new(),
        delegate: vec!["Tell".to_owned(), "Deactivate".to_owned()],
    });
}

impl Fleet {
    /// Certificates; policies with two findings each, every other one full; findings that can only be published.
    pub fn new(house: &House) -> Self {
        let policies = (0..6).flat_map(|n| {
            let name = format!("Policy{n}");
            let versions: &[&str] =
                if n % 2 == 0 { &[WIDE] } else { &["{}", r#"{"Id":"2"}"#, r#"{"Id":"3"}"#, r#"{"Id":"4"}"#, WIDE] };
            house.iot.put_policy(&name, versions);
            [(PERMISSIVE, "a"), (MISCONFIGURED, "b")].map(|(check, which)| {
                let mut finding = policy_finding(&format!("policy-{n}-{which}"), check, &name);
                finding.resource.identifier =
                    ResourceIdentifier::PolicyVersion { policy: name.clone(), version: versions.len().to_string() };
                finding
            })
        });
        Self {
            policies: policies.collect(),
            devices: (0..12).map(|n| house.device(n)).collect(),
            clients: (0..6).map(client_finding).collect(),
            delegated: (100..108).map(|n| Finding { check: HANDED_OVER.to_owned(), ..house.device(n) }).collect(),
        }
    }

    pub fn all(&self) -> impl Iterator<Item = &Finding> {
        self.devices.iter().chain(&self.policies).chain(&self.clients).chain(&self.delegated)
    }
}

/// So little that most messages are parked for want of budget, many of them several times.
fn scarce() -> BudgetConfig {
    let scarce = [
        (Operation::UpdateCertificate, 0.2),
        (Operation::CreatePolicyVersion, 0.2),
        (Operation::DescribeAuditFinding, 1.0),
    ];
    BudgetConfig { quotas: scarce.into(), ..BudgetConfig::default() }
}

/// Runs it to its end and checks what it left; everything that happened, in its order.
pub async fn simulate(seed: u64) -> Vec<String> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut house = House::new();
    // Any order; one delivery in twenty leaves the message for others, so that its handle is stale when it is used.
    let disorder = Disorder { seed: rng.u64(..), duplicates: 0.05 };
    let disorderly =
        MemoryQueueConfig { name: "findings".into(), disorder: Some(disorder), ..MemoryQueueConfig::default() };
    house.queue = MemoryQueue::new(house.clock.clone(), disorderly);
    house.policy.retry.max_attempts = 100;
    house.policy.read_back = rng.bool();
    house.policy.cooldown = Duration::from_secs(if rng.bool() { 3600 } else { 0 });
    let budget = if seed % 2 == 1 { scarce() } else { BudgetConfig::default() };
    hand_over(&mut house, &mut rng);
    let fleet = Fleet::new(&house);
    let mut order: Vec<&Finding> = fleet.all().collect();
    rng.shuffle(&mut order);
    for finding in order {
        house.publish(finding).await;
        if rng.f64() < 0.2 {
            house.publish(finding).await;
        }
    }
    house.send("poison").await;

    let ledger_works = seed % 4 > 1;
    let witness = Arc::new(Witness::new(&house));
    let start = |number: usize, rng: &mut fastrand::Rng| {
        spawn(&house, &witness, &format!("w{number}"), rng, (&budget, ledger_works))
    };
    let mut running = vec![start(0, &mut rng), start(1, &mut rng)];
    for restart in 2..6 {
        tokio::time::sleep(Duration::from_millis(rng.u64(100..40_000))).await;
        let (process, worker) = running.remove(rng.usize(0..2));
        if rng.bool() {
            process.kill();
        } else {
            finish(worker.end()).await;
        }
        running.push(start(restart, &mut rng));
    }
    tokio::time::sleep(Duration::from_secs(600)).await;
    for (_, worker) in running {
        finish(worker.end()).await;
    }
    house.work().await;
    check(&house, &fleet);
    let (broken, most, mut history) = witness.testify();
    assert!(broken.is_empty(), "{broken:?}");
    // Elsewhere a claim is live for a while after its reply got lost, and nobody has it in hand.
    assert!(most <= MAX_IN_FLIGHT || !ledger_works, "P8: a worker had {most} live claims");
    let calls = house.iot.history();
    history.extend(calls.iter().map(|call| {
        let error = call.error.as_ref().map(ToString::to_string);
        format!("{} {} {} {error:?}", call.operation, call.target, call.took_effect)
    }));
    history
}
