//! `fleetwarden actions`: Device Defender's own mitigation actions, and the tasks that apply them.

mod command;
mod create;
mod params;
mod results;
mod show;
mod tasks;

pub use command::{ActionsArgs, run};
