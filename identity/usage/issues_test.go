package usage_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/identity/inventory"
	"github.com/bartizan-security/bartizan/identity/usage"
)

const acct = "111122223333"

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func read(t *testing.T, typ, id, document string) (*usage.Identity, []usage.Issue) {
	t.Helper()
	v, err := estate.DecodeJSON([]byte(document))
	if err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	arn := "arn:aws:iam::" + acct + ":" + map[string]string{"AWS::IAM::User": "user/", "AWS::IAM::Role": "role/"}[typ] + id
	e := estate.New(estate.Header{}, []*estate.Resource{{Type: typ, ID: id, ARN: arn, Account: acct, Document: v.(map[string]any)}}, nil)
	inv, err := inventory.Load(e)
	if err != nil {
		t.Fatal(err)
	}
	list := usage.Read(inv, e)
	if len(list) != 1 {
		t.Fatalf("%d identities", len(list))
	}
	day := 24 * time.Hour
	return list[0], usage.Audit(list, now, usage.Limits{UnusedAfter: 90 * day, KeyAge: 90 * day})
}

// What the best practices of the IAM guide ask of identities.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/best-practices.html
func TestAudit(t *testing.T) {
	const made = `"CreateDate":"2025-01-01T00:00:00Z"`
	const trust = `,"AssumeRolePolicyDocument":{"Version":"2012-10-17","Statement":[]}`
	key := func(id, status, created, used string) string {
		last := `{"AccessKeyLastUsed":{"ServiceName":"N/A"}}`
		if used != "" {
			last = `{"AccessKeyLastUsed":{"LastUsedDate":"` + used + `","ServiceName":"s3"}}`
		}
		return `{"AccessKeyId":"` + id + `","Status":"` + status + `","CreateDate":"` + created + `","GetAccessKeyLastUsed":` + last + `}`
	}
	noKeys := `,"ListAccessKeys":{"AccessKeyMetadata":[]}`
	for _, c := range []struct{ rule, typ, document, want string }{
		{"a person with password and MFA in use belongs in Identity Center", "AWS::IAM::User",
			`{` + made + `,"GetLoginProfile":{"LoginProfile":{}},"ListMFADevices":{"MFADevices":[{}]},"GetUser":{"User":{"PasswordLastUsed":"2026-11-20T00:00:00Z"}}` + noKeys + `}`, "replace-by-identity-center"},
		{"a password without MFA", "AWS::IAM::User",
			`{` + made + `,"GetLoginProfile":{"LoginProfile":{}},"ListMFADevices":{"MFADevices":[]},"GetUser":{"User":{"PasswordLastUsed":"2026-11-20T00:00:00Z"}}` + noKeys + `}`, "console-without-mfa replace-by-identity-center"},
		{"nothing used for long", "AWS::IAM::User",
			`{` + made + `,"GetLoginProfile":null,"ListMFADevices":{"MFADevices":[]},"ListAccessKeys":{"AccessKeyMetadata":[` + key("A", "Active", "2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z") + `]}}`, "user-unused"},
		{"new and not used yet", "AWS::IAM::User", `{"CreateDate":"2026-11-01T00:00:00Z","GetLoginProfile":null,"ListMFADevices":{"MFADevices":[]}` + noKeys + `}`, ""},
		{"an old key in use", "AWS::IAM::User",
			`{` + made + `,"GetLoginProfile":null,"ListMFADevices":{"MFADevices":[]},"ListAccessKeys":{"AccessKeyMetadata":[` + key("A", "Active", "2025-01-01T00:00:00Z", "2026-11-20T00:00:00Z") + `]}}`, "key-old replace-by-role"},
		{"an inactive key is no key", "AWS::IAM::User",
			`{"CreateDate":"2026-11-01T00:00:00Z","GetLoginProfile":null,"ListMFADevices":{"MFADevices":[]},"ListAccessKeys":{"AccessKeyMetadata":[` + key("A", "Inactive", "2025-01-01T00:00:00Z", "") + `]}}`, ""},
		{"two keys, one never used", "AWS::IAM::User",
			`{` + made + `,"GetLoginProfile":null,"ListMFADevices":{"MFADevices":[]},"ListAccessKeys":{"AccessKeyMetadata":[` + key("A", "Active", "2026-11-01T00:00:00Z", "2026-11-20T00:00:00Z") + `,` + key("B", "Active", "2025-01-01T00:00:00Z", "") + `]}}`, "key-twice key-unused replace-by-role"},
		{"what was not read is unknown", "AWS::IAM::User", `{` + made + `}`, "unknown"},
		{"a role used last spring", "AWS::IAM::Role", `{"Path":"/",` + made + `,"RoleLastUsed":{"LastUsedDate":"2026-04-01T00:00:00Z"}` + trust + `}`, "role-unused"},
		{"a role never used", "AWS::IAM::Role", `{"Path":"/",` + made + `,"RoleLastUsed":{}` + trust + `}`, "role-unused"},
		{"a new role never used", "AWS::IAM::Role", `{"Path":"/","CreateDate":"2026-11-01T00:00:00Z","RoleLastUsed":{}` + trust + `}`, ""},
		{"GetRole knows a later use than the listing", "AWS::IAM::Role", `{"Path":"/",` + made + `,"RoleLastUsed":{},"GetRole":{"Role":{"RoleLastUsed":{"LastUsedDate":"2026-11-01T00:00:00Z"}}}` + trust + `}`, ""},
		{"a service owns its linked role", "AWS::IAM::Role", `{"Path":"/aws-service-role/x.amazonaws.com/",` + made + `,"RoleLastUsed":{}` + trust + `}`, ""},
		{"a role without the date", "AWS::IAM::Role", `{"Path":"/",` + made + trust + `}`, "unknown"},
	} {
		_, issues := read(t, c.typ, "x", c.document)
		var codes []string
		for _, i := range issues {
			codes = append(codes, i.Code)
			if i.Change == "" || i.What == "" || i.Unknown != (i.Code == "unknown") {
				t.Errorf("%s: %+v lacks what to do", c.rule, i)
			}
		}
		if diff := cmp.Diff(c.want, strings.Join(codes, " ")); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.rule, diff)
		}
	}
}

// The credential report stands in for what the single calls could not read.
func TestCredentialReport(t *testing.T) {
	decode := func(s string) map[string]any {
		v, err := estate.DecodeJSON([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		return v.(map[string]any)
	}
	e := estate.New(estate.Header{}, []*estate.Resource{
		{Type: "AWS::IAM::User", ID: "u", ARN: "arn:aws:iam::" + acct + ":user/u", Account: acct, Document: decode(`{"CreateDate":"2025-01-01T00:00:00Z"}`)},
		{Type: "AWS::Account::Account", ID: acct, Account: acct, Document: decode(`{"GetCredentialReport":{"Content":[
			{"user":"<root_account>","arn":"arn:aws:iam::111122223333:root","password_enabled":"true","password_last_used":"2026-11-20T00:00:00+00:00","mfa_active":"false","access_key_1_active":"true","access_key_1_last_rotated":"2020-01-01T00:00:00+00:00"},
			{"user":"u","arn":"arn:aws:iam::111122223333:user/u","password_enabled":"true","password_last_used":"2026-11-19T00:00:00+00:00","mfa_active":"true","access_key_1_active":"false","access_key_1_last_rotated":"N/A"}]}}`)},
	}, nil)
	inv, err := inventory.Load(e)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range usage.Audit(usage.Read(inv, e), now, usage.Limits{UnusedAfter: 90 * 24 * time.Hour, KeyAge: 90 * 24 * time.Hour}) {
		got = append(got, i.Identity.Name+" "+i.Code)
	}
	if diff := cmp.Diff([]string{"root root-access-key", "root root-no-mfa", "root root-used", "u replace-by-identity-center"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
