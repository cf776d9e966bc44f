//! `/_sandbox`: what tests and demonstrations may turn, and what they may look at.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::audits::{CheckFailure, require_check};
use super::defects::Defect;
use super::defender::TaskStatus;
use super::error::IotError;
use super::faults::Faults;
use super::fleet::Fleet;
use super::quotas::Quotas;
use super::routes;
use super::seed;
use super::service::{IotService, Pace};

/// Audits that the state shows.
const AUDITS_SHOWN: usize = 10;

/// Things of one seeding; a hundred times a large fleet, and still in memory.
const MAX_SEEDED: usize = 1_000_000;

/// Body of `POST /_sandbox/seed`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Seed {
    /// Things with defects.
    things: usize,
    /// Makes the fleet repeatable.
    seed: u64,
    /// The workshop's small fleet instead.
    workshop: bool,
}

impl Default for Seed {
    fn default() -> Self {
        Self { things: 2000, seed: 7, workshop: false }
    }
}

/// Defects of one request.
const MAX_DEFECTS: usize = 10_000;

/// Body of `POST /_sandbox/defects`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Defects {
    /// The check that shall fail.
    check: String,
    /// With this reason code; the check's first one without it.
    #[serde(default)]
    reason: Option<String>,
    /// For this resource, by its name or id; a new one is made without it.
    #[serde(default)]
    resource: Option<String>,
    /// Devices of a shared certificate, or of a revoked intermediate CA.
    #[serde(default)]
    devices: Option<usize>,
    /// So many new resources; the reply is then a list.
    #[serde(default)]
    count: Option<usize>,
}

/// Body of `POST /_sandbox/check-failures`: which checks cannot be performed, and why. It replaces what was set before.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckFailures {
    checks: BTreeMap<String, CheckFailure>,
}

/// Body of `POST /_sandbox/run-schedule`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RunSchedule {
    name: String,
}

/// Body of `POST /_sandbox/pace`: how long audits and mitigation tasks take that start from now on. What is not given stays.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPace {
    #[serde(default)]
    audit_ms: Option<u32>,
    #[serde(default)]
    mitigation_ms: Option<u32>,
}

impl IotService {
    /// `GET state`; `POST faults`, `quotas`, `pace`, `seed`, `defects`, `check-failures`, `findings` and `run-schedule`.
    pub(super) fn control(&self, method: &str, path: &str, body: &Bytes) -> Result<Value, IotError> {
        match (method, path) {
            ("GET", "state") => {
                let calls = json!(self.calls());
                Ok(self.with_fleet(|fleet| state(fleet, calls)))
            }
            ("POST", "faults") => {
                let faults: Faults = read("faults", body)?;
                let known = |name: &str| name == "*" || routes::is_operation(name);
                if let Some(rule) = faults.rules.iter().find(|rule| !known(&rule.operation)) {
                    return Err(IotError::invalid(format!("{} is not an operation of the sandbox", rule.operation)));
                }
                if let Some(rule) = faults.rules.iter().find(|rule| !(0.0..=1.0).contains(&rule.rate)) {
                    return Err(IotError::invalid(format!("a rate must be between 0 and 1, not {}", rule.rate)));
                }
                self.set_faults(faults);
                Ok(json!({}))
            }
            ("POST", "quotas") => {
                let quotas: Quotas = read("quotas", body)?;
                if !(quotas.scale > 0.0 && quotas.rates.values().all(|rate| *rate > 0.0)) {
                    return Err(IotError::invalid("scale and rates must be above 0"));
                }
                self.set_quotas(quotas);
                Ok(json!({}))
            }
            ("POST", "pace") => {
                let wanted: NewPace = read("pace", body)?;
                let (before, ms) = (self.pace(), |ms: u32| Duration::from_millis(ms.into()));
                let audit = wanted.audit_ms.map_or(before.audit, ms);
                let mitigation = wanted.mitigation_ms.map_or(before.mitigation, ms);
                self.set_pace(Pace { audit, mitigation });
                Ok(json!({ "audit_ms": audit.as_millis(), "mitigation_ms": mitigation.as_millis() }))
            }
            ("POST", "defects") => {
                let wanted: Defects = read("defects", body)?;
                self.with_fleet(|fleet| plant(fleet, wanted))
            }
            ("POST", "check-failures") => {
                let failures: CheckFailures = read("check-failures", body)?;
                failures.checks.keys().try_for_each(|check| require_check(check).map(|_| ()))?;
                self.with_fleet(|fleet| fleet.defender.failing_checks = failures.checks);
                Ok(json!({}))
            }
            ("POST", "run-schedule") => {
                let wanted: RunSchedule = read("run-schedule", body)?;
                let task_id = self.with_fleet(|fleet| fleet.run_scheduled_audit(&wanted.name))?;
                Ok(json!({ "taskId": task_id }))
            }
            ("POST", "seed") => {
                let wanted: Seed = read("seed", body)?;
                if wanted.things > MAX_SEEDED {
                    return Err(IotError::invalid(format!("things must be {MAX_SEEDED} at most")));
                }
                Ok(self.with_fleet(|fleet| {
                    if wanted.workshop {
                        seed::workshop(fleet);
                        return json!({ "workshop": true });
                    }
                    json!(seed::defective_fleet(fleet, wanted.things, wanted.seed))
                }))
            }
            ("POST", "findings") => {
                self.plant_finding(&read("findings", body)?)?;
                Ok(json!({}))
            }
            _ => Err(IotError::unknown_operation(method, &format!("/_sandbox/{path}"))),
        }
    }
}

fn plant(fleet: &mut Fleet, wanted: Defects) -> Result<Value, IotError> {
    let Defects { check, reason, resource, devices, count } = wanted;
    if count.is_some() && resource.is_some() {
        return Err(IotError::invalid("give resource or count: one resource has a defect once"));
    }
    let defect = Defect { check, reason, resource, devices };
    let Some(count) = count else {
        return Ok(fleet.plant_defect(&defect)?.to_json());
    };
    if !(1..=MAX_DEFECTS).contains(&count) {
        return Err(IotError::invalid(format!("count must be 1 to {MAX_DEFECTS}")));
    }
    if defect.check == "LOGGING_DISABLED_CHECK" && count > 1 {
        return Err(IotError::invalid("an account has one logging setting: count can only be 1"));
    }
    let planted = (0..count).map(|_| fleet.plant_defect(&defect).map(|planted| planted.to_json()));
    Ok(json!({ "defects": planted.collect::<Result<Vec<_>, _>>()? }))
}

fn read<T: DeserializeOwned>(what: &str, body: &Bytes) -> Result<T, IotError> {
    let body: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body)
        .map_err(|error| IotError::invalid(format!("the body of /_sandbox/{what} cannot be read: {error}")))
}

fn count<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_insert(0) += 1;
    }
    counts
}

fn state(fleet: &Fleet, calls: Value) -> Value {
    let blank = fleet.policies.values().filter(|policy| policy.is_blank()).count();
    let quarantined: std::collections::BTreeSet<&String> = fleet
        .thing_groups
        .iter()
        .filter(|(name, _)| name.contains(seed::QUARANTINE))
        .flat_map(|(_, group)| &group.things)
        .collect();
    let audits = fleet.defender.latest_audits().take(AUDITS_SHOWN).map(|(id, audit)| {
        json!({
            "taskId": id,
            "taskStatus": audit.status.as_str(),
            "findings": count(audit.findings.iter().map(|finding| finding.check_name.as_str())),
            "findingsTotal": audit.findings.len(),
        })
    });
    let schedules = fleet
        .defender
        .schedules
        .iter()
        .map(|(name, schedule)| json!({ "name": name, "nextMs": schedule.next_ms, "lastMs": schedule.last_ms }));
    let schedules: Vec<Value> = schedules.collect();
    let tasks = fleet.defender.mitigation_tasks.values();
    json!({
        "calls": calls,
        "fleet": {
            "things": fleet.things.len(),
            "certificates": count(fleet.certificates.values().map(|certificate| certificate.status.as_str())),
            "caCertificates": count(fleet.ca_certificates.values().map(|ca| if ca.active { "ACTIVE" } else { "INACTIVE" })),
            "policies": { "blankDefault": blank, "otherDefault": fleet.policies.len() - blank },
            "thingsInQuarantine": quarantined.len(),
            "loggingEnabled": fleet.logs(),
        },
        "audits": audits.collect::<Vec<_>>(),
        "scheduledAudits": schedules,
        "mitigationTasksInProgress": tasks.filter(|task| task.status == TaskStatus::InProgress).count(),
    })
}
