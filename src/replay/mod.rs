//! Second chances: from the dead-letter queue, from the ledger, from an audit task.
//!
//! A [`Letter`] is one message of the dead-letter queue as a value: why it was given up, what it is about, and its body unchanged.
//! A [`Selection`] says which letters or records are meant, an [`Order`] how they go: under one id for each run, at a rate, by force
//! or not. [`DeadLetterReplay`] and [`LedgerReplay`] plan and run it on the ports.

mod dead_letters;
mod held;
mod ledger;
mod letter;
mod order;
mod selection;
mod sender;
mod watch;

pub use dead_letters::{DeadLetterReplay, MAX_HELD};
pub use ledger::LedgerReplay;
pub use letter::{Letter, REDRIVEN};
pub use order::{Ended, Groups, Order, Summary};
pub use selection::{Candidate, Selection, parse_ids};
