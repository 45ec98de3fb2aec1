package jmes

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const document = `{
	"NextMarker": "", "Contents": [{"Key": "a"}, {"Key": "b"}],
	"Reservations": [{"Instances": [{"State": {"Name": "running"}}, {"State": {"Name": "stopped"}}]}, {"Instances": [{"State": {"Name": "running"}}]}],
	"services": [{"runningCount": 2, "desiredCount": 2, "deployments": [1]}, {"runningCount": 1, "desiredCount": 2, "deployments": [1]}],
	"status": "ACTIVE", "n": 3, "empty": [], "Deep": {"Shards": [{"Id": "x"}, {"Id": "y"}]}, "tags": {"b": 1, "a": 2}
}`

func TestSearch(t *testing.T) {
	var doc any
	if err := json.Unmarshal([]byte(document), &doc); err != nil {
		t.Fatal(err)
	}
	for expression, want := range map[string]string{
		"status":                                     `"ACTIVE"`,
		"missing.field":                              `null`,
		"Contents[-1].Key":                           `"b"`,
		"NextMarker || Contents[-1].Key":             `"b"`,
		"Deep.Shards[0].Id":                          `"x"`,
		"Deep.Shards[].Id":                           `["x","y"]`,
		"Reservations[].Instances[].State.Name":      `["running","stopped","running"]`,
		"Reservations[*].Instances[*].State.Name":    `[["running","stopped"],["running"]]`,
		"length(Reservations[]) > `0`":               `true`,
		"length(empty) == `0`":                       `true`,
		"length(missing) == `0`":                     `false`,
		"status != 'DELETING'":                       `true`,
		"status != 'ACTIVE' && status != 'STOPPING'": `false`,
		"contains(Contents[].Key, 'b')":              `true`,
		"n >= `3`":                                   `true`,
		"tags.*":                                     `[2,1]`,
		"Reservations[0].*.State":                    `[]`,
		"Deep.*[].Id":                                `["x","y"]`,
		"keys(tags)":                                 `["a","b"]`,
		"@.n":                                        `3`,
		"Contents[?Key == 'a'].Key":                  `["a"]`,
		"services[?!(length(deployments) == `1` && runningCount == desiredCount)].runningCount":   `[1]`,
		"length(services[?!(length(deployments) == `1` && runningCount == desiredCount)]) == `0`": `false`,
	} {
		e, err := Compile(expression)
		if err != nil {
			t.Error(err)
			continue
		}
		var w any
		if err := json.Unmarshal([]byte(want), &w); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(w, e.Search(doc)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", expression, diff)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	for _, bad := range []string{"", "a.", "a[", "a[x]", "a[?b", "f(a)", "length()", "a b", "'open", "(a", "a ||"} {
		if _, err := Compile(bad); err == nil {
			t.Errorf("%q compiles", bad)
		}
	}
}

func FuzzCompile(f *testing.F) {
	f.Add("Reservations[].Instances[?a == 'b'].c || d[-1] && !e")
	f.Add("length(x[?!(length(y) == `1`)]) > `0`")
	f.Fuzz(func(t *testing.T, s string) {
		if e, err := Compile(s); err == nil {
			e.Search(map[string]any{"a": []any{map[string]any{"b": "c"}}})
		}
	})
}
