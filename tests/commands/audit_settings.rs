//! `audit settings`: what is shown, what is sent, and what is refused before anything is.

use super::audit::{audited, calls, json_of, refused};
use super::bench::Bench;
use fleetwarden::sandbox::iot::{DayOfMonth, FaultKind, FaultRule, Faults, Recurrence};
use serde_json::{Value, json};

const ROLE: &str = "arn:aws:iam::123456789012:role/Audit";
const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:fleetwarden-findings";
const UPDATE: &str = "UpdateAccountAuditConfiguration";

async fn shown(bench: &Bench) -> Value {
    json_of(&audited(bench, &["settings", "show", "--output", "json"]).await)
}

/// An account that was never audited.
async fn never_set_up() -> Bench {
    let bench = Bench::new().await;
    bench.clients.iot.delete_account_audit_configuration().send().await.unwrap();
    bench
}

#[tokio::test]
async fn an_account_is_set_up_from_nothing_and_shows_what_was_set() {
    let bench = never_set_up().await;
    let empty = audited(&bench, &["settings", "show"]).await;
    assert!(empty.out.contains("no audit settings yet") && empty.out.contains("0 of 17 checks"), "{}", empty.out);

    let set = ["settings", "set", "--role", ROLE, "--enable-all", "--disable", "device_certificate_age", "--yes"];
    let set = audited(&bench, &set).await;
    for part in ["not set", ROLE, "LOGGING_DISABLED_CHECK", "the audit settings are changed"] {
        assert!(set.out.contains(part), "`{part}` is not in: {}", set.out);
    }
    let settings = shown(&bench).await;
    assert_eq!(settings["roleArn"], ROLE);
    let on = settings["checks"].as_object().unwrap().values().filter(|check| check["enabled"] == true).count();
    assert_eq!((on, &settings["checks"]["DEVICE_CERTIFICATE_AGE_CHECK"]["enabled"]), (16, &json!(false)));
}

#[tokio::test]
async fn the_first_settings_without_a_role_or_a_check_are_refused() {
    let bench = never_set_up().await;
    for (arguments, words) in [
        (&["--enable", "logging_disabled"][..], "--role arn:aws:iam::ACCOUNT:role/NAME"),
        (&["--role", ROLE], "--enable CHECK, or --enable-all"),
    ] {
        refused(&bench, &[&["settings", "set", "--yes"], arguments].concat(), &["no audit settings yet", words]).await;
    }
    assert_eq!(calls(&bench, UPDATE), 0);
}

#[tokio::test]
async fn a_check_is_switched_off_and_its_neighbours_stay() {
    let bench = Bench::new().await;
    let before = shown(&bench).await;
    let off = ["settings", "set", "--disable", "logging_disabled", "--yes", "--output", "json"];
    let off = json_of(&audited(&bench, &off).await);
    let line = json!({ "setting": "LOGGING_DISABLED_CHECK", "before": "on", "after": "off" });
    assert_eq!((&off["changed"], &off["differences"]), (&json!(true), &json!([line])));
    let mut expected = before;
    expected["checks"]["LOGGING_DISABLED_CHECK"]["enabled"] = json!(false);
    assert_eq!(shown(&bench).await, expected);
}

#[tokio::test]
async fn thresholds_and_alerts_are_set_and_alerts_go_off_without_losing_their_topic() {
    let bench = Bench::new().await;
    let set = ["settings", "set", "--yes", "--threshold", "device_certificate_expiring=60,device_certificate_age=400"];
    audited(&bench, &[&set[..], &["--alert-topic", TOPIC, "--alert-role", ROLE]].concat()).await;
    let settings = shown(&bench).await;
    let alerts = json!({ "enabled": true, "topicArn": TOPIC, "roleArn": ROLE });
    assert_eq!(settings["alerts"], alerts);
    let expiring = &settings["checks"]["DEVICE_CERTIFICATE_EXPIRING_CHECK"];
    assert_eq!(expiring["configuration"]["CERT_EXPIRATION_THRESHOLD_IN_DAYS"], "60");
    let age = &settings["checks"]["DEVICE_CERTIFICATE_AGE_CHECK"];
    assert_eq!(age["configuration"]["CERT_AGE_THRESHOLD_IN_DAYS"], "400");
    assert_eq!(age["enabled"], false, "a threshold switches nothing on");

    audited(&bench, &["settings", "set", "--alerts", "off", "--yes"]).await;
    let alerts = json!({ "enabled": false, "topicArn": TOPIC, "roleArn": ROLE });
    assert_eq!(shown(&bench).await["alerts"], alerts);
}

#[tokio::test]
async fn what_is_so_already_is_said_and_nothing_is_sent() {
    let bench = Bench::new().await;
    let again = audited(&bench, &["settings", "set", "--enable", "LOGGING_DISABLED_CHECK"]).await;
    assert!(again.out.contains("nothing to change"), "{}", again.out);
    assert_eq!(calls(&bench, UPDATE), 0);
}

#[tokio::test]
async fn without_a_terminal_and_without_yes_the_difference_is_shown_and_nothing_is_changed() {
    let bench = Bench::new().await;
    let words = ["LOGGING_DISABLED_CHECK", "on", "off", "nobody can be asked", "--yes"];
    refused(&bench, &["settings", "set", "--disable", "logging_disabled"], &words).await;
    assert_eq!(calls(&bench, UPDATE), 0);
}

#[tokio::test]
async fn a_check_that_schedules_use_is_not_switched_off_and_the_schedules_are_named() {
    let bench = Bench::new().await;
    bench.sandbox.iot().with_fleet(|fleet| {
        let checks = || vec!["LOGGING_DISABLED_CHECK".to_owned(), "DEVICE_CERTIFICATE_SHARED_CHECK".to_owned()];
        fleet.create_scheduled_audit("Nightly", Recurrence::Daily, checks()).unwrap();
        fleet.create_scheduled_audit("Monthly", Recurrence::Monthly(DayOfMonth::Last), checks()).unwrap();
    });
    let words = ["Monthly uses LOGGING_DISABLED_CHECK", "Nightly uses LOGGING_DISABLED_CHECK", "audit schedule update"];
    refused(&bench, &["settings", "set", "--disable", "logging_disabled", "--yes"], &words).await;
    assert_eq!(calls(&bench, UPDATE), 0);
    audited(&bench, &["settings", "set", "--disable", "ca_certificate_expiring", "--yes"]).await;

    // Whoever may not see the schedules is told by AWS.
    let rules = vec![FaultRule::new("ListScheduledAudits", 1.0, FaultKind::Denied)];
    bench.sandbox.iot().set_faults(Faults { seed: 1, rules });
    let words = ["warning: failed to call ListScheduledAudits", "the scheduled audit", "audit schedule update"];
    refused(&bench, &["settings", "set", "--disable", "logging_disabled", "--yes"], &words).await;
    assert_eq!(shown(&bench).await["checks"]["LOGGING_DISABLED_CHECK"]["enabled"], true);
}

#[tokio::test]
async fn every_mistake_is_told_at_once_and_nothing_is_sent() {
    let bench = Bench::new().await;
    let wrong = ["settings", "set", "--yes", "--role", "Audit", "--enable", "LOGING_DISABLED_CHECK", "--threshold"];
    let words = [
        "--role Audit is not the ARN of a role",
        "did you mean `LOGGING_DISABLED_CHECK`?",
        "20 days are out of range; write 30 to 3652",
        "LOGGING_DISABLED_CHECK has no threshold",
        "--alert-role",
    ];
    let more = ["device_certificate_age=20,logging_disabled=60", "--alert-topic", TOPIC];
    refused(&bench, &[&wrong[..], &more].concat(), &words).await;
    refused(&bench, &["settings", "set"], &["nothing is said to be set"]).await;
    refused(&bench, &["settings", "set", "--threshold", "logging"], &["CHECK=DAYS"]).await;
    assert_eq!(calls(&bench, UPDATE), 0);
}

#[tokio::test]
async fn a_lost_reply_and_a_throttle_are_outlived_and_a_refusal_is_told_with_what_to_allow() {
    let bench = Bench::new().await;
    let rules = vec![
        FaultRule::new("DescribeAccountAuditConfiguration", 1.0, FaultKind::Throttled).times(1),
        FaultRule::new(UPDATE, 1.0, FaultKind::LostReply).times(1),
    ];
    bench.sandbox.iot().set_faults(Faults { seed: 1, rules });
    audited(&bench, &["settings", "set", "--enable", "device_certificate_age", "--yes"]).await;
    assert_eq!(shown(&bench).await["checks"]["DEVICE_CERTIFICATE_AGE_CHECK"]["enabled"], true);

    let rules = vec![FaultRule::new("DescribeAccountAuditConfiguration", 1.0, FaultKind::Denied)];
    bench.sandbox.iot().set_faults(Faults { seed: 1, rules });
    let denied = bench.run(&["audit", "settings", "show"]).await;
    assert_eq!(denied.code, 1, "{denied:?}");
    assert!(denied.err.contains("allow these credentials to call DescribeAccountAuditConfiguration"), "{}", denied.err);
}
