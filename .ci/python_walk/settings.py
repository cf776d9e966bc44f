"""The account's audit settings, from an account that was never set up."""

from wire import ACCOUNT, ROLE, empty, invalid, iot, missing, same

AGE = "DEVICE_CERTIFICATE_AGE_CHECK"
LOGGING = "LOGGING_DISABLED_CHECK"
EXPIRING = "DEVICE_CERTIFICATE_EXPIRING_CHECK"
SHARED = "DEVICE_CERTIFICATE_SHARED_CHECK"
POLICY = "IOT_POLICY_OVERLY_PERMISSIVE_CHECK"

CHECKS = [
    "AUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK",
    "CA_CERTIFICATE_EXPIRING_CHECK",
    "CA_CERTIFICATE_KEY_QUALITY_CHECK",
    "CONFLICTING_CLIENT_IDS_CHECK",
    AGE,
    EXPIRING,
    "DEVICE_CERTIFICATE_KEY_QUALITY_CHECK",
    SHARED,
    "INTERMEDIATE_CA_REVOKED_FOR_ACTIVE_DEVICE_CERTIFICATES_CHECK",
    POLICY,
    "IOT_POLICY_POTENTIAL_MISCONFIGURATION_CHECK",
    "IOT_ROLE_ALIAS_ALLOWS_ACCESS_TO_UNUSED_SERVICES_CHECK",
    "IOT_ROLE_ALIAS_OVERLY_PERMISSIVE_CHECK",
    LOGGING,
    "REVOKED_CA_CERTIFICATE_STILL_ACTIVE_CHECK",
    "REVOKED_DEVICE_CERTIFICATE_STILL_ACTIVE_CHECK",
    "UNAUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK",
]


def settings(topic_arn):
    update = iot.update_account_audit_configuration
    served = iot.describe_account_audit_configuration()
    same(
        served,
        {
            "roleArn": f"arn:aws:iam::{ACCOUNT}:role/AWSIoTDeviceDefenderAudit",
            "auditNotificationTargetConfigurations": {},
            "auditCheckConfigurations": {check: {"enabled": check != AGE} for check in CHECKS},
        },
    )

    # A new account audits nothing, and wants a role and a check first.
    empty(iot.delete_account_audit_configuration(deleteScheduledAudits=True))
    new = {
        "auditNotificationTargetConfigurations": {},
        "auditCheckConfigurations": {check: {"enabled": False} for check in CHECKS},
    }
    same(iot.describe_account_audit_configuration(), new)
    missing(iot.delete_account_audit_configuration)
    assert LOGGING in invalid(iot.start_on_demand_audit_task, targetCheckNames=[LOGGING])
    enabled = {check: {"enabled": True} for check in CHECKS}
    assert "roleArn" in invalid(update, auditCheckConfigurations=enabled)
    assert "auditCheckConfigurations" in invalid(update, roleArn=ROLE)
    invalid(update, roleArn=ROLE, auditCheckConfigurations={LOGGING: {"enabled": False}})
    assert "NO_SUCH_CHECK" in invalid(update, roleArn=ROLE, auditCheckConfigurations={"NO_SUCH_CHECK": {"enabled": True}})
    same(iot.describe_account_audit_configuration(), new)
    empty(update(roleArn=ROLE, auditCheckConfigurations=enabled))

    # Thresholds and the topic for summaries.
    threshold = lambda check, name, days: {check: {"enabled": True, "configuration": {name: days}}}
    for check, name, days in [
        (EXPIRING, "CERT_EXPIRATION_THRESHOLD_IN_DAYS", "29"),
        (EXPIRING, "CERT_EXPIRATION_THRESHOLD_IN_DAYS", "3653"),
        (EXPIRING, "CERT_AGE_THRESHOLD_IN_DAYS", "365"),
        (LOGGING, "CERT_EXPIRATION_THRESHOLD_IN_DAYS", "60"),
    ]:
        invalid(update, auditCheckConfigurations=threshold(check, name, days))
    empty(update(auditCheckConfigurations=threshold(EXPIRING, "CERT_EXPIRATION_THRESHOLD_IN_DAYS", "60")))
    target = {"targetArn": topic_arn, "roleArn": ROLE, "enabled": True}
    invalid(update, auditNotificationTargetConfigurations={"SNS": {"enabled": True}})
    empty(update(auditNotificationTargetConfigurations={"SNS": target}))
    enabled[EXPIRING] = {"enabled": True, "configuration": {"CERT_EXPIRATION_THRESHOLD_IN_DAYS": "60"}}
    same(
        iot.describe_account_audit_configuration(),
        {"roleArn": ROLE, "auditNotificationTargetConfigurations": {"SNS": target}, "auditCheckConfigurations": enabled},
    )
