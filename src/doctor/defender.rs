//! Device Defender: whether audits run, whether they look at what the policy is about, and who hears of them.

use super::diagnosis::{About, Area, Diagnosis};
use super::words::about_read;
use crate::aws::CallError;
use crate::defender::console::{AuditSettings, Schedule};
use crate::finding::catalogue;
use crate::policy::Policy;
use std::collections::BTreeMap;

const DEFENDER: About = About(Area::DeviceDefender);

/// The account's audit settings, for workers with this policy behind these topics.
pub(super) fn judge_settings(
    settings: &Result<AuditSettings, CallError>,
    policy: &Policy,
    topics: &[String],
    account: &str,
) -> Vec<Diagnosis> {
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => {
            return vec![
                DEFENDER
                    .not_checked("audits", format!("failed to {error}"))
                    .mend(about_read(error, "iot:DescribeAccountAuditConfiguration")),
            ];
        }
    };
    let on = settings.enabled_checks();
    let Some(role) = &settings.role_arn else {
        return vec![DEFENDER.wrong("audits", "this account has no audit settings yet: no audit can run").mend(format!(
            "fleetwarden audit settings set --enable-all --role arn:aws:iam::{account}:role/NAME, with AWS's policy AWSIoTDeviceDefenderAudit"
        ))];
    };
    if on.is_empty() {
        return vec![
            DEFENDER
                .wrong("audits", "no check is enabled: no audit finds anything")
                .mend("fleetwarden audit settings set --enable-all"),
        ];
    }
    let mut rows =
        vec![DEFENDER.ok(
            "audits",
            format!("{} of {} checks are enabled, with the role {role}", on.len(), settings.checks.len()),
        )];
    rows.extend(acted_on(policy).into_iter().filter(|(check, _)| !settings.enabled(check)).map(|(check, rules)| {
        let found = format!("it is off, though rule {} acts on it: it finds nothing", rules.join(", "));
        DEFENDER.wrong(check, found).mend(format!("fleetwarden audit settings set --enable {check}"))
    }));
    rows.push(alerts(settings, topics, account));
    rows
}

/// The checks that rules name in full and do something about, each with those rules.
fn acted_on(policy: &Policy) -> BTreeMap<&str, Vec<String>> {
    let mut checks: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let acting =
        policy.rules.iter().filter(|rule| !(rule.observe || rule.actions.is_empty() && rule.delegate.is_empty()));
    for rule in acting {
        for check in rule.matcher.check.iter().filter(|check| catalogue::check(check).is_some()) {
            checks.entry(check).or_default().push(format!("`{}`", rule.name));
        }
    }
    checks
}

fn alerts(settings: &AuditSettings, topics: &[String], account: &str) -> Diagnosis {
    let what = "alerts";
    let alerts = &settings.alerts;
    let topic = topics.first().map_or("TOPIC_ARN", String::as_str);
    let role = alerts.role_arn.clone().unwrap_or_else(|| format!("arn:aws:iam::{account}:role/NAME"));
    let mend = format!("fleetwarden audit settings set --alert-topic {topic} --alert-role {role}");
    match &alerts.topic_arn {
        None => DEFENDER
            .wrong(what, "nobody is told that an audit has ended: its findings never reach the queue")
            .mend(mend),
        Some(told) if !alerts.enabled => DEFENDER
            .wrong(what, format!("they are off, though aimed at {told}: an audit's findings never reach the queue"))
            .mend(if topics.contains(told) { "fleetwarden audit settings set --alerts on".to_owned() } else { mend }),
        Some(told) if topics.contains(told) => DEFENDER.ok(what, format!("to {told}")),
        Some(told) => DEFENDER
            .wrong(
                what,
                format!("they go to {told}, which does not feed the queue: an audit's findings never reach it"),
            )
            .mend(mend),
    }
}

/// Whether audits run by themselves.
pub(super) fn judge_schedules(schedules: &Result<Vec<Schedule>, CallError>, policy: &Policy) -> Vec<Diagnosis> {
    let what = "schedule";
    let schedules = match schedules {
        Ok(schedules) => schedules,
        Err(error) => {
            return vec![
                DEFENDER
                    .not_checked(what, format!("failed to {error}"))
                    .mend(about_read(error, "iot:ListScheduledAudits and iot:DescribeScheduledAudit")),
            ];
        }
    };
    if schedules.is_empty() {
        return vec![
            DEFENDER
                .note(what, "no audit runs by itself")
                .mend("fleetwarden audit schedule create Nightly --daily --all-enabled"),
        ];
    }
    let told: Vec<_> = schedules.iter().map(|schedule| format!("{} ({})", schedule.name, schedule.frequency)).collect();
    let mut rows = vec![DEFENDER.ok(what, told.join(", "))];
    let acted_on = acted_on(policy);
    let missed: Vec<_> = acted_on
        .keys()
        .filter(|check| !schedules.iter().any(|one| one.checks.iter().any(|other| other == *check)))
        .copied()
        .collect();
    if !missed.is_empty() {
        rows.push(
            DEFENDER
                .note("scheduled checks", format!("no schedule runs {}, though rules act on it", missed.join(", ")))
                .mend(format!("fleetwarden audit schedule update {} --all-enabled", schedules[0].name)),
        );
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::defender::console::{Alerts, CheckSetting, Frequency};
    use crate::doctor::State;

    const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:t";
    const SHARED: &str = "DEVICE_CERTIFICATE_SHARED_CHECK";

    fn policy() -> Policy {
        let text = format!(
            "version: 1\nrules:\n  - name: shared\n    match: {{ check: [{SHARED}] }}\n    actions: [{{ type: UPDATE_DEVICE_CERTIFICATE }}]\n  - name: rest\n    match: {{}}\n    actions: []\n"
        );
        Policy::load(&text, "p").unwrap()
    }

    fn settings() -> AuditSettings {
        let on = |check: &str| (check.to_owned(), CheckSetting { enabled: true, ..CheckSetting::default() });
        AuditSettings {
            role_arn: Some("arn:aws:iam::123456789012:role/Audit".to_owned()),
            alerts: Alerts { enabled: true, topic_arn: Some(TOPIC.to_owned()), role_arn: Some("role".to_owned()) },
            checks: BTreeMap::from([on(SHARED), on("LOGGING_DISABLED_CHECK")]),
        }
    }

    fn unwell(settings: AuditSettings) -> Vec<(String, State, String)> {
        let rows = judge_settings(&Ok(settings), &policy(), &[TOPIC.to_owned()], "123456789012");
        rows.into_iter().filter(|row| row.state != State::Ok).map(|row| (row.what, row.state, row.mend)).collect()
    }

    #[test]
    fn audits_that_look_at_what_rules_act_on_and_tell_the_topic_are_in_order() {
        assert_eq!(unwell(settings()), []);
        let mut other_off = settings();
        other_off.checks.insert("LOGGING_DISABLED_CHECK".to_owned(), CheckSetting::default());
        assert_eq!(unwell(other_off), [], "no rule does anything about it");
    }

    #[test]
    fn each_setting_without_which_nothing_is_found_or_heard_is_wrong_with_its_command() {
        let mut check_off = settings();
        check_off.checks.insert(SHARED.to_owned(), CheckSetting::default());
        let elsewhere =
            Alerts { topic_arn: Some("arn:aws:sns:us-east-1:123456789012:other".to_owned()), ..settings().alerts };
        for (settings, what, mend) in [
            (
                AuditSettings { role_arn: None, ..settings() },
                "audits",
                "--enable-all --role arn:aws:iam::123456789012:role/NAME",
            ),
            (AuditSettings { checks: BTreeMap::new(), ..settings() }, "audits", "--enable-all"),
            (check_off, SHARED, "--enable DEVICE_CERTIFICATE_SHARED_CHECK"),
            (
                AuditSettings { alerts: Alerts::default(), ..settings() },
                "alerts",
                "--alert-topic arn:aws:sns:us-east-1:123456789012:t --alert-role arn",
            ),
            (
                AuditSettings { alerts: Alerts { enabled: false, ..settings().alerts }, ..settings() },
                "alerts",
                "--alerts on",
            ),
            (
                AuditSettings { alerts: elsewhere, ..settings() },
                "alerts",
                "--alert-topic arn:aws:sns:us-east-1:123456789012:t --alert-role role",
            ),
        ] {
            let rows = unwell(settings);
            assert!(
                rows.len() == 1 && rows[0].0 == what && rows[0].1 == State::Wrong && rows[0].2.contains(mend),
                "{rows:?}"
            );
        }
    }

    #[test]
    fn no_schedule_or_one_without_a_check_that_matters_is_a_note() {
        let schedule = |check: &str| Schedule {
            name: "Nightly".to_owned(),
            arn: None,
            frequency: Frequency::daily(),
            checks: vec![check.to_owned()],
        };
        let states = |schedules: Vec<Schedule>| -> Vec<State> {
            judge_schedules(&Ok(schedules), &policy()).into_iter().map(|row| row.state).collect()
        };
        assert_eq!(states(Vec::new()), [State::Note]);
        assert_eq!(states(vec![schedule(SHARED)]), [State::Ok]);
        assert_eq!(states(vec![schedule("LOGGING_DISABLED_CHECK")]), [State::Ok, State::Note]);
    }
}
