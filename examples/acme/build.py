"""Fills a moto server with the estate of Acme Robotics, a small made-up company.

Acme has an organization of three accounts (management, prod, dev), works in
eu-west-1 and has forgotten something in us-east-1. It does many things right
and some of them wrong, as companies do. boto3 is the only client that writes;
bartizan only reads.

    python examples/acme/build.py --collect bin/bartizan   # writes estate.jsonl.zst and logs/
    python examples/acme/build.py --serve                  # keeps the server running

Needs the packages of requirements-test.txt (make test installs them in .venv).
"""

import argparse
import io
import json
import logging
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"  # read when moto is imported

import boto3  # noqa: E402
from botocore.config import Config
from freezegun import freeze_time
from moto.server import ThreadedMotoServer

import incident

HERE = Path(__file__).parent
HOME = "eu-west-1"
FORGOTTEN = "us-east-1"


class Account:
    """boto3 clients of one account."""

    def __init__(self, endpoint, account_id=None, region=HOME):
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        if account_id:
            sts = boto3.client("sts", region_name=HOME, endpoint_url=endpoint, **keys)
            c = sts.assume_role(
                RoleArn=f"arn:aws:iam::{account_id}:role/OrganizationAccountAccessRole",
                RoleSessionName="build",
            )["Credentials"]
            keys = {
                "aws_access_key_id": c["AccessKeyId"],
                "aws_secret_access_key": c["SecretAccessKey"],
                "aws_session_token": c["SessionToken"],
            }
        self.keys, self.endpoint, self.region = keys, endpoint, region
        self.id = self("sts").get_caller_identity()["Account"]

    def __call__(self, service, region=None):
        client = boto3.client(
            service,
            region_name=region or self.region,
            endpoint_url=self.endpoint,
            config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}),
            **self.keys,
        )
        if service == "s3control":  # it puts the account id before the host, which has no such name here
            client.meta.events.register(
                "before-sign.s3-control",
                lambda request, **_: setattr(request, "url", request.url.replace(f"//{self.id}.", "//")),
            )
        return client


def trust(principal, **condition):
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    if "Federated" in principal:
        statement["Action"] = "sts:AssumeRoleWithWebIdentity"
    if condition:
        statement["Condition"] = condition
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action, resource="*"):
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def tls_only(bucket):
    return {
        "Sid": "TLSOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def bucket(account, name, public_block=True, statements=(), versioning=True, lock=False):
    s3 = account("s3")
    s3.create_bucket(
        Bucket=name,
        CreateBucketConfiguration={"LocationConstraint": account.region},
        ObjectLockEnabledForBucket=lock,
    )
    if public_block:
        s3.put_public_access_block(
            Bucket=name,
            PublicAccessBlockConfiguration={
                "BlockPublicAcls": True,
                "IgnorePublicAcls": True,
                "BlockPublicPolicy": True,
                "RestrictPublicBuckets": True,
            },
        )
    if versioning:
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    if statements:
        s3.put_bucket_policy(Bucket=name, Policy=policy(*statements))
    return s3


def zip_of(source):
    b = io.BytesIO()
    with zipfile.ZipFile(b, "w") as z:
        z.writestr("index.py", source)
    return b.getvalue()


def organization(root):
    org = root("organizations")
    org.create_organization(FeatureSet="ALL")
    ids = {}
    for name in ("prod", "dev"):
        ids[name] = org.create_account(AccountName=name, Email=f"aws+{name}@acme-robotics.example")[
            "CreateAccountStatus"
        ]["AccountId"]
    top = org.list_roots()["Roots"][0]["Id"]
    org.enable_policy_type(RootId=top, PolicyType="SERVICE_CONTROL_POLICY")
    workloads = org.create_organizational_unit(ParentId=top, Name="workloads")["OrganizationalUnit"]["Id"]
    org.move_account(AccountId=ids["prod"], SourceParentId=top, DestinationParentId=workloads)
    # Leaving the organization is denied; stopping a trail or GuardDuty is not.
    scp = org.create_policy(
        Name="stay",
        Description="accounts cannot leave the organization",
        Type="SERVICE_CONTROL_POLICY",
        Content=policy({"Effect": "Deny", "Action": "organizations:LeaveOrganization", "Resource": "*"}),
    )["Policy"]["PolicySummary"]["Id"]
    org.attach_policy(PolicyId=scp, TargetId=workloads)
    return ids


def management(a):
    """The management account: the trail, and people who should not be there."""
    logs = f"acme-trail-{a.id}"
    bucket(
        a,
        logs,
        lock=True,
        statements=[
            tls_only(logs),
            {
                "Effect": "Allow",
                "Principal": {"Service": "cloudtrail.amazonaws.com"},
                "Action": "s3:PutObject",
                "Resource": f"arn:aws:s3:::{logs}/AWSLogs/*",
                "Condition": {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}},
            },
        ],
    )
    ct = a("cloudtrail")
    ct.create_trail(
        Name="acme",
        S3BucketName=logs,
        IsMultiRegionTrail=True,
        IncludeGlobalServiceEvents=True,
        EnableLogFileValidation=True,
    )
    ct.start_logging(Name="acme")

    iam = a("iam")
    iam.create_user(UserName="paula")  # founder, from the time before roles
    iam.create_login_profile(UserName="paula", Password="Founders-Day-2019!")
    iam.attach_user_policy(UserName="paula", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    with freeze_time("2024-02-11"):
        iam.create_access_key(UserName="paula")
    iam.update_account_password_policy(MinimumPasswordLength=8, RequireSymbols=False)


def prod(a):
    """Where the shop runs: mostly careful."""
    a("s3control").put_public_access_block(
        AccountId=a.id,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )
    kms = a("kms")
    key = kms.create_key(Description="orders")["KeyMetadata"]
    kms.create_alias(AliasName="alias/orders", TargetKeyId=key["KeyId"])
    kms.enable_key_rotation(KeyId=key["KeyId"])
    kms.create_key(Description="old exports, nobody rotates it")

    bucket(a, "acme-orders", statements=[tls_only("acme-orders")])
    bucket(a, "acme-assets", versioning=False)

    ec2 = a("ec2")
    ec2.enable_ebs_encryption_by_default()
    vpc = ec2.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
    zones = [z["ZoneName"] for z in ec2.describe_availability_zones()["AvailabilityZones"][:2]]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    public_routes = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=public_routes, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    public, private = [], []
    for i, zone in enumerate(zones):
        s = ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.20.{i}.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
        ec2.associate_route_table(RouteTableId=public_routes, SubnetId=s)
        public.append(s)
        s = ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.20.{i + 10}.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
        private.append(s)
    web = ec2.create_security_group(GroupName="web", Description="load balancer", VpcId=vpc)["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=web,
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
    )
    app = ec2.create_security_group(GroupName="app", Description="application", VpcId=vpc)["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=app,
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080, "UserIdGroupPairs": [{"GroupId": web}]}],
    )
    bastion = ec2.create_security_group(GroupName="bastion", Description="left from the move", VpcId=vpc)["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=bastion,
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
    )
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    ec2.run_instances(
        ImageId=image,
        MinCount=2,
        MaxCount=2,
        SubnetId=private[0],
        SecurityGroupIds=[app],
        InstanceType="t3.small",
        MetadataOptions={"HttpTokens": "required"},
    )
    ec2.run_instances(
        ImageId=image,
        MinCount=1,
        MaxCount=1,
        SubnetId=public[0],
        SecurityGroupIds=[bastion],
        InstanceType="t3.nano",
        MetadataOptions={"HttpTokens": "optional"},
    )
    elb = a("elbv2")
    lb = elb.create_load_balancer(Name="shop", Subnets=public, SecurityGroups=[web], Scheme="internet-facing")[
        "LoadBalancers"
    ][0]["LoadBalancerArn"]
    target = elb.create_target_group(Name="shop", Protocol="HTTP", Port=8080, VpcId=vpc)["TargetGroups"][0]["TargetGroupArn"]
    cert = a("acm").request_certificate(DomainName="shop.acme-robotics.example")["CertificateArn"]
    elb.create_listener(
        LoadBalancerArn=lb,
        Protocol="HTTPS",
        Port=443,
        SslPolicy="ELBSecurityPolicy-2016-08",
        Certificates=[{"CertificateArn": cert}],
        DefaultActions=[{"Type": "forward", "TargetGroupArn": target}],
    )
    rds = a("rds")
    rds.create_db_subnet_group(DBSubnetGroupName="private", DBSubnetGroupDescription="private", SubnetIds=private)
    for name, encrypted, open_to_all in (("orders", True, False), ("reporting", False, True)):
        rds.create_db_instance(
            DBInstanceIdentifier=name,
            DBInstanceClass="db.t3.medium",
            Engine="postgres",
            AllocatedStorage=50,
            MasterUsername="acme",
            MasterUserPassword="not-a-real-password",
            DBSubnetGroupName="private",
            StorageEncrypted=encrypted,
            PubliclyAccessible=open_to_all,
            BackupRetentionPeriod=7,
        )
    secrets = a("secretsmanager")
    secrets.create_secret(Name="orders/database", SecretString=json.dumps({"username": "acme", "password": "not-real"}))
    a("ssm").put_parameter(Name="/shop/stripe_api_key", Value="not-a-real-key", Type="String")
    a("ssm").put_parameter(Name="/shop/db_password", Value="not-a-real-password", Type="SecureString")
    a("dynamodb").create_table(
        TableName="carts",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    a("sqs").create_queue(QueueName="orders", Attributes={"KmsMasterKeyId": "alias/orders"})
    a("sns").create_topic(Name="alerts")
    a("guardduty").create_detector(Enable=True)

    iam = a("iam")
    iam.create_open_id_connect_provider(
        Url="https://token.actions.githubusercontent.com",
        ClientIDList=["sts.amazonaws.com"],
        ThumbprintList=["6938fd4d98bab03faadb97b34396831e3780aea1"],
    )
    github = {"Federated": f"arn:aws:iam::{a.id}:oidc-provider/token.actions.githubusercontent.com"}
    iam.create_role(
        RoleName="deploy",
        AssumeRolePolicyDocument=trust(
            github,
            StringEquals={"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"},
            StringLike={"token.actions.githubusercontent.com:sub": "repo:acme-robotics/*"},
        ),
    )
    iam.put_role_policy(
        RoleName="deploy",
        PolicyName="deploy",
        PolicyDocument=policy(
            allow(["lambda:CreateFunction", "lambda:UpdateFunctionCode", "lambda:InvokeFunction", "iam:PassRole"])
        ),
    )
    iam.create_role(
        RoleName="orders-function",
        AssumeRolePolicyDocument=trust({"Service": "lambda.amazonaws.com"}),
    )
    iam.put_role_policy(
        RoleName="orders-function",
        PolicyName="orders",
        PolicyDocument=policy(
            allow(["dynamodb:GetItem", "dynamodb:PutItem"], f"arn:aws:dynamodb:{HOME}:{a.id}:table/carts"),
            allow("sqs:SendMessage", f"arn:aws:sqs:{HOME}:{a.id}:orders"),
        ),
    )
    iam.create_role(
        RoleName="migration",
        AssumeRolePolicyDocument=trust({"Service": "lambda.amazonaws.com"}),
    )
    iam.attach_role_policy(RoleName="migration", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    iam.create_role(
        RoleName="monitoring-vendor",
        AssumeRolePolicyDocument=trust({"AWS": "arn:aws:iam::464622532012:root"}),
    )
    iam.attach_role_policy(RoleName="monitoring-vendor", PolicyArn="arn:aws:iam::aws:policy/SecurityAudit")
    a("lambda").create_function(
        FunctionName="orders",
        Runtime="python3.12",
        Role=f"arn:aws:iam::{a.id}:role/orders-function",
        Handler="index.handler",
        Code={"ZipFile": zip_of("def handler(event, context):\n    return event\n")},
        Environment={"Variables": {"TABLE": "carts"}},
    )


def dev(a):
    """Where people try things, and leave them."""
    bucket(
        a,
        "acme-dev-drop",
        public_block=False,
        versioning=False,
        statements=[
            {
                "Effect": "Allow",
                "Principal": "*",
                "Action": ["s3:GetObject", "s3:PutObject"],
                "Resource": "arn:aws:s3:::acme-dev-drop/*",
            }
        ],
    )
    ec2 = a("ec2", FORGOTTEN)
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    group = ec2.create_security_group(GroupName="everything", Description="to find out why it fails")["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    )
    ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, SecurityGroupIds=[group], InstanceType="m5.large")
    volume = ec2.create_volume(AvailabilityZone=f"{FORGOTTEN}a", Size=100, Encrypted=False)["VolumeId"]
    snapshot = ec2.create_snapshot(VolumeId=volume, Description="before the upgrade")["SnapshotId"]
    ec2.modify_snapshot_attribute(
        SnapshotId=snapshot, Attribute="createVolumePermission", OperationType="add", GroupNames=["all"]
    )
    iam = a("iam")
    for name in ("intern", "ci"):
        with freeze_time("2025-06-02"):
            iam.create_user(UserName=name)
            iam.create_access_key(UserName=name)
    iam.create_access_key(UserName="ci")
    iam.put_user_policy(
        UserName="intern",
        PolicyName="self-service",
        PolicyDocument=policy(allow(["iam:CreatePolicyVersion", "iam:AttachUserPolicy", "iam:List*"])),
    )
    iam.put_user_policy(UserName="ci", PolicyName="all", PolicyDocument=policy(allow("*")))
    iam.create_role(RoleName="anyone", AssumeRolePolicyDocument=trust({"AWS": "*"}))


def fill(endpoint):
    """Builds all of Acme on the moto server at endpoint; returns the account ids."""
    root = Account(endpoint)
    ids = organization(root)
    management(root)
    prod(Account(endpoint, ids["prod"]))
    dev(Account(endpoint, ids["dev"]))
    return {"management": root.id, **ids}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--port", type=int, default=0, help="port of the server; 0 picks a free one")
    p.add_argument("--serve", action="store_true", help="keep the server running")
    p.add_argument("--collect", metavar="BARTIZAN", help="collect with this program into estate.jsonl.zst")
    args = p.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=args.port, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    try:
        accounts = fill(endpoint)
        print(json.dumps({"endpoint": endpoint, "accounts": accounts}), flush=True)
        if args.collect:
            env = {
                **os.environ,
                "AWS_ENDPOINT_URL": endpoint,
                "AWS_ACCESS_KEY_ID": "testing",
                "AWS_SECRET_ACCESS_KEY": "testing",
                "AWS_REGION": HOME,
                "AWS_EC2_METADATA_DISABLED": "true",
            }
            done = subprocess.run(
                [
                    args.collect, "collect", "--role-name", "OrganizationAccountAccessRole",
                    "--regions", f"{HOME},{FORGOTTEN}", "--out", str(HERE / "estate.jsonl.zst"),
                ],
                env=env,
            )  # fmt: skip
            shutil.rmtree(HERE / "logs", ignore_errors=True)
            incident.write(HERE / "logs", accounts)
            # moto lacks some operations; what it lacks stays unknown: exit code 3.
            if done.returncode not in (0, 3):
                sys.exit(done.returncode)
        while args.serve:
            time.sleep(3600)
    except KeyboardInterrupt:
        pass
    finally:
        server.stop()


if __name__ == "__main__":
    main()
