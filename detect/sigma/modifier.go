package sigma

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// modifiers lists every modifier of Sigma 2.1. re takes i, m and s after it.
var modifiers = strings.Fields(`contains startswith endswith all exists cased neq windash re i m s
	base64 base64offset utf16le utf16be utf16 wide lt lte gt gte minute hour day week month year cidr expand fieldref`)

// modifierSet is what the modifiers of one field say.
type modifierSet struct {
	names []string
	has   map[string]bool
}

func parseModifiers(names []string) (modifierSet, error) {
	m := modifierSet{names: names, has: map[string]bool{}}
	for _, n := range names {
		if !slices.Contains(modifiers, n) {
			return m, fmt.Errorf("modifier %q is not one of Sigma 2.1: %s", n, strings.Join(modifiers, ", "))
		}
		m.has[n] = true
	}
	if (m.has["i"] || m.has["m"] || m.has["s"]) && !m.has["re"] {
		return m, fmt.Errorf("modifiers i, m and s belong behind re")
	}
	var typed []string
	for _, group := range [][]string{{"re"}, {"cidr"}, {"exists"}, {"fieldref"}, {"lt", "lte", "gt", "gte"}, {"base64", "base64offset", "wide", "utf16", "utf16le", "utf16be", "windash"}} {
		n := 0
		for _, w := range group {
			if m.has[w] {
				n++
				if n == 1 {
					typed = append(typed, w)
				}
			}
		}
		if n > 1 && group[0] == "lt" {
			return m, fmt.Errorf("one comparison is enough: %s", strings.Join(names, "|"))
		}
	}
	if len(typed) > 1 {
		return m, fmt.Errorf("modifiers %s cannot be combined", strings.Join(typed, " and "))
	}
	return m, nil
}

func (m modifierSet) comparison() string {
	for _, op := range []string{"lte", "lt", "gte", "gt"} {
		if m.has[op] {
			return op
		}
	}
	return ""
}

func (m modifierSet) timePart() string {
	for _, p := range []string{"minute", "hour", "day", "week", "month", "year"} {
		if m.has[p] {
			return p
		}
	}
	return ""
}

// expand replaces the placeholders of a value by each of their values.
func expandPlaceholders(s string, placeholder func(string) ([]string, bool)) ([]string, error) {
	out := []string{""}
	add := func(options []string) error {
		var next []string
		for _, o := range out {
			for _, v := range options {
				next = append(next, o+v)
			}
		}
		if len(next) > 10_000 {
			return fmt.Errorf("placeholders expand to more than 10000 values")
		}
		out = next
		return nil
	}
	for s != "" {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			return out, add([]string{s})
		}
		if i > 0 && s[i-1] == '\\' {
			if err := add([]string{s[:i-1] + "%"}); err != nil {
				return nil, err
			}
			s = s[i+1:]
			continue
		}
		j := strings.IndexByte(s[i+1:], '%')
		if j <= 0 {
			return out, add([]string{s})
		}
		name := s[i+1 : i+1+j]
		options, ok := placeholder(name)
		if !ok {
			return nil, fmt.Errorf("placeholder %%%s%% has no value; give one with --placeholder %s=VALUE or in a file with --placeholders", name, name)
		}
		if err := add([]string{s[:i]}); err != nil {
			return nil, err
		}
		if err := add(options); err != nil {
			return nil, err
		}
		s = s[i+j+2:]
	}
	return out, nil
}

// transform applies the modifiers that turn one text into others, in their order.
func (m modifierSet) transform(value string) ([][]token, error) {
	values := [][]token{parsePattern(value)}
	for _, name := range m.names {
		var next [][]token
		for _, v := range values {
			switch name {
			case "contains":
				next = append(next, withAny(v, true, true))
			case "startswith":
				next = append(next, withAny(v, false, true))
			case "endswith":
				next = append(next, withAny(v, true, false))
			case "windash":
				all, err := dashes(v)
				if err != nil {
					return nil, err
				}
				next = append(next, all...)
			case "utf16le", "wide", "utf16be", "utf16":
				for i, t := range v {
					if t.lit != "" {
						v[i].lit = toUTF16(t.lit, name)
					}
				}
				next = append(next, v)
			case "base64", "base64offset":
				text, ok := plain(v)
				if !ok {
					return nil, fmt.Errorf("a value with wildcards cannot be encoded by %s; put contains behind it", name)
				}
				if name == "base64" {
					next = append(next, []token{{lit: base64.StdEncoding.EncodeToString([]byte(text))}})
					break
				}
				for _, enc := range base64Offsets(text) {
					next = append(next, []token{{lit: enc}})
				}
			default:
				next = append(next, v)
			}
		}
		values = next
	}
	return values, nil
}

func toUTF16(s, form string) string {
	var b []byte
	if form == "utf16" {
		b = append(b, 0xff, 0xfe)
	}
	for _, u := range utf16.Encode([]rune(s)) {
		if form == "utf16be" {
			b = binary.BigEndian.AppendUint16(b, u)
		} else {
			b = binary.LittleEndian.AppendUint16(b, u)
		}
	}
	return string(b)
}

// base64Offsets returns what stays the same of a text's base64 form at each of
// the three positions at which it can stand within a longer text.
func base64Offsets(text string) []string {
	var out []string
	for shift := range 3 {
		enc := base64.StdEncoding.EncodeToString(append(make([]byte, shift), text...))
		from := [3]int{0, 2, 3}[shift]
		to := len(enc) - [3]int{0, 3, 2}[(len(text)+shift)%3]
		if from < to {
			out = append(out, enc[from:to])
		}
	}
	return out
}

const dashSet = "-/–—―"

// dashes returns the value with every flag's dash replaced by each of the five
// characters that Windows takes for one.
func dashes(v []token) ([][]token, error) {
	out := [][]token{nil}
	add := func(lit string) {
		for i := range out {
			out[i] = append(slices.Clone(out[i]), token{lit: lit})
		}
	}
	for _, t := range v {
		if t.lit == "" {
			for i := range out {
				out[i] = append(slices.Clone(out[i]), t)
			}
			continue
		}
		runes := []rune(t.lit)
		start := 0
		for i, r := range runes {
			if !strings.ContainsRune(dashSet, r) || i > 0 && runes[i-1] != ' ' || i+1 < len(runes) && runes[i+1] == ' ' {
				continue
			}
			if i > start {
				add(string(runes[start:i]))
			}
			var next [][]token
			for _, o := range out {
				for _, d := range dashSet {
					next = append(next, append(slices.Clone(o), token{lit: string(d)}))
				}
			}
			if len(next) > 3125 {
				return nil, fmt.Errorf("windash: more than five dashes")
			}
			out, start = next, i+1
		}
		if start < len(runes) {
			add(string(runes[start:]))
		}
	}
	for i, v := range out {
		out[i] = joinLiterals(v)
	}
	return out, nil
}

func joinLiterals(v []token) []token {
	var out []token
	for _, t := range v {
		if n := len(out); n > 0 && t.lit != "" && out[n-1].lit != "" {
			out[n-1].lit += t.lit
			continue
		}
		out = append(out, t)
	}
	return out
}

// parseCIDR reads a prefix; a bare address is a prefix of one.
func parseCIDR(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("cidr %q: want a network such as 10.0.0.0/8 or fd00::/8", s)
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

func parseNumber(s string) (float64, bool) {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return f, true
	}
	if n, err := strconv.ParseInt(s, 0, 64); err == nil {
		return float64(n), true
	}
	return 0, false
}
