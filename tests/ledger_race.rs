//! A small simulation of the ledger alone: workers with different clocks claim, renew, record, finish, stall and die at random,
//! replies get lost, and a checker looks at the whole ledger after every call. Each run follows from its seed, which is printed.
#![expect(clippy::unwrap_used, reason = "tests")]

use fleetwarden::aws::{Class, Fate};
use fleetwarden::clock::Clock;
use fleetwarden::finding::Severity;
use fleetwarden::ledger::{
    BATCH, Claim, ClaimOutcome, ClaimRef, ClaimRequest, Finish, Ledger, MemoryLedger, Record, Recording, ReplayMode,
    Status, Subject, WriteError,
};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SEEDS: u64 = 60;
const WORKERS: u64 = 6;
const KEYS: usize = 30;
const LEASE: Duration = Duration::from_secs(60);
/// Far more than any run takes: each step ends in some progress with a fair chance.
const MOST_STEPS: usize = 20_000;

/// What a worker has just asked for.
enum Action {
    Claim { owner: String, now: i64 },
    Write { claims: Vec<ClaimRef>, ends: bool },
}

/// Compares the ledger before and after each call: a model that knows nothing of how the ledger decides.
struct Checker {
    ledger: MemoryLedger,
    last: BTreeMap<String, Record>,
    takeovers: usize,
    late_writes: usize,
}

impl Checker {
    fn look(&mut self, action: &Action) {
        let records = self.ledger.records();
        assert!(records.len() >= self.last.len(), "a record vanished");
        for record in records {
            let key = record.subject.key.clone();
            let before = self.last.insert(key.clone(), record.clone());
            if before.as_ref() == Some(&record) {
                continue;
            }
            match (before, action) {
                (None, Action::Claim { owner, now }) => {
                    assert_eq!((record.epoch, record.status, &record.owner), (1, Status::Claimed, owner));
                    assert!(record.lease_until > *now);
                }
                (Some(before), Action::Claim { owner, now }) => {
                    assert!(!before.status.is_terminal(), "{key}: terminal stays terminal, but was claimed by {owner}");
                    let free = match before.status {
                        Status::Claimed => before.lease_until <= *now,
                        Status::Waiting => before.retry_at.is_none_or(|due| due <= *now),
                        _ => true,
                    };
                    assert!(free, "{key}: {owner} took what was not free at {now}: {before:?}");
                    assert_eq!(
                        (record.epoch, record.status, &record.owner),
                        (before.epoch + 1, Status::Claimed, owner)
                    );
                    self.takeovers += 1;
                }
                (Some(before), Action::Write { claims, ends }) => {
                    // P3: only a write under the record's own epoch may have changed it.
                    let under = claims.iter().find(|claim| claim.key == key).map(|claim| claim.epoch);
                    assert_eq!(under, Some(before.epoch), "{key}: changed by a write of another epoch");
                    assert_eq!(record.epoch, before.epoch, "{key}: a write moved the epoch");
                    let repeated = *ends && before.status == record.status;
                    assert!(
                        before.status == Status::Claimed || repeated,
                        "{key}: {} became {}",
                        before.status,
                        record.status
                    );
                }
                (None, Action::Write { .. }) => panic!("{key}: a write made a record"),
            }
        }
    }

    /// What a worker was told must agree with the ledger as it is at that moment.
    fn told(&mut self, claim: &ClaimRef, outcome: &Result<(), WriteError>) {
        let owned = self.last[&claim.key].epoch == claim.epoch;
        match outcome {
            Ok(()) => assert!(owned, "{}: a write of epoch {} succeeded late", claim.key, claim.epoch),
            Err(WriteError::LostClaim) => self.late_writes += usize::from(!owned),
            Err(WriteError::Call(_)) => {}
        }
    }

    fn all_terminal(&self) -> bool {
        self.last.len() == KEYS && self.last.values().all(|record| record.status.is_terminal())
    }
}

struct Worker {
    number: u64,
    lives: u32,
    rng: fastrand::Rng,
    clock: Clock,
    ledger: MemoryLedger,
    checker: Arc<Mutex<Checker>>,
    held: Vec<Claim>,
}

impl Worker {
    async fn live(mut self) {
        for _ in 0..MOST_STEPS {
            if self.checker.lock().unwrap().all_terminal() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(self.rng.u64(1..2_000))).await;
            match self.rng.u32(0..100) {
                0..=39 => self.claim().await,
                40..=54 => self.renew().await,
                55..=64 => self.record().await,
                65..=91 => self.finish().await,
                // Stalls well past its leases, and goes on as if nothing had happened.
                92..=95 => tokio::time::sleep(LEASE * self.rng.u32(1..4)).await,
                _ => {
                    self.held.clear();
                    self.lives += 1;
                }
            }
        }
        panic!("the findings did not come to an end");
    }

    async fn claim(&mut self) {
        let mut numbers: Vec<usize> = (0..KEYS).collect();
        self.rng.shuffle(&mut numbers);
        numbers.truncate(self.rng.usize(1..=BATCH.min(8)));
        let replay = if self.rng.u32(0..5) == 0 { ReplayMode::Again } else { ReplayMode::Fresh };
        let requests: Vec<_> = numbers
            .into_iter()
            .map(|number| ClaimRequest { subject: subject(number), replay, lineage: None })
            .collect();
        let (owner, now) = (format!("worker-{}.{}", self.number, self.lives), self.clock.now_ms());
        let outcomes = self.ledger.claim(&requests, &owner, now, LEASE).await;
        self.checker.lock().unwrap().look(&Action::Claim { owner, now });
        for outcome in outcomes.into_iter().flatten().flatten() {
            if let ClaimOutcome::Ours(claim) = outcome {
                assert_eq!(self.checker.lock().unwrap().last[&claim.record.subject.key], claim.record);
                self.held.push(*claim);
            }
        }
    }

    async fn renew(&mut self) {
        let claims: Vec<_> = self.held.iter().map(reference).collect();
        let batch: BTreeMap<_, _> = claims.into_iter().map(|claim| (claim.key.clone(), claim)).take(BATCH).collect();
        let claims: Vec<_> = batch.into_values().collect();
        if claims.is_empty() {
            return;
        }
        let outcomes = self.ledger.renew(&claims, self.clock.now_ms(), LEASE).await;
        self.written(false, claims, outcomes.ok());
    }

    async fn record(&mut self) {
        let Some(claim) = self.rng.choice(&self.held).map(reference) else { return };
        let recording = Recording { claim: claim.clone(), steps: Vec::new(), cursor: Some("a page".to_owned()) };
        let outcomes = self.ledger.record(&[recording], self.clock.now_ms(), LEASE).await;
        self.written(false, vec![claim], outcomes.ok());
    }

    async fn finish(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let index = self.rng.usize(0..self.held.len());
        // Now and then another task of the worker has not heard of the end, and goes on with the claim.
        let claim = if self.rng.u32(0..5) == 0 { self.held[index].clone() } else { self.held.swap_remove(index) };
        let now = self.clock.now_ms();
        let (status, retry_at) = match self.rng.u32(0..10) {
            0..=3 => (Status::Waiting, Some(now + self.rng.i64(0..120_000))),
            4 => (Status::Dead, None),
            5 => (Status::Expanded, None),
            _ => (Status::Mitigated, None),
        };
        let finish = Finish {
            claim: reference(&claim),
            status,
            attempts: claim.record.attempts + 1,
            retry_at,
            rule: None,
            detail: format!("by worker {} at {now}", self.number),
            steps: Vec::new(),
        };
        // Repeated after a failure, as a worker must; given up now and then, as a dying one does.
        for _ in 0..self.rng.u32(1..4) {
            let outcomes = self.ledger.finish(std::slice::from_ref(&finish), self.clock.now_ms()).await.ok();
            let answered = outcomes.as_ref().is_some_and(|outcomes| !matches!(outcomes[0], Err(WriteError::Call(_))));
            self.written(true, vec![finish.claim.clone()], outcomes);
            if answered {
                return;
            }
            tokio::time::sleep(Duration::from_millis(self.rng.u64(1..90_000))).await;
        }
    }

    fn written(&mut self, ends: bool, claims: Vec<ClaimRef>, outcomes: Option<Vec<Result<(), WriteError>>>) {
        let action = Action::Write { claims, ends };
        let mut checker = self.checker.lock().unwrap();
        checker.look(&action);
        let Action::Write { claims, .. } = action else { return };
        for (claim, outcome) in claims.iter().zip(outcomes.into_iter().flatten()) {
            checker.told(claim, &outcome);
            if outcome == Err(WriteError::LostClaim) {
                self.held.retain(|held| reference(held) != *claim);
            }
        }
    }
}

fn reference(claim: &Claim) -> ClaimRef {
    ClaimRef { key: claim.record.subject.key.clone(), epoch: claim.record.epoch }
}

fn subject(number: usize) -> Subject {
    Subject {
        key: format!("finding#{number}"),
        account: "123456789012".to_owned(),
        region: "eu-west-1".to_owned(),
        task_id: None,
        check: "DEVICE_CERTIFICATE_SHARED_CHECK".to_owned(),
        reason_code: "CERTIFICATE_SHARED_BY_MULTIPLE_DEVICES".to_owned(),
        severity: Severity::Critical,
        resource_type: "DEVICE_CERTIFICATE".to_owned(),
        resource_id: number.to_string(),
        fingerprint: number.to_string(),
        payload: "{}".to_owned(),
    }
}

/// One call in eight fails somehow.
fn unreliable(seed: u64) -> impl Fn(&'static str) -> Fate {
    let rng = Mutex::new(fastrand::Rng::with_seed(seed));
    move |_call| {
        let mut rng = rng.lock().unwrap();
        match rng.u32(0..32) {
            0 => Fate::Fail(Class::Transient),
            1 => Fate::FailEntry(rng.usize(0..3), Class::Throttled),
            2 | 3 => Fate::ReplyLost,
            _ => Fate::Proceed,
        }
    }
}

/// How a run went, in full: the records at its end and what happened on the way.
async fn simulate(seed: u64) -> (BTreeMap<String, Record>, usize, usize) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let origin: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    let clock = Clock::virtual_at(origin);
    let ledger = MemoryLedger::new();
    let checker = Checker { ledger: ledger.clone(), last: BTreeMap::new(), takeovers: 0, late_writes: 0 };
    let checker = Arc::new(Mutex::new(checker));
    let workers: Vec<_> = (0..WORKERS)
        .map(|number| {
            let worker = Worker {
                number,
                lives: 1,
                rng: rng.fork(),
                clock: clock.skewed(SignedDuration::from_millis(rng.i64(-2_000..2_000))),
                ledger: ledger.with_fates(Arc::new(unreliable(rng.u64(..)))),
                checker: Arc::clone(&checker),
                held: Vec::new(),
            };
            tokio::spawn(worker.live())
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let checker = checker.lock().unwrap();
    assert!(checker.all_terminal(), "every finding ends");
    (checker.last.clone(), checker.takeovers, checker.late_writes)
}

#[tokio::test(start_paused = true)]
async fn whatever_workers_do_old_epochs_write_nothing_and_every_finding_ends_once() {
    let (mut takeovers, mut late_writes) = (0, 0);
    for seed in 0..SEEDS {
        println!("seed {seed}");
        let (_, taken, late) = simulate(seed).await;
        takeovers += taken;
        late_writes += late;
    }
    // The runs must have met what they are about.
    assert!(takeovers > 500 && late_writes > 500, "{takeovers} takeovers, {late_writes} late writes");
}

#[tokio::test(start_paused = true)]
async fn a_seed_replays_exactly() {
    let first = simulate(42).await;
    assert_eq!(first, simulate(42).await);
    assert_ne!(first, simulate(43).await);
}
