//! The question before something is changed that cannot be had back.

use crate::cli::CliError;
use std::io::IsTerminal;
use tokio::sync::oneshot;

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

/// Asks on standard error. No answer in words is no.
pub(in crate::cli) async fn confirmed(question: &str) -> bool {
    eprint!("{question}");
    let (answer, answered) = oneshot::channel();
    // A thread of its own, which the end of the program does not wait for: whoever answers nothing can still be stopped.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line);
        let _ = answer.send(read.is_ok() && matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"));
    });
    answered.await.unwrap_or(false)
}
