//! Small pieces of sentences.

use crate::aws::{CallError, Class};
use std::time::Duration;

/// `10 days`, `14 hours`, `90 s`: the largest unit that says it exactly.
pub(super) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (n, unit) = match seconds {
        n if n > 0 && n.is_multiple_of(86_400) => (n / 86_400, "day"),
        n if n > 0 && n.is_multiple_of(3_600) => (n / 3_600, "hour"),
        n => return format!("{n} s"),
    };
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

/// A sentence of the checks at start, taken apart: what is wrong, and, behind a semicolon or a colon, what to do.
pub(super) fn apart(problem: &str) -> (&str, &str) {
    let parts = problem.split_once("; ").or_else(|| problem.split_once(": "));
    // What an endpoint said is no advice.
    parts.filter(|(_, mend)| !mend.starts_with("failed to ")).unwrap_or((problem, ""))
}

/// What to do about a call that only looks: `action` is AWS's name of the permission.
pub(super) fn about_read(error: &CallError, action: &str) -> String {
    match (error.class, &error.code) {
        (Class::Denied, Some(_)) => format!("allow {action}, or look with other credentials"),
        (Class::Transient, None) => "check the network, AWS_ENDPOINT_URL and AWS_REGION".to_owned(),
        _ => "run doctor again; if it stays, look at the AWS Health Dashboard".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_of_the_checks_at_start_is_taken_apart_where_it_says_what_to_do() {
        for (problem, found, mend) in [
            ("there is no action A; create it with `x`", "there is no action A", "create it with `x`"),
            (
                "the queue http://h/q does not exist: check its URL",
                "the queue http://h/q does not exist",
                "check its URL",
            ),
            (
                "the queue q cannot be used: failed to call X: words",
                "the queue q cannot be used: failed to call X: words",
                "",
            ),
        ] {
            assert_eq!(apart(problem), (found, mend));
        }
    }

    #[test]
    fn a_span_is_told_in_the_largest_unit_that_fits() {
        for (seconds, words) in
            [(0, "0 s"), (60, "60 s"), (3_600, "1 hour"), (345_600, "4 days"), (345_660, "345660 s")]
        {
            assert_eq!(span(Duration::from_secs(seconds)), words);
        }
    }
}
