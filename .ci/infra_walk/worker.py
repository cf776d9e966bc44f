"""The task definition, and the program run with what it says."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import time

import aws
import templates

FINDING = pathlib.Path("tests/fixtures/finding_iot_policy.json")


def definition():
    cluster = aws.outputs("fleetwarden-service")
    [service] = aws.client("ecs").describe_services(
        cluster=cluster["ClusterName"], services=[cluster["ServiceName"]]
    )["services"]
    return aws.client("ecs").describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]


def check():
    """The container is locked down and has the time that it needs to drain."""
    task = definition()
    [container] = task["containerDefinitions"]
    assert task["networkMode"] == "awsvpc" and task["requiresCompatibilities"] == ["FARGATE"], task
    assert container["readonlyRootFilesystem"] and container["user"] == "65532:65532", container
    assert container["command"] == ["run"] and container["stopTimeout"] == 90, container
    group = container["logConfiguration"]["options"]["awslogs-group"]
    [logs] = aws.client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert logs["retentionInDays"] == 30, logs
    for role in ("TaskRole", "ExecutionRole"):
        found = aws.client("iam").get_role(RoleName=aws.resource("fleetwarden-service", role))["Role"]
        [trust] = found["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}, trust
        assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": aws.ACCOUNT}, trust
    [group] = aws.client("ec2").describe_security_groups(
        GroupIds=[aws.resource("fleetwarden-service", "SecurityGroup")]
    )["SecurityGroups"]
    assert not group["IpPermissions"], group
    assert [rule["FromPort"] for rule in group["IpPermissionsEgress"]] == [443], group


def environment(port=0):
    """What the container gets, but for the port: another may hold that here."""
    [container] = definition()["containerDefinitions"]
    variables = {variable["name"]: variable["value"] for variable in container["environment"]}
    assert variables["FLEETWARDEN_METRICS"] == "emf" and variables["FLEETWARDEN_HTTP"], variables
    return {**os.environ, **variables, "FLEETWARDEN_HTTP": f"127.0.0.1:{port}"}


def run():
    """A finding on the topic becomes a record in the table, once, by the policy of the task definition; the metrics that were sent."""
    made = aws.outputs("fleetwarden-line")
    for _ in range(2):
        aws.client("sns").publish(TopicArn=made["TopicArn"], Message=FINDING.read_text())
    ran = subprocess.run(
        ["fleetwarden", "run", "--until-empty"], env=environment(), capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran
    finding = json.loads(FINDING.read_text())["findingId"]
    shown = subprocess.run(
        ["fleetwarden", "findings", "list", "--output", "json"],
        env={**os.environ, "FLEETWARDEN_TABLE": made["TableName"]},
        capture_output=True,
        text=True,
        check=True,
    )
    records = json.loads(shown.stdout)
    assert [(record["findingId"], record["status"], record["rule"]) for record in records] == [
        (finding, "observed", "blank-overly-permissive-policies")
    ], records
    for url in (made["QueueUrl"], made["DeadLetterQueueUrl"]):
        [*counts] = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"].items()
        assert {value for name, value in counts if name.startswith("ApproximateNumber")} == {"0"}, (url, counts)
    print(f"  {finding} was published twice and is observed once, by the policy in the task definition")
    return _metrics(ran.stdout)


# What the emulator does not make, though line.yaml asks for it.
KNOWN_GAPS = [("table", "time to live")]


def doctor():
    """The program's own doctor finds nothing wrong with what was deployed, by the policy that is deployed."""
    ran = subprocess.run(
        ["fleetwarden", "doctor", "--output", "json"], env=environment(), capture_output=True, text=True, timeout=120
    )
    assert ran.stdout, ran
    checks = json.loads(ran.stdout)["checks"]
    wrong = [check for check in checks if check["state"] == "wrong"]
    assert [(check["area"], check["what"]) for check in wrong] == KNOWN_GAPS, wrong
    assert ran.returncode == 1, ran.returncode
    well = sum(check["state"] == "ok" for check in checks)
    assert ("canary", "recorded", "ok") in [(check["area"], check["what"], check["state"]) for check in checks], checks
    print(f"  {well} of {len(checks)} checks are well, a canary went through; wrong for want in the emulator: {KNOWN_GAPS}")


def live():
    """The container's health check finds a worker well, and a worker that is told to stop ends well within its time."""
    [container] = templates.load("service.yaml")["Resources"]["TaskDefinition"]["Properties"]["ContainerDefinitions"]
    kind, program, *arguments = container["HealthCheck"]["Command"]
    assert (kind, program) == ("CMD", "/usr/local/bin/fleetwarden"), container["HealthCheck"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        variables = environment(free.getsockname()[1])
    check = ["fleetwarden", *arguments]
    assert subprocess.run(check, env=variables, capture_output=True).returncode != 0, "no worker runs yet"
    worker = subprocess.Popen(["fleetwarden", "run"], env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + container["HealthCheck"]["StartPeriod"]
        while subprocess.run(check, env=variables, capture_output=True).returncode != 0:
            assert worker.poll() is None, worker.communicate()
            assert time.monotonic() < deadline, "the health check fails"
            time.sleep(0.2)
        worker.send_signal(signal.SIGTERM)
        output = worker.communicate(timeout=container["StopTimeout"])
        assert worker.returncode == 0, output
    finally:
        worker.kill()
        worker.wait()


def _metrics(output):
    """Every metric of the output's embedded metric format: namespace, name, dimensions with their values."""
    sent = set()
    for line in output.splitlines():
        document = json.loads(line) if line.startswith("{") else {}
        for directive in document.get("_aws", {}).get("CloudWatchMetrics", []):
            for dimensions in directive["Dimensions"]:
                named = tuple(sorted((name, document[name]) for name in dimensions))
                sent |= {(directive["Namespace"], metric["Name"], named) for metric in directive["Metrics"]}
    assert sent, f"no metrics in {output!r}"
    return sent


def check_scaling():
    """What the emulator leaves out of service.yaml is autoscaling and nothing else."""
    _, gone = templates.deployable(templates.load("service.yaml"))
    assert gone == [
        "NothingToDo", "ScalableTarget", "ScaleOnBacklog", "StartFirst", "StopLast", "WorkWithoutTasks",
    ], gone  # fmt: skip
    print(f"  not known to the emulator, so only linted: {', '.join(gone)}")
