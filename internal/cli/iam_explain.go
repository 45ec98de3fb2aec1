package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/finding/report"
	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/inventory"
	"github.com/bartizan-security/bartizan/identity/usage"
)

func newIAMExplainDeniedCommand(a *App) *cobra.Command {
	c := &cobra.Command{
		Use:   "explain-denied EVENT",
		Short: "Why was a call denied? From its CloudTrail event",
		Long: `Reads a denied event of CloudTrail (a file, or - for standard input; one event, a
list, {"Records":[…]}, or what lookup-events prints), builds the request that was
made (principal, action, resource, and the condition keys that the event shows),
and decides it against the estate given with --estate: which statement denied it,
or which layer lacks the permission, and the smallest change that would allow it.
AWS's own message is read too, and compared.

Without --estate the message alone is explained.

Exit code: 0 the denial is explained and agrees with AWS's message, 1 the policies
of the estate would allow the call or give another reason, 3 unknown or unreadable.`,
		Example: `  bartizan iam explain-denied event.json -e estate.json.zst
  aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventId,AttributeValue=ID | bartizan iam explain-denied - -e estate.json.zst`,
		Args: cobra.ExactArgs(1),
	}
	f := addQuestionFlags(c, true)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := f.out.parse(); err != nil {
			return err
		}
		context, err := f.contextMap()
		if err != nil {
			return err
		}
		call, err := a.deniedCall(args[0])
		if err != nil {
			return err
		}
		for k, v := range context {
			call.Context[k] = v
		}
		out, err := explainMessage(call)
		if err != nil {
			return err
		}
		if f.path == "" && !f.live() {
			a.notef("give the policies with --estate FILE for the deciding statement")
			return emitOne(a, f.out, out, out.write)
		}
		w, err := f.openWorld(c.Context(), a, false)
		if err != nil {
			return err
		}
		if err := w.explain(call, out); err != nil {
			return err
		}
		if err := emitOne(a, f.out, out, out.write); err != nil {
			return err
		}
		switch {
		case out.Decided.Decision == identity.Unknown:
			return errIncomplete
		case out.Consistent == "no":
			return errFindings
		}
		return nil
	}
	return c
}

// live reports whether a flag says that the policies are to be read from AWS.
func (f *questionFlags) live() bool { return f.profile != "" || f.endpoint != "" || f.region != "" }

// deniedCall reads the first denied event of a file.
func (a *App) deniedCall(file string) (*trailCall, error) {
	data, err := a.readPolicyFile(file)
	if err != nil {
		return nil, err
	}
	calls := 0
	var first *trailCall
	denied := 0
	rest := bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	dec := json.NewDecoder(bytes.NewReader(rest))
	for {
		var raw json.RawMessage
		if err := dec.Decode(&raw); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, incompleteErrorf("read %s: %w", file, err)
		}
		v, err := estate.DecodeJSON(raw)
		if err != nil {
			return nil, incompleteErrorf("read %s: %w", file, err)
		}
		eachEvent(v, 0, func(doc map[string]any) {
			c, ok := newTrailCall(doc)
			if !ok {
				return
			}
			calls++
			if c.Denied {
				denied++
				if first == nil {
					first = c
				}
			}
		})
	}
	switch {
	case calls == 0:
		return nil, &Error{Code: ExitIncomplete, Err: fmt.Errorf("%s holds no event of CloudTrail", file), Hint: "give one event as JSON, with eventSource and eventName"}
	case first == nil:
		return nil, &Error{Code: ExitUsage, Err: fmt.Errorf("%s holds no denied event", file), Hint: "a denied event has an errorCode such as AccessDenied"}
	case denied > 1:
		a.notef("%s holds %d denied events; this is about the first, %s", file, denied, report.Plain(first.ID))
	}
	return first, nil
}

// eachEvent finds the events in the forms that CloudTrail's tools write.
func eachEvent(v any, depth int, visit func(map[string]any)) {
	if depth > 5 {
		return
	}
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			eachEvent(e, depth+1, visit)
		}
	case map[string]any:
		switch {
		case v["eventName"] != nil:
			visit(v)
		case v["CloudTrailEvent"] != nil:
			if inner, err := estate.DecodeJSON([]byte(stringAt(v, "CloudTrailEvent"))); err == nil {
				eachEvent(inner, depth+1, visit)
			}
		default:
			for _, name := range []string{"Records", "Events", "detail"} {
				eachEvent(v[name], depth+1, visit)
			}
		}
	}
}

// deniedOutput is the answer of iam explain-denied.
type deniedOutput struct {
	Event      string         `json:"event"`
	Time       string         `json:"time,omitempty"`
	Principal  string         `json:"principal"`
	Action     string         `json:"action"`
	Resource   string         `json:"resource"`
	Message    string         `json:"message,omitempty"`
	Says       *messageOutput `json:"says,omitempty"`       // AWS's message, read
	Consistent string         `json:"consistent,omitempty"` // yes, no, or unknown: AWS's message and the estate
	Why        string         `json:"why,omitempty"`
	Decided    *canOutput     `json:"decided,omitempty"`
}

type messageOutput struct {
	Decision identity.Outcome `json:"decision"`
	Layer    identity.Layer   `json:"layer,omitempty"`
}

// layersOfMessages are the layers as AWS's messages name them.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
var layersOfMessages = []struct {
	words string
	layer identity.Layer
}{
	{"service control policy", identity.ServiceControlPolicy}, {"resource control policy", identity.ResourceControlPolicy},
	{"identity-based policy", identity.IdentityPolicy}, {"resource-based policy", identity.ResourcePolicy},
	{"permissions boundary", identity.PermissionsBoundary}, {"session policy", identity.SessionPolicy},
	{"VPC endpoint policy", identity.EndpointPolicy}, {"role trust policy", identity.ResourcePolicy},
}

// readMessage reads AWS's message: action, resource, and what denied.
func readMessage(text string) (action, resource string, says *messageOutput) {
	if _, after, ok := strings.Cut(text, "not authorized to perform: "); ok {
		action = strings.TrimRight(firstWord(after), ".,")
	}
	if _, after, ok := strings.Cut(text, "on resource: "); ok {
		resource = strings.Trim(strings.TrimRight(firstWord(after), ".,"), `"'`)
	}
	explicit := strings.Contains(text, "explicit deny")
	for _, l := range layersOfMessages {
		switch {
		case !strings.Contains(text, l.words):
		case explicit:
			return action, resource, &messageOutput{identity.ExplicitDeny, l.layer}
		case strings.Contains(text, "because no "):
			return action, resource, &messageOutput{identity.ImplicitDeny, l.layer}
		}
	}
	if explicit {
		says = &messageOutput{Decision: identity.ExplicitDeny}
	}
	return action, resource, says
}

func firstWord(s string) string {
	if f := strings.Fields(s); len(f) > 0 {
		return f[0]
	}
	return ""
}

// explainMessage works out the request behind an event.
func explainMessage(c *trailCall) (*deniedOutput, error) {
	out := &deniedOutput{Event: c.Source + " " + c.Name, Time: c.Time, Principal: c.Principal, Message: c.Message}
	out.Action, out.Resource, out.Says = readMessage(c.Message)
	if !strings.Contains(out.Action, ":") {
		out.Action = ""
		if actions := usage.ActionsOf(c.Source, c.Name); len(actions) > 0 {
			out.Action = actions[0]
		}
	}
	if out.Action == "" {
		return nil, incompleteErrorf("%s %s: the event does not say which permission it needs, and no action has its name", c.Source, c.Name)
	}
	if out.Resource == "" || out.Resource != "*" && !strings.HasPrefix(out.Resource, "arn:") {
		out.Resource = "*"
		if list, _ := c.ResourcesOf(out.Action); len(list) > 0 {
			out.Resource = list[0]
		}
	}
	if out.Principal == "" {
		return nil, incompleteErrorf("%s %s: the event does not say who called", c.Source, c.Name)
	}
	return out, nil
}

// explain decides the request against the estate.
func (w *world) explain(c *trailCall, out *deniedOutput) error {
	s, err := w.find(c.Principal)
	if err != nil && c.Role != "" {
		var role subject
		if role, err = w.find(c.Role); err == nil {
			s = subject{role.Principal, c.Principal}
		}
	}
	if err != nil {
		return &Error{Code: ExitIncomplete, Err: fmt.Errorf("the caller %s is not in %s", c.Principal, w.Name), Hint: "collect its account, or check whether it has been deleted since"}
	}
	ans, err := w.decide(s, out.Action, out.Resource, c.Context)
	if err != nil {
		return err
	}
	out.Decided = w.answer(s, ans)
	out.Consistent, out.Why = consistent(out.Says, ans)
	return nil
}

// consistent compares AWS's message with the decision.
func consistent(says *messageOutput, ans inventory.Answer) (verdict, why string) {
	switch {
	case ans.Outcome == identity.Unknown:
		return "unknown", "The estate does not decide it; what it depends on is listed."
	case ans.Outcome == identity.Allowed:
		why = "The policies of the estate allow the call. They may have changed since, or a session policy or VPC endpoint policy, which are not part of the estate, denied it."
		if says != nil && (says.Layer == identity.SessionPolicy || says.Layer == identity.EndpointPolicy) {
			why = "The estate holds no " + string(says.Layer) + ", and AWS names one; the other policies allow the call."
		}
		return "no", why
	case says == nil:
		return "yes", "AWS's message does not say what denied the call; the policies of the estate deny it."
	case says.Decision != ans.Outcome:
		return "no", fmt.Sprintf("AWS names a deny of another kind (%s) than the policies of the estate give.", says.Decision)
	case says.Layer == "" || says.Layer == ans.DecidedBy:
		return "yes", "The policies of the estate deny the call for the reason that AWS names."
	}
	for _, l := range ans.Layers() {
		if l.Layer == says.Layer && l.Verdict == ans.Outcome {
			return "yes", fmt.Sprintf("Several layers deny the call; AWS names the %s, which is among them.", says.Layer)
		}
	}
	return "no", fmt.Sprintf("AWS names the %s; by the policies of the estate it is the %s.", says.Layer, ans.DecidedBy)
}

func (o *deniedOutput) write(b *strings.Builder) {
	fmt.Fprintf(b, "%s  %s\n%s\n  %s on %s\n", report.Plain(o.Time), report.Plain(o.Event), report.Plain(o.Principal), report.Plain(o.Action), report.Plain(o.Resource))
	if o.Message != "" {
		fmt.Fprintf(b, "AWS said: %s\n", report.Plain(o.Message))
	}
	if o.Says != nil {
		what := "an explicit deny"
		if o.Says.Decision == identity.ImplicitDeny {
			what = "no statement that allows it"
		}
		if o.Says.Layer != "" {
			what += " in the " + string(o.Says.Layer)
		}
		fmt.Fprintf(b, "That means: %s\n", what)
	}
	if o.Decided == nil {
		return
	}
	fmt.Fprintf(b, "Consistent with the estate: %s. %s\n\n", o.Consistent, o.Why)
	o.Decided.write(b)
}
