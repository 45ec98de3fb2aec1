package event

// Unmarked runs f as on a processor that cannot mark.
func Unmarked(f func()) {
	defer func(was bool) { canMark = was }(canMark)
	canMark = false
	f()
}
