"""Every check with every reason code; paging to the end; filters; suppressions; checks that fail; limits and cancelling."""

import datetime
import json

from settings import CHECKS, EXPIRING, LOGGING, POLICY, SHARED
from wire import (
    ACCOUNT, TEXT, TIME,
    audit, empty, ended, exists, findings, invalid, iot, limited, missing, same, sandbox,
)

CLIENTS = "CONFLICTING_CLIENT_IDS_CHECK"
INTERMEDIATE = "INTERMEDIATE_CA_REVOKED_FOR_ACTIVE_DEVICE_CERTIFICATES_CHECK"


def every_check(reasons):
    """`reasons`: check -> reason codes."""
    planted = []
    for check, codes in reasons.items():
        for code in codes:
            made = sandbox("defects", check=check, reason=code)
            assert made["checkEnabled"] and made["reason"] == code, made
            planted.append((check, code, json.dumps(made["resource"]["resourceIdentifier"], sort_keys=True)))
    task_id, task = audit(*CHECKS)
    assert task["taskStatistics"]["nonCompliantChecks"] == 17, task
    found = {
        (one["checkName"], one["reasonForNonComplianceCode"],
         json.dumps(one["nonCompliantResource"]["resourceIdentifier"], sort_keys=True))
        for one in findings(task_id)
    }
    lost = [one for one in planted if one not in found]
    assert not lost, f"planted and not found: {lost}"
    return task_id


def paging():
    sandbox("defects", check=EXPIRING, count=60)
    task_id, task = audit(EXPIRING)
    total = task["auditDetails"][EXPIRING]["nonCompliantResourcesCount"]
    assert total >= 60
    everything = findings(task_id)
    for size in [1, 7, 250]:
        paged = findings(task_id, PaginationConfig={"PageSize": size})
        assert paged == everything, f"pages of {size}"
    assert len({one["findingId"] for one in everything}) == total
    first = iot.list_audit_findings(taskId=task_id)
    assert len(first["findings"]) == 25 and first["nextToken"], "a page has 25 findings by default"
    exact = iot.list_audit_findings(taskId=task_id, maxResults=total)
    assert "nextToken" not in exact, "a full last page has no token"
    for wrong in [{"maxResults": 251}, {"nextToken": "made up"}]:
        invalid(iot.list_audit_findings, taskId=task_id, **wrong)

    for check, devices in [(SHARED, 31), (INTERMEDIATE, 30)]:
        made = sandbox("defects", check=check, devices=devices)
        wanted = made["resource"]["resourceIdentifier"]
        related_audit, _ = audit(check)
        (finding,) = findings(related_audit, resourceIdentifier=wanted)
        pages = iot.get_paginator("list_related_resources_for_audit_finding")
        pages = pages.paginate(findingId=finding["findingId"], PaginationConfig={"PageSize": 7})
        related = [resource for page in pages for resource in page["relatedResources"]]
        assert len(related) == devices == len(made["relatedResources"])
        assert len(finding.get("relatedResources", [])) == (10 if check == SHARED else 0), finding
    missing(iot.list_related_resources_for_audit_finding, findingId="nobody")


def filters(task_id):
    """`task_id`: an audit of all checks."""
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    span = {"startTime": now - day, "endTime": now + day}
    for wrong in [{}, {"taskId": task_id, **span}, {"startTime": now}, {"taskId": task_id, "startTime": now}]:
        invalid(iot.list_audit_findings, **wrong)
    by_time = iot.get_paginator("list_audit_findings").paginate(**span, checkName=LOGGING)
    by_time = [finding for page in by_time for finding in page["findings"]]
    assert len(by_time) > len(findings(task_id, checkName=LOGGING)) == 1
    same(iot.list_audit_findings(startTime=now - 3 * day, endTime=now - 2 * day), {"findings": []})
    same(iot.list_audit_findings(taskId="f" * 32), {"findings": []})

    tasks = iot.get_paginator("list_audit_tasks").paginate(**span, PaginationConfig={"PageSize": 2})
    tasks = [task for page in tasks for task in page["tasks"]]
    assert {"taskId": task_id, "taskStatus": "COMPLETED", "taskType": "ON_DEMAND_AUDIT_TASK"} in tasks
    same(iot.list_audit_tasks(**span, taskStatus="FAILED"), {"tasks": []})
    same(iot.list_audit_tasks(**span, taskType="SCHEDULED_AUDIT_TASK"), {"tasks": []})
    iot.list_audit_tasks(startTime=now - 90 * day, endTime=now)
    invalid(iot.list_audit_tasks, startTime=now - 92 * day, endTime=now)
    invalid(iot.list_audit_tasks, **span, taskStatus="DONE")
    missing(iot.describe_audit_task, taskId="f" * 32)
    missing(iot.cancel_audit_task, taskId="f" * 32)


def suppressions():
    account = {"account": ACCOUNT}
    sandbox("defects", check=LOGGING)
    key = {"checkName": LOGGING, "resourceIdentifier": account}
    create = iot.create_audit_suppression
    for wrong in [
        {},
        {"suppressIndefinitely": True, "expirationDate": datetime.datetime(2030, 1, 1)},
        {"suppressIndefinitely": False},
    ]:
        invalid(create, **key, **wrong)
    invalid(create, checkName="NO_SUCH_CHECK", resourceIdentifier=account, suppressIndefinitely=True)
    invalid(create, checkName=LOGGING, resourceIdentifier={"account": "1" * 11}, suppressIndefinitely=True)
    empty(create(**key, suppressIndefinitely=True, description="known", clientRequestToken="suppression-1"))
    exists(create, **key, suppressIndefinitely=True)
    exists(create, **key, suppressIndefinitely=True, clientRequestToken="suppression-1")
    other = {"checkName": EXPIRING, "resourceIdentifier": {"deviceCertificateId": "a" * 64}}
    until_2030 = datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)
    invalid(create, **other, expirationDate=until_2030, clientRequestToken="suppression-1")
    empty(create(**other, expirationDate=until_2030))

    shown = {**key, "suppressIndefinitely": True, "description": "known"}
    same(iot.describe_audit_suppression(**key), shown)
    dated = {**other, "suppressIndefinitely": False, "expirationDate": until_2030}
    in_order = [one for page in iot.get_paginator("list_audit_suppressions").paginate(
        PaginationConfig={"PageSize": 1}) for one in page["suppressions"]]
    same(in_order, [dated, shown])
    same(iot.list_audit_suppressions(ascendingOrder=False), {"suppressions": [shown, dated]})
    same(iot.list_audit_suppressions(checkName=LOGGING), {"suppressions": [shown]})
    same(iot.list_audit_suppressions(resourceIdentifier=other["resourceIdentifier"]), {"suppressions": [dated]})

    task_id, task = audit(LOGGING)
    detail = task["auditDetails"][LOGGING]
    assert detail["checkRunStatus"] == "COMPLETED_COMPLIANT" and detail["suppressedNonCompliantResourcesCount"] == 1
    counted = [len(findings(task_id, **only)) for only in [
        {}, {"listSuppressedFindings": True}, {"listSuppressedFindings": False}]]
    assert counted == [1, 1, 0], counted
    assert findings(task_id)[0]["isSuppressed"]

    empty(iot.update_audit_suppression(**key, expirationDate=until_2030, description="until then"))
    same(iot.describe_audit_suppression(**key), {**shown, "suppressIndefinitely": False, "expirationDate": TIME,
                                                 "description": "until then"})
    empty(iot.delete_audit_suppression(**key))
    empty(iot.delete_audit_suppression(**key))
    empty(iot.delete_audit_suppression(**other))
    missing(iot.describe_audit_suppression, **key)
    missing(iot.update_audit_suppression, **key, suppressIndefinitely=True)
    return task_id


def checks_that_fail():
    sandbox("check-failures", checks={POLICY: "INSUFFICIENT_PERMISSIONS", SHARED: "AUDIT_CHECK_DISABLED"})
    _, task = audit(POLICY, SHARED, LOGGING)
    failed = lambda code: {"checkRunStatus": "FAILED", "errorCode": code, "message": TEXT}
    same(task["auditDetails"][POLICY], failed("INSUFFICIENT_PERMISSIONS"))
    same(task["auditDetails"][SHARED], failed("AUDIT_CHECK_DISABLED"))
    assert task["taskStatus"] == "COMPLETED" and task["taskStatistics"]["failedChecks"] == 2
    _, task = audit(POLICY)
    assert task["taskStatus"] == "FAILED", task
    sandbox("check-failures", checks={})

    # Disabled between the start and its turn.
    sandbox("pace", audit_ms=1500)
    started = iot.start_on_demand_audit_task(targetCheckNames=[CLIENTS, EXPIRING])["taskId"]
    switch = lambda enabled: {"auditCheckConfigurations": {CLIENTS: {"enabled": enabled}}}
    empty(iot.update_account_audit_configuration(**switch(False)))
    task = ended(iot.describe_audit_task, started)
    same(task["auditDetails"][CLIENTS], failed("AUDIT_CHECK_DISABLED"))
    empty(iot.update_account_audit_configuration(**switch(True)))
    assert findings(started, checkName=CLIENTS) == []

    # Ten at one time, and not an eleventh; a cancelled one is over.
    sandbox("pace", audit_ms=60000)
    running = [iot.start_on_demand_audit_task(targetCheckNames=[LOGGING, POLICY])["taskId"] for _ in range(10)]
    limited(iot.start_on_demand_audit_task, targetCheckNames=[LOGGING])
    for task_id in running:
        empty(iot.cancel_audit_task(taskId=task_id))
    invalid(iot.cancel_audit_task, taskId=running[0])
    task = iot.describe_audit_task(taskId=running[0])
    same(task["auditDetails"], {check: {"checkRunStatus": "CANCELED"} for check in [LOGGING, POLICY]})
    assert task["taskStatus"] == "CANCELED" and task["taskStatistics"]["canceledChecks"] == 2
    sandbox("pace", audit_ms=200)
