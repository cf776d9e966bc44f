//! Fleetwarden.

pub mod aws;
pub mod budget;
pub mod cli;
pub mod clock;
pub mod defender;
#[cfg(feature = "sandbox")]
pub mod demo;
pub mod finding;
pub mod ledger;
pub mod mitigation;
pub mod policy;
pub mod queue;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod setup;
pub mod telemetry;
pub mod worker;
