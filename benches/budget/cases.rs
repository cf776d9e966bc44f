//! The cases on the simulated clock. What each must show is beside the run that shows it.

use crate::figures::{Demand, Figure, Outcome};
use crate::simulation::trace::Trace;
use crate::simulation::world::{Setting, World};
use crate::units::{COUNT, PART, PER_SECOND, SECONDS};
use fleetwarden::budget::Operation;
use jiff::SignedDuration;
use std::future::Future;
use std::ops::Range;
use std::time::Duration;

/// The part of the quota that must be used while there is work.
const WHOLE: Demand = Demand::AtLeast(0.97);
/// Writes per second, worker and operation: one, and a fifth for those that were refused.
const FEW_WRITES: Demand = Demand::AtMost(1.2);
const NONE: Demand = Demand::AtMost(0.0);
const TEN_MINUTES: Duration = minutes(10);
/// Wakings that the share of the newcomers is averaged over: a second holds ten calls, too few to judge by one.
const WAKINGS: u64 = 10;
/// How many workers are busy after the others woke.
const FLEET: usize = 20;

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// A case that can be run.
pub struct Case {
    /// What it is called.
    pub name: &'static str,
    run: fn(u64) -> Vec<Figure>,
}

/// Every case, in the order of the table.
pub const CASES: &[Case] = &[
    Case { name: "saturated, 1 worker", run: |seed| saturated(Operation::UpdateCertificate, 1, seed) },
    Case { name: "saturated, 2 workers", run: |seed| saturated(Operation::UpdateCertificate, 2, seed) },
    Case { name: "saturated, 8 workers", run: |seed| saturated(Operation::UpdateCertificate, 8, seed) },
    Case { name: "saturated, 32 workers", run: |seed| saturated(Operation::UpdateCertificate, 32, seed) },
    Case { name: "100/s, 8 workers", run: |seed| saturated(Operation::AddThingToThingGroup, 8, seed) },
    Case { name: "scale 2 to 20 to 2", run: scaled },
    Case { name: "1 busy, 19 idle", run: |seed| one_busy(None, seed) },
    Case { name: "1 busy, 19 with a call in 30 s", run: |seed| one_busy(Some(Duration::from_secs(30)), seed) },
    Case { name: "800/s, 1 busy, 1 with a call a second", run: trickle },
    Case { name: "the 19 wake", run: waking },
    Case { name: "an outsider takes half", run: outsider },
    Case { name: "clocks within 500 ms", run: |seed| skewed(false, seed) },
    Case { name: "clocks 500 ms ahead or behind", run: |seed| skewed(true, seed) },
];

impl Case {
    /// Runs it. Each case has its own randomness, so that running it alone changes nothing.
    pub fn run(&self, seed: u64) -> Outcome {
        let of_name = self.name.bytes().fold(seed, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
        Outcome { case: self.name.to_owned(), figures: (self.run)(of_name) }
    }
}

/// Runs a simulation to its end, at once.
#[expect(clippy::expect_used, reason = "without a runtime there is no benchmark")]
fn simulate<T>(simulation: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime without input and output starts");
    runtime.block_on(simulation)
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The figures that every case has. `stretches`: those over each of which the busiest worker's writes are averaged.
fn common(trace: &Trace, used: Demand, over: Demand, throttled: Figure, stretches: &[Range<Duration>]) -> Vec<Figure> {
    let whole = Duration::ZERO..trace.took;
    let calls = trace.calls(&whole);
    vec![
        Figure::new("used", trace.used(&whole), PART, used),
        Figure::new("seconds_over_quota", trace.seconds_over_quota() as f64, COUNT, over),
        Figure::new("calls", calls.all as f64, COUNT, Demand::Nothing),
        throttled,
        Figure::new("writes", trace.writes(stretches), PER_SECOND, FEW_WRITES),
        Figure::new("reads", trace.reads(stretches), PER_SECOND, Demand::Nothing),
    ]
}

/// No call may have been throttled.
fn never_throttled(trace: &Trace) -> Figure {
    let throttled = trace.calls(&(Duration::ZERO..trace.took)).throttled;
    Figure::new("throttled", throttled as f64, COUNT, NONE)
}

/// So large a part of the calls may have been throttled.
fn seldom_throttled(trace: &Trace, most: f64) -> Figure {
    let part = trace.calls(&(Duration::ZERO..trace.took)).throttled_part();
    Figure::new("throttled_part", part, PART, Demand::AtMost(most))
}

fn seconds(value: Option<Duration>) -> Option<f64> {
    value.map(|value| value.as_secs_f64())
}

fn saturated(operation: Operation, workers: usize, seed: u64) -> Vec<Figure> {
    let trace = simulate(async {
        let mut world = World::new(Setting::new(operation, seed));
        (0..workers).for_each(|_| world.busy());
        world.pass(TEN_MINUTES).await;
        world.end()
    });
    let whole = Duration::ZERO..trace.took;
    let mut figures = common(&trace, WHOLE, NONE, never_throttled(&trace), std::slice::from_ref(&whole));
    if workers > 1 {
        figures.push(Figure::new("least_worker's_share", trace.least_share(&whole), PART, Demand::Nothing));
    }
    figures
}

/// Workers are started at once and killed at once, not drained.
fn scaled(seed: u64) -> Vec<Figure> {
    let trace = simulate(async {
        let mut world = World::new(Setting::new(Operation::UpdateCertificate, seed));
        (0..2).for_each(|_| world.busy());
        world.pass(at(200)).await;
        (2..FLEET).for_each(|_| world.busy());
        world.pass(at(200)).await;
        world.kill(2);
        world.pass(at(200)).await;
        world.end()
    });
    let stretches = [at(0)..at(200), at(200)..at(400), at(400)..at(600)];
    let mut figures = common(&trace, WHOLE, NONE, never_throttled(&trace), &stretches);
    for (key, change) in [("below_90%_on_scaling_up", 200), ("below_90%_on_scaling_down", 400)] {
        // Seconds counted from the change itself.
        let longest = trace.longest_below(0.9, &(at(change - 5)..at(change + 30)));
        figures.push(Figure::new(key, longest as f64, SECONDS, Demand::AtMost(2.0)));
    }
    let anywhere = trace.longest_below_anywhere(0.9, &(at(395)..at(430)));
    figures.push(Figure::new("the_same,_wherever_a_second_begins", anywhere as f64, SECONDS, Demand::Nothing));
    let pause = trace.longest_pause(&(at(395)..at(430))).as_secs_f64();
    figures.push(Figure::new("no_call_on_scaling_down", pause, SECONDS, Demand::Nothing));
    figures
}

fn one_busy(now_and_then: Option<Duration>, seed: u64) -> Vec<Figure> {
    let trace = simulate(async {
        let mut world = World::new(Setting::new(Operation::UpdateCertificate, seed));
        world.busy();
        (1..FLEET).for_each(|_| world.idle(now_and_then));
        world.pass(TEN_MINUTES).await;
        world.end()
    });
    common(&trace, WHOLE, NONE, never_throttled(&trace), &[Duration::ZERO..trace.took])
}

/// At a quota that one worker can just use, another makes a call now and then, and must not keep more of it than it uses.
fn trickle(seed: u64) -> Vec<Figure> {
    let trace = simulate(async {
        let setting = Setting { quota: 800.0, ..Setting::new(Operation::UpdateCertificate, seed) };
        let mut world = World::new(setting);
        world.busy();
        world.idle(Some(at(1)));
        world.pass(minutes(2)).await;
        world.end()
    });
    common(&trace, WHOLE, NONE, never_throttled(&trace), &[Duration::ZERO..trace.took])
}

/// After a minute with one worker busy the others get work, all in one moment.
fn waking(seed: u64) -> Vec<Figure> {
    let (woken, end) = (at(60), at(120));
    let mut traces = (0..WAKINGS).map(|n| {
        simulate(async {
            let mut world = World::new(Setting::new(Operation::UpdateCertificate, seed.wrapping_add(n)));
            world.busy();
            (1..FLEET).for_each(|_| world.idle(Some(at(30))));
            world.pass(woken).await;
            world.wake(1);
            world.pass(end - woken).await;
            world.end()
        })
    });
    let mut worst: Vec<Figure> = Vec::new();
    let (mut share, mut least, mut served) = (0.0, 0.0, Some(Duration::ZERO));
    for trace in &mut traces {
        let figures = common(&trace, WHOLE, NONE, never_throttled(&trace), &[Duration::ZERO..woken, woken..end]);
        worst = if worst.is_empty() { figures } else { worst.into_iter().zip(figures).map(worse).collect() };
        let third_second = woken + at(2)..woken + at(3);
        let fair = (FLEET - 1) as f64 / FLEET as f64;
        share += trace.part_of(1, &third_second) / fair / WAKINGS as f64;
        least += trace.least_share(&(woken + at(2)..woken + at(32))) / WAKINGS as f64;
        served = served.zip(trace.all_served(woken)).map(|(longest, this)| longest.max(this));
    }
    worst.extend([
        Figure::new("newcomers_of_their_share_in_the_third_second", share, PART, Demand::AtLeast(0.8)),
        Figure::new("least_worker's_share_in_the_next_30_s", least, PART, Demand::Nothing),
        Figure::new("all_20_served_after", seconds(served), SECONDS, Demand::Nothing),
    ]);
    worst
}

/// Of the same figure of two runs, that which is nearer to failing.
fn worse((one, other): (Figure, Figure)) -> Figure {
    let lower = one.value < other.value;
    let lower_is_worse = matches!(one.demand, Demand::AtLeast(_));
    if lower == lower_is_worse { one } else { other }
}

/// A minute of calls by somebody else, evenly, at half the quota; a minute before it and eight after it.
fn outsider(seed: u64) -> Vec<Figure> {
    let operation = Operation::UpdateCertificate;
    let trace = simulate(async {
        let mut world = World::new(Setting::new(operation, seed));
        (0..8).for_each(|_| world.busy());
        world.pass(at(60)).await;
        world.pass_with_an_outsider(at(60), operation.default_quota() / 2.0).await;
        world.pass(at(480)).await;
        world.end()
    });
    let stretches = [at(0)..at(60), at(60)..at(120), at(120)..at(180), at(180)..at(600)];
    let throttled = seldom_throttled(&trace, 0.01);
    let mut figures = common(&trace, Demand::Nothing, Demand::Nothing, throttled, &stretches);
    let within = trace.used(&(at(60)..at(120)));
    let outsider_throttled = trace.outsider_throttled(&(at(60)..at(120)));
    let back = trace.back_at(0.97, at(120));
    let afterwards = trace.used(&(at(135)..at(600)));
    figures.extend([
        Figure::new("whole_again_after", seconds(back), SECONDS, Demand::AtMost(15.0)),
        Figure::new("used_from_then_on", afterwards, PART, WHOLE),
        Figure::new("used_meanwhile", within, PART, Demand::Nothing),
        Figure::new("outsider_throttled", outsider_throttled, PART, Demand::Nothing),
    ]);
    figures
}

/// Clocks that are off evenly at random by half a second at most, or each by just that.
fn skewed(extreme: bool, seed: u64) -> Vec<Figure> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let trace = simulate(async {
        let mut world = World::new(Setting::new(Operation::UpdateCertificate, rng.u64(..)));
        for number in 0..8 {
            let most = if number % 2 == 0 { 500 } else { -500 };
            world.skewed(SignedDuration::from_millis(if extreme { most } else { rng.i64(-500..=500) }));
        }
        world.pass(TEN_MINUTES).await;
        world.end()
    });
    let throttled = seldom_throttled(&trace, 0.01);
    common(&trace, WHOLE, Demand::Nothing, throttled, &[Duration::ZERO..trace.took])
}

/// The ledger writes of all the others: the worst.
pub fn writes(outcomes: &[Outcome]) -> Outcome {
    let worst = outcomes.iter().filter_map(|outcome| outcome.figure("writes")?.value).fold(0.0, f64::max);
    let figures = vec![Figure::new("writes", worst, PER_SECOND, FEW_WRITES)];
    Outcome { case: "ledger writes, the worst of these".to_owned(), figures }
}
