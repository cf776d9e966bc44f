//! Times as people write them.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

/// A time: a moment, a day (from 00:00 UTC), or a span such as `7d` that is counted from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Itself.
    At(Timestamp),
    /// So long before or after now.
    Span(SignedDuration),
}

/// Reads one.
///
/// # Errors
///
/// A sentence.
pub fn moment(text: &str) -> Result<Moment, String> {
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Moment::At(at));
    }
    if let Some(span) =
        text.parse::<Span>().ok().and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok())
    {
        let fits = span > SignedDuration::ZERO;
        return if fits { Ok(Moment::Span(span)) } else { Err("write a span above zero, such as 7d".to_owned()) };
    }
    // A day alone is its first moment.
    let at = text.parse::<DateTime>().and_then(|day| day.to_zoned(TimeZone::UTC)).ok().map(|at| at.timestamp());
    at.map(Moment::At).ok_or_else(|| {
        "write a time such as 2026-11-22 or 2026-11-22T10:00:00Z (UTC), or a span such as 7d or 12h".to_owned()
    })
}

impl Moment {
    /// A span is that long ago.
    pub fn past(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Span(span) => now.checked_sub(span).unwrap_or(Timestamp::MIN),
        }
    }

    /// A span is that far ahead.
    pub fn future(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Span(span) => now.checked_add(span).unwrap_or(Timestamp::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_a_day_and_a_span_are_read() {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        for (text, past, future) in [
            ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00Z", "2026-11-20T10:00:00Z"),
            ("2026-11-20T10:00:00+02:00", "2026-11-20T08:00:00Z", "2026-11-20T08:00:00Z"),
            ("2026-11-20", "2026-11-20T00:00:00Z", "2026-11-20T00:00:00Z"),
            ("2026-11-20 09:30", "2026-11-20T09:30:00Z", "2026-11-20T09:30:00Z"),
            ("7d", "2026-11-15T10:00:00Z", "2026-11-29T10:00:00Z"),
            ("1d 12h", "2026-11-20T22:00:00Z", "2026-11-23T22:00:00Z"),
            ("2w", "2026-11-08T10:00:00Z", "2026-12-06T10:00:00Z"),
        ] {
            let read = moment(text).unwrap();
            assert_eq!(read.past(now).to_string(), past, "{text}");
            assert_eq!(read.future(now).to_string(), future, "{text}");
        }
        for wrong in ["", "soon", "7", "-7d", "0s", "2026-13-01", "1mo", "tomorrow"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }
}
