//! Whatever workers do on one timeline, and in whatever order: properties of the lines over the ledger's own semantics.

use super::line::{Line, Turn};
use super::timeline::{self, PERIOD, Plan, SECOND, Wish};
use crate::ledger::{Changed, MemoryLedger, Timeline, Timelines};
use proptest::prelude::*;

const KEY: &str = "budget#us-east-1#UpdateCertificate";
const START: i64 = 1_795_348_800 * SECOND;

/// One thing that happens to one worker.
#[derive(Debug, Clone)]
enum Step {
    /// Time passes, milliseconds.
    Pass(u16),
    /// It reads the timeline, as long as so many callers wait.
    Read(usize),
    /// It writes what it planned when it last read; however long ago that was.
    Write,
    /// It spends every slot whose time has come.
    Spend,
    /// It crashes, and another starts in its place.
    Restart,
}

fn step() -> impl Strategy<Value = (usize, Step)> {
    let step = prop_oneof![
        (1u16..400).prop_map(Step::Pass),
        (1usize..80).prop_map(Step::Read),
        Just(Step::Write),
        Just(Step::Write),
        Just(Step::Spend),
        Just(Step::Restart),
    ];
    (0usize..6, step)
}

struct Worker {
    line: Line,
    planned: Option<Plan>,
}

/// A fleet on one timeline, at a clock that all read alike.
struct Fleet {
    ledger: MemoryLedger,
    per_second: f64,
    workers: Vec<Worker>,
    now: i64,
    /// Every slot that was handed out, spent or not.
    reserved: Vec<i64>,
    /// Of them, those that a crash took along.
    lost: usize,
    spent: Vec<i64>,
}

impl Fleet {
    fn new(per_second: f64) -> Self {
        let worker = || Worker { line: Line::new(per_second), planned: None };
        let workers = (0..6).map(|_| worker()).collect();
        let ledger = MemoryLedger::new();
        Self { ledger, per_second, workers, now: START, reserved: Vec::new(), lost: 0, spent: Vec::new() }
    }

    async fn run(&mut self, steps: Vec<(usize, Step)>) {
        for (index, step) in steps {
            self.step(index, step).await;
        }
    }

    async fn step(&mut self, index: usize, step: Step) {
        let (now, per_second) = (self.now, self.per_second);
        let worker = &mut self.workers[index];
        match step {
            Step::Pass(ms) => self.now += i64::from(ms) * 1000,
            Step::Read(waiting) => {
                if let Some(wish) = worker.line.wants(now, waiting) {
                    let seen = self.ledger.timeline(KEY).await.unwrap();
                    worker.planned = Some(worker.line.plan(seen.as_ref(), wish, 0.5));
                }
            }
            Step::Write => {
                if let Some(Plan::Reserve { change, slots, interval }) = worker.planned.take() {
                    let changed = self.ledger.change(KEY, change, now).await.unwrap();
                    worker.line.changed(change, changed, slots, interval, now);
                    if let Changed::From(before) = changed {
                        let first = timeline::first_slot(&change, before.as_ref(), slots, interval);
                        self.reserved.extend((0i64..).take(slots).map(|n| first + n * interval));
                    }
                }
            }
            Step::Spend => {
                while worker.line.turn(now, None) == Turn::Go {
                    self.spent.push(now);
                }
            }
            Step::Restart => {
                self.lost += worker.line.held();
                *worker = Worker { line: Line::new(per_second), planned: None };
            }
        }
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

proptest! {
    #[test]
    fn slots_handed_out_never_overlap_and_no_second_holds_more_than_the_budget(
        steps in prop::collection::vec(step(), 1..400),
        per_second in prop::sample::select(vec![0.5, 2.0, 8.0, 10.0, 80.0, 800.0, 8000.0]),
    ) {
        let mut fleet = Fleet::new(per_second);
        block_on(fleet.run(steps));
        fleet.reserved.sort_unstable();
        let interval = timeline::interval(per_second);
        for pair in fleet.reserved.windows(2) {
            prop_assert!(pair[1] - pair[0] >= interval, "{} us apart", pair[1] - pair[0]);
        }
        let many = per_second.ceil() as usize;
        for window in fleet.reserved.windows(many + 1) {
            prop_assert!(window[many] - window[0] > SECOND, "{} in {} us", many + 1, window[many] - window[0]);
        }
    }

    #[test]
    fn no_worker_reserves_further_ahead_than_it_may_reach(steps in prop::collection::vec(step(), 1..400)) {
        let mut fleet = Fleet::new(10.0);
        block_on(async {
            for (index, step) in steps {
                fleet.step(index, step).await;
                let now = fleet.now;
                if let Some(timeline) = fleet.ledger.timeline(KEY).await.unwrap() {
                    // Its reach when others have all, what others may have reserved since it read, and the last slot.
                    assert!(timeline.next_free - now <= 1_610_000, "{} us ahead", timeline.next_free - now);
                }
            }
        });
    }

    #[test]
    fn a_restart_loses_at_most_the_slots_that_were_held_and_the_others_go_on(
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut fleet = Fleet::new(10.0);
        block_on(fleet.run(steps));
        let held: usize = fleet.workers.iter().map(|worker| worker.line.held()).sum();
        // Spent, lost with a crash, still held, or let go because nobody came for it in time.
        prop_assert!(fleet.spent.len() + fleet.lost + held <= fleet.reserved.len());
        // All workers crash now. Whoever starts next has slots within the reach of those that died.
        let ahead = block_on(fleet.ledger.timeline(KEY)).unwrap().map_or(0, |timeline| timeline.next_free - fleet.now);
        let mut survivor = Line::new(10.0);
        fleet.now += ahead.max(0);
        let wish = survivor.wants(fleet.now, 5).unwrap();
        let seen = block_on(fleet.ledger.timeline(KEY)).unwrap();
        let plan = survivor.plan(seen.as_ref(), wish, 0.5);
        prop_assert!(matches!(plan, Plan::Reserve { slots: 5, .. }), "{plan:?}");
    }

    #[test]
    fn however_often_it_is_cut_a_rate_stays_above_zero_and_is_whole_again_within_twenty_seconds(
        gaps in prop::collection::vec(0i64..10_000, 1..50),
    ) {
        let mut timeline = Timeline { next_free: START, written_at: START, rate: 1.0, cut_at: None, cuts: 0 };
        let mut now = START;
        for gap in gaps {
            now += gap * 1000;
            let before = timeline::rate_in_force(&timeline, now);
            if let Some(crate::ledger::Change::Cut { rate, at, cuts }) = timeline::cut(&timeline, now) {
                prop_assert!(timeline.cut_at.is_none_or(|last| at - last >= timeline::CUT_WINDOW));
                prop_assert!(rate >= 0.05 && rate <= before);
                timeline = Timeline { rate, cut_at: Some(at), cuts: cuts + 1, ..timeline };
            }
        }
        prop_assert_eq!(timeline::rate_in_force(&timeline, now + 20 * SECOND), 1.0);
    }
}

#[test]
fn what_was_reserved_before_a_cut_is_thinned_out_to_the_new_rate() {
    let mut line = Line::new(10.0);
    let wish = Wish { now: START, trip: 10_000, wanted: 8, per_second: 10.0, others: 0.0 };
    let Plan::Reserve { change, slots, interval } = line.plan(None, wish, 0.5) else { panic!("the timeline is empty") };
    line.changed(change, Changed::From(None), slots, interval, START);
    assert_eq!(line.held(), 8);
    let half = Timeline { next_free: START + PERIOD, written_at: START, rate: 0.5, cut_at: Some(START), cuts: 1 };
    line.learn(half, START);
    assert_eq!(line.held(), 4);
    assert_eq!(line.in_force(START), (0.5, 1));
}
