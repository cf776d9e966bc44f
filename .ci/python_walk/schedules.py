"""Scheduled audits: create, look at, change, run, delete; what they forbid."""

import datetime

from settings import CHECKS, EXPIRING, LOGGING
from wire import ACCOUNT, ROLE, audit, empty, ended, exists, findings, invalid, iot, limited, missing, same, sandbox

CHECK = [LOGGING]


def arn(name):
    return f"arn:aws:iot:us-east-1:{ACCOUNT}:scheduledaudit/{name}"


def schedules():
    create, update = iot.create_scheduled_audit, iot.update_scheduled_audit
    for wrong in [
        {"frequency": "HOURLY"},
        {"frequency": "WEEKLY"},
        {"frequency": "BIWEEKLY", "dayOfWeek": "Monday"},
        {"frequency": "MONTHLY"},
        {"frequency": "MONTHLY", "dayOfMonth": "32"},
        {"frequency": "MONTHLY", "dayOfMonth": "last"},
    ]:
        invalid(create, scheduledAuditName="wrong", targetCheckNames=CHECK, **wrong)
    invalid(create, scheduledAuditName="wrong name", targetCheckNames=CHECK, frequency="DAILY")
    invalid(create, scheduledAuditName="wrong", targetCheckNames=["NO_SUCH_CHECK"], frequency="DAILY")

    kinds = {
        "daily": {"frequency": "DAILY"},
        "weekly": {"frequency": "WEEKLY", "dayOfWeek": "SUN"},
        "biweekly": {"frequency": "BIWEEKLY", "dayOfWeek": "SAT"},
        "monthly": {"frequency": "MONTHLY", "dayOfMonth": "31"},
        "last": {"frequency": "MONTHLY", "dayOfMonth": "LAST"},
    }
    tags = [{"Key": "owner", "Value": "security"}]
    for name, days in kinds.items():
        made = create(scheduledAuditName=name, targetCheckNames=CHECK, tags=tags, **days)
        same(made, {"scheduledAuditArn": arn(name)})
        same(
            iot.describe_scheduled_audit(scheduledAuditName=name),
            {"scheduledAuditName": name, "scheduledAuditArn": arn(name), "targetCheckNames": CHECK, **days},
        )
    same(iot.list_tags_for_resource(resourceArn=arn("daily")), {"tags": tags})
    exists(create, scheduledAuditName="daily", targetCheckNames=CHECK, frequency="DAILY")
    limited(create, scheduledAuditName="sixth", targetCheckNames=CHECK, frequency="DAILY")
    pages = iot.get_paginator("list_scheduled_audits").paginate(PaginationConfig={"PageSize": 2})
    listed = [one for page in pages for one in page["scheduledAudits"]]
    shown = lambda name: {"scheduledAuditName": name, "scheduledAuditArn": arn(name), **kinds[name]}
    same(listed, [shown(name) for name in sorted(kinds)])

    # Only what is given changes.
    same(update(scheduledAuditName="weekly", dayOfWeek="MON"), {"scheduledAuditArn": arn("weekly")})
    update(scheduledAuditName="weekly", targetCheckNames=[LOGGING, EXPIRING])
    described = iot.describe_scheduled_audit(scheduledAuditName="weekly")
    assert (described["frequency"], described["dayOfWeek"]) == ("WEEKLY", "MON"), described
    assert described["targetCheckNames"] == [LOGGING, EXPIRING]
    update(scheduledAuditName="weekly", frequency="MONTHLY", dayOfMonth="1")
    assert "dayOfWeek" not in iot.describe_scheduled_audit(scheduledAuditName="weekly")
    invalid(update, scheduledAuditName="daily", frequency="WEEKLY")
    invalid(update, scheduledAuditName="daily", targetCheckNames=["NO_SUCH_CHECK"])

    # An audit of a schedule.
    task_id = sandbox("run-schedule", name="daily")["taskId"]
    task = ended(iot.describe_audit_task, task_id)
    assert (task["taskType"], task["scheduledAuditName"]) == ("SCHEDULED_AUDIT_TASK", "daily"), task
    now = datetime.datetime.now(datetime.timezone.utc)
    hour = datetime.timedelta(hours=1)
    of_schedules = iot.list_audit_tasks(startTime=now - hour, endTime=now + hour, taskType="SCHEDULED_AUDIT_TASK")
    same(of_schedules["tasks"], [{"taskId": task_id, "taskStatus": "COMPLETED", "taskType": "SCHEDULED_AUDIT_TASK"}])

    # A check that a schedule uses stays enabled; disabling one deletes what was found for it.
    disable = lambda check: {"auditCheckConfigurations": {check: {"enabled": False}}}
    assert "weekly" in invalid(iot.update_account_audit_configuration, **disable(EXPIRING))
    invalid(iot.delete_account_audit_configuration)
    update(scheduledAuditName="weekly", targetCheckNames=CHECK)
    expiring, _ = audit(EXPIRING)
    (first, *_) = findings(expiring)
    empty(iot.update_account_audit_configuration(**disable(EXPIRING)))
    missing(iot.describe_audit_finding, findingId=first["findingId"])
    assert EXPIRING in invalid(iot.start_on_demand_audit_task, targetCheckNames=[LOGGING, EXPIRING])
    assert EXPIRING in invalid(update, scheduledAuditName="weekly", targetCheckNames=[EXPIRING])

    empty(iot.delete_scheduled_audit(scheduledAuditName="last"))
    for call in [iot.delete_scheduled_audit, iot.describe_scheduled_audit]:
        missing(call, scheduledAuditName="last")
    missing(update, scheduledAuditName="last", frequency="DAILY")
    missing(iot.list_tags_for_resource, resourceArn=arn("last"))
    empty(iot.delete_account_audit_configuration(deleteScheduledAudits=True))
    same(iot.list_scheduled_audits(), {"scheduledAudits": []})
    iot.update_account_audit_configuration(
        roleArn=ROLE, auditCheckConfigurations={check: {"enabled": True} for check in CHECKS}
    )
