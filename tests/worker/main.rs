//! The production worker on the in-memory twins, under a paused clock.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so by panicking")]

mod authenticity;
mod bad_input;
mod canary;
mod crashes;
mod delegated;
mod delegated_again;
mod drain;
mod edges;
mod expansion;
mod expansion_again;
mod expansion_large;
mod failures;
mod hanging;
mod house;
mod last_polls;
mod leases;
mod lines;
mod many;
mod metrics;
mod once;
mod outages;
mod presence;
mod regressions;
mod replay_of_audit;
mod replay_of_ledger;
mod replay_runs;
mod replays;
mod signatures;
mod slow;
mod thousand;
