//! Wire shapes: the account's audit settings.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::audits::require_check;
use super::call::Call;
use super::checks::CHECKS;
use super::defender::{AuditConfiguration, NotificationTarget};
use super::error::IotError;
use super::fleet::Fleet;
use super::identifiers::check_role_arn;

type Reply = Result<Value, IotError>;

pub(super) fn describe_account_audit_configuration(fleet: &mut Fleet, _: &Call) -> Reply {
    let configuration = &fleet.defender.configuration;
    let checks: Map<String, Value> = CHECKS
        .iter()
        .map(|check| {
            let mut shown = json!({ "enabled": configuration.enabled(check.name) });
            let settings = configuration.checks.get(check.name).map(|check| &check.configuration);
            if let Some(settings) = settings.filter(|settings| !settings.is_empty()) {
                shown["configuration"] = json!(settings);
            }
            (check.name.to_owned(), shown)
        })
        .collect();
    let mut reply = json!({ "auditCheckConfigurations": checks, "auditNotificationTargetConfigurations": {} });
    if let Some(role_arn) = &configuration.role_arn {
        reply["roleArn"] = json!(role_arn);
    }
    if let Some(target) = &configuration.sns_target {
        reply["auditNotificationTargetConfigurations"]["SNS"] = json!({
            "targetArn": target.target_arn,
            "roleArn": target.role_arn,
            "enabled": target.enabled,
        });
    }
    Ok(reply)
}

/// Each entry's allowed thresholds are 30 to 3652 days (developer guide, pages of the two checks).
fn check_configuration(name: &str, given: &Value) -> Result<(Option<bool>, BTreeMap<String, String>), IotError> {
    require_check(name)?;
    if !given["enabled"].is_null() && !given["enabled"].is_boolean() {
        return Err(IotError::invalid(format!("enabled of {name} must be true or false")));
    }
    let mut settings = BTreeMap::new();
    for (key, value) in given["configuration"].as_object().into_iter().flatten() {
        let known = match key.as_str() {
            "CERT_EXPIRATION_THRESHOLD_IN_DAYS" => name.ends_with("CERTIFICATE_EXPIRING_CHECK"),
            "CERT_AGE_THRESHOLD_IN_DAYS" => name == super::checks::AGE_CHECK,
            _ => false,
        };
        let days = value.as_str().and_then(|days| days.parse::<u32>().ok()).filter(|days| (30..=3652).contains(days));
        let Some(days) = days.filter(|_| known) else {
            return Err(IotError::invalid(format!("{name} does not take the configuration {key}={value}")));
        };
        settings.insert(key.clone(), days.to_string());
    }
    Ok((given["enabled"].as_bool(), settings))
}

/// A first update must name the role and at least one check to enable (botocore, `UpdateAccountAuditConfigurationRequest`).
fn check_first(before: &AuditConfiguration, next: &AuditConfiguration) -> Result<(), IotError> {
    if before.role_arn.is_some() {
        return Ok(());
    }
    if next.role_arn.is_none() {
        return Err(IotError::invalid("roleArn is required the first time the audit configuration is updated"));
    }
    if !next.checks.values().any(|check| check.enabled) {
        return Err(IotError::invalid(
            "auditCheckConfigurations must enable at least one check the first time the audit configuration is updated",
        ));
    }
    Ok(())
}

fn notification_target(given: &Value, target: &mut NotificationTarget) -> Result<(), IotError> {
    if let Some(arn) = given["targetArn"].as_str() {
        arn.clone_into(&mut target.target_arn);
    }
    if let Some(arn) = given["roleArn"].as_str() {
        check_role_arn("roleArn of the notification target", arn)?;
        arn.clone_into(&mut target.role_arn);
    }
    if let Some(enabled) = given["enabled"].as_bool() {
        target.enabled = enabled;
    }
    if target.enabled && (target.target_arn.is_empty() || target.role_arn.is_empty()) {
        return Err(IotError::invalid("an enabled notification target needs targetArn and roleArn"));
    }
    Ok(())
}

pub(super) fn update_account_audit_configuration(fleet: &mut Fleet, call: &Call) -> Reply {
    let mut next: AuditConfiguration = fleet.defender.configuration.clone();
    if let Some(role_arn) = call.text("roleArn")? {
        check_role_arn("roleArn", role_arn)?;
        next.role_arn = Some(role_arn.to_owned());
    }
    if let Some(targets) = call.member("auditNotificationTargetConfigurations") {
        for (kind, given) in targets.as_object().into_iter().flatten() {
            if kind != "SNS" {
                return Err(IotError::invalid(format!("{kind} is not a notification target; SNS is")));
            }
            notification_target(given, next.sns_target.get_or_insert_with(NotificationTarget::default))?;
        }
    }
    let mut disabled = Vec::new();
    if let Some(checks) = call.member("auditCheckConfigurations") {
        for (name, given) in checks.as_object().into_iter().flatten() {
            let (enabled, settings) = check_configuration(name, given)?;
            let entry = next.checks.entry(name.clone()).or_default();
            if entry.enabled && enabled == Some(false) {
                disabled.push(name.clone());
            }
            entry.enabled = enabled.unwrap_or(entry.enabled);
            entry.configuration.extend(settings);
        }
    }
    check_first(&fleet.defender.configuration, &next)?;
    for check in &disabled {
        if let Some(schedule) = fleet.schedule_using(check) {
            return Err(IotError::invalid(format!(
                "The check {check} cannot be disabled: the scheduled audit {schedule} uses it"
            )));
        }
    }
    fleet.defender.configuration = next;
    for check in &disabled {
        fleet.defender.forget(check);
    }
    Ok(json!({}))
}

/// Back to the defaults: every check is disabled, with what that means for its data. While there are scheduled audits they
/// must be deleted with it, since a check that one uses cannot be disabled. (That AWS answers `InvalidRequestException`
/// otherwise is UNCONFIRMED.)
pub(super) fn delete_account_audit_configuration(fleet: &mut Fleet, call: &Call) -> Reply {
    if fleet.defender.configuration.role_arn.is_none() {
        return Err(IotError::not_found("The account has no audit configuration"));
    }
    let schedules: Vec<String> = fleet.defender.schedules.keys().cloned().collect();
    if !call.query_flag("deleteScheduledAudits") && !schedules.is_empty() {
        return Err(IotError::invalid(format!(
            "There are scheduled audits ({}); delete them first, or with deleteScheduledAudits",
            schedules.join(", ")
        )));
    }
    for name in schedules {
        fleet.delete_scheduled_audit(&name)?;
    }
    let configuration = std::mem::take(&mut fleet.defender.configuration);
    for (check, _) in configuration.checks.iter().filter(|(_, check)| check.enabled) {
        fleet.defender.forget(check);
    }
    Ok(json!({}))
}
