//! P6 for many findings: a page of an audit's list answers for up to 250 of them. `DescribeAuditFinding`, one call for each, is limited
//! to 25 a second, and AWS does not raise it.

use super::authenticate::{Verdict, authenticate};
use super::book::{Answer, Asker, BOUNDS, Books, PAGE_PATIENCE, Ticket, Title};
use crate::aws::CallError;
use crate::finding::Finding;
use crate::mitigation::IotControl;
use crate::telemetry::Telemetry;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Says of findings whether Device Defender has them, one for each worker. What it keeps of pages, and what it costs: see `book.rs`.
#[derive(Debug)]
pub struct Authenticator<I> {
    pages: I,
    books: Mutex<Books>,
    /// A page came, or did not.
    news: Notify,
    telemetry: Arc<Telemetry>,
}

impl<I: IotControl> Authenticator<I> {
    /// Reads pages through `pages`. They answer for many findings and belong to no claim, so that a lost claim is no reason to drop one.
    pub fn new(pages: I, telemetry: Arc<Telemetry>) -> Self {
        Self { pages, books: Mutex::new(Books::new(BOUNDS)), news: Notify::new(), telemetry }
    }

    /// What Device Defender says of the finding: from a page where there is one, else from a call of its own through `iot`.
    ///
    /// A finding that no page has, or that is other than on the page, is always asked for by itself: only that call can say why it is not
    /// authentic. Dropped while it reads a page, it leaves the page to the next one.
    ///
    /// # Errors
    ///
    /// Those of `DescribeAuditFinding`. A page that cannot be read is none.
    pub async fn verdict(&self, iot: &impl IotControl, finding: &Finding) -> Result<Verdict, CallError> {
        if let Some(task_id) = &finding.task_id {
            let title = Title { task_id: task_id.clone(), check: finding.check.clone() };
            let asker = Asker::new(title, finding.authenticity_digest());
            if let Some(suppressed) = self.look_up(asker).await {
                return Ok(if suppressed { Verdict::Suppressed } else { Verdict::Genuine });
            }
        }
        authenticate(iot, finding).await
    }

    /// Whether it is suppressed; `None` if no page has it.
    async fn look_up(&self, mut asker: Asker) -> Option<bool> {
        let deadline = Instant::now() + PAGE_PATIENCE;
        loop {
            let mut news = pin!(self.news.notified());
            // From here on no news is missed, though it may come before it is waited for.
            news.as_mut().enable();
            let answer = self.books().ask(&mut asker, Instant::now());
            match answer {
                Answer::Known { suppressed } => return Some(suppressed),
                Answer::Nothing => return None,
                Answer::Wait => tokio::time::timeout_at(deadline, news).await.ok()?,
                Answer::Read(ticket) => {
                    let flight = Flight { of: self, ticket: Some(ticket) };
                    if Instant::now() >= deadline {
                        return None;
                    }
                    flight.fly().await;
                }
            }
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // Poisoned by a panic elsewhere; at worst a page is read once more.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A page that is being read. Dropped before it came, it is the next one's to read.
struct Flight<'a, I: IotControl> {
    of: &'a Authenticator<I>,
    ticket: Option<Ticket>,
}

impl<I: IotControl> Flight<'_, I> {
    async fn fly(mut self) {
        let Some(ticket) = &self.ticket else { return };
        let Title { task_id, check } = &ticket.title;
        let answer = self.of.pages.list_audit_findings(task_id, check, ticket.token.clone()).await;
        let now = Instant::now();
        match answer {
            Ok(page) => {
                self.of.telemetry.audit_page_read(task_id, check, page.items.len());
                let findings: Vec<_> =
                    page.items.iter().map(|finding| (finding.authenticity_digest(), finding.suppressed)).collect();
                self.of.books().add(ticket, &findings, page.next, now);
            }
            Err(error) => {
                self.of.telemetry.audit_page_failed(task_id, check, &error);
                self.of.books().fail(ticket, error.may_pass(), now);
            }
        }
        self.ticket = None;
    }
}

impl<I: IotControl> Drop for Flight<'_, I> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.of.books().give_back(ticket);
        }
        self.of.news.notify_waiters();
    }
}
