//! What is to be estimated.

use crate::finding::ActionType;
use crate::queue::BATCH;

/// The most findings that are estimated: a million million.
pub const MOST_FINDINGS: f64 = 1e12;

/// The largest part of messages that may be duplicates: a hundred messages for each finding.
pub const MOST_DUPLICATES: f64 = 0.99;

/// The most worker hours: a thousand workers for a year, and some.
pub const MOST_HOURS: f64 = 1e7;

/// How findings reach the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Arrival {
    /// Device Defender publishes each to the topic (a mitigation action `PUBLISH_FINDING_TO_SNS`)
    Sns,
    /// The audit's summary alone is published; a worker puts the findings that it lists on the queue, ten a request
    Summary,
}

impl Arrival {
    /// Its name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sns => "sns",
            Self::Summary => "summary",
        }
    }
}

/// Findings that come at once, as an audit yields them, and one worker that takes them.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// Different findings: each is recorded once. A whole number up to [`MOST_FINDINGS`]; 0 where workers only stand by.
    pub findings: f64,
    /// The part of all messages that bring a finding which another message brought before. From 0 to [`MOST_DUPLICATES`].
    pub duplicates: f64,
    /// Messages of one receive, and of one delete. From 1 to 10.
    pub batch_fill: f64,
    /// What is done about each finding, in order; empty where it is recorded only.
    pub actions: Vec<ActionType>,
    /// How they come.
    pub arrival: Arrival,
    /// Hours that workers run, all together, up to [`MOST_HOURS`]; at least as long as the work takes.
    pub worker_hours: f64,
}

impl Default for Workload {
    /// A million findings without duplicates, one action each, workers for no longer than the work takes.
    fn default() -> Self {
        Self {
            findings: 1e6,
            duplicates: 0.0,
            batch_fill: 8.0,
            actions: vec![ActionType::UpdateDeviceCertificate],
            arrival: Arrival::Sns,
            worker_hours: 0.0,
        }
    }
}

impl Workload {
    /// All messages, duplicates included.
    pub fn messages(&self) -> f64 {
        self.findings / (1.0 - self.duplicates)
    }

    /// Messages that bring nothing new.
    pub fn duplicate_messages(&self) -> f64 {
        self.messages() - self.findings
    }

    /// What is wrong with it, as sentences that name the command line's options.
    pub fn problems(&self) -> Vec<String> {
        let whole = self.findings.fract() == 0.0;
        let checks = [
            (
                whole && (0.0..=MOST_FINDINGS).contains(&self.findings),
                format!("--findings is {}: write a whole number from 0 to {MOST_FINDINGS:e}", told(self.findings)),
            ),
            (
                self.findings != 0.0 || self.worker_hours != 0.0,
                "--findings is 0, which costs nothing: write 1 or more, or --worker-hours for workers that stand by"
                    .to_owned(),
            ),
            (
                (0.0..=MOST_DUPLICATES).contains(&self.duplicates),
                format!(
                    "--duplicates is {}: write the part of all messages that are duplicates, from 0 to {MOST_DUPLICATES}, such as 0.3",
                    told(self.duplicates)
                ),
            ),
            (
                (1.0..=BATCH as f64).contains(&self.batch_fill),
                format!(
                    "--batch-fill is {}: write the messages of one receive, from 1 to {BATCH}",
                    told(self.batch_fill)
                ),
            ),
            (
                (0.0..=MOST_HOURS).contains(&self.worker_hours),
                format!("--worker-hours is {}: write hours from 0 to {MOST_HOURS:e}", told(self.worker_hours)),
            ),
        ];
        checks.into_iter().filter(|(fits, _)| !fits).map(|(_, sentence)| sentence).collect()
    }
}

/// A number as a sentence has it: one of many digits by its power of ten.
fn told(number: f64) -> String {
    if number == 0.0 || (1e-6..1e15).contains(&number.abs()) { number.to_string() } else { format!("{number:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicates_are_a_part_of_the_messages() {
        let workload = Workload { findings: 700.0, duplicates: 0.3, ..Workload::default() };
        assert!((workload.messages() - 1000.0).abs() < 1e-9 && (workload.duplicate_messages() - 300.0).abs() < 1e-9);
    }

    #[test]
    fn what_cannot_be_is_told_in_a_sentence_for_each_option() {
        let fine = Workload::default();
        assert!(fine.problems().is_empty());
        for (wrong, option) in [
            (Workload { findings: 0.0, ..fine.clone() }, "--findings"),
            (Workload { findings: 1.5, ..fine.clone() }, "--findings"),
            (Workload { findings: f64::NAN, ..fine.clone() }, "--findings"),
            (Workload { findings: -1.0, ..fine.clone() }, "--findings"),
            (Workload { findings: 1e13, ..fine.clone() }, "--findings"),
            (Workload { duplicates: 1.0, ..fine.clone() }, "--duplicates"),
            (Workload { duplicates: -0.1, ..fine.clone() }, "--duplicates"),
            (Workload { batch_fill: 0.5, ..fine.clone() }, "--batch-fill"),
            (Workload { batch_fill: 11.0, ..fine.clone() }, "--batch-fill"),
            (Workload { worker_hours: -1.0, ..fine.clone() }, "--worker-hours"),
            (Workload { worker_hours: f64::INFINITY, ..fine.clone() }, "--worker-hours"),
        ] {
            let problems = wrong.problems();
            assert!(problems.len() == 1 && problems[0].starts_with(option), "{problems:?}");
        }
        let standing = Workload { findings: 0.0, worker_hours: 730.0, ..fine };
        assert!(standing.problems().is_empty(), "a month without findings: {:?}", standing.problems());
    }

    #[test]
    fn a_number_that_cannot_be_is_told_in_few_characters() {
        let told: Vec<_> = [1e300, 1e-300, -1e20, 11.0, -0.5, f64::NAN].map(told).into();
        assert_eq!(told, ["1e300", "1e-300", "-1e20", "11", "-0.5", "NaN"]);
    }
}
