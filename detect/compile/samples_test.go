package compile_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/bartizan-security/bartizan/catalog"
	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/logs"
	"github.com/bartizan-security/bartizan/detect/ruletest"
	"github.com/bartizan-security/bartizan/detect/sigma"
	"github.com/bartizan-security/bartizan/internal/thirdparty"
)

// sample is one CloudTrail record with the rules that match it, by the engine.
type sample struct {
	raw  []byte
	doc  map[string]any
	hits map[string]bool
}

// odd are records that rules' authors do not think of: missing, null, nested
// and differently written values.
var odd = []string{
	`{"eventSource":"iam.amazonaws.com","eventName":"CreateUser"}`,
	`{"eventSource":"iam.amazonaws.com","eventName":"CreateUser","errorCode":null,"userIdentity":null,"requestParameters":null}`,
	`{"eventSource":"ec2.amazonaws.com","eventName":"AuthorizeSecurityGroupIngress","userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/x"},"requestParameters":{"groupId":"sg-1","ipPermissions":{"items":[{"fromPort":22,"toPort":22,"ipRanges":{"items":[{"cidrIp":"10.0.0.0/8"}]}},{"fromPort":443,"toPort":443,"ipRanges":{"items":[{"cidrIp":"0.0.0.0/0"},{"cidrIp":"192.0.2.0/24"}]}}]}}}`,
	`{"eventSource":"s3.amazonaws.com","eventName":"PutBucketPolicy","userIdentity":{"type":"AssumedRole","invokedBy":"CloudFormation.amazonaws.com"},"requestParameters":{"bucketName":"B","bucketPolicy":{"Statement":[{"Effect":"Allow","Principal":"*","Action":["s3:GetObject"]}]}}}`,
	`{"eventSource":"ec2.amazonaws.com","eventName":"ModifySnapshotAttribute","errorCode":"","requestParameters":{"snapshotId":"snap-1","createVolumePermission":{"add":{"items":[{"group":"all"},{"userId":"444455556666"}]}}}}`,
	`{"eventSource":"signin.amazonaws.com","eventName":"ConsoleLogin","eventType":"AwsConsoleSignIn","userIdentity":{"type":"Root"},"responseElements":{"ConsoleLogin":"SUCCESS"},"additionalEventData":{"MFAUsed":"no"}}`,
	`{"eventSource":"sts.amazonaws.com","eventName":"GetCallerIdentity","userAgent":"PYTHON-requests/2","sourceIPAddress":"203.0.113.9","userIdentity":{"type":"IAMUser","userName":["a","b"]}}`,
}

type corpus struct {
	rules   []*sigma.Rule
	samples []*sample
}

var once struct {
	sync.Once
	corpus *corpus
}

// samples returns the pack and the public rules, and the events of the rules'
// examples and of the recordings, one of each kind, with what the engine says.
func samples(t *testing.T) *corpus {
	t.Helper()
	stratus, traildiscover, invictus, public := thirdparty.Path(t, "cloudtrail/stratus"), thirdparty.Path(t, "cloudtrail/traildiscover.jsonl.gz"), thirdparty.Path(t, "cloudtrail/invictus"), thirdparty.Path(t, "sigma-aws")
	once.Do(func() {
		rules, err := detect.LoadRules(catalog.Detections, "detections", "")
		if err != nil {
			t.Fatal(err)
		}
		more, err := detect.LoadRules(os.DirFS(public), ".", "sigma-aws")
		if err != nil {
			t.Fatal(err)
		}
		engine, err := sigma.Compile(append(rules, more...), sigma.Options{Fields: detect.Fields()})
		if err != nil {
			t.Fatal(err)
		}
		c := &corpus{rules: engine.Rules()}
		matcher := engine.Matcher()
		kinds := map[string]int{}
		take := func(e *event.Event, all bool) error {
			if e.Kind != event.CloudTrail {
				return nil
			}
			kind := strings.Join([]string{e.Source(), e.Name(), e.ErrorCode(), e.Get("userIdentity.type"), e.Get("userIdentity.invokedBy")}, "\x00")
			if kinds[kind]++; kinds[kind] > 3 && !all {
				return nil
			}
			s := &sample{raw: bytes.Clone(e.Raw()), hits: map[string]bool{}}
			if err := json.Unmarshal(s.raw, &s.doc); err != nil {
				return err
			}
			for _, r := range engine.Rules() {
				if r.IsDetection() && matcher.Matches(r, e) && len(r.Kinds()) > 0 && r.Kinds()[0] == event.CloudTrail {
					s.hits[r.Key()] = true
				}
			}
			c.samples = append(c.samples, s)
			return nil
		}
		read := func(src logs.Source, all bool) {
			r := &logs.Reader{Schema: engine.Schema(), Visit: func(e *event.Event) error { return take(e, all) }}
			if _, err := r.Read(context.Background(), src); err != nil {
				t.Fatal(err)
			}
		}
		for _, dir := range []string{stratus, invictus, traildiscover} {
			sources, err := logs.Files(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range sources {
				read(s, false)
			}
		}
		for _, text := range append(odd, examples(t)...) {
			e, err := event.Parse(engine.Schema(), event.CloudTrail, []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if err := take(e, true); err != nil {
				t.Fatal(err)
			}
		}
		once.corpus = c
	})
	if once.corpus == nil {
		t.Fatal("the samples could not be read")
	}
	return once.corpus
}

// examples returns the events beside the rules of the pack.
func examples(t *testing.T) []string {
	var out []string
	err := fs.WalkDir(catalog.Detections, "detections/cloudtrail", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, detect.ExamplesSuffix) {
			return err
		}
		src, err := fs.ReadFile(catalog.Detections, name)
		if err != nil {
			return err
		}
		f, err := ruletest.Parse(name, src)
		if err != nil {
			return err
		}
		for _, e := range append(f.Positive, f.Negative...) {
			for _, doc := range append(e.Events, e.Event) {
				if doc == nil {
					continue
				}
				text, err := json.Marshal(doc)
				if err != nil {
					return err
				}
				out = append(out, string(text))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
