//! What was measured of a worker. All that the model takes from measurements stands here; the rest follows from the code that it names.
//!
//! Measured with the production worker on the embedded AWS, over loopback HTTP and with budgets lifted, in a debug build on two cores:
//! `cargo test --test commands cost_model -- --nocapture`, which holds these figures. A backlog of 490 findings and 210 duplicates among
//! them came 10 to a receive and was deleted 8.9 at a time (7.5 where three actions make each finding take longer).
//!
//! Where an API quota paces the work, findings end one by one, and messages that would wait too long are given back and received again.
//! Measured with the same worker at AWS's default quotas (8 `UpdateCertificate` a second of 10) and findings that came at once: 1,600
//! took 1.8 requests to SQS each (1.0 deletes, 0.5 receives of 7 messages, 0.3 `ChangeMessageVisibilityBatch`), 4,000 took 2.0, and
//! 1,600 with 30 % duplicates 2.0. From 5,000 waiting messages on, polls slow down (`worker/lines.rs`). A batch fill of 1 estimates 2.0, and
//! 2.9 with the duplicates.
//!
//! CPU time was measured elsewhere, with the release build: see [`CPU_OF_A_FINDING`].

/// Claims that share a request, as a multiple of the messages of one receive: while the claimer waits for 8 ms (`LINGER` in
/// `src/worker/claimer.rs`) another poller's messages come. Measured 19 to 23 at 10 messages a receive. DynamoDB bills no requests, so that
/// no dollar hangs on it.
pub const CLAIMS_TO_A_RECEIVE: f64 = 2.0;

/// Announced changes and ends that share a request, likewise. Measured at 10 messages a receive: 12 to 14 for one action, 23 where
/// nothing is done, 8 to 10 for actions that are announced and take several calls.
pub const UPDATES_TO_A_RECEIVE: f64 = 1.2;

/// The size of a record, bytes, as DynamoDB counts it: names and values. Measured 1,142 where a certificate's finding is recorded only.
pub const RECORD_BYTES: f64 = 1_150.0;

/// What an action adds to it: its step, and words about it. Measured 348 for a certificate that was deactivated, 383 each for three actions.
pub const STEP_BYTES: f64 = 350.0;

/// CPU time of the worker for a finding with one action, seconds: the release build took 0.27 to 0.45 ms in
/// `cargo bench --bench pipeline -- --program <build>`, the more the busier the host was. A finding that is recorded only takes less.
pub const CPU_OF_A_FINDING: f64 = 0.40e-3;

/// CPU time of the worker for a duplicate, seconds: likewise.
pub const CPU_OF_A_DUPLICATE: f64 = 0.10e-3;

/// Reservations that a worker makes for each operation that it calls, a second (`docs/BUDGETS.md`: 1.05 where it works alone).
pub const RESERVATIONS_A_SECOND: f64 = 1.05;
