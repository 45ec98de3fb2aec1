package collect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bartizan-security/bartizan/arn"
	"github.com/bartizan-security/bartizan/awsapi"
	"github.com/bartizan-security/bartizan/estate"
)

// API calls operations of AWS in one region and joins the pages of an answer.
// Errors are *awsapi.Error where AWS answered.
type API interface {
	All(ctx context.Context, service, operation string, input map[string]any) (map[string]any, error)
}

// Session is one identity in one account.
type Session interface {
	// Home is the region the session starts from.
	Home() string
	// In returns the API of a region.
	In(region string) API
	// Assume returns a session that acts as a role.
	Assume(ctx context.Context, roleARN, externalID string) (Session, error)
}

// Options say what Run reads and how.
type Options struct {
	Catalogue *Catalogue
	Types     []string // CloudFormation names, may end in *; none: all
	Services  []string
	Accounts  []string // none: the caller's, or with Role all of the organization
	Regions   []string // none: all enabled ones
	Role      string   // name or ARN of the role to assume in each account; an ARN may hold {account}
	External  string   // external id for the role
	Include   []string // options of the catalogue to switch on: parameter-values

	Parallel   int // calls at once to one service in one region; 0: 6
	AtOnce     int // accounts at once; 0: 4
	Time       time.Time
	Tool       string
	Resume     estate.Source // a former snapshot whose good parts are kept
	Progress   func(Progress)
	Sleep      awsapi.Sleep // between attempts; nil: a timer
	MaxRetries int          // after throttling; 0: 5
}

// Progress says how far Run is. Calls to Options.Progress do not overlap.
type Progress struct {
	Account      string
	Accounts     int // all
	AccountsDone int
	Units        int // parts of the accounts begun so far: a type in a region
	UnitsDone    int
	Resources    int
	Doing        string // what was read last: type and region
	Slowed       bool   // AWS asked for patience
}

// Summary says what Run read and what it could not.
type Summary struct {
	Header    estate.Header
	Accounts  int
	Resources int
	Kept      int // resources kept from the snapshot that was resumed
	Gaps      []GapCount
	Canceled  bool
	Former    error // why the rest of the resumed snapshot could not be read; it was collected anew
}

// GapCount is one reason for missing parts, with how often it occurred.
type GapCount struct {
	estate.Gap
	Count int
}

// Codes of gaps that are not AWS's own.
const (
	CodeCanceled       = "Canceled"       // the collection was stopped
	CodeManagementOnly = "ManagementOnly" // only the organization's management account can read it
	CodeNonsense       = "InvalidAnswer"  // the answer did not have the shape of AWS's model
	CodeNotCollected   = "NotCollected"   // the files hold no output of the operation
)

// Incomplete reports whether anything is missing that should not be.
func (s *Summary) Incomplete() bool {
	for _, g := range s.Gaps {
		if g.Code != CodeManagementOnly {
			return true
		}
	}
	return s.Canceled
}

type run struct {
	Options
	caller    string
	account   string
	partition string
	home      string // region of global services
	types     []*Type
	scope     []string // the accounts to read

	limits   limits // of calls made for no account in particular
	mu       sync.Mutex
	progress Progress
	gaps     map[string]*GapCount
	summary  Summary
}

// Run reads AWS through the session and writes a snapshot to w. The snapshot is
// whole, with gaps where something could not be read, even if ctx ends in the
// middle. An error means that there is no snapshot: wrong credentials, no
// network, a type or option that does not exist, or w failed.
func Run(ctx context.Context, s Session, o Options, w io.Writer) (*Summary, error) {
	r := &run{Options: o, gaps: map[string]*GapCount{}}
	r.Parallel = cmp.Or(o.Parallel, 6)
	r.AtOnce = cmp.Or(o.AtOnce, 4)
	r.MaxRetries = cmp.Or(o.MaxRetries, 5)
	if r.Sleep == nil {
		r.Sleep = sleep
	}
	var err error
	if r.types, err = o.Catalogue.Select(o.Types, o.Services); err != nil {
		return nil, fmt.Errorf("collect: %w", err)
	}
	if err := r.identify(ctx, s); err != nil {
		return nil, fmt.Errorf("collect: %w", err)
	}
	accounts, err := r.accounts(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("collect: %w", err)
	}
	r.scope = accounts
	if err := r.exist(ctx, s); err != nil {
		return nil, fmt.Errorf("collect: %w", err)
	}
	regions, _ := r.regions(ctx, s, r.account)
	head := estate.Header{Time: o.Time, Caller: r.caller, Tool: o.Tool,
		Scope: estate.Scope{Accounts: accounts, Regions: regions, Types: typeNames(r.types)}}
	sw, err := estate.NewWriter(w, head)
	if err != nil {
		return nil, err
	}
	r.progress.Accounts = len(accounts)
	r.report(func(*Progress) {})
	if err := r.all(ctx, s, accounts, sw); err != nil {
		return nil, err
	}
	if err := sw.Close(); err != nil {
		return nil, err
	}
	r.summary.Header = head
	r.summary.Accounts = len(accounts)
	r.summary.Canceled = ctx.Err() != nil
	for _, g := range r.gaps {
		r.summary.Gaps = append(r.summary.Gaps, *g)
	}
	slices.SortFunc(r.summary.Gaps, func(a, b GapCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Operation, b.Operation), strings.Compare(a.Code, b.Code), strings.Compare(a.Reason, b.Reason))
	})
	return &r.summary, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func typeNames(types []*Type) []string {
	var names []string
	for _, t := range types {
		names = append(names, t.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (r *run) identify(ctx context.Context, s Session) error {
	home := s.Home()
	if home == "" {
		home = "us-east-1"
	}
	who, err := r.call(ctx, s.In(home), home, "sts", "GetCallerIdentity", nil)
	if err != nil {
		return err
	}
	r.account, _ = who["Account"].(string)
	r.caller, _ = who["Arn"].(string)
	if len(r.account) != 12 {
		return errors.New("sts GetCallerIdentity answers without an account: is the endpoint AWS?")
	}
	r.partition = "aws"
	if a, err := arn.Parse(r.caller); err == nil {
		r.partition = a.Partition
	}
	r.home = homeRegion(r.partition, home)
	return nil
}

// homeRegion is where a partition's global services are called and signed for.
// https://docs.aws.amazon.com/general/latest/gr/rande.html
func homeRegion(partition, fallback string) string {
	switch partition {
	case "aws":
		return "us-east-1"
	case "aws-cn":
		return "cn-north-1"
	case "aws-us-gov":
		return "us-gov-west-1"
	}
	return fallback
}

// accounts are those asked for; or, with a role, the active ones of the
// organization; or the caller's own.
func (r *run) accounts(ctx context.Context, s Session) ([]string, error) {
	if len(r.Accounts) > 0 {
		list := slices.Clone(r.Accounts)
		for _, id := range list {
			if len(id) != 12 || strings.Trim(id, "0123456789") != "" {
				return nil, fmt.Errorf("account %q: want twelve digits", id)
			}
			if id != r.account && r.Role == "" {
				return nil, fmt.Errorf("account %s is not the caller's (%s): name the role to assume there", id, r.account)
			}
		}
		slices.Sort(list)
		return slices.Compact(list), nil
	}
	if r.Role == "" || strings.HasPrefix(r.Role, "arn:") && !strings.Contains(r.Role, "{account}") {
		if a, err := arn.Parse(r.Role); err == nil && len(a.AccountID) == 12 {
			return []string{a.AccountID}, nil
		}
		return []string{r.account}, nil
	}
	out, err := r.call(ctx, s.In(r.home), r.home, "organizations", "ListAccounts", nil)
	if err != nil {
		return nil, fmt.Errorf("list the organization's accounts (or name them): %w", err)
	}
	var list []string
	for _, a := range (path{"Accounts", "[]"}).all(out) {
		m, _ := a.(map[string]any)
		id, _ := m["Id"].(string)
		if id != "" && m["Status"] != "SUSPENDED" && m["Status"] != "PENDING_CLOSURE" {
			list = append(list, id)
		}
	}
	if len(list) == 0 {
		return nil, errors.New("the organization lists no active account")
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// all reads the accounts, several at once, and writes them in order.
func (r *run) all(ctx context.Context, s Session, accounts []string, sw *estate.Writer) error {
	old, stop := r.former()
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type slot = chan *estate.Account
	queue := make(chan slot, r.AtOnce-1)
	go func() {
		defer close(queue)
		for _, id := range accounts {
			former, err := old(id)
			if err != nil {
				r.mu.Lock()
				r.summary.Former = err
				r.mu.Unlock()
			}
			c := make(slot, 1)
			queue <- c
			go func() { c <- r.one(ctx, s, id, former) }()
		}
	}()
	var failed error
	for c := range queue {
		a := <-c
		if failed != nil {
			continue
		}
		if failed = sw.WriteAccount(a); failed != nil {
			cancel()
		}
		r.settle(a)
	}
	return failed
}

// former returns a function that gives the account of the resumed snapshot;
// it must be asked in ascending order.
func (r *run) former() (get func(id string) (*estate.Account, error), stop func()) {
	if r.Resume == nil {
		return func(string) (*estate.Account, error) { return nil, nil }, func() {}
	}
	next, stop := iter.Pull2(r.Resume.Accounts())
	var cur *estate.Account
	var done bool
	return func(id string) (*estate.Account, error) {
		for !done && (cur == nil || cur.ID < id) {
			a, err, ok := next()
			if !ok || err != nil {
				done, cur = true, nil
				return nil, err
			}
			cur = a
		}
		if cur != nil && cur.ID == id {
			return cur, nil
		}
		return nil, nil
	}, stop
}

// settle counts what an account brought.
func (r *run) settle(a *estate.Account) {
	r.mu.Lock()
	for _, g := range a.Gaps {
		r.count(g)
	}
	for _, res := range a.Resources {
		for _, g := range res.Unknown {
			r.count(g)
		}
	}
	r.summary.Resources += len(a.Resources)
	r.mu.Unlock()
	r.report(func(p *Progress) { p.AccountsDone++; p.Account = a.ID })
}

// count adds a gap to those of the same operation and code; the reason kept is
// the first in order of accounts.
func (r *run) count(g estate.Gap) {
	k := g.Operation + " " + g.Code
	if r.gaps[k] == nil {
		r.gaps[k] = &GapCount{Gap: estate.Gap{Operation: g.Operation, Code: g.Code, Reason: g.Reason, Permission: g.Permission}}
	}
	r.gaps[k].Count++
}

func (r *run) report(change func(*Progress)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.progress)
	if r.Progress != nil {
		r.Progress(r.progress)
	}
}

// call calls one operation for no account in particular.
func (r *run) call(ctx context.Context, api API, region, service, operation string, input map[string]any) (map[string]any, error) {
	return r.patient(ctx, r.limits.of(service, region, r.Parallel), api, service, operation, input)
}

// patient calls one operation, waits its turn, and after throttling tries again.
func (r *run) patient(ctx context.Context, l *limiter, api API, service, operation string, input map[string]any) (map[string]any, error) {
	wait := time.Second
	for try := 0; ; try++ {
		if err := l.acquire(ctx); err != nil {
			return nil, err
		}
		out, err := api.All(ctx, service, operation, input)
		throttled := awsapi.IsThrottled(err)
		l.release(throttled)
		if !throttled || try >= r.MaxRetries {
			if err == nil {
				delete(out, "ResultMetadata")
				delete(out, "ResponseMetadata")
			}
			return out, err
		}
		r.report(func(p *Progress) { p.Slowed = true })
		if err := r.Sleep(ctx, wait); err != nil {
			return nil, err
		}
		wait = min(2*wait, 30*time.Second)
	}
}
