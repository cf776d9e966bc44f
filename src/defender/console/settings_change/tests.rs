use super::*;

const ROLE: &str = "arn:aws:iam::123456789012:role/Audit";
const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:Audits";

fn settings(enabled: &[&str]) -> AuditSettings {
    let setting = |name: &str| CheckSetting { enabled: enabled.contains(&name), thresholds: BTreeMap::new() };
    AuditSettings {
        role_arn: Some(ROLE.to_owned()),
        alerts: Alerts::default(),
        checks: catalogue::CHECKS.iter().map(|check| (check.name.to_owned(), setting(check.name))).collect(),
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn lines(change: &Change) -> Vec<String> {
    change.differences.iter().map(|line| format!("{}: {} -> {}", line.setting, line.before, line.after)).collect()
}

#[test]
fn only_what_differs_is_sent_and_each_entry_is_whole() {
    let mut now = settings(&["LOGGING_DISABLED_CHECK", "DEVICE_CERTIFICATE_AGE_CHECK"]);
    let days = BTreeMap::from([(AGE.to_owned(), "400".to_owned())]);
    now.checks.get_mut("DEVICE_CERTIFICATE_AGE_CHECK").unwrap().thresholds = days.clone();
    let wanted = Wanted {
        role_arn: Some(ROLE.to_owned()),
        enable: texts(&["logging", "shared"]),
        disable: texts(&["device_certificate_age"]),
        ..Wanted::default()
    };
    let change = change(&now, &wanted).unwrap();
    assert_eq!(
        lines(&change),
        ["DEVICE_CERTIFICATE_AGE_CHECK: on -> off", "DEVICE_CERTIFICATE_SHARED_CHECK: off -> on"]
    );
    assert_eq!(change.disabled, ["DEVICE_CERTIFICATE_AGE_CHECK"]);
    assert_eq!((&change.update.role_arn, &change.update.alerts), (&None, &None));
    let expected = BTreeMap::from([
        ("DEVICE_CERTIFICATE_AGE_CHECK".to_owned(), CheckSetting { enabled: false, thresholds: days }),
        ("DEVICE_CERTIFICATE_SHARED_CHECK".to_owned(), CheckSetting { enabled: true, ..CheckSetting::default() }),
    ]);
    assert_eq!(change.update.checks, expected);
}

#[test]
fn what_is_as_wanted_already_changes_nothing() {
    let now = settings(&["LOGGING_DISABLED_CHECK"]);
    let wanted =
        Wanted { role_arn: Some(ROLE.to_owned()), enable: texts(&["LOGGING_DISABLED_CHECK"]), ..Wanted::default() };
    let change = change(&now, &wanted).unwrap();
    assert!(change.is_empty());
    assert_eq!(change.update, SettingsUpdate::default());
}

#[test]
fn all_but_those_named_can_be_switched_on() {
    let wanted =
        Wanted { enable_all: true, disable: texts(&["logging", "device_certificate_age"]), ..Wanted::default() };
    let change = change(&settings(&["LOGGING_DISABLED_CHECK"]), &wanted).unwrap();
    assert_eq!(change.disabled, ["LOGGING_DISABLED_CHECK"]);
    assert_eq!(change.update.checks.len(), 16, "15 go on, 1 goes off, 1 is off already");
}

#[test]
fn a_threshold_fits_its_check_and_its_range_and_shows_the_default_before() {
    let now = settings(&["CA_CERTIFICATE_EXPIRING_CHECK"]);
    let with = |check: &str, days| Wanted { thresholds: vec![(check.to_owned(), days)], ..Wanted::default() };
    let sent = change(&now, &with("ca_certificate_expiring", 60)).unwrap();
    assert_eq!(lines(&sent), ["CA_CERTIFICATE_EXPIRING_CHECK CERT_EXPIRATION_THRESHOLD_IN_DAYS: 30 (default) -> 60"]);
    assert!(sent.update.checks["CA_CERTIFICATE_EXPIRING_CHECK"].enabled, "an entry is whole");
    for (check, days, words) in [
        ("ca_certificate_expiring", 29, "29 days are out of range; write 30 to 3652"),
        ("DEVICE_CERTIFICATE_AGE_CHECK", 3653, "out of range"),
        ("logging", 60, "LOGGING_DISABLED_CHECK has no threshold; CA_CERTIFICATE_EXPIRING_CHECK, "),
        ("nonsense", 60, "there is no check nonsense"),
    ] {
        let mistakes = change(&now, &with(check, days)).unwrap_err();
        assert!(mistakes[0].contains(words), "{mistakes:?}");
    }
}

#[test]
fn every_mistake_is_told_at_once() {
    let wanted = Wanted {
        role_arn: Some("Audit".to_owned()),
        alert_topic: Some(ROLE.to_owned()),
        alert_role: Some(TOPIC.to_owned()),
        enable: texts(&["logging", "nonsense"]),
        disable: texts(&["shared", "nothing"]),
        ..Wanted::default()
    };
    let mistakes = change(&settings(&[]), &wanted).unwrap_err();
    assert_eq!(mistakes.len(), 5, "{mistakes:?}");
    let both = Wanted { enable: texts(&["logging"]), disable: texts(&["LOGGING_DISABLED_CHECK"]), ..Wanted::default() };
    let mistakes = change(&settings(&[]), &both).unwrap_err();
    assert!(mistakes[0].starts_with("LOGGING_DISABLED_CHECK is to be enabled and disabled at once"), "{mistakes:?}");
}

#[test]
fn the_first_settings_need_a_role_and_a_check() {
    let now = AuditSettings { role_arn: None, ..settings(&[]) };
    let with = |role: bool, check: bool| Wanted {
        role_arn: role.then(|| ROLE.to_owned()),
        enable: if check { texts(&["logging"]) } else { Vec::new() },
        ..Wanted::default()
    };
    for (role, check, words) in [
        (false, true, "the role that audits run with: --role arn:aws:iam::ACCOUNT:role/NAME"),
        (true, false, "a check to begin with: --enable CHECK"),
        (false, false, "(--role ARN) and a check"),
    ] {
        let mistakes = change(&now, &with(role, check)).unwrap_err();
        assert!(mistakes[0].contains(words), "{mistakes:?}");
    }
    assert_eq!(change(&now, &with(true, true)).unwrap().differences.len(), 2);
}

#[test]
fn alerts_need_a_topic_and_a_role_and_a_first_topic_switches_them_on() {
    let now = settings(&[]);
    let wanted = Wanted { alert_topic: Some(TOPIC.to_owned()), ..Wanted::default() };
    assert!(change(&now, &wanted).unwrap_err()[0].contains("--alert-role"));
    let wanted = Wanted { alert_role: Some(ROLE.to_owned()), ..wanted };
    let first = change(&now, &wanted).unwrap();
    let on = Alerts { enabled: true, topic_arn: Some(TOPIC.to_owned()), role_arn: Some(ROLE.to_owned()) };
    assert_eq!(first.update.alerts, Some(on.clone()));

    let now = AuditSettings { alerts: on, ..now };
    let off = change(&now, &Wanted { alerts: Some(false), ..Wanted::default() }).unwrap();
    assert_eq!(lines(&off), ["alerts: on -> off"]);
    assert_eq!(off.update.alerts.as_ref().unwrap().topic_arn.as_deref(), Some(TOPIC), "an entry is whole");
    let without = change(&settings(&[]), &Wanted { alerts: Some(true), ..Wanted::default() }).unwrap_err();
    assert_eq!(without.len(), 2, "{without:?}");
}
