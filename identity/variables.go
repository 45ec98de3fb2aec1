package identity

import (
	"slices"
	"strings"
)

// template is a string of a policy with its variables. One without variables is
// compiled once; the others are filled in for each request.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
type template struct {
	source string
	parts  []templatePart // nil: no variables and no escapes
	vars   bool
}

// templatePart is text, or a variable with its default.
type templatePart struct {
	text       string // literal if escaped, else with wildcards
	escaped    bool
	key        *contextKey
	fallback   string
	hasDefault bool
}

// parseTemplate splits s at its variables. In a resource they count only after
// the fifth colon. A policy of 2008 has none.
func parseTemplate(s string, version string, resource bool) template {
	t := template{source: s}
	if version != Version2012 || !strings.Contains(s, "${") {
		return t
	}
	from := 0
	if resource && strings.HasPrefix(s, "arn:") {
		for range 5 {
			i := strings.IndexByte(s[from:], ':')
			if i < 0 {
				return t
			}
			from += i + 1
		}
	}
	text := s[:from]
	rest := s[from:]
	for {
		before, after, ok := strings.Cut(rest, "${")
		body, tail, closed := strings.Cut(after, "}")
		if !ok || !closed {
			text += rest
			break
		}
		text += before
		if text != "" {
			t.parts = append(t.parts, templatePart{text: text})
			text = ""
		}
		switch body {
		case "*", "?", "$":
			t.parts = append(t.parts, templatePart{text: body, escaped: true})
		default:
			name, def, hasDefault := strings.Cut(body, ",")
			k := newContextKey(strings.TrimSpace(name))
			p := templatePart{key: &k}
			if hasDefault {
				def = strings.TrimSpace(def)
				if len(def) >= 2 && def[0] == '\'' && def[len(def)-1] == '\'' {
					p.fallback, p.hasDefault = def[1:len(def)-1], true
				}
			}
			t.parts = append(t.parts, p)
			t.vars = true
		}
		rest = tail
	}
	if text != "" && t.parts != nil {
		t.parts = append(t.parts, templatePart{text: text})
	}
	return t
}

// resolution says whether the variables of a template have values.
type resolution uint8

const (
	resolved   resolution = iota
	unresolved            // a variable is not in the request: nothing matches
	uncertain             // a variable's value is not known
)

// resolve returns a variable's value. Only a key with one value can be used.
func (p *templatePart) resolve(e *evaluation) (string, resolution) {
	v, state := e.lookup(p.key)
	switch {
	case state == keyUnknown:
		return "", uncertain
	case state == keyPresent && len(v) == 1:
		return v[0], resolved
	case p.hasDefault:
		return p.fallback, resolved
	}
	return "", unresolved
}

// text fills the variables in for an operator without wildcards.
func (t *template) fill(e *evaluation) (string, resolution) {
	if t.parts == nil {
		return t.source, resolved
	}
	var b strings.Builder
	how := resolved
	for i := range t.parts {
		p := &t.parts[i]
		if p.key == nil {
			b.WriteString(p.text)
			continue
		}
		v, r := p.resolve(e)
		if r == unresolved {
			return "", unresolved
		}
		how = max(how, r)
		b.WriteString(v)
	}
	return b.String(), how
}

// tokens fills the variables in as literal text: a wildcard in a value is not
// one. A variable that is not known becomes a star, so that what does not match
// then matches for no value.
func (t *template) tokens(e *evaluation, resource bool) ([]wildToken, resolution) {
	if t.parts == nil {
		return tokens(t.source, resource), resolved
	}
	var list []wildToken
	how := resolved
	for i := range t.parts {
		p := &t.parts[i]
		text := p.text
		if p.key != nil {
			v, r := p.resolve(e)
			if r == unresolved {
				return nil, unresolved
			}
			if r == uncertain {
				how = uncertain
				list = append(list, wildToken{kind: anyMany})
				continue
			}
			text = v
		}
		if p.key != nil || p.escaped {
			for _, r := range text {
				list = append(list, wildToken{r: r})
			}
			continue
		}
		// Only the first part can hold the early segments of an ARN.
		list = append(list, tokens(text, resource && i == 0)...)
	}
	return list, how
}

// textPattern is a template matched with wildcards.
type textPattern struct {
	template
	fixed    Pattern // when there are no variables
	resource bool
	prefix   string // what every match starts with
}

func newTextPattern(s, version string, resource bool) textPattern {
	p := textPattern{template: parseTemplate(s, version, resource), resource: resource}
	if p.vars {
		if first := p.parts[0]; first.key == nil && !first.escaped {
			p.prefix, _, _ = strings.Cut(first.text, "*")
			p.prefix, _, _ = strings.Cut(p.prefix, "?")
		}
		return p
	}
	if p.parts == nil {
		p.fixed = newPattern(s, resource)
		return p
	}
	list, _ := p.tokens(nil, resource)
	p.fixed = compileTokens(list)
	p.fixed.source = s
	return p
}

// match answers maybe when a variable is not known. With a variable that is not
// in the request nothing matches.
func (p *textPattern) match(e *evaluation, s string) tri {
	if !p.vars {
		return triOf(p.fixed.Match(s))
	}
	if !strings.HasPrefix(s, p.prefix) {
		return no
	}
	list, how := p.tokens(e, p.resource)
	if how == unresolved {
		return no
	}
	filled := compileTokens(list)
	if !filled.Match(s) {
		return no
	}
	if how == uncertain {
		return maybe
	}
	return yes
}

// arnPattern is a template matched segment by segment.
type arnPattern struct {
	template
	fixed [6]Pattern
	ok    bool // has six segments
	any   bool // is only *
}

func newARNPattern(s, version string) arnPattern {
	p := arnPattern{template: parseTemplate(s, version, false)}
	if !p.vars {
		list, _ := p.tokens(nil, false)
		p.set(list)
	}
	return p
}

// set compiles the six segments.
func (p *arnPattern) set(list []wildToken) {
	if len(list) == 1 && list[0].kind == anyMany {
		p.any = true
		return
	}
	segment, start := 0, 0
	for i, t := range list {
		if t.kind == literal && t.r == ':' && segment < 5 {
			p.fixed[segment] = compileTokens(list[start:i:i])
			segment++
			start = i + 1
		}
	}
	p.fixed[segment] = compileTokens(list[start:])
	p.ok = segment == 5
}

func (p *arnPattern) match(e *evaluation, s string) tri {
	use := p
	how := resolved
	var whole Pattern // of a variable that is not known: its value may hold colons
	if p.vars {
		var list []wildToken
		if list, how = p.tokens(e, false); how == unresolved {
			return no
		}
		if how == uncertain {
			whole = compileTokens(slices.Clone(list))
		}
		use = &arnPattern{}
		use.set(list)
	}
	seg, ok := splitARN(s)
	t := ok && (use.any || use.ok)
	for i := 0; t && i < 6 && !use.any; i++ {
		t = use.fixed[i].Match(seg[i])
	}
	if how == uncertain && ok && whole.Match(s) {
		return maybe
	}
	return triOf(t)
}
