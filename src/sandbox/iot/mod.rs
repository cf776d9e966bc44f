//! AWS IoT and Device Defender, as far as this program needs them: one model of a fleet, real audits over it, and the
//! REST API that the AWS SDKs and the AWS CLI speak.
//!
//! ```text
//! service.rs    one request: faults -> throttle -> route -> operation -> reply; runs audits and mitigation tasks
//!  routes.rs    method and path -> operation          call.rs   parameters and paging of one call
//!  quotas.rs    calls per second, per operation       faults.rs what goes wrong on purpose      control.rs  /_sandbox
//!  *_api.rs     the wire shapes of the operations (JSON in, JSON out), nothing else
//! fleet.rs      things, thing groups, logging ...    certificates.rs, policies.rs  the rest of the registry
//! checks.rs     the 17 audit checks, pure (with identity_checks.rs; documents.rs reads policy documents)
//! defender.rs   what Device Defender keeps            audits.rs    audit tasks     suppressions.rs
//! mitigations.rs, mitigation_run.rs                   mitigation actions and the tasks that apply them
//! seed.rs       fleets with known defects
//! ```
//!
//! Everything below `service.rs` is a plain data structure ([`Fleet`]) with methods: no I/O, no clock, no lock. The
//! service keeps it behind one lock, tells it the time before each call, and does what it asks for afterwards
//! ([`defender::Effect`]).
//!
//! What it is not: requests are not authenticated, certificates are not real X.509, scheduled audits and Detect do not
//! exist, and a call to an operation that is missing here is answered with `UnknownOperationException`.

mod audit_api;
mod audits;
mod call;
mod certificate_api;
mod certificates;
mod checks;
mod control;
pub mod defender;
mod documents;
mod error;
mod faults;
mod fleet;
mod identity_checks;
mod mitigation_api;
mod mitigation_run;
#[cfg(test)]
mod mitigation_tests;
mod mitigations;
mod policies;
mod policy_api;
mod quotas;
mod registry_api;
mod routes;
pub mod seed;
mod service;
#[cfg(test)]
mod service_tests;
mod suppressions;
#[cfg(test)]
mod wire_tests;

pub use audits::{AuditTask, CheckRun, CheckRunStatus};
pub use certificates::{CaCertificate, Certificate, CertificateStatus, IssuerCertificate, WeakKey};
pub use checks::{AGE_CHECK, CHECKS, Check, Evaluation, INTERMEDIATE_CA_CHECK, Violation, find_check};
pub use error::IotError;
pub use faults::{FaultKind, FaultRule, Faults};
pub use fleet::{CognitoPool, Connection, Fleet, LoggingOptions, RoleAlias, Thing, ThingGroup};
pub use mitigations::{BLANK_POLICY, Execution, MitigationAction, MitigationTask, Statistics, Target};
pub use policies::{Policy, PolicyVersion};
pub use quotas::Quotas;
pub use seed::SeedReport;
pub use service::{CallCount, DropConnection, IotConfig, IotService, TopicPublisher};
pub use suppressions::Suppression;
