package asl

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bartizan-security/bartizan/asl/jsonpath"
	"github.com/bartizan-security/bartizan/asl/value"
)

// call is an intrinsic function call: States.Format('{}', $.a).
// https://docs.aws.amazon.com/step-functions/latest/dg/intrinsic-functions.html
type call struct {
	source string
	name   string
	args   []argument
}

// argument is one of: a literal, a path, a call.
type argument struct {
	lit    any
	path   *jsonpath.Path
	call   *call
	source string
}

const (
	maxCallLength = 10_000
	maxCallNested = 10 // what Step Functions allows
)

// isCall reports whether a text is written as an intrinsic function call.
func isCall(s string) bool { return strings.HasPrefix(s, "States.") }

func parseCall(s string) (*call, error) {
	if len(s) > maxCallLength {
		return nil, fmt.Errorf("the call is longer than %d characters", maxCallLength)
	}
	p := callParser{src: s}
	c, err := p.call(1)
	if err != nil {
		return nil, err
	}
	if p.i != len(s) {
		return nil, p.errorf("unexpected %q after the call", s[p.i:])
	}
	return c, nil
}

type callParser struct {
	src string
	i   int
}

func (p *callParser) errorf(format string, args ...any) error {
	return fmt.Errorf("character %d: %s", p.i+1, fmt.Sprintf(format, args...))
}

func (p *callParser) blanks() {
	for p.i < len(p.src) && (p.src[p.i] == ' ' || p.src[p.i] == '\t' || p.src[p.i] == '\n' || p.src[p.i] == '\r') {
		p.i++
	}
}

func (p *callParser) call(depth int) (*call, error) {
	if depth > maxCallNested {
		return nil, p.errorf("calls are nested deeper than %d", maxCallNested)
	}
	start := p.i
	for p.i < len(p.src) && p.src[p.i] != '(' {
		p.i++
	}
	c := &call{name: strings.TrimSpace(p.src[start:p.i])}
	f, known := intrinsics[c.name]
	if !known {
		if near := nearest(c.name, intrinsicNames()); near != "" {
			return nil, p.errorf("there is no function %s; did you mean %s?", c.name, near)
		}
		return nil, p.errorf("there is no function %s", c.name)
	}
	if p.i == len(p.src) {
		return nil, p.errorf("( is missing")
	}
	p.i++
	p.blanks()
	if p.i < len(p.src) && p.src[p.i] == ')' {
		p.i++
	} else {
		for {
			a, err := p.argument(depth)
			if err != nil {
				return nil, err
			}
			c.args = append(c.args, a)
			p.blanks()
			if p.i == len(p.src) {
				return nil, p.errorf(") is missing")
			}
			ch := p.src[p.i]
			p.i++
			if ch == ')' {
				break
			}
			if ch != ',' {
				p.i--
				return nil, p.errorf("expected , or )")
			}
			p.blanks()
		}
	}
	c.source = p.src[start:p.i]
	if len(c.args) < f.least || f.most >= 0 && len(c.args) > f.most {
		return nil, p.errorf("%s takes %s, not %d", c.name, f.arity(), len(c.args))
	}
	return c, nil
}

func (p *callParser) argument(depth int) (argument, error) {
	p.blanks()
	if p.i == len(p.src) {
		return argument{}, p.errorf("an argument is missing")
	}
	start := p.i
	switch ch := p.src[p.i]; {
	case ch == '\'':
		s, err := p.quoted()
		return argument{lit: s, source: p.src[start:p.i]}, err
	case ch == '$':
		end := p.pathEnd()
		path, err := jsonpath.Compile(p.src[start:end])
		p.i = end
		return argument{path: path, source: p.src[start:end]}, err
	case strings.HasPrefix(p.src[p.i:], "States."):
		c, err := p.call(depth + 1)
		return argument{call: c, source: p.src[start:p.i]}, err
	}
	for p.i < len(p.src) && p.src[p.i] != ',' && p.src[p.i] != ')' && p.src[p.i] != ' ' {
		p.i++
	}
	word := p.src[start:p.i]
	v, err := value.Parse([]byte(word))
	if err != nil {
		p.i = start
		return argument{}, p.errorf("%q is no text in quotes, number, boolean, null, path or call", word)
	}
	return argument{lit: v, source: word}, nil
}

// quoted reads a text in single quotes, in which a backslash makes the next
// quote, brace or backslash ordinary. Braces stay marked for States.Format.
func (p *callParser) quoted() (string, error) {
	p.i++
	var b strings.Builder
	for p.i < len(p.src) {
		switch ch := p.src[p.i]; ch {
		case '\\':
			if p.i+1 == len(p.src) {
				return "", p.errorf("the text ends in a backslash")
			}
			next := p.src[p.i+1]
			switch next {
			case '\'':
				b.WriteByte(next)
			case '\\', '{', '}':
				b.WriteByte('\\')
				b.WriteByte(next)
			case '"':
				return "", p.errorf(`a text must not hold \"`)
			default:
				b.WriteByte('\\')
				b.WriteByte(next)
			}
			p.i += 2
		case '\'':
			p.i++
			return b.String(), nil
		default:
			b.WriteByte(ch)
			p.i++
		}
	}
	return "", p.errorf("the closing ' is missing")
}

// plainText takes the backslashes out that quoted left before \, { and }.
func plainText(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	return strings.NewReplacer(`\\`, `\`, `\{`, `{`, `\}`, `}`).Replace(s)
}

// pathEnd finds where a path in an argument list ends: at a comma or bracket
// outside its own brackets and quotes.
func (p *callParser) pathEnd() int {
	depth := 0
	var quote byte
	for i := p.i; i < len(p.src); i++ {
		ch := p.src[i]
		switch {
		case quote != 0:
			if ch == '\\' {
				i++
			} else if ch == quote {
				quote = 0
			}
		case ch == '\'' || ch == '"':
			quote = ch
		case ch == '[' || ch == '(':
			depth++
		case ch == ']':
			depth--
		case ch == ')':
			if depth == 0 {
				return i
			}
			depth--
		case (ch == ',' || ch == ' ') && depth == 0:
			return i
		}
	}
	return len(p.src)
}

// paths calls visit for every path in the call.
func (c *call) paths(visit func(*jsonpath.Path)) {
	for _, a := range c.args {
		switch {
		case a.path != nil:
			visit(a.path)
		case a.call != nil:
			a.call.paths(visit)
		}
	}
}

// eval runs the call.
func (c *call) eval(e *evaluation) (any, *failure) {
	args := make([]any, len(c.args))
	for i, a := range c.args {
		switch {
		case a.path != nil:
			v, err := e.read(a.path)
			if err != nil {
				var missing *jsonpath.NotFoundError
				if !errors.As(err, &missing) {
					return nil, runtimeFailure("The function '%s' had the following error: %v", c.source, err)
				}
				return nil, runtimeFailure("The function '%s' had the following error: The JsonPath argument for the field '%s' could not be found in the input '%s'", c.source, a.source, e.shown(a.path))
			}
			args[i] = v
		case a.call != nil:
			v, f := a.call.eval(e)
			if f != nil {
				return nil, f
			}
			args[i] = v
		default:
			args[i] = a.lit
			if s, ok := a.lit.(string); ok && (c.name != "States.Format" || i > 0) {
				args[i] = plainText(s)
			}
		}
	}
	v, err := intrinsics[c.name].run(e, args)
	if err != nil {
		return nil, &failure{name: "States.IntrinsicFailure", cause: fmt.Sprintf("The function '%s' had the following error: %v", c.source, err), hasCause: true, placed: true}
	}
	return v, nil
}
