package derive_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/bartizan-security/bartizan/detect/derive"
	"github.com/bartizan-security/bartizan/detect/event"
)

// FuzzFields: whatever stands in a request, the fields have few values, each of
// its kind, and the same again.
func FuzzFields(f *testing.F) {
	for _, request := range []string{
		authorize(permission("tcp", 22, 4000, "0.0.0.0/0", "::/0")),
		`{"ModifySecurityGroupRulesRequest":{"SecurityGroupRule":{"SecurityGroupRule":{"IpProtocol":"-1","CidrIpv4":"0.0.0.0/0"}}}}`,
		`{"aclProtocol":"6","ruleAction":"allow","egress":true,"cidrBlock":"0.0.0.0/0","portRange":{"from":1,"to":2}}`,
		`{"policy":` + quoted(document(allow(aws(stranger, "*"), `{"StringEquals":{"aws:PrincipalAccount":"`+other+`"}}`), allow(`{"Federated":"x"}`, ""))) + `}`,
		`{"bucketPolicy":` + document(allow(`"*"`, `{"ForAllValues:StringLike":{"aws:PrincipalOrgPaths":"${aws:x}/*"}}`)) + `}`,
		`{"principal":"*","principalOrgID":"o-1","condition":{"type":"X","key":"y","value":"z"}}`,
		`{"policyDocument":"%7B%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22NotAction%22%3A%22iam%3A%3F%22"}`,
		`{"policy":"{\"Statement\":[[{}]],\"x\":{\"Statement\":{}}"}`,
	} {
		for i := range calls {
			f.Add(uint8(i), []byte(request))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, request []byte) {
		c := calls[int(which)%len(calls)]
		record := call(c[0], c[1], string(request), string(request))
		e, err := event.Parse(schema(true), event.CloudTrail, []byte(record))
		if err != nil {
			return
		}
		for _, field := range derive.Fields() {
			vs := e.Lookup(field.Path)
			if len(vs) > 1<<16 {
				t.Fatalf("%s has %d values", field.Path, len(vs))
			}
			for _, v := range vs {
				switch {
				case field.Number && v.Kind != event.Number, strings.Contains(field.Doc, "`true`:") && v.String() != "true":
					t.Fatalf("%s has %q", field.Path, v.Text)
				case v.Kind == event.String && !utf8.Valid(v.Text):
					t.Fatalf("%s has what is no text: %q", field.Path, v.Text)
				case field.Number && !json.Valid(v.Text):
					t.Fatalf("%s has what is no number: %q", field.Path, v.Text)
				}
			}
			again := e.Lookup(field.Path)
			if len(again) != len(vs) || len(vs) > 0 && !bytes.Equal(again[0].Text, vs[0].Text) {
				t.Fatalf("%s is something else the second time", field.Path)
			}
		}
	})
}

// calls are those that the fields read in a way of their own.
var calls = [][2]string{
	{"ec2", "AuthorizeSecurityGroupIngress"}, {"ec2", "AuthorizeSecurityGroupEgress"}, {"ec2", "ModifySecurityGroupRules"},
	{"ec2", "CreateNetworkAclEntry"}, {"rds", "AuthorizeDBSecurityGroupIngress"}, {"iam", "PutUserPolicy"},
	{"lambda", "AddPermission"}, {"sns", "AddPermission"}, {"events", "PutPermission"}, {"kms", "CreateGrant"},
}

// Records made to cost much come to an end, and have few values.
func TestHostile(t *testing.T) {
	many := func(n int, s string) string { return strings.TrimSuffix(strings.Repeat(s+",", n), ",") }
	many20 := func() (out []string) {
		for i := range 20 {
			var list []string
			for j := range 15 {
				list = append(list, quoted(fmt.Sprintf("*%d*%d*a%d*b*c*", i, j, i*j%7)))
			}
			out = append(out, statement("Deny", `"Principal":"*"`, fmt.Sprintf("s3:*%d*t*", i), `{"StringNotLike":{"aws:PrincipalArn":[`+strings.Join(list, ",")+`]}}`))
		}
		return out
	}
	account := func(i int) string {
		return quoted("1" + strings.Repeat("0", 6) + string([]byte{byte('0' + i/10000%10), byte('0' + i/1000%10), byte('0' + i/100%10), byte('0' + i/10%10), byte('0' + i%10)}))
	}
	var ids []string
	for i := range 30_000 {
		ids = append(ids, account(i))
	}
	principals := `{"AWS":[` + strings.Join(ids, ",") + `]}`
	condition := `{"StringLike":{"aws:PrincipalAccount":[` + many(20_000, `"*a*b*"`) + `]}}`
	for name, policy := range map[string]string{
		"many statements":              document(many(5_000, allow(`"*"`, `{"StringEquals":{"a":"b"}}`))),
		"many principals":              document(allow(principals, "")),
		"many principals and a deny":   document(allow(principals, ""), statement("Deny", `"Principal":"*"`, "*", condition)),
		"many principals and values":   document(allow(principals, condition)),
		"many statements of providers": document(many(3_000, `{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::1:oidc-provider/gitlab.com"},"Action":"*"}`)),
		"many actions":                 document(`{"Effect":"Allow","Resource":"*","Action":[` + many(60_000, `"iam:*a*b*c"`) + `]}`),
		"many exceptions":              document(many(20, `{"Effect":"Allow","Resource":"*","NotAction":[`+many(1_500, `"iam:*a*b*c"`)+`]}`), many(20, `{"Effect":"Allow","Resource":"*","Action":[`+many(1_500, `"*a*b"`)+`]}`)),
		"patterns that meet":           document(append(many20(), allow(`"*"`, `{"StringLike":{"aws:PrincipalArn":[`+many(30, `"arn:aws:iam::*:role/*a*x*b*y*"`)+`]}}`))...),
		"brackets":                     strings.Repeat(`{"Statement":[`, 50_000),
		"policies in policies":         strings.Repeat(`{"a":`, 200) + document(allow(`"*"`, "")) + strings.Repeat("}", 200),
	} {
		for _, request := range []string{`{"policy":` + quoted(policy) + `}`, `{"policies":[` + many(min(20, 900_000/len(policy)+1), quoted(policy)) + `]}`} {
			e := parse(t, call("s3", "PutBucketPolicy", request, ""))
			for _, f := range derive.Fields() {
				if n := len(e.Lookup(f.Path)); n > 5_000 {
					t.Errorf("%s: %s has %d values", name, f.Path, n)
				}
			}
		}
	}
	e := parse(t, call("ec2", "AuthorizeSecurityGroupIngress", authorize(many(5_000, permission("tcp", 1, 65535, "0.0.0.0/0"))), ""))
	if got := get(e, "bartizan.internet.inbound.port"); got != "1-65535" {
		t.Errorf("many rules: %q", got)
	}
}
