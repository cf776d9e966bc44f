//! Fleetwarden.
