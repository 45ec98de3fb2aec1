// Package model describes AWS services: their operations, shapes, paginators,
// waiters and endpoints, as AWS publishes them for its own SDKs.
//
// A [Service] holds [Operation]s; an operation's input, output and errors are
// [Shape]s, whose parts are [Member]s. [Parse] reads the JSON that botocore
// ships, [Encode] and [Decode] are the compact form that bartizan embeds.
//
// # Caveats
//
// A model is immutable once built and safe for concurrent use; shapes may refer
// to themselves, so walk them with a bound. Prose, examples and patterns are
// not kept.
package model

import "strings"

// Protocol is a wire protocol, named as botocore names it.
type Protocol string

// The protocols AWS services speak.
const (
	Query    Protocol = "query"
	EC2      Protocol = "ec2"
	JSON     Protocol = "json"
	RestJSON Protocol = "rest-json"
	RestXML  Protocol = "rest-xml"
	CBOR     Protocol = "smithy-rpc-v2-cbor"
)

// Kind is what a shape's values are.
type Kind byte

// The kinds of shapes.
const (
	String Kind = iota
	Structure
	List
	Map
	Integer
	Long
	Float
	Double
	Boolean
	Timestamp
	Blob
)

var kindNames = [...]string{"string", "structure", "list", "map", "integer", "long", "float", "double", "boolean", "timestamp", "blob"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Location says where a member of an input or output travels.
type Location byte

// The locations; Body is everything that is not said to be elsewhere.
const (
	Body Location = iota
	URI
	Querystring
	Header
	Headers
	StatusCode
)

var locationNames = [...]string{"", "uri", "querystring", "header", "headers", "statusCode"}

// Namespace is the XML namespace of an element.
type Namespace struct{ Prefix, URI string }

// Service is one AWS service at one API version.
type Service struct {
	Name             string // as the AWS CLI and boto3 call it: "ec2", "logs", "stepfunctions"
	ID               string // serviceId: "EC2", "CloudWatch Logs", "SFN"
	FullName         string
	APIVersion       string
	EndpointPrefix   string
	SigningName      string
	SignatureVersion string
	Auth             []string
	Protocol         Protocol   // the one boto3 would speak
	Protocols        []Protocol // all that the service speaks, Protocol included
	JSONVersion      string
	TargetPrefix     string
	XMLNamespace     string
	QueryCompatible  bool // JSON answers carry the older query error code in a header

	Operations []*Operation // by name
	Shapes     []*Shape     // by name
	Waiters    []*Waiter    // by name
	Endpoints  []Endpoints
	Regions    []string // where AWS lists the service; nil when it lists it nowhere

	ops   map[string]*Operation
	lower map[string]*Operation
	shape map[string]*Shape
}

// Operation is one API operation.
type Operation struct {
	Service        *Service
	Name           string
	Method         string
	URI            string // with {Label} and {Greedy+} placeholders and constant query
	HTTPStatus     int    // 0 when the model does not say
	Input          *Shape // nil when there is none
	Output         *Shape
	Errors         []*Shape
	InputName      string // element name of the XML request
	InputNamespace Namespace
	ResultWrapper  string
	HostPrefix     string // with {Label} placeholders
	ReadOnly       bool
	Idempotent     bool
	Deprecated     bool
	NoAuth         bool // sent unsigned
	UnsignedBody   bool // signed, the body left out of the signature
	Checksum       Checksum
	Paginator      *Paginator
	Endpoint       int // index into Service.Endpoints
}

// Checksum says which integrity headers an operation takes.
type Checksum struct {
	Required  bool   // some checksum of the body must be sent
	Member    string // input member that chooses the algorithm; "" when only Content-MD5 exists
	Responses []string
}

// Paginator says how the pages of an operation follow each other. Its entries
// are JMESPath expressions, save InputTokens and LimitKey, which name members.
type Paginator struct {
	InputTokens  []string
	OutputTokens []string
	ResultKeys   []string
	NonAggregate []string
	MoreResults  string
	LimitKey     string
}

// Waiter is a question repeated until an acceptor decides.
type Waiter struct {
	Name        string
	Operation   string
	Delay       int // seconds between attempts
	MaxAttempts int
	Acceptors   []Acceptor
}

// Acceptor decides on one answer. Matcher is path, pathAny, pathAll, status or
// error; Expected is its JSON value; State is success, failure or retry.
type Acceptor struct {
	Matcher, Argument, State string
	Expected                 any
}

// Shape is a type of the service's interface.
type Shape struct {
	Name            string
	Kind            Kind
	Members         []*Member // of a structure, in the model's order
	Element         *Member   // of a list
	Key, Value      *Member   // of a map
	Payload         string    // member that is the whole HTTP body
	TimestampFormat string
	LocationName    string
	Namespace       Namespace
	Enum            []string
	Min, Max        float64
	HasMin, HasMax  bool
	Flattened       bool
	Wrapper         bool
	Union           bool
	Document        bool // free-form JSON
	Sensitive       bool
	Streaming       bool
	EventStream     bool
	Event           bool
	Sparse          bool // a list or map that may hold nulls
	Exception       bool
	Fault           bool   // an exception that is the service's fault
	ErrorCode       string // of an exception, when it is not the shape's name
	ErrorStatus     int

	members map[string]*Member
}

// Member is a structure's member, a list's element, or a map's key or value.
type Member struct {
	Name             string
	Shape            *Shape
	Location         Location
	LocationName     string
	QueryName        string
	Namespace        Namespace
	ContextParam     string
	TimestampFormat  string
	Required         bool
	Flattened        bool
	XMLAttribute     bool
	IdempotencyToken bool
	HostLabel        bool
	JSONValue        bool
	Streaming        bool
	EventPayload     bool
	Deprecated       bool
}

// Operation returns the operation with the given name, in any letter case, or nil.
func (s *Service) Operation(name string) *Operation {
	if op := s.ops[name]; op != nil {
		return op
	}
	return s.lower[strings.ToLower(name)]
}

// Shape returns the shape with the given name, or nil.
func (s *Service) Shape(name string) *Shape { return s.shape[name] }

// Waiter returns the waiter with the given name, or nil. The AWS CLI's spelling
// (bucket-exists) is understood too.
func (s *Service) Waiter(name string) *Waiter {
	plain := strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(name))
	for _, w := range s.Waiters {
		if strings.ToLower(w.Name) == plain {
			return w
		}
	}
	return nil
}

// Speaks reports whether the service understands the protocol.
func (s *Service) Speaks(p Protocol) bool {
	for _, q := range s.Protocols {
		if p == q {
			return true
		}
	}
	return p == s.Protocol
}

// Member returns the structure's member with the given name, or nil.
func (s *Shape) Member(name string) *Member {
	if s == nil {
		return nil
	}
	return s.members[name]
}

// RequiredMembers returns the names of the members that must be given.
func (s *Shape) RequiredMembers() []string {
	if s == nil {
		return nil
	}
	var names []string
	for _, m := range s.Members {
		if m.Required {
			names = append(names, m.Name)
		}
	}
	return names
}

// Code is the error code under which an exception travels.
func (s *Shape) Code() string {
	if s.ErrorCode != "" {
		return s.ErrorCode
	}
	return s.Name
}

// index builds the look-up tables once everything is in place.
func (s *Service) index() {
	s.ops = make(map[string]*Operation, len(s.Operations))
	s.lower = make(map[string]*Operation, len(s.Operations))
	for _, op := range s.Operations {
		op.Service = s
		s.ops[op.Name] = op
		s.lower[strings.ToLower(op.Name)] = op
	}
	s.shape = make(map[string]*Shape, len(s.Shapes))
	for _, sh := range s.Shapes {
		s.shape[sh.Name] = sh
		sh.index()
	}
}

func (s *Shape) index() {
	if s.Kind != Structure {
		return
	}
	s.members = make(map[string]*Member, len(s.Members))
	for _, m := range s.Members {
		s.members[m.Name] = m
	}
}
