//! Fleets with known defects.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use super::certificates::{CaCertificate, Certificate, IssuerCertificate, WeakKey};
use super::checks::{AGE_CHECK, INTERMEDIATE_CA_CHECK};
use super::error::IotError;
use super::fleet::{CognitoPool, Connection, Fleet, RoleAlias};

/// The thing group that seeds make for things that should be kept apart.
pub const QUARANTINE: &str = "Quarantine";

const HOUR_MS: i64 = 60 * 60 * 1000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// What was planted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SeedReport {
    /// Things made, each with one certificate.
    pub things: usize,
    /// Findings that an audit of the check will have, by check.
    pub defects: BTreeMap<String, usize>,
}

impl SeedReport {
    /// Findings that an audit of all 17 checks will have.
    pub fn total(&self) -> usize {
        self.defects.values().sum()
    }

    fn add(&mut self, check: &str) {
        *self.defects.entry(check.to_owned()).or_insert(0) += 1;
    }
}

/// Replaces the registry by `things` things (at least one) with defects of every kind, and enables audits as the AWS
/// console does (all checks but the certificate age check). The same seed gives the same fleet.
///
/// Of a thousand certificates about 420 expire soon, 280 have expired, 320 are revoked by their issuer, 300 are shared
/// and 280 have weak keys: 1.6 findings a thing, and often several on one certificate. Everything else comes in dozens.
pub fn defective_fleet(fleet: &mut Fleet, things: usize, seed: u64) -> SeedReport {
    let things = things.max(1);
    clear_registry(fleet);
    fleet.enable_audits(None);
    let mut seeder =
        Seeder { dice: fastrand::Rng::with_seed(seed), now: fleet.now_ms(), report: SeedReport::default() };
    seeder.report.things = things;
    seeder.authorities(fleet);
    seeder.policies(fleet, (things * 3 / 100).max(24));
    seeder.devices(fleet, things);
    seeder.client_id_conflicts(fleet);
    seeder.identities(fleet);
    // A log level that was chosen once and switched off: the role is known, nothing is logged.
    let role_arn = format!("arn:aws:iam::{}:role/IoTLogging", fleet.account);
    infallible(fleet.set_logging(Some(&role_arn), Some("DISABLED"), Some(false)));
    seeder.report.add("LOGGING_DISABLED_CHECK");
    infallible(fleet.create_thing_group(QUARANTINE, None, None).map(|_| ()));
    seeder.report
}

fn clear_registry(fleet: &mut Fleet) {
    fleet.things.clear();
    fleet.certificates.clear();
    fleet.ca_certificates.clear();
    fleet.issuers.clear();
    fleet.policies.clear();
    fleet.thing_groups.clear();
    fleet.principals.clear();
    fleet.connections.clear();
    fleet.role_aliases.clear();
    fleet.cognito_pools.clear();
    fleet.logging = None;
    fleet.logging_v1 = None;
}

/// A call of a seed on an empty registry with literal names: an error is a mistake in the seed.
fn infallible(result: Result<(), IotError>) {
    debug_assert_eq!(result, Ok(()), "a seed was refused");
}

const OPEN: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;
const WORKSHOP: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iot:Connect","iot:Publish","iot:Subscribe"],"Resource":"*"}]}"#;

fn policy_document(fleet: &Fleet, statements: &[(&str, &str, &str)]) -> String {
    let statement = |(effect, action, resource): &(&str, &str, &str)| {
        let resource = format!("arn:aws:iot:{}:{}:{resource}", fleet.region, fleet.account);
        json!({ "Effect": effect, "Action": action, "Resource": resource })
    };
    json!({ "Version": "2012-10-17", "Statement": statements.iter().map(statement).collect::<Vec<_>>() }).to_string()
}

struct Seeder {
    dice: fastrand::Rng,
    now: i64,
    report: SeedReport,
}

impl Seeder {
    fn certificate_id(&mut self) -> String {
        format!("{:032x}{:032x}", self.dice.u128(..), self.dice.u128(..))
    }

    fn weak_key(&mut self) -> WeakKey {
        if self.dice.bool() { WeakKey::Roca } else { WeakKey::Debian }
    }

    /// CA certificates: 4 near or past their end, 3 with weak keys, 3 revoked, 4 in order; and four intermediate CAs,
    /// three of them revoked.
    fn authorities(&mut self, fleet: &mut Fleet) {
        for n in 0..14 {
            let mut ca = CaCertificate::new(self.now - 200 * DAY_MS);
            match n {
                0..4 => {
                    ca.not_after_ms = self.now + if n % 2 == 0 { 20 } else { -10 } * DAY_MS;
                    self.report.add("CA_CERTIFICATE_EXPIRING_CHECK");
                }
                4..7 => {
                    ca.weak_key = Some(self.weak_key());
                    self.report.add("CA_CERTIFICATE_KEY_QUALITY_CHECK");
                }
                7..10 => {
                    ca.revoked_by_issuer = true;
                    self.report.add("REVOKED_CA_CERTIFICATE_STILL_ACTIVE_CHECK");
                }
                _ => {}
            }
            let id = self.certificate_id();
            fleet.ca_certificates.insert(id, ca);
        }
        for n in 0..4 {
            let serial = self.dice.u32(..).to_be_bytes().map(|byte| format!("{byte:02X}")).join(":");
            let issuer = IssuerCertificate {
                subject: format!("CN=Example Intermediate CA {}", n + 1),
                serial_number: serial,
                revoked: n < 3,
            };
            let id = self.certificate_id();
            fleet.issuers.insert(id, issuer);
        }
    }

    /// Overly permissive ones (every fourth has five versions already), eight that may be misconfigured, ten in order.
    fn policies(&mut self, fleet: &mut Fleet, permissive: usize) {
        for n in 0..permissive {
            let name = format!("fleet-policy-{n:04}");
            let document = if n % 2 == 0 { OPEN } else { WORKSHOP };
            infallible(fleet.create_policy(&name, document).map(|_| ()));
            for _ in 1..if n % 4 == 0 { 5 } else { 1 } {
                infallible(fleet.create_policy_version(&name, document, true).map(|_| ()));
            }
            self.report.add("IOT_POLICY_OVERLY_PERMISSIVE_CHECK");
        }
        for n in 0..8 {
            let denied = if n % 2 == 0 { "topicfilter/plant/+/control" } else { "topicfilter/plant/control/*" };
            let statements = [("Allow", "iot:Subscribe", "topicfilter/plant/*"), ("Deny", "iot:Subscribe", denied)];
            let document = policy_document(fleet, &statements);
            infallible(fleet.create_policy(&format!("plant-policy-{n:02}"), &document).map(|_| ()));
            self.report.add("IOT_POLICY_POTENTIAL_MISCONFIGURATION_CHECK");
        }
        for n in 0..10 {
            let own = "client/${iot:Connection.Thing.ThingName}";
            let document = policy_document(fleet, &[("Allow", "iot:Connect", own)]);
            infallible(fleet.create_policy(&format!("narrow-policy-{n:02}"), &document).map(|_| ()));
        }
    }

    fn devices(&mut self, fleet: &mut Fleet, things: usize) {
        let cas: Vec<String> = fleet.ca_certificates.keys().cloned().collect();
        let policies: Vec<String> = fleet.policies.keys().cloned().collect();
        let revoked = fleet.issuers.iter().filter(|(_, issuer)| issuer.revoked);
        let issuers: Vec<String> = revoked.map(|(id, _)| id.clone()).collect();
        for _ in 0..issuers.len().min(things) {
            self.report.add(INTERMEDIATE_CA_CHECK);
        }
        for n in 0..things {
            let name = format!("device-{n:05}");
            let id = self.certificate_id();
            let mut certificate = self.certificate(n, things);
            certificate.ca_certificate_id = Some(cas[self.dice.usize(..cas.len())].clone());
            // A few dozen devices have a certificate of a revoked intermediate CA.
            certificate.issuer = (n < 36).then(|| issuers[n % issuers.len()].clone());
            fleet.certificates.insert(id.clone(), certificate);
            infallible(fleet.create_thing(&name, BTreeMap::new()).map(|_| ()));
            let arn = fleet.arn("cert", &id);
            infallible(fleet.attach_thing_principal(&name, &arn));
            infallible(fleet.attach_policy(&policies[n % policies.len()], &arn));
            let connection = self.connection(&name, &id);
            fleet.connections.push(connection);
            if self.hits(0.30, n, things, 4) {
                let connection = self.connection(&format!("{name}-clone"), &id);
                fleet.connections.push(connection);
                self.report.add("DEVICE_CERTIFICATE_SHARED_CHECK");
            }
        }
    }

    /// `true` with this probability; and always for the `first`th thing, so that a small fleet has every defect too.
    fn hits(&mut self, probability: f64, n: usize, things: usize, first: usize) -> bool {
        let lucky = self.dice.f64() < probability;
        lucky || n == first % things
    }

    fn certificate(&mut self, n: usize, things: usize) -> Certificate {
        let mut certificate = Certificate::new(self.now - self.dice.i64(1..200) * DAY_MS);
        let approaching = self.hits(0.42, n, things, 0);
        // 0.28 of all: 0.28 / (1 - 0.42) of those that do not expire soon.
        let past = self.hits(0.483, n, things, 1) && !approaching;
        if approaching || past {
            let days = if approaching { self.dice.i64(1..29) } else { -self.dice.i64(1..60) };
            certificate.not_after_ms = self.now + days * DAY_MS;
            // 300 days of validity: older than it is, a certificate would be a finding of the age check as well.
            certificate.created_ms = certificate.not_after_ms - 300 * DAY_MS;
            self.report.add("DEVICE_CERTIFICATE_EXPIRING_CHECK");
        }
        if self.hits(0.02, n, things, 5) {
            certificate.created_ms = self.now - self.dice.i64(400..900) * DAY_MS;
            self.report.add(AGE_CHECK);
        }
        certificate.not_before_ms = certificate.created_ms;
        certificate.modified_ms = certificate.created_ms;
        if self.hits(0.32, n, things, 2) {
            certificate.revoked_by_issuer = true;
            self.report.add("REVOKED_DEVICE_CERTIFICATE_STILL_ACTIVE_CHECK");
        }
        if self.hits(0.28, n, things, 3) {
            certificate.weak_key = Some(self.weak_key());
            self.report.add("DEVICE_CERTIFICATE_KEY_QUALITY_CHECK");
        }
        certificate
    }

    /// Inside the 31 days that an audit looks at, and clear of its last two hours.
    fn connection(&mut self, client_id: &str, certificate_id: &str) -> Connection {
        let connected_ms = self.now - self.dice.i64(1..20) * DAY_MS - self.dice.i64(1..20) * HOUR_MS;
        Connection {
            client_id: client_id.to_owned(),
            certificate_id: certificate_id.to_owned(),
            connected_ms,
            disconnected_ms: Some(connected_ms + self.dice.i64(1..20) * HOUR_MS),
            ended_by_duplicate_client_id: false,
        }
    }

    /// Five devices whose client id is used twice at once, with the device's own certificate.
    fn client_id_conflicts(&mut self, fleet: &mut Fleet) {
        let (mut seen, mut again) = (std::collections::BTreeSet::new(), Vec::new());
        for connection in &mut fleet.connections {
            if again.len() < 5 && seen.insert(connection.client_id.clone()) {
                connection.ended_by_duplicate_client_id = true;
                let start = connection.disconnected_ms.unwrap_or(connection.connected_ms);
                let mut other = connection.clone();
                (other.connected_ms, other.disconnected_ms) = (start, Some(start + HOUR_MS));
                other.ended_by_duplicate_client_id = false;
                again.push(other);
                self.report.add("CONFLICTING_CLIENT_IDS_CHECK");
            }
        }
        fleet.connections.extend(again);
    }

    /// What only IAM knows about the roles of role aliases and Cognito pools.
    fn identities(&mut self, fleet: &mut Fleet) {
        let aliases = [
            ("telemetry-upload", "ALLOWS_BROAD_ACCESS_TO_USED_SERVICES", ""),
            ("firmware-download", "ALLOWS_BROAD_ACCESS_TO_IOT_DATA_PLANE_ACTIONS", ""),
            ("camera-stream", "ALLOWS_ACCESS_TO_SECURITY_AUDITING_SERVICES", ""),
            ("legacy-sync", "", "dynamodb"),
            ("lab-bench", "", "s3"),
            ("in-order", "", ""),
        ];
        let list = |text: &str| if text.is_empty() { Vec::new() } else { vec![text.to_owned()] };
        for (name, code, service) in aliases {
            let alias = RoleAlias {
                role_arn: format!("arn:aws:iam::{}:role/{name}", fleet.account),
                overly_permissive: list(code),
                unused_services: list(service),
                created_ms: self.now - 100 * DAY_MS,
            };
            if !code.is_empty() {
                self.report.add("IOT_ROLE_ALIAS_OVERLY_PERMISSIVE_CHECK");
            }
            if !service.is_empty() {
                self.report.add("IOT_ROLE_ALIAS_ALLOWS_ACCESS_TO_UNUSED_SERVICES_CHECK");
            }
            fleet.role_aliases.insert(name.to_owned(), alias);
        }
        let pools = [
            ("ALLOWS_ACCESS_TO_IOT_THING_ADMIN_WRITE_ACTIONS", ""),
            ("ALLOWS_ACCESS_TO_IOT_NON_THING_ADMIN_ACTIONS", "ALLOWS_ACCESS_TO_IOT_ADMIN_ACTIONS"),
            ("", "ALLOWS_BROAD_ACCESS_TO_IOT_DATA_PLANE_ACTIONS"),
        ];
        for (authenticated, unauthenticated) in pools {
            let uuid = uuid::Builder::from_random_bytes(self.dice.u128(..).to_be_bytes()).into_uuid();
            if !authenticated.is_empty() {
                self.report.add("AUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK");
            }
            if !unauthenticated.is_empty() {
                self.report.add("UNAUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK");
            }
            let pool = CognitoPool { authenticated: list(authenticated), unauthenticated: list(unauthenticated) };
            fleet.cognito_pools.insert(format!("{}:{uuid}", fleet.region), pool);
        }
    }
}

/// Replaces the registry by the workshop's: two sensors that share one certificate, a policy that allows everything,
/// logging that was configured and switched off. Enables audits, and plants the workshop's sample finding about the
/// policy under its own id, so that it can be looked up.
pub fn workshop(fleet: &mut Fleet) {
    // The certificate of the sample of a shared certificate finding.
    const CERTIFICATE: &str = "03204de92e11fc8c528139be419065920eb83dbff1a4663bbea455aa6e9702bd";
    clear_registry(fleet);
    fleet.enable_audits(None);
    let now = fleet.now_ms();
    fleet.certificates.insert(CERTIFICATE.to_owned(), Certificate::new(now - 10 * DAY_MS));
    let arn = fleet.arn("cert", CERTIFICATE);
    infallible(fleet.create_policy("ExamplePolicy", WORKSHOP).map(|_| ()));
    infallible(fleet.attach_policy("ExamplePolicy", &arn));
    for (hours, name) in [(5, "SensorDevice01"), (8, "SensorDevice02")] {
        infallible(fleet.create_thing(name, BTreeMap::new()).map(|_| ()));
        infallible(fleet.attach_thing_principal(name, &arn));
        fleet.connections.push(Connection {
            client_id: name.to_owned(),
            certificate_id: CERTIFICATE.to_owned(),
            connected_ms: now - hours * HOUR_MS,
            disconnected_ms: Some(now - (hours - 1) * HOUR_MS),
            ended_by_duplicate_client_id: false,
        });
    }
    let role_arn = format!("arn:aws:iam::{}:role/IoTLogging", fleet.account);
    infallible(fleet.set_logging(Some(&role_arn), Some("ERROR"), Some(false)));
    infallible(fleet.set_logging(None, Some("DISABLED"), None));
    infallible(fleet.create_thing_group(QUARANTINE, None, None).map(|_| ()));
    infallible(fleet.plant_finding(&json!({
        "findingId": "11111111-1111-4111-8111-111111111111",
        "findingTime": 1_791_014_401_456_i64,
        "severity": "CRITICAL",
        "taskStartTime": 1_791_014_400_123_i64,
        "nonCompliantResource": {
            "resourceType": "IOT_POLICY",
            "resourceIdentifier": {
                "policyVersionIdentifier": { "policyName": "ExamplePolicy", "policyVersionId": "1" },
            },
        },
        "taskId": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        "checkName": "IOT_POLICY_OVERLY_PERMISSIVE_CHECK",
        "reasonForNonComplianceCode": "ALLOWS_BROAD_ACCESS_TO_IOT_DATA_PLANE_ACTIONS",
        "reasonForNonCompliance":
            "Policy allows broad access to IoT data plane actions: [iot:Subscribe, iot:Connect, iot:Publish].",
    })));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::iot::checks::CHECKS;

    fn found(fleet: &Fleet) -> BTreeMap<String, usize> {
        let findings = |check: &super::super::checks::Check| check.evaluate(fleet, &BTreeMap::new()).violations.len();
        CHECKS.iter().map(|check| (check.name.to_owned(), findings(check))).collect()
    }

    fn seeded(things: usize, seed: u64) -> (Fleet, SeedReport) {
        let mut fleet = Fleet::new("123456789012", "us-east-1", 1, 1_791_000_000_000);
        let report = defective_fleet(&mut fleet, things, seed);
        (fleet, report)
    }

    #[test]
    fn an_audit_finds_what_the_report_says_check_by_check() {
        for (things, seed) in [(1, 3), (10, 4), (300, 5), (2000, 7)] {
            let (fleet, report) = seeded(things, seed);
            assert_eq!(found(&fleet), report.defects, "{things} things, seed {seed}");
            assert_eq!(report.defects.len(), 17, "every kind of defect, {things} things, seed {seed}");
        }
    }

    #[test]
    fn two_thousand_things_have_more_than_three_thousand_findings() {
        for seed in 0..20 {
            let (_, report) = seeded(2000, seed);
            assert!((3100..3700).contains(&report.total()), "seed {seed}: {} findings", report.total());
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_fleet_even_over_an_older_one() {
        let (first, report) = seeded(50, 9);
        let (mut second, _) = seeded(80, 2);
        assert_eq!(defective_fleet(&mut second, 50, 9), report);
        assert!(first.certificates.keys().eq(second.certificates.keys()));
        assert!(first.things.keys().eq(second.things.keys()));
    }

    #[test]
    fn some_permissive_policies_have_five_versions_already() {
        let (fleet, _) = seeded(100, 1);
        let full = fleet.policies.values().filter(|policy| policy.versions.len() == 5).count();
        assert!(full >= 6, "{full}");
    }

    #[test]
    fn the_workshop_has_its_three_defects_and_its_finding() {
        let mut fleet = Fleet::new("123456789012", "us-east-1", 1, 1_791_100_000_000);
        workshop(&mut fleet);
        let mut defects = found(&fleet);
        defects.retain(|_, count| *count > 0);
        let expected =
            ["DEVICE_CERTIFICATE_SHARED_CHECK", "IOT_POLICY_OVERLY_PERMISSIVE_CHECK", "LOGGING_DISABLED_CHECK"];
        assert!(defects.keys().eq(expected), "{defects:?}");
        assert!(fleet.defender.finding("11111111-1111-4111-8111-111111111111").is_some());
    }
}
