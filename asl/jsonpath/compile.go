package jsonpath

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Compile reads a path that starts with $ (the input), $$ (the context object)
// or $name (a variable).
func Compile(source string) (*Path, error) {
	if len(source) > maxLength {
		return nil, fmt.Errorf("the path is longer than %d bytes", maxLength)
	}
	c := compiler{src: source}
	p, err := c.path(false)
	if err != nil {
		return nil, err
	}
	if c.i < len(source) {
		return nil, c.errorf("unexpected %q", source[c.i:])
	}
	p.source = source
	return p, nil
}

type compiler struct {
	src    string
	i      int
	nested int
}

func (c *compiler) errorf(format string, args ...any) error {
	return fmt.Errorf("path %q, character %d: %s", c.src, c.i+1, fmt.Sprintf(format, args...))
}

func (c *compiler) peek() byte {
	if c.i < len(c.src) {
		return c.src[c.i]
	}
	return 0
}

// path reads a path; inside a filter it ends where an operator may follow.
func (c *compiler) path(inFilter bool) (*Path, error) {
	start := c.i
	p := &Path{definite: true}
	switch {
	case c.peek() == '$':
		c.i++
		if c.peek() == '$' {
			c.i++
			p.variable = "$"
		} else {
			p.variable = c.variable()
		}
	case inFilter && c.peek() == '@':
		c.i++
		p.variable = "@"
	default:
		return nil, c.errorf("a path starts with $")
	}
	for c.i < len(c.src) && len(p.tokens) <= maxTokens {
		var t token
		var err error
		switch c.peek() {
		case '.':
			c.i++
			if c.peek() == '.' {
				c.i++
				t, err = c.afterDots(inFilter)
				t.deep = true
				break
			}
			t, err = c.member(inFilter)
		case '[':
			t, err = c.bracket()
		default:
			if inFilter {
				p.source = c.src[start:c.i]
				p.finish()
				return p, nil
			}
			return nil, c.errorf("expected . or [")
		}
		if err != nil {
			return nil, err
		}
		p.tokens = append(p.tokens, t)
	}
	if len(p.tokens) > maxTokens {
		return nil, c.errorf("more than %d steps", maxTokens)
	}
	p.source = c.src[start:c.i]
	p.finish()
	return p, nil
}

func (p *Path) finish() {
	for _, t := range p.tokens {
		if t.deep || t.kind != property && t.kind != index && t.kind != properties {
			p.definite = false
		}
	}
}

func (c *compiler) variable() string {
	start := c.i
	for c.i < len(c.src) {
		r, n := utf8.DecodeRuneInString(c.src[c.i:])
		if r != '_' && !unicode.IsLetter(r) && (c.i == start || !unicode.IsDigit(r)) {
			break
		}
		c.i += n
	}
	return c.src[start:c.i]
}

func (c *compiler) afterDots(inFilter bool) (token, error) {
	if c.peek() == '[' {
		return c.bracket()
	}
	return c.member(inFilter)
}

func (c *compiler) member(inFilter bool) (token, error) {
	start := c.i
	for c.i < len(c.src) {
		r, n := utf8.DecodeRuneInString(c.src[c.i:])
		if r == '.' || r == '[' || r == '(' || r == ')' || r == ' ' || r == '\'' || r == '"' || r < 0x20 {
			break
		}
		if inFilter && strings.ContainsRune("=!<>&|,]~/", r) {
			break
		}
		if !inFilter && strings.ContainsRune("]{}?@,", r) {
			break
		}
		c.i += n
	}
	name := c.src[start:c.i]
	switch {
	case name == "":
		return token{}, c.errorf("a member's name is missing")
	case name == "*":
		return token{kind: wildcard}, nil
	case strings.Contains(name, "*") && !inFilter:
		return token{}, c.errorf("%q is no member's name; write it in brackets", name)
	case c.peek() == '(':
		return token{}, c.errorf("functions such as %s() are not supported", name)
	case c.peek() == ' ' && !inFilter:
		return token{}, c.errorf("use ['…'] for a name with blanks")
	}
	return token{kind: property, name: name}, nil
}

func (c *compiler) blanks() {
	for c.peek() == ' ' || c.peek() == '\t' || c.peek() == '\n' || c.peek() == '\r' {
		c.i++
	}
}

func (c *compiler) bracket() (token, error) {
	c.i++
	c.blanks()
	var t token
	switch ch := c.peek(); {
	case ch == '\'' || ch == '"':
		for {
			s, err := c.quoted()
			if err != nil {
				return t, err
			}
			t.names = append(t.names, s)
			c.blanks()
			if c.peek() != ',' {
				break
			}
			c.i++
			c.blanks()
		}
		t.kind = properties
		if len(t.names) == 1 {
			t.kind, t.name, t.names = property, t.names[0], nil
		}
	case ch == '*':
		c.i++
		t.kind = wildcard
	case ch == '?':
		c.i++
		c.blanks()
		if c.peek() != '(' {
			return t, c.errorf("a filter is written [?(…)]")
		}
		c.i++
		pred, err := c.or()
		if err != nil {
			return t, err
		}
		c.blanks()
		if c.peek() != ')' {
			return t, c.errorf("the filter's ) is missing")
		}
		c.i++
		t.kind, t.pred = filter, pred
	default:
		if err := c.numbers(&t); err != nil {
			return t, err
		}
	}
	c.blanks()
	if c.peek() != ']' {
		return t, c.errorf("] is missing")
	}
	c.i++
	return t, nil
}

func (c *compiler) numbers(t *token) error {
	number := func() (int, bool, error) {
		c.blanks()
		start := c.i
		if c.peek() == '-' {
			c.i++
		}
		for c.peek() >= '0' && c.peek() <= '9' {
			c.i++
		}
		s := c.src[start:c.i]
		c.blanks()
		if s == "" {
			return 0, false, nil
		}
		n, err := strconv.Atoi(s)
		if err != nil {
			return 0, false, c.errorf("%q is no index", s)
		}
		return n, true, nil
	}
	n, ok, err := number()
	if err != nil {
		return err
	}
	if c.peek() == ':' {
		c.i++
		t.kind, t.from, t.hasFr = slice, n, ok
		t.to, t.hasTo, err = number()
		if err == nil && !t.hasFr && !t.hasTo {
			return c.errorf("a slice names a start or an end")
		}
		return err
	}
	if !ok {
		return c.errorf("expected a name in quotes, an index, a slice, * or a filter")
	}
	t.kind, t.nums = index, []int{n}
	for c.peek() == ',' {
		c.i++
		n, ok, err := number()
		if err != nil {
			return err
		}
		if !ok {
			return c.errorf("an index is missing")
		}
		t.kind, t.nums = indexes, append(t.nums, n)
	}
	return nil
}

// quoted reads a name or text in quotes. A backslash escapes the quote that
// encloses it and is otherwise kept: Step Functions matches such names as written.
func (c *compiler) quoted() (string, error) {
	q := c.peek()
	c.i++
	var b strings.Builder
	for c.i < len(c.src) {
		ch := c.src[c.i]
		if ch == '\\' && c.i+1 < len(c.src) {
			if next := c.src[c.i+1]; next == q {
				b.WriteByte(q)
				c.i += 2
				continue
			}
			b.WriteByte('\\')
			b.WriteByte(c.src[c.i+1])
			c.i += 2
			continue
		}
		if ch == q {
			c.i++
			return b.String(), nil
		}
		b.WriteByte(ch)
		c.i++
	}
	return "", c.errorf("the closing %c is missing", q)
}
