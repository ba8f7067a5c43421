//go:build race

package tracker

// fewer returns a tenth of n rounds. The race detector slows a test down ten times and finds nothing in one
// that runs in one goroutine; such a test has all its rounds without the detector.
func fewer(n int) int { return n / 10 }
