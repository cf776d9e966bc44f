"""The two stories of the workshops, step by step, and the publication of a finding to a second topic."""

from settings import CHECKS, LOGGING, POLICY, SHARED
from wire import (
    ACCOUNT, MILLIS, ROLE, TASK, TEXT, TIME, UUID,
    audit, counts, empty, ended, executions, findings, iot, messages, missing, mitigate, same, until,
)

LOGGING_ROLE = f"arn:aws:iam::{ACCOUNT}:role/IoTLogging"


def check_result(compliant, total, found, suppressed=0):
    return {
        "checkRunStatus": "COMPLETED_COMPLIANT" if compliant else "COMPLETED_NON_COMPLIANT",
        "checkCompliant": compliant,
        "totalResourcesCount": total,
        "nonCompliantResourcesCount": found,
        "suppressedNonCompliantResourcesCount": suppressed,
    }


def statistics(**counted):
    names = ["totalChecks", "inProgressChecks", "waitingForDataCollectionChecks", "compliantChecks"]
    names += ["nonCompliantChecks", "failedChecks", "canceledChecks"]
    return {name: counted.get(name, 0) for name in names}


def logging_disabled(queue_url):
    """(a) Logging was disabled by an operator."""
    empty(iot.set_v2_logging_options(roleArn=LOGGING_ROLE, defaultLogLevel="DISABLED"))
    disabled = {"roleArn": LOGGING_ROLE, "defaultLogLevel": "DISABLED", "disableAllLogs": False}
    same(iot.get_v2_logging_options(), disabled)
    task_id, task = audit(LOGGING)
    same(
        task,
        {
            "taskStatus": "COMPLETED",
            "taskType": "ON_DEMAND_AUDIT_TASK",
            "taskStartTime": TIME,
            "taskStatistics": statistics(totalChecks=1, nonCompliantChecks=1),
            "auditDetails": {LOGGING: check_result(False, 1, 1)},
        },
    )
    same(messages(queue_url, 1), [summary(task_id, "COMPLETED_NON_COMPLIANT", 1, nonCompliantChecksCount=1)])
    finding = {
        "findingId": UUID,
        "taskId": task_id,
        "checkName": LOGGING,
        "taskStartTime": task["taskStartTime"],
        "findingTime": TIME,
        "severity": "LOW",
        "nonCompliantResource": {"resourceType": "ACCOUNT_SETTINGS", "resourceIdentifier": {"account": ACCOUNT}},
        "reasonForNonCompliance": TEXT,
        "reasonForNonComplianceCode": "LOGGING_DISABLED",
        "isSuppressed": False,
    }
    listed = iot.list_audit_findings(taskId=task_id)
    same(listed, {"findings": [finding]})
    finding = listed["findings"][0]
    finding_id = finding["findingId"]
    same(iot.describe_audit_finding(findingId=finding_id), {"finding": finding})
    missing(iot.describe_audit_finding, findingId="11111111-0000-4000-8000-000000000000")

    params = {"enableIoTLoggingParams": {"roleArnForLogging": LOGGING_ROLE, "logLevel": "ERROR"}}
    name = "EnableErrorLoggingAction"
    action = iot.create_mitigation_action(actionName=name, roleArn=ROLE, actionParams=params)
    arn = f"arn:aws:iot:us-east-1:{ACCOUNT}:mitigationaction/{name}"
    same(action, {"actionArn": arn, "actionId": UUID})
    target = {"findingIds": [finding_id]}
    same(
        mitigate("logging", target, **{LOGGING: [name]}),
        {
            "taskStatus": "COMPLETED",
            "startTime": TIME,
            "endTime": TIME,
            "taskStatistics": {LOGGING: counts(total=1, succeeded=1)},
            "target": target,
            "auditCheckToActionsMapping": {LOGGING: [name]},
            "actionsDefinition": [{"name": name, "id": action["actionId"], "roleArn": ROLE, "actionParams": params}],
        },
    )
    execution = {
        "taskId": "logging",
        "findingId": finding_id,
        "actionName": name,
        "actionId": action["actionId"],
        "status": "COMPLETED",
        "startTime": TIME,
        "endTime": TIME,
    }
    same(executions("logging", finding_id), [execution])
    same(iot.get_v2_logging_options(), {**disabled, "defaultLogLevel": "ERROR"})

    second, task = audit(LOGGING)
    same(task["auditDetails"], {LOGGING: check_result(True, 1, 0)})
    same(iot.list_audit_findings(taskId=second), {"findings": []})
    same(messages(queue_url, 1), [summary(second, "COMPLETED_COMPLIANT", 0, compliantChecksCount=1)])


def summary(task_id, status, found, **counted):
    """The notification of an audit of the logging check."""
    kinds = ["failedChecksCount", "canceledChecksCount", "nonCompliantChecksCount", "compliantChecksCount"]
    return {
        "accountId": ACCOUNT,
        "taskId": task_id,
        "taskStatus": "COMPLETED",
        "taskType": "ON_DEMAND_AUDIT_TASK",
        **{kind: counted.get(kind, 0) for kind in kinds},
        "totalChecksCount": 1,
        "taskStartTime": MILLIS,
        "auditDetails": [
            {
                "checkName": LOGGING,
                "checkRunStatus": status,
                "nonCompliantResourcesCount": found,
                "totalResourcesCount": 1,
                "suppressedNonCompliantResourcesCount": 0,
            }
        ],
    }


def shared_certificate(topic_arn, queue_url):
    """(b) Two devices share one certificate; (c) its finding is published in its native form."""
    task_id = iot.start_on_demand_audit_task(targetCheckNames=CHECKS)["taskId"]
    seen = until("the checks one after another", lambda: half_way(task_id))
    assert {"IN_PROGRESS", "WAITING_FOR_DATA_COLLECTION"} < seen, seen
    task = ended(iot.describe_audit_task, task_id)
    same(task["taskStatistics"], statistics(totalChecks=17, compliantChecks=15, nonCompliantChecks=2))
    assert {check for check in CHECKS if not task["auditDetails"][check]["checkCompliant"]} == {SHARED, POLICY}
    messages(queue_url, 1)

    (finding,) = findings(task_id, checkName=SHARED)
    related = [
        {
            "resourceType": "CLIENT_ID",
            "resourceIdentifier": {"clientId": client},
            "additionalInfo": {"CONNECTION_TIME": MILLIS_TEXT, "DISCONNECTION_TIME": MILLIS_TEXT},
        }
        for client in ["SensorDevice01", "SensorDevice02"]
    ]
    same(finding["relatedResources"], related)
    same(iot.list_related_resources_for_audit_finding(findingId=finding["findingId"]), {"relatedResources": related})
    assert finding["nonCompliantResource"]["resourceType"] == "DEVICE_CERTIFICATE"
    certificate = finding["nonCompliantResource"]["resourceIdentifier"]["deviceCertificateId"]
    arn = f"arn:aws:iot:us-east-1:{ACCOUNT}:cert/{certificate}"
    same(iot.list_principal_things(principal=arn), {"things": ["SensorDevice01", "SensorDevice02"]})
    attached = {"principal": arn, "thingPrincipalType": "NON_EXCLUSIVE_THING"}
    same(iot.list_thing_principals_v2(thingName="SensorDevice01"), {"thingPrincipalObjects": [attached]})

    deactivate = {"updateDeviceCertificateParams": {"action": "DEACTIVATE"}}
    iot.create_mitigation_action(actionName="Deactivate", roleArn=ROLE, actionParams=deactivate)
    publish = {"publishFindingToSnsParams": {"topicArn": topic_arn}}
    iot.create_mitigation_action(actionName="Publish", roleArn=ROLE, actionParams=publish)
    target = {"findingIds": [finding["findingId"]]}
    done = mitigate("shared", target, **{SHARED: ["Publish", "Deactivate"]})
    same(done["taskStatistics"], {SHARED: counts(total=1, succeeded=1)})
    results = [(one["actionName"], one["status"]) for one in executions("shared", finding["findingId"])]
    assert results == [("Publish", "COMPLETED"), ("Deactivate", "COMPLETED")], results
    described = iot.describe_certificate(certificateId=certificate)["certificateDescription"]
    assert described["status"] == "INACTIVE", described
    same(
        messages(queue_url, 1),
        [
            {
                "findingId": finding["findingId"],
                "findingTime": int(finding["findingTime"].timestamp() * 1000 + 0.5),
                "severity": "CRITICAL",
                "taskStartTime": int(finding["taskStartTime"].timestamp() * 1000 + 0.5),
                "nonCompliantResource": {
                    "resourceType": "DEVICE_CERTIFICATE",
                    "resourceIdentifier": {"deviceCertificateId": certificate},
                },
                "taskId": task_id,
                "checkName": SHARED,
                "reasonForNonComplianceCode": "CERTIFICATE_SHARED_BY_MULTIPLE_DEVICES",
                "reasonForNonCompliance": finding["reasonForNonCompliance"],
            }
        ],
    )
    second, task = audit(SHARED)
    same(task["auditDetails"], {SHARED: check_result(True, 1, 0)})
    messages(queue_url, 1)


MILLIS_TEXT = type(MILLIS)("epoch milliseconds as text", lambda value: value.isdigit() and len(value) == 13)


def half_way(task_id):
    details = iot.describe_audit_task(taskId=task_id)["auditDetails"].values()
    states = {check["checkRunStatus"] for check in details}
    return states if states & {"COMPLETED_COMPLIANT", "COMPLETED_NON_COMPLIANT"} else None
