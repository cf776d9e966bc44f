//! What is logged and counted: one function per fact.

mod facts;

pub use facts::{Counts, Telemetry};
