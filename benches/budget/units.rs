//! What this benchmark's figures count.

use crate::figures::Unit;

/// A part of a whole, in percent.
pub const PART: Unit = Unit { scale: 100.0, digits: 1, name: " %" };
/// Whole things.
pub const COUNT: Unit = Unit { scale: 1.0, digits: 0, name: "" };
/// Things per second.
pub const PER_SECOND: Unit = Unit { scale: 1.0, digits: 2, name: "" };
/// Seconds.
pub const SECONDS: Unit = Unit { scale: 1.0, digits: 1, name: " s" };
