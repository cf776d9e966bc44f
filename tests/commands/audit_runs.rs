//! `audit start | status | list | cancel`: one audit each time, and what became of it.

use super::audit::{audit_of, audited, calls, json_of, refused};
use super::bench::Bench;
use fleetwarden::sandbox::iot::{CheckFailure, FaultKind, FaultRule, Faults, Pace};
use serde_json::json;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};

const START: &str = "StartOnDemandAuditTask";

fn faults(bench: &Bench, rules: Vec<FaultRule>) {
    bench.sandbox.iot().set_faults(Faults { seed: 1, rules });
}

/// Audits that somebody has begun; the workshop's sample finding has brought one along.
fn audits(bench: &Bench) -> usize {
    bench.sandbox.iot().with_fleet(|fleet| fleet.defender.audits.len()) - 1
}

/// From now on audits take so long.
fn slow(bench: &Bench, audit: Duration) {
    let pace = bench.sandbox.iot().pace();
    bench.sandbox.iot().set_pace(Pace { audit, ..pace });
}

#[tokio::test]
async fn an_audit_is_started_waited_for_and_told_check_by_check() {
    let bench = Bench::new().await;
    slow(&bench, Duration::from_millis(600));
    let checks = "logging_disabled,device_certificate_shared,REVOKED_CA_CERT_CHECK,logging";
    let ran = audited(&bench, &["start", "--checks", checks, "--wait"]).await;
    for part in [
        "LOGGING_DISABLED_CHECK",
        "1 of 1 non-compliant",
        "REVOKED_CA_CERTIFICATE_STILL_ACTIVE_CHECK",
        "compliant: 0 resources",
        "is completed: 3 checks, 1 compliant, 2 non-compliant; 2 resources not in order",
    ] {
        assert!(ran.out.contains(part), "`{part}` is not in: {}", ran.out);
    }
    // Not on a terminal: a line for each change instead of bars.
    assert!(ran.err.contains("started") && ran.err.contains("DEVICE_CERTIFICATE_SHARED_CHECK: in progress"), "{ran:?}");
    assert!(!ran.err.contains('\u{1b}') && !ran.out.contains('\u{1b}'), "{ran:?}");
    assert_eq!(audits(&bench), 1);
}

#[tokio::test]
async fn all_enabled_checks_are_audited_and_no_other() {
    let bench = Bench::new().await;
    let ran = audited(&bench, &["start", "--all-enabled", "--wait", "--output", "json"]).await;
    let audit = json_of(&ran);
    let checks = audit["checks"].as_array().unwrap();
    assert_eq!((&audit["status"], checks.len()), (&json!("COMPLETED"), 16));
    assert!(checks.iter().all(|check| check["check"] != "DEVICE_CERTIFICATE_AGE_CHECK"));
}

#[tokio::test]
async fn without_wait_the_id_is_told_and_the_audit_is_followed_by_its_status() {
    let bench = Bench::new().await;
    slow(&bench, Duration::from_millis(800));
    let ran = audited(&bench, &["start", "--checks", "logging_disabled", "--output", "json"]).await;
    let id = json_of(&ran)["taskId"].as_str().unwrap().to_owned();
    let findings = bench.run(&["audit", "findings", &id]).await;
    assert_eq!(findings.code, 1, "too early: {findings:?}");
    assert!(findings.err.contains("is in progress: 0 of 1 checks done; wait for it with"), "{}", findings.err);
    let ended = audited(&bench, &["status", &id, "--wait"]).await;
    assert!(ended.out.contains("is completed"), "{}", ended.out);
    assert_eq!(json_of(&audited(&bench, &["status", &id, "--output", "json"]).await)["status"], "COMPLETED");
}

#[tokio::test]
async fn checks_that_are_unknown_or_not_enabled_are_refused_and_nothing_is_started() {
    let bench = Bench::new().await;
    let unknown = ["start", "--checks", "LOGING_DISABLED_CHECK,NOTHING_CHECK,logging_disabled"];
    let words = ["there is no check LOGING_DISABLED_CHECK; did you mean `LOGGING_DISABLED_CHECK`?", "NOTHING_CHECK"];
    refused(&bench, &unknown, &words).await;
    refused(&bench, &["start", "--checks", "expiring"], &["CA_CERTIFICATE_EXPIRING_CHECK or DEVICE_"]).await;
    let disabled = ["start", "--checks", "device_certificate_age,logging_disabled", "--wait"];
    let words = ["is not enabled", "audit settings set --enable DEVICE_CERTIFICATE_AGE_CHECK"];
    refused(&bench, &disabled, &words).await;
    refused(&bench, &["start"], &["--checks"]).await;
    refused(&bench, &["start", "--checks", "logging", "--all-enabled"], &["cannot be used with"]).await;
    bench.clients.iot.delete_account_audit_configuration().send().await.unwrap();
    refused(&bench, &["start", "--all-enabled"], &["an audit needs a role", "--role arn:aws:iam"]).await;
    assert_eq!((calls(&bench, START), audits(&bench)), (0, 0));
}

#[tokio::test]
async fn an_audit_whose_start_was_not_answered_is_found_and_not_started_again() {
    let bench = Bench::new().await;
    // Somebody else's, of the same checks, a moment before.
    let other = audit_of(&bench, "logging_disabled").await;
    faults(&bench, vec![FaultRule::new(START, 1.0, FaultKind::LostReply)]);
    let id = audit_of(&bench, "logging_disabled").await;
    assert_ne!(id, other);
    assert_eq!((calls(&bench, START), audits(&bench)), (2, 2), "one start each");
}

#[tokio::test]
async fn a_start_of_which_nothing_shows_is_told_as_unclear_and_not_made_again() {
    let bench = Bench::new().await;
    faults(&bench, vec![FaultRule::new(START, 1.0, FaultKind::InternalFailure)]);
    let ran = bench.run(&["audit", "start", "--checks", "logging_disabled"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    for part in ["InternalFailure", "not known whether the audit began", "audit list --since 1h"] {
        assert!(ran.err.contains(part), "`{part}` is not in: {}", ran.err);
    }
    assert_eq!((calls(&bench, START), audits(&bench)), (1, 0));
}

#[tokio::test]
async fn an_eleventh_audit_is_refused_by_aws_and_the_sentence_says_how_to_make_room() {
    let bench = Bench::new().await;
    slow(&bench, Duration::from_secs(3600));
    let checks = ["LOGGING_DISABLED_CHECK".to_owned()];
    bench.sandbox.iot().with_fleet(|fleet| (0..10).for_each(|_| drop(fleet.start_audit(&checks).unwrap())));
    let ran = bench.run(&["audit", "start", "--checks", "logging_disabled"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    for part in ["LimitExceededException", "ten on-demand audits at once: wait for one, or cancel one"] {
        assert!(ran.err.contains(part), "`{part}` is not in: {}", ran.err);
    }
    assert_eq!((calls(&bench, START), audits(&bench)), (1, 10));
}

#[tokio::test]
async fn a_throttled_start_is_made_again() {
    let bench = Bench::new().await;
    faults(&bench, vec![FaultRule::new(START, 1.0, FaultKind::Throttled).times(2)]);
    audit_of(&bench, "logging_disabled").await;
    assert_eq!((calls(&bench, START), audits(&bench)), (3, 1));
}

#[tokio::test]
async fn an_audit_with_a_failed_check_ends_with_exit_code_1_and_says_why_and_what_to_do() {
    let bench = Bench::new().await;
    let failing = [("LOGGING_DISABLED_CHECK".to_owned(), CheckFailure::InsufficientPermissions)];
    bench.sandbox.iot().with_fleet(|fleet| fleet.defender.failing_checks = failing.into());
    let partly = bench.run(&["audit", "start", "--checks", "logging,device_certificate_shared", "--wait"]).await;
    assert_eq!(partly.code, 1, "{partly:?}");
    for part in ["LOGGING_DISABLED_CHECK failed, INSUFFICIENT_PERMISSIONS", "AWSIoTDeviceDefenderAudit"] {
        assert!(partly.err.contains(part), "`{part}` is not in: {}", partly.err);
    }
    assert!(partly.out.contains("failed: INSUFFICIENT_PERMISSIONS"), "{}", partly.out);
    assert!(partly.out.contains("1 of 1 non-compliant"), "the other check's result is told: {}", partly.out);

    assert!(partly.err.contains("completed, but LOGGING_DISABLED_CHECK failed"), "{}", partly.err);
    let listed = json_of(&audited(&bench, &["list", "--output", "json"]).await);
    let id = listed["audits"][0]["taskId"].as_str().unwrap();
    // The other check's findings are good; of the failed one there are none to look at.
    assert!(audited(&bench, &["findings", id]).await.out.contains("SensorDevice01"));
    refused(&bench, &["findings", id, "--check", "logging"], &["LOGGING_DISABLED_CHECK failed", "no findings"]).await;

    let whole = bench.run(&["audit", "start", "--checks", "logging", "--wait", "--output", "json"]).await;
    assert_eq!((whole.code, &json_of(&whole)["status"]), (1, &json!("FAILED")), "{whole:?}");
    let id = json_of(&whole)["taskId"].as_str().unwrap().to_owned();
    assert!(whole.err.contains("ended failed"), "{}", whole.err);
    // Asking how it stands is no failure; there are no findings to look at.
    assert!(audited(&bench, &["status", &id]).await.out.contains("INSUFFICIENT_PERMISSIONS"));
    refused(&bench, &["findings", &id], &["ended failed", "no findings to show"]).await;
    let listed = json_of(&audited(&bench, &["list", "--status", "failed", "--output", "json"]).await);
    assert_eq!(listed["audits"][0]["taskId"], json!(id));
}

#[tokio::test]
async fn an_audit_is_cancelled_once_and_one_that_has_ended_or_is_not_there_is_refused() {
    let bench = Bench::new().await;
    let ended = audit_of(&bench, "logging_disabled").await;
    refused(&bench, &["cancel", &ended], &["is completed already"]).await;
    slow(&bench, Duration::from_secs(3600));
    let ran = audited(&bench, &["start", "--checks", "logging_disabled", "--output", "json"]).await;
    let id = json_of(&ran)["taskId"].as_str().unwrap().to_owned();
    // The reply is lost: the second try meets an audit that is cancelled by us.
    faults(&bench, vec![FaultRule::new("CancelAuditTask", 1.0, FaultKind::LostReply).times(1)]);
    let canceled = audited(&bench, &["cancel", &id]).await;
    assert!(canceled.out.contains("is cancelled;"), "{}", canceled.out);
    assert!(audited(&bench, &["cancel", &id]).await.out.contains("is cancelled already"));
    let waited = bench.run(&["audit", "status", &id, "--wait"]).await;
    assert_eq!(waited.code, 1, "{waited:?}");
    for command in ["status", "cancel", "findings"] {
        refused(&bench, &[command, "0000"], &["there is no audit 0000", "90 days", "audit list"]).await;
        refused(&bench, &[command, "no id"], &["letters, digits and -"]).await;
    }
}

#[tokio::test]
async fn audits_are_listed_latest_first_by_time_status_and_type() {
    let bench = Bench::new().await;
    let first = audit_of(&bench, "logging_disabled").await;
    let second = audit_of(&bench, "logging_disabled,device_certificate_shared").await;
    let ids = async |more: &[&str]| {
        let ran = audited(&bench, &[&["list", "--output", "json"], more].concat()).await;
        let listed = json_of(&ran);
        let ids = listed["audits"].as_array().unwrap().iter().map(|audit| audit["taskId"].as_str().unwrap().to_owned());
        (ids.collect::<Vec<_>>(), listed["notShown"].as_u64().unwrap())
    };
    assert_eq!(ids(&["--since", "1h"]).await, (vec![second.clone(), first.clone()], 0));
    assert_eq!(ids(&["--since", "1h", "--limit", "1"]).await, (vec![second.clone()], 1), "the latest");
    assert_eq!(ids(&["--since", "1h", "--status", "completed", "--type", "on-demand"]).await.0.len(), 2);
    for none in [["--status", "in-progress"], ["--type", "scheduled"], ["--since", "2d"]] {
        let until: &[&str] = if none[0] == "--since" { &["--until", "1d"] } else { &[] };
        assert_eq!(ids(&[&none[..], until].concat()).await.0.len(), 0, "{none:?}");
    }
    let table = audited(&bench, &["list", "--since", "1h", "--limit", "1"]).await;
    for part in [second.as_str(), "on demand", "completed", "1 audit; 1 more are not shown"] {
        assert!(table.out.contains(part), "`{part}` is not in: {}", table.out);
    }
    refused(&bench, &["list", "--since", "100d"], &["90 days"]).await;
    audited(&bench, &["list", "--since", "90d"]).await;
    refused(&bench, &["list", "--until", "8d"], &["is before --since"]).await;
    refused(&bench, &["list", "--since", "soon"], &["7d"]).await;
    refused(&bench, &["list", "--status", "done"], &["in-progress, completed, failed, canceled"]).await;
}

#[tokio::test]
async fn ctrl_c_ends_the_waiting_and_not_the_audit() {
    let bench = Bench::new().await;
    slow(&bench, Duration::from_secs(3600));
    let mut command = bench.command();
    command.args(["audit", "start", "--checks", "logging_disabled", "--wait"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = String::new();
    while !said.contains("in progress") {
        said = lines.next_line().await.unwrap().expect("it waits");
    }
    let pid = child.id().unwrap().to_string();
    assert!(tokio::process::Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    let mut rest = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        rest.push_str(&line);
    }
    assert_eq!(child.wait().await.unwrap().code(), Some(1), "{rest}");
    assert!(rest.contains("the audit goes on; follow it with `fleetwarden audit status"), "{rest}");
    assert_eq!(calls(&bench, "CancelAuditTask"), 0);
}
