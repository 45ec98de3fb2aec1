"""Runs a state machine in moto's executor and prints what became of it.

Usage: moto_executor.py MACHINE INPUT; both are JSON files.
"""
import json
import sys
import time

import boto3
from moto import mock_aws

machine, given = (open(name).read() for name in sys.argv[1:3])


@mock_aws(config={"stepfunctions": {"execute_state_machine": True}})
def main():
    region = {"region_name": "us-east-1", "aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    iam = boto3.client("iam", **region)
    user = json.loads(given)["user"]
    iam.create_user(UserName=user)
    for _ in range(2):
        iam.create_access_key(UserName=user)
    boto3.client("dynamodb", **region).create_table(
        TableName="evidence", BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}])
    role = iam.create_role(RoleName="states", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    sfn = boto3.client("stepfunctions", **region)
    arn = sfn.create_state_machine(name="playbook", definition=machine, roleArn=role)["stateMachineArn"]
    run = sfn.start_execution(stateMachineArn=arn, name="one", input=given)["executionArn"]
    for _ in range(300):
        got = sfn.describe_execution(executionArn=run)
        if got["status"] != "RUNNING":
            break
        time.sleep(0.1)
    policies = iam.list_user_policies(UserName=user)["PolicyNames"]
    item = boto3.client("dynamodb", **region).get_item(TableName="evidence", Key={"id": {"S": user}}).get("Item")
    print(json.dumps({"status": got["status"], "output": json.loads(got.get("output") or "null"),
                      "cause": got.get("cause"), "policies": policies, "item": item}))


main()
