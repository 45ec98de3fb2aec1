package lint

import (
	"strings"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/catalog"
	"github.com/bartizan-security/bartizan/internal/glob"
)

func (l *linter) readActions(s *statement) {
	a := s.node.Member("Action")
	if a == nil {
		if a = s.node.Member("NotAction"); a == nil {
			l.add("MISSING_ACTION", s.node, "the statement has neither Action nor NotAction")
			return
		}
		s.notAction = true
	}
	s.action = a
	s.actions = l.texts(a)
	if isEmptyArray(a) {
		l.add("EMPTY_ARRAY_ACTION", a, "the list of actions is empty")
	}
}

func (l *linter) checkActions(s *statement) {
	for _, n := range s.actions {
		if l.noVariables(n) {
			l.checkAction(n)
		}
	}
	if s.action != nil {
		l.redundantActions(s)
	}
}

func (l *linter) checkAction(n *identity.Node) {
	text := n.Text
	if l.kind == SCP {
		if i := strings.IndexAny(text, "*?"); i >= 0 && i < len(text)-1 {
			l.add("SCP_SYNTAX_ERROR_ACTION_WILDCARD", n, "a service control policy's action can have a wildcard only as its last character, unlike %q", clip(text))
		}
	}
	if text != "" && strings.Trim(text, "*") == "" {
		return
	}
	prefix, name, ok := strings.Cut(text, ":")
	if !ok || name == "" {
		f := l.add("INVALID_ACTION", n, "the action %q is not of the form service:Action", clip(text))
		if _, known := l.cat.Service(prefix); known && !ok {
			f.suggest(prefix + ":*")
		}
		return
	}
	if strings.ContainsAny(prefix, "*?") {
		if text != "*:*" {
			l.add("WILDCARD_IN_SERVICE_NAME", n, "the service %q has a wildcard and may come to include other services", clip(prefix))
		}
		return
	}
	if _, known := l.cat.Service(prefix); !known {
		f := l.add("INVALID_SERVICE_IN_ACTION", n, "there is no service %q", clip(prefix))
		f.suggest(l.cat.NearestService(prefix))
		return
	}
	if !l.spend(2000) || l.cat.Matches(text) {
		return
	}
	f := l.add("INVALID_ACTION", n, "the service %s has no action %q", strings.ToLower(prefix), clip(name))
	if near := actionOfAPI[strings.ToLower(text)]; near != "" {
		f.suggest(near)
	} else {
		f.suggest(l.cat.NearestAction(text))
	}
}

// actionOfAPI names the action for API operations whose action is called
// otherwise; people write the operation.
//
// Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
var actionOfAPI = map[string]string{
	"s3:listbuckets":                "s3:ListAllMyBuckets",
	"s3:listobjects":                "s3:ListBucket",
	"s3:listobjectsv2":              "s3:ListBucket",
	"s3:headobject":                 "s3:GetObject",
	"s3:headbucket":                 "s3:ListBucket",
	"s3:copyobject":                 "s3:PutObject",
	"s3:deleteobjects":              "s3:DeleteObject",
	"s3:listobjectversions":         "s3:ListBucketVersions",
	"s3:createmultipartupload":      "s3:PutObject",
	"s3:completemultipartupload":    "s3:PutObject",
	"s3:uploadpart":                 "s3:PutObject",
	"s3:getbucketencryption":        "s3:GetEncryptionConfiguration",
	"s3:putbucketencryption":        "s3:PutEncryptionConfiguration",
	"s3:getbucketlifecycle":         "s3:GetLifecycleConfiguration",
	"s3:putbucketlifecycle":         "s3:PutLifecycleConfiguration",
	"s3:getobjectlockconfiguration": "s3:GetBucketObjectLockConfiguration",
	"s3:putobjectlockconfiguration": "s3:PutBucketObjectLockConfiguration",
	"s3:getpublicaccessblock":       "s3:GetBucketPublicAccessBlock",
	"s3:putpublicaccessblock":       "s3:PutBucketPublicAccessBlock",
	"lambda:invoke":                 "lambda:InvokeFunction",
}

// actionCover is one entry of an action list with what it names.
type actionCover struct {
	low     string
	actions []*catalog.Action
}

// redundantActions reports the list once when some entry names nothing that the
// others do not.
func (l *linter) redundantActions(s *statement) {
	if len(s.actions) < 2 {
		return
	}
	var entries []actionCover
	wild := false
	for _, n := range s.actions {
		e := actionCover{low: strings.ToLower(n.Text)}
		if strings.ContainsAny(e.low, "*?") {
			wild = true
			cost := 1000
			if p, _, ok := strings.Cut(e.low, ":"); !ok || strings.ContainsAny(p, "*?") {
				cost = 100_000
			}
			if !l.spend(cost) {
				return
			}
		}
		e.actions = l.cat.ExpandAction(e.low)
		entries = append(entries, e)
	}
	count := map[*catalog.Action]int{}
	for _, e := range entries {
		for _, a := range e.actions {
			count[a]++
		}
	}
	var redundant []int
	seen := map[string]bool{}
	for i, e := range entries {
		dup := seen[e.low]
		seen[e.low] = true
		if dup {
			redundant = append(redundant, i)
			for _, a := range e.actions {
				count[a]--
			}
		}
	}
	if wild {
		for i, e := range entries {
			if len(e.actions) == 0 || seenBefore(redundant, i) {
				continue
			}
			if all(e.actions, func(a *catalog.Action) bool { return count[a] > 1 }) {
				redundant = append(redundant, i)
				for _, a := range e.actions {
					count[a]--
				}
			}
		}
	}
	if len(redundant) > 0 {
		n := s.actions[redundant[0]]
		l.add("REDUNDANT_ACTION", n, "%d of the actions are already named by others, such as %s; remove it", len(redundant), clip(n.Text))
	}
}

func seenBefore(list []int, i int) bool {
	for _, v := range list {
		if v == i {
			return true
		}
	}
	return false
}

func all[T any](list []T, ok func(T) bool) bool {
	for _, v := range list {
		if !ok(v) {
			return false
		}
	}
	return true
}

// covers reports whether every text that pattern b matches is matched by a: a
// star of b can only be met by a star of a.
func covers(a, b string) bool {
	p, i := 0, 0
	star, mark := -1, 0
	for i < len(b) {
		switch {
		case p < len(a) && a[p] == '*':
			star, mark = p, i
			p++
		case p < len(a) && (a[p] == b[i] && b[i] != '*' || a[p] == '?' && b[i] != '*'):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(a) && a[p] == '*' {
		p++
	}
	return p == len(a)
}

// names reports whether the statement's actions include the action, and whether
// one of them does so by a wildcard.
func (s *statement) names(action string) (included, byWildcard bool) {
	low := strings.ToLower(action)
	for _, n := range s.actions {
		t := strings.ToLower(n.Text)
		if t == low {
			included = true
		} else if strings.ContainsAny(t, "*?") && glob.Match(t, low) {
			included, byWildcard = true, true
		}
	}
	if s.notAction {
		return s.action != nil && !included, false
	}
	return included, byWildcard
}
