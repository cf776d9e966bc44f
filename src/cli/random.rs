//! What a command needs of the system's randomness: seeds, and names that no other run has.

use super::CliError;
use crate::clock::Clock;

/// A seed for everything that is drawn in this process.
pub(super) fn seed() -> Result<u64, CliError> {
    getrandom::u64().map_err(|error| CliError::Failed(format!("the system has no randomness: {error}")))
}

/// `replay-20261122T180516Z-105c9da9`: what is done, when, and eight digits that no other run of the same second has.
pub(super) fn run_id(what: &str, clock: &Clock) -> Result<String, CliError> {
    Ok(format!("{what}-{}-{:08x}", clock.now().strftime("%Y%m%dT%H%M%SZ"), seed()? >> 32))
}
