package detect_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"compress/gzip"

	"github.com/bartizan-security/bartizan/catalog"
	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/sigma"
	"github.com/bartizan-security/bartizan/internal/thirdparty"
)

// calls are what a busy account does all day: service, API, request parameters
// with %s for an id, whether it only reads, and how often.
var calls = []struct {
	source, name, request string
	weight                int
}{
	{"sts", "AssumeRole", `{"roleArn":"arn:aws:iam::123456789012:role/service-%s","roleSessionName":"session-%s","durationSeconds":3600}`, 60},
	{"ec2", "DescribeInstances", `{"maxResults":1000,"instancesSet":{},"filterSet":{"items":[{"name":"instance-state-name","valueSet":{"items":[{"value":"running"}]}}]}}`, 50},
	{"ec2", "DescribeNetworkInterfaces", `{"networkInterfaceIdSet":{},"filterSet":{"items":[{"name":"group-id","valueSet":{"items":[{"value":"sg-%s"}]}}]}}`, 40},
	{"s3", "GetBucketAcl", `{"bucketName":"data-%s","Host":"data-%s.s3.eu-west-1.amazonaws.com","acl":""}`, 40},
	{"s3", "GetObject", `{"bucketName":"data-%s","Host":"data-%s.s3.eu-west-1.amazonaws.com","key":"a/b/%s.parquet"}`, 80},
	{"s3", "PutObject", `{"bucketName":"data-%s","Host":"data-%s.s3.eu-west-1.amazonaws.com","key":"a/b/%s.parquet","x-amz-server-side-encryption":"aws:kms"}`, 40},
	{"kms", "Decrypt", `{"encryptionContext":{"aws:s3:arn":"arn:aws:s3:::data-%s/x"},"encryptionAlgorithm":"SYMMETRIC_DEFAULT"}`, 80},
	{"kms", "GenerateDataKey", `{"keySpec":"AES_256","encryptionContext":{"aws:s3:arn":"arn:aws:s3:::data-%s"},"keyId":"arn:aws:kms:eu-west-1:123456789012:key/%s"}`, 40},
	{"logs", "CreateLogStream", `{"logGroupName":"/aws/lambda/f-%s","logStreamName":"2024/01/01/[$LATEST]%s"}`, 30},
	{"monitoring", "PutMetricData", `{"namespace":"app","metricData":[]}`, 30},
	{"iam", "GetRole", `{"roleName":"service-%s"}`, 20},
	{"iam", "ListAttachedRolePolicies", `{"roleName":"service-%s"}`, 20},
	{"lambda", "GetFunction20150331v2", `{"functionName":"f-%s"}`, 20},
	{"dynamodb", "DescribeTable", `{"tableName":"t-%s"}`, 20},
	{"ssm", "UpdateInstanceInformation", `{"instanceId":"i-%s","agentVersion":"3.2.0","agentStatus":"Active","platformType":"Linux"}`, 30},
	{"secretsmanager", "GetSecretValue", `{"secretId":"app/%s"}`, 10},
	{"ecr", "BatchGetImage", `{"repositoryName":"app","imageIds":[{"imageTag":"%s"}]}`, 15},
	{"autoscaling", "DescribeAutoScalingGroups", `{"maxRecords":100}`, 20},
	{"rds", "DescribeDBInstances", `{}`, 10},
	{"cloudtrail", "LookupEvents", `{"maxResults":50}`, 3},
	{"ec2", "AuthorizeSecurityGroupIngress", `{"groupId":"sg-%s","ipPermissions":{"items":[{"ipProtocol":"tcp","fromPort":443,"toPort":443,"ipRanges":{"items":[{"cidrIp":"10.0.0.0/8"}]}}]}}`, 1},
	{"iam", "CreateAccessKey", `{"userName":"u-%s"}`, 1},
	{"signin", "ConsoleLogin", `null`, 1},
}

var agents = []string{
	"aws-sdk-java/1.12.500 Linux/5.10.184-175.731.amzn2.x86_64 OpenJDK_64-Bit_Server_VM/17.0.8+7-LTS java/17.0.8 vendor/Amazon.com_Inc. cfg/retry-mode/standard",
	"Boto3/1.34.11 md/Botocore#1.34.11 ua/2.0 os/linux#5.10.205-195.807.amzn2.x86_64 md/arch#x86_64 lang/python#3.11.6 md/pyimpl#CPython cfg/retry-mode#legacy Botocore/1.34.11",
	"APN/1.0 HashiCorp/1.0 Terraform/1.6.6 (+https://www.terraform.io) terraform-provider-aws/5.31.0 (+https://registry.terraform.io/providers/hashicorp/aws) aws-sdk-go-v2/1.24.0 os/linux lang/go#1.20.12",
	"AWS Internal", "cloudtrail.amazonaws.com", "autoscaling.amazonaws.com",
	"aws-cli/2.15.0 Python/3.11.6 Linux/6.2.0 exe/x86_64.ubuntu.22 prompt/off command/s3.ls",
	"amazon-ssm-agent/3.2.1705.0", "kube-controller-manager/v1.28.5 (linux/amd64) kubernetes/506050d/controller",
}

// caller is who makes a call: the same program makes many, from one place.
type caller struct{ who, ip, agent string }

// corpus generates CloudTrail as it is delivered: objects of records, gzipped.
// The records are about as long as those of a real account, 1.4 KB. So many
// callers are at work at once, each for some thousand calls; 0 gives every call
// to another, as no account has it.
func corpus(events, perFile, callers int) [][]byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	total := 0
	for _, c := range calls {
		total += c.weight
	}
	hex := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteByte("0123456789abcdef"[rnd.IntN(16)])
		}
		return b.String()
	}
	newCaller := func() caller {
		c := caller{ip: fmt.Sprintf("10.%d.%d.%d", rnd.IntN(4), rnd.IntN(256), rnd.IntN(256)), agent: agents[rnd.IntN(len(agents))]}
		role := rnd.IntN(40)
		switch r := rnd.IntN(100); {
		case r < 62:
			session := hex(17)
			c.who = fmt.Sprintf(`{"type":"AssumedRole","principalId":"AROAEXAMPLE%010d:i-%s","arn":"arn:aws:sts::123456789012:assumed-role/service-%d/i-%s","accountId":"123456789012","accessKeyId":"ASIA%s","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROAEXAMPLE%010d","arn":"arn:aws:iam::123456789012:role/service-%d","accountId":"123456789012","userName":"service-%d"},"webIdFederationData":{},"attributes":{"creationDate":"2024-01-01T00:00:00Z","mfaAuthenticated":"false"},"ec2RoleDelivery":"2.0"}}`,
				role, session, role, session, strings.ToUpper(hex(16)), role, role, role)
		case r < 75:
			c.who = fmt.Sprintf(`{"type":"IAMUser","principalId":"AIDAEXAMPLE%010d","arn":"arn:aws:iam::123456789012:user/ci-%d","accountId":"123456789012","accessKeyId":"AKIA%s","userName":"ci-%d"}`, role, role, strings.ToUpper(hex(16)), role)
		default:
			service := []string{"lambda.amazonaws.com", "ec2.amazonaws.com", "autoscaling.amazonaws.com", "config.amazonaws.com"}[rnd.IntN(4)]
			c = caller{`{"type":"AWSService","invokedBy":"` + service + `"}`, service, service}
		}
		return c
	}
	var working []caller
	for range callers {
		working = append(working, newCaller())
	}
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	var files [][]byte
	var text bytes.Buffer
	for n := 0; n < events; n++ {
		if n%perFile == 0 {
			text.Reset()
			text.WriteString(`{"Records":[`)
		} else {
			text.WriteByte(',')
		}
		pick := rnd.IntN(total)
		k := 0
		for pick >= calls[k].weight {
			pick -= calls[k].weight
			k++
		}
		c := calls[k]
		request := c.request
		for strings.Contains(request, "%s") {
			request = strings.Replace(request, "%s", hex(8), 1)
		}
		by := caller{}
		if callers == 0 {
			by = newCaller()
		} else {
			k := rnd.IntN(callers)
			if rnd.IntN(5000) == 0 {
				working[k] = newCaller()
			}
			by = working[k]
		}
		failed := ""
		if rnd.IntN(30) == 0 {
			failed = `"errorCode":"AccessDenied","errorMessage":"User: arn:aws:sts::123456789012:assumed-role/service is not authorized to perform: ` + c.source + ":" + c.name + ` because no identity-based policy allows the action",`
		}
		at = at.Add(20 * time.Millisecond)
		fmt.Fprintf(&text, `{"eventVersion":"1.09","userIdentity":%s,"eventTime":"%s","eventSource":"%s.amazonaws.com","eventName":"%s","awsRegion":"eu-west-1","sourceIPAddress":"%s","userAgent":"%s",%s"requestParameters":%s,"responseElements":null,"additionalEventData":{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":0,"AuthenticationMethod":"AuthHeader","x-amz-id-2":"%s","bytesTransferredOut":%d},"requestID":"%s-%s-%s-%s-%s","eventID":"%s-%s-%s-%s-%s","readOnly":true,"resources":[{"accountId":"123456789012","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::data-%s"}],"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"123456789012","eventCategory":"Management","tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"%s.eu-west-1.amazonaws.com"}}`,
			by.who, at.Format(time.RFC3339), c.source, c.name, by.ip, by.agent, failed, request, hex(76), rnd.IntN(100000),
			hex(8), hex(4), hex(4), hex(4), hex(12), hex(8), hex(4), hex(4), hex(4), hex(12), hex(8), c.source)
		if n%perFile == perFile-1 || n == events-1 {
			text.WriteString(`]}`)
			var z bytes.Buffer
			w := gzip.NewWriter(&z)
			_, _ = w.Write(text.Bytes())
			_ = w.Close()
			files = append(files, z.Bytes())
		}
	}
	return files
}

// allRules is the engine of the measurements: the pack and the public rules.
func allRules(t testing.TB) *sigma.Engine {
	t.Helper()
	pack, err := detect.LoadRules(catalog.Detections, "detections", "")
	if err != nil {
		t.Fatal(err)
	}
	public, err := detect.LoadRules(os.DirFS(thirdparty.Path(t, "sigma-aws")), ".", "sigma-aws")
	if err != nil {
		t.Fatal(err)
	}
	engine, err := sigma.Compile(append(pack, public...), sigma.Options{Fields: detect.Fields()})
	if err != nil {
		t.Fatal(err)
	}
	return engine
}
