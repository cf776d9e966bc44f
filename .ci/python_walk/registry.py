"""The rest of the API that the loop needs: certificates, policies, things, groups, logging."""

import json

from wire import ACCOUNT, TIME, UUID, empty, exists, invalid, iot, missing, refused, same, sandbox

OPEN = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]})
BLANK = json.dumps({"Version": "2012-10-17", "Statement": []})


def arn(kind, name):
    return f"arn:aws:iot:us-east-1:{ACCOUNT}:{kind}/{name}"


def registry():
    made = iot.create_keys_and_certificate(setAsActive=True)
    certificate, principal = made["certificateId"], made["certificateArn"]
    assert principal == arn("cert", certificate)
    described = iot.describe_certificate(certificateId=certificate)["certificateDescription"]
    assert described["status"] == "ACTIVE" and described["validity"]["notAfter"] > described["creationDate"]
    for status in ["INACTIVE", "INACTIVE", "ACTIVE"]:
        empty(iot.update_certificate(certificateId=certificate, newStatus=status))
    invalid(iot.update_certificate, certificateId=certificate, newStatus="PENDING_TRANSFER")
    missing(iot.update_certificate, certificateId="0" * 64, newStatus="INACTIVE")
    revoked = iot.create_keys_and_certificate(setAsActive=True)["certificateId"]
    iot.update_certificate(certificateId=revoked, newStatus="REVOKED")
    refused("CertificateStateException", 406, iot.update_certificate, certificateId=revoked, newStatus="ACTIVE")
    pages = iot.get_paginator("list_certificates").paginate(pageSize=2)
    listed = [one["certificateId"] for page in pages for one in page["certificates"]]
    assert {certificate, revoked} < set(listed) and len(listed) == len(set(listed))

    ca = sandbox("defects", check="CA_CERTIFICATE_EXPIRING_CHECK")["resource"]["resourceIdentifier"]["caCertificateId"]
    empty(iot.update_ca_certificate(certificateId=ca, newStatus="INACTIVE", newAutoRegistrationStatus="DISABLE"))
    described = iot.describe_ca_certificate(certificateId=ca)["certificateDescription"]
    assert (described["status"], described["autoRegistrationStatus"]) == ("INACTIVE", "DISABLE")
    same(iot.list_certificates_by_ca(caCertificateId=ca), {"certificates": []})
    missing(iot.update_ca_certificate, certificateId="0" * 64, newStatus="INACTIVE")

    same(iot.create_thing(thingName="lamp"), {"thingName": "lamp", "thingArn": arn("thing", "lamp"), "thingId": UUID})
    empty(iot.update_thing(thingName="lamp", attributePayload={"attributes": {"room": "hall"}}))
    same(
        iot.describe_thing(thingName="lamp"),
        {
            "defaultClientId": "lamp",
            "thingName": "lamp",
            "thingId": UUID,
            "thingArn": arn("thing", "lamp"),
            "attributes": {"room": "hall"},
            "version": 2,
        },
    )
    refused("VersionConflictException", 409, iot.update_thing, thingName="lamp", expectedVersion=1)
    empty(iot.attach_thing_principal(thingName="lamp", principal=principal))
    same(iot.list_principal_things(principal=principal), {"things": ["lamp"]})
    attached = {"thingName": "lamp", "thingPrincipalType": "NON_EXCLUSIVE_THING"}
    same(iot.list_principal_things_v2(principal=principal), {"principalThingObjects": [attached]})
    same(iot.list_thing_principals(thingName="lamp"), {"principals": [principal]})
    missing(iot.list_principal_things, principal=arn("cert", "0" * 64))

    properties = {"thingGroupDescription": "for a while"}
    group = iot.create_thing_group(thingGroupName="kept-apart", thingGroupProperties=properties)
    same(iot.create_thing_group(thingGroupName="kept-apart", thingGroupProperties=properties), group)
    exists(iot.create_thing_group, thingGroupName="kept-apart")
    same(iot.update_thing_group(thingGroupName="kept-apart", thingGroupProperties=properties), {"version": 2})
    for _ in range(2):
        empty(iot.add_thing_to_thing_group(thingGroupName="kept-apart", thingArn=arn("thing", "lamp")))
    of_lamp = {"groupName": "kept-apart", "groupArn": arn("thinggroup", "kept-apart")}
    same(iot.list_thing_groups_for_thing(thingName="lamp"), {"thingGroups": [of_lamp]})
    same(
        iot.describe_thing_group(thingGroupName="kept-apart"),
        {
            "thingGroupName": "kept-apart",
            "thingGroupId": group["thingGroupId"],
            "thingGroupArn": group["thingGroupArn"],
            "version": 2,
            "thingGroupProperties": properties,
            "thingGroupMetadata": {"creationDate": TIME},
        },
    )
    empty(iot.remove_thing_from_thing_group(thingGroupName="kept-apart", thingName="lamp"))
    missing(iot.add_thing_to_thing_group, thingGroupName="nowhere", thingName="lamp")

    same(iot.create_policy(policyName="p", policyDocument=OPEN)["policyVersionId"], "1")
    empty(iot.attach_policy(policyName="p", target=principal))
    same(iot.list_targets_for_policy(policyName="p"), {"targets": [principal]})
    same(iot.list_attached_policies(target=principal), {"policies": [{"policyName": "p", "policyArn": arn("policy", "p")}]})
    for version in "2345":
        made = iot.create_policy_version(policyName="p", policyDocument=BLANK, setAsDefault=True)
        same(made, {"policyArn": arn("policy", "p"), "policyDocument": BLANK, "policyVersionId": version,
                    "isDefaultVersion": True})
    refused("VersionsLimitExceededException", 409, iot.create_policy_version, policyName="p", policyDocument=BLANK)
    refused("DeleteConflictException", 409, iot.delete_policy_version, policyName="p", policyVersionId="5")
    refused("MalformedPolicyException", 400, iot.create_policy, policyName="q", policyDocument="{")
    empty(iot.delete_policy_version(policyName="p", policyVersionId="2"))
    empty(iot.set_default_policy_version(policyName="p", policyVersionId="1"))
    assert [one["versionId"] for one in iot.list_policy_versions(policyName="p")["policyVersions"]] == ["5", "4", "3", "1"]
    default = iot.get_policy(policyName="p")
    assert (default["defaultVersionId"], default["policyDocument"]) == ("1", OPEN)
    assert iot.get_policy_version(policyName="p", policyVersionId="3")["policyDocument"] == BLANK
    missing(iot.get_policy, policyName="nobody")

    role = f"arn:aws:iam::{ACCOUNT}:role/IoTLogging"
    empty(iot.set_logging_options(loggingOptionsPayload={"roleArn": role, "logLevel": "WARN"}))
    same(iot.get_logging_options(), {"roleArn": role, "logLevel": "WARN"})
    iot.set_logging_options(loggingOptionsPayload={"roleArn": role, "logLevel": "DISABLED"})
    invalid(iot.set_v2_logging_options, roleArn=role, defaultLogLevel="LOUD")
    events = [{"eventType": "Connect", "logLevel": "INFO"}]
    empty(iot.set_v2_logging_options(roleArn=role, defaultLogLevel="DISABLED", eventConfigurations=events))
    assert iot.get_v2_logging_options()["eventConfigurations"] == events
    iot.set_v2_logging_options(eventConfigurations=[])
