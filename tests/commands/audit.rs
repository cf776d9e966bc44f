//! What the tests of `audit` share.

use super::bench::{Bench, Ran};
use serde_json::Value;

/// Runs `audit` with these arguments; it must succeed.
pub async fn audited(bench: &Bench, arguments: &[&str]) -> Ran {
    let ran = bench.run(&[&["audit"], arguments].concat()).await;
    assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
    ran
}

/// Runs `audit` with these arguments; it must refuse them, with these words.
pub async fn refused(bench: &Bench, arguments: &[&str], words: &[&str]) {
    let ran = bench.run(&[&["audit"], arguments].concat()).await;
    assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
    for word in words {
        assert!(ran.err.contains(word), "`{word}` is not in: {}", ran.err);
    }
}

/// The document that was printed.
pub fn json_of(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// Calls of this operation, however they ended.
pub fn calls(bench: &Bench, operation: &str) -> u64 {
    let counted = bench.sandbox.iot().calls();
    counted.get(operation).map_or(0, |count| count.ok + count.throttled + count.failed)
}

/// An audit of these checks that has ended; its id.
pub async fn audit_of(bench: &Bench, checks: &str) -> String {
    let ran = audited(bench, &["start", "--checks", checks, "--wait", "--output", "json"]).await;
    json_of(&ran)["taskId"].as_str().unwrap().to_owned()
}
