//! Second chances: from the dead-letter queue, from the ledger, from an audit task.
//!
//! A [`Letter`] is one message of the dead-letter queue as a value: why it was given up, what it is about, and its body unchanged.

mod letter;

pub use letter::{Letter, REDRIVEN};
