//! The parameters of an action: read from flags and checked before anything is called; compared; shown.

use crate::aws::syntax::{is_role_arn, is_thing_group_name, is_topic_arn};
use crate::defender::console::{ActionParams, MitigationAction};
use crate::finding::{ActionType, catalogue};
use crate::policy::LogLevel;
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Groups of one action: `ThingGroupNames` of the IoT API.
const MOST_GROUPS: usize = 10;

/// The longest topic of an action: `SnsTopicArn` of the IoT API.
const LONGEST_TOPIC: usize = 350;

/// Parameters of the six types; each type takes its own.
#[derive(Debug, Clone, Default, Args)]
pub struct ParamArgs {
    /// ADD_THINGS_TO_THING_GROUP: the static thing groups, 1 to 10
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub group: Vec<String>,
    /// ADD_THINGS_TO_THING_GROUP: a thing that is in ten groups leaves a dynamic one for it
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "true|false")]
    pub override_dynamic_groups: Option<bool>,
    /// REPLACE_DEFAULT_POLICY_VERSION: BLANK_POLICY, the one template that AWS has
    #[arg(long, value_name = "TEMPLATE")]
    pub template: Option<String>,
    /// ENABLE_IOT_LOGGING: ERROR, WARN, INFO or DEBUG
    #[arg(long, value_name = "LEVEL")]
    pub level: Option<String>,
    /// ENABLE_IOT_LOGGING: the role that AWS IoT writes the logs with
    #[arg(long, value_name = "ARN")]
    pub logging_role: Option<String>,
    /// PUBLISH_FINDING_TO_SNS: a standard topic
    #[arg(long, value_name = "ARN")]
    pub topic: Option<String>,
}

impl ParamArgs {
    /// No flag says anything.
    pub fn is_empty(&self) -> bool {
        self.given().is_empty()
    }

    fn given(&self) -> Vec<(&'static str, ActionType)> {
        let flags = [
            ("--group", ActionType::AddThingsToThingGroup, !self.group.is_empty()),
            ("--override-dynamic-groups", ActionType::AddThingsToThingGroup, self.override_dynamic_groups.is_some()),
            ("--template", ActionType::ReplaceDefaultPolicyVersion, self.template.is_some()),
            ("--level", ActionType::EnableIotLogging, self.level.is_some()),
            ("--logging-role", ActionType::EnableIotLogging, self.logging_role.is_some()),
            ("--topic", ActionType::PublishFindingToSns, self.topic.is_some()),
        ];
        flags.into_iter().filter(|(_, _, given)| *given).map(|(flag, kind, _)| (flag, kind)).collect()
    }

    /// The parameters of an action of this type; what no flag says stays as in `base`. All that is wrong, each in a sentence.
    pub fn read(&self, kind: ActionType, base: Option<&ActionParams>) -> Result<ActionParams, Vec<String>> {
        let mut wrong: Vec<String> = self
            .given()
            .into_iter()
            .filter(|(_, of)| *of != kind)
            .map(|(flag, of)| format!("{flag} is for {of}; leave it out for {kind}"))
            .collect();
        let params = match kind {
            ActionType::UpdateDeviceCertificate => Some(ActionParams::UpdateDeviceCertificate),
            ActionType::UpdateCaCertificate => Some(ActionParams::UpdateCaCertificate),
            ActionType::AddThingsToThingGroup => self.read_groups(base, &mut wrong),
            ActionType::ReplaceDefaultPolicyVersion => {
                if let Some(template) = self.template.as_ref().filter(|template| *template != "BLANK_POLICY") {
                    wrong.push(format!(
                        "--template {template}: AWS has one template only, BLANK_POLICY; a document of your own can be put in \
                         force by a policy's rule, see `fleetwarden policy default`"
                    ));
                }
                Some(ActionParams::ReplaceDefaultPolicyVersion)
            }
            ActionType::EnableIotLogging => self.read_logging(base, &mut wrong),
            ActionType::PublishFindingToSns => self.read_topic(base, &mut wrong),
        };
        params.filter(|_| wrong.is_empty()).ok_or(wrong)
    }

    fn read_groups(&self, base: Option<&ActionParams>, wrong: &mut Vec<String>) -> Option<ActionParams> {
        let (known, overrides) = match base {
            Some(ActionParams::AddThingsToThingGroup { groups, override_dynamic_groups }) => {
                (groups.clone(), *override_dynamic_groups)
            }
            _ => (Vec::new(), false),
        };
        let groups = if self.group.is_empty() { known } else { self.group.clone() };
        for group in groups.iter().filter(|group| !is_thing_group_name(group)) {
            wrong.push(format!(
                "--group `{group}` is no name of a thing group; write 1 to 128 of a-z, A-Z, 0-9, `:`, `_` and `-`"
            ));
        }
        let distinct: BTreeSet<&String> = groups.iter().collect();
        if distinct.len() < groups.len() {
            wrong.push("--group names a group twice; name each once".to_owned());
        }
        match groups.len() {
            0 => wrong.push(
                "ADD_THINGS_TO_THING_GROUP needs --group: 1 to 10 static thing groups, such as --group Quarantine"
                    .to_owned(),
            ),
            n if n > MOST_GROUPS => wrong.push(format!("--group names {n} thing groups; name {MOST_GROUPS} at most")),
            _ => {}
        }
        let override_dynamic_groups = self.override_dynamic_groups.unwrap_or(overrides);
        Some(ActionParams::AddThingsToThingGroup { groups, override_dynamic_groups })
    }

    fn read_logging(&self, base: Option<&ActionParams>, wrong: &mut Vec<String>) -> Option<ActionParams> {
        let known = match base {
            Some(ActionParams::EnableIotLogging { role_arn, level }) => Some((role_arn, level)),
            _ => None,
        };
        let role_arn = self.logging_role.clone().or_else(|| known.map(|(role_arn, _)| role_arn.clone()));
        let level = self.level.clone().or_else(|| known.map(|(_, level)| level.clone()));
        let levels = LogLevel::ALL.map(LogLevel::as_str);
        match &role_arn {
            None => wrong.push(
                "ENABLE_IOT_LOGGING needs --logging-role: the ARN of the role that AWS IoT writes the logs with, such as \
                 arn:aws:iam::123456789012:role/IoTLogging"
                    .to_owned(),
            ),
            Some(role) => wrong.extend(role_fault("--logging-role", role)),
        }
        match level.as_deref() {
            None => wrong.push(format!("ENABLE_IOT_LOGGING needs --level: one of {}", levels.join(", "))),
            Some("DISABLED") => wrong.push(format!(
                "--level DISABLED would turn logging off, which mitigates nothing; write one of {}",
                levels.join(", ")
            )),
            Some(level) if !levels.contains(&level) => {
                wrong.push(format!("--level {level} is no level; write one of {}", levels.join(", ")));
            }
            Some(_) => {}
        }
        Some(ActionParams::EnableIotLogging { role_arn: role_arn?, level: level? })
    }

    fn read_topic(&self, base: Option<&ActionParams>, wrong: &mut Vec<String>) -> Option<ActionParams> {
        let known = match base {
            Some(ActionParams::PublishFindingToSns { topic_arn }) => Some(topic_arn.clone()),
            _ => None,
        };
        let example = "arn:aws:sns:us-east-1:123456789012:device-defender-findings";
        let Some(topic_arn) = self.topic.clone().or(known) else {
            wrong.push(format!("PUBLISH_FINDING_TO_SNS needs --topic: the ARN of a standard topic, such as {example}"));
            return None;
        };
        if !is_topic_arn(&topic_arn) || topic_arn.len() > LONGEST_TOPIC {
            wrong.push(format!(
                "--topic `{topic_arn}` is not the ARN of a standard topic of at most {LONGEST_TOPIC} characters; write one like \
                 {example}"
            ));
        }
        Some(ActionParams::PublishFindingToSns { topic_arn })
    }
}

/// What is wrong with a role's ARN, if anything.
pub(super) fn role_fault(flag: &str, arn: &str) -> Option<String> {
    let wrong = !is_role_arn(arn);
    wrong.then(|| {
        format!("{flag} `{arn}` is not the ARN of a role; write one like arn:aws:iam::123456789012:role/MitigationRole")
    })
}

/// In what an action differs from what is wanted, each in words; empty if in nothing.
pub(super) fn differences(action: &MitigationAction, role_arn: &str, params: &ActionParams) -> Vec<String> {
    let mut found = Vec::new();
    let mut differ = |what: &str, is: &str, wanted: &str| {
        if is != wanted {
            found.push(format!("its {what} {is}, not {wanted}"));
        }
    };
    differ("type is", action.params.type_name(), params.type_name());
    differ("role is", &action.role_arn, role_arn);
    match (&action.params, params) {
        (
            ActionParams::AddThingsToThingGroup { groups: is, override_dynamic_groups: overrides },
            ActionParams::AddThingsToThingGroup { groups: wanted, override_dynamic_groups: wants },
        ) => {
            let sorted = |groups: &[String]| {
                let groups: BTreeSet<&str> = groups.iter().map(String::as_str).collect();
                groups.into_iter().collect::<Vec<_>>().join(", ")
            };
            differ("groups are", &sorted(is), &sorted(wanted));
            differ("override of dynamic groups is", &overrides.to_string(), &wants.to_string());
        }
        (
            ActionParams::EnableIotLogging { role_arn: is, level: is_level },
            ActionParams::EnableIotLogging { role_arn: wanted, level },
        ) => {
            differ("logging role is", is, wanted);
            differ("level is", is_level, level);
        }
        (ActionParams::PublishFindingToSns { topic_arn: is }, ActionParams::PublishFindingToSns { topic_arn }) => {
            differ("topic is", is, topic_arn);
        }
        _ => {}
    }
    found
}

/// The parameters for people: name and value.
pub(super) fn rows(params: &ActionParams) -> Vec<(&'static str, String)> {
    match params {
        ActionParams::UpdateDeviceCertificate => vec![("does", "sets device certificates to INACTIVE".to_owned())],
        ActionParams::UpdateCaCertificate => vec![("does", "sets CA certificates to INACTIVE".to_owned())],
        ActionParams::AddThingsToThingGroup { groups, override_dynamic_groups } => vec![
            ("does", "adds the things of a certificate to thing groups".to_owned()),
            ("groups", groups.join(", ")),
            ("override dynamic groups", override_dynamic_groups.to_string()),
        ],
        ActionParams::ReplaceDefaultPolicyVersion => {
            vec![("does", "makes a blank document the policy's default version".to_owned())]
        }
        ActionParams::EnableIotLogging { role_arn, level } => vec![
            ("does", "turns AWS IoT logging on".to_owned()),
            ("level", level.clone()),
            ("logging role", role_arn.clone()),
        ],
        ActionParams::PublishFindingToSns { topic_arn } => {
            vec![("does", "publishes the finding".to_owned()), ("topic", topic_arn.clone())]
        }
        ActionParams::Other { .. } => vec![("does", "what this version does not know".to_owned())],
    }
}

/// The parameters as the API has them.
pub(super) fn params_json(params: &ActionParams) -> Value {
    match params {
        ActionParams::UpdateDeviceCertificate => json!({ "updateDeviceCertificateParams": { "action": "DEACTIVATE" } }),
        ActionParams::UpdateCaCertificate => json!({ "updateCACertificateParams": { "action": "DEACTIVATE" } }),
        ActionParams::AddThingsToThingGroup { groups, override_dynamic_groups } => json!({
            "addThingsToThingGroupParams": {
                "thingGroupNames": groups,
                "overrideDynamicGroups": override_dynamic_groups,
            }
        }),
        ActionParams::ReplaceDefaultPolicyVersion => {
            json!({ "replaceDefaultPolicyVersionParams": { "templateName": "BLANK_POLICY" } })
        }
        ActionParams::EnableIotLogging { role_arn, level } => {
            json!({ "enableIoTLoggingParams": { "roleArnForLogging": role_arn, "logLevel": level } })
        }
        ActionParams::PublishFindingToSns { topic_arn } => {
            json!({ "publishFindingToSnsParams": { "topicArn": topic_arn } })
        }
        ActionParams::Other { .. } => Value::Null,
    }
}

/// The checks whose findings an action of this type fits.
pub(super) fn checks_of(kind: Option<ActionType>) -> Vec<&'static str> {
    let fits = |check: &&catalogue::Check| kind.is_some_and(|kind| check.allows(kind));
    catalogue::CHECKS.iter().filter(fits).map(|check| check.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(args: &ParamArgs, kind: ActionType) -> String {
        args.read(kind, None).unwrap_err().join("\n")
    }

    #[test]
    fn a_parameter_of_another_type_is_named_with_the_type_that_it_is_for() {
        let args = ParamArgs { group: vec!["A".into()], topic: Some("t".into()), ..ParamArgs::default() };
        let said = complaints(&args, ActionType::UpdateDeviceCertificate);
        assert!(said.contains("--group is for ADD_THINGS_TO_THING_GROUP; leave it out for UPDATE_DEVICE_CERTIFICATE"));
        assert!(said.contains("--topic is for PUBLISH_FINDING_TO_SNS"), "{said}");
    }

    #[test]
    fn a_missing_parameter_is_named_by_its_flag_with_an_example() {
        let none = ParamArgs::default();
        assert!(complaints(&none, ActionType::AddThingsToThingGroup).contains("needs --group"));
        assert!(complaints(&none, ActionType::PublishFindingToSns).contains("needs --topic"));
        let said = complaints(&none, ActionType::EnableIotLogging);
        assert!(said.contains("needs --logging-role") && said.contains("needs --level: one of DEBUG"), "{said}");
    }

    #[test]
    fn logging_cannot_be_turned_off_by_a_mitigation() {
        let args = ParamArgs {
            level: Some("DISABLED".into()),
            logging_role: Some("arn:aws:iam::123456789012:role/L".into()),
            ..ParamArgs::default()
        };
        assert!(complaints(&args, ActionType::EnableIotLogging).contains("would turn logging off"));
    }

    #[test]
    fn an_update_keeps_what_no_flag_says() {
        let base = ActionParams::AddThingsToThingGroup { groups: vec!["A".into()], override_dynamic_groups: true };
        let kind = ActionType::AddThingsToThingGroup;
        assert_eq!(ParamArgs::default().read(kind, Some(&base)).unwrap(), base);
        let args = ParamArgs { group: vec!["B".into()], ..ParamArgs::default() };
        let expected = ActionParams::AddThingsToThingGroup { groups: vec!["B".into()], override_dynamic_groups: true };
        assert_eq!(args.read(kind, Some(&base)).unwrap(), expected);
    }

    #[test]
    fn the_order_of_groups_makes_no_difference() {
        let params = |groups: [&str; 2]| ActionParams::AddThingsToThingGroup {
            groups: groups.map(str::to_owned).to_vec(),
            override_dynamic_groups: false,
        };
        let action = MitigationAction {
            name: "N".into(),
            id: None,
            arn: None,
            role_arn: "R".into(),
            params: params(["A", "B"]),
            created_at: None,
            modified_at: None,
        };
        assert!(differences(&action, "R", &params(["B", "A"])).is_empty());
        let found = differences(&action, "S", &params(["A", "C"]));
        assert_eq!(found, ["its role is R, not S", "its groups are A, B, not A, C"]);
    }

    #[test]
    fn publishing_fits_every_check_and_logging_one() {
        assert_eq!(checks_of(Some(ActionType::PublishFindingToSns)).len(), 17);
        assert_eq!(checks_of(Some(ActionType::EnableIotLogging)), ["LOGGING_DISABLED_CHECK"]);
        assert!(checks_of(None).is_empty());
    }
}
