//! The ledger: each finding once. The record and its transitions (pure), the `Ledger`, `Timelines` and `Presence` ports, their
//! adapters.

mod census;
pub mod dynamodb;
mod lineage;
mod memory;
mod port;
mod presence;
mod record;
mod subject;
mod timeline;
pub mod transition;

pub use census::{Census, LATEST, Tally};
pub use dynamodb::DynamoLedger;
pub use lineage::{Lineage, Replayed};
pub use memory::MemoryLedger;
pub use port::{
    BATCH, Claim, ClaimOutcome, ClaimRef, ClaimRequest, Filter, Finish, Gate, Ledger, RecordPage, Recording,
    ReplayMode, WriteError,
};
pub use presence::{Calls, Presence, REMEMBERED, Standing, WorkerHealth, WorkerNote};
pub use record::{Record, Status, Step, StepOutcome, Subject};
pub use timeline::{Change, Changed, Timeline, Timelines};
