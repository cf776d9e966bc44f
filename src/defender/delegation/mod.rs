//! Device Defender's own engine, instead of ours: findings are handed to its mitigation actions in tasks of up to 25 findings of one
//! audit and check (`StartAuditMitigationActionsTask`).
//!
//! ```text
//! hand_over.rs  one finding: survey, intent on record, result on record     rooms.rs  where findings of one audit meet
//! lead.rs       one task: filled, sealed, started, watched                  order.rs  its id and token, from its content
//! results.rs    what it did about one finding
//! ```
//!
//! Starting a task is not idempotent (P2). Three things make a crash and a retry start nothing twice:
//!
//! 1. the task's id is a digest of its findings, so that one content starts once, whoever starts it;
//! 2. **every** finding of a task has that id on its record before the task is started;
//! 3. who finds an id on a record that nobody has ended reads that task back before anything else. If there is none, none will come:
//!    the worker that would have started it has lost its claims, and its last attempt has timed out.

mod hand_over;
mod lead;
mod order;
mod results;
mod rooms;

pub(crate) use hand_over::{HandOver, hand_over, hear, is_handed_over};
pub(crate) use rooms::Rooms;
