//! The account behind [`super::MemoryIot`]: what AWS IoT keeps, and the rules by which it refuses. Pure.

use super::port::{CertificateStatus, LoggingOptions, Page, PolicyState, PolicyVersion};
use crate::aws::{Call, CallError};
use crate::finding::{Finding, Resource};
use std::collections::{BTreeMap, BTreeSet};

/// Versions that a policy may have (AWS IoT Core resource limits).
const MAX_VERSIONS: usize = 5;

const NOT_FOUND: &str = "ResourceNotFoundException";

#[derive(Debug, Default)]
pub(super) struct Account {
    pub certificates: BTreeMap<String, String>,
    pub ca_certificates: BTreeMap<String, String>,
    pub policies: BTreeMap<String, Policy>,
    /// The groups of each thing.
    pub things: BTreeMap<String, BTreeSet<String>>,
    pub groups: BTreeSet<String>,
    /// The things of each certificate.
    pub principals: BTreeMap<String, BTreeSet<String>>,
    pub logging: Option<LoggingOptions>,
    pub findings: BTreeMap<String, Finding>,
    /// The ids of the findings of each audit and check.
    pub listed: BTreeMap<(String, String), BTreeSet<String>>,
    pub related: BTreeMap<String, Vec<Resource>>,
    /// What was published to each topic, in order.
    pub topics: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Default)]
pub(super) struct Policy {
    pub versions: BTreeMap<u64, String>,
    pub default: u64,
    /// Version ids are never used again.
    pub newest: u64,
}

impl Policy {
    pub fn add(&mut self, document: &str) -> u64 {
        self.newest += 1;
        self.versions.insert(self.newest, document.to_owned());
        self.default = self.newest;
        self.newest
    }
}

/// Certificates of one kind, by id.
pub(super) fn status(
    call: Call,
    certificates: &BTreeMap<String, String>,
    id: &str,
) -> Result<CertificateStatus, CallError> {
    let status =
        certificates.get(id).ok_or_else(|| call.gone(NOT_FOUND, format!("certificate {id} does not exist")))?;
    Ok(CertificateStatus { status: status.clone(), modified_at: None })
}

/// Only ACTIVE and INACTIVE change into each other; REVOKED is for ever, and a pending transfer is refused.
pub(super) fn deactivate(call: Call, certificates: &mut BTreeMap<String, String>, id: &str) -> Result<(), CallError> {
    let CertificateStatus { status, .. } = status(call, certificates, id)?;
    if !matches!(status.as_str(), "ACTIVE" | "INACTIVE") {
        let message = format!("certificate {id} is {status} and cannot become INACTIVE");
        return Err(call.refuse("CertificateStateException", message));
    }
    certificates.insert(id.to_owned(), "INACTIVE".to_owned());
    Ok(())
}

impl Account {
    pub fn finding(&self, call: Call, id: &str) -> Result<Finding, CallError> {
        self.findings.get(id).cloned().ok_or_else(|| call.gone(NOT_FOUND, format!("finding {id} does not exist")))
    }

    pub fn things_of(&self, call: Call, principal_arn: &str) -> Result<Vec<String>, CallError> {
        let id = principal_arn.strip_prefix("arn:").and_then(|arn| arn.rsplit_once(":cert/")).map(|(_, id)| id);
        let id = id.ok_or_else(|| {
            call.refuse("InvalidRequestException", format!("{principal_arn} is not the ARN of a certificate"))
        })?;
        status(call, &self.certificates, id)?;
        Ok(self.principals.get(id).into_iter().flatten().cloned().collect())
    }

    pub fn groups_of(&self, call: Call, thing: &str) -> Result<Vec<String>, CallError> {
        let groups =
            self.things.get(thing).ok_or_else(|| call.gone(NOT_FOUND, format!("thing {thing} does not exist")))?;
        Ok(groups.iter().cloned().collect())
    }

    pub fn add_to_group(&mut self, call: Call, thing: &str, group: &str) -> Result<(), CallError> {
        if !self.groups.contains(group) {
            return Err(call.gone(NOT_FOUND, format!("thing group {group} does not exist")));
        }
        let groups =
            self.things.get_mut(thing).ok_or_else(|| call.gone(NOT_FOUND, format!("thing {thing} does not exist")))?;
        groups.insert(group.to_owned());
        Ok(())
    }

    fn policy(&self, call: Call, name: &str) -> Result<&Policy, CallError> {
        self.policies.get(name).ok_or_else(|| call.gone(NOT_FOUND, format!("policy {name} does not exist")))
    }

    pub fn policy_state(&self, call: Call, name: &str) -> Result<PolicyState, CallError> {
        let policy = self.policy(call, name)?;
        let document = self.policy_document(call, name, &policy.default.to_string())?;
        Ok(PolicyState { default_version: policy.default.to_string(), document, modified_at: None })
    }

    pub fn policy_versions(&self, call: Call, name: &str) -> Result<Vec<PolicyVersion>, CallError> {
        let policy = self.policy(call, name)?;
        let newest_first = policy.versions.keys().rev();
        Ok(newest_first.map(|id| PolicyVersion { id: id.to_string(), is_default: *id == policy.default }).collect())
    }

    pub fn policy_document(&self, call: Call, name: &str, version: &str) -> Result<String, CallError> {
        let document = version.parse().ok().and_then(|id: u64| self.policies.get(name)?.versions.get(&id));
        document.cloned().ok_or_else(|| call.gone(NOT_FOUND, format!("policy {name} has no version {version}")))
    }

    pub fn create_version(&mut self, call: Call, name: &str, document: &str) -> Result<String, CallError> {
        if !serde_json::from_str::<serde_json::Value>(document).is_ok_and(|document| document.is_object()) {
            return Err(call.refuse("MalformedPolicyException", "the policy document is not a JSON object"));
        }
        self.policy(call, name)?;
        let policy = self.policies.entry(name.to_owned()).or_default();
        if policy.versions.len() >= MAX_VERSIONS {
            let message = format!("policy {name} already has {MAX_VERSIONS} versions");
            return Err(call.refuse("VersionsLimitExceededException", message));
        }
        Ok(policy.add(document).to_string())
    }

    pub fn delete_version(&mut self, call: Call, name: &str, version: &str) -> Result<(), CallError> {
        self.policy_document(call, name, version)?;
        let policy = self.policies.entry(name.to_owned()).or_default();
        if policy.default.to_string() == version {
            let message = format!("version {version} of policy {name} is the default and cannot be deleted");
            return Err(call.refuse("DeleteConflictException", message));
        }
        policy.versions.retain(|id, _| id.to_string() != version);
        Ok(())
    }

    pub fn publish(&mut self, call: Call, topic_arn: &str, message: &str) -> Result<String, CallError> {
        let topic = self.topics.get_mut(topic_arn).ok_or_else(|| call.gone("NotFound", "Topic does not exist"))?;
        topic.push(message.to_owned());
        Ok(format!("message-{:06}", topic.len()))
    }
}

/// The page of `items` that `next` names, a position in decimal digits.
pub(super) fn page<T>(call: Call, items: Vec<T>, next: Option<&str>, size: usize) -> Result<Page<T>, CallError> {
    let from: usize = match next {
        None => 0,
        Some(token) => token.parse().ok().filter(|from| *from <= items.len()).ok_or_else(|| {
            call.refuse("InvalidRequestException", format!("{token} is not a nextToken of this listing"))
        })?,
    };
    let to = (from + size).min(items.len());
    let next = (to < items.len()).then(|| to.to_string());
    Ok(Page { items: items.into_iter().skip(from).take(to - from).collect(), next })
}
