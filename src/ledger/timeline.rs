//! The `Timelines` port: one common timeline for each API operation, on which every worker of the fleet reserves its calls.

use crate::aws::{CallError, Class};
use futures_util::future::BoxFuture;
use std::fmt;

/// How the timeline of one operation stands. Times are microseconds since the epoch **on the fleet's clock**, which is that of its
/// fastest worker; only their differences mean anything.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timeline {
    /// The first moment that nobody has reserved: the theoretical arrival time of a GCRA.
    pub next_free: i64,
    /// What the last writer took the fleet's clock to show when it wrote.
    pub written_at: i64,
    /// The part of the budget, above 0 up to 1, that was left by the last cut; 1 when there was none.
    pub rate: f64,
    /// When it was cut.
    pub cut_at: Option<i64>,
    /// How often it was cut. Also its version: whoever reserves must know the rate that is in force.
    pub cuts: u64,
}

/// A change of a timeline. Only [`Change::Start`] makes one; the others are refused where there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// `next_free` becomes `to`, unless it has moved since it was seen; `None` when there was no timeline, which then begins uncut.
    Start {
        /// `next_free` as it was read.
        seen: Option<i64>,
        /// Where it goes.
        to: i64,
    },
    /// `next_free` moves on by `by` from wherever it is, if that is at `from` or later, at `until` or earlier, and it was cut exactly
    /// `cuts` times.
    Advance {
        /// The earliest moment that may be reserved.
        from: i64,
        /// The latest moment that a reservation may begin at.
        until: i64,
        /// The length of the reservation.
        by: i64,
        /// How often it was cut, as far as the writer knows.
        cuts: u64,
    },
    /// The rate becomes `rate` at `at`, if it was cut exactly `cuts` times; counts one more.
    Cut {
        /// The new rate.
        rate: f64,
        /// When.
        at: i64,
        /// How often it was cut before.
        cuts: u64,
    },
}

impl Change {
    /// What no timeline may become is refused before anything is called.
    ///
    /// # Errors
    /// Class `Permanent`: a rate that is not above 0 and up to 1, a reservation of negative length.
    pub(super) fn check(self, operation: &'static str) -> Result<(), CallError> {
        let message = match self {
            Self::Cut { rate, .. } if !(rate > 0.0 && rate <= 1.0) => {
                format!("a timeline cannot be cut to the rate {rate}: give a part above 0 and up to 1")
            }
            Self::Advance { by, .. } if by < 0 => {
                format!(
                    "a reservation cannot be {by} microseconds long: it would hand out again what others have reserved"
                )
            }
            _ => return Ok(()),
        };
        Err(CallError::new(Class::Permanent, operation, message).with_code("ValidationException"))
    }
}

/// What became of a [`Change`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Changed {
    /// It was made; this is how the timeline stood **before**, `None` if there was none.
    From(Option<Timeline>),
    /// It was not, because the timeline stands like this (`None`: there is none).
    Refused(Option<Timeline>),
}

/// The timelines, by key `budget#<region>#<operation>`. Object-safe, because budgets are shared by workers of every kind; a call
/// a second and operation does not mind the box.
pub trait Timelines: fmt::Debug + Send + Sync + 'static {
    /// How the timeline stands, read consistently; `None` if there is none.
    fn timeline<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Timeline>, CallError>>;

    /// Makes a change as a whole or not at all; `now` is the writer's time on the fleet's clock and becomes `written_at`. A change
    /// whose outcome is unknown may have been made, once or more: the slots that it reserved are lost, none is reserved twice.
    fn change<'a>(&'a self, key: &'a str, change: Change, now: i64) -> BoxFuture<'a, Result<Changed, CallError>>;
}
