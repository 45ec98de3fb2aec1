"""Fills a moto account with users, roles, policies and a bucket, and writes what
get-account-authorization-details answers to a file.

Usage: fill.py ENDPOINT FILE
"""

import json
import sys

import boto3

ENDPOINT, FILE = sys.argv[1:3]


def aws(service):
    return boto3.client(service, endpoint_url=ENDPOINT, region_name="eu-west-1")


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action, resource="*", **more):
    return dict({"Effect": "Allow", "Action": action, "Resource": resource}, **more)


iam = aws("iam")
account = aws("sts").get_caller_identity()["Account"]
iam.create_group(GroupName="readers")
iam.put_group_policy(GroupName="readers", PolicyName="read", PolicyDocument=policy(allow(["s3:GetObject", "s3:ListBucket"])))
iam.create_user(UserName="ada", Tags=[{"Key": "team", "Value": "data"}])
iam.add_user_to_group(GroupName="readers", UserName="ada")
iam.put_user_policy(UserName="ada", PolicyName="own", PolicyDocument=policy(
    allow("sts:AssumeRole", f"arn:aws:iam::{account}:role/team/*"),
    allow("s3:PutObject", "arn:aws:s3:::moto-data/${aws:PrincipalTag/team}/*"),
    {"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::moto-data/secret/*"}))
iam.create_login_profile(UserName="ada", Password="Not-A-Real-1")
iam.create_access_key(UserName="ada")
limit = iam.create_policy(PolicyName="limit", PolicyDocument=policy(allow("s3:*")))["Policy"]["Arn"]
iam.create_policy_version(PolicyArn=limit, PolicyDocument=policy(allow(["s3:*", "sqs:*"])), SetAsDefault=True)
iam.create_role(RoleName="deploy", Path="/team/", PermissionsBoundary=limit, AssumeRolePolicyDocument=json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:user/ada"}, "Action": "sts:AssumeRole"}]}))
iam.put_role_policy(RoleName="deploy", PolicyName="all", PolicyDocument=policy(allow("*")))
iam.create_role(RoleName="partner", AssumeRolePolicyDocument=json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::555566667777:root"}, "Action": "sts:AssumeRole"}]}))

s3 = aws("s3")
s3.create_bucket(Bucket="moto-data", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
s3.create_bucket(Bucket="moto-open", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
s3.put_bucket_policy(Bucket="moto-open", Policy=policy(dict(allow("s3:GetObject", "arn:aws:s3:::moto-open/*"), Principal="*")))

details = {"UserDetailList": [], "GroupDetailList": [], "RoleDetailList": [], "Policies": []}
for page in iam.get_paginator("get_account_authorization_details").paginate():
    for name in details:
        details[name] += page[name]
with open(FILE, "w") as f:
    json.dump(details, f, default=lambda d: d.isoformat())
