package jsonpath

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/bartizan-security/bartizan/asl/value"
)

// predicate is one node of a filter expression.
type predicate interface {
	test(r *run, at any) (bool, error)
}

type orNode struct{ a, b predicate }
type andNode struct{ a, b predicate }
type notNode struct{ a predicate }
type existsNode struct{ p *Path }
type compareNode struct {
	op   string
	a, b operand
	re   *regexp.Regexp
}

// operand is a literal or a path inside a filter.
type operand struct {
	path *Path
	lit  any
}

func (n orNode) test(r *run, at any) (bool, error) {
	ok, err := n.a.test(r, at)
	if ok || err != nil {
		return ok, err
	}
	return n.b.test(r, at)
}

func (n andNode) test(r *run, at any) (bool, error) {
	ok, err := n.a.test(r, at)
	if !ok || err != nil {
		return false, err
	}
	return n.b.test(r, at)
}

func (n notNode) test(r *run, at any) (bool, error) {
	ok, err := n.a.test(r, at)
	return !ok, err
}

func (n existsNode) test(r *run, at any) (bool, error) {
	v, ok, err := operand{path: n.p}.eval(r, at)
	if a, isList := v.([]any); ok && isList && !n.p.definite {
		return len(a) > 0, err
	}
	return ok, err
}

// eval returns the operand's value, and false where its path leads nowhere.
func (o operand) eval(r *run, at any) (any, bool, error) {
	if o.path == nil {
		return o.lit, true, nil
	}
	root := r.root
	if o.path.variable == "@" {
		root = at
	}
	if err := r.visit(); err != nil {
		return nil, false, err
	}
	v, err := o.path.get(r, root)
	var missing *NotFoundError
	if errors.As(err, &missing) {
		return nil, false, nil
	}
	return v, err == nil, err
}

func (n compareNode) test(r *run, at any) (bool, error) {
	a, okA, err := n.a.eval(r, at)
	if err != nil {
		return false, err
	}
	if n.re != nil {
		s, isText := a.(string)
		return okA && isText && n.re.MatchString(s), nil
	}
	b, okB, err := n.b.eval(r, at)
	if err != nil {
		return false, err
	}
	switch n.op {
	case "==":
		return okA && okB && value.Equal(a, b) || !okA && !okB, nil
	case "!=":
		return !(okA && okB && value.Equal(a, b) || !okA && !okB), nil
	}
	if !okA || !okB {
		return false, nil
	}
	return operators[n.op](r, a, b)
}

var operators = map[string]func(r *run, a, b any) (bool, error){
	"<":  func(_ *run, a, b any) (bool, error) { c, ok := order(a, b); return ok && c < 0, nil },
	"<=": func(_ *run, a, b any) (bool, error) { c, ok := order(a, b); return ok && c <= 0, nil },
	">":  func(_ *run, a, b any) (bool, error) { c, ok := order(a, b); return ok && c > 0, nil },
	">=": func(_ *run, a, b any) (bool, error) { c, ok := order(a, b); return ok && c >= 0, nil },
	"in": func(r *run, a, b any) (bool, error) { l, ok := b.([]any); return memberOf(r, a, l, ok) },
	"nin": func(r *run, a, b any) (bool, error) {
		l, ok := b.([]any)
		in, err := memberOf(r, a, l, ok)
		return !in, err
	},
	"contains": func(r *run, a, b any) (bool, error) {
		if s, ok := a.(string); ok {
			t, ok := b.(string)
			return ok && strings.Contains(s, t), nil
		}
		l, ok := a.([]any)
		return memberOf(r, b, l, ok)
	},
	"anyof":    func(r *run, a, b any) (bool, error) { n, _, err := shared(r, a, b); return n > 0, err },
	"noneof":   func(r *run, a, b any) (bool, error) { n, _, err := shared(r, a, b); return n == 0, err },
	"subsetof": func(r *run, a, b any) (bool, error) { n, of, err := shared(r, a, b); return of >= 0 && n == of, err },
	"size": func(_ *run, a, b any) (bool, error) {
		n, ok := value.Int(b)
		return ok && int64(length(a)) == n, nil
	},
	"empty": func(_ *run, a, b any) (bool, error) {
		want, ok := b.(bool)
		n := length(a)
		return ok && n >= 0 && (n == 0) == want, nil
	},
}

func order(a, b any) (int, bool) {
	if x, ok := a.(string); ok {
		y, ok := b.(string)
		return strings.Compare(x, y), ok
	}
	return value.Compare(a, b)
}

func memberOf(r *run, v any, list []any, ok bool) (bool, error) {
	if !ok {
		return false, nil
	}
	for _, e := range list {
		if err := r.visit(); err != nil {
			return false, err
		}
		if value.Equal(e, v) {
			return true, nil
		}
	}
	return false, nil
}

// shared counts the elements of a that are in b, and those of a; -1 if a is no list.
func shared(r *run, a, b any) (int, int, error) {
	x, ok1 := a.([]any)
	y, ok2 := b.([]any)
	if !ok1 || !ok2 {
		return 0, -1, nil
	}
	n := 0
	for _, e := range x {
		in, err := memberOf(r, e, y, true)
		if err != nil {
			return 0, 0, err
		}
		if in {
			n++
		}
	}
	return n, len(x), nil
}

func length(v any) int {
	switch x := v.(type) {
	case string:
		return len([]rune(x))
	case []any:
		return len(x)
	case *value.Object:
		return x.Len()
	}
	return -1
}

func (c *compiler) or() (predicate, error) {
	if c.nested++; c.nested > maxNested {
		return nil, c.errorf("the filter is nested too deeply")
	}
	defer func() { c.nested-- }()
	a, err := c.and()
	for err == nil {
		c.blanks()
		if !strings.HasPrefix(c.src[c.i:], "||") {
			return a, nil
		}
		c.i += 2
		var b predicate
		if b, err = c.and(); err == nil {
			a = orNode{a, b}
		}
	}
	return nil, err
}

func (c *compiler) and() (predicate, error) {
	a, err := c.unary()
	for err == nil {
		c.blanks()
		if !strings.HasPrefix(c.src[c.i:], "&&") {
			return a, nil
		}
		c.i += 2
		var b predicate
		if b, err = c.unary(); err == nil {
			a = andNode{a, b}
		}
	}
	return nil, err
}

func (c *compiler) unary() (predicate, error) {
	c.blanks()
	switch c.peek() {
	case '!':
		c.i++
		if c.nested++; c.nested > maxNested {
			return nil, c.errorf("the filter is nested too deeply")
		}
		defer func() { c.nested-- }()
		p, err := c.unary()
		return notNode{p}, err
	case '(':
		c.i++
		p, err := c.or()
		if err != nil {
			return nil, err
		}
		c.blanks()
		if c.peek() != ')' {
			return nil, c.errorf(") is missing")
		}
		c.i++
		return p, nil
	}
	return c.comparison()
}

func (c *compiler) comparison() (predicate, error) {
	a, err := c.operand()
	if err != nil {
		return nil, err
	}
	c.blanks()
	op := c.operator()
	if op == "" {
		if a.path == nil {
			return nil, c.errorf("an operator is missing")
		}
		return existsNode{a.path}, nil
	}
	c.blanks()
	if op == "=~" {
		re, err := c.regex()
		return compareNode{op: op, a: a, re: re}, err
	}
	b, err := c.operand()
	return compareNode{op: op, a: a, b: b}, err
}

func (c *compiler) operator() string {
	rest := c.src[c.i:]
	for _, op := range []string{"==", "!=", "<=", ">=", "=~", "<", ">"} {
		if strings.HasPrefix(rest, op) {
			c.i += len(op)
			return op
		}
	}
	n := 0
	for n < len(rest) && (rest[n]|0x20) >= 'a' && (rest[n]|0x20) <= 'z' {
		n++
	}
	if w := strings.ToLower(rest[:n]); operators[w] != nil {
		c.i += n
		return w
	}
	return ""
}

func (c *compiler) regex() (*regexp.Regexp, error) {
	if c.peek() != '/' {
		return nil, c.errorf("a regular expression is written /…/")
	}
	start := c.i + 1
	end := start
	for end < len(c.src) && c.src[end] != '/' {
		if c.src[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(c.src) {
		return nil, c.errorf("the closing / is missing")
	}
	expr := c.src[start:end]
	c.i = end + 1
	flags := ""
	for strings.IndexByte("idmsux", c.peek()) >= 0 && c.peek() != 0 {
		if f := c.peek(); f == 'i' || f == 'm' || f == 's' {
			flags += string(f)
		}
		c.i++
	}
	if flags != "" {
		flags = "(?" + flags + ")"
	}
	re, err := regexp.Compile("^" + flags + "(?:" + expr + ")$") // the whole text must match
	if err != nil {
		return nil, c.errorf("%v", err)
	}
	return re, nil
}

func (c *compiler) operand() (operand, error) {
	c.blanks()
	switch ch := c.peek(); {
	case ch == '@' || ch == '$':
		p, err := c.path(true)
		return operand{path: p}, err
	case ch == '\'' || ch == '"':
		s, err := c.quoted()
		return operand{lit: s}, err
	case ch == '[' || ch == '{':
		return c.literal()
	case ch == '-' || ch >= '0' && ch <= '9':
		start := c.i
		c.i++
		for c.i < len(c.src) && strings.IndexByte("0123456789.eE+-", c.src[c.i]) >= 0 {
			c.i++
		}
		v, err := value.Parse([]byte(c.src[start:c.i]))
		if err != nil {
			return operand{}, c.errorf("%q is no number", c.src[start:c.i])
		}
		return operand{lit: v}, nil
	}
	for word, v := range map[string]any{"true": true, "false": false, "null": nil} {
		if strings.HasPrefix(c.src[c.i:], word) {
			c.i += len(word)
			return operand{lit: v}, nil
		}
	}
	return operand{}, c.errorf("expected a path or a literal")
}

// literal reads a JSON array or object in a filter; texts may be in single quotes.
func (c *compiler) literal() (operand, error) {
	start, depth := c.i, 0
	var b strings.Builder
	for c.i < len(c.src) {
		switch ch := c.src[c.i]; ch {
		case '\'', '"':
			s, err := c.quoted()
			if err != nil {
				return operand{}, err
			}
			b.WriteString(strconv.Quote(s))
			continue
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		}
		b.WriteByte(c.src[c.i])
		c.i++
		if depth == 0 {
			v, err := value.Parse([]byte(b.String()))
			if err != nil {
				return operand{}, c.errorf("%q is no JSON: %v", c.src[start:c.i], err)
			}
			return operand{lit: v}, nil
		}
	}
	return operand{}, c.errorf("the literal does not end")
}
