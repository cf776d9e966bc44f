//! What a worker calls for so many findings: a line for each kind of request, with what is billed for it.
//!
//! The lines follow `src/worker/` and `src/ledger/dynamodb/`. A message is received and deleted in a batch; its finding is claimed by one
//! `INSERT`, which DynamoDB bills for a duplicate too, although it is refused; work that cannot be told afterwards is announced by one
//! `UPDATE`, and another ends it. Where the truth hangs on the moment, the line is the upper bound: each duplicate is taken to ask
//! the ledger, although one that comes while its finding is in hand asks nobody.
//!
//! No kind of request is larger than what is billed as one: ten notifications of 1.5 KB fit in SQS's 64 KB. The index `attention` is
//! sparse: a finding that came to its end is not in it, and costs it nothing.

use super::actions::{Takes, charge, takes};
use super::measured;
use super::price::Charge;
use super::workload::{Arrival, Workload};
use crate::budget::{BudgetConfig, Operation};
use crate::finding::{ActionType, Origin};
use crate::ledger::transition::RETENTION;
use crate::worker::{ANNOUNCE_EVERY, WorkerConfig};
use crate::{ledger, mitigation, queue};
use std::collections::BTreeMap;

/// What one write unit of DynamoDB's writes, bytes.
const WRITE_UNIT: f64 = 1024.0;

/// What DynamoDB's storage holds for an item besides its names and values, bytes (developer guide, "DynamoDB item sizes and formats").
const ITEM_OVERHEAD: f64 = 100.0;

const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

const HOUR: f64 = 3600.0;

/// A twelfth of a year of 365 days, as AWS's calculators have it.
const MONTH: f64 = 730.0 * HOUR;

/// Write units of a worker's heartbeat: one of the table, two of the index, whose sort key moves (`ledger/dynamodb/presence.rs`).
const HEARTBEAT_UNITS: f64 = 3.0;

/// A small task of `infra/service.yaml`.
const TASK_VCPU: f64 = 0.25;
const TASK_GB: f64 = 0.5;

/// Whose, or what for, a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// AWS's own, which brings findings to the queue.
    Feed,
    /// A worker's, for each finding and each duplicate.
    Work,
    /// A worker's, for what is done about a finding.
    Action,
    /// By the hour, or for as long as a record is kept.
    Time,
}

impl Part {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Feed => "feed",
            Self::Work => "work",
            Self::Action => "action",
            Self::Time => "time",
        }
    }
}

/// A kind of request and what is billed for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Whose it is.
    pub part: Part,
    /// `SQS`, `DynamoDB`, ...
    pub service: &'static str,
    /// AWS's name of the call; empty for what is billed without one.
    pub call: &'static str,
    /// What it is for, in 19 characters at most: a table of 80 columns has no more room.
    pub why: String,
    /// Requests, an average: not whole.
    pub requests: f64,
    /// What is billed.
    pub charge: Charge,
    /// How much of it, in single units: requests, write units, GB-months, hours.
    pub units: f64,
}

/// What keeps the work from being done sooner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The budget of an API operation: AWS's default quota less the reserve.
    Quota(Operation),
    /// The CPU of a small task.
    Cpu,
}

/// The requests of a workload.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// In the order of the way: topic, queue, ledger, AWS IoT, the worker itself.
    pub lines: Vec<Line>,
    /// How long the work takes, seconds: at least so long where a quota limits it, some so long where the CPU does.
    pub seconds: f64,
    /// CPU time of all of it, seconds of a whole virtual CPU: about so much, as with one action each. Recording only takes less.
    pub cpu_seconds: f64,
    /// What it takes so long for.
    pub limit: Limit,
    /// Hours that workers run.
    pub worker_hours: f64,
    /// Those of them that there is nothing to do.
    pub idle_hours: f64,
}

/// Estimates. `workload` has no [`Workload::problems`].
pub fn estimate(workload: &Workload) -> Estimate {
    let (seconds, limit) = least_time(workload);
    let busy = seconds / HOUR;
    let worker_hours = workload.worker_hours.max(busy);
    let idle_hours = worker_hours - busy;
    let mut lines = Lines::default();
    lines.arrive(workload);
    lines.receive(workload);
    lines.record(workload);
    lines.act(workload);
    lines.reserve(paced(&workload.actions).len(), seconds);
    lines.run(worker_hours, idle_hours);
    lines.keep(workload);
    Estimate { lines: lines.0, seconds, cpu_seconds: cpu_time(workload), limit, worker_hours, idle_hours }
}

/// What is billed, and how much of it.
type Billed = (Charge, f64);

#[derive(Default)]
struct Lines(Vec<Line>);

impl Lines {
    /// So many requests of a call, named `Service.Call`, or of none, for which so much is billed.
    fn add(&mut self, part: Part, name: &'static str, why: impl Into<String>, requests: f64, billed: Billed) {
        let (service, call) = name.split_once('.').unwrap_or((name, ""));
        let (charge, units) = billed;
        if units > 0.0 {
            self.0.push(Line { part, service, call, why: why.into(), requests, charge, units });
        }
    }

    /// Requests that are billed one by one.
    fn each(&mut self, part: Part, name: &'static str, why: impl Into<String>, requests: f64, charge: Charge) {
        self.add(part, name, why, requests, (charge, requests));
    }

    fn arrive(&mut self, workload: &Workload) {
        let messages = workload.messages();
        match workload.arrival {
            Arrival::Sns => {
                self.each(Part::Feed, "SNS.Publish", "by Device Defender", messages, Charge::SnsPublish);
                // Whether these are billed is UNCONFIRMED: an upper bound.
                self.each(Part::Feed, "SQS.SendMessage", "by SNS to the queue", messages, Charge::SqsRequest);
            }
            Arrival::Summary => {
                let (why, sends) = ("summary's findings", messages / queue::BATCH as f64);
                self.each(Part::Work, "SQS.SendMessageBatch", why, sends, Charge::SqsRequest);
                let pages = messages / f64::from(mitigation::PAGE);
                let where_it_is = "summary's progress";
                self.each(Part::Work, "DynamoDB.BatchExecuteStatement", where_it_is, pages, Charge::DynamodbWrite);
                self.each(Part::Work, "IoT.ListAuditFindings", why, pages, Charge::IotCall);
            }
        }
    }

    fn receive(&mut self, workload: &Workload) {
        let batches = workload.messages() / workload.batch_fill;
        self.each(Part::Work, "SQS.ReceiveMessage", "messages", batches, Charge::SqsRequest);
        self.each(Part::Work, "SQS.DeleteMessageBatch", "messages", batches, Charge::SqsRequest);
    }

    fn record(&mut self, workload: &Workload) {
        let (findings, duplicates) = (workload.findings, workload.duplicate_messages());
        let claims = statements(workload, measured::CLAIMS_TO_A_RECEIVE);
        let updates = statements(workload, measured::UPDATES_TO_A_RECEIVE);
        let (begun, ended) = (record_bytes(0), record_bytes(workload.actions.len()));
        let announced = findings * count(workload, |takes| takes.announced);
        let mut write = |part, why: &str, records: f64, statements: f64, bytes: f64| {
            let billed = (Charge::DynamodbWrite, records * write_units(bytes));
            self.add(part, "DynamoDB.BatchExecuteStatement", why, records / statements, billed);
        };
        write(Part::Work, "claims: INSERT", findings, claims, begun);
        // Billed by the record that is there (developer guide, "Working with items").
        write(Part::Work, "duplicates, refused", duplicates, claims, ended);
        write(Part::Work, "ends: UPDATE", findings, updates, ended);
        write(Part::Action, "intents: UPDATE", announced, updates, ended);
        if count(workload, |takes| takes.locked) > 0.0 {
            let (why, writes) = ("locks and releases", 2.0 * findings);
            self.each(Part::Action, "DynamoDB.UpdateItem", why, writes, Charge::DynamodbWrite);
        }
    }

    fn act(&mut self, workload: &Workload) {
        if !workload.actions.is_empty() {
            let pages = workload.findings / f64::from(mitigation::PAGE);
            self.each(Part::Work, "IoT.ListAuditFindings", "are they genuine", pages, Charge::IotCall);
        }
        for (operation, times) in paced(&workload.actions) {
            let (requests, charge) = (workload.findings * times, charge(operation));
            let (part, service, call) = (Part::Action, "IoT", operation.as_str());
            let why = "the action's own".to_owned();
            if requests > 0.0 {
                self.0.push(Line { part, service, call, why, requests, charge, units: requests });
            }
        }
        let published = workload.findings * count(workload, |takes| takes.published);
        self.each(Part::Action, "SNS.Publish", "the action's own", published, Charge::SnsPublish);
    }

    /// Each worker reserves slots for what it calls, for as long as it calls: it reads the timeline, then moves it on.
    fn reserve(&mut self, operations: usize, seconds: f64) {
        let n = operations as f64 * seconds * measured::RESERVATIONS_A_SECOND;
        self.each(Part::Time, "DynamoDB.GetItem", "shared budget, read", n, Charge::DynamodbRead);
        self.each(Part::Time, "DynamoDB.UpdateItem", "shared budget slots", n, Charge::DynamodbWrite);
    }

    fn run(&mut self, hours: f64, idle: f64) {
        let config = WorkerConfig::new("", Origin::default());
        let polls = idle * HOUR / config.poll_wait.as_secs_f64() * config.pollers as f64;
        self.each(Part::Time, "SQS.ReceiveMessage", "idle long polls", polls, Charge::SqsRequest);
        let heartbeats = hours * HOUR / ANNOUNCE_EVERY.as_secs_f64();
        let billed = (Charge::DynamodbWrite, heartbeats * HEARTBEAT_UNITS);
        self.add(Part::Time, "DynamoDB.UpdateItem", "workers' heartbeats", heartbeats, billed);
        let vcpu = (Charge::FargateVcpu, hours * TASK_VCPU);
        self.add(Part::Time, "Fargate", format!("Arm task, {TASK_VCPU} vCPU"), 0.0, vcpu);
        let memory = (Charge::FargateMemory, hours * TASK_GB);
        self.add(Part::Time, "Fargate", format!("Arm task, {TASK_GB} GB"), 0.0, memory);
    }

    fn keep(&mut self, workload: &Workload) {
        let bytes = record_bytes(workload.actions.len()) + ITEM_OVERHEAD;
        let gb_months = workload.findings * bytes / GIB * (RETENTION.as_secs_f64() / MONTH);
        let why = format!("records, {} days", RETENTION.as_secs() / 86_400);
        self.add(Part::Time, "DynamoDB", why, 0.0, (Charge::DynamodbStorage, gb_months));
        self.add(Part::Time, "DynamoDB", "continuous backup", 0.0, (Charge::DynamodbBackup, gb_months));
    }
}

/// Statements of a request that gathers for a few milliseconds what the receives bring, so many times one receive's messages.
fn statements(workload: &Workload, to_a_receive: f64) -> f64 {
    (workload.batch_fill * to_a_receive).min(ledger::BATCH as f64)
}

/// The size of a finding's record after so many actions.
fn record_bytes(actions: usize) -> f64 {
    measured::RECORD_BYTES + actions as f64 * measured::STEP_BYTES
}

fn write_units(bytes: f64) -> f64 {
    (bytes / WRITE_UNIT).ceil()
}

/// The actions that take this.
fn count(workload: &Workload, this: impl Fn(Takes) -> bool) -> f64 {
    workload.actions.iter().filter(|action| this(takes(**action))).count() as f64
}

/// Calls of the actions on one finding, by operation.
fn paced(actions: &[ActionType]) -> BTreeMap<Operation, f64> {
    let mut calls = BTreeMap::new();
    for operation in actions.iter().flat_map(|action| takes(*action).calls) {
        *calls.entry(*operation).or_insert(0.0) += 1.0;
    }
    calls
}

/// CPU time of the work, seconds: as with one action each. That is an upper bound where findings are recorded only, and with more actions it
/// is the quotas that bound the work.
fn cpu_time(workload: &Workload) -> f64 {
    workload.findings * measured::CPU_OF_A_FINDING + workload.duplicate_messages() * measured::CPU_OF_A_DUPLICATE
}

/// How long the work takes at AWS's default quotas, less the reserve, on one small task; and what for.
fn least_time(workload: &Workload) -> (f64, Limit) {
    let budgets = BudgetConfig::default();
    let quotas = paced(&workload.actions)
        .into_iter()
        .map(|(operation, times)| (workload.findings * times / budgets.rate(operation), Limit::Quota(operation)));
    let all = quotas.chain([(cpu_time(workload) / TASK_VCPU, Limit::Cpu)]);
    // Of equal ones the first.
    all.fold((0.0, Limit::Cpu), |most, one| if one.0 > most.0 { one } else { most })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn million() -> Workload {
        Workload::default()
    }

    fn of(estimate: &Estimate, why: &str) -> (f64, f64) {
        let found: Vec<_> = estimate.lines.iter().filter(|line| line.why == why).collect();
        assert_eq!(found.len(), 1, "{why}");
        (found[0].requests, found[0].units)
    }

    #[test]
    fn a_duplicate_costs_its_share_of_a_receive_and_a_delete_and_one_refused_write() {
        let with = estimate(&Workload { duplicates: 0.5, ..million() });
        let (requests, units) = of(&with, "duplicates, refused");
        assert_eq!((requests, units), (1e6 / 16.0, 2e6), "two units each, for the record that is there has 1.5 kB");
        let receives = |estimate: &Estimate| {
            let receives = estimate.lines.iter().filter(|line| line.call == "ReceiveMessage");
            receives.map(|line| line.requests).sum::<f64>()
        };
        assert_eq!(receives(&with), 2.0 * receives(&estimate(&million())));
        assert_eq!(of(&with, "claims: INSERT"), of(&estimate(&million()), "claims: INSERT"));
    }

    #[test]
    fn a_request_to_the_ledger_holds_25_statements_at_most() {
        let full = estimate(&Workload { batch_fill: 10.0, ..million() });
        assert_eq!((of(&full, "claims: INSERT").0, of(&full, "ends: UPDATE").0), (1e6 / 20.0, 1e6 / 12.0));
        assert_eq!(statements(&Workload { batch_fill: 10.0, ..million() }, 3.0), 25.0);
    }

    #[test]
    fn a_record_of_more_than_two_kilobytes_takes_three_units_to_end() {
        let actions = vec![ActionType::AddThingsToThingGroup, ActionType::UpdateDeviceCertificate];
        let two = estimate(&Workload { actions: actions.clone(), ..million() });
        assert_eq!(of(&two, "ends: UPDATE").1, 2e6);
        let actions = [actions, vec![ActionType::PublishFindingToSns]].concat();
        let three = estimate(&Workload { actions, ..million() });
        assert_eq!((of(&three, "claims: INSERT").1, of(&three, "ends: UPDATE").1), (2e6, 3e6));
        assert_eq!(of(&three, "intents: UPDATE").1, 6e6, "both but the certificate's");
    }

    #[test]
    fn the_time_is_that_of_the_smallest_budget_and_the_task_runs_for_so_long() {
        let deactivated = estimate(&million());
        // 8 a second of 10.
        assert_eq!(deactivated.seconds, 125_000.0);
        assert!(matches!(
            deactivated.limit,
            Limit::Quota(Operation::UpdateCertificate | Operation::DescribeCertificate)
        ));
        assert!((of(&deactivated, "Arm task, 0.25 vCPU").1 - 125_000.0 / 3600.0 / 4.0).abs() < 1e-9);
        let recorded = estimate(&Workload { actions: Vec::new(), ..million() });
        let a_quarter_of_a_cpu = 4e6 * measured::CPU_OF_A_FINDING;
        assert_eq!((recorded.seconds, recorded.limit), (a_quarter_of_a_cpu, Limit::Cpu));
        assert!(recorded.lines.iter().all(|line| line.service != "IoT" && line.why != "shared budget slots"));
    }

    #[test]
    fn a_worker_that_stands_by_polls_and_sends_heartbeats() {
        let standing = estimate(&Workload { worker_hours: 730.0, findings: 1.0, ..million() });
        let (polls, _) = of(&standing, "idle long polls");
        assert!((polls - 4.0 * 3.0 * 60.0 * 730.0).abs() < 1.0, "4 pollers, 3 polls a minute, not {polls}");
        let (notes, units) = of(&standing, "workers' heartbeats");
        assert_eq!((notes.round(), units.round()), (131_400.0, 394_200.0));
        let working = estimate(&million());
        assert!(working.lines.iter().all(|line| line.why != "idle long polls"));
    }

    #[test]
    fn a_summarys_findings_are_sent_by_the_worker_and_published_by_nobody() {
        let by_summary = estimate(&Workload { arrival: Arrival::Summary, ..million() });
        assert!(by_summary.lines.iter().all(|line| line.service != "SNS" && line.part != Part::Feed));
        let sends = by_summary.lines.iter().find(|line| line.call == "SendMessageBatch").unwrap();
        assert_eq!(sends.requests, 1e5);
    }
}
