//! Timelines in memory: each change is made as a whole under the table's lock, or refused.

use super::MemoryLedger;
use crate::aws::{Call, CallError};
use crate::ledger::{Change, Changed, Timeline, Timelines};
use futures_util::future::BoxFuture;

const READ: Call = Call::read("timelines.read", "GetItem");
const CHANGE: Call = Call::write("timelines.change", "UpdateItem");

impl Timelines for MemoryLedger {
    fn timeline<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Timeline>, CallError>> {
        Box::pin(READ.run(&*self.fates, async |fault| {
            fault.check(0)?;
            Ok(self.table().timelines.get(key).copied())
        }))
    }

    fn change<'a>(&'a self, key: &'a str, change: Change, now: i64) -> BoxFuture<'a, Result<Changed, CallError>> {
        Box::pin(async move {
            change.check(CHANGE.operation)?;
            CHANGE
                .run(&*self.fates, async |fault| {
                    fault.check(0)?;
                    let timelines = &mut self.table().timelines;
                    let before = timelines.get(key).copied();
                    let Some(after) = made(before, change) else { return Ok(Changed::Refused(before)) };
                    timelines.insert(key.to_owned(), Timeline { written_at: now, ..after });
                    Ok(Changed::From(before))
                })
                .await
        })
    }
}

/// The timeline after the change, but for `written_at`; `None` if its condition does not hold.
fn made(before: Option<Timeline>, change: Change) -> Option<Timeline> {
    match (before, change) {
        (None, Change::Start { seen: None, to }) => {
            Some(Timeline { next_free: to, written_at: 0, rate: 1.0, cut_at: None, cuts: 0 })
        }
        (Some(before), Change::Start { seen: Some(seen), to }) => {
            (before.next_free == seen).then_some(Timeline { next_free: to, ..before })
        }
        (Some(before), Change::Advance { from, until, by, cuts }) => {
            let may = before.next_free >= from && before.next_free <= until && before.cuts == cuts;
            may.then(|| Timeline { next_free: before.next_free.saturating_add(by), ..before })
        }
        (Some(before), Change::Cut { rate, at, cuts }) => {
            (before.cuts == cuts).then(|| Timeline { rate, cut_at: Some(at), cuts: cuts.saturating_add(1), ..before })
        }
        (None, _) | (Some(_), Change::Start { seen: None, .. }) => None,
    }
}
