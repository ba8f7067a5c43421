//go:build !race

package tracker

// fewer returns n rounds: only the race detector asks for fewer.
func fewer(n int) int { return n }
