//! Fleetwarden.

pub mod cli;
pub mod clock;
pub mod finding;
pub mod policy;
