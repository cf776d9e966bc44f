"""The task role against `fleetwarden policy permissions`: each feature by itself, and all at once."""

import json
import pathlib
import subprocess

import aws

RULES = {
    "nothing": "",
    "device certificates": """
  - { name: device, match: { check: DEVICE_CERTIFICATE_SHARED_CHECK }, actions: [{ type: UPDATE_DEVICE_CERTIFICATE }] }""",
    "CA certificates": """
  - { name: ca, match: { check: CA_CERTIFICATE_EXPIRING_CHECK }, actions: [{ type: UPDATE_CA_CERTIFICATE }] }""",
    "policies": """
  - name: blank
    match: { check: IOT_POLICY_OVERLY_PERMISSIVE_CHECK }
    actions: [{ type: REPLACE_DEFAULT_POLICY_VERSION, template: BLANK_POLICY }]""",
    "groups": """
  - name: group
    match: { check: DEVICE_CERTIFICATE_KEY_QUALITY_CHECK }
    actions: [{ type: ADD_THINGS_TO_THING_GROUP, thing_groups: [Quarantine, Weak] }]""",
    "a match on groups": """
  - { name: of-a-group, match: { thing_group: [Lab] }, actions: [] }""",
    "revoked issuers": """
  - name: issuers
    match: { check: INTERMEDIATE_CA_REVOKED_FOR_ACTIVE_DEVICE_CERTIFICATES_CHECK }
    actions: [{ type: UPDATE_DEVICE_CERTIFICATE }]""",
    "logging": """
  - name: log
    match: { check: LOGGING_DISABLED_CHECK }
    actions: [{ type: ENABLE_IOT_LOGGING, role_arn: "arn:aws:iam::000000000000:role/IoTLogging", level: ERROR }]""",
    "publishing": """
  - name: tell
    match: { severity: CRITICAL }
    actions: [{ type: PUBLISH_FINDING_TO_SNS, topic_arn: "arn:aws:sns:eu-west-1:000000000000:Security" }]""",
    "delegating": """
  - { name: delegate, match: { check: DEVICE_CERTIFICATE_EXPIRING_CHECK }, delegate: [FleetwardenDeactivateDeviceCertificate] }""",
}


def check(directory):
    cases = {name: f"rules: {rules or '[]'}" for name, rules in RULES.items()}
    cases["quotas"] = "quotas: service-quotas\nrules: []"
    cases["no verification"] = "verify_finding: false\nrules: []"
    cases["all"] = "quotas: service-quotas\nrules:" + "".join(RULES.values())
    role = aws.resource("fleetwarden-service", "TaskRole")
    # CloudFormation refuses an update that changes nothing.
    stack = aws.stack("fleetwarden-service")
    before = {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in stack["Parameters"]}
    for name, policy in cases.items():
        for mode in ("observe", "enforce"):
            file = directory / "policy.yaml"
            file.write_text(f"version: 1\nmode: {mode}\n{policy}\n")
            parameters = _print(file, "--parameters")
            if parameters != {name: before[name] for name in parameters}:
                aws.update("fleetwarden-service", parameters)
            before |= parameters
            wanted = aws.allowed(_print(file)["Statement"])
            given = aws.allowed(aws.statements(role, "worker"))
            assert given == wanted, (
                f"{name}, {mode}: the stack gives {sorted(given - wanted)} too much and {sorted(wanted - given)} too little"
            )
    print(f"  {len(wanted)} permissions with everything on; {len(cases)} policies in both modes, each exactly as the program says")


def _print(file, *flags):
    made = aws.outputs("fleetwarden-line")
    place = {
        "--account": aws.ACCOUNT,
        "--region": aws.REGION,
        "--queue-url": made["QueueArn"],
        "--dead-letter-queue-url": made["DeadLetterQueueArn"],
        "--table": made["TableName"],
    }
    arguments = [part for pair in place.items() for part in pair]
    command = ["fleetwarden", "policy", "permissions", str(file), "--output", "json", *flags, *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
