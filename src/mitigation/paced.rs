//! [`Paced`]: any `IotControl` inside the budgets, with the few retries that are safe within a call.

use super::port::{
    ActionExecution, CertificateStatus, IotControl, LoggingOptions, Made, MitigationTaskOrder, MitigationTaskState,
    Page, PolicyState, PolicyVersion, RequestId,
};
use crate::aws::{CallError, Class};
use crate::budget::{Budgets, Operation};
use crate::finding::{Finding, Resource};
use crate::policy::Action;
use crate::telemetry::spans;
use backon::{ExponentialBuilder, Retryable};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use tracing::Instrument;

/// Tries of one call before the finding is parked: with delays of about 0.2, 0.4, 0.8 s the whole stays well inside a lease.
const TRIES: usize = 4;

/// Takes a slot before **every** attempt, and repeats what certainly had no effect: throttled calls, and calls that never got
/// there. An unknown outcome is not repeated here; whoever wrote must read back first (P2).
pub struct Paced<I> {
    inner: Arc<I>,
    budgets: Arc<Budgets>,
    // Each call's jitter gets its own seed, derived from one that the worker was given.
    seed: Arc<AtomicU64>,
    patience: Duration,
    may_call: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl<I> Paced<I> {
    /// A call waits no longer than `patience` for its slots, those of its retries included; a slot that does not come within it is
    /// an error of class `Throttled`. `seed` is for the jitter of retries.
    pub fn new(inner: I, budgets: Arc<Budgets>, patience: Duration, seed: u64) -> Self {
        let (inner, seed) = (Arc::new(inner), Arc::new(AtomicU64::new(seed)));
        Self { inner, budgets, seed, patience, may_call: Arc::new(|| true) }
    }

    /// The same account and budgets for the calls of one claim: `may_call` is asked after each wait for a slot, right before the
    /// call. The wait may be long, and a lease that ran out in it belongs to somebody else (P3).
    #[must_use]
    pub fn while_it_holds(&self, may_call: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        let (inner, budgets, seed) = (Arc::clone(&self.inner), Arc::clone(&self.budgets), Arc::clone(&self.seed));
        Self { inner, budgets, seed, patience: self.patience, may_call: Arc::new(may_call) }
    }

    /// The same account and budgets for calls that belong to no claim, and whose slots are waited for this long at most.
    #[must_use]
    pub fn within(&self, patience: Duration) -> Self {
        Self { patience, ..self.while_it_holds(|| true) }
    }

    async fn call<T, F>(&self, operation: Operation, attempt: impl Fn() -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, CallError>> + Send,
    {
        let deadline = Instant::now() + self.patience;
        let in_slot = || async {
            let slot = tokio::time::timeout_at(deadline, self.budgets.slot(operation));
            let slot = slot.instrument(spans::slot(operation.as_str())).await;
            slot.map_err(|_| self.no_slot(operation))??;
            self.check(operation.as_str())?;
            let result = spans::call("IoT", operation.as_str(), attempt()).await;
            if let Err(CallError { class: Class::Throttled, .. }) = &result {
                self.budgets.throttled(operation);
            }
            result
        };
        self.retry(deadline, in_slot).await
    }

    async fn retry<T, F>(&self, deadline: Instant, attempt: impl FnMut() -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(200))
            .with_max_delay(Duration::from_secs(2))
            .with_max_times(TRIES - 1)
            .with_jitter()
            .with_jitter_seed(self.seed.fetch_add(1, Ordering::Relaxed));
        attempt
            .retry(backoff)
            .sleep(tokio::time::sleep)
            .when(|error: &CallError| {
                let repeatable = matches!(error.class, Class::Throttled | Class::Transient);
                repeatable && Instant::now() < deadline && (self.may_call)()
            })
            .await
    }

    /// Work is begun only if its slots are near, so the rate was cut meanwhile, or others took what this process was used to getting.
    /// The finding goes back to the queue, which is no failed attempt, rather than hold its place for longer than a claim lasts.
    fn no_slot(&self, operation: Operation) -> CallError {
        let message = format!("no slot of its budget came within {} s", self.patience.as_secs());
        CallError::new(Class::Throttled, operation.as_str(), message)
    }

    /// The call was certainly not made, so that it may be made later. It came too late for want of a slot, as a throttled one does,
    /// and that is no failed attempt of the finding.
    fn check(&self, operation: &'static str) -> Result<(), CallError> {
        if (self.may_call)() {
            return Ok(());
        }
        Err(CallError::new(Class::Throttled, operation, "the claim ran out before it was the call's turn"))
    }
}

impl<I: fmt::Debug> fmt::Debug for Paced<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paced").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<I: IotControl> IotControl for Paced<I> {
    async fn describe_audit_finding(&self, finding_id: &str) -> Result<Finding, CallError> {
        self.call(Operation::DescribeAuditFinding, || self.inner.describe_audit_finding(finding_id)).await
    }

    async fn list_audit_findings(
        &self,
        task_id: &str,
        check: &str,
        next: Option<String>,
    ) -> Result<Page<Finding>, CallError> {
        self.call(Operation::ListAuditFindings, || self.inner.list_audit_findings(task_id, check, next.clone())).await
    }

    async fn list_related_resources(
        &self,
        finding_id: &str,
        next: Option<String>,
    ) -> Result<Page<Resource>, CallError> {
        self.call(Operation::ListRelatedResourcesForAuditFinding, || {
            self.inner.list_related_resources(finding_id, next.clone())
        })
        .await
    }

    async fn describe_certificate(&self, id: &str) -> Result<CertificateStatus, CallError> {
        self.call(Operation::DescribeCertificate, || self.inner.describe_certificate(id)).await
    }

    async fn deactivate_certificate(&self, id: &str) -> Result<RequestId, CallError> {
        self.call(Operation::UpdateCertificate, || self.inner.deactivate_certificate(id)).await
    }

    async fn describe_ca_certificate(&self, id: &str) -> Result<CertificateStatus, CallError> {
        self.call(Operation::DescribeCaCertificate, || self.inner.describe_ca_certificate(id)).await
    }

    async fn deactivate_ca_certificate(&self, id: &str) -> Result<RequestId, CallError> {
        self.call(Operation::UpdateCaCertificate, || self.inner.deactivate_ca_certificate(id)).await
    }

    async fn list_principal_things(
        &self,
        principal_arn: &str,
        next: Option<String>,
    ) -> Result<Page<String>, CallError> {
        self.call(Operation::ListPrincipalThings, || self.inner.list_principal_things(principal_arn, next.clone()))
            .await
    }

    async fn list_groups_of_thing(&self, thing: &str, next: Option<String>) -> Result<Page<String>, CallError> {
        self.call(Operation::ListThingGroupsForThing, || self.inner.list_groups_of_thing(thing, next.clone())).await
    }

    async fn add_thing_to_group(
        &self,
        thing: &str,
        group: &str,
        override_dynamic_groups: bool,
    ) -> Result<RequestId, CallError> {
        self.call(Operation::AddThingToThingGroup, || {
            self.inner.add_thing_to_group(thing, group, override_dynamic_groups)
        })
        .await
    }

    async fn get_policy(&self, name: &str) -> Result<PolicyState, CallError> {
        self.call(Operation::GetPolicy, || self.inner.get_policy(name)).await
    }

    async fn list_policy_versions(&self, name: &str) -> Result<Vec<PolicyVersion>, CallError> {
        self.call(Operation::ListPolicyVersions, || self.inner.list_policy_versions(name)).await
    }

    async fn get_policy_version(&self, name: &str, version: &str) -> Result<String, CallError> {
        self.call(Operation::GetPolicyVersion, || self.inner.get_policy_version(name, version)).await
    }

    async fn create_default_policy_version(&self, name: &str, document: &str) -> Result<Made, CallError> {
        self.call(Operation::CreatePolicyVersion, || self.inner.create_default_policy_version(name, document)).await
    }

    async fn delete_policy_version(&self, name: &str, version: &str) -> Result<(), CallError> {
        self.call(Operation::DeletePolicyVersion, || self.inner.delete_policy_version(name, version)).await
    }

    async fn get_logging_options(&self) -> Result<Option<LoggingOptions>, CallError> {
        self.call(Operation::GetV2LoggingOptions, || self.inner.get_logging_options()).await
    }

    async fn set_logging_options(&self, options: &LoggingOptions) -> Result<RequestId, CallError> {
        self.call(Operation::SetV2LoggingOptions, || self.inner.set_logging_options(options)).await
    }

    async fn start_mitigation_task(&self, order: &MitigationTaskOrder) -> Result<(), CallError> {
        self.call(Operation::StartAuditMitigationActionsTask, || self.inner.start_mitigation_task(order)).await
    }

    async fn describe_mitigation_task(&self, task_id: &str) -> Result<MitigationTaskState, CallError> {
        self.call(Operation::DescribeAuditMitigationActionsTask, || self.inner.describe_mitigation_task(task_id)).await
    }

    async fn list_action_executions(
        &self,
        task_id: &str,
        finding_id: &str,
        next: Option<String>,
    ) -> Result<Page<ActionExecution>, CallError> {
        self.call(Operation::ListAuditMitigationActionsExecutions, || {
            self.inner.list_action_executions(task_id, finding_id, next.clone())
        })
        .await
    }

    async fn describe_mitigation_action(&self, name: &str) -> Result<Action, CallError> {
        self.call(Operation::DescribeMitigationAction, || self.inner.describe_mitigation_action(name)).await
    }

    // SNS takes 30,000 messages a second: nothing to pace.
    async fn publish(&self, topic_arn: &str, message: &str) -> Result<Made, CallError> {
        let attempt = || async {
            self.check("Publish")?;
            spans::call("SNS", "Publish", self.inner.publish(topic_arn, message)).await
        };
        self.retry(Instant::now() + self.patience, attempt).await
    }
}
