package model

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Parse reads a service in botocore's JSON form: service-2.json and, where
// there are any, paginators-1.json and waiters-2.json. The name is the one the
// AWS CLI uses. Endpoints stay empty; see [Service.SetEndpoints].
func Parse(name string, service, paginators, waiters []byte) (*Service, error) {
	var raw rawService
	if err := json.Unmarshal(service, &raw); err != nil {
		return nil, fmt.Errorf("read model of %s: %w", name, err)
	}
	s := raw.service(name)
	shapes := map[string]*Shape{}
	for _, n := range sortedKeys(raw.Shapes) {
		sh := &Shape{Name: n}
		shapes[n] = sh
		s.Shapes = append(s.Shapes, sh)
	}
	p := &parser{shapes: shapes, raw: raw.Shapes}
	for _, sh := range s.Shapes {
		p.shape(sh, raw.Shapes[sh.Name])
	}
	for _, n := range sortedKeys(raw.Operations) {
		s.Operations = append(s.Operations, p.operation(n, raw.Operations[n]))
	}
	if p.err != nil {
		return nil, fmt.Errorf("read model of %s: %w", name, p.err)
	}
	s.index()
	if err := s.addPaginators(paginators); err != nil {
		return nil, fmt.Errorf("read paginators of %s: %w", name, err)
	}
	if err := s.addWaiters(waiters); err != nil {
		return nil, fmt.Errorf("read waiters of %s: %w", name, err)
	}
	return s, nil
}

// SetEndpoints gives the service its endpoints and every operation the index of
// those that serve it.
func (s *Service) SetEndpoints(endpoints []Endpoints, byOperation func(*Operation) int) {
	s.Endpoints = endpoints
	for _, op := range s.Operations {
		op.Endpoint = byOperation(op)
	}
}

type rawService struct {
	Metadata struct {
		APIVersion         string            `json:"apiVersion"`
		EndpointPrefix     string            `json:"endpointPrefix"`
		SigningName        string            `json:"signingName"`
		SignatureVersion   string            `json:"signatureVersion"`
		ServiceID          string            `json:"serviceId"`
		FullName           string            `json:"serviceFullName"`
		Protocol           Protocol          `json:"protocol"`
		Protocols          []Protocol        `json:"protocols"`
		JSONVersion        string            `json:"jsonVersion"`
		TargetPrefix       string            `json:"targetPrefix"`
		XMLNamespace       rawNamespace      `json:"xmlNamespace"`
		AWSQueryCompatible *json.RawMessage  `json:"awsQueryCompatible"`
		Auth               []string          `json:"auth"`
		ProtocolSettings   map[string]string `json:"protocolSettings"`
	} `json:"metadata"`
	Operations map[string]rawOperation `json:"operations"`
	Shapes     map[string]rawShape     `json:"shapes"`
}

type rawOperation struct {
	HTTP struct {
		Method       string `json:"method"`
		URI          string `json:"requestUri"`
		ResponseCode int    `json:"responseCode"`
	} `json:"http"`
	Input    *rawMember  `json:"input"`
	Output   *rawMember  `json:"output"`
	Errors   []rawMember `json:"errors"`
	Endpoint struct {
		HostPrefix string `json:"hostPrefix"`
	} `json:"endpoint"`
	Readonly   bool     `json:"readonly"`
	Idempotent bool     `json:"idempotent"`
	Deprecated bool     `json:"deprecated"`
	AuthType   string   `json:"authtype"`
	Auth       []string `json:"auth"`
	Unsigned   bool     `json:"unsignedPayload"`
	Required   bool     `json:"httpChecksumRequired"`
	Checksum   struct {
		Member    string   `json:"requestAlgorithmMember"`
		Required  bool     `json:"requestChecksumRequired"`
		Responses []string `json:"responseAlgorithms"`
	} `json:"httpChecksum"`
}

type rawNamespace struct {
	Prefix string `json:"prefix"`
	URI    string `json:"uri"`
}

// UnmarshalJSON reads the object, or the bare URI that stands in some models.
func (n *rawNamespace) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &n.URI)
	}
	type plain rawNamespace
	return json.Unmarshal(data, (*plain)(n))
}

type rawMember struct {
	Name             string
	Shape            string       `json:"shape"`
	Location         string       `json:"location"`
	LocationName     string       `json:"locationName"`
	QueryName        string       `json:"queryName"`
	Namespace        rawNamespace `json:"xmlNamespace"`
	TimestampFormat  string       `json:"timestampFormat"`
	ResultWrapper    string       `json:"resultWrapper"`
	Flattened        bool         `json:"flattened"`
	XMLAttribute     bool         `json:"xmlAttribute"`
	IdempotencyToken bool         `json:"idempotencyToken"`
	HostLabel        bool         `json:"hostLabel"`
	JSONValue        bool         `json:"jsonvalue"`
	Streaming        bool         `json:"streaming"`
	EventPayload     bool         `json:"eventpayload"`
	Deprecated       bool         `json:"deprecated"`
	ContextParam     struct {
		Name string `json:"name"`
	} `json:"contextParam"`
}

type rawShape struct {
	Type            string       `json:"type"`
	Members         rawMembers   `json:"members"`
	Member          *rawMember   `json:"member"`
	Key             *rawMember   `json:"key"`
	Value           *rawMember   `json:"value"`
	Required        []string     `json:"required"`
	Payload         string       `json:"payload"`
	Location        string       `json:"location"`
	TimestampFormat string       `json:"timestampFormat"`
	LocationName    string       `json:"locationName"`
	Namespace       rawNamespace `json:"xmlNamespace"`
	Enum            []string     `json:"enum"`
	Min             *float64     `json:"min"`
	Max             *float64     `json:"max"`
	Flattened       bool         `json:"flattened"`
	Wrapper         bool         `json:"wrapper"`
	Union           bool         `json:"union"`
	Document        bool         `json:"document"`
	Sensitive       bool         `json:"sensitive"`
	Streaming       bool         `json:"streaming"`
	EventStream     bool         `json:"eventstream"`
	Event           bool         `json:"event"`
	Sparse          bool         `json:"sparse"`
	Exception       bool         `json:"exception"`
	Fault           bool         `json:"fault"`
	Error           struct {
		Code   string `json:"code"`
		Status int    `json:"httpStatusCode"`
	} `json:"error"`
}

// rawMembers keeps the order in which the model lists a structure's members.
type rawMembers []rawMember

func (m *rawMembers) UnmarshalJSON(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	if _, err := dec.Token(); err != nil {
		return err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		var one rawMember
		if err := dec.Decode(&one); err != nil {
			return err
		}
		one.Name, _ = name.(string)
		*m = append(*m, one)
	}
	return nil
}

// priority is the order in which botocore prefers protocols.
var priority = []Protocol{JSON, RestJSON, RestXML, CBOR, Query, EC2}

func (raw *rawService) service(name string) *Service {
	m := raw.Metadata
	s := &Service{
		Name: name, ID: m.ServiceID, FullName: m.FullName, APIVersion: m.APIVersion,
		EndpointPrefix: m.EndpointPrefix, SigningName: m.SigningName, SignatureVersion: m.SignatureVersion,
		Auth: m.Auth, Protocol: m.Protocol, Protocols: m.Protocols, JSONVersion: m.JSONVersion,
		TargetPrefix: m.TargetPrefix, XMLNamespace: m.XMLNamespace.URI, QueryCompatible: m.AWSQueryCompatible != nil,
	}
	if s.SigningName == "" {
		s.SigningName = s.EndpointPrefix
	}
	if s.ID == "" {
		s.ID = name
	}
	if len(s.Protocols) == 0 && s.Protocol != "" {
		s.Protocols = []Protocol{s.Protocol}
	}
	for _, p := range priority {
		if slices.Contains(s.Protocols, p) {
			s.Protocol = p
			break
		}
	}
	// Services that moved on from the query protocol still answer it.
	if s.QueryCompatible && !slices.Contains(s.Protocols, Query) {
		s.Protocols = append(slices.Clone(s.Protocols), Query)
	}
	return s
}

type parser struct {
	shapes map[string]*Shape
	raw    map[string]rawShape
	err    error
}

func (p *parser) ref(name string) *Shape {
	sh := p.shapes[name]
	if sh == nil && p.err == nil {
		p.err = fmt.Errorf("shape %q is used but not defined", name)
	}
	return sh
}

func (p *parser) member(raw rawMember) *Member {
	if raw.Location == "" { // some models place the shape, not the member
		raw.Location = p.raw[raw.Shape].Location
	}
	return &Member{
		Name: raw.Name, Shape: p.ref(raw.Shape), Location: location(raw.Location), LocationName: raw.LocationName,
		QueryName: raw.QueryName, Namespace: Namespace(raw.Namespace), ContextParam: raw.ContextParam.Name,
		TimestampFormat: raw.TimestampFormat, Flattened: raw.Flattened, XMLAttribute: raw.XMLAttribute,
		IdempotencyToken: raw.IdempotencyToken, HostLabel: raw.HostLabel, JSONValue: raw.JSONValue,
		Streaming: raw.Streaming, EventPayload: raw.EventPayload, Deprecated: raw.Deprecated,
	}
}

func (p *parser) element(raw *rawMember) *Member {
	if raw == nil {
		if p.err == nil {
			p.err = fmt.Errorf("a list or map has no element shape")
		}
		return nil
	}
	return p.member(*raw)
}

func location(name string) Location {
	if i := slices.Index(locationNames[:], name); i > 0 {
		return Location(i)
	}
	return Body
}

// kinds maps the model's type names, with older spellings of some.
var kinds = map[string]Kind{
	"string": String, "character": String, "structure": Structure, "list": List, "map": Map, "integer": Integer,
	"long": Long, "bigint": Long, "float": Float, "double": Double, "bigdecimal": Double, "boolean": Boolean,
	"timestamp": Timestamp, "blob": Blob, "jsonvalue": String,
}

func (p *parser) shape(sh *Shape, raw rawShape) {
	kind, ok := kinds[raw.Type]
	if !ok && p.err == nil {
		p.err = fmt.Errorf("shape %q is of unknown type %q", sh.Name, raw.Type)
	}
	sh.Kind = kind
	sh.Payload, sh.TimestampFormat, sh.LocationName = raw.Payload, raw.TimestampFormat, raw.LocationName
	sh.Namespace, sh.Enum, sh.Flattened, sh.Wrapper = Namespace(raw.Namespace), raw.Enum, raw.Flattened, raw.Wrapper
	sh.Union, sh.Document, sh.Sensitive, sh.Streaming = raw.Union, raw.Document, raw.Sensitive, raw.Streaming
	sh.EventStream, sh.Event, sh.Sparse = raw.EventStream, raw.Event, raw.Sparse
	sh.Exception, sh.Fault, sh.ErrorCode, sh.ErrorStatus = raw.Exception, raw.Fault, raw.Error.Code, raw.Error.Status
	if raw.Min != nil {
		sh.Min, sh.HasMin = *raw.Min, true
	}
	if raw.Max != nil {
		sh.Max, sh.HasMax = *raw.Max, true
	}
	switch kind {
	case Structure:
		for _, rm := range raw.Members {
			m := p.member(rm)
			m.Required = slices.Contains(raw.Required, rm.Name)
			sh.Members = append(sh.Members, m)
		}
	case List:
		sh.Element = p.element(raw.Member)
	case Map:
		sh.Key, sh.Value = p.element(raw.Key), p.element(raw.Value)
	}
}

func (p *parser) operation(name string, raw rawOperation) *Operation {
	op := &Operation{
		Name: name, Method: raw.HTTP.Method, URI: raw.HTTP.URI, HTTPStatus: raw.HTTP.ResponseCode,
		HostPrefix: raw.Endpoint.HostPrefix, ReadOnly: raw.Readonly, Idempotent: raw.Idempotent, Deprecated: raw.Deprecated,
		NoAuth:       raw.AuthType == "none" || len(raw.Auth) > 0 && raw.Auth[0] == "smithy.api#noAuth",
		UnsignedBody: raw.Unsigned || raw.AuthType == "v4-unsigned-body",
		Checksum:     Checksum{Required: raw.Required || raw.Checksum.Required, Member: raw.Checksum.Member, Responses: raw.Checksum.Responses},
	}
	if op.Method == "" {
		op.Method = "POST"
	}
	if op.URI == "" {
		op.URI = "/"
	}
	if raw.Input != nil {
		op.Input = p.ref(raw.Input.Shape)
		op.InputName, op.InputNamespace = raw.Input.LocationName, Namespace(raw.Input.Namespace)
	}
	if raw.Output != nil {
		op.Output = p.ref(raw.Output.Shape)
		op.ResultWrapper = raw.Output.ResultWrapper
	}
	for _, e := range raw.Errors {
		op.Errors = append(op.Errors, p.ref(e.Shape))
	}
	return op
}

// texts is a string or a list of strings.
type texts []string

func (t *texts) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '[' {
		return json.Unmarshal(data, (*[]string)(t))
	}
	var one string
	if err := json.Unmarshal(data, &one); err != nil {
		return err
	}
	*t = texts{one}
	return nil
}

func (s *Service) addPaginators(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	var raw struct {
		Pagination map[string]struct {
			Input        texts  `json:"input_token"`
			Output       texts  `json:"output_token"`
			Results      texts  `json:"result_key"`
			NonAggregate texts  `json:"non_aggregate_keys"`
			More         string `json:"more_results"`
			Limit        string `json:"limit_key"`
		} `json:"pagination"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	for name, r := range raw.Pagination {
		op := s.ops[name]
		if op == nil || len(r.Input) == 0 || len(r.Input) != len(r.Output) {
			continue
		}
		op.Paginator = &Paginator{InputTokens: r.Input, OutputTokens: r.Output, ResultKeys: r.Results, NonAggregate: r.NonAggregate, MoreResults: r.More, LimitKey: r.Limit}
	}
	return nil
}

func (s *Service) addWaiters(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	var raw struct {
		Waiters map[string]struct {
			Operation   string `json:"operation"`
			Delay       int    `json:"delay"`
			MaxAttempts int    `json:"maxAttempts"`
			Acceptors   []struct {
				Matcher  string `json:"matcher"`
				Argument string `json:"argument"`
				State    string `json:"state"`
				Expected any    `json:"expected"`
			} `json:"acceptors"`
		} `json:"waiters"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	for _, name := range sortedKeys(raw.Waiters) {
		r := raw.Waiters[name]
		w := &Waiter{Name: name, Operation: r.Operation, Delay: r.Delay, MaxAttempts: r.MaxAttempts}
		for _, a := range r.Acceptors {
			w.Acceptors = append(w.Acceptors, Acceptor{Matcher: a.Matcher, Argument: strings.TrimSpace(a.Argument), State: a.State, Expected: a.Expected})
		}
		s.Waiters = append(s.Waiters, w)
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
