package derive_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/detect/derive"
	"github.com/bartizan-security/bartizan/detect/event"
)

const own, stranger, other = "111122223333", "999988887777", "199988887777"

// schema has every derived field.
func schema(inputs bool) *event.Schema {
	var paths []string
	for _, f := range derive.Fields() {
		paths = append(paths, f.Path)
	}
	if inputs {
		paths = append(paths, derive.Inputs()...)
	}
	return event.NewDerivedSchema(derive.Find, paths...)
}

func parse(t *testing.T, record string) *event.Event {
	t.Helper()
	e, err := event.Parse(schema(true), event.CloudTrail, []byte(record))
	if err != nil {
		t.Fatalf("%v in %s", err, record)
	}
	return e
}

// call is a record of an EC2 call with these request parameters and this answer.
func call(source, name, request, response string) string {
	if response == "" {
		response = "null"
	}
	return `{"eventVersion":"1.11","eventSource":"` + source + `.amazonaws.com","eventName":"` + name +
		`","recipientAccountId":"` + own + `","requestParameters":` + request + `,"responseElements":` + response + `}`
}

// get returns the values of a field, joined by blanks; a row of ports as 1-9.
func get(e *event.Event, path string) string {
	vs := e.Lookup(path)
	var out []string
	for i := 0; i < len(vs); i++ {
		from := i
		for vs[i].Kind == event.Number && i+1 < len(vs) && next(vs[i].String()) == vs[i+1].String() {
			i++
		}
		if i > from {
			out = append(out, vs[from].String()+"-"+vs[i].String())
		} else {
			out = append(out, vs[i].String())
		}
	}
	return strings.Join(out, " ")
}

// next is the number after a number.
func next(n string) string {
	digits := []byte("0" + n)
	for i := len(digits) - 1; ; i-- {
		if digits[i]++; digits[i] <= '9' {
			break
		}
		digits[i] = '0'
	}
	return strings.TrimPrefix(string(digits), "0")
}

// Every field has a name, a line of documentation, and a function.
func TestFields(t *testing.T) {
	var seen []string
	for _, f := range derive.Fields() {
		if !strings.HasPrefix(f.Path, event.DerivedPrefix) || f.Doc == "" || strings.Contains(f.Doc, "\n") || slices.Contains(seen, f.Path) {
			t.Errorf("field %q: %q", f.Path, f.Doc)
		}
		if derive.Find(f.Path) == nil {
			t.Errorf("%s is not found", f.Path)
		}
		seen = append(seen, f.Path)
	}
	if derive.Find("bartizan.policy") != nil || derive.Find("eventName") != nil {
		t.Error("a field is found that is none")
	}
}

// What is not a call of CloudTrail's has no derived fields.
func TestOtherRecords(t *testing.T) {
	request := `{"ipPermissions":{"items":[{"ipProtocol":"-1","ipRanges":{"items":[{"cidrIp":"0.0.0.0/0"}]}}]}}`
	for _, kind := range []event.Kind{event.GuardDuty, event.Unknown} {
		e, err := event.Parse(schema(true), kind, []byte(call("ec2", "AuthorizeSecurityGroupIngress", request, "")))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range derive.Fields() {
			if got := get(e, f.Path); got != "" {
				t.Errorf("%s of a record of %q: %q", f.Path, kind, got)
			}
		}
	}
	// The fields are the same whether the schema holds what they are read from.
	e, err := event.Parse(schema(false), event.CloudTrail, []byte(call("ec2", "AuthorizeSecurityGroupIngress", request, "")))
	if err != nil {
		t.Fatal(err)
	}
	if got := get(e, "bartizan.internet.inbound.port"); got != "0-65535" {
		t.Errorf("a schema without the inputs: %q", got)
	}
}

// docs/sigma.md lists the fields as they are.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/sigma.md")
	if err != nil {
		t.Fatal(err)
	}
	want := "| field | values |\n|---|---|\n"
	for _, f := range derive.Fields() {
		want += "| `" + f.Path + "` | " + f.Doc + " |\n"
	}
	if !strings.Contains(string(text), "\n"+want+"\n") {
		t.Errorf("docs/sigma.md must hold this table:\n%s", want)
	}
}
