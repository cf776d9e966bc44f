//! The findings in hand: their leases, and the duplicates that wait for them.

use super::delivery::{Settlement, Ticket};
use crate::ledger::ClaimRef;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Kept clear before the end of a lease: no change is begun within it. Covers the slowest call and clocks that differ between
/// workers (a worker whose clock runs ahead takes over early by the difference). At most a quarter of the lease: heartbeats leave
/// three eighths of it at any time, and below that there would be no time to act at all.
const LEASE_MARGIN: Duration = Duration::from_secs(15);

/// Findings in hand, by ledger key. A second message for one of them waits for its end instead of asking the ledger.
#[derive(Debug)]
pub(super) struct Claims {
    in_hand: Mutex<BTreeMap<String, InHand>>,
    margin: Duration,
}

#[derive(Debug)]
struct InHand {
    fingerprint: String,
    tickets: Vec<Ticket>,
    /// Absent until the ledger has granted it.
    lease: Option<Lease>,
}

#[derive(Debug, Clone, Copy)]
struct Lease {
    epoch: u64,
    until: Instant,
    lost: bool,
}

/// What a message for a key meets.
#[derive(Debug)]
pub(super) enum Met {
    /// Nobody here works on it: ask the ledger.
    Fresh,
    /// It waits for the work under way here, and will be settled with it.
    Follows,
    /// It asks for more than the work under way here will do: let it come again.
    TooEarly(Ticket),
    /// Work is under way here on the same key with other content.
    Mismatch(Ticket),
}

impl Claims {
    /// None yet, for leases of this length.
    pub fn new(lease: Duration) -> Self {
        Self { in_hand: Mutex::default(), margin: LEASE_MARGIN.min(lease / 4) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, InHand>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a message's ticket for `key`.
    ///
    /// The end of the work under way is the end of every message that asks for no more than that: of all but a replay by `force`.
    pub fn meet(&self, key: &str, fingerprint: &str, force: bool, ticket: Ticket) -> Met {
        let mut in_hand = self.lock();
        match in_hand.get_mut(key) {
            None => {
                let fresh = InHand { fingerprint: fingerprint.to_owned(), tickets: vec![ticket], lease: None };
                in_hand.insert(key.to_owned(), fresh);
                Met::Fresh
            }
            Some(known) if known.fingerprint == fingerprint && force => Met::TooEarly(ticket),
            Some(known) if known.fingerprint == fingerprint => {
                known.tickets.push(ticket);
                Met::Follows
            }
            Some(_) => Met::Mismatch(ticket),
        }
    }

    /// The ledger granted the claim; `until` is reckoned from before it was asked.
    pub fn granted(&self, key: &str, epoch: u64, until: Instant) {
        if let Some(known) = self.lock().get_mut(key) {
            known.lease = Some(Lease { epoch, until, lost: false });
        }
    }

    /// The ledger extended the lease.
    pub fn renewed(&self, claim: &ClaimRef, until: Instant) {
        if let Some(InHand { lease: Some(lease), .. }) = self.lock().get_mut(&claim.key)
            && lease.epoch == claim.epoch
        {
            lease.until = until;
        }
    }

    /// Another epoch owns the record.
    pub fn lost(&self, claim: &ClaimRef) {
        if let Some(InHand { lease: Some(lease), .. }) = self.lock().get_mut(&claim.key)
            && lease.epoch == claim.epoch
        {
            lease.lost = true;
        }
    }

    /// Whether the claim certainly holds for a while yet.
    pub fn is_ours(&self, claim: &ClaimRef) -> bool {
        self.lock().get(&claim.key).and_then(|known| known.lease).is_some_and(|lease| {
            lease.epoch == claim.epoch && !lease.lost && Instant::now() + self.margin < lease.until
        })
    }

    /// Leases that end before `deadline`.
    pub fn due(&self, deadline: Instant) -> Vec<ClaimRef> {
        self.lock()
            .iter()
            .filter_map(|(key, known)| {
                let lease = known.lease.filter(|lease| !lease.lost && lease.until < deadline)?;
                Some(ClaimRef { key: key.clone(), epoch: lease.epoch })
            })
            .collect()
    }

    /// The receive count of the message that leads, and when its finding was first received.
    pub fn with_leader<T>(&self, key: &str, look: impl FnOnce(&Ticket) -> T) -> Option<T> {
        self.lock().get(key)?.tickets.first().map(look)
    }

    /// The work on `key` is over: every message that waited for it gets the same end. How many there were.
    pub fn end(&self, key: &str, settlement: Settlement) -> usize {
        let tickets = self.lock().remove(key).map(|known| known.tickets).unwrap_or_default();
        let n = tickets.len();
        for ticket in tickets {
            ticket.settle(settlement);
        }
        n
    }
}
