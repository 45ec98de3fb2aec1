package collect

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bartizan-security/bartizan/arn"
	"github.com/bartizan-security/bartizan/awsapi"
)

// Diagnosis is what a session can do.
type Diagnosis struct {
	Account    string
	Caller     string
	Partition  string
	Region     string
	Management string // management account of the organization, "" where there is none or it is not known
	Regions    []string
	Method     string // how permissions were checked: MethodSimulated, MethodTried or MethodRoot
	Allowed    []string
	Missing    []Need
	Untested   []string // actions that could not be checked
	Failed     []Failure
}

// Failure is a call that failed for another reason than permissions.
type Failure struct{ Operation, Code, Reason string }

// The ways in which Diagnose checks permissions.
const (
	MethodSimulated = "iam:SimulatePrincipalPolicy"
	MethodTried     = "list calls tried"
	MethodRoot      = "the root user needs no permissions"
)

// Diagnose says who the session is and which of the permissions that the types
// (nil: all) need it lacks. It asks IAM's simulator where that is allowed, and
// else tries the list operations, which change nothing. An error means that AWS
// cannot be reached or does not accept the credentials.
func Diagnose(ctx context.Context, s Session, c *Catalogue, types []*Type) (*Diagnosis, error) {
	if types == nil {
		types = c.types
	}
	r := &run{Options: Options{Catalogue: c, Parallel: 6, MaxRetries: 5, Sleep: sleep}, gaps: map[string]*GapCount{}}
	if err := r.identify(ctx, s); err != nil {
		return nil, fmt.Errorf("ask who the caller is: %w", err)
	}
	d := &Diagnosis{Account: r.account, Caller: r.caller, Partition: r.partition, Region: s.Home()}
	var err error
	if d.Regions, err = r.regions(ctx, s, r.account); err != nil {
		d.Failed = append(d.Failed, r.failure("ec2:DescribeRegions", err))
	}
	if org, err := r.call(ctx, s.In(r.home), r.home, "organizations", "DescribeOrganization", nil); err == nil {
		d.Management, _ = (path{"Organization", "MasterAccountId"}).first(org).(string)
	}
	needs := c.Needs(types)
	who, _ := arn.Parse(r.caller)
	if who.Resource == "root" {
		d.Method = MethodRoot
		for _, n := range needs {
			d.Allowed = append(d.Allowed, n.Action)
		}
		return d, nil
	}
	if err := r.simulate(ctx, s, who, needs, d); err != nil {
		d.Method, d.Allowed, d.Missing, d.Untested = MethodTried, nil, nil, nil
		r.try(ctx, s, types, needs, d)
	}
	return d, ctx.Err()
}

func (r *run) failure(operation string, err error) Failure {
	g := r.gap("", "", "", "", operation, err)
	return Failure{operation, g.Code, g.Reason}
}

// simulate asks IAM which actions the caller's policies allow.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
func (r *run) simulate(ctx context.Context, s Session, who arn.ARN, needs []Need, d *Diagnosis) error {
	source := who.String()
	if who.Service == "sts" && who.ResourceType() == "assumed-role" {
		name, _, _ := strings.Cut(who.ResourceID(), "/")
		out, err := r.call(ctx, s.In(r.home), r.home, "iam", "GetRole", map[string]any{"RoleName": name})
		if err != nil {
			return err
		}
		source, _ = (path{"Role", "Arn"}).first(out).(string)
	}
	verdict := map[string]string{}
	const most = 100
	for start := 0; start < len(needs); start += most {
		var actions []any
		for _, n := range needs[start:min(start+most, len(needs))] {
			actions = append(actions, n.Action)
		}
		out, err := r.call(ctx, s.In(r.home), r.home, "iam", "SimulatePrincipalPolicy", map[string]any{"PolicySourceArn": source, "ActionNames": actions})
		if err != nil {
			return err
		}
		for _, v := range (path{"EvaluationResults", "[]"}).all(out) {
			m, _ := v.(map[string]any)
			action, _ := m["EvalActionName"].(string)
			verdict[strings.ToLower(action)], _ = m["EvalDecision"].(string)
		}
	}
	if len(verdict) == 0 {
		return errors.New("the simulator answers nothing")
	}
	d.Method = MethodSimulated
	for _, n := range needs {
		switch verdict[strings.ToLower(n.Action)] {
		case "allowed":
			d.Allowed = append(d.Allowed, n.Action)
		case "":
			d.Untested = append(d.Untested, n.Action)
		default:
			d.Missing = append(d.Missing, n)
		}
	}
	return nil
}

// try calls the list operations that need no other resource, once each.
func (r *run) try(ctx context.Context, s Session, types []*Type, needs []Need, d *Diagnosis) {
	state := map[string]bool{} // action to allowed
	tried := map[string]bool{}
	for _, t := range types {
		if t.Single || t.parent != nil || ctx.Err() != nil {
			continue
		}
		action := r.Catalogue.Permission(t.List.Service, t.List.Operation)
		if tried[action] {
			continue
		}
		tried[action] = true
		region := r.home
		if !t.Global && s.Home() != "" {
			region = s.Home()
		}
		in, err := scope{account: r.account, region: region, partition: r.partition}.expand(orEmpty(t.List.input))
		if err != nil {
			continue
		}
		m := in.(map[string]any)
		for name, values := range t.List.each {
			m[name] = values[0]
		}
		_, err = r.call(ctx, s.In(region), region, t.List.Service, t.List.Operation, m)
		switch {
		case err == nil, matches(err, t.List.absent), matches(err, r.Catalogue.unavailable), notOffered(err), matches(err, noOrganization):
			state[action] = true
		case awsapi.IsAccessDenied(err) && t.When != "":
			// Only the management account may: nothing is said about the policy.
		case awsapi.IsAccessDenied(err):
			state[action] = false
		default:
			d.Failed = append(d.Failed, r.failure(t.List.Service+":"+t.List.Operation, err))
		}
	}
	for _, n := range needs {
		allowed, known := state[n.Action]
		switch {
		case !known:
			d.Untested = append(d.Untested, n.Action)
		case allowed:
			d.Allowed = append(d.Allowed, n.Action)
		default:
			d.Missing = append(d.Missing, n)
		}
	}
}
