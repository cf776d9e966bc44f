//! `fleetwarden audit`: Device Defender's audits, from settings to suppressions. One file for each story.

mod command;
mod findings;
mod findings_print;
mod moments;
mod progress;
mod schedule;
mod settings;
mod start;
mod suppressions;
mod tasks;
mod totals;

pub use command::{AuditArgs, run};
pub(in crate::cli) use moments::{Moment, moment};
pub(in crate::cli) use totals::trouble;
