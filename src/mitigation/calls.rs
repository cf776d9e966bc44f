//! What a finding will call of AWS, told before it is begun.

use super::survey::survey_calls;
use super::{certificate, groups, logging, policy_version};
use crate::budget::Operation;
use crate::finding::Finding;
use crate::policy::{Action, Facts, Policy, Verdict, decide};

/// The paced calls that `policy` makes for `finding` where everything is still to be changed; an operation that is called twice is
/// there twice.
///
/// An estimate, good for telling whose turn is near: without having looked anything up it takes one certificate for a finding and one
/// thing for a certificate, and decides a rule that asks for a thing group as if there were none. Findings that name their audit are
/// taken to be authenticated by the page, 250 with one call, which limits none of them; the few that are not are no part of it.
pub fn calls_of(policy: &Policy, finding: &Finding) -> Vec<Operation> {
    let mut calls = Vec::new();
    if policy.needs_thing_groups(finding) {
        calls.extend(groups::lookup_calls(finding));
    }
    let verdict = decide(policy, finding, &Facts::default()).verdict;
    let alone = policy.verify_finding && finding.task_id.is_none();
    if alone && matches!(verdict, Verdict::Act(_) | Verdict::Delegate(_)) {
        calls.push(Operation::DescribeAuditFinding);
    }
    match verdict {
        Verdict::Act(actions) => {
            calls.extend(actions.iter().flat_map(|action| of_action(action, finding, policy.read_back)));
        }
        // A twenty-fifth of a task for each is nothing to wait for.
        Verdict::Delegate(_) => calls.extend(survey_calls(finding)),
        Verdict::Observe { .. } | Verdict::Suppressed => {}
    }
    calls
}

fn of_action(action: &Action, finding: &Finding, read_back: bool) -> Vec<Operation> {
    match action {
        Action::UpdateDeviceCertificate => certificate::device_calls(finding, read_back),
        Action::UpdateCaCertificate => certificate::ca_calls(read_back),
        Action::AddThingsToThingGroup { thing_groups, .. } => groups::add_calls(finding, thing_groups.len(), read_back),
        Action::ReplaceDefaultPolicyVersion { .. } => policy_version::replace_calls(read_back),
        Action::EnableIotLogging { .. } => logging::enable_calls(read_back),
        // SNS takes 30,000 messages a second: nothing to pace.
        Action::PublishFindingToSns { .. } => Vec::new(),
    }
}
