package catalog_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/logs"
	"github.com/bartizan-security/bartizan/finding"
)

const workFileName = "testdata/work.yml"

// workFile is testdata/work.yml, whose head explains each member.
type workFile struct {
	Principals map[string]caller `yaml:"principals"`
	Work       []work            `yaml:"work"`
}

type work struct {
	Says  string            `yaml:"says"`
	As    []string          `yaml:"as"`
	Told  map[string]string `yaml:"told,omitempty"` // rule to reason
	Steps []step            `yaml:"steps"`
}

// TestEverydayWork plays what a busy organization does on an ordinary day: no
// rule may tell of it with severity medium or worse, unless the file says why.
func TestEverydayWork(t *testing.T) {
	src, err := os.ReadFile(workFileName)
	if err != nil {
		t.Fatal(err)
	}
	var file workFile
	if err := yaml.NewDecoder(bytes.NewReader(src), yaml.Strict()).Decode(&file); err != nil {
		t.Fatalf("%s: %v", workFileName, err)
	}
	type playing struct {
		work
		who  string
		told map[string]bool // of what stands under told
	}
	var playings []playing
	played := map[string]bool{}
	s := script{now: time.Date(2020, 3, 4, 9, 0, 0, 0, time.UTC)}
	for _, w := range file.Work {
		if len(w.As) == 0 || len(w.Steps) == 0 {
			t.Errorf("%s: the work needs as and steps", w.Says)
		}
		for _, who := range w.As {
			c, ok := file.Principals[who]
			if !ok {
				t.Fatalf("%s: there is no principal %s", w.Says, who)
			}
			played[who] = true
			s.now = s.now.AddDate(0, 1, 0)
			s.number, s.caller = len(playings), c
			if err := s.play(w.Steps, 0); err != nil {
				t.Fatalf("%s: %v", w.Says, err)
			}
			playings = append(playings, playing{w, who, map[string]bool{}})
		}
	}
	for who := range file.Principals {
		if !played[who] {
			t.Errorf("nothing is played as %s", who)
		}
	}
	noise := map[string]int{}
	sources := []logs.Source{logs.FromReader(workFileName, &s.out)}
	stats, err := detect.Run(context.Background(), sources, pack(t), detect.Options{Workers: 1}, func(m *detect.Match) error {
		if m.Finding.Severity.Rank() < finding.SeverityMedium.Rank() {
			return nil
		}
		var k int
		if _, err := fmt.Sscanf(m.Finding.EventIDs[0], "%x-", &k); err != nil {
			return err
		}
		p := playings[k]
		if p.Told[m.Rule.Key()] != "" {
			p.told[m.Rule.Key()] = true
			return nil
		}
		noise[m.Rule.Key()]++
		t.Errorf("%s, as %s: %s (%s) tells of %d events", p.Says, p.who, m.Rule.Key(), m.Finding.Severity, len(m.Finding.EventIDs))
		return nil
	})
	if err != nil || stats.Malformed > 0 || stats.Events != int64(s.n) {
		t.Fatalf("%d events read of %d, %d malformed: %v", stats.Events, s.n, stats.Malformed, err)
	}
	for _, p := range playings {
		for rule := range p.Told {
			if !p.told[rule] {
				t.Errorf("%s, as %s: %s is said to tell and does not", p.Says, p.who, rule)
			}
		}
	}
	if len(noise) > 0 {
		var lines []string
		for _, rule := range slices.Sorted(maps.Keys(noise)) {
			lines = append(lines, fmt.Sprintf("%4d %s", noise[rule], rule))
		}
		t.Logf("findings of medium and worse in %d events:\n%s", s.n, strings.Join(lines, "\n"))
	}
}

const quietFileName = "testdata/quiet.yml"

// TestOrdinaryTraffic feeds the pack the other logs of an ordinary day, entry by
// entry of testdata/quiet.yml, whose head explains the members.
func TestOrdinaryTraffic(t *testing.T) {
	src, err := os.ReadFile(quietFileName)
	if err != nil {
		t.Fatal(err)
	}
	var entries []struct {
		Says  string            `yaml:"says"`
		Times int               `yaml:"times"`
		Every int               `yaml:"every"`
		Told  map[string]string `yaml:"told,omitempty"`
		Log   string            `yaml:"log"`
	}
	if err := yaml.NewDecoder(bytes.NewReader(src), yaml.Strict()).Decode(&entries); err != nil {
		t.Fatalf("%s: %v", quietFileName, err)
	}
	engine := pack(t)
	for _, e := range entries {
		t.Run(e.Says, func(t *testing.T) {
			at := time.Date(2026, 3, 4, 9, 20, 11, 0, time.UTC)
			var b strings.Builder
			for i := range e.Times {
				b.WriteString(strings.NewReplacer("{i}", fmt.Sprintf("%03d", i), "{j}", fmt.Sprint(1+i%250), "{time}", fmt.Sprint(at.Unix()),
					"{end}", fmt.Sprint(at.Unix()+60), "{iso}", at.Format(time.RFC3339)).Replace(strings.TrimRight(e.Log, "\n")) + "\n")
				at = at.Add(time.Duration(e.Every) * time.Second)
			}
			told := map[string]bool{}
			stats, err := detect.Run(context.Background(), []logs.Source{logs.FromReader(quietFileName, strings.NewReader(b.String()))}, engine, detect.Options{Workers: 1}, func(m *detect.Match) error {
				switch key := m.Rule.Key(); {
				case m.Finding.Severity.Rank() < finding.SeverityMedium.Rank():
				case e.Told[key] != "":
					told[key] = true
				default:
					t.Errorf("%s (%s) tells of it: %s", key, m.Finding.Severity, m.Finding.Reason)
				}
				return nil
			})
			if want := int64(strings.Count(b.String(), "\n")); err != nil || stats.Malformed > 0 || stats.Events != want {
				t.Errorf("%d events read of %d, %d malformed: %v", stats.Events, want, stats.Malformed, err)
			}
			for rule := range e.Told {
				if !told[rule] {
					t.Errorf("%s is said to tell and does not", rule)
				}
			}
		})
	}
}
