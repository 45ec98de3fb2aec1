package baseline

import (
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/bartizan-security/bartizan/detect/event"
)

func extractor(t testing.TB, hash maphash.Seed, take func(*batch) error) *Extractor {
	t.Helper()
	places, err := ReadPlaces(strings.NewReader("198.51.100.0/24,52.37,4.90\n198.51.100.8/32,1,2\n2001:db8::/32,3,4\n"))
	if err != nil {
		t.Fatal(err)
	}
	x := newExtractor(hash, take, &sync.Pool{})
	x.refs, x.places = true, places
	return x
}

// TestExtractorRemembers: what is remembered of former events is what the event
// itself says, whatever came before.
func TestExtractorRemembers(t *testing.T) {
	schema := event.NewSchema(Fields()...)
	alike := cmp.AllowUnexported(feature{}, session{}, caller{}, call{}, address{})
	rapid.Check(t, func(rt *rapid.T) {
		hash := maphash.MakeSeed()
		all := extractor(t, hash, nil)
		e := event.New(schema)
		last := map[string]string{}
		// pick draws a member; most are those of the event before.
		pick := func(name string, list ...string) string {
			s, ok := last[name]
			if !ok || rapid.IntRange(0, 5).Draw(rt, "again") == 0 {
				if s = rapid.SampledFrom(list).Draw(rt, name); s != "" {
					s = fmt.Sprintf(`,%q:%s`, name, s)
				}
				last[name] = s
			}
			return s
		}
		for n := range rapid.IntRange(1, 40).Draw(rt, "events") {
			who := pick("type", "", `"AssumedRole"`, `"IAMUser"`, `"AWSService"`, `"AWSAccount"`, `"WebIdentityUser"`) + pick("arn", "", `"arn:aws:sts::111122223333:assumed-role/app/one"`, `"arn:aws:sts::111122223333:assumed-role/app/two"`, `"arn:aws:iam::111122223333:user/bob"`, `"bob"`, `{"x":1}`, `"arn:`+strings.Repeat("long", 60)+`"`) +
				pick("accountId", "", `"111122223333"`, `"444455556666"`) + pick("invokedBy", "", `"ec2.amazonaws.com"`) + pick("userName", "", `"bob"`, `"HIDDEN_DUE_TO_SECURITY_REASONS"`) +
				pick("sessionContext", "", `{"sessionIssuer":{"arn":"arn:aws:iam::111122223333:role/app"}}`, `{"sessionIssuer":{"arn":"arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/Dev"}}`,
					`{"sessionIssuer":{"arn":"arn:aws:iam::111122223333:role/aws-service-role/x"}}`, `{"sessionIssuer":{"arn":"arn:aws:iam::111122223333:user/bob"}}`, `{"sessionIssuer":{"arn":"bob"}}`)
			text := fmt.Sprintf(`{"eventVersion":"1.11","eventTime":"2026-01-05T09:00:%02dZ","userIdentity":{"x":1%s}`, n, who) +
				pick("eventID", "", `"a"`, `"b"`) + pick("eventSource", `"s3.amazonaws.com"`, `"iam.amazonaws.com"`, `"secretsmanager.amazonaws.com"`) + pick("eventName", `"ListBuckets"`, `"GetSecretValue"`, `"PutX"`, `"GetParameters"`) +
				pick("awsRegion", "", `"eu-west-1"`) + pick("recipientAccountId", "", `"111122223333"`, `"444455556666"`) + pick("errorCode", "", `"AccessDenied"`, `"Throttling"`) + pick("readOnly", "", "true", "false", `"true"`) +
				pick("sourceIPAddress", "", `"198.51.100.7"`, `"198.51.100.8"`, `"::ffff:198.51.100.8"`, `"2001:db8::1%eth0"`, `"s3.amazonaws.com"`, `"arn:x"`) + pick("userAgent", "", `"aws-cli/2"`, `"s3.amazonaws.com"`) +
				pick("requestParameters", "", `{"bucketName":"b"}`, `{"secretId":"s"}`, `{"names":["a","b"],"withDecryption":true}`) + "}"
			if _, err := e.Scan([]byte(text), 0); err != nil {
				rt.Fatal(err, text)
			}
			e.Kind = event.CloudTrail
			alone := extractor(t, hash, nil)
			alone.Add(e)
			before := len(all.batch.features)
			all.Add(e)
			if diff := cmp.Diff(alone.batch.features, all.batch.features[before:], alike); diff != "" {
				rt.Fatalf("%s\n(-alone +after others):\n%s", text, diff)
			}
			if len(alone.batch.features) > 0 {
				if f := alone.batch.features[0]; f.actor != clip(e.Actor()) || *f.who != *callerOf(e) {
					rt.Fatalf("%s\n%+v by %s, want %+v by %s", text, *f.who, f.actor, *callerOf(e), clip(e.Actor()))
				}
			} else if callerOf(e) != nil {
				rt.Fatalf("%s is left out", text)
			}
		}
	})
}

// TestCut: a part is full with so many events, or so much text; it is handed on
// once, and nothing of it is left.
func TestCut(t *testing.T) {
	record := func(n int, secrets string) *event.Event {
		e, err := event.Parse(event.NewSchema(Fields()...), event.CloudTrail, fmt.Appendf(nil, `{"eventVersion":"1.11","eventTime":"2026-01-05T09:00:00Z","eventID":"e%d","eventSource":"secretsmanager.amazonaws.com",`+
			`"eventName":"BatchGetSecretValue","userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/bob"},"requestParameters":{"secretIdList":[%s]}}`, n, secrets))
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	long := strings.TrimSuffix(strings.Repeat(`"`+strings.Repeat("s", 150)+`",`, 100), ",")
	for _, c := range []struct {
		secrets string
		want    int
	}{{`"a"`, maxBatch}, {long, 1 + maxNames/(100*150)}} {
		taken := 0
		x := extractor(t, maphash.MakeSeed(), func(b *batch) error { taken += len(b.features); return nil })
		if x.Cut() != nil {
			t.Error("nothing is handed on")
		}
		n := 1
		for !x.Add(record(n, c.secrets)) {
			n++
		}
		ready := x.Cut()
		if x.Cut() != nil || taken != 0 {
			t.Error("handed on twice, or too early")
		}
		if err := ready(); err != nil || taken != n || n != c.want {
			t.Errorf("%d of %d events taken, want %d: %v", taken, n, c.want, err)
		}
	}
}
