//! The findings of an audit, and the things that use a certificate.

use super::Console;
use crate::aws::{CallError, Class, Effect, classify};
use crate::finding::{Finding, ResourceIdentifier};
use crate::mitigation::{Page, finding_of};
use std::collections::BTreeMap;

/// The check whose findings are about things that share a certificate.
const SHARED: &str = "DEVICE_CERTIFICATE_SHARED_CHECK";

/// Which findings of an audit are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FindingFilter {
    /// Only of this check, by its modern name.
    pub check: Option<String>,
    /// Only with one of these reason codes; any, if empty. The API has no such filter.
    pub reasons: Vec<String>,
    /// Suppressed ones too.
    pub suppressed: bool,
}

/// Goes through the findings of one audit, page by page, one page in memory.
#[derive(Debug)]
pub struct Walk<'a> {
    console: &'a Console,
    task_id: &'a str,
    filter: &'a FindingFilter,
    next: Option<String>,
    ended: bool,
    /// Findings looked at.
    pub seen: u64,
    /// Findings that match.
    pub matching: u64,
    /// Findings looked at, by reason code.
    pub reasons: BTreeMap<String, u64>,
}

impl<'a> Walk<'a> {
    /// Nothing is called yet.
    pub fn new(console: &'a Console, task_id: &'a str, filter: &'a FindingFilter) -> Self {
        Self { console, task_id, filter, next: None, ended: false, seen: 0, matching: 0, reasons: BTreeMap::new() }
    }

    /// The next page's findings that match, maybe none of them; `None` behind the last page.
    ///
    /// # Errors
    ///
    /// Those of `ListAuditFindings`.
    pub async fn page(&mut self) -> Result<Option<Vec<Finding>>, CallError> {
        if self.ended {
            return Ok(None);
        }
        let mut page = self.console.findings(self.task_id, self.filter, self.next.take()).await?;
        self.next = page.next;
        self.ended = self.next.is_none();
        self.seen += page.items.len() as u64;
        for finding in &page.items {
            *self.reasons.entry(finding.reason_code.clone()).or_default() += 1;
        }
        let reasons = &self.filter.reasons;
        page.items.retain(|finding| reasons.is_empty() || reasons.contains(&finding.reason_code));
        self.matching += page.items.len() as u64;
        Ok(Some(page.items))
    }
}

/// Finds the things that use a shared certificate, for so many certificates.
#[derive(Debug)]
pub struct Things<'a> {
    console: &'a Console,
    left: usize,
    /// Of certificates' ARNs: what stands before the id.
    prefix: Option<String>,
    /// Shared certificates that were not looked up any more.
    pub left_out: usize,
}

impl<'a> Things<'a> {
    /// Looks up `most` certificates.
    pub fn new(console: &'a Console, most: usize) -> Self {
        Self { console, left: most, prefix: None, left_out: 0 }
    }

    /// The names of the things, if the finding is about a shared certificate and there are lookups left.
    ///
    /// # Errors
    ///
    /// Those of `DescribeCertificate`, which is asked once for an ARN, and of `ListPrincipalThings`.
    pub async fn of(&mut self, finding: &Finding) -> Result<Option<Vec<String>>, CallError> {
        let ResourceIdentifier::DeviceCertificate(id) = &finding.resource.identifier else { return Ok(None) };
        if finding.check != SHARED {
            return Ok(None);
        }
        if self.left == 0 {
            self.left_out += 1;
            return Ok(None);
        }
        self.left -= 1;
        if self.prefix.is_none() {
            let arn = self.console.certificate_arn(id).await?;
            self.prefix = arn.and_then(|arn| arn.strip_suffix(id.as_str()).map(str::to_owned));
        }
        // A certificate that is gone has no things.
        let Some(prefix) = &self.prefix else { return Ok(Some(Vec::new())) };
        self.console.things_of(&format!("{prefix}{id}")).await.map(Some)
    }
}

impl Console {
    /// `ListAuditFindings` of one audit: one page of up to 250. Account and region of the findings are empty: the API does not tell.
    ///
    /// # Errors
    ///
    /// Those of the call. An audit that is not known has no findings.
    async fn findings(
        &self,
        task_id: &str,
        filter: &FindingFilter,
        next: Option<String>,
    ) -> Result<Page<Finding>, CallError> {
        const OPERATION: &str = "ListAuditFindings";
        self.call(|| async {
            let call = self.iot().list_audit_findings().task_id(task_id).set_check_name(filter.check.clone());
            // Without the flag both kinds are listed.
            let call = call.set_list_suppressed_findings((!filter.suppressed).then_some(false));
            let answer = call.max_results(super::PAGE).set_next_token(next.clone()).send().await;
            let answer = answer.map_err(|error| classify(OPERATION, Effect::Read, error))?;
            let findings = answer.findings.unwrap_or_default().into_iter();
            let items = findings.map(|finding| finding_of(OPERATION, finding, "", "")).collect::<Result<_, _>>()?;
            Ok(Page { items, next: answer.next_token.filter(|token| !token.is_empty()) })
        })
        .await
    }

    /// `DescribeAuditFinding`.
    ///
    /// # Errors
    ///
    /// Class `Gone` when there is none of that id.
    pub async fn finding(&self, finding_id: &str) -> Result<Finding, CallError> {
        const OPERATION: &str = "DescribeAuditFinding";
        self.call(|| async {
            let answer = self.iot().describe_audit_finding().finding_id(finding_id).send().await;
            let answer = answer.map_err(|error| classify(OPERATION, Effect::Read, error))?;
            let missing = || CallError::new(Class::Transient, OPERATION, "the answer has no finding");
            finding_of(OPERATION, answer.finding.ok_or_else(missing)?, "", "")
        })
        .await
    }

    /// The ARN of a device certificate, which `DescribeCertificate` knows; none if it is gone.
    ///
    /// # Errors
    ///
    /// Those of the call.
    async fn certificate_arn(&self, certificate_id: &str) -> Result<Option<String>, CallError> {
        let described = self.call(|| async {
            let answer = self.iot().describe_certificate().certificate_id(certificate_id).send().await;
            answer.map_err(|error| classify("DescribeCertificate", Effect::Read, error))
        });
        match described.await {
            Ok(answer) => Ok(answer.certificate_description.and_then(|certificate| certificate.certificate_arn)),
            Err(error) if error.class == Class::Gone => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `ListPrincipalThings`, all pages: the names of the things that the certificate is attached to. A certificate that is gone has
    /// none.
    ///
    /// # Errors
    ///
    /// Those of the call.
    async fn things_of(&self, certificate_arn: &str) -> Result<Vec<String>, CallError> {
        let mut things = Vec::new();
        let mut next = None;
        loop {
            let page = self.call(|| async {
                let call = self.iot().list_principal_things().principal(certificate_arn).max_results(super::PAGE);
                let answer = call.set_next_token(next.clone()).send().await;
                answer.map_err(|error| classify("ListPrincipalThings", Effect::Read, error))
            });
            let page = match page.await {
                Err(error) if error.class == Class::Gone => return Ok(things),
                page => page?,
            };
            things.extend(page.things.unwrap_or_default());
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(things);
            }
        }
    }
}
