//! What is done about a finding: the `IotControl` port, its adapters, one file per action type.

mod apply;
mod calls;
mod certificate;
mod groups;
mod iot;
mod job;
mod logging;
mod memory;
mod memory_account;
mod paced;
mod policy_version;
mod port;
mod publish;
mod verify;

pub use apply::{Effect, apply};
pub use calls::calls_of;
pub use groups::thing_groups;
pub use iot::AwsIot;
pub use job::{ActionError, Job, Journal};
pub use memory::{IotCall, MemoryIot};
pub use paced::Paced;
pub use port::{CertificateStatus, IotControl, LoggingOptions, Page, PolicyState, PolicyVersion};
pub use verify::{Found, Verdict, Verified, VerifiedStep, verify};
