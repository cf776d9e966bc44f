//! Message bodies above 256 KiB.
//!
//! SQS takes 1 MiB since 2025, the queue library 256 KiB. A larger body is kept here, and a marker travels through the queue in
//! its place: through visibility timeouts and dead-letter queues, until the message is deleted.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The library's ceiling for one message, in bytes.
pub(super) const LIBRARY_BYTES: usize = 256 * 1024;

/// The ceiling of SQS, in bytes.
pub(super) const SQS_BYTES: usize = 1 << 20;

/// How a marker starts; no message of anybody's does.
const MARK: &str = "sandbox:large-body:5d0c3c5e-6a55-4c0e-9b57-2f6f0f6a7d11:";

/// The bodies kept aside.
#[derive(Debug, Default)]
pub(super) struct LargeBodies {
    kept: Mutex<(u64, HashMap<String, String>)>,
}

impl LargeBodies {
    /// Keeps `body`; answers its marker.
    pub(super) fn keep(&self, body: String) -> String {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.0 += 1;
        let marker = format!("{MARK}{}", kept.0);
        kept.1.insert(marker.clone(), body);
        marker
    }

    /// The body of a marker; none for any other text.
    pub(super) fn body_of(&self, text: &str) -> Option<String> {
        if !text.starts_with(MARK) {
            return None;
        }
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).1.get(text).cloned()
    }

    /// How many are kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).1.len()
    }

    /// Lets the body of a marker go.
    pub(super) fn forget(&self, marker: &str) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).1.remove(marker);
    }
}
