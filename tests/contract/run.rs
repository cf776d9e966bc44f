//! How a contract runs: every case of a suite becomes one test per implementation, named after the case.
//!
//! A test binary takes the suites that it needs and names its implementation:
//!
//! ```text
//! #[macro_use]
//! mod contract {
//!     #[macro_use]
//!     pub mod run;
//!     #[macro_use]
//!     pub mod queue;
//! }
//!
//! async fn make() -> MyQueue { .. }            // a fresh queue for each case
//!
//! queue_contract! {
//!     over_the_wire {
//!         test: { #[tokio::test(flavor = "multi_thread")] #[ignore = "needs a peer"] },
//!         make: make,
//!         skip: { name_of_a_case: "the peer does not check this" },
//!     }
//! }
//! ```
//!
//! Cases run in parallel and against real servers, so each makes its own queue, keys or resources, none relies on a paused
//! clock, and none waits longer than about two seconds.

use fleetwarden::clock::Clock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A name that no other case, run or machine uses: letters, digits and hyphens.
pub fn unique(what: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{what}-{}-{}-{number}", now(), std::process::id())
}

/// The wall clock, milliseconds since the epoch: a real table's time to live would soon forget records of another time.
pub fn now() -> i64 {
    Clock::system().now_ms()
}

/// Makes the tests of one suite for one implementation; called by each suite's own macro, which adds the list of its cases.
macro_rules! contract_tests {
    ($suite:ident, [$($case:ident,)*], $name:ident {
        test: $test:tt,
        make: $make:expr,
        skip: { $($skip:ident: $why:literal),* $(,)? } $(,)?
    }) => {
        mod $name {
            use super::*;

            const CASES: &[&str] = &[$(stringify!($case)),*];
            const SKIPPED: &[(&str, &str)] = &[$((stringify!($skip), $why)),*];

            #[test]
            fn every_skip_names_a_case() {
                for (skipped, _) in SKIPPED {
                    assert!(CASES.contains(skipped), "no case is called {skipped}");
                }
            }

            $(contract_tests!(@case $suite, $case, $make, $test);)*
        }
    };
    (@case $suite:ident, $case:ident, $make:expr, { $($test:tt)* }) => {
        $($test)*
        async fn $case() {
            match SKIPPED.iter().find(|(skipped, _)| *skipped == stringify!($case)) {
                Some((case, why)) => println!("skipped {case}: {why}"),
                None => crate::contract::$suite::$case($make).await,
            }
        }
    };
}
