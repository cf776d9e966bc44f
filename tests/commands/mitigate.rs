//! `fleetwarden mitigate`: an audit's findings by hand, through the queue or through Device Defender's own actions.

use super::bench::*;
use aws_sdk_iot::types::{
    CertificateStatus, DeviceCertificateUpdateAction, MitigationActionParams, UpdateDeviceCertificateParams,
};
use fleetwarden::sandbox::iot::CheckFailure;
use serde_json::Value;

const ROLE: &str = "arn:aws:iam::123456789012:role/Mitigation";

/// A bench whose audit of these checks is over; its id.
async fn audited(checks: &[&str]) -> (Bench, String) {
    let bench = Bench::new().await;
    let ran = bench.run(&["audit", "start", "--checks", &checks.join(","), "--wait", "--output", "json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let tasks = bench.run(&["audit", "list", "--output", "json"]).await;
    let tasks: Value = serde_json::from_str(&tasks.out).unwrap();
    let task = tasks["audits"][0]["taskId"].as_str().unwrap().to_owned();
    (bench, task)
}

async fn deactivating(bench: &Bench, name: &str) {
    let params = UpdateDeviceCertificateParams::builder().action(DeviceCertificateUpdateAction::Deactivate).build();
    let params = MitigationActionParams::builder().update_device_certificate_params(params.unwrap()).build();
    let call = bench.clients.iot.create_mitigation_action().action_name(name).role_arn(ROLE);
    call.action_params(params).send().await.unwrap();
}

/// The statuses of the account's certificates.
async fn certificates(bench: &Bench) -> Vec<CertificateStatus> {
    let all = bench.clients.iot.list_certificates().send().await.unwrap();
    all.certificates.unwrap().into_iter().filter_map(|certificate| certificate.status).collect()
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

#[tokio::test]
async fn the_plan_counts_by_check_reason_and_action_with_an_example_and_the_least_time() {
    let (bench, task) = audited(&["DEVICE_CERTIFICATE_SHARED_CHECK", "LOGGING_DISABLED_CHECK"]).await;
    let policy = bench.file("policy.yaml", ENFORCE);
    let ran = bench.run(&["mitigate", "--audit", &task, "--policy", &policy, "--dry-run", "--output", "json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let plan = json(&ran);
    assert_eq!((&plan["findings"], &plan["actsOn"], &plan["dryRun"]), (&2.into(), &2.into(), &true.into()));
    let shared = &plan["plan"][0];
    assert_eq!(shared["check"], "DEVICE_CERTIFICATE_SHARED_CHECK");
    assert_eq!(shared["reason"], "CERTIFICATE_SHARED_BY_MULTIPLE_DEVICES");
    assert_eq!(shared["actions"], serde_json::json!(["UPDATE_DEVICE_CERTIFICATE"]));
    assert_eq!(shared["example"]["resource"].as_str().unwrap().len(), 64);
    assert!(plan["leastTime"]["seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(bench.depths().await, (0, 0), "a dry run sends nothing");
    let table = bench.run(&["mitigate", "--audit", &task, "--policy", &policy, "--dry-run"]).await;
    assert!(table.out.contains("2 findings, 2 of them to be acted on"), "{table:?}");
}

#[tokio::test]
async fn findings_that_go_on_the_queue_are_mitigated_by_the_workers_although_they_were_only_observed() {
    let (bench, task) = audited(&["DEVICE_CERTIFICATE_SHARED_CHECK"]).await;
    let policy = bench.file("policy.yaml", ENFORCE);
    let send = ["mitigate", "--audit", &task, "--policy", &policy, "--yes"];
    let observing = ["run", "--until-empty", "--policy", &policy, "--mode", "observe"];
    let enforcing = ["run", "--until-empty", "--policy", &policy];
    assert_eq!(bench.run(&send).await.code, 0);
    assert_eq!(bench.run(&observing).await.code, 0);
    assert!(certificates(&bench).await.contains(&CertificateStatus::Active));
    assert_eq!(bench.run(&send).await.code, 0);
    let ran = bench.run(&enforcing).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(certificates(&bench).await.contains(&CertificateStatus::Inactive), "the second chance acted");
    assert_eq!(bench.depths().await, (0, 0));
}

#[tokio::test]
async fn findings_that_are_handed_over_are_on_record_and_a_second_run_starts_no_second_task() {
    let (bench, task) = audited(&["DEVICE_CERTIFICATE_SHARED_CHECK", "LOGGING_DISABLED_CHECK"]).await;
    deactivating(&bench, "Deactivate").await;
    let reason = "certificate_shared_by_multiple_devices";
    let hand = ["mitigate", "--audit", &task, "--reason", reason, "--action", "Deactivate", "--yes"];
    let ran = bench.run(&[&hand[..], &["--output", "json"]].concat()).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(json(&ran)["byStatus"], serde_json::json!({ "mitigated": 1 }));
    assert!(certificates(&bench).await.contains(&CertificateStatus::Inactive));
    assert_eq!(json(&ran)["before"], 0);
    let again = bench.run(&hand).await;
    assert_eq!(again.code, 0, "{again:?}");
    let left =
        format!("1 finding was so before, and is left alone: `fleetwarden findings verify --audit {task}` tells");
    assert!(again.out.contains(&left), "{again:?}");
    let now = aws_smithy_types::DateTime::from_secs(0);
    let end = aws_smithy_types::DateTime::from_secs(4_000_000_000);
    let tasks = bench.clients.iot.list_audit_mitigation_actions_tasks().start_time(now).end_time(end).send().await;
    assert_eq!(tasks.unwrap().tasks().len(), 1);
    let records = bench.run(&["findings", "list", "--output", "json"]).await;
    assert!(records.out.contains("by-hand"), "{records:?}");
}

#[tokio::test]
async fn whatever_is_wrong_is_told_in_a_sentence_before_anything_is_changed() {
    let (bench, task) = audited(&["DEVICE_CERTIFICATE_SHARED_CHECK", "LOGGING_DISABLED_CHECK"]).await;
    deactivating(&bench, "Deactivate").await;
    let too_long = "x".repeat(1_000);
    let many = ["A", "B", "C", "D", "E", "F"].map(|name| ["--action", name]).concat();
    for (arguments, sentence) in [
        // What no worker would read must not be sent.
        (vec!["--audit", &task, "--by", &too_long, "--yes"], "--by"),
        (vec!["--audit", "0123456789abcdef"], "there is no audit 0123456789abcdef"),
        (vec!["--audit", &task, "--check", "SHARD_CHECK"], "there is no check SHARD_CHECK"),
        (
            vec!["--audit", &task, "--check", "CA_CERTIFICATE_EXPIRING_CHECK"],
            "did not look at CA_CERTIFICATE_EXPIRING_CHECK",
        ),
        (vec!["--audit", &task, "--finding", "nobody"], "has 0 of the 1 findings that --finding names"),
        (vec!["--audit", &task, "--action", "Nothing"], "Device Defender has no mitigation action Nothing"),
        (
            vec!["--audit", &task, "--action", "Deactivate"],
            "does not allow for findings of LOGGING_DISABLED_CHECK: leave them out with --check DEVICE_CERTIFICATE_SHARED_CHECK",
        ),
        (vec!["--audit", &task, "--action", "Deactivate", "--action", "Deactivate"], "give 1 to 5 different actions"),
        (vec!["--audit", &task], "nobody can be asked here"),
        (vec!["--audit", &task, "--output", "json"], "a program cannot be asked"),
    ] {
        let ran = bench.run(&[&["mitigate"], arguments.as_slice()].concat()).await;
        assert!(ran.code == 2 && ran.err.contains(sentence), "{arguments:?}: {ran:?}");
    }
    let ran = bench.run(&[&["mitigate", "--audit", &task, "--yes"], many.as_slice()].concat()).await;
    assert_eq!(ran.code, 2, "{ran:?}");
    assert_eq!(bench.depths().await, (0, 0));
    assert!(!certificates(&bench).await.contains(&CertificateStatus::Inactive));
}

#[tokio::test]
async fn an_audit_that_failed_is_refused_and_one_that_found_nothing_is_done() {
    let bench = Bench::new().await;
    let failing = [("LOGGING_DISABLED_CHECK".to_owned(), CheckFailure::InsufficientPermissions)];
    bench.sandbox.iot().with_fleet(|fleet| fleet.defender.failing_checks = failing.into());
    let start = ["audit", "start", "--output", "json", "--wait", "--checks"];
    let failed = json(&bench.run(&[&start[..], &["logging"]].concat()).await);
    let partly = json(&bench.run(&[&start[..], &["logging,conflicting_client_ids"]].concat()).await);
    let (failed, partly) = (failed["taskId"].as_str().unwrap(), partly["taskId"].as_str().unwrap());
    for arguments in [&["--audit", failed][..], &["--audit", partly, "--check", "logging"]] {
        let ran = bench.run(&[&["mitigate", "--yes"], arguments].concat()).await;
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        for part in ["LOGGING_DISABLED_CHECK failed, INSUFFICIENT_PERMISSIONS", "start another audit"] {
            assert!(ran.err.contains(part), "`{part}` is not in: {}", ran.err);
        }
        assert_eq!(ran.out, "");
    }
    let ran = bench.run(&["mitigate", "--yes", "--audit", partly]).await;
    assert_eq!((ran.code, ran.out.as_str()), (0, "0 findings match: nothing to do\n"), "{ran:?}");
    assert!(ran.err.contains("warning: ") && ran.err.contains("LOGGING_DISABLED_CHECK failed"), "{ran:?}");
    let ran = bench.run(&["mitigate", "--yes", "--audit", partly, "--output", "json"]).await;
    assert_eq!((ran.code, &json(&ran)["sent"], &json(&ran)["of"]), (0, &0.into(), &0.into()), "{ran:?}");
}
