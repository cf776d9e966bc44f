"""Upgrading, rolling back and deleting, as infra/README.md says it."""

import botocore.exceptions

import aws
import guide
import worker


def upgrade_and_roll_back(clone):
    before = worker.definition()
    guide.follow("Upgrade", clone)
    upgraded = worker.definition()
    assert upgraded["revision"] > before["revision"], upgraded["taskDefinitionArn"]
    assert upgraded["containerDefinitions"][0]["image"].endswith(":1.1.0"), upgraded
    guide.follow("Roll back", clone)
    back = worker.definition()["containerDefinitions"][0]
    for part in ("image", "environment", "stopTimeout", "user"):
        assert back[part] == before["containerDefinitions"][0][part], part


def delete(clone):
    made = aws.outputs("fleetwarden-line")
    guide.follow("Delete", clone)
    left = aws.client("cloudformation").describe_stacks()["Stacks"]
    assert not [stack["StackName"] for stack in left if stack["StackStatus"] != "DELETE_COMPLETE"], left
    # What holds findings is still there, and protected.
    for url in (made["QueueUrl"], made["DeadLetterQueueUrl"]):
        aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    assert aws.client("dynamodb").scan(TableName=made["TableName"])["Count"] >= 1
    try:
        aws.client("dynamodb").delete_table(TableName=made["TableName"])
    except botocore.exceptions.ClientError as refused:
        assert refused.response["Error"]["Code"] == "ValidationException", refused
    else:
        raise AssertionError("a protected table was deleted")
    print("  retained: queue, dead-letter queue, table with its records; the table refuses to be deleted")
