//! Calls per second per operation.
//!
//! AWS limits each IoT operation per account and region. [`Budgets`] hands out the slots in which calls may be made:
//!
//! ```text
//! operation.rs  AWS's default quotas     config.rs    the account's own, less the reserve
//! timeline.rs   the shared timeline's arithmetic, pure     line.rs   what one worker holds of it, pure
//! fleet.rs      what the workers share: the ledger's timelines, and a clock     shared.rs   callers, slots, reservations
//! pace.rs       this process's own pace     budgets.rs   all of it, by operation
//! ```

mod budgets;
mod config;
mod fleet;
mod line;
mod operation;
mod pace;
mod shared;
mod timeline;

pub use budgets::{Booking, Budgets, Use};
pub use config::BudgetConfig;
pub use fleet::{Fleet, timeline_key};
pub use operation::Operation;
pub use timeline::rate_in_force;
