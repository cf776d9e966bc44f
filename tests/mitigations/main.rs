//! The six actions on the in-memory twin: what they change, what they leave, what they write down first, and what becomes of lost
//! replies and crashes.

mod bench;
mod ca_certificate;
mod certificate;
mod groups;
mod logging;
mod policy_version;
mod publish;
mod sequence;
