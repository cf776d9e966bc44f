//! Fleetwarden.

pub mod aws;
pub mod budget;
pub mod clock;
pub mod finding;
pub mod ledger;
pub mod mitigation;
pub mod queue;
