package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/finding/report"
	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/catalog"
	"github.com/bartizan-security/bartizan/identity/inventory"
)

// questionFlags are the flags of a question about the identities of an estate.
type questionFlags struct {
	*estateFlags
	path    string
	context []string
	out     *outputs
}

func addQuestionFlags(c *cobra.Command, withContext bool) *questionFlags {
	f := &questionFlags{estateFlags: addEstateFlags(c), out: addOutputFlag(c, "table", "json", "jsonl")}
	c.Flags().StringVarP(&f.path, "estate", "e", "", "snapshot, directory of AWS CLI outputs, or get-account-authorization-details `FILE` (default: live AWS)")
	if withContext {
		c.Flags().StringArrayVar(&f.context, "context", nil, "`KEY=VALUE` of a condition key of the request, repeatable; a key given twice has both values")
	}
	return f
}

// contextMap reads --context.
func (f *questionFlags) contextMap() (map[string][]string, error) {
	m := map[string][]string{}
	for _, kv := range f.context {
		k, v, ok := strings.Cut(kv, "=")
		if !ok || k == "" || !strings.Contains(k, ":") {
			return nil, usageErrorf("--context %q: want KEY=VALUE, as in aws:SourceIp=192.0.2.1", kv)
		}
		for old := range m {
			if strings.EqualFold(old, k) {
				k = old
			}
		}
		m[k] = append(m[k], v)
	}
	return m, nil
}

// world is an estate with its identities read.
type world struct {
	*inventory.Inventory
	Name   string
	Time   time.Time // of the estate
	Estate *estate.Estate
}

// openWorld reads the identities of the estate that the flags name. With keep the
// question is about credentials: their resources are kept beside them, and live
// AWS is asked for no others.
func (f *questionFlags) openWorld(ctx context.Context, a *App, keep bool) (*world, error) {
	var types []string
	if f.path == "" {
		c, err := resourceCatalogue()
		if err != nil {
			return nil, err
		}
		for _, t := range c.Types() {
			if slices.Contains(inventory.Types(), t.Name) && (!keep || strings.HasPrefix(t.Name, "AWS::IAM::") || strings.HasPrefix(t.Name, "AWS::Account::")) {
				types = append(types, t.Name)
			}
		}
	}
	src, err := f.open(ctx, a, f.path, types...)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	w := &world{Name: src.Name, Time: src.Header().Time}
	var s estate.Source = src.Source
	if keep {
		if w.Estate, err = estate.Load(s); err != nil {
			return nil, err
		}
		s = w.Estate
	}
	if w.Inventory, err = inventory.Load(s); err != nil {
		return nil, err
	}
	if len(w.Accounts) == 0 {
		return nil, &Error{Code: ExitIncomplete, Err: fmt.Errorf("%s holds no account", src.Name), Hint: "for a file that does not say its account, give --account ID"}
	}
	if !w.HasOrganization() {
		a.notef("%s says nothing of an organization: control policies are taken not to exist", report.Plain(src.Name))
	}
	for i, g := range w.Missing {
		if i == 5 {
			a.warnf("… and %d more parts of the estate could not be read", len(w.Missing)-i)
			break
		}
		a.warnf("account %s: %s could not be read: %s", g.Account, g.Type, report.Plain(g.Reason))
	}
	return w, nil
}

// incomplete reports whether identities of the estate could not be read, so that
// an answer over all of them may lack some.
func (w *world) incomplete() bool { return len(w.Missing) > 0 }

// subject is who a question is about: a principal of the estate, perhaps in one
// of its sessions, or somebody from outside (a nil Principal).
type subject struct {
	*inventory.Principal
	Caller string
}

// find resolves a principal as a person writes it.
func (w *world) find(name string) (subject, error) {
	switch found := w.Find(name); {
	case len(found) == 1:
		if strings.Contains(name, ":assumed-role/") {
			return subject{found[0], name}, nil
		}
		return subject{found[0], found[0].ARN}, nil
	case len(found) > 1:
		var list []string
		for i, p := range found {
			if i == 5 {
				list = append(list, "…")
				break
			}
			list = append(list, p.ARN)
		}
		return subject{}, &Error{Code: ExitUsage, Err: fmt.Errorf("%q names %d principals: %s", name, len(found), strings.Join(list, ", ")), Hint: "give the ARN"}
	}
	c, err := identity.ParseCaller(name)
	if err != nil {
		return subject{}, &Error{Code: ExitUsage, Err: fmt.Errorf("no principal %q in %s", name, w.Name), Hint: "give an ARN, role/NAME, user/NAME, a service such as lambda.amazonaws.com, or * for anybody"}
	}
	if slices.Contains(w.Accounts, c.AccountID) && c.Kind != identity.ProviderCaller && c.Kind != identity.FederatedUserCaller {
		return subject{}, &Error{Code: ExitUsage, Err: fmt.Errorf("no %s %q in account %s of %s", c.Kind, name, c.AccountID, w.Name), Hint: "check the name; 'bartizan iam audit' lists the identities"}
	}
	return subject{nil, name}, nil
}

// decide asks for a subject.
func (w *world) decide(s subject, action, resource string, context map[string][]string) (inventory.Answer, error) {
	ans, err := w.DecideAs(s.Principal, s.Caller, action, resource, context)
	if err != nil {
		return ans, usageErrorf("%w", err)
	}
	return ans, nil
}

// checkAction says when an action is not one that AWS documents.
func (a *App) checkAction(action string) {
	c := catalog.Default()
	if _, ok := c.Action(action); ok {
		return
	}
	if near := c.NearestAction(action); near != "" {
		a.warnf("%s is no action that AWS documents; did you mean %s?", report.Plain(action), near)
		return
	}
	a.warnf("%s is no action that AWS documents", report.Plain(action))
}

// statementOutput is a statement that decided, with its text.
type statementOutput struct {
	Layer    identity.Layer  `json:"layer"`
	Policy   string          `json:"policy"`
	ARN      string          `json:"arn,omitempty"`
	Via      string          `json:"via,omitempty"`
	Sid      string          `json:"sid,omitempty"`
	Index    int             `json:"index"`
	Position string          `json:"position"` // line:column in the policy, printed as AWS prints it
	Effect   identity.Effect `json:"effect"`
	Text     json.RawMessage `json:"statement"`
}

func newStatementOutput(p *inventory.Principal, r identity.StatementRef) statementOutput {
	s := statementOutput{Layer: r.Layer, Policy: r.Policy(), Sid: r.Statement.SidText(), Index: r.Statement.Index,
		Effect: r.Statement.Effect, Text: json.RawMessage(r.Statement.String())}
	s.Position = placeOf(r)
	if p != nil {
		list := p.Policies
		if p.Boundary != nil {
			list = append(slices.Clone(list), *p.Boundary)
		}
		for _, at := range list {
			if at.Document == r.Document {
				s.ARN, s.Via = at.ARN, at.Via
				break
			}
		}
	}
	return s
}

// placeOf returns where a statement stands in its policy as it is printed: an
// estate holds policies without their layout.
func placeOf(r identity.StatementRef) string {
	again, err := identity.ParsePolicy([]byte(r.Document.Policy.String()))
	if err != nil || r.Statement.Index >= len(again.Statements) {
		return ""
	}
	return again.Statements[r.Statement.Index].Pos().String()
}

// printedPlace puts the place in the printed policy into a text that names the
// statement.
func printedPlace(text string, r identity.StatementRef) string {
	if !r.Statement.Pos().IsValid() {
		return text
	}
	return strings.Replace(text, r.Policy()+" at "+r.Statement.Pos().String(), r.Policy()+" at "+placeOf(r), 1)
}

// write prints the statement under a heading line.
func (s *statementOutput) write(b *strings.Builder) {
	fmt.Fprintf(b, "%s, %s, statement %d at %s", s.Layer, report.Plain(s.Policy), s.Index, s.Position)
	if s.Sid != "" {
		fmt.Fprintf(b, " (%s)", report.Plain(s.Sid))
	}
	if s.Via != "" {
		fmt.Fprintf(b, ", %s", report.Plain(s.Via))
	}
	fmt.Fprintf(b, ":\n%s\n", indent(string(s.Text)))
}

func indent(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := range lines {
		lines[i] = "  " + report.Plain(lines[i])
	}
	return strings.Join(lines, "\n")
}

// emitRows writes rows as JSON, JSON Lines or a table made by the caller.
func emitRows[T any](a *App, o *outputs, name string, rows []T, extra map[string]any, table func(io.Writer) error) error {
	return o.emit(a, func(format string, w io.Writer, _ bool) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		switch format {
		case "json":
			enc.SetIndent("", "  ")
			if rows == nil {
				rows = []T{}
			}
			all := map[string]any{name: rows}
			for k, v := range extra {
				all[k] = v
			}
			return enc.Encode(all)
		case "jsonl":
			for i := range rows {
				if err := enc.Encode(&rows[i]); err != nil {
					return err
				}
			}
			return nil
		}
		return table(w)
	})
}

// emitOne writes one answer as JSON or as text made by the caller.
func emitOne(a *App, o *outputs, answer any, text func(*strings.Builder)) error {
	return o.emit(a, func(format string, w io.Writer, _ bool) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		switch format {
		case "json":
			enc.SetIndent("", "  ")
			return enc.Encode(answer)
		case "jsonl":
			return enc.Encode(answer)
		}
		var b strings.Builder
		text(&b)
		_, err := io.WriteString(w, b.String())
		return err
	})
}

// contextText prints the keys of a request, sorted.
func contextText(context map[string][]string) []string {
	var list []string
	for k, v := range context {
		list = append(list, report.Plain(k+" = "+strings.Join(v, ", ")))
	}
	sort.Strings(list)
	return list
}
