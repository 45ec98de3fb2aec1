package catalog

import "strings"

// maxNear bounds the names that are compared for likeness.
const maxNear = 128

// NearestAction returns the action name most like the given full name, for "did
// you mean", or "" when none is close. It looks in the named service, and where
// that does not exist in the nearest one.
func (c *Catalog) NearestAction(full string) string {
	prefix, name, ok := strings.Cut(full, ":")
	if !ok || len(name) > maxNear {
		return ""
	}
	s, ok := c.Service(prefix)
	if !ok {
		near := c.NearestService(prefix)
		if s, ok = c.Service(near); !ok {
			return ""
		}
		if a, ok := s.Action(name); ok {
			return a.String()
		}
	}
	names := make([]string, len(s.Actions))
	for i, a := range s.Actions {
		names[i] = a.Name
	}
	if best := Nearest(name, names); best != "" {
		return s.Prefix + ":" + best
	}
	return ""
}

// NearestService returns the service prefix most like the given one, or "".
func (c *Catalog) NearestService(prefix string) string { return Nearest(prefix, c.order) }

// NearestConditionKey returns the key most like the given one among the global
// keys and those of its service, or "".
func (c *Catalog) NearestConditionKey(key string) string {
	var names []string
	for _, k := range c.globals {
		names = append(names, k.Key)
	}
	prefix, _, _ := strings.Cut(key, ":")
	if s, ok := c.Service(prefix); ok {
		for _, k := range s.ConditionKeys {
			names = append(names, k.Key)
		}
	}
	return Nearest(key, names)
}

// Nearest returns the name with the least edit distance, none farther than a
// third of its length. Ties go to the first.
func Nearest(want string, names []string) string {
	if want == "" || len(want) > maxNear {
		return ""
	}
	low := strings.ToLower(want)
	best, bestDist := "", 1+len(low)/3
	for _, n := range names {
		if len(n) > maxNear || abs(len(n)-len(low)) >= bestDist {
			continue
		}
		if d := distance(low, strings.ToLower(n), bestDist); d < bestDist {
			best, bestDist = n, d
		}
	}
	return best
}

func abs(n int) int { return max(n, -n) }

// distance is the edit distance (insertions, deletions, replacements, swaps of
// neighbours), or limit when it is at least that.
func distance(a, b string, limit int) int {
	var rows [3][maxNear + 2]int
	prev2, prev, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, prev2[j-2]+1)
			}
			row[j] = d
			least = min(least, d)
		}
		if least >= limit {
			return limit
		}
		prev2, prev, row = prev, row, prev2
	}
	return min(prev[len(b)], limit)
}
