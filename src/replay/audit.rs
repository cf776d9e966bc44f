//! From an audit task: its summary goes to the queue once more, and the workers fetch the findings from Device Defender.

use super::order::Order;
use super::sender::Sender;
use crate::aws::CallError;
use crate::clock::Clock;
use crate::defender::console::Audit;
use crate::finding::{AuditSummary, CheckSummary, encode_message};
use crate::queue::{Outgoing, Queue};
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;

/// How a check of an audit ends that found something.
const NON_COMPLIANT: &str = "COMPLETED_NON_COMPLIANT";

/// What a replay of an audit sends: one summary, of the checks that are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditReplay {
    summary: AuditSummary,
}

impl AuditReplay {
    /// The replay of `audit`, of all its non-compliant checks or of those in `checks`, which are modern names. `place` is the audited account and region.
    ///
    /// It has an id of its own, and so an expansion of its own: sent or delivered twice it takes effect once, and one of some checks
    /// stands in the way of no later one of all.
    ///
    /// # Errors
    ///
    /// A sentence: the audit goes on, or found nothing, or nothing in one of `checks`.
    pub fn new(audit: &Audit, place: (&str, &str), checks: &[String], order: &Order) -> Result<Self, String> {
        let task = &audit.task_id;
        if audit.is_in_progress() {
            return Err(format!("audit {task} is in progress: replay it when it has ended"));
        }
        let found = |check: &&CheckSummary| check.status == NON_COMPLIANT && resources(check) > 0;
        let non_compliant: Vec<&str> = audit.checks.iter().filter(found).map(|check| check.check.as_str()).collect();
        if non_compliant.is_empty() {
            return Err(format!(
                "audit {task} ({}) has no finding that is not suppressed: there is nothing to replay",
                audit.status
            ));
        }
        if let Some(none) = checks.iter().find(|check| !non_compliant.contains(&check.as_str())) {
            return Err(format!(
                "audit {task} has no finding of {none} that is not suppressed; it has some of {}",
                non_compliant.join(", ")
            ));
        }
        // Those that failed go along with all, to be put on record as in the summary that Device Defender sends.
        let meant = |check: &&CheckSummary| match checks {
            [] => found(check) || check.error_code.is_some(),
            wanted => found(check) && wanted.contains(&check.check),
        };
        Ok(Self {
            summary: AuditSummary {
                account: place.0.to_owned(),
                region: place.1.to_owned(),
                task_id: task.clone(),
                task_status: audit.status.clone(),
                task_type: audit.task_type.clone(),
                scheduled_audit: audit.scheduled_audit.clone(),
                started_at: audit.started_at,
                checks: audit.checks.iter().filter(meant).cloned().collect(),
                replay_id: Some(order.id.clone()),
            },
        })
    }

    /// The checks whose findings go to the queue, and how many resources each found that are not suppressed; a resource may have several
    /// findings.
    pub fn checks(&self) -> impl Iterator<Item = (&str, u64)> {
        let expanded = self.summary.checks.iter().filter(|check| check.status == NON_COMPLIANT);
        expanded.map(|check| (check.check.as_str(), resources(check)))
    }

    /// Resources in all; one that several checks found counts several times.
    pub fn resources(&self) -> u64 {
        self.checks().map(|(_, n)| n).sum()
    }

    /// Sends it.
    ///
    /// # Errors
    ///
    /// It is not in the queue for certain; sending it again under the same id does no harm.
    pub async fn send<Q: Queue>(&self, queue: &Q, order: &Order, clock: &Clock) -> Result<(), CallError> {
        let mut sender = Sender::new(queue, order.rate);
        sender.turn(1, &CancellationToken::new()).await;
        let message = Outgoing::new(&self.message(order, clock.now_ms()), BTreeMap::new());
        sender.send(std::slice::from_ref(&message)).await.into_iter().collect()
    }

    fn message(&self, order: &Order, now: i64) -> String {
        let AuditSummary { account, region, task_id, .. } = &self.summary;
        let replay = order.replay(&format!("audit {task_id}"), now);
        encode_message(Some((account, region)), Some(&replay), &self.summary.to_native())
    }
}

/// Those whose findings an expansion sends on.
fn resources(check: &CheckSummary) -> u64 {
    check.non_compliant.saturating_sub(check.suppressed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Content, Origin, decode};

    fn check(name: &str, status: &str, non_compliant: u64, suppressed: u64) -> CheckSummary {
        CheckSummary {
            check: name.to_owned(),
            status: status.to_owned(),
            non_compliant,
            suppressed,
            total: 10,
            error_code: (status == "FAILED").then(|| "INSUFFICIENT_PERMISSIONS".to_owned()),
            message: None,
        }
    }

    fn audit(status: &str, checks: Vec<CheckSummary>) -> Audit {
        Audit {
            task_id: "audit-1".to_owned(),
            status: status.to_owned(),
            task_type: "ON_DEMAND_AUDIT_TASK".to_owned(),
            scheduled_audit: None,
            started_at: Some(1_791_014_400_000),
            checks,
        }
    }

    fn order() -> Order {
        Order { id: "replay-1".to_owned(), by: Some("ops".to_owned()), force: true, rate: 50, keep_going: false }
    }

    fn replay(audit: &Audit, checks: &[&str]) -> Result<AuditReplay, String> {
        let checks: Vec<String> = checks.iter().map(|&check| check.to_owned()).collect();
        AuditReplay::new(audit, ("123456789012", "us-east-1"), &checks, &order())
    }

    fn checks(replay: &AuditReplay) -> Vec<(&str, u64)> {
        replay.checks().collect()
    }

    #[test]
    fn an_audit_is_replayed_with_its_findings_that_are_not_suppressed_even_if_it_failed_as_a_whole() {
        for status in ["COMPLETED", "FAILED", "CANCELED"] {
            let audit = audit(
                status,
                vec![
                    check("A", NON_COMPLIANT, 7, 2),
                    check("B", "COMPLETED_COMPLIANT", 0, 0),
                    check("C", "FAILED", 0, 0),
                    check("D", NON_COMPLIANT, 3, 0),
                    check("E", NON_COMPLIANT, 3, 3),
                ],
            );
            let all = replay(&audit, &[]).unwrap();
            assert_eq!((checks(&all), all.resources()), (vec![("A", 5), ("D", 3)], 8));
            assert_eq!(checks(&replay(&audit, &["D"]).unwrap()), [("D", 3)]);
        }
    }

    #[test]
    fn what_is_sent_is_understood_and_tells_whose_replay_it_is() {
        let checks = vec![check("A", NON_COMPLIANT, 7, 2), check("C", "FAILED", 0, 0)];
        let replay = replay(&audit("COMPLETED", checks), &[]).unwrap();
        let mut arrivals = decode(&replay.message(&order(), 1_791_014_500_000), &Origin::default());
        let arrival = arrivals.remove(0);
        assert_eq!(arrival.content, Ok(Content::Summary(replay.summary)));
        let told = arrival.replay.unwrap();
        assert_eq!((told.id.as_deref(), told.replay_of.as_deref()), (Some("replay-1"), Some("audit audit-1")));
        assert_eq!((told.by.as_deref(), told.at, told.force), (Some("ops"), Some(1_791_014_500_000), true));
    }

    #[test]
    fn what_cannot_be_replayed_is_refused_in_a_sentence() {
        let found = || vec![check("A", NON_COMPLIANT, 7, 2), check("B", NON_COMPLIANT, 3, 3)];
        let clean = vec![check("A", "COMPLETED_COMPLIANT", 0, 0)];
        for (audit, wanted, sentence) in [
            (audit("IN_PROGRESS", found()), &[][..], "is in progress: replay it when it has ended"),
            (audit("COMPLETED", clean), &[], "there is nothing to replay"),
            (audit("FAILED", Vec::new()), &[], "audit audit-1 (FAILED) has no finding"),
            (audit("COMPLETED", found()), &["A", "B"], "no finding of B that is not suppressed; it has some of A"),
            (audit("COMPLETED", found()), &["NO_SUCH_CHECK"], "no finding of NO_SUCH_CHECK"),
        ] {
            let refused = replay(&audit, wanted).unwrap_err();
            assert!(refused.contains(sentence), "{refused}");
        }
    }
}
