//! How an audit goes on, on standard error: a bar for each check on a terminal, elsewhere a line for each change.

use super::totals::result;
use crate::defender::console::check_name::stem;
use crate::defender::console::{Audit, is_done};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

/// Steps of a bar: waiting for data is 0, in progress 1, done all.
const STEPS: u64 = 4;

/// Letters of a check's result beside its bar: `1390 of 2000 non-compliant` fits.
const RESULT: usize = 26;

/// So that a spinner turns while nothing else happens.
const TICK: Duration = Duration::from_millis(200);

/// Tells how an audit goes on.
pub(super) struct Progress {
    screen: Option<MultiProgress>,
    bars: BTreeMap<String, ProgressBar>,
    all: Option<ProgressBar>,
    said: BTreeMap<String, String>,
}

impl Progress {
    /// Nothing is told yet.
    pub fn new() -> Self {
        let screen = std::io::stderr()
            .is_terminal()
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8)));
        Self { screen, bars: BTreeMap::new(), all: None, said: BTreeMap::new() }
    }

    /// So far.
    pub fn tell(&mut self, audit: &Audit) {
        match self.screen.clone() {
            Some(screen) => self.draw(&screen, audit),
            None => self.say(audit),
        }
    }

    /// Takes the bars off the screen.
    pub fn end(&mut self) {
        if let Some(screen) = self.screen.take() {
            let _ = screen.clear();
            // Nothing is drawn any more while the bars end one by one.
            screen.set_draw_target(ProgressDrawTarget::hidden());
        }
        for bar in self.bars.values().chain(&self.all) {
            bar.finish_and_clear();
        }
    }

    fn say(&mut self, audit: &Audit) {
        for check in &audit.checks {
            let said = self.said.insert(check.check.clone(), check.status.clone());
            if said.as_deref() != Some(check.status.as_str()) {
                eprintln!("{}: {}", check.check, result(check));
            }
        }
    }

    /// How many are done comes first, and results before names: what a small terminal cuts off is at the bottom and on the right.
    fn draw(&mut self, screen: &MultiProgress, audit: &Audit) {
        let all = self.all.get_or_insert_with(|| {
            let bar = screen.add(ProgressBar::new_spinner());
            bar.set_style(style("  {spinner} {wide_msg} {elapsed}"));
            bar.enable_steady_tick(TICK);
            bar
        });
        all.set_message(format!("{} of {} checks done", audit.checks_done(), audit.checks.len()));
        for check in &audit.checks {
            let bar = self.bars.entry(check.check.clone()).or_insert_with(|| {
                let bar = screen.add(ProgressBar::new(STEPS));
                bar.set_style(style(&format!("  {{bar:10.cyan/blue}} {{prefix:{RESULT}!}} {{wide_msg}}")));
                bar.set_message(stem(&check.check).to_owned());
                bar
            });
            bar.set_position(match check.status.as_str() {
                "WAITING_FOR_DATA_COLLECTION" => 0,
                _ if is_done(check) => STEPS,
                _ => 1,
            });
            bar.set_prefix(result(check));
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
