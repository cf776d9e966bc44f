//! Sees the ledger before every call that any process makes: no state of a record escapes it.

use super::house::*;
use fleetwarden::ledger::{Record, Status};
use std::collections::BTreeMap;
use std::sync::Mutex;

pub struct Witness {
    house: TwinLedger,
    clock: fleetwarden::clock::Clock,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Status, epoch and owner of each record when last looked at.
    last: BTreeMap<String, (Status, u64, String)>,
    history: Vec<String>,
    broken: Vec<String>,
    /// The most live claims that one worker had.
    most: usize,
}

impl Witness {
    pub fn new(house: &House) -> Self {
        Self { house: house.ledger.clone(), clock: house.clock.clone(), seen: Mutex::default() }
    }

    /// Notes the call, and compares the ledger with what it was.
    pub fn look(&self, who: &str, call: &str) {
        let now = self.clock.now_ms();
        let mut seen = self.seen.lock().unwrap();
        let seen = &mut *seen;
        seen.history.push(format!("{now} {who} {call}"));
        let mut live: BTreeMap<String, usize> = BTreeMap::new();
        self.house.each_record(|record| {
            let Record { subject, status, epoch, owner, .. } = record;
            if *status == Status::Claimed && record.lease_until > now {
                match live.get_mut(owner) {
                    Some(claims) => *claims += 1,
                    None => drop(live.insert(owner.clone(), 1)),
                }
            }
            let key = &subject.key;
            let new = || (*status, *epoch, owner.clone());
            let Some(old) = seen.last.get(key) else {
                seen.last.insert(key.clone(), new());
                return;
            };
            if (old.0, old.1, &old.2) == (*status, *epoch, owner) {
                return;
            }
            let new = new();
            seen.history.push(format!("{now} {key} {new:?}"));
            let mut complain = |what: &str| seen.broken.push(format!("{what}: {key} went from {old:?} to {new:?}"));
            if old.0.is_terminal() {
                complain("terminal stays terminal");
            }
            if new.1 < old.1 || new.1 == old.1 && new.2 != old.2 {
                complain("P3");
            }
            if new.1 == old.1 && old.0 != Status::Claimed {
                complain("P3: written without a claim");
            }
            seen.last.insert(key.clone(), new);
        });
        seen.most = seen.most.max(live.into_values().max().unwrap_or(0));
    }

    /// What nobody may ever have seen; the most live claims that one worker had; and the whole story.
    pub fn testify(&self) -> (Vec<String>, usize, Vec<String>) {
        self.look("end", "");
        let mut seen = self.seen.lock().unwrap();
        (std::mem::take(&mut seen.broken), seen.most, std::mem::take(&mut seen.history))
    }
}
