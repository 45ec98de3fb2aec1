package wire

import (
	"fmt"
	"net/url"
	"sort"
	"strings"
	"sync"

	"github.com/bartizan-security/bartizan/awsapi/model"
)

// route is an operation of a REST service, ready to be matched.
type route struct {
	op       *model.Operation
	segments []segment
	query    url.Values // constants that must be there
	required []*model.Member
	weight   int // how much a match says
}

type segment struct {
	literal, prefix, suffix, label string
	greedy                         bool
}

var routes sync.Map // *model.Service: []route

// Route finds the operation that a request addresses and the protocol it
// speaks. For S3, a bucket in Request.Host is moved into Request.Path.
func Route(s *model.Service, r *Request) (*model.Operation, model.Protocol, error) {
	named := func(name string, p model.Protocol) (*model.Operation, model.Protocol, error) {
		if op := s.Operation(name); op != nil {
			return op, p, nil
		}
		return nil, p, fmt.Errorf("%s has no operation %.80q", s.Name, name)
	}
	if r.Header.Get("Smithy-Protocol") == "rpc-v2-cbor" {
		i := strings.LastIndex(r.Path, "/operation/")
		if i < 0 {
			return nil, model.CBOR, fmt.Errorf("path %.80q names no operation", r.Path)
		}
		return named(r.Path[i+len("/operation/"):], model.CBOR)
	}
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		return named(target[strings.LastIndexByte(target, '.')+1:], model.JSON)
	}
	if !s.Speaks(model.RestJSON) && !s.Speaks(model.RestXML) {
		p := model.Query
		if s.Speaks(model.EC2) {
			p = model.EC2
		}
		for _, text := range []string{string(r.Body), r.Query} {
			for _, pair := range strings.Split(text, "&") {
				if v, ok := strings.CutPrefix(pair, "Action="); ok {
					return named(v, p)
				}
			}
		}
		return nil, p, fmt.Errorf("the request names no operation of %s", s.Name)
	}
	if s.Name == "s3" {
		bucketFromHost(r)
	}
	op, err := matchREST(s, r)
	if err != nil {
		return nil, s.Protocol, err
	}
	p := s.Protocol
	if p != model.RestXML {
		p = model.RestJSON
	}
	return op, p, nil
}

// bucketFromHost turns a virtual-hosted request into a path-style one.
func bucketFromHost(r *Request) {
	host := r.Host
	for _, mark := range []string{".s3.", ".s3-"} {
		if i := strings.Index(host, mark); i > 0 {
			r.Path = "/" + escapeQuery(host[:i]) + r.Path
			r.Host = host[i+1:]
			return
		}
	}
}

func splitPath(template string) []segment {
	template = strings.TrimPrefix(template, "/")
	if template == "" {
		return nil
	}
	var out []segment
	for _, part := range strings.Split(template, "/") {
		before, rest, ok := strings.Cut(part, "{")
		if !ok {
			out = append(out, segment{literal: part})
			continue
		}
		label, after, _ := strings.Cut(rest, "}")
		label, greedy := strings.CutSuffix(label, "+")
		out = append(out, segment{prefix: before, suffix: after, label: label, greedy: greedy})
	}
	return out
}

// matchPath returns the labels' values, unescaped.
func matchPath(segments []segment, path string) (map[string]string, bool) {
	path = strings.TrimPrefix(path, "/")
	labels := map[string]string{}
	parts := strings.Split(path, "/")
	if path == "" {
		parts = nil
	}
	for i, seg := range segments {
		if seg.greedy {
			// What follows a greedy label takes its parts from the end.
			after := len(segments) - i - 1
			if len(parts)-after < 1 {
				return nil, false
			}
			v, err := url.PathUnescape(strings.Join(parts[:len(parts)-after], "/"))
			if err != nil || v == "" {
				return nil, false
			}
			labels[seg.label] = v
			parts = parts[len(parts)-after:]
			continue
		}
		if len(parts) == 0 {
			return nil, false
		}
		part := parts[0]
		parts = parts[1:]
		if seg.label == "" {
			if part != seg.literal {
				return nil, false
			}
			continue
		}
		if len(part) < len(seg.prefix)+len(seg.suffix) || !strings.HasPrefix(part, seg.prefix) || !strings.HasSuffix(part, seg.suffix) {
			return nil, false
		}
		v, err := url.PathUnescape(part[len(seg.prefix) : len(part)-len(seg.suffix)])
		if err != nil || v == "" {
			return nil, false
		}
		labels[seg.label] = v
	}
	// One trailing slash changes nothing.
	return labels, len(parts) == 0 || len(parts) == 1 && parts[0] == ""
}

func restRoutes(s *model.Service) []route {
	if known, ok := routes.Load(s); ok {
		return known.([]route)
	}
	var list []route
	for _, op := range s.Operations {
		template, constant, _ := strings.Cut(op.URI, "?")
		rt := route{op: op, segments: splitPath(template)}
		rt.query, _ = url.ParseQuery(constant)
		rt.weight = 100 * len(rt.query)
		if op.Deprecated { // what replaced it has the same route
			rt.weight--
		}
		for _, seg := range rt.segments {
			switch {
			case seg.label == "":
				rt.weight += 10000
			case !seg.greedy:
				rt.weight += 1000
			}
		}
		if op.Input != nil {
			for _, m := range op.Input.Members {
				if m.Required && (m.Location == model.Querystring || m.Location == model.Header) {
					rt.required = append(rt.required, m)
					rt.weight += 2
				}
			}
		}
		list = append(list, rt)
	}
	// The most telling route comes first; names decide between equals.
	sort.SliceStable(list, func(i, j int) bool { return list[i].weight > list[j].weight })
	known, _ := routes.LoadOrStore(s, list)
	return known.([]route)
}

func matchREST(s *model.Service, r *Request) (*model.Operation, error) {
	query, err := url.ParseQuery(strings.ReplaceAll(r.Query, ";", "%3B"))
	if err != nil {
		return nil, fmt.Errorf("read query string: %w", err)
	}
	var second *model.Operation
	for _, rt := range restRoutes(s) {
		if rt.op.Method != r.Method || !rt.constants(query) {
			continue
		}
		if _, ok := matchPath(rt.segments, r.Path); !ok {
			continue
		}
		if rt.complete(query, r) {
			return rt.op, nil
		}
		if second == nil {
			second = rt.op // a required member is missing, which its decoder will say
		}
	}
	if second != nil {
		return second, nil
	}
	return nil, fmt.Errorf("%s has no operation %s %.80s", s.Name, r.Method, r.Path)
}

func (rt *route) constants(query url.Values) bool {
	for k, values := range rt.query {
		got, ok := query[k]
		if !ok || values[0] != "" && got[0] != values[0] {
			return false
		}
	}
	return true
}

func (rt *route) complete(query url.Values, r *Request) bool {
	for _, m := range rt.required {
		if m.Location == model.Querystring && !query.Has(memberName(m)) || m.Location == model.Header && r.Header.Get(memberName(m)) == "" {
			return false
		}
	}
	return true
}
