//! What an action calls where everything is still to be changed: one certificate for a finding, one thing for a certificate, one thing
//! group, nothing read back. From `src/mitigation/`, whose own estimate a test holds this against.

use super::price::Charge;
use crate::budget::Operation;
use crate::finding::ActionType;

/// What one action on one finding takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Takes {
    /// Paced calls of AWS IoT, each once.
    pub calls: &'static [Operation],
    /// It is announced in the ledger before it is made, since the state before cannot be told afterwards.
    pub announced: bool,
    /// Its resource is locked before and let go after: two writes.
    pub locked: bool,
    /// It publishes to a topic.
    pub published: bool,
}

/// What `action` takes.
pub(super) fn takes(action: ActionType) -> Takes {
    use Operation::{
        AddThingToThingGroup, CreatePolicyVersion, DescribeCaCertificate, DescribeCertificate, GetPolicy,
        GetV2LoggingOptions, ListPolicyVersions, ListPrincipalThings, ListThingGroupsForThing, SetV2LoggingOptions,
        UpdateCaCertificate, UpdateCertificate,
    };
    let calls: &[Operation] = match action {
        ActionType::UpdateDeviceCertificate => &[DescribeCertificate, UpdateCertificate],
        ActionType::UpdateCaCertificate => &[DescribeCaCertificate, UpdateCaCertificate],
        ActionType::AddThingsToThingGroup => &[ListPrincipalThings, ListThingGroupsForThing, AddThingToThingGroup],
        ActionType::ReplaceDefaultPolicyVersion => &[GetPolicy, ListPolicyVersions, CreatePolicyVersion],
        ActionType::EnableIotLogging => &[GetV2LoggingOptions, SetV2LoggingOptions],
        ActionType::PublishFindingToSns => &[],
    };
    Takes {
        calls,
        announced: !matches!(action, ActionType::UpdateDeviceCertificate | ActionType::UpdateCaCertificate),
        locked: action == ActionType::ReplaceDefaultPolicyVersion,
        published: action == ActionType::PublishFindingToSns,
    }
}

/// What AWS charges for a call. Registry operations are listed in "AWS IoT Core additional metering details" (amazonaws.cn, read
/// 2026-11); certificates, policies, logging and Device Defender are not among them.
pub(super) fn charge(operation: Operation) -> Charge {
    match operation {
        Operation::AddThingToThingGroup | Operation::ListPrincipalThings | Operation::ListThingGroupsForThing => {
            Charge::IotRegistry
        }
        _ => Charge::IotCall,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Finding, Resource, ResourceIdentifier, Severity};
    use crate::mitigation::calls_of;
    use crate::policy::{Action, LogLevel, Mode, Policy};
    use std::collections::BTreeMap;

    fn action(action: ActionType) -> (Action, ResourceIdentifier) {
        let device = ResourceIdentifier::DeviceCertificate("c".into());
        match action {
            ActionType::UpdateDeviceCertificate => (Action::UpdateDeviceCertificate, device),
            ActionType::UpdateCaCertificate => {
                (Action::UpdateCaCertificate, ResourceIdentifier::CaCertificate("c".into()))
            }
            ActionType::AddThingsToThingGroup => {
                let thing_groups = vec!["Quarantine".into()];
                (Action::AddThingsToThingGroup { thing_groups, override_dynamic_groups: false }, device)
            }
            ActionType::ReplaceDefaultPolicyVersion => {
                let policy = ResourceIdentifier::PolicyVersion { policy: "p".into(), version: "1".into() };
                (Action::ReplaceDefaultPolicyVersion { document: "{}".into() }, policy)
            }
            ActionType::EnableIotLogging => {
                let account = ResourceIdentifier::Account("123456789012".into());
                (Action::EnableIotLogging { role_arn: "r".into(), level: LogLevel::Error }, account)
            }
            ActionType::PublishFindingToSns => (Action::PublishFindingToSns { topic_arn: "t".into() }, device),
        }
    }

    #[test]
    fn an_action_calls_what_the_worker_expects_it_to_call() {
        let mut policy = Policy::load("version: 1\nmode: enforce\nrules: [{ name: all, match: {} }]", "p").unwrap();
        assert_eq!(policy.mode, Mode::Enforce);
        for kind in ActionType::ALL {
            let (action, identifier) = action(kind);
            policy.rules[0].actions = vec![action];
            let finding = Finding {
                finding_id: "f".into(),
                account: "123456789012".into(),
                region: "us-east-1".into(),
                task_id: Some("audit".into()),
                check: "CHECK".into(),
                reason_code: "CODE".into(),
                reason: String::new(),
                severity: Severity::Low,
                resource: Resource { kind: "KIND".into(), identifier, additional_info: BTreeMap::new() },
                related: Vec::new(),
                suppressed: false,
                found_at: None,
                audit_started_at: None,
            };
            assert_eq!(takes(kind).calls, calls_of(&policy, &finding), "{kind}");
        }
    }
}
