package paths_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/identity/paths"
)

func TestSmallestCut(t *testing.T) {
	assume := func(on string) doc { return statement("Allow", []string{"sts:AssumeRole"}, on) }
	for _, c := range []struct {
		rule  string
		build func(h *house)
		want  []string // parts of the changes, in order
	}{
		{"a role that all paths go through", func(h *house) {
			for i := range 5 {
				h.user(fmt.Sprint("u", i), policy(assume(roleARN(acct, "ci"))))
			}
			h.role("ci", trusts("AWS", acct), policy(assume("*")))
			h.role("boss", trusts("AWS", roleARN(acct, "ci")), everything)
		}, []string{"statement 0 of the"}},
		{"two statements that allow the same must both go", func(h *house) {
			h.user("eve", policy(statement("Allow", []string{"iam:PutUserPolicy"}, "*"), statement("Allow", []string{"iam:Put*"}, "*")))
		}, []string{"statement 0 (S) of the inline policy inline", "statement 1 (S) of the inline policy inline"}},
		{"a statement of a managed policy goes for all who have it", func(h *house) {
			h.managed("dev", policy(statement("Allow", []string{"s3:*"}, "*"), statement("Allow", []string{"iam:PutUserPolicy"}, "*")), 1, h.user("a", nil), h.user("b", nil))
		}, []string{"statement 1 (S) of the policy arn:aws:iam::" + acct + ":policy/dev"}},
		{"an AWS managed policy is detached", func(h *house) {
			attach(h.user("eve", nil), "arn:aws:iam::aws:policy/IAMFullAccess")
		}, []string{"detach arn:aws:iam::aws:policy/IAMFullAccess from " + userARN("eve")}},
		{"from the group that brings it", func(h *house) {
			h.group("ops", nil, h.user("a", nil), h.user("b", nil))
			attach(h.list[2], "arn:aws:iam::aws:policy/IAMFullAccess")
		}, []string{"detach arn:aws:iam::aws:policy/IAMFullAccess from arn:aws:iam::" + acct + ":group/ops"}},
		{"a policy that a user has twice must go twice", func(h *house) {
			u := h.user("a", nil)
			h.group("ops", nil, u)
			attach(h.list[1], "arn:aws:iam::aws:policy/IAMFullAccess")
			attach(u, "arn:aws:iam::aws:policy/IAMFullAccess")
		}, []string{"from arn:aws:iam::" + acct + ":group/ops", "from " + userARN("a")}},
		{"one change does where two groups are joined", func(h *house) {
			h.user("eve", policy(statement("Allow", []string{"iam:AddUserToGroup"}, "*")))
			h.group("functions", policy(statement("Allow", []string{"lambda:CreateFunction", "lambda:InvokeFunction"}, "*")))
			h.group("pass", policy(statement("Allow", []string{"iam:PassRole"}, "*")))
			h.role("fn", trusts("Service", "lambda.amazonaws.com"), everything)
		}, []string{"statement 0"}},
		{"and where joining them is all that two users have in common", func(h *house) {
			for _, name := range []string{"eve", "mallory"} {
				h.user(name, policy(statement("Allow", []string{"iam:AddUserToGroup"}, "*")))
			}
			h.group("functions", policy(statement("Allow", []string{"lambda:CreateFunction", "lambda:InvokeFunction"}, "*")))
			h.group("pass", policy(statement("Allow", []string{"iam:PassRole"}, "*")))
			h.role("fn", trusts("Service", "lambda.amazonaws.com"), everything)
		}, []string{"of arn:aws:iam::" + acct + ":group/"}},
		{"possible paths are broken, too", func(h *house) {
			h.user("eve", policy(statement("Allow", []string{"iam:CreateAccessKey"}, "*")))
			h.user("boss", everything)
		}, []string{"statement 0 (S) of the inline policy inline of " + userARN("eve")}},
	} {
		h := &house{t: t}
		c.build(h)
		cut := h.find(paths.Options{}).Cut
		if cut == nil || !cut.Smallest || !cut.Verified || len(cut.Changes) != len(c.want) {
			t.Errorf("%s: %+v, want %q", c.rule, cut, c.want)
			continue
		}
		for i, w := range c.want {
			if !strings.Contains(cut.Changes[i].Text, w) {
				t.Errorf("%s: change %d is %q, want %q", c.rule, i, cut.Changes[i].Text, w)
			}
		}
	}
}

// Where a user may join more combinations of groups than are tried, a gap says so.
func TestTooManyGroups(t *testing.T) {
	for _, c := range []struct {
		groups int
		action string
		want   bool
	}{{4, "lambda:CreateFunction", false}, {30, "lambda:CreateFunction", true}, {30, "ec2:DescribeVpcs", false}} { // which is of no use
		h := &house{t: t}
		h.user("eve", policy(statement("Allow", []string{"iam:AddUserToGroup"}, "*")))
		for i := range c.groups {
			h.group(fmt.Sprint("g", i), policy(statement("Allow", []string{c.action, "ec2:DescribeVpcs"}, fmt.Sprintf("arn:aws:lambda:eu-west-1:%s:function:f%d", acct, i))))
		}
		gaps := strings.Join(h.find(paths.Options{}).Gaps, "; ")
		if got := strings.Contains(gaps, "combinations of groups than were tried: 1"); got != c.want {
			t.Errorf("%d groups with %s: gaps %q", c.groups, c.action, gaps)
		}
	}
}

// plan is a small random estate whose statements can be left out one by one.
type plan struct {
	users, roles int
	statements   []planned
}

type planned struct {
	holder string // user/0, role/0
	trust  bool
	s      doc
}

func randomPlan(r *rand.Rand) *plan {
	p := &plan{users: 1 + r.IntN(3), roles: 2 + r.IntN(3)}
	role := func() string { return roleARN(acct, fmt.Sprint("r", r.IntN(p.roles))) }
	for i := range p.users {
		for range 1 + r.IntN(2) {
			s := statement("Allow", []string{"sts:AssumeRole"}, role())
			switch r.IntN(4) {
			case 0:
				s = statement("Allow", []string{"lambda:CreateFunction", "lambda:InvokeFunction", "iam:PassRole"}, "*")
			case 1:
				s = statement("Allow", []string{"iam:PassRole", "sts:AssumeRole"}, "*")
			case 2:
				s = statement("Allow", []string{"iam:UpdateAssumeRolePolicy"}, role())
			}
			p.statements = append(p.statements, planned{fmt.Sprint("user/", i), false, s})
		}
	}
	for i := range p.roles {
		holder := fmt.Sprint("role/", i)
		if i > 0 && r.IntN(2) == 0 {
			p.statements = append(p.statements, planned{holder, false, statement("Allow", []string{"sts:AssumeRole"}, "*")})
		}
		if r.IntN(3) == 0 {
			p.statements = append(p.statements, planned{holder, true, doc{"Effect": "Allow", "Principal": doc{"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}})
		}
		for range 1 + r.IntN(2) {
			who := []any{acct, userARN(fmt.Sprint("u", r.IntN(p.users))), role()}[r.IntN(3)]
			p.statements = append(p.statements, planned{holder, true, doc{"Effect": "Allow", "Principal": doc{"AWS": who}, "Action": "sts:AssumeRole"}})
		}
	}
	return p
}

// build makes the estate without the statements of a set. Role 0 is the
// administrator.
func (p *plan) build(t *testing.T, without uint) *house {
	h := &house{t: t}
	docs := map[string]doc{}
	for i, s := range p.statements {
		if without&(1<<i) != 0 {
			continue
		}
		key := fmt.Sprintf("%s %t", s.holder, s.trust)
		if docs[key] == nil {
			docs[key] = policy()
		}
		docs[key]["Statement"] = append(docs[key]["Statement"].([]any), s.s)
	}
	for i := range p.users {
		h.user(fmt.Sprint("u", i), docs[fmt.Sprintf("user/%d false", i)])
	}
	for i := range p.roles {
		trust := docs[fmt.Sprintf("role/%d true", i)]
		if trust == nil {
			trust = trusts("Service", "nobody.amazonaws.com")
		}
		own := docs[fmt.Sprintf("role/%d false", i)]
		if i == 0 {
			own = everything
		}
		h.role(fmt.Sprint("r", i), trust, own)
	}
	return h
}

// The cut is as small as trying every set of changes finds, over random estates.
func TestCutAgainstBruteForce(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 11))
	cuts := map[int]int{}
	for range 60 {
		p := randomPlan(r)
		reach := func(without uint) bool {
			h := p.build(t, without)
			h.read = []string{"AWS::Lambda::Function"}
			rep := h.find(paths.Options{NoCut: true})
			return rep.Reached+rep.Maybe > 0
		}
		h := p.build(t, 0)
		h.read = []string{"AWS::Lambda::Function"}
		rep := h.find(paths.Options{})
		if rep.Cut == nil {
			if reach(0) {
				t.Fatal("paths, but no cut")
			}
			cuts[0]++
			continue
		}
		if !rep.Cut.Smallest || !rep.Cut.Verified || len(rep.Cut.Unbroken) > 0 {
			t.Fatalf("cut %+v of %+v", rep.Cut, p)
		}
		best := len(rep.Cut.Changes)
		cuts[best]++
		n := len(p.statements)
		found := false
		for set := uint(0); set < 1<<n && !found; set++ {
			if size := ones(set); size < best && size == best-1 && !reach(set) {
				t.Errorf("the cut has %d changes, %b has fewer and does: %+v", best, set, p)
				found = true
			}
		}
	}
	t.Logf("cuts by size: %v", cuts)
	if cuts[1] == 0 || cuts[2] == 0 || cuts[3] == 0 {
		t.Errorf("the random estates are too plain: %v", cuts)
	}
}

func ones(set uint) int {
	n := 0
	for ; set != 0; set &= set - 1 {
		n++
	}
	return n
}
