"""Fills a moto account with principals that can escalate, and near misses.

Each user is named after the path it should have; those that begin with safe
have none. Writes the account authorization details to the second argument.
"""

import io
import json
import sys
import zipfile

import boto3

endpoint, details = sys.argv[1:]
keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}


def client(name):
    return boto3.client(name, endpoint_url=endpoint, **keys)


iam = client("iam")
me = client("sts").get_caller_identity()["Account"]


def doc(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions, resource="*", **more):
    return {"Effect": "Allow", "Action": actions, "Resource": resource, **more}


def deny(actions, resource="*", **more):
    return {"Effect": "Deny", "Action": actions, "Resource": resource, **more}


def trust(**principal):
    return doc({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})


def role(name, trusted, *statements):
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusted)["Role"]["Arn"]
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=doc(*statements))
    return arn


def user(name, *statements):
    iam.create_user(UserName=name)
    if statements:
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=doc(*statements))


everything = allow("*")
fn_admin = role("fn-admin", trust(Service="lambda.amazonaws.com"), everything)
fn_plain = role("fn-plain", trust(Service="lambda.amazonaws.com"), allow("s3:ListAllMyBuckets"))
web = role("web", trust(Service="ec2.amazonaws.com"), everything)
build = role("build", trust(Service="codebuild.amazonaws.com"), everything)
boss = role("boss", trust(AWS=f"arn:aws:iam::{me}:root"), everything)
role("guarded", trust(AWS=f"arn:aws:iam::{me}:root"), allow(["iam:PassRole", "codebuild:*"]))
user("root-ops", everything)

# Resources that run as these roles.
code = io.BytesIO()
with zipfile.ZipFile(code, "w") as z:
    z.writestr("index.py", "def handler(event, context): pass")
lam = client("lambda")
for name, arn in (("report", fn_admin), ("hello", fn_plain)):
    lam.create_function(FunctionName=name, Runtime="python3.12", Role=arn, Handler="index.handler", Code={"ZipFile": code.getvalue()})
iam.create_instance_profile(InstanceProfileName="web")
iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="web")
ec2 = client("ec2")
image = ec2.describe_images()["Images"][0]["ImageId"]
instance = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, IamInstanceProfile={"Name": "web"})["Instances"][0]["InstanceId"]
client("codebuild").create_project(
    name="site", source={"type": "S3", "location": "source-bucket/source.zip"}, artifacts={"type": "NO_ARTIFACTS"},
    environment={"type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL"},
    serviceRole=build)
iam.create_group(GroupName="admins")
iam.put_group_policy(GroupName="admins", PolicyName="own", PolicyDocument=doc(everything))
managed = iam.create_policy(PolicyName="tools", PolicyDocument=doc(allow(["iam:CreatePolicyVersion"], f"arn:aws:iam::{me}:policy/tools")))["Policy"]["Arn"]

# Who can escalate, and by what.
user("lambda-001", allow(["iam:PassRole"], fn_admin), allow(["lambda:CreateFunction", "lambda:InvokeFunction"], f"arn:aws:lambda:*:{me}:function:dev-*"))
user("lambda-003", allow("lambda:UpdateFunctionCode", f"arn:aws:lambda:us-east-1:{me}:function:report"))
user("ssm-001", allow("ssm:StartSession", f"arn:aws:ec2:us-east-1:{me}:instance/{instance}"))
user("codebuild-002", allow("codebuild:StartBuild", f"arn:aws:codebuild:us-east-1:{me}:project/site"))
user("sts-001", allow("sts:AssumeRole", boss))
user("iam-002", allow("iam:CreateAccessKey", f"arn:aws:iam::{me}:user/root-ops"))
user("iam-007", allow("iam:PutUserPolicy", f"arn:aws:iam::{me}:user/${{aws:username}}"))
user("iam-012", allow("iam:UpdateAssumeRolePolicy", web))
user("iam-013", allow("iam:AddUserToGroup", f"arn:aws:iam::{me}:group/admins"))
user("iam-001")
iam.attach_user_policy(UserName="iam-001", PolicyArn=managed)

# Who almost can.
user("safe-service", allow("iam:PassRole", fn_admin, Condition={"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}), allow("lambda:*"), deny("lambda:UpdateFunctionCode"))
user("safe-function", allow("lambda:UpdateFunctionCode", f"arn:aws:lambda:us-east-1:{me}:function:hello"))
user("safe-denied", allow("sts:AssumeRole"), deny("sts:AssumeRole"))
limit = iam.create_policy(PolicyName="limit", PolicyDocument=doc(allow(["iam:PutRolePolicy", "s3:*"])))["Policy"]["Arn"]
iam.create_role(RoleName="safe-boundary", AssumeRolePolicyDocument=trust(Service="ecs.amazonaws.com"), PermissionsBoundary=limit)
iam.put_role_policy(RoleName="safe-boundary", PolicyName="own", PolicyDocument=doc(allow("iam:PutRolePolicy", f"arn:aws:iam::{me}:role/safe-boundary")))
user("safe-reader", allow(["iam:Get*", "iam:List*", "lambda:List*", "s3:Get*"]))

out = {}
for page in iam.get_paginator("get_account_authorization_details").paginate():
    for k, v in page.items():
        if isinstance(v, list):
            out.setdefault(k, []).extend(v)
with open(details, "w") as f:
    json.dump(out, f, default=str)
