package wire

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// node is an XML element. Its strings point into the document.
type node struct {
	name        string // without prefix
	text        string
	attrs       []attr
	first, last *node
	next        *node
}

type attr struct{ name, value string } // with prefix

func (n *node) kid(name string) *node {
	if n == nil {
		return nil
	}
	for k := n.first; k != nil; k = k.next {
		if k.name == name {
			return k
		}
	}
	return nil
}

// xmlReader reads the XML that web services write: elements, attributes, text,
// CDATA and the five entities. Documents with a DTD are refused, so nothing can
// expand. It is several times faster than encoding/xml, against which it is tested.
type xmlReader struct {
	s     string
	at    int
	arena []node
}

func (x *xmlReader) node() *node {
	if len(x.arena) == 0 {
		x.arena = make([]node, 64)
	}
	n := &x.arena[0]
	x.arena = x.arena[1:]
	return n
}

var errXMLEnd = errors.New("the XML ends early")

func parseXML(body []byte) (*node, error) {
	x := &xmlReader{s: string(body)}
	if !utf8.ValidString(x.s) {
		return nil, errors.New("the XML is not UTF-8")
	}
	x.s = strings.TrimPrefix(x.s, "\ufeff")
	root, err := x.document()
	if err != nil {
		return nil, fmt.Errorf("read XML at byte %d: %w", x.at, err)
	}
	return root, nil
}

func (x *xmlReader) document() (*node, error) {
	var stack [maxDepth]*node
	depth := 0
	var root *node
	for {
		start := x.at
		i := strings.IndexByte(x.s[x.at:], '<')
		if i < 0 {
			i = len(x.s) - x.at
		}
		x.at += i
		if raw := x.s[start:x.at]; raw != "" {
			if depth == 0 {
				if strings.TrimSpace(raw) != "" {
					return nil, errors.New("text outside of an element")
				}
			} else if err := stack[depth-1].addText(raw); err != nil {
				return nil, err
			}
		}
		if x.at == len(x.s) {
			if depth > 0 || root == nil {
				return nil, errXMLEnd
			}
			return root, nil
		}
		rest := x.s[x.at:]
		switch {
		case strings.HasPrefix(rest, "<?"):
			if err := x.skip("?>"); err != nil {
				return nil, err
			}
		case strings.HasPrefix(rest, "<!--"):
			if err := x.skip("-->"); err != nil {
				return nil, err
			}
		case strings.HasPrefix(rest, "<![CDATA["):
			from := x.at + len("<![CDATA[")
			if err := x.skip("]]>"); err != nil {
				return nil, err
			}
			if depth == 0 {
				return nil, errors.New("text outside of an element")
			}
			n := stack[depth-1]
			n.text += x.s[from : x.at-len("]]>")]
		case strings.HasPrefix(rest, "<!"):
			return nil, errors.New("a document type is not allowed")
		case strings.HasPrefix(rest, "</"):
			x.at += 2
			name := x.name()
			x.space()
			if x.at >= len(x.s) {
				return nil, errXMLEnd
			}
			if x.s[x.at] != '>' || depth == 0 || local(name) != stack[depth-1].name {
				return nil, fmt.Errorf("</%.40s> closes nothing that is open", name)
			}
			x.at++
			depth--
		default:
			n, closed, err := x.element()
			if err != nil {
				return nil, err
			}
			if depth == 0 {
				if root != nil {
					return nil, errors.New("a second root element")
				}
				root = n
			} else {
				parent := stack[depth-1]
				if parent.first == nil {
					parent.first = n
				} else {
					parent.last.next = n
				}
				parent.last = n
			}
			if !closed {
				if depth == maxDepth {
					return nil, errDeep
				}
				stack[depth] = n
				depth++
			}
		}
	}
}

func (x *xmlReader) skip(until string) error {
	i := strings.Index(x.s[x.at:], until)
	if i < 0 {
		return errXMLEnd
	}
	x.at += i + len(until)
	return nil
}

func (x *xmlReader) space() {
	for x.at < len(x.s) && isSpace(x.s[x.at]) {
		x.at++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func (x *xmlReader) name() string {
	start := x.at
	for x.at < len(x.s) {
		switch c := x.s[x.at]; {
		case isSpace(c), c == '>', c == '/', c == '=', c == '<', c == '"', c == '\'', c == '&':
			return x.s[start:x.at]
		}
		x.at++
	}
	return x.s[start:]
}

func local(name string) string {
	if i := strings.IndexByte(name, ':'); i > 0 && i < len(name)-1 {
		return name[i+1:]
	}
	return name
}

// element reads a start tag; closed says that it was <empty/>.
func (x *xmlReader) element() (n *node, closed bool, err error) {
	x.at++
	name := x.name()
	if local(name) == "" {
		return nil, false, errors.New("an element has no name")
	}
	n = x.node()
	n.name = local(name)
	for {
		x.space()
		if x.at >= len(x.s) {
			return nil, false, errXMLEnd
		}
		switch x.s[x.at] {
		case '>':
			x.at++
			return n, false, nil
		case '/':
			if !strings.HasPrefix(x.s[x.at:], "/>") {
				return nil, false, errors.New("a stray /")
			}
			x.at += 2
			return n, true, nil
		}
		a := attr{name: x.name()}
		x.space()
		if a.name == "" || x.at >= len(x.s) || x.s[x.at] != '=' {
			return nil, false, fmt.Errorf("attribute %.40q of <%.40s> has no value", a.name, name)
		}
		x.at++
		x.space()
		if x.at >= len(x.s) || x.s[x.at] != '"' && x.s[x.at] != '\'' {
			return nil, false, fmt.Errorf("attribute %.40q of <%.40s> is not quoted", a.name, name)
		}
		quote := x.s[x.at]
		x.at++
		end := strings.IndexByte(x.s[x.at:], quote)
		if end < 0 {
			return nil, false, errXMLEnd
		}
		if a.value, err = unescapeXML(x.s[x.at : x.at+end]); err != nil {
			return nil, false, err
		}
		x.at += end + 1
		n.attrs = append(n.attrs, a)
		if len(n.attrs) > 64 {
			return nil, false, fmt.Errorf("<%.40s> has too many attributes", name)
		}
	}
}

// addText appends text; white space between elements is dropped.
func (n *node) addText(raw string) error {
	if n.first != nil && strings.TrimSpace(raw) == "" {
		return nil
	}
	text, err := unescapeXML(raw)
	if err != nil {
		return err
	}
	if n.text == "" {
		n.text = text
	} else {
		n.text += text
	}
	return nil
}

func unescapeXML(s string) (string, error) {
	if strings.IndexByte(s, '&') < 0 && strings.IndexByte(s, '\r') < 0 {
		return s, nil
	}
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '&')
		if i < 0 {
			b.WriteString(newlines(s))
			return b.String(), nil
		}
		b.WriteString(newlines(s[:i]))
		s = s[i+1:]
		end := strings.IndexByte(s, ';')
		if end < 0 || end > 12 {
			return "", errors.New("an entity has no end")
		}
		r, err := entity(s[:end])
		if err != nil {
			return "", err
		}
		b.WriteRune(r)
		s = s[end+1:]
	}
}

// newlines applies XML's rule that a line ends in \n whatever was sent.
func newlines(s string) string {
	if strings.IndexByte(s, '\r') < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}

func entity(name string) (rune, error) {
	switch name {
	case "lt":
		return '<', nil
	case "gt":
		return '>', nil
	case "amp":
		return '&', nil
	case "quot":
		return '"', nil
	case "apos":
		return '\'', nil
	}
	digits, base := strings.TrimPrefix(name, "#"), 10
	if digits != name {
		if hex := strings.TrimPrefix(digits, "x"); hex != digits {
			digits, base = hex, 16
		}
		if v, err := strconv.ParseUint(digits, base, 32); err == nil && v <= utf8.MaxRune && utf8.ValidRune(rune(v)) {
			return rune(v), nil
		}
	}
	return 0, fmt.Errorf("entity &%.12s; is not known", name)
}
