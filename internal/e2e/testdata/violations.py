"""Fills a moto server with one violation of each kind that moto can express,
and a clean twin of each. boto3 is the client that writes.

Prints one line of JSON, {"endpoint", "expect": [{"control", "bad", "clean"}]},
where bad and clean name resources by id (and account or region where the id is
not enough), and serves until its standard input ends.
"""

import io
import json
import logging
import os
import sys
import zipfile

os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"  # read when moto is imported

import boto3  # noqa: E402
from botocore.config import Config  # noqa: E402
from freezegun import freeze_time  # noqa: E402
from moto.server import ThreadedMotoServer  # noqa: E402

import more  # noqa: E402

BAD, CLEAN = "111111111111", "222222222222"  # the accounts
REGION, OTHER = "us-east-1", "eu-west-1"

expectations = []


def expect(control, bad=None, clean=None):
    def ref(x):
        return x if isinstance(x, dict) else {"id": x}

    def refs(x):
        if x is None:
            return []
        return [ref(i) for i in x] if isinstance(x, (list, tuple)) else [ref(x)]

    expectations.append({"control": control, "bad": refs(bad), "clean": refs(clean)})


class Account:
    def __init__(self, endpoint, account):
        keys = dict(aws_access_key_id="testing", aws_secret_access_key="testing")
        sts = boto3.client("sts", region_name=REGION, endpoint_url=endpoint, **keys)
        c = sts.assume_role(RoleArn=f"arn:aws:iam::{account}:role/fill", RoleSessionName="fill")["Credentials"]
        self.keys = dict(
            aws_access_key_id=c["AccessKeyId"],
            aws_secret_access_key=c["SecretAccessKey"],
            aws_session_token=c["SessionToken"],
        )
        self.endpoint, self.id = endpoint, account

    def __call__(self, service, region=REGION):
        client = boto3.client(
            service,
            region_name=region,
            endpoint_url=self.endpoint,
            config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}),
            **self.keys,
        )
        if service == "s3control":
            client.meta.events.register(
                "before-sign.s3-control",
                lambda request, **_: setattr(request, "url", request.url.replace(f"//{self.id}.", "//")),
            )
        return client


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action, resource="*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def trust(principal, action="sts:AssumeRole", **condition):
    s = {"Effect": "Allow", "Principal": principal, "Action": action}
    if condition:
        s["Condition"] = condition
    return policy(s)


def everyone(action, resource, **more):
    return policy({"Effect": "Allow", "Principal": "*", "Action": action, "Resource": resource, **more})


def zipped():
    b = io.BytesIO()
    with zipfile.ZipFile(b, "w") as z:
        z.writestr("index.py", "def handler(e, c):\n    return e\n")
    return b.getvalue()


def users(a):
    iam = a("iam")
    for name in ("attached", "inline", "admin-user", "old-key", "two-keys", "console", "old-password"):
        with freeze_time("2025-01-01"):
            iam.create_user(UserName=name)
    iam.create_user(UserName="tidy")
    iam.create_group(GroupName="readers")
    iam.attach_group_policy(GroupName="readers", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    iam.add_user_to_group(GroupName="readers", UserName="tidy")

    iam.attach_user_policy(UserName="attached", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    expect("iam-user-attached-policies", "attached", "tidy")
    iam.put_user_policy(UserName="inline", PolicyName="p", PolicyDocument=policy(allow("s3:ListAllMyBuckets")))
    expect("iam-user-inline-policies", "inline", "tidy")
    iam.attach_user_policy(UserName="admin-user", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    expect("iam-user-administrator", "admin-user", "tidy")
    iam.put_user_policy(UserName="inline", PolicyName="all", PolicyDocument=policy(allow("*")))
    expect("iam-inline-policy-admin", "inline", "tidy")

    with freeze_time("2025-01-01"):
        iam.create_access_key(UserName="old-key")
    iam.create_access_key(UserName="tidy")
    expect("iam-user-access-key-age", "old-key", "tidy")
    expect("iam-user-unused-access-key", "old-key", "tidy")
    iam.create_access_key(UserName="two-keys")
    iam.create_access_key(UserName="two-keys")
    expect("iam-user-two-active-keys", "two-keys", "tidy")

    iam.create_login_profile(UserName="console", Password="Not-a-real-1!")
    expect("iam-user-console-mfa", "console", "tidy")
    expect("iam-user-console-access", "console", "tidy")

    doc = policy(allow("*"))
    star = iam.create_policy(PolicyName="star", PolicyDocument=doc)["Policy"]["Arn"]
    narrow = iam.create_policy(PolicyName="narrow", PolicyDocument=policy(allow("s3:GetObject", "arn:aws:s3:::x/*")))["Policy"]["Arn"]
    iam.attach_group_policy(GroupName="readers", PolicyArn=narrow)
    iam.create_group(GroupName="gods")
    iam.attach_group_policy(GroupName="gods", PolicyArn=star)
    expect("iam-managed-policy-admin", star, narrow)
    wide = iam.create_policy(
        PolicyName="wide",
        PolicyDocument=policy({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}, allow("iam:PassRole"), allow("kms:Decrypt"), allow("sts:AssumeRole")),
    )["Policy"]["Arn"]
    iam.attach_group_policy(GroupName="gods", PolicyArn=wide)
    expect("iam-policy-allow-not-action", wide, narrow)
    expect("iam-policy-passrole-any", wide, narrow)
    expect("iam-policy-decrypt-any", wide, narrow)
    expect("iam-policy-assume-any-role", wide, narrow)


def roles(a):
    iam = a("iam")
    github = iam.create_open_id_connect_provider(
        Url="https://token.actions.githubusercontent.com", ClientIDList=["sts.amazonaws.com"], ThumbprintList=["a" * 40]
    )["OpenIDConnectProviderArn"]
    gitlab = iam.create_open_id_connect_provider(
        Url="https://gitlab.com", ClientIDList=["https://gitlab.com"], ThumbprintList=["b" * 40]
    )["OpenIDConnectProviderArn"]
    web = "sts:AssumeRoleWithWebIdentity"
    gh = "token.actions.githubusercontent.com:"

    def role(name, document, *actions):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)
        if actions:
            iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(allow(list(actions))))
        return name

    own = trust({"AWS": f"arn:aws:iam::{a.id}:root"})
    tidy = role("tidy", own)
    expect("iam-role-trust-public", role("anyone", trust({"AWS": "*"})), tidy)
    expect(
        "iam-role-trust-external-id",
        role("vendor", trust({"AWS": "arn:aws:iam::464622532012:root"})),
        role("vendor-with-id", trust({"AWS": "arn:aws:iam::464622532012:root"}, StringEquals={"sts:ExternalId": "9f2c"})),
    )
    right = role("github-right", trust({"Federated": github}, web, StringEquals={gh + "aud": "sts.amazonaws.com", gh + "sub": "repo:acme/app:ref:refs/heads/main"}))
    expect("iam-role-github-any-owner", role("github-all", trust({"Federated": github}, web, StringEquals={gh + "aud": "sts.amazonaws.com"})), right)
    expect(
        "iam-role-github-any-repository",
        role("github-org", trust({"Federated": github}, web, StringLike={gh + "sub": "repo:acme/*"})),
        right,
    )
    expect(
        "iam-role-gitlab-any-group",
        role("gitlab-all", trust({"Federated": gitlab}, web, StringLike={"gitlab.com:sub": "*"})),
        role("gitlab-right", trust({"Federated": gitlab}, web, StringEquals={"gitlab.com:sub": "project_path:acme/app:ref_type:branch:ref:main"})),
    )
    lam = trust({"Service": "lambda.amazonaws.com"})
    role("lambda-admin", lam)
    iam.attach_role_policy(RoleName="lambda-admin", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    role("lambda-tidy", lam, "logs:PutLogEvents")
    expect("iam-service-role-administrator", "lambda-admin", "lambda-tidy")
    expect("iam-role-creator-boundary", role("creator", own, "iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy"), tidy)
    role("BreakGlass", trust({"AWS": f"arn:aws:iam::{a.id}:root"}))
    role("IncidentResponder", trust({"AWS": f"arn:aws:iam::{a.id}:role/tidy"}))
    expect("response-responder-role-guarded", "BreakGlass", "IncidentResponder")


def accounts(bad, clean):
    # Root MFA is off in moto and cannot be switched on; the bad side alone can be shown.
    expect("iam-root-mfa", {"id": bad.id})
    clean("iam").update_account_password_policy(MinimumPasswordLength=14, PasswordReusePrevention=24)
    expect("iam-password-policy-length", {"id": bad.id}, {"id": clean.id})
    expect("iam-password-policy-reuse", {"id": bad.id}, {"id": clean.id})
    clean("s3control").put_public_access_block(
        AccountId=clean.id,
        PublicAccessBlockConfiguration=dict(BlockPublicAcls=True, IgnorePublicAcls=True, BlockPublicPolicy=True, RestrictPublicBuckets=True),
    )
    expect("s3-account-block-public-access", {"id": bad.id}, {"id": clean.id})
    clean("account").put_alternate_contact(
        AlternateContactType="SECURITY", Name="Security", Title="Security", EmailAddress="security@example.com", PhoneNumber="+1555"
    )
    expect("response-security-contact", {"id": bad.id}, {"id": clean.id})
    clean("iam").create_role(RoleName="IncidentResponder", AssumeRolePolicyDocument=trust({"AWS": f"arn:aws:iam::{clean.id}:role/oncall"}))
    expect("response-responder-role", None, {"id": clean.id})
    for region in (REGION, OTHER):
        clean("ec2", region).enable_ebs_encryption_by_default()
    expect("ebs-encryption-by-default", {"id": REGION, "account": bad.id}, {"id": REGION, "account": clean.id})
    clean("guardduty").create_detector(Enable=True)
    expect("guardduty-enabled", {"id": REGION, "account": bad.id}, {"id": REGION, "account": clean.id})
    clean("securityhub").enable_security_hub()
    expect("securityhub-enabled", {"id": REGION, "account": bad.id}, {"id": REGION, "account": clean.id})
    cfg = clean("config")
    clean("iam").create_role(RoleName="config", AssumeRolePolicyDocument=trust({"Service": "config.amazonaws.com"}))
    cfg.put_configuration_recorder(
        ConfigurationRecorder=dict(
            name="default", roleARN=f"arn:aws:iam::{clean.id}:role/config", recordingGroup=dict(allSupported=True, includeGlobalResourceTypes=True)
        )
    )
    clean("s3").create_bucket(Bucket="config-clean")
    cfg.put_delivery_channel(DeliveryChannel=dict(name="default", s3BucketName="config-clean"))
    cfg.start_configuration_recorder(ConfigurationRecorderName="default")
    expect("config-recorder-enabled", {"id": REGION, "account": bad.id}, {"id": REGION, "account": clean.id})


def trails(bad, clean):
    for a, name in ((bad, "trail-bad"), (clean, "trail-clean")):
        a("s3").create_bucket(Bucket=name)
    key = clean("kms").create_key()["KeyMetadata"]["Arn"]
    bad("cloudtrail").create_trail(Name="bad", S3BucketName="trail-bad", IsMultiRegionTrail=False, EnableLogFileValidation=False)
    clean("cloudtrail").create_trail(Name="clean", S3BucketName="trail-clean", IsMultiRegionTrail=True, EnableLogFileValidation=True, KmsKeyId=key)
    clean("cloudtrail").start_logging(Name="clean")
    for control in ("cloudtrail-multi-region", "cloudtrail-log-validation", "cloudtrail-kms", "cloudtrail-logging"):
        expect(control, "bad", "clean")


def buckets(a):
    s3 = a("s3")

    def bucket(name, lock=False):
        s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)
        return name

    bad, good = bucket("bucket-bad"), bucket("bucket-good")
    block = dict(BlockPublicAcls=True, IgnorePublicAcls=True, BlockPublicPolicy=True, RestrictPublicBuckets=True)
    s3.put_public_access_block(Bucket=good, PublicAccessBlockConfiguration=block)
    expect("s3-bucket-block-public-access", bad, good)
    s3.put_bucket_policy(Bucket=bad, Policy=everyone("s3:GetObject", f"arn:aws:s3:::{bad}/*"))
    s3.put_bucket_policy(
        Bucket=good,
        Policy=policy(
            {
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [f"arn:aws:s3:::{good}", f"arn:aws:s3:::{good}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ),
    )
    expect("s3-bucket-public", bad, good)
    expect("s3-bucket-tls-only", bad, good)
    s3.put_bucket_versioning(Bucket=good, VersioningConfiguration={"Status": "Enabled"})
    expect("s3-bucket-versioning", bad, good)
    key = a("kms").create_key()["KeyMetadata"]["Arn"]
    s3.put_bucket_encryption(
        Bucket=good,
        ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}]},
    )
    expect("s3-bucket-encryption-kms", bad, good)
    listed = bucket("bucket-listed")
    s3.put_bucket_acl(Bucket=listed, ACL="public-read")
    expect("s3-bucket-public", listed, good)


def network(a):
    ec2 = a("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    public = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.2.0/24")["Subnet"]["SubnetId"]
    ec2.modify_subnet_attribute(SubnetId=public, MapPublicIpOnLaunch={"Value": True})
    expect("ec2-subnet-public-address", public, subnet)
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]

    def group(name, *permissions, use=True):
        g = ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]
        if permissions:
            ec2.authorize_security_group_ingress(GroupId=g, IpPermissions=list(permissions))
        if use:
            ec2.create_network_interface(SubnetId=subnet, Groups=[g])
        return g

    def port(n, cidr="0.0.0.0/0", to=None):
        return {"IpProtocol": "tcp", "FromPort": n, "ToPort": to or n, "IpRanges": [{"CidrIp": cidr}]}

    closed = group("closed", port(443), port(22, "198.51.100.0/24"), port(5432, "10.0.0.0/16"))
    expect("ec2-sg-open-ssh", group("ssh", port(22)), closed)
    expect("ec2-sg-open-rdp", group("rdp", port(3000, to=4000)), closed)
    expect("ec2-sg-open-databases", group("db", port(5432)), closed)
    expect("ec2-sg-open-all", group("all", {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}), closed)
    v6 = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}
    expect("ec2-sg-open-ssh", group("ssh6", v6), closed)
    expect("ec2-sg-open-unused", group("unused", port(22), use=False), group("unused-closed", port(443), use=False))

    filters = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "group-name", "Values": ["default"]}]
    default = ec2.describe_security_groups(Filters=filters)["SecurityGroups"][0]["GroupId"]
    second = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    filters[0]["Values"] = [second]
    emptied = ec2.describe_security_groups(Filters=filters)["SecurityGroups"][0]
    for kind in ("IpPermissions", "IpPermissionsEgress"):
        if emptied[kind]:
            call = ec2.revoke_security_group_ingress if kind == "IpPermissions" else ec2.revoke_security_group_egress
            call(GroupId=emptied["GroupId"], IpPermissions=emptied[kind])
    expect("ec2-sg-default-closed", default, emptied["GroupId"])
    ec2.create_network_interface(SubnetId=subnet, Groups=[default])
    filters[0]["Values"] = [ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]]
    idle = ec2.describe_security_groups(Filters=filters)["SecurityGroups"][0]["GroupId"]
    expect("ec2-sg-default-unused", default, idle)

    def acl(net, *entries):
        n = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
        for number, egress, action, low, high in entries:
            ec2.create_network_acl_entry(
                NetworkAclId=n, RuleNumber=number, Egress=egress, RuleAction=action, Protocol="6", CidrBlock="0.0.0.0/0",
                PortRange={"From": low, "To": high},
            )  # fmt: skip
        filters = [{"Name": "association.subnet-id", "Values": [net]}]
        current = ec2.describe_network_acls(Filters=filters)["NetworkAcls"][0]
        association = next(x["NetworkAclAssociationId"] for x in current["Associations"] if x["SubnetId"] == net)
        ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=n)
        return n

    nets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{i}.0/24")["Subnet"]["SubnetId"] for i in (11, 12, 13)]
    good = acl(nets[0], (100, False, "allow", 443, 443), (110, False, "allow", 1024, 65535), (100, True, "allow", 1024, 65535), (110, True, "allow", 443, 443))
    # Port 3389 lies within the ephemeral ports, so the clean twin denies it first.
    ec2.create_network_acl_entry(NetworkAclId=good, RuleNumber=50, Egress=False, RuleAction="deny", Protocol="6", CidrBlock="0.0.0.0/0", PortRange={"From": 3389, "To": 3389})
    expect("ec2-nacl-open-admin", acl(nets[1], (100, False, "allow", 20, 30), (100, True, "allow", 1024, 65535)), good)
    expect("ec2-nacl-return-path", acl(nets[2], (100, False, "allow", 443, 443), (100, True, "allow", 443, 443)), good)

    def instance(tokens, profile=None):
        more = {"IamInstanceProfile": {"Name": profile}} if profile else {}
        return ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, SubnetId=subnet, SecurityGroupIds=[closed], MetadataOptions={"HttpTokens": tokens}, **more)["Instances"][0]["InstanceId"]

    iam = a("iam")
    iam.create_instance_profile(InstanceProfileName="app")
    iam.create_role(RoleName="app-instance", AssumeRolePolicyDocument=trust({"Service": "ec2.amazonaws.com"}))
    iam.add_role_to_instance_profile(InstanceProfileName="app", RoleName="app-instance")
    v1, v2 = instance("optional"), instance("required", "app")
    expect("ec2-instance-imdsv2", v1, v2)
    expect("ec2-instance-role", v1, v2)

    flow = second
    a("logs").create_log_group(logGroupName="flows")
    a("logs").put_retention_policy(logGroupName="flows", retentionInDays=365)
    a("logs").create_log_group(logGroupName="/aws/lambda/short")
    a("logs").put_retention_policy(logGroupName="/aws/lambda/short", retentionInDays=7)
    a("logs").create_log_group(logGroupName="/aws/lambda/long")
    a("logs").put_retention_policy(logGroupName="/aws/lambda/long", retentionInDays=365)
    expect("log-group-retention", "/aws/lambda/short", "/aws/lambda/long")
    iam.create_role(RoleName="flows", AssumeRolePolicyDocument=trust({"Service": "vpc-flow-logs.amazonaws.com"}))
    ec2.create_flow_logs(ResourceIds=[flow], ResourceType="VPC", TrafficType="ALL", LogGroupName="flows", DeliverLogsPermissionArn=f"arn:aws:iam::{a.id}:role/flows")
    ec2.create_network_interface(SubnetId=ec2.create_subnet(VpcId=flow, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"])
    expect("vpc-flow-logs", vpc, flow)
    table = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [flow]}])["RouteTables"][0]["RouteTableId"]
    for service in ("s3", "dynamodb"):
        ec2.create_vpc_endpoint(VpcId=flow, ServiceName=f"com.amazonaws.{REGION}.{service}", RouteTableIds=[table])
    expect("vpc-gateway-endpoints", vpc, flow)

    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    routes = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=routes, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    ec2.associate_route_table(RouteTableId=routes, SubnetId=public)
    return vpc, [subnet, nets[0]], [public, ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.20.0/24")["Subnet"]["SubnetId"]], closed


def disks(a):
    ec2 = a("ec2")
    zone = f"{REGION}a"
    bad = ec2.create_volume(AvailabilityZone=zone, Size=1, Encrypted=False)["VolumeId"]
    good = ec2.create_volume(AvailabilityZone=zone, Size=1, Encrypted=True)["VolumeId"]
    expect("ebs-volume-encrypted", bad, good)
    open_, private = (ec2.create_snapshot(VolumeId=v)["SnapshotId"] for v in (bad, good))
    ec2.modify_snapshot_attribute(SnapshotId=open_, Attribute="createVolumePermission", OperationType="add", GroupNames=["all"])
    expect("ebs-snapshot-public", open_, private)
    expect("ebs-snapshot-encrypted", open_, private)
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    i = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    shown, hidden = (ec2.create_image(InstanceId=i, Name=n)["ImageId"] for n in ("shown", "hidden"))
    ec2.modify_image_attribute(ImageId=shown, LaunchPermission={"Add": [{"Group": "all"}]})
    expect("ec2-image-public", shown, hidden)


def databases(a, private, public):
    rds = a("rds")
    rds.create_db_subnet_group(DBSubnetGroupName="private", DBSubnetGroupDescription="p", SubnetIds=private)
    rds.create_db_subnet_group(DBSubnetGroupName="public", DBSubnetGroupDescription="p", SubnetIds=public)
    rds.create_db_parameter_group(DBParameterGroupName="strict", DBParameterGroupFamily="postgres16", Description="s")
    for name, good in (("db-bad", False), ("db-good", True)):
        rds.create_db_instance(
            DBInstanceIdentifier=name, DBInstanceClass="db.t3.micro", Engine="postgres", AllocatedStorage=20,
            MasterUsername="u", MasterUserPassword="not-a-real-password", StorageEncrypted=good, PubliclyAccessible=not good,
            DBSubnetGroupName="private" if good else "public",
            **({"EnableCloudwatchLogsExports": ["postgresql", "upgrade"]} if good else {}),
        )  # fmt: skip
    for control in ("rds-instance-public", "rds-instance-public-subnet", "rds-encrypted", "rds-log-exports"):
        expect(control, "db-bad", "db-good")
    for name, group in (("snap-bad", ["all"]), ("snap-good", [])):
        rds.create_db_snapshot(DBInstanceIdentifier="db-good", DBSnapshotIdentifier=name)
        if group:
            rds.modify_db_snapshot_attribute(DBSnapshotIdentifier=name, AttributeName="restore", ValuesToAdd=group)
    expect("rds-snapshot-public", "snap-bad", "snap-good")

    redshift = a("redshift")
    for name, good in (("dwh-bad", False), ("dwh-good", True)):
        redshift.create_cluster(
            ClusterIdentifier=name, NodeType="ra3.large", MasterUsername="u", MasterUserPassword="Not-real-1",
            Encrypted=good, PubliclyAccessible=not good, ClusterType="single-node",
        )  # fmt: skip
    expect("redshift-cluster-public", "dwh-bad", "dwh-good")
    expect("redshift-encrypted", "dwh-bad", "dwh-good")

    ddb = a("dynamodb")
    for name, good in (("table-bad", False), ("table-good", True)):
        ddb.create_table(
            TableName=name, AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}], BillingMode="PAY_PER_REQUEST",
            **({"SSESpecification": {"Enabled": True, "SSEType": "KMS"}} if good else {}),
        )  # fmt: skip
    ddb.update_continuous_backups(TableName="table-good", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})
    expect("dynamodb-table-kms", "table-bad", "table-good")
    expect("dynamodb-table-recovery", "table-bad", "table-good")

    efs = a("efs")
    bad, good = (efs.create_file_system(CreationToken=str(e), Encrypted=e)["FileSystemId"] for e in (False, True))
    expect("efs-encrypted", bad, good)

    es = a("opensearch")
    es.create_domain(DomainName="search-bad")
    es.create_domain(
        DomainName="search-good", VPCOptions={"SubnetIds": private[:1]}, EncryptionAtRestOptions={"Enabled": True},
        NodeToNodeEncryptionOptions={"Enabled": True}, DomainEndpointOptions={"EnforceHTTPS": True},
    )  # fmt: skip
    expect("opensearch-encrypted", "search-bad", "search-good")
    expect("opensearch-domain-vpc", "search-bad", "search-good")


def entry_points(a, public, group):
    elb = a("elbv2")

    def balancer(name, scheme):
        lb = elb.create_load_balancer(Name=name, Subnets=public, SecurityGroups=[group], Scheme=scheme)
        return lb["LoadBalancers"][0]["LoadBalancerArn"]

    bad, good = balancer("bad", "internet-facing"), balancer("good", "internet-facing")
    a("s3").create_bucket(Bucket="elb-logs")
    elb.modify_load_balancer_attributes(
        LoadBalancerArn=good, Attributes=[{"Key": "access_logs.s3.enabled", "Value": "true"}, {"Key": "access_logs.s3.bucket", "Value": "elb-logs"}]
    )
    expect("elbv2-access-logs", bad, good)
    cert = a("acm").request_certificate(DomainName="example.com")["CertificateArn"]
    redirect = [{"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}}]
    fixed = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}]

    def listener(lb, protocol, port, actions, **more):
        made = elb.create_listener(LoadBalancerArn=lb, Protocol=protocol, Port=port, DefaultActions=actions, **more)
        return made["Listeners"][0]["ListenerArn"]

    expect("elb-listener-tls", listener(bad, "HTTP", 80, fixed), listener(good, "HTTP", 80, redirect))
    certs = {"Certificates": [{"CertificateArn": cert}]}
    expect(
        "elb-listener-tls-policy",
        listener(bad, "HTTPS", 443, fixed, SslPolicy="ELBSecurityPolicy-2016-08", **certs),
        listener(good, "HTTPS", 443, fixed, SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06", **certs),
    )
    waf = a("wafv2")
    visible = {"SampledRequestsEnabled": True, "CloudWatchMetricsEnabled": True, "MetricName": "m"}
    rule = {
        "Name": "rate", "Priority": 1, "Action": {"Block": {}}, "VisibilityConfig": visible,
        "Statement": {"RateBasedStatement": {"Limit": 1000, "AggregateKeyType": "IP"}},
    }  # fmt: skip
    empty = waf.create_web_acl(Name="empty", Scope="REGIONAL", DefaultAction={"Allow": {}}, VisibilityConfig=visible, Rules=[])["Summary"]
    acts = waf.create_web_acl(Name="acts", Scope="REGIONAL", DefaultAction={"Allow": {}}, VisibilityConfig=visible, Rules=[rule])["Summary"]
    expect("waf-acl-has-rules", empty["Id"], acts["Id"])
    waf.associate_web_acl(WebACLArn=acts["ARN"], ResourceArn=good)
    expect("elb-public-waf", bad, good)


def keys_and_secrets(a):
    kms = a("kms")
    bad, good, going = (kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(3))
    kms.enable_key_rotation(KeyId=good)
    expect("kms-key-rotation", bad, good)
    kms.put_key_policy(KeyId=bad, PolicyName="default", Policy=everyone("kms:*", "*"))
    expect("kms-key-policy-public", bad, good)
    kms.schedule_key_deletion(KeyId=going, PendingWindowInDays=7)
    expect("kms-key-pending-deletion", going, good)

    sm = a("secretsmanager")
    f = a("lambda")
    a("iam").create_role(RoleName="rotate", AssumeRolePolicyDocument=trust({"Service": "lambda.amazonaws.com"}))

    def function(name):
        return f.create_function(
            FunctionName=name, Runtime="python3.12", Role=f"arn:aws:iam::{a.id}:role/rotate", Handler="index.handler", Code={"ZipFile": zipped()}
        )["FunctionArn"]  # fmt: skip

    with freeze_time("2025-01-01"):
        sm.create_secret(Name="old", SecretString="not-real")
    sm.create_secret(Name="fresh", SecretString="not-real")
    sm.put_resource_policy(SecretId="old", ResourcePolicy=everyone("secretsmanager:GetSecretValue", "*"))
    expect("secretsmanager-secret-public", "old", "fresh")
    expect("secretsmanager-rotation-enabled", "old")
    expect("secretsmanager-secret-age", "old", "fresh")
    expect("secretsmanager-secret-unused", "old", "fresh")
    ssm = a("ssm")
    ssm.put_parameter(Name="/app/api_key", Value="not-real", Type="String")
    ssm.put_parameter(Name="/app/db_password", Value="not-real", Type="SecureString")
    ssm.put_parameter(Name="/app/log_level", Value="info", Type="String")
    expect("ssm-parameter-plain-secret", "/app/api_key", ["/app/db_password", "/app/log_level"])

    function("open")
    function("closed")
    f.add_permission(FunctionName="open", StatementId="all", Action="lambda:InvokeFunction", Principal="*")
    expect("lambda-function-public", "open", "closed")


def messages(a):
    sqs = a("sqs")
    bad = sqs.create_queue(QueueName="bad", Attributes={"SqsManagedSseEnabled": "false", "Policy": everyone("sqs:SendMessage", "*")})["QueueUrl"]
    good = sqs.create_queue(QueueName="good", Attributes={"KmsMasterKeyId": "alias/aws/sqs"})["QueueUrl"]
    expect("sqs-queue-encrypted", bad, good)
    expect("sqs-queue-public", bad, good)
    sns = a("sns")
    bad = sns.create_topic(Name="bad", Attributes={"Policy": everyone("sns:Subscribe", "*")})["TopicArn"]
    good = sns.create_topic(Name="good", Attributes={"KmsMasterKeyId": "alias/aws/sns"})["TopicArn"]
    expect("sns-topic-encrypted", bad, good)
    expect("sns-topic-public", bad, good)
    ecr = a("ecr")
    for name in ("bad", "good"):
        ecr.create_repository(repositoryName=name)
    ecr.set_repository_policy(repositoryName="bad", policyText=everyone("ecr:BatchGetImage", "*"))
    expect("ecr-repository-public", "bad", "good")


def clusters(a, subnets):
    eks = a("eks")
    a("iam").create_role(RoleName="eks", AssumeRolePolicyDocument=trust({"Service": "eks.amazonaws.com"}))
    for name, public in (("eks-bad", True), ("eks-good", False)):
        eks.create_cluster(
            name=name, roleArn=f"arn:aws:iam::{a.id}:role/eks",
            resourcesVpcConfig={"subnetIds": subnets, "endpointPublicAccess": public, "endpointPrivateAccess": True, "publicAccessCidrs": ["0.0.0.0/0"]},
            logging={"clusterLogging": [{"types": ["api", "audit", "authenticator", "controllerManager", "scheduler"], "enabled": not public}]},
        )  # fmt: skip
    expect("eks-endpoint-public", "eks-bad", "eks-good")
    expect("eks-control-plane-logs", "eks-bad", "eks-good")


def main():
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    bad, clean = Account(endpoint, BAD), Account(endpoint, CLEAN)
    users(bad)
    roles(bad)
    accounts(bad, clean)
    trails(bad, clean)
    buckets(bad)
    _, private, public, group = network(bad)
    disks(bad)
    databases(bad, private, public)
    entry_points(bad, public, group)
    keys_and_secrets(bad)
    messages(bad)
    clusters(bad, private)
    more.principals(bad, expect, trust)
    more.supported(bad, clean, expect, trust)
    more.logged_buckets(bad, expect, everyone, policy)
    more.trail_events(bad, clean, expect)
    more.detectors(bad, clean, expect)
    more.backups(bad, expect)
    more.engines(bad, expect)
    more.doors(bad, expect, public, group)
    more.firewalls(bad, expect)
    more.organizations(bad, clean, expect, policy)
    print(json.dumps({"endpoint": endpoint, "accounts": [BAD, CLEAN], "expect": expectations}), flush=True)
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main()
