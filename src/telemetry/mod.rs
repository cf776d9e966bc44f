//! What is logged and counted: one function per fact.
//!
//! ```text
//! facts.rs     one function per fact          counts.rs   the counters in short
//! metrics.rs   every metric, named once       labels.rs   what their series differ in
//! watch.rs     what is read when collected    emf.rs      the same for CloudWatch
//! reference.rs the page about them
//! ```

mod counts;
mod emf;
mod facts;
mod labels;
mod metrics;
mod reference;
mod watch;

pub use counts::Counts;
pub use emf::Emf;
pub use facts::Telemetry;
pub use labels::Label;
pub use metrics::{Kind, METRICS, Metric};
pub use reference::{cloudwatch, markdown};
pub(crate) use watch::{Gauged, Reading};
