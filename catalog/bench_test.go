package catalog

import (
	"fmt"
	"iter"
	"runtime"
	"testing"
	"time"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/finding"
	"github.com/bartizan-security/bartizan/posture"
)

// generated is an estate made while it is read: accounts of a thousand resources
// of the types that real accounts are full of.
type generated struct{ accounts int }

const perAccount = 1000

func (g generated) Header() estate.Header { return estate.Header{Time: posture.ExampleTime} }

func (g generated) Accounts() iter.Seq2[*estate.Account, error] {
	return func(yield func(*estate.Account, error) bool) {
		for n := range g.accounts {
			if !yield(account(n), nil) {
				return
			}
		}
	}
}

func account(n int) *estate.Account {
	id := fmt.Sprintf("%012d", 100000000000+int64(n))
	a := &estate.Account{ID: id}
	add := func(typ, name, region, doc string) {
		v, err := estate.DecodeJSON([]byte(doc))
		if err != nil {
			panic(fmt.Sprintf("%s: %v", doc, err))
		}
		a.Resources = append(a.Resources, &estate.Resource{Type: typ, ID: name, ARN: "arn:aws:x:" + region + ":" + id + ":" + name, Account: id, Region: region, Document: v.(map[string]any)})
	}
	add("AWS::Account::Account", id, "", `{"GetAccountSummary":{"SummaryMap":{"AccountMFAEnabled":1,"AccountAccessKeysPresent":0,"AccountPasswordPresent":1}},
		"GetAccountPasswordPolicy":null,"ListVirtualMFADevices":{"VirtualMFADevices":[]},"GetPublicAccessBlock":null,"GetAlternateContactSecurity":null,
		"GetCredentialReport":{"Content":[{"user":"<root_account>","password_last_used":"2024-01-01T00:00:00+00:00","access_key_1_last_used_date":"N/A","access_key_2_last_used_date":"N/A"}]}}`)
	for _, region := range []string{"eu-west-1", "us-east-1"} {
		add("AWS::Account::Region", region, region, `{"ListAnalyzers":{"analyzers":[]},"DescribeHub":null,"ListDetectors":{"DetectorIds":["d"]},
			"DescribeConfigurationRecorderStatus":{"ConfigurationRecordersStatus":[]},"GetEbsEncryptionByDefault":{"EbsEncryptionByDefault":false}}`)
		add("AWS::GuardDuty::Detector", "d-"+region, region, `{"Status":"ENABLED","Features":[{"Name":"S3_DATA_EVENTS","Status":"ENABLED"}]}`)
	}
	for i := 0; len(a.Resources) < perAccount; i++ {
		region := []string{"eu-west-1", "us-east-1"}[i%2]
		switch i % 10 {
		case 0, 1:
			add("AWS::IAM::Role", fmt.Sprintf("role-%d", i), "", fmt.Sprintf(`{"RoleName":"role-%d","Path":"/","CreateDate":"2024-01-01T00:00:00Z","RoleLastUsed":{"LastUsedDate":"2025-12-20T00:00:00Z"},
				"AssumeRolePolicyDocument":{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]},
				"RolePolicyList":[{"PolicyName":"p","PolicyDocument":{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::b-%d/*"}]}}],
				"AttachedManagedPolicies":[{"PolicyName":"AWSLambdaBasicExecutionRole","PolicyArn":"arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"}]}`, i, i))
		case 2:
			add("AWS::S3::Bucket", fmt.Sprintf("b-%d-%d", n, i), region, fmt.Sprintf(`{"Name":"b-%d-%d","GetBucketAcl":{"Grants":[{"Grantee":{"ID":"abc","Type":"CanonicalUser"},"Permission":"FULL_CONTROL"}]},
				"GetBucketPolicy":{"Policy":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"s3:*\",\"Resource\":[\"arn:aws:s3:::b-%d\",\"arn:aws:s3:::b-%d/*\"],\"Condition\":{\"Bool\":{\"aws:SecureTransport\":\"false\"}}}]}"},
				"GetPublicAccessBlock":{"PublicAccessBlockConfiguration":{"BlockPublicAcls":true,"IgnorePublicAcls":true,"BlockPublicPolicy":true,"RestrictPublicBuckets":true}},
				"GetBucketEncryption":{"ServerSideEncryptionConfiguration":{"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"AES256"}}]}},"GetBucketVersioning":{"Status":"Enabled"},"GetBucketLogging":{}}`, n, i, i, i))
		case 3, 4:
			add("AWS::EC2::SecurityGroup", fmt.Sprintf("sg-%d", i), region, fmt.Sprintf(`{"GroupId":"sg-%d","GroupName":"web-%d","VpcId":"vpc-%d","IpPermissions":[
				{"IpProtocol":"tcp","FromPort":443,"ToPort":443,"IpRanges":[{"CidrIp":"10.0.0.0/8"},{"CidrIp":"192.168.0.0/16"}],"Ipv6Ranges":[],"PrefixListIds":[],"UserIdGroupPairs":[]},
				{"IpProtocol":"tcp","FromPort":22,"ToPort":22,"IpRanges":[{"CidrIp":"10.1.0.0/16"}],"Ipv6Ranges":[],"UserIdGroupPairs":[]}],
				"IpPermissionsEgress":[{"IpProtocol":"-1","IpRanges":[{"CidrIp":"0.0.0.0/0"}]}]}`, i, i, i%7))
		case 5, 6:
			add("AWS::EC2::NetworkInterface", fmt.Sprintf("eni-%d", i), region, fmt.Sprintf(`{"NetworkInterfaceId":"eni-%d","VpcId":"vpc-%d","SubnetId":"subnet-%d","Groups":[{"GroupId":"sg-%d","GroupName":"web"}],
				"PrivateIpAddress":"10.1.2.3","Status":"in-use","InterfaceType":"interface"}`, i, i%7, i%50, i-2))
		case 7:
			add("AWS::EC2::Instance", fmt.Sprintf("i-%d", i), region, fmt.Sprintf(`{"InstanceId":"i-%d","State":{"Name":"running"},"MetadataOptions":{"HttpTokens":"required","HttpEndpoint":"enabled"},
				"SubnetId":"subnet-%d","VpcId":"vpc-%d","SecurityGroups":[{"GroupId":"sg-%d"}],"IamInstanceProfile":{"Arn":"arn:aws:iam::111122223333:instance-profile/a"}}`, i, i%50, i%7, i))
		case 8:
			add("AWS::EC2::Volume", fmt.Sprintf("vol-%d", i), region, fmt.Sprintf(`{"VolumeId":"vol-%d","Encrypted":true,"KmsKeyId":"arn:aws:kms:x","State":"in-use","Attachments":[{"InstanceId":"i-%d"}]}`, i, i))
		case 9:
			add("AWS::Logs::LogGroup", fmt.Sprintf("/aws/lambda/f-%d", i), region, fmt.Sprintf(`{"logGroupName":"/aws/lambda/f-%d","retentionInDays":400}`, i))
		}
	}
	a.Sort()
	return a
}

// BenchmarkScan checks 100,000 resources in 100 accounts with all controls. It
// reports resources per second and the peak of live memory over the baseline.
func BenchmarkScan(b *testing.B) {
	list := loadControls(b)
	set, err := posture.Compile(list)
	if err != nil {
		b.Fatal(err)
	}
	for _, accounts := range []int{10, 100} {
		b.Run(fmt.Sprintf("%d-accounts", accounts), func(b *testing.B) {
			var peak uint64
			results := 0
			for b.Loop() {
				src, from := &timed{inner: generated{accounts}}, time.Now()
				sum, err := set.Run(b.Context(), src, posture.Options{Now: posture.ExampleTime}, func(f finding.Finding) error {
					results++
					if results%200_000 == 0 {
						var m runtime.MemStats
						runtime.ReadMemStats(&m)
						peak = max(peak, m.HeapInuse)
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
				if sum.Resources != accounts*perAccount {
					b.Fatalf("%d resources", sum.Resources)
				}
				own := time.Since(from) - src.making
				b.ReportMetric(float64(sum.Resources)/own.Seconds(), "resources/s")
			}
			b.ReportMetric(float64(peak)/(1<<20), "MB-heap")
			b.ReportMetric(float64(len(list)), "controls")
		})
	}
}

// timed takes the time that making the estate costs off the scan's.
type timed struct {
	inner  estate.Source
	making time.Duration
}

func (t *timed) Header() estate.Header { return t.inner.Header() }

func (t *timed) Accounts() iter.Seq2[*estate.Account, error] {
	return func(yield func(*estate.Account, error) bool) {
		from := time.Now()
		for a, err := range t.inner.Accounts() {
			t.making += time.Since(from)
			if !yield(a, err) {
				return
			}
			from = time.Now()
		}
	}
}
