//! The policy file, its schema, and what it decides. Pure.
//!
//! [`Policy::load`] reads a file and tells everything that is wrong with it at once, each by line and column;
//! [`decide()`] says what is to be done about a finding; [`schema()`] describes the file to other tools.

mod action;
mod decide;
mod error;
mod file;
mod fit;
mod load;
mod matching;
mod model;
pub(crate) mod nearest;
mod parameters;
mod permissions;
mod quotas;
mod reader;
mod schema;
mod yaml;

pub use decide::{Action, BLANK_POLICY, CANARY_RULE, Decision, Facts, LogLevel, RuleVerdict, Verdict, decide};
pub use error::{PolicyError, PolicyErrors};
pub(crate) use matching::glob_matches;
pub use model::{MOST_DELEGATED, Matcher, Mode, Policy, PolicyQuotas, RetryPolicy, Rule};
pub use parameters::stack_parameters;
pub use permissions::{ANY, Permission, Place, permissions, policy_document};
pub use schema::schema;
