//! The seam through which tests make the in-memory twins fail as AWS does.

use super::error::{CallError, Class};
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What becomes of one call to a twin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fate {
    /// The call runs and is answered.
    #[default]
    Proceed,
    /// The whole call fails before it has any effect.
    Fail(Class),
    /// The call runs, but its reply is lost: class `Unknown` for a write, `Transient` for a read.
    ReplyLost,
    /// The call runs so much later; whoever asked waits.
    Late(Duration),
    /// Only the entry of this index fails, without effect; a call without entries counts as entry 0.
    FailEntry(usize, Class),
}

/// Decides what becomes of each call. Calls are named `queue.receive`, `ledger.claim`, ...: port and method.
///
/// Any `Fn(&'static str) -> Fate` is one; [`Script`] is a fixed list.
pub trait Fates: Send + Sync + 'static {
    /// The fate of the call that is about to be made.
    fn next(&self, call: &'static str) -> Fate;
}

impl<F: Fn(&'static str) -> Fate + Send + Sync + 'static> Fates for F {
    fn next(&self, call: &'static str) -> Fate {
        self(call)
    }
}

/// Nothing ever fails.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fair;

impl Fates for Fair {
    fn next(&self, _call: &'static str) -> Fate {
        Fate::Proceed
    }
}

/// A fixed list: each call takes the first entry that names it, and proceeds when there is none.
#[derive(Debug, Default)]
pub struct Script(Mutex<VecDeque<(&'static str, Fate)>>);

impl Script {
    /// The script with these entries.
    pub fn new(entries: impl IntoIterator<Item = (&'static str, Fate)>) -> Self {
        Self(Mutex::new(entries.into_iter().collect()))
    }

    /// Entries that no call has met yet.
    pub fn remaining(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Fates for Script {
    fn next(&self, call: &'static str) -> Fate {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = entries.iter().position(|(name, _)| *name == call);
        found.and_then(|index| entries.remove(index)).map(|(_, fate)| fate).unwrap_or_default()
    }
}

/// One call of a twin: what fates know it by, what AWS calls it, and what a lost reply means.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    name: &'static str,
    pub(crate) operation: &'static str,
    lost: Class,
}

impl Call {
    pub(crate) const fn read(name: &'static str, operation: &'static str) -> Self {
        Self { name, operation, lost: Class::Transient }
    }

    pub(crate) const fn write(name: &'static str, operation: &'static str) -> Self {
        Self { name, operation, lost: Class::Unknown }
    }

    /// What the call acts on does not exist.
    pub(crate) fn gone(self, code: &str, message: impl Into<String>) -> CallError {
        CallError::new(Class::Gone, self.operation, message).with_code(code)
    }

    /// An error of this call under a wire code.
    pub(crate) fn refuse(self, code: &str, message: impl Into<String>) -> CallError {
        CallError::new(Class::Permanent, self.operation, message).with_code(code)
    }

    /// Runs `body`, which has the effect at once, under the next fate. Other tasks get a turn first, as they would over a network.
    pub(crate) async fn run<T>(
        self,
        fates: &dyn Fates,
        body: impl AsyncFnOnce(&EntryFault) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        tokio::task::yield_now().await;
        match fates.next(self.name) {
            Fate::Proceed => body(&EntryFault(None)).await,
            Fate::Late(by) => {
                tokio::time::sleep(by).await;
                body(&EntryFault(None)).await
            }
            Fate::Fail(class) => Err(CallError::new(class, self.operation, "the call was made to fail before it ran")),
            Fate::ReplyLost => {
                body(&EntryFault(None)).await?;
                Err(CallError::new(self.lost, self.operation, "the call ran and its reply was made to get lost"))
            }
            Fate::FailEntry(index, class) => {
                let error = CallError::new(class, self.operation, format!("entry {index} was made to fail"));
                body(&EntryFault(Some((index, error)))).await
            }
        }
    }
}

/// Which entry of a running call is to fail, if any.
pub(crate) struct EntryFault(Option<(usize, CallError)>);

impl EntryFault {
    /// The error of the entry at `index`, if that is the one.
    pub(crate) fn check(&self, index: usize) -> Result<(), CallError> {
        match &self.0 {
            Some((failing, error)) if *failing == index => Err(error.clone()),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for dyn Fates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fates")
    }
}
