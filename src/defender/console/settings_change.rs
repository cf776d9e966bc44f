//! What a person wants to change about the audit settings, and what that comes to. Pure.

use super::check_name;
use super::settings::{Alerts, AuditSettings, CheckSetting, SettingsUpdate};
use crate::finding::catalogue;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

const EXPIRATION: &str = "CERT_EXPIRATION_THRESHOLD_IN_DAYS";
const AGE: &str = "CERT_AGE_THRESHOLD_IN_DAYS";

/// Days that AWS allows for either threshold (developer guide, the pages of the three checks).
const DAYS: RangeInclusive<u32> = 30..=3652;

/// What is wanted. Checks are named as [`check_name::resolve`] reads them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The role that audits run with.
    pub role_arn: Option<String>,
    /// Checks to switch on.
    pub enable: Vec<String>,
    /// Every check is switched on that is not named to be switched off.
    pub enable_all: bool,
    /// Checks to switch off.
    pub disable: Vec<String>,
    /// Checks and days.
    pub thresholds: Vec<(String, u32)>,
    /// The topic that is told.
    pub alert_topic: Option<String>,
    /// The role that may publish to it.
    pub alert_role: Option<String>,
    /// Whether it is told.
    pub alerts: Option<bool>,
}

/// One line of the difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What changes: `role`, a check, a check's threshold.
    pub setting: String,
    /// What it is.
    pub before: String,
    /// What it becomes.
    pub after: String,
}

/// What is to be sent, and what it changes. Both empty when everything is as wanted already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// For the API.
    pub update: SettingsUpdate,
    /// For people.
    pub differences: Vec<Difference>,
    /// Checks that are switched off; their data goes.
    pub disabled: Vec<String>,
}

impl Change {
    /// Everything is as wanted already.
    pub fn is_empty(&self) -> bool {
        self.differences.is_empty()
    }
}

/// The threshold that a check has, by its name in the API; most checks have none.
pub fn threshold_of(check: &str) -> Option<&'static str> {
    match check {
        "CA_CERTIFICATE_EXPIRING_CHECK" | "DEVICE_CERTIFICATE_EXPIRING_CHECK" => Some(EXPIRATION),
        "DEVICE_CERTIFICATE_AGE_CHECK" => Some(AGE),
        _ => None,
    }
}

/// What holds where nobody set a threshold, in days (developer guide).
pub fn default_days(threshold: &str) -> Option<u32> {
    match threshold {
        EXPIRATION => Some(30),
        AGE => Some(365),
        _ => None,
    }
}

/// Turns what is wanted into what is to be sent.
///
/// # Errors
///
/// Every mistake, a sentence each.
pub fn change(now: &AuditSettings, wanted: &Wanted) -> Result<Change, Vec<String>> {
    let mut mistakes = Vec::new();
    for (flag, arn, service) in [
        ("--role", &wanted.role_arn, "iam"),
        ("--alert-topic", &wanted.alert_topic, "sns"),
        ("--alert-role", &wanted.alert_role, "iam"),
    ] {
        mistakes.extend(arn.as_ref().and_then(|arn| check_arn(flag, arn, service).err()));
    }
    let checks = checks_after(now, wanted, &mut mistakes);
    let alerts = alerts_after(&now.alerts, wanted, &mut mistakes);
    let role_after = wanted.role_arn.clone().or_else(|| now.role_arn.clone());
    let after = AuditSettings { role_arn: role_after, alerts, checks };
    // With nothing switched on there is nothing to begin with, whatever else is wanted.
    if now.role_arn.is_none() && mistakes.is_empty() {
        mistakes.extend(first_time(wanted, &after));
    }
    if mistakes.is_empty() { Ok(difference(now, after)) } else { Err(mistakes) }
}

/// An account that was never audited needs a role and a check at once (API reference, `UpdateAccountAuditConfiguration`).
fn first_time(wanted: &Wanted, after: &AuditSettings) -> Option<String> {
    let missing = match (wanted.role_arn.is_none(), after.enabled_checks().is_empty()) {
        (true, true) => "the role that audits run with (--role ARN) and a check (--enable CHECK, or --enable-all)",
        (true, false) => "the role that audits run with: --role arn:aws:iam::ACCOUNT:role/NAME",
        (false, true) => "a check to begin with: --enable CHECK, or --enable-all",
        (false, false) => return None,
    };
    Some(format!("this account has no audit settings yet, and the first ones need {missing}"))
}

fn check_arn(flag: &str, arn: &str, service: &str) -> Result<(), String> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let account = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    let fits = match parts.as_slice() {
        ["arn", partition, "iam", "", id, role] => {
            service == "iam"
                && partition.starts_with("aws")
                && account(id)
                && role.strip_prefix("role/").is_some_and(|name| !name.is_empty())
        }
        ["arn", partition, "sns", region, id, topic] => {
            service == "sns" && partition.starts_with("aws") && !region.is_empty() && account(id) && !topic.is_empty()
        }
        _ => false,
    };
    let example = match service {
        "iam" => "a role, such as arn:aws:iam::123456789012:role/NAME",
        _ => "an SNS topic, such as arn:aws:sns:us-east-1:123456789012:NAME",
    };
    if fits { Ok(()) } else { Err(format!("{flag} {arn} is not the ARN of {example}")) }
}

fn checks_after(now: &AuditSettings, wanted: &Wanted, mistakes: &mut Vec<String>) -> BTreeMap<String, CheckSetting> {
    let mut after = now.checks.clone();
    let mut resolved = |texts: &[String], flag: &str| -> BTreeSet<String> {
        match check_name::resolve_all(texts, now.names()) {
            Ok(names) => names.into_iter().collect(),
            Err(wrong) => {
                mistakes.extend(wrong.into_iter().map(|mistake| format!("{flag}: {mistake}")));
                BTreeSet::new()
            }
        }
    };
    let (mut enable, disable) = (resolved(&wanted.enable, "--enable"), resolved(&wanted.disable, "--disable"));
    for both in enable.intersection(&disable) {
        mistakes.push(format!("{both} is to be enabled and disabled at once; name it in --enable or in --disable"));
    }
    if wanted.enable_all {
        let all = catalogue::CHECKS.iter().map(|check| check.name).chain(now.names());
        enable.extend(all.filter(|check| !disable.contains(*check)).map(str::to_owned));
    }
    for (checks, enabled) in [(enable, true), (disable, false)] {
        for check in checks {
            after.entry(check).or_default().enabled = enabled;
        }
    }
    for (text, days) in &wanted.thresholds {
        match threshold(now, text, *days) {
            Ok((check, name)) => {
                after.entry(check).or_default().thresholds.insert(name.to_owned(), days.to_string());
            }
            Err(mistake) => mistakes.push(format!("--threshold {text}={days}: {mistake}")),
        }
    }
    after
}

fn threshold(now: &AuditSettings, check: &str, days: u32) -> Result<(String, &'static str), String> {
    let check = check_name::resolve(check, now.names())?;
    let Some(name) = threshold_of(&check) else {
        let having: Vec<_> =
            catalogue::CHECKS.iter().map(|check| check.name).filter(|check| threshold_of(check).is_some()).collect();
        return Err(format!("{check} has no threshold; {} have one", having.join(", ")));
    };
    if !DAYS.contains(&days) {
        return Err(format!("{days} days are out of range; write {} to {}", DAYS.start(), DAYS.end()));
    }
    Ok((check, name))
}

fn alerts_after(now: &Alerts, wanted: &Wanted, mistakes: &mut Vec<String>) -> Alerts {
    let topic_arn = wanted.alert_topic.clone().or_else(|| now.topic_arn.clone());
    let role_arn = wanted.alert_role.clone().or_else(|| now.role_arn.clone());
    // Whoever names a first topic wants to be told.
    let first = now.topic_arn.is_none() && wanted.alert_topic.is_some();
    let after = Alerts { enabled: wanted.alerts.unwrap_or(now.enabled || first), topic_arn, role_arn };
    if after.enabled && after != *now {
        if after.topic_arn.is_none() {
            mistakes.push("alerts need a topic: --alert-topic arn:aws:sns:REGION:ACCOUNT:NAME".to_owned());
        }
        if after.role_arn.is_none() {
            let role = "--alert-role arn:aws:iam::ACCOUNT:role/NAME";
            mistakes.push(format!("alerts need a role that may publish to the topic: {role}"));
        }
    }
    after
}

fn difference(now: &AuditSettings, after: AuditSettings) -> Change {
    let mut change = Change::default();
    let mut differs = |setting: String, before: Option<&str>, after: Option<&str>| {
        if before == after {
            return false;
        }
        let shown = |text: Option<&str>| text.unwrap_or("not set").to_owned();
        change.differences.push(Difference { setting, before: shown(before), after: shown(after) });
        true
    };
    if differs("role".to_owned(), now.role_arn.as_deref(), after.role_arn.as_deref()) {
        change.update.role_arn = after.role_arn;
    }
    let on = |enabled: bool| Some(if enabled { "on" } else { "off" });
    let (before_alerts, after_alerts) = (&now.alerts, &after.alerts);
    let alerts = [
        differs("alerts".to_owned(), on(before_alerts.enabled), on(after_alerts.enabled)),
        differs("alert topic".to_owned(), before_alerts.topic_arn.as_deref(), after_alerts.topic_arn.as_deref()),
        differs("alert role".to_owned(), before_alerts.role_arn.as_deref(), after_alerts.role_arn.as_deref()),
    ];
    let unset = CheckSetting::default();
    for (check, setting) in after.checks {
        let before = now.checks.get(&check).unwrap_or(&unset);
        let switched = differs(check.clone(), on(before.enabled), on(setting.enabled));
        let mut changed = switched;
        for (name, days) in &setting.thresholds {
            // The default is what holds before; whoever sets it to the same figure still sets it.
            let default = default_days(name).map(|days| format!("{days} (default)"));
            let was = before.thresholds.get(name).or(default.as_ref());
            changed |= differs(format!("{check} {name}"), was.map(String::as_str), Some(days));
        }
        if switched && !setting.enabled {
            change.disabled.push(check.clone());
        }
        if changed {
            change.update.checks.insert(check, setting);
        }
    }
    if alerts.contains(&true) {
        change.update.alerts = Some(after.alerts);
    }
    change
}

#[cfg(test)]
mod tests;
