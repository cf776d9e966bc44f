//! What a person clicks at the AWS console, as calls: account settings, audits, schedules, suppressions, Device Defender's own
//! mitigation actions and the tasks that apply them.
//!
//! The worker needs none of it: its calls are in [`crate::mitigation::IotControl`]. Here is one file for each noun, an `impl` of
//! [`Console`] in each; arguments and answers are plain values, checked by whoever makes them before anything is called.

mod actions;
mod audits;
mod client;
mod role;
mod tasks;

pub use actions::{ActionName, ActionParams, MitigationAction};
pub use audits::Audit;
pub use client::Console;
pub use role::ActionRole;
pub use tasks::{Execution, FindingName, MitigationTask, TaskCounts, TaskFilter, TaskName, TaskTarget};
