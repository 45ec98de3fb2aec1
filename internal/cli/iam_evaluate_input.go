package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/bartizan-security/bartizan/identity"
)

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

// policyCache keeps compiled policies: the lines of a batch often share them.
type policyCache struct {
	docs  map[string]*identity.Document
	bytes int
}

// parse is identity.ParseDocument with memory, which is bounded.
func (c *policyCache) parse(raw []byte, layer identity.Layer, name string) (*identity.Document, error) {
	const most, mostOne = 2 << 20, 32 << 10 // a compiled policy is larger than its text
	if c == nil || len(raw) > mostOne {
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
