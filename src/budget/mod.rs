//! Calls per second per operation.
//!
//! AWS limits each IoT operation per account and region. [`Budgets`] paces this process; sharing one account's budget exactly
//! among many processes goes behind the same [`Budgets::slot`].

mod budgets;
mod config;
mod operation;
mod pace;

pub use budgets::{Booking, Budgets, Use};
pub use config::BudgetConfig;
pub use operation::Operation;
