package collect_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bartizan-security/bartizan/awsapi"
	"github.com/bartizan-security/bartizan/catalog"
	"github.com/bartizan-security/bartizan/collect"
	"github.com/bartizan-security/bartizan/estate"
)

type m = map[string]any
type l = []any

// fakeAWS answers operations from a table, "service:Operation"; what is not in
// the table answers an empty object. It stands for one organization.
type fakeAWS struct {
	mu      sync.Mutex
	answers map[string]func(call) (m, error)
	calls   map[string]int
	running map[string]int
	most    int // calls at once to one service in one region
	roles   map[string]error
	hook    func() // before each call
}

type call struct {
	account, region string
	input           m
	n               int // how often the operation was called before, in all regions
}

func newFake() *fakeAWS {
	f := &fakeAWS{calls: map[string]int{}, running: map[string]int{}, roles: map[string]error{}}
	f.answers = map[string]func(call) (m, error){
		"sts:GetCallerIdentity": func(c call) (m, error) {
			return m{"Account": c.account, "Arn": "arn:aws:iam::" + c.account + ":user/reader", "UserId": "AIDA"}, nil
		},
		"ec2:DescribeRegions": func(call) (m, error) {
			return m{"Regions": l{m{"RegionName": "us-east-1"}, m{"RegionName": "eu-west-1"}}}, nil
		},
		"organizations:DescribeOrganization": func(call) (m, error) {
			return nil, failure("AWSOrganizationsNotInUseException", "")
		},
		"securityhub:DescribeHub": func(call) (m, error) {
			return nil, failure("InvalidAccessException", "not subscribed")
		},
		"iam:GenerateCredentialReport": func(c call) (m, error) {
			return m{"State": []string{"STARTED", "INPROGRESS", "COMPLETE"}[min(c.n, 2)]}, nil
		},
		"iam:GetCredentialReport": func(call) (m, error) {
			return m{"Content": "dXNlcixhcm4KYW5uYSxhcm46eAo=", "ReportFormat": "text/csv"}, nil
		},
	}
	return f
}

func failure(code, message string) error { return &awsapi.Error{Code: code, Message: message} }

func denied(call) (m, error) {
	return nil, failure("AccessDenied", "User is not authorized\x1b[31m")
}

func (f *fakeAWS) on(op string, answer func(call) (m, error)) { f.answers[op] = answer }

func (f *fakeAWS) count(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

type fakeSession struct {
	f       *fakeAWS
	account string
}

func (s fakeSession) Home() string                 { return "us-east-1" }
func (s fakeSession) In(region string) collect.API { return fakeAPI{s, region} }
func (s fakeSession) Assume(ctx context.Context, role, external string) (collect.Session, error) {
	if err := s.f.roles[role]; err != nil {
		return nil, err
	}
	return fakeSession{s.f, strings.Split(role, ":")[4]}, nil
}

type fakeAPI struct {
	s      fakeSession
	region string
}

func (a fakeAPI) All(ctx context.Context, service, operation string, input m) (m, error) {
	f, op, place := a.s.f, service+":"+operation, service+" "+a.region
	f.mu.Lock()
	n := f.calls[op]
	f.calls[op]++
	f.running[place]++
	f.most = max(f.most, f.running[place])
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.running[place]--
		f.mu.Unlock()
	}()
	if f.hook != nil {
		f.hook()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if answer := f.answers[op]; answer != nil {
		return answer(call{a.s.account, a.region, input, n})
	}
	return m{}, nil
}

var fixed = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func catalogue(t testing.TB) *collect.Catalogue {
	t.Helper()
	c, err := collect.ParseCatalogue(catalog.Resources, "resources")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// run collects from the fake and reads the snapshot back.
func run(t *testing.T, ctx context.Context, f *fakeAWS, o collect.Options) (*collect.Summary, *estate.Estate, []byte) {
	t.Helper()
	if o.Catalogue == nil {
		o.Catalogue = catalogue(t)
	}
	o.Time = fixed
	o.Sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	var b bytes.Buffer
	sum, err := collect.Run(ctx, fakeSession{f, "111111111111"}, o, &b)
	if err != nil {
		t.Fatal(err)
	}
	r, err := estate.NewReader(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	e, err := estate.Load(r)
	if err != nil {
		t.Fatal(err)
	}
	return sum, e, b.Bytes()
}

func find(t *testing.T, e *estate.Estate, typ, id string) *estate.Resource {
	t.Helper()
	for r := range e.Resources() {
		if r.Type == typ && r.ID == id {
			return r
		}
	}
	t.Fatalf("no %s %s", typ, id)
	return nil
}

func gapsOf(e *estate.Estate) string {
	var s []string
	for g := range e.Gaps() {
		s = append(s, fmt.Sprintf("%s %s %s %s %s", g.Type, g.Region, g.Operation, g.Code, g.Permission))
	}
	return strings.Join(s, "\n")
}
