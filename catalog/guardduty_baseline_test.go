package catalog_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/baseline"
	"github.com/bartizan-security/bartizan/detect/logs"
	"github.com/bartizan-security/bartizan/detect/sigma"
	"github.com/bartizan-security/bartizan/finding"
)

// deed is a call, or several of one kind a second apart.
type deed struct {
	at      string // 15:04
	who     string // a user, PERMISSIONSET/person, or role/NAME/session
	call    string // iam:CreateUser
	request string // JSON; {i} is the number of the repetition
	times   int    // 1 if it is zero
	from    string // the office if it is empty
	agent   string // the command line if it is empty
	region  string // eu-west-1 if it is empty
	refused bool
}

// habit is what somebody does over and over.
type habit struct {
	on func(time.Weekday) bool
	deed
}

func weekdays(d time.Weekday) bool { return d != time.Saturday && d != time.Sunday }
func daily(time.Weekday) bool      { return true }
func on(day time.Weekday) func(time.Weekday) bool {
	return func(d time.Weekday) bool { return d == day }
}

const (
	office  = "198.51.100.20" // Amsterdam
	runner  = "192.0.2.140"   // where deployments come from
	inside  = "10.0.3.17"
	foreign = "203.0.113.77"
	console = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
	app     = "aws-sdk-java/2.29.0 Linux/6.1 OpenJDK_64-Bit_Server_VM/21"
	stolen  = "Boto3/1.35.0 md/Botocore#1.35.0 ua/2.0 os/linux#6.11-amd64"
)

// ordinary is five weeks of a small company: an analyst, a developer, three people
// of a platform team, deployments, a shop and a nightly export.
var ordinary = []habit{
	{weekdays, deed{at: "08:55", who: "lena", call: "signin:ConsoleLogin", agent: console}},
	{weekdays, deed{at: "09:05", who: "lena", call: "athena:StartQueryExecution", request: `{"queryString":"…","workGroup":"primary"}`, times: 6}},
	{weekdays, deed{at: "09:20", who: "lena", call: "s3:GetObject", request: `{"bucketName":"acme-reports","key":"2026/{i}.csv"}`, times: 3}},
	{weekdays, deed{at: "09:30", who: "lena", call: "secretsmanager:GetSecretValue", request: `{"secretId":"warehouse/lena"}`}},
	{weekdays, deed{at: "10:00", who: "mark", call: "lambda:UpdateFunctionCode20150331v2", request: `{"functionName":"resize-images"}`, times: 2}},
	{weekdays, deed{at: "10:10", who: "mark", call: "lambda:GetFunction20150331v2", request: `{"functionName":"resize-images"}`, times: 3}},
	{weekdays, deed{at: "10:20", who: "mark", call: "logs:FilterLogEvents", request: `{"logGroupName":"/aws/lambda/resize-images"}`, times: 5}},
	{weekdays, deed{at: "09:40", who: "Platform/sara", call: "ec2:DescribeInstances", times: 4}},
	{weekdays, deed{at: "09:45", who: "Platform/tom", call: "ec2:DescribeInstances", times: 4}},
	{weekdays, deed{at: "09:50", who: "Platform/ute", call: "ec2:DescribeInstances", times: 4}},
	{weekdays, deed{at: "14:00", who: "Platform/ute", call: "ssm:StartSession", request: `{"target":"i-0a1b2c3d4e5f67890"}`}},
	{on(time.Tuesday), deed{at: "11:00", who: "Platform/sara", call: "iam:CreateAccessKey", request: `{"userName":"ci"}`}},
	{on(time.Tuesday), deed{at: "11:10", who: "Platform/tom", call: "iam:CreateAccessKey", request: `{"userName":"ci"}`}},
	{on(time.Tuesday), deed{at: "11:20", who: "Platform/ute", call: "iam:CreateAccessKey", request: `{"userName":"ci"}`}},
	{on(time.Wednesday), deed{at: "11:30", who: "Platform/tom", call: "ec2:ImportKeyPair", request: `{"keyName":"bastion"}`}},
	{on(time.Thursday), deed{at: "13:00", who: "Platform/tom", call: "ec2:CopySnapshot", request: `{"sourceSnapshotId":"snap-0a1b2c3d4e5f67890","sourceRegion":"eu-west-1"}`, region: "eu-central-1"}},
	{on(time.Friday), deed{at: "13:10", who: "Platform/tom", call: "iam:ListUsers"}},
	{on(time.Friday), deed{at: "13:11", who: "Platform/tom", call: "iam:ListRoles"}},
	{on(time.Friday), deed{at: "13:12", who: "Platform/tom", call: "iam:GetAccountAuthorizationDetails"}},
	{on(time.Friday), deed{at: "13:13", who: "Platform/tom", call: "ec2:DescribeSecurityGroups"}},
	{on(time.Friday), deed{at: "13:14", who: "Platform/tom", call: "ec2:DescribeSnapshots"}},
	{on(time.Friday), deed{at: "13:15", who: "Platform/tom", call: "s3:ListBuckets"}},
	{on(time.Friday), deed{at: "13:16", who: "Platform/tom", call: "rds:DescribeDBInstances"}},
	{on(time.Friday), deed{at: "13:17", who: "Platform/tom", call: "secretsmanager:ListSecrets"}},
	{on(time.Friday), deed{at: "13:18", who: "Platform/tom", call: "kms:ListKeys"}},
	{weekdays, deed{at: "12:00", who: "role/deploy/gha", call: "cloudformation:UpdateStack", request: `{"stackName":"shop"}`, times: 30, from: runner, agent: app}},
	{weekdays, deed{at: "12:10", who: "role/deploy/gha", call: "s3:PutBucketPolicy", request: `{"bucketName":"acme-site"}`, from: runner, agent: app}},
	{weekdays, deed{at: "12:11", who: "role/deploy/gha", call: "ec2:DeleteSecurityGroup", request: `{"groupId":"sg-0a1b2c3d4e5f6{i}"}`, times: 2, from: runner, agent: app}},
	{daily, deed{at: "06:00", who: "role/shop/i-0a1b2c3d4e5f67890", call: "s3:GetObject", request: `{"bucketName":"acme-site","key":"{i}.html"}`, times: 20, from: inside, agent: app}},
	{daily, deed{at: "18:00", who: "role/shop/i-0a1b2c3d4e5f67890", call: "s3:PutObject", request: `{"bucketName":"acme-orders","key":"{i}.json"}`, times: 20, from: inside, agent: app}},
	{daily, deed{at: "02:00", who: "role/nightly-export/run", call: "secretsmanager:GetSecretValue", request: `{"secretId":"tenant/{i}"}`, times: 40, from: inside, agent: app}},
	{daily, deed{at: "02:05", who: "role/nightly-export/run", call: "s3:GetObject", request: `{"bucketName":"acme-tenant-{i}","key":"all.parquet"}`, times: 30, from: inside, agent: app}},
	{daily, deed{at: "02:20", who: "role/nightly-export/run", call: "s3:DeleteObject", request: `{"bucketName":"acme-exports","key":"old-{i}"}`, times: 5, from: inside, agent: app}},
}

// baselineCase is a day that is not like the days before, and one that comes near
// and is no finding.
type baselineCase struct {
	name string
	on   string // the day; Wednesday the 11th of February if it is empty
	day  []deed
	why  string // the near miss is none
	near []deed
}

var baselineCases = []baselineCase{
	{name: "discovery",
		day: []deed{{at: "22:10", who: "mark", call: "iam:ListUsers", from: foreign}, {at: "22:10", who: "mark", call: "iam:ListRoles", from: foreign}, {at: "22:11", who: "mark", call: "iam:GetAccountAuthorizationDetails", from: foreign},
			{at: "22:11", who: "mark", call: "ec2:DescribeSecurityGroups", from: foreign}, {at: "22:12", who: "mark", call: "ec2:DescribeSnapshots", from: foreign}, {at: "22:12", who: "mark", call: "s3:ListBuckets", from: foreign},
			{at: "22:13", who: "mark", call: "rds:DescribeDBInstances", from: foreign}, {at: "22:13", who: "mark", call: "secretsmanager:ListSecrets", from: foreign}, {at: "22:14", who: "mark", call: "kms:ListKeys", from: foreign}},
		why: "Tom takes stock every week, and is on the road today.",
		near: []deed{{at: "15:10", who: "Platform/tom", call: "iam:ListUsers", from: foreign}, {at: "15:10", who: "Platform/tom", call: "iam:ListRoles", from: foreign}, {at: "15:11", who: "Platform/tom", call: "iam:GetAccountAuthorizationDetails", from: foreign},
			{at: "15:12", who: "Platform/tom", call: "ec2:DescribeSnapshots", from: foreign}, {at: "15:13", who: "Platform/tom", call: "kms:ListKeys", from: foreign}}},
	{name: "secrets",
		day:  []deed{{at: "09:30", who: "lena", call: "secretsmanager:GetSecretValue", request: `{"secretId":"tenant/{i}"}`, times: 18, from: foreign}},
		why:  "The export reads forty secrets every night, and there are five new tenants.",
		near: []deed{{at: "02:00", who: "role/nightly-export/run", call: "secretsmanager:GetSecretValue", request: `{"secretId":"tenant/{i}"}`, times: 45, from: inside, agent: app}}},
	{name: "first-access",
		day: []deed{{at: "03:15", who: "mark", call: "sts:GetFederationToken", request: `{"name":"m"}`, from: foreign, agent: stolen}, {at: "03:16", who: "mark", call: "ecr:GetAuthorizationToken", from: foreign, agent: stolen},
			{at: "03:18", who: "mark", call: "ssm:StartSession", request: `{"target":"i-0a1b2c3d4e5f67890"}`, from: foreign, agent: stolen}},
		why:  "Ute opens a session every day; today from home.",
		near: []deed{{at: "20:18", who: "Platform/ute", call: "ssm:StartSession", request: `{"target":"i-0a1b2c3d4e5f67890"}`, from: foreign}}},
	{name: "persistence",
		day: []deed{{at: "22:31", who: "mark", call: "iam:CreateAccessKey", request: `{"userName":"lena"}`, from: foreign}, {at: "22:33", who: "mark", call: "ec2:ImportKeyPair", request: `{"keyName":"mark2"}`, from: foreign}},
		why: "To import a key pair is new to Sara, but a colleague of the same permission set does it every week.",
		near: []deed{{at: "11:31", who: "Platform/sara", call: "iam:CreateAccessKey", request: `{"userName":"ci"}`},
			{at: "11:33", who: "Platform/sara", call: "ec2:ImportKeyPair", request: `{"keyName":"bastion"}`}}},
	{name: "escalation",
		day: []deed{{at: "22:40", who: "mark", call: "iam:AttachUserPolicy", request: `{"userName":"mark","policyArn":"arn:aws:iam::aws:policy/AdministratorAccess"}`, times: 3, refused: true},
			{at: "22:42", who: "mark", call: "iam:PutUserPolicy", request: `{"userName":"mark","policyName":"p{i}"}`, times: 3, refused: true}, {at: "22:47", who: "mark", call: "iam:PutUserPolicy", request: `{"userName":"mark","policyName":"x"}`}},
		why:  "He is refused and leaves it at that.",
		near: []deed{{at: "16:42", who: "mark", call: "iam:PutUserPolicy", request: `{"userName":"mark","policyName":"p{i}"}`, times: 6, refused: true}}},
	{name: "defense-evasion",
		day: []deed{{at: "12:40", who: "role/deploy/gha", call: "cloudtrail:StopLogging", request: `{"name":"main"}`, from: runner, agent: app}, {at: "12:41", who: "role/deploy/gha", call: "ec2:DeleteFlowLogs", request: `{"DeleteFlowLogsRequest":{"FlowLogId":{"tag":1,"content":"fl-0a1b2c3d4e5f67890"}}}`, from: runner, agent: app},
			{at: "12:42", who: "role/deploy/gha", call: "monitoring:DisableAlarmActions", request: `{"alarmNames":["root-used"]}`, from: runner, agent: app}},
		why:  "One alarm is silenced while its stack is deployed.",
		near: []deed{{at: "12:42", who: "role/deploy/gha", call: "monitoring:DisableAlarmActions", request: `{"alarmNames":["shop-latency"]}`, from: runner, agent: app}}},
	{name: "exfiltration",
		day: []deed{{at: "23:02", who: "mark", call: "ec2:CopySnapshot", request: `{"sourceSnapshotId":"snap-0a1b2c3d4e5f67890","sourceRegion":"eu-west-1"}`, region: "ap-southeast-1"},
			{at: "23:05", who: "mark", call: "rds:RestoreDBInstanceFromDBSnapshot", request: `{"dBSnapshotIdentifier":"orders","dBInstanceIdentifier":"o2"}`, region: "ap-southeast-1"}},
		why:  "Tom copies a snapshot to the second region every week.",
		near: []deed{{at: "13:02", who: "Platform/tom", call: "ec2:CopySnapshot", request: `{"sourceSnapshotId":"snap-0a1b2c3d4e5f67890","sourceRegion":"eu-west-1"}`, region: "eu-central-1"}}},
	{name: "impact", on: "2026-02-15",
		day: []deed{{at: "03:20", who: "role/deploy/gha", call: "ec2:DeleteSecurityGroup", request: `{"groupId":"sg-0a1b2c3d4e5f6{i}"}`, times: 30, from: runner, agent: app},
			{at: "03:21", who: "role/deploy/gha", call: "iam:UpdateUser", request: `{"userName":"lena","newUserName":"x"}`, from: runner, agent: app}},
		why:  "A deployment on a Sunday, of a few calls.",
		near: []deed{{at: "12:11", who: "role/deploy/gha", call: "ec2:DeleteSecurityGroup", request: `{"groupId":"sg-0a1b2c3d4e5f6{i}"}`, times: 5, from: runner, agent: app}}},
	{name: "buckets-read",
		day:  []deed{{at: "21:05", who: "lena", call: "s3:GetObject", request: `{"bucketName":"acme-tenant-{i}","key":"all.parquet"}`, times: 25, from: foreign}},
		why:  "The export reads thirty buckets every night.",
		near: []deed{{at: "02:05", who: "role/nightly-export/run", call: "s3:GetObject", request: `{"bucketName":"acme-tenant-{i}","key":"all.parquet"}`, times: 32, from: inside, agent: app}}},
	{name: "buckets-explored",
		day: []deed{{at: "11:05", who: "role/shop/i-0a1b2c3d4e5f67890", call: "s3:ListObjects", request: `{"bucketName":"acme-tenant-{i}","list-type":"2"}`, times: 15, from: inside, agent: app},
			{at: "11:06", who: "role/shop/i-0a1b2c3d4e5f67890", call: "s3:GetBucketAcl", request: `{"bucketName":"acme-tenant-{i}","acl":""}`, times: 15, from: inside, agent: app},
			{at: "11:07", who: "role/shop/i-0a1b2c3d4e5f67890", call: "s3:GetBucketPolicy", request: `{"bucketName":"acme-tenant-{i}","policy":""}`, times: 15, from: inside, agent: app}},
		why: "A new version of the shop lists two buckets.",
		near: []deed{{at: "11:05", who: "role/shop/i-0a1b2c3d4e5f67890", call: "s3:ListObjects", request: `{"bucketName":"acme-tenant-{i}","list-type":"2"}`, times: 2, from: inside, agent: app},
			{at: "11:06", who: "role/shop/i-0a1b2c3d4e5f67890", call: "s3:GetBucketAcl", request: `{"bucketName":"acme-tenant-{i}","acl":""}`, times: 2, from: inside, agent: app}}},
	{name: "objects-deleted",
		day:  []deed{{at: "23:40", who: "role/shop/i-0a1b2c3d4e5f67890", call: "s3:DeleteObject", request: `{"bucketName":"acme-orders","key":"{i}.json"}`, times: 19, from: foreign, agent: stolen}},
		why:  "The export deletes what it wrote before, as every night.",
		near: []deed{{at: "02:20", who: "role/nightly-export/run", call: "s3:DeleteObject", request: `{"bucketName":"acme-exports","key":"old-{i}"}`, times: 9, from: inside, agent: app}}},
	{name: "objects-written",
		day:  []deed{{at: "23:50", who: "mark", call: "s3:PutObject", request: `{"bucketName":"acme-tenant-{i}","key":"all.parquet"}`, times: 12, from: foreign}},
		why:  "Mark writes into one bucket, for the first time.",
		near: []deed{{at: "11:50", who: "mark", call: "s3:PutObject", request: `{"bucketName":"acme-site","key":"{i}.png"}`, times: 12}}},
	{name: "permissions",
		day: []deed{{at: "23:20", who: "mark", call: "s3:PutBucketAcl", request: `{"bucketName":"acme-reports","acl":"","x-amz-acl":"public-read"}`, from: foreign},
			{at: "23:21", who: "mark", call: "s3:PutObjectAcl", request: `{"bucketName":"acme-reports","key":"2026/1.csv","acl":"","x-amz-acl":"public-read"}`, from: foreign}},
		why:  "Deployments write the policy of the site's bucket every day.",
		near: []deed{{at: "12:10", who: "role/deploy/gha", call: "s3:PutBucketPolicy", request: `{"bucketName":"acme-site"}`, from: runner, agent: app}}},
	{name: "two-places",
		day:  []deed{{at: "08:55", who: "lena", call: "signin:ConsoleLogin", agent: console}, {at: "10:25", who: "lena", call: "signin:ConsoleLogin", agent: console, from: foreign}},
		why:  "The next city, by train.",
		near: []deed{{at: "08:55", who: "lena", call: "signin:ConsoleLogin", agent: console}, {at: "10:25", who: "lena", call: "signin:ConsoleLogin", agent: console, from: "203.0.113.200"}}},
}

const addresses = "cidr,latitude,longitude,name\n198.51.100.0/24,52.37,4.90,Amsterdam\n203.0.113.0/25,-23.55,-46.63,São Paulo\n203.0.113.128/25,51.92,4.48,Rotterdam\n"

// records are a deed as CloudTrail writes it.
func (d deed) records(t testing.TB, day time.Time) string {
	t.Helper()
	const account = "111122223333"
	clock, err := time.Parse("15:04", d.at)
	if err != nil {
		t.Fatal(err)
	}
	service, name, _ := strings.Cut(d.call, ":")
	or := func(s, other string) string {
		if s == "" {
			return other
		}
		return s
	}
	var b strings.Builder
	for i := range max(d.times, 1) {
		at := day.Add(time.Duration(clock.Hour())*time.Hour + time.Duration(clock.Minute())*time.Minute + time.Duration(i)*time.Second)
		id := map[string]any{"type": "IAMUser", "principalId": "AIDA" + strings.ToUpper(d.who) + "EXAMPLE", "arn": "arn:aws:iam::" + account + ":user/" + d.who, "accountId": account, "userName": d.who}
		if role, session, ok := strings.Cut(strings.TrimPrefix(d.who, "role/"), "/"); ok {
			arn := "arn:aws:iam::" + account + ":role/" + role
			if !strings.HasPrefix(d.who, "role/") {
				role = "AWSReservedSSO_" + role + "_0123456789abcdef"
				arn, session = "arn:aws:iam::"+account+":role/aws-reserved/sso.amazonaws.com/eu-west-1/"+role, session+"@acme.example"
			}
			id = map[string]any{"type": "AssumedRole", "principalId": "AROAEXAMPLE:" + session, "arn": "arn:aws:sts::" + account + ":assumed-role/" + role + "/" + session, "accountId": account, "accessKeyId": "ASIAEXAMPLE",
				"sessionContext": map[string]any{"sessionIssuer": map[string]any{"type": "Role", "principalId": "AROAEXAMPLE", "arn": arn, "accountId": account, "userName": role},
					"attributes": map[string]any{"creationDate": day.Format(time.RFC3339), "mfaAuthenticated": "false"}}}
		} else if service != "signin" {
			id["accessKeyId"] = "AKIA" + strings.ToUpper(d.who) + "EXAMPLE"
		}
		reads := slices.ContainsFunc([]string{"Get", "List", "Describe", "Filter"}, func(p string) bool { return strings.HasPrefix(name, p) })
		region := or(d.region, "eu-west-1")
		if service == "iam" {
			region = "us-east-1"
		}
		r := map[string]any{"eventVersion": "1.11", "userIdentity": id, "eventTime": at.Format(time.RFC3339), "eventSource": service + ".amazonaws.com", "eventName": name, "awsRegion": region,
			"sourceIPAddress": or(d.from, office), "userAgent": or(d.agent, "aws-cli/2.22.10 md/awscrt#0.23.4 ua/2.0 os/macos#24.1.0 md/arch#arm64 lang/python#3.12.6"),
			"requestParameters": nil, "responseElements": nil, "requestID": fmt.Sprintf("%s-%s-%d-r", d.who, at.Format("150405"), i), "eventID": fmt.Sprintf("%s-%s-%s-%d", name, day.Format("0102"), d.at, i), "readOnly": reads,
			"eventType": "AwsApiCall", "managementEvent": true, "recipientAccountId": account, "eventCategory": "Management"}
		if d.request != "" {
			var request map[string]any
			if err := json.Unmarshal([]byte(strings.ReplaceAll(d.request, "{i}", fmt.Sprint(i))), &request); err != nil {
				t.Fatalf("%s: %v", d.request, err)
			}
			r["requestParameters"] = request
		}
		switch {
		case d.refused:
			r["errorCode"], r["errorMessage"] = "AccessDenied", fmt.Sprintf("User: %v is not authorized to perform: %s", id["arn"], d.call)
		case service == "signin":
			r["eventType"], r["responseElements"] = "AwsConsoleSignIn", map[string]any{"ConsoleLogin": "Success"}
			r["additionalEventData"] = map[string]any{"LoginTo": "https://console.aws.amazon.com/console/home", "MobileVersion": "No", "MFAUsed": "Yes"}
		}
		if strings.HasSuffix(name, "Object") || strings.HasSuffix(name, "ObjectAcl") || name == "ListObjects" {
			r["managementEvent"], r["eventCategory"] = false, "Data"
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(text)
		b.WriteByte('\n')
	}
	return b.String()
}

// feed reads records as detect does.
func feed(t testing.TB, text string, gather func() detect.Gatherer) {
	t.Helper()
	engine, err := sigma.Compile(nil, sigma.Options{Fields: append(detect.Fields(), baseline.Fields()...)})
	if err != nil {
		t.Fatal(err)
	}
	stats, err := detect.Run(context.Background(), []logs.Source{logs.FromReader("log", strings.NewReader(text))}, engine,
		detect.Options{Workers: 1, Gather: gather, Problem: func(p logs.Problem) { t.Error(p) }}, func(*detect.Match) error { return nil })
	if err != nil || stats.Events != int64(strings.Count(text, "\n")) {
		t.Fatalf("%d events read of %d: %v", stats.Events, strings.Count(text, "\n"), err)
	}
}

var firstMonday = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

var ordinaryPast struct {
	sync.Once
	state *baseline.State
}

// ordinaryState is what five ordinary weeks taught.
func ordinaryState(t testing.TB) *baseline.State {
	t.Helper()
	ordinaryPast.Do(func() {
		var b strings.Builder
		for day := range 35 {
			at := firstMonday.AddDate(0, 0, day)
			for _, h := range ordinary {
				if h.on(at.Weekday()) {
					b.WriteString(h.records(t, at))
				}
			}
		}
		s := baseline.New()
		l := baseline.NewLearner(s)
		feed(t, b.String(), func() detect.Gatherer { return l.Extractor() })
		l.Finish()
		ordinaryPast.state = s
	})
	if ordinaryPast.state == nil {
		t.Fatal("the past was not learned")
	}
	return ordinaryPast.state
}

// judgeDay is what the baseline says of a day, with the defaults.
func judgeDay(t testing.TB, c baselineCase, deeds []deed) []*finding.Finding {
	t.Helper()
	places, err := baseline.ReadPlaces(strings.NewReader(addresses))
	if err != nil {
		t.Fatal(err)
	}
	day := firstMonday.AddDate(0, 0, 37)
	if c.on != "" {
		if day, err = time.Parse(time.DateOnly, c.on); err != nil {
			t.Fatal(err)
		}
	}
	var out []*finding.Finding
	j := baseline.NewJudge(ordinaryState(t), baseline.Options{Places: places}, func(f *finding.Finding) error { out = append(out, f); return nil })
	var b strings.Builder
	for _, d := range deeds {
		b.WriteString(d.records(t, day))
	}
	feed(t, b.String(), func() detect.Gatherer { return j.Extractor() })
	if err := j.Finish(); err != nil {
		t.Fatal(err)
	}
	return out
}

// checkBaseline proves a claim: the day of a case is one finding, in which every
// claimed term is printed with its events.
func checkBaseline(t *testing.T, typ string, cl claim) {
	t.Helper()
	i := slices.IndexFunc(baselineCases, func(c baselineCase) bool { return c.name == cl.Case })
	if i < 0 {
		t.Errorf("%s: there is no case %s", typ, cl.Case)
		return
	}
	got := judgeDay(t, baselineCases[i], baselineCases[i].day)
	if len(got) != 1 {
		t.Errorf("%s: case %s gives %d findings, want 1", typ, cl.Case, len(got))
		return
	}
	for _, term := range cl.Terms {
		path := strings.TrimPrefix(term, "baseline/")
		printed := slices.ContainsFunc(got[0].Evidence, func(e finding.Evidence) bool {
			return e.Path == path && strings.HasPrefix(e.Note, "+") && slices.ContainsFunc(got[0].EventIDs, func(id string) bool { return strings.Contains(e.Note, id) })
		})
		if !printed {
			t.Errorf("%s: case %s has no term %s with its events:\n%s\n%+v", typ, cl.Case, path, got[0].Reason, got[0].Evidence)
		}
	}
}

// TestBaselineCases: every case is a finding, none of the near misses is, and the
// past itself holds none.
func TestBaselineCases(t *testing.T) {
	rows, _, _ := readCoverage(t)
	claimed := map[string]bool{}
	for _, r := range rows {
		for _, cl := range r.Claims {
			claimed[cl.Case] = true
			for _, term := range cl.Terms {
				claimed[term] = true
			}
		}
	}
	for _, id := range baseline.Rules() {
		if !claimed[id] {
			t.Errorf("no finding type claims %s", id)
		}
	}
	for _, c := range baselineCases {
		if !claimed[c.name] {
			t.Errorf("no finding type claims case %s", c.name)
		}
		if got := judgeDay(t, c, c.day); len(got) == 1 {
			t.Logf("%s: %s", c.name, got[0].Reason)
		}
		if c.why == "" || len(c.near) == 0 {
			t.Errorf("%s has no near miss with a reason", c.name)
		}
		for _, f := range judgeDay(t, c, c.near) {
			t.Errorf("%s: the near miss is a finding: %s", c.name, f.Reason)
		}
	}
	for day := range 7 {
		var deeds []deed
		at := firstMonday.AddDate(0, 0, 35+day)
		for _, h := range ordinary {
			if h.on(at.Weekday()) {
				deeds = append(deeds, h.deed)
			}
		}
		for _, f := range judgeDay(t, baselineCase{on: at.Format(time.DateOnly)}, deeds) {
			t.Errorf("an ordinary %s is a finding: %s", at.Weekday(), f.Reason)
		}
	}
}
