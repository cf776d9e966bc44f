//! Defects, on the fleet itself.

use std::collections::BTreeMap;

use serde_json::Value;

use super::checks::{CHECKS, INTERMEDIATE_CA_CHECK};
use super::defects::{Defect, SHARED, reason_codes};
use super::fleet::Fleet;

fn fleet() -> Fleet {
    let mut fleet = Fleet::new("123456789012", "us-east-1", 1, 1_791_000_000_000);
    fleet.set_logging(Some("arn:aws:iam::123456789012:role/Log"), Some("ERROR"), None).unwrap();
    fleet
}

fn found(fleet: &Fleet) -> Vec<(&'static str, String, Value)> {
    let none = BTreeMap::new();
    let violations = |check: &'static super::checks::Check| {
        let found = check.evaluate(fleet, &none).violations.into_iter();
        found.map(move |one| (check.name, one.code, one.resource.identifier))
    };
    CHECKS.iter().flat_map(violations).collect()
}

#[test]
fn every_check_can_be_made_to_fail_with_each_of_its_reason_codes_and_fails_alone() {
    for check in &CHECKS {
        assert!(!reason_codes(check.name).is_empty(), "{}", check.name);
        for reason in reason_codes(check.name) {
            let mut fleet = fleet();
            assert_eq!(found(&fleet), [], "a fleet in order");
            let reason = (*reason).to_owned();
            let defect = Defect { check: check.name.to_owned(), reason: Some(reason.clone()), ..Defect::default() };
            let planted = fleet.plant_defect(&defect).unwrap();
            assert_eq!(found(&fleet), [(check.name, reason, planted.resource.identifier)]);
        }
    }
}

#[test]
fn the_reason_codes_are_those_of_the_programs_own_catalogue() {
    for known in crate::finding::catalogue::CHECKS {
        assert_eq!(reason_codes(known.name), known.reason_codes, "{}", known.name);
    }
}

#[test]
fn a_resource_that_is_there_can_be_made_defective() {
    let mut fleet = fleet();
    let id = fleet.create_certificate(true);
    let ask = |check: &str, resource: &str| Defect {
        check: check.to_owned(),
        resource: Some(resource.to_owned()),
        ..Defect::default()
    };
    let expiring = "DEVICE_CERTIFICATE_EXPIRING_CHECK";
    let planted = fleet.plant_defect(&ask(expiring, &id)).unwrap();
    assert_eq!((planted.resource.identifier("deviceCertificateId"), planted.things.len()), (Some(id.as_str()), 0));
    assert_eq!(fleet.plant_defect(&ask(expiring, &"f".repeat(64))).unwrap_err().status, 404);
    fleet.create_policy("lamps", r#"{"Version":"2012-10-17","Statement":[]}"#).unwrap();
    let planted = fleet.plant_defect(&ask("IOT_POLICY_OVERLY_PERMISSIVE_CHECK", "lamps")).unwrap();
    assert_eq!(planted.resource.identifier["policyVersionIdentifier"]["policyVersionId"], "2");
    fleet.update_certificate(&id, "INACTIVE").unwrap();
    let error = fleet.plant_defect(&ask(expiring, &id)).unwrap_err();
    assert!(error.message.contains("does not look at"), "an inactive certificate is no finding: {error}");
}

#[test]
fn a_defect_can_involve_more_devices_than_a_finding_shows() {
    let mut fleet = fleet();
    for (check, devices) in [(SHARED, 12), (INTERMEDIATE_CA_CHECK, 30)] {
        let defect = Defect { check: check.to_owned(), devices: Some(devices), ..Defect::default() };
        let planted = fleet.plant_defect(&defect).unwrap();
        assert_eq!((planted.related.len(), planted.things.len()), (devices, devices), "{check}");
    }
}

#[test]
fn what_a_check_does_not_know_is_refused_by_name() {
    let mut fleet = fleet();
    let refuse = |fleet: &mut Fleet, defect: Defect| fleet.plant_defect(&defect).unwrap_err().message;
    let check = "LOGGING_DISABLED_CHECK".to_owned();
    let reason = Some("CERTIFICATE_PAST_EXPIRATION".to_owned());
    let message = refuse(&mut fleet, Defect { check: check.clone(), reason, ..Defect::default() });
    assert!(message.contains("is not a reason code of LOGGING_DISABLED_CHECK: LOGGING_DISABLED"), "{message}");
    let message = refuse(&mut fleet, Defect { check, devices: Some(3), ..Defect::default() });
    assert!(message.contains("devices can be given for"), "{message}");
    let message = refuse(&mut fleet, Defect { check: "NO_SUCH_CHECK".to_owned(), ..Defect::default() });
    assert!(message.contains("NO_SUCH_CHECK"), "{message}");
}
