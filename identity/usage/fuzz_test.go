package usage_test

import (
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/prove"
	"github.com/bartizan-security/bartizan/identity/usage"
)

// Whatever an event holds, the resources named are ARNs or "*", and the policy
// made of it is never wider than what the principal has.
func FuzzGenerate(f *testing.F) {
	f.Add("s3.amazonaws.com", "GetObject", `{"bucketName":"b","key":"a/k"}`, "arn:aws:s3:::b/a/k")
	f.Add("iam.amazonaws.com", "GetRole", `{"roleName":"${aws:username}"}`, "arn:aws:iam::1:role/*")
	f.Add("sqs.amazonaws.com", "SendMessage", `{"queueUrl":"//"}`, "arn:")
	f.Add("ec2.amazonaws.com", "StopInstances", `{"instancesSet":{"items":[{"instanceId":"i-1"},{"instanceId":"*"}]}}`, "")
	own, err := identity.ParseDocument([]byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*","iam:*"],"Resource":["arn:aws:s3:::b/*","arn:aws:iam::*:role/x*"]}]}`), identity.IdentityPolicy, "own")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, source, name, parameters, arn string) {
		v, err := estate.DecodeJSON([]byte(parameters))
		if err != nil {
			return
		}
		m, _ := v.(map[string]any)
		c := usage.Call{Source: source, Name: name, Region: "eu-west-1", Account: acct, Parameters: m, Resources: []string{arn}}
		for _, a := range usage.ActionsOf(source, name) {
			list, ok := c.ResourcesOf(a)
			if ok && len(list) == 0 {
				t.Fatalf("%s: complete without a resource", a)
			}
			for _, r := range list {
				if r != "*" && (!strings.HasPrefix(r, "arn:") || strings.ContainsAny(r, "*?$")) {
					t.Fatalf("%s on %q", a, r)
				}
			}
		}
		u := usage.NewUse()
		u.Add(&c)
		if l := usage.Generate(u, &identity.Stack{Identity: []*identity.Document{own}}); l.Wider.Verdict == prove.Yes {
			t.Fatalf("wider: %v\n%s", l.Wider.Witness, l.Policy)
		}
	})
}
