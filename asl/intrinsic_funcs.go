package asl

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/bartizan-security/bartizan/asl/jsonata"
	"github.com/bartizan-security/bartizan/asl/value"
)

type intrinsic struct {
	least, most int // arguments; most -1 for any number
	run         func(e *evaluation, args []any) (any, error)
}

func (f intrinsic) arity() string {
	switch {
	case f.most < 0:
		return fmt.Sprintf("%d or more arguments", f.least)
	case f.least == f.most:
		return fmt.Sprintf("%d arguments", f.least)
	}
	return fmt.Sprintf("%d to %d arguments", f.least, f.most)
}

// intrinsics are the functions of the JSONPath query language.
// https://docs.aws.amazon.com/step-functions/latest/dg/intrinsic-functions.html
var intrinsics = map[string]intrinsic{
	"States.Format":         {1, -1, format},
	"States.StringToJson":   {1, 1, stringToJSON},
	"States.JsonToString":   {1, 1, func(_ *evaluation, a []any) (any, error) { return value.String(a[0]), nil }},
	"States.Array":          {0, -1, func(_ *evaluation, a []any) (any, error) { return append([]any{}, a...), nil }},
	"States.ArrayPartition": {2, 2, arrayPartition},
	"States.ArrayContains":  {2, 2, arrayContains},
	"States.ArrayRange":     {3, 3, arrayRange},
	"States.ArrayGetItem":   {2, 2, arrayGetItem},
	"States.ArrayLength":    {1, 1, arrayLength},
	"States.ArrayUnique":    {1, 1, arrayUnique},
	"States.Base64Encode":   {1, 1, base64Encode},
	"States.Base64Decode":   {1, 1, base64Decode},
	"States.Hash":           {2, 2, hash},
	"States.JsonMerge":      {3, 3, jsonMerge},
	"States.MathRandom":     {2, 3, mathRandom},
	"States.MathAdd":        {2, 2, mathAdd},
	"States.StringSplit":    {2, 2, stringSplit},
	"States.UUID":           {0, 0, func(e *evaluation, _ []any) (any, error) { return e.uuid(), nil }},
}

// The limits the functions have on AWS.
const (
	maxRange      = 1000
	maxBase64     = 10_000
	maxHashInput  = 10_000
	maxStringJSON = 1 << 20
)

func intrinsicNames() []string {
	names := make([]string, 0, len(intrinsics))
	for n := range intrinsics {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

func wantArray(v any, what string) ([]any, error) {
	a, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("The %s argument must be an array, but was: %s", what, value.String(v)) //nolint:staticcheck // AWS's sentence
	}
	return a, nil
}

func wantString(v any, what string) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("The %s argument must be a string, but was: %s", what, value.String(v)) //nolint:staticcheck // AWS's sentence
	}
	return s, nil
}

// wantInt takes any number and rounds it, half upwards as Java's Math.round does.
func wantInt(v any, what string) (int64, error) {
	if n, ok := v.(int64); ok {
		return n, nil
	}
	f, ok := value.Float(v)
	if !ok || math.Abs(f) > math.MaxInt64/2 {
		return 0, fmt.Errorf("The %s argument must be an integer, but was: %s", what, value.String(v)) //nolint:staticcheck // AWS's sentence
	}
	return int64(math.Floor(f + 0.5)), nil
}

// format puts the arguments in the places of {}; objects and arrays are shown
// as Java shows them.
func format(_ *evaluation, args []any) (any, error) {
	tmpl, err := wantString(args[0], "first")
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	next := 1
	for i := 0; i < len(tmpl); i++ {
		switch c := tmpl[i]; {
		case c == '\\' && i+1 < len(tmpl) && strings.IndexByte(`\{}`, tmpl[i+1]) >= 0:
			i++
			b.WriteByte(tmpl[i])
		case c == '{' && i+1 < len(tmpl) && tmpl[i+1] == '}':
			if next == len(args) {
				return nil, errors.New("the template has more {} than there are arguments")
			}
			b.WriteString(value.Java(args[next]))
			next++
			i++
		case c == '{':
			return nil, errors.New("matching '}' not found for '{'")
		default:
			b.WriteByte(c)
		}
	}
	if next != len(args) {
		return nil, errors.New("the number of {} in the template does not match the number of arguments")
	}
	return b.String(), nil
}

func stringToJSON(_ *evaluation, args []any) (any, error) {
	if args[0] == nil {
		return nil, nil
	}
	s, err := wantString(args[0], "first")
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	if len(s) > maxStringJSON {
		return nil, errors.New("the text is too long")
	}
	v, err := value.Parse([]byte(s))
	if err != nil {
		return nil, fmt.Errorf("Invalid JSON: %w", err) //nolint:staticcheck // as AWS's
	}
	return v, nil
}

func arrayPartition(_ *evaluation, args []any) (any, error) {
	a, err := wantArray(args[0], "first")
	if err != nil {
		return nil, err
	}
	n, err := wantInt(args[1], "second")
	if err != nil {
		return nil, err
	}
	if n <= 0 {
		return nil, errors.New("The chunk size must be a positive number") //nolint:staticcheck // as AWS's
	}
	out := []any{}
	for int64(len(a)) > n {
		out = append(out, append([]any(nil), a[:n]...))
		a = a[n:]
	}
	if len(a) > 0 {
		out = append(out, append([]any(nil), a...))
	}
	return out, nil
}

func arrayContains(_ *evaluation, args []any) (any, error) {
	a, err := wantArray(args[0], "first")
	if err != nil {
		return nil, err
	}
	for _, e := range a {
		if value.Equal(e, args[1]) {
			return true, nil
		}
	}
	return false, nil
}

func arrayRange(_ *evaluation, args []any) (any, error) {
	var n [3]int64
	for i, what := range []string{"first", "second", "third"} {
		var err error
		if n[i], err = wantInt(args[i], what); err != nil {
			return nil, err
		}
	}
	first, last, step := n[0], n[1], n[2]
	if step == 0 {
		return nil, errors.New("The step argument must not be zero") //nolint:staticcheck // as AWS's
	}
	if count := (float64(last)-float64(first))/float64(step) + 1; count > maxRange {
		return nil, fmt.Errorf("The array must not hold more than %d items", maxRange) //nolint:staticcheck // as AWS's
	}
	out := []any{}
	for x := first; step > 0 && x <= last || step < 0 && x >= last; x += step {
		out = append(out, x)
	}
	return out, nil
}

func arrayGetItem(_ *evaluation, args []any) (any, error) {
	a, err := wantArray(args[0], "first")
	if err != nil {
		return nil, err
	}
	n, err := wantInt(args[1], "second")
	if err != nil {
		return nil, err
	}
	if n < 0 || n >= int64(len(a)) {
		return nil, fmt.Errorf("Index %d out of bounds for length %d", n, len(a)) //nolint:staticcheck // Java's sentence
	}
	return a[n], nil
}

func arrayLength(_ *evaluation, args []any) (any, error) {
	a, err := wantArray(args[0], "first")
	return int64(len(a)), err
}

func arrayUnique(_ *evaluation, args []any) (any, error) {
	a, err := wantArray(args[0], "first")
	if err != nil {
		return nil, err
	}
	seen := make(map[string][]any, len(a))
	out := []any{}
next:
	for _, e := range a {
		key := canonical(e)
		for _, s := range seen[key] {
			if value.Equal(s, e) {
				continue next
			}
		}
		seen[key] = append(seen[key], e)
		out = append(out, e)
	}
	return out, nil
}

// canonical is the same text for values that are equal; others may share it.
func canonical(v any) string {
	switch x := v.(type) {
	case *value.Object:
		keys := append([]string(nil), x.Keys()...)
		sort.Strings(keys)
		return "{" + strings.Join(keys, "\x00")
	case []any:
		return fmt.Sprintf("[%d", len(x))
	}
	if f, ok := value.Float(v); ok {
		return fmt.Sprint(f)
	}
	return value.String(v)
}

func base64Encode(_ *evaluation, args []any) (any, error) {
	s, err := wantString(args[0], "first")
	if err != nil {
		return nil, err
	}
	if utf8.RuneCountInString(s) > maxBase64 {
		return nil, fmt.Errorf("The text must not be longer than %d characters", maxBase64) //nolint:staticcheck // as AWS's
	}
	return base64.StdEncoding.EncodeToString([]byte(s)), nil
}

func base64Decode(_ *evaluation, args []any) (any, error) {
	s, err := wantString(args[0], "first")
	if err != nil {
		return nil, err
	}
	if utf8.RuneCountInString(s) > maxBase64 {
		return nil, fmt.Errorf("The text must not be longer than %d characters", maxBase64) //nolint:staticcheck // as AWS's
	}
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		if raw, err = base64.RawStdEncoding.DecodeString(s); err != nil {
			return nil, errors.New("The text is not valid Base64") //nolint:staticcheck // as AWS's
		}
	}
	return strings.ToValidUTF8(string(raw), "\uFFFD"), nil
}

func hash(_ *evaluation, args []any) (any, error) {
	s, isText := args[0].(string)
	if !isText {
		s = value.String(args[0])
	}
	if utf8.RuneCountInString(s) > maxHashInput {
		return nil, fmt.Errorf("The data must not be longer than %d characters", maxHashInput) //nolint:staticcheck // as AWS's
	}
	algorithm, err := wantString(args[1], "second")
	if err != nil {
		return nil, err
	}
	h, ok := jsonata.Hash(s, algorithm)
	if !ok {
		return nil, fmt.Errorf("The algorithm '%s' is not one of MD5, SHA-1, SHA-256, SHA-384, SHA-512", algorithm) //nolint:staticcheck // as AWS's
	}
	return h, nil
}

func jsonMerge(_ *evaluation, args []any) (any, error) {
	a, ok1 := args[0].(*value.Object)
	b, ok2 := args[1].(*value.Object)
	deep, ok3 := args[2].(bool)
	if !ok1 || !ok2 || !ok3 {
		return nil, errors.New("The arguments must be two objects and a boolean") //nolint:staticcheck // as AWS's
	}
	if deep {
		return nil, errors.New("Deep merging is not supported: the third argument must be false") //nolint:staticcheck // as AWS's
	}
	out := a.Clone()
	for i := range b.Len() {
		k, v := b.At(i)
		out.Set(k, v)
	}
	return out, nil
}

func mathRandom(e *evaluation, args []any) (any, error) {
	from, err := wantInt(args[0], "first")
	if err != nil {
		return nil, err
	}
	to, err := wantInt(args[1], "second")
	if err != nil {
		return nil, err
	}
	if from >= to {
		return nil, errors.New("The start must be less than the end") //nolint:staticcheck // as AWS's
	}
	if len(args) == 3 {
		seed, err := wantInt(args[2], "third")
		if err != nil {
			return nil, err
		}
		return from + rand.New(rand.NewPCG(uint64(seed), 0)).Int64N(to-from), nil
	}
	return from + int64(e.random()*float64(to-from)), nil
}

func mathAdd(_ *evaluation, args []any) (any, error) {
	a, err := wantInt(args[0], "first")
	if err != nil {
		return nil, err
	}
	b, err := wantInt(args[1], "second")
	if err != nil {
		return nil, err
	}
	return a + b, nil
}

// stringSplit splits at any of the characters of the second argument; empty
// parts are left out.
func stringSplit(_ *evaluation, args []any) (any, error) {
	s, err := wantString(args[0], "first")
	if err != nil {
		return nil, err
	}
	sep, err := wantString(args[1], "second")
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, part := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(sep, r) }) {
		out = append(out, part)
	}
	if sep == "" && s != "" {
		return []any{s}, nil
	}
	return out, nil
}
