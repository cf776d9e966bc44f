//! The simulation: production workers on the in-memory twins under a paused clock, faults and crashes by seed, and a checker.
//!
//! | file | what it holds |
//! |---|---|
//! | `run.rs` | seeds, one after the other or in parallel |
//! | `scenario.rs` | one seed: what is on the queue, who works, who dies when |
//! | `process.rs` | one worker process, and what becomes of its calls |
//! | `witness.rs` | who sees every state of the ledger: owners, terminal records, what is in flight |
//! | `checker.rs` | what must hold at the end |

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a simulation that cannot go on says so by panicking")]

mod checker;
#[path = "../worker/house.rs"]
#[expect(dead_code, reason = "the worker's tests use the rest")]
mod house;
mod process;
mod run;
mod scenario;
mod witness;

#[cfg(test)]
pub use run::history;
pub use run::run;
