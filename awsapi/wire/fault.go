package wire

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/bartizan-security/bartizan/awsapi/model"
)

// Fault is an error that a service answers.
type Fault struct {
	Code      string
	Message   string
	Status    int
	RequestID string
	Fields    map[string]any // further members of the modelled error
}

func (f *Fault) Error() string {
	if f.Message == "" {
		return f.Code
	}
	return f.Code + ": " + f.Message
}

// RequestID finds AWS's id of a request in the answer's header.
func RequestID(h http.Header) string {
	for _, name := range []string{"X-Amzn-Requestid", "X-Amzn-Request-Id", "X-Amz-Request-Id"} {
		if v := h.Get(name); v != "" {
			return v
		}
	}
	return ""
}

func decodeFault(op *model.Operation, p model.Protocol, r *Response) error {
	f := &Fault{Status: r.Status, RequestID: RequestID(r.Header)}
	body := strings.TrimSpace(strings.TrimPrefix(string(r.Body), "\ufeff"))
	var err error
	switch {
	case p == model.CBOR && strings.Contains(r.Header.Get("Content-Type"), "cbor"):
		err = f.fromCBOR(op, r.Body)
	case strings.HasPrefix(body, "{"):
		err = f.fromJSON(op, r)
	case strings.HasPrefix(body, "<"):
		err = f.fromXML(op, r.Body)
	case body == "":
	default:
		err = fmt.Errorf("%.80q", body)
	}
	if t := r.Header.Get("X-Amzn-Errortype"); t != "" {
		f.Code = plainCode(t)
	}
	// Services that once spoke query keep their older codes in this header.
	if q := r.Header.Get("X-Amzn-Query-Error"); q != "" {
		f.Code, _, _ = strings.Cut(q, ";")
	}
	if sh := errorShape(op, f.Code); sh != nil && (p == model.RestJSON || p == model.RestXML) {
		f.headers(sh, r.Header)
	}
	if f.Code == "" && err != nil {
		return fmt.Errorf("%w: HTTP %d: %w", ErrForeign, r.Status, err)
	}
	if f.Code == "" { // an answer to HEAD has no body
		f.Code = strconv.Itoa(r.Status)
		if f.Message == "" {
			f.Message = http.StatusText(r.Status)
		}
	}
	return f
}

// plainCode strips namespace and link: "aws.protocoltests#FooError:http://…".
func plainCode(code string) string {
	code, _, _ = strings.Cut(code, ":")
	if i := strings.LastIndexByte(code, '#'); i >= 0 {
		code = code[i+1:]
	}
	return strings.TrimSpace(code)
}

func errorShape(op *model.Operation, code string) *model.Shape {
	for _, sh := range op.Errors {
		if sh.Code() == code || sh.Name == code {
			return sh
		}
	}
	return nil
}

func (f *Fault) fromJSON(op *model.Operation, r *Response) error {
	v, err := unmarshal(r.Body)
	if err != nil {
		return err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("the error is %s", kindOf(v))
	}
	f.fromMap(m)
	code := f.Code
	if t := r.Header.Get("X-Amzn-Errortype"); t != "" {
		code = plainCode(t)
	}
	if sh := errorShape(op, code); sh != nil {
		if fields, err := readJSONStructure(sh, m, 0, jsonScalar); err == nil {
			f.fields(fields)
		}
	}
	return nil
}

func (f *Fault) fromMap(m map[string]any) {
	for _, name := range []string{"__type", "code", "Code"} {
		switch v := m[name].(type) {
		case string:
			f.Code = plainCode(v)
		case json.Number:
			f.Code = v.String()
		default:
			continue
		}
		break
	}
	for _, name := range []string{"message", "Message", "errorMessage"} {
		if s, ok := m[name].(string); ok {
			f.Message = s
			break
		}
	}
}

// headers reads the members of an error that travel in the header. What is
// there in another form than the model says is left out: the error counts.
func (f *Fault) headers(sh *model.Shape, h http.Header) {
	for _, m := range sh.Members {
		if m.Location != model.Header && m.Location != model.Headers {
			continue
		}
		if v, ok, err := readHeader(m, h, false); ok && err == nil {
			if f.Fields == nil {
				f.Fields = map[string]any{}
			}
			f.Fields[m.Name] = v
		}
	}
}

func (f *Fault) fields(fields map[string]any) {
	for _, name := range []string{"message", "Message"} {
		delete(fields, name)
	}
	if len(fields) > 0 {
		f.Fields = fields
	}
}

func (f *Fault) fromCBOR(op *model.Operation, body []byte) error {
	_, dec, err := cborModes()
	if err != nil {
		return err
	}
	var v any
	if err := dec.Unmarshal(body, &v); err != nil {
		return fmt.Errorf("read CBOR: %w", err)
	}
	if v, err = fromCBOR(v, 0); err != nil {
		return err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("the error is %s", kindOf(v))
	}
	f.fromMap(m)
	if sh := errorShape(op, f.Code); sh != nil {
		if fields, err := readJSONStructure(sh, m, 0, cborScalar); err == nil {
			f.fields(fields)
		}
	}
	return nil
}

func (f *Fault) fromXML(op *model.Operation, body []byte) error {
	root, err := parseXML(body)
	if err != nil {
		return err
	}
	if strings.EqualFold(root.name, "html") {
		return fmt.Errorf("a web page, not the answer of an API")
	}
	e := root
	if e.name != "Error" {
		if errs := root.kid("Errors"); errs != nil {
			e = errs.kid("Error")
		} else {
			e = root.kid("Error")
		}
	}
	if e == nil {
		e = root
	}
	text := func(n *node, name string) string {
		if k := n.kid(name); k != nil {
			return strings.Clone(strings.TrimSpace(k.text))
		}
		return ""
	}
	f.Code = plainCode(text(e, "Code"))
	if f.Message = text(e, "Message"); f.Message == "" {
		f.Message = text(e, "message")
	}
	for _, n := range []*node{root, e} {
		for _, name := range []string{"RequestId", "RequestID", "requestId"} {
			if id := text(n, name); id != "" {
				f.RequestID = id
			}
		}
	}
	if f.Code == "" {
		return fmt.Errorf("<%.60s> holds no error code", root.name)
	}
	if sh := errorShape(op, f.Code); sh != nil {
		if fields, err := readXMLStructure(sh, e); err == nil {
			f.fields(fields)
		}
	}
	// S3 tells the right region in its redirects.
	for _, name := range []string{"Region", "Endpoint", "Bucket"} {
		if v := text(e, name); v != "" && op.Service.Name == "s3" {
			if f.Fields == nil {
				f.Fields = map[string]any{}
			}
			f.Fields[name] = v
		}
	}
	return nil
}

// EncodeFault builds the answer for an error. Without a status, it is the
// modelled error's own, 500 for its faults, or 400.
func EncodeFault(op *model.Operation, p model.Protocol, f *Fault) (*Response, error) {
	p = protocol(op, p)
	sh := errorShape(op, f.Code)
	r := &Response{Status: f.Status, Header: http.Header{}}
	if r.Status == 0 {
		switch {
		case sh != nil && sh.ErrorStatus != 0:
			r.Status = sh.ErrorStatus
		case sh != nil && sh.Fault:
			r.Status = 500
		default:
			r.Status = 400
		}
	}
	r.Header.Set(requestIDHeader(op.Service), f.RequestID)
	if sh != nil && (p == model.RestJSON || p == model.RestXML) {
		for _, m := range sh.Members {
			if v := f.Fields[m.Name]; v != nil && (m.Location == model.Header || m.Location == model.Headers) {
				if err := writeHeader(r.Header, m, v); err != nil {
					return nil, fmt.Errorf("%s: %w", m.Name, err)
				}
			}
		}
	}
	switch p {
	case model.JSON, model.RestJSON, model.CBOR:
		return r, f.encodeJSON(op, p, sh, r)
	}
	x := &xmlWriter{}
	sender := "Sender"
	if r.Status >= 500 {
		sender = "Receiver"
	}
	fields := func() error {
		x.element("Code", f.Code)
		x.element("Message", f.Message)
		if sh == nil {
			return nil
		}
		rest := map[string]any{}
		for k, v := range f.Fields {
			if !strings.EqualFold(k, "message") && !strings.EqualFold(k, "code") {
				rest[k] = v
			}
		}
		return x.members(sh, rest)
	}
	r.Header.Set("Content-Type", "text/xml;charset=UTF-8")
	var err error
	switch {
	case p == model.EC2:
		x.open("Response", model.Namespace{})
		x.open("Errors", model.Namespace{})
		x.open("Error", model.Namespace{})
		err = fields()
		x.close("Error")
		x.close("Errors")
		x.element("RequestID", f.RequestID)
		x.close("Response")
	case op.Service.Name == "s3":
		r.Header.Set("Content-Type", "application/xml")
		x.open("Error", model.Namespace{})
		err = fields()
		for _, name := range []string{"Region", "Endpoint", "Bucket"} {
			if v, ok := f.Fields[name].(string); ok {
				x.element(name, v)
			}
		}
		x.element("RequestId", f.RequestID)
		x.close("Error")
	default:
		x.open("ErrorResponse", model.Namespace{URI: op.Service.XMLNamespace})
		x.open("Error", model.Namespace{})
		x.element("Type", sender)
		err = fields()
		x.close("Error")
		x.element("RequestId", f.RequestID)
		x.close("ErrorResponse")
	}
	r.Body = x.b.Bytes()
	return r, err
}

func (f *Fault) encodeJSON(op *model.Operation, p model.Protocol, sh *model.Shape, r *Response) error {
	code := f.Code
	if sh != nil {
		code = sh.Name
		if op.Service.QueryCompatible && sh.ErrorCode != "" {
			sender := "Sender"
			if r.Status >= 500 {
				sender = "Receiver"
			}
			r.Header.Set("X-Amzn-Query-Error", sh.ErrorCode+";"+sender)
		}
	}
	values := map[string]any{}
	if sh != nil {
		body := map[string]any{}
		for k, v := range f.Fields {
			body[k] = v
		}
		for _, m := range sh.Members {
			if strings.EqualFold(m.Name, "message") {
				body[m.Name] = f.Message
			}
		}
		if p == model.CBOR {
			c, err := toCBORStructure(sh, body, 0)
			if err != nil {
				return err
			}
			values = c
		} else {
			raw, err := encodeJSONBody(sh, body)
			if err != nil {
				return err
			}
			if err := json.Unmarshal(raw, &values); err != nil {
				return err
			}
		}
	}
	if _, ok := values["message"]; !ok && values["Message"] == nil {
		values["message"] = f.Message
	}
	var err error
	switch p {
	case model.CBOR:
		values["__type"] = code
		r.Header.Set("Content-Type", "application/cbor")
		r.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
		enc, _, merr := cborModes()
		if merr != nil {
			return merr
		}
		r.Body, err = enc.Marshal(values)
		return err
	case model.RestJSON:
		r.Header.Set("X-Amzn-Errortype", code)
		r.Header.Set("Content-Type", "application/json")
	default:
		values["__type"] = code
		r.Header.Set("Content-Type", "application/x-amz-json-"+jsonVersion(op.Service))
	}
	r.Body, err = plainJSON(values)
	return err
}
