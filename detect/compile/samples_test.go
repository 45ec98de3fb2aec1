package compile_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
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

// sample is one record with the rules that match it, by the engine.
type sample struct {
	kind event.Kind
	raw  []byte
	note string         // how it was made of another
	doc  map[string]any // of a line: its columns
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
	engine  *sigma.Engine
	rules   []*sigma.Rule
	samples []*sample
	own     map[string][]*sample // by rule: the examples beside it
}

// thin is by how much fewer events are tried with -short, as for the race detector,
// to which they are all the same.
func thin() int {
	if testing.Short() {
		return 12
	}
	return 1
}

// of returns samples of a kind for every rule to be tried on: every third of
// those that some rule matches, fewer of the others. A rule's own examples are
// among its mutants.
func (c *corpus) of(k event.Kind) []*sample {
	var out []*sample
	for i, s := range c.samples {
		if s.kind == k && (len(s.hits) > 0 && i%(3*thin()) == 0 || i%(9*thin()) == 0) {
			out = append(out, s)
		}
	}
	return out
}

var once struct {
	sync.Once
	corpus *corpus
}

// kindOf returns the log that a rule is translated for: CloudTrail where it
// names none.
func kindOf(r *sigma.Rule) event.Kind {
	if logs := r.Logs(); len(logs) < len(event.Kinds()) {
		return logs[0]
	}
	return event.CloudTrail
}

// judge says which of the rules match an event, by the engine.
func (c *corpus) judge(m *sigma.Matcher, e *event.Event, rules []*sigma.Rule) map[string]bool {
	hits := map[string]bool{}
	for _, r := range rules {
		if r.IsDetection() && slices.Contains(r.Kinds(), e.Kind) && m.Matches(r, e) {
			hits[r.Key()] = true
		}
	}
	return hits
}

func newSample(e *event.Event) (*sample, error) {
	s := &sample{kind: e.Kind, raw: bytes.Clone(e.Raw())}
	if e.IsText() {
		s.doc = map[string]any{}
		e.Fields(func(name string, v []byte) { s.doc[name] = string(v) })
		return s, nil
	}
	return s, json.Unmarshal(s.raw, &s.doc)
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
		pack := rules
		more, err := detect.LoadRules(os.DirFS(public), ".", "sigma-aws")
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile("testdata/rules.yml")
		if err != nil {
			t.Fatal(err)
		}
		hard, err := sigma.Parse("testdata/rules.yml", text)
		if err != nil {
			t.Fatal(err)
		}
		more = append(more, hard...)
		engine, err := sigma.Compile(append(rules[:len(rules):len(rules)], more...), sigma.Options{Fields: detect.Fields()})
		if err != nil {
			t.Fatal(err)
		}
		c := &corpus{engine: engine, rules: engine.Rules(), own: map[string][]*sample{}}
		matcher := engine.Matcher()
		kinds := map[string]int{}
		take := func(e *event.Event, all bool) error {
			kind := strings.Join([]string{string(e.Kind), e.Source(), e.Name(), e.ErrorCode(), e.Get("userIdentity.type"), e.Get("userIdentity.invokedBy")}, "\x00")
			if kinds[kind]++; kinds[kind] > 4-min(thin(), 3) && !all {
				return nil
			}
			s, err := newSample(e)
			if err != nil {
				return err
			}
			s.hits = c.judge(matcher, e, c.rules)
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
		for _, text := range odd {
			e, err := event.Parse(engine.Schema(), event.CloudTrail, []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if err := take(e, true); err != nil {
				t.Fatal(err)
			}
		}
		files := map[string][]string{}
		for _, r := range pack {
			files[r.File] = append(files[r.File], r.Key())
		}
		texts := examples(t)
		for _, file := range slices.Sorted(maps.Keys(texts)) {
			before := len(c.samples)
			for _, text := range texts[file] {
				read(logs.FromReader(file, strings.NewReader(text)), true)
			}
			if len(c.samples) == before {
				t.Errorf("%s: no example was read", file)
			}
			for _, key := range files[file] {
				c.own[key] = c.samples[before:]
			}
		}
		// The others are tried on what is near events that they match or do not.
		for _, r := range c.rules {
			if key := r.Key(); c.own[key] == nil && len(r.Logs()) > 0 {
				var yes, no []*sample
				for _, s := range c.samples {
					if s.kind != kindOf(r) {
						continue
					}
					if s.hits[key] && len(yes) < 4 {
						yes = append(yes, s)
					} else if !s.hits[key] && len(no) < 4 {
						no = append(no, s)
					}
				}
				c.own[key] = append(yes, no...)
			}
		}
		once.corpus = c
	})
	if once.corpus == nil {
		t.Fatal("the samples could not be read")
	}
	return once.corpus
}

// examples returns, by rule file, the events beside the rules of the pack: the
// positive ones and the near misses. Of what is repeated, three will do.
func examples(t *testing.T) map[string][]string {
	out := map[string][]string{}
	err := fs.WalkDir(catalog.Detections, "detections", func(name string, d fs.DirEntry, err error) error {
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
		file := strings.TrimSuffix(name, detect.ExamplesSuffix) + ".yml"
		for _, e := range append(f.Positive, f.Negative...) {
			var b strings.Builder
			for i := range min(max(e.Repeat, 1), 3) {
				if e.Log != "" {
					b.WriteString(strings.NewReplacer("{i}", strconv.Itoa(i), "{time}", strconv.Itoa(1_700_000_000+i)).Replace(strings.TrimRight(e.Log, "\n")) + "\n")
				}
			}
			for _, doc := range append(e.Events, e.Event) {
				if doc == nil {
					continue
				}
				if doc["eventName"] != nil && doc["eventVersion"] == nil {
					doc["eventVersion"] = "1.11"
				}
				text, err := json.Marshal(doc)
				if err != nil {
					return err
				}
				b.Write(append(text, '\n'))
			}
			out[file] = append(out[file], b.String())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
