//! An audit's findings, a page at a time: a hundred thousand of them take no more memory than 250.

use super::Selection;
use crate::aws::CallError;
use crate::defender::console::Audit;
use crate::finding::Finding;
use crate::mitigation::IotControl;

/// The findings of an audit that a selection means.
#[derive(Debug)]
pub struct Pages<'a, I> {
    iot: &'a I,
    selection: &'a Selection,
    task_id: String,
    checks: Vec<String>,
    /// The check that is being read, and where its pages go on.
    at: usize,
    next: Option<String>,
}

/// One page of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audited {
    /// What is meant and not suppressed.
    pub findings: Vec<Finding>,
    /// What is meant and suppressed: never mitigated.
    pub suppressed: u64,
}

impl<'a, I: IotControl> Pages<'a, I> {
    /// Nothing is read yet.
    pub fn new(iot: &'a I, audit: &Audit, selection: &'a Selection) -> Self {
        let found = audit.checks.iter().filter(|check| check.non_compliant > 0 && selection.takes_check(&check.check));
        let checks = found.map(|check| check.check.clone()).collect();
        Self { iot, selection, task_id: audit.task_id.clone(), checks, at: 0, next: None }
    }

    /// How many findings its checks have, those included that the selection leaves out.
    pub fn expected(audit: &Audit, selection: &Selection) -> u64 {
        let found = audit.checks.iter().filter(|check| selection.takes_check(&check.check));
        found.map(|check| check.non_compliant).sum()
    }

    /// The next page; `None` after the last one.
    ///
    /// # Errors
    ///
    /// Those of `ListAuditFindings`; the same page may be asked for again.
    pub async fn next(&mut self) -> Result<Option<Audited>, CallError> {
        let Some(check) = self.checks.get(self.at) else { return Ok(None) };
        let page = self.iot.list_audit_findings(&self.task_id, check, self.next.clone()).await?;
        self.next = page.next;
        if self.next.is_none() {
            self.at += 1;
        }
        let meant = page.items.into_iter().filter(|finding| self.selection.takes(finding));
        let (suppressed, findings): (Vec<_>, Vec<_>) = meant.partition(|finding| finding.suppressed);
        Ok(Some(Audited { findings, suppressed: suppressed.len() as u64 }))
    }
}
