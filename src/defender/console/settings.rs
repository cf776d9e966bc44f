//! What of an account is audited, with which role, and who is told: the account's audit configuration.

use super::Console;
use crate::aws::{CallError, Class, Effect, classify};
use crate::finding::catalogue;
use aws_sdk_iot::config::http::HttpRequest;
use aws_sdk_iot::types::{AuditCheckConfiguration, AuditNotificationTarget, AuditNotificationType, ConfigName};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

const UPDATE: &str = "UpdateAccountAuditConfiguration";

/// `DescribeAccountAuditConfiguration`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditSettings {
    /// The role that audits run with. An account without one has never been audited.
    pub role_arn: Option<String>,
    /// Who is told that an audit has ended.
    pub alerts: Alerts,
    /// Every check that the account has, by its modern name.
    pub checks: BTreeMap<String, CheckSetting>,
}

/// The SNS target of audits' notifications.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alerts {
    /// Whether notifications are sent.
    pub enabled: bool,
    /// The topic's ARN.
    pub topic_arn: Option<String>,
    /// The role that may publish to it.
    pub role_arn: Option<String>,
}

/// One check's entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckSetting {
    /// Audits may run it.
    pub enabled: bool,
    /// `CERT_EXPIRATION_THRESHOLD_IN_DAYS`, `CERT_AGE_THRESHOLD_IN_DAYS`: decimal digits. Absent where AWS's default holds.
    pub thresholds: BTreeMap<String, String>,
}

impl AuditSettings {
    /// Whether audits may run the check.
    pub fn enabled(&self, check: &str) -> bool {
        self.checks.get(check).is_some_and(|setting| setting.enabled)
    }

    /// The checks that audits may run, by name.
    pub fn enabled_checks(&self) -> Vec<String> {
        self.checks.iter().filter(|(_, setting)| setting.enabled).map(|(check, _)| check.clone()).collect()
    }

    /// The names of all checks.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.checks.keys().map(String::as_str)
    }
}

/// What `UpdateAccountAuditConfiguration` is to change; what is absent stays as it is. Entries are whole: AWS does not say whether it
/// merges inside one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingsUpdate {
    /// The role that audits run with.
    pub role_arn: Option<String>,
    /// The SNS target.
    pub alerts: Option<Alerts>,
    /// The checks that change.
    pub checks: BTreeMap<String, CheckSetting>,
}

impl Console {
    /// `DescribeAccountAuditConfiguration`.
    ///
    /// # Errors
    ///
    /// Those of the call.
    pub async fn audit_settings(&self) -> Result<AuditSettings, CallError> {
        self.call(|| async {
            let answer = self.iot().describe_account_audit_configuration().send().await;
            let answer = answer.map_err(|error| classify("DescribeAccountAuditConfiguration", Effect::Read, error))?;
            let targets = answer.audit_notification_target_configurations.unwrap_or_default();
            let target = targets.into_iter().find(|(kind, _)| *kind == AuditNotificationType::Sns);
            let alerts = target.map_or_else(Alerts::default, |(_, target)| Alerts {
                enabled: target.enabled,
                topic_arn: target.target_arn,
                role_arn: target.role_arn,
            });
            let checks = answer.audit_check_configurations.unwrap_or_default().into_iter();
            let checks = checks.map(|(check, setting)| {
                let thresholds = setting.configuration.unwrap_or_default().into_iter();
                let thresholds = thresholds.map(|(name, value)| (name.as_str().to_owned(), value)).collect();
                (catalogue::modern_name(&check).to_owned(), CheckSetting { enabled: setting.enabled, thresholds })
            });
            Ok(AuditSettings { role_arn: answer.role_arn, alerts, checks: checks.collect() })
        })
        .await
    }

    /// `UpdateAccountAuditConfiguration`: sets values, so one whose answer is lost is made again.
    ///
    /// # Errors
    ///
    /// Those of the call: class `Permanent` for what AWS refuses, such as disabling a check that a scheduled audit uses.
    pub async fn update_audit_settings(&self, update: &SettingsUpdate) -> Result<(), CallError> {
        let (answer, _) = self
            .set(|| async {
                let targets = update.alerts.as_ref().map(|alerts| {
                    let target = AuditNotificationTarget::builder()
                        .enabled(alerts.enabled)
                        .set_target_arn(alerts.topic_arn.clone())
                        .set_role_arn(alerts.role_arn.clone());
                    HashMap::from([(AuditNotificationType::Sns, target.build())])
                });
                let checks: HashMap<_, _> =
                    update.checks.iter().map(|(check, setting)| (check.clone(), entry(setting))).collect();
                let call = self.iot().update_account_audit_configuration().set_role_arn(update.role_arn.clone());
                let call = call.set_audit_notification_target_configurations(targets);
                let call = call.set_audit_check_configurations(Some(checks).filter(|checks| !checks.is_empty()));
                let answer = call.customize().mutate_request(say_false).send().await;
                answer.map(drop).map_err(|error| classify(UPDATE, Effect::Write, error))
            })
            .await;
        answer
    }
}

fn entry(setting: &CheckSetting) -> AuditCheckConfiguration {
    let thresholds = setting.thresholds.iter().map(|(name, value)| (ConfigName::from(name.as_str()), value.clone()));
    let thresholds: HashMap<_, _> = thresholds.collect();
    let thresholds = Some(thresholds).filter(|thresholds| !thresholds.is_empty());
    AuditCheckConfiguration::builder().enabled(setting.enabled).set_configuration(thresholds).build()
}

/// Puts `"enabled": false` into the entries that lack it. The SDK leaves `false` out, and whether AWS takes an entry without the
/// member for "disabled" or for "as it is" is written nowhere.
fn say_false(request: &mut HttpRequest) {
    let body = request.body().bytes().and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok());
    let Some(mut body) = body else { return };
    for member in ["auditCheckConfigurations", "auditNotificationTargetConfigurations"] {
        let entries = body.get_mut(member).and_then(Value::as_object_mut);
        for entry in entries.into_iter().flat_map(serde_json::Map::values_mut).filter_map(Value::as_object_mut) {
            entry.entry("enabled").or_insert(json!(false));
        }
    }
    let text = body.to_string();
    request.headers_mut().insert("content-length", text.len().to_string());
    *request.body_mut() = SdkBody::from(text);
}

/// Whether AWS refused since a scheduled audit uses a check: it says so in words only.
pub fn is_used_by_schedule(error: &CallError) -> bool {
    error.operation == UPDATE && error.class == Class::Permanent && error.message.to_lowercase().contains("scheduled")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn false_is_said_and_what_is_there_stays() {
        let mut request = HttpRequest::new(SdkBody::from(
            r#"{"roleArn":"r","auditCheckConfigurations":{"A":{},"B":{"enabled":true,"configuration":{"C":"1"}}}}"#,
        ));
        say_false(&mut request);
        let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let expected = json!({
            "roleArn": "r",
            "auditCheckConfigurations": {
                "A": { "enabled": false },
                "B": { "enabled": true, "configuration": { "C": "1" } },
            },
        });
        assert_eq!(body, expected);
        let length = request.headers().get("content-length").unwrap().parse::<usize>().unwrap();
        assert_eq!(length, request.body().bytes().unwrap().len());
    }
}
