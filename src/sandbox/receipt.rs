//! Receipt handles that know which queue gave them out.
//!
//! The queue library deletes by any text without complaint. AWS tells a handle that it never gave out (or that another queue
//! gave out) from one that is merely old. So the handle that leaves the sandbox is the library's own with the queue's name
//! sealed in; nothing has to be remembered.

use aws_smithy_types::base64;
use uuid::Uuid;

/// A handle that this queue gave out, whether or not it is still the newest for its message.
#[derive(Debug, PartialEq)]
pub(super) struct Receipt {
    /// The library's handle.
    pub(super) inner: String,
    /// When the message was received, in milliseconds since 1970.
    pub(super) received_at_ms: i64,
    /// The marker of the message's body, if that is kept aside.
    pub(super) marker: Option<String>,
}

/// The handle that a client sees.
pub(super) fn seal(queue: &str, inner: &str, marker: Option<&str>) -> String {
    base64::encode(format!("{queue}:{inner}:{}", marker.unwrap_or_default()))
}

/// Reads a handle back; none when `queue` cannot have given it out.
pub(super) fn open(queue: &str, handle: &str) -> Option<Receipt> {
    let sealed = String::from_utf8(base64::decode(handle).ok()?).ok()?;
    let (from, rest) = sealed.split_once(':')?;
    let (inner, marker) = rest.split_once(':')?;
    if from != queue {
        return None;
    }
    // The library's handle is the base64 of `message id:nanoseconds since 1970:nonce`.
    let parts = String::from_utf8(base64::decode(inner).ok()?).ok()?;
    let mut parts = parts.split(':');
    let (message, nanos, nonce) = (parts.next()?, parts.next()?, parts.next()?);
    Uuid::parse_str(message).ok()?;
    Uuid::parse_str(nonce).ok()?;
    let received_at_ms = i64::try_from(nanos.parse::<u128>().ok()? / 1_000_000).ok()?;
    let marker = (!marker.is_empty()).then(|| marker.to_owned());
    Some(Receipt { inner: inner.to_owned(), received_at_ms, marker })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_opens_only_for_the_queue_that_gave_it_out() {
        let inner = base64::encode(format!("{}:1700000000123456789:{}", Uuid::nil(), Uuid::nil()));
        let sealed = seal("findings", &inner, Some("kept:aside:1"));
        let receipt = open("findings", &sealed).unwrap();
        assert_eq!(receipt, Receipt { inner, received_at_ms: 1_700_000_000_123, marker: Some("kept:aside:1".into()) });
        assert_eq!(open("findings-dlq", &sealed), None);
        for invalid in ["", "nonsense", "AQEB", &base64::encode("findings:nonsense")] {
            assert_eq!(open("findings", invalid), None, "{invalid:?}");
        }
    }
}
