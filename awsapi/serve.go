package awsapi

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/bartizan-security/bartizan/awsapi/model"
	"github.com/bartizan-security/bartizan/awsapi/wire"
)

// Route finds the operation that a request addresses, for a server that knows
// the signing name from the request's signature ("ec2", "monitoring"). Where
// several services sign alike (elb and elbv2, s3 and s3control), the target,
// version or path of the request decides, then the service of just that name.
func Route(signingName string, r *wire.Request) (*model.Operation, model.Protocol, error) {
	c, err := catalogue()
	if err != nil {
		return nil, "", err
	}
	var best *model.Operation
	var protocol model.Protocol
	var last error
	top := -1
	for _, e := range c.Entries() {
		if e.SigningName != signingName {
			continue
		}
		s, err := c.Service(e.Name)
		if err != nil {
			return nil, "", err
		}
		attempt := *r
		op, p, err := wire.Route(s, &attempt)
		if err != nil {
			last = err
			continue
		}
		if score := likeness(op, p, &attempt, signingName); score > top {
			top, best, protocol = score, op, p
		}
	}
	switch {
	case best != nil:
		return best, protocol, nil
	case last != nil:
		return nil, "", last
	}
	return nil, "", &UnknownError{What: "service signed as", Name: signingName}
}

// likeness weighs what speaks for a service.
func likeness(op *model.Operation, p model.Protocol, r *wire.Request, signingName string) int {
	score := 0
	switch p {
	case model.JSON, model.CBOR:
		if strings.HasPrefix(r.Header.Get("X-Amz-Target"), op.Service.TargetPrefix+".") || strings.Contains(r.Path, "/"+op.Service.TargetPrefix+"/") {
			score += 100
		}
	case model.Query, model.EC2:
		form, err := url.ParseQuery(string(r.Body) + "&" + r.Query)
		if err == nil && form.Get("Version") == op.Service.APIVersion {
			score += 100
		}
	default:
		path, _, _ := strings.Cut(op.URI, "?")
		for _, part := range strings.Split(path, "/") {
			if part != "" && !strings.Contains(part, "{") {
				score += 10
			}
		}
	}
	if op.Service.Name == signingName {
		score++
	}
	return score
}

// SigningName reads the service's signing name from a request's Authorization
// header, or from the X-Amz-Credential of a presigned one.
func SigningName(authorization, rawQuery string) (string, error) {
	scope := ""
	if _, rest, ok := strings.Cut(authorization, "Credential="); ok {
		scope, _, _ = strings.Cut(rest, ",")
	} else if q, err := url.ParseQuery(rawQuery); err == nil {
		scope = q.Get("X-Amz-Credential")
	}
	// AKID/20260102/region/service/aws4_request; a session's key id has no slash.
	parts := strings.Split(strings.TrimSpace(scope), "/")
	if len(parts) < 5 {
		return "", fmt.Errorf("the request is not signed with Signature Version 4")
	}
	return parts[len(parts)-2], nil
}
