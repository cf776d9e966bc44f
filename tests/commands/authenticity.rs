//! P6 over the wire, counted by the account: a thousand findings of one audit, all of them acted on, cost tens of calls.

use super::bench::Bench;
use fleetwarden::finding::{Finding, Resource, ResourceIdentifier, Severity, encode_own};
use fleetwarden::queue::{BATCH, Outgoing, Queue, SqsQueue};
use fleetwarden::sandbox::iot::{CertificateStatus, FaultKind, FaultRule, Faults};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Stdio;

const WIDE: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;
const SHARED: &str = "DEVICE_CERTIFICATE_SHARED_CHECK";
const EXPIRING: &str = "DEVICE_CERTIFICATE_EXPIRING_CHECK";
const PERMISSIVE: &str = "IOT_POLICY_OVERLY_PERMISSIVE_CHECK";
const MISCONFIGURED: &str = "IOT_POLICY_POTENTIAL_MISCONFIGURATION_CHECK";

/// All of them are acted on.
const POLICY: &str = "
version: 1
mode: enforce
rules:
  - name: deactivate
    match: { check: [DEVICE_CERTIFICATE_SHARED_CHECK, DEVICE_CERTIFICATE_EXPIRING_CHECK] }
    actions: [{ type: UPDATE_DEVICE_CERTIFICATE }]
  - name: blank
    match: { check: [IOT_POLICY_OVERLY_PERMISSIVE_CHECK, IOT_POLICY_POTENTIAL_MISCONFIGURATION_CHECK] }
    actions: [{ type: REPLACE_DEFAULT_POLICY_VERSION, template: BLANK_POLICY }]
";

/// What the actions call is not to be waited for. What findings are authenticated with keeps AWS's own quotas.
const QUOTAS: &str = "DescribeCertificate=2000,UpdateCertificate=2000,GetPolicy=2000,ListPolicyVersions=2000,\
                      GetPolicyVersion=2000,CreatePolicyVersion=2000,DeletePolicyVersion=2000";

fn finding(id: String, check: &str, kind: &str, identifier: ResourceIdentifier) -> Finding {
    Finding {
        finding_id: id,
        account: "123456789012".into(),
        region: "us-east-1".into(),
        task_id: Some("audit-1".into()),
        check: check.into(),
        reason_code: "CODE".into(),
        reason: "Words.".into(),
        severity: Severity::Critical,
        resource: Resource { kind: kind.into(), identifier, additional_info: BTreeMap::new() },
        related: Vec::new(),
        suppressed: false,
        found_at: Some(1_791_014_401_000),
        audit_started_at: Some(1_791_014_400_000),
    }
}

/// Findings of one audit with these numbers, a quarter in each of four checks, each with a resource of its own.
fn audit(bench: &Bench, numbers: std::ops::Range<usize>) -> Vec<Finding> {
    bench.sandbox.iot().with_fleet(|fleet| {
        let findings: Vec<_> = numbers
            .map(|n| match n % 4 {
                0 | 1 => {
                    let certificate = ResourceIdentifier::DeviceCertificate(fleet.create_certificate(true));
                    finding(format!("finding-{n}"), [SHARED, EXPIRING][n % 2], "DEVICE_CERTIFICATE", certificate)
                }
                other => {
                    let policy = format!("Policy{n}");
                    fleet.create_policy(&policy, WIDE).unwrap();
                    let version = ResourceIdentifier::PolicyVersion { policy, version: "1".into() };
                    finding(format!("finding-{n}"), [PERMISSIVE, MISCONFIGURED][other % 2], "IOT_POLICY", version)
                }
            })
            .collect();
        findings.iter().for_each(|finding| fleet.plant_finding(&finding.to_native()).unwrap());
        findings
    })
}

async fn send(bench: &Bench, findings: &[Finding]) {
    let queue = SqsQueue::new(bench.clients.sqs.clone(), &bench.made.queue_url);
    for batch in findings.chunks(BATCH) {
        let bodies: Vec<_> =
            batch.iter().map(|finding| Outgoing::new(&encode_own(finding, None), BTreeMap::new())).collect();
        assert!(queue.send(&bodies).await.unwrap().iter().all(Result::is_ok));
    }
}

/// Runs so many workers until the queue is empty; what they counted together.
async fn work(bench: &Bench, workers: usize) -> BTreeMap<String, u64> {
    let policy = bench.file("policy.yaml", POLICY);
    let running: Vec<_> = (0..workers)
        .map(|n| {
            let mut command = bench.command();
            command.args(["--log", "error", "run", "--until-empty", "--output", "json", "--policy", &policy]);
            command.args(["--worker-id", &format!("worker-{n}"), "--quota", QUOTAS]);
            command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap()
        })
        .collect();
    let mut counts = BTreeMap::new();
    for worker in running {
        let ended = worker.wait_with_output().await.unwrap();
        assert!(ended.status.success(), "{ended:?}");
        let told: Value = serde_json::from_slice(&ended.stdout).unwrap();
        for (name, n) in told["counts"].as_object().unwrap() {
            *counts.entry(name.clone()).or_default() += n.as_u64().unwrap();
        }
    }
    counts
}

/// Pages listed and findings asked for one by one, by all workers together.
fn calls(bench: &Bench) -> (u64, u64) {
    let calls = bench.sandbox.iot().calls();
    let of = |operation: &str| calls.get(operation).map_or(0, |calls| calls.ok + calls.failed + calls.throttled);
    (of("ListAuditFindings"), of("DescribeAuditFinding"))
}

#[tokio::test]
async fn a_thousand_findings_of_one_audit_cost_tens_of_calls_with_one_worker_and_with_three() {
    for workers in [1, 3] {
        let bench = Bench::new().await;
        let findings = audit(&bench, 0..1_000);
        send(&bench, &findings).await;
        let counts = work(&bench, workers).await;
        assert_eq!(counts["mitigated"], 1_000, "{counts:?}");
        let (pages, alone) = calls(&bench);
        println!("{workers} workers: {pages} ListAuditFindings, {alone} DescribeAuditFinding");
        // Each worker reads one page of each check at least and asks for one finding of each by itself; and for one of both as it starts.
        assert!((5..=15).contains(&pages), "{pages} pages with {workers} workers");
        assert!(pages + alone <= 50, "{pages} pages and {alone} single calls with {workers} workers");
        assert_eq!(bench.depths().await, (0, 0));
    }
}

#[tokio::test]
async fn forged_findings_among_genuine_ones_change_nothing_and_say_what_is_wrong_with_them() {
    let bench = Bench::new().await;
    let genuine = audit(&bench, 0..40);
    // Device Defender has these four, and no message tells of them as they are.
    let known = audit(&bench, 40..48);
    let victim = bench.sandbox.iot().with_fleet(|fleet| fleet.create_certificate(true));
    let [a, b, c, d] = [0, 1, 4, 5].map(|n: usize| known[n].clone());
    let mut other_resource = b;
    other_resource.resource.identifier = ResourceIdentifier::DeviceCertificate(victim.clone());
    let forged = [
        (Finding { finding_id: "made-up".into(), ..a }, "has no finding made-up"),
        (other_resource, "another resource"),
        (Finding { check: EXPIRING.into(), ..c }, "says check DEVICE_CERTIFICATE_EXPIRING_CHECK"),
        (Finding { reason_code: "OTHER".into(), ..d.clone() }, "says reason code OTHER"),
    ];
    send(&bench, &genuine).await;
    send(&bench, &forged.clone().map(|(finding, _)| finding)).await;
    let counts = work(&bench, 1).await;
    assert_eq!((counts["mitigated"], counts["dead"]), (40, 4), "{counts:?}");
    for (finding, sentence) in &forged {
        let shown = bench.run(&["findings", "show", &finding.finding_id, "--output", "json"]).await;
        let record: Value = serde_json::from_str(&shown.out).unwrap();
        let detail = record["detail"].as_str().unwrap();
        assert_eq!(record["status"], json!("dead"));
        assert!(detail.starts_with("not_authentic: ") && detail.contains(sentence), "{detail}");
    }
    let status = bench.sandbox.iot().with_fleet(|fleet| fleet.certificate(&victim).unwrap().status);
    assert_eq!(status, CertificateStatus::Active);
}

#[tokio::test]
async fn a_connection_to_device_defender_that_drops_as_the_worker_starts_is_tried_again_and_one_that_always_drops_is_exit_2()
 {
    let bench = Bench::new().await;
    let policy = bench.file("policy.yaml", POLICY);
    let run = ["run", "--until-empty", "--policy", policy.as_str()];
    for (times, code) in [(3, 0), (4, 2)] {
        let rules = vec![FaultRule::new("DescribeAuditFinding", 1.0, FaultKind::Dropped).times(times)];
        bench.sandbox.iot().set_faults(Faults { seed: 1, rules });
        let ran = bench.run(&run).await;
        assert_eq!(ran.code, code, "{times} dropped: {ran:?}");
        assert_eq!(ran.err.contains("AWS IoT cannot be reached"), code == 2, "{ran:?}");
    }
}
