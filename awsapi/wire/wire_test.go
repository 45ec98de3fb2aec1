package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bartizan-security/bartizan/awsapi/model"
)

// cborModel is an operation with every kind of value.
const cborModel = `{
 "metadata": {"protocol": "smithy-rpc-v2-cbor", "protocols": ["smithy-rpc-v2-cbor"], "targetPrefix": "Sample", "apiVersion": "2020-01-01", "endpointPrefix": "sample", "serviceId": "Sample"},
 "operations": {"Do": {"http": {"method": "POST", "requestUri": "/"}, "input": {"shape": "All"}, "output": {"shape": "All"}, "errors": [{"shape": "Gone"}]}},
 "shapes": {
  "All": {"type": "structure", "members": {
   "S": {"shape": "S"}, "I": {"shape": "I"}, "L": {"shape": "L"}, "F": {"shape": "F"}, "D": {"shape": "D"}, "B": {"shape": "B"},
   "T": {"shape": "T"}, "X": {"shape": "X"}, "List": {"shape": "List"}, "Map": {"shape": "Map"}, "Self": {"shape": "All"}}},
  "Gone": {"type": "structure", "exception": true, "error": {"httpStatusCode": 404}, "members": {"message": {"shape": "S"}, "Name": {"shape": "S"}}},
  "S": {"type": "string"}, "I": {"type": "integer"}, "L": {"type": "long"}, "F": {"type": "float"}, "D": {"type": "double"}, "B": {"type": "boolean"},
  "T": {"type": "timestamp"}, "X": {"type": "blob"},
  "List": {"type": "list", "member": {"shape": "All"}}, "Map": {"type": "map", "key": {"shape": "S"}, "value": {"shape": "I"}}
 }}`

func sample(t testing.TB, text string) *model.Operation {
	t.Helper()
	s, err := model.Parse("sample", []byte(text), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s.Operation("Do")
}

func everything() map[string]any {
	return map[string]any{
		"S": "ü", "I": int64(-7), "L": int64(1) << 60, "F": 1.5, "D": 3.141592653589793, "B": false,
		"T": "2026-01-02T03:04:05+00:00", "X": "AAEC/w==",
		"List": []any{map[string]any{"S": ""}, map[string]any{}}, "Map": map[string]any{"a": int64(1), "b": int64(0)},
		"Self": map[string]any{"T": "1969-12-31T23:59:59.500000+00:00"},
	}
}

func TestCBOR(t *testing.T) {
	op := sample(t, cborModel)
	r, err := EncodeRequest(op, "", everything())
	if err != nil {
		t.Fatal(err)
	}
	if r.Path != "/service/Sample/operation/Do" || r.Header.Get("Smithy-Protocol") != "rpc-v2-cbor" || r.Header.Get("Content-Type") != "application/cbor" || r.Header.Get("Accept") != "application/cbor" {
		t.Errorf("request %s %v", r.Path, r.Header)
	}
	found, p, err := Route(op.Service, r)
	if err != nil || found != op || p != model.CBOR {
		t.Errorf("routed to %v %s %v", found, p, err)
	}
	in, err := DecodeRequest(op, p, r)
	if diff := cmp.Diff(everything(), in); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	resp, err := EncodeResponse(op, "", everything(), "id")
	if err != nil {
		t.Fatal(err)
	}
	out, err := DecodeResponse(op, "", resp)
	if diff := cmp.Diff(everything(), out); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

// TestCBORBytes holds the encoding to the bytes that the specification gives:
// https://www.rfc-editor.org/rfc/rfc8949.html appendix A, and Smithy's rule that
// timestamps carry tag 1.
func TestCBORBytes(t *testing.T) {
	op := sample(t, cborModel)
	for _, row := range []struct {
		in   map[string]any
		want string
	}{
		{map[string]any{}, "\xa0"},
		{map[string]any{"I": int64(-1)}, "\xa1\x61I\x20"},
		{map[string]any{"B": true}, "\xa1\x61B\xf5"},
		{map[string]any{"X": "AQI="}, "\xa1\x61X\x42\x01\x02"},
		{map[string]any{"T": "2013-03-21T20:04:00Z"}, "\xa1\x61T\xc1\x1a\x51\x4b\x67\xb0"},
		{map[string]any{"T": "2013-03-21T20:04:00.5Z"}, "\xa1\x61T\xc1\xfb\x41\xd4\x52\xd9\xec\x20\x00\x00"},
		{map[string]any{"D": 1.1}, "\xa1\x61D\xfb\x3f\xf1\x99\x99\x99\x99\x99\x9a"},
	} {
		r, err := EncodeRequest(op, "", row.in)
		if err != nil {
			t.Errorf("%v: %v", row.in, err)
			continue
		}
		if string(r.Body) != row.want {
			t.Errorf("%v is %x, want %x", row.in, r.Body, row.want)
		}
	}
	// Answers may use indefinite lengths and half floats.
	for body, want := range map[string]map[string]any{
		"\xbf\x61S\x7f\x61a\x61b\xff\xff":   {"S": "ab"},
		"\xa1\x61F\xf9\x3e\x00":             {"F": 1.5},
		"\xa1\x61T\xc1\x1a\x51\x4b\x67\xb0": {"T": "2013-03-21T20:04:00+00:00"},
		"\xa2\x61S\xf6\x61?\x01":            {},
	} {
		got, err := DecodeResponse(op, "", &Response{Status: 200, Header: http.Header{}, Body: []byte(body)})
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%x: %v %s", body, err, diff)
		}
	}
}

const errorModel = `{
 "metadata": {"protocol": "%s", "protocols": ["%s"], "apiVersion": "2020-01-01", "targetPrefix": "Sample", "endpointPrefix": "sample", "serviceId": "Sample"},
 "operations": {"Do": {"http": {"method": "POST", "requestUri": "/do"}, "errors": [{"shape": "Gone"}, {"shape": "Broken"}]}},
 "shapes": {
  "Gone": {"type": "structure", "exception": true, "error": {"code": "Sample.Gone", "httpStatusCode": 404}, "members": {"message": {"shape": "S"}, "Name": {"shape": "S"}}},
  "Broken": {"type": "structure", "exception": true, "fault": true, "members": {"Message": {"shape": "S"}}},
  "S": {"type": "string"}}}`

func TestFaultsBothWays(t *testing.T) {
	for _, p := range []model.Protocol{model.Query, model.EC2, model.JSON, model.RestJSON, model.RestXML, model.CBOR} {
		op := sample(t, fmt.Sprintf(errorModel, p, p))
		for _, row := range []struct {
			in     Fault
			code   string
			status int
		}{
			{Fault{Code: "Sample.Gone", Message: "it <went>", Fields: map[string]any{"Name": "x"}}, "Sample.Gone", 404},
			{Fault{Code: "Broken", Message: "sorry"}, "Broken", 500},
			{Fault{Code: "NotModelled", Message: "m", Status: 403}, "NotModelled", 403},
		} {
			in := row.in
			in.RequestID = "req-1"
			r, err := EncodeFault(op, "", &in)
			if err != nil {
				t.Fatal(err)
			}
			_, err = DecodeResponse(op, "", r)
			var f *Fault
			if !errors.As(err, &f) {
				t.Errorf("%s: %v", p, err)
				continue
			}
			code := row.code
			if code == "Sample.Gone" && (p == model.JSON || p == model.RestJSON || p == model.CBOR) {
				code = "Gone" // these protocols carry the shape's name
			}
			if f.Code != code || f.Message != row.in.Message || f.Status != row.status || f.RequestID != "req-1" {
				t.Errorf("%s: got %+v, want %s %d", p, f, code, row.status)
			}
			if row.in.Fields != nil && f.Fields["Name"] != "x" {
				t.Errorf("%s: fields %v", p, f.Fields)
			}
		}
	}
}

// TestErrorAnswers are the forms in which services name an error's code.
// https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization
func TestErrorAnswers(t *testing.T) {
	for _, row := range []struct {
		protocol     model.Protocol
		header, body string
		status       int
		code         string
	}{
		{model.JSON, "", `{"__type":"com.amazonaws.x#Gone","message":"m"}`, 400, "Gone"},
		{model.JSON, "", `{"__type":"Gone:http://internal.amazon.com/","Message":"m"}`, 400, "Gone"},
		{model.RestJSON, "X-Amzn-Errortype: Gone:http://internal.amazon.com/coral/x/", `{"message":"m"}`, 404, "Gone"},
		{model.RestJSON, "", `{"code":"Gone","message":"m"}`, 404, "Gone"},
		{model.JSON, "X-Amzn-Query-Error: AWS.SimpleQueueService.NonExistentQueue;Sender", `{"__type":"QueueDoesNotExist"}`, 400, "AWS.SimpleQueueService.NonExistentQueue"},
		{model.EC2, "", `<Response><Errors><Error><Code>InvalidVpcID.NotFound</Code><Message>m</Message></Error></Errors><RequestID>r</RequestID></Response>`, 400, "InvalidVpcID.NotFound"},
		{model.Query, "", `<ErrorResponse xmlns="x"><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>m</Message></Error><RequestId>r</RequestId></ErrorResponse>`, 404, "NoSuchEntity"},
		{model.RestXML, "", `<?xml version="1.0"?><Error><Code>NoSuchBucket</Code><Message>m</Message><RequestId>r</RequestId></Error>`, 404, "NoSuchBucket"},
		// HEAD has no body; the status is all there is.
		{model.RestXML, "", ``, 404, "404"},
		// What the body says counts, not the protocol: gateways answer JSON to all.
		{model.RestXML, "", `{"message":"Forbidden","code":"Forbidden"}`, 403, "Forbidden"},
	} {
		op := sample(t, fmt.Sprintf(errorModel, row.protocol, row.protocol))
		h := http.Header{}
		if k, v, ok := strings.Cut(row.header, ": "); ok {
			h.Set(k, v)
		}
		_, err := DecodeResponse(op, "", &Response{Status: row.status, Header: h, Body: []byte(row.body)})
		var f *Fault
		if !errors.As(err, &f) || f.Code != row.code || f.Status != row.status {
			t.Errorf("%s: got %v, want %s", row.body, err, row.code)
		}
	}
	op := sample(t, fmt.Sprintf(errorModel, "query", "query"))
	for _, body := range []string{"<html><body>502</body></html>", "Bad Gateway", "<Error>", "{"} {
		if _, err := DecodeResponse(op, "", &Response{Status: 502, Header: http.Header{}, Body: []byte(body)}); !errors.Is(err, ErrForeign) {
			t.Errorf("%q: got %v", body, err)
		}
	}
}

const restModel = `{
 "metadata": {"protocol": "rest-json", "apiVersion": "2020-01-01", "endpointPrefix": "sample", "serviceId": "Sample"},
 "operations": {"Do": {"http": {"method": "GET", "requestUri": "/a/{Id}/{Key+}?fixed=1&flag"}, "input": {"shape": "In"}, "errors": [{"shape": "Slow"}]}},
 "shapes": {
  "In": {"type": "structure", "members": {"Id": {"shape": "T", "location": "uri", "locationName": "Id"}, "Key": {"shape": "S", "location": "uri", "locationName": "Key"},
   "Named": {"shape": "S", "location": "querystring", "locationName": "named"}, "Rest": {"shape": "M", "location": "querystring"}, "Floats": {"shape": "L", "location": "header", "locationName": "X-Floats"}, "When": {"shape": "T", "location": "header", "locationName": "X-When"}}},
  "Slow": {"type": "structure", "exception": true, "error": {"httpStatusCode": 429}, "members": {"message": {"shape": "S"}, "After": {"shape": "I", "location": "header", "locationName": "Retry-After"}}},
  "M": {"type": "map", "key": {"shape": "S"}, "value": {"shape": "S"}}, "L": {"type": "list", "member": {"shape": "D"}}, "S": {"type": "string"}, "T": {"type": "timestamp"}, "I": {"type": "integer"}, "D": {"type": "double"}
 }}`

// TestRESTBindings: where members go that are not in the body.
// https://smithy.io/2.0/spec/http-bindings.html
func TestRESTBindings(t *testing.T) {
	op := sample(t, restModel)
	in := map[string]any{
		"Id": "2026-01-02T03:04:05+00:00", "Key": "x y/%/ü", "Named": "n", "Floats": []any{"NaN", "-Infinity", 1.5}, "When": "2026-01-02T03:04:05+00:00",
		// A map may not override what has a place of its own.
		"Rest": map[string]any{"named": "from the map", "fixed": "2", "other": "&="},
	}
	r, err := EncodeRequest(op, "", in)
	if err != nil {
		t.Fatal(err)
	}
	if want := "/a/2026-01-02T03%3A04%3A05Z/x%20y/%25/%C3%BC"; r.Path != want {
		t.Errorf("path %s, want %s", r.Path, want)
	}
	if want := "fixed=1&flag&named=n&other=%26%3D"; r.Query != want {
		t.Errorf("query %s, want %s", r.Query, want)
	}
	if f, w := r.Header.Get("X-Floats"), r.Header.Get("X-When"); f != "NaN,-Infinity,1.5" || w != "Fri, 02 Jan 2026 03:04:05 GMT" {
		t.Errorf("headers %s, %s", f, w)
	}
	in["Rest"] = map[string]any{"other": "&="}
	got, _, err := Route(op.Service, r)
	if err != nil || got != op {
		t.Errorf("routed to %v, %v", got, err)
	}
	back, err := DecodeRequest(op, "", r)
	if diff := cmp.Diff(in, back); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	resp, err := EncodeFault(op, "", &Fault{Code: "Slow", Message: "m", Fields: map[string]any{"After": int64(3)}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = DecodeResponse(op, "", resp)
	var f *Fault
	if !errors.As(err, &f) || f.Status != 429 || f.Fields["After"] != int64(3) || strings.Contains(string(resp.Body), "After") {
		t.Errorf("got %+v from %s", err, resp.Body)
	}
}

func TestTimes(t *testing.T) {
	want := time.Date(2014, 4, 29, 18, 30, 38, 0, time.UTC)
	for _, v := range []any{int64(1398796238), 1398796238.0, "1398796238", "2014-04-29T18:30:38Z", "2014-04-29T20:30:38+02:00", "2014-04-29T18:30:38.000Z", "2014-04-29T18:30:38+0000", "Tue, 29 Apr 2014 18:30:38 GMT", "Tue, 29 Apr 2014 18:30:38.000 GMT", "2014-04-29 18:30:38Z", want} {
		got, err := asTime(v)
		if err != nil || !got.Equal(want) {
			t.Errorf("%v is %v, %v", v, got, err)
		}
	}
	for _, v := range []any{"yesterday", "", true, 1e300, "NaN", "1e99"} {
		if got, err := asTime(v); err == nil {
			t.Errorf("%v is %v", v, got)
		}
	}
	if got := FormatTime(want.Add(250 * time.Millisecond)); got != "2014-04-29T18:30:38.250000+00:00" {
		t.Errorf("got %s", got)
	}
}

// reference reads a document with encoding/xml into the form that show gives.
func reference(doc string) (string, error) {
	dec := xml.NewDecoder(strings.NewReader(doc))
	type element struct {
		name, text string
		kids       []*element
	}
	root := &element{}
	stack := []*element{root}
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		top := stack[len(stack)-1]
		switch tok := tok.(type) {
		case xml.StartElement:
			e := &element{name: tok.Name.Local}
			top.kids = append(top.kids, e)
			stack = append(stack, e)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			if len(top.kids) == 0 || strings.TrimSpace(string(tok)) != "" {
				top.text += string(tok)
			}
		case xml.Directive:
			return "", errors.New("directive")
		}
	}
	if len(root.kids) != 1 {
		return "", errors.New("not one root")
	}
	var show func(e *element) string
	show = func(e *element) string {
		s := fmt.Sprintf("(%s %q", e.name, e.text)
		for _, k := range e.kids {
			s += show(k)
		}
		return s + ")"
	}
	return show(root.kids[0]), nil
}

func show(n *node) string {
	s := fmt.Sprintf("(%s %q", n.name, n.text)
	for k := n.first; k != nil; k = k.next {
		s += show(k)
	}
	return s + ")"
}

// TestXMLReader: every document reads as encoding/xml reads it.
func TestXMLReader(t *testing.T) {
	for _, doc := range []string{
		`<a/>`, `<a></a>`, `<a>x</a>`, `<?xml version="1.0" encoding="UTF-8"?>` + "\n<a>\n  <b>1</b>\n  <b>2</b>\n</a>\n",
		`<a>&lt;&amp;&gt;&quot;&apos;&#65;&#x42;</a>`, `<a><![CDATA[<b>&amp;]]></a>`, `<a>x<![CDATA[y]]>z</a>`,
		`<n:a xmlns:n="u"><n:b n:c="d"/></n:a>`, `<a><!-- no --><b/></a>`, "<a>line\r\nline\rline</a>", `<a b='c' d = "e"> x </a >`, `<:a>0</:a>`,
	} {
		want, err := reference(doc)
		if err != nil {
			t.Fatal(err)
		}
		n, err := parseXML([]byte(doc))
		if err != nil {
			t.Errorf("%s: %v", doc, err)
			continue
		}
		if got := show(n); got != want {
			t.Errorf("%s\n got %s\nwant %s", doc, got, want)
		}
	}
	for _, doc := range []string{
		``, `x`, `<a>`, `<a></b>`, `<a/><b/>`, `<a b>`, `<a b=c/>`, `<a b="c/>`, `<a>&bad;</a>`, `<a>&#0xffffffff;</a>`, `<a>&lt</a>`, `</a>`, `<>`, `<a/`, `<![CDATA[x]]>`,
		`<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`, "<a>\xff</a>", strings.Repeat("<a>", maxDepth+1) + strings.Repeat("</a>", maxDepth+1),
	} {
		if n, err := parseXML([]byte(doc)); err == nil {
			t.Errorf("%.60s reads as %s", doc, show(n))
		}
	}
}

func TestHeaderLists(t *testing.T) {
	for text, want := range map[string][]string{
		`a,b`: {"a", "b"}, `a, "b,c" ,d`: {"a", "b,c", "d"}, `"a\"b"`: {`a"b`}, ``: {""},
	} {
		if diff := cmp.Diff(want, splitHeader(text, false)); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
	if got := splitHeader("Mon, 16 Dec 2019 23:48:18 GMT, Mon, 16 Dec 2019 23:48:18 GMT", true); len(got) != 2 {
		t.Errorf("dates split into %q", got)
	}
}

func TestDeepValuesAreRefused(t *testing.T) {
	op := sample(t, cborModel)
	v := map[string]any{}
	for range 1000 {
		v = map[string]any{"Self": v}
	}
	for _, p := range []model.Protocol{model.Query, model.EC2, model.JSON, model.RestJSON, model.RestXML, model.CBOR} {
		if _, err := EncodeRequest(op, p, v); err == nil || !strings.Contains(err.Error(), "deeper") {
			t.Errorf("%s: %v", p, err)
		}
		if _, err := EncodeResponse(op, p, v, "id"); err == nil || !strings.Contains(err.Error(), "deeper") {
			t.Errorf("%s response: %v", p, err)
		}
	}
	deep := strings.Repeat(`{"Self":`, 1000) + "{}" + strings.Repeat("}", 1000)
	if _, err := DecodeRequest(op, model.JSON, &Request{Body: []byte(deep)}); err == nil {
		t.Error("deep JSON is read")
	}
	if _, err := DecodeRequest(op, model.Query, &Request{Body: []byte(strings.Repeat("Self.", 1000) + "S=x")}); err == nil {
		t.Error("a deep form is read")
	}
	if _, err := DecodeRequest(op, model.CBOR, &Request{Body: []byte(strings.Repeat("\xa1\x64Self", 1000) + "\xa0")}); err == nil {
		t.Error("deep CBOR is read")
	}
}

// fuzz feeds a body to the decoders of a protocol; they may refuse, not panic,
// and what they accept they can write and read again.
func fuzz(f *testing.F, p model.Protocol, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s), 200)
		f.Add([]byte(s), 400)
	}
	op := sample(f, strings.ReplaceAll(cborModel, `"/"`, `"/x"`))
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		h := http.Header{}
		if p == model.CBOR {
			h.Set("Content-Type", "application/cbor")
		}
		out, err := DecodeResponse(op, p, &Response{Status: status, Header: h, Body: body})
		if err == nil {
			again, err := EncodeResponse(op, p, out, "id")
			if err != nil && strings.Contains(err.Error(), "must be an integer") {
				return // services that send 1.5 for an integer are read, not imitated
			}
			if err != nil {
				t.Fatalf("%v is read and cannot be written: %v", out, err)
			}
			back, err := DecodeResponse(op, p, again)
			if err != nil {
				t.Fatalf("%v is written as %q and cannot be read: %v", out, again.Body, err)
			}
			if diff := cmp.Diff(prune(out), prune(back)); diff != "" && !bytes.Contains(again.Body, []byte("\uFFFD")) && !bytes.Contains(body, []byte("&#")) {
				t.Fatalf("%q reads back otherwise: %s", again.Body, diff)
			}
		}
		in, err := DecodeRequest(op, p, &Request{Method: "POST", Path: "/x", Header: h, Body: body})
		if err == nil {
			if _, err := EncodeRequest(op, p, in); err != nil {
				var bad *InputError
				if !errors.As(err, &bad) {
					t.Fatalf("%v is read and cannot be sent: %v", in, err)
				}
			}
		}
	})
}

func FuzzQuery(f *testing.F) {
	fuzz(f, model.Query, "Action=Do&S=x&List.member.1.I=3&Map.entry.1.key=a&Map.entry.1.value=1&Self.T=2020-01-01T00:00:00Z", "<DoResponse><DoResult><S>a&amp;b</S><List><member><I>1</I></member></List><Map><entry><key>k</key><value>2</value></entry></Map></DoResult></DoResponse>", "<ErrorResponse><Error><Code>X</Code></Error></ErrorResponse>")
}

func FuzzEC2(f *testing.F) {
	fuzz(f, model.EC2, "Action=Do&List.1.S=x&X=AAE=&D=1e3", "<DoResponse><D>1.5</D><B>true</B><T>2020-01-01</T></DoResponse>", "<Response><Errors><Error><Code>X</Code></Error></Errors></Response>")
}

func FuzzJSON(f *testing.F) {
	fuzz(f, model.JSON, `{"S":"x","I":1,"T":1398796238.5,"X":"AAE=","List":[{"S":null}],"Map":{"a":1},"Self":{"Self":{}}}`, `{"__type":"a#B","message":"m"}`, `[1e999]`)
}

func FuzzRestJSON(f *testing.F) {
	fuzz(f, model.RestJSON, `{"F":"NaN","D":-1.5e300,"L":9223372036854775807,"T":"2020-01-01T00:00:00Z"}`, `{"code":"X"}`)
}

func FuzzRestXML(f *testing.F) {
	fuzz(f, model.RestXML, `<?xml version="1.0"?><All xmlns="u"><S>a</S><Self><X>AAE=</X></Self><List><member/></List></All>`, `<Error><Code>NoSuchKey</Code></Error>`)
}

func FuzzCBOR(f *testing.F) {
	fuzz(f, model.CBOR, "\xa1\x61I\x20", "\xbf\x61S\x7f\x61a\x61b\xff\xff", "\xa1\x61T\xc1\xfb\x41\xd4\x52\xd9\xec\x20\x00\x00", "\xa2\x66__type\x61X\x67message\x61m")
}

func FuzzXML(f *testing.F) {
	f.Add(`<a b="c">&lt;<![CDATA[x]]><d/></a>`)
	f.Add("<?xml version='1.0'?><!-- x --><n:a>\r\n</n:a>")
	f.Fuzz(func(t *testing.T, doc string) {
		n, err := parseXML([]byte(doc))
		if err != nil {
			return
		}
		// We accept a little more than encoding/xml (names); where it accepts, we agree.
		if want, err := reference(strings.TrimPrefix(doc, "\ufeff")); err == nil && want != show(n) && !strings.Contains(doc, "<!--") && !strings.Contains(doc, "<?") {
			t.Fatalf("%q\n got %s\nwant %s", doc, show(n), want)
		}
	})
}

func BenchmarkDecodeXML(b *testing.B) {
	op := sample(b, strings.ReplaceAll(cborModel, "smithy-rpc-v2-cbor", "ec2"))
	item := "<member><S>subnet-0123456789abcdef0</S><I>12</I><B>true</B><T>2026-01-02T03:04:05.000Z</T><Map><entry><key>Name</key><value>1</value></entry></Map><Self><S>running</S></Self></member>"
	body := []byte("<DoResponse><List>" + strings.Repeat(item, 5000) + "</List></DoResponse>")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeResponse(op, model.EC2, &Response{Status: 200, Header: http.Header{}, Body: body}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeJSON(b *testing.B) {
	op := sample(b, strings.ReplaceAll(cborModel, "smithy-rpc-v2-cbor", "json"))
	item := `{"S":"subnet-0123456789abcdef0","I":12,"B":true,"T":1767323045,"Map":{"Name":1},"Self":{"S":"running"}}`
	body := []byte(`{"List":[` + strings.Repeat(item+",", 4999) + item + `]}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeResponse(op, model.JSON, &Response{Status: 200, Header: http.Header{}, Body: body}); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleEncodeRequest() {
	s, err := model.Parse("sample", []byte(cborModel), nil, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := EncodeRequest(s.Operation("Do"), model.Query, map[string]any{"S": "x y", "X": base64.StdEncoding.EncodeToString([]byte{1})})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Method, r.Path, string(r.Body))
	// Output: POST / Action=Do&Version=2020-01-01&S=x%20y&X=AQ%3D%3D
}
