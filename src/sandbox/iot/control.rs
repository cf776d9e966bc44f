//! `/_sandbox`: what tests and demonstrations may turn, and what they may look at.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::defender::TaskStatus;
use super::error::IotError;
use super::faults::Faults;
use super::fleet::Fleet;
use super::quotas::Quotas;
use super::routes;
use super::seed;
use super::service::IotService;

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

impl IotService {
    /// `GET state`; `POST faults`, `quotas`, `seed` and `findings`.
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
    let tasks = fleet.defender.mitigation_tasks.values();
    json!({
        "calls": calls,
        "fleet": {
            "things": fleet.things.len(),
            "certificates": count(fleet.certificates.values().map(|certificate| certificate.status.as_str())),
            "caCertificates": count(fleet.ca_certificates.values().map(|ca| if ca.active { "ACTIVE" } else { "INACTIVE" })),
            "policies": { "blankDefault": blank, "otherDefault": fleet.policies.len() - blank },
            "thingsInQuarantine": quarantined.len(),
            "loggingEnabled": fleet.logging.as_ref().is_some_and(super::fleet::LoggingOptions::enabled),
        },
        "audits": audits.collect::<Vec<_>>(),
        "mitigationTasksInProgress": tasks.filter(|task| task.status == TaskStatus::InProgress).count(),
    })
}
