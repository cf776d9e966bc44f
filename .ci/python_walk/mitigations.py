"""Device Defender's own mitigation actions and tasks: all six types, every state of an execution, every refusal."""

import datetime

from settings import CHECKS, EXPIRING, LOGGING, POLICY, SHARED
from wire import (
    ACCOUNT, ROLE, TIME, UUID,
    audit, counts, empty, ended, executions, exists, findings, invalid, iot, limited, missing, mitigate, refused, same,
    sandbox, until,
)

CA = "CA_CERTIFICATE_EXPIRING_CHECK"
TYPES = {
    "Device": ("UPDATE_DEVICE_CERTIFICATE", {"updateDeviceCertificateParams": {"action": "DEACTIVATE"}}),
    "Ca": ("UPDATE_CA_CERTIFICATE", {"updateCACertificateParams": {"action": "DEACTIVATE"}}),
    "Group": (
        "ADD_THINGS_TO_THING_GROUP",
        {"addThingsToThingGroupParams": {"thingGroupNames": ["Quarantine"], "overrideDynamicGroups": True}},
    ),
    "Blank": ("REPLACE_DEFAULT_POLICY_VERSION", {"replaceDefaultPolicyVersionParams": {"templateName": "BLANK_POLICY"}}),
    "Log": (
        "ENABLE_IOT_LOGGING",
        {"enableIoTLoggingParams": {"roleArnForLogging": f"arn:aws:iam::{ACCOUNT}:role/IoTLogging", "logLevel": "INFO"}},
    ),
    "Sns": ("PUBLISH_FINDING_TO_SNS", {"publishFindingToSnsParams": {"topicArn": "arn:aws:sns:us-east-1:1:nowhere"}}),
}


def arn(name):
    return f"arn:aws:iot:us-east-1:{ACCOUNT}:mitigationaction/{name}"


def listed(**filters):
    pages = iot.get_paginator("list_mitigation_actions").paginate(**filters)
    return [action for page in pages for action in page["actionIdentifiers"]]


def actions():
    create, update = iot.create_mitigation_action, iot.update_mitigation_action
    before = {action["actionName"] for action in listed()}
    for name, (kind, params) in TYPES.items():
        made = create(actionName=name, roleArn=ROLE, actionParams=params, tags=[{"Key": "team", "Value": "iot"}])
        same(made, {"actionArn": arn(name), "actionId": UUID})
        same(
            iot.describe_mitigation_action(actionName=name),
            {
                "actionName": name,
                "actionType": kind,
                "actionArn": arn(name),
                "actionId": made["actionId"],
                "roleArn": ROLE,
                "actionParams": params,
                "creationDate": TIME,
                "lastModifiedDate": TIME,
            },
        )
        assert name in [action["actionName"] for action in listed(actionType=kind)]
        exists(create, actionName=name, roleArn=ROLE, actionParams=params)
    same(listed(actionType="UPDATE_CA_CERTIFICATE"), [{"actionName": "Ca", "actionArn": arn("Ca"), "creationDate": TIME}])
    same(iot.list_tags_for_resource(resourceArn=arn("Ca")), {"tags": [{"Key": "team", "Value": "iot"}]})

    logs = lambda level: {"enableIoTLoggingParams": {"roleArnForLogging": ROLE, "logLevel": level}}
    for wrong in [
        {},
        {**TYPES["Device"][1], **TYPES["Ca"][1]},
        {"updateDeviceCertificateParams": {"action": "REVOKE"}},
        {"addThingsToThingGroupParams": {"thingGroupNames": [f"group-{n}" for n in range(11)]}},
        {"replaceDefaultPolicyVersionParams": {"templateName": "MY_POLICY"}},
        logs("DISABLED"),
    ]:
        invalid(create, actionName="Wrong", roleArn=ROLE, actionParams=wrong)
    invalid(create, actionName="wrong name", roleArn=ROLE, actionParams=logs("ERROR"))
    same(update(actionName="Log", actionParams=logs("ERROR")), {"actionArn": arn("Log"), "actionId": UUID})
    assert iot.describe_mitigation_action(actionName="Log")["actionParams"] == logs("ERROR")
    invalid(update, actionName="Log", actionParams=TYPES["Ca"][1])
    missing(update, actionName="Nobody", roleArn=ROLE)
    missing(iot.describe_mitigation_action, actionName="Nobody")
    empty(iot.delete_mitigation_action(actionName="Nobody"))

    room = 100 - len(before) - len(TYPES)
    for n in range(room):
        create(actionName=f"Filler-{n}", roleArn=ROLE, actionParams=TYPES["Ca"][1])
    limited(create, actionName="Filler", roleArn=ROLE, actionParams=TYPES["Ca"][1])
    assert len(listed(PaginationConfig={"PageSize": 9})) == 100
    for n in range(room):
        empty(iot.delete_mitigation_action(actionName=f"Filler-{n}"))


def tasks(suppressed_audit):
    """`suppressed_audit`: an audit whose one finding is suppressed."""
    full = sandbox("defects", check=POLICY)["resource"]["resourceIdentifier"]["policyVersionIdentifier"]["policyName"]
    document = iot.get_policy(policyName=full)["policyDocument"]
    for _ in range(4):
        iot.create_policy_version(policyName=full, policyDocument=document, setAsDefault=True)
    sandbox("defects", check=POLICY)
    certificate = sandbox("defects", check=SHARED)["resource"]["resourceIdentifier"]
    ca = sandbox("defects", check=CA)["resource"]["resourceIdentifier"]
    sandbox("defects", check=LOGGING)
    task_id, _ = audit(*CHECKS)
    find = lambda check, **wanted: findings(task_id, checkName=check, **wanted)

    # What is refused, each by name.
    start = iot.start_audit_mitigation_actions_task
    (shared,) = find(SHARED, resourceIdentifier=certificate)
    ids = lambda *some: {"findingIds": [finding["findingId"] for finding in some]}
    for target, mapping, named in [
        ({"findingIds": ["nobody"]}, {SHARED: ["Device"]}, "nobody"),
        (ids(shared), {SHARED: ["Nobody"]}, "Nobody"),
        (ids(shared), {SHARED: ["Blank"]}, "Blank"),
        (ids(shared), {POLICY: ["Blank"]}, shared["findingId"]),
        (ids(shared), {"NO_SUCH_CHECK": ["Device"]}, "NO_SUCH_CHECK"),
        (ids(shared), {SHARED: []}, SHARED),
        ({"findingIds": [shared["findingId"]] * 26}, {SHARED: ["Device"]}, "25"),
        ({"auditTaskId": "f" * 32}, {SHARED: ["Device"]}, "f" * 32),
        ({}, {SHARED: ["Device"]}, "findingIds"),
        ({**ids(shared), "auditTaskId": task_id}, {SHARED: ["Device"]}, "findingIds"),
    ]:
        message = invalid(start, taskId="refused", target=target, auditCheckToActionsMapping=mapping)
        assert named in message, message
    missing(iot.describe_audit_mitigation_actions_task, taskId="refused")

    # Certificates and things; every action of a finding in its order.
    done = mitigate("quarantine", ids(shared), **{SHARED: ["Group", "Device"]})
    same(done["taskStatistics"], {SHARED: counts(total=1, succeeded=1)})
    pages = iot.get_paginator("list_audit_mitigation_actions_executions").paginate(
        taskId="quarantine", findingId=shared["findingId"], PaginationConfig={"PageSize": 1})
    names = [one["actionName"] for page in pages for one in page["actionsExecutions"]]
    assert names == ["Group", "Device"], names
    members = iot.list_things_in_thing_group(thingGroupName="Quarantine")["things"]
    clients = {one["resourceIdentifier"]["clientId"] for one in shared["relatedResources"]}
    assert clients <= set(members), members
    described = iot.describe_certificate(certificateId=certificate["deviceCertificateId"])
    assert described["certificateDescription"]["status"] == "INACTIVE"
    (finding,) = find(CA, resourceIdentifier=ca)
    mitigate("authority", ids(finding), **{CA: ["Ca"]})
    described = iot.describe_ca_certificate(certificateId=ca["caCertificateId"])
    assert described["certificateDescription"]["status"] == "INACTIVE"

    # A policy with five versions cannot get a sixth; what follows for it is skipped, other findings go on.
    policies = find(POLICY)
    done = mitigate("policies", {"auditTaskId": task_id}, **{POLICY: ["Blank", "Blank"]})
    assert done["taskStatus"] == "FAILED", done
    same(done["taskStatistics"], {POLICY: counts(total=len(policies), failed=1, succeeded=len(policies) - 1)})
    version = lambda one: one["nonCompliantResource"]["resourceIdentifier"]["policyVersionIdentifier"]
    (failed,) = [one for one in policies if version(one)["policyName"] == full]
    first, second = executions("policies", failed["findingId"])
    assert (first["status"], first["errorCode"]) == ("FAILED", "VersionsLimitExceededException"), first
    assert full in first["message"] and second["status"] == "SKIPPED" and "errorCode" not in second
    same(executions("policies", failed["findingId"], actionStatus="SKIPPED"), [second])

    # A topic that is not there; a suppressed finding; a reason code filter.
    (logging,) = find(LOGGING)
    done = mitigate("nowhere", ids(logging), **{LOGGING: ["Sns", "Log"]})
    same(done["taskStatistics"], {LOGGING: counts(total=1, failed=1)})
    done = mitigate("suppressed", {"auditTaskId": suppressed_audit}, **{LOGGING: ["Log"]})
    assert done["taskStatus"] == "COMPLETED"
    same(done["taskStatistics"], {LOGGING: counts(total=1, skipped=1)})
    (suppressed,) = findings(suppressed_audit)
    assert [one["status"] for one in executions("suppressed", suppressed["findingId"])] == ["SKIPPED"]
    expired = [one for one in find(EXPIRING) if one["reasonForNonComplianceCode"] == "CERTIFICATE_PAST_EXPIRATION"]
    others = len(find(EXPIRING)) - len(expired)
    target = {"auditTaskId": task_id, "auditCheckToReasonCodeFilter": {EXPIRING: ["CERTIFICATE_PAST_EXPIRATION"]}}
    done = mitigate("expired", target, **{EXPIRING: ["Device"]})
    same(done["taskStatistics"], {EXPIRING: counts(total=len(expired) + others, succeeded=len(expired), skipped=others)})
    same(done["target"], target)
    in_progress(task_id, find(EXPIRING), logging)


def in_progress(task_id, expiring, logging):
    """Ids and tokens, what is seen of a task at work, cancelling, the limit, and the lists."""
    sandbox("pace", mitigation_ms=3000)
    target = {"findingIds": [finding["findingId"] for finding in expiring[:10]]}
    request = {"target": target, "auditCheckToActionsMapping": {EXPIRING: ["Group", "Device"]}}
    start = lambda name, token: iot.start_audit_mitigation_actions_task(
        taskId=name, clientRequestToken=token, **request)
    same(start("slow", "slow-token"), {"taskId": "slow"})
    same(start("slow", "slow-token"), {"taskId": "slow"})
    refused("TaskAlreadyExistsException", 400, start, name="slow", token="another-token")
    invalid(start, name="slower", token="slow-token")
    states = lambda: [one["status"] for id in target["findingIds"] for one in executions("slow", id)]
    at_work = until("an execution at work after one that is done", lambda: (
        (seen := states()) and "COMPLETED" in seen and "IN_PROGRESS" in seen and seen))
    assert "PENDING" in at_work, at_work
    assert "endTime" not in iot.describe_audit_mitigation_actions_task(taskId="slow")
    empty(iot.cancel_audit_mitigation_actions_task(taskId="slow"))
    invalid(iot.cancel_audit_mitigation_actions_task, taskId="slow")
    missing(iot.cancel_audit_mitigation_actions_task, taskId="nobody")
    task = iot.describe_audit_mitigation_actions_task(taskId="slow")
    count = task["taskStatistics"][EXPIRING]
    assert task["taskStatus"] == "CANCELED" and task["endTime"] and count["canceledFindingsCount"] > 0, task
    assert count["canceledFindingsCount"] + count["succeededFindingsCount"] == 10, count
    assert {"COMPLETED", "CANCELED"} == set(states()), states()

    sandbox("pace", mitigation_ms=60000)
    names = [f"busy-{n}" for n in range(10)]
    for name in names:
        start(name, name)
    limited(start, name="busy-10", token="busy-10")
    now = datetime.datetime.now(datetime.timezone.utc)
    hour = datetime.timedelta(hours=1)
    span = {"startTime": now - hour, "endTime": now + hour}

    def task_ids(**filters):
        pages = iot.get_paginator("list_audit_mitigation_actions_tasks").paginate(
            **span, **filters, PaginationConfig={"PageSize": 4})
        return [task["taskId"] for page in pages for task in page["tasks"]]

    assert task_ids(taskStatus="IN_PROGRESS") == names
    assert set(names) < set(task_ids(auditTaskId=task_id))
    assert task_ids(findingId=logging["findingId"]) == ["nowhere"]
    assert task_ids(taskStatus="CANCELED") == ["slow"]
    same(iot.list_audit_mitigation_actions_tasks(startTime=now - 3 * hour, endTime=now - 2 * hour), {"tasks": []})
    invalid(iot.list_audit_mitigation_actions_tasks, **span, taskStatus="DONE")
    for name in names:
        iot.cancel_audit_mitigation_actions_task(taskId=name)
        assert ended(iot.describe_audit_mitigation_actions_task, name)["taskStatus"] == "CANCELED"
    sandbox("pace", mitigation_ms=200)
