//! The calls that are paced, and AWS's default quotas for them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

macro_rules! operations {
    ($($variant:ident $name:literal $per_second:literal;)+) => {
        /// An operation of AWS IoT or Device Defender that the worker calls, named as AWS names it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Operation {
            $(#[doc = $name] #[serde(rename = $name)] $variant,)+
        }

        impl Operation {
            /// Every paced operation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// AWS's name: `UpdateCertificate`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// AWS's default quota for one account and region, calls per second. Source: AWS General Reference, "AWS IoT Core API
            /// throttling limits" and "AWS IoT Device Defender API throttling limits", read 2026-11.
            pub fn default_quota(self) -> f64 {
                match self { $(Self::$variant => $per_second,)+ }
            }
        }
    };
}

operations! {
    UpdateCertificate "UpdateCertificate" 10.0;
    DescribeCertificate "DescribeCertificate" 10.0;
    UpdateCaCertificate "UpdateCACertificate" 10.0;
    DescribeCaCertificate "DescribeCACertificate" 10.0;
    CreatePolicyVersion "CreatePolicyVersion" 10.0;
    DeletePolicyVersion "DeletePolicyVersion" 10.0;
    GetPolicy "GetPolicy" 10.0;
    GetPolicyVersion "GetPolicyVersion" 15.0;
    ListPolicyVersions "ListPolicyVersions" 10.0;
    // 60 in some regions: an account there sets its own figure.
    AddThingToThingGroup "AddThingToThingGroup" 100.0;
    // 50 in some regions.
    ListThingGroupsForThing "ListThingGroupsForThing" 100.0;
    ListPrincipalThings "ListPrincipalThings" 10.0;
    GetV2LoggingOptions "GetV2LoggingOptions" 2.0;
    SetV2LoggingOptions "SetV2LoggingOptions" 2.0;
    DescribeAuditFinding "DescribeAuditFinding" 25.0;
    ListAuditFindings "ListAuditFindings" 10.0;
    // Not listed by AWS; taken as that of its sibling ListAuditFindings.
    ListRelatedResourcesForAuditFinding "ListRelatedResourcesForAuditFinding" 10.0;
    StartAuditMitigationActionsTask "StartAuditMitigationActionsTask" 10.0;
    DescribeAuditMitigationActionsTask "DescribeAuditMitigationActionsTask" 25.0;
    ListAuditMitigationActionsExecutions "ListAuditMitigationActionsExecutions" 10.0;
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Operation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|operation| operation.as_str() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|operation| operation.as_str()).collect();
            format!("`{text}` is not an operation that is paced; write one of {}", known.join(", "))
        })
    }
}
