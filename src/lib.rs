//! Fleetwarden.

pub mod aws;
pub mod budget;
pub mod cli;
pub mod clock;
pub mod defender;
pub mod finding;
pub mod ledger;
pub mod mitigation;
pub mod policy;
pub mod queue;
pub mod telemetry;
pub mod worker;
#[cfg(feature = "sandbox")]
pub mod sandbox;
