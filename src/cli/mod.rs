//! One file per command; they print, and decide nothing.

pub mod error;
pub mod output;
pub mod policy;

pub use error::CliError;
pub use output::OutputFormat;
