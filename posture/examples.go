package posture

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/finding"
)

// ExampleTime is the time at which the examples of all controls are judged.
var ExampleTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Where an example says nothing else, this is where its resource stands.
const (
	exampleAccount = "111122223333"
	exampleRegion  = "us-east-1"
)

// Test runs a control's examples and returns an error for each that gives
// another result than it expects, and for every member of the document that the
// control reads and no example shows.
func (s *Set) Test(ctx context.Context, id string) []error {
	i := slices.IndexFunc(s.rules, func(r *rule) bool { return r.ID == id })
	if i < 0 {
		return []error{fmt.Errorf("control %s: there is none", id)}
	}
	r := s.rules[i]
	one := &Set{byType: map[string][]*rule{}, keep: map[string]members{}}
	one.add(r)
	var errs []error
	for _, e := range r.Examples {
		got, reason, err := one.example(ctx, r, e)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("control %s, example %q: %w", r.ID, e.Name, err))
		case got != e.Expect:
			if reason != "" {
				reason = ": " + reason
			}
			errs = append(errs, fmt.Errorf("control %s, example %q: want %s, got %s%s", r.ID, e.Name, e.Expect, got, reason))
		}
	}
	for _, p := range r.paths {
		if !slices.ContainsFunc(r.Examples, func(e Example) bool { return shows(e, strings.Split(p, ".")) }) {
			errs = append(errs, fmt.Errorf("control %s: reads %s, which no example's document has: is the name right?", r.ID, p))
		}
	}
	return errs
}

// shows reports whether an example has a member, or says that it is unknown. A
// path that ends in a list is had if the list is.
func shows(e Example, path []string) bool {
	if slices.ContainsFunc(e.Unknown, func(g ExampleGap) bool { return g.Part == path[0] }) {
		return true
	}
	var v any = e.Document
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return false
		}
		if v, ok = m[p]; !ok {
			return false
		}
	}
	return true
}

// example runs one example and returns the status of its own resource.
func (s *Set) example(ctx context.Context, r *rule, e Example) (status, reason string, err error) {
	src, self := e.estate(r)
	status = "none"
	_, err = s.Run(ctx, src, Options{Now: ExampleTime}, func(f finding.Finding) error {
		if f.Resource.ID == self.ID && f.Resource.Account == self.Account && f.Resource.Region == self.Region && f.Resource.Type == self.Type {
			status, reason = string(f.Status), f.Reason
		}
		return nil
	})
	return status, reason, err
}

// estate makes the estate in which an example stands, and the resource that its
// result is about.
func (e Example) estate(r *rule) (*estate.Estate, *estate.Resource) {
	or := func(s, instead string) string {
		if s == "" {
			return instead
		}
		return s
	}
	account := or(e.Account, exampleAccount)
	id, region := "example", or(e.Region, exampleRegion)
	switch r.Scope {
	case ScopeAccount:
		id, region = account, ""
	case ScopeRegion:
		id = region
	}
	self := &estate.Resource{Type: or(e.Type, r.Resource[0]), ID: or(e.ID, id), ARN: e.ARN, Account: account, Region: region, Tags: e.Tags, Document: e.Document}
	if self.Document == nil {
		self.Document = map[string]any{}
	}
	for _, g := range e.Unknown {
		self.Unknown = append(self.Unknown, g.gap(account))
	}
	resources := []*estate.Resource{self}
	for i, w := range e.With {
		res := &estate.Resource{Type: w.Type, ID: or(w.ID, fmt.Sprintf("with-%d", i)), ARN: w.ARN, Account: or(w.Account, account), Region: or(w.Region, or(e.Region, exampleRegion)), Tags: w.Tags, Document: w.Document}
		for _, g := range w.Unknown {
			res.Unknown = append(res.Unknown, g.gap(res.Account))
		}
		resources = append(resources, res)
	}
	var gaps []estate.Gap
	for _, g := range e.Gaps {
		gaps = append(gaps, g.gap(account))
	}
	head := estate.Header{Scope: estate.Scope{Regions: []string{or(e.Region, exampleRegion)}}}
	return estate.New(head, resources, gaps), self
}
