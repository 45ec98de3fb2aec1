package identity_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/bartizan-security/bartizan/identity"
)

func ExampleEvaluate() {
	policy, err := identity.ParseDocument([]byte(`{
  "Version": "2012-10-17",
  "Statement": [
    {"Sid": "Home", "Effect": "Allow", "Action": "s3:*Object", "Resource": "arn:aws:s3:::team/${aws:username}/*"},
    {"Sid": "OnlyTLS", "Effect": "Deny", "Action": "*", "Resource": "*",
     "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
  ]
}`), identity.IdentityPolicy, "home.json")
	if err != nil {
		fmt.Println(err)
		return
	}
	stack := &identity.Stack{Identity: []*identity.Document{policy}}
	request := &identity.Request{
		Principal:      "arn:aws:iam::111122223333:user/ada",
		Action:         "s3:GetObject",
		Resource:       "arn:aws:s3:::team/ada/notes.txt",
		UnknownContext: []string{"aws:SecureTransport"},
	}
	d, err := identity.Evaluate(request, stack)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Outcome, d.MissingContext)

	request.UnknownContext = nil
	request.Context = map[string][]string{"aws:SecureTransport": {"true"}}
	d, err = identity.Evaluate(request, stack)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Explanation())
	// Output:
	// unknown [aws:SecureTransport]
	// Allowed by statement 0 (Home) of the identity policy home.json at 4:5, and nothing denies it.
}

func ExampleParsePolicy() {
	_, err := identity.ParsePolicy([]byte(`{"Statement": [
  {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Resource": "arn:aws:s3:::b"}]}`))
	fmt.Println(err)

	p, err := identity.ParsePolicy([]byte(`{"Statement": {"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, v := range p.Statements[0].Action.Values {
		fmt.Println(v.Pos(), v.Path(), v.Text)
	}
	// Output:
	// 2:58: Statement[0].Resource: "Resource" occurs twice
	// 1:46 Statement.Action[0] s3:Get*
	// 1:57 Statement.Action[1] s3:List*
}

// One stack serves many goroutines.
func TestEvaluateConcurrently(t *testing.T) {
	stack := ordinaryStack(t)
	want := make([]identity.Outcome, len(ordinaryRequests))
	for i, r := range ordinaryRequests {
		d, err := identity.Evaluate(r, stack)
		if err != nil {
			t.Fatal(err)
		}
		want[i] = d.Outcome
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for n := range 200 {
				i := (n + g) % len(want)
				if d, err := identity.Evaluate(ordinaryRequests[i], stack); err != nil || d.Outcome != want[i] {
					t.Errorf("%s: %s, %v; want %s", ordinaryRequests[i].Action, d.Outcome, err, want[i])
				}
			}
		})
	}
	wg.Wait()
}
