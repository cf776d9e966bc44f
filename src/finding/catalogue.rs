//! The audit checks that this version knows: what each looks at, how bad it is, and which actions fit it.
//!
//! Source: the `audit-chk-*` pages and the mitigation-action table of the AWS IoT Device Defender developer guide.
//! The API's check names are free strings, so a name that is missing here is tolerated everywhere; it just has no actions
//! besides publishing.

use super::{ActionType, Severity};

/// One audit check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// Its modern name.
    pub name: &'static str,
    /// What Device Defender says of its findings.
    pub severity: Severity,
    /// `resourceType` of its findings.
    pub resource_type: &'static str,
    /// The reason codes that are documented for it; the API may send others.
    pub reason_codes: &'static [&'static str],
    /// The actions that AWS's table allows for it, publishing included.
    pub actions: &'static [ActionType],
    /// Older names of the same check.
    pub legacy_names: &'static [&'static str],
    /// The page about it in AWS's developer guide, the last part of its address.
    pub page: &'static str,
}

impl Check {
    /// Whether the action fits findings of this check.
    pub fn allows(&self, action: ActionType) -> bool {
        self.actions.contains(&action)
    }

    /// The address of AWS's page about the check.
    pub fn doc_url(&self) -> String {
        format!("https://docs.aws.amazon.com/iot-device-defender/latest/devguide/{}.html", self.page)
    }
}

/// The check of that name, modern or legacy.
pub fn check(name: &str) -> Option<&'static Check> {
    CHECKS.iter().find(|check| check.name == name || check.legacy_names.contains(&name))
}

/// The modern name of a check; a name that is unknown stays as it is.
pub fn modern_name(name: &str) -> &str {
    check(name).map_or(name, |check| check.name)
}

const PUBLISH_ONLY: &[ActionType] = &[ActionType::PublishFindingToSns];
const DEVICE_CERTIFICATE: &[ActionType] =
    &[ActionType::PublishFindingToSns, ActionType::UpdateDeviceCertificate, ActionType::AddThingsToThingGroup];
const CA_CERTIFICATE: &[ActionType] = &[ActionType::PublishFindingToSns, ActionType::UpdateCaCertificate];
const POLICY: &[ActionType] = &[ActionType::PublishFindingToSns, ActionType::ReplaceDefaultPolicyVersion];
const LOGGING: &[ActionType] = &[ActionType::PublishFindingToSns, ActionType::EnableIotLogging];

/// All of them, by name.
pub static CHECKS: &[Check] = &[
    Check {
        name: "AUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK",
        severity: Severity::Critical,
        resource_type: "COGNITO_IDENTITY_POOL",
        reason_codes: &[
            "ALLOWS_BROAD_ACCESS_TO_IOT_THING_ADMIN_READ_ACTIONS",
            "ALLOWS_ACCESS_TO_IOT_NON_THING_ADMIN_ACTIONS",
            "ALLOWS_ACCESS_TO_IOT_THING_ADMIN_WRITE_ACTIONS",
        ],
        actions: PUBLISH_ONLY,
        legacy_names: &[
            "AUTHENTICATED_COGNITO_IDENTITY_UNRESTRICTED_ACCESS_CHECK",
            "AUTHENTICATE_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK",
        ],
        page: "audit-chk-auth-cognito-role-permissive",
    },
    Check {
        name: "CA_CERTIFICATE_EXPIRING_CHECK",
        severity: Severity::Medium,
        resource_type: "CA_CERTIFICATE",
        reason_codes: &["CERTIFICATE_APPROACHING_EXPIRATION", "CERTIFICATE_PAST_EXPIRATION"],
        actions: CA_CERTIFICATE,
        legacy_names: &["CA_CERT_APPROACHING_EXPIRATION_CHECK"],
        page: "audit-chk-ca-cert-approaching-expiration",
    },
    Check {
        name: "CA_CERTIFICATE_KEY_QUALITY_CHECK",
        severity: Severity::Critical,
        resource_type: "CA_CERTIFICATE",
        reason_codes: &["CERTIFICATE_KEY_VULNERABILITY_CVE-2017-15361", "CERTIFICATE_KEY_VULNERABILITY_CVE-2008-0166"],
        actions: CA_CERTIFICATE,
        legacy_names: &[],
        page: "audit-chk-ca-cert-key-quality",
    },
    Check {
        name: "CONFLICTING_CLIENT_IDS_CHECK",
        severity: Severity::High,
        resource_type: "CLIENT_ID",
        reason_codes: &["DUPLICATE_CLIENT_ID_ACROSS_CONNECTIONS"],
        actions: PUBLISH_ONLY,
        legacy_names: &[],
        page: "audit-chk-conflicting-client-ids",
    },
    // AWS's action table leaves this one out; only its general sentence on publishing covers it.
    Check {
        name: "DEVICE_CERTIFICATE_AGE_CHECK",
        severity: Severity::Low,
        resource_type: "DEVICE_CERTIFICATE",
        reason_codes: &["CERTIFICATE_PAST_AGE_THRESHOLD"],
        actions: PUBLISH_ONLY,
        legacy_names: &[],
        page: "device-certificate-age-check",
    },
    Check {
        name: "DEVICE_CERTIFICATE_EXPIRING_CHECK",
        severity: Severity::Medium,
        resource_type: "DEVICE_CERTIFICATE",
        reason_codes: &["CERTIFICATE_APPROACHING_EXPIRATION", "CERTIFICATE_PAST_EXPIRATION"],
        actions: DEVICE_CERTIFICATE,
        legacy_names: &["DEVICE_CERT_APPROACHING_EXPIRATION_CHECK"],
        page: "audit-chk-device-cert-approaching-expiration",
    },
    Check {
        name: "DEVICE_CERTIFICATE_KEY_QUALITY_CHECK",
        severity: Severity::Critical,
        resource_type: "DEVICE_CERTIFICATE",
        reason_codes: &["CERTIFICATE_KEY_VULNERABILITY_CVE-2017-15361", "CERTIFICATE_KEY_VULNERABILITY_CVE-2008-0166"],
        actions: DEVICE_CERTIFICATE,
        legacy_names: &[],
        page: "audit-chk-device-cert-key-quality",
    },
    Check {
        name: "DEVICE_CERTIFICATE_SHARED_CHECK",
        severity: Severity::Critical,
        resource_type: "DEVICE_CERTIFICATE",
        reason_codes: &["CERTIFICATE_SHARED_BY_MULTIPLE_DEVICES"],
        actions: DEVICE_CERTIFICATE,
        legacy_names: &[],
        page: "audit-chk-device-cert-shared",
    },
    // Its actions act on the device certificates that ListRelatedResourcesForAuditFinding lists.
    Check {
        name: "INTERMEDIATE_CA_REVOKED_FOR_ACTIVE_DEVICE_CERTIFICATES_CHECK",
        severity: Severity::Critical,
        resource_type: "ISSUER_CERTIFICATE",
        reason_codes: &["INTERMEDIATE_CA_REVOKED_BY_ISSUER"],
        actions: DEVICE_CERTIFICATE,
        legacy_names: &[],
        page: "audit-chk-active-intermediary-device-revoked-CA",
    },
    Check {
        name: "IOT_POLICY_OVERLY_PERMISSIVE_CHECK",
        severity: Severity::Critical,
        resource_type: "IOT_POLICY",
        reason_codes: &["ALLOWS_BROAD_ACCESS_TO_IOT_DATA_PLANE_ACTIONS"],
        actions: POLICY,
        legacy_names: &["IOT_POLICY_UNRESTRICTED_CHECK"],
        page: "audit-chk-iot-policy-permissive",
    },
    Check {
        name: "IOT_POLICY_POTENTIAL_MISCONFIGURATION_CHECK",
        severity: Severity::Medium,
        resource_type: "IOT_POLICY",
        reason_codes: &[
            "POLICY_CONTAINS_MQTT_WILDCARDS_IN_DENY_STATEMENT",
            "TOPIC_FILTERS_INTENDED_TO_DENY_ALLOWED_USING_WILDCARDS",
        ],
        actions: POLICY,
        legacy_names: &[],
        page: "audit-chk-iot-misconfigured-policies",
    },
    Check {
        name: "IOT_ROLE_ALIAS_ALLOWS_ACCESS_TO_UNUSED_SERVICES_CHECK",
        severity: Severity::Medium,
        resource_type: "ROLE_ALIAS",
        reason_codes: &["ALLOWS_ACCESS_TO_UNUSED_SERVICES"],
        actions: PUBLISH_ONLY,
        legacy_names: &[],
        page: "audit-chk-role-alias-unused-svcs",
    },
    Check {
        name: "IOT_ROLE_ALIAS_OVERLY_PERMISSIVE_CHECK",
        severity: Severity::Critical,
        resource_type: "ROLE_ALIAS",
        reason_codes: &[
            "ALLOWS_BROAD_ACCESS_TO_USED_SERVICES",
            "ALLOWS_ACCESS_TO_SECURITY_AUDITING_SERVICES",
            "ALLOWS_BROAD_ACCESS_TO_IOT_THING_ADMIN_READ_ACTIONS",
            "ALLOWS_ACCESS_TO_IOT_NON_THING_ADMIN_ACTIONS",
            "ALLOWS_ACCESS_TO_IOT_THING_ADMIN_WRITE_ACTIONS",
            "ALLOWS_BROAD_ACCESS_TO_IOT_DATA_PLANE_ACTIONS",
        ],
        actions: PUBLISH_ONLY,
        legacy_names: &[],
        page: "audit-chk-iot-role-alias-permissive",
    },
    Check {
        name: "LOGGING_DISABLED_CHECK",
        severity: Severity::Low,
        resource_type: "ACCOUNT_SETTINGS",
        reason_codes: &["LOGGING_DISABLED"],
        actions: LOGGING,
        legacy_names: &[],
        page: "audit-chk-logging-disabled",
    },
    Check {
        name: "REVOKED_CA_CERTIFICATE_STILL_ACTIVE_CHECK",
        severity: Severity::Critical,
        resource_type: "CA_CERTIFICATE",
        reason_codes: &["CERTIFICATE_REVOKED_BY_ISSUER"],
        actions: CA_CERTIFICATE,
        legacy_names: &["REVOKED_CA_CERT_CHECK"],
        page: "audit-chk-revoked-ca-cert",
    },
    Check {
        name: "REVOKED_DEVICE_CERTIFICATE_STILL_ACTIVE_CHECK",
        severity: Severity::Medium,
        resource_type: "DEVICE_CERTIFICATE",
        reason_codes: &["CERTIFICATE_REVOKED_BY_ISSUER"],
        actions: DEVICE_CERTIFICATE,
        legacy_names: &["REVOKED_DEVICE_CERT_CHECK"],
        page: "audit-chk-revoked-device-cert",
    },
    Check {
        name: "UNAUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK",
        severity: Severity::Critical,
        resource_type: "COGNITO_IDENTITY_POOL",
        reason_codes: &["ALLOWS_ACCESS_TO_IOT_ADMIN_ACTIONS", "ALLOWS_BROAD_ACCESS_TO_IOT_DATA_PLANE_ACTIONS"],
        actions: PUBLISH_ONLY,
        legacy_names: &["UNAUTHENTICATED_COGNITO_IDENTITY_UNRESTRICTED_ACCESS_CHECK"],
        page: "audit-chk-unauth-cognito-role-permissive",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_seventeen_checks_each_named_once_and_each_can_be_published() {
        assert_eq!(CHECKS.len(), 17);
        let mut names: Vec<_> = CHECKS.iter().flat_map(|c| c.legacy_names.iter().copied().chain([c.name])).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all, "a name belongs to two checks");
        assert!(CHECKS.iter().all(|c| c.allows(ActionType::PublishFindingToSns)));
    }

    #[test]
    fn legacy_names_map_to_modern_ones_and_unknown_names_stay() {
        assert_eq!(modern_name("REVOKED_CA_CERT_CHECK"), "REVOKED_CA_CERTIFICATE_STILL_ACTIVE_CHECK");
        assert_eq!(modern_name("LOGGING_DISABLED_CHECK"), "LOGGING_DISABLED_CHECK");
        assert_eq!(modern_name("SOME_FUTURE_CHECK"), "SOME_FUTURE_CHECK");
    }

    #[test]
    fn a_certificate_that_is_merely_old_can_only_be_published() {
        assert_eq!(check("DEVICE_CERTIFICATE_AGE_CHECK").unwrap().actions, PUBLISH_ONLY);
    }
}
