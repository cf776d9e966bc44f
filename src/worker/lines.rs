//! Who may start now: findings whose calls the budgets can serve soon. The others are given back until their turn is nearer, so that
//! what waits for one operation never holds up what waits for another.

use super::config::WorkerConfig;
use crate::budget::{Budgets, Operation};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Soon is this part of a lease: 7.5 s of the usual minute. Long enough that a line seldom runs dry while its findings come back from
/// the queue (see [`Lines::join`]), short enough that a claim is over before it has to be renewed. Time spent waiting for a call that
/// other lines need too is not allowed for: findings that name no audit, which are authenticated one by one, and rules that ask for
/// thing groups have such calls, and their lines use less of their budgets.
pub(super) const SOON: u32 = 8;

/// A line that was empty opens with what its budget serves in two seconds; with each that leaves, one more may enter. When a thousand
/// findings meet twenty idle workers, none of which knows yet that it will get a twentieth of the budget of 8/s, they take 320 of them
/// in hand then and not 1,200, most of which would give up waiting a minute later.
const OPENING: f64 = 2.0;

/// Over how long it is counted how many findings leave a line.
const MEMORY: Duration = Duration::from_secs(10);

/// No message is parked for longer. It bounds what a wrong prediction costs: were the rate cut to a tenth for a minute, what was
/// parked in that minute would otherwise be away for many more while the budget, whole again, lies idle. A backlog of 100,000
/// certificates at 8/s lasts 3.5 h, so that its last message is received some 120 times, of the 1,000 that the queue allows.
const LONGEST: Duration = Duration::from_secs(120);

/// A wait that is predicted from this worker's share of a budget is believed up to so many times as long as the line has been full:
/// nobody is away for more than twice that time. A share is told by the last seconds, and the first one badly: of four workers that
/// start at once, each sees the others on the whole timeline, takes its share for a fiftieth, and would send a backlog of half a
/// minute away for two. What is received in these seconds is received once or twice more.
const BELIEVED: u32 = 4;

/// No message is parked for less: a line that is empty within a second is full again as soon as it is received.
const SHORTEST: Duration = Duration::from_secs(1);

/// Messages parked for want of budget, by one worker, from which on it polls slowly. A queue holds at most 120,000 messages in flight,
/// parked ones included; beyond that nobody receives anything, whatever its budget. Twenty workers with 5,000 each stay below.
const CROWD: usize = 5_000;

/// The findings of one worker, by the operation whose budget is smallest of those they need.
#[derive(Debug)]
pub(super) struct Lines {
    budgets: Arc<Budgets>,
    soon: Duration,
    lines: Shared,
    /// `None` is for work that no budget limits.
    permits: BTreeMap<Option<Operation>, Semaphore>,
}

type Shared = Arc<Mutex<BTreeMap<Operation, Line>>>;

#[derive(Debug, Default)]
struct Line {
    in_hand: usize,
    /// How many may be in hand, if the budget serves them soon.
    open: usize,
    left: Left,
    away: Away,
    /// Since when somebody is always in hand or away.
    full_since: Option<Instant>,
}

/// A place in line; it counts for those behind it until it is dropped.
#[derive(Debug)]
pub(super) struct Place(Option<(Operation, Shared)>);

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((operation, lines)) = &self.0
            && let Some(line) = lock(lines).get_mut(operation)
        {
            line.in_hand -= 1;
            line.open += 1;
            line.left.one(Instant::now());
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
        let lines = Operation::ALL.iter().copied().map(Some).chain([None]);
        Self {
            budgets,
            soon: config.lease / SOON,
            lines: Shared::default(),
            permits: lines.map(|line| (line, Semaphore::new(config.concurrency))).collect(),
        }
    }

    /// Takes a place for work that will make these calls, unless it would wait for longer than soon: a line holds what its budget, or
    /// this worker's share of it, serves in that time. At 8/s there are 60 certificates in hand, whatever the backlog. A line whose budget
    /// serves all that a worker may hold that soon is served in the order of the queue: nobody is sent away for it.
    ///
    /// Who finds the line full comes back after a **quarter to a half** of the predicted wait. Of n messages before it, sent away one
    /// after the other, the k-th then comes back before k / (2 x rate): more than twice as many come back as are served, so that the
    /// budget is used whole although the prediction is rough (some of those before it are duplicates, some are parked by other
    /// workers). Those who find the line full once more are sent away in the same manner, each time for a part of what is left: a
    /// message is received about log(wait / soon) / log(1.6) times, the last of 2,000 certificates 7 times. Evenly spread over that
    /// quarter, they leave no gap between those who come back for the first time, the second time, and so on.
    ///
    /// `jitter` gives a random part of the duration that it is given.
    pub fn join(&self, calls: &[Operation], jitter: impl FnOnce(Duration) -> Duration) -> Result<Place, TooLong> {
        // Of equal ones the last: what is written rather than what is read before.
        let smaller =
            |one: &Operation, other: &Operation| self.budgets.budget(*other).total_cmp(&self.budgets.budget(*one));
        let Some(operation) = calls.iter().copied().max_by(smaller) else { return Ok(Place(None)) };
        let now = Instant::now();
        let rate = self.budgets.rate(operation);
        let mut lines = lock(&self.lines);
        let line = lines.entry(operation).or_default();
        let left = line.left.rate(now).unwrap_or(0.0);
        // The better of two guesses: a share varies from second to second, and a line that few entered tells little. Who comes back too
        // early is received once more, who is away for too long leaves a budget unused.
        let best = rate.max(left).max(0.001);
        let served_soon = ((best * self.soon.as_secs_f64()) as usize).max(1);
        if line.in_hand == 0 {
            line.open = ((best * OPENING) as usize).max(1);
            line.full_since = line.full_since.filter(|_| line.away.count(now) > 0);
        }
        if line.in_hand < served_soon.min(line.open) {
            line.in_hand += 1;
            return Ok(Place(Some((operation, Arc::clone(&self.lines)))));
        }
        let before = line.in_hand + line.away.count(now);
        let full = now - *line.full_since.get_or_insert(now);
        // Nobody is served sooner than by the whole budget: that is no guess.
        let certain = before as f64 / self.budgets.budget(operation);
        let wait = (before as f64 / best).min(certain.max((full * BELIEVED).as_secs_f64()));
        let half = Duration::from_secs_f64((wait / 2.0).min(LONGEST.as_secs_f64()));
        let back_in = (half / 2 + jitter(half / 2)).max(SHORTEST);
        line.away.add(now, now + back_in);
        Err(TooLong { operation, back_in })
    }

    /// The findings that may be worked on at a time in the line of this place. A permit of its own for each line: those who wait for a
    /// slot of one operation keep nobody from another.
    pub fn permits(&self, place: &Place) -> Option<&Semaphore> {
        self.permits.get(&place.0.as_ref().map(|(operation, _)| *operation))
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

/// How many findings left a line, each forgotten over [`MEMORY`].
#[derive(Debug, Default)]
struct Left {
    since: Option<Instant>,
    count: f64,
    at: Option<Instant>,
}

impl Left {
    fn one(&mut self, now: Instant) {
        // A line that stood empty for long begins anew.
        if self.at.is_none_or(|at| now - at > MEMORY) {
            (self.since, self.count) = (Some(now), 0.0);
        }
        (self.count, self.at) = (self.remembered(now) + 1.0, Some(now));
    }

    fn remembered(&self, now: Instant) -> f64 {
        let passed = self.at.map_or(0.0, |at| (now - at).as_secs_f64());
        self.count * (-passed / MEMORY.as_secs_f64()).exp()
    }

    /// Findings a second; unknown until it has been counted for a second.
    fn rate(&self, now: Instant) -> Option<f64> {
        let counted = (now - self.since?).as_secs_f64();
        let window = MEMORY.as_secs_f64() * (1.0 - (-counted / MEMORY.as_secs_f64()).exp());
        (counted >= 1.0).then(|| self.remembered(now) / window)
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
    use crate::budget::{BudgetConfig, Fleet};
    use crate::clock::Clock;
    use crate::finding::Origin;
    use crate::ledger::MemoryLedger;
    use Operation::{AddThingToThingGroup, DescribeAuditFinding, UpdateCertificate};

    const LEASE: Duration = Duration::from_secs(60);

    /// `UpdateCertificate` 8/s, `DescribeAuditFinding` 20/s, `AddThingToThingGroup` 80/s.
    fn lines() -> Lines {
        with(&BudgetConfig::default())
    }

    fn with(budgets: &BudgetConfig) -> Lines {
        Lines::new(Arc::new(Budgets::new(budgets)), &config())
    }

    fn config() -> WorkerConfig {
        WorkerConfig { lease: LEASE, concurrency: 4, ..WorkerConfig::new("w", Origin::default()) }
    }

    fn middle(most: Duration) -> Duration {
        most / 2
    }

    /// Joins until the line is full, after so many came and went that it is open to its full length.
    fn fill(lines: &Lines, calls: &[Operation]) -> Vec<Place> {
        let mut places: Vec<_> = lines.join(calls, middle).into_iter().collect();
        for _ in 0..100 {
            drop(lines.join(calls, middle));
        }
        places.extend(std::iter::from_fn(|| lines.join(calls, middle).ok()));
        places
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_is_as_long_as_its_budget_serves_within_an_eighth_of_a_lease_and_others_are_open_beside_it() {
        let lines = lines();
        let certificates = fill(&lines, &[DescribeAuditFinding, UpdateCertificate]);
        assert_eq!(certificates.len(), 60);
        assert!(lines.join(&[DescribeAuditFinding, AddThingToThingGroup], middle).is_ok());
        assert!(lines.join(&[], middle).is_ok());
        drop(certificates);
        assert_eq!(fill(&lines, &[UpdateCertificate]).len(), 60, "places that were left are free again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_moves_faster_than_its_share_says_is_as_long_as_it_moves() {
        let lines = lines();
        let mut places: Vec<_> = (0..8).map(|_| lines.join(&[UpdateCertificate], middle).unwrap()).collect();
        for _ in 0..400 {
            tokio::time::advance(Duration::from_millis(50)).await;
            places.pop();
            places.push(lines.join(&[UpdateCertificate], middle).unwrap());
        }
        places.extend(std::iter::from_fn(|| lines.join(&[UpdateCertificate], middle).ok()));
        assert!((140..=151).contains(&places.len()), "20 a second for 7.5 s, not {}", places.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_of_a_call_in_minutes_takes_one_finding_at_a_time_and_not_none() {
        let quotas = [(UpdateCertificate, 0.01)].into();
        let lines = with(&BudgetConfig { quotas, ..BudgetConfig::default() });
        let first = lines.join(&[UpdateCertificate], middle).unwrap();
        let refused = lines.join(&[UpdateCertificate], middle).unwrap_err();
        assert_eq!(refused.back_in, Duration::from_millis(46_875), "three eighths of 125 s");
        drop(first);
        assert!(lines.join(&[UpdateCertificate], middle).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_the_line_too_long_comes_back_before_half_the_wait_is_over_and_those_who_are_away_count() {
        let lines = lines();
        let _full = fill(&lines, &[UpdateCertificate]);
        let away = || lines.join(&[UpdateCertificate], middle).unwrap_err().back_in.as_secs_f64();
        // `fill` was sent away itself, as the first.
        let waits: Vec<f64> = (1..=1600).map(|_| away()).collect();
        assert!((waits[0] - 61.0 / 16.0 * 0.75).abs() < 0.01, "{}", waits[0]);
        assert!((waits[1599] - 1660.0 / 16.0 * 0.75).abs() < 0.01, "{}", waits[1599]);
        tokio::time::advance(Duration::from_secs(110)).await;
        assert!((away() - 60.0 / 16.0 * 0.75).abs() < 0.01, "all of them are back");
    }

    /// Bug: a worker that had just started took what it saw of the others for its share for good, and was done minutes after them.
    #[tokio::test(start_paused = true)]
    async fn who_sees_the_others_on_the_whole_timeline_sends_nobody_away_for_longer_than_twice_as_long_as_the_line_was_full()
     {
        let timelines = Arc::new(MemoryLedger::new());
        let clock = Clock::virtual_at("2026-11-22T12:00:00Z".parse().unwrap());
        let join_the_fleet = |seed| {
            let (timelines, telemetry) = (Arc::clone(&timelines), Arc::default());
            let fleet = Fleet { timelines, region: "us-east-1".into(), clock: clock.clone(), telemetry, seed };
            Arc::new(Budgets::shared(&BudgetConfig::default(), &fleet))
        };
        let (others, own) = (join_the_fleet(1), join_the_fleet(2));
        // The others have just reserved the second that follows when this worker first looks.
        for (budgets, for_ms) in [(others, 1250), (Arc::clone(&own), 1000)] {
            for _ in 0..100 {
                let budgets = Arc::clone(&budgets);
                tokio::spawn(async move { budgets.slot(UpdateCertificate).await });
            }
            tokio::time::sleep(Duration::from_millis(for_ms)).await;
        }
        assert!(own.rate(UpdateCertificate) < 1.0, "{} of 8 are left to it", own.rate(UpdateCertificate));
        let lines = Lines::new(own, &config());
        let _full = lines.join(&[UpdateCertificate], middle).unwrap();
        let away = || (0..800).map(|_| lines.join(&[UpdateCertificate], |most| most).unwrap_err().back_in).max();
        assert_eq!(away(), Some(Duration::from_secs(50)), "half of what the whole budget takes for 800");
        tokio::time::advance(Duration::from_secs(55)).await;
        assert_eq!(away(), Some(Duration::from_secs(110)));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_away_for_more_than_two_minutes() {
        let lines = lines();
        let _full = fill(&lines, &[UpdateCertificate]);
        let most = (0..20_000).map(|_| lines.join(&[UpdateCertificate], |most| most).unwrap_err().back_in).max();
        assert_eq!(most, Some(LONGEST));
    }

    #[tokio::test(start_paused = true)]
    async fn thousands_that_are_away_are_a_crowd_until_they_are_back() {
        let lines = lines();
        let _full = fill(&lines, &[UpdateCertificate]);
        for _ in 1..CROWD {
            assert!(!lines.is_crowded());
            lines.join(&[UpdateCertificate], middle).unwrap_err();
        }
        assert!(lines.is_crowded());
        tokio::time::advance(LONGEST * 2).await;
        assert!(!lines.is_crowded());
    }

    #[tokio::test(start_paused = true)]
    async fn each_line_has_its_own_permits_and_a_place_is_in_the_line_of_its_slowest_call() {
        let lines = lines();
        let certificate = lines.join(&[DescribeAuditFinding, UpdateCertificate], middle).unwrap();
        let group = lines.join(&[DescribeAuditFinding, AddThingToThingGroup], middle).unwrap();
        let record = lines.join(&[], middle).unwrap();
        let _all = lines.permits(&certificate).unwrap().try_acquire_many(4).unwrap();
        assert!(lines.permits(&certificate).unwrap().try_acquire().is_err());
        for other in [group, record] {
            assert_eq!(lines.permits(&other).unwrap().available_permits(), 4);
        }
    }
}
