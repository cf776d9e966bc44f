//! One file per command; they print, and decide nothing.

mod actions;
mod ask;
mod audit;
mod bar;
mod cost;
mod cost_json;
mod cost_print;
#[cfg(feature = "sandbox")]
mod demo;
mod dlq;
mod doctor;
pub mod error;
mod failed_checks;
mod findings;
mod findings_verify;
mod healthcheck;
mod letters;
mod line;
mod metrics;
mod mitigate;
mod mitigate_print;
pub mod output;
mod policy;
mod policy_permissions;
mod policy_source;
mod print;
mod quotas;
mod random;
mod replay;
mod replay_audit;
mod replay_native;
mod replay_print;
mod root;
mod run;
#[cfg(feature = "sandbox")]
mod sandbox;
mod setup;
mod status;
mod variables;

pub use error::CliError;
pub use output::OutputFormat;
pub use root::{Cli, Command, execute, execute_at_once};
