//! One worker process: its calls fail at random, and once it is dead it hears of nothing any more.

use super::house::*;
use super::witness::Witness;
use fleetwarden::aws::{Class, Fate, Fates};
use fleetwarden::budget::{BudgetConfig, Budgets};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Messages that one worker may hold.
pub const MAX_IN_FLIGHT: usize = 12;

pub struct Process {
    rng: Mutex<fastrand::Rng>,
    dead: AtomicBool,
    /// Calls until it dies of itself, at one of them: before it ran, or after.
    last_call: Mutex<Option<u32>>,
    /// The ledger answers, if late: then a claim that is live is in somebody's hand.
    ledger_works: bool,
    witness: Arc<Witness>,
    name: String,
}

impl Process {
    /// From now on it hears of nothing; what it sent is on its way.
    pub fn kill(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    /// Whether this call is its last.
    fn dies(&self) -> bool {
        let mut last = self.last_call.lock().unwrap();
        let Some(left) = last.as_mut() else { return false };
        *left = left.saturating_sub(1);
        *left == 0
    }
}

impl Fates for Process {
    fn next(&self, call: &'static str) -> Fate {
        if self.dead.load(Ordering::SeqCst) {
            return Fate::Late(FOR_EVER);
        }
        self.witness.look(&self.name, call);
        let mut rng = self.rng.lock().unwrap();
        if self.dies() {
            self.kill();
            // It ran, and every later call hangs, so nothing comes of the reply; or it did not even leave.
            let ran = rng.bool() && call != "queue.receive";
            return if ran { Fate::ReplyLost } else { Fate::Late(FOR_EVER) };
        }
        let read = ["describe", "list", "get", "receive", "depth"].iter().any(|word| call.contains(word));
        let ours = call.starts_with("queue.") || call.starts_with("ledger.");
        let fate = rng.u32(0..1_000);
        if self.ledger_works && call.starts_with("ledger.") && !(100..130).contains(&fate) {
            return Fate::Proceed;
        }
        match fate {
            0..30 => Fate::Fail(Class::Transient),
            30..50 => Fate::Fail(Class::Throttled),
            50..80 => Fate::ReplyLost,
            80..100 if !read => Fate::Fail(Class::Unknown),
            // Longer than a claim waits for others, shorter than the margin of a lease.
            100..130 if call != "queue.receive" => Fate::Late(Duration::from_millis(rng.u64(1..8_000))),
            // Longer than a lease: whatever it was, somebody else may have taken over when it arrives. Not for the writes of AWS IoT and SNS:
            // they have no condition that a late one could fail, which is what the margin and the attempt timeouts are for.
            130..134 if call != "queue.receive" && (read || ours) => {
                Fate::Late(Duration::from_millis(rng.u64(61_000..200_000)))
            }
            134..154 if ours => Fate::FailEntry(rng.usize(0..3), Class::Transient),
            _ => Fate::Proceed,
        }
    }
}

/// Starts a process; every other one dies of itself at some call.
pub fn spawn(
    house: &House,
    witness: &Arc<Witness>,
    name: &str,
    rng: &mut fastrand::Rng,
    (budget, ledger_works): (&BudgetConfig, bool),
) -> (Arc<Process>, Running) {
    let last_call = rng.bool().then(|| rng.u32(1..400));
    let process = Arc::new(Process {
        rng: Mutex::new(rng.fork()),
        dead: AtomicBool::new(false),
        last_call: Mutex::new(last_call),
        ledger_works,
        witness: Arc::clone(witness),
        name: name.to_owned(),
    });
    let mut worker = meeting(house.worker(name), process.clone());
    // Its own: what a dead process had in hand waits for its budget no more.
    worker.budgets = Arc::new(Budgets::new(budget));
    worker.clock = house.clock.skewed(jiff::SignedDuration::from_millis(rng.i64(-2_000..2_000)));
    // Shorter than many calls take, so that a stop cuts work off.
    worker.config.drain = Duration::from_millis(rng.u64(0..5_000));
    (worker.config.seed, worker.config.concurrency, worker.config.max_in_flight) = (rng.u64(..), 4, MAX_IN_FLIGHT);
    (process, start_for_good(worker))
}
