package paths_test

import (
	"fmt"
	"os"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/identity/inventory"
	"github.com/bartizan-security/bartizan/identity/paths"
)

// A user that may write its own policies is one call from an administrator.
func ExampleFind() {
	prims, err := paths.Load(os.DirFS("../../catalog/escalations"))
	if err != nil {
		fmt.Println(err)
		return
	}
	e := estate.New(estate.Header{Schema: estate.Schema}, []*estate.Resource{{
		Type: "AWS::IAM::User", ID: "eve", ARN: "arn:aws:iam::111122223333:user/eve", Account: "111122223333",
		Document: map[string]any{"UserPolicyList": []any{map[string]any{"PolicyName": "own", "PolicyDocument": map[string]any{
			"Version":   "2012-10-17",
			"Statement": map[string]any{"Effect": "Allow", "Action": "iam:PutUserPolicy", "Resource": "*"},
		}}}},
	}}, nil)
	inv, err := inventory.Load(e)
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := paths.Find(inv, paths.Options{Primitives: prims, Index: e.Index()})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range r.Paths {
		fmt.Println(p.From, "by", p.Hops[0].Ways[0].Title)
	}
	for _, c := range r.Cut.Changes {
		fmt.Println(c.Text)
	}
	// Output:
	// arn:aws:iam::111122223333:user/eve by Write an inline policy into the own user
	// remove or narrow statement 0 of the inline policy own of arn:aws:iam::111122223333:user/eve
}
