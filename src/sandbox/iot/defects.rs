//! One defect at a time, for each of the 17 checks and each of its reason codes.
//!
//! What AWS IoT itself knows about (certificates, connections, policies, logging) is brought into the state that the check
//! objects to. What only others know (IAM about the roles of role aliases and Cognito pools, certificate authorities about
//! revocations) is noted as a fact of the resource.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::audits::require_check;
use super::certificates::{CaCertificate, Certificate, CertificateStatus, IssuerCertificate, WeakKey};
use super::checks::{AGE_CHECK, INTERMEDIATE_CA_CHECK};
use super::defender::Resource;
use super::error::IotError;
use super::fleet::{CognitoPool, Connection, Fleet, RoleAlias};

const HOUR_MS: i64 = 60 * 60 * 1000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Reason codes of each check (the `audit-chk-*` pages of the Device Defender developer guide); the first one is planted if
/// none is asked for.
#[rustfmt::skip]
static REASONS: [(&str, &[&str]); 17] = [
    ("AUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK", &[
        "ALLOWS_BROAD_ACCESS_TO_IOT_THING_ADMIN_READ_ACTIONS", "ALLOWS_ACCESS_TO_IOT_NON_THING_ADMIN_ACTIONS",
        "ALLOWS_ACCESS_TO_IOT_THING_ADMIN_WRITE_ACTIONS",
    ]),
    ("CA_CERTIFICATE_EXPIRING_CHECK", &EXPIRY),
    ("CA_CERTIFICATE_KEY_QUALITY_CHECK", &WEAK_KEYS),
    ("CONFLICTING_CLIENT_IDS_CHECK", &["DUPLICATE_CLIENT_ID_ACROSS_CONNECTIONS"]),
    (AGE_CHECK, &["CERTIFICATE_PAST_AGE_THRESHOLD"]),
    ("DEVICE_CERTIFICATE_EXPIRING_CHECK", &EXPIRY),
    ("DEVICE_CERTIFICATE_KEY_QUALITY_CHECK", &WEAK_KEYS),
    ("DEVICE_CERTIFICATE_SHARED_CHECK", &["CERTIFICATE_SHARED_BY_MULTIPLE_DEVICES"]),
    (INTERMEDIATE_CA_CHECK, &["INTERMEDIATE_CA_REVOKED_BY_ISSUER"]),
    ("IOT_POLICY_OVERLY_PERMISSIVE_CHECK", &["ALLOWS_BROAD_ACCESS_TO_IOT_DATA_PLANE_ACTIONS"]),
    ("IOT_POLICY_POTENTIAL_MISCONFIGURATION_CHECK", &[
        "POLICY_CONTAINS_MQTT_WILDCARDS_IN_DENY_STATEMENT", "TOPIC_FILTERS_INTENDED_TO_DENY_ALLOWED_USING_WILDCARDS",
    ]),
    ("IOT_ROLE_ALIAS_ALLOWS_ACCESS_TO_UNUSED_SERVICES_CHECK", &["ALLOWS_ACCESS_TO_UNUSED_SERVICES"]),
    ("IOT_ROLE_ALIAS_OVERLY_PERMISSIVE_CHECK", &[
        "ALLOWS_BROAD_ACCESS_TO_USED_SERVICES", "ALLOWS_ACCESS_TO_SECURITY_AUDITING_SERVICES",
        "ALLOWS_BROAD_ACCESS_TO_IOT_THING_ADMIN_READ_ACTIONS", "ALLOWS_ACCESS_TO_IOT_NON_THING_ADMIN_ACTIONS",
        "ALLOWS_ACCESS_TO_IOT_THING_ADMIN_WRITE_ACTIONS", "ALLOWS_BROAD_ACCESS_TO_IOT_DATA_PLANE_ACTIONS",
    ]),
    ("LOGGING_DISABLED_CHECK", &["LOGGING_DISABLED"]),
    ("REVOKED_CA_CERTIFICATE_STILL_ACTIVE_CHECK", &["CERTIFICATE_REVOKED_BY_ISSUER"]),
    ("REVOKED_DEVICE_CERTIFICATE_STILL_ACTIVE_CHECK", &["CERTIFICATE_REVOKED_BY_ISSUER"]),
    ("UNAUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK", &[
        "ALLOWS_ACCESS_TO_IOT_ADMIN_ACTIONS", "ALLOWS_BROAD_ACCESS_TO_IOT_DATA_PLANE_ACTIONS",
    ]),
];

static EXPIRY: [&str; 2] = ["CERTIFICATE_APPROACHING_EXPIRATION", "CERTIFICATE_PAST_EXPIRATION"];
static WEAK_KEYS: [&str; 2] =
    ["CERTIFICATE_KEY_VULNERABILITY_CVE-2017-15361", "CERTIFICATE_KEY_VULNERABILITY_CVE-2008-0166"];

const OPEN: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;

/// The reason codes that a check can give; none for an unknown check.
pub fn reason_codes(check: &str) -> &'static [&'static str] {
    REASONS.iter().find(|(name, _)| *name == check).map_or(&[], |(_, codes)| codes)
}

/// What is to be wrong.
#[derive(Clone, Debug, Default)]
pub struct Defect {
    /// The check that shall find it.
    pub check: String,
    /// The reason code; the check's first one if none is given.
    pub reason: Option<String>,
    /// The resource that shall have it: a certificate's id, a policy's, role alias's or pool's name or id, a client id. A new
    /// one is made if none is given.
    pub resource: Option<String>,
    /// Devices that use a shared certificate (2 at least), or whose certificates a revoked intermediate CA issued (1 at
    /// least). For these two checks only.
    pub devices: Option<usize>,
}

/// What was made, as the next audit will find it.
#[derive(Clone, Debug)]
pub struct Planted {
    /// The check.
    pub check: &'static str,
    /// The reason code.
    pub reason: String,
    /// The resource.
    pub resource: Resource,
    /// What else will be in the finding.
    pub related: Vec<Resource>,
    /// Things that were made for it.
    pub things: Vec<String>,
    /// Whether the account's audits perform the check.
    pub check_enabled: bool,
}

impl Planted {
    pub(super) fn to_json(&self) -> Value {
        json!({
            "check": self.check,
            "reason": self.reason,
            "resource": self.resource.to_json(),
            "relatedResources": self.related.iter().map(Resource::to_json).collect::<Vec<_>>(),
            "things": self.things,
            "checkEnabled": self.check_enabled,
        })
    }
}

impl Fleet {
    /// Makes one resource non-compliant for a check, and says what the next audit of the check will find.
    ///
    /// # Errors
    /// `InvalidRequestException` for an unknown check or a reason code that is not the check's, and when the resource is
    /// such that the check looks past it; `ResourceNotFoundException` for a resource that does not exist.
    pub fn plant_defect(&mut self, defect: &Defect) -> Result<Planted, IotError> {
        let check = require_check(&defect.check)?;
        let codes = reason_codes(check.name);
        let reason = match &defect.reason {
            None => codes.first().copied().unwrap_or_default(),
            Some(wanted) => codes.iter().find(|code| *code == wanted).copied().ok_or_else(|| {
                IotError::invalid(format!("{wanted} is not a reason code of {}: {}", check.name, codes.join(", ")))
            })?,
        };
        if defect.devices.is_some() && ![SHARED, INTERMEDIATE_CA_CHECK].contains(&check.name) {
            return Err(IotError::invalid(format!(
                "devices can be given for {SHARED} and {INTERMEDIATE_CA_CHECK} only"
            )));
        }
        let known: std::collections::BTreeSet<String> = self.things.keys().cloned().collect();
        let identifier = self.spoil(check.name, reason, defect)?;
        let things = self.things.keys().filter(|name| !known.contains(*name)).cloned().collect();
        let thresholds = self.defender.configuration.checks.get(check.name);
        let thresholds = thresholds.map(|check| check.configuration.clone()).unwrap_or_default();
        let found = check.evaluate(self, &thresholds).violations.into_iter();
        let mut found = found.filter(|one| one.code == reason && one.resource.identifier == identifier);
        let violation = found.next().ok_or_else(|| {
            IotError::invalid(format!("{} does not look at {identifier} in its present state", check.name))
        })?;
        Ok(Planted {
            check: check.name,
            reason: reason.to_owned(),
            resource: violation.resource,
            related: violation.related,
            things,
            check_enabled: self.defender.configuration.enabled(check.name),
        })
    }

    /// The identifier of the resource that the finding will name.
    fn spoil(&mut self, check: &str, reason: &str, defect: &Defect) -> Result<Value, IotError> {
        let now = self.now_ms();
        let wanted = defect.resource.as_deref();
        let not_after = now + if reason == EXPIRY[0] { 10 } else { -10 } * DAY_MS;
        let weak_key = Some(if reason == WEAK_KEYS[0] { WeakKey::Roca } else { WeakKey::Debian });
        let age =
            self.defender.configuration.checks.get(AGE_CHECK).and_then(|check| check.configuration.values().next());
        let age: i64 = age.and_then(|days| days.parse().ok()).unwrap_or(365);
        match check {
            "DEVICE_CERTIFICATE_EXPIRING_CHECK" => self.spoil_certificate(wanted, |one| one.not_after_ms = not_after),
            "DEVICE_CERTIFICATE_KEY_QUALITY_CHECK" => self.spoil_certificate(wanted, |one| one.weak_key = weak_key),
            "REVOKED_DEVICE_CERTIFICATE_STILL_ACTIVE_CHECK" => {
                self.spoil_certificate(wanted, |one| one.revoked_by_issuer = true)
            }
            AGE_CHECK => self.spoil_certificate(wanted, |one| {
                one.created_ms = now - (age + 1) * DAY_MS;
                one.not_before_ms = one.created_ms;
            }),
            "CA_CERTIFICATE_EXPIRING_CHECK" => self.spoil_ca(wanted, |one| one.not_after_ms = not_after),
            "CA_CERTIFICATE_KEY_QUALITY_CHECK" => self.spoil_ca(wanted, |one| one.weak_key = weak_key),
            "REVOKED_CA_CERTIFICATE_STILL_ACTIVE_CHECK" => self.spoil_ca(wanted, |one| one.revoked_by_issuer = true),
            SHARED => self.share_certificate(wanted, defect.devices.unwrap_or(2)),
            "CONFLICTING_CLIENT_IDS_CHECK" => self.conflict(wanted),
            INTERMEDIATE_CA_CHECK => self.revoke_issuer(wanted, defect.devices.unwrap_or(1)),
            "IOT_POLICY_OVERLY_PERMISSIVE_CHECK" => self.spoil_policy(wanted, OPEN),
            "IOT_POLICY_POTENTIAL_MISCONFIGURATION_CHECK" => {
                let denied = if reason.starts_with("POLICY_CONTAINS") { "plant/+/control" } else { "plant/control/*" };
                let document = self.misconfigured(denied);
                self.spoil_policy(wanted, &document)
            }
            "IOT_ROLE_ALIAS_OVERLY_PERMISSIVE_CHECK" => self.spoil_role_alias(wanted, |alias| {
                note(&mut alias.overly_permissive, reason);
            }),
            "IOT_ROLE_ALIAS_ALLOWS_ACCESS_TO_UNUSED_SERVICES_CHECK" => {
                self.spoil_role_alias(wanted, |alias| note(&mut alias.unused_services, "s3"))
            }
            "AUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK" => {
                self.spoil_pool(wanted, |pool| note(&mut pool.authenticated, reason))
            }
            "UNAUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK" => {
                self.spoil_pool(wanted, |pool| note(&mut pool.unauthenticated, reason))
            }
            "LOGGING_DISABLED_CHECK" => self.disable_logging(wanted),
            other => Err(IotError::invalid(format!("the sandbox cannot plant a defect for {other}"))),
        }
    }

    /// A new device: a thing with an active certificate. Its name and the certificate's id.
    fn new_device(&mut self) -> Result<(String, String), IotError> {
        let name = fresh("defective", &self.things);
        let id = self.create_certificate(true);
        self.create_thing(&name, BTreeMap::new())?;
        let arn = self.arn("cert", &id);
        self.attach_thing_principal(&name, &arn)?;
        Ok((name, id))
    }

    fn device_certificate(&mut self, wanted: Option<&str>) -> Result<String, IotError> {
        match wanted {
            Some(id) => self.certificate(id).map(|_| id.to_owned()),
            None => self.new_device().map(|(_, id)| id),
        }
    }

    fn spoil_certificate(
        &mut self,
        wanted: Option<&str>,
        spoil: impl FnOnce(&mut Certificate),
    ) -> Result<Value, IotError> {
        let id = self.device_certificate(wanted)?;
        self.certificates.get_mut(&id).map(spoil);
        Ok(json!({ "deviceCertificateId": id }))
    }

    fn spoil_ca(&mut self, wanted: Option<&str>, spoil: impl FnOnce(&mut CaCertificate)) -> Result<Value, IotError> {
        let id = match wanted {
            Some(id) => self.ca_certificate(id).map(|_| id.to_owned())?,
            None => {
                let id = self.new_certificate_id();
                let ca = CaCertificate::new(self.now_ms());
                self.ca_certificates.insert(id.clone(), ca);
                id
            }
        };
        self.ca_certificates.get_mut(&id).map(spoil);
        Ok(json!({ "caCertificateId": id }))
    }

    /// Hours ago: inside the 31 days that an on-demand audit looks at, and clear of its last two hours.
    fn connect(&mut self, client_id: &str, certificate_id: &str, hours_ago: i64, ended_by_duplicate_client_id: bool) {
        let connected_ms = self.now_ms() - hours_ago * HOUR_MS;
        self.connections.push(Connection {
            client_id: client_id.to_owned(),
            certificate_id: certificate_id.to_owned(),
            connected_ms,
            disconnected_ms: Some(connected_ms + HOUR_MS),
            ended_by_duplicate_client_id,
        });
    }

    fn share_certificate(&mut self, wanted: Option<&str>, devices: usize) -> Result<Value, IotError> {
        if !(2..=MAX_DEVICES).contains(&devices) {
            return Err(IotError::invalid(format!("a certificate is shared by 2 to {MAX_DEVICES} devices")));
        }
        let id = match wanted {
            Some(id) => self.certificate(id).map(|_| id.to_owned())?,
            None => self.create_certificate(true),
        };
        let arn = self.arn("cert", &id);
        let mut things = self.things_of_principal(&arn)?;
        while things.len() < devices {
            let name = fresh("defective", &self.things);
            self.create_thing(&name, BTreeMap::new())?;
            self.attach_thing_principal(&name, &arn)?;
            things.push(name);
        }
        for name in &things {
            self.connect(name, &id, 5, false);
        }
        Ok(json!({ "deviceCertificateId": id }))
    }

    fn conflict(&mut self, wanted: Option<&str>) -> Result<Value, IotError> {
        let (client, certificate) = match wanted {
            Some(client) => (client.to_owned(), self.create_certificate(true)),
            None => self.new_device()?,
        };
        self.connect(&client, &certificate, 8, true);
        self.connect(&client, &certificate, 5, false);
        Ok(json!({ "clientId": client }))
    }

    fn revoke_issuer(&mut self, wanted: Option<&str>, devices: usize) -> Result<Value, IotError> {
        if !(1..=MAX_DEVICES).contains(&devices) {
            return Err(IotError::invalid(format!("devices must be 1 to {MAX_DEVICES}")));
        }
        let id = match wanted {
            Some(id) if self.issuers.contains_key(id) => id.to_owned(),
            Some(id) => return Err(IotError::not_found(format!("Issuer {id} does not exist"))),
            None => self.new_certificate_id(),
        };
        if !self.issuers.contains_key(&id) {
            let serial = id.as_bytes().chunks(2).take(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join(":");
            let issuer = IssuerCertificate {
                subject: format!("CN=Defective Intermediate CA {serial}"),
                serial_number: serial.to_uppercase(),
                revoked: true,
            };
            self.issuers.insert(id.clone(), issuer);
        }
        let issuer = self.issuers.get_mut(&id).map(|issuer| {
            issuer.revoked = true;
            issuer.clone()
        });
        let issuer = issuer.ok_or_else(|| IotError::not_found(format!("Issuer {id} does not exist")))?;
        let issued = |one: &&Certificate| one.issuer.as_ref() == Some(&id) && one.status == CertificateStatus::Active;
        for _ in self.certificates.values().filter(issued).count()..devices {
            let (_, certificate) = self.new_device()?;
            if let Some(certificate) = self.certificates.get_mut(&certificate) {
                certificate.issuer = Some(id.clone());
            }
        }
        Ok(json!({ "issuerCertificateIdentifier": {
            "issuerCertificateSubject": issuer.subject,
            "issuerId": id,
            "issuerCertificateSerialNumber": issuer.serial_number,
        }}))
    }

    fn misconfigured(&self, denied: &str) -> String {
        let arn = |topic: &str| self.arn("topicfilter", topic);
        let statement =
            |effect: &str, topic: &str| json!({ "Effect": effect, "Action": "iot:Subscribe", "Resource": arn(topic) });
        json!({ "Version": "2012-10-17", "Statement": [statement("Allow", "plant/*"), statement("Deny", denied)] })
            .to_string()
    }

    fn spoil_policy(&mut self, wanted: Option<&str>, document: &str) -> Result<Value, IotError> {
        let name = match wanted {
            Some(name) => {
                self.create_policy_version(name, document, true)?;
                name.to_owned()
            }
            None => {
                let name = fresh("defective-policy", &self.policies);
                self.create_policy(&name, document)?;
                name
            }
        };
        let version = self.policy(&name)?.default_version.to_string();
        Ok(json!({ "policyVersionIdentifier": { "policyName": name, "policyVersionId": version } }))
    }

    fn spoil_role_alias(
        &mut self,
        wanted: Option<&str>,
        spoil: impl FnOnce(&mut RoleAlias),
    ) -> Result<Value, IotError> {
        // As in the API, by name or by ARN.
        let wanted = wanted.map(|name| name.rsplit_once(":rolealias/").map_or(name, |(_, name)| name));
        let name = match wanted {
            Some(name) if self.role_aliases.contains_key(name) => name.to_owned(),
            Some(name) => return Err(IotError::not_found(format!("Role alias {name} does not exist"))),
            None => {
                let name = fresh("defective-alias", &self.role_aliases);
                let role_arn = format!("arn:aws:iam::{}:role/{name}", self.account);
                let alias = RoleAlias { role_arn, created_ms: self.now_ms(), ..RoleAlias::default() };
                self.role_aliases.insert(name.clone(), alias);
                name
            }
        };
        self.role_aliases.get_mut(&name).map(spoil);
        Ok(json!({ "roleAliasArn": self.arn("rolealias", &name) }))
    }

    fn spoil_pool(&mut self, wanted: Option<&str>, spoil: impl FnOnce(&mut CognitoPool)) -> Result<Value, IotError> {
        let id = match wanted {
            Some(id) if self.cognito_pools.contains_key(id) => id.to_owned(),
            Some(id) => return Err(IotError::not_found(format!("Cognito identity pool {id} does not exist"))),
            None => {
                let uuid = self.new_uuid();
                format!("{}:{uuid}", self.region)
            }
        };
        spoil(self.cognito_pools.entry(id.clone()).or_default());
        Ok(json!({ "cognitoIdentityPoolId": id }))
    }

    fn disable_logging(&mut self, wanted: Option<&str>) -> Result<Value, IotError> {
        if let Some(account) = wanted.filter(|account| *account != self.account) {
            return Err(IotError::not_found(format!("Account {account} is not the one of this sandbox")));
        }
        if let Some(options) = &mut self.logging {
            "DISABLED".clone_into(&mut options.default_log_level);
        }
        if let Some(options) = &mut self.logging_v1 {
            "DISABLED".clone_into(&mut options.log_level);
        }
        Ok(json!({ "account": self.account }))
    }
}

pub(super) const SHARED: &str = "DEVICE_CERTIFICATE_SHARED_CHECK";

/// Devices of one defect.
const MAX_DEVICES: usize = 1000;

fn note(facts: &mut Vec<String>, fact: &str) {
    if !facts.iter().any(|known| known == fact) {
        facts.push(fact.to_owned());
    }
}

/// `defective-1`, or the next number that is free.
fn fresh<V>(kind: &str, taken: &BTreeMap<String, V>) -> String {
    let mut number = taken.keys().filter(|name| name.starts_with(kind)).count() + 1;
    while taken.contains_key(&format!("{kind}-{number}")) {
        number += 1;
    }
    format!("{kind}-{number}")
}
