//! Where a worker's quotas come from.

use super::bench::{Bench, ran};
use fleetwarden::sandbox::iot::Quotas;
use fleetwarden::sandbox::{AwsFaults, AwsService, ServiceFaults};

/// A bench whose account has these quotas.
async fn with_quotas(quotas: Quotas) -> Bench {
    let bench = Bench::new().await;
    bench.sandbox.iot().set_quotas(quotas);
    bench
}

/// The lines of a log that tell which quotas differ from AWS's defaults.
fn differing(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains("a quota differs from AWS's default")).collect()
}

fn raised(operation: &str, rate: f64) -> Quotas {
    let mut quotas = Quotas::scaled(1.0);
    quotas.rates.insert(operation.to_owned(), rate);
    quotas
}

#[tokio::test]
async fn a_raised_quota_is_read_from_service_quotas_and_told_at_start() {
    let bench = with_quotas(raised("UpdateCertificate", 50.0)).await;
    let ran = bench.run(&["run", "--quota", "service-quotas", "--until-empty"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let differing = differing(&ran.err);
    assert_eq!(differing.len(), 1, "{ran:?}");
    for part in ["UpdateCertificate", "quota=50", "default=10", "Service Quotas"] {
        assert!(differing[0].contains(part), "`{part}` is not in: {}", differing[0]);
    }
    assert!(!ran.err.contains("WARN"), "{}", ran.err);
}

#[tokio::test]
async fn the_command_line_wins_over_the_policy_and_the_policy_over_service_quotas() {
    let mut quotas = raised("UpdateCertificate", 50.0);
    quotas.rates.extend([("GetPolicy".to_owned(), 51.0), ("ListAuditFindings".to_owned(), 52.0)]);
    let bench = with_quotas(quotas).await;
    let said = "version: 1\nquotas: { service-quotas: true, UpdateCertificate: 40, GetPolicy: 41 }\nrules: []\n";
    let policy = bench.file("policy.yaml", said);
    let ran = bench.run(&["run", "--policy", &policy, "--quota", "UpdateCertificate=30", "--until-empty"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let differing = differing(&ran.err);
    assert_eq!(differing.len(), 3, "{ran:?}");
    for parts in [
        ["UpdateCertificate", "quota=30", "--quota"],
        ["GetPolicy", "quota=41", "the policy"],
        ["ListAuditFindings", "quota=52", "Service Quotas"],
    ] {
        let told = |line: &&str| parts.iter().all(|part| line.contains(part));
        assert!(differing.iter().any(told), "{parts:?} is not in: {differing:#?}");
    }
}

#[tokio::test]
async fn without_permission_the_defaults_hold_with_a_warning_and_the_work_goes_on() {
    let bench = with_quotas(raised("UpdateCertificate", 50.0)).await;
    let denied = ServiceFaults { denied: true, ..ServiceFaults::default() };
    let faults = AwsFaults { services: [(AwsService::ServiceQuotas, denied)].into(), ..AwsFaults::default() };
    bench.sandbox.set_faults(faults).unwrap();
    bench.publish(include_str!("../fixtures/finding_iot_policy.json")).await;
    let ran =
        ran(bench.command().env("FLEETWARDEN_QUOTAS", "service-quotas,GetPolicy=9").args(["run", "--until-empty"]))
            .await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let warnings: Vec<_> = ran.err.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 1, "{ran:?}");
    for part in ["AccessDenied", "`iotcore` and `iot`", "AWS's defaults", "allow servicequotas:ListServiceQuotas"] {
        assert!(warnings[0].contains(part), "`{part}` is not in: {}", warnings[0]);
    }
    assert_eq!(differing(&ran.err).len(), 1, "only what was said: {}", ran.err);
    assert_eq!(bench.depths().await, (0, 0), "the finding was worked on");
}

#[tokio::test]
async fn nobody_is_asked_who_was_not_named() {
    let bench = with_quotas(raised("UpdateCertificate", 50.0)).await;
    let ran = bench.run(&["run", "--until-empty"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!ran.err.contains("quota"), "{}", ran.err);
}
