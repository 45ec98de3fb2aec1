package baseline

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// Day is the numbers of one day.
type Day struct {
	Day     int32 `json:"d"` // since 1970
	Events  int32 `json:"e"`
	Secrets int32 `json:"s,omitempty"` // distinct ones read
	Buckets int32 `json:"b,omitempty"`
	Refused int32 `json:"r,omitempty"` // calls
}

// Week is the events of one week.
type Week struct {
	Week  int   `json:"w"` // since 1970
	Hours Hours `json:"h"`
}

// Hours is the events of each hour of a week, kept in few bytes. Its text is their
// numbers with spaces between, "-9" for nine hours without events, and nothing for
// the last of such hours.
type Hours struct{ packed string }

// byHour is what Hours holds, Monday 00 UTC first; 65,535 stands for that many and
// more.
type byHour [hoursOfWeek]uint16

const (
	hoursOfWeek = 168
	maxHour     = math.MaxUint16
)

func byDay(a, b Day) int   { return cmp.Compare(a.Day, b.Day) }
func byWeek(a, b Week) int { return cmp.Compare(a.Week, b.Week) }

func dayOf(t time.Time) int { return int(t.Unix() / 86400) }

// weekHour is the week since 1970 and the hour in it, Monday 00 UTC first.
func weekHour(t time.Time) (week, hour int) {
	h := t.Unix()/3600 + 72 // 1970 began on a Thursday
	return int(h / hoursOfWeek), int(h % hoursOfWeek)
}

// pack keeps each number as a varint, and hours without events as 0 and how many
// they are.
func (h *byHour) pack() Hours {
	var out []byte
	none := 0
	for _, n := range h {
		if n == 0 {
			none++
			continue
		}
		if none > 0 {
			out = append(out, 0, byte(none))
			none = 0
		}
		out = binary.AppendUvarint(out, uint64(n))
	}
	return Hours{string(out)}
}

func (h Hours) unpack() (out byHour) {
	b := []byte(h.packed)
	for i := 0; len(b) > 0; {
		n, size := binary.Uvarint(b)
		if b = b[size:]; n == 0 {
			i += int(b[0])
			b = b[1:]
			continue
		}
		out[i] = uint16(n)
		i++
	}
	return out
}

// MarshalText writes the text.
func (h Hours) MarshalText() ([]byte, error) {
	var out []byte
	none := 0
	for _, n := range h.unpack() {
		if n == 0 {
			none--
			continue
		}
		if none < 0 {
			out = append(strconv.AppendInt(out, int64(none), 10), ' ')
			none = 0
		}
		out = append(strconv.AppendUint(out, uint64(n), 10), ' ')
	}
	return bytes.TrimSuffix(out, []byte(" ")), nil
}

// UnmarshalText reads the text.
func (h *Hours) UnmarshalText(text []byte) error {
	var of byHour
	i := 0
	for word := range bytes.FieldsSeq(text) {
		n, err := strconv.Atoi(string(word))
		switch {
		case err != nil || n == 0 || n > maxHour || n < -hoursOfWeek:
			return fmt.Errorf("%.20q is no number of events in an hour", word)
		case n < 0:
			i -= n
		case i < hoursOfWeek:
			of[i] = uint16(n)
			i++
		default:
			return fmt.Errorf("more than %d hours in a week", hoursOfWeek)
		}
	}
	*h = of.pack()
	return nil
}

// learnHours adds the hours of a day to their week; of the weeks that share a place the
// newest stays.
func (p *Principal) learnHours(w *window) {
	week, first := weekHour(w.at(0))
	i := slices.IndexFunc(p.Weeks, func(o Week) bool { return o.Week%weeks == week%weeks })
	if i >= 0 && p.Weeks[i].Week > week {
		return
	}
	var of byHour
	switch {
	case i < 0:
		p.Weeks = append(p.Weeks, Week{})
		i = len(p.Weeks) - 1
	case p.Weeks[i].Week == week:
		of = p.Weeks[i].Hours.unpack()
	}
	for h, here := range w.hours {
		if here != nil {
			of[first+h] = uint16(min(int(of[first+h])+here.n, maxHour))
		}
	}
	p.Weeks[i] = Week{week, of.pack()}
	slices.SortFunc(p.Weeks, byWeek)
}

// learnDay adds the numbers of a day; of the days that share a place the newest
// stays.
func (p *Principal) learnDay(w *window) {
	d := Day{int32(w.day), bounded(w.events), bounded(len(w.secrets)), bounded(len(w.buckets)), bounded(w.refusals)}
	i := slices.IndexFunc(p.Days, func(o Day) bool { return o.Day%days == d.Day%days })
	switch {
	case i < 0:
		p.Days = append(p.Days, d)
	case p.Days[i].Day == d.Day: // learned in two parts
		old := &p.Days[i]
		old.Events = bounded(int(old.Events) + int(d.Events))
		old.Refused = bounded(int(old.Refused) + int(d.Refused))
		old.Secrets = max(old.Secrets, d.Secrets)
		old.Buckets = max(old.Buckets, d.Buckets)
	case p.Days[i].Day < d.Day:
		p.Days[i] = d
	}
	slices.SortFunc(p.Days, byDay)
}

func bounded(n int) int32 { return int32(min(n, math.MaxInt32)) }

// weekly is the events of the weeks of a principal, for many looks at them.
type weekly struct {
	from, to int // hours since the first week: those of the first and the last event
	weeks    map[int]*byHour
}

func (p *Principal) weekly() weekly {
	number := func(t time.Time) int { week, hour := weekHour(t); return hoursOfWeek*week + hour }
	w := weekly{number(p.First), number(p.Last), make(map[int]*byHour, len(p.Weeks))}
	for _, week := range p.Weeks {
		of := week.Hours.unpack()
		w.weeks[week.Week] = &of
	}
	return w
}

// past is the events of the hour of t in the other weeks, or of an hour beside it.
// Hours before the first event and after the last do not count: nobody knows
// whether the logs hold them.
func (w *weekly) past(t time.Time, beside int) []float64 {
	week, hour := weekHour(t)
	now := hoursOfWeek*week + hour
	var out []float64
	for k := -weeks; k <= weeks; k++ { // what is judged may lie within what was learned
		at := now + hoursOfWeek*k + beside
		if k != 0 && at >= w.from && at <= w.to && at > w.to-hoursOfWeek*weeks {
			n := uint16(0)
			if of := w.weeks[at/hoursOfWeek]; of != nil {
				n = of[at%hoursOfWeek]
			}
			out = append(out, float64(n))
		}
	}
	return out
}
