package inventory

import (
	"sort"
	"strings"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/identity"
)

// part is where a resource's document holds its policy.
type part struct {
	operation string // the member's operation, for what could not be read
	path      string // members, separated by dots
}

// policyParts lists the types with a policy of their own.
var policyParts = map[string]part{
	"AWS::S3::Bucket":                   {"s3:GetBucketPolicy", "GetBucketPolicy.Policy"},
	"AWS::S3::AccessPoint":              {"s3control:GetAccessPointPolicy", "GetAccessPointPolicy.Policy"},
	"AWS::KMS::Key":                     {"kms:GetKeyPolicy", "GetKeyPolicy.Policy"},
	"AWS::SecretsManager::Secret":       {"secretsmanager:GetResourcePolicy", "GetResourcePolicy.ResourcePolicy"},
	"AWS::SQS::Queue":                   {"sqs:GetQueueAttributes", "GetQueueAttributes.Attributes.Policy"},
	"AWS::SNS::Topic":                   {"sns:GetTopicAttributes", "GetTopicAttributes.Attributes.Policy"},
	"AWS::Lambda::Function":             {"lambda:GetPolicy", "GetPolicy.Policy"},
	"AWS::Lambda::LayerVersion":         {"lambda:GetLayerVersionPolicy", "GetLayerVersionPolicy.Policy"},
	"AWS::ECR::Repository":              {"ecr:GetRepositoryPolicy", "GetRepositoryPolicy.policyText"},
	"AWS::DynamoDB::Table":              {"dynamodb:GetResourcePolicy", "GetResourcePolicy.Policy"},
	"AWS::EFS::FileSystem":              {"efs:DescribeFileSystemPolicy", "DescribeFileSystemPolicy.Policy"},
	"AWS::Backup::BackupVault":          {"backup:GetBackupVaultAccessPolicy", "GetBackupVaultAccessPolicy.Policy"},
	"AWS::OpenSearchService::Domain":    {"opensearch:DescribeDomain", "AccessPolicies"},
	"AWS::ACMPCA::CertificateAuthority": {"acm-pca:GetPolicy", "GetPolicy.Policy"},
	"AWS::ApiGateway::RestApi":          {"apigateway:GetRestApi", "policy"},
	"AWS::Events::EventBus":             {"events:DescribeEventBus", "Policy"},
}

// resource reads the policy of a resource.
func (l *loader) resource(r *estate.Resource, where part) {
	res := &Resource{ARN: r.ARN, Account: r.Account, Region: r.Region, Type: r.Type, Source: r}
	if res.ARN == "" && r.Type == "AWS::S3::Bucket" {
		res.ARN = "arn:aws:s3:::" + r.ID
	}
	member, _, _ := strings.Cut(where.path, ".")
	for _, g := range r.Unknown {
		if g.Part == member || g.Operation == where.operation {
			res.Missing = append(res.Missing, g.Operation+": "+g.Reason)
		}
	}
	var v any = r.Document
	for _, name := range strings.Split(where.path, ".") {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	if v != nil && v != "" {
		doc, err := l.compile(v, identity.ResourcePolicy, r.ID)
		if err != nil {
			res.Missing = append(res.Missing, err.Error())
		}
		res.Policy = doc
	}
	switch r.Type {
	case "AWS::S3::Bucket":
		res.S3 = bucketAccess(r)
	case "AWS::KMS::Key":
		res.Grants = grantsOf(r)
	}
	if _, twice := l.inv.resources[res.ARN]; twice || res.ARN == "" {
		return
	}
	l.inv.resources[res.ARN] = res
	l.inv.Resources = append(l.inv.Resources, res)
}

// Types returns the types of resource that an inventory is made of, sorted.
func Types() []string {
	list := []string{"AWS::Account::Account", "AWS::EC2::VPC", "AWS::EC2::VPCEndpoint", "AWS::IAM::InstanceProfile",
		"AWS::Organizations::Account", "AWS::Organizations::Organization", "AWS::Organizations::OrganizationalUnit",
		"AWS::Organizations::Policy", "AWS::Organizations::Root"}
	list = append(list, identityTypes...)
	for typ := range policyParts {
		list = append(list, typ)
	}
	sort.Strings(list)
	return list
}
