//! A finding that no audit made: `fleetwarden doctor` sends it through a deployment to see that it comes out at the other end.

use super::{Finding, Resource, ResourceIdentifier, Severity};
use std::collections::BTreeMap;

/// The check of every canary. No check of Device Defender has this name, and the policy has no word about it: whatever message says
/// so, genuine or not, is recorded and nothing else.
pub const CANARY_CHECK: &str = "FLEETWARDEN_CANARY_CHECK";

/// How the id of every canary begins; Device Defender's own are UUIDs or 32 hexadecimal digits.
pub const CANARY_ID_PREFIX: &str = "fleetwarden-canary-";

impl Finding {
    /// A canary for this audited account and region. `seed` tells it from others, `now` is in milliseconds since the epoch.
    pub fn canary(seed: u64, account: &str, region: &str, now: i64) -> Self {
        Self {
            finding_id: format!("{CANARY_ID_PREFIX}{seed:016x}"),
            account: account.to_owned(),
            region: region.to_owned(),
            task_id: None,
            check: CANARY_CHECK.to_owned(),
            reason_code: "CANARY".to_owned(),
            reason: "A test message of `fleetwarden doctor`: nothing is wrong, and nothing is done.".to_owned(),
            severity: Severity::Low,
            resource: Resource {
                kind: "ACCOUNT_SETTINGS".to_owned(),
                identifier: ResourceIdentifier::Account(account.to_owned()),
                additional_info: BTreeMap::new(),
            },
            related: Vec::new(),
            suppressed: false,
            found_at: Some(now),
            audit_started_at: Some(now),
        }
    }

    /// Whether it says that it is a canary. Nobody vouches for that, so it is a reason to do less and never to do more.
    pub fn is_canary(&self) -> bool {
        self.check == CANARY_CHECK
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Content, Origin, decode, encode_own};

    #[test]
    fn a_canary_arrives_as_it_was_sent_whichever_way_it_came() {
        let canary = Finding::canary(7, "123456789012", "eu-central-1", 1_791_014_401_000);
        assert_eq!(canary.finding_id, "fleetwarden-canary-0000000000000007");
        let origin = Origin { account: Some(canary.account.clone()), region: Some(canary.region.clone()) };
        for body in [encode_own(&canary, None), canary.to_native().to_string()] {
            let arrivals = decode(&body, &origin);
            assert_eq!(arrivals.len(), 1);
            assert_eq!(arrivals[0].content, Ok(Content::Finding(Box::new(canary.clone()))));
            assert!(canary.is_canary());
        }
    }
}
