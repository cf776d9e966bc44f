//! What would make a bill smaller, and what may make it larger: other workloads, priced in the same way.

use super::bill::Bill;
use super::model::{Estimate, Limit, estimate};
use super::price::Prices;
use super::workload::{Arrival, Workload};

/// A saving below this part of the bill is not worth a change.
const WORTH: f64 = 0.01;

/// What an operator can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Findings by the audit's summary instead of one by one through the topic.
    Summary,
    /// Workers run only while there is work.
    NoIdleHours,
}

/// What a change saves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Saving {
    /// What is changed.
    pub change: Change,
    /// US dollars that it saves.
    pub usd: f64,
}

/// The change that saves most, if any saves a hundredth of the bill.
pub fn saving(workload: &Workload, prices: &Prices) -> Option<Saving> {
    let usd = |workload: &Workload| Bill::new(&estimate(workload), prices).usd();
    let now = usd(workload);
    let changes = [
        (Change::Summary, Workload { arrival: Arrival::Summary, ..workload.clone() }),
        (Change::NoIdleHours, Workload { worker_hours: 0.0, ..workload.clone() }),
    ];
    let savings = changes.map(|(change, changed)| Saving { change, usd: now - usd(&changed) });
    let most = savings.into_iter().max_by(|one, other| one.usd.total_cmp(&other.usd));
    most.filter(|saving| saving.usd > 0.0 && saving.usd >= now * WORTH)
}

/// The bill for findings that an API quota lets end one by one, so that each is deleted alone; `None` where no quota limits the work, or
/// where the workload has a batch fill of 1 already.
pub fn one_by_one(workload: &Workload, now: &Estimate, prices: &Prices) -> Option<Bill> {
    let paced = matches!(now.limit, Limit::Quota(_)) && workload.batch_fill > 1.0;
    paced.then(|| Bill::new(&estimate(&Workload { batch_fill: 1.0, ..workload.clone() }), prices))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(workload: &Workload) -> Option<Change> {
        saving(workload, &Prices::default()).map(|saving| saving.change)
    }

    #[test]
    fn what_saves_most_is_told_only_where_it_saves_something() {
        let published = Workload::default();
        assert_eq!(changed(&published), Some(Change::Summary));
        let by_summary = Workload { arrival: Arrival::Summary, ..published.clone() };
        assert_eq!(changed(&by_summary), None, "nothing of it can be changed");
        let standing = Workload { findings: 1000.0, worker_hours: 730.0, ..published };
        assert_eq!(changed(&standing), Some(Change::NoIdleHours), "what 1000 publications cost is less");
    }

    #[test]
    fn a_month_without_findings_is_saved_whole_by_workers_that_do_not_stand_by() {
        let month = Workload { findings: 0.0, worker_hours: 730.0, ..Workload::default() };
        let all = Bill::new(&estimate(&month), &Prices::default()).usd();
        assert!(all > 1.0);
        assert_eq!(saving(&month, &Prices::default()), Some(Saving { change: Change::NoIdleHours, usd: all }));
    }

    #[test]
    fn findings_end_one_by_one_where_a_quota_limits_them() {
        let prices = Prices::default();
        let one_by_one =
            |workload: &Workload| one_by_one(workload, &estimate(workload), &prices).map(|bill| bill.usd());
        let deactivated = Workload::default();
        let alone = Workload { batch_fill: 1.0, ..deactivated.clone() };
        assert_eq!(one_by_one(&deactivated), Some(Bill::new(&estimate(&alone), &prices).usd()));
        assert_eq!(one_by_one(&alone), None, "it is in the bill already");
        assert_eq!(one_by_one(&Workload { actions: Vec::new(), ..deactivated }), None, "no quota is asked");
    }
}
