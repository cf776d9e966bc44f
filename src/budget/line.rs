//! What one worker holds of one operation's timeline: reserved slots, and when to reserve more. No clock, no ledger: time comes in,
//! decisions go out. Times are microseconds on the fleet's clock.

use super::timeline::{self, PERIOD, Plan, SECOND, Wish};
use crate::ledger::{Change, Changed, Timeline};
use std::collections::VecDeque;

/// A slot that nobody waited for when its time came may be taken so much later; then it is gone. The spread of the slots leaves room
/// for 15 ms, of which calls that take some 10 ms more or less to reach AWS, and a timer's millisecond, need most.
const GRACE: i64 = 4_000;

/// Reservations that may come early: one worker finds out at once how much it can use, instead of over several seconds.
const BURST: i64 = 2;

/// The most that a reservation comes early by chance.
const EAGER: i64 = PERIOD * 2 / 3;

/// Over how many seconds the part that others have is averaged; sooner, over as long as they were watched.
const MEMORY: f64 = 2.0;

/// A first look shows somebody's second at its beginning or at its end: it counts for so many seconds of watching.
const GLANCE: f64 = 0.25;

/// Without the ledger a worker goes on at the rate that it had last, and at least at this part of the budget.
const ALONE: f64 = 0.05;

#[derive(Debug)]
pub(super) struct Line {
    per_second: f64,
    slots: VecDeque<i64>,
    /// The end of what is reserved here.
    reserved_until: i64,
    /// How the timeline stood when it was last read or written, and when that was.
    known: Option<(Timeline, i64)>,
    /// Everything within reach was reserved when this worker last looked, and it wanted more.
    limited: bool,
    /// The part of the timeline that others had lately.
    others: f64,
    /// Seconds for which they were watched, [`MEMORY`] at most.
    watched: f64,
    /// The last reservation's slots are further apart than they need be.
    spread: bool,
    /// Slots taken since the last reservation, and when that was.
    taken: usize,
    reserved_at: i64,
    /// How much earlier than need be the next reservation comes: workers that share would otherwise always come in the same order, the
    /// first after a pause getting most.
    eager: i64,
    /// A GCRA over the reservations themselves.
    next_due: i64,
    not_before: i64,
    /// How long the ledger takes to answer, lately.
    pub trip: i64,
    /// A reservation is under way.
    pub asking: bool,
    /// Where the next slot would be that is taken without the ledger.
    alone_at: i64,
}

/// What whoever is next in line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Calls now.
    Go,
    /// Waits until then for the slot of this time, if there is one.
    Wait { until: i64, slot: Option<i64> },
}

impl Line {
    pub fn new(per_second: f64) -> Self {
        Self {
            per_second,
            slots: VecDeque::new(),
            reserved_until: i64::MIN,
            known: None,
            limited: false,
            others: 0.0,
            watched: 0.0,
            spread: false,
            taken: 0,
            reserved_at: i64::MIN / 2,
            eager: 0,
            next_due: i64::MIN / 2,
            not_before: i64::MIN,
            trip: 10_000,
            asking: false,
            alone_at: i64::MIN / 2,
        }
    }

    /// Whether more must be reserved now, and how many slots at most. `waiting` callers, the one in turn included.
    pub fn wants(&self, now: i64, waiting: usize) -> Option<Wish> {
        let early = BURST * PERIOD;
        if waiting == 0 || self.asking || now < self.not_before || now < self.next_due.saturating_sub(early) {
            return None;
        }
        if self.reserved_until.saturating_sub(now) >= timeline::lead(self.trip) + self.eager {
            return None;
        }
        let wanted = self.demand(now, waiting).saturating_sub(self.slots.len());
        let wish = Wish { now, trip: self.trip, wanted, per_second: self.per_second, others: self.others };
        (wanted > 0).then_some(wish)
    }

    /// Slots that will be needed until the next reservation but one: those who wait, and as many as were taken in the same time before.
    /// Where callers waited behind the slots that there were, or there is room to spread them, twice as many.
    fn demand(&self, now: i64, waiting: usize) -> usize {
        let since = now.saturating_sub(self.reserved_at);
        if since > 2 * PERIOD {
            return waiting;
        }
        let a_period = self.taken as f64 * PERIOD as f64 / since.max(PERIOD / 4) as f64;
        let more = if waiting > self.slots.len() || self.spread { 2.0 } else { 1.0 };
        waiting + (a_period * more).ceil() as usize
    }

    /// What the caller in turn does, who has waited for the slot at `armed`.
    pub fn turn(&mut self, now: i64, armed: Option<i64>) -> Turn {
        while let Some(&slot) = self.slots.front() {
            // Whoever waited for it may come late: only this process was slow. Others are let go, so that the late do not come at once.
            if slot > now || slot + GRACE >= now || armed == Some(slot) {
                break;
            }
            self.slots.pop_front();
        }
        let slot = self.slots.front().copied();
        match slot {
            Some(at) if at <= now => {
                self.slots.pop_front();
                self.taken += 1;
                Turn::Go
            }
            _ => {
                let due = self.reserved_until.saturating_sub(timeline::lead(self.trip) + self.eager);
                let due = due.max(self.not_before).max(self.next_due.saturating_sub(BURST * PERIOD));
                // While an answer is awaited, or when one is due anyway, it wakes the line.
                let look = if self.asking || due <= now { now + PERIOD } else { due };
                Turn::Wait { until: slot.map_or(look, |slot| slot.min(look)), slot }
            }
        }
    }

    /// The timeline was read: what to write. `jitter` is between 0 and 1.
    pub fn plan(&mut self, seen: Option<&Timeline>, wish: Wish, jitter: f64) -> Plan {
        self.look(seen, wish.now);
        let plan = timeline::plan(seen, &Wish { others: self.others, ..wish });
        match plan {
            Plan::Full { until } => {
                self.limited = true;
                // Half a period to a whole one: those who wait must not all come at the same moment.
                self.not_before = until.max(wish.now + (PERIOD as f64 * (0.3 + 0.4 * jitter)) as i64);
            }
            Plan::Reserve { slots, interval, .. } => {
                let rate = seen.map_or(1.0, |timeline| timeline::rate_in_force(timeline, wish.now));
                self.spread = interval > timeline::interval(self.per_second * rate);
                self.limited = slots < wish.wanted;
                self.eager = (EAGER as f64 * self.others * jitter) as i64;
                let period = PERIOD as f64 * (0.9 + 0.2 * jitter);
                self.next_due = self.next_due.max(wish.now) + period as i64;
            }
        }
        plan
    }

    /// Notes how the timeline stands, and how much of it others took since the last look.
    pub fn look(&mut self, seen: Option<&Timeline>, now: i64) {
        let Some(seen) = seen else {
            (self.known, self.others, self.watched) = (None, 0.0, 0.0);
            return;
        };
        let reach = (PERIOD + timeline::lead(self.trip)) as f64;
        let ahead = ((seen.next_free - now) as f64 / reach).clamp(0.0, 1.0);
        match self.known {
            Some((before, at)) if now - at < 5 * SECOND => {
                let since = (now - at).max(1);
                let part = ((seen.next_free - before.next_free) as f64 / since as f64).clamp(0.0, 1.0);
                let since = since as f64 / SECOND as f64;
                self.others += (part - self.others) * since / (self.watched + since);
                self.watched = (self.watched + since).min(MEMORY);
            }
            // First look for a while: what is reserved, others have.
            _ => (self.others, self.watched) = (ahead, GLANCE),
        }
        self.learn(*seen, now);
    }

    /// A newer state of the timeline. If the rate was cut, slots reserved before it are thinned out to the new rate.
    pub fn learn(&mut self, timeline: Timeline, now: i64) {
        let cut = self.known.is_some_and(|(before, _)| before.cuts < timeline.cuts);
        self.known = Some((timeline, now));
        if !cut {
            return;
        }
        let interval = timeline::interval(self.per_second * timeline::rate_in_force(&timeline, now));
        let mut next = i64::MIN;
        self.slots.retain(|&slot| {
            let keep = slot >= next;
            if keep {
                next = slot + interval;
            }
            keep
        });
    }

    /// A reservation was made, or refused because somebody was faster.
    pub fn changed(&mut self, change: Change, changed: Changed, slots: usize, interval: i64, now: i64) {
        match changed {
            Changed::From(before) => {
                let first = timeline::first_slot(&change, before.as_ref(), slots, interval);
                let end = first.saturating_add(interval.saturating_mul(i64::try_from(slots).unwrap_or(i64::MAX)));
                self.slots.extend((0i64..).take(slots).map(|n| first + n * interval));
                (self.reserved_until, self.reserved_at, self.taken) = (end, now, 0);
                let uncut = Timeline { next_free: end, written_at: now, rate: 1.0, cut_at: None, cuts: 0 };
                self.learn(Timeline { next_free: end, written_at: now, ..before.unwrap_or(uncut) }, now);
            }
            Changed::Refused(stands) => {
                if let Some(stands) = stands {
                    self.learn(stands, now);
                }
            }
        }
    }

    /// Slots reserved here and not spent yet.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.slots.len()
    }

    /// The ledger does not answer: what runs goes on at the rate that this worker had, for a period.
    pub fn alone(&mut self, now: i64) {
        let rate = self.known.map_or(1.0, |(timeline, _)| timeline::rate_in_force(&timeline, now));
        let interval = timeline::interval(self.per_second * rate * (1.0 - self.others).max(ALONE));
        let mut next = now.max(self.alone_at).max(self.slots.back().map_or(i64::MIN, |slot| slot + interval));
        while next < now + PERIOD {
            self.slots.push_back(next);
            next += interval;
        }
        self.alone_at = next;
        self.reserved_until = self.reserved_until.max(now);
        self.not_before = now + PERIOD;
    }

    /// The cut that a throttled call asks for.
    pub fn cut(&self, now: i64) -> Option<Change> {
        self.known.and_then(|(timeline, _)| timeline::cut(&timeline, now))
    }

    /// A cut was made; the rate that is left.
    pub fn was_cut(&mut self, before: Timeline, change: Change, now: i64) -> f64 {
        let after = match change {
            Change::Cut { rate, at, cuts } => Timeline { rate, cut_at: Some(at), cuts: cuts + 1, ..before },
            Change::Start { .. } | Change::Advance { .. } => before,
        };
        self.learn(after, now);
        after.rate
    }

    /// The part of the budget that is in force, how often it was cut, and when last, as far as is known here.
    pub fn in_force(&self, now: i64) -> (f64, u64) {
        self.known.map_or((1.0, 0), |(timeline, _)| (timeline::rate_in_force(&timeline, now), timeline.cuts))
    }

    /// Calls per second that this worker can count on: all that is in force, less what others have when it does not suffice.
    pub fn rate(&self, now: i64) -> f64 {
        let share = if self.limited { (1.0 - self.others).max(0.02) } else { 1.0 };
        self.per_second * self.in_force(now).0 * share
    }
}
