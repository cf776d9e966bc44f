//! Device Defender itself: whether a finding is genuine, how an audit's summary becomes findings, and what a person does at its
//! console.

mod authenticate;
mod authenticator;
mod book;
pub mod by_hand;
pub mod console;
mod delegation;
mod expansion;
mod failed_checks;

pub use authenticate::{Verdict, authenticate};
pub use authenticator::Authenticator;
pub use book::PAGE_PATIENCE;
pub(crate) use delegation::{HandOver, Rooms, hand_over, hear, is_handed_over};
pub use expansion::Expansion;
pub use failed_checks::{CHECK, FailedCheck, failed_checks};
