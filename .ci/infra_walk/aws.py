"""Clients of the emulator, and stacks in it."""

import functools
import os

import boto3

ACCOUNT, REGION = "000000000000", os.environ["AWS_REGION"]


@functools.cache
def client(service, endpoint=os.environ["AWS_ENDPOINT_URL"]):
    return boto3.client(service, endpoint_url=endpoint)


def stack(name):
    return client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]


def outputs(name):
    return {output["OutputKey"]: output["OutputValue"] for output in stack(name)["Outputs"]}


def exports():
    return {export["Name"]: export["Value"] for export in client("cloudformation").list_exports()["Exports"]}


def resource(name, logical):
    """The physical id."""
    found = client("cloudformation").describe_stack_resource(StackName=name, LogicalResourceId=logical)
    return found["StackResourceDetail"]["PhysicalResourceId"]


def update(name, parameters):
    """Changes parameters; the others keep their values."""
    known = {parameter["ParameterKey"] for parameter in stack(name)["Parameters"]}
    assert set(parameters) <= known, f"{name} has no parameters {set(parameters) - known}"
    new = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    kept = [{"ParameterKey": key, "UsePreviousValue": True} for key in known - set(parameters)]
    cloudformation = client("cloudformation")
    cloudformation.update_stack(
        StackName=name, UsePreviousTemplate=True, Parameters=new + kept, Capabilities=["CAPABILITY_IAM"]
    )
    cloudformation.get_waiter("stack_update_complete").wait(StackName=name, WaiterConfig={"Delay": 1})


def statements(role, policy):
    found = client("iam").get_role_policy(RoleName=role, PolicyName=policy)
    return found["PolicyDocument"]["Statement"]


def allowed(policy_statements):
    """Statements as a set of what each allows by itself: an action, a resource, the conditions."""
    as_list = lambda value: value if isinstance(value, list) else [value]
    return {
        (action, resource, repr(statement.get("Condition")))
        for statement in policy_statements
        for action in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
        if statement["Effect"] == "Allow"
    }
