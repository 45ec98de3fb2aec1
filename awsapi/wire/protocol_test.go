package wire

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bartizan-security/bartizan/awsapi/model"
	"github.com/bartizan-security/bartizan/internal/thirdparty"
)

// The cases are AWS's own protocol tests; see ../shared/data/README.md. Every
// case runs in both directions: what the client writes the server reads back,
// what the server writes the client reads back.

// exceptions are the directions that make no sense for a case, and why.
var exceptions = map[string]string{
	"input/rest-xml/Header whitespace/0": "the case is about white space that HTTP strips: the server cannot see what the client did not send",
}

func countExceptions(prefix string) (n int) {
	for name := range exceptions {
		if strings.HasPrefix(name, prefix) {
			n++
		}
	}
	return n
}

type suite struct {
	Description string                     `json:"description"`
	Metadata    map[string]any             `json:"metadata"`
	Endpoint    string                     `json:"clientEndpoint"`
	Shapes      map[string]json.RawMessage `json:"shapes"`
	Cases       []struct {
		Given      map[string]any `json:"given"`
		Params     map[string]any `json:"params"`
		Serialized struct {
			Method  string            `json:"method"`
			Body    *string           `json:"body"`
			URI     string            `json:"uri"`
			Host    string            `json:"host"`
			Headers map[string]string `json:"headers"`
			Forbid  []string          `json:"forbidHeaders"`
		} `json:"serialized"`
		Result   map[string]any `json:"result"`
		Response struct {
			Status  int               `json:"status_code"`
			Headers map[string]string `json:"headers"`
			Body    string            `json:"body"`
		} `json:"response"`
	} `json:"cases"`
}

func load(t *testing.T, direction, protocol string) []suite {
	t.Helper()
	data, err := os.ReadFile(thirdparty.Path(t, "wire/"+direction+"/"+protocol+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var suites []suite
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	if err := dec.Decode(&suites); err != nil {
		t.Fatal(err)
	}
	return suites
}

// operation builds the model of a case. Its payload and flags may stand on the
// operation's reference to the shape, where current models no longer put them.
func (s *suite) operation(t *testing.T, given map[string]any) *model.Operation {
	t.Helper()
	shapes := map[string]any{}
	for n, raw := range s.Shapes {
		var m map[string]any
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		shapes[n] = m
	}
	for _, side := range []string{"input", "output"} {
		if ref, ok := given[side].(map[string]any); ok {
			if payload, ok := ref["payload"]; ok {
				shapes[ref["shape"].(string)].(map[string]any)["payload"] = payload
			}
		}
	}
	name := given["name"].(string)
	data, err := json.Marshal(map[string]any{"metadata": s.Metadata, "shapes": shapes, "operations": map[string]any{name: given}})
	if err != nil {
		t.Fatal(err)
	}
	svc, err := model.Parse("test", data, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	// The compact form must carry everything that the protocols need.
	if svc, err = model.Decode(model.Encode(svc)); err != nil {
		t.Fatal(err)
	}
	return svc.Operation(name)
}

// values turns the cases' way of writing values (blobs as text, times as epoch
// seconds) into ours.
func values(t *testing.T, m *model.Member, v any) any {
	t.Helper()
	if v == nil {
		return nil
	}
	if m.JSONValue || m.Shape.Document {
		c, err := canonical(v, 0)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	switch m.Shape.Kind {
	case model.Structure:
		return structure(t, m.Shape, v.(map[string]any))
	case model.List:
		out := []any{}
		for _, e := range v.([]any) {
			out = append(out, values(t, m.Shape.Element, e))
		}
		return out
	case model.Map:
		out := map[string]any{}
		for k, e := range v.(map[string]any) {
			out[k] = values(t, m.Shape.Value, e)
		}
		return out
	case model.Blob:
		return base64.StdEncoding.EncodeToString([]byte(v.(string)))
	case model.Timestamp:
		tm, err := asTime(v)
		if err != nil {
			t.Fatal(err)
		}
		return FormatTime(tm)
	case model.Integer, model.Long:
		i, err := asInt(v)
		if err != nil {
			t.Fatal(err)
		}
		return i
	case model.Float, model.Double:
		f, err := asFloat(v)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	return v
}

func structure(t *testing.T, shape *model.Shape, v map[string]any) map[string]any {
	out := map[string]any{}
	for k, e := range v {
		m := shape.Member(k)
		if m == nil {
			t.Fatalf("%s is no member of %s", k, shape.Name)
		}
		if e != nil {
			out[k] = values(t, m, e)
		}
	}
	return out
}

var protocols = []string{"query", "ec2", "json", "rest-json", "rest-xml"}

func TestProtocolInputs(t *testing.T) {
	total, used := 0, 0
	for _, protocol := range protocols {
		cases, client, server := 0, 0, 0
		for _, s := range load(t, "input", protocol) {
			for i, c := range s.Cases {
				cases++
				name := fmt.Sprintf("input/%s/%s/%d", protocol, s.Description, i)
				t.Run(name, func(t *testing.T) {
					op := s.operation(t, c.Given)
					params := map[string]any{}
					if op.Input != nil {
						params = structure(t, op.Input, c.Params)
					}
					full, err := FillTokens(op.Input, params, func() (string, error) { return "00000000-0000-4000-8000-000000000000", nil })
					if err != nil {
						t.Fatal(err)
					}
					r, err := EncodeRequest(op, "", full)
					if err != nil {
						t.Fatal(err)
					}
					want := c.Serialized
					if want.Method != "" && r.Method != want.Method {
						t.Errorf("method %s, want %s", r.Method, want.Method)
					}
					checkURI(t, r, want.URI)
					for k, v := range want.Headers {
						if got := r.Header.Get(k); !sameHeader(got, v) {
							t.Errorf("header %s is %q, want %q", k, got, v)
						}
					}
					for _, k := range want.Forbid {
						if r.Header.Get(k) != "" {
							t.Errorf("header %s must not be there", k)
						}
					}
					if want.Host != "" && s.Endpoint != "" {
						u, _ := url.Parse(s.Endpoint)
						if got := r.HostPrefix + u.Host; got != want.Host {
							t.Errorf("host %s, want %s", got, want.Host)
						}
					}
					if want.Body != nil {
						checkBody(t, op, protocol, string(r.Body), *want.Body)
					}
					if !t.Failed() {
						client++
					}
					if exceptions[name] != "" {
						used++
						t.Logf("not read back: %s", exceptions[name])
						return
					}
					back, err := DecodeRequest(op, "", r)
					if err != nil {
						t.Fatalf("read back: %v", err)
					}
					if diff := cmp.Diff(prune(full), prune(back)); diff != "" {
						t.Errorf("read back (-sent +read):\n%s", diff)
					}
					if !t.Failed() {
						server++
					}
				})
			}
		}
		t.Logf("%s inputs: %d cases, %d written as AWS wants, %d read back by the server", protocol, cases, client, server)
		total += cases
	}
	if total != 156 {
		t.Errorf("ran %d cases, want all 156", total)
	}
	if want := countExceptions("input/"); used != want {
		t.Errorf("%d exceptions were needed, %d are listed", used, want)
	}
}

func TestProtocolOutputs(t *testing.T) {
	total, used := 0, 0
	for _, protocol := range protocols {
		cases, client, server := 0, 0, 0
		for _, s := range load(t, "output", protocol) {
			for i, c := range s.Cases {
				cases++
				name := fmt.Sprintf("output/%s/%s/%d", protocol, s.Description, i)
				t.Run(name, func(t *testing.T) {
					op := s.operation(t, c.Given)
					want := map[string]any{}
					if op.Output != nil {
						want = structure(t, op.Output, c.Result)
					}
					r := &Response{Status: c.Response.Status, Header: http.Header{}, Body: []byte(c.Response.Body)}
					for k, v := range c.Response.Headers {
						r.Header.Set(k, v)
					}
					got, err := DecodeResponse(op, "", r)
					if err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("read (-want +got):\n%s", diff)
					}
					if !t.Failed() {
						client++
					}
					if exceptions[name] != "" {
						used++
						t.Logf("not written back: %s", exceptions[name])
						return
					}
					again, err := EncodeResponse(op, "", want, "request-id")
					if err != nil {
						t.Fatalf("write back: %v", err)
					}
					if again.Header.Get("X-Amzn-Requestid") != "request-id" {
						t.Error("the answer does not name the request")
					}
					again.Header.Del("X-Amzn-Requestid")
					if r.Header.Get("Content-Type") == "" {
						again.Header.Del("Content-Type")
					}
					back, err := DecodeResponse(op, "", again)
					if err != nil {
						t.Fatalf("read back: %v", err)
					}
					if diff := cmp.Diff(prune(want), prune(back)); diff != "" {
						t.Errorf("read back (-written +read):\n%s\n%s", diff, again.Body)
					}
					if !t.Failed() {
						server++
					}
				})
			}
		}
		t.Logf("%s outputs: %d cases, %d read as AWS wants, %d written by the server and read back", protocol, cases, client, server)
		total += cases
	}
	if total != 72 {
		t.Errorf("ran %d cases, want all 72", total)
	}
	if want := countExceptions("output/"); used != want {
		t.Errorf("%d exceptions were needed, %d are listed", used, want)
	}
}

// prune drops what no message can tell from absence: null members and empty
// lists, maps and structures at the end of every branch.
func prune(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			if p := prune(e); p != nil {
				out[k] = p
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case []any:
		out := []any{}
		for _, e := range v {
			if p := prune(e); p != nil {
				out = append(out, p)
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	}
	return v
}

func sameHeader(got, want string) bool {
	if got == want {
		return true
	}
	a, err1 := base64.StdEncoding.DecodeString(got)
	b, err2 := base64.StdEncoding.DecodeString(want)
	return err1 == nil && err2 == nil && json.Valid(a) && cmp.Diff(parsed(string(a)), parsed(string(b))) == ""
}

func parsed(s string) any {
	var v any
	if json.Unmarshal([]byte(s), &v) != nil {
		return s
	}
	return v
}

func checkURI(t *testing.T, r *Request, want string) {
	t.Helper()
	path, query, _ := strings.Cut(want, "?")
	if r.Path != path {
		t.Errorf("path %s, want %s", r.Path, path)
	}
	if got, want := sortedPairs(r.Query), sortedPairs(query); got != want {
		t.Errorf("query %s, want %s", got, want)
	}
}

func sortedPairs(query string) string {
	pairs := []string{}
	for _, p := range strings.Split(query, "&") {
		k, v, _ := strings.Cut(p, "=")
		k, _ = url.QueryUnescape(k)
		v, _ = url.QueryUnescape(v)
		pairs = append(pairs, strconv.Quote(k)+"="+strconv.Quote(v))
	}
	sort.Strings(pairs)
	return strings.Join(pairs, "&")
}

func checkBody(t *testing.T, op *model.Operation, protocol, got, want string) {
	t.Helper()
	switch {
	case protocol == "query" || protocol == "ec2":
		g, w := sortedPairs(got), sortedPairs(want)
		if g == w {
			return
		}
		// The entries of a map have no order, but numbers that we give by their
		// keys and AWS's test by its text: the same if they read the same.
		a, err1 := DecodeRequest(op, "", &Request{Body: []byte(got)})
		b, err2 := DecodeRequest(op, "", &Request{Body: []byte(want)})
		if err1 != nil || err2 != nil || len(g) != len(w) || cmp.Diff(a, b) != "" {
			t.Errorf("body\n%s\nwant\n%s", g, w)
		}
	case strings.HasPrefix(want, "{"):
		if diff := cmp.Diff(parsed(want), parsed(got)); diff != "" {
			t.Errorf("body (-want +got):\n%s", diff)
		}
	case strings.HasPrefix(want, "<"):
		if diff := cmp.Diff(tree(t, want), tree(t, got)); diff != "" {
			t.Errorf("body (-want +got):\n%s", diff)
		}
	case got != want:
		t.Errorf("body %q, want %q", got, want)
	}
}

// tree is a document as nested text, its elements sorted, as members of a
// structure have no order.
func tree(t *testing.T, doc string) string {
	t.Helper()
	n, err := parseXML([]byte(doc))
	if err != nil {
		t.Fatalf("%v in %s", err, doc)
	}
	var show func(n *node, indent string) string
	show = func(n *node, indent string) string {
		var attrs, kids []string
		for _, a := range n.attrs {
			attrs = append(attrs, a.name+"="+a.value)
		}
		sort.Strings(attrs)
		for k := n.first; k != nil; k = k.next {
			kids = append(kids, show(k, indent+"  "))
		}
		sort.Strings(kids)
		return indent + n.name + " " + strings.Join(attrs, " ") + " " + strconv.Quote(n.text) + "\n" + strings.Join(kids, "")
	}
	return show(n, "")
}
