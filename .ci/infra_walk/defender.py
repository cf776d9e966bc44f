"""Device Defender's part of defender.yaml: the emulator makes the roles, the sandbox the rest, as CloudFormation's own handlers would."""

import json
import os
import subprocess

import aws
import templates


def check():
    template = templates.load("defender.yaml")
    parameters = {"ThingGroup": "Quarantine", "LoggingLevel": "ERROR"}
    aws.update("fleetwarden-defender", parameters)
    _, gone = templates.deployable(template)
    roles = {
        f"{name}.Arn": aws.client("iam").get_role(RoleName=aws.resource("fleetwarden-defender", name))["Role"]["Arn"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::IAM::Role"
    }
    for name in roles:
        _check_role(name.removesuffix(".Arn"))
    pseudo = {"AWS::AccountId": aws.ACCOUNT, "AWS::Region": aws.REGION, "AWS::Partition": "aws"}
    values = templates.Values(
        template, parameters, {**pseudo, "AuditSettings": aws.ACCOUNT}, roles, aws.exports()
    )
    of_type = lambda kind: [
        values.of(resource["Properties"])
        for resource in template["Resources"].values()
        if resource["Type"] == f"AWS::IoT::{kind}"
    ]
    [settings], [audit], actions = of_type("AccountAuditConfiguration"), of_type("ScheduledAudit"), of_type("MitigationAction")
    iot = aws.client("iot", os.environ["FLEETWARDEN_SANDBOX"])

    checks = {name.replace("_", ""): name for name in audit["TargetCheckNames"]}
    iot.update_account_audit_configuration(
        roleArn=settings["RoleArn"],
        auditNotificationTargetConfigurations={"SNS": _lower(settings["AuditNotificationTargetConfigurations"]["Sns"])},
        auditCheckConfigurations={
            checks[name.upper()]: {
                "enabled": check["Enabled"],
                "configuration": {
                    _upper_snake(key): str(value) for key, value in check.get("Configuration", {}).items()
                },
            }
            for name, check in settings["AuditCheckConfigurations"].items()
        },
    )
    for action in actions:
        iot.create_mitigation_action(
            actionName=action["ActionName"], roleArn=action["RoleArn"], actionParams=_lower(action["ActionParams"])
        )
    iot.create_scheduled_audit(
        scheduledAuditName=audit["ScheduledAuditName"],
        frequency=audit["Frequency"],
        targetCheckNames=audit["TargetCheckNames"],
        tags=audit["Tags"],
    )

    found = iot.describe_account_audit_configuration()
    enabled = [name for name, check in found["auditCheckConfigurations"].items() if check["enabled"]]
    assert sorted(enabled) == sorted(checks.values()) and len(enabled) == 17, enabled
    listed = _print("actions", "list")
    assert {action["name"] for action in listed} == {action["ActionName"] for action in actions}, listed
    assert len(listed) == 6, listed
    print(f"  {len(roles)} roles in the emulator; in the sandbox, since the emulator does not know them: {', '.join(gone)}")


def _check_role(name):
    """Only AWS IoT of this account can take it, and it may do nothing to everything but what names no resource."""
    role = aws.client("iam").get_role(RoleName=aws.resource("fleetwarden-defender", name))["Role"]
    [trust] = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "iot.amazonaws.com"}, trust
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": aws.ACCOUNT}, trust
    for policy in aws.client("iam").list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
        for action, resource, _ in aws.allowed(aws.statements(role["RoleName"], policy)):
            assert resource != "*" or action == "iot:SetV2LoggingOptions", (name, action)


def _print(*command):
    environment = {**os.environ, "AWS_ENDPOINT_URL": os.environ["FLEETWARDEN_SANDBOX"]}
    ran = subprocess.run(
        ["fleetwarden", *command, "--output", "json"], env=environment, check=True, capture_output=True, text=True
    )
    return json.loads(ran.stdout)


def _lower(node):
    """CloudFormation's names as the API spells them."""
    if isinstance(node, list):
        return [_lower(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {key[0].lower() + key[1:]: _lower(value) for key, value in node.items()}


def _upper_snake(name):
    """CertAgeThresholdInDays: CERT_AGE_THRESHOLD_IN_DAYS."""
    return "".join("_" + letter if letter.isupper() else letter for letter in name).strip("_").upper()
