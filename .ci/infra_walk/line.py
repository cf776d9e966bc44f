"""What line.yaml made, read back."""

import json

from aws import ACCOUNT, REGION, client, outputs


def check():
    made = outputs("fleetwarden-line")
    queue = _attributes(made["QueueUrl"])
    dead_letters = _attributes(made["DeadLetterQueueUrl"])
    _holds(queue, VisibilityTimeout="60", ReceiveMessageWaitTimeSeconds="20", SqsManagedSseEnabled="true")
    redrive = json.loads(queue["RedrivePolicy"])
    assert redrive == {"deadLetterTargetArn": dead_letters["QueueArn"], "maxReceiveCount": 1000}, redrive
    _holds(dead_letters, MessageRetentionPeriod="1209600", SqsManagedSseEnabled="true")
    assert int(queue["MessageRetentionPeriod"]) < int(dead_letters["MessageRetentionPeriod"])
    assert json.loads(dead_letters["RedriveAllowPolicy"])["sourceQueueArns"] == [queue["QueueArn"]]

    allow, deny = json.loads(queue["Policy"])["Statement"]
    assert (allow["Effect"], allow["Principal"], allow["Action"], allow["Resource"]) == (
        "Allow",
        {"Service": "sns.amazonaws.com"},
        "sqs:SendMessage",
        queue["QueueArn"],
    ), allow
    assert allow["Condition"] == {"ArnEquals": {"aws:SourceArn": made["TopicArn"]}}, allow
    for policy in (deny, *json.loads(dead_letters["Policy"])["Statement"]):
        assert policy["Effect"] == "Deny" and policy["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}, policy

    [subscription] = client("sns").list_subscriptions_by_topic(TopicArn=made["TopicArn"])["Subscriptions"]
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("sqs", queue["QueueArn"]), subscription

    table = client("dynamodb").describe_table(TableName=made["TableName"])["Table"]
    assert table["KeySchema"] == [{"AttributeName": "id", "KeyType": "HASH"}], table
    [index] = table["GlobalSecondaryIndexes"]
    assert index["IndexName"] == "attention" and len(index["KeySchema"]) == 2, index
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST" and table["DeletionProtectionEnabled"], table

    [repository] = client("ecr").describe_repositories(repositoryNames=["fleetwarden"])["repositories"]
    assert repository["imageTagMutability"] == "IMMUTABLE", repository
    assert made["RepositoryUri"] == repository["repositoryUri"], made
    assert made["QueueArn"] == f"arn:aws:sqs:{REGION}:{ACCOUNT}:fleetwarden-findings", made
    print("  not made by the emulator of the table: time to live, point-in-time recovery, encryption")


def _attributes(url):
    return client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]


def _holds(attributes, **wanted):
    for name, value in wanted.items():
        assert attributes[name] == value, (name, attributes)
