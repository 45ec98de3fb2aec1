package sigma

// Searched returns how many bytes of the last event expressions have looked at.
func Searched(m *Matcher) int { return m.searched }
