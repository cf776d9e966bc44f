//! The counters in short: what reports print and tests ask for.

use super::facts::Telemetry;
use super::labels::Label;
use crate::ledger::Status;
use prometheus::IntCounterVec;
use prometheus::core::Collector;

/// A reading of [`Telemetry`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Messages received, redeliveries included.
    pub received: u64,
    /// Findings decoded.
    pub findings: u64,
    /// Audit summaries decoded.
    pub summaries: u64,
    /// Signatures of SNS notifications that were checked and found genuine.
    pub verified: u64,
    /// Messages whose finding needed nothing more.
    pub duplicates: u64,
    /// Claims won.
    pub claimed: u64,
    /// Of them, claims that continued an earlier one.
    pub taken_over: u64,
    /// Claims refused because another lease was live or a retry not due.
    pub busy: u64,
    /// Findings that ended mitigated.
    pub mitigated: u64,
    /// Findings that ended compliant.
    pub compliant: u64,
    /// Findings that ended observed.
    pub observed: u64,
    /// Findings that ended suppressed.
    pub suppressed: u64,
    /// Findings held for a person.
    pub held: u64,
    /// Messages given up, whether or not they held a finding.
    pub dead: u64,
    /// Audit summaries expanded.
    pub expanded: u64,
    /// Transient failures that will be tried again.
    pub waiting: u64,
    /// Writes refused because another epoch owns the record.
    pub lost_claims: u64,
    /// Messages deleted.
    pub deleted: u64,
    /// Messages given back for later.
    pub parked: u64,
    /// Of them, messages whose calls the budgets could not serve soon; each time anew.
    pub over_budget: u64,
    /// Visibility and lease extensions.
    pub heartbeats: u64,
    /// Times the breaker opened.
    pub breaker_trips: u64,
    /// Times this worker cut the fleet's rate of an operation because AWS throttled.
    pub budget_cuts: u64,
}

impl Telemetry {
    /// A reading of the same counters that [`Telemetry::prometheus`] prints, one after the other.
    pub fn counts(&self) -> Counts {
        let metrics = &self.metrics;
        let ended = |status: Status| sum(metrics.outcomes.vec(), Some((Label::Status, status.as_str())));
        Counts {
            received: metrics.messages_received.get(),
            findings: metrics.findings_received.get(),
            summaries: metrics.summaries_received.get(),
            verified: metrics.signatures_verified.get(),
            duplicates: metrics.duplicates.get(),
            claimed: metrics.claims.get(),
            taken_over: metrics.claims_resumed.get(),
            busy: metrics.claims_busy.get(),
            mitigated: ended(Status::Mitigated),
            compliant: ended(Status::Compliant),
            observed: ended(Status::Observed),
            suppressed: ended(Status::Suppressed),
            held: ended(Status::Held),
            // Of these not all are findings, so that they are not the outcomes of that status.
            dead: sum(metrics.dead_letters.vec(), None),
            expanded: ended(Status::Expanded),
            waiting: ended(Status::Waiting),
            lost_claims: metrics.claims_lost.get(),
            deleted: metrics.messages_deleted.get(),
            parked: sum(metrics.messages_parked.vec(), None),
            over_budget: sum(metrics.messages_parked.vec(), Some((Label::Why, "budget"))),
            heartbeats: metrics.heartbeats.get(),
            breaker_trips: metrics.breaker_trips.get(),
            budget_cuts: sum(metrics.budget_cuts.vec(), None),
        }
    }
}

/// All series together, or those with this value of a label.
fn sum(counters: &IntCounterVec, only: Option<(Label, &str)>) -> u64 {
    let families = counters.collect();
    let series = families.iter().flat_map(|family| family.get_metric()).filter(|series| {
        only.is_none_or(|(label, value)| {
            series.get_label().iter().any(|pair| pair.name() == label.as_str() && pair.value() == value)
        })
    });
    // Counters are whole numbers, exact in an f64 up to 2^53.
    series.map(|series| series.get_counter().get_value() as u64).sum()
}
