//! One request after another: faults, throttling, the operation, the reply. And the work that outlives a request.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::call::Call;
use super::defender::Effect;
use super::error::IotError;
use super::faults::{FaultInjector, FaultKind, Faults};
use super::fleet::Fleet;
use super::mitigation_run::Next;
use super::quotas::{Quotas, Throttle};
use super::routes::{self, Route};
use crate::clock::Clock;

/// Sends a message to an SNS topic. `Ok` means that the topic has taken it.
#[async_trait]
pub trait TopicPublisher: Send + Sync {
    /// Publishes `message`; the error is a sentence.
    async fn publish(&self, topic_arn: &str, message: String) -> Result<(), String>;
}

/// The fault that has no reply: the listener closes the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropConnection;

/// How the service behaves.
#[derive(Clone, Debug)]
pub struct IotConfig {
    /// The account, 12 digits.
    pub account: String,
    /// The region, for ARNs and endpoints.
    pub region: String,
    /// Calls per second.
    pub quotas: Quotas,
    /// What goes wrong on purpose.
    pub faults: Faults,
    /// How long an audit is in progress. Its checks are performed one after another, evenly over this time.
    pub audit_duration: Duration,
    /// How long a mitigation task is in progress at least. Its actions are applied one after another, evenly over this time.
    pub mitigation_duration: Duration,
    /// Makes ids repeatable.
    pub seed: u64,
    /// Where the time comes from.
    pub clock: Clock,
}

impl Default for IotConfig {
    fn default() -> Self {
        Self {
            account: "123456789012".to_owned(),
            region: "us-east-1".to_owned(),
            quotas: Quotas::default(),
            faults: Faults::default(),
            audit_duration: Duration::from_millis(300),
            mitigation_duration: Duration::from_millis(300),
            seed: 7,
            clock: Clock::system(),
        }
    }
}

/// Calls of one operation, by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CallCount {
    /// The operation ran and succeeded (its reply may have been lost on purpose).
    pub ok: u64,
    /// `ThrottlingException`, from a quota or on purpose.
    pub throttled: u64,
    /// Any other error, or no reply.
    pub failed: u64,
}

/// AWS IoT and Device Defender over one [`Fleet`]. A cheap handle: clones share everything.
#[derive(Clone)]
pub struct IotService {
    shared: Arc<Shared>,
}

struct Shared {
    fleet: Mutex<Fleet>,
    gate: Mutex<Gate>,
    publisher: Arc<dyn TopicPublisher>,
    pace: Mutex<Pace>,
    clock: Clock,
}

/// How long the work that outlives a request takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// [`IotConfig::audit_duration`].
    pub audit: Duration,
    /// [`IotConfig::mitigation_duration`].
    pub mitigation: Duration,
}

/// A wait for a schedule is looked at anew so often: the wall clock may be set, or the machine sleep.
const LONGEST_NAP: Duration = Duration::from_secs(60);

/// The moment at which `part` of `whole` steps are done that take `duration` together.
fn pace(start: Instant, duration: Duration, part: usize, whole: usize) -> Instant {
    let nanos = duration.as_nanos() * part as u128 / whole.max(1) as u128;
    start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// What stands before every operation.
struct Gate {
    throttle: Throttle,
    faults: FaultInjector,
    calls: BTreeMap<String, CallCount>,
    /// Apart from the fleet's generator, so that ids of findings do not depend on how many requests came before.
    request_ids: fastrand::Rng,
}

/// A panic while a lock was held cannot leave these structures in a state that readers must not see.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl IotService {
    /// An account without devices. `publisher` carries published findings and audit summaries.
    pub fn new(config: IotConfig, publisher: Arc<dyn TopicPublisher>) -> Self {
        let mut throttle = Throttle::default();
        throttle.set(config.quotas);
        let gate = Gate {
            throttle,
            faults: FaultInjector::new(config.faults),
            calls: BTreeMap::new(),
            request_ids: fastrand::Rng::with_seed(config.seed),
        };
        let fleet = Fleet::new(&config.account, &config.region, config.seed, config.clock.now_ms());
        let shared = Shared {
            fleet: Mutex::new(fleet),
            gate: Mutex::new(gate),
            publisher,
            pace: Mutex::new(Pace { audit: config.audit_duration, mitigation: config.mitigation_duration }),
            clock: config.clock,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Answers one request: of the IoT API, or of `/_sandbox`. [`DropConnection`] when a fault wants no reply.
    pub async fn handle(&self, request: Request<Bytes>) -> Result<Response<Bytes>, DropConnection> {
        let (parts, body) = request.into_parts();
        let (method, path) = (parts.method.as_str(), parts.uri.path());
        if let Some(control) = path.strip_prefix("/_sandbox/") {
            return Ok(self.reply(self.control(method, control, &body)));
        }
        let Some((route, labels)) = routes::find(method, path) else {
            return Ok(self.reply(Err(IotError::unknown_operation(method, path))));
        };
        let fault = lock(&self.shared.gate).faults.roll(route.operation);
        if let Some(early) = self.fail_before(route.operation, fault).await {
            return early.map(|error| self.reply(Err(error)));
        }
        if !lock(&self.shared.gate).throttle.admit(route.operation, Instant::now()) {
            self.count(route.operation, |calls| calls.throttled += 1);
            return Ok(self.reply(Err(IotError::throttled())));
        }
        let principal = parts.headers.get("x-amzn-principal").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let query = routes::parse_query(parts.uri.query().unwrap_or_default());
        let result = parse_body(&body).and_then(|body| self.run(route, &Call { labels, query, principal, body }));
        self.count(route.operation, |calls| match &result {
            Ok(_) => calls.ok += 1,
            Err(_) => calls.failed += 1,
        });
        if fault == Some(FaultKind::LostReply) {
            return Err(DropConnection);
        }
        Ok(self.reply(result))
    }

    /// What a fault answers instead of running the operation.
    async fn fail_before(
        &self,
        operation: &'static str,
        fault: Option<FaultKind>,
    ) -> Option<Result<IotError, DropConnection>> {
        let early = match fault? {
            FaultKind::LostReply => return None,
            FaultKind::InternalFailure => Ok(IotError::internal()),
            FaultKind::Unavailable => Ok(IotError::unavailable()),
            FaultKind::Throttled => Ok(IotError::throttled()),
            FaultKind::Denied => Ok(IotError::denied(operation)),
            FaultKind::Dropped => Err(DropConnection),
            FaultKind::Hang { ms } => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                Err(DropConnection)
            }
        };
        let throttled = fault == Some(FaultKind::Throttled);
        self.count(operation, |calls| *(if throttled { &mut calls.throttled } else { &mut calls.failed }) += 1);
        Some(early)
    }

    fn run(&self, route: &Route, call: &Call) -> Result<Value, IotError> {
        self.with_fleet(|fleet| (route.run)(fleet, call))
    }

    /// Looks at or changes the fleet directly, past throttling and faults: for seeding, tests and the in-memory twin.
    /// `f` runs under the fleet's lock and must not call this service. Audits and mitigation tasks that it starts run if there is a tokio runtime, else with the next call.
    pub fn with_fleet<T>(&self, f: impl FnOnce(&mut Fleet) -> T) -> T {
        let mut fleet = lock(&self.shared.fleet);
        fleet.set_now_ms(self.shared.clock.now_ms());
        let result = f(&mut fleet);
        if let (false, Ok(runtime)) = (fleet.defender.effects.is_empty(), tokio::runtime::Handle::try_current()) {
            for effect in std::mem::take(&mut fleet.defender.effects) {
                runtime.spawn(self.clone().perform(effect));
            }
        }
        result
    }

    /// New limits from now on; every operation starts with a second's worth of calls.
    pub fn set_quotas(&self, quotas: Quotas) {
        lock(&self.shared.gate).throttle.set(quotas);
    }

    /// The limits in force.
    pub fn quotas(&self) -> Quotas {
        lock(&self.shared.gate).throttle.quotas().clone()
    }

    /// How long audits and mitigation tasks take that start from now on.
    pub fn set_pace(&self, pace: Pace) {
        *lock(&self.shared.pace) = pace;
    }

    /// How long audits and mitigation tasks take.
    pub fn pace(&self) -> Pace {
        *lock(&self.shared.pace)
    }

    /// New faults from now on.
    pub fn set_faults(&self, faults: Faults) {
        lock(&self.shared.gate).faults = FaultInjector::new(faults);
    }

    /// Calls so far, by operation.
    pub fn calls(&self) -> BTreeMap<String, CallCount> {
        lock(&self.shared.gate).calls.clone()
    }

    /// [`Fleet::plant_finding`], on this service's fleet.
    pub fn plant_finding(&self, finding: &Value) -> Result<(), IotError> {
        self.with_fleet(|fleet| fleet.plant_finding(finding))
    }

    fn count(&self, operation: &str, add: impl FnOnce(&mut CallCount)) {
        let mut gate = lock(&self.shared.gate);
        if let Some(count) = gate.calls.get_mut(operation) {
            return add(count);
        }
        add(gate.calls.entry(operation.to_owned()).or_default());
    }

    fn reply(&self, result: Result<Value, IotError>) -> Response<Bytes> {
        let (status, body, code) = match result {
            Ok(body) => (200, body, None),
            Err(error) => (error.status, serde_json::json!({ "message": error.message }), Some(error.code)),
        };
        let bits = lock(&self.shared.gate).request_ids.u128(..);
        let request_id = uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().to_string();
        let mut response = Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .header("x-amzn-requestid", request_id);
        if let Some(code) = code {
            response = response.header("x-amzn-errortype", code);
        }
        // Every header above is ASCII, so the builder cannot fail; an empty reply stands in all the same.
        response.body(Bytes::from(body.to_string())).unwrap_or_default()
    }

    async fn perform(self, effect: Effect) {
        match effect {
            Effect::RunAudit(task_id) => self.run_audit(&task_id).await,
            Effect::RunMitigationTask(task_id) => self.run_mitigation_task(&task_id).await,
            Effect::AwaitSchedule { name, revision } => {
                // Waiting for days must not keep a service alive that nobody uses any more.
                let shared = Arc::downgrade(&self.shared);
                drop(self);
                await_schedule(shared, &name, revision).await;
            }
        }
    }

    async fn run_audit(&self, task_id: &str) {
        let (start, duration) = (Instant::now(), self.pace().audit);
        let checks = self.with_fleet(|fleet| fleet.audit(task_id).map_or(0, |audit| audit.checks.len()));
        for done in 1..=checks {
            if !self.with_fleet(|fleet| fleet.begin_check(task_id)) {
                break;
            }
            tokio::time::sleep_until(pace(start, duration, done, checks)).await;
            self.with_fleet(|fleet| fleet.end_check(task_id));
        }
        if let Some((topic_arn, summary)) = self.with_fleet(|fleet| fleet.finish_audit(task_id)) {
            // As in AWS, an audit whose summary cannot be published is still complete.
            if let Err(error) = self.shared.publisher.publish(&topic_arn, summary).await {
                tracing::warn!(%topic_arn, %task_id, error, "failed to publish the summary of an audit");
            }
        }
    }

    async fn run_mitigation_task(&self, task_id: &str) {
        let (start, duration) = (Instant::now(), self.pace().mitigation);
        let plan = self.with_fleet(|fleet| fleet.mitigation_plan(task_id));
        for (done, place) in plan.iter().enumerate() {
            match self.with_fleet(|fleet| fleet.begin_execution(task_id, *place)) {
                None => return,
                Some(false) => continue,
                Some(true) => {}
            }
            tokio::time::sleep_until(pace(start, duration, done + 1, plan.len())).await;
            match self.with_fleet(|fleet| fleet.execute(task_id, *place)) {
                Next::Stop => return,
                Next::Done => {}
                Next::Publish { topic_arn, message } => {
                    let result = self.shared.publisher.publish(&topic_arn, message).await.map_err(IotError::invalid);
                    self.with_fleet(|fleet| fleet.end_execution(task_id, *place, result));
                }
            }
            // Thousands of findings must not keep requests waiting.
            tokio::task::yield_now().await;
        }
        self.with_fleet(|fleet| fleet.finish_mitigation_task(task_id));
    }
}

/// Starts the audits of a schedule at their times, as long as it stays as it is and the service is there.
async fn await_schedule(shared: Weak<Shared>, name: &str, revision: u64) {
    loop {
        let Some(service) = shared.upgrade().map(|shared| IotService { shared }) else {
            return;
        };
        let Some(due_ms) = service.with_fleet(|fleet| fleet.schedule_due(name, revision)) else {
            return;
        };
        let left_ms = due_ms.saturating_sub(service.shared.clock.now_ms());
        let Ok(left_ms) = u64::try_from(left_ms) else {
            service.with_fleet(|fleet| fleet.start_due_audit(name, revision));
            continue;
        };
        drop(service);
        tokio::time::sleep(Duration::from_millis(left_ms.max(1)).min(LONGEST_NAP)).await;
    }
}

fn parse_body(body: &Bytes) -> Result<Map<String, Value>, IotError> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(IotError::invalid("the request body must be a JSON object")),
        Err(error) => Err(IotError::invalid(format!("the request body is not JSON: {error}"))),
    }
}
