//! Calls per second per operation.
//!
//! AWS limits each IoT operation per account and region. [`Budgets`] paces this process; sharing one account's budget exactly
//! among many processes goes behind the same [`Budgets::slot`].

mod budgets;
mod config;
mod operation;
mod pace;
mod quotas;
mod service_quotas;

pub use budgets::{Booking, Budgets, Use};
pub use config::{BudgetConfig, HIGHEST_QUOTA, MOST_RESERVED, RESERVE, is_quota, is_reserve};
pub use operation::Operation;
pub use quotas::{QuotaSource, QuotaSources};
pub use service_quotas::{AppliedQuotas, read_service_quotas};
