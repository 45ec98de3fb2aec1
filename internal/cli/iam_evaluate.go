package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bartizan-security/bartizan/identity"
)

// evaluateFlags are the flags of iam evaluate.
type evaluateFlags struct {
	batch, request                                            string
	principal, action, resource, account, managementAccount   string
	context, unknown                                          []string
	identityFiles, boundaries, sessions, scps, rcps, endpoint []string
	resourcePolicy                                            string
}

func newIAMEvaluateCommand(a *App) *cobra.Command {
	var f evaluateFlags
	c := &cobra.Command{
		Use:   "evaluate",
		Short: "Decide a request over a whole stack of policies",
		Long: `Decides one request, or one request a line with --batch, over every kind of
policy: identity policies, permissions boundaries, session policies, service and
resource control policies, the resource's policy and VPC endpoint policies.

The decision is allowed, explicitDeny, implicitDeny, or unknown when it depends
on a condition key whose value is not known. A policy that is not given does not
apply. docs/iam-evaluation.md has the rules and the fields of a request.

With --batch a line that cannot be read is answered with an error, the others are
decided, and the exit code is 3.`,
		Example: `  bartizan iam evaluate --principal arn:aws:iam::111122223333:user/ada \
    --action s3:GetObject --resource arn:aws:s3:::logs/a.txt --identity policy.json
  bartizan iam evaluate --request request.json -o json
  bartizan iam evaluate --batch requests.jsonl`,
		Args: cobra.NoArgs,
	}
	o := addOutputFlag(c, "table", "json", "jsonl")
	fl := c.Flags()
	fl.StringVar(&f.batch, "batch", "", "file with one request a line as JSON, or - for standard input")
	fl.StringVar(&f.request, "request", "", "file with one request as JSON, or - for standard input; the other flags add to it")
	fl.StringVar(&f.principal, "principal", "", "who asks: an ARN, a service such as lambda.amazonaws.com, or * for an anonymous caller")
	fl.StringVar(&f.action, "action", "", "the action, such as s3:GetObject")
	fl.StringVar(&f.resource, "resource", "", "the resource's ARN (default *)")
	fl.StringVar(&f.account, "resource-account", "", "the account that owns the resource (default: of its ARN, or of the principal)")
	fl.StringVar(&f.managementAccount, "management-account", "", "the organization's management account, where control policies do not apply")
	fl.StringArrayVar(&f.context, "context", nil, "KEY=VALUE of the request's context, repeatable; the same key again adds a value")
	fl.StringArrayVar(&f.unknown, "unknown", nil, "condition key whose value is not known, repeatable")
	fl.StringArrayVar(&f.identityFiles, "identity", nil, "file with an identity policy, repeatable")
	fl.StringArrayVar(&f.boundaries, "boundary", nil, "file with a permissions boundary, repeatable")
	fl.StringArrayVar(&f.sessions, "session", nil, "file with a session policy, repeatable")
	fl.StringArrayVar(&f.scps, "scp", nil, "files with the service control policies of one level, separated by commas; repeat from the root down")
	fl.StringArrayVar(&f.rcps, "rcp", nil, "files with the resource control policies of one level; repeat from the root down")
	fl.StringVar(&f.resourcePolicy, "resource-policy", "", "file with the resource's policy (bucket policy, role trust, key policy)")
	fl.StringArrayVar(&f.endpoint, "endpoint", nil, "file with the policy of the VPC endpoint, repeatable")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := o.parse(); err != nil {
			return err
		}
		if f.batch == "" {
			return a.evaluateOne(&f, o)
		}
		if others := changedBeside(c, "batch", "output", "quiet", "color"); len(others) > 0 {
			return usageErrorf("--batch takes its requests from the file; leave out --%s", others[0])
		}
		if len(o.raw) > 0 && (o.format() != "jsonl" || len(o.specs) > 1) {
			return usageErrorf("--batch writes one object a line to standard output; leave out --output, or give -o jsonl")
		}
		return a.evaluateBatch(c.Context(), f.batch)
	}
	return c
}

// evaluateInput is one request with its policies, as a line of a batch has it.
type evaluateInput struct {
	ID                json.RawMessage            `json:"id"`
	Principal         string                     `json:"principal"`
	Action            string                     `json:"action"`
	Resource          string                     `json:"resource"`
	ResourceAccount   string                     `json:"resourceAccount"`
	ManagementAccount string                     `json:"managementAccount"`
	Context           map[string]json.RawMessage `json:"context"`
	UnknownContext    []string                   `json:"unknownContext"`
	Identity          []json.RawMessage          `json:"identityPolicies"`
	Boundaries        []json.RawMessage          `json:"permissionsBoundaries"`
	Session           []json.RawMessage          `json:"sessionPolicies"`
	ServiceControl    [][]json.RawMessage        `json:"serviceControlPolicies"`
	ResourceControl   [][]json.RawMessage        `json:"resourceControlPolicies"`
	ResourcePolicy    json.RawMessage            `json:"resourcePolicy"`
	Endpoint          []json.RawMessage          `json:"endpointPolicies"`
	Grants            []identity.Grant           `json:"grants"`
	S3                *identity.S3Access         `json:"s3"`
	names             map[string]string          // of policies that came from files
	cache             *policyCache               // nil: none
	explain           bool                       // say what nearly allowed a request that is not allowed
}

// evaluateOutput is one answer.
type evaluateOutput struct {
	ID             json.RawMessage     `json:"id,omitempty"`
	Decision       identity.Outcome    `json:"decision"`
	DecidedBy      identity.Layer      `json:"decidedBy"`
	Statements     []evaluateStatement `json:"statements"`
	MissingContext []string            `json:"missingContext"`
	Explanation    string              `json:"explanation"`
	Layers         []evaluateLayer     `json:"layers,omitempty"`
	NearMisses     []string            `json:"nearMisses,omitempty"`
}

type evaluateStatement struct {
	Layer  identity.Layer  `json:"layer"`
	Policy string          `json:"policy"`
	Sid    string          `json:"sid"`
	Index  int             `json:"index"`
	Effect identity.Effect `json:"effect"`

	place string
}

type evaluateLayer struct {
	Layer   identity.Layer   `json:"layer"`
	Verdict identity.Outcome `json:"verdict"`
}

// evaluateError is the answer to a line that could not be decided.
type evaluateError struct {
	ID    json.RawMessage `json:"id"`
	Line  int             `json:"line"`
	Error string          `json:"error"`
}

// policyCache keeps compiled policies: the lines of a batch often share them.
type policyCache struct {
	docs  map[string]*identity.Document
	bytes int
}

// parse is identity.ParseDocument with memory, which is bounded.
func (c *policyCache) parse(raw []byte, layer identity.Layer, name string) (*identity.Document, error) {
	const most = 16 << 20
	if c == nil {
		return identity.ParseDocument(raw, layer, name)
	}
	key := string(layer) + "\x00" + name + "\x00" + string(raw)
	if d, ok := c.docs[key]; ok {
		return d, nil
	}
	d, err := identity.ParseDocument(raw, layer, name)
	if err != nil {
		return nil, err
	}
	if c.bytes += len(key); c.docs == nil || c.bytes > most {
		c.docs, c.bytes = map[string]*identity.Document{}, len(key)
	}
	c.docs[key] = d
	return d, nil
}

// stack compiles the input's policies.
func (in *evaluateInput) stack() (*identity.Stack, error) {
	s := &identity.Stack{Grants: in.Grants, S3: in.S3}
	parse := func(raw json.RawMessage, layer identity.Layer, name string) (*identity.Document, error) {
		if isNull(raw) {
			return nil, fmt.Errorf("%s: want a policy, not null", name)
		}
		if raw[0] == '"' { // a policy as a string, as AWS's APIs return it
			var text string
			if err := json.Unmarshal(raw, &text); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			raw = json.RawMessage(text)
		}
		shown := name
		if n := in.names[name]; n != "" {
			shown = n
		}
		d, err := in.cache.parse(raw, layer, shown)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", shown, err)
		}
		return d, nil
	}
	list := func(raws []json.RawMessage, layer identity.Layer, name string) ([]*identity.Document, error) {
		var docs []*identity.Document
		for i, raw := range raws {
			d, err := parse(raw, layer, fmt.Sprintf("%s[%d]", name, i))
			if err != nil {
				return nil, err
			}
			docs = append(docs, d)
		}
		return docs, nil
	}
	levels := func(raws [][]json.RawMessage, layer identity.Layer, name string) ([][]*identity.Document, error) {
		var all [][]*identity.Document
		for i, level := range raws {
			docs, err := list(level, layer, fmt.Sprintf("%s[%d]", name, i))
			if err != nil {
				return nil, err
			}
			all = append(all, docs)
		}
		return all, nil
	}
	var err error
	if s.Identity, err = list(in.Identity, identity.IdentityPolicy, "identityPolicies"); err != nil {
		return nil, err
	}
	if s.Boundaries, err = list(in.Boundaries, identity.PermissionsBoundary, "permissionsBoundaries"); err != nil {
		return nil, err
	}
	if s.Session, err = list(in.Session, identity.SessionPolicy, "sessionPolicies"); err != nil {
		return nil, err
	}
	if s.ServiceControl, err = levels(in.ServiceControl, identity.ServiceControlPolicy, "serviceControlPolicies"); err != nil {
		return nil, err
	}
	if s.ResourceControl, err = levels(in.ResourceControl, identity.ResourceControlPolicy, "resourceControlPolicies"); err != nil {
		return nil, err
	}
	if s.Endpoint, err = list(in.Endpoint, identity.EndpointPolicy, "endpointPolicies"); err != nil {
		return nil, err
	}
	if !isNull(in.ResourcePolicy) {
		if s.Resource, err = parse(in.ResourcePolicy, identity.ResourcePolicy, "resourcePolicy"); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func isNull(raw json.RawMessage) bool {
	return len(raw) == 0 || bytes.Equal(raw, []byte("null"))
}

// scalarTexts reads a context value: one scalar or a list of them.
func scalarTexts(key string, raw json.RawMessage) ([]string, error) {
	n, err := identity.ParseJSON(raw)
	if err != nil {
		return nil, fmt.Errorf("context %q: %w", key, err)
	}
	nodes := []*identity.Node{n}
	if n.Kind == identity.Array {
		nodes = n.Children
	}
	texts := make([]string, 0, len(nodes))
	for _, v := range nodes {
		switch v.Kind {
		case identity.String, identity.Number, identity.Bool:
			texts = append(texts, v.Text)
		case identity.Null:
		default:
			return nil, fmt.Errorf("context %q: want a list of strings, not %s", key, v.Kind)
		}
	}
	return texts, nil
}

// Limits on one request. They are far above what AWS accepts and bound the time
// that a hostile one takes.
const (
	maxRequestName  = 8 << 10  // of a principal, an action, a resource, a key
	maxContextValue = 64 << 10 // of one key together
	maxContextKeys  = 1000
)

func (in *evaluateInput) checkSize() error {
	for _, f := range [][2]string{{"principal", in.Principal}, {"action", in.Action}, {"resource", in.Resource}} {
		if len(f[1]) > maxRequestName {
			return fmt.Errorf("the %s has %d bytes; at most %d are accepted: %w", f[0], len(f[1]), maxRequestName, identity.ErrRequest)
		}
	}
	if len(in.Context) > maxContextKeys || len(in.UnknownContext) > maxContextKeys {
		return fmt.Errorf("the context has more than %d keys: %w", maxContextKeys, identity.ErrRequest)
	}
	for k, v := range in.Context {
		if len(k) > maxRequestName || len(v) > maxContextValue {
			return fmt.Errorf("a key of the context or its values have more than %d bytes: %w", maxContextValue, identity.ErrRequest)
		}
	}
	return nil
}

// evaluate decides the input.
func (in *evaluateInput) evaluate() (*evaluateOutput, error) {
	if err := in.checkSize(); err != nil {
		return nil, err
	}
	req := &identity.Request{
		Principal: in.Principal, Action: in.Action, Resource: in.Resource, ResourceAccount: in.ResourceAccount,
		UnknownContext: in.UnknownContext, ManagementAccount: in.ManagementAccount,
		Context: make(map[string][]string, len(in.Context)),
	}
	if req.Resource == "" {
		req.Resource = "*"
	}
	for k, raw := range in.Context {
		v, err := scalarTexts(k, raw)
		if err != nil {
			return nil, err
		}
		req.Context[k] = v
	}
	stack, err := in.stack()
	if err != nil {
		return nil, err
	}
	d, err := identity.Evaluate(req, stack)
	if err != nil {
		return nil, err
	}
	out := &evaluateOutput{
		ID: in.ID, Decision: d.Outcome, DecidedBy: d.DecidedBy, Explanation: d.Explanation(),
		Statements: []evaluateStatement{}, MissingContext: append([]string{}, d.MissingContext...),
	}
	for _, r := range d.Statements {
		out.Statements = append(out.Statements, evaluateStatement{
			Layer: r.Layer, Policy: r.Policy(), Sid: r.Statement.SidText(), Index: r.Statement.Index,
			Effect: r.Statement.Effect, place: r.Statement.Pos().String(),
		})
	}
	for _, l := range d.Layers() {
		out.Layers = append(out.Layers, evaluateLayer{l.Layer, l.Verdict})
	}
	if d.Outcome == identity.ImplicitDeny && in.explain {
		misses, err := identity.NearMisses(req, stack)
		if err != nil {
			return nil, err
		}
		for _, m := range misses {
			out.NearMisses = append(out.NearMisses, m.String())
		}
	}
	return out, nil
}

// maxBatchLine bounds one line of a batch.
const maxBatchLine = 64 << 20

// evaluateBatch answers each line of a file in order.
func (a *App) evaluateBatch(ctx context.Context, file string) error {
	in, done, err := a.openInput(file)
	if err != nil {
		return err
	}
	defer done()
	r := bufio.NewReaderSize(in, 256<<10)
	w := bufio.NewWriterSize(a.Stdout, 64<<10)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	cache := &policyCache{}
	failed, answered := 0, 0
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			w.Flush()
			return incompleteErrorf("stopped at line %d: %w", n, err)
		}
		line, tooLong, err := readLine(r, maxBatchLine)
		if err != nil && !errors.Is(err, io.EOF) {
			w.Flush()
			return incompleteErrorf("read %s: %w", file, err)
		}
		if text := bytes.TrimSpace(line); len(text) > 0 || tooLong {
			answer, ok := evaluateLine(text, n, tooLong, cache)
			answered++
			if !ok {
				failed++
			}
			if err := enc.Encode(answer); err != nil {
				return incompleteErrorf("write the answer to line %d: %w", n, err)
			}
		}
		if err != nil {
			break
		}
		if r.Buffered() == 0 {
			if err := w.Flush(); err != nil {
				return incompleteErrorf("write the answers: %w", err)
			}
		}
	}
	if err := w.Flush(); err != nil {
		return incompleteErrorf("write the answers: %w", err)
	}
	if failed > 0 {
		return &Error{Code: ExitIncomplete, Err: fmt.Errorf("%d of %d requests could not be evaluated", failed, answered), Hint: "see the error in their answers"}
	}
	return nil
}

func evaluateLine(line []byte, n int, tooLong bool, cache *policyCache) (any, bool) {
	if tooLong {
		return evaluateError{ID: json.RawMessage("null"), Line: n, Error: fmt.Sprintf("the line is longer than %d bytes", maxBatchLine)}, false
	}
	in := evaluateInput{cache: cache}
	if err := json.Unmarshal(line, &in); err != nil {
		// Even a line with a wrong field says whose answer this is.
		var only struct {
			ID json.RawMessage `json:"id"`
		}
		if json.Unmarshal(line, &only) != nil || len(only.ID) == 0 {
			only.ID = json.RawMessage("null")
		}
		return evaluateError{ID: only.ID, Line: n, Error: "read the request: " + jsonErrorText(err)}, false
	}
	if len(in.ID) == 0 {
		in.ID = json.RawMessage("null")
	}
	out, err := in.evaluate()
	if err != nil {
		return evaluateError{ID: in.ID, Line: n, Error: err.Error()}, false
	}
	out.Layers = nil
	return out, true
}

// jsonErrorText says what is wrong with a request in its own terms.
func jsonErrorText(err error) string {
	var typ *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &typ) && typ.Field != "":
		return fmt.Sprintf("column %d: the field %s cannot be a %s", typ.Offset, typ.Field, typ.Value)
	case errors.As(err, &typ):
		return fmt.Sprintf("column %d: want an object, not a %s", typ.Offset, typ.Value)
	case errors.As(err, &syntax):
		return fmt.Sprintf("column %d: %s", syntax.Offset, syntax)
	}
	return err.Error()
}

// readLine reads one line; of a longer one than most it keeps nothing.
func readLine(r *bufio.Reader, most int) (line []byte, tooLong bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > most {
			tooLong, line = true, nil
		}
		if !tooLong {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, tooLong, err
		}
	}
}

// openInput opens a file, or standard input for -.
func (a *App) openInput(file string) (io.Reader, func(), error) {
	if file == "-" {
		return a.Stdin, func() {}, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, nil, incompleteErrorf("read the requests: %w", err)
	}
	return f, func() { f.Close() }, nil
}

// evaluateOne decides the request of the flags.
func (a *App) evaluateOne(f *evaluateFlags, o *outputs) error {
	in, err := a.inputOf(f)
	if err != nil {
		return err
	}
	if in.Principal == "" || in.Action == "" {
		return &Error{Code: ExitUsage, Err: errors.New("the request needs a principal and an action"), Hint: "give --principal and --action, or --request FILE, or --batch FILE"}
	}
	out, err := in.evaluate()
	if err != nil {
		if errors.Is(err, identity.ErrPrincipal) || errors.Is(err, identity.ErrRequest) {
			return usageErrorf("%w", err)
		}
		return incompleteErrorf("%w", err)
	}
	return o.emit(a, func(format string, w io.Writer, _ bool) error {
		switch format {
		case "json":
			enc := json.NewEncoder(w)
			enc.SetEscapeHTML(false)
			enc.SetIndent("", "  ")
			return enc.Encode(out)
		case "jsonl":
			enc := json.NewEncoder(w)
			enc.SetEscapeHTML(false)
			return enc.Encode(out)
		}
		return writeDecision(w, out)
	})
}

func writeDecision(w io.Writer, out *evaluateOutput) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n", out.Decision, out.Explanation)
	if len(out.Layers) > 0 {
		b.WriteString("\nLAYER                  SAYS\n")
		for _, l := range out.Layers {
			fmt.Fprintf(&b, "%-22s %s\n", l.Layer, l.Verdict)
		}
	}
	if len(out.NearMisses) > 0 {
		b.WriteString("\nNEARLY ALLOWED\n" + strings.Join(out.NearMisses, "\n") + "\n")
	}
	if len(out.Statements) > 0 {
		b.WriteString("\nSTATEMENT\n")
		for _, s := range out.Statements {
			fmt.Fprintf(&b, "%-6s %s:%s statement %d %s\n", s.Effect, s.Policy, s.place, s.Index, s.Sid)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// inputOf reads the request and the policies that the flags name.
func (a *App) inputOf(f *evaluateFlags) (*evaluateInput, error) {
	in := &evaluateInput{names: map[string]string{}, explain: true}
	if f.request != "" {
		r, done, err := a.openInput(f.request)
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(io.LimitReader(r, maxBatchLine))
		done()
		if err != nil {
			return nil, incompleteErrorf("read %s: %w", f.request, err)
		}
		if err := json.Unmarshal(data, in); err != nil {
			return nil, incompleteErrorf("read %s: %s", f.request, jsonErrorText(err))
		}
	}
	for _, set := range []struct {
		to   *string
		from string
	}{{&in.Principal, f.principal}, {&in.Action, f.action}, {&in.Resource, f.resource}, {&in.ResourceAccount, f.account}, {&in.ManagementAccount, f.managementAccount}} {
		if set.from != "" {
			*set.to = set.from
		}
	}
	in.UnknownContext = append(in.UnknownContext, f.unknown...)
	given := map[string][]string{}
	for _, kv := range f.context {
		k, v, ok := strings.Cut(kv, "=")
		if !ok || k == "" {
			return nil, usageErrorf("--context %q: want KEY=VALUE", kv)
		}
		given[k] = append(given[k], v)
	}
	for k, v := range given {
		raw, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("encode context: %w", err)
		}
		if in.Context == nil {
			in.Context = map[string]json.RawMessage{}
		}
		in.Context[k] = raw
	}
	return in, in.addFiles(f)
}

// addFiles reads the policy files of the flags.
func (in *evaluateInput) addFiles(f *evaluateFlags) error {
	read := func(file, name string) (json.RawMessage, error) {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, incompleteErrorf("read a policy: %w", err)
		}
		if len(data) == 0 {
			return nil, incompleteErrorf("read a policy: %s is empty", file)
		}
		in.names[name] = file
		return bytes.TrimSpace(data), nil
	}
	for _, list := range []struct {
		to    *[]json.RawMessage
		files []string
		name  string
	}{
		{&in.Identity, f.identityFiles, "identityPolicies"}, {&in.Boundaries, f.boundaries, "permissionsBoundaries"},
		{&in.Session, f.sessions, "sessionPolicies"}, {&in.Endpoint, f.endpoint, "endpointPolicies"},
	} {
		for _, file := range list.files {
			raw, err := read(file, fmt.Sprintf("%s[%d]", list.name, len(*list.to)))
			if err != nil {
				return err
			}
			*list.to = append(*list.to, raw)
		}
	}
	for _, levels := range []struct {
		to    *[][]json.RawMessage
		files []string
		name  string
	}{{&in.ServiceControl, f.scps, "serviceControlPolicies"}, {&in.ResourceControl, f.rcps, "resourceControlPolicies"}} {
		for _, files := range levels.files {
			var level []json.RawMessage
			for _, file := range strings.Split(files, ",") {
				raw, err := read(file, fmt.Sprintf("%s[%d][%d]", levels.name, len(*levels.to), len(level)))
				if err != nil {
					return err
				}
				level = append(level, raw)
			}
			*levels.to = append(*levels.to, level)
		}
	}
	if f.resourcePolicy != "" {
		raw, err := read(f.resourcePolicy, "resourcePolicy")
		if err != nil {
			return err
		}
		in.ResourcePolicy = raw
	}
	return nil
}

// changedBeside lists the flags that were given beside those named.
func changedBeside(c *cobra.Command, names ...string) []string {
	var others []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed && !slices.Contains(names, f.Name) {
			others = append(others, f.Name)
		}
	})
	return others
}
