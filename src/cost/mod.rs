//! What findings cost on AWS: requests, billed units and dollars, by service and by kind of request. Pure: no calls, no clock.
//!
//! ```text
//! workload.rs  what is to be estimated: how many findings, duplicates, actions     actions.rs  what each action calls
//! measured.rs  what was measured of a worker, and how     model.rs  the lines that follow     price.rs  what AWS asks, by whom and when
//! bill.rs      lines times prices     savings.rs  what would make the bill smaller, or larger
//! ```
//!
//! Not estimated: what an account pays whether findings come or not, and what does not come from the worker's requests. Alarms, metrics,
//! dashboard, logs and addresses are in `infra/README.md`; Device Defender charges by the device, not by the finding. Nor are a policy's
//! `cooldown` (two `UpdateItem` for each finding that is acted on), `read_back` (a paced call more for each write) and delegated actions.

mod actions;
mod bill;
mod measured;
mod model;
mod price;
mod savings;
mod workload;

pub use bill::{Bill, Item, ServiceSum};
pub use model::{Estimate, Limit, Line, Part, estimate};
pub use price::{Charge, OtherPrice, PRICES, Price, Prices, REGION};
pub use savings::{Change, Saving, one_by_one, saving};
pub use workload::{Arrival, MOST_DUPLICATES, MOST_FINDINGS, MOST_HOURS, Workload};
