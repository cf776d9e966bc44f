//! What the policy file names in AWS: mitigation actions, thing groups, topics, roles. Whether they are there, and fit.

use super::diagnosis::{About, Area, Diagnosis};
use super::words::{about_read, apart};
use crate::aws::syntax::account_of;
use crate::aws::{CallError, Class, Clients, Effect, classify};
use crate::budget::Pace;
use crate::mitigation::IotControl;
use crate::policy::{Action, Policy};
use crate::setup::check_delegates;
use std::collections::BTreeSet;

const NAMED: About = About(Area::Policy);

/// Everything that some rule names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Names<'a> {
    /// Groups that things are added to.
    pub groups_to_fill: BTreeSet<&'a str>,
    /// Groups that rules ask for.
    pub groups_asked: BTreeSet<&'a str>,
    pub topics: BTreeSet<&'a str>,
    pub logging_roles: BTreeSet<&'a str>,
}

impl<'a> Names<'a> {
    pub fn of(policy: &'a Policy) -> Self {
        let mut names = Self::default();
        for rule in &policy.rules {
            names.groups_asked.extend(rule.matcher.thing_group.iter().map(String::as_str));
            for action in &rule.actions {
                match action {
                    Action::AddThingsToThingGroup { thing_groups, .. } => {
                        names.groups_to_fill.extend(thing_groups.iter().map(String::as_str));
                    }
                    Action::PublishFindingToSns { topic_arn } => drop(names.topics.insert(topic_arn)),
                    Action::EnableIotLogging { role_arn, .. } => drop(names.logging_roles.insert(role_arn)),
                    Action::UpdateDeviceCertificate
                    | Action::UpdateCaCertificate
                    | Action::ReplaceDefaultPolicyVersion { .. } => {}
                }
            }
        }
        names
    }
}

/// What `DescribeThingGroup` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Static,
    /// AWS IoT itself decides by a query which things are in it.
    Dynamic,
}

/// Looks everything up, a call at a time. Reads only.
pub(super) async fn look(
    clients: &Clients,
    iot: &impl IotControl,
    policy: &Policy,
    account: &str,
    pace: &Pace,
) -> Vec<Diagnosis> {
    let mut rows = delegates(iot, policy).await;
    let names = Names::of(policy);
    for group in names.groups_to_fill.union(&names.groups_asked) {
        pace.slot().await;
        let answer = clients.iot.describe_thing_group().thing_group_name(*group).send().await;
        let answer = answer.map_err(|error| classify("DescribeThingGroup", Effect::Read, error));
        let found = answer.map(|group| if group.query_string().is_some() { Group::Dynamic } else { Group::Static });
        rows.push(judge_group(group, names.groups_to_fill.contains(group), &found));
    }
    for topic in &names.topics {
        let answer = clients.sns.get_topic_attributes().topic_arn(*topic).send().await;
        let found = answer.map(drop).map_err(|error| classify("GetTopicAttributes", Effect::Read, error));
        rows.push(judge_topic(topic, &found));
    }
    rows.extend(names.logging_roles.iter().map(|role| judge_role(role, account)));
    if rows.is_empty() {
        rows.push(NAMED.ok("names", "the policy names no mitigation action, thing group, topic or role"));
    }
    rows
}

async fn delegates(iot: &impl IotControl, policy: &Policy) -> Vec<Diagnosis> {
    let what = "mitigation actions";
    let names: Vec<_> = policy.delegates().into_keys().collect();
    if names.is_empty() {
        return Vec::new();
    }
    match check_delegates(iot, policy).await {
        Ok(()) => vec![NAMED.ok(what, format!("{} exist and fit their rules", names.join(", ")))],
        Err(problems) => problems.into_iter().map(|problem| mended(what, &problem)).collect(),
    }
}

fn mended(what: &str, problem: &str) -> Diagnosis {
    let (found, mend) = apart(problem);
    NAMED.wrong(what, found).mend(mend)
}

fn judge_group(name: &str, filled: bool, found: &Result<Group, CallError>) -> Diagnosis {
    let what = format!("thing group {name}");
    match found {
        Ok(Group::Dynamic) if filled => NAMED
            .wrong(what, "it is dynamic: AWS IoT itself decides which things are in it, and adding one fails")
            .mend("name a static group in the policy"),
        Ok(_) => NAMED.ok(what, "exists"),
        Err(error) if error.class == Class::Gone => {
            let mend = format!("aws iot create-thing-group --thing-group-name {name}");
            if filled {
                NAMED.wrong(what, "there is none: adding things to it fails").mend(mend)
            } else {
                NAMED.note(what, "there is none, so that no finding matches the rules that ask for it").mend(mend)
            }
        }
        Err(error) => {
            NAMED.not_checked(what, format!("failed to {error}")).mend(about_read(error, "iot:DescribeThingGroup"))
        }
    }
}

fn judge_topic(topic: &str, found: &Result<(), CallError>) -> Diagnosis {
    let what = format!("topic {topic}");
    match found {
        Ok(()) => NAMED.ok(what, "exists"),
        Err(error) if error.class == Class::Gone => NAMED
            .wrong(what, "there is none: what the policy publishes there is given up")
            .mend(format!("aws sns create-topic --name {}", super::mend::name_of(topic))),
        Err(error) => {
            NAMED.not_checked(what, format!("failed to {error}")).mend(about_read(error, "sns:GetTopicAttributes"))
        }
    }
}

/// IAM is not asked: the worker needs no right to, and this program has no client for it.
fn judge_role(role: &str, account: &str) -> Diagnosis {
    let what = format!("logging role {role}");
    if account_of(role) != Some(account) {
        return NAMED
            .wrong(what, format!("it is not of account {account}, whose logging it is to serve"))
            .mend("name a role of that account in the policy");
    }
    let name = role.rsplit('/').next().unwrap_or(role);
    NAMED
        .not_checked(what, "whether it exists and AWS IoT may take it, IAM alone knows")
        .mend(format!("aws iam get-role --role-name {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn names_are_taken_from_every_rule_once() {
        let text = "version: 1\nrules:\n  - name: a\n    match: { check: [DEVICE_CERTIFICATE_SHARED_CHECK], thing_group: [prod] }\n    actions:\n      - { type: ADD_THINGS_TO_THING_GROUP, thing_groups: [Q, R] }\n      - { type: PUBLISH_FINDING_TO_SNS, topic_arn: 'arn:aws:sns:us-east-1:123456789012:t' }\n  - name: b\n    match: { check: [LOGGING_DISABLED_CHECK] }\n    actions:\n      - { type: ENABLE_IOT_LOGGING, role_arn: 'arn:aws:iam::123456789012:role/L', level: ERROR }\n";
        let policy = Policy::load(text, "p").unwrap();
        let names = Names::of(&policy);
        assert_eq!(names.groups_to_fill, BTreeSet::from(["Q", "R"]));
        assert_eq!(names.groups_asked, BTreeSet::from(["prod"]));
        assert_eq!(names.topics.len() + names.logging_roles.len(), 2);
    }

    #[test]
    fn what_is_not_there_is_wrong_where_it_is_acted_on_and_a_note_where_it_is_only_asked_for() {
        let gone = || Err(CallError::new(Class::Gone, "DescribeThingGroup", "none"));
        assert_eq!(judge_group("g", true, &Ok(Group::Static)).state, State::Ok);
        assert_eq!(judge_group("g", false, &Ok(Group::Dynamic)).state, State::Ok);
        assert_eq!(judge_group("g", true, &Ok(Group::Dynamic)).state, State::Wrong);
        let missing = judge_group("g", true, &gone());
        assert!(missing.state == State::Wrong && missing.mend.ends_with("--thing-group-name g"), "{missing:?}");
        assert_eq!(judge_group("g", false, &gone()).state, State::Note);
        let denied = Err(CallError::new(Class::Denied, "DescribeThingGroup", "no").with_code("AccessDeniedException"));
        assert_eq!(judge_group("g", true, &denied).state, State::NotChecked);
        let topic = judge_topic(
            "arn:aws:sns:us-east-1:123456789012:t",
            &Err(CallError::new(Class::Gone, "GetTopicAttributes", "none")),
        );
        assert!(topic.state == State::Wrong && topic.mend.ends_with("--name t"), "{topic:?}");
    }

    #[test]
    fn a_logging_role_of_another_account_is_wrong_and_whether_ones_own_exists_is_left_to_iam() {
        let own = judge_role("arn:aws:iam::123456789012:role/path/L", "123456789012");
        assert_eq!((own.state, own.mend.as_str()), (State::NotChecked, "aws iam get-role --role-name L"));
        assert_eq!(judge_role("arn:aws:iam::1:role/L", "123456789012").state, State::Wrong);
    }
}
