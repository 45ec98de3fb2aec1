package event

import "time"

// maxTime is how long a time is that is remembered.
const maxTime = 40

// parseTime reads the times that AWS's logs hold: RFC 3339 with or without a
// zone, seconds or milliseconds since 1970.
func parseTime(s []byte) time.Time {
	if t, ok := parseZulu(s); ok {
		return t
	}
	if len(s) >= 19 && s[4] == '-' && (s[10] == 'T' || s[10] == ' ') {
		text := string(s)
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999Z0700"} {
			if t, err := time.Parse(layout, text); err == nil {
				return t.UTC()
			}
		}
		return time.Time{}
	}
	var n int64
	for i, c := range s {
		if c == '.' && i > 0 {
			break // fractions of a second
		}
		if c < '0' || c > '9' || i > 15 {
			return time.Time{}
		}
		n = n*10 + int64(c-'0')
	}
	switch {
	case len(s) == 0 || n > maxMillis:
		return time.Time{}
	case n > 1e11:
		return time.UnixMilli(n).UTC()
	default:
		return time.Unix(n, 0).UTC()
	}
}

// parseZulu reads the form that CloudTrail writes: 2006-01-02T15:04:05Z.
func parseZulu(s []byte) (time.Time, bool) {
	if len(s) != 20 || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' || s[19] != 'Z' {
		return time.Time{}, false
	}
	var n [6]int
	for i, at := range [6]int{0, 5, 8, 11, 14, 17} {
		end := at + 2
		if i == 0 {
			end = at + 4
		}
		for _, c := range s[at:end] {
			if c < '0' || c > '9' {
				return time.Time{}, false
			}
			n[i] = n[i]*10 + int(c-'0')
		}
	}
	if n[1] < 1 || n[1] > 12 || n[2] < 1 || n[2] > 28 || n[3] > 23 || n[4] > 59 || n[5] > 59 {
		return time.Time{}, false // the days that not every month has are the library's business
	}
	return time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], 0, time.UTC), true
}

// maxMillis is the end of the year 9999; later times are nonsense, and JSON has
// no form for them.
const maxMillis = 253402300799999

// ParseTime reads a time as AWS's logs write it; zero where it is none.
func ParseTime(s string) time.Time { return parseTime([]byte(s)) }
