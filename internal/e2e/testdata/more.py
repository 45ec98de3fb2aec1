"""More violations and their clean twins; see violations.py, which calls these."""

import datetime
import json

from freezegun import freeze_time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

REGION = "us-east-1"


def certificate(days):
    """A self-signed certificate that ends in a number of days, and its key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "example.com")])
    now = datetime.datetime.now(datetime.timezone.utc)
    cert = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=400)).not_valid_after(now + datetime.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    return (
        cert.public_bytes(pem),
        key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()),
    )


def principals(a, expect, trust):
    iam = a("iam")
    with freeze_time("2025-01-01"):
        iam.create_user(UserName="old-console")
        iam.create_login_profile(UserName="old-console", Password="Not-a-real-1!")
        iam.create_role(RoleName="forgotten", AssumeRolePolicyDocument=trust({"Service": "lambda.amazonaws.com"}))
    iam.create_user(UserName="new-console")
    iam.create_login_profile(UserName="new-console", Password="Not-a-real-1!")
    expect("iam-user-unused-password", "old-console", "new-console")
    expect("iam-role-unused", "forgotten", "tidy")
    iam.create_role(RoleName="shell", AssumeRolePolicyDocument=trust({"AWS": f"arn:aws:iam::{a.id}:root"}))
    iam.attach_role_policy(RoleName="shell", PolicyArn="arn:aws:iam::aws:policy/AWSCloudShellFullAccess")
    expect("iam-cloudshell-full-access", "shell", "tidy")

    web = "sts:AssumeRoleWithWebIdentity"

    def provider(url):
        return iam.create_open_id_connect_provider(Url=f"https://{url}", ClientIDList=["sts.amazonaws.com"], ThumbprintList=["c" * 40])["OpenIDConnectProviderArn"]

    def role(name, federated, **condition):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust({"Federated": federated}, web, **condition))
        return name

    github = f"arn:aws:iam::{a.id}:oidc-provider/token.actions.githubusercontent.com"
    sub = "token.actions.githubusercontent.com:sub"
    expect(
        "iam-role-github-any-ref",
        role("github-any-ref", github, StringLike={sub: "repo:acme/app:*"}),
        role("github-main", github, StringEquals={sub: "repo:acme/app:environment:production"}),
    )
    cluster = "oidc.eks.us-east-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE"
    eks = provider(cluster)
    expect(
        "iam-role-eks-any-service-account",
        role("eks-any", eks, StringLike={f"{cluster}:sub": "system:serviceaccount:*:*"}),
        role("eks-one", eks, StringEquals={f"{cluster}:sub": "system:serviceaccount:shop:orders"}),
    )
    terraform = provider("app.terraform.io")
    expect(
        "iam-role-oidc-any-tenant",
        role("terraform-any", terraform, StringLike={"app.terraform.io:sub": "organization:*:project:*:workspace:*:run_phase:*"}),
        role("terraform-acme", terraform, StringLike={"app.terraform.io:sub": "organization:acme:project:*:workspace:prod:run_phase:*"}),
    )
    pool = "cognito-identity.amazonaws.com"
    expect(
        "iam-role-cognito-any-pool",
        role("cognito-any", pool, StringLike={f"{pool}:aud": "*"}),
        role("cognito-one", pool, StringEquals={f"{pool}:aud": "us-east-1:1f2d3c4b-0000-4000-8000-000000000000"}),
    )
    cert, key = certificate(-5)
    iam.upload_server_certificate(ServerCertificateName="ended", CertificateBody=cert.decode(), PrivateKey=key.decode())
    expect("iam-server-certificate-expired", "ended")  # moto says of every certificate that it ended in 2012


def supported(bad, clean, expect, trust):
    iam = clean("iam")
    iam.create_role(RoleName="support", AssumeRolePolicyDocument=trust({"AWS": f"arn:aws:iam::{clean.id}:role/oncall"}))
    iam.attach_role_policy(RoleName="support", PolicyArn="arn:aws:iam::aws:policy/AWSSupportAccess")
    expect("iam-support-role", {"id": bad.id}, {"id": clean.id})
    clean("s3").create_bucket(Bucket="clean-forensic-evidence", ObjectLockEnabledForBucket=True)
    clean("s3").put_object_lock_configuration(
        Bucket="clean-forensic-evidence",
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 365}}},
    )
    expect("response-forensic-bucket", None, {"id": clean.id})


def logged_buckets(a, expect, everyone, policy):
    """Buckets that receive trails, and what records access to buckets."""
    s3 = a("s3")
    s3.create_bucket(Bucket="access-logs")
    to = {"LoggingEnabled": {"TargetBucket": "access-logs", "TargetPrefix": "s3/"}}
    deliver = [{"Effect": "Allow", "Principal": {"Service": "logging.s3.amazonaws.com"}, "Action": "s3:PutObject", "Resource": "arn:aws:s3:::access-logs/*"}]
    s3.put_bucket_policy(Bucket="access-logs", Policy=policy(*deliver))
    s3.put_bucket_logging(Bucket="bucket-good", BucketLoggingStatus=to)
    expect("s3-access-logging", "bucket-bad", ["bucket-good", "access-logs"])

    for name, good in (("trails-bad", False), ("trails-good", True)):
        s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=good)
        if good:
            s3.put_bucket_logging(Bucket=name, BucketLoggingStatus=to)
            s3.put_object_lock_configuration(
                Bucket=name,
                ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 365}}},
            )
        else:
            s3.put_bucket_policy(Bucket=name, Policy=everyone("s3:GetObject", f"arn:aws:s3:::{name}/*"))
        a("cloudtrail").create_trail(Name=name, S3BucketName=name, IsMultiRegionTrail=True, EnableLogFileValidation=True)
    for control in ("cloudtrail-bucket-access-logging", "cloudtrail-bucket-public", "s3-log-bucket-object-lock"):
        expect(control, "trails-bad", "trails-good")


def trail_events(bad, clean, expect):
    ct = clean("cloudtrail")
    ct.put_event_selectors(
        TrailName="clean",
        EventSelectors=[{"ReadWriteType": "All", "IncludeManagementEvents": True, "DataResources": [{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3"]}]}],
    )
    expect("cloudtrail-s3-data-events", {"id": bad.id}, {"id": clean.id})
    expect("cloudtrail-management-events", {"id": bad.id}, {"id": clean.id})
    expect("cloudtrail-account-trail", {"id": bad.id}, {"id": clean.id})
    logs, iam = clean("logs"), clean("iam")
    logs.create_log_group(logGroupName="trail")
    iam.create_role(RoleName="trail", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}, "Action": "sts:AssumeRole"}]}))
    ct.update_trail(
        Name="clean",
        CloudWatchLogsLogGroupArn=f"arn:aws:logs:{REGION}:{clean.id}:log-group:trail:*",
        CloudWatchLogsRoleArn=f"arn:aws:iam::{clean.id}:role/trail",
    )
    expect("cloudtrail-cloudwatch-logs", "bad", "clean")


def detectors(bad, clean, expect):
    """The bad account watches one region with every plan off."""
    plans = {"S3Logs": {"Enable": False}, "Kubernetes": {"AuditLogs": {"Enable": False}}, "MalwareProtection": {"ScanEc2InstanceWithFindings": {"EbsVolumes": False}}}
    names = ("S3_DATA_EVENTS", "EKS_AUDIT_LOGS", "EBS_MALWARE_PROTECTION", "RDS_LOGIN_EVENTS", "LAMBDA_NETWORK_LOGS", "RUNTIME_MONITORING")
    off = bad("guardduty", "eu-west-1").create_detector(Enable=True, DataSources=plans, Features=[{"Name": n, "Status": "DISABLED"} for n in names])["DetectorId"]
    on = clean("guardduty", "eu-west-1").create_detector(
        Enable=True, DataSources={"S3Logs": {"Enable": True}}, Features=[{"Name": n, "Status": "ENABLED"} for n in names]
    )["DetectorId"]
    # Plans that protect what an account does not have are not asked for.
    expect("guardduty-s3-protection", off, on)
    expect("guardduty-enabled", None, {"id": "eu-west-1", "account": bad.id})

    # Findings in the clean account reach people; in the bad one nobody.
    for region in (REGION, "eu-west-1"):
        topic = clean("sns", region).create_topic(Name="security", Attributes={"KmsMasterKeyId": "alias/aws/sns"})["TopicArn"]
        events = clean("events", region)
        events.put_rule(Name="findings", State="ENABLED", EventPattern=json.dumps({"source": ["aws.guardduty", "aws.securityhub"]}))
        events.put_targets(Rule="findings", Targets=[{"Id": "1", "Arn": topic}])
        if region != REGION:
            expect("response-findings-reach-people", {"id": region, "account": bad.id}, {"id": region, "account": clean.id})

    cfg = bad("config")
    cfg.put_configuration_recorder(
        ConfigurationRecorder=dict(
            name="some", roleARN=f"arn:aws:iam::{bad.id}:role/tidy",
            recordingGroup=dict(allSupported=False, includeGlobalResourceTypes=False, resourceTypes=["AWS::EC2::Instance"]),
        )
    )  # fmt: skip
    expect("config-recorder-all-types", "some", {"id": "default", "account": clean.id})


def backups(a, expect):
    backup = a("backup")
    for name in ("vault-bad", "vault-good"):
        backup.create_backup_vault(BackupVaultName=name)
    backup.put_backup_vault_lock_configuration(BackupVaultName="vault-good", MinRetentionDays=30)
    expect("response-backup-vault-lock", "vault-bad", "vault-good")


def engines(a, expect):
    """Databases that ask for TLS, encrypt and keep logs."""
    rds = a("rds")
    rds.modify_db_parameter_group(
        DBParameterGroupName="strict",
        Parameters=[{"ParameterName": "rds.force_ssl", "ParameterValue": "1", "ApplyMethod": "immediate"}],
    )
    rds.modify_db_instance(DBInstanceIdentifier="db-good", DBParameterGroupName="strict", ApplyImmediately=True)
    expect("rds-tls-required", "db-bad", "db-good")
    for name, value in (("cluster-loose", "0"), ("cluster-strict", "1")):
        rds.create_db_cluster_parameter_group(DBClusterParameterGroupName=name, DBParameterGroupFamily="aurora-postgresql16", Description="c")
        rds.modify_db_cluster_parameter_group(
            DBClusterParameterGroupName=name,
            Parameters=[{"ParameterName": "rds.force_ssl", "ParameterValue": value, "ApplyMethod": "immediate"}],
        )
    for name, good in (("cluster-bad", False), ("cluster-good", True)):
        rds.create_db_cluster(
            DBClusterIdentifier=name, Engine="aurora-postgresql", MasterUsername="u", MasterUserPassword="not-a-real-password", StorageEncrypted=good,
            DBClusterParameterGroupName="cluster-strict" if good else "cluster-loose",
            **({"EnableCloudwatchLogsExports": ["postgresql"]} if good else {}),
        )  # fmt: skip
    expect("rds-cluster-tls-required", "cluster-bad", "cluster-good")
    expect("rds-cluster-log-exports", "cluster-bad", "cluster-good")
    expect("rds-encrypted", "cluster-bad", "cluster-good")

    redshift = a("redshift")
    redshift.create_cluster_parameter_group(ParameterGroupName="strict", ParameterGroupFamily="redshift-1.0", Description="s")
    expect("redshift-tls-required", "dwh-bad")
    expect("redshift-audit-logs", "dwh-bad")

    cache = a("elasticache")
    for name, good in (("cache-bad", False), ("cache-good", True)):
        cache.create_replication_group(ReplicationGroupId=name, ReplicationGroupDescription=name, AtRestEncryptionEnabled=good, TransitEncryptionEnabled=good)
    expect("elasticache-encrypted", "cache-bad", "cache-good")

    efs = a("efs")
    bad, good = (efs.create_file_system(CreationToken=f"tls-{n}", Encrypted=True)["FileSystemId"] for n in ("bad", "good"))
    deny = {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    efs.put_file_system_policy(FileSystemId=good, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    expect("efs-tls-required", bad, good)

    a("opensearch").create_domain(
        DomainName="audited", EncryptionAtRestOptions={"Enabled": True},
        LogPublishingOptions={"AUDIT_LOGS": {"Enabled": True, "CloudWatchLogsLogGroupArn": f"arn:aws:logs:{REGION}:{a.id}:log-group:os"}},
    )  # fmt: skip
    expect("opensearch-audit-logs", "search-bad", "audited")


def doors(a, expect, subnets, group):
    """Classic load balancers, APIs and distributions."""
    acm = a("acm")
    arns = {}
    for name, days in (("soon", 10), ("later", 300)):
        cert, key = certificate(days)
        arns[name] = acm.import_certificate(Certificate=cert, PrivateKey=key)["CertificateArn"]

    elb = a("elb")
    for name, good in (("classic-bad", False), ("classic-good", True)):
        listener = {"Protocol": "HTTPS", "LoadBalancerPort": 443, "InstanceProtocol": "HTTP", "InstancePort": 80, "SSLCertificateId": arns["later"]}
        if not good:
            listener = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstanceProtocol": "HTTP", "InstancePort": 80}
        elb.create_load_balancer(LoadBalancerName=name, Listeners=[listener], AvailabilityZones=[f"{REGION}a"], Scheme="internet-facing")
    elb.modify_load_balancer_attributes(
        LoadBalancerName="classic-good", LoadBalancerAttributes={"AccessLog": {"Enabled": True, "S3BucketName": "elb-logs", "EmitInterval": 5}}
    )
    expect("elb-classic-listener-tls", "classic-bad", "classic-good")
    expect("elb-access-logs", "classic-bad", "classic-good")

    gw = a("apigateway")
    api = gw.create_rest_api(name="api")["id"]
    root = gw.get_resources(restApiId=api)["items"][0]["id"]
    gw.put_method(restApiId=api, resourceId=root, httpMethod="GET", authorizationType="AWS_IAM")
    gw.put_integration(restApiId=api, resourceId=root, httpMethod="GET", type="MOCK")
    gw.create_deployment(restApiId=api, stageName="bad")
    gw.create_deployment(restApiId=api, stageName="good")
    destination = f"arn:aws:logs:{REGION}:{a.id}:log-group:api"
    gw.update_stage(restApiId=api, stageName="good", patchOperations=[
        {"op": "replace", "path": "/accessLogSettings/destinationArn", "value": destination},
        {"op": "replace", "path": "/accessLogSettings/format", "value": "$context.requestId"},
    ])  # fmt: skip
    expect("apigateway-stage-logs", f"{api}|bad", f"{api}|good")
    expect("apigateway-stage-waf", f"{api}|bad")

    gw2 = a("apigatewayv2")
    http = gw2.create_api(Name="http", ProtocolType="HTTP")["ApiId"]
    gw2.create_stage(ApiId=http, StageName="bad")
    gw2.create_stage(ApiId=http, StageName="good", AccessLogSettings={"DestinationArn": destination, "Format": "$context.requestId"})
    expect("apigatewayv2-stage-logs", f"{http}|bad", f"{http}|good")

    front = a("cloudfront")

    def distribution(name, good):
        cert = {"ACMCertificateArn": arns["later"], "SSLSupportMethod": "sni-only"}
        return front.create_distribution(DistributionConfig={
            "CallerReference": name, "Comment": name, "Enabled": True,
            "Origins": {"Quantity": 1, "Items": [{"Id": "o", "DomainName": "bucket-good.s3.amazonaws.com", "S3OriginConfig": {"OriginAccessIdentity": ""}}]},
            "DefaultCacheBehavior": {"TargetOriginId": "o", "ViewerProtocolPolicy": "redirect-to-https" if good else "allow-all",
                                     "MinTTL": 0, "ForwardedValues": {"QueryString": False, "Cookies": {"Forward": "none"}}},
            "ViewerCertificate": {**cert, "MinimumProtocolVersion": "TLSv1.2_2021" if good else "TLSv1"},
            "Logging": {"Enabled": good, "IncludeCookies": False, "Bucket": "access-logs.s3.amazonaws.com" if good else "", "Prefix": ""},
            "WebACLId": f"arn:aws:wafv2:{REGION}:{a.id}:global/webacl/front/1f2d3c4b" if good else "",
        })["Distribution"]["Id"]  # fmt: skip

    bad, good = distribution("bad", False), distribution("good", True)
    for control in ("cloudfront-viewer-https", "cloudfront-minimum-tls", "cloudfront-access-logs", "cloudfront-waf"):
        expect(control, bad, good)

    waf = a("wafv2")
    acls = {w["Name"]: w for w in waf.list_web_acls(Scope="REGIONAL")["WebACLs"]}
    a("logs").create_log_group(logGroupName="aws-waf-logs-acts")
    waf.put_logging_configuration(LoggingConfiguration={
        "ResourceArn": acls["acts"]["ARN"], "LogDestinationConfigs": [f"arn:aws:logs:{REGION}:{a.id}:log-group:aws-waf-logs-acts"],
    })  # fmt: skip
    expect("waf-logging", acls["empty"]["Id"], acls["acts"]["Id"])

    dns = a("route53")
    bad, good = (dns.create_hosted_zone(Name=f"{n}.example.com", CallerReference=n)["HostedZone"]["Id"].split("/")[-1] for n in ("bad", "good"))
    a("logs").create_log_group(logGroupName="/aws/route53/good")
    dns.create_query_logging_config(HostedZoneId=good, CloudWatchLogsLogGroupArn=f"arn:aws:logs:{REGION}:{a.id}:log-group:/aws/route53/good:*")
    expect("route53-query-logs", bad, good)

    elb2 = a("elbv2")
    for name in arns:
        lb = elb2.create_load_balancer(Name=f"tls-{name}", Subnets=subnets, SecurityGroups=[group], Scheme="internal")["LoadBalancers"][0]["LoadBalancerArn"]
        elb2.create_listener(
            LoadBalancerArn=lb, Protocol="HTTPS", Port=443, SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06", Certificates=[{"CertificateArn": arns[name]}],
            DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}],
        )  # fmt: skip
    expect("acm-certificate-expiring", arns["soon"], arns["later"])


def organizations(bad, clean, expect, policy):
    """Each account has an organization with one member; one has guardrails."""

    def organization(a):
        org = a("organizations")
        made = org.create_organization(FeatureSet="ALL")["Organization"]["Id"]
        member = org.create_account(AccountName="member", Email=f"member@{a.id}.example.com")["CreateAccountStatus"]["AccountId"]
        return org, made, member

    _, bad_org, bad_member = organization(bad)
    org, clean_org, clean_member = organization(clean)
    root = org.list_roots()["Roots"][0]["Id"]
    org.enable_policy_type(RootId=root, PolicyType="SERVICE_CONTROL_POLICY")
    actions = [
        "organizations:LeaveOrganization",
        "cloudtrail:StopLogging", "cloudtrail:DeleteTrail", "cloudtrail:UpdateTrail", "cloudtrail:PutEventSelectors",
        "guardduty:DeleteDetector", "guardduty:UpdateDetector", "guardduty:DisassociateFromMasterAccount",
        "guardduty:DisassociateFromAdministratorAccount", "guardduty:StopMonitoringMembers", "guardduty:DisassociateMembers", "guardduty:DeleteMembers",
    ]  # fmt: skip
    content = policy({"Effect": "Deny", "Action": actions, "Resource": "*"})
    made = org.create_policy(Name="guardrails", Description="guardrails", Type="SERVICE_CONTROL_POLICY", Content=content)["Policy"]["PolicySummary"]["Id"]
    org.attach_policy(PolicyId=made, TargetId=root)
    expect("org-service-control-policies", bad_org, clean_org)
    for control in ("org-guardrail-leave", "org-guardrail-cloudtrail", "org-guardrail-guardduty"):
        expect(control, bad_member, clean_member)
    expect("cloudtrail-organization-trail", bad_org)
    expect("org-account-member", None, [{"id": bad.id}, {"id": clean.id}])


def firewalls(a, expect):
    """A VPC behind a firewall that logs, beside the one of violations.py that has none."""
    ec2, nfw, dns = a("ec2"), a("network-firewall"), a("route53resolver")
    subnets = ec2.describe_subnets(Filters=[{"Name": "cidr-block", "Values": ["10.0.2.0/24"]}])["Subnets"]
    bare = subnets[0]["VpcId"]
    vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.7.1.0/24")["Subnet"]["SubnetId"]
    ec2.create_network_interface(SubnetId=subnet)
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    routes = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=routes, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)

    rules = f"arn:aws:network-firewall:{REGION}:{a.id}:firewall-policy/strict"
    loud, quiet = (
        nfw.create_firewall(FirewallName=n, FirewallPolicyArn=rules, VpcId=v, SubnetMappings=[{"SubnetId": subnet}])["Firewall"]["FirewallArn"]
        for n, v in (("loud", vpc), ("quiet", vpc))
    )
    to = [{"LogType": t, "LogDestinationType": "CloudWatchLogs", "LogDestination": {"logGroup": "flows"}} for t in ("FLOW", "ALERT")]
    for n in (1, 2):
        nfw.update_logging_configuration(FirewallArn=loud, LoggingConfiguration={"LogDestinationConfigs": to[:n]})
    expect("networkfirewall-logging", quiet, loud)
    expect("vpc-egress-firewall", bare, vpc)

    config = dns.create_resolver_query_log_config(Name="dns", DestinationArn=f"arn:aws:logs:{REGION}:{a.id}:log-group:flows", CreatorRequestId="dns")
    dns.associate_resolver_query_log_config(ResolverQueryLogConfigId=config["ResolverQueryLogConfig"]["Id"], ResourceId=vpc)
    expect("route53resolver-query-logs", bare, vpc)
