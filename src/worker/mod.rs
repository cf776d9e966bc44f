//! Wires the stages, owns concurrency, drain and health.
//!
//! ```text
//! receive -> decode (-> signature) -> line up or park -> claim (25 a request) -> decide -> authenticate -> budget -> act -> finish (25) -> delete or give back (10)
//! ```
//!
//! Each stage hands the next an owned value. A message's ticket travels with its finding: whoever drops it without a word gives
//! the message back. In-flight messages are bounded by permits that their deliveries hold, and by what the budgets can serve soon:
//! a finding whose calls would have to wait for longer is parked before the ledger is asked for it (`lines`).

mod acknowledge;
mod batch;
mod breaker;
mod bundle;
mod claimer;
mod claims;
mod config;
mod dead_letter;
mod delivery;
mod finisher;
mod heartbeat;
mod keyring;
mod lines;
mod local;
mod local_queue;
mod presence;
mod process;
mod receiver;
mod recorder;
mod remedy;
mod run;
mod shared;
mod signal;
mod signatures;
mod vitals;
mod watched;

pub use breaker::{Breaker, Health};
pub use config::{ANNOUNCE_EVERY, Worker, WorkerConfig};
pub use local::{LocalWork, Results};
pub use run::Ended;
pub use vitals::Vitals;
