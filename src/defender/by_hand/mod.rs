//! An audit's findings, mitigated because a person says so now: which, what that will do, and how they get there.
//!
//! Two ways lead there. Without named actions the findings go on the queue, and the fleet's workers do what their policy says. With
//! named actions of Device Defender this process is a worker itself, over a queue of its own: the findings are claimed in the same
//! ledger, so that nothing is done twice, whoever else is at work.

mod enqueue;
mod pages;
mod plan;
mod selection;

pub use enqueue::{Enqueued, message};
pub use pages::{Audited, Pages};
pub use plan::{Plan, PlanRow, What};
pub use selection::Selection;
