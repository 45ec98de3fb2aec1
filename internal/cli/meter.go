package cli

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"charm.land/bubbles/v2/progress"

	"github.com/bartizan-security/bartizan/collect"
	"github.com/bartizan-security/bartizan/detect"
)

// meter shows how far a collection or a run over logs is: a bar that redraws itself on a terminal,
// a plain line now and then elsewhere.
type meter struct {
	app   *App
	bar   *progress.Model
	mu    sync.Mutex
	last  time.Time
	drawn bool
	slow  bool
}

func newMeter(a *App) *meter {
	m := &meter{app: a, last: a.Now()}
	if !a.quiet && isTerminal(a.Stderr) {
		bar := progress.New(progress.WithWidth(barWidth))
		m.bar = &bar
	}
	return m
}

const (
	redrawEvery = 100 * time.Millisecond
	lineEvery   = 10 * time.Second
	barWidth    = 30
)

func (m *meter) show(p collect.Progress) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p.Slowed && !m.slow {
		m.slow = true
		m.clear()
		m.app.notef("AWS asks for patience; reading more slowly")
	}
	// Accounts that are not begun count as much as the average of those begun.
	share := 0.0
	if p.Accounts > 0 && p.Units > 0 {
		begun := max(1, min(p.Accounts, p.AccountsDone+1))
		share = float64(p.UnitsDone) / float64(p.Units) * float64(begun) / float64(p.Accounts)
	}
	text := fmt.Sprintf("%d resources", p.Resources)
	if p.Accounts > 1 {
		text = fmt.Sprintf("account %s (%d of %d), ", p.Account, p.AccountsDone+1, p.Accounts) + text
	}
	if p.Doing != "" {
		text += ", " + p.Doing
	}
	m.draw(share, text)
}

// detected shows how far a run over logs is.
func (m *meter) detected(done, sources int, s detect.Stats) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.draw(float64(done)/float64(max(sources, 1)), fmt.Sprintf("%d of %d files, %d events, %d matches", done, sources, s.Events, s.Matches))
}

// learned shows the same where nothing is matched.
func (m *meter) learned(done, sources int, s detect.Stats) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.draw(float64(done)/float64(max(sources, 1)), fmt.Sprintf("%d of %d files, %d events", done, sources, s.Events))
}

// draw shows a share of the work, from 0 to 1, if the last time is long enough ago.
func (m *meter) draw(share float64, text string) {
	if m.app.quiet {
		return
	}
	every := lineEvery
	if m.bar != nil {
		every = redrawEvery
	}
	now := m.app.Now()
	if now.Sub(m.last) < every {
		return
	}
	m.last = now
	if m.bar == nil {
		m.app.notef("%3.0f%% %s", share*100, text)
		return
	}
	text = text[:min(len(text), 90)]
	fmt.Fprintf(m.app.Stderr, "\r%s %s\x1b[K", m.view(share), text)
	m.drawn = true
}

// view draws the bar, with plain characters where colour is not wanted.
func (m *meter) view(share float64) string {
	if m.app.colorFor(m.app.Stderr) {
		return m.bar.ViewAs(share)
	}
	full := int(max(0, min(1, share)) * barWidth)
	return fmt.Sprintf("%s%s %3.0f%%", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), share*100)
}

func (m *meter) clear() {
	if m.drawn {
		fmt.Fprint(m.app.Stderr, "\r\x1b[K")
		m.drawn = false
	}
}

// done takes the bar away.
func (m *meter) done() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clear()
}

// gapSummary warns of what could not be read, the most frequent first.
func (a *App) gapSummary(s *collect.Summary) {
	const most = 15
	var denied int
	shown := 0
	for _, g := range s.Gaps {
		switch g.Code {
		case collect.CodeManagementOnly:
			a.notef("organization policies: %s", g.Reason)
			continue
		case collect.CodeCanceled:
			continue // said once, for all
		}
		if g.Permission != "" {
			denied++
		}
		if shown++; shown > most {
			continue
		}
		switch {
		case g.Permission != "":
			a.warnf("%s was denied %s: allow %s", g.Operation, times(g.Count), g.Permission)
		default:
			a.warnf("%s failed %s: %s", g.Operation, times(g.Count), strings.TrimPrefix(g.Code+": "+g.Reason, ": "))
		}
	}
	if shown > most {
		a.warnf("… and %d more operations failed", shown-most)
	}
	if denied > 0 {
		a.notef("'bartizan doctor --policy' prints the least policy that collecting needs")
	}
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
