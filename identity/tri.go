package identity

// tri is an answer of three values.
type tri uint8

const (
	no tri = iota
	maybe
	yes
)

func triOf(b bool) tri {
	if b {
		return yes
	}
	return no
}

func (t tri) and(u tri) tri { return min(t, u) }
func (t tri) or(u tri) tri  { return max(t, u) }
func (t tri) not() tri      { return yes - t }
