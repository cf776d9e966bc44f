//! Fleetwarden.

#[cfg(feature = "sandbox")]
pub mod sandbox;
