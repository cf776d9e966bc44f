//! The 17 audit checks: their catalogue, and the ones that look at certificates. Pure: a fleet in, violations out.
//!
//! Names, severities, reason codes and applicable actions follow the `audit-chk-*` pages of the Device Defender developer
//! guide. The wording of reasons is AWS's where a sample of it is public, ours elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::certificates::{CaCertificate, Certificate, CertificateStatus, WeakKey};
use super::defender::Resource;
use super::fleet::{Connection, Fleet};
use super::identity_checks::{
    authenticated_cognito_role, logging_disabled, overly_permissive_policy, overly_permissive_role_alias,
    policy_misconfiguration, unauthenticated_cognito_role, unused_services,
};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// An on-demand audit looks at connections of 31 days, ending two hours before it starts; a scheduled one at those since the
/// audit before it, less two hours (pages of the shared certificate and conflicting client id checks).
const WINDOW_MS: i64 = 31 * DAY_MS;
const WINDOW_ENDS_BEFORE_MS: i64 = 2 * 60 * 60 * 1000;

/// One audit check.
pub struct Check {
    /// For instance `DEVICE_CERTIFICATE_SHARED_CHECK`.
    pub name: &'static str,
    /// `CRITICAL`, `HIGH`, `MEDIUM` or `LOW`.
    pub severity: &'static str,
    /// Mitigation action types that apply, besides `PUBLISH_FINDING_TO_SNS`, which always does.
    pub actions: &'static [&'static str],
    evaluate: fn(&Fleet, &Settings<'_>) -> Evaluation,
}

const DEVICE: &[&str] = &["UPDATE_DEVICE_CERTIFICATE", "ADD_THINGS_TO_THING_GROUP"];
const CA: &[&str] = &["UPDATE_CA_CERTIFICATE"];
const POLICY: &[&str] = &["REPLACE_DEFAULT_POLICY_VERSION"];
const LOGGING: &[&str] = &["ENABLE_IOT_LOGGING"];
const NONE: &[&str] = &[];

/// The check whose affected certificates are only reachable through `ListRelatedResourcesForAuditFinding`.
pub const INTERMEDIATE_CA_CHECK: &str = "INTERMEDIATE_CA_REVOKED_FOR_ACTIVE_DEVICE_CERTIFICATES_CHECK";
/// The check that AWS leaves disabled when audits are first set up.
pub const AGE_CHECK: &str = "DEVICE_CERTIFICATE_AGE_CHECK";

const fn check(
    name: &'static str,
    severity: &'static str,
    actions: &'static [&'static str],
    evaluate: fn(&Fleet, &Settings<'_>) -> Evaluation,
) -> Check {
    Check { name, severity, actions, evaluate }
}

/// Every check, in the order of their names.
#[rustfmt::skip]
pub static CHECKS: [Check; 17] = [
    check("AUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK", "CRITICAL", NONE, authenticated_cognito_role),
    check("CA_CERTIFICATE_EXPIRING_CHECK", "MEDIUM", CA, expiring_ca_certificates),
    check("CA_CERTIFICATE_KEY_QUALITY_CHECK", "CRITICAL", CA, weak_ca_keys),
    check("CONFLICTING_CLIENT_IDS_CHECK", "HIGH", NONE, conflicting_client_ids),
    check(AGE_CHECK, "LOW", NONE, old_device_certificates),
    check("DEVICE_CERTIFICATE_EXPIRING_CHECK", "MEDIUM", DEVICE, expiring_device_certificates),
    check("DEVICE_CERTIFICATE_KEY_QUALITY_CHECK", "CRITICAL", DEVICE, weak_device_keys),
    check("DEVICE_CERTIFICATE_SHARED_CHECK", "CRITICAL", DEVICE, shared_device_certificates),
    check(INTERMEDIATE_CA_CHECK, "CRITICAL", DEVICE, revoked_intermediate_cas),
    check("IOT_POLICY_OVERLY_PERMISSIVE_CHECK", "CRITICAL", POLICY, overly_permissive_policy),
    check("IOT_POLICY_POTENTIAL_MISCONFIGURATION_CHECK", "MEDIUM", POLICY, policy_misconfiguration),
    check("IOT_ROLE_ALIAS_ALLOWS_ACCESS_TO_UNUSED_SERVICES_CHECK", "MEDIUM", NONE, unused_services),
    check("IOT_ROLE_ALIAS_OVERLY_PERMISSIVE_CHECK", "CRITICAL", NONE, overly_permissive_role_alias),
    check("LOGGING_DISABLED_CHECK", "LOW", LOGGING, logging_disabled),
    check("REVOKED_CA_CERTIFICATE_STILL_ACTIVE_CHECK", "CRITICAL", CA, revoked_ca_certificates),
    check("REVOKED_DEVICE_CERTIFICATE_STILL_ACTIVE_CHECK", "MEDIUM", DEVICE, revoked_device_certificates),
    check("UNAUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK", "CRITICAL", NONE, unauthenticated_cognito_role),
];

/// The check of this name.
pub fn find_check(name: &str) -> Option<&'static Check> {
    CHECKS.iter().find(|check| check.name == name)
}

impl Check {
    /// Looks at the fleet as it is now. `configuration` holds the thresholds of the account's audit configuration.
    pub fn evaluate(&self, fleet: &Fleet, configuration: &BTreeMap<String, String>) -> Evaluation {
        self.evaluate_since(fleet, configuration, None)
    }

    /// As [`evaluate`](Self::evaluate), in an audit whose schedule last ran one at `since_ms`, epoch milliseconds.
    pub(super) fn evaluate_since(
        &self,
        fleet: &Fleet,
        configuration: &BTreeMap<String, String>,
        since_ms: Option<i64>,
    ) -> Evaluation {
        (self.evaluate)(fleet, &Settings { now_ms: fleet.now_ms(), since_ms, configuration })
    }

    /// Whether Device Defender lets this action type be mapped to the check.
    pub fn takes(&self, action_type: &str) -> bool {
        action_type == "PUBLISH_FINDING_TO_SNS" || self.actions.contains(&action_type)
    }
}

pub(super) struct Settings<'a> {
    pub now_ms: i64,
    since_ms: Option<i64>,
    configuration: &'a BTreeMap<String, String>,
}

impl Settings<'_> {
    fn days(&self, name: &str, default: i64) -> i64 {
        self.configuration.get(name).and_then(|days| days.parse().ok()).unwrap_or(default)
    }
}

/// What a check saw.
#[derive(Debug, Default)]
pub struct Evaluation {
    /// Resources looked at.
    pub total: usize,
    /// What is wrong with them; a resource may appear more than once, with different reason codes.
    pub violations: Vec<Violation>,
}

/// One reason why one resource is not compliant.
#[derive(Debug)]
pub struct Violation {
    /// The resource.
    pub resource: Resource,
    /// What else is involved.
    pub related: Vec<Resource>,
    /// The reason code.
    pub code: String,
    /// The reason for people.
    pub reason: String,
}

impl Violation {
    pub(super) fn new(resource: Resource, code: &str, reason: impl Into<String>) -> Self {
        Self { resource, related: Vec::new(), code: code.to_owned(), reason: reason.into() }
    }
}

pub(super) fn resource(kind: &str, identifier: Value) -> Resource {
    Resource { kind: kind.to_owned(), identifier, additional_info: BTreeMap::new() }
}

fn device_certificate(id: &str) -> Resource {
    resource("DEVICE_CERTIFICATE", json!({ "deviceCertificateId": id }))
}

fn ca_certificate(id: &str) -> Resource {
    resource("CA_CERTIFICATE", json!({ "caCertificateId": id }))
}

fn active(certificate: &Certificate) -> bool {
    certificate.status == CertificateStatus::Active
}

/// Device certificates that a predicate holds for.
fn device_certificates(fleet: &Fleet, violation: impl Fn(&str, &Certificate) -> Option<Violation>) -> Evaluation {
    Evaluation {
        total: fleet.certificates.len(),
        violations: fleet.certificates.iter().filter_map(|(id, certificate)| violation(id, certificate)).collect(),
    }
}

fn ca_certificates(fleet: &Fleet, violation: impl Fn(&str, &CaCertificate) -> Option<Violation>) -> Evaluation {
    let active = fleet.ca_certificates.iter().filter(|(_, ca)| ca.active);
    Evaluation {
        total: fleet.ca_certificates.len(),
        violations: active.filter_map(|(id, ca)| violation(id, ca)).collect(),
    }
}

fn expiry(mut resource: Resource, not_after_ms: i64, settings: &Settings<'_>) -> Option<Violation> {
    let days = settings.days("CERT_EXPIRATION_THRESHOLD_IN_DAYS", 30);
    let (code, reason) = if not_after_ms <= settings.now_ms {
        ("CERTIFICATE_PAST_EXPIRATION", "Certificate is past its expiration.".to_owned())
    } else if not_after_ms <= settings.now_ms + days * DAY_MS {
        let reason = format!("Certificate approaching expiration in next {days} days.");
        ("CERTIFICATE_APPROACHING_EXPIRATION", reason)
    } else {
        return None;
    };
    resource.additional_info.insert("EXPIRATION_TIME".to_owned(), not_after_ms.to_string());
    Some(Violation::new(resource, code, reason))
}

fn expiring_device_certificates(fleet: &Fleet, settings: &Settings<'_>) -> Evaluation {
    device_certificates(fleet, |id, certificate| {
        // The page of this check names these two statuses.
        let looked_at = active(certificate) || certificate.status == CertificateStatus::PendingTransfer;
        looked_at.then(|| expiry(device_certificate(id), certificate.not_after_ms, settings)).flatten()
    })
}

fn expiring_ca_certificates(fleet: &Fleet, settings: &Settings<'_>) -> Evaluation {
    ca_certificates(fleet, |id, ca| expiry(ca_certificate(id), ca.not_after_ms, settings))
}

fn weak_key(resource: Resource, weakness: Option<WeakKey>) -> Option<Violation> {
    weakness.map(|weakness| {
        let code = weakness.reason_code();
        Violation::new(resource, code, format!("The key of the certificate has a known vulnerability: {code}."))
    })
}

fn weak_device_keys(fleet: &Fleet, _: &Settings<'_>) -> Evaluation {
    device_certificates(fleet, |id, certificate| {
        weak_key(device_certificate(id), certificate.weak_key).filter(|_| active(certificate))
    })
}

fn weak_ca_keys(fleet: &Fleet, _: &Settings<'_>) -> Evaluation {
    ca_certificates(fleet, |id, ca| weak_key(ca_certificate(id), ca.weak_key))
}

fn revoked_device_certificates(fleet: &Fleet, _: &Settings<'_>) -> Evaluation {
    device_certificates(fleet, |id, certificate| {
        (active(certificate) && certificate.revoked_by_issuer).then(|| revoked(device_certificate(id)))
    })
}

fn revoked_ca_certificates(fleet: &Fleet, _: &Settings<'_>) -> Evaluation {
    ca_certificates(fleet, |id, ca| ca.revoked_by_issuer.then(|| revoked(ca_certificate(id))))
}

fn revoked(resource: Resource) -> Violation {
    let reason = "Certificate has been revoked by its issuer and is still active.";
    Violation::new(resource, "CERTIFICATE_REVOKED_BY_ISSUER", reason)
}

fn old_device_certificates(fleet: &Fleet, settings: &Settings<'_>) -> Evaluation {
    let days = settings.days("CERT_AGE_THRESHOLD_IN_DAYS", 365);
    device_certificates(fleet, |id, certificate| {
        let old = certificate.created_ms <= settings.now_ms - days * DAY_MS;
        (active(certificate) && old).then(|| {
            let reason = format!("Certificate has been active for at least {days} days.");
            Violation::new(device_certificate(id), "CERTIFICATE_PAST_AGE_THRESHOLD", reason)
        })
    })
}

/// Connections inside the window that the audit looks at.
fn recent_connections<'a>(fleet: &'a Fleet, settings: &Settings<'_>) -> impl Iterator<Item = &'a Connection> {
    let end = settings.now_ms - WINDOW_ENDS_BEFORE_MS;
    let start = settings.since_ms.map_or(end - WINDOW_MS, |since| since - WINDOW_ENDS_BEFORE_MS);
    fleet.connections.iter().filter(move |connection| {
        let until = connection.disconnected_ms.unwrap_or(i64::MAX);
        connection.connected_ms <= end && until >= start
    })
}

fn connection_times(mut resource: Resource, connection: &Connection) -> Resource {
    let info = &mut resource.additional_info;
    info.insert("CONNECTION_TIME".to_owned(), connection.connected_ms.to_string());
    if let Some(until) = connection.disconnected_ms {
        info.insert("DISCONNECTION_TIME".to_owned(), until.to_string());
    }
    resource
}

fn shared_device_certificates(fleet: &Fleet, settings: &Settings<'_>) -> Evaluation {
    // The latest connection of each client, by certificate.
    let mut users: BTreeMap<&str, BTreeMap<&str, &Connection>> = BTreeMap::new();
    for connection in recent_connections(fleet, settings) {
        let latest = users.entry(&connection.certificate_id).or_default();
        let entry = latest.entry(&connection.client_id).or_insert(connection);
        if connection.connected_ms > entry.connected_ms {
            *entry = connection;
        }
    }
    device_certificates(fleet, |id, certificate| {
        let clients = users.get(id).filter(|clients| clients.len() > 1 && active(certificate))?;
        let mut violation = Violation::new(
            device_certificate(id),
            "CERTIFICATE_SHARED_BY_MULTIPLE_DEVICES",
            "Certificate shared by one or more devices.",
        );
        violation.related =
            clients.iter().map(|(client, connection)| connection_times(client_id(client), connection)).collect();
        Some(violation)
    })
}

fn client_id(client: &str) -> Resource {
    resource("CLIENT_ID", json!({ "clientId": client }))
}

fn conflicting_client_ids(fleet: &Fleet, settings: &Settings<'_>) -> Evaluation {
    let mut clients: BTreeMap<&str, Vec<&Connection>> = BTreeMap::new();
    for connection in recent_connections(fleet, settings) {
        clients.entry(&connection.client_id).or_default().push(connection);
    }
    let conflicting =
        |connections: &&Vec<&Connection>| connections.iter().any(|connection| connection.ended_by_duplicate_client_id);
    let violations = clients.iter().filter(|(_, connections)| conflicting(connections)).map(|(client, connections)| {
        let mut violation = Violation::new(
            client_id(client),
            "DUPLICATE_CLIENT_ID_ACROSS_CONNECTIONS",
            "Several connections have used the same client ID.",
        );
        violation.related = connections
            .iter()
            .map(|connection| connection_times(device_certificate(&connection.certificate_id), connection))
            .collect();
        violation
    });
    Evaluation { total: clients.len(), violations: violations.collect() }
}

fn revoked_intermediate_cas(fleet: &Fleet, _: &Settings<'_>) -> Evaluation {
    let mut issued: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (id, certificate) in fleet.certificates.iter().filter(|(_, certificate)| active(certificate)) {
        if let Some(issuer) = &certificate.issuer {
            issued.entry(issuer).or_default().insert(id);
        }
    }
    let violations = fleet.issuers.iter().filter(|(_, issuer)| issuer.revoked).filter_map(|(id, issuer)| {
        let certificates = issued.get(id.as_str())?;
        let identifier = json!({ "issuerCertificateIdentifier": {
            "issuerCertificateSubject": issuer.subject,
            "issuerId": id,
            "issuerCertificateSerialNumber": issuer.serial_number,
        }});
        let reason =
            "Intermediate CA has been revoked by its issuer and device certificates that it issued are active.";
        let mut violation =
            Violation::new(resource("ISSUER_CERTIFICATE", identifier), "INTERMEDIATE_CA_REVOKED_BY_ISSUER", reason);
        violation.related = certificates.iter().map(|id| device_certificate(id)).collect();
        Some(violation)
    });
    Evaluation { total: fleet.issuers.len(), violations: violations.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::iot::certificates::IssuerCertificate;

    const NOW: i64 = 1_791_000_000_000;

    fn fleet() -> Fleet {
        Fleet::new("123456789012", "us-east-1", 1, NOW)
    }

    fn codes(fleet: &Fleet, name: &str) -> Vec<String> {
        let evaluation = find_check(name).unwrap().evaluate(fleet, &BTreeMap::new());
        evaluation.violations.into_iter().map(|violation| violation.code).collect()
    }

    fn connection(client: &str, certificate: &str, hours_ago: i64) -> Connection {
        Connection {
            client_id: client.to_owned(),
            certificate_id: certificate.to_owned(),
            connected_ms: NOW - hours_ago * 3_600_000,
            disconnected_ms: Some(NOW - hours_ago * 3_600_000 + 60_000),
            ended_by_duplicate_client_id: false,
        }
    }

    #[test]
    fn a_certificate_is_expiring_from_its_threshold_and_past_expiry_from_its_end() {
        let mut fleet = fleet();
        let id = fleet.create_certificate(true);
        for (days, code) in
            [(31, None), (30, Some("APPROACHING")), (1, Some("APPROACHING")), (0, Some("PAST")), (-5, Some("PAST"))]
        {
            fleet.certificates.get_mut(&id).unwrap().not_after_ms = NOW + days * DAY_MS;
            let expected: Vec<String> = code.map(|code| format!("CERTIFICATE_{code}_EXPIRATION")).into_iter().collect();
            assert_eq!(codes(&fleet, "DEVICE_CERTIFICATE_EXPIRING_CHECK"), expected, "{days} days left");
        }
        let wide = BTreeMap::from([("CERT_EXPIRATION_THRESHOLD_IN_DAYS".to_owned(), "90".to_owned())]);
        fleet.certificates.get_mut(&id).unwrap().not_after_ms = NOW + 80 * DAY_MS;
        let check = find_check("DEVICE_CERTIFICATE_EXPIRING_CHECK").unwrap();
        assert_eq!(check.evaluate(&fleet, &wide).violations.len(), 1);
    }

    #[test]
    fn an_inactive_certificate_is_no_finding_of_any_check() {
        let mut fleet = fleet();
        let id = fleet.create_certificate(true);
        fleet.issuers.insert(
            "ab".to_owned(),
            IssuerCertificate { subject: "CN=x".to_owned(), serial_number: "0A".to_owned(), revoked: true },
        );
        let certificate = fleet.certificates.get_mut(&id).unwrap();
        certificate.not_after_ms = NOW - DAY_MS;
        certificate.created_ms = NOW - 1000 * DAY_MS;
        certificate.revoked_by_issuer = true;
        certificate.weak_key = Some(WeakKey::Roca);
        certificate.issuer = Some("ab".to_owned());
        fleet.connections = vec![connection("a", &id, 5), connection("b", &id, 6)];
        let device_checks = CHECKS.iter().filter(|check| check.actions == DEVICE || check.name == AGE_CHECK);
        let names: Vec<_> = device_checks.map(|check| check.name).collect();
        assert_eq!(names.len(), 6);
        for name in &names {
            assert_eq!(codes(&fleet, name).len(), 1, "{name}");
        }
        fleet.update_certificate(&id, "INACTIVE").unwrap();
        for name in &names {
            assert_eq!(codes(&fleet, name), [""; 0], "{name}");
        }
    }

    #[test]
    fn a_certificate_is_shared_when_two_clients_used_it_within_the_window() {
        let mut fleet = fleet();
        let id = fleet.create_certificate(true);
        let shared = |fleet: &Fleet| codes(fleet, "DEVICE_CERTIFICATE_SHARED_CHECK").len();
        fleet.connections = vec![connection("a", &id, 5), connection("a", &id, 9)];
        assert_eq!(shared(&fleet), 0, "one client twice");
        fleet.connections.push(connection("b", &id, 1));
        assert_eq!(shared(&fleet), 0, "the last two hours are not looked at");
        fleet.connections.push(connection("c", &id, 40 * 24));
        assert_eq!(shared(&fleet), 0, "too long ago");
        fleet.connections.push(connection("d", &id, 7));
        assert_eq!(shared(&fleet), 1);
    }

    #[test]
    fn a_client_id_conflicts_when_a_connection_was_ended_by_another_with_it() {
        let mut fleet = fleet();
        fleet.connections = vec![connection("a", "x", 5), connection("a", "y", 4), connection("b", "z", 5)];
        assert_eq!(codes(&fleet, "CONFLICTING_CLIENT_IDS_CHECK").len(), 0);
        fleet.connections[0].ended_by_duplicate_client_id = true;
        assert_eq!(codes(&fleet, "CONFLICTING_CLIENT_IDS_CHECK"), ["DUPLICATE_CLIENT_ID_ACROSS_CONNECTIONS"]);
    }

    #[test]
    fn an_inactive_ca_is_no_finding() {
        let mut fleet = fleet();
        let mut ca = CaCertificate::new(NOW);
        (ca.not_after_ms, ca.revoked_by_issuer, ca.weak_key) = (NOW, true, Some(WeakKey::Debian));
        let id = "c".repeat(64);
        fleet.ca_certificates.insert(id.clone(), ca);
        let names: Vec<_> = CHECKS.iter().filter(|check| check.actions == CA).map(|check| check.name).collect();
        for name in &names {
            assert_eq!(codes(&fleet, name).len(), 1, "{name}");
        }
        fleet.update_ca_certificate(&id, Some("INACTIVE"), None).unwrap();
        for name in &names {
            assert_eq!(codes(&fleet, name).len(), 0, "{name}");
        }
    }
}
