"""Fills a moto server with one resource of many types and prints, as JSON, the
ids that a collection must find: {"AWS::EC2::SecurityGroup": ["sg-..."], ...}.

Usage: fill.py ENDPOINT
"""

import io
import json
import sys
import zipfile

import boto3

ENDPOINT = sys.argv[1]
REGION = "eu-west-1"
made = {}


def aws(service, region=REGION):
    return boto3.client(service, endpoint_url=ENDPOINT, region_name=region)


def note(kind, *ids):
    made.setdefault(kind, []).extend(ids)


TRUST = json.dumps({
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
})
READ = json.dumps({
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}],
})

iam = aws("iam", "us-east-1")
iam.create_user(UserName="anna", Tags=[{"Key": "team", "Value": "ops"}])
iam.create_access_key(UserName="anna")
iam.create_login_profile(UserName="anna", Password="Not-A-Real-1")
iam.put_user_policy(UserName="anna", PolicyName="inline", PolicyDocument=READ)
iam.create_group(GroupName="staff")
iam.add_user_to_group(GroupName="staff", UserName="anna")
role = iam.create_role(RoleName="worker", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
policy = iam.create_policy(PolicyName="read", PolicyDocument=READ)["Policy"]["Arn"]
iam.attach_role_policy(RoleName="worker", PolicyArn=policy)
iam.create_instance_profile(InstanceProfileName="machine")
iam.add_role_to_instance_profile(InstanceProfileName="machine", RoleName="worker")
oidc = iam.create_open_id_connect_provider(
    Url="https://token.actions.githubusercontent.com", ClientIDList=["sts.amazonaws.com"],
    ThumbprintList=["6938fd4d98bab03faadb97b34396831e3780aea1"])["OpenIDConnectProviderArn"]
iam.update_account_password_policy(MinimumPasswordLength=14)
note("AWS::IAM::User", "anna")
note("AWS::IAM::Group", "staff")
note("AWS::IAM::Role", "worker")
note("AWS::IAM::ManagedPolicy", policy)
note("AWS::IAM::InstanceProfile", "machine")
note("AWS::IAM::OIDCProvider", oidc)

s3 = aws("s3")
for name in ("acme-logs", "acme-data"):
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
note("AWS::S3::Bucket", "acme-logs", "acme-data")
s3.put_bucket_policy(Bucket="acme-logs", Policy=json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::acme-logs/*"}]}))
s3.put_bucket_versioning(Bucket="acme-logs", VersioningConfiguration={"Status": "Enabled"})
s3.put_bucket_tagging(Bucket="acme-logs", Tagging={"TagSet": [{"Key": "kind", "Value": "logs"}]})
aws("s3", "us-east-1").create_bucket(Bucket="acme-east")
note("AWS::S3::Bucket", "acme-east")

ec2 = aws("ec2")
vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24", AvailabilityZone=REGION + "a")["Subnet"]["SubnetId"]
subnet2 = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.2.0/24", AvailabilityZone=REGION + "b")["Subnet"]["SubnetId"]
group = ec2.create_security_group(GroupName="web", Description="web", VpcId=vpc)["GroupId"]
ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
    {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}])
gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
image = ec2.describe_images()["Images"][0]["ImageId"]
instance = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, SubnetId=subnet, SecurityGroupIds=[group])["Instances"][0]["InstanceId"]
volume = ec2.create_volume(AvailabilityZone=REGION + "a", Size=8)["VolumeId"]
snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
ec2.modify_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission", OperationType="add", GroupNames=["all"])
endpoint = ec2.create_vpc_endpoint(VpcId=vpc, ServiceName="com.amazonaws.eu-west-1.s3")["VpcEndpoint"]["VpcEndpointId"]
table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
acl = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
nat = ec2.create_nat_gateway(SubnetId=subnet)["NatGateway"]["NatGatewayId"]
template = ec2.create_launch_template(LaunchTemplateName="t", LaunchTemplateData={"ImageId": image, "UserData": "c2VjcmV0"})["LaunchTemplate"]["LaunchTemplateId"]
note("AWS::EC2::VPC", vpc)
note("AWS::EC2::Subnet", subnet, subnet2)
note("AWS::EC2::SecurityGroup", group)
note("AWS::EC2::InternetGateway", gateway)
note("AWS::EC2::Instance", instance)
note("AWS::EC2::Volume", volume)
note("AWS::EC2::Snapshot", snapshot)
note("AWS::EC2::VPCEndpoint", endpoint)
note("AWS::EC2::RouteTable", table)
note("AWS::EC2::NetworkAcl", acl)
note("AWS::EC2::NatGateway", nat)
note("AWS::EC2::LaunchTemplate", template)
flow = ec2.create_flow_logs(ResourceIds=[vpc], ResourceType="VPC", TrafficType="ALL", LogDestinationType="s3",
                            LogDestination="arn:aws:s3:::acme-logs")["FlowLogIds"][0]
note("AWS::EC2::FlowLog", flow)
nics = ec2.describe_network_interfaces()["NetworkInterfaces"]
note("AWS::EC2::NetworkInterface", *[n["NetworkInterfaceId"] for n in nics])

trail = aws("cloudtrail").create_trail(Name="main", S3BucketName="acme-logs", IsMultiRegionTrail=True)
note("AWS::CloudTrail::Trail", "main")
detector = aws("guardduty").create_detector(Enable=True)["DetectorId"]
note("AWS::GuardDuty::Detector", detector)
aws("config").put_configuration_recorder(ConfigurationRecorder={"name": "default", "roleARN": role})
note("AWS::Config::ConfigurationRecorder", "default")

kms = aws("kms")
key = kms.create_key(Description="data")["KeyMetadata"]["KeyId"]
kms.create_alias(AliasName="alias/data", TargetKeyId=key)
note("AWS::KMS::Key", key)
note("AWS::KMS::Alias", "alias/data")
aws("secretsmanager").create_secret(Name="db/password", SecretString="never-to-be-read")
note("AWS::SecretsManager::Secret", "db/password")
ssm = aws("ssm")
ssm.put_parameter(Name="/app/token", Value="plain-value-never-to-be-read", Type="String")
note("AWS::SSM::Parameter", "/app/token")

code = io.BytesIO()
with zipfile.ZipFile(code, "w") as z:
    z.writestr("main.py", "def handler(event, context): pass")
fn = aws("lambda")
fn.create_function(FunctionName="resize", Runtime="python3.12", Role=role, Handler="main.handler",
                   Code={"ZipFile": code.getvalue()}, Environment={"Variables": {"TOKEN": "environment-never-to-be-kept"}})
fn.add_permission(FunctionName="resize", StatementId="s", Action="lambda:InvokeFunction", Principal="*")
note("AWS::Lambda::Function", "resize")

topic = aws("sns").create_topic(Name="alerts")["TopicArn"]
aws("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint="security@example.com")
note("AWS::SNS::Topic", topic)
queue = aws("sqs").create_queue(QueueName="jobs")["QueueUrl"]
note("AWS::SQS::Queue", "jobs")
events = aws("events")
rule = events.put_rule(Name="findings", EventPattern='{"source":["aws.guardduty"]}')["RuleArn"]
events.put_targets(Rule="findings", Targets=[{"Id": "1", "Arn": topic}])
note("AWS::Events::Rule", rule)
aws("logs").create_log_group(logGroupName="/app/web")
note("AWS::Logs::LogGroup", "/app/web")
aws("cloudwatch").put_metric_alarm(AlarmName="root-use", MetricName="m", Namespace="n", Period=60, EvaluationPeriods=1,
                                   Threshold=1, ComparisonOperator="GreaterThanThreshold", Statistic="Sum")
note("AWS::CloudWatch::Alarm", "root-use")

aws("dynamodb").create_table(TableName="orders", BillingMode="PAY_PER_REQUEST",
                             AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                             KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}])
note("AWS::DynamoDB::Table", "orders")
rds = aws("rds")
rds.create_db_instance(DBInstanceIdentifier="main", DBInstanceClass="db.t3.micro", Engine="postgres", AllocatedStorage=20,
                       MasterUsername="root", MasterUserPassword="never-to-be-returned")
rds.create_db_snapshot(DBSnapshotIdentifier="before", DBInstanceIdentifier="main")
note("AWS::RDS::DBInstance", "main")
note("AWS::RDS::DBSnapshot", "before")
file_system = aws("efs").create_file_system(CreationToken="x")["FileSystemId"]
note("AWS::EFS::FileSystem", file_system)
aws("redshift").create_cluster(ClusterIdentifier="warehouse", NodeType="ra3.xlplus", MasterUsername="root", MasterUserPassword="Not-A-Real-1")
note("AWS::Redshift::Cluster", "warehouse")
aws("opensearch").create_domain(DomainName="search")
note("AWS::OpenSearchService::Domain", "search")
aws("backup").create_backup_vault(BackupVaultName="safe")
note("AWS::Backup::BackupVault", "safe")

elb = aws("elbv2")
balancer = elb.create_load_balancer(Name="web", Subnets=[subnet, subnet2], SecurityGroups=[group])["LoadBalancers"][0]["LoadBalancerArn"]
target = elb.create_target_group(Name="web", Protocol="HTTP", Port=80, VpcId=vpc)["TargetGroups"][0]["TargetGroupArn"]
listener = elb.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=80,
                               DefaultActions=[{"Type": "forward", "TargetGroupArn": target}])["Listeners"][0]["ListenerArn"]
note("AWS::ElasticLoadBalancingV2::LoadBalancer", balancer)
note("AWS::ElasticLoadBalancingV2::TargetGroup", target)
note("AWS::ElasticLoadBalancingV2::Listener", listener)
waf = aws("wafv2").create_web_acl(Name="web", Scope="REGIONAL", DefaultAction={"Allow": {}}, Rules=[], VisibilityConfig={
    "SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": "web"})["Summary"]["Id"]
note("AWS::WAFv2::WebACL", waf)
zone = aws("route53", "us-east-1").create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]["Id"]
note("AWS::Route53::HostedZone", zone.split("/")[-1])
api = aws("apigateway").create_rest_api(name="public")["id"]
note("AWS::ApiGateway::RestApi", api)
http = aws("apigatewayv2").create_api(Name="http", ProtocolType="HTTP")["ApiId"]
note("AWS::ApiGatewayV2::Api", http)
certificate = aws("acm").request_certificate(DomainName="www.example.com")["CertificateArn"]
note("AWS::CertificateManager::Certificate", certificate)
aws("eks").create_cluster(name="apps", roleArn=role, resourcesVpcConfig={"subnetIds": [subnet, subnet2]})
note("AWS::EKS::Cluster", "apps")
aws("ecr").create_repository(repositoryName="web")
note("AWS::ECR::Repository", "web")
cluster = aws("ecs").create_cluster(clusterName="jobs")["cluster"]["clusterArn"]
note("AWS::ECS::Cluster", cluster)
machine = aws("stepfunctions").create_state_machine(name="flow", roleArn=role,
                                                    definition='{"StartAt":"A","States":{"A":{"Type":"Pass","End":true}}}')["stateMachineArn"]
note("AWS::StepFunctions::StateMachine", machine)
aws("glue").create_dev_endpoint(EndpointName="workbench", RoleArn=role, Tags={"team": "data"})
note("AWS::Glue::DevEndpoint", "workbench")
pool = aws("cognito-idp").create_user_pool(PoolName="people")["UserPool"]["Id"]
note("AWS::Cognito::UserPool", pool)
distribution = aws("cloudfront", "us-east-1").create_distribution(DistributionConfig={
    "CallerReference": "1", "Comment": "", "Enabled": True,
    "Origins": {"Quantity": 1, "Items": [{"Id": "o", "DomainName": "acme-logs.s3.amazonaws.com", "S3OriginConfig": {"OriginAccessIdentity": ""}}]},
    "DefaultCacheBehavior": {"TargetOriginId": "o", "ViewerProtocolPolicy": "allow-all", "ForwardedValues": {
        "QueryString": False, "Cookies": {"Forward": "none"}}, "MinTTL": 0}})["Distribution"]["Id"]
note("AWS::CloudFront::Distribution", distribution)

organizations = aws("organizations", "us-east-1")
organization = organizations.create_organization(FeatureSet="ALL")["Organization"]["Id"]
note("AWS::Organizations::Organization", organization)
root = organizations.list_roots()["Roots"][0]["Id"]
unit = organizations.create_organizational_unit(ParentId=root, Name="prod")["OrganizationalUnit"]["Id"]
inner = organizations.create_organizational_unit(ParentId=unit, Name="web")["OrganizationalUnit"]["Id"]
note("AWS::Organizations::OrganizationalUnit", unit, inner)
scp = organizations.create_policy(Name="no-leave", Description="", Type="SERVICE_CONTROL_POLICY", Content=json.dumps({
    "Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "organizations:LeaveOrganization", "Resource": "*"}]}))["Policy"]["PolicySummary"]["Id"]
organizations.attach_policy(PolicyId=scp, TargetId=root)
note("AWS::Organizations::Policy", scp)

json.dump(made, sys.stdout)
