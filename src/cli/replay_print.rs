//! What `replay` prints: the plan, how it goes, and what came of it.

use super::{OutputFormat, print};
use crate::replay::{Ended, Order, Summary};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::time::Duration;
use tokio::time::Instant;

/// Errors that are printed; the JSON document has all.
const ERRORS: usize = 5;

/// A line so often, where nobody looks at a bar.
const EVERY: Duration = Duration::from_secs(5);

/// Tells how it goes, on standard error.
pub(super) struct Told {
    bar: Option<ProgressBar>,
    began: Instant,
    said: Instant,
}

impl Told {
    /// `total` if it is known how many are to go.
    pub fn new(total: Option<u64>) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
            let text = match total {
                Some(_) => "{bar:30} {pos}/{len} sent, {per_sec}, {eta} left",
                None => "{spinner} {pos} sent, {per_sec}",
            };
            if let Ok(style) = ProgressStyle::with_template(text) {
                bar.set_style(style);
            }
            bar
        });
        Self { bar, began: Instant::now(), said: Instant::now() }
    }

    /// So far.
    pub fn tell(&mut self, summary: &Summary) {
        match &self.bar {
            Some(bar) => bar.set_position(summary.sent),
            None if self.said.elapsed() >= EVERY => {
                self.said = Instant::now();
                let rate = summary.sent as f64 / self.began.elapsed().as_secs_f64();
                eprintln!("{} sent, {rate:.1} a second", summary.sent);
            }
            None => {}
        }
    }

    /// Nothing more to tell.
    pub fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

pub(super) fn print_plan(summary: &Summary, output: OutputFormat, what: &str) {
    match output {
        OutputFormat::Json => print::json(&as_json(summary)),
        OutputFormat::Table => {
            print_groups(summary);
            print::line(&format!("{} of {} {what} would go{}", summary.chosen(), summary.looked_at, left(summary)));
        }
    }
}

pub(super) fn print_result(order: &Order, summary: &Summary, ended: &Ended, output: OutputFormat, what: &str) {
    match output {
        OutputFormat::Json => {
            let mut document = as_json(summary);
            document["replayId"] = json!(order.id);
            document["by"] = json!(order.by);
            document["ended"] = json!(ended);
            print::json(&document);
        }
        OutputFormat::Table => {
            print_groups(summary);
            print_errors(summary);
            print::line(&format!("{} of {} {what} sent{}", summary.sent, summary.looked_at, left(summary)));
            print::line(&format!("replay {}", order.id));
        }
    }
}

fn print_groups(summary: &Summary) {
    if summary.chosen.is_empty() {
        return;
    }
    let mut table = print::table(&["reason", "check", "messages"]);
    for ((reason, check), n) in &summary.chosen {
        let check = if check.is_empty() { "-" } else { check };
        table.add_row([reason.clone(), check.to_owned(), n.to_string()]);
    }
    print::right(&mut table, 2..3);
    print::line(&table.to_string());
}

fn print_errors(summary: &Summary) {
    if summary.errors.is_empty() {
        return;
    }
    let mut errors: Vec<_> = summary.errors.iter().collect();
    errors.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    let mut table = print::table(&["error", "seen"]);
    for (error, n) in errors.into_iter().take(ERRORS) {
        table.add_row([print::short(error, 120), n.to_string()]);
    }
    print::right(&mut table, 1..2);
    print::line(&table.to_string());
}

/// Why the others do not go, in words.
fn left(summary: &Summary) -> String {
    let reasons = [
        (summary.mitigated, "mitigated already (--force does them once more)"),
        (summary.replayed_already, "had their turn in this very replay"),
        (summary.died_again, "died of this very replay (a new one may send them again)"),
        (summary.newer, "given up since the command began"),
        (summary.summaries, "summaries of audits (see replay audit)"),
        (summary.failed, "could not be sent"),
    ];
    let told: Vec<String> = reasons.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    if told.is_empty() { String::new() } else { format!("; {}", told.join(", ")) }
}

fn as_json(summary: &Summary) -> Value {
    let groups = summary.chosen.iter().map(|((reason, check), n)| {
        json!({ "reason": reason, "check": Some(check).filter(|check| !check.is_empty()), "messages": n })
    });
    json!({
        "lookedAt": summary.looked_at,
        "chosen": summary.chosen(),
        "groups": groups.collect::<Vec<_>>(),
        "sent": summary.sent,
        "deleted": summary.deleted,
        "skipped": {
            "mitigated": summary.mitigated,
            "replayedAlready": summary.replayed_already,
            "diedAgain": summary.died_again,
            "newer": summary.newer,
            "summaries": summary.summaries,
        },
        "failed": summary.failed,
        "errors": summary.errors,
    })
}
