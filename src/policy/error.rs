//! Why a policy file is refused.

use serde::Serialize;
use std::fmt;

/// All that is wrong with a policy file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyErrors {
    /// The file's name, as the user gave it.
    pub name: String,
    /// At least one, in the order of the file.
    pub errors: Vec<PolicyError>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyError {
    /// From 1.
    pub line: u64,
    /// From 1, in characters.
    pub column: u64,
    /// What is wrong; what to write instead.
    pub message: String,
}

impl fmt::Display for PolicyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            let end = if index + 1 < self.errors.len() { "\n" } else { "" };
            write!(f, "{}:{}:{}: {}{end}", self.name, error.line, error.column, error.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for PolicyErrors {}
