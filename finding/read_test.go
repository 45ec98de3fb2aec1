package finding_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/finding"
)

func TestRead(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"a document", `{"report":{},"findings":[{"ruleId":"a"},{"ruleId":"b"}],"summary":{}}`, "a b"},
		{"a document without findings is fine if it says so", `{"report":{},"findings":[]}`, ""},
		{"members in any order", `{"summary":{},"findings":[{"ruleId":"a"}],"report":{}}`, "a"},
		{"lines", "{\"ruleId\":\"a\"}\n{\"ruleId\":\"b\"}\n", "a b"},
		{"lines of a report without findings", "", ""},
		{"foreign JSON", `{"Records":[]}`, "error: value 1 is no finding"},
		{"an array", `[]`, "error: byte 1: want {"},
		{"not JSON", "<html>", "error: byte 0: invalid character '<'"},
		{"a truncated document", `{"report":{},"findings":[{"ruleId":"a"}`, "error: it is truncated"},
		{"a document cut within a finding", `{"report":{},"findings":[{"ruleId":"a`, "error: it is truncated"},
		{"a line cut short", "{\"ruleId\":\"a\"}\n{\"ruleId\":", "error: it is truncated"},
		{"two reports in one file", `{"report":{},"findings":[]}{"report":{}}`, "error: byte 28: something follows"},
		{"a finding of another shape", `{"report":{},"findings":[{"ruleId":1}]}`, "error: byte 37: json: cannot unmarshal number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			err := finding.Read(strings.NewReader(c.in), func(f *finding.Finding) error {
				got = append(got, f.RuleID)
				return nil
			})
			if want, ok := strings.CutPrefix(c.want, "error: "); ok {
				if !errors.Is(err, finding.ErrNotReport) || !strings.Contains(err.Error(), want) {
					t.Fatalf("error %v, want ErrNotReport with %q", err, want)
				}
				return
			}
			if err != nil || !slices.Equal(got, strings.Fields(c.want)) {
				t.Fatalf("got %v, %v; want %s", got, err, c.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(`{"report":{},"findings":[{"ruleId":"a","evidence":[{"path":"x","value":[1]}]}]}`)
	f.Add("{\"report\":{}}\n{\"ruleId\":\"a\"}\n{\"summary\":{}}\n")
	f.Fuzz(func(t *testing.T, in string) {
		err := finding.Read(strings.NewReader(in), func(*finding.Finding) error { return nil })
		if err != nil && !errors.Is(err, finding.ErrNotReport) {
			t.Errorf("error is no ErrNotReport: %v", err)
		}
	})
}
