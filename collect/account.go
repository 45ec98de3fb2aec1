package collect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/bartizan-security/bartizan/awsapi"
	"github.com/bartizan-security/bartizan/estate"
)

// accountRun reads one account.
type accountRun struct {
	*run
	id         string
	session    Session
	limits     limits
	management bool // it is the organization's management account, or that is not known

	mu       sync.Mutex
	apis     map[string]API
	answered map[string]bool // regions in which any call was answered
	lists    map[string]*listCall
}

// listCall is an answer that several types share: one call, awaited by all.
type listCall struct {
	done chan struct{}
	out  map[string]any
	err  error
	uses int
}

// unit is one type in one region, the grain of progress and of resuming.
type unit struct {
	typ       *Type
	region    string
	resources []*estate.Resource
	gaps      []estate.Gap
	missing   []estate.Gap // host names that did not resolve: not offered, if the region answers else
}

func (r *run) one(ctx context.Context, s Session, id string, former *estate.Account) *estate.Account {
	a := &accountRun{run: r, id: id, session: s, apis: map[string]API{}, answered: map[string]bool{}, lists: map[string]*listCall{}}
	out := &estate.Account{ID: id}
	hidden := func(operation string, err error) *estate.Account {
		out.Gaps = append(out.Gaps, r.gap("", id, "", "", operation, err))
		return out
	}
	if ctx.Err() != nil {
		if former != nil {
			return former
		}
		return hidden("sts:AssumeRole", ctx.Err())
	}
	if role := r.role(id); role != "" {
		var err error
		if a.session, err = s.Assume(ctx, role, r.External); err != nil {
			return hidden("sts:AssumeRole", err)
		}
	}
	regions, err := r.regions(ctx, a.session, id)
	if err != nil {
		out.Gaps = append(out.Gaps, r.gap("", id, "", "", "ec2:DescribeRegions", err))
	}
	a.facts(ctx, out)
	units := a.units(regions)
	kept := r.keep(former, r.Resume, units)
	r.report(func(p *Progress) { p.Units += len(units); p.UnitsDone += len(units) - len(kept.todo); p.Account = id })
	out.Resources = append(out.Resources, kept.resources...)
	out.Gaps = append(out.Gaps, kept.gaps...)
	r.mu.Lock()
	r.summary.Kept += len(kept.resources)
	r.mu.Unlock()

	sem := make(chan struct{}, 48)
	var wait sync.WaitGroup
	for _, u := range kept.todo {
		sem <- struct{}{}
		wait.Add(1)
		go func() {
			defer func() { <-sem; wait.Done() }()
			a.read(ctx, u)
			r.report(func(p *Progress) {
				p.UnitsDone++
				p.Account = id
				p.Resources += len(u.resources)
				p.Doing = strings.TrimSuffix(u.typ.Name+" "+u.region, " ")
			})
		}()
	}
	wait.Wait()
	for _, u := range kept.todo {
		out.Resources = append(out.Resources, u.resources...)
		out.Gaps = append(out.Gaps, u.gaps...)
		if !a.answered[u.region] {
			out.Gaps = append(out.Gaps, u.missing...)
		}
	}
	out.Resources = unique(out.Resources)
	return out
}

// role is the ARN of the role to assume in an account, or "" for the caller itself.
func (r *run) role(id string) string {
	switch {
	case r.Role == "":
		return ""
	case strings.HasPrefix(r.Role, "arn:"):
		return strings.ReplaceAll(r.Role, "{account}", id)
	case id == r.account:
		return "" // the management account has no role of that name for itself
	}
	return "arn:" + r.partition + ":iam::" + id + ":role/" + r.Role
}

// noOrganization is what AWS answers where an account is in no organization.
var noOrganization = []string{"AWSOrganizationsNotInUseException"}

// regions are those asked for, else those enabled in the account. With an error
// comes the region the session starts from.
func (r *run) regions(ctx context.Context, s Session, id string) ([]string, error) {
	if len(r.Regions) > 0 {
		list := slices.Clone(r.Regions)
		slices.Sort(list)
		return slices.Compact(list), nil
	}
	return r.enabled(ctx, s, id)
}

// exist refuses a region asked for that the caller's account does not have, if
// AWS says which it has: a slip of the pen would fail in every service.
func (r *run) exist(ctx context.Context, s Session) error {
	if len(r.Regions) == 0 {
		return nil
	}
	enabled, err := r.enabled(ctx, s, r.account)
	for _, region := range r.Regions {
		// Where AWS does not say which there are, asking the region finds out.
		if err == nil && !slices.Contains(enabled, region) {
			return fmt.Errorf("%w: %q in account %s; enabled are %s", ErrRegion, region, r.account, strings.Join(enabled, ", "))
		}
	}
	return nil
}

func (r *run) enabled(ctx context.Context, s Session, id string) ([]string, error) {
	var list []string
	out, err := r.call(ctx, s.In(r.home), r.home, "ec2", "DescribeRegions", nil)
	for _, v := range (path{"Regions", "[]", "RegionName"}).all(out) {
		if name, ok := v.(string); ok {
			list = append(list, name)
		}
	}
	if len(list) == 0 && ctx.Err() == nil {
		enabled := map[string]any{"RegionOptStatusContains": []any{"ENABLED", "ENABLED_BY_DEFAULT"}}
		if out, err2 := r.call(ctx, s.In(r.home), r.home, "account", "ListRegions", enabled); err2 == nil {
			for _, v := range (path{"Regions", "[]", "RegionName"}).all(out) {
				if name, ok := v.(string); ok {
					list = append(list, name)
				}
			}
		}
	}
	if len(list) == 0 {
		if err == nil {
			err = fmt.Errorf("%w: no region is enabled in %s", errNonsense, id)
		}
		home := s.Home()
		if home == "" {
			home = r.home
		}
		return []string{home}, err
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// facts finds out whether this is the management account, if a type asks.
func (a *accountRun) facts(ctx context.Context, out *estate.Account) {
	asks := false
	for _, t := range a.types {
		asks = asks || t.When != ""
		for _, m := range t.More {
			asks = asks || m.when == "@management"
		}
	}
	if !asks {
		return
	}
	org, err := a.patient(ctx, a.limits.of("organizations", a.home, a.Parallel), a.api(a.home), "organizations", "DescribeOrganization", nil)
	if err != nil {
		// Not known: ask, and let AWS refuse. Without an organization, AWS says so.
		a.management = !matches(err, noOrganization)
		return
	}
	management := fmt.Sprint((path{"Organization", "MasterAccountId"}).first(org))
	a.management = management == a.id
	if a.management || slices.Contains(a.scope, management) {
		return
	}
	for _, t := range a.types {
		if t.When != "" {
			out.Gaps = append(out.Gaps, estate.Gap{Type: t.Name, Account: a.id, Operation: t.List.Service + ":" + t.List.Operation,
				Code: CodeManagementOnly, Reason: "can be read only in the organization's management account " + management})
		}
	}
}

func (a *accountRun) api(region string) API {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.apis[region] == nil {
		a.apis[region] = a.session.In(region)
	}
	return a.apis[region]
}

// units are the roots of the type tree, for each region they are read in.
func (a *accountRun) units(regions []string) []*unit {
	var out []*unit
	for _, t := range a.types {
		switch {
		case t.parent != nil, t.When == "@management" && !a.management:
		case t.Global:
			out = append(out, &unit{typ: t})
		default:
			for _, region := range regions {
				out = append(out, &unit{typ: t, region: region})
			}
		}
	}
	return out
}

// unique drops a resource that was listed twice, keeping the first.
func unique(list []*estate.Resource) []*estate.Resource {
	seen := make(map[[4]string]bool, len(list))
	return slices.DeleteFunc(list, func(r *estate.Resource) bool {
		k := [4]string{r.Account, r.Type, r.Region, r.ID}
		was := seen[k]
		seen[k] = true
		return was
	})
}

// ErrRegion says that a region asked for is not enabled in the account.
var ErrRegion = errors.New("a region is not enabled")

var errNonsense = errors.New("the answer is not what AWS's model says")

// gap describes a failed call.
func (r *run) gap(typ, account, region, part, operation string, err error) estate.Gap {
	g := estate.Gap{Type: typ, Account: account, Region: region, Part: part, Operation: operation, Code: awsapi.ErrorCode(err)}
	service, op, _ := strings.Cut(operation, ":")
	var e *awsapi.Error
	switch {
	case awsapi.IsCanceled(err):
		g.Code, g.Reason = CodeCanceled, "the collection was stopped before this was read"
	case errors.Is(err, errNonsense), errors.Is(err, errNoValue):
		g.Code, g.Reason = CodeNonsense, err.Error()
	case awsapi.IsAccessDenied(err):
		g.Permission = r.Catalogue.Permission(service, op)
		g.Reason = "access denied"
		if errors.As(err, &e) && e.Message != "" {
			g.Reason += ": " + e.Message
		}
	case awsapi.IsThrottled(err):
		g.Reason = "throttled until the attempts were used up"
	case awsapi.IsBadCredentials(err):
		g.Reason = "AWS does not accept the credentials (any more)"
	case errors.As(err, &e) && e.Code == "" && e.Status >= 400:
		g.Code = fmt.Sprintf("HTTP %d", e.Status)
		g.Reason = "the endpoint answered without an AWS error; it may not have this operation"
	case errors.As(err, &e) && e.Message != "":
		g.Reason = e.Message
	default:
		g.Reason = err.Error()
	}
	g.Reason = strings.Join(strings.Fields(clean(g.Reason)), " ")
	return g
}

// clean bounds a message from outside and takes its control characters out.
func clean(s string) string {
	const most = 600
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c >= 0x80 && c < 0xa0 {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + " …"
	}
	return s
}

// matches reports whether an error has one of the codes; "Code: words" asks for
// the words in the message, too.
func matches(err error, codes []string) bool {
	var e *awsapi.Error
	if !errors.As(err, &e) || e.Code == "" {
		return false
	}
	for _, c := range codes {
		code, words, has := strings.Cut(c, ": ")
		if code == e.Code && (!has || strings.Contains(strings.ToLower(e.Message), strings.ToLower(words))) {
			return true
		}
	}
	return false
}

// notOffered reports whether a service does not exist in the region by AWS's
// own endpoint rules; unresolved, whether its host name does not resolve, which
// says the same only if others do.
func notOffered(err error) bool {
	var no *awsapi.NoEndpointError
	return errors.As(err, &no)
}

func unresolved(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound
}
