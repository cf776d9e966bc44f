//! The whole loop on the embedded AWS, with the worker that runs in production: only the endpoint differs.

mod defender;
mod options;
mod play;
mod report;
mod traffic;

pub use options::{DemoError, Options, Stage, View};
pub use play::play;
pub use report::{CheckRow, Report};
