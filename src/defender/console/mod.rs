//! What a person clicks at the AWS console, as calls: account settings, audits, schedules, suppressions, Device Defender's own
//! mitigation actions and the tasks that apply them.
//!
//! The worker needs none of it: its calls are in [`crate::mitigation::IotControl`]. Here is one file for each noun, an `impl` of
//! [`Console`] in each; arguments and answers are plain values, checked by whoever makes them before anything is called.

mod actions;
mod audit_tasks;
mod audits;
pub mod check_name;
pub mod choice;
mod client;
mod findings;
pub mod resource_text;
mod role;
mod schedules;
mod settings;
pub mod settings_change;
mod suppressions;
mod tasks;

pub use actions::{ActionName, ActionParams, MitigationAction};
pub use audit_tasks::{AuditFilter, Started};
pub use audits::{Audit, is_done, what_to_do};
pub use client::Console;
pub use findings::{FindingFilter, Things, Walk};
pub use schedules::{
    Frequency, Schedule, ScheduleUpdate, check_name_of_schedule, is_there_already, using as schedules_using,
};
pub use settings::{Alerts, AuditSettings, CheckSetting, SettingsUpdate, is_used_by_schedule};
pub use suppressions::{Suppression, Until, check_why};

pub use role::ActionRole;
pub use tasks::{Execution, FindingName, MitigationTask, TaskCounts, TaskFilter, TaskName, TaskTarget};

/// The most that one page of a Device Defender list holds.
const PAGE: i32 = 250;
