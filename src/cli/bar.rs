//! A progress bar for what may take longer than a second: on a terminal only, on standard error.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;
use tokio::time::Instant;

/// Whoever waits for less than this wonders about nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// A bar that shows itself once it is needed.
pub(super) struct Bar {
    bar: ProgressBar,
    shows_at: Option<Instant>,
}

impl Bar {
    /// A bar that counts `what`: "letters seen".
    pub fn new(what: &'static str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template("  {bar:40.cyan/blue} {pos}/{len} {msg}  {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(what);
        let shows_at = std::io::stderr().is_terminal().then(|| Instant::now() + PATIENCE);
        Self { bar, shows_at }
    }

    /// So many of so many; the latter may be approximate.
    pub fn at(&mut self, position: u64, of: u64) {
        if self.shows_at.take_if(|at| Instant::now() >= *at).is_some() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(8));
        }
        self.bar.set_length(of.max(position));
        self.bar.set_position(position);
    }

    /// Takes it off the screen.
    pub fn clear(&mut self) {
        self.shows_at = None;
        self.bar.finish_and_clear();
    }
}
