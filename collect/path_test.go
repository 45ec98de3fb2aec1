package collect

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bartizan-security/bartizan/catalog"
)

func TestPaths(t *testing.T) {
	doc := map[string]any{"A": []any{map[string]any{"B": "x"}, map[string]any{"B": "y"}, "z"}, "M": map[string]any{"k": int64(1)}}
	for _, c := range []struct {
		path string
		want []any
	}{
		{"@", []any{doc}},
		{"A[].B", []any{"x", "y"}},
		{"A[1].B", []any{"y"}},
		{"A[9].B", nil},
		{"M.*", []any{int64(1)}},
		{"M.k.deeper", nil},
		{"No", nil},
	} {
		p, err := parsePath(c.path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, p.all(doc)); diff != "" {
			t.Errorf("%s: %s", c.path, diff)
		}
	}
	for _, bad := range []string{"A[", "A[x]", "A[-1]", "A..B"} {
		if _, err := parsePath(bad); err == nil {
			t.Errorf("path %q was accepted", bad)
		}
	}
}

func TestTemplates(t *testing.T) {
	s := scope{doc: map[string]any{"Id": "/hostedzone/Z1", "N": int64(3), "Name": "/a/b", "L": []any{}}, parent: map[string]any{"Id": "p"},
		account: "1", region: "eu", partition: "aws"}
	for _, c := range []struct {
		in   any
		want any
	}{
		{"arn:{partition}:x:{region}:{account}:{N}", "arn:aws:x:eu:1:3"},
		{"{N}", int64(3)}, // alone, a reference keeps its kind
		{"{Id#/}", "Z1"},
		{"{Name#/}", "a/b"},
		{"{parent.Id}|{Id}", "p|/hostedzone/Z1"},
		{"{Missing|N}", int64(3)},
		{map[string]any{"A": []any{"{N}", true}}, map[string]any{"A": []any{int64(3), true}}},
	} {
		got, err := s.expand(c.in)
		if err != nil || !cmp.Equal(got, c.want) {
			t.Errorf("%v gives %v, %v; want %v", c.in, got, err, c.want)
		}
	}
	for _, in := range []string{"{Missing}", "x{Missing}", "x{L}", "x{N"} {
		if got, err := s.expand(in); err == nil {
			t.Errorf("%v gives %v; want an error", in, got)
		}
	}
}

func TestTagsInEveryShape(t *testing.T) {
	want := map[string]string{"a": "b"}
	for _, v := range []any{
		[]any{map[string]any{"Key": "a", "Value": "b"}},
		[]any{map[string]any{"key": "a", "value": "b"}},
		[]any{map[string]any{"TagKey": "a", "TagValue": "b"}},
		map[string]any{"a": "b"},
	} {
		if got := tagsOf([]any{v}); !cmp.Equal(got, want) {
			t.Errorf("%v gives %v", v, got)
		}
	}
}

// Throttling halves what is allowed at once, down to one; answers let it grow
// again, up to where it began.
func TestLimiter(t *testing.T) {
	l := newLimiter(8)
	turn := func(throttled bool) {
		if err := l.acquire(context.Background()); err != nil {
			t.Fatal(err)
		}
		l.release(throttled)
	}
	var got []int
	for range 5 {
		turn(true)
		got = append(got, l.allowed)
	}
	for range 40 {
		turn(false)
	}
	got = append(got, l.allowed)
	if want := []int{4, 2, 1, 1, 1, 8}; !cmp.Equal(got, want) {
		t.Errorf("allowed %v, want %v", got, want)
	}

	// No more than allowed run at once, and who gives up leaves no hole.
	l = newLimiter(2)
	var mu sync.Mutex
	running, most := 0, 0
	var wait sync.WaitGroup
	for i := range 50 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			ctx, cancel := context.WithCancel(context.Background())
			if i%3 == 0 {
				cancel()
			}
			defer cancel()
			if l.acquire(ctx) != nil {
				return
			}
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			time.Sleep(time.Millisecond)
			mu.Lock()
			running--
			mu.Unlock()
			l.release(false)
		}()
	}
	wait.Wait()
	if most > 2 || l.running != 0 || len(l.waiting) != 0 {
		t.Errorf("%d at once, %d left running, %d left waiting", most, l.running, len(l.waiting))
	}
}

func TestCatalogueRefuses(t *testing.T) {
	for _, c := range []struct{ rule, yaml, want string }{
		{"an unknown key", "types: [{type: A::B::C, id: X, list: {call: L, items: X}, nosuch: 1}]", "nosuch"},
		{"a type without id", "types: [{type: A::B::C, list: {call: L, items: X}}]", "needs a CloudFormation name and an id"},
		{"a type that is listed and single", "types: [{type: A::B::C, id: X, single: true, list: {call: L, items: X}}]", "either a list or single"},
		{"a type given twice", "types: [{type: A::B::C, id: X, single: true}, {type: A::B::C, id: X, single: true}]", "given twice"},
		{"a member filled twice", "types: [{type: A::B::C, id: X, single: true, more: [{call: O}, {call: O}]}]", "fills the same member twice"},
		{"a parent that is not there", "types: [{type: A::B::C, id: X, of: A::B::D, list: {call: L, items: X}}]", "parent A::B::D"},
		{"a path that is none", "types: [{type: A::B::C, id: X, list: {call: L, items: 'X[}'}}]", "want"},
		{"a scope that is none", "types: [{type: A::B::C, id: X, scope: world, single: true}]", `scope "world"`},
	} {
		_, err := ParseCatalogue(fstest.MapFS{"r/x.yaml": &fstest.MapFile{Data: []byte("service: s\n" + c.yaml)}}, "r")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.rule, err, c.want)
		}
	}
}

// The policy fits IAM's quota in as few documents as that takes, and holds
// every action once.
func TestPolicy(t *testing.T) {
	cat, err := ParseCatalogue(catalog.Resources, "resources")
	if err != nil {
		t.Fatal(err)
	}
	docs := cat.Policy(nil)
	seen := map[string]bool{}
	total := 0
	for _, d := range docs {
		size := len(`{"Version":"2012-10-17","Statement":[{"Sid":"","Effect":"Allow","Action":[],"Resource":"*"}]}`) + len(d.Statement[0].Sid)
		for _, a := range d.Statement[0].Action {
			if seen[a] {
				t.Errorf("%s is there twice", a)
			}
			seen[a] = true
			size += len(a) + 3
		}
		if size > PolicyQuota {
			t.Errorf("a document of %d characters", size)
		}
		total += size
	}
	if len(docs) != total/PolicyQuota+1 {
		t.Errorf("%d documents for %d characters", len(docs), total)
	}
	for _, want := range []string{"s3:ListAllMyBuckets", "s3:GetEncryptionConfiguration", "s3:GetAccountPublicAccessBlock", "apigateway:GET", "es:DescribeDomain",
		"elasticfilesystem:DescribeFileSystems", "states:DescribeStateMachine", "elasticloadbalancing:DescribeListeners", "access-analyzer:ListAnalyzers",
		"sso:ListInstances", "iam:GenerateCredentialReport", "organizations:ListAccounts", "ec2:DescribeRegions"} {
		if !seen[want] {
			t.Errorf("%s is missing", want)
		}
	}
	if seen["ssm:GetParameter"] || seen["sts:GetCallerIdentity"] {
		t.Error("the policy allows what is not needed")
	}
}
