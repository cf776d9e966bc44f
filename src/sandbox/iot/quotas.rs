//! Calls per second, per operation, as AWS IoT limits them for one account in one region.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// How operations are throttled. Over HTTP: `{"enabled": true, "scale": 10, "rates": {"UpdateCertificate": 50}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quotas {
    /// Off: no call is ever throttled.
    pub enabled: bool,
    /// Multiplies every rate of the table, for a demo that should not take an hour. Above 0.
    pub scale: f64,
    /// Calls per second of single operations, instead of the table's; not scaled.
    pub rates: BTreeMap<String, f64>,
}

impl Default for Quotas {
    fn default() -> Self {
        Self::scaled(1.0)
    }
}

impl Quotas {
    /// No throttling.
    pub fn off() -> Self {
        Self { enabled: false, ..Self::scaled(1.0) }
    }

    /// AWS's default rates times `scale`.
    pub fn scaled(scale: f64) -> Self {
        Self { enabled: true, scale, rates: BTreeMap::new() }
    }

    /// Calls per second of an operation; `None` when it is not limited.
    pub fn rate(&self, operation: &str) -> Option<f64> {
        if !self.enabled {
            return None;
        }
        let rate = self.rates.get(operation).copied();
        let table = || RATES.iter().find(|(name, _)| *name == operation).map(|(_, rate)| f64::from(*rate) * self.scale);
        rate.or_else(table)
    }

    /// Calls per second of every operation that is limited.
    pub fn limits(&self) -> BTreeMap<&str, f64> {
        let names = RATES.iter().map(|(name, _)| *name).chain(self.rates.keys().map(String::as_str));
        names.filter_map(|name| Some((name, self.rate(name)?))).collect()
    }
}

/// Default transactions per second, us-east-1. Source: AWS General Reference, "AWS IoT Core endpoints and quotas" (API
/// throttling limits) and "AWS IoT Device Defender endpoints and quotas"; operations that are not listed there are not
/// limited here, but for one.
#[rustfmt::skip]
static RATES: &[(&str, u32)] = &[
    // Not listed by AWS; taken to be like the other lists of Device Defender.
    ("ListRelatedResourcesForAuditFinding", 10),
    ("GetV2LoggingOptions", 2),
    ("SetV2LoggingOptions", 2),
    ("SetV2LoggingLevel", 2),
    ("DeleteV2LoggingLevel", 2),
    ("ListV2LoggingLevels", 2),
    ("GetLoggingOptions", 2),
    ("SetLoggingOptions", 2),
    ("GetEffectivePolicies", 5),
    ("CreateDynamicThingGroup", 5),
    ("CreateScheduledAudit", 5),
    ("UpdateScheduledAudit", 5),
    ("DescribeScheduledAudit", 5),
    ("ListScheduledAudits", 5),
    ("DeleteScheduledAudit", 5),
    ("DescribeAccountAuditConfiguration", 5),
    ("UpdateAccountAuditConfiguration", 5),
    ("DeleteAccountAuditConfiguration", 5),
    ("UpdateCertificate", 10),
    ("DescribeCertificate", 10),
    ("UpdateCACertificate", 10),
    ("DescribeCACertificate", 10),
    ("DeleteCertificate", 10),
    ("ListCertificates", 10),
    ("ListCertificatesByCA", 10),
    ("ListCACertificates", 10),
    ("UpdateCertificateMode", 10),
    ("CreatePolicy", 10),
    ("CreatePolicyVersion", 10),
    ("SetDefaultPolicyVersion", 10),
    ("ListPolicyVersions", 10),
    ("DeletePolicyVersion", 10),
    ("DeletePolicy", 10),
    ("GetPolicy", 10),
    ("ListPolicies", 10),
    ("ListTargetsForPolicy", 10),
    ("UpdateThingGroupsForThing", 10),
    ("ListThingGroups", 10),
    ("ListPrincipalThings", 10),
    ("ListPrincipalThingsV2", 10),
    ("ListThings", 10),
    ("DescribeRoleAlias", 10),
    ("UpdateRoleAlias", 10),
    ("TagResource", 10),
    ("DescribeEndpoint", 10),
    ("StartAuditMitigationActionsTask", 10),
    ("ListAuditMitigationActionsExecutions", 10),
    ("ListAuditMitigationActionsTasks", 10),
    ("CancelAuditMitigationActionsTask", 10),
    ("CreateMitigationAction", 10),
    ("UpdateMitigationAction", 10),
    ("DeleteMitigationAction", 10),
    ("ListMitigationActions", 10),
    ("ListAuditFindings", 10),
    ("ListAuditTasks", 10),
    ("StartOnDemandAuditTask", 10),
    ("CancelAuditTask", 10),
    ("CreateAuditSuppression", 10),
    ("DescribeAuditSuppression", 10),
    ("ListAuditSuppressions", 10),
    ("UpdateAuditSuppression", 10),
    ("DeleteAuditSuppression", 10),
    ("ListActiveViolations", 10),
    ("ListViolationEvents", 10),
    ("StartDetectMitigationActionsTask", 10),
    ("GetPolicyVersion", 15),
    ("ListAttachedPolicies", 15),
    ("AttachPolicy", 15),
    ("DetachPolicy", 15),
    ("UpdateThingGroup", 15),
    ("DeleteThingGroup", 15),
    ("ListThingPrincipals", 20),
    ("ListThingPrincipalsV2", 20),
    ("CreateThingGroup", 25),
    ("ListThingsInThingGroup", 25),
    ("DescribeAuditMitigationActionsTask", 25),
    ("DescribeMitigationAction", 25),
    ("DescribeAuditFinding", 25),
    ("DescribeAuditTask", 25),
    ("AddThingToThingGroup", 100),
    ("RemoveThingFromThingGroup", 100),
    ("DescribeThingGroup", 100),
    ("ListThingGroupsForThing", 100),
    ("AttachThingPrincipal", 100),
    ("DetachThingPrincipal", 100),
    ("CreateThing", 100),
    ("UpdateThing", 100),
    ("DescribeThing", 350),
];

/// One bucket of tokens per operation: it holds a second's worth, and fills at the operation's rate.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    quotas: Quotas,
    buckets: HashMap<&'static str, Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Throttle {
    /// New limits; every bucket starts full.
    pub fn set(&mut self, quotas: Quotas) {
        *self = Self { quotas, buckets: HashMap::new() };
    }

    /// The limits in force.
    pub fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// Takes a token; `false` when there is none.
    pub fn admit(&mut self, operation: &'static str, now: Instant) -> bool {
        let Some(rate) = self.quotas.rate(operation) else {
            return true;
        };
        // Below one a bucket could never hold a token.
        let capacity = rate.max(1.0);
        let bucket = self.buckets.entry(operation).or_insert(Bucket { tokens: capacity, filled: now });
        let elapsed = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.tokens = (bucket.tokens + elapsed * rate).min(capacity);
        bucket.filled = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn admitted(throttle: &mut Throttle, operation: &'static str, calls: usize, now: Instant) -> usize {
        (0..calls).filter(|_| throttle.admit(operation, now)).count()
    }

    #[test]
    fn a_second_of_calls_passes_at_once_and_then_as_many_as_the_rate_allows() {
        let mut throttle = Throttle::default();
        let start = Instant::now();
        assert_eq!(admitted(&mut throttle, "UpdateCertificate", 50, start), 10);
        assert_eq!(admitted(&mut throttle, "UpdateCertificate", 50, start + Duration::from_millis(500)), 5);
        assert_eq!(admitted(&mut throttle, "UpdateCertificate", 50, start + Duration::from_secs(60)), 10);
        assert_eq!(admitted(&mut throttle, "SetV2LoggingOptions", 50, start), 2, "each operation has its own");
        assert_eq!(admitted(&mut throttle, "CreateKeysAndCertificate", 50, start), 50, "not in AWS's table");
    }

    #[test]
    fn quotas_can_be_scaled_overridden_and_turned_off() {
        let mut quotas = Quotas::scaled(20.0);
        assert_eq!(quotas.rate("UpdateCertificate"), Some(200.0));
        quotas.rates.insert("UpdateCertificate".to_owned(), 3.0);
        assert_eq!(quotas.rate("UpdateCertificate"), Some(3.0));
        assert_eq!(Quotas::off().rate("UpdateCertificate"), None);
    }

    #[test]
    fn an_unknown_member_is_refused() {
        assert!(serde_json::from_str::<Quotas>(r#"{"enabled":true,"scales":2}"#).is_err());
        assert_eq!(serde_json::from_str::<Quotas>(r#"{"scale":2}"#).unwrap(), Quotas::scaled(2.0));
    }
}
