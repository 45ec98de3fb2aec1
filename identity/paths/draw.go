package paths

import (
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"
	"unicode"
)

// drawing is a report as a graph: principals, and hops between them.
type drawing struct {
	boxes []*box
	lines []*line
	left  int // principals that are not drawn
}

type box struct {
	key    string
	label  string // name
	detail string // account, and what was gained
	full   string // ARN
	kind   string // user, role, goal
	rank   int    // hops to the goal
	goal   bool
	row    int
}

type line struct {
	from, to *box
	ids      []string
	certain  bool
}

// mostBoxes bounds what is drawn: a picture of more can nobody read.
const mostBoxes = 400

// drawing collects the boxes and lines of a report, in a fixed order.
func (r *Report) drawing() *drawing {
	d := &drawing{}
	byKey := map[string]*box{}
	lines := map[[2]*box]*line{}
	target := &box{key: "\x00goal", label: "administrator", kind: "goal", goal: true}
	if r.Goal.Resource != "" {
		target.label, target.full = shortARN(r.Goal.Resource), r.Goal.Resource
	}
	skipped := map[string]bool{}
	get := func(arn, gain string, rank int) *box {
		key := arn + "\x00" + gain
		b := byKey[key]
		if b == nil {
			b = &box{key: key, label: shortARN(arn), full: arn, detail: accountOf(arn), kind: kindOf(arn), rank: rank}
			switch {
			case strings.HasPrefix(gain, "the policies of "):
				b.detail += " + " + shortARN(strings.TrimPrefix(gain, "the policies of "))
			case gain != "":
				b.detail += " + added policy"
			}
			byKey[key] = b
			d.boxes = append(d.boxes, b)
		}
		b.rank = max(b.rank, rank)
		return b
	}
	connect := func(from, to *box, ids []string, certain bool) {
		l := lines[[2]*box{from, to}]
		if l == nil {
			l = &line{from: from, to: to, ids: ids, certain: certain}
			lines[[2]*box{from, to}] = l
			d.lines = append(d.lines, l)
		}
		l.certain = l.certain || certain
	}
	for i := range r.Paths {
		p := &r.Paths[i]
		if len(d.boxes)+len(p.Hops)+1 > mostBoxes {
			skipped[p.From] = true
			continue
		}
		at := get(p.From, "", len(p.Hops))
		for j := range p.Hops {
			h := &p.Hops[j]
			to := get(h.To, h.Gain, len(p.Hops)-1-j)
			var ids []string
			certain := false
			for _, w := range h.Ways {
				ids = append(ids, w.ID)
				certain = certain || w.Certain
			}
			connect(at, to, ids, certain && p.Certain)
			at = to
		}
		connect(at, target, nil, p.Certain)
	}
	if len(d.boxes) > 0 {
		target.rank = -1
		d.boxes = append(d.boxes, target)
	}
	d.left = len(skipped)
	return d
}

// shortARN is the last part of an ARN's resource.
func shortARN(arn string) string {
	f := strings.SplitN(arn, ":", 6)
	if len(f) < 6 {
		return arn
	}
	return f[5]
}

func accountOf(arn string) string {
	f := strings.SplitN(arn, ":", 6)
	if len(f) < 6 {
		return ""
	}
	return f[4]
}

func kindOf(arn string) string {
	kind, _, _ := strings.Cut(shortARN(arn), "/")
	return kind
}

// WriteDOT writes the graph of a report in the language of Graphviz.
func (r *Report) WriteDOT(w io.Writer) error {
	d := r.drawing()
	var b strings.Builder
	b.WriteString("digraph paths {\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n")
	number := map[*box]int{}
	for i, x := range d.boxes {
		number[x] = i
		label := x.label
		if x.detail != "" {
			label += "\n" + x.detail
		}
		style := ""
		if x.goal {
			style = ", style=\"rounded,bold\""
		}
		fmt.Fprintf(&b, "  n%d [label=%s%s];\n", i, dotQuote(label), style)
	}
	for _, l := range d.lines {
		style := ""
		if !l.certain {
			style = ", style=dashed"
		}
		fmt.Fprintf(&b, "  n%d -> n%d [label=%s%s];\n", number[l.from], number[l.to], dotQuote(strings.Join(l.ids, "\n")), style)
	}
	if d.left > 0 {
		fmt.Fprintf(&b, "  more [shape=plaintext, label=%s];\n", dotQuote(fmt.Sprintf("%d more principals are not drawn", d.left)))
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// dotQuote makes a quoted string of DOT; a line feed becomes a new line of the
// label.
func dotQuote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteString("\\" + string(c))
		case c == '\n':
			b.WriteString("\\n")
		case !unicode.IsPrint(c):
			b.WriteByte('?')
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Sizes of the picture, in pixels.
const (
	boxWidth, boxHeight = 240, 44
	gapX, gapY          = 150, 18
	margin              = 24
)

// WriteSVG writes the graph of a report as one self-contained picture: sources
// on the left, the goal on the right, dashed lines for what is only possible.
func (r *Report) WriteSVG(w io.Writer) error {
	d := r.drawing()
	columns := d.layout()
	rows := 1
	for _, c := range columns {
		rows = max(rows, len(c))
	}
	width := 2*margin + max(1, len(columns))*(boxWidth+gapX) - gapX
	height := 2*margin + rows*(boxHeight+gapY) + 20
	x := func(b *box) int { return margin + (len(columns)-2-b.rank)*(boxWidth+gapX) }
	y := func(b *box) int {
		free := rows - len(columns[len(columns)-2-b.rank])
		return margin + b.row*(boxHeight+gapY) + free*(boxHeight+gapY)/2
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" font-family="system-ui, sans-serif" font-size="13">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n", xmlText(r.title()))
	b.WriteString(`<style>
.b{fill:#fff;stroke:#57606a}.g{fill:#ffebe9;stroke:#cf222e;stroke-width:2}.t{fill:#1f2328}.d{fill:#57606a;font-size:11px}
.l{fill:none;stroke:#cf222e;stroke-width:1.5}.p{fill:none;stroke:#9a6700;stroke-width:1.5;stroke-dasharray:5 4}.i{fill:#57606a;font-size:10px;paint-order:stroke;stroke:#fff;stroke-width:4px}
@media (prefers-color-scheme:dark){svg{background:#0d1117}.b{fill:#161b22;stroke:#8b949e}.g{fill:#3d1418}.t{fill:#e6edf3}.d,.i{fill:#8b949e}.i{stroke:#0d1117}}
</style>
<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="context-stroke"/></marker></defs>
`)
	for _, l := range d.lines {
		x1, y1 := x(l.from)+boxWidth, y(l.from)+boxHeight/2
		x2, y2 := x(l.to), y(l.to)+boxHeight/2
		if x2 <= x1-boxWidth {
			x1, x2 = x(l.from), x(l.to)+boxWidth // a hop within the column or back
		}
		class := "l"
		if !l.certain {
			class = "p"
		}
		fmt.Fprintf(&b, `<path class="%s" marker-end="url(#a)" d="M%d %dC%d %d %d %d %d %d"/>`+"\n", class, x1, y1, (x1+x2)/2, y1, (x1+x2)/2, y2, x2, y2)
	}
	for _, l := range d.lines {
		if len(l.ids) == 0 {
			continue
		}
		label := l.ids[0]
		if n := len(l.ids) - 1; n > 0 {
			label += " +" + strconv.Itoa(n)
		}
		fmt.Fprintf(&b, `<text class="i" x="%d" y="%d" text-anchor="middle">%s<title>%s</title></text>`+"\n",
			(x(l.from)+boxWidth+x(l.to))/2, (y(l.from)+y(l.to)+boxHeight)/2-4, xmlText(label), xmlText(strings.Join(l.ids, ", ")))
	}
	for _, n := range d.boxes {
		class := "b"
		if n.goal {
			class = "g"
		}
		fmt.Fprintf(&b, `<g><title>%s</title><rect class="%s" x="%d" y="%d" width="%d" height="%d" rx="6"/>`, xmlText(n.full), class, x(n), y(n), boxWidth, boxHeight)
		fmt.Fprintf(&b, `<text class="t" x="%d" y="%d">%s</text><text class="d" x="%d" y="%d">%s</text></g>`+"\n",
			x(n)+10, y(n)+18, xmlText(clip(n.label, 32)), x(n)+10, y(n)+34, xmlText(clip(n.detail, 36)))
	}
	note := "solid: certain, dashed: possible"
	if len(d.boxes) == 0 {
		note = "no path was found"
	} else if d.left > 0 {
		note += fmt.Sprintf("; %d more principals are not drawn", d.left)
	}
	fmt.Fprintf(&b, `<text class="d" x="%d" y="%d">%s</text>`+"\n</svg>\n", margin, height-12, xmlText(note))
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) title() string {
	if r.Goal.Resource != "" {
		return "Escalation paths to " + r.Goal.Resource
	}
	return "Escalation paths to an administrator"
}

// layout puts the boxes into columns by their distance from the goal, farthest
// first, and orders each column by where its lines lead.
func (d *drawing) layout() [][]*box {
	most := -2
	for _, b := range d.boxes {
		most = max(most, b.rank)
	}
	if most == -2 {
		return nil
	}
	columns := make([][]*box, most+2)
	next := map[*box][]*box{}
	for _, l := range d.lines {
		next[l.from] = append(next[l.from], l.to)
	}
	for _, b := range d.boxes {
		i := most - b.rank
		columns[i] = append(columns[i], b)
	}
	for i := len(columns) - 1; i >= 0; i-- {
		place := map[*box]int{}
		for _, b := range columns[i] {
			sum, n := 0, 0
			for _, t := range next[b] {
				sum, n = sum+t.row*100, n+1
			}
			if n > 0 {
				place[b] = sum / n
			}
		}
		sort.SliceStable(columns[i], func(x, y int) bool {
			a, b := columns[i][x], columns[i][y]
			if place[a] != place[b] {
				return place[a] < place[b]
			}
			return a.key < b.key
		})
		for row, b := range columns[i] {
			b.row = row
		}
	}
	return columns
}

func clip(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// xmlText escapes a text for XML, and drops what XML does not allow.
func xmlText(s string) string {
	var b strings.Builder
	for _, c := range s {
		switch {
		case c == '&':
			b.WriteString("&amp;")
		case c == '<':
			b.WriteString("&lt;")
		case c == '>':
			b.WriteString("&gt;")
		case c == '"':
			b.WriteString("&quot;")
		case !unicode.IsPrint(c):
			b.WriteByte('?')
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}
