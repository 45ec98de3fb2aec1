package posture

import (
	"strings"

	"cel.dev/cel-go/common/types"

	"github.com/bartizan-security/bartizan/identity"
)

// narrowing keys bind a request to a known caller or network, so that a
// statement with Principal "*" is not public.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html#access-control-block-public-access-policy-status
var narrowingKeys = map[string]bool{
	"aws:sourcearn": true, "aws:sourceaccount": true, "aws:sourceowner": true, "aws:sourceorgid": true, "aws:sourceorgpaths": true,
	"aws:sourcevpc": true, "aws:sourcevpce": true, "aws:sourceip": true, "aws:vpcsourceip": true, "aws:sourcevpcarn": true,
	"aws:vpceaccount": true, "aws:vpceorgid": true, "aws:vpceorgpaths": true,
	"aws:principalorgid": true, "aws:principalorgpaths": true, "aws:principalaccount": true, "aws:principalarn": true,
	"aws:userid": true, "aws:principalservicename": true,
	"s3:dataaccesspointaccount": true, "s3:dataaccesspointarn": true, "s3:accesspointnetworkorigin": true,
	"kms:calleraccount": true, "lambda:eventsourcetoken": true, "elasticfilesystem:accessedviamounttarget": true,
}

// fixed reports whether a value binds: it is no policy variable, and what a
// wildcard leaves open is not the caller's account.
func fixed(key, value string) bool {
	if value == "" || strings.Contains(value, "${") {
		return false
	}
	switch key {
	case "aws:sourceip", "aws:vpcsourceip":
		p, err := parsePrefix(types.String(value))
		if err != nil {
			return false
		}
		if key == "aws:vpcsourceip" || inPrivateSpace(p) {
			return true
		}
		return p.Addr().Is4() && p.Bits() >= 8 || p.Addr().Is6() && p.Bits() >= 32
	case "aws:sourcearn", "aws:principalarn", "s3:dataaccesspointarn", "aws:sourcevpcarn":
		parts := strings.SplitN(value, ":", 6)
		if len(parts) < 6 {
			return false
		}
		if parts[2] == "s3" && parts[4] == "" {
			return !strings.HasPrefix(parts[5], "*") && parts[5] != ""
		}
		return parts[4] != "" && !strings.ContainsAny(parts[4], "*?")
	case "aws:principalorgpaths", "aws:sourceorgpaths", "aws:vpceorgpaths":
		return strings.HasPrefix(value, "o-") && !strings.HasPrefix(value, "o-*")
	}
	return strings.Trim(value, "*?:") != "" && !strings.HasPrefix(value, "*")
}

// baseOperator strips the set prefix and IfExists off an operator and says which
// there were.
func baseOperator(op string) (base string, forAll, ifExists bool) {
	base = strings.ToLower(op)
	if rest, ok := strings.CutPrefix(base, "forallvalues:"); ok {
		base, forAll = rest, true
	}
	base = strings.TrimPrefix(base, "foranyvalue:")
	if rest, ok := strings.CutSuffix(base, "ifexists"); ok {
		base, ifExists = rest, true
	}
	return base, forAll, ifExists
}

func fixedValues(k *identity.ConditionKey) bool {
	key := strings.ToLower(k.Name)
	for _, v := range k.Values {
		if !fixed(key, v.Text) {
			return false
		}
	}
	return len(k.Values) > 0
}

// narrowed reports whether a statement's conditions bind the caller.
func narrowed(s *identity.Statement) bool {
	for _, c := range s.Conditions {
		op, forAll, ifExists := baseOperator(c.Operator)
		if forAll || ifExists {
			continue // true where the key is missing
		}
		switch op {
		case "stringequals", "stringequalsignorecase", "stringlike", "arnequals", "arnlike", "ipaddress":
		case "bool":
			for _, k := range c.Keys {
				if strings.EqualFold(k.Name, "elasticfilesystem:AccessedViaMountTarget") && len(k.Values) == 1 && strings.EqualFold(k.Values[0].Text, "true") {
					return true
				}
			}
			continue
		default:
			continue
		}
		for _, k := range c.Keys {
			if narrowingKeys[strings.ToLower(k.Name)] && fixedValues(k) {
				return true
			}
		}
	}
	return false
}

// publicStatements lists the statements through which anyone may do something.
// A statement that another one denies to everyone outside is not public.
func publicStatements(p *identity.Policy) []*identity.Statement {
	var out []*identity.Statement
	for _, s := range statements(p) {
		if s.Effect != identity.Allow || !everyone(s.Principal) && s.NotPrincipal == nil || narrowed(s) {
			continue
		}
		if !fencedOff(p, s) {
			out = append(out, s)
		}
	}
	return out
}

// fencedOff reports whether a Deny closes an Allow to everyone but the callers
// that it names: Deny, Principal "*", all that the Allow grants, and a negated
// condition on a narrowing key.
func fencedOff(p *identity.Policy, allow *identity.Statement) bool {
	for _, d := range statements(p) {
		if d.Effect != identity.Deny || !everyone(d.Principal) || len(d.Conditions) == 0 || !covers(d, allow) {
			continue
		}
		fences := true
		closes := false
		for _, c := range d.Conditions {
			op, forAll, _ := baseOperator(c.Operator)
			for _, k := range c.Keys {
				key := strings.ToLower(k.Name)
				switch {
				case op == "bool" && (key == "aws:principalisawsservice" || key == "aws:viaawsservice") && len(k.Values) == 1 && strings.EqualFold(k.Values[0].Text, "false"):
				case !forAll && narrowingKeys[key] && fixedValues(k) && (op == "stringnotequals" || op == "stringnotlike" || op == "arnnotequals" || op == "arnnotlike" || op == "notipaddress" || op == "stringnotequalsignorecase"):
					if closes {
						fences = false // two negated keys: either one opens
					}
					closes = true
				default:
					fences = false
				}
			}
		}
		if fences && closes {
			return true
		}
	}
	return false
}

// covers reports whether a Deny is about everything that an Allow grants, as far
// as patterns show it.
func covers(d, allow *identity.Statement) bool {
	if allow.Action == nil || d.Action == nil {
		if !coversAction(d, "*") {
			return false
		}
	} else {
		for _, a := range allow.Action.Values {
			if !coversAction(d, a.Text) {
				return false
			}
		}
	}
	if everyResource(d) {
		return true
	}
	if d.Resource == nil || allow.Resource == nil {
		return false
	}
	for _, r := range allow.Resource.Values {
		in := false
		for _, q := range d.Resource.Values {
			in = in || q.Text == r.Text || identity.Match(q.Text, r.Text)
		}
		if !in {
			return false
		}
	}
	return true
}
