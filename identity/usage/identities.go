// Package usage says which identities, credentials and permissions are used, and
// makes policies from what was used.
//
// The types are Identity, a user, role or root user with its credentials as the
// credential report shows them; Issue, what should change about one, with the
// commands; Call, one API call of a log; and Policy, the least policy for calls.
//
// # Caveats
//
// Ages are relative to a time that the caller gives: that of the estate, not the
// clock. What AWS never recorded (it has tracked the use of roles for 400 days)
// counts as unused only if the identity itself is older than the limit. What
// could not be read is listed as unknown, never as fine.
package usage

import (
	"sort"
	"strings"
	"time"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/identity/inventory"
)

// Known is a yes, a no, or not known.
type Known uint8

// The values of Known.
const (
	NotKnown Known = iota
	No
	Yes
)

// String returns yes, no or unknown.
func (k Known) String() string { return [...]string{"unknown", "no", "yes"}[k] }

// MarshalText writes yes, no or unknown.
func (k Known) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

func known(b bool) Known {
	if b {
		return Yes
	}
	return No
}

// Key is an access key.
type Key struct {
	ID       string
	Active   bool
	Created  time.Time
	LastUsed time.Time // zero: never, if UseKnown
	Service  string    // that it was last used with
	UseKnown bool
}

// Identity is a user, a role or a root user with its credentials.
type Identity struct {
	*inventory.Principal
	Created      time.Time
	Password     Known
	PasswordUsed time.Time // zero: never, or not recorded
	MFA          Known
	Keys         []Key
	KeysKnown    bool
	LastUsed     time.Time // of any credential, or of the role; zero: never
	UseKnown     bool
	Unknown      []string // what could not be read
}

// Read returns the identities of an estate with their credentials, sorted by ARN.
func Read(inv *inventory.Inventory, e *estate.Estate) []*Identity {
	accounts := map[string]*estate.Resource{}
	report := map[string]map[string]any{} // rows of credential reports by ARN
	for _, a := range e.List {
		for _, r := range a.Resources {
			if r.Type != "AWS::Account::Account" {
				continue
			}
			accounts[a.ID] = r
			for _, row := range objects(member(r.Document, "GetCredentialReport")["Content"]) {
				report[text(row, "arn")] = row
			}
		}
	}
	var list []*Identity
	for _, p := range inv.Principals {
		switch p.Kind {
		case inventory.User:
			list = append(list, readUser(p, report[p.ARN]))
		case inventory.Role:
			list = append(list, readRole(p))
		case inventory.Root:
			if a := accounts[p.Account]; a != nil {
				list = append(list, readRoot(p, a, report[p.ARN]))
			}
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].ARN < list[j].ARN })
	return list
}

func readUser(p *inventory.Principal, row map[string]any) *Identity {
	d := p.Resource.Document
	id := &Identity{Principal: p, Created: when(d, "CreateDate")}
	unread := map[string]bool{}
	for _, g := range p.Resource.Unknown {
		unread[g.Part] = true
		switch g.Part {
		case "GetLoginProfile", "ListMFADevices", "ListAccessKeys", "GetUser":
			id.Unknown = append(id.Unknown, g.Operation+": "+g.Reason)
		}
	}
	profile, hasProfile := d["GetLoginProfile"]
	switch {
	case hasProfile:
		id.Password = known(profile != nil)
	case row != nil:
		id.Password = flag(row, "password_enabled")
	}
	id.PasswordUsed = when(member(member(d, "GetUser"), "User"), "PasswordLastUsed")
	if id.PasswordUsed.IsZero() {
		id.PasswordUsed = when(d, "PasswordLastUsed")
	}
	if id.PasswordUsed.IsZero() {
		id.PasswordUsed = when(row, "password_last_used")
	}
	switch {
	case d["ListMFADevices"] != nil:
		id.MFA = known(len(objects(member(d, "ListMFADevices")["MFADevices"])) > 0)
	case row != nil:
		id.MFA = flag(row, "mfa_active")
	}
	switch {
	case d["ListAccessKeys"] != nil:
		id.KeysKnown = true
		id.Keys = listedKeys(d)
	case row != nil:
		id.KeysKnown = true
		id.Keys = reportedKeys(row)
	}
	usersUse(id, unread["GetUser"] && row == nil)
	return id
}

// usersUse joins the uses of a user's credentials.
func usersUse(id *Identity, unread bool) {
	id.LastUsed = id.PasswordUsed
	id.UseKnown = id.KeysKnown && id.Password != NotKnown && !unread
	for _, k := range id.Keys {
		if k.LastUsed.After(id.LastUsed) {
			id.LastUsed = k.LastUsed
		}
		id.UseKnown = id.UseKnown && k.UseKnown
	}
}

func listedKeys(d map[string]any) []Key {
	var keys []Key
	apart := objects(d["GetAccessKeyLastUsed"]) // in the order of the keys
	for i, m := range objects(member(d, "ListAccessKeys")["AccessKeyMetadata"]) {
		k := Key{ID: text(m, "AccessKeyId"), Active: text(m, "Status") != "Inactive", Created: when(m, "CreateDate")}
		used := member(member(m, "GetAccessKeyLastUsed"), "AccessKeyLastUsed")
		if used == nil && i < len(apart) {
			used = member(apart[i], "AccessKeyLastUsed")
		}
		if used != nil {
			k.UseKnown, k.LastUsed, k.Service = true, when(used, "LastUsedDate"), text(used, "ServiceName")
		}
		keys = append(keys, k)
	}
	return keys
}

// reportedKeys reads the keys of a row of the credential report, which gives
// them no ids.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_getting-report.html
func reportedKeys(row map[string]any) []Key {
	var keys []Key
	for _, n := range []string{"1", "2"} {
		prefix := "access_key_" + n + "_"
		created := when(row, prefix+"last_rotated")
		if active := flag(row, prefix+"active") == Yes; active || !created.IsZero() {
			keys = append(keys, Key{ID: "key " + n, Active: active, Created: created, LastUsed: when(row, prefix+"last_used_date"), Service: text(row, prefix+"last_used_service"), UseKnown: true})
		}
	}
	return keys
}

func readRole(p *inventory.Principal) *Identity {
	d := p.Resource.Document
	id := &Identity{Principal: p, Created: when(d, "CreateDate"), KeysKnown: true, Password: No, MFA: No}
	for _, m := range []map[string]any{d, member(member(d, "GetRole"), "Role")} {
		used, ok := m["RoleLastUsed"].(map[string]any)
		if !ok {
			continue
		}
		id.UseKnown = true
		if t := when(used, "LastUsedDate"); t.After(id.LastUsed) {
			id.LastUsed = t
		}
	}
	if !id.UseKnown {
		id.Unknown = append(id.Unknown, "RoleLastUsed is not in the estate")
	}
	return id
}

func readRoot(p *inventory.Principal, account *estate.Resource, row map[string]any) *Identity {
	id := &Identity{Principal: p}
	summary := member(member(account.Document, "GetAccountSummary"), "SummaryMap")
	if n, ok := number(summary, "AccountMFAEnabled"); ok {
		id.MFA = known(n > 0)
	}
	if n, ok := number(summary, "AccountAccessKeysPresent"); ok {
		id.KeysKnown = true
		for range min(n, 2) {
			id.Keys = append(id.Keys, Key{ID: "root key", Active: true})
		}
	}
	if row != nil {
		id.Password, id.PasswordUsed = flag(row, "password_enabled"), when(row, "password_last_used")
		if id.MFA == NotKnown {
			id.MFA = flag(row, "mfa_active")
		}
		id.Keys, id.KeysKnown = reportedKeys(row), true
		usersUse(id, false)
		id.UseKnown = true
	}
	for _, g := range account.Unknown {
		if g.Part == "GetAccountSummary" || g.Part == "GetCredentialReport" {
			id.Unknown = append(id.Unknown, g.Operation+": "+g.Reason)
		}
	}
	return id
}

func member(m map[string]any, name string) map[string]any {
	v, _ := m[name].(map[string]any)
	return v
}

func text(m map[string]any, name string) string {
	s, _ := m[name].(string)
	return s
}

func number(m map[string]any, name string) (int64, bool) {
	n, ok := m[name].(int64)
	return n, ok
}

func flag(m map[string]any, name string) Known {
	switch v := m[name].(type) {
	case bool:
		return known(v)
	case string:
		switch strings.ToLower(v) {
		case "true":
			return Yes
		case "false", "not_supported":
			return No
		}
	}
	return NotKnown
}

// when reads a time as the APIs and the credential report write it; zero for
// N/A, no_information and the like.
func when(m map[string]any, name string) time.Time {
	t, err := time.Parse(time.RFC3339, text(m, name))
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

func objects(v any) []map[string]any {
	list, _ := v.([]any)
	var out []map[string]any
	for _, e := range list {
		if m, ok := e.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}
