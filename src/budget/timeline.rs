//! The arithmetic of one operation's shared timeline; pure. Times are microseconds on the fleet's clock.
//!
//! The ledger holds one moment for each operation: the first that nobody has reserved. Whoever wants to call reserves the next
//! slots behind it, one interval apart, and moves it on. Slots of different workers can therefore never overlap, however many
//! workers there are and in whatever order they come; who wants nothing, reserves nothing, and takes no share from the others.

use crate::ledger::{Change, Timeline};

/// Microseconds in a second.
pub(super) const SECOND: i64 = 1_000_000;

/// A second's worth of slots is spread over 1.015 s. A call may then reach AWS up to 15 ms later than others do without there being
/// one too many in some second. Costs 1.5% of the budget.
const SPREAD: f64 = 1.015;

/// How long after one reservation the next is due: 1.1 writes a second and operation.
pub(super) const PERIOD: i64 = 900_000;

/// What a reservation is made ahead of need, besides the time that the ledger takes to answer.
const MARGIN: i64 = 80_000;

/// How much further a worker may reach when others have the whole timeline than when it is alone: who gets little, finds room beyond
/// what is full for others, and so the shares become equal. Not more: what workers hold when they die is lost, and the fleet stands
/// still for so long.
const HUNGER: i64 = 300_000;

/// A worker that has the timeline to itself reserves so many times what it wants, and spreads it over its reach. At 20,000 calls a second the
/// slots of 64 callers would otherwise all come within 3 ms, most of them while the callers are still at work on the call before, and then
/// none for a period: the higher the quota, the slower the worker.
const AHEAD: usize = 8;

/// What is reserved beyond what is wanted comes no closer than this: 4,000 calls a second are more than a worker makes, and whoever may
/// make them all at once opens a connection for each, at some 80 KiB.
const DENSE: i64 = 250;

/// Slots are not spread further than this; quotas up to 100 a second are not concerned.
const SPARSE: i64 = 10_000;

/// The part of the timeline from which on others are company, and slots are no longer spread: what lies between them is lost to all. Below
/// it they are spread the less, the more others have.
const COMPANY: f64 = 0.25;

/// How much others may have reserved between the read of a timeline and the write, without the write being refused.
const CROWD: i64 = 200_000;

/// What is left of the rate after a cut. Two cuts make room for somebody who takes half of a quota.
const CUT: f64 = 0.7;

/// The least that cuts leave.
const LEAST: f64 = 0.05;

/// After a cut there is none for so long: slots reserved at the old rate are spent by then, and all workers have heard of it.
pub(super) const CUT_WINDOW: i64 = 2 * SECOND;

/// After a cut the rate stays for so long, then grows: the part of the budget that comes back each second. From 40% all of it is
/// back after 3 + 0.6 / 0.06 = 13 s.
const CUT_HOLD: i64 = 3 * SECOND;
const RECOVERY: f64 = 0.06;

/// The part of the budget that is in force: what the last cut left, and what has come back since.
pub fn rate_in_force(timeline: &Timeline, now: i64) -> f64 {
    let Some(cut_at) = timeline.cut_at else { return 1.0 };
    let growing = (now - cut_at - CUT_HOLD).max(0) as f64 / SECOND as f64;
    (timeline.rate + growing * RECOVERY).clamp(LEAST, 1.0)
}

/// The cut that a throttled call asks for, unless the last is too fresh to have shown what it does.
pub(super) fn cut(timeline: &Timeline, now: i64) -> Option<Change> {
    if timeline.cut_at.is_some_and(|cut_at| now - cut_at < CUT_WINDOW) {
        return None;
    }
    let rate = (rate_in_force(timeline, now) * CUT).max(LEAST);
    Some(Change::Cut { rate, at: now, cuts: timeline.cuts })
}

/// The time from one slot to the next at so many calls a second.
pub(super) fn interval(per_second: f64) -> i64 {
    ((SECOND as f64 * SPREAD / per_second).round() as i64).max(1)
}

/// What a worker knows when it reserves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    /// The fleet's time.
    pub now: i64,
    /// How long the ledger takes to answer: nothing earlier can be used.
    pub trip: i64,
    /// Slots wanted, at least one.
    pub wanted: usize,
    /// Calls per second when there is no cut.
    pub per_second: f64,
    /// The part of the timeline that others had lately, 0 to 1.
    pub others: f64,
}

/// What to write.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Plan {
    /// Reserve `slots`, `interval` apart; the first at `Reserved::first` of the answer.
    Reserve { change: Change, slots: usize, interval: i64 },
    /// All within reach is reserved; there is room for one more at this moment.
    Full { until: i64 },
}

/// How long before its slots are spent a worker reserves more: the ledger is read, then written.
pub(super) fn lead(trip: i64) -> i64 {
    MARGIN + 2 * trip
}

/// How far ahead a worker may reserve: until it comes again, and further if others have the timeline.
pub(super) fn reach(wish: &Wish) -> i64 {
    PERIOD + lead(wish.trip) + (HUNGER as f64 * wish.others) as i64
}

/// What a worker that wants slots should write, given how the timeline stood when it was read.
pub(super) fn plan(seen: Option<&Timeline>, wish: &Wish) -> Plan {
    let rate = seen.map_or(1.0, |timeline| rate_in_force(timeline, wish.now));
    let interval = interval(wish.per_second * rate);
    let earliest = wish.now + wish.trip;
    let latest = wish.now + reach(wish);
    let free = seen.map_or(i64::MIN, |timeline| timeline.next_free);
    let first = free.max(earliest);
    if first > latest {
        return Plan::Full { until: free - reach(wish) };
    }
    let sparse = ((SPARSE as f64 * (1.0 - wish.others / COMPANY).max(0.0)) as i64).max(interval);
    let room = |interval: i64| usize::try_from((latest - first) / interval + 1).unwrap_or(usize::MAX);
    let ahead = if sparse > interval { wish.wanted.saturating_mul(AHEAD).min(room(interval.max(DENSE))) } else { 0 };
    let wanted = wish.wanted.max(ahead);
    let interval = ((latest - first) / i64::try_from(wanted).unwrap_or(i64::MAX).max(1)).clamp(interval, sparse);
    let slots = wanted.clamp(1, room(interval));
    let by = i64::try_from(slots).unwrap_or(i64::MAX).saturating_mul(interval);
    let change = match seen {
        Some(timeline) if timeline.next_free >= earliest => {
            let until = (latest - by + interval).max(first) + CROWD;
            Change::Advance { from: earliest, until, by, cuts: timeline.cuts }
        }
        // Nobody has called for a while: what was not reserved in time is gone.
        _ => Change::Start { seen: seen.map(|timeline| timeline.next_free), to: earliest + by },
    };
    Plan::Reserve { change, slots, interval }
}

/// The first slot of a reservation that was made, given how the timeline stood before.
pub(super) fn first_slot(change: &Change, before: Option<&Timeline>, slots: usize, interval: i64) -> i64 {
    match (change, before) {
        (Change::Start { to, .. }, _) => to - i64::try_from(slots).unwrap_or(i64::MAX).saturating_mul(interval),
        (_, Some(timeline)) => timeline.next_free,
        (_, None) => i64::MAX,
    }
}
