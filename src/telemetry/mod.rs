//! What is logged, counted and traced: one function per fact, one per span.

mod collector;
mod facts;
mod json_lines;
mod logging;
mod producer;
pub(crate) mod spans;
mod traces;

pub use facts::{Counts, Telemetry};
pub use logging::{LogFormat, Logging, misread, refuse};
pub use traces::Traces;
