package lint

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of checks into docs/iam-lint.md")

// The table in docs/iam-lint.md lists every check as it is.
func TestDocumentation(t *testing.T) {
	const file, begin, end = "../../docs/iam-lint.md", "<!-- checks -->\n", "<!-- /checks -->"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| code | type | fires when |\n|---|---|---|\n")
	for _, c := range Checks() {
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", c.Code, c.Type, c.When)
	}
	head, rest, ok := strings.Cut(string(b), begin)
	got, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", file)
	}
	if got == table.String() {
		return
	}
	if !*update {
		t.Fatalf("the table in %s is not up to date; run the test with -update", file)
	}
	if err := os.WriteFile(file, []byte(head+begin+table.String()+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestChecksAreWellFormed(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Checks() {
		if seen[c.Code] {
			t.Errorf("%s is there twice", c.Code)
		}
		seen[c.Code] = true
		if c.Code != strings.ToUpper(c.Code) || c.When == "" || strings.HasSuffix(c.When, ".") {
			t.Errorf("malformed check %+v", c)
		}
		if c.Own() && c.Type != Suggestion {
			t.Errorf("%s: our own checks are suggestions", c.Code)
		}
	}
}
