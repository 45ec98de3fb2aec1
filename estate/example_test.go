package estate_test

import (
	"bytes"
	"fmt"
	"time"

	"github.com/bartizan-security/bartizan/estate"
)

// A snapshot is walked account by account, so that memory is needed for one.
func ExampleReader() {
	var file bytes.Buffer
	e := estate.New(estate.Header{Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}, []*estate.Resource{{
		Type: "AWS::S3::Bucket", ID: "logs", Account: "111111111111", Region: "eu-west-1",
		Document: map[string]any{"Name": "logs", "GetBucketPolicy": nil},
		Unknown:  []estate.Gap{{Part: "GetBucketAcl", Operation: "s3:GetBucketAcl", Code: "AccessDenied", Reason: "access denied", Permission: "s3:GetBucketAcl"}},
	}}, nil)
	if err := estate.Write(&file, e); err != nil {
		fmt.Println(err)
		return
	}

	r, err := estate.NewReader(&file)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	for account, err := range r.Accounts() {
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, bucket := range account.Resources {
			fmt.Println(account.ID, bucket.ID, "has a policy:", bucket.Document["GetBucketPolicy"] != nil)
			for _, gap := range bucket.Unknown {
				fmt.Println("unknown:", gap.Part, "needs", gap.Permission)
			}
		}
	}
	// Output:
	// 111111111111 logs has a policy: false
	// unknown: GetBucketAcl needs s3:GetBucketAcl
}

// References lead from a document to the resources it names.
func ExampleIndex_Referrers() {
	x := estate.NewIndex([]*estate.Resource{
		{Type: "AWS::EC2::SecurityGroup", ID: "sg-1", Account: "111111111111", Region: "eu-west-1"},
		{Type: "AWS::EC2::NetworkInterface", ID: "eni-1", Account: "111111111111", Region: "eu-west-1",
			Document: map[string]any{"Groups": []any{map[string]any{"GroupId": "sg-1"}}}},
	})
	for _, ref := range x.Referrers(x.ID("sg-1")[0]) {
		fmt.Println(ref.From.ID, "uses", ref.To.ID, "at", ref.Path)
	}
	// Output:
	// eni-1 uses sg-1 at Groups[0].GroupId
}
