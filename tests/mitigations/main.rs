//! The six actions on the in-memory twin: what they change, what they leave, what they write down first, and what becomes of lost
//! replies and crashes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod bench;
mod ca_certificate;
mod calls;
mod certificate;
mod groups;
mod late_reading;
mod logging;
mod policy_version;
mod publish;
mod sequence;
mod size;
mod twin;
mod verify;
