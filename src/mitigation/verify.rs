//! Does it hold? What the ledger says was done about a finding, compared with AWS now. Nothing is changed.

use super::job::DELEGATE;
use super::port::IotControl;
use super::{certificate, groups, logging, policy_version};
use crate::aws::CallError;
use crate::finding::{ActionType, Finding};
use crate::ledger::{Record, Status, Step, StepOutcome};

/// Whether what was done still is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is as it was left, or still in order.
    Holds,
    /// Somebody undid it.
    Reverted,
    /// The resource is not there any more.
    Gone,
    /// Nothing can be read that would tell.
    CannotBeTold,
    /// The record says that nothing was done, so there is nothing that could hold.
    NothingDone,
}

impl Verdict {
    /// All of them, in the order in which people like to read them.
    pub const ALL: [Self; 5] = [Self::Holds, Self::Reverted, Self::Gone, Self::CannotBeTold, Self::NothingDone];

    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Reverted => "reverted",
            Self::Gone => "gone",
            Self::CannotBeTold => "cannot be told",
            Self::NothingDone => "nothing was done",
        }
    }
}

/// What was found of one thing that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Whether it holds.
    pub verdict: Verdict,
    /// How it is now, in words.
    pub now: String,
    /// Since when, milliseconds since the epoch, where AWS tells: when the resource was last changed.
    pub since: Option<i64>,
}

impl Found {
    pub(super) fn new(verdict: Verdict, now: impl Into<String>) -> Self {
        Self { verdict, now: now.into(), since: None }
    }

    pub(super) fn since(mut self, since: Option<i64>) -> Self {
        self.since = since;
        self
    }
}

/// One step of the record, and what was found.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedStep {
    /// What was done.
    pub step: Step,
    /// What was found.
    pub found: Found,
}

/// A finding, and whether what was done about it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// All steps together.
    pub verdict: Verdict,
    /// Why, in words, where there are no steps.
    pub why: String,
    /// One by one.
    pub steps: Vec<VerifiedStep>,
}

impl Verified {
    fn nothing_done(why: String) -> Self {
        Self { verdict: Verdict::NothingDone, why, steps: Vec::new() }
    }

    /// When a policy was last changed, ours or somebody's later change, milliseconds since the epoch: either takes minutes to reach
    /// devices.
    pub fn policy_changed_at(&self) -> Option<i64> {
        let changes = self.steps.iter().filter(|VerifiedStep { step, .. }| {
            step.action == ActionType::ReplaceDefaultPolicyVersion.as_str() && step.outcome == StepOutcome::Changed
        });
        changes.map(|VerifiedStep { step, found }| found.since.unwrap_or(step.at)).max()
    }
}

/// Reads back everything that the record says was done.
///
/// # Errors
///
/// Those of a read; a missing resource is not an error but a verdict.
pub async fn verify<I: IotControl>(iot: &I, record: &Record) -> Result<Verified, CallError> {
    if !matches!(record.status, Status::Mitigated | Status::Compliant) {
        return Ok(Verified::nothing_done(format!("it is {}: {}", record.status, record.detail)));
    }
    // What the actions of a task did are steps of their own, beside the one that names the task.
    let done: Vec<&Step> = record.steps.iter().filter(|step| step.action != DELEGATE).collect();
    if done.is_empty() {
        return Ok(Verified::nothing_done(record.detail.clone()));
    }
    let subject = &record.subject;
    let payload = serde_json::from_str(&subject.payload).unwrap_or_default();
    let Ok(finding) = Finding::from_native(&payload, &subject.account, &subject.region) else {
        let why = "the finding's payload, as the ledger has it, cannot be read".to_owned();
        return Ok(Verified { verdict: Verdict::CannotBeTold, why, steps: Vec::new() });
    };
    let mut steps = Vec::with_capacity(done.len());
    for step in done {
        let found = found(iot, &finding, step, &record.steps).await?;
        steps.push(VerifiedStep { step: step.clone(), found });
    }
    Ok(Verified { verdict: together(&steps), why: String::new(), steps })
}

async fn found<I: IotControl>(iot: &I, finding: &Finding, step: &Step, all: &[Step]) -> Result<Found, CallError> {
    match step.outcome {
        StepOutcome::Failed => return Ok(Found::new(Verdict::NothingDone, "it failed")),
        StepOutcome::Skipped => return Ok(Found::new(Verdict::NothingDone, "it was skipped")),
        _ => {}
    }
    let Ok(action) = step.action.parse::<ActionType>() else {
        return Ok(Found::new(Verdict::CannotBeTold, format!("what {} does is unknown to this version", step.action)));
    };
    match action {
        ActionType::UpdateDeviceCertificate => certificate::found_devices(iot, finding, step).await,
        ActionType::UpdateCaCertificate => certificate::found_ca(iot, finding, step).await,
        ActionType::AddThingsToThingGroup => groups::found(iot, finding, step, &groups::named(all)).await,
        ActionType::ReplaceDefaultPolicyVersion => policy_version::found(iot, finding, step).await,
        ActionType::EnableIotLogging => logging::found(iot, step).await,
        ActionType::PublishFindingToSns => Ok(Found::new(Verdict::CannotBeTold, "a publication cannot be read back")),
    }
}

/// What several finds come to: one that was undone decides; a publication, which nobody can read back, decides only where there is
/// nothing else.
fn together(steps: &[VerifiedStep]) -> Verdict {
    let any = |verdict| steps.iter().any(|step| step.found.verdict == verdict);
    let published = |step: &VerifiedStep| step.step.action == ActionType::PublishFindingToSns.as_str();
    let untold = steps.iter().any(|step| step.found.verdict == Verdict::CannotBeTold && !published(step));
    if any(Verdict::Reverted) {
        Verdict::Reverted
    } else if untold {
        Verdict::CannotBeTold
    } else if any(Verdict::Holds) {
        Verdict::Holds
    } else if any(Verdict::Gone) {
        Verdict::Gone
    } else if any(Verdict::CannotBeTold) {
        Verdict::CannotBeTold
    } else {
        Verdict::NothingDone
    }
}

/// Resources of one step that are spelt out.
const MAX_NAMED: usize = 3;

/// What the resources of one step come to, each with its name.
pub(super) fn of_many(each: Vec<(String, Found)>) -> Found {
    let verdicts = [Verdict::Reverted, Verdict::CannotBeTold, Verdict::Holds, Verdict::Gone];
    let Some(verdict) = verdicts.into_iter().find(|verdict| each.iter().any(|(_, found)| found.verdict == *verdict))
    else {
        return Found::new(Verdict::Holds, "there is nothing that it applies to");
    };
    let telling: Vec<&(String, Found)> = each.iter().filter(|(_, found)| found.verdict == verdict).collect();
    let mut words: Vec<String> =
        telling.iter().take(MAX_NAMED).map(|(name, found)| format!("{name}: {}", found.now)).collect();
    if telling.len() > MAX_NAMED {
        words.push(format!("and {} more", telling.len() - MAX_NAMED));
    }
    let since = telling.iter().filter_map(|(_, found)| found.since).max();
    Found::new(verdict, words.join("; ")).since(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(action: ActionType, verdict: Verdict) -> VerifiedStep {
        let step = Step {
            action: action.to_string(),
            target: "t".into(),
            prior: None,
            outcome: StepOutcome::Changed,
            detail: String::new(),
            at: 0,
            request_id: None,
        };
        VerifiedStep { step, found: Found::new(verdict, "") }
    }

    #[test]
    fn one_step_that_was_undone_decides_and_a_publication_only_where_there_is_nothing_else() {
        use ActionType::{PublishFindingToSns as Publish, UpdateDeviceCertificate as Device};
        let cases: [(&[(ActionType, Verdict)], Verdict); 6] = [
            (&[(Device, Verdict::Holds), (Device, Verdict::Reverted)], Verdict::Reverted),
            (&[(Device, Verdict::Holds), (Publish, Verdict::CannotBeTold)], Verdict::Holds),
            (&[(Device, Verdict::Holds), (Device, Verdict::CannotBeTold)], Verdict::CannotBeTold),
            (&[(Device, Verdict::Gone), (Device, Verdict::Holds)], Verdict::Holds),
            (&[(Device, Verdict::Gone), (Publish, Verdict::CannotBeTold)], Verdict::Gone),
            (&[(Publish, Verdict::CannotBeTold)], Verdict::CannotBeTold),
        ];
        for (steps, expected) in cases {
            let steps: Vec<_> = steps.iter().map(|(action, verdict)| step(*action, *verdict)).collect();
            assert_eq!(together(&steps), expected);
        }
    }

    #[test]
    fn of_many_resources_those_that_decide_are_named_three_at_most() {
        let active = |n: i64| (format!("c{n}"), Found::new(Verdict::Reverted, "ACTIVE").since(Some(n)));
        let mut each: Vec<_> = (0..5).map(active).collect();
        each.push(("c9".to_owned(), Found::new(Verdict::Holds, "INACTIVE")));
        let found = of_many(each);
        assert_eq!(found.verdict, Verdict::Reverted);
        assert_eq!(found.now, "c0: ACTIVE; c1: ACTIVE; c2: ACTIVE; and 2 more");
        assert_eq!(found.since, Some(4));
        assert_eq!(of_many(Vec::new()).verdict, Verdict::Holds);
    }
}
