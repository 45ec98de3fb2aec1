package incident

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/bartizan-security/bartizan/finding"
)

// Suppression is one entry of a suppression file. The selectors that are given
// must all match; all but Source take the wildcards * and ?.
type Suppression struct {
	Rule     string       // id of the rule
	Actor    string       // as the event names it, or the role behind a session
	Resource string       // id or ARN
	Account  string       // of the resource
	Source   netip.Prefix // of the source address
	Reason   string
	Owner    string
	Expires  time.Time // first moment at which it no longer suppresses
	Number   int       // its place in the file, from 1
	File     string
}

// ParseSuppressions reads a suppression file in YAML or JSON: a list of entries
// with rule, actor, resource, account and source, of which at least one is
// given, and reason, owner and expires, which all are. An expiry is a date, the
// last day on which the entry suppresses (UTC), or an RFC 3339 time.
func ParseSuppressions(name string, data []byte) ([]Suppression, error) {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("read suppressions %s: %w", name, fmt.Errorf(format, args...))
	}
	entries, err := entriesOf(data, "rule", "actor", "resource", "account", "source", "reason", "owner", "expires")
	if err != nil {
		return nil, fail("%w", err)
	}
	var out []Suppression
	for i, e := range entries {
		v := e.values
		s := Suppression{Rule: v["rule"], Actor: v["actor"], Resource: v["resource"], Account: v["account"], Reason: strings.TrimSpace(v["reason"]), Owner: strings.TrimSpace(v["owner"]), Number: i + 1, File: name}
		if source := v["source"]; source != "" {
			p, err := netip.ParsePrefix(source)
			if err != nil {
				a, err := netip.ParseAddr(source)
				if err != nil || a.Zone() != "" {
					return nil, fail("entry %d: source %q: want an address or a range such as 192.0.2.0/24", i+1, source)
				}
				p = netip.PrefixFrom(a, a.BitLen())
			}
			s.Source = p.Masked()
		}
		switch {
		case s.Rule+s.Actor+s.Resource+s.Account == "" && !s.Source.IsValid():
			return nil, fail("entry %d selects nothing; give rule, actor, resource, account or source", i+1)
		case s.Reason == "" || s.Owner == "" || v["expires"] == "":
			return nil, fail("entry %d needs reason, owner and expires", i+1)
		}
		if s.Expires, err = expiry(v["expires"]); err != nil {
			return nil, fail("entry %d: %w", i+1, err)
		}
		out = append(out, s)
	}
	return out, nil
}

func expiry(s string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t.AddDate(0, 0, 1), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, errors.New("expires: want a date such as 2027-06-30, or a time such as 2027-06-30T12:00:00Z")
	}
	return t.UTC(), nil
}

// Matches reports whether every selector of s matches f, whose event came from
// source, if that is known.
func (s *Suppression) Matches(f *finding.Finding, source string) bool {
	if !glob(s.Rule, f.RuleID) || !glob(s.Account, f.Resource.Account) {
		return false
	}
	if s.Resource != "" && !glob(s.Resource, f.Resource.ID) && !glob(s.Resource, f.Resource.ARN) {
		return false
	}
	if s.Actor != "" && !glob(s.Actor, f.Actor) {
		i := slices.IndexFunc(f.Evidence, func(e finding.Evidence) bool { return e.Path == "userIdentity.sessionContext.sessionIssuer.arn" })
		if i < 0 || !glob(s.Actor, fmt.Sprint(f.Evidence[i].Value)) {
			return false
		}
	}
	return !s.Source.IsValid() || s.from(f, source)
}

// sources are the fields that hold the address a record came from.
var sources = []string{"sourceIPAddress", "srcaddr", "client", "client_port", "remote_ip", "c-ip", "httpRequest.clientIp"}

func (s *Suppression) from(f *finding.Finding, source string) bool {
	in := func(text string) bool {
		a, err := netip.ParseAddr(text)
		if err != nil {
			p, err := netip.ParseAddrPort(text)
			if err != nil {
				return false
			}
			a = p.Addr()
		}
		return s.Source.Contains(a.Unmap())
	}
	for _, e := range f.Evidence {
		if slices.Contains(sources, e.Path) && in(fmt.Sprint(e.Value)) {
			return true
		}
	}
	return in(source) || in(f.Actor) // flow logs and others know no other actor
}

func (s *Suppression) String() string {
	var parts []string
	for _, p := range []struct{ name, value string }{{"rule", s.Rule}, {"actor", s.Actor}, {"resource", s.Resource}, {"account", s.Account}} {
		if p.value != "" {
			parts = append(parts, p.name+" "+p.value)
		}
	}
	if s.Source.IsValid() {
		parts = append(parts, "source "+s.Source.String())
	}
	return fmt.Sprintf("suppression %d of %s (%s)", s.Number, s.File, strings.Join(parts, ", "))
}

// Suppressor applies suppressions and remembers which of them matched. It is not
// safe for concurrent use.
type Suppressor struct {
	list    []Suppression
	now     time.Time
	matched []int
	Count   int // findings suppressed
}

// NewSuppressor returns a Suppressor as of now.
func NewSuppressor(list []Suppression, now time.Time) *Suppressor {
	return &Suppressor{list: list, now: now, matched: make([]int, len(list))}
}

// Apply sets f's status to muted, with the reason, if an entry matches that has
// not expired. source is the address the event came from, "" if unknown.
func (s *Suppressor) Apply(f *finding.Finding, source string) {
	for i := range s.list {
		e := &s.list[i]
		if !e.Matches(f, source) {
			continue
		}
		s.matched[i]++
		if f.Status == finding.StatusFail && s.now.Before(e.Expires) {
			f.Status = finding.StatusMuted
			f.Mute = &finding.Mute{Control: e.Rule, Resource: e.Resource, Account: e.Account, Reason: e.Reason, Owner: e.Owner, Expires: e.Expires}
			s.Count++
		}
	}
}

// Warnings names the entries that have expired and those that matched nothing.
func (s *Suppressor) Warnings() []string {
	var out []string
	for i := range s.list {
		e := &s.list[i]
		last := e.Expires.Add(-time.Nanosecond).UTC().Format(time.DateOnly)
		switch {
		case !s.now.Before(e.Expires) && s.matched[i] > 0:
			out = append(out, fmt.Sprintf("%s expired on %s; %d %s shown again; renew it or look into them (owner %s)", e, last, s.matched[i], plural(s.matched[i], "finding is", "findings are"), e.Owner))
		case !s.now.Before(e.Expires):
			out = append(out, fmt.Sprintf("%s expired on %s and matches nothing; remove it (owner %s)", e, last, e.Owner))
		case s.matched[i] == 0:
			out = append(out, fmt.Sprintf("%s matches nothing; check it for a mistake or remove it (owner %s)", e, e.Owner))
		}
	}
	return out
}
