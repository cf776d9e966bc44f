//! Device Defender's own mitigation actions, as the API tells them.

use crate::policy::{Action, BLANK_POLICY, LogLevel};
use aws_sdk_iot::types::MitigationActionParams;

/// The one member that is set; `None` for a type, or a parameter, that this version does not know.
pub(super) fn action_of(params: MitigationActionParams) -> Option<Action> {
    if params.update_device_certificate_params.is_some() {
        return Some(Action::UpdateDeviceCertificate);
    }
    if params.update_ca_certificate_params.is_some() {
        return Some(Action::UpdateCaCertificate);
    }
    if let Some(groups) = params.add_things_to_thing_group_params {
        let override_dynamic_groups = groups.override_dynamic_groups.unwrap_or(false);
        return Some(Action::AddThingsToThingGroup { thing_groups: groups.thing_group_names, override_dynamic_groups });
    }
    if params.replace_default_policy_version_params.is_some() {
        return Some(Action::ReplaceDefaultPolicyVersion { document: BLANK_POLICY.to_owned() });
    }
    if let Some(logging) = params.enable_io_t_logging_params {
        let levels = [LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error];
        let level = levels.into_iter().find(|level| level.as_str() == logging.log_level.as_str())?;
        return Some(Action::EnableIotLogging { role_arn: logging.role_arn_for_logging, level });
    }
    let topic_arn = params.publish_finding_to_sns_params?.topic_arn;
    Some(Action::PublishFindingToSns { topic_arn })
}
