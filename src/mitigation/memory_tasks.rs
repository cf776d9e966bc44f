//! Device Defender's own mitigation tasks, in memory. Pure: a task is in progress for a while, and has its effects when that is over.

use super::memory_account::{self as account, Account};
use super::port::{ActionExecution, LoggingOptions, MitigationTaskOrder, MitigationTaskState};
use crate::aws::{Call, CallError};
use crate::finding::{Finding, ResourceIdentifier};
use crate::policy::Action;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Tasks that may be in progress (FACTS D.2).
const MOST_IN_PROGRESS: usize = 10;

/// Findings that one task takes (FACTS C.2).
const MOST_FINDINGS: usize = 25;

/// What refusals inside a task are told as.
const RUN: Call = Call::write("iot.run_mitigation_task", "StartAuditMitigationActionsTask");

#[derive(Debug)]
pub(super) struct Tasks {
    /// Mitigation actions, by name.
    pub actions: BTreeMap<String, Action>,
    /// How long a task is in progress.
    pub duration: Duration,
    /// Lists of executions that show none yet.
    pub hidden: usize,
    tasks: BTreeMap<String, Task>,
}

#[derive(Debug)]
struct Task {
    order: MitigationTaskOrder,
    findings: Vec<Finding>,
    actions: Vec<(String, Action)>,
    ends: Instant,
    /// Somebody stopped it before it did anything.
    cancelled: bool,
    /// By finding, once it is over.
    executions: Option<BTreeMap<String, Vec<ActionExecution>>>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self { actions: BTreeMap::new(), duration: Duration::from_secs(1), hidden: 0, tasks: BTreeMap::new() }
    }
}

pub(super) fn action<'a>(
    call: Call,
    actions: &'a BTreeMap<String, Action>,
    name: &str,
) -> Result<&'a Action, CallError> {
    let gone = || call.gone("ResourceNotFoundException", format!("mitigation action {name} does not exist"));
    actions.get(name).ok_or_else(gone)
}

impl Task {
    fn status(&self) -> &'static str {
        let Some(executions) = &self.executions else { return "IN_PROGRESS" };
        let failed = executions.values().flatten().any(|execution| execution.status == "FAILED");
        match () {
            () if self.cancelled => "CANCELED",
            () if failed => "FAILED",
            () => "COMPLETED",
        }
    }
}

impl Tasks {
    pub fn started(&self) -> impl Iterator<Item = &MitigationTaskOrder> {
        self.tasks.values().map(|task| &task.order)
    }

    pub fn cancel(&mut self, task_id: &str) {
        if let Some(task) = self.tasks.get_mut(task_id) {
            task.cancelled = task.executions.is_none();
        }
    }

    /// Does what the tasks do whose time has come.
    pub fn advance(&mut self, account: &mut Account, now: Instant) {
        for task in self.tasks.values_mut() {
            if task.executions.is_none() && (task.cancelled || now >= task.ends) {
                let (actions, cancelled) = (&task.actions, task.cancelled);
                let of =
                    |finding: &Finding| (finding.finding_id.clone(), executions(account, finding, actions, cancelled));
                task.executions = Some(task.findings.iter().map(of).collect());
            }
        }
    }

    pub fn start(
        &mut self,
        call: Call,
        account: &mut Account,
        order: &MitigationTaskOrder,
        now: Instant,
    ) -> Result<(), CallError> {
        let invalid = |why: String| call.refuse("InvalidRequestException", why);
        if self.tasks.contains_key(&order.task_id) {
            let why = format!("mitigation task {} already exists", order.task_id);
            return Err(call.refuse("TaskAlreadyExistsException", why));
        }
        if !(1..=MOST_FINDINGS).contains(&order.finding_ids.len()) {
            return Err(invalid(format!("a task takes 1 to {MOST_FINDINGS} findings")));
        }
        let named: Vec<(&String, Option<&Action>)> =
            order.actions.iter().map(|name| (name, self.actions.get(name))).collect();
        if let Some((name, _)) = named.iter().find(|(_, action)| action.is_none()) {
            return Err(invalid(format!("mitigation action {name} does not exist")));
        }
        let findings = order.finding_ids.iter().map(|id| {
            let finding = account.findings.get(id).filter(|finding| finding.check == order.check);
            finding.cloned().ok_or_else(|| invalid(format!("finding {id} does not exist")))
        });
        let findings = findings.collect::<Result<Vec<Finding>, _>>()?;
        let in_progress = self.tasks.values().filter(|task| task.executions.is_none()).count();
        if in_progress >= MOST_IN_PROGRESS {
            let why = format!("{MOST_IN_PROGRESS} mitigation tasks are in progress");
            return Err(call.refuse("LimitExceededException", why));
        }
        let actions = named.into_iter().filter_map(|(name, action)| Some((name.clone(), action?.clone()))).collect();
        let (order, ends) = (order.clone(), now + self.duration);
        let task = Task { findings, actions, ends, cancelled: false, executions: None, order };
        self.tasks.insert(task.order.task_id.clone(), task);
        Ok(())
    }

    fn task(&self, call: Call, task_id: &str) -> Result<&Task, CallError> {
        let gone = || call.gone("ResourceNotFoundException", format!("mitigation task {task_id} does not exist"));
        self.tasks.get(task_id).ok_or_else(gone)
    }

    pub fn state(&self, call: Call, task_id: &str) -> Result<MitigationTaskState, CallError> {
        let task = self.task(call, task_id)?;
        let completed = |executions: &&Vec<ActionExecution>| executions.iter().all(|one| one.status == "COMPLETED");
        Ok(MitigationTaskState {
            status: task.status().to_owned(),
            total: task.findings.len() as u64,
            succeeded: task.executions.iter().flat_map(BTreeMap::values).filter(completed).count() as u64,
        })
    }

    pub fn executions(
        &mut self,
        call: Call,
        task_id: &str,
        finding_id: &str,
    ) -> Result<Vec<ActionExecution>, CallError> {
        if let Some(left) = self.hidden.checked_sub(1) {
            self.hidden = left;
            return Ok(Vec::new());
        }
        let executions = self.task(call, task_id)?.executions.as_ref();
        Ok(executions.and_then(|executions| executions.get(finding_id)).cloned().unwrap_or_default())
    }
}

/// In order; after a failure the rest is skipped, and a suppressed finding gets nothing at all (FACTS F).
fn executions(
    account: &mut Account,
    finding: &Finding,
    actions: &[(String, Action)],
    cancelled: bool,
) -> Vec<ActionExecution> {
    let mut stopped = finding.suppressed || cancelled;
    let mut executions = Vec::with_capacity(actions.len());
    for (name, action) in actions {
        let failed = if stopped { None } else { apply(account, finding, action).err() };
        let status = match &failed {
            _ if cancelled => "CANCELED",
            _ if stopped => "SKIPPED",
            Some(_) => "FAILED",
            None => "COMPLETED",
        };
        stopped |= failed.is_some();
        executions.push(ActionExecution {
            action: name.clone(),
            status: status.to_owned(),
            error_code: failed.as_ref().and_then(|error| error.code.clone()),
            message: failed.map(|error| error.message),
        });
    }
    executions
}

fn apply(account: &mut Account, finding: &Finding, action: &Action) -> Result<(), CallError> {
    let call = RUN;
    let unfit = || call.refuse("InvalidRequestException", "the action does not fit the finding's resource");
    match (action, &finding.resource.identifier) {
        (Action::UpdateDeviceCertificate, ResourceIdentifier::DeviceCertificate(id)) => {
            account::deactivate(call, &mut account.certificates, id)
        }
        (Action::UpdateCaCertificate, ResourceIdentifier::CaCertificate(id)) => {
            account::deactivate(call, &mut account.ca_certificates, id)
        }
        (Action::AddThingsToThingGroup { thing_groups, .. }, ResourceIdentifier::DeviceCertificate(id)) => {
            let things: Vec<String> = account.principals.get(id).into_iter().flatten().cloned().collect();
            for thing in &things {
                for group in thing_groups {
                    account.add_to_group(call, thing, group)?;
                }
            }
            Ok(())
        }
        (Action::ReplaceDefaultPolicyVersion { document }, ResourceIdentifier::PolicyVersion { policy, .. }) => {
            account.create_version(call, policy, document).map(|_| ())
        }
        (Action::EnableIotLogging { role_arn, level }, ResourceIdentifier::Account(_)) => {
            account.logging = Some(LoggingOptions {
                role_arn: Some(role_arn.clone()),
                default_log_level: Some(level.as_str().to_owned()),
                disable_all_logs: false,
            });
            Ok(())
        }
        (Action::PublishFindingToSns { topic_arn }, _) => {
            account.publish(call, topic_arn, &finding.to_native().to_string()).map(|_| ())
        }
        _ => Err(unfit()),
    }
}
