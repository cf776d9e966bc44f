//! What is logged, counted and traced: one function per fact, one per span.
//!
//! ```text
//! facts.rs     one function per fact          counts.rs    the counters in short
//! metrics.rs   every metric, named once       labels.rs    what their series differ in
//! watch.rs     what is read when collected    emf.rs       the same for CloudWatch
//! reference.rs the page about them
//! logging.rs   how the program speaks         json_lines.rs its lines for programs
//! spans.rs     one function per span          producer.rs  what a message says of who sent it
//! traces.rs    from spans to traces           collector.rs where they are sent
//! ```

mod collector;
mod counts;
mod emf;
mod facts;
mod json_lines;
mod labels;
mod logging;
mod metrics;
mod producer;
mod reference;
pub(crate) mod spans;
mod traces;
mod watch;

pub use counts::Counts;
pub use emf::Emf;
pub use facts::Telemetry;
pub use labels::Label;
pub use logging::{LogFormat, Logging, misread, refuse};
pub use metrics::{Kind, METRICS, Metric};
pub use reference::{cloudwatch, markdown};
pub use traces::Traces;
pub(crate) use watch::{Gauged, Reading};
