//! Starting, listing and cancelling audits.

use super::{Audit, Console};
use crate::aws::{CallError, Class, Effect, classify};
use crate::clock::Clock;
use aws_sdk_iot::types::{AuditTaskStatus, AuditTaskType};
use aws_smithy_types::DateTime;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

/// How far before and after the start an audit of ours may seem to have begun: AWS refuses signatures of clocks that are off by more.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// How often the list is read for an audit whose start was not answered: it may show a moment later.
const LOOKS: usize = 3;

/// Between two such looks.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// Which audits are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditFilter {
    /// Begun then or later; AWS refuses times before its 90 days.
    pub since: Timestamp,
    /// Begun until then.
    pub until: Timestamp,
    /// `IN_PROGRESS`, `COMPLETED`, `FAILED` or `CANCELED`.
    pub status: Option<String>,
    /// `ON_DEMAND_AUDIT_TASK` or `SCHEDULED_AUDIT_TASK`.
    pub task_type: Option<String>,
}

/// What became of a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// The audit of this id began.
    Audit(String),
    /// Whether it began cannot be told: the answer was lost, and no audit of these checks shows.
    Unclear(CallError),
}

impl Console {
    /// `StartOnDemandAuditTask`. **Not idempotent**: a start whose answer is lost is never made again; it is looked for among the
    /// account's audits.
    ///
    /// # Errors
    ///
    /// Those of the call; code `LimitExceededException` when ten on-demand audits are in progress.
    pub async fn start_audit(&self, checks: &[String], clock: &Clock) -> Result<Started, CallError> {
        let recent = |at: Timestamp| AuditFilter {
            since: at.checked_sub(SKEW).unwrap_or(Timestamp::MIN),
            until: at.checked_add(SKEW).unwrap_or(Timestamp::MAX),
            status: None,
            task_type: Some("ON_DEMAND_AUDIT_TASK".to_owned()),
        };
        let filter = recent(clock.now());
        // Without it an audit of the same checks that somebody began a minute ago might be taken for this one.
        let before = self.list_audits(&filter).await.map(HashSet::<String>::from_iter).ok();
        let started = self.call(|| async {
            let call = self.iot().start_on_demand_audit_task().set_target_check_names(Some(checks.to_vec()));
            let answer = call.send().await;
            answer.map_err(|error| classify("StartOnDemandAuditTask", Effect::Write, error))
        });
        let lost = match started.await.map(|answer| answer.task_id) {
            Ok(Some(task_id)) => return Ok(Started::Audit(task_id)),
            Ok(None) => CallError::new(Class::Unknown, "StartOnDemandAuditTask", "the answer has no taskId"),
            Err(error) if error.class == Class::Unknown => error,
            Err(error) => return Err(error),
        };
        // Whoever may start audits, but not list them, has to look elsewhere.
        let Some(before) = before else { return Ok(Started::Unclear(lost)) };
        let filter = AuditFilter { until: recent(clock.now()).until, ..filter };
        for _ in 0..LOOKS {
            for task_id in self.list_audits(&filter).await? {
                if !before.contains(&task_id) && same_checks(&self.audit(&task_id).await?, checks) {
                    return Ok(Started::Audit(task_id));
                }
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Ok(Started::Unclear(lost))
    }

    /// `ListAuditTasks`, all pages: the ids.
    ///
    /// # Errors
    ///
    /// Those of the call.
    pub async fn list_audits(&self, filter: &AuditFilter) -> Result<Vec<String>, CallError> {
        let mut ids = Vec::new();
        let mut next = None;
        loop {
            let page = self.look(|| async {
                let call = self.iot().list_audit_tasks().max_results(super::PAGE).set_next_token(next.clone());
                let call = call.start_time(date(filter.since)).end_time(date(filter.until));
                let call = call.set_task_status(filter.status.as_deref().map(AuditTaskStatus::from));
                let call = call.set_task_type(filter.task_type.as_deref().map(AuditTaskType::from));
                call.send().await.map_err(|error| classify("ListAuditTasks", Effect::Read, error))
            });
            let page = page.await?;
            ids.extend(page.tasks.unwrap_or_default().into_iter().filter_map(|task| task.task_id));
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(ids);
            }
        }
    }

    /// The latest `most` of these audits, in no particular order, and how many others there are. In which order AWS lists them is not
    /// written anywhere: the first and the last tell.
    ///
    /// # Errors
    ///
    /// Those of `DescribeAuditTask`.
    pub async fn latest_of(&self, mut ids: Vec<String>, most: usize) -> Result<(Vec<String>, usize), CallError> {
        let more = ids.len().saturating_sub(most);
        if let ([first, .., last], true) = (ids.as_slice(), more > 0) {
            let oldest_first = self.begun(first).await? < self.begun(last).await?;
            if oldest_first {
                ids.reverse();
            }
            ids.truncate(most);
        }
        Ok((ids, more))
    }

    /// When an audit began; one that is gone by now is older than any.
    async fn begun(&self, task_id: &str) -> Result<Option<i64>, CallError> {
        match self.audit(task_id).await {
            Ok(audit) => Ok(audit.started_at),
            Err(error) if error.class == Class::Gone => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `CancelAuditTask`. `false` if it was not in progress any more.
    ///
    /// # Errors
    ///
    /// Class `Gone` when there is no audit of that id.
    pub async fn cancel_audit(&self, task_id: &str) -> Result<bool, CallError> {
        let (answer, in_doubt) = self
            .set(|| async {
                let answer = self.iot().cancel_audit_task().task_id(task_id).send().await;
                answer.map(drop).map_err(|error| classify("CancelAuditTask", Effect::Write, error))
            })
            .await;
        match answer {
            Ok(()) => Ok(true),
            // Refused: it has ended, or an attempt whose answer was lost has cancelled it. Its status tells.
            Err(error) if matches!(error.class, Class::Permanent | Class::Unknown) => {
                match self.audit(task_id).await? {
                    audit if audit.is_in_progress() => Err(error),
                    audit => Ok(in_doubt && audit.status == "CANCELED"),
                }
            }
            Err(error) => Err(error),
        }
    }
}

fn same_checks(audit: &Audit, checks: &[String]) -> bool {
    let ours: BTreeSet<&str> = checks.iter().map(String::as_str).collect();
    let theirs: BTreeSet<&str> = audit.checks.iter().map(|check| check.check.as_str()).collect();
    ours == theirs
}

/// In whole milliseconds, as the API keeps them.
fn date(at: Timestamp) -> DateTime {
    DateTime::from_millis(at.as_millisecond())
}
