//! `status --watch`: the same look again and again, in place on a terminal, one after the other elsewhere.

use super::super::{CliError, OutputFormat, print};
use super::document::document;
use super::look::{Counted, Look, Place};
use super::screen::{screen, time_of_day};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// Counting the ledger reads all of it, which costs money and takes its time: it may take a tenth of the time, so that the pause after
/// it is nine times as long as it took. A page of 1 MB is 128 read units and takes some 50 ms; a tenth of the time is then 256 units a
/// second, 12 US cents an hour.
const PAUSE: u32 = 9;

/// A small ledger is counted no more often than this.
const SHORTEST_PAUSE: Duration = Duration::from_secs(10);

/// Looks until a signal.
///
/// # Errors
///
/// Failed: signals cannot be heard. A look that fails is shown, and is no end.
pub(super) async fn watch(place: &Place, every: Duration, output: OutputFormat) -> Result<(), CliError> {
    let failed = |error: std::io::Error| CliError::Failed(format!("cannot listen for signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut view = View::new(place, every, output);
    tokio::select! {
        biased;
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = again(place, every, &mut view) => {}
    }
    view.end();
    Ok(())
}

/// Looks until nobody reads any more: `| head` has what it wants.
async fn again(place: &Place, every: Duration, view: &mut View<'_>) {
    let mut counting = Counting::new(place);
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let look = place.look().await;
        // The first look has the findings, too, if they are counted soon.
        counting.proceed(if counting.last.is_none() { every } else { Duration::ZERO }).await;
        if !view.show(look, &counting) {
            return;
        }
    }
}

/// The ledger, counted in the background.
struct Counting<'a> {
    place: &'a Place,
    task: Option<JoinHandle<Result<Counted, CliError>>>,
    next: Instant,
    last: Option<Counted>,
    problem: Option<CliError>,
}

impl<'a> Counting<'a> {
    fn new(place: &'a Place) -> Self {
        Self { place, task: None, next: Instant::now(), last: None, problem: None }
    }

    /// Begins if it is time, and takes the result if it comes within `patience`.
    async fn proceed(&mut self, patience: Duration) {
        if self.task.is_none() && Instant::now() >= self.next {
            let place = self.place.clone();
            self.task = Some(tokio::spawn(async move { place.count().await }));
        }
        let Some(task) = &mut self.task else { return };
        let Ok(result) = timeout(patience, task).await else { return };
        self.task = None;
        let counted = result.unwrap_or_else(|error| Err(CliError::Failed(format!("the count ended: {error}"))));
        let took = match counted {
            Ok(counted) => {
                let took = counted.took;
                (self.last, self.problem) = (Some(counted), None);
                took
            }
            Err(error) => {
                self.problem = Some(error);
                Duration::ZERO
            }
        };
        self.next = Instant::now() + pause(took);
    }
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

fn pause(took: Duration) -> Duration {
    took.saturating_mul(PAUSE).max(SHORTEST_PAUSE)
}

/// Where it is shown.
struct View<'a> {
    place: &'a Place,
    every: Duration,
    kind: Kind,
    /// The tables of the last look that succeeded, and when that was, milliseconds since the epoch.
    last: Option<(String, i64)>,
}

enum Kind {
    /// A terminal, where the next screen replaces the one before; the library leaves out what does not fit on it.
    InPlace(ProgressBar),
    /// A file or a pipe: one after the other.
    Blocks,
    /// A JSON document on a line, one after the other.
    Lines,
}

impl<'a> View<'a> {
    fn new(place: &'a Place, every: Duration, output: OutputFormat) -> Self {
        let target = ProgressDrawTarget::stdout();
        let kind = match output {
            OutputFormat::Json => Kind::Lines,
            OutputFormat::Table if target.is_hidden() => Kind::Blocks,
            OutputFormat::Table => {
                let bar = ProgressBar::with_draw_target(None, target);
                bar.set_style(
                    ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
                );
                Kind::InPlace(bar)
            }
        };
        Self { place, every, kind, last: None }
    }

    /// Whether anybody still reads.
    fn show(&mut self, look: Result<Look, CliError>, counting: &Counting<'_>) -> bool {
        let counted = counting.last.as_ref();
        let now = self.place.clock.now();
        if let Kind::Lines = self.kind {
            let missing = look.as_ref().map_or_else(|error| Some(error.to_string()), |look| look.problem.clone());
            let problem = missing.or_else(|| counting.problem.as_ref().map(ToString::to_string));
            let mut line = match &look {
                Ok(look) => document(look, counted),
                Err(_) => json!({ "at": now.to_string() }),
            };
            line["error"] = json!(problem);
            return print::line_read(&line.to_string());
        }
        let table = print::table(&[]);
        let width = table.width().map(usize::from);
        let mut head = format!(
            "{} UTC, {}, table {}; every {} s",
            now.strftime("%Y-%m-%d %H:%M:%S"),
            self.place.clients.region,
            self.place.ledger.table(),
            self.every.as_secs()
        );
        match look {
            Ok(look) => {
                if let Some(problem) = &look.problem {
                    head.push_str(&format!("\nNOT READ: {problem}\n"));
                }
                self.last = Some((screen(&look, counted, width) + "\n" + &age(counting), look.at));
            }
            Err(error) => {
                let since = self.last.as_ref().map(|(_, at)| format!(" since {} UTC", time_of_day(*at)));
                head.push_str(&format!("\nNOT REFRESHED{}: {error}\n", since.unwrap_or_default()));
            }
        }
        let shown = self.last.as_ref().map_or("", |(shown, _)| shown);
        let text = format!("{head}\n{shown}");
        match &self.kind {
            Kind::InPlace(bar) => {
                bar.set_message(print::harmless(text.trim_end()).into_owned());
                true
            }
            Kind::Blocks | Kind::Lines => print::line_read(&text),
        }
    }

    /// What was shown last stays on the terminal, with the cursor below it.
    fn end(self) {
        if let Kind::InPlace(bar) = self.kind {
            bar.abandon();
            print::line("");
        }
    }
}

/// How old the count is, and when there will be another.
fn age(counting: &Counting<'_>) -> String {
    let counted = match &counting.last {
        None => "findings: being counted".to_owned(),
        Some(counted) => format!(
            "findings counted at {} UTC, which took {:.1} s: again after {} s",
            time_of_day(counted.at),
            counted.took.as_secs_f64(),
            pause(counted.took).as_secs()
        ),
    };
    match &counting.problem {
        None => counted,
        Some(problem) => format!("{counted}\nNOT COUNTED: {problem}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_takes_a_tenth_of_the_time_at_most() {
        for seconds in [0, 1, 2, 60] {
            let took = Duration::from_secs(seconds);
            let pause = pause(took);
            assert!(pause >= SHORTEST_PAUSE && took * 10 <= pause + took, "{took:?}: {pause:?}");
        }
    }
}
