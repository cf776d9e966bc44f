//! Fleetwarden.

pub mod clock;
pub mod finding;
#[cfg(feature = "sandbox")]
pub mod sandbox;
