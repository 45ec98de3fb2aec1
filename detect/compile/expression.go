package compile

import (
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/detect/sigma"
)

// maxSpelled bounds the texts that a regular expression is written out as, and
// maxInQuery those in a query, which is not as narrow. Texts shorter than
// minSpelled are in everything.
const maxSpelled, maxInQuery, minSpelled = 60, 400, 3

// spelling is one of the forms that the matches of a regular expression have:
// as a pattern over the whole text.
type spelling struct {
	sigma.Pattern
	fold  bool // case does not matter
	exact bool // whatever has this form is a match
}

// spelled writes a regular expression as patterns, one of which holds wherever
// the expression matches; nil where next to nothing would be said. It writes most
// patterns at most.
func spelled(e sigma.Expression, most int) []spelling {
	tree, err := syntax.Parse(e.Source, syntax.Perl)
	if err != nil {
		return nil
	}
	var out []spelling
	certain, least := true, 1<<20
	for _, f := range (speller{most}).forms(tree.Simplify(), 0) {
		p, fold, exact := f.pattern()
		certain = certain && exact
		least = min(least, f.length())
		out = append(out, spelling{p, fold, exact})
	}
	if !certain && least < len(e.Needs) {
		least = len(e.Needs)
		out = []spelling{{Pattern: sigma.Pattern{Tokens: []sigma.Token{{Any: true}, {Literal: e.Needs}, {Any: true}}}}}
	}
	if !certain && least < minSpelled {
		return nil
	}
	return out
}

// A piece of a form: literal text, something (not said what), or the edge of
// the text.
type piece struct {
	text             string
	fold             bool
	some, start, end bool
}

type form []piece

var something = []form{{{some: true}}}

// length is how much literal text a form has.
func (f form) length() (n int) {
	for _, p := range f {
		n += len(p.text)
	}
	return n
}

// speller writes an expression out, as so many forms at most.
type speller struct{ most int }

func (s speller) forms(t *syntax.Regexp, depth int) []form {
	if depth > 50 {
		return something
	}
	switch t.Op {
	case syntax.OpLiteral:
		return []form{{{text: string(t.Rune), fold: t.Flags&syntax.FoldCase != 0 && hasLetter(string(t.Rune))}}}
	case syntax.OpEmptyMatch:
		return []form{{}}
	case syntax.OpBeginText:
		return []form{{{start: true}}}
	case syntax.OpEndText:
		return []form{{{end: true}}}
	case syntax.OpCapture:
		return s.forms(t.Sub[0], depth+1)
	case syntax.OpCharClass:
		var out []form
		for i := 0; i < len(t.Rune); i += 2 {
			for r := t.Rune[i]; r <= t.Rune[i+1]; r++ {
				if out = append(out, form{{text: string(r)}}); len(out) > 4 {
					return something
				}
			}
		}
		return out
	case syntax.OpQuest:
		return append([]form{{}}, s.forms(t.Sub[0], depth+1)...)
	case syntax.OpPlus:
		return s.followed(s.forms(t.Sub[0], depth+1), something)
	case syntax.OpAlternate:
		var out []form
		for _, sub := range t.Sub {
			if out = append(out, s.forms(sub, depth+1)...); len(out) > s.most {
				return something
			}
		}
		return out
	case syntax.OpConcat:
		out := []form{{}}
		for _, sub := range t.Sub {
			out = s.followed(out, s.forms(sub, depth+1))
		}
		return out
	}
	return something
}

// followed is one form after another. Where these would be too many, that is kept
// which says more.
func (s speller) followed(a, b []form) []form {
	if len(a)*len(b) > s.most {
		if shortest(a) < shortest(b) {
			a = something
		} else {
			b = something
		}
	}
	var out []form
	for _, x := range a {
		for _, y := range b {
			out = append(out, append(slices.Clone(x), y...))
		}
	}
	return out
}

// shortest is the length of the form that says least.
func shortest(list []form) int {
	n := 1 << 20
	for _, f := range list {
		n = min(n, f.length())
	}
	return n
}

func (f form) pattern() (p sigma.Pattern, fold, exact bool) {
	exact = true
	mixed := false
	var tokens []sigma.Token
	anything := func() {
		if n := len(tokens); n == 0 || !tokens[n-1].Any {
			tokens = append(tokens, sigma.Token{Any: true})
		}
	}
	anything()
	for _, x := range f {
		switch {
		case x.start:
			if len(tokens) > 1 || !tokens[0].Any {
				exact = false // a start in the middle: never, or after nothing
				continue
			}
			tokens = nil
		case x.end, x.text != "":
		default:
			exact = false
			anything()
		}
		if x.text == "" {
			continue
		}
		if hasLetter(x.text) {
			mixed = mixed || fold != x.fold && slices.ContainsFunc(tokens, func(t sigma.Token) bool { return hasLetter(t.Literal) })
			fold = fold || x.fold
		}
		if n := len(tokens); n > 0 && tokens[n-1].Literal != "" {
			tokens[n-1].Literal += x.text
		} else {
			tokens = append(tokens, sigma.Token{Literal: x.text})
		}
	}
	if last := len(f) - 1; last < 0 || !f[last].end {
		anything()
	}
	for i, x := range f {
		if x.end && i < len(f)-1 {
			exact = false
			anything()
		}
	}
	return sigma.Pattern{Tokens: tokens}, fold, exact && !mixed
}

// couldBe reports whether a pattern may hold for the text of a number.
func couldBe(p sigma.Pattern) bool {
	for _, t := range p.Tokens {
		if strings.Trim(t.Literal, "0123456789.eE+-") != "" {
			return false
		}
	}
	return true
}
