//! How a command fails.

/// A command that did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CliError {
    /// Wrong usage or bad configuration, found before anything was touched: exit 2.
    #[error("{0}")]
    Usage(String),
    /// It was tried and failed: exit 1.
    #[error("{0}")]
    Failed(String),
}

impl CliError {
    /// The exit code of the program.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Failed(_) => 1,
        }
    }
}
