package usage

import (
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/identity/catalog"
)

// prefixes are the event sources of CloudTrail whose first part is not the
// service's prefix in IAM.
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-aws-service-specific-topics.html
var prefixes = map[string]string{
	"monitoring": "cloudwatch", "email": "ses", "tagging": "tag", "models.lex": "lex", "runtime.lex": "lex", "models-v2-lex": "lex",
	"bedrock-runtime": "bedrock", "bedrock-agent": "bedrock", "iotdata": "iot", "streams.dynamodb": "dynamodb",
	"api.sagemaker": "sagemaker", "runtime.sagemaker": "sagemaker", "api.pricing": "pricing",
	"entitlement.marketplace": "aws-marketplace", "metering.marketplace": "aws-marketplace",
	"servicecatalog-appregistry": "servicecatalog", "agreement-marketplace": "aws-marketplace", "opensearch": "es", "opensearchserverless": "aoss", "email-smtp": "ses",
	"cloudcontrolapi":     "cloudformation",
	"transcribestreaming": "transcribe", "data.mediastore": "mediastore", "participant.connect": "execute-api", "replication": "drs",
	"application-insights": "applicationinsights", "ingest.timestream": "timestream", "query.timestream": "timestream",
}

// renamed are the operations whose permission has another name.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
var renamed = map[string][]string{
	"s3:ListObjects": {"s3:ListBucket"}, "s3:ListObjectsV2": {"s3:ListBucket"}, "s3:HeadBucket": {"s3:ListBucket"},
	"s3:HeadObject": {"s3:GetObject"}, "s3:SelectObjectContent": {"s3:GetObject"}, "s3:ListObjectVersions": {"s3:ListBucketVersions"},
	"s3:ListBuckets": {"s3:ListAllMyBuckets"}, "s3:CopyObject": {"s3:PutObject", "s3:GetObject"}, "s3:UploadPartCopy": {"s3:PutObject", "s3:GetObject"}, "s3:PostObject": {"s3:PutObject"},
	"s3:CreateMultipartUpload": {"s3:PutObject"}, "s3:UploadPart": {"s3:PutObject"}, "s3:CompleteMultipartUpload": {"s3:PutObject"},
	"s3:DeleteObjects": {"s3:DeleteObject"}, "s3:ListMultipartUploads": {"s3:ListBucketMultipartUploads"}, "s3:ListParts": {"s3:ListMultipartUploadParts"},
	"s3:GetBucketLifecycle": {"s3:GetLifecycleConfiguration"}, "s3:GetBucketLifecycleConfiguration": {"s3:GetLifecycleConfiguration"},
	"s3:PutBucketLifecycle": {"s3:PutLifecycleConfiguration"}, "s3:PutBucketLifecycleConfiguration": {"s3:PutLifecycleConfiguration"}, "s3:DeleteBucketLifecycle": {"s3:PutLifecycleConfiguration"},
	"s3:GetBucketEncryption": {"s3:GetEncryptionConfiguration"}, "s3:PutBucketEncryption": {"s3:PutEncryptionConfiguration"}, "s3:DeleteBucketEncryption": {"s3:PutEncryptionConfiguration"},
	"s3:GetPublicAccessBlock": {"s3:GetBucketPublicAccessBlock"}, "s3:PutPublicAccessBlock": {"s3:PutBucketPublicAccessBlock"}, "s3:DeletePublicAccessBlock": {"s3:PutBucketPublicAccessBlock"},
	"s3:DeleteBucketPublicAccessBlock": {"s3:PutBucketPublicAccessBlock"}, "s3:DeleteAccountPublicAccessBlock": {"s3:PutAccountPublicAccessBlock"},
	"s3:GetBucketReplication": {"s3:GetReplicationConfiguration"}, "s3:PutBucketReplication": {"s3:PutReplicationConfiguration"}, "s3:DeleteBucketReplication": {"s3:PutReplicationConfiguration"},
	"s3:GetBucketNotificationConfiguration": {"s3:GetBucketNotification"}, "s3:PutBucketNotificationConfiguration": {"s3:PutBucketNotification"},
	"s3:GetObjectLockConfiguration": {"s3:GetBucketObjectLockConfiguration"}, "s3:PutObjectLockConfiguration": {"s3:PutBucketObjectLockConfiguration"},
	"s3:GetBucketCors": {"s3:GetBucketCORS"}, "s3:PutBucketCors": {"s3:PutBucketCORS"}, "s3:DeleteBucketCors": {"s3:PutBucketCORS"}, "s3:DeleteBucketTagging": {"s3:PutBucketTagging"},
	"s3:GetBucketAccelerateConfiguration": {"s3:GetAccelerateConfiguration"}, "s3:PutBucketAccelerateConfiguration": {"s3:PutAccelerateConfiguration"},
	"s3:GetBucketInventoryConfiguration": {"s3:GetInventoryConfiguration"}, "s3:ListBucketInventoryConfigurations": {"s3:GetInventoryConfiguration"}, "s3:PutBucketInventoryConfiguration": {"s3:PutInventoryConfiguration"}, "s3:DeleteBucketInventoryConfiguration": {"s3:PutInventoryConfiguration"},
	"s3:GetBucketMetricsConfiguration": {"s3:GetMetricsConfiguration"}, "s3:ListBucketMetricsConfigurations": {"s3:GetMetricsConfiguration"}, "s3:PutBucketMetricsConfiguration": {"s3:PutMetricsConfiguration"},
	"s3:GetBucketAnalyticsConfiguration": {"s3:GetAnalyticsConfiguration"}, "s3:ListBucketAnalyticsConfigurations": {"s3:GetAnalyticsConfiguration"}, "s3:PutBucketAnalyticsConfiguration": {"s3:PutAnalyticsConfiguration"},
	"s3:DeleteBucketOwnershipControls": {"s3:PutBucketOwnershipControls"},
	"lambda:Invoke":                    {"lambda:InvokeFunction"}, "lambda:InvokeAsync": {"lambda:InvokeFunction"}, "lambda:InvokeWithResponseStream": {"lambda:InvokeFunction"},
	"sqs:SendMessageBatch": {"sqs:SendMessage"}, "sqs:DeleteMessageBatch": {"sqs:DeleteMessage"}, "sqs:ChangeMessageVisibilityBatch": {"sqs:ChangeMessageVisibility"},
	"sns:PublishBatch":          {"sns:Publish"},
	"dynamodb:TransactGetItems": {"dynamodb:GetItem"},
	"kms:ReEncrypt":             {"kms:ReEncryptFrom", "kms:ReEncryptTo"},
	"bedrock:Converse":          {"bedrock:InvokeModel"}, "bedrock:ConverseStream": {"bedrock:InvokeModelWithResponseStream"},
}

// verbs are the methods that API Gateway's permissions are named after.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonapigatewaymanagement.html
var verbs = []struct{ prefix, action string }{
	{"Create", "apigateway:POST"}, {"Import", "apigateway:POST"}, {"Get", "apigateway:GET"}, {"Update", "apigateway:PATCH"},
	{"Put", "apigateway:PUT"}, {"Tag", "apigateway:PUT"}, {"Reimport", "apigateway:PUT"}, {"Delete", "apigateway:DELETE"}, {"Untag", "apigateway:DELETE"}, {"Flush", "apigateway:DELETE"},
}

// ActionsOf returns the IAM actions behind an event of CloudTrail, in AWS's
// spelling: none for what needs no permission (signing in) or is not known.
func ActionsOf(source, name string) []string {
	service := strings.TrimSuffix(strings.ToLower(source), ".amazonaws.com")
	if p := prefixes[service]; p != "" {
		service = p
	}
	c := catalog.Default()
	for _, candidate := range spellings(service, name) {
		if list, ok := renamed[candidate]; ok {
			var out []string
			for _, n := range list {
				if a, ok := c.Action(n); ok {
					out = append(out, a.String())
				}
			}
			if len(out) > 0 {
				return out
			}
		}
		if a, ok := c.Action(candidate); ok {
			return []string{a.String()}
		}
	}
	if service == "apigateway" {
		for _, v := range verbs {
			if strings.HasPrefix(name, v.prefix) {
				return []string{v.action}
			}
		}
	}
	return nil
}

// spellings are the names that an operation may have as a permission: as it is,
// and without the version that Lambda and CloudFront put behind it
// (CreateFunction20150331, UpdateFunctionCode20150331v2, GetDistribution2020_05_31).
func spellings(service, name string) []string {
	list := []string{service + ":" + name}
	for i := 0; i+4 <= len(name); i++ {
		if strings.HasPrefix(name[i:], "20") && i > 0 && strings.Trim(name[i:i+4], "0123456789") == "" {
			list = append(list, service+":"+strings.TrimSuffix(name[:i], "_"))
			break
		}
	}
	return list
}

// Call is one API call of a log.
type Call struct {
	Source, Name string // iam.amazonaws.com, CreateUser
	Region       string
	Account      string // that received it
	Parameters   map[string]any
	Resources    []string // ARNs that the event names
	Denied       bool
}

// maxLeaves bounds what is looked at in the parameters of one call.
const maxLeaves = 500

// ResourcesOf returns the ARNs of the resources that a call worked on with an
// action, as far as the event shows them. ok is false if it does not: the action
// takes resources and the event names none of the right type. For an action
// that takes none the answer is "*".
func (c *Call) ResourcesOf(action string) (arns []string, ok bool) {
	return c.resources(action, false)
}

// ScopeOf is ResourcesOf for a policy: for a type of resource that the action
// needs and the event does not name, such as the volume that is being made, it
// gives the pattern of all of the account and region.
func (c *Call) ScopeOf(action string) (patterns []string, ok bool) {
	return c.resources(action, true)
}

func (c *Call) resources(action string, scope bool) (arns []string, ok bool) {
	cat := catalog.Default()
	a, known := cat.Action(action)
	if !known {
		return nil, false
	}
	if a.WildcardOnly() {
		return []string{"*"}, true
	}
	leaves := map[string][]string{}
	left := maxLeaves
	flatten(c.Parameters, "", leaves, &left)
	if from := leaves["x-amz-copy-source"]; len(from) == 1 && a.String() == "s3:GetObject" {
		return []string{"arn:aws:s3:::" + strings.TrimPrefix(from[0], "/")}, true
	}
	var named []string
	for _, r := range c.Resources {
		if strings.HasPrefix(r, "arn:") {
			named = append(named, r)
		}
	}
	for _, values := range leaves {
		for _, v := range values {
			if strings.HasPrefix(v, "arn:") {
				named = append(named, v)
			}
		}
	}
	seen := map[string]bool{}
	complete := true
	for _, r := range a.ResourceTypes {
		t, found := typeOf(cat, a, r.Type)
		if !found {
			continue
		}
		hit := false
		for _, n := range named {
			if catalog.MatchARN(n, t) && !(t.Service == "s3" && t.Name == "bucket" && strings.Contains(n, "/")) && !strings.ContainsAny(n, "*?$") && !seen[n] {
				seen[n] = true
				arns = append(arns, n)
				hit = true
			}
		}
		if !hit {
			for _, n := range c.fill(t.ARN, leaves) {
				hit = true
				if !seen[n] {
					seen[n] = true
					arns = append(arns, n)
				}
			}
		}
		if !hit && r.Required && scope && c.Account != "" && c.Region != "" {
			if n := c.pattern(t.ARN); !seen[n] {
				seen[n] = true
				arns = append(arns, n)
			}
			hit = true
		}
		complete = complete && (hit || !r.Required)
	}
	slices.Sort(arns)
	return arns, complete && len(arns) > 0
}

func typeOf(cat *catalog.Catalog, a *catalog.Action, name string) (*catalog.ResourceType, bool) {
	for _, t := range cat.ResourceTypesOf(a) {
		if strings.EqualFold(strings.TrimSuffix(name, "*"), t.Name) {
			return t, true
		}
	}
	return nil, false
}

// flatten collects the strings of parameters by the names of their members, in
// lower case.
func flatten(v any, name string, into map[string][]string, left *int) {
	if *left <= 0 {
		return
	}
	*left--
	switch v := v.(type) {
	case string:
		into[name] = append(into[name], v)
	case []any:
		for _, e := range v {
			flatten(e, strings.TrimSuffix(name, "s"), into, left)
		}
	case map[string]any:
		for k, e := range v {
			k = strings.ToLower(k)
			if k == "items" || k == "item" {
				k = name
			}
			flatten(e, k, into, left)
		}
	}
}

// synonyms are the parameters that stand for a variable of an ARN's format when
// they have another name.
var synonyms = map[string][]string{
	"objectname": {"key"}, "rolenamewithpath": {"rolename"}, "usernamewithpath": {"username"}, "groupnamewithpath": {"groupname"},
	"policynamewithpath": {"policyname"}, "instanceprofilenamewithpath": {"instanceprofilename"}, "queuename": {"queueurl"}, "loggroupname": {"loggroupname", "loggroupidentifier"},
	"tablename": {"tablename"}, "functionname": {"functionname"}, "secretid": {"secretid"}, "parameternamewithoutleadingslash": {"name"}, "keyid": {"keyid"},
	"repositoryname": {"repositoryname"}, "topicname": {"name"}, "trailname": {"name", "trailname"}, "streamname": {"streamname"}, "stackname": {"stackname"},
	"dbinstancename": {"dbinstanceidentifier"}, "dbclusterinstancename": {"dbclusteridentifier"}, "clustername": {"name", "clustername", "cluster"}, "securitygroupid": {"groupid"},
	"keypairname": {"keyname"}, "snapshotname": {"dbsnapshotidentifier"}, "naclid": {"networkaclid"}, "subnetgroupname": {"dbsubnetgroupname"},
	"rulename": {"name", "rule"}, "eventbusname": {"name", "eventbusname"}, "statemachinename": {"name"}, "userpoolid": {"userpoolid"},
}

// fill puts parameters into the variables of an ARN's format. It returns nothing
// if one is missing, and one ARN for each value of the last variable.
func (c *Call) fill(format string, leaves map[string][]string) []string {
	partition := c.partition()
	heads := []string{""}
	for rest := format; rest != ""; {
		before, after, ok := strings.Cut(rest, "${")
		for i := range heads {
			heads[i] += before
		}
		if !ok {
			break
		}
		name, tail, _ := strings.Cut(after, "}")
		rest = tail
		var values []string
		switch name {
		case "Partition":
			values = []string{partition}
		case "Region":
			values = []string{c.Region}
		case "Account":
			values = []string{c.Account}
		default:
			values = valuesOf(strings.ToLower(name), leaves)
		}
		if len(values) == 0 || len(heads) > 1 && len(values) > 1 {
			return nil
		}
		var next []string
		for _, h := range heads {
			for _, v := range values {
				next = append(next, h+v)
			}
		}
		heads = next
	}
	return heads
}

func (c *Call) partition() string {
	switch {
	case strings.HasPrefix(c.Region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(c.Region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// pattern is an ARN's format with the account and region of the call and any
// name.
func (c *Call) pattern(format string) string {
	partition := c.partition()
	var b strings.Builder
	for rest := format; rest != ""; {
		before, after, ok := strings.Cut(rest, "${")
		b.WriteString(before)
		if !ok {
			break
		}
		name, tail, _ := strings.Cut(after, "}")
		rest = tail
		switch name {
		case "Partition":
			b.WriteString(partition)
		case "Region":
			b.WriteString(c.Region)
		case "Account":
			b.WriteString(c.Account)
		default:
			b.WriteByte('*')
		}
	}
	return b.String()
}

func valuesOf(name string, leaves map[string][]string) []string {
	for _, n := range append([]string{name}, synonyms[name]...) {
		var out []string
		for _, v := range leaves[n] {
			if n == "queueurl" {
				v = v[strings.LastIndexByte(v, '/')+1:]
			}
			v = strings.TrimPrefix(v, "/")
			if v != "" && !strings.HasPrefix(v, "arn:") && !strings.ContainsAny(v, "*?$") && len(out) < 50 {
				out = append(out, v)
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return nil
}
