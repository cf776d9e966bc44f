//! Second chances: from the dead-letter queue, from the ledger, from an audit task.
//!
//! A [`Letter`] is one message of the dead-letter queue as a value: why it was given up, what it is about, and its body unchanged.
//! [`look`] shows the letters of a queue, each once, and [`give_back`] leaves the queue as it was.
//! A [`Filter`] says which letters or records are meant, an [`Order`] how they go back: under one id for each run, at a rate, by
//! force or not. [`DeadLetterReplay`] and [`LedgerReplay`] plan and run it on the ports; an [`AuditReplay`] is one message.
//! [`native`] has SQS itself move everything back.

mod aside;
mod audit;
mod dead_letters;
mod filter;
mod groups;
mod ledger;
mod letter;
mod look;
pub mod native;
mod order;
mod purge;
mod sender;
mod survey;
mod watch;

pub use audit::AuditReplay;
pub use dead_letters::{DeadLetterReplay, MAX_HELD};
pub use filter::{Candidate, Filter, parse_ids};
pub use groups::{By, Example, Group, Groups};
pub use ledger::LedgerReplay;
pub use letter::{Letter, REDRIVEN};
pub use look::{Bounds, End, Held, LETTERS, delete, give_back, look};
pub use order::{Chosen, Ended, Order, Summary};
pub use purge::{ANSWER, Answer, Purged, Selection, purge};
pub(crate) use sender::Sender;
pub use survey::{Pass, find, survey};
