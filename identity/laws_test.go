package identity_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bartizan-security/bartizan/identity"
)

// genStatement draws a statement over a small alphabet, so that statements and
// requests often meet.
func genStatement(t *rapid.T, principal bool, effects ...string) string {
	pick := func(name string, from ...string) string { return rapid.SampledFrom(from).Draw(t, name) }
	m := []string{fmt.Sprintf(`"Effect":%q`, pick("effect", effects...))}
	m = append(m, fmt.Sprintf(`%q:[%q,%q]`, pick("a", "Action", "Action", "Action", "NotAction"),
		pick("action", "s3:*", "s3:Get*", "S3:getobject", "*", "kms:Decrypt", "sts:AssumeRole", "s3:?etObject", "sqs:*"), pick("action2", "ec2:*", "s3:PutObject", "kms:*", "sts:*")))
	m = append(m, fmt.Sprintf(`%q:%q`, pick("r", "Resource", "Resource", "NotResource"),
		pick("resource", "*", bucket+"/*", bucket+"/${aws:username}/*", bucket+"/${aws:PrincipalTag/team, 'none'}/*", "arn:aws:s3:*", target, key, "arn:aws:*:*:111122223333:*")))
	if principal {
		m = append(m, fmt.Sprintf(`%q:%s`, pick("p", "Principal", "Principal", "Principal", "NotPrincipal"),
			pick("principal", `"*"`, `{"AWS":"`+user+`"}`, `{"AWS":["`+role+`","`+acct+`"]}`, `{"AWS":"`+session+`"}`, `{"AWS":["`+root+`","`+user+`"]}`, `{"Service":"config.amazonaws.com"}`, `{"AWS":"`+other+`"}`, `{"CanonicalUser":"79a59"}`)))
	}
	var conds []string
	for range rapid.IntRange(0, 2).Draw(t, "conditions") {
		op := pick("operator", "StringEquals", "StringNotEquals", "StringLike", "StringLikeIfExists", "ForAllValues:StringEquals", "ForAnyValue:StringLike", "ForAnyValue:StringNotLike", "StringNotEqualsIfExists", "Null", "Bool", "ArnLike", "NumericLessThan", "IpAddress", "DateGreaterThan", "ForAllValues:StringNotEquals", "ArnNotEquals")
		cond := fmt.Sprintf(`%q:{%q:[%q,%q]}`, op, pick("key", "aws:SourceVpc", "aws:PrincipalTag/team", "aws:PrincipalArn", "aws:ResourceAccount", "s3:max-keys"),
			pick("value", "true", "vpc-1", "v*", "*", "${aws:PrincipalTag/team}", acct, role, user, "7"), pick("value2", "false", "red", "203.0.113.0/24", "2024-01-01", "10"))
		if !strings.Contains(strings.Join(conds, ","), `"`+op+`"`) {
			conds = append(conds, cond)
		}
	}
	if len(conds) > 0 {
		m = append(m, `"Condition":{`+strings.Join(conds, ",")+`}`)
	}
	return "{" + strings.Join(m, ",") + "}"
}

func genPolicies(t *rapid.T, most int, principal bool) []string {
	var list []string
	for range rapid.IntRange(0, most).Draw(t, "policies") {
		var s []string
		for range rapid.IntRange(1, 3).Draw(t, "statements") {
			s = append(s, genStatement(t, principal, "Allow", "Allow", "Deny"))
		}
		list = append(list, pol(s...))
	}
	return list
}

func genCase(t *rapid.T) *stackCase {
	c := &stackCase{
		principal: rapid.SampledFrom([]string{user, role, session, fed, root, extUser, extSess, "*", "config.amazonaws.com"}).Draw(t, "principal"),
		action:    rapid.SampledFrom([]string{"s3:GetObject", "s3:PutObject", "kms:Decrypt", "sts:AssumeRole", "sqs:SendMessage", "ec2:DescribeInstances", "s3:ListAllMyBuckets"}).Draw(t, "action"),
		resource:  rapid.SampledFrom([]string{object, bucket + "/Ada/x", bucket + "/red/x", target, key, queue, "*"}).Draw(t, "resource"),
		ctx:       map[string][]string{},
		id:        genPolicies(t, 2, false), boundary: genPolicies(t, 1, false), session: genPolicies(t, 1, false), endpoint: genPolicies(t, 1, true),
	}
	for range rapid.IntRange(0, 2).Draw(t, "levels") {
		c.scp = append(c.scp, append(genPolicies(t, 1, false), allowAll))
		c.rcp = append(c.rcp, genPolicies(t, 1, true))
	}
	if rp := genPolicies(t, 1, true); len(rp) > 0 {
		c.rp = rp[0]
	}
	values := []string{"vpc-1", "vpc-2", "red", "7", "true", role, "203.0.113.9", "2025-01-01", ""}
	for _, k := range []string{"aws:SourceVpc", "aws:PrincipalTag/team", "aws:PrincipalArn", "s3:max-keys"} {
		switch rapid.IntRange(0, 3).Draw(t, "state of "+k) {
		case 0:
			c.unknown = append(c.unknown, k)
		case 1:
			c.ctx[k] = rapid.SliceOfN(rapid.SampledFrom(values), 0, 2).Draw(t, "values of "+k)
		}
	}
	return c
}

// The engine decides like the plain evaluator.
func TestEngineEqualsPlainEvaluator(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := genCase(rt)
		r, s := c.build(t)
		d, err := identity.Evaluate(r, s)
		if err != nil {
			rt.Fatal(err)
		}
		if p := plainEvaluate(r, s); p != d.Outcome && p != unknown { // which the engine may settle by cases
			rt.Fatalf("the plain evaluator says %s, the engine %s (%s)", p, d.Outcome, d.Explanation())
		}
	})
}

// An explicit deny wins, and adding a deny anywhere never widens.
func TestDenyNeverWidens(t *testing.T) {
	rank := map[identity.Outcome]int{explicit: 0, implicit: 0, unknown: 1, allowed: 2}
	rapid.Check(t, func(rt *rapid.T) {
		c := genCase(rt)
		r, s := c.build(t)
		before, _ := identity.Evaluate(r, s)
		deny := pol(genStatement(rt, false, "Deny"))
		switch rapid.IntRange(0, 2).Draw(rt, "where") {
		case 0:
			c.id = append(c.id, deny)
		case 1:
			c.scp = append(c.scp, []string{allowAll, deny})
		default:
			if len(c.session) == 0 {
				return // a first session policy limits, and a federated user gains
			}
			c.session = append(c.session, deny)
		}
		r, s = c.build(t)
		after, _ := identity.Evaluate(r, s)
		if rank[after.Outcome] > rank[before.Outcome] {
			rt.Fatalf("a deny changed %s to %s", before.Outcome, after.Outcome)
		}
		c.scp = append(c.scp, []string{allowAll, denyAll})
		r, s = c.build(t)
		if certain, _ := identity.Evaluate(r, s); certain.Outcome != explicit && !strings.HasPrefix(c.principal, "*") && !strings.Contains(c.principal, "amazonaws") {
			rt.Fatalf("denied everything, decided %s", certain.Outcome)
		}
	})
}

// What is decided although a key is not known holds for every value of it, and
// for its absence.
func TestUnknownIsSound(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := genCase(rt)
		r, s := c.build(t)
		d, _ := identity.Evaluate(r, s)
		may := d.Outcome == allowed
		if d.Outcome == unknown {
			if len(d.MissingContext) == 0 {
				rt.Fatal("unknown without a missing key")
			}
			return
		}
		ctx := map[string][]string{}
		for k, v := range c.ctx {
			ctx[k] = v
		}
		for _, k := range c.unknown {
			if rapid.Bool().Draw(rt, "present "+k) {
				ctx[k] = rapid.SliceOfN(rapid.SampledFrom([]string{"vpc-1", "red", "7", "true", user, role, "*", "x", "true", "v*"}), 1, 1).Draw(rt, "value of "+k)
			}
		}
		known := *r
		known.Context, known.UnknownContext = ctx, nil
		after, _ := identity.Evaluate(&known, s)
		if !strings.Contains(c.rp, "CanonicalUser") && (after.Outcome == allowed) != may {
			rt.Fatalf("decided %s without the keys %q, and %s with %v", d.Outcome, c.unknown, after.Outcome, ctx)
		}
	})
}

// Printing and parsing does not change a decision.
func TestPrintKeepsTheDecision(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := genCase(rt)
		r, s := c.build(t)
		before, _ := identity.Evaluate(r, s)
		for i, text := range c.id {
			p, err := identity.ParsePolicy([]byte(text))
			if err != nil {
				rt.Fatal(err)
			}
			c.id[i] = p.String()
		}
		r, s = c.build(t)
		if after, _ := identity.Evaluate(r, s); after.Outcome != before.Outcome {
			rt.Fatalf("%s became %s", before.Outcome, after.Outcome)
		}
	})
}

func FuzzEvaluate(f *testing.F) {
	f.Add([]byte(allowAll), []byte(pol(st("Deny", "s3:*", "*", everyone, when("StringLike", "aws:SourceVpc", "${aws:username}*")))), session, "s3:GetObject", object, "aws:SourceVpc", "v*")
	f.Add([]byte(pol(st("Allow", "s3:*", bucket+"/${aws:x, 'y'}?*"))), []byte(pol(st("Allow", "*", "*", notAWS(user)))), "*", "kms:Decrypt", key, "aws:x", "${*}")
	f.Fuzz(func(t *testing.T, id, rp []byte, principal, action, resource, k, v string) {
		s := &identity.Stack{}
		if d, err := identity.ParseDocument(id, identity.IdentityPolicy, "id"); err == nil {
			s.Identity = []*identity.Document{d}
			s.ServiceControl = [][]*identity.Document{{d}}
		}
		if d, err := identity.ParseDocument(rp, identity.ResourcePolicy, "rp"); err == nil {
			s.Resource = d
		}
		r := &identity.Request{Principal: principal, Action: action, Resource: resource, Context: map[string][]string{k: {v}}, UnknownContext: []string{v}}
		d, err := identity.Evaluate(r, s)
		if (err != nil) != (d.Outcome == "") {
			t.Fatalf("error %v, decision %q", err, d.Outcome)
		}
		_ = d.Explanation()
	})
}
