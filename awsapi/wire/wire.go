// Package wire turns the inputs, outputs and errors of AWS operations into HTTP
// messages and back, in every protocol AWS services speak and on both sides.
//
// A client uses [EncodeRequest] and [DecodeResponse]; a server [Route],
// [DecodeRequest], [EncodeResponse] and [EncodeFault]. [Request] and [Response]
// are the parts of an HTTP message that the protocols use; [Fault] is an error
// answer.
//
// # Caveats
//
// Values are what package awsapi describes: JSON values with int64 beside
// float64, blobs in base64, timestamps in RFC 3339. Bodies are whole; the caller
// bounds their size, this package their depth. Event streams are not supported.
package wire

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/bartizan-security/bartizan/awsapi/model"
)

// Request is an HTTP request without scheme and host.
type Request struct {
	Method     string
	Path       string // escaped
	Query      string // raw, without "?"
	Host       string // set by servers, for buckets that are named in the host
	HostPrefix string // set by EncodeRequest: goes before the endpoint's host name
	Header     http.Header
	Body       []byte
}

// Response is an HTTP response.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// maxDepth bounds the nesting of values and messages.
const maxDepth = 128

var errDeep = fmt.Errorf("nested deeper than %d levels", maxDepth)

// ErrForeign says that an answer is not in the service's protocol: a proxy's web
// page, a truncated body, another server.
var ErrForeign = errors.New("the answer is not in the protocol of the service")

// InputError says which part of an input the model does not allow.
type InputError struct{ Path, Problem string }

func (e *InputError) Error() string {
	if e.Path == "" {
		return e.Problem
	}
	return e.Path + ": " + e.Problem
}

func inputErrorf(path, format string, args ...any) error {
	return &InputError{Path: path, Problem: fmt.Sprintf(format, args...)}
}

func protocol(op *model.Operation, p model.Protocol) model.Protocol {
	if p == "" {
		return op.Service.Protocol
	}
	return p
}

// EncodeRequest builds the request for an input in the given protocol, or in
// the service's own when p is "". Members the model does not know and required
// ones that are missing are an [InputError].
func EncodeRequest(op *model.Operation, p model.Protocol, input map[string]any) (*Request, error) {
	p = protocol(op, p)
	if err := Validate(op.Input, input); err != nil {
		return nil, err
	}
	r := &Request{Method: "POST", Path: "/", Header: http.Header{}}
	prefix, err := hostPrefix(op, input)
	if err != nil {
		return nil, err
	}
	r.HostPrefix = prefix
	switch p {
	case model.Query, model.EC2:
		err = encodeForm(op, p, input, r)
	case model.JSON:
		err = encodeJSONRequest(op, input, r)
	case model.CBOR:
		err = encodeCBORRequest(op, input, r)
	case model.RestJSON, model.RestXML:
		err = encodeREST(op, p, input, r)
	default:
		err = fmt.Errorf("protocol %q is not known", p)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// DecodeRequest is the server's side of [EncodeRequest].
func DecodeRequest(op *model.Operation, p model.Protocol, r *Request) (map[string]any, error) {
	if op.Input == nil {
		return map[string]any{}, nil
	}
	switch p = protocol(op, p); p {
	case model.Query, model.EC2:
		return decodeForm(op, p, r)
	case model.JSON:
		return decodeJSONBody(op.Input, r.Body)
	case model.CBOR:
		return decodeCBORBody(op.Input, r.Body)
	case model.RestJSON, model.RestXML:
		return decodeRESTRequest(op, p, r)
	}
	return nil, fmt.Errorf("protocol %q is not known", p)
}

// DecodeResponse reads an answer. An error answer is returned as a [*Fault], an
// answer of something else as an error that wraps [ErrForeign].
func DecodeResponse(op *model.Operation, p model.Protocol, r *Response) (map[string]any, error) {
	p = protocol(op, p)
	if r.Status >= 300 {
		return nil, decodeFault(op, p, r)
	}
	if failedLate(op, r.Body) {
		late := *r
		late.Status = 500
		return nil, decodeFault(op, p, &late)
	}
	out, err := decodeOutput(op, p, r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForeign, err)
	}
	if out == nil {
		out = map[string]any{}
	}
	return out, nil
}

func decodeOutput(op *model.Operation, p model.Protocol, r *Response) (map[string]any, error) {
	if op.Output == nil {
		return nil, nil
	}
	switch p {
	case model.Query, model.EC2:
		return decodeXMLOutput(op, p, r)
	case model.JSON:
		if len(op.Output.Members) == 0 {
			return nil, nil
		}
		return decodeJSONBody(op.Output, r.Body)
	case model.CBOR:
		if len(op.Output.Members) == 0 {
			return nil, nil
		}
		return decodeCBORBody(op.Output, r.Body)
	case model.RestJSON, model.RestXML:
		if isBucketLocation(op) {
			return decodeBucketLocation(r.Body)
		}
		return decodeRESTResponse(op.Output, p, r)
	}
	return nil, fmt.Errorf("protocol %q is not known", p)
}

// EncodeResponse is the server's side of [DecodeResponse].
func EncodeResponse(op *model.Operation, p model.Protocol, output map[string]any, requestID string) (*Response, error) {
	p = protocol(op, p)
	r := &Response{Status: 200, Header: http.Header{}}
	if op.HTTPStatus != 0 {
		r.Status = op.HTTPStatus
	}
	r.Header.Set(requestIDHeader(op.Service), requestID)
	var err error
	switch p {
	case model.Query, model.EC2:
		err = encodeXMLOutput(op, p, output, requestID, r)
	case model.JSON:
		r.Header.Set("Content-Type", "application/x-amz-json-"+jsonVersion(op.Service))
		r.Body, err = encodeJSONBody(op.Output, output)
	case model.CBOR:
		r.Header.Set("Content-Type", "application/cbor")
		r.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
		r.Body, err = encodeCBORBody(op.Output, output)
	case model.RestJSON, model.RestXML:
		if isBucketLocation(op) {
			encodeBucketLocation(op, output, r)
			break
		}
		err = encodeRESTResponse(op.Output, p, op.Name+"Result", output, r)
	default:
		err = fmt.Errorf("protocol %q is not known", p)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

func requestIDHeader(s *model.Service) string {
	if s.Name == "s3" {
		return "X-Amz-Request-Id"
	}
	return "X-Amzn-Requestid"
}

func jsonVersion(s *model.Service) string {
	if s.JSONVersion == "" {
		return "1.0"
	}
	return s.JSONVersion
}

// FillTokens returns the input with every idempotency token that the caller
// left out; the input itself stays as it is.
func FillTokens(shape *model.Shape, input map[string]any, token func() (string, error)) (map[string]any, error) {
	if shape == nil {
		return input, nil
	}
	out := input
	for _, m := range shape.Members {
		if !m.IdempotencyToken || input[m.Name] != nil {
			continue
		}
		if len(out) == len(input) {
			out = make(map[string]any, len(input)+1)
			for k, v := range input {
				out[k] = v
			}
		}
		t, err := token()
		if err != nil {
			return nil, fmt.Errorf("make idempotency token: %w", err)
		}
		out[m.Name] = t
	}
	return out, nil
}

// hostPrefix fills the labels of the operation's host prefix from the input.
func hostPrefix(op *model.Operation, input map[string]any) (string, error) {
	if op.HostPrefix == "" {
		return "", nil
	}
	rest, out := op.HostPrefix, ""
	for {
		before, label, found := strings.Cut(rest, "{")
		out += before
		if !found {
			return out, nil
		}
		var name string
		if name, rest, found = strings.Cut(label, "}"); !found {
			return "", fmt.Errorf("host prefix %q of %s has no end", op.HostPrefix, op.Name)
		}
		v, _ := input[name].(string)
		if !validHostLabel(v) {
			return "", inputErrorf(name, "must be a host name label (letters, digits, hyphens), as it becomes part of the endpoint")
		}
		out += v
	}
}

func validHostLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// memberName is the name of a member in JSON, XML and query messages.
func memberName(m *model.Member) string {
	switch {
	case m.LocationName != "":
		return m.LocationName
	case m.Shape.LocationName != "":
		return m.Shape.LocationName
	}
	return m.Name
}

func elementName(m *model.Member, fallback string) string {
	switch {
	case m.LocationName != "":
		return m.LocationName
	case m.Shape.LocationName != "":
		return m.Shape.LocationName
	}
	return fallback
}

func flattened(m *model.Member) bool { return m.Flattened || m.Shape.Flattened }

func hasBodyMembers(shape *model.Shape) bool {
	if shape == nil {
		return false
	}
	for _, m := range shape.Members {
		if m.Location == model.Body {
			return true
		}
	}
	return false
}
