//! How large, deep and wide a message may be, checked before anything is built from it.

use super::RejectReason;
use serde_json::Value;

/// SQS carries at most 1 MiB.
pub(super) const MAX_BODY: usize = 1 << 20;
/// Objects and lists inside each other. A finding needs 5; `serde_json` itself stops at 128.
pub(super) const MAX_DEPTH: usize = 64;
/// The same for an identifier of a kind that this version does not know; the API's deepest has 1, and the rest of a message must
/// leave room for envelopes.
pub(super) const MAX_IDENTIFIER_DEPTH: usize = 16;
/// Entries of one message, over all its `Records` lists. Lambda hands on at most 10,000, SQS batches hold 10.
pub(super) const MAX_RECORDS: usize = 1000;
/// Envelopes inside each other: a record, its body's envelope, that one's message, our own, and room for a detour. An outermost one
/// of our own is not counted, so that whatever was accepted can be replayed.
pub(super) const MAX_ENVELOPES: usize = 6;

/// Reads JSON text of bounded depth. `path` says where the text stands, for the sentence.
pub(super) fn parse(text: &str, path: &str) -> Result<Value, (RejectReason, String)> {
    let here = if path.is_empty() { "the body" } else { path };
    if deeper_than(text.as_bytes(), MAX_DEPTH) {
        let message = format!("{here} nests objects and lists deeper than {MAX_DEPTH} levels; send the finding alone");
        return Err((RejectReason::TooDeep, message));
    }
    serde_json::from_str(text).map_err(|error| {
        let message = format!("{here} is not JSON ({error}); send what Device Defender publishes, unchanged");
        (RejectReason::NotJson, message)
    })
}

/// Counts brackets outside strings, without recursion. Text that is no JSON is counted too, and refused later.
pub(super) fn deeper_than(text: &[u8], limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (true, b'"') => in_string = false,
            (true, _) => {}
            (false, b'"') => in_string = true,
            (false, b'{' | b'[') => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            (false, _) => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_allowed_text_is_read_and_one_level_more_is_not() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(parse(&nested(MAX_DEPTH), "").is_ok());
        assert_eq!(parse(&nested(MAX_DEPTH + 1), "").unwrap_err().0, RejectReason::TooDeep);
    }

    #[test]
    fn brackets_in_strings_do_not_count_and_escaped_quotes_do_not_end_a_string() {
        assert!(parse(&format!(r#"{{"a":"\"{}"}}"#, "[".repeat(100)), "").is_ok());
        assert!(
            parse(&format!("{}1", "[1],".repeat(100)), "").is_err_and(|(reason, _)| reason == RejectReason::NotJson)
        );
    }
}
