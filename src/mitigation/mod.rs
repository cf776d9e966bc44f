//! What is done about a finding: the `IotControl` port, its adapters, one file per action type.

mod paced;
mod port;

pub use paced::Paced;
pub use port::{CertificateStatus, IotControl, LoggingOptions, Page, PolicyState, PolicyVersion};
