"""The client, the sandbox's controls, and the comparisons.

Every reply and every error is held against the service model that boto3 comes with: unknown members, missing required ones,
wrong types, values outside an enumeration, errors that the operation does not have, or their wrong HTTP status end the walk.
"""

import datetime
import json
import os
import re
import time
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/DeviceDefenderAudit"

# What is wrong shall be refused by the sandbox, not by boto3.
_config = Config(parameter_validation=False, retries={"total_max_attempts": 1}, connect_timeout=5)
iot = boto3.client("iot", config=_config)
sqs = boto3.client("sqs", config=_config)

checked = 0


def _against_model(value, shape, path):
    """The JSON of a reply as it came, before boto3 leaves out what it does not know."""
    kind = shape.type_name
    if kind == "structure":
        assert isinstance(value, dict), f"{path}: {value!r} is not an object"
        for member, inner in value.items():
            assert member in shape.members, f"{path}: {shape.name} has no member {member}"
            _against_model(inner, shape.members[member], f"{path}.{member}")
        missing = [member for member in shape.required_members if member not in value]
        assert not missing, f"{path}: {missing} missing"
    elif kind == "list":
        assert isinstance(value, list), f"{path}: {value!r} is not a list"
        for at, inner in enumerate(value):
            _against_model(inner, shape.member, f"{path}[{at}]")
    elif kind == "map":
        assert isinstance(value, dict), f"{path}: {value!r} is not a map"
        for key, inner in value.items():
            _against_model(key, shape.key, f"{path} key {key}")
            _against_model(inner, shape.value, f"{path}.{key}")
    elif kind == "timestamp":
        assert isinstance(value, (int, float)), f"{path}: {value!r} is not epoch seconds"
        assert 1.5e9 < value < 1e10, f"{path}: {value!r} is not epoch seconds"
    elif kind == "boolean":
        assert isinstance(value, bool), f"{path}: {value!r} is not a boolean"
    elif kind in ("integer", "long"):
        assert isinstance(value, int) and not isinstance(value, bool), f"{path}: {value!r} is not an integer"
    else:
        assert isinstance(value, str), f"{path}: {value!r} is not a string"
        allowed = getattr(shape, "enum", None)
        assert not allowed or value in allowed, f"{path}: {value!r} is none of {allowed}"
        length = shape.metadata
        assert length.get("min", 0) <= len(value) <= length.get("max", 1 << 20), f"{path}: {value!r} is too short or long"


def _before_parse(operation_model, response_dict, **_):
    global checked
    if operation_model.service_model.service_name != "iot" or response_dict["status_code"] >= 300:
        return
    shape = operation_model.output_shape
    body = json.loads(response_dict["body"] or b"{}")
    if shape is None:
        assert body == {}, f"{operation_model.name} has no output, not {body}"
    else:
        _against_model(body, shape, operation_model.name)
    checked += 1


iot.meta.events.register("before-parse.iot", _before_parse)


def refused(code, status, call, **arguments):
    """The call fails with this exception class and HTTP status, which the operation has in the model; its message."""
    try:
        call(**arguments)
    except ClientError as error:
        model = iot.meta.service_model.operation_model(error.operation_name)
        shapes = {shape.name: shape.metadata["error"]["httpStatusCode"] for shape in model.error_shapes}
        got = (error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"])
        assert got == (code, status), f"{error.operation_name}: {got} instead of {(code, status)}: {error}"
        assert shapes.get(code) == status, f"{error.operation_name} has no {code} {status}: {shapes}"
        assert isinstance(error, getattr(iot.exceptions, code)), f"{type(error)} is not {code}"
        return error.response["Error"]["Message"]
    raise AssertionError(f"{call.__name__} {arguments} was not refused with {code}")


invalid = lambda call, **arguments: refused("InvalidRequestException", 400, call, **arguments)
missing = lambda call, **arguments: refused("ResourceNotFoundException", 404, call, **arguments)
exists = lambda call, **arguments: refused("ResourceAlreadyExistsException", 409, call, **arguments)
limited = lambda call, **arguments: refused("LimitExceededException", 410, call, **arguments)


class Like:
    """Stands for a value of a kind in what is expected."""

    def __init__(self, what, fits):
        self.what, self.fits = what, fits

    def __repr__(self):
        return f"<{self.what}>"


TIME = Like("a time", lambda value: isinstance(value, datetime.datetime))
UUID = Like("a UUID", lambda value: re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value))
TASK = Like("a task id", lambda value: re.fullmatch(r"[0-9a-f]{32}", value))
TEXT = Like("a sentence", lambda value: isinstance(value, str) and len(value) > 10)
MILLIS = Like("epoch milliseconds", lambda value: isinstance(value, int) and 1.5e12 < value < 1e13)


def _members(reply):
    return {member: value for member, value in reply.items() if member != "ResponseMetadata"}


def same(got, wanted, path="reply"):
    """Member by member: no more, no less."""
    if isinstance(wanted, Like):
        assert wanted.fits(got), f"{path}: {got!r} is not {wanted!r}"
    elif isinstance(wanted, dict):
        assert isinstance(got, dict), f"{path}: {got!r} instead of {wanted!r}"
        got, wanted = _members(got), _members(wanted)
        assert got.keys() == wanted.keys(), f"{path}: members {sorted(got)} instead of {sorted(wanted)}"
        for member, value in wanted.items():
            same(got[member], value, f"{path}.{member}")
    elif isinstance(wanted, list):
        assert isinstance(got, list) and len(got) == len(wanted), f"{path}: {got!r} instead of {wanted!r}"
        for at, value in enumerate(wanted):
            same(got[at], value, f"{path}[{at}]")
    else:
        assert got == wanted, f"{path}: {got!r} instead of {wanted!r}"


def empty(reply):
    same(reply, {})


def sandbox(control, **body):
    """One of the sandbox's own controls."""
    request = urllib.request.Request(f"{ENDPOINT}/_sandbox/{control}", json.dumps(body).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)


def until(what, look, patience=20):
    """The first reply of `look` that is something."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {patience} seconds")


def ended(describe, task_id):
    def look():
        task = describe(taskId=task_id)
        return task if task["taskStatus"] != "IN_PROGRESS" else None

    return until(f"the end of task {task_id}", look)


def audit(*checks):
    """Runs an audit to its end: its id and how it ended."""
    started = iot.start_on_demand_audit_task(targetCheckNames=list(checks))
    same(started, {"taskId": TASK})
    return started["taskId"], ended(iot.describe_audit_task, started["taskId"])


def findings(task_id, **filters):
    pages = iot.get_paginator("list_audit_findings").paginate(taskId=task_id, **filters)
    return [finding for page in pages for finding in page["findings"]]


def mitigate(task_id, target, **mapping):
    """Starts a mitigation task with actions by check, and waits for its end."""
    started = iot.start_audit_mitigation_actions_task(
        taskId=task_id, target=target, auditCheckToActionsMapping=mapping, clientRequestToken=f"token-{task_id}"
    )
    same(started, {"taskId": task_id})
    return ended(iot.describe_audit_mitigation_actions_task, task_id)


def executions(task_id, finding_id, **filters):
    reply = iot.list_audit_mitigation_actions_executions(taskId=task_id, findingId=finding_id, **filters)
    return reply["actionsExecutions"]


def counts(total=0, failed=0, succeeded=0, skipped=0, canceled=0):
    return {
        "totalFindingsCount": total,
        "failedFindingsCount": failed,
        "succeededFindingsCount": succeeded,
        "skippedFindingsCount": skipped,
        "canceledFindingsCount": canceled,
    }


def messages(queue_url, wanted):
    """The messages inside the SNS envelopes of a queue, until there are so many; each is deleted."""
    found = []

    def look():
        reply = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in reply.get("Messages", []):
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
            found.append(json.loads(json.loads(message["Body"])["Message"]))
        return len(found) >= wanted

    until(f"{wanted} messages", look)
    return found
