//! `ENABLE_IOT_LOGGING`

use crate::bench::*;
use fleetwarden::aws::{Class, Fate};
use fleetwarden::finding::{Finding, ResourceIdentifier};
use fleetwarden::ledger::StepOutcome;
use fleetwarden::mitigation::{ActionError, LoggingOptions};
use fleetwarden::policy::{Action, LogLevel};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

const ROLE: &str = "arn:aws:iam::123456789012:role/IotLogging";

fn action() -> Action {
    Action::EnableIotLogging { role_arn: ROLE.into(), level: LogLevel::Warn }
}

fn logging_finding() -> Finding {
    finding("LOGGING_DISABLED_CHECK", "ACCOUNT_SETTINGS", ResourceIdentifier::Account(ACCOUNT.into()))
}

fn options(level: &str, disable_all_logs: bool) -> LoggingOptions {
    LoggingOptions { role_arn: Some("arn:old".into()), default_log_level: Some(level.into()), disable_all_logs }
}

fn level(bench: &Bench) -> String {
    bench.iot.logging().unwrap().default_log_level.unwrap()
}

#[tokio::test]
async fn logging_that_was_never_configured_is_enabled_and_that_it_was_not_is_on_record_first() {
    let bench = Bench::new();
    let came = bench.run(&logging_finding(), &action()).await;
    assert!(is_mitigated(&came));
    let expected =
        LoggingOptions { role_arn: Some(ROLE.into()), default_log_level: Some("WARN".into()), disable_all_logs: false };
    assert_eq!(bench.iot.logging(), Some(expected));
    assert_eq!(bench.notebook.last()[0].prior, Some(Value::Null));
    assert_eq!(only(&came).prior, Some(Value::Null));
}

#[tokio::test]
async fn the_options_before_are_on_record_whole() {
    let bench = Bench::new();
    bench.iot.put_logging(Some(options("ERROR", false)));
    let came = bench.run(&logging_finding(), &action()).await;
    let prior = json!({ "roleArn": "arn:old", "defaultLogLevel": "ERROR", "disableAllLogs": false });
    assert_eq!(only(&came).prior, Some(prior));
    assert_eq!(level(&bench), "WARN");
}

#[tokio::test]
async fn a_more_talkative_level_is_kept_whether_it_was_on_or_off() {
    let bench = Bench::new();
    bench.iot.put_logging(Some(options("DEBUG", false)));
    let came = bench.run(&logging_finding(), &action()).await;
    assert_eq!(outcome(&came), StepOutcome::InOrder);
    assert_eq!(bench.calls("SetV2LoggingOptions"), 0);

    bench.iot.put_logging(Some(options("DEBUG", true)));
    assert!(is_mitigated(&bench.run(&logging_finding(), &action()).await));
    assert_eq!((level(&bench).as_str(), bench.iot.logging().unwrap().disable_all_logs), ("DEBUG", false));
}

#[tokio::test]
async fn lost_replies_are_read_back_whether_or_not_the_write_took_effect() {
    for (fate, done) in [(Fate::ReplyLost, true), (Fate::Fail(Class::Unknown), false)] {
        let bench = Bench::new();
        let came = bench.meeting(("iot.set_logging_options", fate), &logging_finding(), &action()).await;
        assert_eq!(is_mitigated(&came), done);
        assert_eq!(bench.calls("SetV2LoggingOptions"), 1);
        if !done {
            assert_eq!(class(&came), Class::Transient);
        }
    }
}

#[tokio::test]
async fn a_throttle_is_passed_on() {
    let bench = Bench::new();
    let fate = ("iot.set_logging_options", Fate::Fail(Class::Throttled));
    assert_eq!(class(&bench.meeting(fate, &logging_finding(), &action()).await), Class::Throttled);
}

#[tokio::test]
async fn a_second_claim_keeps_the_prior_state_of_the_first_on_either_side_of_the_write() {
    let before = Bench::new();
    before.iot.put_logging(Some(options("ERROR", true)));
    before.notebook.crash_after_record.store(true, Ordering::SeqCst);
    assert_eq!(before.run(&logging_finding(), &action()).await.1, Err(ActionError::LostClaim));
    assert_eq!(before.calls("SetV2LoggingOptions"), 0);
    let came = before.restarted().continued(&logging_finding(), &action(), before.notebook.last()).await;
    assert_eq!((outcome(&came), before.effects("SetV2LoggingOptions")), (StepOutcome::Changed, 1));
    assert_eq!(only(&came).prior.as_ref().unwrap()["disableAllLogs"], true);

    let behind = Bench::new();
    behind.iot.put_logging(Some(options("ERROR", true)));
    assert!(is_mitigated(&behind.run(&logging_finding(), &action()).await));
    let came = behind.restarted().continued(&logging_finding(), &action(), behind.notebook.last()).await;
    assert_eq!((outcome(&came), behind.effects("SetV2LoggingOptions")), (StepOutcome::Changed, 1));
    assert_eq!(only(&came).prior.as_ref().unwrap()["disableAllLogs"], true);
}

#[tokio::test]
async fn read_back_asks_for_the_options_again() {
    let bench = Bench { read_back: true, ..Bench::new() };
    assert_eq!(only(&bench.run(&logging_finding(), &action()).await).detail, "read back: WARN");
}

#[tokio::test]
async fn a_resource_that_is_no_account_is_refused() {
    let bench = Bench::new();
    assert_eq!(refusal(&bench.run(&device_finding(), &action()).await), "action_does_not_fit");
    assert!(bench.iot.history().is_empty());
}
