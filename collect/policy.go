package collect

import (
	"cmp"
	"slices"
	"strings"
)

// Need is one IAM action that collecting needs, and what for.
type Need struct {
	Action  string // iam:GetUser
	Service string // of the operation, as awsapi names it
	Types   []string
}

// Needs returns the IAM actions for the types (nil: all), sorted: those of the
// catalogue, and those with which Run finds regions and accounts.
func (c *Catalogue) Needs(types []*Type) []Need {
	if types == nil {
		types = c.types
	}
	byAction := map[string]*Need{}
	add := func(service, operation, typ string) {
		action := c.Permission(service, operation)
		if action == "" || operation == "" {
			return
		}
		n := byAction[action]
		if n == nil {
			n = &Need{Action: action, Service: service}
			byAction[action] = n
		}
		if typ != "" && !slices.Contains(n.Types, typ) {
			n.Types = append(n.Types, typ)
		}
	}
	add("ec2", "DescribeRegions", "")
	add("account", "ListRegions", "")
	add("organizations", "DescribeOrganization", "")
	add("organizations", "ListAccounts", "")
	for _, t := range types {
		add(t.List.Service, t.List.Operation, t.Name)
		for _, m := range t.More {
			if m.Option != "" {
				continue
			}
			add(m.Service, m.Operation, t.Name)
			if m.before != nil {
				add(m.before.service, m.before.operation, t.Name)
			}
		}
	}
	var out []Need
	for _, n := range byAction {
		slices.Sort(n.Types)
		out = append(out, *n)
	}
	slices.SortFunc(out, func(a, b Need) int { return cmp.Compare(strings.ToLower(a.Action), strings.ToLower(b.Action)) })
	return out
}

// PolicyQuota is how many characters other than white space a managed policy may have.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const PolicyQuota = 6144

// Document is an IAM policy.
type Document struct {
	Version   string
	Statement []Statement
}

// Statement allows actions on every resource, as reading a whole account needs.
type Statement struct {
	Sid      string
	Effect   string
	Action   []string
	Resource string
}

// Policy returns the least policies with which Run can read the types (nil:
// all): as few as IAM's quota on a managed policy's size allows.
func (c *Catalogue) Policy(types []*Type) []Document {
	const frame = len(`{"Version":"2012-10-17","Statement":[{"Sid":"BartizanCollect00","Effect":"Allow","Action":[],"Resource":"*"}]}`)
	var docs []Document
	var actions []string
	size := frame
	flush := func() {
		if len(actions) > 0 {
			sid := "BartizanCollect" + string(rune('1'+len(docs)))
			docs = append(docs, Document{"2012-10-17", []Statement{{sid, "Allow", actions, "*"}}})
		}
		actions, size = nil, frame
	}
	for _, n := range c.Needs(types) {
		if size += len(n.Action) + 3; size > PolicyQuota {
			flush()
			size += len(n.Action) + 3
		}
		actions = append(actions, n.Action)
	}
	flush()
	return docs
}
