//! Workers' notes in memory.

use super::MemoryLedger;
use crate::aws::{Call, CallError};
use crate::ledger::{Presence, WorkerNote};

const ANNOUNCE: Call = Call::write("presence.announce", "UpdateItem");
const WORKERS: Call = Call::read("presence.workers", "Query");

impl Presence for MemoryLedger {
    async fn announce(&self, note: &WorkerNote) -> Result<(), CallError> {
        ANNOUNCE
            .run(&*self.fates, async |fault| {
                fault.check(0)?;
                self.table().workers.insert(note.id.clone(), note.clone());
                Ok(())
            })
            .await
    }

    async fn workers(&self, since: i64) -> Result<Vec<WorkerNote>, CallError> {
        WORKERS
            .run(&*self.fates, async |fault| {
                fault.check(0)?;
                let mut notes: Vec<_> =
                    self.table().workers.values().filter(|note| note.seen_at >= since).cloned().collect();
                notes.sort_by_key(|note| std::cmp::Reverse(note.seen_at));
                Ok(notes)
            })
            .await
    }
}
