"""Writes the CloudTrail logs of a bad Tuesday at Acme Robotics.

The access key of the user "intern" in the dev account was in a public
repository. Somebody finds it, looks around, makes the user an administrator,
leaves a second way in, switches logging off, opens a database's snapshot, reads
all secrets and starts miners; meanwhile ordinary work goes on. Times, addresses
(documentation ranges) and ids are made up, and the same on each run.

build.py calls write(); the files have the layout of a trail's bucket.
"""

import gzip
import json
import random
from datetime import datetime, timedelta, timezone

DAY = datetime(2026, 11, 17, 9, 0, tzinfo=timezone.utc)
STRANGER, OFFICE, BUILD = "203.0.113.77", "198.51.100.14", "192.0.2.40"


class Log:
    def __init__(self):
        self.random = random.Random(20261117)
        self.records = []

    def hex(self, n):
        return "".join(self.random.choice("0123456789abcdef") for _ in range(n))

    def id(self):
        h = self.hex(32)
        return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}"

    def add(self, minutes, who, source, name, request=None, response=None, region="eu-west-1", error=None, **more):
        self.records.append(
            {
                "eventVersion": "1.11",
                "userIdentity": who["identity"],
                "eventTime": (DAY + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "eventSource": f"{source}.amazonaws.com",
                "eventName": name,
                "awsRegion": region,
                "sourceIPAddress": who["address"],
                "userAgent": who["agent"],
                **({"errorCode": error, "errorMessage": "denied"} if error else {}),
                "requestParameters": request,
                "responseElements": response,
                "requestID": self.id(),
                "eventID": self.id(),
                "readOnly": name.startswith(("Get", "List", "Describe", "Lookup", "BatchGet")),
                "eventType": "AwsApiCall",
                "managementEvent": True,
                "recipientAccountId": who["identity"]["accountId"],
                "eventCategory": "Management",
                **more,
            }
        )


def user(account, name, key, address, agent):
    return {
        "identity": {
            "type": "IAMUser",
            "principalId": f"AIDA{name.upper():X<16.16}",
            "arn": f"arn:aws:iam::{account}:user/{name}",
            "accountId": account,
            "accessKeyId": key,
            "userName": name,
        },
        "address": address,
        "agent": agent,
    }


def role(account, name, session, key, address, agent):
    return {
        "identity": {
            "type": "AssumedRole",
            "principalId": f"AROA{name.upper():X<16.16}:{session}",
            "arn": f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
            "accountId": account,
            "accessKeyId": key,
            "sessionContext": {
                "sessionIssuer": {
                    "type": "Role",
                    "principalId": f"AROA{name.upper():X<16.16}",
                    "arn": f"arn:aws:iam::{account}:role/{name}",
                    "accountId": account,
                    "userName": name,
                },
                "attributes": {"creationDate": DAY.strftime("%Y-%m-%dT%H:%M:%SZ"), "mfaAuthenticated": "false"},
            },
        },
        "address": address,
        "agent": agent,
    }


def ordinary(log, prod, dev):
    """What happens on any Tuesday."""
    deploy = role(prod, "deploy", "GitHubActions", "ASIAEXAMPLEDEPLOY001", BUILD, "aws-sdk-js/3.700.0")
    shop = role(prod, "orders-function", "orders", "ASIAEXAMPLEORDERS001", "lambda.amazonaws.com", "Boto3/1.44.5")
    for i in range(0, 240, 12):
        log.add(i, shop, "kms", "Decrypt", {"encryptionContext": {"aws:sqs:arn": f"arn:aws:sqs:eu-west-1:{prod}:orders"}})
    for i in (15, 95, 170):
        log.add(i, deploy, "lambda", "UpdateFunctionCode20150331v2", {"functionName": "orders", "dryRun": False, "publish": False})
        log.add(i + 1, deploy, "lambda", "GetFunction20150331v2", {"functionName": "orders"})
    developer = user(dev, "ci", "AKIAEXAMPLECI0000001", OFFICE, "aws-cli/2.31.0")
    for i in range(3, 200, 25):
        log.add(i, developer, "ec2", "DescribeInstances", {"instancesSet": {}, "filterSet": {}})
        log.add(i + 2, developer, "s3", "ListBuckets", {"Host": "s3.eu-west-1.amazonaws.com"})


def intrusion(log, dev):
    thief = user(dev, "intern", "AKIAEXAMPLEINTERN001", STRANGER, "python-requests/2.32.3")
    log.add(61, thief, "sts", "GetCallerIdentity")
    for i, (source, name) in enumerate(
        [
            ("iam", "ListUsers"), ("iam", "ListRoles"), ("iam", "ListAccessKeys"), ("iam", "ListAttachedUserPolicies"),
            ("s3", "ListBuckets"), ("ec2", "DescribeInstances"), ("secretsmanager", "ListSecrets"), ("rds", "DescribeDBInstances"),
            ("lambda", "ListFunctions20150331"), ("kms", "ListKeys"), ("ses", "GetSendQuota"), ("servicequotas", "ListServiceQuotas"),
        ]
    ):  # fmt: skip
        denied = None if source == "iam" else "AccessDenied"
        log.add(62 + i / 6, thief, source, name, None, error=denied)
    admin = "arn:aws:iam::aws:policy/AdministratorAccess"
    log.add(70, thief, "iam", "AttachUserPolicy", {"userName": "intern", "policyArn": admin}, region="us-east-1")
    log.add(72, thief, "iam", "CreateUser", {"userName": "support-svc"}, {"user": {"userName": "support-svc", "arn": f"arn:aws:iam::{dev}:user/support-svc"}}, region="us-east-1")
    log.add(72.5, thief, "iam", "AttachUserPolicy", {"userName": "support-svc", "policyArn": admin}, region="us-east-1")
    key = "AKIAEXAMPLEBACKDOOR1"
    log.add(73, thief, "iam", "CreateAccessKey", {"userName": "support-svc"}, {"accessKey": {"userName": "support-svc", "accessKeyId": key, "status": "Active"}}, region="us-east-1")
    back = user(dev, "support-svc", key, STRANGER, "Boto3/1.44.5")
    log.add(80, back, "cloudtrail", "StopLogging", {"name": "acme"})
    log.add(81, back, "guardduty", "DeleteDetector", {"detectorId": "12abc34d567e8fa901bc2d34e56789f0"}, error="BadRequestException")
    for i in range(24):
        log.add(90 + i / 10, back, "secretsmanager", "GetSecretValue", {"secretId": f"dev/service-{i:02d}/api-key"})
    log.add(100, back, "rds", "ModifyDBSnapshotAttribute", {"dBSnapshotIdentifier": "reporting-2026-11-16", "attributeName": "restore", "valuesToAdd": ["all"]})
    log.add(104, back, "ec2", "AuthorizeSecurityGroupIngress", {"groupId": "sg-0aaa1111bbb22222c", "ipPermissions": {"items": [{"ipProtocol": "tcp", "fromPort": 22, "toPort": 22, "ipRanges": {"items": [{"cidrIp": "0.0.0.0/0"}]}}]}}, region="us-east-1")
    for region in ("us-east-1", "us-west-2", "ap-southeast-1"):
        log.add(110, back, "ec2", "RunInstances", {"instancesSet": {"items": [{"imageId": "ami-0abcd1234abcd1234", "minCount": 8, "maxCount": 8}]}, "instanceType": "p4d.24xlarge"}, {"instancesSet": {"items": [{"instanceId": f"i-0{log.hex(16)}", "instanceType": "p4d.24xlarge"} for _ in range(8)]}}, region=region)
    log.add(118, back, "iam", "UpdateAssumeRolePolicy", {"roleName": "anyone", "policyDocument": json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::999988887777:root"}, "Action": "sts:AssumeRole"}]})}, region="us-east-1")


def write(folder, accounts):
    """Writes the logs of the accounts {"prod": id, "dev": id} below folder."""
    log = Log()
    ordinary(log, accounts["prod"], accounts["dev"])
    intrusion(log, accounts["dev"])
    files = {}
    for r in sorted(log.records, key=lambda r: (r["eventTime"], r["eventID"])):
        t = datetime.strptime(r["eventTime"], "%Y-%m-%dT%H:%M:%SZ")
        slot = t.replace(minute=t.minute // 15 * 15, second=0)
        files.setdefault((r["recipientAccountId"], r["awsRegion"], slot), []).append(r)
    for (account, region, slot), records in files.items():
        path = folder / "AWSLogs" / account / "CloudTrail" / region / slot.strftime("%Y/%m/%d")
        path.mkdir(parents=True, exist_ok=True)
        name = f"{account}_CloudTrail_{region}_{slot:%Y%m%dT%H%MZ}_{log.hex(16)}.json.gz"
        with open(path / name, "wb") as f, gzip.GzipFile(fileobj=f, mode="wb", mtime=0, filename="") as z:
            z.write(json.dumps({"Records": records}, separators=(",", ":")).encode())
