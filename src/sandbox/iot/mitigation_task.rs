//! Mitigation tasks: which findings one is about, what has become of each, and how it is started.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::audits::require_check;
use super::call::strings;
use super::defender::{Effect, Finding, TaskStatus};
use super::error::IotError;
use super::fleet::Fleet;
use super::identifiers::{check_identifier, check_token};
use super::mitigations::MitigationAction;

/// AWS General Reference, Device Defender limits.
const MAX_TASKS_IN_PROGRESS: usize = 10;
/// botocore, `FindingIds`, `ReasonForNonComplianceCodes` and `MitigationActionNameList`.
const MAX_FINDING_IDS: usize = 25;
const MAX_REASON_CODES: usize = 25;
const MAX_ACTIONS_PER_CHECK: usize = 5;

/// Which findings a task is about.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// All findings of this audit ...
    pub audit_task_id: Option<String>,
    /// ... or these ...
    pub finding_ids: Vec<String>,
    /// ... of the audit's findings only those with these reason codes, by check.
    pub reason_codes: BTreeMap<String, Vec<String>>,
}

/// How an action on a finding stands (`AuditMitigationActionsExecutionStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutionStatus {
    /// Its turn has not come.
    Pending,
    /// At work.
    InProgress,
    /// Done.
    Completed,
    /// Tried, without success.
    Failed,
    /// Not tried: the finding is suppressed, or an action before it failed.
    Skipped,
    /// Not tried: the task was cancelled before.
    Canceled,
}

impl ExecutionStatus {
    /// As the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Skipped => "SKIPPED",
            Self::Canceled => "CANCELED",
        }
    }
}

/// One action on one finding.
#[derive(Clone, Debug)]
pub struct Execution {
    /// The action's name.
    pub action_name: String,
    /// The action's id.
    pub action_id: String,
    /// How it stands.
    pub status: ExecutionStatus,
    /// Started at, epoch milliseconds; `None` until then.
    pub start_ms: Option<i64>,
    /// Ended at, epoch milliseconds; `None` until then.
    pub end_ms: Option<i64>,
    /// What went wrong.
    pub error: Option<IotError>,
}

/// What a task does about one finding.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub finding: Arc<Finding>,
    pub executions: Vec<Execution>,
}

impl Work {
    fn pending(finding: Arc<Finding>, mapping: &BTreeMap<String, Vec<String>>, actions: &[MitigationAction]) -> Self {
        let names = mapping.get(&finding.check_name).into_iter().flatten();
        let mapped = names.filter_map(|name| actions.iter().find(|action| action.name == *name));
        let pending = mapped.map(|action| Execution {
            action_name: action.name.clone(),
            action_id: action.id.clone(),
            status: ExecutionStatus::Pending,
            start_ms: None,
            end_ms: None,
            error: None,
        });
        let executions = pending.collect();
        Self { finding, executions }
    }

    fn any(&self, status: ExecutionStatus) -> bool {
        self.executions.iter().any(|execution| execution.status == status)
    }

    fn all(&self, status: ExecutionStatus) -> bool {
        self.executions.iter().all(|execution| execution.status == status)
    }
}

/// Counts of findings of one check in a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// All.
    pub total: usize,
    /// An action failed.
    pub failed: usize,
    /// Every action succeeded.
    pub succeeded: usize,
    /// Not touched: suppressed, or left out by the reason code filter (botocore, `TaskStatisticsForAuditCheck`).
    pub skipped: usize,
    /// Not done with when the task was cancelled.
    pub canceled: usize,
}

/// A mitigation task.
#[derive(Clone, Debug)]
pub struct MitigationTask {
    /// The caller's idempotency token.
    pub token: String,
    /// How it stands.
    pub status: TaskStatus,
    /// Started at, epoch milliseconds.
    pub start_ms: i64,
    /// Ended at, epoch milliseconds.
    pub end_ms: Option<i64>,
    /// The request's `target`, to be shown again.
    pub target: Value,
    /// Action names by check, in order.
    pub mapping: BTreeMap<String, Vec<String>>,
    /// The actions as they were when the task started.
    pub actions: Vec<MitigationAction>,
    pub(super) work: Vec<Work>,
    /// Where in `work` a finding is, by its id.
    positions: HashMap<String, usize>,
    filtered: BTreeMap<String, usize>,
}

impl MitigationTask {
    /// Counts by check.
    pub fn statistics(&self) -> BTreeMap<String, Statistics> {
        let mut statistics: BTreeMap<String, Statistics> = BTreeMap::new();
        for (check, filtered) in &self.filtered {
            let counts = statistics.entry(check.clone()).or_default();
            counts.total += filtered;
            counts.skipped += filtered;
        }
        for work in &self.work {
            let counts = statistics.entry(work.finding.check_name.clone()).or_default();
            counts.total += 1;
            counts.failed += usize::from(work.any(ExecutionStatus::Failed));
            counts.succeeded += usize::from(work.all(ExecutionStatus::Completed));
            counts.skipped += usize::from(work.all(ExecutionStatus::Skipped));
            counts.canceled += usize::from(work.any(ExecutionStatus::Canceled));
        }
        statistics
    }

    /// The actions on one finding, in order; none if the task is not about it.
    pub fn executions(&self, finding_id: &str) -> &[Execution] {
        self.positions.get(finding_id).map_or(&[], |at| &self.work[*at].executions)
    }

    /// The findings that the task works on.
    pub fn findings(&self) -> impl Iterator<Item = &Arc<Finding>> {
        self.work.iter().map(|work| &work.finding)
    }
}

/// The findings that a task works on.
struct Selection {
    findings: Vec<Arc<Finding>>,
    /// How many more there are that the reason code filter leaves out, by check.
    filtered: BTreeMap<String, usize>,
}

impl Fleet {
    /// `StartAuditMitigationActionsTask`. The work is done by the service ([`Effect::RunMitigationTask`]).
    ///
    /// The same id with another token is `TaskAlreadyExistsException`, as the service model says. The same id with the
    /// same token is taken for the same request once more: it succeeds and starts nothing. The token of another task is an
    /// `InvalidRequestException`; the model says only that "an exception occurs". (Both UNCONFIRMED.)
    pub fn start_mitigation_task(
        &mut self,
        task_id: &str,
        token: &str,
        target: &Value,
        mapping: BTreeMap<String, Vec<String>>,
    ) -> Result<(), IotError> {
        check_identifier("taskId", task_id)?;
        check_token(token)?;
        let tasks = &self.defender.mitigation_tasks;
        if let Some(task) = tasks.get(task_id) {
            if task.token == token {
                return Ok(());
            }
            return Err(IotError::task_exists(format!(
                "Task {task_id} already exists with another clientRequestToken"
            )));
        }
        if tasks.values().any(|task| task.token == token) {
            return Err(IotError::invalid("the clientRequestToken was used for another task"));
        }
        if tasks.values().filter(|task| task.status == TaskStatus::InProgress).count() >= MAX_TASKS_IN_PROGRESS {
            return Err(IotError::limit(format!(
                "{MAX_TASKS_IN_PROGRESS} mitigation tasks are in progress, which is the limit"
            )));
        }
        let actions = self.actions_of(&mapping)?;
        let Selection { findings, filtered } = self.findings_of(&parse_target(target)?, &mapping)?;
        let work: Vec<Work> = findings.into_iter().map(|finding| Work::pending(finding, &mapping, &actions)).collect();
        let positions = work.iter().enumerate().map(|(at, work)| (work.finding.finding_id.clone(), at)).collect();
        let task = MitigationTask {
            token: token.to_owned(),
            status: TaskStatus::InProgress,
            start_ms: self.now_ms(),
            end_ms: None,
            target: target.clone(),
            mapping,
            actions,
            work,
            positions,
            filtered,
        };
        self.defender.mitigation_tasks.insert(task_id.to_owned(), task);
        self.defender.effects.push(Effect::RunMitigationTask(task_id.to_owned()));
        Ok(())
    }

    fn actions_of(&self, mapping: &BTreeMap<String, Vec<String>>) -> Result<Vec<MitigationAction>, IotError> {
        if mapping.is_empty() {
            return Err(IotError::invalid("auditCheckToActionsMapping must not be empty"));
        }
        let mut actions: Vec<MitigationAction> = Vec::new();
        for (check, names) in mapping {
            if !(1..=MAX_ACTIONS_PER_CHECK).contains(&names.len()) {
                return Err(IotError::invalid(format!(
                    "{check} must be mapped to 1 to {MAX_ACTIONS_PER_CHECK} actions"
                )));
            }
            let check = require_check(check)?;
            for name in names {
                let action = self.defender.actions.get(name).ok_or_else(|| {
                    IotError::invalid(format!("Mitigation action {name}, mapped to {}, does not exist", check.name))
                })?;
                if !check.takes(action.action_type()) {
                    return Err(IotError::invalid(format!(
                        "Mitigation action {name} is of type {}, which cannot be applied to {}",
                        action.action_type(),
                        check.name
                    )));
                }
                if !actions.iter().any(|known| known.name == action.name) {
                    actions.push(action.clone());
                }
            }
        }
        Ok(actions)
    }

    /// What a request means by its target.
    fn findings_of(&self, target: &Target, mapping: &BTreeMap<String, Vec<String>>) -> Result<Selection, IotError> {
        if !target.finding_ids.is_empty() {
            let mut seen = BTreeSet::new();
            let ids = target.finding_ids.iter().filter(|id| seen.insert(id.as_str()));
            let findings = ids.map(|id| self.mapped_finding(id, mapping)).collect::<Result<_, _>>()?;
            return Ok(Selection { findings, filtered: BTreeMap::new() });
        }
        let audit = match &target.audit_task_id {
            Some(task_id) => self.audit(task_id).map_err(|error| IotError::invalid(error.message))?,
            // A filter alone: "the findings from the audit", which can only be the latest one.
            None => self
                .defender
                .latest_audits()
                .map(|(_, audit)| audit)
                .find(|audit| audit.status != TaskStatus::InProgress)
                .ok_or_else(|| IotError::invalid("there is no audit yet"))?,
        };
        let (mut findings, mut filtered) = (Vec::new(), BTreeMap::new());
        for finding in audit.findings.iter().filter(|finding| mapping.contains_key(&finding.check_name)) {
            let codes = target.reason_codes.get(&finding.check_name);
            let wanted = target.reason_codes.is_empty()
                || codes.is_some_and(|codes| codes.contains(&finding.reason_for_non_compliance_code));
            if wanted {
                findings.push(Arc::clone(finding));
            } else {
                *filtered.entry(finding.check_name.clone()).or_insert(0) += 1;
            }
        }
        Ok(Selection { findings, filtered })
    }

    fn mapped_finding(&self, id: &str, mapping: &BTreeMap<String, Vec<String>>) -> Result<Arc<Finding>, IotError> {
        let finding = self.defender.finding(id);
        let finding = finding.ok_or_else(|| IotError::invalid(format!("Finding {id} does not exist")))?;
        if !mapping.contains_key(&finding.check_name) {
            return Err(IotError::invalid(format!(
                "Finding {id} is of {}, to which no action is mapped",
                finding.check_name
            )));
        }
        Ok(Arc::clone(finding))
    }
}

fn parse_target(target: &Value) -> Result<Target, IotError> {
    let finding_ids = target.get("findingIds").map(|ids| strings("findingIds", ids)).transpose()?;
    let codes = target.get("auditCheckToReasonCodeFilter").and_then(Value::as_object);
    let mut reason_codes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (check, codes) in codes.into_iter().flatten() {
        let codes = strings("auditCheckToReasonCodeFilter", codes)?;
        if !(1..=MAX_REASON_CODES).contains(&codes.len()) {
            return Err(IotError::invalid(format!(
                "auditCheckToReasonCodeFilter must name 1 to {MAX_REASON_CODES} reason codes for {check}"
            )));
        }
        reason_codes.insert(check.clone(), codes);
    }
    let audit_task_id = target.get("auditTaskId").and_then(Value::as_str).map(str::to_owned);
    match (&audit_task_id, &finding_ids) {
        (Some(_), None) => {}
        (_, Some(_)) if audit_task_id.is_some() || !reason_codes.is_empty() => {
            return Err(IotError::invalid("target must not have findingIds together with another member"));
        }
        (None, None) if !reason_codes.is_empty() => {}
        (None, Some(ids)) if (1..=MAX_FINDING_IDS).contains(&ids.len()) => {}
        (None, Some(ids)) => {
            return Err(IotError::invalid(format!(
                "findingIds must name 1 to {MAX_FINDING_IDS} findings, not {}",
                ids.len()
            )));
        }
        _ => {
            return Err(IotError::invalid(
                "target must have findingIds, or auditTaskId or auditCheckToReasonCodeFilter or both of these",
            ));
        }
    }
    Ok(Target { audit_task_id, finding_ids: finding_ids.unwrap_or_default(), reason_codes })
}
