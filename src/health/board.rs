//! What is known of this process, and the verdicts on it.

use crate::clock::Clock;
use crate::worker::{Health, Vitals};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// An answer: a line for people, and whether it is a good one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether all is well.
    pub well: bool,
    /// Why, on one line.
    pub words: String,
}

impl Verdict {
    fn good(words: &str) -> Self {
        Self { well: true, words: words.to_owned() }
    }

    fn bad(words: String) -> Self {
        // What AWS says may have line breaks.
        Self { well: false, words: words.split_whitespace().collect::<Vec<_>>().join(" ") }
    }
}

/// Where the process says how far it is, and the listener reads it. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Board {
    stage: Arc<Mutex<Stage>>,
    clock: Clock,
}

#[derive(Debug)]
enum Stage {
    Starting(&'static str),
    /// To the end: a worker that was told to stop drains.
    Working(Arc<Vitals>),
}

impl Board {
    /// Of a process that starts, and does `what` first.
    pub fn new(clock: Clock, what: &'static str) -> Self {
        Self { stage: Arc::new(Mutex::new(Stage::Starting(what))), clock }
    }

    /// It still starts, and does this now.
    pub fn starting(&self, what: &'static str) {
        self.set(Stage::Starting(what));
    }

    /// Its worker runs.
    pub fn working(&self, vitals: Arc<Vitals>) {
        self.set(Stage::Working(vitals));
    }

    fn set(&self, stage: Stage) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    fn vitals(&self) -> Result<Arc<Vitals>, &'static str> {
        match &*self.stage.lock().unwrap_or_else(PoisonError::into_inner) {
            Stage::Starting(what) => Err(what),
            Stage::Working(vitals) => Ok(Arc::clone(vitals)),
        }
    }

    /// Whether the process does its work. One that starts is alive: each of its checks has a timeout.
    pub fn alive(&self) -> Verdict {
        let stuck = self.vitals().ok().and_then(|vitals| vitals.stuck());
        stuck.map_or_else(|| Verdict::good("ok"), Verdict::bad)
    }

    /// Whether it takes on work.
    pub fn ready(&self) -> Verdict {
        let vitals = match self.vitals() {
            Ok(vitals) => vitals,
            Err(what) => return Verdict::bad(format!("starting: {what}")),
        };
        if let Some(stuck) = vitals.stuck() {
            return Verdict::bad(stuck);
        }
        if vitals.is_draining() {
            return Verdict::bad("draining: it was told to stop, and finishes or gives back what it has".to_owned());
        }
        match vitals.breaker.health() {
            Health::Well => Verdict::good("ready"),
            Health::Broken { reason, until } => self.paused(&reason, until.saturating_duration_since(Instant::now())),
        }
    }

    fn paused(&self, reason: &str, left: Duration) -> Verdict {
        if left.is_zero() {
            return Verdict::bad(format!("breaker open: {reason}; a message a second is tried"));
        }
        let until = self.clock.now().checked_add(left).unwrap_or(jiff::Timestamp::MAX).strftime("%H:%M:%S");
        let seconds = left.as_secs_f64().ceil();
        Verdict::bad(format!("breaker open: {reason}; nothing is received until {until} UTC, in {seconds} s"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> Board {
        Board::new(Clock::virtual_at("2026-11-22T12:00:00Z".parse().unwrap()), "checking the deployment")
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_starts_is_alive_and_not_ready_and_says_what_it_does() {
        let board = board();
        assert_eq!(board.alive(), Verdict::good("ok"));
        assert_eq!(board.ready(), Verdict::bad("starting: checking the deployment".into()));
        board.starting("reading quotas");
        assert_eq!(board.ready().words, "starting: reading quotas");
        board.working(Arc::new(Vitals::new(Arc::default())));
        assert_eq!((board.alive(), board.ready()), (Verdict::good("ok"), Verdict::good("ready")));
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_breaker_is_told_on_one_line_with_its_reason_and_when_it_is_tried_again() {
        let board = board();
        let paused = board.paused("failed to Receive:\n  no permission", Duration::from_millis(4_300));
        let words = "breaker open: failed to Receive: no permission; nothing is received until 12:00:04 UTC, in 5 s";
        assert_eq!(paused, Verdict { well: false, words: words.into() });
        assert!(board.paused("denied", Duration::ZERO).words.ends_with("denied; a message a second is tried"));
    }
}
