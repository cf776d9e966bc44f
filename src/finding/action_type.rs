//! The six kinds of mitigation, named as Device Defender names them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// `MitigationActionType` of the IoT API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ActionType {
    /// Sets a device certificate to INACTIVE.
    UpdateDeviceCertificate,
    /// Sets a CA certificate to INACTIVE: stops new registrations only.
    UpdateCaCertificate,
    /// Adds every thing of a certificate to thing groups.
    AddThingsToThingGroup,
    /// Gives a policy a new default version.
    ReplaceDefaultPolicyVersion,
    /// Turns AWS IoT logging (V2) on.
    EnableIotLogging,
    /// Publishes the finding to a topic; the only action that fits every check.
    PublishFindingToSns,
}

impl ActionType {
    /// All six.
    pub const ALL: [Self; 6] = [
        Self::UpdateDeviceCertificate,
        Self::UpdateCaCertificate,
        Self::AddThingsToThingGroup,
        Self::ReplaceDefaultPolicyVersion,
        Self::EnableIotLogging,
        Self::PublishFindingToSns,
    ];

    /// AWS's own spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UpdateDeviceCertificate => "UPDATE_DEVICE_CERTIFICATE",
            Self::UpdateCaCertificate => "UPDATE_CA_CERTIFICATE",
            Self::AddThingsToThingGroup => "ADD_THINGS_TO_THING_GROUP",
            Self::ReplaceDefaultPolicyVersion => "REPLACE_DEFAULT_POLICY_VERSION",
            Self::EnableIotLogging => "ENABLE_IOT_LOGGING",
            Self::PublishFindingToSns => "PUBLISH_FINDING_TO_SNS",
        }
    }
}

impl fmt::Display for ActionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text names none of the six action types.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no action type; write one of UPDATE_DEVICE_CERTIFICATE, UPDATE_CA_CERTIFICATE, ADD_THINGS_TO_THING_GROUP, REPLACE_DEFAULT_POLICY_VERSION, ENABLE_IOT_LOGGING, PUBLISH_FINDING_TO_SNS"
)]
pub struct UnknownActionType(pub String);

impl FromStr for ActionType {
    type Err = UnknownActionType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|action| action.as_str() == text).ok_or_else(|| UnknownActionType(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_type_reads_back_from_its_name_and_from_json() {
        for action in ActionType::ALL {
            assert_eq!(action.to_string().parse(), Ok(action));
            assert_eq!(serde_json::to_value(action).unwrap(), action.as_str());
        }
        assert_eq!("REVOKE".parse::<ActionType>(), Err(UnknownActionType("REVOKE".into())));
    }
}
