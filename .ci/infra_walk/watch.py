"""Alarms and dashboard, read back, and held to the metrics that a worker really sends."""

import json

import aws
import templates
from botocore.validate import ParamValidator

# AWS's own; how they are named and dimensioned, its documentation says.
THEIRS = {
    "AWS/SQS": {"QueueName"},
    "ECS/ContainerInsights": {"ClusterName", "ServiceName"},
}


def check(sent):
    made, running = aws.outputs("fleetwarden-line"), aws.outputs("fleetwarden-service")
    values = {
        "QueueName": {made["QueueName"], made["DeadLetterQueueName"]},
        "ClusterName": {running["ClusterName"]},
        "ServiceName": {running["ServiceName"]},
    }
    alarms = aws.client("cloudwatch").describe_alarms(AlarmNamePrefix="fleetwarden-watch")["MetricAlarms"]
    assert len(alarms) == 4, [alarm["AlarmName"] for alarm in alarms]
    alarms += _on_metric_math()
    ours = set()
    for alarm in alarms:
        assert len(alarm["AlarmDescription"]) > 40, alarm
        assert alarm["TreatMissingData"] == "notBreaching", alarm
        stats = [query["MetricStat"]["Metric"] for query in alarm.get("Metrics", []) if "MetricStat" in query]
        for metric in stats or [alarm]:
            dimensions = {dimension["Name"]: dimension["Value"] for dimension in metric["Dimensions"]}
            ours |= _one(metric["Namespace"], metric["MetricName"], dimensions, values, sent)
    assert {name for _, name, _ in ours} == {"BreakerOpen", "BudgetThrottled"}, ours

    name = aws.outputs("fleetwarden-watch")["DashboardName"]
    body = json.loads(aws.client("cloudwatch").get_dashboard(DashboardName=name)["DashboardBody"])
    watched = {arn.split(":")[-1] for arn in body["widgets"][0]["properties"]["alarms"]}
    assert watched == {alarm["AlarmName"] for alarm in alarms}, watched
    searches = 0
    for widget in body["widgets"][1:]:
        for row in widget["properties"]["metrics"]:
            if isinstance(row[0], dict):
                assert f'Table="{made["TableName"]}"' in row[0]["expression"], row
                searches += 1
                continue
            namespace, metric, *pairs = [part for part in row if isinstance(part, str)]
            ours |= _one(namespace, metric, dict(zip(pairs[::2], pairs[1::2])), values, sent)
    print(f"  5 alarms and {len(body['widgets'])} widgets; {len(ours)} metrics of ours, each of which a worker sends; {searches} searches")


def _on_metric_math():
    """The alarms that the emulator leaves out, as CloudFormation would ask CloudWatch for them; held to its API."""
    template = templates.load("watch.yaml")
    _, gone = templates.deployable(template)
    pseudo = {"AWS::AccountId": aws.ACCOUNT, "AWS::Region": aws.REGION, "AWS::Partition": "aws", "AWS::StackName": "fleetwarden-watch"}
    values = templates.Values(template, {}, pseudo, {}, aws.exports())
    alarms = [values.of(template["Resources"][name]["Properties"]) for name in gone]
    shape = aws.client("cloudwatch").meta.service_model.operation_model("PutMetricAlarm").input_shape
    for alarm in alarms:
        report = ParamValidator().validate(alarm, shape)
        assert not report.has_errors(), report.generate_report()
    print(f"  not known to the emulator, so only held to the API: {', '.join(gone)}")
    return alarms


def _one(namespace, name, dimensions, values, sent):
    if namespace in THEIRS:
        assert set(dimensions) == THEIRS[namespace], (namespace, name, dimensions)
        assert all(dimensions[key] in values[key] for key in dimensions), (name, dimensions)
        return set()
    metric = (namespace, name, tuple(sorted(dimensions.items())))
    # Sent only when something was mitigated, which nothing is in observe mode.
    assert metric in sent or name == "TimeToMitigate", f"no worker sends {metric}; they send {sorted(sent)}"
    return {metric}
