//! Calls per second per operation.
//!
//! AWS limits each IoT operation per account and region. [`Budgets`] hands out the slots in which calls may be made:
//!
//! ```text
//! operation.rs  AWS's default quotas     config.rs   the account's own, less the reserve
//! quotas.rs     whose word on a quota holds     service_quotas.rs   what AWS tells of the account's own
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
#[cfg(test)]
mod properties;
mod quotas;
mod service_quotas;
mod shared;
mod timeline;

pub use budgets::{Budgets, Use};
pub use config::{BudgetConfig, HIGHEST_QUOTA, MOST_RESERVED, RESERVE, is_quota, is_reserve};
pub use fleet::{Fleet, timeline_key};
pub use operation::Operation;
pub use pace::Pace;
pub use quotas::{QuotaSource, QuotaSources};
pub use service_quotas::{AppliedQuotas, read_service_quotas};
pub use timeline::rate_in_force;
