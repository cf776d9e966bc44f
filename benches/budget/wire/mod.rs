//! The same budgets under real time: four worker processes against the embedded AWS with its throttles on, over loopback HTTP.
//!
//! - [`stage`]: the embedded AWS, a fleet of devices with more defects than a minute can mend, and the findings on the queue
//! - [`tap`]: a listener between one worker and the ledger that counts what the worker asks of the timelines
//! - [`run`]: the workers, a minute of steady load, and what the account counted

pub mod run;
mod stage;
mod tap;
