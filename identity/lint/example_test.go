package lint_test

import (
	"fmt"

	"github.com/bartizan-security/bartizan/identity/lint"
)

func ExampleLint() {
	doc := `{
  "Version": "2012-10-17",
  "Statement": {"Effect": "Allow", "Action": "s3:GetObjct", "Resource": "arn:aws:s3:::logs/*"}
}`
	for _, f := range lint.Lint([]byte(doc), lint.Options{Kind: lint.Identity}) {
		fmt.Println(f.Pos, f.Type, f.Code, f.Path, f.Replace)
	}
	// Output: 3:46 ERROR INVALID_ACTION Statement.Action s3:GetObject
}
