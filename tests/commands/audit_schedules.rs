//! `audit schedule`: made, shown, changed, deleted, and what is refused.

use super::audit::{audited, calls, json_of, refused};
use super::bench::Bench;
use fleetwarden::sandbox::iot::{FaultKind, FaultRule, Faults};
use serde_json::{Value, json};

async fn shown(bench: &Bench, name: &str) -> Value {
    json_of(&audited(bench, &["schedule", "show", name, "--output", "json"]).await)
}

#[tokio::test]
async fn schedules_of_every_frequency_are_made_listed_and_shown_and_their_audits_name_them() {
    let bench = Bench::new().await;
    let make = |name: &'static str, often: &'static [&'static str]| {
        let create = ["schedule", "create", name, "--checks", "device_certificate_shared,logging_disabled"];
        [&create, often].concat()
    };
    for (name, often, frequency, week, month) in [
        ("Daily", &["--daily"][..], "DAILY", json!(null), json!(null)),
        ("Weekly", &["--weekly", "monday"], "WEEKLY", json!("MON"), json!(null)),
        ("Biweekly", &["--biweekly", "SUN"], "BIWEEKLY", json!("SUN"), json!(null)),
        ("Monthly", &["--monthly", "31"], "MONTHLY", json!(null), json!("31")),
        ("MonthEnd", &["--monthly", "last"], "MONTHLY", json!(null), json!("LAST")),
    ] {
        audited(&bench, &make(name, often)).await;
        let schedule = shown(&bench, name).await;
        assert_eq!(schedule["frequency"], frequency);
        assert_eq!((&schedule["dayOfWeek"], &schedule["dayOfMonth"]), (&week, &month), "{name}");
        assert_eq!(schedule["checks"], json!(["DEVICE_CERTIFICATE_SHARED_CHECK", "LOGGING_DISABLED_CHECK"]));
    }
    let list = audited(&bench, &["schedule", "list"]).await;
    for part in ["monthly on the last day", "biweekly on SUN", "5 scheduled audits"] {
        assert!(list.out.contains(part), "`{part}` is not in: {}", list.out);
    }
    let sixth = bench.run(&["audit", "schedule", "create", "Sixth", "--daily", "--all-enabled"]).await;
    assert_eq!(sixth.code, 1, "{sixth:?}");
    assert!(sixth.err.contains("AWS allows five scheduled audits: delete one"), "{}", sixth.err);

    let id = bench.sandbox.iot().with_fleet(|fleet| fleet.run_scheduled_audit("Weekly").unwrap());
    bench.sandbox.iot().with_fleet(|fleet| fleet.finish_audit(&id));
    let listed = audited(&bench, &["list", "--type", "scheduled"]).await;
    assert!(listed.out.contains(&id) && listed.out.contains("scheduled, Weekly"), "{}", listed.out);
}

#[tokio::test]
async fn a_schedule_is_changed_in_what_is_said_and_in_nothing_else() {
    let bench = Bench::new().await;
    audited(&bench, &["schedule", "create", "Nightly", "--daily", "--checks", "logging,device_certificate_shared"])
        .await;
    let often = audited(&bench, &["schedule", "update", "Nightly", "--weekly", "FRI"]).await;
    assert!(often.out.contains("weekly on FRI") && often.out.contains("daily"), "{}", often.out);
    assert_eq!(shown(&bench, "Nightly").await["checks"].as_array().unwrap().len(), 2);
    audited(&bench, &["schedule", "update", "Nightly", "--checks", "logging"]).await;
    let schedule = shown(&bench, "Nightly").await;
    assert_eq!((&schedule["checks"], &schedule["dayOfWeek"]), (&json!(["LOGGING_DISABLED_CHECK"]), &json!("FRI")));

    let before = calls(&bench, "UpdateScheduledAudit");
    let again = audited(&bench, &["schedule", "update", "Nightly", "--weekly", "fri", "--checks", "logging"]).await;
    assert!(again.out.contains("nothing to change"), "{}", again.out);
    assert_eq!(calls(&bench, "UpdateScheduledAudit"), before);
}

#[tokio::test]
async fn a_schedule_is_deleted_only_with_yes_where_nobody_can_be_asked() {
    let bench = Bench::new().await;
    audited(&bench, &["schedule", "create", "Nightly", "--daily", "--checks", "logging"]).await;
    refused(&bench, &["schedule", "delete", "Nightly"], &["nobody can be asked", "--yes"]).await;
    assert_eq!(calls(&bench, "DeleteScheduledAudit"), 0);
    audited(&bench, &["schedule", "delete", "Nightly", "--yes"]).await;
    refused(&bench, &["schedule", "show", "Nightly"], &["there is no scheduled audit Nightly"]).await;
    let none = audited(&bench, &["schedule", "list", "--output", "json"]).await;
    assert_eq!(json_of(&none), json!([]));
}

#[tokio::test]
async fn replies_that_get_lost_make_no_error_of_what_was_done() {
    let bench = Bench::new().await;
    let lost = |operation: &str| FaultRule::new(operation, 1.0, FaultKind::LostReply).times(1);
    let rules = ["CreateScheduledAudit", "UpdateScheduledAudit", "DeleteScheduledAudit"].map(lost).to_vec();
    bench.sandbox.iot().set_faults(Faults { seed: 1, rules });
    audited(&bench, &["schedule", "create", "Nightly", "--daily", "--checks", "logging"]).await;
    audited(&bench, &["schedule", "update", "Nightly", "--monthly", "1"]).await;
    assert_eq!(shown(&bench, "Nightly").await["dayOfMonth"], "1");
    audited(&bench, &["schedule", "delete", "Nightly", "--yes"]).await;
}

#[tokio::test]
async fn what_cannot_be_scheduled_is_refused_in_a_sentence_and_nothing_is_made() {
    let bench = Bench::new().await;
    let create = |more: &[&'static str]| [&["schedule", "create", "Nightly"], more].concat();
    for (arguments, words) in [
        (&["--checks", "logging"][..], "say how often: --daily, --weekly DAY"),
        (&["--daily"], "--checks"),
        (&["--weekly", "someday", "--checks", "logging"], "write one of MON, TUE, WED"),
        (&["--monthly", "32", "--checks", "logging"], "1 to 31, or LAST"),
        (&["--daily", "--weekly", "MON", "--checks", "logging"], "cannot be used with"),
        (&["--daily", "--checks", "device_certificate_age"], "is not enabled"),
        (&["--daily", "--checks", "NOTHING_CHECK"], "there is no check NOTHING_CHECK"),
    ] {
        refused(&bench, &create(arguments), &[words]).await;
    }
    refused(&bench, &["schedule", "create", "every night", "--daily", "--all-enabled"], &["letters, digits"]).await;
    assert_eq!(calls(&bench, "CreateScheduledAudit"), 0);
    audited(&bench, &create(&["--daily", "--checks", "logging"])).await;
    refused(&bench, &create(&["--weekly", "MON", "--checks", "logging"]), &["there is a scheduled audit Nightly"])
        .await;
    assert_eq!(shown(&bench, "Nightly").await["frequency"], "DAILY");
    refused(&bench, &["schedule", "update", "Nightly"], &["say what to change"]).await;
    for command in [&["update", "Nothing", "--daily"][..], &["show", "Nothing"], &["delete", "Nothing", "--yes"]] {
        refused(&bench, &[&["schedule"], command].concat(), &["there is no scheduled audit Nothing"]).await;
    }
}
