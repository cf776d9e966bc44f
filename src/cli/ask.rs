//! The question before something is changed that cannot be had back.

use crate::cli::CliError;
use crate::cli::dlq::confirmed;
use std::io::IsTerminal;

/// Asks, unless `yes` has been said. What is asked about is on the screen already.
///
/// # Errors
///
/// Usage: there is nobody to ask. Failed: the answer is no.
pub(in crate::cli) async fn agreed(yes: bool, question: &str) -> Result<(), CliError> {
    if yes {
        return Ok(());
    }
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(CliError::Usage(
            "nobody can be asked here, so nothing was changed: add --yes to do it without a question".to_owned(),
        ));
    }
    if confirmed(&format!("{question} [y/N] ")).await {
        return Ok(());
    }
    Err(CliError::Failed("not confirmed: nothing was changed".to_owned()))
}
