"""Walks the whole audit loop of Device Defender through boto3, against a served sandbox, and compares every reply.

Expects the variables that `fleetwarden sandbox` prints, in the state in which it starts.
"""

import json
import os
import pathlib
import time

import botocore.session
import mitigations
import registry
import results
import schedules
import settings
import stories
import wire

TOPIC = os.environ["FLEETWARDEN_TOPIC_ARN"]
QUEUE = os.environ["FLEETWARDEN_QUEUE_URL"]

# The reason codes of the developer guide, check by check.
REASONS = json.loads((pathlib.Path(__file__).parent / "reasons.json").read_text())


def step(what, walk, *arguments):
    start = time.monotonic()
    result = walk(*arguments)
    print(f"  {what} ({time.monotonic() - start:.1f} s)", flush=True)
    return result


print(f"boto3 with the service model of botocore {botocore.__version__}")
assert sorted(REASONS) == settings.CHECKS
step("settings of an account that was never set up", settings.settings, TOPIC)
step("logging is disabled, found, enabled again, compliant", stories.logging_disabled, QUEUE)
step("a shared certificate is found, published, deactivated, compliant", stories.shared_certificate, TOPIC, QUEUE)
everything = step("every check fails with each of its reason codes", results.every_check, REASONS)
step("paging to the end", results.paging)
step("filters of findings and audits", results.filters, everything)
suppressed = step("suppressions", results.suppressions)
step("checks that fail, limits, cancelling", results.checks_that_fail)
step("mitigation actions of all six types", mitigations.actions)
step("mitigation tasks and their executions", mitigations.tasks, suppressed)
step("scheduled audits", schedules.schedules)
step("certificates, policies, things, groups, logging", registry.registry)
print(f"{wire.checked} replies fit the service model")
