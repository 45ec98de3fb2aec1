package usage

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/bartizan-security/bartizan/identity/inventory"
)

// Limits say when a credential is old or unused.
type Limits struct {
	UnusedAfter time.Duration
	KeyAge      time.Duration
}

// Issue is what should change about one identity.
type Issue struct {
	Code     string // root-access-key, key-old …
	Identity *Identity
	Key      string // id of the access key it is about
	What     string // the fact, in a sentence
	Change   string // what to do, in a sentence
	Commands []string
	Unknown  bool // the fact could not be established
}

// Audit lists what should change about identities, by their ARNs and codes.
func Audit(list []*Identity, now time.Time, limits Limits) []Issue {
	var all []Issue
	for _, id := range list {
		a := &audit{id: id, now: now, limits: limits}
		switch id.Kind {
		case inventory.Root:
			a.root()
		case inventory.User:
			a.user()
		case inventory.Role:
			a.role()
		}
		sort.SliceStable(a.issues, func(i, j int) bool { return a.issues[i].Code < a.issues[j].Code })
		all = append(all, a.issues...)
	}
	return all
}

type audit struct {
	id     *Identity
	now    time.Time
	limits Limits
	issues []Issue
}

func (a *audit) add(code, what, change string, commands ...string) *Issue {
	a.issues = append(a.issues, Issue{Code: code, Identity: a.id, What: what, Change: change, Commands: commands})
	return &a.issues[len(a.issues)-1]
}

func (a *audit) unknown(what string) {
	a.add("unknown", what, "Give the identity that reads the estate the permission, and read it again.").Unknown = true
}

// days is an age in whole days.
func (a *audit) days(t time.Time) int { return int(a.now.Sub(t).Hours() / 24) }

func (a *audit) olderThan(t time.Time, limit time.Duration) bool {
	return !t.IsZero() && a.now.Sub(t) > limit
}

// unused reports whether something made at created and last used at used has
// been idle for longer than the limit.
func (a *audit) unused(used, created time.Time) bool {
	if used.IsZero() {
		return a.olderThan(created, a.limits.UnusedAfter)
	}
	return a.olderThan(used, a.limits.UnusedAfter)
}

func (a *audit) since(used, created time.Time) string {
	if used.IsZero() {
		return fmt.Sprintf("has never been used since it was made %d days ago", a.days(created))
	}
	return fmt.Sprintf("has not been used for %d days", a.days(used))
}

// root asks for what the IAM guide says of root users.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/root-user-best-practices.html
func (a *audit) root() {
	id := a.id
	for _, k := range id.Keys {
		if k.Active {
			a.add("root-access-key", "The root user has an access key.", "Delete it: nothing needs it that a role could not do. In an organization, remove the root credentials of member accounts centrally.",
				"aws iam delete-access-key --access-key-id ID   # signed in as the root user", "aws sts assume-root --target-principal "+id.Account+" --task-policy-arn arn=arn:aws:iam::aws:policy/root-task/IAMDeleteRootUserCredentials")
			break
		}
	}
	if id.MFA == No && id.Password != No {
		a.add("root-no-mfa", "The root user has no MFA.", "Register a passkey or security key for the root user, or remove the root credentials of member accounts centrally.")
	}
	if id.UseKnown && !id.LastUsed.IsZero() && !a.olderThan(id.LastUsed, a.limits.UnusedAfter) {
		a.add("root-used", fmt.Sprintf("The root user was used %d days ago.", a.days(id.LastUsed)), "Find out for what, and do it with a role of IAM Identity Center.")
	}
	if id.MFA == NotKnown || !id.KeysKnown {
		a.unknown("Whether the root user has MFA or access keys could not be read." + reasons(id.Unknown))
	}
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/best-practices.html
func (a *audit) user() {
	id := a.id
	name := shell(id.Name)
	if id.Password == Yes && id.MFA == No {
		a.add("console-without-mfa", "The user has a console password and no MFA.", "Replace the user by one of IAM Identity Center; until then require MFA.",
			"aws iam enable-mfa-device --user-name "+name+" --serial-number ARN --authentication-code1 CODE --authentication-code2 CODE")
	}
	idle := id.UseKnown && a.unused(id.LastUsed, id.Created)
	if idle {
		a.add("user-unused", "The user "+a.since(id.LastUsed, id.Created)+".", "Deactivate its credentials, wait, and delete it.", a.farewell()...)
	} else {
		a.password(name)
		a.keys(name)
		a.replace(name)
	}
	if id.Password == NotKnown || id.Password == Yes && id.MFA == NotKnown || !id.KeysKnown || !id.UseKnown && len(id.Keys) > 0 {
		a.unknown("Some of the user's credentials could not be read." + reasons(id.Unknown))
	}
}

// farewell are the commands that make a user harmless without destroying it.
func (a *audit) farewell() []string {
	var list []string
	name := shell(a.id.Name)
	for _, k := range a.id.Keys {
		if k.Active {
			list = append(list, "aws iam update-access-key --user-name "+name+" --access-key-id "+shell(k.ID)+" --status Inactive")
		}
	}
	if a.id.Password == Yes {
		list = append(list, "aws iam delete-login-profile --user-name "+name)
	}
	return append(list, "aws iam delete-user --user-name "+name+"   # after its policies, groups and keys")
}

func (a *audit) password(name string) {
	created := when(member(member(a.id.Resource.Document, "GetLoginProfile"), "LoginProfile"), "CreateDate")
	if created.IsZero() {
		created = a.id.Created
	}
	if a.id.Password == Yes && a.unused(a.id.PasswordUsed, created) {
		a.add("password-unused", "The console password "+a.since(a.id.PasswordUsed, created)+".", "Remove it.", "aws iam delete-login-profile --user-name "+name)
	}
}

func (a *audit) keys(name string) {
	active := 0
	for _, k := range a.id.Keys {
		if !k.Active {
			continue
		}
		active++
		off := "aws iam update-access-key --user-name " + name + " --access-key-id " + shell(k.ID) + " --status Inactive"
		switch {
		case k.UseKnown && a.unused(k.LastUsed, k.Created):
			a.add("key-unused", "The access key "+k.ID+" "+a.since(k.LastUsed, k.Created)+".", "Deactivate it, and delete it when nobody has missed it.", off).Key = k.ID
		case a.olderThan(k.Created, a.limits.KeyAge):
			a.add("key-old", fmt.Sprintf("The access key %s is %d days old.", k.ID, a.days(k.Created)), "Make a new key, put it in place, deactivate this one, and delete it when nobody has missed it.",
				"aws iam create-access-key --user-name "+name, off).Key = k.ID
		}
	}
	if active > 1 {
		a.add("key-twice", "The user has two active access keys.", "Keep one: the second is for the time of a rotation.")
	}
}

// replace says what should take the user's place.
func (a *audit) replace(name string) {
	active := false
	for _, k := range a.id.Keys {
		active = active || k.Active
	}
	switch {
	case a.id.Password == Yes:
		a.add("replace-by-identity-center", "A person signs in with a password of IAM.", "Give the person a permission set of IAM Identity Center, then remove the password and the keys.",
			"aws sso-admin create-account-assignment --instance-arn ARN --permission-set-arn ARN --principal-type USER --principal-id ID --target-type AWS_ACCOUNT --target-id "+a.id.Account,
			"aws iam delete-login-profile --user-name "+name)
	case active:
		where := "where the program runs: an instance profile, a task role, a function's role, an OpenID Connect provider for pipelines, or IAM Roles Anywhere"
		for _, k := range a.id.Keys {
			if k.Service != "" && k.Service != "N/A" {
				where += "; a key was last used with " + k.Service
				break
			}
		}
		a.add("replace-by-role", "A program uses long-lived keys of a user.", "Give it a role "+where+". Then deactivate the keys.")
	}
}

// role finds roles that nobody has used. AWS looks back 400 days.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_manage_delete.html
func (a *audit) role() {
	id := a.id
	if strings.HasPrefix(id.Path, "/aws-service-role/") || strings.HasPrefix(id.Path, "/aws-reserved/") {
		return // services and Identity Center own these
	}
	switch {
	case !id.UseKnown:
		a.unknown("When the role was last used could not be read." + reasons(id.Unknown))
	case a.unused(id.LastUsed, id.Created):
		a.add("role-unused", "The role "+a.since(id.LastUsed, id.Created)+".", "Deny it everything, wait, and delete it.",
			"aws iam put-role-policy --role-name "+shell(id.Name)+` --policy-name DenyAll --policy-document '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}'`,
			"aws iam delete-role --role-name "+shell(id.Name)+"   # after its policies and instance profiles")
	}
}

func reasons(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return " (" + strings.Join(list, "; ") + ")"
}

// shell quotes a word for a shell where it needs it.
func shell(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./@+=,") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
