//! Device Defender's own mitigation actions: a name, what it does, and the role it does it with.

use super::Console;
use crate::aws::{CallError, Class, Effect, classify};
use crate::finding::ActionType;
use aws_sdk_iot::types;

/// The most that one page of mitigation actions holds.
const PAGE: i32 = 250;

/// The one template that AWS has for REPLACE_DEFAULT_POLICY_VERSION.
const BLANK_POLICY: &str = "BLANK_POLICY";

/// What an action does: its type and the parameters of that type (`MitigationActionParams` of the IoT API).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActionParams {
    /// Sets device certificates to INACTIVE.
    UpdateDeviceCertificate,
    /// Sets CA certificates to INACTIVE.
    UpdateCaCertificate,
    /// Adds the things of a certificate to thing groups.
    AddThingsToThingGroup {
        /// 1 to 10 static groups.
        groups: Vec<String>,
        /// A thing that is in ten groups leaves a dynamic one for it.
        override_dynamic_groups: bool,
    },
    /// Gives a policy a default version that allows nothing.
    ReplaceDefaultPolicyVersion,
    /// Turns AWS IoT logging (V2) on.
    EnableIotLogging {
        /// The role that writes the logs.
        role_arn: String,
        /// `ERROR`, `WARN`, `INFO`, `DEBUG` (free string).
        level: String,
    },
    /// Publishes the finding.
    PublishFindingToSns {
        /// The topic.
        topic_arn: String,
    },
    /// A type, or a value of a known type, that this version does not know.
    Other {
        /// AWS's name of the type, as far as it is known.
        kind: String,
    },
}

impl ActionParams {
    /// The type, if it is one of the six.
    pub fn action_type(&self) -> Option<ActionType> {
        Some(match self {
            Self::UpdateDeviceCertificate => ActionType::UpdateDeviceCertificate,
            Self::UpdateCaCertificate => ActionType::UpdateCaCertificate,
            Self::AddThingsToThingGroup { .. } => ActionType::AddThingsToThingGroup,
            Self::ReplaceDefaultPolicyVersion => ActionType::ReplaceDefaultPolicyVersion,
            Self::EnableIotLogging { .. } => ActionType::EnableIotLogging,
            Self::PublishFindingToSns { .. } => ActionType::PublishFindingToSns,
            Self::Other { .. } => return None,
        })
    }

    /// AWS's name of the type.
    pub fn type_name(&self) -> &str {
        match self {
            Self::Other { kind } => kind,
            known => known.action_type().map_or("", ActionType::as_str),
        }
    }

    fn from_api(kind: Option<&str>, params: Option<types::MitigationActionParams>) -> Self {
        let params = params.unwrap_or_else(|| types::MitigationActionParams::builder().build());
        let device = params.update_device_certificate_params.filter(|params| params.action.as_str() == "DEACTIVATE");
        let ca = params.update_ca_certificate_params.filter(|params| params.action.as_str() == "DEACTIVATE");
        let policy = params.replace_default_policy_version_params;
        let policy = policy.filter(|params| params.template_name.as_str() == BLANK_POLICY);
        let members = [
            device.map(|_| Self::UpdateDeviceCertificate),
            ca.map(|_| Self::UpdateCaCertificate),
            params.add_things_to_thing_group_params.map(|params| Self::AddThingsToThingGroup {
                groups: params.thing_group_names,
                override_dynamic_groups: params.override_dynamic_groups.unwrap_or(false),
            }),
            policy.map(|_| Self::ReplaceDefaultPolicyVersion),
            params.enable_io_t_logging_params.map(|params| Self::EnableIotLogging {
                role_arn: params.role_arn_for_logging,
                level: params.log_level.as_str().to_owned(),
            }),
            params
                .publish_finding_to_sns_params
                .map(|params| Self::PublishFindingToSns { topic_arn: params.topic_arn }),
        ];
        let other = || Self::Other { kind: kind.unwrap_or("UNKNOWN").to_owned() };
        members.into_iter().flatten().next().unwrap_or_else(other)
    }

    /// What this version does not know can be shown and deleted, not made.
    fn to_api(&self, operation: &'static str) -> Result<types::MitigationActionParams, CallError> {
        let wrong = |error: &dyn std::fmt::Display| CallError::new(Class::Permanent, operation, error.to_string());
        let params = types::MitigationActionParams::builder();
        let params = match self {
            Self::UpdateDeviceCertificate => {
                let inner = types::UpdateDeviceCertificateParams::builder()
                    .action(types::DeviceCertificateUpdateAction::Deactivate);
                params.update_device_certificate_params(inner.build().map_err(|error| wrong(&error))?)
            }
            Self::UpdateCaCertificate => {
                let inner =
                    types::UpdateCaCertificateParams::builder().action(types::CaCertificateUpdateAction::Deactivate);
                params.update_ca_certificate_params(inner.build().map_err(|error| wrong(&error))?)
            }
            Self::AddThingsToThingGroup { groups, override_dynamic_groups } => {
                let inner = types::AddThingsToThingGroupParams::builder()
                    .set_thing_group_names(Some(groups.clone()))
                    .override_dynamic_groups(*override_dynamic_groups);
                params.add_things_to_thing_group_params(inner.build().map_err(|error| wrong(&error))?)
            }
            Self::ReplaceDefaultPolicyVersion => {
                let inner = types::ReplaceDefaultPolicyVersionParams::builder()
                    .template_name(types::PolicyTemplateName::BlankPolicy);
                params.replace_default_policy_version_params(inner.build().map_err(|error| wrong(&error))?)
            }
            Self::EnableIotLogging { role_arn, level } => {
                let inner = types::EnableIoTLoggingParams::builder()
                    .role_arn_for_logging(role_arn)
                    .log_level(types::LogLevel::from(level.as_str()));
                params.enable_io_t_logging_params(inner.build().map_err(|error| wrong(&error))?)
            }
            Self::PublishFindingToSns { topic_arn } => {
                let inner = types::PublishFindingToSnsParams::builder().topic_arn(topic_arn);
                params.publish_finding_to_sns_params(inner.build().map_err(|error| wrong(&error))?)
            }
            Self::Other { kind } => return Err(wrong(&format!("actions of type {kind} are unknown to this version"))),
        };
        Ok(params.build())
    }
}

/// One mitigation action: `DescribeMitigationAction`, or one of the definitions that a task was started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MitigationAction {
    /// `[a-zA-Z0-9_-]{1,128}`
    pub name: String,
    /// Which of the actions that had this name over time.
    pub id: Option<String>,
    /// Its ARN; a task's definitions have none.
    pub arn: Option<String>,
    /// The role that it is run with.
    pub role_arn: String,
    /// What it does.
    pub params: ActionParams,
    /// Milliseconds since the epoch; a task's definitions have none.
    pub created_at: Option<i64>,
    /// Milliseconds since the epoch; a task's definitions have none.
    pub modified_at: Option<i64>,
}

impl MitigationAction {
    pub(super) fn of_task(action: types::MitigationAction) -> Self {
        Self {
            name: action.name.unwrap_or_default(),
            id: action.id,
            arn: None,
            role_arn: action.role_arn.unwrap_or_default(),
            params: ActionParams::from_api(None, action.action_params),
            created_at: None,
            modified_at: None,
        }
    }
}

/// An entry of `ListMitigationActions`, which does not tell the type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionName {
    /// The action's name.
    pub name: String,
    /// Milliseconds since the epoch.
    pub created_at: Option<i64>,
}

impl Console {
    /// `DescribeMitigationAction`.
    ///
    /// # Errors
    ///
    /// Class `Gone` when there is no action of that name.
    pub async fn action(&self, name: &str) -> Result<MitigationAction, CallError> {
        self.call(|| async {
            let answer = self.iot().describe_mitigation_action().action_name(name).send().await;
            let answer = answer.map_err(|error| classify("DescribeMitigationAction", Effect::Read, error))?;
            let kind = answer.action_type.as_ref().map(|kind| kind.as_str().to_owned());
            Ok(MitigationAction {
                name: answer.action_name.unwrap_or_else(|| name.to_owned()),
                id: answer.action_id,
                arn: answer.action_arn,
                role_arn: answer.role_arn.unwrap_or_default(),
                params: ActionParams::from_api(kind.as_deref(), answer.action_params),
                created_at: answer.creation_date.and_then(|time| time.to_millis().ok()),
                modified_at: answer.last_modified_date.and_then(|time| time.to_millis().ok()),
            })
        })
        .await
    }

    /// `ListMitigationActions` to the end (an account has at most 100), by name.
    ///
    /// # Errors
    ///
    /// Those of the call.
    pub async fn actions(&self, kind: Option<ActionType>) -> Result<Vec<ActionName>, CallError> {
        let kind = kind.map(|kind| types::MitigationActionType::from(kind.as_str()));
        let mut names = Vec::new();
        let mut next = None;
        loop {
            let page = self
                .call(|| async {
                    let call = self.iot().list_mitigation_actions().set_action_type(kind.clone());
                    let answer = call.max_results(PAGE).set_next_token(next.clone()).send().await;
                    answer.map_err(|error| classify("ListMitigationActions", Effect::Read, error))
                })
                .await?;
            names.extend(page.action_identifiers.unwrap_or_default().into_iter().map(|action| ActionName {
                name: action.action_name.unwrap_or_default(),
                created_at: action.creation_date.and_then(|time| time.to_millis().ok()),
            }));
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                names.sort_by(|one, other| one.name.cmp(&other.name));
                return Ok(names);
            }
        }
    }

    /// `CreateMitigationAction`. Where the answer was lost the action is read: it is there as wanted, or the error says that it is not.
    ///
    /// # Errors
    ///
    /// Code `ResourceAlreadyExistsException` for a name that is taken, `LimitExceededException` at 100 actions.
    pub async fn create_action(&self, name: &str, role_arn: &str, params: &ActionParams) -> Result<(), CallError> {
        const OPERATION: &str = "CreateMitigationAction";
        let wanted = params.to_api(OPERATION)?;
        let made = self
            .call(|| async {
                let call = self.iot().create_mitigation_action().action_name(name).role_arn(role_arn);
                let answer = call.action_params(wanted.clone()).send().await;
                answer.map_err(|error| classify(OPERATION, Effect::Write, error)).map(drop)
            })
            .await;
        self.read_back(made, name, role_arn, params).await
    }

    /// `UpdateMitigationAction`; the type of an action cannot be changed.
    ///
    /// # Errors
    ///
    /// Class `Gone` when there is no action of that name.
    pub async fn update_action(&self, name: &str, role_arn: &str, params: &ActionParams) -> Result<(), CallError> {
        const OPERATION: &str = "UpdateMitigationAction";
        let wanted = params.to_api(OPERATION)?;
        let changed = self
            .call(|| async {
                let call = self.iot().update_mitigation_action().action_name(name).role_arn(role_arn);
                let answer = call.action_params(wanted.clone()).send().await;
                answer.map_err(|error| classify(OPERATION, Effect::Write, error)).map(drop)
            })
            .await;
        self.read_back(changed, name, role_arn, params).await
    }

    /// `DeleteMitigationAction`; Device Defender says nothing of an action that is not there.
    ///
    /// # Errors
    ///
    /// Those of the call.
    pub async fn delete_action(&self, name: &str) -> Result<(), CallError> {
        let deleted = self
            .call(|| async {
                let answer = self.iot().delete_mitigation_action().action_name(name).send().await;
                answer.map_err(|error| classify("DeleteMitigationAction", Effect::Write, error)).map(drop)
            })
            .await;
        match deleted {
            Err(error) if error.class == Class::Unknown => match self.action(name).await {
                Err(reading) if reading.class == Class::Gone => Ok(()),
                _ => Err(error),
            },
            other => other,
        }
    }

    /// An outcome that is unknown is known after a look.
    async fn read_back(
        &self,
        written: Result<(), CallError>,
        name: &str,
        role_arn: &str,
        params: &ActionParams,
    ) -> Result<(), CallError> {
        match written {
            Err(error) if error.class == Class::Unknown => match self.action(name).await {
                Ok(action) if action.role_arn == role_arn && action.params == *params => Ok(()),
                _ => Err(error),
            },
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_action_survives_the_way_to_the_api_and_back() {
        let all = [
            ActionParams::UpdateDeviceCertificate,
            ActionParams::UpdateCaCertificate,
            ActionParams::AddThingsToThingGroup { groups: vec!["A".into(), "B".into()], override_dynamic_groups: true },
            ActionParams::ReplaceDefaultPolicyVersion,
            ActionParams::EnableIotLogging { role_arn: "arn:role".into(), level: "WARN".into() },
            ActionParams::PublishFindingToSns { topic_arn: "arn:topic".into() },
        ];
        for (params, kind) in all.iter().zip(ActionType::ALL) {
            assert_eq!(params.action_type(), Some(kind));
            assert_eq!(ActionParams::from_api(None, params.to_api("C").ok()), *params);
        }
    }

    #[test]
    fn a_type_that_is_unknown_keeps_its_name_and_is_never_sent() {
        let params = ActionParams::from_api(Some("SHUT_DOWN"), None);
        assert_eq!((params.type_name(), params.action_type()), ("SHUT_DOWN", None));
        assert_eq!(params.to_api("CreateMitigationAction").unwrap_err().class, Class::Permanent);
    }
}
