//! The in-memory twin of AWS IoT, Device Defender and SNS, with a history of every call for checkers.

use super::memory_account::{self as account, Account};
use super::memory_tasks::{self as tasks, Tasks};
use super::port::{
    ActionExecution, CertificateStatus, IotControl, LoggingOptions, Made, MitigationTaskOrder, MitigationTaskState,
    Page, PolicyState, PolicyVersion, RequestId,
};
use crate::aws::{Call, CallError, Class, Fair, Fates};
use crate::finding::{Finding, Resource};
use crate::policy::Action;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The most that one page of `ListAuditFindings` holds.
const PAGE: usize = 250;

const DESCRIBE_FINDING: Call = Call::read("iot.describe_audit_finding", "DescribeAuditFinding");
const LIST_FINDINGS: Call = Call::read("iot.list_audit_findings", "ListAuditFindings");
const LIST_RELATED: Call = Call::read("iot.list_related_resources", "ListRelatedResourcesForAuditFinding");
const DESCRIBE: Call = Call::read("iot.describe_certificate", "DescribeCertificate");
const DEACTIVATE: Call = Call::write("iot.deactivate_certificate", "UpdateCertificate");
const DESCRIBE_CA: Call = Call::read("iot.describe_ca_certificate", "DescribeCACertificate");
const DEACTIVATE_CA: Call = Call::write("iot.deactivate_ca_certificate", "UpdateCACertificate");
const LIST_THINGS: Call = Call::read("iot.list_principal_things", "ListPrincipalThings");
const LIST_GROUPS: Call = Call::read("iot.list_groups_of_thing", "ListThingGroupsForThing");
const ADD_TO_GROUP: Call = Call::write("iot.add_thing_to_group", "AddThingToThingGroup");
const GET_POLICY: Call = Call::read("iot.get_policy", "GetPolicy");
const LIST_VERSIONS: Call = Call::read("iot.list_policy_versions", "ListPolicyVersions");
const GET_VERSION: Call = Call::read("iot.get_policy_version", "GetPolicyVersion");
const CREATE_VERSION: Call = Call::write("iot.create_default_policy_version", "CreatePolicyVersion");
const DELETE_VERSION: Call = Call::write("iot.delete_policy_version", "DeletePolicyVersion");
const GET_LOGGING: Call = Call::read("iot.get_logging_options", "GetV2LoggingOptions");
const SET_LOGGING: Call = Call::write("iot.set_logging_options", "SetV2LoggingOptions");
const START_TASK: Call = Call::write("iot.start_mitigation_task", "StartAuditMitigationActionsTask");
const DESCRIBE_TASK: Call = Call::read("iot.describe_mitigation_task", "DescribeAuditMitigationActionsTask");
const LIST_EXECUTIONS: Call = Call::read("iot.list_action_executions", "ListAuditMitigationActionsExecutions");
const DESCRIBE_ACTION: Call = Call::read("iot.describe_mitigation_action", "DescribeMitigationAction");
const PUBLISH: Call = Call::write("iot.publish", "Publish");

/// One call that was made of a [`MemoryIot`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IotCall {
    /// AWS's name of it.
    pub operation: &'static str,
    /// What it was about: a certificate id, a policy name, `thing in group`, a topic, a finding id.
    pub target: String,
    /// The call ran and was not refused, whether or not its reply came through.
    pub took_effect: bool,
    /// What the caller was told; `None` is success.
    pub error: Option<Class>,
    /// When it was answered.
    pub at: Instant,
}

/// An account in memory; clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct MemoryIot {
    shared: Arc<Mutex<State>>,
    fates: Arc<dyn Fates>,
}

#[derive(Debug)]
struct State {
    account: Account,
    tasks: Tasks,
    page: usize,
    history: Vec<IotCall>,
}

impl Default for MemoryIot {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryIot {
    /// An account with nothing in it.
    pub fn new() -> Self {
        let state = State { account: Account::default(), tasks: Tasks::default(), page: PAGE, history: Vec::new() };
        Self { shared: Arc::new(Mutex::new(state)), fates: Arc::new(Fair) }
    }

    /// Another handle to the same account whose calls meet these fates.
    #[must_use]
    pub fn with_fates(&self, fates: Arc<dyn Fates>) -> Self {
        Self { shared: Arc::clone(&self.shared), fates }
    }

    /// Every call that was answered, in order.
    pub fn history(&self) -> Vec<IotCall> {
        self.state().history.clone()
    }

    /// The calls of an operation that took effect.
    pub fn effects(&self, operation: &str) -> Vec<IotCall> {
        let effective = |call: &IotCall| call.operation == operation && call.took_effect;
        self.state().history.iter().filter(|call| effective(call)).cloned().collect()
    }

    /// Pages hold so many from now on.
    pub fn set_page_size(&self, size: usize) {
        self.state().page = size.max(1);
    }

    /// A device certificate: `ACTIVE`, `INACTIVE`, `REVOKED`, ...
    pub fn put_certificate(&self, id: &str, status: &str) {
        self.state().account.certificates.insert(id.to_owned(), status.to_owned());
    }

    /// A CA certificate.
    pub fn put_ca_certificate(&self, id: &str, status: &str) {
        self.state().account.ca_certificates.insert(id.to_owned(), status.to_owned());
    }

    /// A policy whose versions are these documents, numbered from 1; the last one is the default. One that is there gets them as
    /// further versions.
    pub fn put_policy(&self, name: &str, documents: &[&str]) {
        let mut state = self.state();
        let policy = state.account.policies.entry(name.to_owned()).or_default();
        for document in documents {
            policy.add(document);
        }
    }

    /// Somebody's `SetDefaultPolicyVersion`; without effect where there is no such version.
    pub fn set_default_version(&self, name: &str, version: &str) {
        let mut state = self.state();
        let Some(policy) = state.account.policies.get_mut(name) else { return };
        policy.default = version.parse().ok().filter(|id| policy.versions.contains_key(id)).unwrap_or(policy.default);
    }

    /// A static thing group.
    pub fn put_group(&self, name: &str) {
        self.state().account.groups.insert(name.to_owned());
    }

    /// A thing that uses the certificate.
    pub fn put_thing(&self, name: &str, certificate_id: &str, groups: &[&str]) {
        let mut state = self.state();
        let groups = groups.iter().map(|&group| group.to_owned());
        state.account.things.entry(name.to_owned()).or_default().extend(groups);
        state.account.principals.entry(certificate_id.to_owned()).or_default().insert(name.to_owned());
    }

    /// The logging options as they are from now on.
    pub fn put_logging(&self, options: Option<LoggingOptions>) {
        self.state().account.logging = options;
    }

    /// A finding that Device Defender knows.
    pub fn put_finding(&self, finding: &Finding) {
        let account = &mut self.state().account;
        let list = |finding: &Finding| Some((finding.task_id.clone()?, finding.check.clone()));
        let before = account.findings.insert(finding.finding_id.clone(), finding.clone());
        if let Some(ids) = before.as_ref().and_then(list).and_then(|list| account.listed.get_mut(&list)) {
            ids.remove(&finding.finding_id);
        }
        if let Some(list) = list(finding) {
            account.listed.entry(list).or_default().insert(finding.finding_id.clone());
        }
    }

    /// What `ListRelatedResourcesForAuditFinding` answers.
    pub fn put_related(&self, finding_id: &str, resources: Vec<Resource>) {
        self.state().account.related.insert(finding_id.to_owned(), resources);
    }

    /// A topic that can be published to.
    pub fn put_topic(&self, arn: &str) {
        self.state().account.topics.entry(arn.to_owned()).or_default();
    }

    /// One of Device Defender's own mitigation actions.
    pub fn put_mitigation_action(&self, name: &str, action: Action) {
        self.state().tasks.actions.insert(name.to_owned(), action);
    }

    /// Takes a mitigation action away.
    pub fn remove_mitigation_action(&self, name: &str) {
        self.state().tasks.actions.remove(name);
    }

    /// Tasks that begin from now on are in progress for so long.
    pub fn set_task_duration(&self, duration: Duration) {
        self.state().tasks.duration = duration;
    }

    /// Somebody's `CancelAuditMitigationActionsTask`: what it has done stays done.
    pub fn cancel_mitigation_task(&self, task_id: &str) {
        self.state().tasks.cancel(task_id);
    }

    /// The mitigation tasks that were started, in the order of their ids.
    pub fn mitigation_tasks(&self) -> Vec<MitigationTaskOrder> {
        self.state().tasks.started().cloned().collect()
    }

    /// The next so many lists of a task's executions show none yet.
    pub fn hide_executions(&self, times: usize) {
        self.state().tasks.hidden = times;
    }

    /// Takes a device certificate, a CA certificate, a policy, a topic and a thing group of that name away.
    pub fn remove(&self, name: &str) {
        let account = &mut self.state().account;
        account.topics.remove(name);
        account.certificates.remove(name);
        account.ca_certificates.remove(name);
        account.policies.remove(name);
        account.groups.remove(name);
    }

    /// The status of a device or CA certificate.
    pub fn certificate(&self, id: &str) -> Option<String> {
        let account = &self.state().account;
        account.certificates.get(id).or_else(|| account.ca_certificates.get(id)).cloned()
    }

    /// A policy's versions, oldest first, and its default version.
    pub fn policy(&self, name: &str) -> Option<(Vec<(String, String)>, String)> {
        let state = self.state();
        let policy = state.account.policies.get(name)?;
        let versions = policy.versions.iter().map(|(id, document)| (id.to_string(), document.clone()));
        Some((versions.collect(), policy.default.to_string()))
    }

    /// The groups of a thing.
    pub fn groups(&self, thing: &str) -> Vec<String> {
        self.state().account.things.get(thing).into_iter().flatten().cloned().collect()
    }

    /// The logging options.
    pub fn logging(&self) -> Option<LoggingOptions> {
        self.state().account.logging.clone()
    }

    /// What was published to a topic, in order.
    pub fn published(&self, topic_arn: &str) -> Vec<String> {
        self.state().account.topics.get(topic_arn).cloned().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// That of the call that was answered last.
    fn request_id(&self) -> RequestId {
        Some(format!("request-{:06}", self.state().history.len()))
    }

    async fn call<T>(
        &self,
        call: Call,
        target: &str,
        body: impl FnOnce(&mut Account) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        self.call_of_state(call, target, |state| body(&mut state.account)).await
    }

    async fn call_of_state<T>(
        &self,
        call: Call,
        target: &str,
        body: impl FnOnce(&mut State) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let mut took_effect = false;
        let answer = call
            .run(&*self.fates, async |fault| {
                fault.check(0)?;
                let mut state = self.state();
                let State { account, tasks, .. } = &mut *state;
                tasks.advance(account, Instant::now());
                let answer = body(&mut state);
                took_effect = answer.is_ok();
                answer
            })
            .await;
        let error = answer.as_ref().err().map(|error| error.class);
        let (operation, target) = (call.operation, target.to_owned());
        self.state().history.push(IotCall { operation, target, took_effect, error, at: Instant::now() });
        answer
    }

    async fn pages<T>(
        &self,
        call: Call,
        target: &str,
        next: Option<String>,
        items: impl FnOnce(&Account) -> Result<Vec<T>, CallError>,
    ) -> Result<Page<T>, CallError> {
        let size = self.state().page;
        self.call(call, target, |account| account::page(call, items(account)?, next.as_deref(), size)).await
    }
}

impl IotControl for MemoryIot {
    async fn describe_audit_finding(&self, finding_id: &str) -> Result<Finding, CallError> {
        self.call(DESCRIBE_FINDING, finding_id, |account| account.finding(DESCRIBE_FINDING, finding_id)).await
    }

    async fn list_audit_findings(
        &self,
        task_id: &str,
        check: &str,
        next: Option<String>,
    ) -> Result<Page<Finding>, CallError> {
        let size = self.state().page;
        self.call(LIST_FINDINGS, &format!("{task_id} {check}"), |account| {
            let ids = account.listed.get(&(task_id.to_owned(), check.to_owned())).into_iter().flatten().collect();
            let Page { items, next } = account::page(LIST_FINDINGS, ids, next.as_deref(), size)?;
            Ok(Page { items: items.into_iter().filter_map(|id| account.findings.get(id)).cloned().collect(), next })
        })
        .await
    }

    async fn list_related_resources(
        &self,
        finding_id: &str,
        next: Option<String>,
    ) -> Result<Page<Resource>, CallError> {
        self.pages(LIST_RELATED, finding_id, next, |account| {
            Ok(account.related.get(finding_id).cloned().unwrap_or_default())
        })
        .await
    }

    async fn describe_certificate(&self, id: &str) -> Result<CertificateStatus, CallError> {
        self.call(DESCRIBE, id, |account| account::status(DESCRIBE, &account.certificates, id)).await
    }

    async fn deactivate_certificate(&self, id: &str) -> Result<RequestId, CallError> {
        let body = |account: &mut Account| account::deactivate(DEACTIVATE, &mut account.certificates, id);
        self.call(DEACTIVATE, id, body).await.map(|()| self.request_id())
    }

    async fn describe_ca_certificate(&self, id: &str) -> Result<CertificateStatus, CallError> {
        self.call(DESCRIBE_CA, id, |account| account::status(DESCRIBE_CA, &account.ca_certificates, id)).await
    }

    async fn deactivate_ca_certificate(&self, id: &str) -> Result<RequestId, CallError> {
        let body = |account: &mut Account| account::deactivate(DEACTIVATE_CA, &mut account.ca_certificates, id);
        self.call(DEACTIVATE_CA, id, body).await.map(|()| self.request_id())
    }

    async fn list_principal_things(
        &self,
        principal_arn: &str,
        next: Option<String>,
    ) -> Result<Page<String>, CallError> {
        self.pages(LIST_THINGS, principal_arn, next, |account| account.things_of(LIST_THINGS, principal_arn)).await
    }

    async fn list_groups_of_thing(&self, thing: &str, next: Option<String>) -> Result<Page<String>, CallError> {
        self.pages(LIST_GROUPS, thing, next, |account| account.groups_of(LIST_GROUPS, thing)).await
    }

    async fn add_thing_to_group(&self, thing: &str, group: &str, _override: bool) -> Result<RequestId, CallError> {
        let target = format!("{thing} in {group}");
        let added = self.call(ADD_TO_GROUP, &target, |account| account.add_to_group(ADD_TO_GROUP, thing, group)).await;
        added.map(|()| self.request_id())
    }

    async fn get_policy(&self, name: &str) -> Result<PolicyState, CallError> {
        self.call(GET_POLICY, name, |account| account.policy_state(GET_POLICY, name)).await
    }

    async fn list_policy_versions(&self, name: &str) -> Result<Vec<PolicyVersion>, CallError> {
        self.call(LIST_VERSIONS, name, |account| account.policy_versions(LIST_VERSIONS, name)).await
    }

    async fn get_policy_version(&self, name: &str, version: &str) -> Result<String, CallError> {
        self.call(GET_VERSION, name, |account| account.policy_document(GET_VERSION, name, version)).await
    }

    async fn create_default_policy_version(&self, name: &str, document: &str) -> Result<Made, CallError> {
        let body = |account: &mut Account| account.create_version(CREATE_VERSION, name, document);
        self.call(CREATE_VERSION, name, body).await.map(|id| Made { id, request_id: self.request_id() })
    }

    async fn delete_policy_version(&self, name: &str, version: &str) -> Result<(), CallError> {
        self.call(DELETE_VERSION, name, |account| account.delete_version(DELETE_VERSION, name, version)).await
    }

    async fn get_logging_options(&self) -> Result<Option<LoggingOptions>, CallError> {
        self.call(GET_LOGGING, "account", |account| Ok(account.logging.clone())).await
    }

    async fn set_logging_options(&self, options: &LoggingOptions) -> Result<RequestId, CallError> {
        self.call(SET_LOGGING, "account", |account| {
            if options.role_arn.is_none() && !options.disable_all_logs {
                return Err(SET_LOGGING.refuse("InvalidRequestException", "logging needs the ARN of a role"));
            }
            account.logging = Some(options.clone());
            Ok(())
        })
        .await
        .map(|()| self.request_id())
    }

    async fn start_mitigation_task(&self, order: &MitigationTaskOrder) -> Result<(), CallError> {
        self.call_of_state(START_TASK, &order.task_id, |state| {
            state.tasks.start(START_TASK, &mut state.account, order, Instant::now())
        })
        .await
    }

    async fn describe_mitigation_task(&self, task_id: &str) -> Result<MitigationTaskState, CallError> {
        self.call_of_state(DESCRIBE_TASK, task_id, |state| state.tasks.state(DESCRIBE_TASK, task_id)).await
    }

    async fn list_action_executions(
        &self,
        task_id: &str,
        finding_id: &str,
        next: Option<String>,
    ) -> Result<Page<ActionExecution>, CallError> {
        let size = self.state().page;
        self.call_of_state(LIST_EXECUTIONS, &format!("{finding_id} in {task_id}"), |state| {
            let executions = state.tasks.executions(LIST_EXECUTIONS, task_id, finding_id)?;
            account::page(LIST_EXECUTIONS, executions, next.as_deref(), size)
        })
        .await
    }

    async fn describe_mitigation_action(&self, name: &str) -> Result<Action, CallError> {
        self.call_of_state(DESCRIBE_ACTION, name, |state| {
            tasks::action(DESCRIBE_ACTION, &state.tasks.actions, name).cloned()
        })
        .await
    }

    async fn publish(&self, topic_arn: &str, message: &str) -> Result<Made, CallError> {
        let published = self.call(PUBLISH, topic_arn, |account| account.publish(PUBLISH, topic_arn, message)).await;
        published.map(|id| Made { id, request_id: self.request_id() })
    }
}
