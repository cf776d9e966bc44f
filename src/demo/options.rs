//! What a demo is told, and whom it tells what it does.

use crate::budget::{Operation, Use};
use crate::queue::Depth;
use crate::telemetry::Counts;
use std::collections::BTreeMap;
use std::time::Duration;

/// How large, how repeatable, how fast.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Things in the fleet.
    pub things: usize,
    /// The same seed gives the same fleet, duplicates and poison.
    pub seed: u64,
    /// Workers on the one queue.
    pub workers: usize,
    /// Multiplies AWS's default quotas, in the sandbox and in the budgets alike; `None` switches the sandbox's throttles off.
    pub quota_scale: Option<f64>,
}

/// What can be seen while the workers are at it.
#[derive(Debug, Clone)]
pub struct View {
    /// Facts so far.
    pub counts: Counts,
    /// Budget use so far.
    pub budgets: BTreeMap<Operation, Use>,
    /// The queue.
    pub depth: Depth,
    /// Findings that the audit found.
    pub expected: u64,
    /// Since the workers started.
    pub elapsed: Duration,
}

/// The audience.
pub trait Stage {
    /// A step begins, or is done.
    fn say(&mut self, text: &str);
    /// The workers are at it; called several times a second.
    fn show(&mut self, view: &View);
    /// The workers are done.
    fn curtain(&mut self);
}

/// Why a demo could not go on: a bug, or a machine without a free loopback port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the demo failed to {doing}: {why}")]
pub struct DemoError {
    pub(super) doing: &'static str,
    pub(super) why: String,
}

impl DemoError {
    pub(super) fn at(doing: &'static str) -> impl Fn(String) -> Self {
        move |why| Self { doing, why }
    }
}
