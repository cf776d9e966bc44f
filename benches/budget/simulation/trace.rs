//! What a run left behind, and what is read from it.

use super::account::{Arrival, Caller};
use super::distance::Asked;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Everything that happened, as the account and the ledger saw it.
#[derive(Debug, Clone)]
pub struct Trace {
    /// Calls per second that the account allows.
    pub quota: f64,
    /// How long the run was.
    pub took: Duration,
    /// Every call in the order of its arrival.
    pub arrivals: Vec<Arrival>,
    /// Every worker by its number.
    pub workers: Vec<WorkerTrace>,
}

/// What one worker left behind.
#[derive(Debug, Clone)]
pub struct WorkerTrace {
    /// From its start to its end.
    pub lived: Range<Duration>,
    /// What it asked of the ledger, by timeline.
    pub asked: BTreeMap<String, Asked>,
}

/// The workers' calls of a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calls {
    /// All of them.
    pub all: usize,
    /// Those that were throttled.
    pub throttled: usize,
}

impl Calls {
    /// The part of them that was throttled.
    pub fn throttled_part(self) -> f64 {
        self.throttled as f64 / (self.all as f64).max(1.0)
    }
}

impl Trace {
    /// The part of the quota that the workers used over that stretch.
    pub fn used(&self, during: &Range<Duration>) -> f64 {
        let Calls { all, throttled } = self.calls(during);
        (all - throttled) as f64 / (self.quota * (during.end - during.start).as_secs_f64())
    }

    /// The workers' calls of that stretch.
    pub fn calls(&self, during: &Range<Duration>) -> Calls {
        let ours = self.within(during).filter(|arrival| arrival.caller != Caller::Outsider);
        ours.fold(Calls { all: 0, throttled: 0 }, |calls, arrival| Calls {
            all: calls.all + 1,
            throttled: calls.throttled + usize::from(!arrival.admitted),
        })
    }

    /// How many times a second, wherever it begins, held a call more than the quota: counted once for each call that was one too
    /// many less than a second after the first.
    pub fn seconds_over_quota(&self) -> usize {
        // Rounding is exact: quotas are whole calls.
        let quota = self.quota.round() as usize;
        self.arrivals.windows(quota + 1).filter(|calls| calls[quota].at - calls[0].at < SECOND).count()
    }

    /// The longest run of consecutive seconds, counted from the start of that stretch, in which less than `part` of the quota was
    /// admitted.
    pub fn longest_below(&self, part: f64, during: &Range<Duration>) -> usize {
        let enough = part * self.quota;
        let (mut run, mut longest) = (0, 0);
        let mut from = during.start;
        while from + SECOND <= during.end {
            let Calls { all, throttled } = self.calls(&(from..from + SECOND));
            run = if ((all - throttled) as f64) < enough { run + 1 } else { 0 };
            longest = longest.max(run);
            from += SECOND;
        }
        longest
    }

    /// The same, wherever the first second begins: tried at every tenth of one, the worst. What lasts 1.2 s can so touch three seconds.
    pub fn longest_below_anywhere(&self, part: f64, during: &Range<Duration>) -> usize {
        let shifted = |tenths| during.start + SECOND / 10 * tenths..during.end;
        (0..10).map(|tenths| self.longest_below(part, &shifted(tenths))).max().unwrap_or(0)
    }

    /// The longest time within that stretch in which no call arrived.
    pub fn longest_pause(&self, during: &Range<Duration>) -> Duration {
        let times: Vec<_> = self.within(during).map(|arrival| arrival.at).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(during.end - during.start)
    }

    /// How long after `moment` the first ten seconds begin in which `part` of the quota was used, in steps of a tenth of a second;
    /// `None` if there are none before the end.
    pub fn back_at(&self, part: f64, moment: Duration) -> Option<Duration> {
        (0..)
            .map(|tenths| SECOND / 10 * tenths)
            .take_while(|later| moment + *later + 10 * SECOND <= self.took)
            .find(|later| self.used(&(moment + *later..moment + *later + 10 * SECOND)) >= part)
    }

    /// The part of the workers' calls of that stretch that workers from the `first` on made.
    pub fn part_of(&self, first: usize, during: &Range<Duration>) -> f64 {
        let theirs = self
            .within(during)
            .filter(|arrival| matches!(arrival.caller, Caller::Worker(number) if number >= first))
            .count();
        theirs as f64 / (self.calls(during).all as f64).max(1.0)
    }

    /// The calls of the worker that made fewest in that stretch, as a part of what each would have made if all had made as many. Workers
    /// that did not live through the whole stretch are left out.
    pub fn least_share(&self, during: &Range<Duration>) -> f64 {
        let whole = |worker: &WorkerTrace| worker.lived.start <= during.start && worker.lived.end >= during.end;
        let living = self.workers.iter().enumerate().filter(|(_, worker)| whole(worker));
        let mut calls: BTreeMap<usize, usize> = living.map(|(number, _)| (number, 0)).collect();
        for arrival in self.within(during) {
            if let Caller::Worker(number) = arrival.caller
                && let Some(calls) = calls.get_mut(&number)
            {
                *calls += 1;
            }
        }
        let even = calls.values().sum::<usize>() as f64 / (calls.len() as f64).max(1.0);
        calls.values().min().map_or(0.0, |least| *least as f64 / even.max(1.0))
    }

    /// The part of an outsider's calls in that stretch that were throttled.
    pub fn outsider_throttled(&self, during: &Range<Duration>) -> f64 {
        let theirs: Vec<_> = self.within(during).filter(|arrival| arrival.caller == Caller::Outsider).collect();
        let throttled = theirs.iter().filter(|arrival| !arrival.admitted).count();
        throttled as f64 / (theirs.len() as f64).max(1.0)
    }

    /// How long after `moment` each of the workers had made a call; `None` if one never did.
    pub fn all_served(&self, moment: Duration) -> Option<Duration> {
        let mut waiting: BTreeSet<usize> = (0..self.workers.len()).collect();
        for arrival in self.within(&(moment..self.took)) {
            if let Caller::Worker(number) = arrival.caller {
                waiting.remove(&number);
            }
            if waiting.is_empty() {
                return Some(arrival.at - moment);
            }
        }
        None
    }

    /// Changes asked of one timeline by the worker that asked for most, per second of the stretches that it lived through whole.
    pub fn writes(&self, stretches: &[Range<Duration>]) -> f64 {
        self.busiest(stretches, |asked| &asked.writes)
    }

    /// Reads of one timeline by the worker that read most, in the same way.
    pub fn reads(&self, stretches: &[Range<Duration>]) -> f64 {
        self.busiest(stretches, |asked| &asked.reads)
    }

    fn busiest(&self, stretches: &[Range<Duration>], list: fn(&Asked) -> &Vec<Duration>) -> f64 {
        let mut most: f64 = 0.0;
        for worker in &self.workers {
            let lived =
                stretches.iter().filter(|during| worker.lived.start <= during.start && worker.lived.end >= during.end);
            for during in lived {
                let count = |asked: &Asked| list(asked).iter().filter(|at| during.contains(*at)).count();
                let count = worker.asked.values().map(count).max().unwrap_or(0);
                most = most.max(count as f64 / (during.end - during.start).as_secs_f64());
            }
        }
        most
    }

    fn within(&self, during: &Range<Duration>) -> impl Iterator<Item = &Arrival> {
        // In the order of their arrival, so that a stretch is a slice.
        let from = self.arrivals.partition_point(|arrival| arrival.at < during.start);
        let to = self.arrivals.partition_point(|arrival| arrival.at < during.end);
        self.arrivals[from..to.max(from)].iter()
    }
}
