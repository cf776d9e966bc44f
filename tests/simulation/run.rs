//! Seeds, as many at a time as there are threads; a seed that fails is an entry, not an end.

use super::house::finish;
use super::scenario::simulate;
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Simulates every seed; why those fail that do. `done` is told after each how many are over.
pub fn run(seeds: Range<u64>, threads: usize, done: impl Fn(u64) + Sync) -> BTreeMap<u64, String> {
    let (next, over, failed) = (AtomicU64::new(seeds.start), AtomicU64::new(0), Mutex::new(BTreeMap::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= seeds.end {
                return;
            }
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| alone(seed))) {
                let words = panic.downcast_ref::<String>().cloned();
                let why = words.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default();
                failed.lock().unwrap().insert(seed, why);
            }
            done(over.fetch_add(1, Ordering::SeqCst) + 1);
        }
    };
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    failed.into_inner().unwrap()
}

/// Everything that a seed makes happen, in its order.
#[cfg(test)]
pub fn history(seed: u64) -> Vec<String> {
    alone(seed)
}

fn alone(seed: u64) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(finish(simulate(seed)))
}
