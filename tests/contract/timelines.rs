//! What every `Timelines` does, whoever serves it. `make` gives a ledger that may hold other cases' items.
//!
//! Times are parameters, in microseconds; only differences of them mean anything.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::ledger::{claim, ours, subject};
use super::ledger_races::{RACERS, race};
use super::run::{now, unique};
use fleetwarden::aws::Class;
use fleetwarden::ledger::{Change, Changed, Filter, Ledger, Status, Subject, Tally, Timeline, Timelines};
use std::collections::BTreeMap;
use std::sync::Arc;

const ROUNDS: usize = 5;
/// For each run of the random mix; printed, so that a failing test names its own.
const SEEDS: [u64; 3] = [7, 1_791_014_400, 0x5eed];
/// Changes that each worker of the random mix tries.
const TRIES: usize = 20;

/// Runs every case of this file against an implementation; see `run.rs`.
macro_rules! timeline_contract {
    ($($implementation:tt)*) => {
        contract_tests!(timelines, [
            a_timeline_that_nobody_started_is_neither_advanced_nor_cut,
            a_timeline_starts_uncut_and_reads_as_it_was_written,
            a_timeline_that_is_there_is_not_started_as_if_it_were_new,
            a_start_is_refused_when_the_timeline_has_moved_since_it_was_seen,
            a_start_keeps_the_cuts,
            an_advance_moves_on_from_wherever_the_timeline_stands_within_its_bounds,
            an_advance_outside_its_bounds_is_refused_and_told_how_the_timeline_stands,
            an_advance_is_refused_after_a_cut_that_it_does_not_know_of,
            a_cut_changes_the_rate_alone_and_is_counted,
            a_rate_of_nothing_or_beyond_the_whole_and_a_step_back_are_refused,
            one_of_24_racing_starts_is_made,
            one_of_24_racing_cuts_is_made,
            racing_advances_reserve_disjoint_stretches,
            any_mix_of_racing_changes_reserves_every_moment_once_and_counts_every_cut_once,
            timelines_of_different_keys_know_nothing_of_each_other,
            lists_and_tallies_pass_timelines_over,
        ], $($implementation)*);
    };
}

/// A moment on the fleet's clock.
fn micros() -> i64 {
    now() * 1000
}

/// The key of that operation's timeline in a region.
fn key_in(region: &str, operation: &str) -> String {
    format!("budget#{region}#{operation}")
}

/// The key of an operation that no other case knows.
fn key() -> String {
    key_in("eu-west-1", &unique("operation"))
}

async fn read<T: Timelines>(timelines: &T, key: &str) -> Option<Timeline> {
    timelines.timeline(key).await.unwrap()
}

async fn change<T: Timelines>(timelines: &T, key: &str, change: Change, now: i64) -> Changed {
    timelines.change(key, change, now).await.unwrap()
}

/// Starts a timeline; how it stands.
async fn start<T: Timelines>(timelines: &T, key: &str, to: i64, now: i64) -> Timeline {
    assert_eq!(change(timelines, key, Change::Start { seen: None, to }, now).await, Changed::From(None));
    Timeline { next_free: to, written_at: now, rate: 1.0, cut_at: None, cuts: 0 }
}

pub async fn a_timeline_that_nobody_started_is_neither_advanced_nor_cut<T: Timelines>(make: impl AsyncFn() -> T) {
    let (timelines, key, now) = (make().await, key(), micros());
    assert_eq!(read(&timelines, &key).await, None);
    for futile in [
        Change::Advance { from: i64::MIN / 2, until: i64::MAX / 2, by: 1, cuts: 0 },
        Change::Cut { rate: 0.5, at: now, cuts: 0 },
        Change::Start { seen: Some(now), to: now + 1 },
    ] {
        assert_eq!(change(&timelines, &key, futile, now).await, Changed::Refused(None), "{futile:?}");
    }
    assert_eq!(read(&timelines, &key).await, None);
}

pub async fn a_timeline_starts_uncut_and_reads_as_it_was_written<T: Timelines>(make: impl AsyncFn() -> T) {
    let (timelines, key, now) = (make().await, key(), micros());
    let started = start(&timelines, &key, now + 250_001, now).await;
    assert_eq!(read(&timelines, &key).await, Some(started));
}

pub async fn a_timeline_that_is_there_is_not_started_as_if_it_were_new<T: Timelines>(make: impl AsyncFn() -> T) {
    let (timelines, key, now) = (make().await, key(), micros());
    let started = start(&timelines, &key, now, now).await;
    let anew = Change::Start { seen: None, to: now + 7 };
    assert_eq!(change(&timelines, &key, anew, now + 1).await, Changed::Refused(Some(started)));
    assert_eq!(read(&timelines, &key).await, Some(started));
}

pub async fn a_start_is_refused_when_the_timeline_has_moved_since_it_was_seen<T: Timelines>(make: impl AsyncFn() -> T) {
    let (timelines, key, now) = (make().await, key(), micros());
    let started = start(&timelines, &key, now, now).await;
    let skip = Change::Start { seen: Some(now), to: now + 5_000_000 };
    assert_eq!(change(&timelines, &key, skip, now + 1).await, Changed::From(Some(started)));
    let skipped = Timeline { next_free: now + 5_000_000, written_at: now + 1, ..started };
    assert_eq!(change(&timelines, &key, skip, now + 2).await, Changed::Refused(Some(skipped)));
    assert_eq!(read(&timelines, &key).await, Some(skipped));
}

pub async fn a_start_keeps_the_cuts<T: Timelines>(make: impl AsyncFn() -> T) {
    let (timelines, key, now) = (make().await, key(), micros());
    start(&timelines, &key, now, now).await;
    change(&timelines, &key, Change::Cut { rate: 0.7, at: now + 1, cuts: 0 }, now + 1).await;
    change(&timelines, &key, Change::Start { seen: Some(now), to: now + 9 }, now + 2).await;
    let kept = Timeline { next_free: now + 9, written_at: now + 2, rate: 0.7, cut_at: Some(now + 1), cuts: 1 };
    assert_eq!(read(&timelines, &key).await, Some(kept));
}

pub async fn an_advance_moves_on_from_wherever_the_timeline_stands_within_its_bounds<T: Timelines>(
    make: impl AsyncFn() -> T,
) {
    let (timelines, key, now) = (make().await, key(), micros());
    let mut stands = start(&timelines, &key, now, now).await;
    let (at, by) = (|stands: Timeline| stands.next_free, 300_000);
    // Within, on the lower bound, on the upper bound, on both.
    for (before, after) in [(1_000, 1_000), (0, 1_000), (1_000, 0), (0, 0)] {
        let advance = Change::Advance { from: at(stands) - before, until: at(stands) + after, by, cuts: 0 };
        let written_at = stands.written_at + 10;
        assert_eq!(change(&timelines, &key, advance, written_at).await, Changed::From(Some(stands)), "{advance:?}");
        stands = Timeline { next_free: at(stands) + by, written_at, ..stands };
        assert_eq!(read(&timelines, &key).await, Some(stands));
    }
}

pub async fn an_advance_outside_its_bounds_is_refused_and_told_how_the_timeline_stands<T: Timelines>(
    make: impl AsyncFn() -> T,
) {
    let (timelines, key, now) = (make().await, key(), micros());
    let stands = start(&timelines, &key, now, now).await;
    // It stands too early (nobody may reserve the past), too late (nobody may reach so far ahead), and for bounds that are crossed.
    for (from, until) in [(now + 1, now + 1_000), (now - 1_000, now - 1), (now + 1, now - 1)] {
        let advance = Change::Advance { from, until, by: 10, cuts: 0 };
        assert_eq!(change(&timelines, &key, advance, now + 1).await, Changed::Refused(Some(stands)), "{advance:?}");
    }
    assert_eq!(read(&timelines, &key).await, Some(stands));
}

pub async fn an_advance_is_refused_after_a_cut_that_it_does_not_know_of<T: Timelines>(make: impl AsyncFn() -> T) {
    let (timelines, key, now) = (make().await, key(), micros());
    start(&timelines, &key, now, now).await;
    change(&timelines, &key, Change::Cut { rate: 0.5, at: now, cuts: 0 }, now).await;
    let cut = read(&timelines, &key).await.unwrap();
    let advance = |cuts| Change::Advance { from: now, until: now, by: 10, cuts };
    assert_eq!(change(&timelines, &key, advance(0), now).await, Changed::Refused(Some(cut)));
    assert_eq!(change(&timelines, &key, advance(2), now).await, Changed::Refused(Some(cut)));
    assert_eq!(change(&timelines, &key, advance(1), now).await, Changed::From(Some(cut)));
}

pub async fn a_cut_changes_the_rate_alone_and_is_counted<T: Timelines>(make: impl AsyncFn() -> T) {
    let (timelines, key, now) = (make().await, key(), micros());
    let mut stands = start(&timelines, &key, now + 123, now).await;
    // Neither fraction has a finite binary form: what is read must be the very number that was written.
    for (cuts, rate) in [0.7, 0.1 + 0.2, f64::EPSILON, 1.0].into_iter().enumerate() {
        let (cuts, at) = (cuts as u64, stands.written_at + 1_000_000);
        let cut = Change::Cut { rate, at: at - 5, cuts };
        assert_eq!(change(&timelines, &key, cut, at).await, Changed::From(Some(stands)));
        stands = Timeline { written_at: at, rate, cut_at: Some(at - 5), cuts: cuts + 1, ..stands };
        assert_eq!(read(&timelines, &key).await, Some(stands));
        assert_eq!(change(&timelines, &key, cut, at + 1).await, Changed::Refused(Some(stands)));
    }
    assert_eq!(read(&timelines, &key).await, Some(stands));
}

pub async fn a_rate_of_nothing_or_beyond_the_whole_and_a_step_back_are_refused<T: Timelines>(
    make: impl AsyncFn() -> T,
) {
    let (timelines, key, now) = (make().await, key(), micros());
    let started = start(&timelines, &key, now, now).await;
    let cuts = [0.0, -0.5, 1.01, f64::NAN, f64::INFINITY].map(|rate| Change::Cut { rate, at: now, cuts: 0 });
    let back = Change::Advance { from: now, until: now, by: -1, cuts: 0 };
    for impossible in cuts.into_iter().chain([back]) {
        let error = timelines.change(&key, impossible, now).await.unwrap_err();
        assert_eq!(error.class, Class::Permanent, "{impossible:?}: {error}");
    }
    assert_eq!(read(&timelines, &key).await, Some(started));
}

pub async fn one_of_24_racing_starts_is_made<T: Timelines>(make: impl AsyncFn() -> T) {
    let (timelines, now) = (Arc::new(make().await), micros());
    for round in 0..ROUNDS {
        let key = key();
        // First all find nothing, then all find the same and skip ahead.
        for seen in [None, Some(())] {
            let stood = read(&*timelines, &key).await;
            assert_eq!(stood.is_some(), seen.is_some());
            let outcomes = race(&timelines, |timelines, number| {
                let (key, to) = (key.clone(), now + 1_000 + number as i64 + stood.map_or(0, |_| 1_000_000));
                let start = Change::Start { seen: stood.map(|stood| stood.next_free), to };
                async move { (to, change(&*timelines, &key, start, now).await) }
            })
            .await;
            let stands = read(&*timelines, &key).await.unwrap();
            for (to, outcome) in outcomes {
                let made = to == stands.next_free;
                let expected = if made { Changed::From(stood) } else { Changed::Refused(Some(stands)) };
                assert_eq!(outcome, expected, "round {round}, start to {to}");
            }
        }
    }
}

pub async fn one_of_24_racing_cuts_is_made<T: Timelines>(make: impl AsyncFn() -> T) {
    let (timelines, key, now) = (Arc::new(make().await), key(), micros());
    let mut stood = start(&*timelines, &key, now, now).await;
    for round in 0..ROUNDS {
        let outcomes = race(&timelines, |timelines, number| {
            let (key, rate) = (key.clone(), 1.0 / (number as f64 + 2.0));
            let cut = Change::Cut { rate, at: now, cuts: stood.cuts };
            async move { (rate, change(&*timelines, &key, cut, now).await) }
        })
        .await;
        let stands = read(&*timelines, &key).await.unwrap();
        assert_eq!(stands.cuts, stood.cuts + 1, "round {round}");
        for (rate, outcome) in outcomes {
            let made = rate == stands.rate;
            let expected = if made { Changed::From(Some(stood)) } else { Changed::Refused(Some(stands)) };
            assert_eq!(outcome, expected, "round {round}, cut to {rate}");
        }
        stood = stands;
    }
}

/// Asserts that the stretches, in whatever order they were reserved, cover the time from `begin` to `end` without gap or overlap.
#[track_caller]
fn assert_tiled(mut stretches: Vec<(i64, i64)>, begin: i64, end: i64) {
    stretches.sort_unstable();
    let mut at = begin;
    for (from, to) in stretches {
        assert_eq!(from, at, "a stretch begins at {from}, the one before ended at {at}");
        at = to;
    }
    assert_eq!(at, end, "what was reserved ends elsewhere than the timeline");
}

pub async fn racing_advances_reserve_disjoint_stretches<T: Timelines>(make: impl AsyncFn() -> T) {
    let (timelines, key, now) = (Arc::new(make().await), key(), micros());
    start(&*timelines, &key, now, now).await;
    let reserved = race(&timelines, |timelines, number| {
        let (key, by) = (key.clone(), 1_000 * (1 + number as i64));
        async move {
            let mut stretches = Vec::new();
            for _ in 0..ROUNDS {
                let advance = Change::Advance { from: now, until: now + 60_000_000, by, cuts: 0 };
                match change(&*timelines, &key, advance, now).await {
                    Changed::From(Some(stood)) => stretches.push((stood.next_free, stood.next_free + by)),
                    other => panic!("{other:?}"),
                }
            }
            stretches
        }
    })
    .await;
    let total: i64 = (1..=RACERS as i64).map(|number| 1_000 * number * ROUNDS as i64).sum();
    assert_tiled(reserved.into_iter().flatten().collect(), now, now + total);
    assert_eq!(read(&*timelines, &key).await.unwrap().next_free, now + total);
}

/// What one worker of the random mix saw made.
#[derive(Default)]
struct Made {
    stretches: Vec<(i64, i64)>,
    cuts: Vec<u64>,
}

/// Tries random changes, each on the grounds of what it last knew, which others make stale; checks every answer by itself.
async fn try_changes<T: Timelines>(timelines: &T, key: &str, mut rng: fastrand::Rng, now: i64) -> Made {
    let mut made = Made::default();
    let mut known = read(timelines, key).await.unwrap();
    for _ in 0..TRIES {
        let seen = known.next_free;
        let tried = match rng.u8(0..10) {
            0 => Change::Start { seen: Some(seen), to: seen + rng.i64(1..50_000) },
            1 => Change::Cut { rate: 1.0 - rng.f64() / 2.0, at: now, cuts: known.cuts },
            _ => Change::Advance {
                from: seen - rng.i64(0..20_000),
                until: seen + rng.i64(0..200_000),
                by: rng.i64(1..10_000),
                cuts: known.cuts,
            },
        };
        let outcome = change(timelines, key, tried, now).await;
        let (Changed::From(Some(stood)) | Changed::Refused(Some(stood))) = outcome else {
            panic!("{tried:?}: {outcome:?}")
        };
        let may = match tried {
            Change::Start { seen, .. } => seen == Some(stood.next_free),
            Change::Advance { from, until, cuts, .. } => {
                (from..=until).contains(&stood.next_free) && cuts == stood.cuts
            }
            Change::Cut { cuts, .. } => cuts == stood.cuts,
        };
        assert_eq!(matches!(outcome, Changed::From(_)), may, "{tried:?}: {outcome:?}");
        known = stood;
        match tried {
            _ if !may => continue,
            Change::Start { to, .. } => known.next_free = to,
            Change::Advance { by, .. } => known.next_free += by,
            Change::Cut { .. } => {
                made.cuts.push(stood.cuts);
                known.cuts += 1;
            }
        }
        if known.next_free != stood.next_free {
            made.stretches.push((stood.next_free, known.next_free));
        }
    }
    made
}

pub async fn any_mix_of_racing_changes_reserves_every_moment_once_and_counts_every_cut_once<T: Timelines>(
    make: impl AsyncFn() -> T,
) {
    let (timelines, now) = (Arc::new(make().await), micros());
    for seed in SEEDS {
        println!("seed {seed}");
        let key = key();
        start(&*timelines, &key, now, now).await;
        let made = race(&timelines, |timelines, number| {
            let (key, rng) = (key.clone(), fastrand::Rng::with_seed(seed.wrapping_add(number as u64)));
            async move { try_changes(&*timelines, &key, rng, now).await }
        })
        .await;
        let stands = read(&*timelines, &key).await.unwrap();
        let mut cuts: Vec<u64> = made.iter().flat_map(|made| made.cuts.iter().copied()).collect();
        cuts.sort_unstable();
        assert_eq!(cuts, (0..stands.cuts).collect::<Vec<_>>());
        let stretches: Vec<_> = made.into_iter().flat_map(|made| made.stretches).collect();
        println!("{} stretches reserved, {} cuts made", stretches.len(), cuts.len());
        assert!(stretches.len() > RACERS, "the mix hardly reserves anything");
        assert_tiled(stretches, now, stands.next_free);
    }
}

pub async fn timelines_of_different_keys_know_nothing_of_each_other<T: Timelines>(make: impl AsyncFn() -> T) {
    let (timelines, now) = (Arc::new(make().await), micros());
    let operation = unique("operation");
    let regions = ["eu-west-1", "eu-west-10", "us-east-1"];
    let mut expected = BTreeMap::new();
    for (index, region) in regions.into_iter().enumerate() {
        let key = key_in(region, &operation);
        let started = start(&*timelines, &key, now + index as i64, now).await;
        expected.insert(key, started);
    }
    let (cut, moved) = (key_in(regions[0], &operation), key_in(regions[2], &operation));
    change(&*timelines, &cut, Change::Cut { rate: 0.5, at: now, cuts: 0 }, now).await;
    change(&*timelines, &moved, Change::Advance { from: now, until: now + 9, by: 10, cuts: 0 }, now).await;
    expected.entry(cut).and_modify(|timeline| (timeline.rate, timeline.cut_at, timeline.cuts) = (0.5, Some(now), 1));
    expected.entry(moved).and_modify(|timeline| timeline.next_free += 10);
    for (key, timeline) in expected {
        assert_eq!(read(&*timelines, &key).await, Some(timeline), "{key}");
    }
}

pub async fn lists_and_tallies_pass_timelines_over<L: Ledger + Timelines>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    let mut keys = Vec::new();
    let subject = Subject { check: unique("CHECK"), ..subject("beside timelines") };
    for _ in 0..5 {
        keys.push(key());
        start(&ledger, keys.last().unwrap(), now * 1000, now * 1000).await;
    }
    let claimed = ours(claim(&ledger, &subject, "alice", now).await).record;
    let (mut listed, mut next) = (Vec::new(), None);
    loop {
        let page = ledger.list(&Filter::default(), 2, next).await.unwrap();
        listed.extend(page.records);
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert!(listed.contains(&claimed));
    assert!(listed.iter().all(|record| !record.subject.key.starts_with("budget#")), "{listed:?}");
    let mut tally = ledger.census().await.unwrap().tally;
    tally.retain(|(check, _), _| *check == claimed.subject.check || check.is_empty());
    assert_eq!(tally, Tally::from([((claimed.subject.check, Status::Claimed), 1)]));
    for key in keys {
        assert!(read(&ledger, &key).await.is_some());
    }
}
