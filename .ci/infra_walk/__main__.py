"""Follows infra/README.md in an emulator, and looks at what came out.

Expects MiniStack at AWS_ENDPOINT_URL, a served sandbox at FLEETWARDEN_SANDBOX, the AWS CLI and fleetwarden on the path, and a directory
of its own.
"""

import json
import pathlib
import sys
import time

import constraints
import defender
import guide
import line
import permissions
import retained
import templates
import watch
import worker


def step(what, walk, *arguments):
    start = time.monotonic()
    result = walk(*arguments)
    print(f"{what} ({time.monotonic() - start:.1f} s)", flush=True)
    return result


clone = pathlib.Path(sys.argv[1]) / "clone"
(clone / "infra").mkdir(parents=True)
for template in templates.INFRA.glob("*.yaml"):
    without, _ = templates.deployable(templates.load(template.name))
    (clone / "infra" / template.name).write_text(json.dumps(without))

step("parameters that cannot work", constraints.check)
step("README: deploy", guide.follow, "Deploy", clone)
step("the line", line.check)
step("the task", worker.check)
worker.check_scaling()
sent = step("a worker", worker.run)
step("doctor", worker.doctor)
step("its health check, and its end", worker.live)
step("alarms and dashboard", watch.check, sent)
step("Device Defender", defender.check)
step("README: upgrade, roll back", retained.upgrade_and_roll_back, clone)
step("permissions", permissions.check, clone)
step("README: delete", retained.delete, clone)
