package logs_test

import (
	"bytes"
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/logs"
)

// TestOtherLogs states, for each log beside CloudTrail, how AWS writes it, what
// it is recognised as and some of the fields that rules find in it.
func TestOtherLogs(t *testing.T) {
	const owner = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"
	for _, c := range []struct {
		name, text string
		kind       event.Kind
		at, ip     string
		fields     string // name=value, separated by |
	}{
		{"a flow log, version 2, without header", "2 123456789012 eni-1 203.0.113.12 10.0.0.5 443 49152 6 10 840 1704164645 1704164700 REJECT OK\n",
			event.VPCFlow, "2024-01-02T03:04:05Z", "203.0.113.12", "action=REJECT|dstport=49152|account-id=123456789012"},
		{"a flow log with header", "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status\n2 1 eni-1 203.0.113.12 10.0.0.5 443 22 6 10 840 1704164645 1704164700 ACCEPT OK\n",
			event.VPCFlow, "2024-01-02T03:04:05Z", "203.0.113.12", "dstport=22"},
		{"a flow log through CloudWatch Logs", `{"messageType":"DATA_MESSAGE","logEvents":[{"id":"1","timestamp":1,"message":"2 123456789012 eni-1 203.0.113.12 10.0.0.5 443 22 6 10 840 1704164645 1704164700 REJECT OK"}]}`,
			event.VPCFlow, "2024-01-02T03:04:05Z", "203.0.113.12", "dstport=22|action=REJECT"},
		{"a flow log exported from CloudWatch Logs", "2024-01-02T03:05:05.000Z 2 123456789012 eni-1 203.0.113.12 10.0.0.5 443 22 6 10 840 1704164645 1704164700 REJECT OK\n",
			event.VPCFlow, "2024-01-02T03:04:05Z", "203.0.113.12", "dstport=22|action=REJECT"},
		{"a flow log in a custom format", "start flow-direction srcaddr tcp-flags pkt-srcaddr ecs-task-id reject-reason\n1704164645 egress 10.0.0.1 2 10.9.9.9 - BPA\n",
			event.VPCFlow, "2024-01-02T03:04:05Z", "10.0.0.1", "flow-direction=egress|pkt-srcaddr=10.9.9.9|reject-reason=BPA|ecs-task-id="},
		{"a flow record without data", "2 123456789012 eni-1 - - - - - - - 1704164645 1704164700 - NODATA\n",
			event.VPCFlow, "2024-01-02T03:04:05Z", "", "log-status=NODATA|srcaddr="},
		{"a transit gateway flow log", "6 TransitGateway 1 tgw-1 att-1 2 3 vpc-a vpc-b s1 s2 e1 e2 az1 az2 att-2 10.0.0.1 10.1.0.1 443 51000 6 1 40 1704164645 1704164646 OK IPv4 0 0 0 0 0 us-east-1 ingress - -\n",
			event.TransitFlow, "2024-01-02T03:04:05Z", "10.0.0.1", "tgw-id=tgw-1|dstaddr=10.1.0.1|region=us-east-1"},
		{"an application load balancer", `h2 2024-01-02T03:04:05.123456Z app/lb/1 192.0.2.7:2817 10.0.0.66:9000 0.000 0.001 0.000 502 - 34 366 "GET https://www.example.com:443/a?b=\x22c HTTP/2.0" "curl/7.46.0 \"x\"" ECDHE-RSA TLSv1.2 arn:aws:tg "Root=1-58337281-1d84f3d73c47ec4e58577259" "www.example.com" "arn:aws:acm" 1 2024-01-02T03:04:05.186000Z "forward" "-" "-" "10.0.0.66:9000" "200" "-" "-" TID_1` + "\n",
			event.ALB, "2024-01-02T03:04:05.123456Z", "192.0.2.7", `elb_status_code=502|target_status_code=|client=192.0.2.7:2817|client_ip=192.0.2.7|client_port=2817|target_ip=10.0.0.66|request_verb=GET|request_proto=HTTP/2.0|domain_name=www.example.com|ssl_protocol=TLSv1.2`},
		{"an application load balancer, before conn_trace_id", `http 2024-01-02T03:04:05.1Z app/lb/1 192.0.2.7:2817 10.0.0.66:80 0.000 0.001 0.000 200 200 34 366 "GET http://h:80/ HTTP/1.1" "ua" - - arn:tg "Root=1" "-" "-" 0 2024-01-02T03:04:05.1Z "forward" "-" "-" "10.0.0.66:80" "200"` + "\n",
			event.ALB, "2024-01-02T03:04:05.1Z", "192.0.2.7", "target_status_code=200|request_url=http://h:80/|target_list=10.0.0.66:80|classification="},
		{"a network load balancer", "tls 2.0 2024-01-02T03:04:05 net/lb/1 l1 192.0.2.8:51341 10.0.0.1:443 5 2 98 246 - arn:aws:acm - ECDHE tlsv12 - my-nlb.example.com - - - 2024-01-02T03:04:05\n",
			event.NLB, "2024-01-02T03:04:05Z", "192.0.2.8", "domain_name=my-nlb.example.com|tls_protocol_version=tlsv12"},
		{"a classic load balancer", `2024-01-02T03:04:05.945958Z my-lb 192.0.2.9:2817 10.0.0.1:80 0.000073 0.001048 0.000057 200 200 0 29 "GET http://www.example.com:80/ HTTP/1.1" "curl/7.38.0" - -` + "\n",
			event.CLB, "2024-01-02T03:04:05.945958Z", "192.0.2.9", "elb=my-lb|elb_status_code=200|target_port=80|request_verb=GET"},
		{"an S3 access log", owner + ` bucket1 [02/Jan/2024:03:04:05 +0000] 192.0.2.3 arn:aws:iam::1:user/a 3E57427F3EXAMPLE REST.GET.OBJECT a%20b "GET /bucket1/a?versioning HTTP/1.1" 200 - 113 - 7 - "-" "S3Console/0.4 "quoted" x" - s9lz SigV4 ECDHE AuthHeader bucket1.s3.amazonaws.com TLSV1.2 - -` + "\n",
			event.S3Access, "2024-01-02T03:04:05Z", "192.0.2.3", `operation=REST.GET.OBJECT|key=a%20b|http_status=200|user_agent=S3Console/0.4 "quoted" x|requester=arn:aws:iam::1:user/a|tls_version=TLSV1.2`},
		{"CloudFront", "#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(User-Agent)\n2024-01-02\t03:04:05\tFRA2\t182\t192.0.2.10\tGET\td1.cloudfront.net\t/view/my/file.html\t403\tMozilla/4.0%20x\n",
			event.CloudFront, "2024-01-02T03:04:05Z", "192.0.2.10", "sc-status=403|cs(Host)=d1.cloudfront.net|cs-method=GET"},
		{"WAF", `{"timestamp":1704164645123,"formatVersion":1,"webaclId":"arn:aws:wafv2:us-east-1:1:regional/webacl/w/x","terminatingRuleId":"r","action":"BLOCK","httpRequest":{"clientIp":"192.0.2.11","country":"AU","uri":"/","requestId":"q"}}` + "\n",
			event.WAF, "2024-01-02T03:04:05.123Z", "192.0.2.11", "action=BLOCK|httpRequest.country=AU"},
		{"resolver queries", `{"version":"1.100000","account_id":"1","region":"us-east-1","vpc_id":"vpc-1","query_timestamp":"2024-01-02T03:04:05Z","query_name":"evil.example.","query_type":"A","rcode":"NOERROR","answers":[{"Rdata":"192.0.2.1","Type":"A","Class":"IN"}],"srcaddr":"10.0.0.4","srcids":{"instance":"i-1"}}`,
			event.DNS, "2024-01-02T03:04:05Z", "10.0.0.4", "query_name=evil.example.|answers.Rdata=192.0.2.1"},
		{"a GuardDuty finding", `{"schemaVersion":"2.0","accountId":"1","region":"us-east-1","id":"f1","type":"Recon:EC2/PortProbeUnprotectedPort","service":{"detectorId":"d","eventLastSeen":"2024-01-02T03:04:05Z"},"resource":{"resourceType":"Instance"},"severity":2}`,
			event.GuardDuty, "2024-01-02T03:04:05Z", "", "type=Recon:EC2/PortProbeUnprotectedPort|severity=2"},
		{"a GuardDuty finding as the command line prints it", `{"Findings":[{"SchemaVersion":"2.0","AccountId":"1","Id":"f1","Type":"Recon:EC2/Portscan","Service":{"DetectorId":"d","EventLastSeen":"2024-01-02T03:04:05Z","Action":{"ActionType":"X"}},"Severity":2}]}`,
			event.GuardDuty, "2024-01-02T03:04:05Z", "", "type=Recon:EC2/Portscan|service.action.actionType=X"},
		{"a GuardDuty finding through EventBridge", `{"version":"0","detail-type":"GuardDuty Finding","source":"aws.guardduty","detail":{"schemaVersion":"2.0","id":"f1","type":"A:B/C","service":{"detectorId":"d","eventLastSeen":"2024-01-02T03:04:05Z"}}}`,
			event.GuardDuty, "2024-01-02T03:04:05Z", "", "type=A:B/C"},
		{"a Security Hub finding", `{"Findings":[{"SchemaVersion":"2018-10-08","Id":"x","ProductArn":"arn:aws:securityhub:us-east-1::product/aws/config","AwsAccountId":"1","CreatedAt":"2024-01-02T03:04:05Z","Severity":{"Label":"HIGH"},"Resources":[{"Type":"AwsS3Bucket","Id":"arn:aws:s3:::b"}]}]}`,
			event.SecurityHub, "2024-01-02T03:04:05Z", "", "Severity.Label=HIGH|Resources.Id=arn:aws:s3:::b"},
		{"Security Hub findings through EventBridge", `{"version":"0","detail-type":"Security Hub Findings - Imported","detail":{"findings":[{"Id":"x","ProductArn":"p","CreatedAt":"2024-01-02T03:04:05Z"}]}}`,
			event.SecurityHub, "2024-01-02T03:04:05Z", "", "Id=x"},
		{"CloudTrail Insights", `{"Records":[{"eventVersion":"1.07","eventTime":"2024-01-02T03:04:05Z","awsRegion":"us-east-1","eventID":"i","eventType":"AwsCloudTrailInsight","recipientAccountId":"1","insightDetails":{"state":"Start","eventName":"X"},"eventCategory":"Insight"}]}`,
			event.CloudTrail, "2024-01-02T03:04:05Z", "", "insightDetails.state=Start"},
	} {
		n := 0
		r := &logs.Reader{Schema: event.NewSchema(), Visit: func(e *event.Event) error {
			n++
			if e.Kind != c.kind {
				t.Errorf("%s: kind %q, want %q", c.name, e.Kind, c.kind)
			}
			if got := e.Time().Format(time.RFC3339Nano); got != c.at {
				t.Errorf("%s: time %s, want %s", c.name, got, c.at)
			}
			if got := e.SourceIP(); got != c.ip {
				t.Errorf("%s: address %q, want %q", c.name, got, c.ip)
			}
			for _, f := range strings.Split(c.fields, "|") {
				name, want, _ := strings.Cut(f, "=")
				if got := e.Get(name); got != want {
					t.Errorf("%s: %s is %q, want %q", c.name, name, got, want)
				}
			}
			if copied := e.Clone(); copied.Ref() != e.Ref() || copied.Time() != e.Time() || copied.Actor() != e.Actor() {
				t.Errorf("%s: the clone differs", c.name)
			}
			return nil
		}, Problem: func(p logs.Problem) { t.Errorf("%s: %v", c.name, p) }}
		if _, err := r.Read(context.Background(), logs.FromReader(c.name, strings.NewReader(c.text))); err != nil {
			t.Fatal(err)
		}
		if n != 1 {
			t.Errorf("%s: %d events, want 1", c.name, n)
		}
	}
}

func TestFlowFormatWithoutHeader(t *testing.T) {
	n := 0
	r := &logs.Reader{Schema: event.NewSchema(), FlowFormat: "${srcaddr} ${dstaddr} ${dstport} ${action}", Visit: func(e *event.Event) error {
		n++
		if e.Kind != event.VPCFlow || e.Get("dstport") != "22" || e.Get("action") != "REJECT" {
			t.Errorf("kind %q dstport %q action %q", e.Kind, e.Get("dstport"), e.Get("action"))
		}
		return nil
	}}
	if _, err := r.Read(context.Background(), logs.FromReader("x", strings.NewReader("10.0.0.1 10.0.0.2 22 REJECT\n"))); err != nil || n != 1 {
		t.Fatal(n, err)
	}
}

func TestParquetFlowLog(t *testing.T) {
	type row struct {
		Version  int32   `parquet:"version"`
		Account  string  `parquet:"account_id"`
		Srcaddr  string  `parquet:"srcaddr"`
		Dstport  int32   `parquet:"dstport"`
		Start    int64   `parquet:"start"`
		Action   string  `parquet:"action"`
		Instance *string `parquet:"instance_id,optional"`
	}
	var b bytes.Buffer
	w := parquet.NewGenericWriter[row](&b, parquet.Compression(&parquet.Gzip))
	rows := make([]row, 1000)
	for i := range rows {
		rows[i] = row{5, "123456789012", "192.0.2.1", 22, 1704164645, "REJECT", nil}
	}
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	n := 0
	r := &logs.Reader{Schema: event.NewSchema(), Visit: func(e *event.Event) error {
		n++
		if e.Kind != event.VPCFlow || e.Get("dstport") != "22" || e.Get("account-id") != "123456789012" || e.Get("instance-id") != "" || e.Time().Year() != 2024 {
			t.Fatalf("%s: kind %q, time %v", e.Raw(), e.Kind, e.Time())
		}
		return nil
	}, Problem: func(p logs.Problem) { t.Error(p) }}
	if _, err := r.Read(context.Background(), logs.FromReader("x", bytes.NewReader(b.Bytes()))); err != nil || n != 1000 {
		t.Fatal(n, err)
	}
	var problems int
	r.Problem = func(logs.Problem) { problems++ }
	if _, err := r.Read(context.Background(), logs.FromReader("x", bytes.NewReader(b.Bytes()[:b.Len()/2]))); err != nil || problems != 1 {
		t.Errorf("a Parquet file cut short: %d problems, %v", problems, err)
	}
}

func TestDigestFilesHoldNoEvents(t *testing.T) {
	got := read(t, "digest", []byte(`{"awsAccountId":"1","digestStartTime":"2024-01-01T00:00:00Z","digestS3Bucket":"b","logFiles":[{"s3Object":"x"}]}`))
	if got.stats.Digests != 1 || len(got.problems) > 0 || got.stats.Events != 0 {
		t.Errorf("%+v, problems %v", got.stats, got.problems)
	}
}

// TestHostile states that memory stays bounded and that it is said.
func TestHostile(t *testing.T) {
	for _, c := range []struct{ name, text string }{
		{"a record that never ends", `{"Records":[{"eventName":"` + strings.Repeat("a", 9<<20)},
		{"a line that never ends", "2 1 eni-1 a b 1 2 6 1 1 1 1 ACCEPT OK\n" + strings.Repeat("x", 9<<20)},
		{"white space without end", strings.Repeat(" ", 10<<20)},
		{"brackets without end", strings.Repeat("[", 1<<20)},
		{"objects without end", strings.Repeat(`{"a":`, 1<<18)},
		{"compressed brackets", gz(strings.Repeat("[{", 1<<20))},
		{"a CSV field that never ends", "eventID,eventName,eventTime\n\"" + strings.Repeat("a\n", 6<<20)},
		{"wrapped too often", wrapped(10)},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got := read(t, c.name, []byte(c.text))
		runtime.ReadMemStats(&after)
		if len(got.problems) == 0 {
			t.Errorf("%s: no problem reported; %+v", c.name, got.stats)
		}
		if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 128 {
			t.Errorf("%s: allocated %d MB", c.name, took)
		}
	}
}

func wrapped(n int) string {
	text := one
	for range n {
		text = `{"detail-type":"x","detail":` + text + `}`
	}
	return text
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{one + "\n" + two, `{"Records":[` + one + `,{]}`, "2 1 eni-1 a b 1 2 6 1 1 1 1 ACCEPT OK\n", "#Version: 1.0\n#Fields: a b\n1\t2\n", gz(one), "eventID,eventName\n1,2\n", "PAR1xxxxPAR1", wrapped(3)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) { read(t, "fuzz", text) })
}
