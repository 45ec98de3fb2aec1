package model

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const small = `{
 "metadata": {"protocol": "rest-json", "apiVersion": "2020-01-01", "endpointPrefix": "small", "serviceId": "Small One", "signatureVersion": "v4"},
 "operations": {"List": {"http": {"method": "GET", "requestUri": "/x/{Id}", "responseCode": 201}, "input": {"shape": "In"}, "output": {"shape": "Out"}, "errors": [{"shape": "Gone"}], "readonly": true, "endpoint": {"hostPrefix": "data-"}, "httpChecksum": {"requestAlgorithmMember": "A", "requestChecksumRequired": true}}},
 "shapes": {
  "In": {"type": "structure", "required": ["Id"], "members": {"Id": {"shape": "S", "location": "uri", "locationName": "Id"}, "Token": {"shape": "S", "idempotencyToken": true}, "Self": {"shape": "In"}}},
  "Out": {"type": "structure", "payload": "Body", "members": {"Body": {"shape": "L"}, "Next": {"shape": "S", "location": "header", "locationName": "x-next"}}},
  "L": {"type": "list", "member": {"shape": "M", "locationName": "item"}, "max": 10, "flattened": true},
  "M": {"type": "map", "key": {"shape": "S"}, "value": {"shape": "T"}},
  "T": {"type": "timestamp", "timestampFormat": "iso8601"},
  "S": {"type": "string", "enum": ["a", "b"], "min": 1, "sensitive": true},
  "Gone": {"type": "structure", "exception": true, "error": {"code": "X.Gone", "httpStatusCode": 404}, "members": {}}
 }}`

const pages = `{"pagination": {"List": {"input_token": "Token", "output_token": "Next", "result_key": ["Body"], "limit_key": "Max"}}}`

const waiters = `{"waiters": {"ThingReady": {"operation": "List", "delay": 5, "maxAttempts": 3, "acceptors": [{"matcher": "pathAll", "argument": "Body[].x", "expected": true, "state": "success"}, {"matcher": "status", "expected": 404, "state": "retry"}]}}}`

func parse(t testing.TB) *Service {
	t.Helper()
	s, err := Parse("small", []byte(small), []byte(pages), []byte(waiters))
	if err != nil {
		t.Fatal(err)
	}
	s.SetEndpoints([]Endpoints{{Variants: [4][]Endpoint{{{Partition: "aws", URL: "https://small.{region}.example"}, {Partition: "aws", Regions: []string{"us-east-1"}, Error: "none"}}}}}, func(*Operation) int { return 0 })
	s.Regions = []string{"eu-west-1", "us-east-1"}
	return s
}

// TestCompactFormKeepsEverything: what is decoded is what was encoded.
func TestCompactFormKeepsEverything(t *testing.T) {
	want := parse(t)
	got, err := Decode(Encode(want))
	if err != nil {
		t.Fatal(err)
	}
	unexported := cmpopts.IgnoreUnexported(Service{}, Shape{})
	if diff := cmp.Diff(want, got, unexported); diff != "" {
		t.Error(diff)
	}
	op := got.Operation("list")
	if op == nil || op.Service != got || op.Paginator.InputTokens[0] != "Token" || got.Waiter("thing-ready") == nil || op.Input.Member("Self").Shape != op.Input {
		t.Errorf("the decoded model is not connected: %+v", op)
	}
	if string(Encode(got)) != string(Encode(want)) {
		t.Error("encoding is not stable")
	}
}

func TestParseRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":           `{`,
		"a missing shape":   `{"metadata":{"protocol":"json"},"operations":{"A":{"input":{"shape":"B"}}},"shapes":{}}`,
		"an unknown type":   `{"metadata":{"protocol":"json"},"shapes":{"A":{"type":"riddle"}}}`,
		"a list of nothing": `{"metadata":{"protocol":"json"},"shapes":{"A":{"type":"list"}}}`,
	} {
		if _, err := Parse("x", []byte(text), nil, nil); err == nil {
			t.Errorf("%s is read", name)
		}
	}
}

func TestEndpointLookup(t *testing.T) {
	set := Endpoints{Variants: [4][]Endpoint{{
		{Partition: "aws", URL: "https://a.{region}.x", SigningRegion: "{region}"},
		{Partition: "aws", Regions: []string{"eu-west-1"}, URL: "https://special.x"},
	}}}
	for region, want := range map[string]string{"us-east-1": "https://a.us-east-1.x", "eu-west-1": "https://special.x"} {
		got, ok := set.Lookup("aws", region, false, false)
		if !ok || got.URL != want {
			t.Errorf("%s: %+v %v", region, got, ok)
		}
	}
	if _, ok := set.Lookup("aws-cn", "cn-north-1", false, false); ok {
		t.Error("found in a partition it is not in")
	}
	if _, ok := set.Lookup("aws", "us-east-1", true, false); ok {
		t.Error("found with FIPS, which it does not have")
	}
}

// TestPackIsReproducible: the same services give the same bytes, and the
// catalogue refuses what is not one.
func TestPackIsReproducible(t *testing.T) {
	pack := func() []byte {
		data, err := Pack(Source{Package: "p", Version: "1"}, []Partition{{ID: "aws", Regex: "^us-", Regions: []string{"eu-west-1"}}}, []*Service{parse(t)})
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	data := pack()
	if string(data) != string(pack()) {
		t.Error("two runs differ")
	}
	c, err := Open(data)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Service("small")
	if err != nil || s.ID != "Small One" || c.Entries()[0].Operations != 1 || c.Source().Version != "1" {
		t.Errorf("%+v %v", s, err)
	}
	if s, err := c.Service("other"); s != nil || err != nil {
		t.Errorf("%v %v", s, err)
	}
	if p := c.Partitions()[0]; !p.Matches("eu-west-1") || !p.Matches("us-new-1") || p.Matches("cn-north-1") {
		t.Error("the partition matches wrongly")
	}
	for n := range len(data) {
		if c, err := Open(data[:n]); err == nil {
			if _, err := c.Service("small"); err == nil {
				t.Fatalf("%d of %d bytes are enough", n, len(data))
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(Encode(parse(f)))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Decode(data)
		if err == nil {
			if _, err := Decode(Encode(s)); err != nil {
				t.Fatalf("reads once, not twice: %v", err)
			}
		}
	})
}

func FuzzOpen(f *testing.F) {
	if data, err := os.ReadFile("../models.bin"); err == nil {
		f.Add(data[:4096])
	}
	data, err := Pack(Source{}, nil, []*Service{parse(f)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Open(data)
		if err != nil {
			return
		}
		for i, e := range c.Entries() {
			if i == 10 {
				break
			}
			_, _ = c.Service(e.Name)
		}
	})
}
