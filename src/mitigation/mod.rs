//! What is done about a finding: the `IotControl` port, its adapters, one file per action type.

mod apply;
mod calls;
mod certificate;
mod groups;
mod iot;
mod iot_actions;
mod job;
mod logging;
mod memory;
mod memory_account;
mod memory_tasks;
mod paced;
mod policy_version;
mod port;
mod publish;
mod survey;
mod verify;

pub(crate) use apply::effect;
pub use apply::{Effect, apply};
pub use calls::calls_of;
pub use groups::thing_groups;
pub use iot::AwsIot;
pub(crate) use iot::{PAGE, finding_of, identifier_of};
pub use job::{ActionError, Job, Journal};
pub(crate) use job::{DELEGATE, Steps};
pub use memory::{IotCall, MemoryIot};
pub use paced::Paced;
pub use port::{
    ActionExecution, CertificateStatus, IotControl, LoggingOptions, Made, MitigationTaskOrder, MitigationTaskState,
    Page, PolicyState, PolicyVersion, RequestId,
};
pub(crate) use survey::{fit_in_record, survey};
pub use verify::{Found, Verdict, Verified, VerifiedStep, verify};
