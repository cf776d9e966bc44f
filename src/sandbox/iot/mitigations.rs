//! Mitigation actions and the tasks that apply them to findings, as Device Defender does it itself.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Value, json};

use super::audits::require_check;
use super::checks::INTERMEDIATE_CA_CHECK;
use super::defender::{Effect, Finding, TaskStatus};
use super::error::IotError;
use super::fleet::{Fleet, check_name};

/// AWS General Reference, Device Defender limits.
const MAX_ACTIONS: usize = 100;
const MAX_TASKS_IN_PROGRESS: usize = 10;
/// botocore, `FindingIds` and `MitigationActionNameList`.
const MAX_FINDING_IDS: usize = 25;
const MAX_ACTIONS_PER_CHECK: usize = 5;

/// The document of the template `BLANK_POLICY`: it allows nothing. (AWS's own text is not public.)
pub const BLANK_POLICY: &str = r#"{"Version":"2012-10-17","Statement":[]}"#;

/// A member of `actionParams` and the action type that it stands for.
const ACTION_TYPES: [(&str, &str); 6] = [
    ("updateDeviceCertificateParams", "UPDATE_DEVICE_CERTIFICATE"),
    ("updateCACertificateParams", "UPDATE_CA_CERTIFICATE"),
    ("addThingsToThingGroupParams", "ADD_THINGS_TO_THING_GROUP"),
    ("replaceDefaultPolicyVersionParams", "REPLACE_DEFAULT_POLICY_VERSION"),
    ("enableIoTLoggingParams", "ENABLE_IOT_LOGGING"),
    ("publishFindingToSnsParams", "PUBLISH_FINDING_TO_SNS"),
];

/// A mitigation action of the account.
#[derive(Clone, Debug)]
pub struct MitigationAction {
    /// Its name.
    pub name: String,
    /// Its immutable id (a UUID).
    pub id: String,
    /// The role it runs with.
    pub role_arn: String,
    /// The API's `actionParams`: one member, by type.
    pub params: Value,
    /// Created at, epoch milliseconds.
    pub created_ms: i64,
    /// Last change, epoch milliseconds.
    pub modified_ms: i64,
}

impl MitigationAction {
    /// `UPDATE_DEVICE_CERTIFICATE` and so on.
    pub fn action_type(&self) -> &'static str {
        action_type(&self.params).unwrap_or_default()
    }
}

fn action_type(params: &Value) -> Option<&'static str> {
    let member = params.as_object().filter(|params| params.len() == 1)?.keys().next()?;
    ACTION_TYPES.iter().find(|(name, _)| name == member).map(|(_, kind)| *kind)
}

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

/// One action on one finding.
#[derive(Clone, Debug)]
pub struct Execution {
    /// The action's name.
    pub action_name: String,
    /// The action's id.
    pub action_id: String,
    /// `COMPLETED`, `FAILED` or `SKIPPED`.
    pub status: &'static str,
    /// Started at, epoch milliseconds.
    pub start_ms: i64,
    /// Ended at, epoch milliseconds.
    pub end_ms: i64,
    /// What went wrong.
    pub error: Option<IotError>,
}

/// Counts of findings of one check in a task.
#[derive(Clone, Copy, Debug, Default)]
pub struct Statistics {
    /// All.
    pub total: usize,
    /// An action failed.
    pub failed: usize,
    /// Every action succeeded.
    pub succeeded: usize,
    /// Suppressed: not touched.
    pub skipped: usize,
    /// Not reached before the task was cancelled.
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
    /// Counts by check.
    pub statistics: BTreeMap<String, Statistics>,
    /// What was done, by finding.
    pub executions: HashMap<String, Vec<Execution>>,
    pub(super) findings: Vec<Arc<Finding>>,
}

/// What one action on one finding comes to.
pub(super) enum Step {
    Done(Result<(), IotError>),
    Publish { topic_arn: String, message: String },
}

impl Fleet {
    /// `CreateMitigationAction`.
    pub fn create_mitigation_action(
        &mut self,
        name: &str,
        role_arn: &str,
        params: &Value,
    ) -> Result<&MitigationAction, IotError> {
        check_name("actionName", name)?;
        check_params(params)?;
        if self.defender.actions.contains_key(name) {
            return Err(IotError::exists(format!("Mitigation action {name} already exists")));
        }
        if self.defender.actions.len() >= MAX_ACTIONS {
            return Err(IotError::limit(format!(
                "the account has {MAX_ACTIONS} mitigation actions, which is the limit"
            )));
        }
        let action = MitigationAction {
            name: name.to_owned(),
            id: self.new_uuid(),
            role_arn: role_arn.to_owned(),
            params: params.clone(),
            created_ms: self.now_ms(),
            modified_ms: self.now_ms(),
        };
        Ok(self.defender.actions.entry(name.to_owned()).or_insert(action))
    }

    /// `UpdateMitigationAction`: what is not given stays; the type cannot change.
    pub fn update_mitigation_action(
        &mut self,
        name: &str,
        role_arn: Option<&str>,
        params: Option<&Value>,
    ) -> Result<&MitigationAction, IotError> {
        let now = self.now_ms();
        let kind = self.mitigation_action(name)?.action_type();
        if let Some(params) = params
            && check_params(params)? != kind
        {
            return Err(IotError::invalid(format!(
                "Mitigation action {name} is of type {kind}, which cannot be changed"
            )));
        }
        if let Some(action) = self.defender.actions.get_mut(name) {
            if let Some(role_arn) = role_arn {
                role_arn.clone_into(&mut action.role_arn);
            }
            if let Some(params) = params {
                action.params = params.clone();
            }
            action.modified_ms = now;
        }
        self.mitigation_action(name)
    }

    /// `DescribeMitigationAction`.
    pub fn mitigation_action(&self, name: &str) -> Result<&MitigationAction, IotError> {
        self.defender
            .actions
            .get(name)
            .ok_or_else(|| IotError::not_found(format!("Mitigation action {name} does not exist")))
    }

    /// `StartAuditMitigationActionsTask`. The same id with the same token again is the same task; with another token it
    /// is `TaskAlreadyExistsException`. The work is done by the service ([`Effect::RunMitigationTask`]).
    pub fn start_mitigation_task(
        &mut self,
        task_id: &str,
        token: &str,
        target: &Value,
        mapping: BTreeMap<String, Vec<String>>,
    ) -> Result<(), IotError> {
        check_name("taskId", task_id)?;
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
        let findings = self.findings_of(&parse_target(target)?, &mapping)?;
        let mut statistics: BTreeMap<String, Statistics> = BTreeMap::new();
        for finding in &findings {
            statistics.entry(finding.check_name.clone()).or_default().total += 1;
        }
        let task = MitigationTask {
            token: token.to_owned(),
            status: TaskStatus::InProgress,
            start_ms: self.now_ms(),
            end_ms: None,
            target: target.clone(),
            mapping,
            actions,
            statistics,
            executions: HashMap::new(),
            findings,
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

    fn findings_of(
        &self,
        target: &Target,
        mapping: &BTreeMap<String, Vec<String>>,
    ) -> Result<Vec<Arc<Finding>>, IotError> {
        if target.finding_ids.is_empty() {
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
            let wanted = |finding: &&Arc<Finding>| {
                let codes = target.reason_codes.get(&finding.check_name);
                let filtered = target.reason_codes.is_empty()
                    || codes.is_some_and(|codes| codes.contains(&finding.reason_for_non_compliance_code));
                mapping.contains_key(&finding.check_name) && filtered
            };
            return Ok(audit.findings.iter().filter(wanted).cloned().collect());
        }
        let finding = |id: &String| {
            let finding = self.defender.finding(id);
            let finding = finding.ok_or_else(|| IotError::invalid(format!("Finding {id} does not exist")))?;
            if !mapping.contains_key(&finding.check_name) {
                return Err(IotError::invalid(format!(
                    "Finding {id} is of {}, to which no action is mapped",
                    finding.check_name
                )));
            }
            Ok(Arc::clone(finding))
        };
        target.finding_ids.iter().map(finding).collect()
    }

    /// Applies one action to one finding, except publishing, which is the service's to do.
    pub(super) fn mitigate(&mut self, finding: &Finding, action: &MitigationAction) -> Step {
        let text = |member: &str, name: &str| action.params[member][name].as_str().unwrap_or_default().to_owned();
        let resource = &finding.resource;
        let result = match action.action_type() {
            "PUBLISH_FINDING_TO_SNS" => {
                let topic_arn = text("publishFindingToSnsParams", "topicArn");
                return Step::Publish { topic_arn, message: finding.to_sns() };
            }
            "UPDATE_DEVICE_CERTIFICATE" => device_certificates(finding)
                .iter()
                // Deactivating what is no longer active would be no mitigation.
                .filter(|id| self.certificates.get(**id).is_some_and(|one| one.status.as_str() == "ACTIVE"))
                .copied()
                .collect::<Vec<_>>()
                .into_iter()
                .try_for_each(|id| self.update_certificate(id, "INACTIVE")),
            "UPDATE_CA_CERTIFICATE" => {
                let id = resource.identifier("caCertificateId").unwrap_or_default();
                self.update_ca_certificate(id, Some("INACTIVE"), None)
            }
            "ADD_THINGS_TO_THING_GROUP" => self.quarantine(finding, &action.params["addThingsToThingGroupParams"]),
            "REPLACE_DEFAULT_POLICY_VERSION" => {
                let policy = &resource.identifier["policyVersionIdentifier"]["policyName"];
                // As AWS's role permission has it: a version is added, none is removed.
                self.create_policy_version(policy.as_str().unwrap_or_default(), BLANK_POLICY, true).map(|_| ())
            }
            "ENABLE_IOT_LOGGING" => self.set_logging(
                Some(&text("enableIoTLoggingParams", "roleArnForLogging")),
                Some(&text("enableIoTLoggingParams", "logLevel")),
                Some(false),
            ),
            other => Err(IotError::invalid(format!("the sandbox does not run mitigation actions of type {other:?}"))),
        };
        Step::Done(result)
    }

    fn quarantine(&mut self, finding: &Finding, params: &Value) -> Result<(), IotError> {
        let groups = super::call::strings("thingGroupNames", &params["thingGroupNames"])?;
        for id in device_certificates(finding) {
            let arn = self.arn("cert", id);
            for thing in self.things_of_principal(&arn)? {
                for group in &groups {
                    self.add_thing_to_group(&thing, group)?;
                }
            }
        }
        Ok(())
    }
}

/// The device certificates that a finding is about: its own resource, or those that a revoked intermediate CA issued.
fn device_certificates(finding: &Finding) -> Vec<&str> {
    let related = finding.related.iter().filter(|_| finding.check_name == INTERMEDIATE_CA_CHECK);
    let resources = std::iter::once(&finding.resource).chain(related);
    resources.filter_map(|resource| resource.identifier("deviceCertificateId")).collect()
}

fn parse_target(target: &Value) -> Result<Target, IotError> {
    let finding_ids = target.get("findingIds").map(|ids| super::call::strings("findingIds", ids)).transpose()?;
    let codes = target.get("auditCheckToReasonCodeFilter").and_then(Value::as_object);
    let reason_codes: BTreeMap<String, Vec<String>> = codes
        .into_iter()
        .flatten()
        .map(|(check, codes)| Ok((check.clone(), super::call::strings("auditCheckToReasonCodeFilter", codes)?)))
        .collect::<Result<_, IotError>>()?;
    let audit_task_id = target.get("auditTaskId").and_then(Value::as_str).map(str::to_owned);
    match (&audit_task_id, &finding_ids) {
        (Some(_), None) => {}
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

/// The type of the action that the params describe, if they are complete.
fn check_params(params: &Value) -> Result<&'static str, IotError> {
    let kind = action_type(params).ok_or_else(|| {
        let known = ACTION_TYPES.map(|(member, _)| member).join(", ");
        IotError::invalid(format!("actionParams must have one member, of {known}"))
    })?;
    let wrong = |why: &str| Err(IotError::invalid(format!("actionParams of {kind}: {why}")));
    let inner = params.as_object().and_then(|params| params.values().next()).cloned().unwrap_or(json!({}));
    match kind {
        "UPDATE_DEVICE_CERTIFICATE" | "UPDATE_CA_CERTIFICATE" if inner["action"] != "DEACTIVATE" => {
            wrong("action must be DEACTIVATE")
        }
        "ADD_THINGS_TO_THING_GROUP"
            if !inner["thingGroupNames"].as_array().is_some_and(|names| (1..=10).contains(&names.len())) =>
        {
            wrong("thingGroupNames must name 1 to 10 groups")
        }
        "REPLACE_DEFAULT_POLICY_VERSION" if inner["templateName"] != "BLANK_POLICY" => {
            wrong("templateName must be BLANK_POLICY")
        }
        "ENABLE_IOT_LOGGING" if !inner["roleArnForLogging"].is_string() || !inner["logLevel"].is_string() => {
            wrong("roleArnForLogging and logLevel are required")
        }
        "PUBLISH_FINDING_TO_SNS" if !inner["topicArn"].is_string() => wrong("topicArn is required"),
        _ => Ok(kind),
    }
}
