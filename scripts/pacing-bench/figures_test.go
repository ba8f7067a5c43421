package main

import (
	"math"
	"testing"
)

func TestWindows(t *testing.T) {
	const rate = 100_000
	steps := make([]int64, 500)
	for i := range steps {
		steps[i] = rate / 100
	}
	steps[300] += 4000 // in some windows, of 200,000 bytes
	steps[50] -= 1000
	least, most := windows(steps, rate)
	if math.Abs(least-0.995) > 1e-9 || math.Abs(most-1.02) > 1e-9 {
		t.Errorf("%v to %v", least, most)
	}
	if least, most := windows(steps[:100], rate); least != 0 || most != 0 {
		t.Errorf("of less than a window: %v to %v", least, most)
	}
}

func TestJain(t *testing.T) {
	for _, c := range []struct {
		got  []int64
		want float64
	}{{[]int64{5, 5, 5, 5}, 1}, {[]int64{8, 0, 0, 0}, 0.25}, {[]int64{1, 3}, 0.8}, {[]int64{0, 0}, 0}} {
		if got := jain(c.got); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%v: %v, want %v", c.got, got, c.want)
		}
	}
}

func TestSilence(t *testing.T) {
	if got := silence([]int64{0, 1, 0, 0, 0, 2, 0, 0}); got != 3*step {
		t.Errorf("%v", got)
	}
}
