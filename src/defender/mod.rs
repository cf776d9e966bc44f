//! Device Defender itself: whether a finding is genuine, how an audit's summary becomes findings, and what a person does at its
//! console.

mod authenticate;
pub mod console;
mod expansion;

pub use authenticate::{Verdict, authenticate};
pub use expansion::Expansion;
