//! What arrives: envelopes, payloads, the check catalogue, resource identity, keys. Pure.

mod model;

pub use model::{AuditSummary, CheckSummary, Finding, Resource, ResourceIdentifier, Severity};
