package derive

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/catalog"
)

// actionsOf are the actions of a statement as they are written, in lower case;
// those of NotAction with "not" before them.
func actionsOf(s *identity.Statement) []string {
	var out []string
	add := func(prefix string, l *identity.List) {
		if l == nil {
			return
		}
		for _, t := range l.Texts()[:min(len(l.Values), maxNames)] {
			out = append(out, prefix+strings.ToLower(t))
		}
	}
	add("", s.Action)
	add("not ", s.NotAction)
	return out
}

// The Resource elements that take in everything, and every identity of an account.
var (
	anything      = regexp.MustCompile(`^(\*+|arn:(aws[a-z-]*|\*):[*:]+)$`)
	anyIdentities = regexp.MustCompile(`^arn:(aws[a-z-]*|\*):(iam|\*):[^:]*:(\*|\d{12}):(\*|(user|role|group|policy)/\*)$`)
)

// everywhere reports whether a statement is about every resource. NotResource is
// taken for that: what it leaves out are few.
func everywhere(s *identity.Statement, identities bool) bool {
	return s.NotResource != nil || s.Resource != nil && slices.ContainsFunc(s.Resource.Texts(), func(t string) bool {
		return anything.MatchString(t) || identities && anyIdentities.MatchString(t)
	})
}

// limited reports whether a condition of a statement picks some of the resources
// or requests. What only says how the caller must come, from where, when, with MFA,
// leaves him all his rights.
func limited(s *identity.Statement) bool {
	found := false
	eachCondition(s, func(o identity.Operator, key string, _ []string) {
		if o.Negated || o.IfExists || o.Set == identity.ForAllValues || o.Base == "Null" {
			return // nearly every request meets it
		}
		global := strings.HasPrefix(key, "aws:")
		for _, about := range []string{"aws:resource", "aws:requesttag", "aws:tagkeys", "aws:calledvia", "aws:viaawsservice", "aws:sourcea"} {
			global = global && !strings.HasPrefix(key, about)
		}
		found = found || !global
	})
	return found
}

// rights returns those of the policies of an identity that allow, or deny,
// something on every resource.
func rights(e *event.Event, effect identity.Effect, identities bool) []*identity.Statement {
	var out []*identity.Statement
	_, list := policies(e)
	for _, p := range list {
		for _, s := range p.Statements {
			if s.Effect == effect && s.Principal == nil && s.NotPrincipal == nil && everywhere(s, identities) && !limited(s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// actions are those that are allowed on every resource.
func actions(e *event.Event) []event.Value {
	var out []string
	for _, s := range rights(e, identity.Allow, false) {
		out = append(out, actionsOf(s)...)
	}
	return distinct(out)
}

// administrator reports whether the policies allow everything: one statement, or
// one whose exceptions others allow. What is denied counts only where it takes
// away all rights over identities, because who has some of those gets the others
// back.
func administrator(e *event.Event) []event.Value {
	list := rights(e, identity.Allow, false)
	var given []string
	for _, s := range list {
		if s.Action != nil {
			given = append(given, lowered(s.Action)...)
		}
	}
	all := slices.ContainsFunc(given, isEverything)
	covering := compiled(given)
	for _, s := range list {
		if s.NotAction != nil && len(s.NotAction.Values) <= maxExceptions {
			all = all || !slices.ContainsFunc(lowered(s.NotAction), func(except string) bool {
				return !slices.ContainsFunc(covering, func(p identity.Pattern) bool { return p.Match(except) })
			})
		}
	}
	return truth(all && len(overIdentities(e)) > 0)
}

// maxExceptions and maxCovering bound the search for statements that allow what
// another excepts.
const maxExceptions, maxCovering = 200, 1000

// compiled returns the patterns that, where they match the text of another, have
// all that the other has.
func compiled(list []string) []identity.Pattern {
	var out []identity.Pattern
	for _, t := range list {
		if !strings.Contains(t, "?") && len(out) < maxCovering {
			out = append(out, identity.NewPattern(t))
		}
	}
	return out
}

// isEverything reports whether an action pattern is * or *:*.
func isEverything(p string) bool {
	return p != "" && strings.Trim(p, "*") == "" || strings.Trim(p, "*:") == "" && strings.Count(p, ":") == 1
}

func lowered(l *identity.List) []string {
	out := l.Texts()
	for i := range out {
		out[i] = strings.ToLower(out[i])
	}
	return out[:min(len(out), maxNames)]
}

// identityActions are the actions of IAM that change something.
var identityActions = sync.OnceValue(func() []string {
	var out []string
	for _, a := range catalog.Default().ExpandAction("iam:*") {
		if a.Level != catalog.Read && a.Level != catalog.List {
			out = append(out, a.String())
		}
	}
	slices.Sort(out)
	return out
})

// overIdentities are the actions of IAM that are allowed on every identity and
// not denied there.
func overIdentities(e *event.Event) []string {
	allowed, denied := sieve(rights(e, identity.Allow, true)), sieve(unconditional(rights(e, identity.Deny, true)))
	if len(allowed) == 0 {
		return nil
	}
	var out []string
	for _, a := range identityActions() {
		if allowed.match(a) && !denied.match(a) {
			out = append(out, a)
		}
	}
	return out
}

func unconditional(list []*identity.Statement) []*identity.Statement {
	return slices.DeleteFunc(list, func(s *identity.Statement) bool { return len(s.Conditions) > 0 || s.NotResource != nil })
}

// patterns are those of statements that can match actions of IAM.
type patterns []struct {
	not  bool
	list []identity.Pattern
}

func sieve(list []*identity.Statement) patterns {
	var out patterns
	left := maxNames
	for _, s := range list {
		texts := s.Action
		if s.NotAction != nil {
			texts = s.NotAction
		}
		if texts == nil {
			continue
		}
		var compiled []identity.Pattern
		for _, t := range lowered(texts) {
			service, name, split := strings.Cut(t, ":")
			if t == "*" || split && identity.Match(service, "iam") {
				if left--; left < 0 {
					break
				}
				if t == "*" {
					name = t
				}
				compiled = append(compiled, identity.NewPattern(name))
			}
		}
		out = append(out, struct {
			not  bool
			list []identity.Pattern
		}{s.NotAction != nil, compiled})
	}
	return out
}

func (p patterns) match(action string) bool {
	name := strings.ToLower(strings.TrimPrefix(action, "iam:"))
	for _, s := range p {
		if slices.ContainsFunc(s.list, func(p identity.Pattern) bool { return p.Match(name) }) != s.not {
			return true
		}
	}
	return false
}

func identityRights(e *event.Event) []event.Value { return texts(overIdentities(e)) }
