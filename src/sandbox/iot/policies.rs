//! Policies, their versions and what they are attached to.

use std::collections::{BTreeMap, BTreeSet};

use super::documents::PolicyDocument;
use super::error::IotError;
use super::fleet::{Fleet, check_name};

/// Versions that a policy may have at one time (AWS General Reference, IoT Core quotas).
const MAX_VERSIONS: usize = 5;

/// Characters of a policy document, white space not counted (same source).
const MAX_DOCUMENT: usize = 2048;

/// Policies that one certificate or thing group may have (same source).
const MAX_POLICIES_PER_TARGET: usize = 10;

/// A policy. Times are epoch milliseconds.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Versions by number; numbers start at 1 and are never used again.
    pub versions: BTreeMap<u32, PolicyVersion>,
    /// The version in force.
    pub default_version: u32,
    /// Certificate ARNs, thing group ARNs and Cognito identities it is attached to.
    pub targets: BTreeSet<String>,
    /// Created at.
    pub created_ms: i64,
    /// Last change.
    pub modified_ms: i64,
    /// Changes with every change (`generationId`).
    pub generation_id: String,
    next_version: u32,
}

/// One version of a policy.
#[derive(Clone, Debug)]
pub struct PolicyVersion {
    /// The JSON text, as it was given.
    pub document: String,
    /// Created at, epoch milliseconds.
    pub created_ms: i64,
}

impl Policy {
    /// The document of the default version.
    pub fn default_document(&self) -> &str {
        self.versions.get(&self.default_version).map_or("", |version| version.document.as_str())
    }

    /// Whether the version in force allows nothing.
    pub fn is_blank(&self) -> bool {
        PolicyDocument::parse(self.default_document()).is_ok_and(|document| document.allows_nothing())
    }
}

impl Fleet {
    /// `CreatePolicy`: version 1 becomes the default.
    pub fn create_policy(&mut self, name: &str, document: &str) -> Result<&Policy, IotError> {
        check_name("policyName", name)?;
        check_document(document)?;
        if self.policies.contains_key(name) {
            return Err(IotError::exists(format!("Policy {name} already exists")));
        }
        let now = self.now_ms();
        let version = PolicyVersion { document: document.to_owned(), created_ms: now };
        let policy = Policy {
            versions: BTreeMap::from([(1, version)]),
            default_version: 1,
            targets: BTreeSet::new(),
            created_ms: now,
            modified_ms: now,
            generation_id: self.new_uuid(),
            next_version: 2,
        };
        self.policies.insert(name.to_owned(), policy);
        self.policy(name)
    }

    /// `GetPolicy`.
    pub fn policy(&self, name: &str) -> Result<&Policy, IotError> {
        self.policies.get(name).ok_or_else(|| IotError::not_found(format!("Policy {name} does not exist")))
    }

    /// `GetPolicyVersion`: the version's number and itself.
    pub fn policy_version(&self, name: &str, version: &str) -> Result<(u32, &PolicyVersion), IotError> {
        let policy = self.policy(name)?;
        let number: u32 = version
            .parse()
            .map_err(|_| IotError::invalid(format!("policyVersionId must be a number, not {version:?}")))?;
        policy
            .versions
            .get(&number)
            .map(|version| (number, version))
            .ok_or_else(|| IotError::not_found(format!("Policy {name} has no version {number}")))
    }

    /// `CreatePolicyVersion`: the number of the new version. Not idempotent: each call makes another one, up to 5
    /// (`VersionsLimitExceededException` 409).
    pub fn create_policy_version(&mut self, name: &str, document: &str, default: bool) -> Result<u32, IotError> {
        if self.policy(name)?.versions.len() >= MAX_VERSIONS {
            return Err(IotError::versions_limit(format!(
                "The policy {name} already has the maximum number of versions ({MAX_VERSIONS})"
            )));
        }
        check_document(document)?;
        self.change_policy(name, |policy, now| {
            let number = policy.next_version;
            policy.next_version += 1;
            policy.versions.insert(number, PolicyVersion { document: document.to_owned(), created_ms: now });
            if default {
                policy.default_version = number;
            }
            number
        })
    }

    /// `SetDefaultPolicyVersion`.
    pub fn set_default_policy_version(&mut self, name: &str, version: &str) -> Result<(), IotError> {
        let (number, _) = self.policy_version(name, version)?;
        self.change_policy(name, |policy, _| policy.default_version = number)
    }

    /// `DeletePolicyVersion`: any but the default one.
    pub fn delete_policy_version(&mut self, name: &str, version: &str) -> Result<(), IotError> {
        let (number, _) = self.policy_version(name, version)?;
        if self.policy(name)?.default_version == number {
            return Err(IotError::delete_conflict(format!(
                "Cannot delete version {number} of policy {name}: it is the default version"
            )));
        }
        self.change_policy(name, |policy, _| {
            policy.versions.remove(&number);
        })
    }

    /// `DeletePolicy`: when only the default version is left and nothing is attached.
    pub fn delete_policy(&mut self, name: &str) -> Result<(), IotError> {
        let policy = self.policy(name)?;
        if policy.versions.len() > 1 {
            return Err(IotError::delete_conflict(format!("Policy {name} has other versions than the default")));
        }
        if !policy.targets.is_empty() {
            return Err(IotError::delete_conflict(format!("Policy {name} is attached")));
        }
        self.policies.remove(name);
        Ok(())
    }

    /// `AttachPolicy`: to a certificate, a thing group or a Cognito identity; repeating it changes nothing.
    pub fn attach_policy(&mut self, name: &str, target: &str) -> Result<(), IotError> {
        self.policy(name)?;
        let known = match (target.split_once(":cert/"), target.split_once(":thinggroup/")) {
            (Some((_, id)), _) => self.certificates.contains_key(id),
            (_, Some((_, group))) => self.thing_groups.contains_key(group),
            _ => target.contains(':'),
        };
        if !known {
            return Err(IotError::not_found(format!("The target {target} does not exist")));
        }
        let attached = self.policies.iter().filter(|(other, policy)| *other != name && policy.targets.contains(target));
        if attached.count() >= MAX_POLICIES_PER_TARGET {
            return Err(IotError::limit(format!(
                "The target {target} already has {MAX_POLICIES_PER_TARGET} policies, the most that it may have"
            )));
        }
        if let Some(policy) = self.policies.get_mut(name) {
            policy.targets.insert(target.to_owned());
        }
        Ok(())
    }

    /// `DetachPolicy`.
    pub fn detach_policy(&mut self, name: &str, target: &str) -> Result<(), IotError> {
        self.policy(name)?;
        if let Some(policy) = self.policies.get_mut(name) {
            policy.targets.remove(target);
        }
        Ok(())
    }

    fn change_policy<T>(&mut self, name: &str, change: impl FnOnce(&mut Policy, i64) -> T) -> Result<T, IotError> {
        let (now, generation) = (self.now_ms(), self.new_uuid());
        let policy =
            self.policies.get_mut(name).ok_or_else(|| IotError::not_found(format!("Policy {name} does not exist")))?;
        let result = change(policy, now);
        policy.modified_ms = now;
        policy.generation_id = generation;
        Ok(result)
    }
}

fn check_document(document: &str) -> Result<(), IotError> {
    let length = document.chars().filter(|c| !c.is_whitespace()).count();
    if length > MAX_DOCUMENT {
        return Err(IotError::malformed_policy(format!(
            "the policy document has {length} characters that are not white space; {MAX_DOCUMENT} are allowed"
        )));
    }
    PolicyDocument::parse(document)
        .map(|_| ())
        .map_err(|why| IotError::malformed_policy(format!("Policy document is malformed: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLANK: &str = r#"{"Version":"2012-10-17","Statement":[]}"#;
    const OPEN: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;

    fn fleet() -> Fleet {
        let mut fleet = Fleet::new("123456789012", "us-east-1", 1, 1_791_000_000_000);
        fleet.create_policy("p", OPEN).unwrap();
        fleet
    }

    #[test]
    fn the_sixth_version_is_refused_until_one_is_deleted_and_numbers_are_not_used_again() {
        let mut fleet = fleet();
        for number in 2..=5 {
            assert_eq!(fleet.create_policy_version("p", OPEN, false), Ok(number));
        }
        let error = fleet.create_policy_version("p", BLANK, true).unwrap_err();
        assert_eq!((error.code, error.status), ("VersionsLimitExceededException", 409));
        fleet.delete_policy_version("p", "2").unwrap();
        assert_eq!(fleet.create_policy_version("p", BLANK, true), Ok(6));
        assert!(fleet.policies["p"].is_blank());
    }

    #[test]
    fn the_default_version_cannot_be_deleted() {
        let mut fleet = fleet();
        fleet.create_policy_version("p", BLANK, true).unwrap();
        assert_eq!(fleet.delete_policy_version("p", "2").unwrap_err().code, "DeleteConflictException");
        fleet.set_default_policy_version("p", "1").unwrap();
        fleet.delete_policy_version("p", "2").unwrap();
        assert_eq!(fleet.delete_policy_version("p", "2").unwrap_err().status, 404);
    }

    #[test]
    fn a_target_takes_ten_policies_and_attaching_one_again_changes_nothing() {
        let mut fleet = fleet();
        let id = fleet.create_certificate(true);
        let arn = fleet.arn("cert", &id);
        for n in 0..11 {
            fleet.create_policy(&format!("q{n}"), BLANK).unwrap();
        }
        for n in 0..10 {
            fleet.attach_policy(&format!("q{n}"), &arn).unwrap();
        }
        assert_eq!(fleet.attach_policy("q10", &arn).unwrap_err().code, "LimitExceededException");
        assert_eq!(fleet.attach_policy("q4", &arn), Ok(()));
        assert_eq!(fleet.attach_policy("p", "arn:aws:iot:us-east-1:1:cert/ab").unwrap_err().status, 404);
    }

    #[test]
    fn what_is_not_a_policy_is_malformed() {
        let mut fleet = fleet();
        let long = OPEN.replace('*', &"x".repeat(1100));
        for document in
            ["", "{", "[]", r#"{"Statement":[{"Effect":"Perhaps","Action":"iot:*","Resource":"*"}]}"#, &long]
        {
            assert_eq!(fleet.create_policy_version("p", document, true).unwrap_err().code, "MalformedPolicyException");
        }
        assert_eq!(fleet.policies["p"].versions.len(), 1);
    }
}
