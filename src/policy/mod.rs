//! The policy file, its schema, and what it decides. Pure.

mod decide;
mod error;
mod model;

pub use decide::{Action, BLANK_POLICY, Decision, Facts, LogLevel, Verdict, decide};
pub use error::{PolicyError, PolicyErrors};
pub use model::{Matcher, Mode, Policy, RetryPolicy, Rule};
