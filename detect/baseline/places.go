package baseline

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Place is where a range of addresses is.
type Place struct {
	Name     string // the range, and its label
	Lat, Lon float64
}

// Places is an address table. The zero value and nil know no place.
type Places struct {
	bits map[int]map[netip.Prefix]Place // by the length of the range
	lens []int                          // longest first
}

const maxPlaces = 2_000_000

// ReadPlaces reads a table: CSV lines of CIDR, latitude, longitude and, if given,
// a name. A first line of column names is skipped.
func ReadPlaces(r io.Reader) (*Places, error) {
	c := csv.NewReader(bufio.NewReaderSize(r, 64<<10))
	c.FieldsPerRecord, c.Comment, c.TrimLeadingSpace, c.ReuseRecord = -1, '#', true, true
	p := &Places{bits: map[int]map[netip.Prefix]Place{}}
	n := 0
	for line := 1; ; line++ {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read address table: %w", err)
		}
		if len(row) < 3 {
			return nil, fmt.Errorf("read address table: row %d: want CIDR,latitude,longitude", line)
		}
		prefix, err := netip.ParsePrefix(strings.TrimSpace(row[0]))
		if err != nil {
			if line == 1 {
				continue
			}
			return nil, fmt.Errorf("read address table: row %d: %q is no range such as 192.0.2.0/24", line, row[0])
		}
		lat, err1 := strconv.ParseFloat(strings.TrimSpace(row[1]), 64)
		lon, err2 := strconv.ParseFloat(strings.TrimSpace(row[2]), 64)
		if err1 != nil || err2 != nil || !(math.Abs(lat) <= 90) || !(math.Abs(lon) <= 180) {
			return nil, fmt.Errorf("read address table: row %d: %q, %q are no latitude and longitude", line, row[1], row[2])
		}
		if n++; n > maxPlaces {
			return nil, fmt.Errorf("read address table: more than %d rows", maxPlaces)
		}
		prefix = prefix.Masked()
		name := prefix.String()
		if len(row) > 3 && row[3] != "" {
			name = clip(strings.Clone(row[3])) + " (" + name + ")"
		}
		if p.bits[prefix.Bits()] == nil {
			p.bits[prefix.Bits()] = map[netip.Prefix]Place{}
			p.lens = append(p.lens, prefix.Bits())
		}
		p.bits[prefix.Bits()][prefix] = Place{name, lat, lon}
	}
	slices.SortFunc(p.lens, func(a, b int) int { return b - a })
	return p, nil
}

// Find returns the place of an address: that of the longest range it lies in.
func (p *Places) Find(a netip.Addr) (Place, bool) {
	if p == nil {
		return Place{}, false
	}
	a = a.Unmap().WithZone("")
	for _, n := range p.lens {
		if n > a.BitLen() {
			continue
		}
		prefix, err := a.Prefix(n)
		if err != nil {
			continue
		}
		if place, ok := p.bits[n][prefix]; ok {
			return place, true
		}
	}
	return Place{}, false
}

// kilometres is the distance on a sphere of the Earth's size.
func kilometres(a, b Place) float64 {
	const radius, rad = 6371.0, math.Pi / 180
	s := math.Sin((b.Lat - a.Lat) * rad / 2)
	t := math.Sin((b.Lon - a.Lon) * rad / 2)
	h := s*s + math.Cos(a.Lat*rad)*math.Cos(b.Lat*rad)*t*t
	return 2 * radius * math.Asin(min(1, math.Sqrt(h)))
}
