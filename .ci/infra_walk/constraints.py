"""Parameters that cannot work are refused with a sentence, before anything is made."""

import json

import aws
import botocore.exceptions
import templates

REFUSED = {
    "a tag or a digest": {"Image": "fleetwarden"},
    "PolicyText and PolicyFile both name a policy": {"PolicyText": "version: 1", "PolicyFile": "/policy.yaml"},
    "an absolute path": {"PolicyFile": "policy.yaml"},
    "ARNs of thing groups": {"ThingGroupArns": "Quarantine"},
    "ARNs of roles": {"LoggingRoleArns": "arn:aws:iam::000000000000:role/A, arn:aws:iam::000000000000:role/B"},
    "'Mode'": {"Mode": "act"},
    "'CpuArchitecture'": {"CpuArchitecture": "arm"},
    "'MinTasks'": {"MinTasks": "-1"},
}


def check():
    template, _ = templates.deployable(templates.load("service.yaml"))
    needed = {"Image": "fleetwarden:1.0.0", "VpcId": "vpc-1", "SubnetIds": "subnet-1"}
    for sentence, parameters in REFUSED.items():
        given = {**needed, **parameters}
        try:
            aws.client("cloudformation").create_change_set(
                StackName="refused",
                ChangeSetName="refused",
                ChangeSetType="CREATE",
                TemplateBody=json.dumps(template),
                Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()],
                Capabilities=["CAPABILITY_IAM"],
            )
        except botocore.exceptions.ClientError as refused:
            assert sentence in str(refused), (parameters, str(refused))
        else:
            raise AssertionError(f"{parameters} was taken")
    print(f"  {len(REFUSED)} sets of parameters refused, each with its reason")
