package guardrail_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/guardrail"
	"github.com/bartizan-security/bartizan/identity/inventory"
	"github.com/bartizan-security/bartizan/identity/prove"
)

const (
	partner     = "555566667777"
	uncollected = "888877776666" // a member of the organization that the estate does not hold
)

var (
	lawActions    = []string{"s3:GetObject", "s3:PutObject", "s3:*", "s3:ListBucket", "*"}
	lawResources  = []string{"*", "arn:aws:s3:::b/*", "arn:aws:s3:::b", "arn:aws:s3:::b/p/*", "arn:aws:s3:::*/k"}
	lawConditions = []string{
		`"StringEquals":{"aws:SourceVpc":"vpc-1"}`, `"StringNotEquals":{"aws:SourceVpc":"vpc-1"}`, `"Bool":{"aws:MultiFactorAuthPresent":"true"}`,
		`"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}`, `"StringEquals":{"aws:username":"u"}`, `"StringLike":{"aws:userid":"AROAr:c*"}`,
		`"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/*"}`, `"StringEquals":{"aws:PrincipalTag/team":"web"}`, `"StringEquals":{"aws:PrincipalTag/team":["","db"]}`, `"StringEquals":{"aws:SourceAccount":"111122223333"}`,
		`"StringEquals":{"aws:PrincipalAccount":"111122223333"}`, `"StringEquals":{"aws:ResourceAccount":"111122223333"}`, `"StringEquals":{"s3:prefix":"x"}`,
		`"StringNotEquals":{"aws:PrincipalOrgID":"o-1"}`, `"StringEquals":{"aws:PrincipalOrgID":"o-1"}`, `"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:root"}`, `"StringEquals":{"aws:PrincipalType":"Account"}`,
		`"Null":{"aws:PrincipalTag/team":"true"}`,
	}
	lawPrincipals = []string{
		`"*"`, `{"AWS":"*"}`, `{"AWS":"111122223333"}`, `{"AWS":"arn:aws:iam::111122223333:user/u"}`, `{"AWS":"arn:aws:iam::111122223333:role/r"}`, `{"AWS":"arn:aws:sts::111122223333:assumed-role/r/ci"}`,
		`{"AWS":"444455556666"}`, `{"AWS":"arn:aws:iam::444455556666:user/w"}`, `{"AWS":"555566667777"}`, `{"AWS":"arn:aws:iam::555566667777:role/partner"}`, `{"Service":"sns.amazonaws.com"}`,
	}
)

func lawPolicy(t *rapid.T, layer string, principals bool) string {
	var list []string
	for range rapid.IntRange(1, 3).Draw(t, layer) {
		effect := rapid.SampledFrom([]string{"Allow", "Allow", "Allow", "Deny"}).Draw(t, "effect")
		s := fmt.Sprintf(`{"Effect":%q,"Action":%q,"Resource":%q`, effect, rapid.SampledFrom(lawActions).Draw(t, "action"), rapid.SampledFrom(lawResources).Draw(t, "resource"))
		if principals {
			element := "Principal"
			if effect == "Deny" && rapid.Bool().Draw(t, "all but") {
				element = "NotPrincipal"
			}
			s += fmt.Sprintf(`,%q:%s`, element, rapid.SampledFrom(lawPrincipals).Draw(t, "principal"))
		}
		if rapid.Bool().Draw(t, "conditional") {
			s += `,"Condition":{` + rapid.SampledFrom(lawConditions).Draw(t, "condition") + `}`
		}
		list = append(list, s+"}")
	}
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(list, ",") + `]}`
}

func lawEstate(t *rapid.T, out testing.TB) ([]*estate.Resource, string) {
	var list []*estate.Resource
	var text strings.Builder
	add := func(account, typ, id, arn, document string, tags map[string]string) {
		tt, ok := out.(*testing.T)
		if !ok {
			t.Fatal("want a test")
		}
		r := res(tt, typ, id, arn, document)
		r.Account, r.Tags = account, tags
		list = append(list, r)
		fmt.Fprintf(&text, "%s %v\n", document, tags)
	}
	principal := func(account, kind, name, more string) {
		if rapid.Bool().Draw(t, name+" bounded") {
			add(account, "AWS::IAM::ManagedPolicy", "of-"+name, "arn:aws:iam::"+account+":policy/of-"+name, `{"PolicyVersionList":[{"VersionId":"v1","IsDefaultVersion":true,"Document":`+lawPolicy(t, "boundary", false)+`}]}`, nil)
			more += `,"PermissionsBoundary":{"PermissionsBoundaryArn":"arn:aws:iam::` + account + `:policy/of-` + name + `"}`
		}
		tags := map[string]string{}
		if rapid.Bool().Draw(t, name+" tagged") {
			tags["team"] = rapid.SampledFrom([]string{"web", "db", ""}).Draw(t, name+"'s tag")
		}
		policies := fmt.Sprintf(`"%sPolicyList":[{"PolicyName":"own","PolicyDocument":%s}]`, kind, lawPolicy(t, "own", false))
		add(account, "AWS::IAM::"+kind, name, "arn:aws:iam::"+account+":"+strings.ToLower(kind)+"/"+name, fmt.Sprintf(`{"%sName":%q,"Path":"/",%s%s}`, kind, name, policies, more), tags)
	}
	principal(acct, "User", "u", `,"UserId":"AIDAu"`)
	principal(acct, "Role", "r", `,"RoleId":"AROAr","AssumeRolePolicyDocument":{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":["sts:AssumeRole","sts:TagSession"]}}`)
	principal("444455556666", "User", "w", `,"UserId":"AIDAw"`)
	add(acct, "AWS::S3::Bucket", "b", "arn:aws:s3:::b", fmt.Sprintf(`{"Name":"b","GetBucketPolicy":{"Policy":%q},"GetPublicAccessBlock":{"PublicAccessBlockConfiguration":{"RestrictPublicBuckets":%v}}}`,
		lawPolicy(t, "bucket", true), rapid.IntRange(0, 3).Draw(t, "restricted") == 0), nil)
	if rapid.IntRange(0, 1).Draw(t, "organized") == 0 {
		return list, text.String()
	}
	add(acct, "AWS::Organizations::Organization", "o-1", "", `{"Id":"o-1","MasterAccountId":"999999999999"}`, nil)
	for _, a := range []string{acct, "444455556666", uncollected} {
		add(acct, "AWS::Organizations::Account", a, "", fmt.Sprintf(`{"Id":%q,"ListParents":{"Parents":[{"Id":"r-1"}]}}`, a), nil)
	}
	attach := func(typ, name, content string) {
		add(acct, "AWS::Organizations::Policy", name, "", fmt.Sprintf(`{"Id":%q,"Name":%q,"Type":%q,"DescribePolicy":{"Policy":{"Content":%q}},"ListTargetsForPolicy":{"Targets":[{"TargetId":"r-1"}]}}`, name, name, typ, content), nil)
	}
	attach("SERVICE_CONTROL_POLICY", "FullAWSAccess", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
	attach("SERVICE_CONTROL_POLICY", "p-scp", lawPolicy(t, "scp", false))
	if rapid.Bool().Draw(t, "with a resource control policy") {
		attach("RESOURCE_CONTROL_POLICY", "p-rcp", `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*","Condition":{`+rapid.SampledFrom(lawConditions).Draw(t, "rcp condition")+`}}}`)
	}
	return list, text.String()
}

// TestNothingGetsThroughAGuardrailThatHolds: over generated accounts, whoever a
// request gets through for is among the violations, and the request shown with a
// violation gets through.
func TestNothingGetsThroughAGuardrailThatHolds(t *testing.T) {
	through, held, unknown := 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		list, text := lawEstate(rt, t)
		src := estate.New(estate.Header{}, list, nil)
		inv, err := inventory.Load(src)
		if err != nil {
			rt.Fatal(err)
		}
		rule := guardrail.Rule{Name: "x", Actions: []string{"s3:GetObject", "s3:PutObject", "s3:ListBucket"}, Resources: []string{"arn:aws:s3:::b", "arn:aws:s3:::b/*"}}
		anywhere := rapid.IntRange(0, 2).Draw(rt, "on any resource") == 0
		if anywhere {
			rule.Resources = nil
		}
		rule.Root = rapid.Bool().Draw(rt, "root users, too")
		if rapid.IntRange(0, 2).Draw(rt, "with a condition") == 0 {
			rule.When = map[string]map[string]any{"StringEquals": {"aws:SourceVpc": "vpc-1"}}
		}
		if rapid.IntRange(0, 3).Draw(rt, "with an exception") == 0 {
			rule.Except = []string{"role/r", "arn:aws:iam::" + partner + ":role/part*"}
		}
		if err := rule.Compile(); err != nil {
			rt.Fatal(err)
		}
		found, _ := guardrail.Check(inv, &rule)
		violated := map[string]bool{}
		for _, v := range found {
			violated[v.Principal] = true
			if v.Verdict == prove.Unknown {
				unknown++
				rt.Logf("unknown: %s: %s\n%s", v.Principal, v.Reason, text)
			} else if d := outcomeFor(rt, inv, v.Witness); !(anywhere && strings.HasPrefix(v.Witness.Resource, "arn:aws:s3:::b")) && d != identity.Allowed {
				rt.Fatalf("%s of %s: the request shown is not allowed but %v: %+v\n%s", rule.Name, v.Principal, d, v.Witness, text)
			}
		}
		for range 60 {
			label, excepted, r := lawRequest(rt, inv, anywhere)
			if strings.HasSuffix(r.Principal, ":root") && !rule.Root {
				continue
			}
			if rule.When != nil && (len(r.Context["aws:SourceVpc"]) == 0 || r.Context["aws:SourceVpc"][0] != "vpc-1") || excepted && rule.Except != nil {
				continue
			}
			if outcomeFor(rt, inv, r) != identity.Allowed {
				held++
				continue
			}
			through++
			c, err := identity.ParseCaller(r.Principal)
			if err != nil {
				rt.Fatal(err)
			}
			_, ours := inv.Principal(r.Principal)
			if !violated[label] && (ours || !violated["*"] && !violated["arn:aws:iam::"+c.AccountID+":root"]) {
				rt.Fatalf("the guardrail holds for %s, but %+v gets through\nviolations %+v\n%s", label, r, found, text)
			}
		}
	})
	t.Logf("%d requests got through, %d did not; %d violations are unknown", through, held, unknown)
}

// lawRequest draws a request, under whom a violation lists its caller, and
// whether the exceptions are about the caller.
func lawRequest(t *rapid.T, inv *inventory.Inventory, anywhere bool) (label string, excepted bool, r *identity.Request) {
	caller := rapid.SampledFrom([]string{"arn:aws:iam::111122223333:user/u", "arn:aws:sts::111122223333:assumed-role/r/ci", "arn:aws:sts::111122223333:assumed-role/r/x", "arn:aws:iam::444455556666:user/w",
		"arn:aws:sts::555566667777:assumed-role/partner/x", "arn:aws:iam::555566667777:user/y", "arn:aws:iam::999988887777:user/z", "*", "arn:aws:iam::111122223333:root", "arn:aws:iam::888877776666:user/m"}).Draw(t, "caller")
	p, ok := inv.Principal(caller)
	label = caller
	switch {
	case ok:
		label = p.ARN
	case strings.Contains(caller, "assumed-role/partner"):
		label = "arn:aws:iam::555566667777:role/partner"
	}
	if !ok {
		c, err := identity.ParseCaller(caller)
		if err != nil {
			t.Fatal(err)
		}
		p = &inventory.Principal{ARN: caller, Account: c.AccountID}
	}
	context := map[string][]string{}
	draw := func(key string, values ...string) {
		if v := rapid.SampledFrom(append(values, "")).Draw(t, key); v != "" {
			context[key] = []string{v}
		}
	}
	draw("aws:SourceVpc", "vpc-1", "vpc-2")
	draw("aws:MultiFactorAuthPresent", "true", "false")
	action := rapid.SampledFrom([]string{"s3:GetObject", "s3:PutObject", "s3:ListBucket"}).Draw(t, "action")
	if action == "s3:ListBucket" {
		draw("s3:prefix", "x", "y")
	}
	resources := []string{"arn:aws:s3:::b", "arn:aws:s3:::b/k", "arn:aws:s3:::b/p/k", "arn:aws:s3:::b/p/q"}
	if anywhere && ok {
		resources = append(resources, "arn:aws:s3:::other/k", "arn:aws:s3:::other")
	}
	r = inv.Request(p, action, rapid.SampledFrom(resources).Draw(t, "resource"), context)
	r.Principal = caller
	if p.Kind == inventory.Role {
		maps.Copy(r.Context, map[string][]string{"aws:PrincipalArn": {p.ARN}, "aws:userid": {p.ID + ":" + caller[strings.LastIndexByte(caller, '/')+1:]}})
		if tag := rapid.SampledFrom([]string{"", "web", "db"}).Draw(t, "session tag"); tag != "" {
			r.Context["aws:PrincipalTag/team"] = []string{tag}
		}
	}
	return label, strings.Contains(caller, "assumed-role/"), r
}

// outcomeFor evaluates a request with everything that the estate holds about it.
func outcomeFor(t *rapid.T, inv *inventory.Inventory, r *identity.Request) identity.Outcome {
	p, ok := inv.Principal(r.Principal)
	if !ok {
		c, err := identity.ParseCaller(r.Principal)
		if err != nil {
			t.Fatal(err)
		}
		p = &inventory.Principal{ARN: r.Principal, Account: c.AccountID}
	}
	st := inv.Stack(p, r.Resource)
	if !ok {
		all, err := identity.ParseDocument([]byte(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`), identity.IdentityPolicy, "all")
		if err != nil {
			t.Fatal(err)
		}
		st.Identity = []*identity.Document{all}
	}
	d, err := identity.Evaluate(r, st)
	if err != nil {
		t.Fatal(err)
	}
	return d.Outcome
}
