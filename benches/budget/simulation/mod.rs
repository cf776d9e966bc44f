//! The fleet's budgets as they run in production, on a clock that costs nothing: many workers, each with budgets, a clock and a
//! connection to the ledger of its own, against an account that throttles as AWS does. Everything random comes from one seed.
//!
//! - [`account`]: the account, a bucket of tokens that keeps a list of the calls that arrived
//! - [`distance`]: the way to the ledger, with its round trips and a count of what was written
//! - [`worker`]: one worker process with its callers
//! - [`world`]: all of these together, and what is left when they have run
//! - [`trace`]: what is read from that: how much of the quota was used, where it was overshot

pub mod account;
pub mod distance;
pub mod trace;
pub mod worker;
pub mod world;
