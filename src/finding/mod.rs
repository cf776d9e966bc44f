//! What arrives: envelopes, payloads, the check catalogue, resource identity, keys. Pure.
//!
//! [`decode`] turns one queue message into one or more [`Arrival`]s; it never fails as a whole and never panics.

mod action_type;
mod arrival;
mod bounds;
mod canary;
pub mod catalogue;
mod certificate;
mod decode;
mod envelope;
mod identifier;
pub mod keys;
mod member;
mod model;
mod native;
mod provenance;
mod signature;
mod summary;

pub use action_type::{ActionType, UnknownActionType};
pub use arrival::{Arrival, Content, Origin, RejectReason, Rejected, Replay};
pub use canary::{CANARY_CHECK, CANARY_ID_PREFIX};
pub use certificate::SigningCertificate;
pub use decode::{decode, decode_sealed};
pub use envelope::{encode_message, encode_own, encode_replay};
pub use model::{AuditSummary, CheckSummary, Finding, Resource, ResourceIdentifier, Severity};
pub use signature::{CertificateUrl, Seal, SignatureVersion};
