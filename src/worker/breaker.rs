//! P7: a broken account stops the line, not the queue.

use super::signal::Signal;
use crate::aws::{CallError, Class};
use crate::telemetry::Telemetry;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(300);

/// How long nothing may go wrong, with work being taken on, before all is taken to be well: a message whose delete was denied
/// comes back after a visibility timeout of a minute, so that it would be denied twice in this time.
const QUIET: Duration = Duration::from_secs(120);

/// Between two messages that are taken on as probes once the pause is over. A verdict on AWS IoT takes four tries, some two
/// seconds: each probe costs an account in trouble two or three messages.
const TRICKLE: Duration = Duration::from_secs(1);

/// Ledger calls that fail in a row, none answered between them, before the ledger is taken to be out of reach. The SDK repeated each
/// of them already.
const LEDGER_ROW: u32 = 3;

/// Different findings that AWS IoT fails in a row, no mitigation between them, before that is taken for an outage and not for their
/// own fault. A finding that fails alone, however often, counts once.
const IOT_ROW: usize = 20;

/// Whether this worker may take on work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Yes.
    Well,
    /// No, and why; receiving resumes at `until`, with a message a second as a probe.
    Broken {
        /// What the account said.
        reason: String,
        /// When it is tried again.
        until: Instant,
    },
}

/// What a worker depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dependency {
    /// Findings or dead letters.
    Queue,
    Ledger,
    Iot,
}

/// Opens on the first denied call, when the ledger cannot be reached, and when AWS IoT fails one finding after the other, for 5 s
/// doubling to 5 min; then lets a message a second through. Closes when that shows that all is well again.
#[derive(Debug)]
pub struct Breaker {
    state: Signal<State>,
    rows: Mutex<Rows>,
    telemetry: Arc<Telemetry>,
}

#[derive(Debug)]
struct State {
    health: Health,
    pause: Duration,
    cause: Cause,
    opened: Instant,
    /// When the next message may be taken on while it is open.
    next_probe: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Denied(Dependency),
    /// Nothing was refused, there was no answer.
    Outage(Dependency),
}

/// Failures since the last success.
#[derive(Debug, Default)]
struct Rows {
    ledger: u32,
    iot: BTreeSet<String>,
}

impl State {
    fn well() -> Self {
        let now = Instant::now();
        let cause = Cause::Denied(Dependency::Queue);
        Self { health: Health::Well, pause: SHORTEST, cause, opened: now, next_probe: now }
    }

    fn is_quiet(&self, now: Instant) -> bool {
        matches!(&self.health, Health::Broken { until, .. } if *until + QUIET <= now)
    }

    fn is_paused(&self, now: Instant) -> bool {
        matches!(&self.health, Health::Broken { until, .. } if *until > now)
    }
}

impl Breaker {
    /// Closed.
    pub fn new(telemetry: Arc<Telemetry>) -> Self {
        Self { state: Signal::new(State::well()), rows: Mutex::default(), telemetry }
    }

    /// How it stands.
    pub fn health(&self) -> Health {
        self.state.look().health.clone()
    }

    /// What was denied, if that is why it is open: that will not pass by itself, as outages do.
    pub(super) fn refusal(&self) -> Option<String> {
        match &*self.state.look() {
            State { health: Health::Broken { reason, .. }, cause: Cause::Denied(_), .. } => Some(reason.clone()),
            _ => None,
        }
    }

    /// Whether it is open, be it that a message a second goes through.
    pub(super) fn is_open(&self) -> bool {
        self.state.look().health != Health::Well
    }

    /// Returns when it is open (`false`: was closed) or closed (`true`: was open).
    pub(super) async fn turned(&self, was_open: bool) {
        self.state.wait_for(|state| (state.health != Health::Well) != was_open).await;
    }

    /// Whether nothing at all may be begun.
    pub(super) fn is_paused(&self) -> bool {
        self.state.look().is_paused(Instant::now())
    }

    /// Returns when nothing may be begun any more.
    pub(super) async fn paused(&self) {
        self.state.wait_for(|state| state.is_paused(Instant::now())).await;
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call failed. If it was denied, there is no point in making more of them.
    pub(super) fn met(&self, on: Dependency, error: &CallError) {
        if error.class == Class::Denied {
            self.trip(Cause::Denied(on), &format!("failed to {error}"));
        }
    }

    /// A whole call to the ledger had no answer.
    pub(super) fn ledger_failed(&self, error: &CallError) {
        let row = {
            let mut rows = self.rows();
            rows.ledger = rows.ledger.saturating_add(1);
            rows.ledger
        };
        let cause = Cause::Outage(Dependency::Ledger);
        if row >= LEDGER_ROW || self.probes(cause) {
            self.trip(
                cause,
                &format!("the ledger cannot be reached: {row} calls in a row failed, the last to {error}"),
            );
        }
    }

    /// The ledger answered a call that was made at `asked`.
    pub(super) fn ledger_answered(&self, asked: Instant) {
        self.rows().ledger = 0;
        // What held back while it was away may go on at once; an answer to an older call says nothing.
        self.close_if(|state| state.cause == Cause::Outage(Dependency::Ledger) && state.opened < asked);
    }

    /// AWS IoT failed the finding of this key for no reason of the finding's own.
    pub(super) fn iot_failed(&self, key: &str, error: &CallError) {
        let row = {
            let mut rows = self.rows();
            if rows.iot.len() < IOT_ROW {
                rows.iot.insert(key.to_owned());
            }
            rows.iot.len()
        };
        let cause = Cause::Outage(Dependency::Iot);
        if row >= IOT_ROW || self.probes(cause) {
            let reason = format!("AWS IoT does not serve: {row} or more findings in a row failed, the last to {error}");
            self.trip(cause, &reason);
        }
    }

    /// Whether it is open for this cause: then one more failure is enough.
    fn probes(&self, cause: Cause) -> bool {
        let state = self.state.look();
        state.health != Health::Well && state.cause == cause
    }

    /// While it is paused, further failures of work already under way change nothing.
    fn trip(&self, cause: Cause, reason: &str) {
        let now = Instant::now();
        self.state.change(|state| {
            if state.is_paused(now) {
                return false;
            }
            let (pause, until) = (state.pause, now + state.pause);
            *state = State {
                health: Health::Broken { reason: reason.to_owned(), until },
                pause: (pause * 2).min(LONGEST),
                cause,
                opened: now,
                next_probe: until,
            };
            self.telemetry.breaker_opened(reason, pause.as_secs());
            true
        });
    }

    /// A finding was mitigated, or found to need nothing: ledger and AWS IoT work.
    pub(super) fn succeeded(&self) {
        self.rows().iot.clear();
        // While it is paused, successes are those of work begun before.
        self.close_if(|state| !state.is_paused(Instant::now()));
    }

    /// A finding came to its end on record, which says nothing about AWS IoT.
    pub(super) fn recorded(&self) {
        let about_iot = |cause| matches!(cause, Cause::Denied(Dependency::Iot) | Cause::Outage(Dependency::Iot));
        self.close_if(|state| !about_iot(state.cause) && !state.is_paused(Instant::now()));
    }

    /// The queue was polled without trouble. That alone says little, but a worker that only observes, or whose queue is empty, has
    /// no other success to show.
    pub(super) fn polled(&self) {
        self.close_if(|state| state.is_quiet(Instant::now()));
    }

    fn close_if(&self, well: impl FnOnce(&State) -> bool) {
        self.state.change(|state| {
            let over = state.health != Health::Well && well(state);
            if over {
                *state = State::well();
                self.telemetry.breaker_closed();
            }
            over
        });
    }

    /// Returns when messages may be received, and how many: any number, or one as a probe when the pause is over. `None` if `stop`
    /// came first.
    pub(super) async fn may_receive(&self, stop: &CancellationToken) -> Option<usize> {
        loop {
            if stop.is_cancelled() {
                return None;
            }
            let changed = self.state.changed();
            let at = match self.try_receive() {
                Ok(most) => return Some(most),
                Err(at) => at,
            };
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(at) => {}
                () = changed => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// How many messages may be received, or when to ask again.
    fn try_receive(&self) -> Result<usize, Instant> {
        let now = Instant::now();
        let mut answer = Ok(usize::MAX);
        self.state.change(|state| {
            if state.health != Health::Well {
                answer = if state.next_probe <= now { Ok(1) } else { Err(state.next_probe) };
                if answer.is_ok() {
                    state.next_probe = now + TRICKLE;
                }
            }
            // Only those who wait for a probe would care, and they wait for their time.
            false
        });
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(class: Class, message: &str) -> CallError {
        CallError::new(class, "ReceiveMessage", message)
    }

    fn denied(message: &str) -> CallError {
        error(Class::Denied, message)
    }

    #[tokio::test(start_paused = true)]
    async fn a_breaker_opens_longer_each_time_and_closes_on_the_first_success_after_the_pause() {
        let breaker = Breaker::new(Arc::default());
        let stop = CancellationToken::new();
        let started = Instant::now();
        breaker.met(Dependency::Queue, &denied("denied"));
        breaker.met(Dependency::Queue, &denied("denied again while open"));
        breaker.succeeded();
        assert!(matches!(breaker.health(), Health::Broken { .. }));
        assert_eq!(breaker.may_receive(&stop).await, Some(1));
        assert_eq!(started.elapsed().as_secs(), 5);
        breaker.met(Dependency::Queue, &denied("still denied"));
        assert_eq!(breaker.may_receive(&stop).await, Some(1));
        assert_eq!(started.elapsed().as_secs(), 15);
        breaker.succeeded();
        assert_eq!(breaker.health(), Health::Well);
    }

    #[tokio::test(start_paused = true)]
    async fn polls_alone_close_a_breaker_only_after_two_minutes_without_a_denial() {
        let breaker = Breaker::new(Arc::default());
        breaker.met(Dependency::Queue, &denied("denied"));
        tokio::time::advance(Duration::from_secs(124)).await;
        breaker.polled();
        assert!(matches!(breaker.health(), Health::Broken { .. }));
        tokio::time::advance(Duration::from_secs(1)).await;
        breaker.polled();
        assert_eq!(breaker.health(), Health::Well);
    }

    #[tokio::test(start_paused = true)]
    async fn three_unanswered_calls_in_a_row_put_the_ledger_out_of_reach_and_one_answer_to_a_later_call_brings_it_back()
    {
        let breaker = Breaker::new(Arc::default());
        let failure = error(Class::Transient, "connection refused");
        for _ in 0..2 {
            breaker.ledger_failed(&failure);
            breaker.ledger_failed(&failure);
            breaker.ledger_answered(Instant::now());
        }
        assert_eq!(breaker.health(), Health::Well);
        let before = Instant::now();
        (0..3).for_each(|_| breaker.ledger_failed(&failure));
        breaker.ledger_answered(before);
        assert!(matches!(breaker.health(), Health::Broken { reason, .. } if reason.contains("connection refused")));
        tokio::time::advance(Duration::from_millis(1)).await;
        breaker.ledger_answered(Instant::now());
        assert_eq!(breaker.health(), Health::Well);
    }

    #[tokio::test(start_paused = true)]
    async fn one_finding_that_fails_for_ever_is_no_outage_and_twenty_in_a_row_are() {
        let breaker = Breaker::new(Arc::default());
        let failure = error(Class::Transient, "503");
        (0..1000).for_each(|_| breaker.iot_failed("bad", &failure));
        (0..18).for_each(|n| breaker.iot_failed(&n.to_string(), &failure));
        assert_eq!(breaker.health(), Health::Well);
        breaker.succeeded();
        (0..19).for_each(|n| breaker.iot_failed(&n.to_string(), &failure));
        assert_eq!(breaker.health(), Health::Well);
        breaker.iot_failed("19", &failure);
        assert!(breaker.is_paused());
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_pause_a_message_a_second_goes_through_until_it_is_closed() {
        let breaker = Breaker::new(Arc::default());
        let (stop, started) = (CancellationToken::new(), Instant::now());
        breaker.met(Dependency::Iot, &denied("denied"));
        for second in 5..8 {
            assert_eq!(breaker.may_receive(&stop).await, Some(1));
            assert_eq!(started.elapsed().as_secs(), second);
        }
        breaker.recorded();
        assert!(breaker.is_open(), "a record says nothing about AWS IoT");
        breaker.succeeded();
        assert_eq!(breaker.may_receive(&stop).await, Some(usize::MAX));
    }
}
