//! The payload of a finding, as Device Defender publishes it.

use super::{Finding, Rejected};
use serde_json::{Value, json};

impl Finding {
    /// The nine members that Device Defender publishes, times as integer milliseconds.
    pub fn to_native(&self) -> Value {
        json!({ "findingId": self.finding_id })
    }

    /// Reads a native payload, or a finding as the REST API answers it.
    pub fn from_native(value: &Value, account: &str, region: &str) -> Result<Self, Rejected> {
        let _ = (value, account, region);
        Err(Rejected {
            reason: super::RejectReason::InvalidFinding,
            message: "being written".to_owned(),
            finding_id: None,
            check: None,
        })
    }
}
