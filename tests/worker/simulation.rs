//! Faults at random calls of every port, two workers, crashes and restarts; then the history is read for P1, P2, P3 and P5.

use crate::house::*;
use fleetwarden::aws::{Class, Fate, Fates};
use fleetwarden::budget::{BudgetConfig, Budgets, Operation};
use fleetwarden::finding::{Finding, ResourceIdentifier};
use fleetwarden::ledger::{Status, StepOutcome};
use fleetwarden::policy::BLANK_POLICY;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SEEDS: std::ops::Range<u64> = 0..20;

/// One worker process: its calls fail at random, and once it is dead it hears of nothing any more.
struct Process {
    rng: Mutex<fastrand::Rng>,
    dead: AtomicBool,
}

impl Fates for Process {
    fn next(&self, call: &'static str) -> Fate {
        if self.dead.load(Ordering::SeqCst) {
            return Fate::Late(FOR_EVER);
        }
        let mut rng = self.rng.lock().unwrap();
        let read = ["describe", "list", "get", "receive", "depth"].iter().any(|word| call.contains(word));
        match rng.u32(0..100) {
            0..3 => Fate::Fail(Class::Transient),
            3..5 => Fate::Fail(Class::Throttled),
            5..8 => Fate::ReplyLost,
            8..10 if !read => Fate::Fail(Class::Unknown),
            // Longer than a claim waits for others, shorter than the margin of a lease.
            10..13 if call != "queue.receive" => Fate::Late(Duration::from_millis(rng.u64(1..8_000))),
            13..15 if call.starts_with("queue.") || call.starts_with("ledger.") => {
                Fate::FailEntry(rng.usize(0..3), Class::Transient)
            }
            _ => Fate::Proceed,
        }
    }
}

struct Fleet {
    devices: Vec<Finding>,
    policies: Vec<Finding>,
    clients: Vec<Finding>,
}

impl Fleet {
    /// Certificates; policies with two findings each, every other one full; findings that can only be published.
    fn new(house: &House) -> Self {
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
        }
    }

    fn all(&self) -> impl Iterator<Item = &Finding> {
        self.devices.iter().chain(&self.policies).chain(&self.clients)
    }
}

fn spawn(house: &House, name: &str, rng: &mut fastrand::Rng, budget: &BudgetConfig) -> (Arc<Process>, Running) {
    let process = Arc::new(Process { rng: Mutex::new(rng.fork()), dead: AtomicBool::new(false) });
    let mut worker = meeting(house.worker(name), process.clone());
    // Its own: what a dead process had in hand waits for its budget no more.
    worker.budgets = Arc::new(Budgets::new(budget));
    worker.clock = house.clock.skewed(jiff::SignedDuration::from_millis(rng.i64(-2_000..2_000)));
    // Shorter than many calls take, so that a stop cuts work off.
    worker.config.drain = Duration::from_millis(rng.u64(0..5_000));
    (worker.config.seed, worker.config.concurrency, worker.config.max_in_flight) = (rng.u64(..), 4, 12);
    (process, start_for_good(worker))
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

async fn simulate(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut house = House::new();
    house.policy.retry.max_attempts = 100;
    house.policy.read_back = rng.bool();
    house.policy.cooldown = Duration::from_secs(if rng.bool() { 3600 } else { 0 });
    let budget = if seed % 2 == 1 { scarce() } else { BudgetConfig::default() };
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

    let mut running = vec![spawn(&house, "w0", &mut rng, &budget), spawn(&house, "w1", &mut rng, &budget)];
    for restart in 2..6 {
        tokio::time::sleep(Duration::from_millis(rng.u64(100..40_000))).await;
        let (process, worker) = running.remove(rng.usize(0..2));
        if rng.bool() {
            process.dead.store(true, Ordering::SeqCst);
        } else {
            finish(worker.end()).await;
        }
        running.push(spawn(&house, &format!("w{restart}"), &mut rng, &budget));
    }
    tokio::time::sleep(Duration::from_secs(600)).await;
    for (_, worker) in running {
        finish(worker.end()).await;
    }
    house.work().await;
    check(&house, &fleet);
    if seed % 2 == 1 {
        let parked = house.telemetry.counts().over_budget;
        assert!(
            parked >= 5,
            "only {parked} messages were parked for want of budget: the simulation shows nothing of it"
        );
    }
}

fn check(house: &House, fleet: &Fleet) {
    // P1: every message came to an end, on record or in the dead letters with its reason.
    assert!(house.queue.contents().is_empty(), "P1: messages are left");
    let letters = house.dead_letters();
    assert!(letters.iter().any(|(reason, _)| reason == "not_json"), "P1: the poison is lost");
    assert_eq!(house.ledger.records().len(), fleet.all().count(), "P1: one record each");
    for finding in fleet.all() {
        let record = house.record(finding);
        let told = letters.iter().any(|(_, id)| *id == finding.finding_id);
        assert!(record.status.is_terminal() || record.status == Status::Dead && told, "P1: {record:?}");
    }
    for finding in fleet.devices.iter().chain(&fleet.policies) {
        assert!(house.status(finding).is_terminal(), "nothing was in the way: {:?}", house.record(finding));
    }
    for n in 0..12 {
        assert_eq!(house.iot.certificate(&certificate(n)).as_deref(), Some("INACTIVE"), "P1, P5: certificate {n}");
    }

    // P2: what is not idempotent took effect once.
    let mut created: BTreeMap<String, usize> = BTreeMap::new();
    for call in house.iot.effects("CreatePolicyVersion") {
        *created.entry(call.target).or_default() += 1;
    }
    assert!(created.len() == 6 && created.values().all(|n| *n == 1), "P2: {created:?}");
    let sent = house.iot.published(TOPIC);
    for finding in &fleet.clients {
        let n = sent.iter().filter(|message| message.contains(&format!("\"{}\"", finding.finding_id))).count();
        let record = house.record(finding);
        assert!(n <= 1, "P2: {} was published {n} times", finding.finding_id);
        assert!(n == 1 || record.status == Status::Dead, "P1: {record:?}");
    }

    // P5: what was changed can be undone from the record.
    for n in 0..6 {
        let name = format!("Policy{n}");
        let (versions, default) = house.iot.policy(&name).unwrap();
        assert!(versions.contains(&(default, BLANK_POLICY.to_owned())), "{name} is not blank");
        let records = house.ledger.records();
        let of_policy = records.iter().filter(|record| record.subject.resource_id == name);
        let priors: Vec<_> = of_policy
            .flat_map(|record| &record.steps)
            .filter(|step| step.outcome == StepOutcome::Changed)
            .filter_map(|step| step.prior.as_ref())
            .collect();
        // Both findings may have announced the one change; either can undo it then.
        let version = if n % 2 == 1 { "5" } else { "1" };
        assert!(!priors.is_empty(), "P5: {name} has no change on record");
        assert!(priors.iter().all(|prior| prior["default_version"] == version), "P5: {name}: {priors:?}");
        let documents = priors
            .iter()
            .flat_map(|prior| prior["deleted"].as_array().unwrap())
            .map(ToString::to_string)
            .collect::<BTreeSet<_>>();
        let removed = house.iot.effects("DeletePolicyVersion").iter().filter(|call| call.target == name).count();
        assert_eq!((removed, documents.len()), (n % 2, n % 2), "P5: {name}: {priors:?}");
    }
}

#[test]
fn nothing_is_lost_and_nothing_takes_effect_twice_whatever_fails() {
    for seed in SEEDS {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let run = std::panic::AssertUnwindSafe(|| runtime.block_on(finish(simulate(seed))));
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("seed {seed} fails");
            std::panic::resume_unwind(panic);
        }
    }
}
