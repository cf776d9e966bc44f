//! Fleetwarden.

pub mod clock;
pub mod finding;
