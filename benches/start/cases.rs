//! What is started, and what is demanded of it.

use crate::figures::{Demand, Figure, Outcome, Unit};
use crate::worker::{Start, start};
use std::io;
use std::time::Duration;

/// From the start of the process to the first receive, on loopback, for every single start.
const COLD_START: Demand = Demand::AtMost(0.3);

const MILLISECONDS: Unit = Unit { scale: 1e3, digits: 0, name: " ms" };
const COUNT: Unit = Unit { scale: 1.0, digits: 0, name: "" };
const ROUNDS: Unit = Unit { scale: 1.0, digits: 1, name: "" };
const MEBIBYTES: Unit = Unit { scale: 1.0 / 1_048_576.0, digits: 1, name: " MiB" };

/// A way to start a worker.
pub struct Case {
    pub name: &'static str,
    /// Of `fleetwarden run`.
    arguments: &'static [&'static str],
    /// By which each answer is late.
    delay: Duration,
    whole: Demand,
}

/// The default, what `infra/service.yaml` starts, and the same with AWS at a distance: there the calls that wait for each other show.
pub const CASES: &[Case] = &[
    Case { name: "observe", arguments: &[], delay: Duration::ZERO, whole: COLD_START },
    Case { name: "as a service, enforce", arguments: SERVICE, delay: Duration::ZERO, whole: COLD_START },
    Case {
        name: "as a service, answers 20 ms late",
        arguments: SERVICE,
        delay: Duration::from_millis(20),
        whole: Demand::Nothing,
    },
];

const SERVICE: &[&str] = &["--mode", "enforce", "--http", "127.0.0.1:0", "--metrics", "emf"];

impl Case {
    /// Starts it so many times.
    ///
    /// # Errors
    /// A worker does not start.
    pub fn run(&self, runs: u16) -> io::Result<Outcome> {
        let mut starts = Vec::new();
        for _ in 0..runs {
            starts.push(start(self.arguments, self.delay)?);
        }
        if let Some(start) = starts.first() {
            let asked =
                start.asked.iter().map(|((service, operation), count)| format!("{count} {service} {operation}"));
            eprintln!("{}, before the first receive: {}", self.name, asked.collect::<Vec<_>>().join(", "));
        }
        let times = |of: fn(&Start) -> Duration| starts.iter().map(|start| of(start).as_secs_f64()).collect();
        let bytes = |of: fn(&Start) -> Option<u64>| starts.iter().filter_map(of).map(|bytes| bytes as f64).collect();
        let asked = starts.iter().map(|start| start.asked.values().sum::<u64>() as f64).collect();
        let to_first_receive: Vec<_> = times(|start| start.to_first_receive);
        let mut figures = Vec::new();
        figures.extend(spread(["start_least", "start_middle", "start_most"], times(Start::whole), self.whole));
        let keys = ["first_request_least", "first_request_middle", "first_request_most"];
        figures.extend(spread(keys, times(|start| start.to_first_request), Demand::Nothing));
        let keys = ["receive_after_it_least", "receive_after_it_middle", "receive_after_it_most"];
        figures.extend(spread(keys, to_first_receive.clone(), Demand::Nothing));
        figures.push(Figure::new("requests", middle(asked), COUNT, Demand::Nothing));
        if !self.delay.is_zero() {
            let rounds = middle(to_first_receive).map(|middle| middle / self.delay.as_secs_f64());
            figures.push(Figure::new("round_trips", rounds, ROUNDS, Demand::Nothing));
        }
        figures.push(Figure::new("idle_memory", middle(bytes(|start| start.resident)), MEBIBYTES, Demand::Nothing));
        figures.push(Figure::new("peak_memory", middle(bytes(|start| start.peak)), MEBIBYTES, Demand::Nothing));
        Ok(Outcome { case: self.name.to_owned(), figures })
    }
}

/// Least, middle and most; what is demanded is demanded of the most.
fn spread(keys: [&'static str; 3], seconds: Vec<f64>, demand: Demand) -> [Figure; 3] {
    let [least, half, most] = keys;
    let sorted = sorted(seconds);
    [
        Figure::new(least, sorted.first().copied(), MILLISECONDS, Demand::Nothing),
        Figure::new(half, sorted.get(sorted.len() / 2).copied(), MILLISECONDS, Demand::Nothing),
        Figure::new(most, sorted.last().copied(), MILLISECONDS, demand),
    ]
}

fn middle(values: Vec<f64>) -> Option<f64> {
    let sorted = sorted(values);
    sorted.get(sorted.len() / 2).copied()
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values
}
