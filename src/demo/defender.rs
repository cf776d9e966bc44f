//! Device Defender over the wire, as an operator would use it: settings, an audit, and the publication of its findings.

use super::options::DemoError;
use crate::finding::{Finding, catalogue};
use crate::mitigation::IotControl;
use aws_sdk_iot::Client;
use aws_sdk_iot::error::DisplayErrorContext;
use aws_sdk_iot::types::{
    AuditCheckConfiguration, AuditMitigationActionsTaskTarget, AuditNotificationTarget, AuditNotificationType,
    AuditTaskStatus, MitigationActionParams, PublishFindingToSnsParams,
};
use std::collections::BTreeMap;
use std::time::Duration;

const ROLE: &str = "arn:aws:iam::123456789012:role/DeviceDefenderAudit";

/// The mitigation action that publishes a finding; audits publish only their summary by themselves.
const PUBLISH: &str = "PublishFinding";

const POLL: Duration = Duration::from_millis(100);

fn said<E: std::error::Error>(doing: &'static str) -> impl Fn(E) -> DemoError {
    move |error| DemoError::at(doing)(DisplayErrorContext(error).to_string())
}

/// Switches all checks on and sends audit summaries to the topic.
pub(super) async fn configure(iot: &Client, topic_arn: &str) -> Result<(), DemoError> {
    let doing = "configure Device Defender";
    let target = AuditNotificationTarget::builder().target_arn(topic_arn).role_arn(ROLE).enabled(true).build();
    let mut request = iot
        .update_account_audit_configuration()
        .role_arn(ROLE)
        .audit_notification_target_configurations(AuditNotificationType::Sns, target);
    for check in catalogue::CHECKS {
        let enabled = AuditCheckConfiguration::builder().enabled(true).build();
        request = request.audit_check_configurations(check.name, enabled);
    }
    request.send().await.map_err(said(doing))?;
    let params = PublishFindingToSnsParams::builder().topic_arn(topic_arn).build().map_err(said(doing))?;
    iot.create_mitigation_action()
        .action_name(PUBLISH)
        .role_arn(ROLE)
        .action_params(MitigationActionParams::builder().publish_finding_to_sns_params(params).build())
        .send()
        .await
        .map_err(said(doing))?;
    Ok(())
}

/// One audit's result.
#[derive(Debug, Clone)]
pub(super) struct Audit {
    pub task_id: String,
    /// Non-compliant resources by check; checks that found none have 0.
    pub found: BTreeMap<String, u64>,
}

impl Audit {
    pub fn total(&self) -> u64 {
        self.found.values().sum()
    }
}

/// Every finding of an audit that is not suppressed, page by page through all checks that found something.
pub(super) async fn findings(
    iot: &impl IotControl,
    audit: &Audit,
    mut each_page: impl AsyncFnMut(Vec<Finding>) -> Result<(), DemoError>,
) -> Result<(), DemoError> {
    for check in audit.found.iter().filter(|(_, n)| **n > 0).map(|(check, _)| check) {
        let mut next = None;
        loop {
            let page = iot.list_audit_findings(&audit.task_id, check, next).await;
            let page = page.map_err(|error| DemoError::at("list findings")(error.to_string()))?;
            each_page(page.items.into_iter().filter(|finding| !finding.suppressed).collect()).await?;
            next = page.next;
            if next.is_none() {
                break;
            }
        }
    }
    Ok(())
}

/// Runs an audit of all checks to its end.
pub(super) async fn audit(iot: &Client) -> Result<Audit, DemoError> {
    let doing = "audit the fleet";
    let names = catalogue::CHECKS.iter().map(|check| check.name.to_owned());
    let started = iot
        .start_on_demand_audit_task()
        .set_target_check_names(Some(names.collect()))
        .send()
        .await
        .map_err(said(doing))?;
    let task_id = started.task_id.unwrap_or_default();
    loop {
        let task = iot.describe_audit_task().task_id(&task_id).send().await.map_err(said(doing))?;
        match task.task_status {
            Some(AuditTaskStatus::InProgress) => tokio::time::sleep(POLL).await,
            Some(AuditTaskStatus::Completed) => {
                let found = task.audit_details.unwrap_or_default().into_iter().map(|(check, details)| {
                    let n = details.non_compliant_resources_count.unwrap_or_default();
                    (check, u64::try_from(n).unwrap_or_default())
                });
                return Ok(Audit { task_id, found: found.collect() });
            }
            other => return Err(DemoError::at(doing)(format!("the audit ended {other:?}"))),
        }
    }
}

/// Has Device Defender publish every finding of the audit: one mitigation task over the whole audit.
pub(super) async fn publish_findings(iot: &Client, audit: &Audit) -> Result<(), DemoError> {
    let doing = "publish the findings";
    let task = format!("publish-{}", audit.task_id);
    let mut request = iot
        .start_audit_mitigation_actions_task()
        .task_id(&task)
        .client_request_token(&task)
        .target(AuditMitigationActionsTaskTarget::builder().audit_task_id(&audit.task_id).build());
    for check in audit.found.iter().filter(|(_, n)| **n > 0).map(|(check, _)| check) {
        request = request.audit_check_to_actions_mapping(check, vec![PUBLISH.to_owned()]);
    }
    request.send().await.map_err(said(doing))?;
    loop {
        let state = iot.describe_audit_mitigation_actions_task().task_id(&task).send().await.map_err(said(doing))?;
        match state.task_status.as_ref().map(|status| status.as_str()) {
            Some("IN_PROGRESS") => tokio::time::sleep(POLL).await,
            Some("COMPLETED") => return Ok(()),
            other => return Err(DemoError::at(doing)(format!("the mitigation task ended {other:?}"))),
        }
    }
}
