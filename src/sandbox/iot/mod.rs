//! AWS IoT and Device Defender, as far as this program needs them: one model of a fleet, real audits over it, and the
//! REST API that the AWS SDKs and the AWS CLI speak.
//!
//! ```text
//! service.rs    one request: faults -> throttle -> route -> operation -> reply; runs audits, schedules and mitigation tasks
//!  routes.rs    method and path -> operation          call.rs   parameters and paging of one call
//!  quotas.rs    calls per second, per operation       faults.rs what goes wrong on purpose      control.rs  /_sandbox
//!  *_api.rs     the wire shapes of the operations (JSON in, JSON out), nothing else     identifiers.rs  forms of names and ids
//! fleet.rs      things, thing groups ...              certificates.rs, policies.rs, logging.rs  the rest of the registry
//! checks.rs     the 17 audit checks, pure (with identity_checks.rs; documents.rs reads policy documents)
//! defender.rs   what Device Defender keeps            audits.rs, audit_run.rs    audit tasks
//! schedules.rs, recurrence.rs   scheduled audits      suppressions.rs            tags.rs
//! mitigations.rs, mitigation_task.rs, mitigation_run.rs    mitigation actions and the tasks that apply them
//! seed.rs       fleets with known defects             defects.rs  one defect, for any check and reason code
//! ```
//!
//! Everything below `service.rs` is a plain data structure ([`Fleet`]) with methods: no I/O, no clock, no lock. The
//! service keeps it behind one lock, tells it the time before each call, and does what it asks for afterwards
//! ([`defender::Effect`]).
//!
//! A new account audits nothing: `UpdateAccountAuditConfiguration` must name a role and a check first. The seeds do that:
//! every check but the certificate age check is enabled, as the AWS console does it ([`Fleet::enable_audits`]).
//!
//! Where AWS is silent, it was decided so (each is UNCONFIRMED and said again where it is done):
//!
//! - scheduled audits start at 00:00 UTC of their days;
//! - the checks of an audit are performed one after another, by name: what has not begun is `WAITING_FOR_DATA_COLLECTION`;
//! - an audit has `FAILED` if none of its checks could be performed, and is `COMPLETED` if some could;
//! - disabling a check deletes its findings, not the counts of past audits;
//! - `DeleteAccountAuditConfiguration` is refused while there are scheduled audits, unless it is to delete them;
//! - `StartAuditMitigationActionsTask` with the id and the token of a task succeeds and starts nothing;
//! - logging is enabled if V2 or V1 logs.
//!
//! What it is not: requests are not authenticated, roles are names (a missing permission is a fact to be seeded),
//! certificates are not real X.509, findings and tasks do not go after 90 days, Detect does not exist, and a call to an
//! operation that is missing here is answered with `UnknownOperationException`.

mod audit_api;
mod audit_run;
#[cfg(test)]
mod audit_tests;
mod audits;
mod call;
mod certificate_api;
mod certificates;
mod checks;
mod control;
#[cfg(test)]
mod defect_tests;
pub mod defects;
pub mod defender;
mod documents;
mod error;
mod faults;
mod fleet;
mod identifiers;
mod identity_checks;
mod logging;
mod mitigation_api;
mod mitigation_run;
mod mitigation_task;
#[cfg(test)]
mod mitigation_tests;
mod mitigations;
mod policies;
mod policy_api;
mod quotas;
mod recurrence;
mod registry_api;
mod routes;
#[cfg(test)]
mod schedule_tests;
mod schedules;
pub mod seed;
mod service;
#[cfg(test)]
mod service_tests;
mod settings_api;
mod suppressions;
mod tags;
mod thing_group_api;
#[cfg(test)]
mod wire_tests;

pub use audits::{AuditTask, CheckFailure, CheckRun, CheckRunStatus};
pub use certificates::{CaCertificate, Certificate, CertificateStatus, IssuerCertificate, WeakKey};
pub use checks::{AGE_CHECK, CHECKS, Check, Evaluation, INTERMEDIATE_CA_CHECK, Violation, find_check};
pub use error::IotError;
pub use faults::{FaultKind, FaultRule, Faults};
pub use fleet::{CognitoPool, Connection, Fleet, RoleAlias, Thing, ThingGroup};
pub use logging::{LoggingOptions, LoggingOptionsV1};
pub use mitigation_task::{Execution, ExecutionStatus, MitigationTask, Statistics, Target};
pub use mitigations::{BLANK_POLICY, MitigationAction};
pub use policies::{Policy, PolicyVersion};
pub use quotas::Quotas;
pub use recurrence::{DayOfMonth, Recurrence};
pub use schedules::ScheduledAudit;
pub use seed::SeedReport;
pub use service::{CallCount, DropConnection, IotConfig, IotService, Pace, TopicPublisher};
pub use suppressions::Suppression;
