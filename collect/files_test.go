package collect_test

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/bartizan-security/bartizan/collect"
	"github.com/bartizan-security/bartizan/estate"
)

func files(t *testing.T, o collect.FileOptions, content map[string]string) (*estate.Estate, []collect.Skipped, error) {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range content {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	o.Catalogue, o.Time = catalogue(t), fixed
	return collect.Files(fsys, o)
}

// What a file is, its content says, whatever its name.
func TestFilesAreRecognisedByContent(t *testing.T) {
	const arn = "arn:aws:elasticloadbalancing:eu-west-1:111111111111:loadbalancer/app/web/1"
	for _, c := range []struct{ name, text, want string }{
		{"reservations are instances", `{"Reservations":[{"Instances":[{"InstanceId":"i-1","Placement":{"AvailabilityZone":"eu-west-1b"},"Tags":[{"Key":"a","Value":"b"}]}]}]}`,
			"AWS::EC2::Instance i-1 000000000000 eu-west-1 map[a:b]"},
		{"security groups", `{"SecurityGroups":[{"GroupId":"sg-1","OwnerId":"111111111111"}]}`, "AWS::EC2::SecurityGroup sg-1 111111111111  map[]"},
		{"an application load balancer", `{"LoadBalancers":[{"LoadBalancerArn":"` + arn + `"}]}`, "AWS::ElasticLoadBalancingV2::LoadBalancer " + arn + " 111111111111 eu-west-1 map[]"},
		{"a classic load balancer", `{"LoadBalancerDescriptions":[{"LoadBalancerName":"old"}]}`, "AWS::ElasticLoadBalancing::LoadBalancer old 000000000000  map[]"},
		{"Redshift's clusters", `{"Clusters":[{"ClusterIdentifier":"w"}]}`, "AWS::Redshift::Cluster w 000000000000  map[]"},
		{"EMR's clusters", `{"Clusters":[{"Id":"j-1","ClusterArn":"arn:aws:elasticmapreduce:us-east-1:111111111111:cluster/j-1"}]}`, "AWS::EMR::Cluster j-1 111111111111 us-east-1 map[]"},
		{"SNS topics", `{"Topics":[{"TopicArn":"arn:aws:sns:us-east-1:111111111111:t"}]}`, "AWS::SNS::Topic arn:aws:sns:us-east-1:111111111111:t 111111111111 us-east-1 map[]"},
		{"table names", `{"TableNames":["orders"]}`, "AWS::DynamoDB::Table orders 000000000000  map[]"},
		{"trails", `{"trailList":[{"Name":"t","TrailARN":"arn:aws:cloudtrail:us-east-1:111111111111:trail/t","HomeRegion":"us-east-1"}]}`, "AWS::CloudTrail::Trail t 111111111111 us-east-1 map[]"},
		{"one authorization-details file holds four types", `{"UserDetailList":[{"UserName":"u","Arn":"arn:aws:iam::111111111111:user/u"}],"GroupDetailList":[],` +
			`"RoleDetailList":[{"RoleName":"r","Arn":"arn:aws:iam::111111111111:role/r"}],"Policies":[{"Arn":"arn:aws:iam::aws:policy/AdministratorAccess"}]}`,
			"AWS::IAM::ManagedPolicy arn:aws:iam::aws:policy/AdministratorAccess 111111111111  map[]\nAWS::IAM::Role r 111111111111  map[]\nAWS::IAM::User u 111111111111  map[]"},
		{"web ACLs of CloudFront are global", `{"WebACLs":[{"Name":"w","Id":"1","ARN":"arn:aws:wafv2:us-east-1:111111111111:global/webacl/w/1"}]}`, "AWS::WAFv2::WebACL 1 111111111111  map[]"},
		{"web ACLs of a region are not", `{"WebACLs":[{"Name":"w","Id":"1","ARN":"arn:aws:wafv2:us-east-1:111111111111:regional/webacl/w/1"}]}`, "AWS::WAFv2::WebACL 1 111111111111 us-east-1 map[]"},
		{"a byte order mark does not matter", "\ufeff" + `{"Vpcs":[{"VpcId":"vpc-1","OwnerId":"111111111111"}]}`, "AWS::EC2::VPC vpc-1 111111111111  map[]"},
	} {
		e, skipped, err := files(t, collect.FileOptions{}, map[string]string{"anything.json": c.text})
		if err != nil || len(skipped) > 0 {
			t.Errorf("%s: %v %v", c.name, err, skipped)
			continue
		}
		var got []string
		for r := range e.Resources() {
			got = append(got, fmt.Sprintf("%s %s %s %s %v", r.Type, r.ID, r.Account, r.Region, r.Tags))
		}
		if s := strings.Join(got, "\n"); s != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, s, c.want)
		}
	}
}

// Where content does not say account and region, the path may.
func TestPlaceFromPath(t *testing.T) {
	e, skipped, err := files(t, collect.FileOptions{}, map[string]string{
		"111111111111/eu-west-1/volumes.json":                       `{"Volumes":[{"VolumeId":"vol-1"}]}`,
		"222222222222/us-gov-west-1_describe-volumes.json":          `{"Volumes":[{"VolumeId":"vol-2"}]}`,
		"222222222222/eu-west-2/get-ebs-encryption-by-default.json": `{"EbsEncryptionByDefault":true}`,
		"222222222222/buckets.json":                                 `{"Buckets":[{"Name":"b"}]}`,
	})
	if err != nil || len(skipped) > 0 {
		t.Fatal(err, skipped)
	}
	var got []string
	for r := range e.Resources() {
		got = append(got, fmt.Sprintf("%s %s %s", r.ID, r.Account, r.Region))
	}
	if want := []string{"vol-1 111111111111 eu-west-1", "eu-west-2 222222222222 eu-west-2", "vol-2 222222222222 us-gov-west-1", "b 222222222222 "}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPartsAreFoundByName(t *testing.T) {
	e, skipped, err := files(t, collect.FileOptions{Account: "111111111111", Region: "eu-west-1"}, map[string]string{
		"buckets.json":                      `{"Buckets":[{"Name":"logs"},{"Name":"logs-2"},{"Name":"data"}]}`,
		"get-bucket-policy-logs.json":       `{"Policy":"{}"}`,
		"logs-2/get-bucket-versioning.json": `{"Status":"Enabled"}`,
		"s3api_get-bucket-location-logs-2":  `{"LocationConstraint":"EU"}`,
		"get-account-password-policy.json":  `{"PasswordPolicy":{"MinimumPasswordLength":8}}`,
		"get-ebs-encryption-by-default.txt": `{"EbsEncryptionByDefault":true}`,
		"get-bucket-policy.json":            `{"Policy":"whose?"}`,
		"notes.json":                        `[1]`,
		"broken.json":                       `{"Vpcs":`,
	})
	if err != nil {
		t.Fatal(err)
	}
	logs, logs2 := find(t, e, "AWS::S3::Bucket", "logs"), find(t, e, "AWS::S3::Bucket", "logs-2")
	if got := valueAt(t, logs.Document, "GetBucketPolicy.Policy"); got != `"{}"` {
		t.Errorf("policy of logs: %s", got)
	}
	if got := valueAt(t, logs2.Document, "GetBucketVersioning.Status"); got != `"Enabled"` {
		t.Errorf("versioning of logs-2: %s", got)
	}
	if logs2.Region != "eu-west-1" {
		t.Errorf("logs-2 is in %q", logs2.Region)
	}
	if got := valueAt(t, find(t, e, "AWS::Account::Account", "111111111111").Document, "GetAccountPasswordPolicy.PasswordPolicy.MinimumPasswordLength"); got != "8" {
		t.Errorf("password policy: %s", got)
	}
	if got := valueAt(t, find(t, e, "AWS::Account::Region", "eu-west-1").Document, "GetEbsEncryptionByDefault.EbsEncryptionByDefault"); got != "true" {
		t.Errorf("default encryption: %s", got)
	}
	// A part without a file is unknown, never absent.
	parts := map[string]bool{}
	for _, g := range find(t, e, "AWS::S3::Bucket", "data").Unknown {
		parts[g.Part] = g.Code == collect.CodeNotCollected && g.Operation != "" && g.Reason != ""
	}
	if !parts["GetBucketPolicy"] || !parts["GetBucketEncryption"] {
		t.Errorf("unknown parts of data: %v", parts)
	}
	var names []string
	for _, s := range skipped {
		names = append(names, s.File)
	}
	slices.Sort(names)
	if want := []string{"broken.json", "get-bucket-policy.json", "notes.json"}; !slices.Equal(names, want) {
		t.Errorf("skipped %v, want %v", skipped, want)
	}
}

func FuzzFiles(f *testing.F) {
	f.Add("get-bucket-policy-logs.json", []byte(`{"Buckets":[{"Name":"logs"}]}`))
	f.Add("x.json", []byte(`{"UserDetailList":[{"UserName":"u","Arn":"arn:aws:iam::1:user/u"}]}`))
	cat := catalogue(f)
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		fsys := fstest.MapFS{"buckets.json": &fstest.MapFile{Data: []byte(`{"Buckets":[{"Name":"logs"}]}`)}}
		if fs.ValidPath(name) && name != "." {
			fsys[name] = &fstest.MapFile{Data: content}
		}
		_, _, _ = collect.Files(fsys, collect.FileOptions{Catalogue: cat})
	})
}
