package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/bartizan-security/bartizan/asl"
)

// aslView shows an execution's states on standard error: on a terminal a line
// that always shows what is under way, elsewhere plain lines.
type aslView struct {
	w      io.Writer
	off    bool
	live   bool
	color  bool
	active []string
	count  int
}

func newASLView(a *App, _ *asl.Machine) *aslView {
	return &aslView{w: a.Stderr, off: a.quiet, live: isTerminal(a.Stderr), color: a.colorFor(a.Stderr)}
}

func (v *aslView) paint(code, s string) string {
	if !v.color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

const mostViewLines = 2000

func (v *aslView) event(e asl.Event) {
	if v.off || e.Internal || e.Child != "" {
		return
	}
	at := e.Time.Format("15:04:05")
	line := ""
	switch {
	case strings.HasSuffix(e.Type, "StateEntered"):
		v.active = append(v.active, e.Name)
		line = fmt.Sprintf("%s  %s %s", at, v.paint("36", "▸"), e.Name)
	case strings.HasSuffix(e.Type, "StateExited"):
		v.leave(e.Name)
		line = fmt.Sprintf("%s  %s %s", at, v.paint("32", "✓"), e.Name)
	case strings.HasSuffix(e.Type, "TimedOut"), strings.HasSuffix(e.Type, "Failed") && e.Type != "ExecutionFailed":
		line = fmt.Sprintf("%s  %s %s %s", at, v.paint("31", "✗"), e.Type, e.Error)
	case strings.HasSuffix(e.Type, "Submitted"):
		line = fmt.Sprintf("%s  … %s", at, e.Type)
	}
	if v.live {
		fmt.Fprint(v.w, "\r\x1b[K")
	}
	if v.count++; line != "" && v.count <= mostViewLines {
		fmt.Fprintln(v.w, printableLine(line))
	}
	if v.live && len(v.active) > 0 {
		fmt.Fprintf(v.w, "under way: %s", printableASL(strings.Join(v.active[max(0, len(v.active)-3):], ", ")))
	}
}

// printableLine keeps the view's own colours and takes out everything else
// that would drive a terminal.
func printableLine(s string) string {
	const mark = "\uE000"
	s = strings.ReplaceAll(s, mark, "")
	for _, code := range []string{"31", "32", "36", "0"} {
		s = strings.ReplaceAll(s, "\x1b["+code+"m", mark+code+mark)
	}
	s = printableASL(s)
	for _, code := range []string{"31", "32", "36", "0"} {
		s = strings.ReplaceAll(s, mark+code+mark, "\x1b["+code+"m")
	}
	return s
}

func (v *aslView) leave(name string) {
	for i := len(v.active) - 1; i >= 0; i-- {
		if v.active[i] == name {
			v.active = append(v.active[:i], v.active[i+1:]...)
			return
		}
	}
}

func (v *aslView) close() {
	if v.live && !v.off {
		fmt.Fprint(v.w, "\r\x1b[K")
	}
}
