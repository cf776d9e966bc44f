//! Second chances: from the dead-letter queue, from the ledger, from an audit task.
//!
//! A [`Letter`] is one message of the dead-letter queue as a value: why it was given up, what it is about, and its body unchanged.
//! [`look`] shows the letters of a queue, each once, and [`give_back`] leaves the queue as it was.
//! [`native`] has SQS itself move everything back.

mod groups;
mod letter;
mod look;
pub mod native;
mod purge;
mod survey;

pub use groups::{By, Example, Group, Groups};
pub use letter::{Letter, REDRIVEN};
pub use look::{Bounds, End, Held, LETTERS, delete, give_back, look};
pub use purge::{ANSWER, Answer, Purged, Selection, purge};
pub use survey::{Pass, find, survey};
