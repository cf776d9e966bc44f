//! The ledger on DynamoDB: the only place that names a table attribute.
//!
//! | item | attributes |
//! |---|---|
//! | `finding#<findingId>`, `expansion#<taskId>` | a [`crate::ledger::Record`], see `item.rs` |
//! | `resource#<business key without reason>` | `holder`, `lease_until`, `acted_by`, `acted_at`, `recurrences`, `last_recurrence` |
//! | `budget#<region>#<operation>` | `next_free`, `written_at`, `cut_at` (microseconds), `rate`, `cuts`: a [`crate::ledger::Timeline`] |
//! | `worker#<id>` | `note`: a [`crate::ledger::WorkerNote`] |
//!
//! Every item has `updated_at` (milliseconds) and `expires_at` (seconds, the time to live).

mod adapter;
mod batch;
mod claims;
mod inspect;
mod item;
mod listing;
mod presence;
mod resources;
mod statements;
mod table;
mod timelines;

pub use adapter::DynamoLedger;
pub use inspect::{TableInfo, TimeToLive, inspect_table};
pub use table::{ATTENTION_INDEX, Created, TableError, check_table, create_table};
