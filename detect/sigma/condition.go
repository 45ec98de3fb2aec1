package sigma

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

type operator uint8

const (
	opItem operator = iota
	opAnd
	opOr
	opNot
	opCount // at least n of the children
	opNamed // a search identifier; one child
)

// expr is a compiled condition.
type expr struct {
	op   operator
	name string // of opNamed; for the others as written
	n    int    // of opCount
	item *item
	kids []*expr
	cost int
	fast []*expr // kids, cheapest first, without names and with those of the same operator joined
}

// finish computes costs, so that cheap tests come first.
func (e *expr) finish() {
	if e.op == opItem {
		e.cost = e.item.cost()
		return
	}
	for _, k := range e.kids {
		if k.cost == 0 {
			k.finish()
		}
		e.cost += k.cost
	}
	e.fast = nil
	for _, k := range e.kids {
		for k.op == opNamed {
			k = k.kids[0]
		}
		if k.op == e.op && (k.op == opAnd || k.op == opOr) {
			e.fast = append(e.fast, k.fast...)
		} else {
			e.fast = append(e.fast, k)
		}
	}
	slices.SortStableFunc(e.fast, func(a, b *expr) int { return a.cost - b.cost })
}

// parse reads a condition over the named search identifiers.
func (p *conditionParser) parse(text string) (*expr, error) {
	if err := p.lex(text); err != nil {
		return nil, err
	}
	e, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if p.at < len(p.words) {
		return nil, fmt.Errorf("condition: unexpected %q after %q", p.words[p.at], strings.Join(p.words[:p.at], " "))
	}
	return e, nil
}

type conditionParser struct {
	words []string
	at    int
	named map[string]*expr
	order []string
	used  map[string]bool
}

func (p *conditionParser) lex(text string) error {
	if strings.Contains(text, "|") {
		return fmt.Errorf("condition: aggregations after a pipe belong to Sigma 1; write a correlation instead")
	}
	text = strings.NewReplacer("(", " ( ", ")", " ) ").Replace(text)
	p.words = strings.Fields(text)
	switch {
	case len(p.words) == 0:
		return fmt.Errorf("condition is empty")
	case len(p.words) > 5000:
		return fmt.Errorf("condition has more than 5000 words")
	}
	return nil
}

func (p *conditionParser) peek() string {
	if p.at < len(p.words) {
		return strings.ToLower(p.words[p.at])
	}
	return ""
}

const maxConditionDepth = 100

func (p *conditionParser) or(depth int) (*expr, error) {
	return p.chain(depth, "or", opOr, p.and)
}

func (p *conditionParser) and(depth int) (*expr, error) {
	return p.chain(depth, "and", opAnd, p.not)
}

func (p *conditionParser) chain(depth int, word string, op operator, next func(int) (*expr, error)) (*expr, error) {
	first, err := next(depth)
	if err != nil {
		return nil, err
	}
	kids := []*expr{first}
	for p.peek() == word {
		p.at++
		k, err := next(depth)
		if err != nil {
			return nil, err
		}
		kids = append(kids, k)
	}
	if len(kids) == 1 {
		return first, nil
	}
	return &expr{op: op, kids: kids}, nil
}

func (p *conditionParser) not(depth int) (*expr, error) {
	if depth > maxConditionDepth {
		return nil, fmt.Errorf("condition: nested too deep")
	}
	if p.peek() == "not" {
		p.at++
		k, err := p.not(depth + 1)
		if err != nil {
			return nil, err
		}
		return &expr{op: opNot, kids: []*expr{k}}, nil
	}
	return p.primary(depth)
}

func (p *conditionParser) primary(depth int) (*expr, error) {
	if p.at >= len(p.words) {
		return nil, fmt.Errorf("condition ends where a search identifier is expected")
	}
	word := p.words[p.at]
	p.at++
	if word == "(" {
		e, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		if p.peek() != ")" {
			return nil, fmt.Errorf("condition: a closing parenthesis is missing")
		}
		p.at++
		return e, nil
	}
	if p.peek() == "of" {
		return p.quantified(word)
	}
	e, ok := p.named[word]
	if !ok {
		switch strings.ToLower(word) {
		case "and", "or", "not", ")", "of":
			return nil, fmt.Errorf("condition: %q where a search identifier is expected", word)
		}
		return nil, fmt.Errorf("condition: no search identifier %q; there are %s", word, strings.Join(p.order, ", "))
	}
	p.used[word] = true
	return e, nil
}

// quantified reads "1 of them", "all of selection_*", "2 of sel*".
func (p *conditionParser) quantified(word string) (*expr, error) {
	p.at++
	if p.at >= len(p.words) {
		return nil, fmt.Errorf("condition: %q of what?", word)
	}
	target := p.words[p.at]
	p.at++
	var kids []*expr
	for _, name := range p.order {
		ok := !strings.HasPrefix(name, "_")
		if strings.ToLower(target) != "them" {
			ok, _ = path.Match(target, name)
		}
		if ok {
			kids = append(kids, p.named[name])
			p.used[name] = true
		}
	}
	if len(kids) == 0 {
		return nil, fmt.Errorf("condition: no search identifier fits %q; there are %s", target, strings.Join(p.order, ", "))
	}
	switch n, err := strconv.Atoi(word); {
	case strings.EqualFold(word, "all"):
		return &expr{op: opAnd, kids: kids}, nil
	case strings.EqualFold(word, "any"), err == nil && n == 1:
		return &expr{op: opOr, kids: kids}, nil
	case err == nil && n > 1 && n <= len(kids):
		return &expr{op: opCount, n: n, kids: kids}, nil
	case err == nil:
		return nil, fmt.Errorf("condition: %d of %q, of which there are %d", n, target, len(kids))
	}
	return nil, fmt.Errorf("condition: %q of %s: want 1, all or a number", word, target)
}
