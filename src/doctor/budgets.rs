//! The quotas that command line and policy name, against those that AWS applies to this account.

use super::diagnosis::{About, Area, Diagnosis};
use super::plan::Plan;
use crate::budget::{AppliedQuotas, BudgetConfig, Operation};

const BUDGETS: About = About(Area::Budgets);

/// Holds what workers go by against what Service Quotas told.
pub(super) fn judge(plan: &Plan, applied: &AppliedQuotas) -> Vec<Diagnosis> {
    let mut rows: Vec<_> = applied
        .problems
        .iter()
        .map(|problem| {
            BUDGETS
                .not_checked("Service Quotas", problem)
                .mend("allow servicequotas:ListServiceQuotas, or look at the quotas in the console")
        })
        .collect();
    let named = plan.quotas.in_force();
    let mut equal = 0;
    for (&operation, &account) in &applied.rates {
        let row = match named.get(&operation) {
            Some((quota, source)) => compare(operation, *quota, account, &source.to_string()),
            // Asked when a worker starts: then it goes by this very figure.
            None if plan.asks_service_quotas => None,
            None => compare(operation, operation.default_quota(), account, "AWS's default, by which workers go,"),
        };
        match row {
            Some(row) => rows.push(row),
            None => equal += 1,
        }
    }
    if equal > 0 {
        rows.push(BUDGETS.ok("quotas", format!("{equal} operations: workers go by what AWS applies to this account")));
    }
    if applied.rates.is_empty() && applied.problems.is_empty() {
        rows.push(BUDGETS.note(
            "quotas",
            "Service Quotas lists none of this account's for AWS IoT: AWS's defaults are taken to hold",
        ));
    }
    rows.push(reserve(&plan.budget));
    rows
}

/// `None` if they are the same.
fn compare(operation: Operation, quota: f64, account: f64, source: &str) -> Option<Diagnosis> {
    let what = format!("quota of {operation}");
    if quota > account {
        let found = format!("{source} says {quota}/s, the account has {account}/s: AWS throttles, and people with it");
        return Some(
            BUDGETS.wrong(what, found).mend(format!("--quota {operation}={account}, or --quota service-quotas")),
        );
    }
    (quota < account).then(|| {
        let found =
            format!("{source} says {quota}/s, the account has {account}/s: workers leave the difference unused");
        BUDGETS.note(what, found).mend(format!("--quota {operation}={account}, or --quota service-quotas"))
    })
}

fn reserve(budget: &BudgetConfig) -> Diagnosis {
    if budget.reserve == 0.0 {
        return BUDGETS
            .note("reserve", "none: while workers are busy, people and consoles are throttled with them")
            .mend("--reserve 0.2");
    }
    BUDGETS.ok("reserve", format!("{:.0}% of every quota is left to people", budget.reserve * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;
    use crate::doctor::run::tests::plan;
    use std::collections::BTreeMap;

    fn applied(rates: &[(Operation, f64)]) -> AppliedQuotas {
        AppliedQuotas { rates: rates.iter().copied().collect(), problems: Vec::new() }
    }

    fn unwell(rows: Vec<Diagnosis>) -> Vec<(State, String)> {
        rows.into_iter().filter(|row| row.state != State::Ok).map(|row| (row.state, row.what)).collect()
    }

    #[test]
    fn more_than_the_account_has_is_wrong_and_less_is_a_note() {
        let mut plan = plan();
        plan.quotas.policy = BTreeMap::from([(Operation::UpdateCertificate, 50.0), (Operation::GetPolicy, 5.0)]);
        let account = applied(&[
            (Operation::UpdateCertificate, 20.0),
            (Operation::GetPolicy, 10.0),
            (Operation::DescribeCertificate, 10.0),
        ]);
        let rows = unwell(judge(&plan, &account));
        let expected = [(State::Wrong, "quota of UpdateCertificate"), (State::Note, "quota of GetPolicy")];
        assert_eq!(rows, expected.map(|(state, what)| (state, what.to_owned())));
    }

    #[test]
    fn a_default_that_the_account_does_not_have_is_told_unless_workers_ask_for_themselves() {
        let account = applied(&[(Operation::AddThingToThingGroup, 60.0)]);
        let rows = judge(&plan(), &account);
        assert!(rows[0].state == State::Wrong && rows[0].mend.contains("AddThingToThingGroup=60"), "{rows:?}");
        let asks = Plan { asks_service_quotas: true, ..plan() };
        assert_eq!(unwell(judge(&asks, &account)), []);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_permission() {
        let applied = AppliedQuotas { rates: BTreeMap::new(), problems: vec!["failed to read".to_owned()] };
        let rows = judge(&plan(), &applied);
        assert!(
            rows[0].state == State::NotChecked && rows[0].mend.contains("servicequotas:ListServiceQuotas"),
            "{rows:?}"
        );
        let mut greedy = plan();
        greedy.budget.reserve = 0.0;
        let rows = judge(&greedy, &applied);
        assert_eq!(rows.last().unwrap().state, State::Note);
    }
}
