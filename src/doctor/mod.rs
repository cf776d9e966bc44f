//! Looks at a deployment from end to end and says what is right, what is wrong, and how to mend it.
//!
//! Each area has a file: what is read, and a pure judgement of it that makes rows ([`Diagnosis`]). A row that is wrong hides no other:
//! whatever can be asked is asked. Nothing is changed, but for the canary, a finding that passes through everything and is recorded.

mod access;
mod budgets;
mod canary;
mod defender;
mod diagnosis;
mod identity;
mod mend;
mod named;
mod permissions;
mod plan;
mod queues;
mod run;
mod table;
mod topic;
mod words;
mod workers;

pub use diagnosis::{Area, Diagnosis, Report, State};
pub use plan::{Instruments, Plan};
pub use run::examine;
