package derive_test

import (
	"testing"

	"github.com/bartizan-security/bartizan/detect/event"
)

// BenchmarkFields asks records for one field each, which nobody remembers.
func BenchmarkFields(b *testing.B) {
	for _, c := range []struct{ name, field, record string }{
		{"port", "bartizan.internet.inbound.port", call("ec2", "AuthorizeSecurityGroupIngress", authorize(permission("tcp", 1000, 4000, "0.0.0.0/0"), permission("tcp", 22, 22, "10.0.0.0/8")), "")},
		{"account", "bartizan.policy.account", call("iam", "UpdateAssumeRolePolicy", `{"policyDocument":`+quoted(document(allow(aws(own, stranger), "")))+`}`, "")},
		{"account and conditions", "bartizan.policy.account", call("iam", "UpdateAssumeRolePolicy", `{"policyDocument":`+quoted(document(allow(aws(own, stranger), `{"StringEquals":{"sts:ExternalId":"x"}}`)))+`}`, "")},
		{"everyone of an organization", "bartizan.policy.everyone", call("s3", "PutBucketPolicy", `{"bucketPolicy":`+document(allow(`"*"`, `{"StringEquals":{"aws:PrincipalOrgID":"o-acme123456"}}`))+`}`, "")},
		{"administrator", "bartizan.policy.administrator", call("iam", "PutUserPolicy", `{"policyDocument":`+quoted(document(`{"Effect":"Allow","Action":["s3:Get*","ec2:*"],"Resource":"*"}`))+`}`, "")},
		{"iam", "bartizan.policy.iam", call("iam", "PutUserPolicy", `{"policyDocument":`+quoted(document(`{"Effect":"Allow","Action":["s3:Get*","iam:Put*"],"Resource":"*"}`))+`}`, "")},
		{"provider", "bartizan.policy.federated.anyone", call("iam", "UpdateAssumeRolePolicy", `{"policyDocument":`+quoted(document(`{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::`+own+`:oidc-provider/token.actions.githubusercontent.com"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringLike":{"token.actions.githubusercontent.com:sub":"repo:acme/*"}}}`))+`}`, "")},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := schema(true)
			slot, _ := s.Slot(c.field)
			for b.Loop() {
				b.StopTimer()
				e := event.New(s)
				e.Kind = event.CloudTrail
				b.StartTimer()
				if _, err := e.Scan([]byte(c.record), 0); err != nil {
					b.Fatal(err)
				}
				e.Values(slot)
			}
		})
	}
}
