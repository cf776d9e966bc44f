//! Who is at work, by the notes that workers leave in the ledger.

use super::diagnosis::{About, Area, Diagnosis};
use super::words::about_read;
use crate::aws::CallError;
use crate::ledger::{Standing, WorkerHealth, WorkerNote};
use std::collections::BTreeSet;

const WORKERS: About = About(Area::Workers);

/// Whether somebody is there to take a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// A worker that takes on work.
    Works,
    /// Workers, none of which takes on work.
    Stands,
    /// Nobody.
    Nobody,
}

/// What the notes come to, read at `now` (milliseconds).
pub(super) fn line(notes: &[WorkerNote], now: i64) -> Line {
    let alive = || notes.iter().filter(|note| note.standing(now) == Standing::Alive);
    match (alive().any(|note| note.health == WorkerHealth::Well), alive().next()) {
        (true, _) => Line::Works,
        (false, Some(_)) => Line::Stands,
        (false, None) => Line::Nobody,
    }
}

/// The notes against what doctor was told: `mode` is that of the policy.
pub(super) fn judge(notes: &Result<Vec<WorkerNote>, CallError>, mode: &str, now: i64) -> Vec<Diagnosis> {
    let notes = match notes {
        Ok(notes) => notes,
        Err(error) => {
            return vec![
                WORKERS
                    .not_checked("alive", format!("failed to {error}"))
                    .mend(about_read(error, "dynamodb:Query on the table's index attention")),
            ];
        }
    };
    let of = |standing| notes.iter().filter(move |note| note.standing(now) == standing);
    let alive: Vec<&WorkerNote> = of(Standing::Alive).collect();
    let mut rows = Vec::new();
    if alive.is_empty() {
        rows.push(
            WORKERS
                .note("alive", "none: what is in the queue waits")
                .mend("`fleetwarden run`, or scale the service up; a service that scales to zero has none while the queue is empty"),
        );
    } else {
        rows.push(WORKERS.ok("alive", format!("{}: {}", alive.len(), names(&alive))));
    }
    for note in &alive {
        if let WorkerHealth::Broken { reason, .. } = &note.health {
            rows.push(
                WORKERS
                    .wrong(&note.id, format!("its breaker is open: {reason}"))
                    .mend("give the workers' role what it was denied; they try again by themselves within 5 minutes"),
            );
        }
    }
    let lost: Vec<_> = of(Standing::Lost).collect();
    if !lost.is_empty() {
        rows.push(
            WORKERS
                .note(
                    "lost",
                    format!(
                        "{} said nothing for three intervals and did not say goodbye: {}",
                        lost.len(),
                        names(&lost)
                    ),
                )
                .mend("look at the logs' end: out of memory, or cut off from DynamoDB"),
        );
    }
    rows.extend(differing(&alive, mode));
    rows
}

fn differing(alive: &[&WorkerNote], mode: &str) -> Vec<Diagnosis> {
    let of = |tell: fn(&WorkerNote) -> &str| -> BTreeSet<&str> { alive.iter().map(|note| tell(note)).collect() };
    let list = |values: &BTreeSet<&str>| values.iter().copied().collect::<Vec<_>>().join(", ");
    let (versions, modes) = (of(|note| &note.version), of(|note| &note.mode));
    let policies = of(|note| note.policy.as_deref().unwrap_or("none told"));
    let mut rows = Vec::new();
    let several = "wait for the deployment to end; if it has, some of them were started otherwise";
    for (what, values) in [("versions", &versions), ("modes", &modes), ("policies", &policies)] {
        if values.len() > 1 {
            rows.push(WORKERS.note(what, format!("they differ: {}", list(values))).mend(several));
        }
    }
    if modes.len() == 1 && !modes.contains(mode) {
        rows.push(
            WORKERS
                .note("mode", format!("workers run in {}, doctor was told {mode}", list(&modes)))
                .mend("give doctor the workers' --policy and --mode, or restart them with yours"),
        );
    }
    rows
}

/// At most three.
fn names(notes: &[&WorkerNote]) -> String {
    let mut names: Vec<_> = notes.iter().take(3).map(|note| note.id.as_str()).collect();
    if notes.len() > names.len() {
        names.push("…");
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;
    use std::collections::BTreeMap;

    const NOW: i64 = 1_000_000;

    fn note(id: &str, health: WorkerHealth) -> WorkerNote {
        WorkerNote {
            id: id.to_owned(),
            version: "0.1.0".to_owned(),
            mode: "observe".to_owned(),
            policy: None,
            started_at: 0,
            seen_at: NOW,
            every: 20_000,
            health,
            in_flight: 0,
            finished: 0,
            oldest_message: None,
            calls: BTreeMap::new(),
        }
    }

    fn judged(notes: Vec<WorkerNote>) -> Vec<(String, State)> {
        judge(&Ok(notes), "observe", NOW).into_iter().map(|row| (row.what, row.state)).collect()
    }

    fn rows<const N: usize>(rows: [(&str, State); N]) -> Vec<(String, State)> {
        rows.map(|(what, state)| (what.to_owned(), state)).to_vec()
    }

    #[test]
    fn workers_that_are_well_are_in_order_and_a_broken_one_is_wrong_with_its_reason() {
        let broken = || WorkerHealth::Broken { reason: "iot:UpdateCertificate denied".to_owned(), until: NOW };
        assert_eq!(judged(vec![note("a", WorkerHealth::Well)]), rows([("alive", State::Ok)]));
        assert_eq!(judged(vec![note("a", broken())]), rows([("alive", State::Ok), ("a", State::Wrong)]));
        assert_eq!(line(&[note("a", broken())], NOW), Line::Stands);
        assert_eq!(line(&[note("a", broken()), note("b", WorkerHealth::Well)], NOW), Line::Works);
    }

    #[test]
    fn nobody_a_lost_one_and_those_who_differ_are_notes() {
        let lost = WorkerNote { seen_at: NOW - 60_001, ..note("a", WorkerHealth::Well) };
        assert_eq!(judged(vec![lost.clone()]), rows([("alive", State::Note), ("lost", State::Note)]));
        assert_eq!(line(&[lost], NOW), Line::Nobody);
        assert_eq!(judged(vec![note("a", WorkerHealth::Gone)]), rows([("alive", State::Note)]));
        let newer =
            WorkerNote { version: "0.2.0".to_owned(), mode: "enforce".to_owned(), ..note("b", WorkerHealth::Well) };
        let expected = rows([("alive", State::Ok), ("versions", State::Note), ("modes", State::Note)]);
        assert_eq!(judged(vec![note("a", WorkerHealth::Well), newer.clone()]), expected);
        assert_eq!(judged(vec![newer]), rows([("alive", State::Ok), ("mode", State::Note)]));
    }
}
