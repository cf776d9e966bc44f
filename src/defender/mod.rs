//! Device Defender itself: whether a finding is genuine, and how an audit's summary becomes findings.

mod authenticate;
mod expansion;

pub use authenticate::{Verdict, authenticate};
pub use expansion::Expansion;
