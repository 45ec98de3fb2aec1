package identity

import "strings"

// Grant is a KMS grant: it allows some operations on the key that the request
// names, beside the key policy.
// https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
type Grant struct {
	Key               string // the key's ARN; "": the key of the request
	GranteePrincipal  string // an ARN or a service principal
	RetiringPrincipal string
	Operations        []string // Decrypt, GenerateDataKey …
	// The encryption context of the request must be equal to
	// EncryptionContextEquals, or hold all of EncryptionContextSubset.
	EncryptionContextEquals map[string]string
	EncryptionContextSubset map[string]string
}

// askGrants decides whether a grant allows the request.
func (e *evaluation) askGrants() tri {
	if e.service != "kms" || len(e.stack.Grants) == 0 {
		return no
	}
	t := no
	for i := range e.stack.Grants {
		t = t.or(e.stack.Grants[i].allows(e))
	}
	return t
}

func (g *Grant) allows(e *evaluation) tri {
	if g.Key != "" && g.Key != e.req.Resource {
		return no
	}
	if strings.EqualFold(e.name, "RetireGrant") {
		return triOf(g.RetiringPrincipal != "" && g.isFor(e, g.RetiringPrincipal))
	}
	listed := false
	for _, op := range g.Operations {
		listed = listed || strings.EqualFold(op, e.name)
	}
	if !listed || !g.isFor(e, g.GranteePrincipal) {
		return no
	}
	t := yes
	for _, want := range []map[string]string{g.EncryptionContextEquals, g.EncryptionContextSubset} {
		for k, v := range want {
			t = t.and(e.hasEncryptionContext(k, v))
		}
	}
	if g.EncryptionContextEquals != nil {
		keys, state := e.req.value("kms:EncryptionContextKeys")
		switch {
		case state == keyUnknown:
			t = t.and(maybe)
		case len(keys) != len(g.EncryptionContextEquals):
			return no
		}
	}
	return t
}

func (e *evaluation) hasEncryptionContext(k, v string) tri {
	got, state := e.req.value("kms:EncryptionContext:" + k)
	if state == keyUnknown {
		return maybe
	}
	return triOf(state == keyPresent && len(got) == 1 && got[0] == v)
}

// isFor reports whether the principal of a grant is the caller.
func (g *Grant) isFor(e *evaluation, principal string) bool {
	typ := PrincipalAWS
	if !strings.HasPrefix(principal, "arn:") {
		typ = PrincipalService
	}
	ref := compileRef(typ, principal)
	m := ref.names(e)
	return m == NamedDirect || m == NamedRole
}
