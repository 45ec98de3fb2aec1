package derive_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/detect/derive"
	"github.com/bartizan-security/bartizan/detect/event"
)

// Calls that are made again, in any order and with others in between, have the
// values that they have alone, though the text of the first is overwritten.
func TestRemembered(t *testing.T) {
	var records []string
	for i := range 150 { // more than are remembered
		account := fmt.Sprintf("%012d", 900_000_000_000+int64(i))
		policy := quoted(document(allow(aws(account), ""), allow(`"*"`, "")))
		records = append(records,
			call("iam", "UpdateAssumeRolePolicy", `{"roleName":"r`+strings.Repeat("x", i)+`","policyDocument":`+policy+`}`, ""),
			call("s3", "PutBucketPolicy", `{"bucketPolicy":`+policy+`}`, ""),
			call("sns", "AddPermission", `{"aWSAccountIds":["`+account+`"],"actionNames":["Publish"]}`, `{"a":`+fmt.Sprint(i)+`}`),
			strings.Replace(call("s3", "PutBucketPolicy", `{"bucketPolicy":`+policy+`}`, ""), own, account, 1), // its own account
			call("ec2", "AuthorizeSecurityGroupIngress", authorize(permission("tcp", i, i+5, "0.0.0.0/0")), ""),
		)
	}
	values := func(e *event.Event) string {
		var b strings.Builder
		for _, f := range derive.Fields() {
			fmt.Fprintln(&b, f.Path, get(e, f.Path))
		}
		return b.String()
	}
	alone := map[string]string{}
	for _, r := range records {
		alone[r] = values(parse(t, r))
	}
	e := event.New(schema(true))
	e.Kind = event.CloudTrail
	rnd := rand.New(rand.NewPCG(1, 2))
	var buf []byte
	for round, among := range []int{5, 40, len(records), 40, 5} {
		for range 600 {
			r := records[rnd.IntN(among)]
			buf = append(append(buf[:0], r...), bytes.Repeat([]byte("x"), 200)...)
			if _, err := e.Scan(buf, 0); err != nil {
				t.Fatal(err)
			}
			e.Kind = event.CloudTrail
			if got := values(e); got != alone[r] {
				t.Fatalf("round %d: %s\nhas   %s\nalone %s", round, r, got, alone[r])
			}
		}
	}
}
