//! Who may start now: findings whose calls the budgets can serve soon. The others are given back until their turn is nearer, so that
//! what waits for one operation never holds up what waits for another.

use super::config::WorkerConfig;
use crate::budget::{Booking, Budgets, Operation};
use crate::queue::BATCH;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Soon is this part of a lease: 7.5 s of the usual minute. Long enough that a line never runs dry while its findings come back from
/// the queue (they come every few hundredths of a second, see [`Lines::join`]), short enough that a claim is over before it has to be
/// renewed.
const SOON: u32 = 8;

/// One line holds at most a sixth of a worker's messages in flight, where its budget serves more than that soon. There are five kinds
/// of lines (device and CA certificates, things, policies, logging), so that all of them together leave room to receive others.
const SIXTH: usize = 6;

/// A line's room in a worker that holds very few messages.
const LEAST_ROOM: usize = 16;

/// A line that was empty opens with what its budget serves in a second, and at least with what one poll brings; with each that leaves,
/// one more may enter. When a thousand findings meet twenty idle workers, none of which knows yet that it will get a twentieth of the
/// budget, they take 200 of them in hand then and not 1,220, most of which would give up waiting a minute later.
const FIRST: usize = BATCH;

/// A rate that was higher is forgotten by half in this time. Who is sent away for too short a time is received once more, who is away
/// for too long leaves the budget unused: so the best rate of late foretells the wait.
const MEMORY: Duration = Duration::from_secs(15);

/// No message is parked for longer. It bounds what a wrong prediction costs: were the rate cut to a tenth for a minute, what was
/// parked in that minute would otherwise be away for many more while the budget, whole again, lies idle. A backlog of 100,000
/// certificates at 8/s lasts 3.5 h, so that its last message is received some 120 times, of the 1,000 that the queue allows.
const LONGEST: Duration = Duration::from_secs(120);

/// No message is parked for less: a line that its budget empties within a second is full again as soon as it is received.
const SHORTEST: Duration = Duration::from_secs(1);

/// Messages parked for want of budget, by one worker, from which on it polls slowly. A queue holds at most 120,000 messages in flight,
/// parked ones included; beyond that nobody receives anything, whatever its budget. Twenty workers with 5,000 each stay below.
const CROWD: usize = 5_000;

/// The findings of one worker, by the operation whose budget they need most of.
#[derive(Debug)]
pub(super) struct Lines {
    budgets: Arc<Budgets>,
    soon: Duration,
    room: usize,
    lines: Shared,
    /// `None` is for work that no budget limits.
    permits: BTreeMap<Option<Operation>, Semaphore>,
}

type Shared = Arc<Mutex<BTreeMap<Operation, Line>>>;

#[derive(Debug, Default)]
struct Line {
    in_hand: usize,
    /// How many may be in hand.
    open: usize,
    away: Away,
    /// The best rate of late, and when it was looked at.
    best: Option<(f64, Instant)>,
}

/// A place in line; it counts for those behind it until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    line: Option<Operation>,
    _held: Option<(Booking, Seat)>,
}

#[derive(Debug)]
struct Seat {
    operation: Operation,
    lines: Shared,
    room: usize,
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(line) = lock(&self.lines).get_mut(&self.operation) {
            line.in_hand -= 1;
            line.open = (line.open + 1).min(self.room);
        }
    }
}

fn lock(lines: &Shared) -> MutexGuard<'_, BTreeMap<Operation, Line>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A line in which a message would wait too long.
#[derive(Debug, PartialEq)]
pub(super) struct TooLong {
    pub operation: Operation,
    /// When the message is to come back.
    pub back_in: Duration,
}

impl Lines {
    /// Nobody waits yet.
    pub fn new(budgets: Arc<Budgets>, config: &WorkerConfig) -> Self {
        let lines = Operation::ALL.iter().copied();
        Self {
            budgets,
            soon: config.lease / SOON,
            room: (config.max_in_flight / SIXTH).max(LEAST_ROOM),
            lines: Shared::default(),
            permits: lines.map(Some).chain([None]).map(|line| (line, Semaphore::new(config.concurrency))).collect(),
        }
    }

    /// Takes a place for work that will make these calls, unless one of them would have to wait for longer than soon, or the line has
    /// its part of the messages in flight.
    ///
    /// At 8/s there are at most 61 certificates in hand then, whatever the backlog, and whoever is behind them waits for no place
    /// among the messages in flight.
    ///
    /// Who finds the line too long comes back after a **quarter to a half** of the predicted wait. Of n messages before it, sent away
    /// one after the other, the k-th then comes back before k / (2 x rate): more than twice as many come back as are served, so that
    /// the budget is used whole although the prediction is rough (some of those before it are duplicates, some are parked by other
    /// workers). Those who find the line too long once more are sent away in the same manner, each time for a part of what is left: a
    /// message is received about log(wait / soon) / log(1.6) times, the last of 2,000 certificates 7 times. Evenly spread over
    /// that quarter, they leave no gap between those who come back for the first time, the second time, and so on.
    ///
    /// `jitter` gives a random part of the duration that it is given.
    pub fn join(&self, calls: Vec<Operation>, jitter: impl FnOnce(Duration) -> Duration) -> Result<Place, TooLong> {
        let longest = calls.iter().copied().max_by_key(|&operation| self.wait(operation));
        if let Some(operation) = longest.filter(|&operation| self.wait(operation) > self.soon) {
            return Err(TooLong { operation, back_in: self.send_away(operation, jitter) });
        }
        let slower = |one: &Operation, other: &Operation| self.budgets.rate(*one).total_cmp(&self.budgets.rate(*other));
        let Some(operation) = calls.iter().copied().min_by(slower) else {
            return Ok(Place { line: None, _held: None });
        };
        if !self.has_room(operation) {
            return Err(TooLong { operation, back_in: self.send_away(operation, jitter) });
        }
        let seat = Seat { operation, lines: Arc::clone(&self.lines), room: self.room };
        Ok(Place { line: Some(operation), _held: Some((self.budgets.book(calls), seat)) })
    }

    /// The wait behind what is booked, at the best rate of late: what a worker gets of a shared budget varies from second to second.
    fn wait(&self, operation: Operation) -> Duration {
        let (rate, wait) = (self.budgets.rate(operation), self.budgets.wait(operation));
        let best = lock(&self.lines).entry(operation).or_default().best_rate(rate, Instant::now());
        wait.mul_f64(rate / best)
    }

    /// Takes one more finding in hand, if there is room in the line.
    fn has_room(&self, operation: Operation) -> bool {
        let mut lines = lock(&self.lines);
        let line = lines.entry(operation).or_default();
        if line.in_hand == 0 {
            line.open = (self.budgets.rate(operation) as usize).clamp(FIRST, self.room);
        }
        let room = line.in_hand < line.open;
        line.in_hand += usize::from(room);
        room
    }

    fn send_away(&self, operation: Operation, jitter: impl FnOnce(Duration) -> Duration) -> Duration {
        let now = Instant::now();
        let (rate, wait) = (self.budgets.rate(operation), self.budgets.wait(operation));
        let mut lines = lock(&self.lines);
        let line = lines.entry(operation).or_default();
        let best = line.best_rate(rate, now).max(0.001);
        let before = wait.as_secs_f64() * rate + line.away.count(now) as f64;
        let half = Duration::from_secs_f64((before / best / 2.0).min(LONGEST.as_secs_f64()));
        let back_in = (half / 2 + jitter(half / 2)).max(SHORTEST);
        line.away.add(now, now + back_in);
        back_in
    }

    /// The findings that may be worked on at a time in the line of this place. A permit of its own for each line: those who wait for a
    /// slot of one operation keep nobody from another.
    pub fn permits(&self, place: &Place) -> Option<&Semaphore> {
        self.permits.get(&place.line)
    }

    /// So much is parked for want of budget that receiving more at full speed would only fill the queue's room for messages in flight.
    ///
    /// Slow polls still find what other budgets can serve. They do not starve the crowded line: as its messages come back, the crowd
    /// is over, and polls are fast again.
    pub fn is_crowded(&self) -> bool {
        let now = Instant::now();
        lock(&self.lines).values_mut().map(|line| line.away.count(now)).sum::<usize>() >= CROWD
    }
}

impl Line {
    fn best_rate(&mut self, rate: f64, now: Instant) -> f64 {
        let before = self.best.map_or(0.0, |(best, at)| {
            let since = (now - at).as_secs_f64() / MEMORY.as_secs_f64();
            best * 0.5_f64.powf(since)
        });
        let best = rate.max(before);
        self.best = Some((best, now));
        best
    }
}

/// How many messages are parked and not back yet, by the second of their return: at most [`LONGEST`] entries.
#[derive(Debug, Default)]
struct Away {
    since: Option<Instant>,
    returns: BTreeMap<u64, usize>,
    total: usize,
}

impl Away {
    fn add(&mut self, now: Instant, back_at: Instant) {
        let since = *self.since.get_or_insert(now);
        *self.returns.entry((back_at - since).as_secs()).or_default() += 1;
        self.total += 1;
    }

    fn count(&mut self, now: Instant) -> usize {
        let now = self.since.map_or(0, |since| (now - since).as_secs());
        while let Some(back) = self.returns.first_entry().filter(|entry| *entry.key() < now) {
            self.total -= back.remove();
        }
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::BudgetConfig;
    use crate::finding::Origin;
    use Operation::{AddThingToThingGroup, DescribeAuditFinding, UpdateCertificate};

    const LEASE: Duration = Duration::from_secs(60);

    /// `UpdateCertificate` 8/s, `DescribeAuditFinding` 20/s, `AddThingToThingGroup` 80/s.
    fn lines() -> Lines {
        with(&BudgetConfig::default())
    }

    fn with(budgets: &BudgetConfig) -> Lines {
        let config = WorkerConfig {
            lease: LEASE,
            concurrency: 4,
            max_in_flight: 384,
            ..WorkerConfig::new("w", Origin::default())
        };
        Lines::new(Arc::new(Budgets::new(budgets)), &config)
    }

    fn middle(most: Duration) -> Duration {
        most / 2
    }

    /// Joins until the line is too long, after so many came and went that it is open to its full length.
    fn fill(lines: &Lines, calls: &[Operation]) -> Vec<Place> {
        let mut places = vec![lines.join(calls.to_vec(), middle).unwrap()];
        for _ in 0..100 {
            drop(lines.join(calls.to_vec(), middle).unwrap());
        }
        places.extend(std::iter::from_fn(|| lines.join(calls.to_vec(), middle).ok()));
        places
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_is_as_long_as_its_budget_serves_within_an_eighth_of_a_lease_and_others_are_open_beside_it() {
        let lines = lines();
        let certificates = fill(&lines, &[DescribeAuditFinding, UpdateCertificate]);
        assert_eq!(certificates.len(), 61);
        assert!(lines.join(vec![DescribeAuditFinding, AddThingToThingGroup], middle).is_ok());
        assert!(lines.join(Vec::new(), middle).is_ok());
        drop(certificates);
        assert_eq!(fill(&lines, &[UpdateCertificate]).len(), 61, "places that were left are free again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_is_served_fast_takes_a_sixth_of_the_messages_in_flight_and_is_tried_again_within_seconds() {
        let lines = lines();
        let groups = fill(&lines, &[AddThingToThingGroup]);
        assert_eq!(groups.len(), 64);
        let refused = lines.join(vec![AddThingToThingGroup], middle).unwrap_err();
        assert_eq!(refused, TooLong { operation: AddThingToThingGroup, back_in: SHORTEST });
        assert!(lines.join(vec![UpdateCertificate], middle).is_ok());
        drop(groups);
        assert!(lines.join(vec![AddThingToThingGroup], middle).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_line_opens_with_what_a_poll_brings_and_by_one_more_for_each_that_leaves() {
        let lines = lines();
        let join = || std::iter::from_fn(|| lines.join(vec![UpdateCertificate], middle).ok());
        let mut places: Vec<_> = join().collect();
        assert_eq!(places.len(), 10);
        places.truncate(7);
        places.extend(join());
        assert_eq!(places.len(), 13);
        places.clear();
        assert_eq!(join().collect::<Vec<_>>().len(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_of_a_call_in_minutes_takes_one_finding_at_a_time_and_not_none() {
        let quotas = [(UpdateCertificate, 0.01)].into();
        let lines = with(&BudgetConfig { quotas, ..BudgetConfig::default() });
        let first = lines.join(vec![UpdateCertificate], middle).unwrap();
        let refused = lines.join(vec![UpdateCertificate], middle).unwrap_err();
        assert_eq!(refused.back_in, Duration::from_millis(46_875), "three eighths of 125 s");
        drop(first);
        assert!(lines.join(vec![UpdateCertificate], middle).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_the_line_too_long_comes_back_before_half_the_wait_is_over_and_those_who_are_away_count() {
        let lines = lines();
        let _full = fill(&lines, &[UpdateCertificate]);
        let away = || lines.join(vec![UpdateCertificate], middle).unwrap_err().back_in.as_secs_f64();
        // `fill` was sent away itself, as the first.
        let waits: Vec<f64> = (1..=1600).map(|_| away()).collect();
        assert!((waits[0] - 62.0 / 16.0 * 0.75).abs() < 0.01, "{}", waits[0]);
        assert!((waits[1599] - 1661.0 / 16.0 * 0.75).abs() < 0.01, "{}", waits[1599]);
        tokio::time::advance(Duration::from_secs(110)).await;
        assert!((away() - 61.0 / 16.0 * 0.75).abs() < 0.01, "all of them are back");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_away_for_more_than_two_minutes() {
        let lines = lines();
        let _full = fill(&lines, &[UpdateCertificate]);
        let most = (0..20_000).map(|_| lines.join(vec![UpdateCertificate], |most| most).unwrap_err().back_in).max();
        assert_eq!(most, Some(LONGEST));
    }

    #[tokio::test(start_paused = true)]
    async fn thousands_that_are_away_are_a_crowd_until_they_are_back() {
        let lines = lines();
        let _full = fill(&lines, &[UpdateCertificate]);
        for _ in 1..CROWD {
            assert!(!lines.is_crowded());
            lines.join(vec![UpdateCertificate], middle).unwrap_err();
        }
        assert!(lines.is_crowded());
        tokio::time::advance(LONGEST * 2).await;
        assert!(!lines.is_crowded());
    }

    #[tokio::test(start_paused = true)]
    async fn each_line_has_its_own_permits_and_a_place_is_in_the_line_of_its_slowest_call() {
        let lines = lines();
        let certificate = lines.join(vec![DescribeAuditFinding, UpdateCertificate], middle).unwrap();
        let group = lines.join(vec![DescribeAuditFinding, AddThingToThingGroup], middle).unwrap();
        let record = lines.join(Vec::new(), middle).unwrap();
        let _all = lines.permits(&certificate).unwrap().try_acquire_many(4).unwrap();
        assert!(lines.permits(&certificate).unwrap().try_acquire().is_err());
        for other in [group, record] {
            assert_eq!(lines.permits(&other).unwrap().available_permits(), 4);
        }
    }
}
