//! `fleetwarden demo`: the whole loop, live.

use super::run::stop_on_signals;
use super::{CliError, OutputFormat, print};
use crate::demo::{self, Options, Report, Stage, View};
use crate::ledger::Status;
use clap::Args;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

const AFTER_HELP: &str = "\
Examples:
  fleetwarden demo                      about 3,500 findings, 4 workers, AWS's quotas times 20
  fleetwarden demo --fast               the same without API quotas
  fleetwarden demo --things 200 --seed 1 --output json

Nothing leaves this machine: the AWS is embedded and listens on a loopback port. Exit code 1 if anything is not as it should be.";

/// AWS's default quotas would make the demo's certificates alone take five minutes (some 2,400 at 8 a second).
const QUOTA_SCALE: f64 = 20.0;

/// What `demo` is told.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct DemoArgs {
    /// Things in the fleet; about 1.7 findings for each
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub things: u32,
    /// The same seed gives the same fleet
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Workers on the one queue
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub workers: u16,
    /// Without API quotas
    #[arg(long)]
    pub fast: bool,
}

/// Plays the demo and prints what came of it.
///
/// # Errors
///
/// Failed: something is not as it should be.
pub async fn run(args: &DemoArgs, output: OutputFormat) -> Result<(), CliError> {
    let options = Options {
        things: args.things as usize,
        seed: args.seed,
        workers: args.workers.into(),
        quota_scale: (!args.fast).then_some(QUOTA_SCALE),
    };
    let stop = stop_on_signals()?;
    let played = if std::io::stderr().is_terminal() {
        demo::play(&options, &mut Live::new(), stop).await
    } else {
        demo::play(&options, &mut Plain::default(), stop).await
    };
    let report = played.map_err(|error| CliError::Failed(error.to_string()))?;
    match output {
        OutputFormat::Json => print::json(&serde_json::json!(report)),
        OutputFormat::Table => print_report(&report),
    }
    if report.problems.is_empty() {
        return Ok(());
    }
    Err(CliError::Failed(format!("not everything is as it should be:\n  {}", report.problems.join("\n  "))))
}

fn print_report(report: &Report) {
    let statuses = [Status::Mitigated, Status::Compliant, Status::Observed, Status::Dead];
    let mut table = print::table(&["check", "found", "mitigated", "compliant", "observed", "dead", "second audit"]);
    let number = |n: u64| if n == 0 { "·".to_owned() } else { n.to_string() };
    let mut totals = [0; 6];
    for row in &report.checks {
        let mut figures = vec![row.found];
        figures.extend(statuses.map(|status| row.ended(status)));
        figures.push(row.second);
        for (total, n) in totals.iter_mut().zip(&figures) {
            *total += n;
        }
        let cells = std::iter::once(row.check.clone()).chain(figures.into_iter().map(number));
        table.add_row(cells);
    }
    table.add_row(std::iter::once("all".to_owned()).chain(totals.map(number)));
    print::right(&mut table, 1..7);
    print::line(&table.to_string());

    let mut dead = print::table(&["dead letters", "messages"]);
    for (reason, n) in &report.dead_letters {
        dead.add_row([reason.clone(), n.to_string()]);
    }
    print::right(&mut dead, [1]);
    print::line(&dead.to_string());
    let counts = &report.counts;
    print::line(&format!(
        "{} messages in {:.1} s: {} findings each recorded once, {} duplicates, {} dead letters, {} throttled calls",
        counts.received,
        report.took.as_secs_f64(),
        totals[0],
        counts.duplicates,
        counts.dead,
        report.throttled.values().sum::<u64>(),
    ));
    print::line(&format!(
        "Device Defender was asked {} times, to expand the audit's summary and whether what is acted on is genuine; \
         SNS's signature was checked on {} notifications",
        report.defender_calls, counts.verified,
    ));
    if report.problems.is_empty() {
        print::line("the second audit is clean, but for what the policy left to people");
    }
}

/// Lines, for a pipe or a log.
#[derive(Default)]
struct Plain {
    last: Option<Duration>,
    /// Told once, at the end: the lines are long enough.
    budgets: Option<String>,
}

impl Stage for Plain {
    fn say(&mut self, text: &str) {
        eprintln!("{text}");
    }

    fn show(&mut self, view: &View) {
        self.budgets = Some(budgets(view));
        // One line every two seconds.
        if self.last.is_some_and(|last| view.elapsed < last + Duration::from_secs(2)) {
            return;
        }
        self.last = Some(view.elapsed);
        eprintln!("{:5.1} s  {}", view.elapsed.as_secs_f64(), facts(view));
    }

    fn curtain(&mut self) {
        if let Some(budgets) = self.budgets.take() {
            eprintln!("{budgets}");
        }
    }
}

/// A display that is redrawn in place, for a terminal.
struct Live {
    screen: MultiProgress,
    progress: ProgressBar,
    facts: ProgressBar,
    budgets: ProgressBar,
}

impl Live {
    fn new() -> Self {
        let screen = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8));
        let line = |template: &str| {
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = screen.add(ProgressBar::new(0));
            bar.set_style(style);
            bar
        };
        let progress = line("  {bar:50.cyan/blue} {pos}/{len} findings ended  {msg}");
        let facts = line("  {msg}");
        let budgets = line("  {msg:.dim}");
        Self { screen, progress, facts, budgets }
    }
}

impl Stage for Live {
    fn say(&mut self, text: &str) {
        // The screen is gone only with the terminal.
        let _ = self.screen.println(format!("• {text}"));
    }

    fn show(&mut self, view: &View) {
        let ended = ended(view);
        self.progress.set_length(view.expected);
        self.progress.set_position(ended.min(view.expected));
        self.progress.set_message(format!("{:.0} s", view.elapsed.as_secs_f64()));
        self.facts.set_message(facts(view));
        self.budgets.set_message(budgets(view));
    }

    fn curtain(&mut self) {
        for bar in [&self.progress, &self.facts, &self.budgets] {
            bar.finish_and_clear();
        }
    }
}

fn ended(view: &View) -> u64 {
    let counts = &view.counts;
    counts.mitigated + counts.compliant + counts.observed + counts.suppressed
}

/// The busiest operations: calls per second so far, of those that the budget allows.
fn budgets(view: &View) -> String {
    let seconds = view.elapsed.as_secs_f64().max(0.1);
    let mut busiest: Vec<_> = view.budgets.iter().collect();
    busiest.sort_by_key(|(_, usage)| std::cmp::Reverse(usage.taken));
    let busiest = busiest.into_iter().take(4).map(|(operation, usage)| {
        let rate = usage.taken as f64 / seconds;
        format!("{operation} {rate:.0}/s of {:.0}", usage.per_second)
    });
    format!("budgets: {}", busiest.collect::<Vec<_>>().join(" · "))
}

fn facts(view: &View) -> String {
    let counts = &view.counts;
    format!(
        "received {} · duplicates {} · mitigated {} · compliant {} · observed {} · held {} · dead {} · in the queue {}",
        counts.received,
        counts.duplicates,
        counts.mitigated,
        counts.compliant,
        counts.observed,
        counts.held,
        counts.dead,
        view.depth.visible + view.depth.in_flight
    )
}
