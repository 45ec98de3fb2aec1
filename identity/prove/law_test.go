package prove_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/prove"
)

var (
	someActions   = []string{"s3:GetObject", "s3:PutObject", "s3:Get*", "s3:*", "*", "ec2:Run*", "ec2:RunInstances", "s3:?etObject"}
	someResources = []string{"*", "arn:aws:s3:::b/*", "arn:aws:s3:::b/p/*", "arn:aws:s3:::*/p/*", "arn:aws:s3:::b/${aws:username}/*", "arn:aws:s3:::c/k", "arn:aws:s3:::b/p/k"}
	someKeys      = []string{
		`"StringEquals":{"aws:SourceVpc":"vpc-1"}`, `"StringNotEquals":{"aws:SourceVpc":["vpc-1","vpc-2"]}`,
		`"StringLikeIfExists":{"aws:SourceVpc":"vpc-*"}`, `"Null":{"aws:SourceVpc":"true"}`, `"Null":{"aws:SourceVpc":"false"}`,
		`"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}`, `"NotIpAddress":{"aws:SourceIp":"10.1.0.0/16"}`,
		`"NumericLessThan":{"s3:max-keys":"10"}`, `"NumericGreaterThanEqualsIfExists":{"s3:max-keys":"10"}`,
		`"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}`, `"ForAnyValue:StringNotEquals":{"aws:TagKeys":"a"}`,
		`"ForAnyValue:StringLike":{"aws:TagKeys":"a*"}`, `"ForAllValues:StringNotEquals":{"aws:TagKeys":"a"}`,
		`"StringEquals":{"aws:PrincipalTag/home":"${aws:username}"}`, `"StringEquals":{"aws:username":"p"}`,
		`"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:111122223333:t*"}`,
	}
	somePrincipals = []string{`"*"`, `{"AWS":"444455556666"}`, `{"AWS":"arn:aws:iam::444455556666:role/r"}`, `{"AWS":"arn:aws:iam::444455556666:user/u"}`, `{"Service":"sns.amazonaws.com"}`}
)

func anyPolicy(withPrincipal bool) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		var statements []string
		for range rapid.IntRange(1, 4).Draw(t, "statements") {
			effect := rapid.SampledFrom([]string{"Allow", "Allow", "Deny"}).Draw(t, "effect")
			action := rapid.SampledFrom([]string{"Action", "Action", "NotAction"}).Draw(t, "element")
			resource := rapid.SampledFrom([]string{"Resource", "Resource", "NotResource"}).Draw(t, "resource element")
			s := fmt.Sprintf(`{"Effect":%q,%q:%q,%q:%q`, effect, action, rapid.SampledFrom(someActions).Draw(t, "action"),
				resource, rapid.SampledFrom(someResources).Draw(t, "resource"))
			if withPrincipal {
				s += `,"Principal":` + rapid.SampledFrom(somePrincipals).Draw(t, "principal")
			}
			if rapid.Bool().Draw(t, "conditional") {
				s += `,"Condition":{` + rapid.SampledFrom(someKeys).Draw(t, "condition") + `}`
			}
			statements = append(statements, s+"}")
		}
		return doc(strings.Join(statements, ","))
	})
}

// anyRequest draws from values on both sides of every border of someKeys.
func anyRequest(withPrincipal bool) *rapid.Generator[*identity.Request] {
	return rapid.Custom(func(t *rapid.T) *identity.Request {
		r := &identity.Request{
			Principal: "arn:aws:iam::111122223333:user/" + rapid.SampledFrom([]string{"p", "q"}).Draw(t, "user"),
			Action:    rapid.SampledFrom([]string{"s3:GetObject", "s3:PutObject", "ec2:RunInstances", "iam:ListUsers", "s3:SetObject"}).Draw(t, "action"),
			Resource:  rapid.SampledFrom([]string{"*", "arn:aws:s3:::b/p/k", "arn:aws:s3:::b/q/k", "arn:aws:s3:::c/k", "arn:aws:s3:::c/p/k", "arn:aws:ec2:us-east-1:111122223333:instance/i-1"}).Draw(t, "resource"),
			Context:   map[string][]string{},
		}
		if withPrincipal {
			r.Principal = rapid.SampledFrom([]string{"*", "arn:aws:iam::444455556666:user/u", "arn:aws:iam::444455556666:user/v", "arn:aws:sts::444455556666:assumed-role/r/s", "arn:aws:iam::123412341234:user/u", "sns.amazonaws.com", "sqs.amazonaws.com"}).Draw(t, "principal")
		}
		draw := func(key string, sets ...[]string) {
			if v := rapid.SampledFrom(sets).Draw(t, key); v != nil {
				r.Context[key] = v
			}
		}
		draw("aws:SourceVpc", nil, []string{"vpc-1"}, []string{"vpc-2"}, []string{"x"})
		draw("aws:SourceIp", nil, []string{"10.0.0.1"}, []string{"10.1.0.1"}, []string{"192.0.2.1"})
		draw("s3:max-keys", nil, []string{"9"}, []string{"10"}, []string{"11"})
		draw("aws:TagKeys", nil, []string{"a"}, []string{"b"}, []string{"ab", "c"}, []string{"a", "b"}, []string{"c"})
		draw("aws:PrincipalTag/home", nil, []string{"p"}, []string{"z"})
		draw("aws:SourceArn", nil, []string{"arn:aws:sns:eu-west-1:111122223333:t1"}, []string{"arn:aws:sns:eu-west-1:999999999999:t1"})
		return r
	})
}

// TestSampledRequestsAgree: a "no" is never contradicted by a request that the
// evaluator allows under the new policy alone, and a "yes" shows one.
func TestSampledRequestsAgree(t *testing.T) {
	verdicts := map[prove.Verdict]int{}
	rapid.Check(t, func(t *rapid.T) {
		withPrincipal := rapid.Bool().Draw(t, "resource policy")
		old, next := anyPolicy(withPrincipal).Draw(t, "old"), anyPolicy(withPrincipal).Draw(t, "new")
		o, n := sideOf(t, old), sideOf(t, next)
		got := prove.Compare(o, n)
		verdicts[got.Verdict]++
		if got.Verdict == prove.Yes {
			if !newAccess(t, o, n, got.Witness) {
				t.Fatalf("the witness shows no new access: %+v\n old %s\n new %s", got.Witness, old, next)
			}
			return
		}
		for range 60 {
			r := anyRequest(withPrincipal).Draw(t, "request")
			if newAccess(t, o, n, r) {
				if got.Verdict == prove.No {
					t.Fatalf("a proof of no new access, but %+v\n old %s\n new %s", r, old, next)
				}
			}
		}
	})
	t.Logf("verdicts: %d yes, %d no, %d unknown", verdicts[prove.Yes], verdicts[prove.No], verdicts[prove.Unknown])
}

func sideOf(t *rapid.T, text string) prove.Side {
	p, err := identity.ParsePolicy([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	s, err := prove.PolicySide(p)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

func newAccess(t *rapid.T, old, next prove.Side, r *identity.Request) bool {
	return allowedBy(t, next, r) && !allowedBy(t, old, r)
}

// allowedBy evaluates a side by itself: a resource policy for a caller of
// another account who may do everything, an identity policy in its own account.
func allowedBy(t *rapid.T, s prove.Side, r *identity.Request) bool {
	st := s.Stack
	req := *r
	if st.Resource != nil {
		all, err := identity.ParseDocument([]byte(doc(`{"Effect":"Allow","Action":"*","Resource":"*"}`)), identity.IdentityPolicy, "all")
		if err != nil {
			t.Fatal(err)
		}
		st.Identity = []*identity.Document{all}
		if req.ResourceAccount == "" {
			req.ResourceAccount = "111122223333"
		}
	} else if c, err := identity.ParseCaller(req.Principal); err == nil {
		req.ResourceAccount = c.AccountID
	}
	d, err := identity.Evaluate(&req, &st)
	if err != nil {
		t.Fatalf("%+v: %v", req, err)
	}
	return d.Outcome == identity.Allowed
}

func BenchmarkCompare(b *testing.B) {
	old := side(b, ordinary)
	next := side(b, strings.Replace(ordinary, "s3:GetObject", "s3:GetObject*", 1))
	var took []time.Duration
	timed := func(o, n prove.Side, want prove.Verdict) {
		start := time.Now()
		got := prove.Compare(o, n).Verdict
		took = append(took, time.Since(start))
		if got != want {
			b.Fatalf("%v, want %v", got, want)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		timed(old, next, prove.Yes)
		timed(old, old, prove.No)
		timed(next, old, prove.No)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// ordinary is a policy as a team of developers has it.
const ordinary = `{"Version":"2012-10-17","Statement":[
{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject","s3:DeleteObject","s3:ListBucket"],"Resource":["arn:aws:s3:::app-data","arn:aws:s3:::app-data/*","arn:aws:s3:::app-logs/*"]},
{"Effect":"Allow","Action":["dynamodb:GetItem","dynamodb:PutItem","dynamodb:Query","dynamodb:UpdateItem","dynamodb:BatchGetItem"],"Resource":"arn:aws:dynamodb:eu-west-1:111122223333:table/app-*"},
{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"arn:aws:logs:*:111122223333:*"},
{"Effect":"Allow","Action":["kms:Decrypt","kms:GenerateDataKey"],"Resource":"arn:aws:kms:eu-west-1:111122223333:key/*","Condition":{"StringEquals":{"kms:ViaService":["s3.eu-west-1.amazonaws.com","dynamodb.eu-west-1.amazonaws.com"]}}},
{"Effect":"Allow","Action":["sqs:SendMessage","sqs:ReceiveMessage","sqs:DeleteMessage"],"Resource":"arn:aws:sqs:eu-west-1:111122223333:app-*"},
{"Effect":"Allow","Action":"iam:PassRole","Resource":"arn:aws:iam::111122223333:role/app/*","Condition":{"StringEquals":{"iam:PassedToService":"lambda.amazonaws.com"}}},
{"Effect":"Allow","Action":["ec2:Describe*","cloudwatch:Get*","cloudwatch:List*"],"Resource":"*"},
{"Effect":"Deny","Action":"s3:DeleteObject","Resource":"arn:aws:s3:::app-logs/*"},
{"Effect":"Deny","NotAction":["iam:*","sts:*"],"Resource":"*","Condition":{"StringNotEquals":{"aws:RequestedRegion":["eu-west-1","us-east-1"]}}}
]}`

// FuzzCompare: no pair of documents makes the prover panic or run away, and a
// yes is always one that the evaluator confirms.
func FuzzCompare(f *testing.F) {
	f.Add(ordinary, strings.Replace(ordinary, "s3:GetObject", "s3:*", 1))
	f.Add(doc(getB), doc(public(`"*"`, ``)))
	f.Add(doc(when(`"StringLike":{"aws:SourceVpc":"*a*b*c*"}`)), doc(when(`"StringNotLike":{"aws:SourceVpc":"?*?*?"}`)))
	f.Fuzz(func(t *testing.T, old, next string) {
		if len(old)+len(next) > 4000 {
			return
		}
		var sides [2]prove.Side
		for i, text := range []string{old, next} {
			p, err := identity.ParsePolicy([]byte(text))
			if err != nil {
				return
			}
			if sides[i], err = prove.PolicySide(p); err != nil {
				return
			}
		}
		if (sides[0].Stack.Resource == nil) != (sides[1].Stack.Resource == nil) {
			return
		}
		if got := prove.Compare(sides[0], sides[1]); got.Verdict == prove.Yes && got.Witness == nil {
			t.Errorf("a yes without a witness\n%s\n%s", old, next)
		}
	})
}
