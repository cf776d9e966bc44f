//! Logging, V2 and V1: the rules, and their operations.

use serde_json::{Value, json};

use super::call::Call;
use super::error::IotError;
use super::fleet::Fleet;

type Reply = Result<Value, IotError>;

/// AWS IoT's V2 logging options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggingOptions {
    /// The role that writes the logs.
    pub role_arn: String,
    /// `DEBUG`, `INFO`, `WARN`, `ERROR` or `DISABLED`.
    pub default_log_level: String,
    /// Turns all logs off whatever the level says.
    pub disable_all_logs: bool,
    /// `eventConfigurations`, as they were given.
    pub event_configurations: Vec<Value>,
}

impl LoggingOptions {
    /// Whether anything is logged at all.
    pub fn enabled(&self) -> bool {
        !self.disable_all_logs && self.default_log_level != "DISABLED"
    }
}

/// AWS IoT's V1 logging options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggingOptionsV1 {
    /// The role that writes the logs.
    pub role_arn: String,
    /// `DEBUG`, `INFO`, `WARN`, `ERROR` or `DISABLED`.
    pub log_level: String,
}

fn check_level(level: &str) -> Result<(), IotError> {
    if ["DEBUG", "INFO", "WARN", "ERROR", "DISABLED"].contains(&level) {
        return Ok(());
    }
    Err(IotError::invalid(format!("{level} is not a log level: DEBUG, INFO, WARN, ERROR and DISABLED are")))
}

impl Fleet {
    /// Whether anything is logged, by V2 or by V1. (The page of the logging check says that it "verifies both V1 and V2
    /// logging"; that either will do is our reading, UNCONFIRMED.)
    pub fn logs(&self) -> bool {
        self.logging.as_ref().is_some_and(LoggingOptions::enabled)
            || self.logging_v1.as_ref().is_some_and(|options| options.log_level != "DISABLED")
    }

    /// `SetLoggingOptions` (V1): a level that is not given stays, or is `DISABLED` at first.
    pub fn set_logging_v1(&mut self, role_arn: &str, level: Option<&str>) -> Result<(), IotError> {
        if let Some(level) = level {
            check_level(level)?;
        }
        let before = self.logging_v1.as_ref().map(|options| options.log_level.clone());
        let log_level = level.map(str::to_owned).or(before).unwrap_or_else(|| "DISABLED".to_owned());
        self.logging_v1 = Some(LoggingOptionsV1 { role_arn: role_arn.to_owned(), log_level });
        Ok(())
    }

    /// `SetV2LoggingOptions`: what is not given stays; the role and the level are needed the first time.
    pub fn set_logging(
        &mut self,
        role_arn: Option<&str>,
        level: Option<&str>,
        disable_all_logs: Option<bool>,
    ) -> Result<(), IotError> {
        if let Some(level) = level {
            check_level(level)?;
        }
        let before = self.logging.as_ref();
        let role_arn = role_arn.map(str::to_owned).or_else(|| before.map(|options| options.role_arn.clone()));
        let level = level.map(str::to_owned).or_else(|| before.map(|options| options.default_log_level.clone()));
        let (Some(role_arn), Some(default_log_level)) = (role_arn, level) else {
            return Err(IotError::invalid("roleArn and defaultLogLevel are required the first time logging is set"));
        };
        let disable_all_logs =
            disable_all_logs.unwrap_or_else(|| before.is_some_and(|options| options.disable_all_logs));
        let event_configurations = before.map(|options| options.event_configurations.clone()).unwrap_or_default();
        self.logging = Some(LoggingOptions { role_arn, default_log_level, disable_all_logs, event_configurations });
        Ok(())
    }
}

pub(super) fn get_v2_logging_options(fleet: &mut Fleet, _: &Call) -> Reply {
    let options = fleet.logging.as_ref();
    let options = options.ok_or_else(|| IotError::not_configured("Logging options are not configured"))?;
    let mut reply = json!({
        "roleArn": options.role_arn,
        "defaultLogLevel": options.default_log_level,
        "disableAllLogs": options.disable_all_logs,
    });
    if !options.event_configurations.is_empty() {
        reply["eventConfigurations"] = json!(options.event_configurations);
    }
    Ok(reply)
}

pub(super) fn set_v2_logging_options(fleet: &mut Fleet, call: &Call) -> Reply {
    let events = call.member("eventConfigurations").map(|events| {
        let events = events.as_array().filter(|events| events.iter().all(|event| event["eventType"].is_string()));
        events.cloned().ok_or_else(|| IotError::invalid("eventConfigurations must be a list of entries with eventType"))
    });
    let events = events.transpose()?;
    fleet.set_logging(call.text("roleArn")?, call.text("defaultLogLevel")?, call.flag("disableAllLogs")?)?;
    if let (Some(events), Some(options)) = (events, &mut fleet.logging) {
        options.event_configurations = events;
    }
    Ok(json!({}))
}

/// (What AWS answers before V1 logging was ever set is UNCONFIRMED: the operation has no `NotConfiguredException`.)
pub(super) fn get_logging_options(fleet: &mut Fleet, _: &Call) -> Reply {
    Ok(match &fleet.logging_v1 {
        Some(options) => json!({ "roleArn": options.role_arn, "logLevel": options.log_level }),
        None => json!({ "logLevel": "DISABLED" }),
    })
}

pub(super) fn set_logging_options(fleet: &mut Fleet, call: &Call) -> Reply {
    // The service model makes this structure the body itself (`payload`).
    let role_arn = call.required_text("roleArn")?;
    fleet.set_logging_v1(role_arn, call.text("logLevel")?)?;
    Ok(json!({}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logging_needs_role_and_level_once_and_keeps_what_is_not_given() {
        let mut fleet = Fleet::new("123456789012", "us-east-1", 1, 1_791_000_000_000);
        assert!(fleet.set_logging(None, Some("ERROR"), None).is_err());
        fleet.set_logging(Some("arn:aws:iam::123456789012:role/Log"), Some("ERROR"), None).unwrap();
        fleet.set_logging(None, None, Some(true)).unwrap();
        let options = fleet.logging.clone().unwrap();
        assert_eq!((options.default_log_level.as_str(), options.enabled()), ("ERROR", false));
    }
}
