//! The fleet: what an AWS account knows about its devices. Plain data and methods; the caller tells it the time.

use std::collections::{BTreeMap, BTreeSet};

use super::certificates::{CaCertificate, Certificate, IssuerCertificate};
use super::defender::Defender;
use super::error::IotError;
use super::logging::{LoggingOptions, LoggingOptionsV1};
use super::policies::Policy;

/// A thing may be in so many groups (AWS General Reference, IoT Core quotas).
const MAX_GROUPS_PER_THING: usize = 10;

/// One account's devices in one region, and what Device Defender knows about them.
///
/// The maps are open to readers, tests and seeds; the methods keep the rules that AWS keeps.
#[derive(Debug)]
pub struct Fleet {
    /// The account, 12 digits.
    pub account: String,
    /// The region, for ARNs.
    pub region: String,
    /// Things by name.
    pub things: BTreeMap<String, Thing>,
    /// Device certificates by id (64 hex digits).
    pub certificates: BTreeMap<String, Certificate>,
    /// CA certificates by id (64 hex digits).
    pub ca_certificates: BTreeMap<String, CaCertificate>,
    /// Intermediate CAs that issued device certificates, by issuer id.
    pub issuers: BTreeMap<String, IssuerCertificate>,
    /// Policies by name.
    pub policies: BTreeMap<String, Policy>,
    /// Static thing groups by name.
    pub thing_groups: BTreeMap<String, ThingGroup>,
    /// Which things a principal (certificate ARN or Cognito identity) is attached to.
    pub principals: BTreeMap<String, BTreeSet<String>>,
    /// MQTT connections that were made, in no order.
    pub connections: Vec<Connection>,
    /// Role aliases by name.
    pub role_aliases: BTreeMap<String, RoleAlias>,
    /// Cognito identity pools by id.
    pub cognito_pools: BTreeMap<String, CognitoPool>,
    /// V2 logging; `None` until it is set for the first time.
    pub logging: Option<LoggingOptions>,
    /// V1 logging; `None` until it is set for the first time.
    pub logging_v1: Option<LoggingOptionsV1>,
    /// Tags by ARN.
    pub tags: BTreeMap<String, BTreeMap<String, String>>,
    /// Audits, findings, suppressions, mitigation actions and tasks.
    pub defender: Defender,
    now_ms: i64,
    ids: fastrand::Rng,
}

/// A device in the registry.
#[derive(Clone, Debug, Default)]
pub struct Thing {
    /// The immutable id (a UUID).
    pub id: String,
    /// Free attributes.
    pub attributes: BTreeMap<String, String>,
    /// Counts updates, from 1.
    pub version: i64,
    /// Certificate ARNs and Cognito identities attached.
    pub principals: BTreeSet<String>,
    /// Names of the groups it is in.
    pub groups: BTreeSet<String>,
}

/// A static thing group.
#[derive(Clone, Debug, Default)]
pub struct ThingGroup {
    /// The immutable id (a UUID).
    pub id: String,
    /// The group above it.
    pub parent: Option<String>,
    /// `thingGroupProperties.thingGroupDescription`.
    pub description: Option<String>,
    /// Created at, epoch milliseconds.
    pub created_ms: i64,
    /// Counts updates, from 1.
    pub version: i64,
    /// Names of the things in it (not of those in groups below).
    pub things: BTreeSet<String>,
}

/// One MQTT connection of the past.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The client id that the device gave.
    pub client_id: String,
    /// Id of the certificate it authenticated with.
    pub certificate_id: String,
    /// Connected at, epoch milliseconds.
    pub connected_ms: i64,
    /// Disconnected at, epoch milliseconds; `None` while it lasts.
    pub disconnected_ms: Option<i64>,
    /// The broker ended it because the same client id connected again.
    pub ended_by_duplicate_client_id: bool,
}

/// A role alias. What its role allows is IAM's knowledge, so it is given as facts here.
#[derive(Clone, Debug, Default)]
pub struct RoleAlias {
    /// The IAM role behind it.
    pub role_arn: String,
    /// Reason codes of `IOT_ROLE_ALIAS_OVERLY_PERMISSIVE_CHECK` that hold for the role.
    pub overly_permissive: Vec<String>,
    /// Services that the role may use and that the devices have not used for a year.
    pub unused_services: Vec<String>,
    /// Created at, epoch milliseconds.
    pub created_ms: i64,
}

/// A Cognito identity pool that connected to AWS IoT. What its roles allow is given as facts.
#[derive(Clone, Debug, Default)]
pub struct CognitoPool {
    /// Reason codes of `AUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK` that hold.
    pub authenticated: Vec<String>,
    /// Reason codes of `UNAUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK` that hold.
    pub unauthenticated: Vec<String>,
}

impl Fleet {
    /// An empty account. `seed` makes the ids that it gives out repeatable; `now_ms` is the time in epoch milliseconds.
    pub fn new(account: &str, region: &str, seed: u64, now_ms: i64) -> Self {
        Self {
            account: account.to_owned(),
            region: region.to_owned(),
            things: BTreeMap::new(),
            certificates: BTreeMap::new(),
            ca_certificates: BTreeMap::new(),
            issuers: BTreeMap::new(),
            policies: BTreeMap::new(),
            thing_groups: BTreeMap::new(),
            principals: BTreeMap::new(),
            connections: Vec::new(),
            role_aliases: BTreeMap::new(),
            cognito_pools: BTreeMap::new(),
            logging: None,
            logging_v1: None,
            tags: BTreeMap::new(),
            defender: Defender::default(),
            now_ms,
            ids: fastrand::Rng::with_seed(seed),
        }
    }

    /// The time, epoch milliseconds, that this fleet was last told.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Tells the fleet the time. It never goes back.
    pub fn set_now_ms(&mut self, now_ms: i64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    /// The ARN of a resource: `arn("cert", id)`, `arn("thinggroup", name)` ...
    pub fn arn(&self, kind: &str, name: &str) -> String {
        format!("arn:aws:iot:{}:{}:{kind}/{name}", self.region, self.account)
    }

    /// A UUID (version 4 in form) from the seeded generator.
    pub fn new_uuid(&mut self) -> String {
        uuid::Builder::from_random_bytes(self.ids.u128(..).to_be_bytes()).into_uuid().to_string()
    }

    /// 32 hex digits, as audit task ids are.
    pub fn new_task_id(&mut self) -> String {
        format!("{:032x}", self.ids.u128(..))
    }

    /// 64 hex digits, as certificate ids are.
    pub fn new_certificate_id(&mut self) -> String {
        format!("{:032x}{:032x}", self.ids.u128(..), self.ids.u128(..))
    }

    /// `CreateThing`. The same name with the same attributes is a success again, as the developer guide says.
    pub fn create_thing(&mut self, name: &str, attributes: BTreeMap<String, String>) -> Result<&Thing, IotError> {
        check_name("thingName", name)?;
        if let Some(thing) = self.things.get(name) {
            if thing.attributes != attributes {
                return Err(IotError::exists(format!(
                    "Thing {name} already exists in account with different properties"
                )));
            }
        } else {
            let thing = Thing { id: self.new_uuid(), attributes, version: 1, ..Thing::default() };
            self.things.insert(name.to_owned(), thing);
        }
        self.thing(name)
    }

    /// `DescribeThing`.
    pub fn thing(&self, name: &str) -> Result<&Thing, IotError> {
        self.things.get(name).ok_or_else(|| IotError::not_found(format!("Thing {name} does not exist")))
    }

    /// `DeleteThing`: refused while principals are attached; deleting what is not there succeeds.
    pub fn delete_thing(&mut self, name: &str) -> Result<(), IotError> {
        let Some(thing) = self.things.get(name) else {
            return Ok(());
        };
        if !thing.principals.is_empty() {
            return Err(IotError::invalid(format!("Thing {name} still has principals attached")));
        }
        for group in thing.groups.clone() {
            if let Some(group) = self.thing_groups.get_mut(&group) {
                group.things.remove(name);
            }
        }
        self.things.remove(name);
        Ok(())
    }

    /// `AttachThingPrincipal`: a certificate ARN of this account, or a Cognito identity.
    pub fn attach_thing_principal(&mut self, thing: &str, principal: &str) -> Result<(), IotError> {
        self.require_principal(principal)?;
        self.thing(thing)?;
        if let Some(record) = self.things.get_mut(thing) {
            record.principals.insert(principal.to_owned());
        }
        self.principals.entry(principal.to_owned()).or_default().insert(thing.to_owned());
        Ok(())
    }

    /// `DetachThingPrincipal`.
    pub fn detach_thing_principal(&mut self, thing: &str, principal: &str) -> Result<(), IotError> {
        self.thing(thing)?;
        if let Some(record) = self.things.get_mut(thing) {
            record.principals.remove(principal);
        }
        if let Some(things) = self.principals.get_mut(principal) {
            things.remove(thing);
            if things.is_empty() {
                self.principals.remove(principal);
            }
        }
        Ok(())
    }

    /// `ListPrincipalThings`: the names, in order.
    pub fn things_of_principal(&self, principal: &str) -> Result<Vec<String>, IotError> {
        self.require_principal(principal)?;
        Ok(self.principals.get(principal).into_iter().flatten().cloned().collect())
    }

    fn require_principal(&self, principal: &str) -> Result<(), IotError> {
        match principal.split_once(":cert/") {
            Some((_, id)) if self.certificates.contains_key(id) => Ok(()),
            Some((_, id)) => Err(IotError::not_found(format!("Certificate {id} does not exist"))),
            // A Cognito identity, `REGION:UUID`; the sandbox takes any.
            None if principal.contains(':') && !principal.starts_with("arn:") => Ok(()),
            None => {
                Err(IotError::invalid(format!("{principal} is neither a certificate ARN nor a Cognito identity id")))
            }
        }
    }

    /// `CreateThingGroup`. The same name with the same properties is a success again.
    pub fn create_thing_group(
        &mut self,
        name: &str,
        parent: Option<&str>,
        description: Option<&str>,
    ) -> Result<&ThingGroup, IotError> {
        check_name("thingGroupName", name)?;
        if let Some(parent) = parent {
            self.thing_group(parent)?;
        }
        if let Some(group) = self.thing_groups.get(name) {
            if group.parent.as_deref() != parent || group.description.as_deref() != description {
                return Err(IotError::exists(format!("Thing group {name} already exists with different properties")));
            }
        } else {
            let group = ThingGroup {
                id: self.new_uuid(),
                parent: parent.map(str::to_owned),
                description: description.map(str::to_owned),
                created_ms: self.now_ms,
                version: 1,
                things: BTreeSet::new(),
            };
            self.thing_groups.insert(name.to_owned(), group);
        }
        self.thing_group(name)
    }

    /// `DescribeThingGroup`.
    pub fn thing_group(&self, name: &str) -> Result<&ThingGroup, IotError> {
        self.thing_groups.get(name).ok_or_else(|| IotError::not_found(format!("Thing group {name} does not exist")))
    }

    /// `DeleteThingGroup`: refused while groups are below it; deleting what is not there succeeds.
    pub fn delete_thing_group(&mut self, name: &str) -> Result<(), IotError> {
        if self.thing_groups.values().any(|group| group.parent.as_deref() == Some(name)) {
            return Err(IotError::invalid(format!("Thing group {name} has child groups")));
        }
        if let Some(group) = self.thing_groups.remove(name) {
            for thing in group.things {
                if let Some(thing) = self.things.get_mut(&thing) {
                    thing.groups.remove(name);
                }
            }
        }
        Ok(())
    }

    /// `AddThingToThingGroup`. A thing may be in 10 groups, and in one group of a hierarchy only; adding it again
    /// succeeds and changes nothing (the service model has no error for it).
    pub fn add_thing_to_group(&mut self, thing: &str, group: &str) -> Result<(), IotError> {
        self.thing_group(group)?;
        let root = self.root_of(group);
        let member = self.thing(thing)?;
        if member.groups.contains(group) {
            return Ok(());
        }
        if member.groups.len() >= MAX_GROUPS_PER_THING {
            return Err(IotError::invalid(format!(
                "Thing {thing} is already in {MAX_GROUPS_PER_THING} thing groups, the most that a thing may be in"
            )));
        }
        if let Some(other) = member.groups.iter().find(|other| self.root_of(other) == root) {
            return Err(IotError::invalid(format!(
                "Thing {thing} is already in {other}, which is in the same hierarchy as {group}"
            )));
        }
        if let Some(thing) = self.things.get_mut(thing) {
            thing.groups.insert(group.to_owned());
        }
        if let Some(group) = self.thing_groups.get_mut(group) {
            group.things.insert(thing.to_owned());
        }
        Ok(())
    }

    /// `RemoveThingFromThingGroup`; succeeds when the thing was not in it.
    pub fn remove_thing_from_group(&mut self, thing: &str, group: &str) -> Result<(), IotError> {
        self.thing(thing)?;
        self.thing_group(group)?;
        if let Some(record) = self.things.get_mut(thing) {
            record.groups.remove(group);
        }
        if let Some(record) = self.thing_groups.get_mut(group) {
            record.things.remove(thing);
        }
        Ok(())
    }

    fn root_of<'a>(&'a self, group: &'a str) -> &'a str {
        let mut name = group;
        // Parents exist before their children and never change, so this ends.
        while let Some(parent) = self.thing_groups.get(name).and_then(|group| group.parent.as_deref()) {
            name = parent;
        }
        name
    }
}

/// Names of things, groups, policies and actions: 1 to 128 characters of a small alphabet.
pub(super) fn check_name(member: &str, name: &str) -> Result<(), IotError> {
    let fine = name.chars().all(|c| c.is_ascii_alphanumeric() || "_-:+=,.@".contains(c));
    if name.is_empty() || name.len() > 128 || !fine {
        return Err(IotError::invalid(format!("{member} must be 1 to 128 letters, digits or _-:+=,.@, not {name:?}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet() -> Fleet {
        let mut fleet = Fleet::new("123456789012", "us-east-1", 1, 1_791_000_000_000);
        fleet.create_thing("lamp", BTreeMap::new()).unwrap();
        fleet
    }

    #[test]
    fn a_thing_joins_ten_groups_and_not_an_eleventh() {
        let mut fleet = fleet();
        for n in 0..11 {
            fleet.create_thing_group(&format!("g{n}"), None, None).unwrap();
        }
        for n in 0..10 {
            fleet.add_thing_to_group("lamp", &format!("g{n}")).unwrap();
        }
        assert_eq!(fleet.add_thing_to_group("lamp", "g10").unwrap_err().code, "InvalidRequestException");
        assert_eq!(fleet.add_thing_to_group("lamp", "g3"), Ok(()), "again is no error");
        assert_eq!(fleet.things["lamp"].groups.len(), 10);
    }

    #[test]
    fn a_thing_is_in_one_group_of_a_hierarchy_only() {
        let mut fleet = fleet();
        fleet.create_thing_group("site", None, None).unwrap();
        fleet.create_thing_group("floor1", Some("site"), None).unwrap();
        fleet.create_thing_group("floor2", Some("site"), None).unwrap();
        fleet.add_thing_to_group("lamp", "floor1").unwrap();
        assert_eq!(fleet.add_thing_to_group("lamp", "floor2").unwrap_err().status, 400);
    }

    #[test]
    fn a_principal_must_exist_to_be_attached_and_is_forgotten_when_detached() {
        let mut fleet = fleet();
        let missing = fleet.arn("cert", &"a".repeat(64));
        assert_eq!(fleet.attach_thing_principal("lamp", &missing).unwrap_err().status, 404);
        let id = fleet.create_certificate(true);
        let arn = fleet.arn("cert", &id);
        fleet.attach_thing_principal("lamp", &arn).unwrap();
        assert_eq!(fleet.things_of_principal(&arn).unwrap(), ["lamp"]);
        fleet.detach_thing_principal("lamp", &arn).unwrap();
        assert_eq!(fleet.things_of_principal(&arn).unwrap(), [""; 0]);
    }
}
