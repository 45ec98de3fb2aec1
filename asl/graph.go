package asl

import (
	"fmt"
	"html"
	"strings"
)

// Graph draws the machine: format is "mermaid", "dot" or "svg".
func Graph(m *Machine, format string) (string, error) {
	switch format {
	case "mermaid":
		return mermaid(m), nil
	case "dot":
		return dot(m), nil
	case "svg":
		return svg(m), nil
	}
	return "", fmt.Errorf("draw graph: unknown format %q; want mermaid, dot or svg", format)
}

// nodeIDs numbers the states, because their names may hold anything.
func nodeIDs(m *Machine) map[string]string {
	ids := make(map[string]string, len(m.order))
	for i, n := range m.order {
		ids[n] = fmt.Sprintf("s%d", i)
	}
	return ids
}

// flows visits every flow with the state it belongs to (nil for the machine).
func (f *flow) flows(visit func(f *flow, inside *state, label string)) {
	for _, n := range f.names {
		s := f.states[n]
		for i, br := range s.branches {
			visit(br, s, fmt.Sprintf("%s: branch %d", s.name, i+1))
			br.flows(visit)
		}
		if s.processor != nil {
			visit(s.processor, s, s.name+": each item")
			s.processor.flows(visit)
		}
	}
}

func mermaidText(s string) string {
	return strings.NewReplacer(`"`, "#quot;", "\n", " ", "<", "#lt;", ">", "#gt;").Replace(s)
}

func mermaid(m *Machine) string {
	ids := nodeIDs(m)
	var b strings.Builder
	b.WriteString("flowchart TD\n")
	n := 0
	write := func(f *flow, indent, start string) {
		for _, name := range f.names {
			s := f.states[name]
			left, right := `["`, `"]`
			switch s.typ {
			case "Choice":
				left, right = `{"`, `"}`
			case "Succeed", "Fail":
				left, right = `(["`, `"])`
			}
			fmt.Fprintf(&b, "%s%s%s%s: %s%s\n", indent, ids[name], left, mermaidText(name), s.typ, right)
		}
		for _, name := range f.names {
			for _, e := range f.states[name].edges() {
				arrow := "-->"
				if e.label != "" {
					arrow += `|"` + mermaidText(e.label) + `"|`
				}
				fmt.Fprintf(&b, "%s%s %s %s\n", indent, ids[name], arrow, ids[e.target])
			}
		}
		if start != "" {
			fmt.Fprintf(&b, "%s%s --> %s\n", indent, start, ids[f.startAt])
		}
	}
	b.WriteString("  start([\"Start\"])\n")
	write(m.root, "  ", "start")
	m.root.flows(func(f *flow, inside *state, label string) {
		n++
		fmt.Fprintf(&b, "  subgraph g%d[\"%s\"]\n", n, mermaidText(label))
		write(f, "    ", "")
		b.WriteString("  end\n")
		fmt.Fprintf(&b, "  %s -.-> %s\n", ids[inside.name], ids[f.startAt])
	})
	return b.String()
}

func dot(m *Machine) string {
	ids := nodeIDs(m)
	quote := func(s string) string {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", " ").Replace(s) + `"`
	}
	var b strings.Builder
	b.WriteString("digraph machine {\n  node [shape=box, style=rounded];\n  start [shape=circle, label=\"\"];\n")
	n := 0
	write := func(f *flow, indent string) {
		for _, name := range f.names {
			s := f.states[name]
			shape := ""
			if s.typ == "Choice" {
				shape = ", shape=diamond"
			}
			fmt.Fprintf(&b, "%s%s [label=%s%s];\n", indent, ids[name], quote(name+"\n"+s.typ), shape)
		}
		for _, name := range f.names {
			for _, e := range f.states[name].edges() {
				label := ""
				if e.label != "" {
					label = " [label=" + quote(e.label) + "]"
				}
				fmt.Fprintf(&b, "%s%s -> %s%s;\n", indent, ids[name], ids[e.target], label)
			}
		}
	}
	write(m.root, "  ")
	fmt.Fprintf(&b, "  start -> %s;\n", ids[m.root.startAt])
	m.root.flows(func(f *flow, inside *state, label string) {
		n++
		fmt.Fprintf(&b, "  subgraph cluster_%d {\n    label=%s;\n", n, quote(label))
		write(f, "    ")
		b.WriteString("  }\n")
		fmt.Fprintf(&b, "  %s -> %s [style=dashed];\n", ids[inside.name], ids[f.startAt])
	})
	b.WriteString("}\n")
	return b.String()
}

// svg lays every flow out in rows by distance from its start; the flows of a
// Parallel or Map state stand in frames below.
func svg(m *Machine) string {
	const w, h, gapX, gapY, margin = 180, 44, 30, 46, 24
	type box struct{ x, y int }
	at := map[string]box{}
	var frames, nodes, lines strings.Builder
	width, top := 0, margin
	place := func(f *flow, label string) {
		depth := map[string]int{f.startAt: 0}
		queue := []string{f.startAt}
		for len(queue) > 0 {
			n := queue[0]
			queue = queue[1:]
			for _, e := range f.states[n].edges() {
				if _, ok := depth[e.target]; !ok && f.states[e.target] != nil {
					depth[e.target] = depth[n] + 1
					queue = append(queue, e.target)
				}
			}
		}
		startY := top
		if label != "" {
			top += 30
		}
		perRow := map[int]int{}
		rows, widest := 0, 0
		for _, n := range f.names {
			d := depth[n]
			at[n] = box{margin*2 + perRow[d]*(w+gapX), top + d*(h+gapY)}
			perRow[d]++
			rows, widest = max(rows, d+1), max(widest, perRow[d])
		}
		bottom := top + rows*(h+gapY) - gapY + margin
		right := margin*2 + widest*(w+gapX)
		if label != "" {
			fmt.Fprintf(&frames, `<rect class="f" x="%d" y="%d" width="%d" height="%d" rx="8"/><text class="l" x="%d" y="%d">%s</text>`+"\n", margin, startY, right-margin, bottom-startY, margin+12, startY+20, html.EscapeString(label))
		}
		width = max(width, right+margin)
		top = bottom + margin
	}
	place(m.root, "")
	m.root.flows(func(f *flow, _ *state, label string) { place(f, label) })
	for _, n := range m.order {
		s, p := m.states[n], at[n]
		name := []rune(n)
		if len(name) > 24 {
			name = append(name[:23], '…')
		}
		fmt.Fprintf(&nodes, `<g><title>%s</title><rect class="n %s" x="%d" y="%d" width="%d" height="%d" rx="6"/><text x="%d" y="%d">%s</text><text class="t" x="%d" y="%d">%s</text></g>`+"\n",
			html.EscapeString(n), s.typ, p.x, p.y, w, h, p.x+w/2, p.y+19, html.EscapeString(string(name)), p.x+w/2, p.y+35, s.typ)
		for _, e := range s.edges() {
			to, ok := at[e.target]
			if !ok {
				continue
			}
			x1, y1, x2, y2 := p.x+w/2, p.y+h, to.x+w/2, to.y
			if to.y <= p.y {
				x1, y1, x2, y2 = p.x+w, p.y+h/2, to.x+w, to.y+h/2
				fmt.Fprintf(&lines, `<path d="M%d %d C %d %d, %d %d, %d %d" marker-end="url(#a)"><title>%s</title></path>`+"\n", x1, y1, x1+gapX, y1, x2+gapX, y2, x2, y2, html.EscapeString(e.label))
				continue
			}
			fmt.Fprintf(&lines, `<path d="M%d %d C %d %d, %d %d, %d %d" marker-end="url(#a)"><title>%s</title></path>`+"\n", x1, y1, x1, y1+gapY/2, x2, y2-gapY/2, x2, y2, html.EscapeString(e.label))
		}
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">
<style>.n{fill:#fff;stroke:#456}.Choice{fill:#fff6dd}.Fail{fill:#fde4e1}.Succeed{fill:#e2f5e5}.f{fill:none;stroke:#9ab;stroke-dasharray:4}text{text-anchor:middle;fill:#123}.t{font-size:10px;fill:#678}.l{text-anchor:start;fill:#678}path{fill:none;stroke:#789}</style>
<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#789"/></marker></defs>
%s%s%s</svg>
`, width, top, width, top, frames.String(), lines.String(), nodes.String())
}
